"""What was once found wrong: one small network each, with the right value and where that comes from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import REWRITE, ROUNDING, assert_close, assert_statistical, draws_for
from scipy.integrate import quad
from scipy.stats import norm

import erfmath as em

R, G1 = em.Activation("relu"), em.Random(gain=1)


def same(net: em.Network, other: em.Network, **options: Any) -> None:
    """Two ways to write one function have one field."""
    a, b = em.predict(net, **options), em.predict(other, **options)
    assert_close(a.total, b.total, REWRITE)
    assert_close(a.map, b.map, REWRITE)


# -- equal functions --------------------------------------------------------------------------

def stack(n: int, after: Any = None, shortcut: Any = None) -> em.Network:
    """Residual blocks of one convolution and batch norm, a gate after each sum."""
    def block() -> em.Network:
        branch = em.serial(em.Conv(3, 32), em.BatchNorm())
        return em.serial(em.residual(branch, shortcut), *([after] if after else []), R)
    return em.serial(em.Conv(3, 32), R, *[block() for _ in range(n)])


def test_stack() -> None:
    erf = em.predict(stack(3), image=24)
    assert_statistical([erf.std[0], erf.total], [.006, .09], [1.266, 4.04])


def test_identity_after_a_sum() -> None:
    same(stack(3), stack(3, after=em.Identity()), image=24)


def test_scale_on_an_identity_branch() -> None:
    same(stack(3), stack(3, shortcut=em.Scale(1.)), image=24)


def test_pad_on_an_identity_branch() -> None:
    same(stack(3), stack(3, shortcut=em.Pad(0)), image=24)


def rep_vgg(blocks: int, w: int = 64) -> em.Network:
    """Blocks of 3x3, 1x1 and identity, each with a batch norm."""
    def block() -> em.Network:
        return em.serial(em.add(em.serial(em.Conv(3, w), em.BatchNorm()), em.serial(em.Conv(1, w), em.BatchNorm()),
                                em.BatchNorm()), R)
    return em.serial(em.Conv(3, w), R, *[block() for _ in range(blocks)])


def test_rep_vgg() -> None:
    totals = [em.predict(rep_vgg(n), image=32).total for n in (1, 3)]
    assert_statistical(totals, [.06, .12], [2.54, 4.85])


def test_rep_vgg_on_the_plane() -> None:
    """One block by quadrature over the value of the stem; two and three by a million particles."""
    totals = [em.predict(rep_vgg(n)).total for n in (1, 2, 3)]
    assert_statistical(totals[1:], [.004, .005], [3.261, 4.464])
    mean, power = np.pi**-.5, 1.0  # of the stem's ReLU, whose input has variance 2

    def opens(g: float) -> float:
        z = (max(g, 0) - mean) / np.sqrt(power - mean**2)
        return float(norm.pdf(g, scale=2**.5) * norm.cdf(z / 2**.5))
    below, above = (quad(opens, *ends)[0] for ends in ((-20, 0), (0, 20)))
    branches, identity = 2 * (below + above), 2 * above
    assert_close(totals[0], (branches + identity) / (power - mean**2), REWRITE)


def test_relu_of_relu() -> None:
    assert_close(em.predict(em.serial(em.Conv(3), R, R, em.Conv(3))).total, 2., ROUNDING)


def test_tcn() -> None:
    for blocks in (3, 5):
        net = em.serial(em.Conv((3,), 32), R, *[
            em.serial(em.residual(em.serial(em.Conv((3,), 32), R)), R) for _ in range(blocks)])
        assert_close(em.predict(net, image=(64,)).total, 2.**blocks, ROUNDING)


def test_nothing_before_a_max_pool() -> None:
    c = em.Conv(3, 16, weights=G1)
    assert_close(em.predict(em.serial(c, R, em.AvgPool(1), em.MaxPool(2), c), ndim=1).total, .75, ROUNDING)


def test_nearest_before_a_max_pool() -> None:
    c = em.Conv(3, 16, weights=G1)
    assert_close(em.predict(em.serial(c, R, em.Upsample(2), em.MaxPool(4), c), image=16).total, .9375, REWRITE)


def test_max_pool_after_average_pool() -> None:
    """Winners are sums of open gates: four independent values, drawn."""
    c = em.Conv(3, 16, weights=G1)
    rng, error = np.random.default_rng(1), 5e-4
    z = rng.normal(size=(draws_for(error, .2), 2, 2))
    means = np.maximum(z, 0).mean(axis=-1)
    winner = np.take_along_axis((z > 0).sum(axis=-1) / 4, means.argmax(axis=-1)[:, None], axis=-1)
    total = em.predict(em.serial(c, R, em.AvgPool(2), em.MaxPool(2), c), ndim=1).total
    assert_statistical(total, error, winner.mean())


def test_overlapping_max_pools() -> None:
    """Of two windows that overlap the union's largest value is equally likely everywhere in it."""
    c = em.Conv(3, 16, weights=G1)
    net = em.serial(c, em.MaxPool(3, 1, 1), c, em.AvgPool(3, 1, 1))
    assert_close(em.predict(net, ndim=1, image=24, width=64, channels_in=64).total, .6, REWRITE)


