"""Ensembles: what is measured, that it is right, and what is refused."""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ensembles import Stop, chain, same
from helpers import ROUNDING, assert_close, assert_statistical

import erfmath as em
from erfmath.base.errors import SizeError
from erfmath.empirics import measure as measuring, plan
from erfmath.empirics.boxes import compile_network
from erfmath.empirics.run import forward

C, A = em.Conv, em.Activation
UNIT_GAIN = em.Random(gain=1)


# -- right against closed forms ---------------------------------------------------------------

def test_measure_is_exact_for_deterministic_networks() -> None:
    """All-ones kernels: the law of a sum of uniform variables, without any sampling."""
    erf = em.measure(em.repeat(C(3, weights=em.Constant()), 5))
    line = np.array([1.0])
    for _ in range(5):
        line = np.convolve(line, np.full(3, 1 / 3))
    assert erf.statistic == "mean" and erf.stderr is None and erf.draws == 1
    assert_close(erf.map, np.outer(line, line), ROUNDING)


def test_measure_constant_weights_of_transposed_convolutions_divide_the_sum_by_the_strides() -> None:
    net = em.serial(C(3, weights=em.Constant()), em.ConvTranspose(4, stride=2, padding=1, weights=em.Constant()))
    total = [em.measure(net, image=12, unit=unit).total for unit in ((11, 12), (12, 11))]
    assert_close(total, [1 / 4, 1 / 4], ROUNDING)  # 4 x 4 taps of 1 / 16, a quarter of them reach a site


GAINS = {
    "fan in": (chain(2), 1.0),
    "gain": (em.repeat(C(3, weights=em.Random(gain=2)), 3), 8.0),
    "fan out": (em.serial(C(3, 8, weights=em.Random(gain=1, fan="out")), C(1, 4, weights=UNIT_GAIN)), 3 / 8),
    "grouped": (em.serial(C(3, 4, weights=UNIT_GAIN), C(3, 8, groups=2, weights=UNIT_GAIN)), 1.0),
    "depthwise": (C(3, groups="depthwise", weights=UNIT_GAIN), 1.0),
    "uniform law": (C(3, 4, weights=em.Random(gain=1, law="uniform")), 1.0),
    "profile": (C(3, 4, weights=em.Random(gain=1, profile=[1, 0.5, 1])), 1.0),
    "transposed": (em.serial(C(1, 4, weights=UNIT_GAIN), em.ConvTranspose(4, 6, stride=2, weights=UNIT_GAIN)), 1.0),
    "dropout": (em.serial(chain(1), em.Dropout(0.5)), 2.0),
    "scale": (em.serial(chain(1), em.Scale(-3)), 9.0),
    "relu": (em.serial(chain(1), A("relu")), 0.5),
    "skip": (em.residual(C(3, 3, weights=UNIT_GAIN)), 2.0),
    "batch norm": (em.serial(C(3, weights=em.Random(gain=7)), em.BatchNorm()), 1.0),
}


@pytest.mark.parametrize("name", GAINS)
def test_measure_total_power(name: str) -> None:
    part, expected = GAINS[name]
    net = part if isinstance(part, em.Network) else em.serial(part)
    image = 24 if name == "batch norm" else None  # statistics of many sites
    erf = em.measure(net, draws=3000 if image is None else 400, width=8, rng=0, image=image)
    if image is not None:  # the estimated variance adds to E[1 / v] what it scatters
        expected *= 1 + 2 / (plan.BATCH * 24**2)
    assert_statistical(erf.total, erf.total_stderr, expected)


def test_measure_chain_is_the_distribution_of_its_walk() -> None:
    """Unit by unit and pixel by pixel, also in 1 and 3 dimensions and at a corner."""
    for ndim, draws in ((1, 2000), (2, 2000), (3, 500)):
        erf = em.measure(chain(3), ndim=ndim, draws=draws, width=6, rng=1)
        line = np.array([1, 3, 6, 7, 6, 3, 1]) / 27
        expected = line
        for _ in range(ndim - 1):
            expected = np.multiply.outer(expected, line)
        assert erf.shape == (7,) * ndim and erf.origin == (-3,) * ndim
        assert_statistical(erf.map, erf.stderr, expected)
        assert_statistical(erf.std, erf.std_stderr, np.full(ndim, math.sqrt(2)))


