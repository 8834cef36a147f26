"""Predictions against exact path counts, closed formulas, symmetries and published values."""

from __future__ import annotations

import functools
import itertools
import math
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.base import errors
from erfmath.base.errors import SizeError
from erfmath.theory.sweep import backward as power

Array = Any
ONES, PLAIN = em.Constant(), em.Random(gain=1)


def chain(n: int, weights: Any = PLAIN, k: int = 3) -> em.Network:
    return em.repeat(em.Conv(k, weights=weights), n)


def paths(depth: int, unit: int, n: int | None = None, k: int = 3) -> dict[int, int]:
    """Number of paths from `unit` to each pixel through `depth` layers, inside a map of n sites."""
    counts = {unit: 1}
    for _ in range(depth):
        below: dict[int, int] = {}
        for x, count in counts.items():
            for z in range(x - k // 2, x + k // 2 + 1):
                if n is None or 0 <= z < n:
                    below[z] = below.get(z, 0) + count
        counts = below
    return counts


def line(counts: dict[int, int], lo: int, hi: int, whole: int) -> Array:
    return np.array([float(Fraction(counts.get(x, 0), whole)) for x in range(lo, hi + 1)])


# ---------------------------------------------------------------------------------------------
# exact counts
# ---------------------------------------------------------------------------------------------

def test_twenty_layers_of_ones() -> None:
    erf = em.predict(chain(20, ONES))
    exact = line(paths(20, 0), -20, 20, 3**20)
    assert (erf.statistic, erf.origin, erf.shape) == ("mean", (-20, -20), (41, 41))
    assert_close(erf.map, np.outer(exact, exact), ROUNDING)
    counts = paths(20, 0)
    assert [counts[x] for x in range(-20, 21)] == list(em.path_counts(3, 20))


@pytest.mark.parametrize("weights", [ONES, PLAIN])
@pytest.mark.parametrize("unit", [(0, 0), (1, 13), (6, 7), (15, 3)])
def test_borders_act_after_every_layer(weights: Any, unit: tuple[int, int]) -> None:
    erf = em.predict(chain(8, weights), image=(16, 14), unit=unit)
    exact = [line(paths(8, u, n), 0, n - 1, 3**8) for u, n in zip(unit, (16, 14))]
    assert_close(erf.map, np.outer(*exact), ROUNDING)
    assert erf.origin == (0, 0) and erf.image == (16, 14)


def test_mass_that_survives_a_border() -> None:
    """Ten layers, one pixel from the edge: .549; a crop at the end would leave .717."""
    survived = Fraction(sum(paths(10, 1, 100).values()), 3**10)
    cropped = Fraction(sum(c for x, c in paths(10, 1).items() if x >= 0), 3**10)
    assert (round(float(survived), 3), round(float(cropped), 3)) == (0.549, 0.717)
    erf = em.predict(chain(10), image=100, unit=1, ndim=1)
    assert_close(erf.map.sum(), float(survived), ROUNDING)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_one_code_for_all_dimensions(ndim: int) -> None:
    """A product network on a box: the map is the product of those of its axes."""
    kernels, strides, image, unit = (2, 3, 3), (1, 2, 1), (7, 9, 6), (2, 0, 3)
    parts = []
    for axes in [slice(ndim), *(slice(a, a + 1) for a in range(ndim))]:
        pads = tuple((k // 2, k - 1 - k // 2) for k in kernels[axes])
        net = em.serial(em.AvgPool(kernels[axes], 1),
                        em.Conv(kernels[axes], stride=strides[axes], padding=pads, weights=PLAIN),
                        em.AvgPool(kernels[axes], 1, padding=pads, count_include_pad=False))
        parts.append(em.predict(net, image=image[axes], unit=unit[axes]).map)
    assert_close(parts[0], functools.reduce(np.multiply.outer, parts[1:]), ROUNDING)


# ---------------------------------------------------------------------------------------------
# closed formulas
# ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("seed", range(12))
def test_variances_of_random_chains_add(seed: int) -> None:
    """Var = sum J^2 d^2 (k^2 - 1) / 12, per axis."""
    rng = random.Random(seed)
    layers, jump, variance = [], [1, 1], [Fraction(0), Fraction(0)]
    for _ in range(rng.randint(1, 6)):
        k, s, d = ([rng.randint(1, high) for _ in range(2)] for high in (5, 2, 3))
        layers.append(em.Conv(tuple(k), stride=tuple(s), dilation=tuple(d), weights=PLAIN,
                              padding=rng.choice(["valid", "same", 1])))
        for a in range(2):
            variance[a] += Fraction((jump[a] * d[a])**2 * (k[a]**2 - 1), 12)
            jump[a] *= s[a]
    erf = em.predict(em.serial(*layers))
    assert_close(erf.std**2, [float(v) for v in variance], ROUNDING)
    assert_close(erf.centroid, erf.center, ROUNDING)
    assert_close(erf.map.sum(), 1.0, ROUNDING)


FIFTEEN = {  # the paper's comparison: 15 layers, three of them strided or dilated
    "plain": ([em.Conv(3, weights=PLAIN)] * 15, Fraction(10), 31, 3.162),
    "dilated": ([em.Conv(3, weights=PLAIN, dilation={4: 2, 8: 4, 12: 8}.get(i, 1)) for i in range(1, 16)],
                Fraction(64), 53, 8.0),
    "strided": ([em.Conv(3, weights=PLAIN, stride=2 if i in (4, 8, 12) else 1) for i in range(1, 16)],
                Fraction(184), 105, 13.56),
}


@pytest.mark.parametrize("name", FIFTEEN)
def test_fifteen_layers(name: str) -> None:
    layers, variance, side, published = FIFTEEN[name]
    erf = em.predict(em.serial(*layers))
    assert_close(erf.std, [math.sqrt(variance)] * 2, ROUNDING)
    assert erf.trf.size == (side, side) and abs(erf.std[0] - published) < 0.005


def test_amplitudes_of_the_fifteen_layers() -> None:
    """4.55 % sizes over that of the plain chain, as in the paper's subsampling panel."""
    sizes = {name: em.predict(em.serial(*row[0])).size() for name, row in FIFTEEN.items()}
    assert round(sizes["strided"] / sizes["plain"], 2) == 4.16
    assert round(sizes["dilated"] / sizes["plain"], 1) == 2.2


ALL_ONES = {5: 8.31, 10: 11.7, 20: 16.16, 40: 22.74, 100: 36.12, 200: 50.92}
AMPLITUDE = {5: 10.44, 10: 15.52, 20: 22.74, 40: 31.95, 100: 50.84, 200: 71.95}


@pytest.mark.parametrize("weights, sizes, widths", [
    (ONES, ALL_ONES, {10: .557, 20: .394, 40: .281}),
    (PLAIN, AMPLITUDE, {10: .739, 20: .555, 40: .394})])
def test_sizes_of_the_papers_chains(weights: Any, sizes: dict[int, float], widths: dict[int, float]
                                    ) -> None:
    """Threshold sizes of Fig. 2, and as a fraction of the side in Fig. 1."""
    for n, size in sizes.items():
        assert round(em.predict(chain(n, weights)).size(), 2) == size
    for n, width in widths.items():
        assert round(em.predict(chain(n, weights)).ratio(), 3) == width


@pytest.mark.parametrize("weights, slopes", [(ONES, (.4964, -.4896)), (PLAIN, (.5078, -.4782))])
def test_slopes_of_the_papers_second_figure(weights: Any, slopes: tuple[float, float]) -> None:
    """Log-log slopes of size and ratio over every depth from 5 to 200."""
    depths = np.arange(5, 201)
    sizes = np.array([em.predict(chain(n, weights)).size() for n in depths])
    for values, slope in zip((sizes, sizes / (2 * depths + 1)), slopes):
        assert round(float(np.polyfit(np.log(depths), np.log(values), 1)[0]), 4) == slope


# ---------------------------------------------------------------------------------------------
# which way round
# ---------------------------------------------------------------------------------------------

def correlate(x: Array, w: Array, s: int, d: int, p: int, out: int) -> Array:
    """out[x] = sum_a w[a] in[s x + d a - p], zeros outside: a framework's convolution."""
    padded = np.concatenate([np.zeros(p), x, np.zeros(s * out + d * len(w))])
    return np.array([sum(w[a] * padded[s * i + d * a] for a in range(len(w))) for i in range(out)])


@pytest.mark.parametrize("taps", [[1, 2, 3], [3, 2, 1], [1, 5], [2, 0, 0, 7]])
@pytest.mark.parametrize("s, d, p", [(1, 1, 0), (2, 1, 1), (1, 2, 2)])
def test_asymmetric_kernels_come_out_the_right_way_round(taps: list[int], s: int, d: int, p: int) -> None:
    net = em.serial(em.Conv((len(taps),), stride=s, dilation=d, padding=p, weights=em.Fixed(taps)),
                    em.Conv((3,), padding=1, weights=em.Fixed([1, 0, 4])))
    n = 14
    out, = net.shapes((n,))[net.output]
    for unit in (0, out // 2):
        bumped = [correlate(correlate(pixel, taps, s, d, p, out), [1, 0, 4], 1, 1, 1, out)[unit]
                  for pixel in np.eye(n)]
        assert_close(em.predict(net, image=(n,), unit=unit).map, bumped, ROUNDING)


def test_asymmetric_laws_on_the_plane() -> None:
    taps = em.Random(gain=1, profile=[1, 2, 3])
    one = em.predict(em.serial(em.Conv(3, weights=taps)), ndim=1)
    assert_close(one.map * 6, [1, 2, 3], ROUNDING)
    two = em.predict(em.serial(em.Conv(3, weights=taps, stride=2), em.Conv(3, weights=taps)), ndim=1)
    assert_close(two.map * 36, [1, 2, 3 + 2, 4, 6 + 3, 6, 9], ROUNDING)
    up = em.predict(em.serial(em.ConvTranspose(3, padding=1, weights=taps)), ndim=1)
    assert_close(up.map * 6, [3, 2, 1], ROUNDING)
    assert_close(up.centroid, [-1 / 3], ROUNDING)


def mirrored(net: em.Network) -> em.Network:
    """The network that sees a mirrored image as this one sees the image."""
    parts: list[Any] = []
    for layer in (node.layer for node in net.nodes):
        array = layer.weights.array if isinstance(layer.weights, em.Fixed) else layer.weights.profile
        turned = np.flip(array, -1)
        weights = em.Fixed(turned) if isinstance(layer.weights, em.Fixed) else em.Random(profile=turned)
        pads = (*layer.padding[:-1], layer.padding[-1][::-1])
        parts.append(em.Conv(layer.kernel_size, padding=pads, weights=weights))
    return em.serial(*parts)


def test_mirror_symmetry() -> None:
    rng = np.random.default_rng(4)
    net = em.serial(*[em.Conv((2, 3), padding=((1, 0), (2, 1)), weights=kind(rng.random((2, 3))))
                      for kind in (em.Fixed, lambda w: em.Random(profile=w)) * 2])
    left, right = (em.predict(part, image=(6, 7), unit=(1, u)).map
                   for part, u in ((net, 2), (mirrored(net), net.shapes((6, 7))[net.output][1] - 3)))
    assert_close(np.flip(right, 1), left, ROUNDING)
    assert not np.array_equal(np.flip(left, 1), left)


def test_transpose_symmetry() -> None:
    rng = np.random.default_rng(4)
    filters = [rng.random((2, 3)) for _ in range(2)]

    def net(turn: Any) -> em.Network:
        return em.serial(em.Conv(turn(filters[0]).shape, stride=(1, 2)[::1 if turn is np.asarray else -1],
                                 padding=0, weights=em.Fixed(turn(filters[0]))), em.AvgPool(2, 1),
                         em.Conv(turn(filters[1]).shape, padding=0, weights=em.Random(profile=turn(filters[1]))))

    one = em.predict(net(np.asarray), image=(8, 11), unit=(1, 0)).map
    assert_close(em.predict(net(np.transpose), image=(11, 8), unit=(0, 1)).map.T, one, ROUNDING)


# ---------------------------------------------------------------------------------------------
# what units see of a pixel
# ---------------------------------------------------------------------------------------------

def test_projective_field_is_the_field_of_the_transposed_network() -> None:
    """E[g^2] from unit u to pixel z, for every pair: row by row and, transposed, column by column."""
    profile = [1, 2, 4]
    geometry = [{"kernel_size": 3, "stride": 2, "padding": (1, 0)}, {"kernel_size": 3, "padding": (0, 2)},
                {"kernel_size": 3, "stride": 2, "padding": 1}]
    n = 15
    weights = em.Random(gain=1, profile=profile)
    net = em.serial(*[em.Conv(**g, weights=weights) for g in geometry])
    sizes = [n, *(shape[0] for shape in net.shapes(n, ndim=1).values())]
    turned = []
    for g, below, above in zip(reversed(geometry), sizes[-2::-1], sizes[:0:-1]):
        s, before = g.get("stride", 1), g["padding"] if isinstance(g["padding"], int) else g["padding"][0]
        after = (above - 1) * s + 3 - before - below  # sites that no window covers stay without
        turned.append(em.ConvTranspose(3, stride=s, padding=(before, after),
                                       weights=em.Random(gain=1 / s, profile=profile)))
    back = em.serial(*turned)
    rows = np.array([em.predict(net, image=n, unit=u, ndim=1).map for u in range(sizes[-1])])
    columns = np.array([em.predict(back, image=sizes[-1], unit=z, ndim=1).map for z in range(n)])
    assert_close(columns, rows.T, ROUNDING)
    assert_close(columns.sum(axis=1), rows.sum(axis=0), ROUNDING)
    trf = em.receptive_field(net, ndim=1)
    for z in range(n):
        first, last = trf.units(z)
        assert set(np.flatnonzero(rows[:, z])) <= set(range(first[0], last[0] + 1))


def test_sums_over_units_are_masses() -> None:
    """Symmetric kernels at stride 1: all units give a pixel what the unit there gives all pixels."""
    maps = [em.predict(chain(4), image=9, unit=u, ndim=1).map for u in range(9)]
    assert_close(np.sum(maps, axis=0), [m.sum() for m in maps], ROUNDING)
    assert_close(maps, np.transpose(maps), ROUNDING)


# ---------------------------------------------------------------------------------------------
# long chains, other ways in
# ---------------------------------------------------------------------------------------------

def test_ten_thousand_layers_never_build_the_square(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "MEMORY_LIMIT", 10**7)
    erf = em.predict(chain(10_000))
    assert_close(erf.std, [math.sqrt(10_000 * 2 / 3)] * 2, ROUNDING)
    assert erf.trf.size == (20_001, 20_001) == erf.shape
    assert_close(erf.profile(0).sum(), 1.0, ROUNDING)
    near = erf.crop((-2, -1), (2, 1))
    assert_close(near, np.outer(erf.profile(0)[9_998:10_003], erf.profile(1)[9_999:10_002]), ROUNDING)
    assert_close(erf.cut(0)[10_000], erf.crop(0, 0).item(), ROUNDING)
    # A Gaussian amplitude of standard deviation s: pi r^2 pixels, r^2 = 2 s^2 log(1 / level).
    wide = 2 * math.pi * math.log(1 / (1 - 0.9545)) * 2 * erf.std[0]**2
    assert abs(erf.size() / math.sqrt(wide) - 1) < 1e-3
    with pytest.raises(SizeError, match=f"{8 * 20_001**2} bytes"):
        erf.map
    with pytest.raises(SizeError, match="crop"):
        erf.share


def test_gains_beyond_floats_leave_the_share() -> None:
    erf = em.predict(chain(2_000, em.Random(gain=2)), ndim=1)
    with pytest.raises(OverflowError, match="share"):
        erf.map
    assert_close(erf.share.sum(), 1.0, ROUNDING)
    assert_close(erf.std, [math.sqrt(2_000 * 2 / 3)], ROUNDING)


def test_total_power_multiplies_by_the_gains() -> None:
    net = em.serial(em.Conv(3, weights=em.Random(gain=3)), em.Scale(0.5), em.Conv(5, weights=em.Random(gain=7)))
    assert_close(em.predict(net).map.sum(), 3 * 7 / 4, ROUNDING)
    fan_out = em.serial(em.Conv(3, 8, weights=em.Random(gain=1, fan="out")))
    assert_close(em.predict(fan_out, channels_in=2).map.sum(), 2 / 8, ROUNDING)


def test_normal_method_is_the_gaussian_of_the_moments() -> None:
    net = em.serial(em.Conv(3, weights=PLAIN), em.Conv(5, stride=2, weights=PLAIN), em.Conv(3, weights=PLAIN))
    erf = em.predict(net, method="normal", unit=3, ndim=1)
    exact = em.predict(net, unit=3, ndim=1)
    sites = np.arange(erf.shape[0]) + erf.origin[0] - exact.centroid[0]
    var = float(exact.covariance[0, 0])
    assert erf.method == "normal" and erf.origin == exact.origin
    assert_close(erf.profile(), np.exp(-sites**2 / (2 * var)) / math.sqrt(2 * math.pi * var), ROUNDING)
    with pytest.raises(ValueError, match="chains of convolutions"):
        em.predict(net, method="normal", image=20)


def test_default_unit_and_inner_nodes() -> None:
    net = em.serial(em.Conv(3, stride=2, weights=PLAIN), em.Conv(3, weights=PLAIN, name="inner"),
                    em.MaxPool(2))
    erf = em.predict(net, image=(16, 10), node="inner")
    assert (erf.unit, erf.node, erf.shape) == ((4, 2), "inner", (16, 10))
    assert_close(erf.map, em.predict(em.serial(*[n.layer for n in net.nodes][:2]), image=(16, 10)).map, EXACT)
    assert em.predict(net, node="inner", ndim=3).unit == (0, 0, 0)
    assert em.predict(net, image=(16, 10)).assumptions and not erf.assumptions


def test_statistic_is_mean_only_where_every_weight_is_given() -> None:
    given = em.serial(em.Conv((3,), weights=em.Fixed([1, -2, 1])), em.AvgPool(2))
    assert em.predict(given).statistic == "mean"
    assert_close(em.predict(given).map * 2, [1, -1, -1, 1], ROUNDING)
    # Power of a deterministic net: the squares, for one unit gradient of total power 1.
    assert_close(em.predict(given, statistic="power").map * 4, [1, 1, 1, 1], ROUNDING)
    mixed = em.serial(given, em.Conv(3))
    assert em.predict(mixed).statistic == "power"
    with pytest.raises(ValueError, match="conv2 has zero-mean random weights"):
        em.predict(mixed, statistic="mean")
    with pytest.raises(NotImplementedError, match="max_pool1"):
        em.predict(em.serial(given, em.MaxPool(2)), statistic="mean")
    # What does not lead to the node does not matter.
    assert em.predict(mixed, node="avg_pool1", statistic="mean").statistic == "mean"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "method": ({"method": "magic"}, "method='magic'"),
    "statistic": ({"statistic": "median"}, "statistic='median'"),
    "unit outside": ({"image": 8, "unit": 8}, r"unit=\(8, 8\): outside the node's map of shape \(8, 8\)"),
    "unit of other dimension": ({"unit": (1, 2, 3)}, "unit="),
    "node": ({"node": "conv9"}, "node='conv9': no node of this network; did you mean"),
    "image": ({"image": 0}, "image=0"),
    "width": ({"width": 0}, "width=0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_arguments(name: str) -> None:
    options, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        em.predict(chain(2), **options)


def test_global_pooling_needs_an_image() -> None:
    net = em.serial(em.Conv(3, weights=PLAIN), em.GlobalAvgPool())
    with pytest.raises(ValueError, match="give image="):
        em.predict(net)
    # 1/n on each of n sites, spread by the taps and cut at the border: two of three there.
    assert_close(em.predict(net, image=5, ndim=1).map * 75, [2, 3, 3, 3, 2], ROUNDING)


def test_maps_that_would_not_fit_are_refused_before_they_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "MEMORY_LIMIT", 10**4)
    net = em.residual(chain(20))
    with pytest.raises(SizeError, match=f"{8 * 41**2} bytes"):
        em.predict(net, width=3)
    with pytest.raises(SizeError, match=f"{8 * 50**2} bytes"):
        em.predict(net, width=3, image=50)


def test_units_in_the_gaps_of_a_transposed_convolution_see_nothing() -> None:
    net = em.serial(em.AvgPool(2, 1), em.ConvTranspose(1, stride=2, weights=PLAIN))
    assert em.predict(net, unit=1, ndim=1).map.shape == (0,)
    assert not em.predict(net, unit=(2, 1), image=(5, 6)).map.any()
    assert_close(em.predict(net, unit=2, ndim=1).share, [.5, .5], ROUNDING)


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "unet"])
def test_corner_and_centre_of_known_networks(name: str) -> None:
    """Real networks on an image: mirrored units see mirrored maps where the geometry allows it."""
    net = getattr(em.zoo, name)()
    for unit in itertools.product((0, 1), repeat=2):
        erf = em.predict(net, image=64, unit=unit)
        assert erf.shape == (64, 64) and erf.map.min() >= 0 and np.isfinite(erf.map).all()
        turned = em.predict(net, image=64, unit=unit[::-1])
        assert_close(turned.map.T, erf.map, ROUNDING)


def test_what_is_remembered_of_a_network_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan and gates are found once per network and image; each unit, input and image gets its own answer."""
    build = functools.partial(em.zoo.preact_resnet, 20, width=16)
    ask: list[dict[str, Any]] = [{}, {"unit": 0}, {"image": 24}, {"input_moments": (1, .5)}, {"unit": 0}, {"width": 4},
                                 {"node": "batch_norm3"}, {"input_covariance": np.ones((1, 1))}, {}]
    fresh = [em.predict(build(), **{"image": 32, **one}).map for one in ask]
    net, sweeps = build(), []
    sweep = power.needed
    monkeypatch.setattr(power, "needed", lambda *args: sweeps.append(1) or sweep(*args))
    for one, wanted in zip(ask, fresh):
        assert_close(em.predict(net, **{"image": 32, **one}).map, wanted, EXACT)
    assert len(sweeps) == 6  # of nine calls three are units of what is known


@pytest.mark.parametrize("stride, dilation", [(1, 2), (2, 2), (2, 3), (3, 2)])
def test_dilated_transposed_filters_reach_the_sites_of_the_measurement(stride: int, dilation: int) -> None:
    """Deterministic taps of different weights, unit by unit: the two halves have index arithmetic of their own."""
    taps = em.Fixed(np.array([1.0, 2.0, 4.0]))
    net = em.serial(em.AvgPool(3, 1, 1), em.ConvTranspose((3,), stride=stride, dilation=dilation, padding=1,
                                                          groups="depthwise", weights=taps))
    for unit in range(*((net.shapes((6,))[net.output][0],))):
        options = {"image": (6,), "unit": unit, "channels_in": 2}
        assert_close(em.predict(net, **options).map, em.measure(net, **options).map, ROUNDING, scale=1.0)


@pytest.mark.parametrize("channels, named", [(3, ["global_avg_pool1"]), (64, [])])
def test_means_over_maps_of_few_channels_are_named(channels: int, named: list[str]) -> None:
    """Of three such layers sampled totals are 1.18(5) of predicted ones with 3 channels, 1.03(3) with 64."""
    net = em.serial(em.Conv(3, 64), em.BatchNorm(), em.Activation("relu"), em.GlobalAvgPool(), em.Conv(1, 10))
    erf = em.predict(net, image=8, channels_in=channels, width=64)
    assert [node for a in erf.assumptions if a.name == "FEW_INPUTS" for node in a.nodes] == named
    alone = em.predict(em.serial(em.Conv(3, 64), em.GlobalAvgPool()), image=8, channels_in=3, width=64)
    assert "FEW_INPUTS" not in [a.name for a in alone.assumptions]


def test_random_scales_before_curved_functions_are_named() -> None:
    def named(function: str, scale_var: float) -> list[str]:
        net = em.serial(em.Conv(3), em.BatchNorm(scale_var=scale_var), em.Activation(function), em.Conv(3))
        return [node for a in em.predict(net, image=8).assumptions if a.name == "RANDOM_SCALES" for node in a.nodes]

    assert named("tanh", 0.5) == ["batch_norm1"]
    assert named("relu", 0.5) == named("tanh", 0.0) == []