# -- refused or crashed -----------------------------------------------------------------------

def test_concat_under_skips() -> None:
    c = em.Conv(3, 8, weights=G1)
    erf = em.predict(em.residual(em.residual(em.serial(em.concat(em.Identity(), c), c))), channels_in=8)
    assert_close([erf.total, erf.std[0]], [5., .2**.5], ROUNDING)


def test_global_pool_beside_the_map() -> None:
    def net(pool: Any) -> em.Network:
        return em.concat(em.Conv(1, 16), em.serial(pool, em.Conv(1, 16), em.Upsample(32)))
    same(net(em.AvgPool(32)), net(em.GlobalAvgPool()), image=32)
    same(em.serial(em.Conv(3, 16), R, net(em.AvgPool(32)), R, em.Conv(3)),
         em.serial(em.Conv(3, 16), R, net(em.GlobalAvgPool()), R, em.Conv(3)), image=32)


def test_tile_halo_of_nested_skips() -> None:
    c = em.Conv(3, 8, weights=G1)
    halo = em.tile_halo(em.residual(em.residual(c)), 0, channels_in=8)
    assert getattr(halo, "halo", halo) in (1, (1, 1))


def test_identity_activation_as_a_shortcut() -> None:
    def net(*shortcut: Any) -> em.Network:
        return em.serial(em.Conv(3, 8), R, *[em.serial(em.residual(em.Conv(3, 8), *shortcut), R) for _ in range(2)])
    same(net(), net(em.Activation("identity")))


def test_leaky_relu_in_a_stream_of_relus() -> None:
    def net(*between: Any) -> em.Network:
        def block() -> em.Network:
            return em.serial(em.residual(em.Conv(3, 16)), R)
        return em.serial(em.Conv(3, 16), R, block(), *between, block(), em.Conv(1, 16))
    same(net(), net(em.Activation("leaky_relu")), image=24)


def test_given_weights_before_a_max_pool() -> None:
    rng = np.random.default_rng(0)
    given = {"a": rng.normal(size=(8, 3, 3, 3)), "b": rng.normal(size=(8, 8, 3, 3))}
    net = em.serial(em.Conv(3, 8, name="a"), R, em.Conv(3, 8, name="b"), R, em.MaxPool(2), em.Conv(3, 8))
    assert 0 < em.predict(net, image=16, weights=given).total < np.inf


def test_dead_branch() -> None:
    zeros = {"a": np.zeros((8, 3, 3, 3))}
    assert em.predict(em.serial(em.Conv(3, 8, name="a"), em.Conv(3, 8)), weights=zeros).total == 0
    net = em.serial(em.residual(em.Conv(3, 3, name="a"), em.Conv(1, 3)), em.Conv(3, 8))
    left = em.predict(em.serial(em.Conv(1, 3), em.Conv(3, 8)))
    assert_close(em.predict(net, weights={"a": np.zeros((3, 3, 3, 3))}).total, left.total, ROUNDING)
    with pytest.raises(ValueError, match="a: weights"):
        em.predict(net, weights={"a": np.zeros((2, 3, 3, 3))})


@pytest.mark.parametrize("image", [None, 16])
def test_dead_norm(image: Any) -> None:
    """A scale of zero at the end of a residual branch, or of a chain."""
    dead = {"n": np.array([[0.] * 8, [0.] * 8, [1.] * 8, [2.] * 8])}
    stem, last = em.serial(em.Conv(3, 8), R), em.BatchNorm(name="n")
    net = em.serial(stem, em.residual(em.serial(em.Conv(3, 8), last)), R, em.Conv(3, 8))
    left = em.predict(em.serial(stem, em.Conv(3, 8)), image=image)
    found = em.predict(net, image=image, weights=dead)
    assert_close([found.total, *found.std], [left.total, *left.std], ROUNDING)
    for shift in (0., 1.):
        dead["n"][1] = shift
        assert em.predict(em.serial(stem, last, R, em.Conv(3, 8)), image=image, weights=dead).total == 0