def test_measure_borders_act_after_every_layer() -> None:
    """Brute force over all paths that never leave the image."""
    expected = np.zeros(5)
    for steps in itertools.product((-1, 0, 1), repeat=3):
        path = list(itertools.accumulate(steps))
        if all(0 <= site < 5 for site in path):
            expected[path[-1]] += 1 / 27
    erf = em.measure(chain(3), ndim=1, image=5, unit=0, draws=3000, width=6, rng=2)
    assert erf.origin == (0,) and erf.shape == (5,)
    seen = expected > 0
    assert_statistical(erf.map[seen], erf.stderr[seen], expected[seen])
    assert not erf.map[~seen].any()


def test_measure_statistics_of_given_weights() -> None:
    """One linear network, one channel: every statistic from the same gradient."""
    weights = np.array([1.0, -2.0, 0.0, 3.0]).reshape(1, 1, 4)
    net = em.serial(C(4, 1, padding="valid", name="only"))
    found = {statistic: em.measure(net, ndim=1, channels_in=1, channel=0, weights={"only": weights},
                                   statistic=statistic, draws=2, rng=0).map
             for statistic in ("power", "mean", "amplitude", "magnitude")}
    w = weights.ravel()
    for statistic, expected in (("power", w**2), ("mean", w), ("amplitude", abs(w)), ("magnitude", abs(w))):
        assert_close(found[statistic], expected, ROUNDING)
    assert_close(em.measure(net, ndim=1, channels_in=1, channel=0, weights={"only": weights}, statistic="power",
                            normalise="draw").map, w**2 / 14, ROUNDING)


def test_measure_relu_statistic() -> None:
    """Positive parts of the gradient of the active channels, as the large-kernel papers take them."""
    weights = np.array([[[1.0, -2.0]], [[-1.0, 4.0]]])  # two channels
    net = em.serial(C(2, 2, padding="valid", name="only"))
    images = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])  # the first makes channel 0 active, the second channel 1
    erf = em.measure(net, ndim=1, channels_in=1, weights={"only": weights}, images=images, statistic="relu",
                     dtype="float64")
    assert erf.draws == 2
    assert_close(erf.map, [0.25, 1.0], ROUNDING)
    first = em.measure(net, ndim=1, channels_in=1, weights={"only": weights}, images=images[:1], statistic="relu",
                       dtype="float64")
    assert_close(first.map, [0.5, 0.0], ROUNDING)  # of channel 0 alone


def test_measure_on_the_map_of_a_node() -> None:
    """Between two nodes: the gradient of the part alone, whatever lies before it and beside it."""
    part = em.serial(C(3, 4, name="first"), A("tanh"), C(3, 4, stride=2))
    net = em.serial(C(3, 4), A("relu", name="start"), em.residual(C(3, 4)), part)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((1, 3, 9, 8))
    weights = {node.name: rng.standard_normal(node.layer.weight_shape(3 if i == 0 else 4, 4, 2))
               for i, node in enumerate(net) if node.layer.takes_weights}
    for unit in ((2, 2), (0, 3)):
        found = em.measure(net, images=images, weights=weights, source="add1", unit=unit, channel=1,
                           dtype="float64")
        program = compile_network(net, 2, image=(9, 8), node="add1")
        values = forward(program, {(i, "kernel"): weights[node.name][None] for i, node in enumerate(net)
                                   if node.name in weights}, images.swapaxes(0, 1)[None]).output[0].swapaxes(0, 1)
        alone = em.measure(part, images=values, unit=unit, channel=1, dtype="float64",
                           weights={name: weights[other] for name, other in (("first", "first"), ("conv1", "conv3"))})
        assert_close(found.map, alone.map, ROUNDING)
        assert found.trf.window(unit) == alone.trf.window(unit)
    linear = em.serial(C(3, name="start"), em.residual(chain(1)), chain(1))  # the branch adds as much as skips it
    erf = em.measure(linear, source="start", draws=1000, rng=0)
    assert_statistical(erf.total, erf.total_stderr, 2.0)
    with pytest.raises(ValueError, match="does not depend on it"):
        em.measure(net, source="first", node="add1")
    with pytest.raises(ValueError, match="no node"):
        em.measure(net, source="nothing")


