"""Products in the theory: by hand where all is linear, against quadrature and sampling elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import REWRITE, ROUNDING, Tolerance, assert_close

import erfmath as em
from erfmath.results.assumptions import Assumption

G1 = em.Random(gain=1)
R = em.Activation("relu")
S = em.Activation("sigmoid")
Array = Any
#: 1 whatever comes in.
ONE = em.serial(em.Scale(0.0), S, em.Scale(2.0))


def conv(k: int, c: int = 8, **options: Any) -> em.Conv:
    return em.Conv((k,), c, weights=G1, **options)


# ---------------------------------------------------------------------------------------------
# by hand
# ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("place", [{}, {"image": 9, "unit": (0, 4)}])
@pytest.mark.parametrize("factors", [(em.Identity(), ONE), (ONE, em.Identity(), ONE)], ids=len)
def test_a_constant_factor_of_one(factors: tuple[Any, ...], place: dict[str, Any]) -> None:
    first, rest = em.Conv(3, 8), [R, em.Conv(3, 8), R, em.Conv(3, 4)]
    got = em.predict(em.serial(first, em.multiply(*factors), *rest), **place)
    assert_close(got.map, em.predict(em.serial(first, *rest), **place).map, REWRITE)


def moments(k: int, n: int) -> Array:
    """Second moment after a convolution of gain 1 over white pixels, for each site."""
    return np.array([sum(0 <= x + a - k // 2 < n for a in range(k)) / k for x in range(n)])


@pytest.mark.parametrize("unit", [0, 1, 4])
def test_two_convolutions(unit: int) -> None:
    """Each branch gets the other's second moment at every site that the layer above reads."""
    n, wanted = 9, np.zeros(9)
    for x in range(max(unit - 1, 0), min(unit + 2, n)):
        for k, other in ((5, 3), (3, 5)):
            for z in range(max(x - k // 2, 0), min(x + k // 2 + 1, n)):
                wanted[z] += moments(other, n)[x] / k / 3
    net = em.serial(em.multiply(conv(3), conv(5)), conv(3, 4))
    assert_close(em.predict(net, image=(n,), unit=(unit,)).map, wanted, ROUNDING)


def test_a_factor_of_one_site() -> None:
    """v = a g, g of second moment 1 / n: the unit's pixel gets that, and all pixels what the gate hands to them."""
    n = 12
    net = em.multiply(conv(1), em.serial(em.GlobalAvgPool(), conv(1)))
    erf = em.predict(net, image=(n,), unit=(3,))
    assert_close(erf.map, np.where(np.arange(n) == 3, 1 / n, 0.0) + 1 / n**2, ROUNDING)
    assert Assumption.INDEPENDENT_FACTORS in erf.assumptions


def test_a_factor_of_one_channel() -> None:
    """All channels' gradients come to the one, each times its own value."""
    net = em.serial(em.multiply(conv(3), conv(5, 1)), conv(1, 4))
    same = em.serial(em.multiply(conv(3), conv(5)), conv(1, 4))
    assert_close(em.predict(net).map, em.predict(same).map, ROUNDING)


@pytest.mark.parametrize("merge", [em.add, em.concat])
def test_one_site_serves_a_map(merge: Callable[..., em.Network]) -> None:
    """As an average over the map, brought back to its size."""
    n = 8
    one, many = em.GlobalAvgPool(), em.serial(em.GlobalAvgPool(), em.Upsample(n))
    nets = [em.serial(conv(3), R, merge(conv(3), em.serial(pool, conv(1))), R, conv(3)) for pool in (one, many)]
    for unit in ((0,), (4,)):
        assert_close(*(em.predict(net, image=(n,), unit=unit).map for net in nets), REWRITE)


def test_the_sum_of_a_map_and_its_mean() -> None:
    """x + mean(x) without a random layer between is one filter: gradients add before they are squared."""
    n = 6
    erf = em.predict(em.serial(conv(1), em.add(em.Identity(), em.GlobalAvgPool())), image=(n,), unit=(2,))
    assert_close(erf.map, (np.where(np.arange(n) == 2, 1.0, 0.0) + 1 / n)**2, ROUNDING)


@pytest.mark.parametrize("factors", [(em.MaxPool(3, 1, 1), S),
                                     (em.Identity(), em.GlobalAvgPool())], ids=str)
def test_dependent_factors_are_refused(factors: tuple[Any, ...]) -> None:
    with pytest.raises(NotImplementedError, match=r"gate \(multiply\): factors that depend|come to the same channels"):
        em.predict(em.serial(em.Conv(3, 8), em.multiply(*factors, name="gate"), em.Conv(3, 8)), image=8)


def test_a_product_of_functions_of_the_same_channels_is_one() -> None:
    gate = em.multiply(em.Slice(0, 4), em.serial(em.Slice(0, 4), S))
    one, other = (em.predict(em.serial(em.Conv(3, 8), *part, em.Conv(3, 8)), image=8) for part in (
        (gate,), (em.Slice(0, 4), em.Activation("silu"))))
    assert_close(one.map, other.map, REWRITE)


def test_a_factor_that_is_part_of_a_function_says_nothing_of_norms() -> None:
    """x sigmoid(x) is silu, though the sigmoid alone would have a mean."""
    one, other = (em.predict(em.serial(gate, em.Conv(3, 4), em.BatchNorm()), image=13, unit=0, ndim=1) for gate in (
        em.Activation("silu"), em.multiply(em.Identity(), em.Activation("sigmoid"))))
    assert_close(one.map, other.map, REWRITE)


def test_halves_of_one_layer_are_independent() -> None:
    """As two layers of half the channels."""
    halves = em.serial(conv(3, 8), em.multiply(em.Slice(0, 4), em.serial(em.Slice(4, 8), S)))
    layers = em.multiply(conv(3, 4), em.serial(conv(3, 4), S))
    for place in ({}, {"image": (9,), "unit": (8,)}):
        nets = [em.serial(conv(3), R, net, R, conv(3)) for net in (halves, layers)]
        assert_close(*(em.predict(net, **place).map for net in nets), REWRITE)  # type: ignore[arg-type]


def test_a_value_and_its_product_with_another() -> None:
    """x + x b = x (1 + b), for a stream and after it a gate; b is the sigmoid of another layer, of mean 1/2."""
    gated = em.multiply(em.Identity(), em.serial(conv(1), S))
    x = em.predict(em.serial(conv(3), em.add(em.Identity(), gated), conv(1)))
    alone = em.predict(em.serial(conv(3), gated, conv(1)))
    # Both add 2 E[b] times the path through x to the power, of total 1.
    assert_close(np.array(x.total), np.array(alone.total + 2.0), REWRITE)
    with pytest.raises(NotImplementedError, match="a product added to what its factors are made of"):
        em.predict(em.serial(conv(3), em.add(em.AvgPool((3,), 1, 1), em.multiply(em.Identity(), conv(1))), R))


# ---------------------------------------------------------------------------------------------
# softmax and response norms
# ---------------------------------------------------------------------------------------------

def test_softmax_over_two_parts_is_a_sigmoid_of_their_difference() -> None:
    """Logits of variance q: shares as of a sigmoid of variance 2 q, whose gradient both logits get."""
    soft = em.serial(conv(1), em.Softmax(2), em.Conv((1,), 4, weights=G1))
    sigmoid = em.serial(em.Conv((1,), 8, weights=em.Random(gain=2)), S, em.Conv((1,), 4, weights=G1))
    # E[s'^2] 2 against E[s'^2] times the gain of 2.
    assert_close(np.array(em.predict(soft).total), np.array(em.predict(sigmoid).total), ROUNDING)


@pytest.mark.parametrize("parts", [1, 3, 4])
def test_softmax_of_small_logits(parts: int) -> None:
    """g = 1 / r + (z - mean z) / r: E[g^2] = 1 / r^2, power (1 - 1 / r) / r^2."""
    small = em.Conv((1,), 12, weights=em.Random(gain=1e-6))
    rows = em.signals(em.serial(small, em.Softmax(parts), conv(1, 4)))
    assert_close(np.array(rows["softmax1"].second), np.array(parts**-2), Tolerance(1e-5, 0.0))
    assert_close(np.array(rows["softmax1"].passing), np.array((1 - 1 / parts) / parts**2 / parts**0),
                 Tolerance(1e-5, 1e-12))


# ---------------------------------------------------------------------------------------------
# networks that people build, against sampling
# ---------------------------------------------------------------------------------------------

#: What is asked of std and of totals, and how many standard errors come on top.
STD, TOTAL, ERRORS = 0.02, 0.05, 4


def act(name: str) -> em.Activation:
    return em.Activation(name)


def normed(k: int, c: int, f: str = "relu", **options: Any) -> em.Network:
    return em.serial(em.Conv(k, c, **options), em.BatchNorm(), act(f))


def excite(c: int, f: str = "sigmoid") -> em.Network:
    return em.multiply(em.Identity(), em.serial(em.GlobalAvgPool(), em.Conv(1, c // 4), R, em.Conv(1, c), act(f)))


def se_block(c: int = 64) -> em.Network:
    return em.serial(em.residual(em.serial(normed(3, c), em.Conv(3, c), em.BatchNorm(), excite(c))), R)


def shuffle_unit(c: int = 64) -> em.Network:
    deep = em.serial(normed(1, c // 2), em.Conv(3, c // 2, groups="depthwise"), em.BatchNorm(), normed(1, c // 2))
    return em.serial(em.split([c // 2, c // 2], em.Identity(), deep), em.Shuffle(2))


def grouped_unit(c: int = 64) -> em.Network:
    return em.serial(em.residual(em.serial(
        normed(1, c, groups=4), em.Shuffle(4), em.Conv(3, c, groups="depthwise"), em.BatchNorm(),
        em.Conv(1, c, groups=4), em.BatchNorm())), R)


def partial_block(c: int = 64) -> em.Network:
    deep = em.residual(em.serial(normed(1, c // 2), normed(3, c // 2)))
    return em.serial(normed(1, c), em.split([c // 2, c // 2], em.Identity(), deep), normed(1, c))


def res2_block(c: int = 64, scales: int = 4) -> em.Network:
    b, w = em.NetworkBuilder(), c // scales
    x = b(normed(1, c), b.input)
    parts = [b(em.Slice(i * w, (i + 1) * w), x) for i in range(scales)]
    for i in range(1, scales):
        parts[i] = b(normed(3, w), parts[i] if i == 1 else b.add(parts[i], parts[i - 1]))
    y = b(em.serial(em.Conv(1, c), em.BatchNorm()), b.concat(*parts))
    return b.build(b(R, b.add(y, b.input)))


def wavenet(c: int = 64) -> em.Network:
    b, skips = em.NetworkBuilder(), []
    x = b(em.Conv((2,), c, weights=G1, padding=(1, 0)), b.input)
    for d in (1, 2, 4, 8):
        wide = em.Conv((2,), c, dilation=d, padding=(d, 0), weights=G1)
        z = b.multiply(b(em.serial(wide, act("tanh")), x), b(em.serial(wide, S), x))
        skips.append(b(conv(1, c), z))
        x = b.add(x, b(conv(1, c), z))
    return b.build(b(em.serial(R, em.Conv((1,), c), R, em.Conv((1,), c)), b.add(*skips)))


def naf_block(c: int = 64) -> em.Network:
    one, simple = em.Conv(1, 2 * c, weights=G1), em.multiply(em.Slice(0, c), em.Slice(c, 2 * c))
    attention = em.multiply(em.Identity(), em.serial(em.GlobalAvgPool(), em.Conv(1, c, weights=G1)))
    return em.serial(
        em.residual(em.serial(em.LayerNorm(), one, em.Conv(3, 2 * c, groups="depthwise", weights=G1), simple, attention,
                              em.Conv(1, c, weights=G1))),
        em.residual(em.serial(em.LayerNorm(), one, simple, em.Conv(1, c, weights=G1))))


def glu_block(c: int = 64) -> em.Network:
    halves = em.multiply(em.Slice(0, c), em.serial(em.Slice(c, 2 * c), S))
    return em.residual(em.serial(em.Conv(3, 2 * c, weights=G1), halves))


def star_block(c: int = 64) -> em.Network:
    wide = em.Conv(7, c, groups="depthwise")
    product = em.multiply(em.serial(em.Conv(1, 3 * c), act("relu6")), em.Conv(1, 3 * c))
    return em.residual(em.serial(wide, em.BatchNorm(), product, em.Conv(1, c), em.BatchNorm(), wide))


def selective_block(c: int = 64) -> em.Network:
    b = em.NetworkBuilder()
    u, v = b(normed(3, c), b.input), b(normed(3, c, dilation=2), b.input)
    g = b(em.serial(em.GlobalAvgPool(), em.Conv(1, c // 2), R, em.Conv(1, 2 * c), em.Softmax(2)), b.add(u, v))
    y = b.add(b.multiply(u, b(em.Slice(0, c), g)), b.multiply(v, b(em.Slice(c, 2 * c), g)))
    return b.build(b(R, b.add(b(em.serial(em.Conv(1, c), em.BatchNorm()), y), b.input)))


def spatial_block(c: int = 64) -> em.Network:
    gate = em.multiply(em.Identity(), em.serial(em.Conv(7, 1), S))
    return em.serial(em.residual(em.serial(normed(3, c), em.Conv(3, c), em.BatchNorm(), gate)), R)


def mobile_block(c: int = 64) -> em.Network:
    return em.residual(em.serial(
        normed(1, 2 * c, "hardswish"), em.Conv(5, 2 * c, groups="depthwise"), em.BatchNorm(), act("hardswish"),
        excite(2 * c, "hardsigmoid"), em.Conv(1, c), em.BatchNorm()))


def convnext_block(c: int = 64) -> em.Network:
    return em.residual(em.serial(em.Conv(7, c, groups="depthwise"), em.LayerNorm(), em.Conv(1, 4 * c), act("gelu"),
                                 em.GRN(gamma=0.7, beta=0.2), em.Conv(1, c)))


STEM, LINEAR = normed(3, 64), em.Conv(3, 64, weights=G1)
NETWORKS: dict[str, tuple[em.Network, int | tuple[int]]] = {
    "squeeze and excite": (em.serial(STEM, se_block(), em.AvgPool(2), se_block(), se_block()), 24),
    "shufflenet v2": (em.serial(STEM, em.repeat(shuffle_unit(), 4)), 20),
    "shufflenet v1": (em.serial(STEM, em.repeat(grouped_unit(), 3)), 20),
    "cross-stage partial": (em.serial(STEM, em.repeat(partial_block(), 2)), 20),
    "res2net": (em.serial(STEM, em.repeat(res2_block(), 2)), 20),
    "gated wavenet": (wavenet(), (40,)),
    "nafnet": (em.serial(LINEAR, em.repeat(naf_block(), 2)), 16),
    "gated linear units": (em.serial(LINEAR, em.repeat(glu_block(), 3)), 20),
    "star net": (em.serial(STEM, em.repeat(star_block(), 2)), 24),
    "selective kernels": (em.serial(STEM, em.repeat(selective_block(), 2)), 20),
    "spatial gates": (em.serial(STEM, em.repeat(spatial_block(), 2)), 20),
    "mobilenet v3": (em.serial(STEM, em.repeat(mobile_block(), 2)), 20),
    "convnext v2": (em.serial(em.Conv(3, 64), em.LayerNorm(), em.repeat(convnext_block(), 2)), 20),
    "space to depth": (em.serial(em.PixelUnshuffle(4), STEM, se_block()), 32),
    "sub-pixel": (em.serial(em.Conv(5, 64), act("tanh"), em.Conv(3, 64), em.PixelShuffle(2), R, em.Conv(3, 16)), 16),
    "global context": (em.serial(STEM, em.residual(em.serial(em.GlobalAvgPool(), em.Conv(1, 16), em.LayerNorm(), R,
                                                             em.Conv(1, 64))), normed(3, 64)), 20),
    "image pooling": (em.serial(STEM, em.concat(normed(1, 32), normed(3, 32, dilation=3), em.serial(
        em.GlobalAvgPool(), em.Conv(1, 32), R)), normed(3, 64)), 20),
}


@pytest.mark.slow
@pytest.mark.parametrize("corner", [False, True], ids=["middle", "corner"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_width_64(name: str, corner: bool) -> None:
    net, image = NETWORKS[name]
    unit = (0,) * (len(image) if isinstance(image, tuple) else 2) if corner else None
    if name == "gated wavenet" and corner:
        unit = (12,)  # a causal unit in the corner sees one sample
    about: dict[str, Any] = {"image": image, "unit": unit, "width": 64, "channels_in": 64}
    found = em.compare(em.predict(net, **about), em.measure(net, draws=60, rng=7, **about))
    for ratio in found.std_ratio:
        assert abs(ratio.value - 1) < STD + ERRORS * ratio.stderr
    assert abs(found.total_ratio.value - 1) < TOTAL + ERRORS * found.total_ratio.stderr


def test_parts_of_a_gated_concatenation() -> None:
    """A gate on two parts of different fields, cut apart after it, is a gate on each."""
    def run(gated_whole: bool) -> Any:
        b = em.NetworkBuilder()
        x = b(R, b(conv(3, 16), b.input))
        parts = [b(conv(k), b(em.Slice(i, i + 8), x)) for k, i in ((3, 0), (5, 8))]
        s = b(em.Activation("silu"), b(em.BatchNorm(), b.concat(*parts)))
        gate = b(S, b(em.Conv((1,), 16), b(em.GlobalAvgPool(), s)))
        whole = b.multiply(s, gate) if gated_whole else None
        ends = [b(em.Conv((1,), 8), b(em.Slice(i, i + 8), whole) if whole else b.multiply(
            b(em.Slice(i, i + 8), s), b(em.Slice(i, i + 8), gate))) for i in (0, 8)]
        return em.predict(b.build(b(conv(3), b.concat(*ends))), image=12)
    assert_close(run(True).map, run(False).map, REWRITE)


def test_a_batch_norm_takes_out_what_squeeze_and_excite_has_put_in() -> None:
    """Scales of whole channels end in it; by another way than through the values little comes (sampled .789(4))."""
    squeeze = em.serial(em.GlobalAvgPool(), em.Conv(1, 16), em.Activation("relu"), em.Conv(1, 64),
                        em.Activation("sigmoid"))
    totals = [em.predict(em.serial(em.Conv(3, 64), em.Activation("relu"), *middle, em.BatchNorm(), em.Conv(3, 64),
                                   em.Activation("relu")), image=24, channels_in=64, ndim=1, source="conv1").total
              for middle in ((), (em.multiply(em.Identity(), squeeze),))]
    assert 1 < totals[1] / totals[0] < 1.1
    assert abs(totals[1] / 0.7886 - 1) < 0.03


def focal(c: int, wide: int) -> em.Network:
    """A block of focal modulation: two contexts and a pooled one, times gates that are other channels of one map."""
    b = em.NetworkBuilder()
    x = b(em.Activation("relu"), b(em.Conv(3, c), b.input))
    both = b(em.Conv(1, 2 * c + 3 * wide, weights=em.Random(1.0)), x)
    query, context = b(em.Slice(0, c), both), b(em.Slice(c, 2 * c), both)
    gates = b(em.Slice(2 * c, 2 * c + 3 * wide), both)
    parts = []
    for level in range(2):
        context = b(em.Activation("gelu"), b(em.Conv(3, groups="depthwise"), context))
        parts.append(b.multiply(context, b(em.Slice(level * wide, (level + 1) * wide), gates)))
    pooled = b(em.Activation("gelu"), b(em.GlobalAvgPool(), context))
    parts.append(b.multiply(pooled, b(em.Slice(2 * wide, 3 * wide), gates)))
    whole = b(em.Conv(1, c, weights=em.Random(1.0)), b.add(*parts))
    return b.build(b(em.Conv(1, c, weights=em.Random(1.0)), b.multiply(query, whole)))


def test_forward_of_products_that_share_a_factor() -> None:
    """Other factors of mean zero make their sum one of uncorrelated values; a gate of one channel is as one of all."""
    erf = em.predict(focal(16, 1), image=9)
    np.testing.assert_allclose(erf.map, em.predict(focal(16, 16), image=9).map, rtol=1e-12)
    b = em.NetworkBuilder()
    x = b(em.Conv(3, 16, weights=em.Random(1.0)), b.input)
    a, c = (b(em.Conv(1, 16, weights=em.Random(1.0)), x) for _ in range(2))
    shared = b(em.Activation("gelu"), b(em.Conv(1, 16, weights=em.Random(1.0)), x))
    b_sum = b.add(b.multiply(a, shared), b.multiply(c, shared))
    # a s + c s = (a + c) s: a sum of two independent values of variance 1 in the place of one
    d = b(em.Conv(1, 16, weights=em.Random(2.0)), x)
    out = [b.build(b(em.Conv(3, 16), b(em.Activation("relu"), b(em.Conv(1, 16), node))))
           for node in (b_sum, b.multiply(d, shared))]
    one, other = (em.predict(net, image=9) for net in out)
    np.testing.assert_allclose(one.map, other.map, rtol=1e-9)


@pytest.mark.slow
def test_backward_of_focal_modulation_compared_with_samples() -> None:
    """At 32 channels; totals are higher by the norms of a site's pixels, which all factors share."""
    net = focal(32, 1)
    for unit in ((4, 4), (0, 0)):
        erf, measured = (f(net, image=9, unit=unit, **more) for f, more in (
            (em.predict, {}), (em.measure, {"draws": 400, "rng": 1})))
        assert all(abs(a - b) < 4 * e + 0.02 * b for a, b, e in zip(erf.std, measured.std, measured.std_stderr))


@pytest.mark.parametrize("taps", [1, 3])
def test_two_random_maps_of_one_have_its_channels_in_common(taps: int) -> None:
    """E[mean(a b)^2] = (1/N^2) sum over sites s, t of E[K^2], K the mean of x x' over the C channels of white x.

    Its variance is 1 / C, or 2 / C where s = t; a mean over taps has other sites each.
    """
    sites, channels = 512, 16
    more = [em.Conv((taps,), groups="depthwise", weights=G1, padding_mode="circular")] if taps > 1 else []
    net = em.serial(em.multiply(em.serial(conv(1), *more), em.serial(conv(1), *more)), em.GlobalAvgPool())
    found = em.signals(net, image=sites, channels_in=channels, ndim=1)["global_avg_pool1"].second
    exact = (1 + 2 / taps / channels) / sites + (1 - 1 / sites) / taps / channels
    assert abs(found / exact - 1) < 0.01  # 1 / N alone is a tenth of it


@pytest.mark.parametrize("window", [1, 2, 6])
def test_a_gate_of_one_site_gathers_neighbours_that_a_mean_has_made_alike(window: int) -> None:
    """Pixels with E[x x'] = c: of the gate's gradient E[(sum b x)^2] / n, of the pixels' own sum b^2 E[(mean x)^2]."""
    n, c = 6, 0.4
    gate = em.multiply(em.Identity(), em.serial(em.GlobalAvgPool(), conv(1)))
    net = em.serial(gate, em.AvgPool((window,), 1), conv(1))
    erf = em.predict(net, image=(n,), channels_in=8, width=8, input_moments=(1.0, c))
    own, gathered = (1 + (n - 1) * c) / n / window, (1 + (window - 1) * c) / window / n
    assert_close(erf.total, own + gathered, REWRITE)