def test_coverage_of_unequal_axes() -> None:
    def seen(kernel: tuple[int, ...]) -> Any:
        return em.coverage(em.serial(em.Conv(kernel), em.Conv(kernel)), 3, ndim=3)
    assert str(seen((5, 3, 3))) and str(seen((3, 5, 3)))


def test_unit_that_no_pixel_reaches() -> None:
    net = em.serial(em.ConvTranspose((3, 1), stride=3))
    assert em.predict(net, image=(6, 6), unit=(0, 1)).total == 0
    assert em.measure(net, image=(6, 6), unit=(0, 1), draws=3, rng=0).total == 0


def test_sum_with_its_average() -> None:
    """x + average is one filter; before a gate as well."""
    both = em.Fixed([1 / 3, 4 / 3, 1 / 3])
    for end in ((), (R, em.Conv(3))):
        same(em.serial(em.Conv(3), em.Conv(3, weights=both), *end),
             em.serial(em.Conv(3), em.residual(em.AvgPool(3, 1, 1)), *end), ndim=1)


def test_pool_of_a_norm_less_the_norm() -> None:
    """x + pool(n(x)) - n(x) is pool(x) where x is normalised already."""
    n, pool = em.BatchNorm(), em.AvgPool(3, 1, 1)
    mixer = em.add(em.Identity(), em.serial(n, em.add(pool, em.Scale(-1.))))
    for end in ((), (R, em.Conv(3))):
        same(em.serial(em.Conv(3), n, pool, *end), em.serial(em.Conv(3), n, mixer, *end), ndim=1)


# -- found by rewriting random networks -------------------------------------------------------

def test_max_pool_after_profiles_that_are_no_products() -> None:
    profile = np.arange(1., 10).reshape(3, 3)
    net = em.serial(em.Conv((3, 3), 2, weights=em.Random(profile=profile)), em.MaxPool(3), em.Conv(3, 6), R)
    assert em.predict(net, image=(10, 13)).total > 0


def test_max_pool_of_a_dilated_site() -> None:
    """A single tap has no dilation."""
    def net(dilation: int) -> em.Network:
        conv = em.Conv(1, 2, dilation=dilation, padding=[(0, 0)], weights=G1)
        return em.serial(R, conv, em.Activation("sigmoid"), em.MaxPool(2, 1))
    same(net(1), net(2), image=(4,))


@pytest.mark.filterwarnings("error")
def test_layer_norm_after_padded_max_pool() -> None:
    net = em.serial(em.Conv(3, 8, stride=2), em.MaxPool(3, 1, 1), em.LayerNorm())
    assert em.predict(net, image=6, channels_in=2).total > 0


def test_shares_where_a_gathered_layer_sees_nothing() -> None:
    net = em.serial(em.Conv(2, 2, padding=1, dilation=2), em.Conv(3, 2))
    assert np.isfinite([row.variance for row in em.layer_shares(net, image=4, unit=0).layers]).all()


def test_size_map_with_units_that_see_nothing() -> None:
    """Whether the weights are random or given, such a unit has no size."""
    for weights in (em.Random(), em.Constant()):
        sizes = em.erf_size_map(em.serial(em.Conv(1, 4, padding=1, weights=weights)), 4)
        assert np.isnan(sizes.size[0, 0]) and np.isfinite(sizes.size[1, 1]) and sizes.total[0, 0] == 0


def test_two_resolutions_that_exchange() -> None:
    """As in HRNet, units of both: sums of maps of which one was enlarged."""
    def low() -> em.Network:
        return em.serial(em.Conv(3, 8, stride=2), em.BatchNorm(), R)
    up = em.serial(low(), em.Conv(1, 8), em.BatchNorm(), em.Upsample(2))
    both = em.concat(em.Identity(), em.serial(low(), em.Upsample(2, "bilinear")))
    net = em.serial(em.Conv(3, 8), R, em.residual(up), R, both, em.Conv(1, 8), R)
    assert em.predict(net, image=16).total > 0