def test_measure_on_the_plane_follows_channels() -> None:
    """A unit after a slice sees its own branch, and the map is as small as its window."""
    net = em.serial(C(1, 8), em.split([4, 4], em.Identity(), C(5, 4)), em.Slice(0, 4))
    erf = em.measure(net, draws=20, rng=0)
    assert erf.shape == erf.trf.size == (1, 1) and erf.total > 0


@pytest.mark.parametrize("image", [None, (6, 6)])
def test_measure_where_no_pixel_reaches_the_unit(image: Any) -> None:
    erf = em.measure(em.serial(em.ConvTranspose((3, 1), stride=3)), image=image, unit=(0, 1), draws=3, rng=0)
    assert erf.total == 0 and erf.dead == 3


def test_measure_one_network_on_images() -> None:
    """A mean over images: the gates of each are its own; biases and batch norms are given."""
    rng = np.random.default_rng(0)
    net = em.serial(C(3, 2), em.BatchNorm(), A("relu"), C(3, 1))
    w1, b1, w2 = rng.standard_normal((2, 1, 3)), rng.standard_normal(2), rng.standard_normal((1, 2, 3))
    norm = np.array([[2.0, 0.5], [0.1, -0.3], [0.2, 0.4], [1.5, 0.7]])
    images = rng.standard_normal((5, 1, 7))
    weights = {"conv1": w1, "conv1.bias": b1, "batch_norm1": norm, "conv2": w2}
    erf = em.measure(net, weights=weights, images=images, unit=3, channel=0, dtype="float64", rng=0)
    maps = []
    for image in np.pad(images[:, 0], [(0, 0), (1, 1)]):
        scale = norm[0] / np.sqrt(norm[3])  # epsilon is in the variance
        z = np.array([[w1[o, 0] @ image[i:i + 3] + b1[o] for i in range(7)] for o in range(2)])
        z = (z - norm[2][:, None]) * scale[:, None] + norm[1][:, None]
        g = np.zeros(9)
        for o, a in itertools.product(range(2), range(3)):
            site = 3 + a - 1
            if z[o, site] > 0:
                g[site:site + 3] += w2[0, o, a] * scale[o] * w1[o, 0]
        maps.append(g[1:-1]**2)
    assert erf.draws == 5  # each image once
    assert_close(erf.map, np.mean(maps, axis=0), ROUNDING)
    assert_close(erf.stderr, np.std(maps, axis=0, ddof=1) / math.sqrt(5), ROUNDING, scale=1e-3)


def test_measure_fewer_images_than_a_batch() -> None:
    net = em.serial(C(3, 2), em.BatchNorm(), C(1, 1))
    weights = {"conv1": np.ones((2, 1, 3)), "conv2": np.ones((1, 2, 1))}
    erf = em.measure(net, weights=weights, images=np.random.default_rng(0).random((3, 1, 9)), rng=0)
    assert erf.draws == 1 and erf.total > 0


def test_measure_running_estimates(small_chunks: None) -> None:
    results = em.measure(chain(), draws=[3, 10, 11], rng=0)
    assert [erf.draws for erf in results] == [3, 10, 11]
    for erf in results:
        same(erf, em.measure(chain(), draws=erf.draws, rng=0))
    stop = Stop(2)
    results = em.measure(chain(), draws=[3, 6, 11], rng=0, progress=stop)
    assert [(erf.draws, erf.partial) for erf in results] == [(3, False), (6, False), (8, True)]


def test_measure_until() -> None:
    erf = em.measure(chain(), until=0.02, rng=0)
    assert erf.draws >= 30 and (erf.std_stderr <= 0.02 * erf.std).all()
    assert em.measure(chain(), until=1e-9, draws=40, rng=0).draws == 40
    # Of the chunks that it looks after, it stops at the first that is precise enough.
    reached = [(found.std_stderr / found.std).max() for found in em.measure(chain(), draws=[30, 90, 210], rng=0)]
    for until in (reached[0] / 1.5, reached[1] / 1.1, reached[2] * 1.001):
        first = next(draws for draws, error in zip((30, 90, 210), reached) if error <= until)
        assert em.measure(chain(), until=until, draws=210, rng=0).draws == first


def test_measure_until_is_looked_at_after_chunks_that_grow() -> None:
    seen = Stop(-1)
    em.measure(chain(2), width=2, draws=700, rng=0, progress=seen)
    assert [done for done, _ in seen.seen] == [30, 90, 210, 450, 700]
    for until, draws in ((1.0, 30), (0.0001, 250)):
        assert em.measure(chain(2), width=2, until=until, draws=250, rng=0).draws == draws


def test_measure_refuses_more_draws_than_it_could_keep(in_tmp: Path) -> None:
    with pytest.raises(SizeError, match="draws=100000000000: what is kept of each draw"):
        em.measure(chain(2), draws=10**11)


def test_measure_interrupted(small_chunks: None) -> None:
    stop = Stop(2)
    erf = em.measure(chain(), draws=20, rng=0, progress=stop)
    assert erf.partial and erf.draws == 8 and stop.seen == [(4, 20), (8, 20)]
    same(erf, em.measure(chain(), draws=8, rng=0))


# -- bad input --------------------------------------------------------------------------------

NET = em.serial(C(3, 4, name="first"), em.BatchNorm(), A("relu"), C(3, 2))
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "statistic": (dict(statistic="median"), "statistic='median'"),
    "draws": (dict(draws=0), "draws=0"),
    "draws decreasing": (dict(draws=[5, 3]), "increase"),
    "draws and until": (dict(draws=[5, 9], until=0.1), "without until"),
    "until": (dict(until=-1), "until"),
    "unit": (dict(image=8, unit=(8, 0)), "unit"),
    "image": (dict(image=0), "image=0"),
    "node": (dict(node="frist"), "did you mean"),
    "rng": (dict(rng="seed"), "rng='seed'"),
    "workers": (dict(workers=0), "workers=0"),
    "normalise": (dict(normalise="sum"), "normalise='sum'"),
    "channel": (dict(channel=2), "channel=2"),
    "dtype": (dict(dtype="float16"), "dtype='float16'"),
    "weights name": (dict(weights={"frist": np.ones(3)}), "frist"),
    "weights of a gate": (dict(weights={"relu1": np.ones(3)}), "takes no such array"),
    "weights shape": (dict(weights={"first": np.ones((4, 3, 3))}), r"\(4, 3, 3, 3\)"),
    "weights values": (dict(weights={"first": np.full((4, 3, 3, 3), np.nan)}), "finite"),
    "norm shape": (dict(weights={"batch_norm1": np.ones(4)}), r"\(4, 4\)"),
    "norm variance": (dict(weights={"batch_norm1": np.zeros((4, 4))}), "a variance of 0; must be positive"),
    "bias": (dict(weights={"first.bias": np.ones(3)}), r"\(4,\)"),
    "images": (dict(images=np.ones((2, 3))), "images"),
    "images and image": (dict(images=np.ones((2, 3, 8, 8)), image=9), "image"),
    "batch": (dict(images=np.ones((2, 3, 8, 8)), batch=3), "only 2 images"),
    "checkpoint": (dict(draws=[1, 2], checkpoint="x.npz"), "cannot be resumed"),
}


@pytest.mark.parametrize("name", BAD)
def test_measure_refuses(name: str, in_tmp: Path) -> None:
    arguments, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        em.measure(NET, **arguments)
    assert not os.listdir()


def test_measure_refuses_first_what_would_not_fit() -> None:
    with pytest.raises(SizeError):
        em.measure(chain(), image=100_000)
    with pytest.raises(TypeError, match="serial"):
        em.measure(C(3))
    with pytest.raises(ValueError, match="give image="):
        em.measure(em.serial(C(3), em.GlobalAvgPool()))


def test_measure_is_not_its_module() -> None:
    assert measuring.measure is em.measure


def test_measure_through_the_statistics_of_a_batch() -> None:
    """Gradients come back from the other images of the batch, too; only one has a unit."""
    net = em.serial(em.Conv(3, 8), em.BatchNorm("batch"), em.Activation("relu"), em.Conv(3, 8))
    erf = em.measure(net, image=8, draws=300, rng=0, ndim=1)
    assert abs(erf.total / em.predict(net, image=8, ndim=1).total - 1) < 0.1
