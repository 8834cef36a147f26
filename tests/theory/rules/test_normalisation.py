"""Normalisations: exact truths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers import REWRITE, ROUNDING, Tolerance, assert_close, assert_rate, assert_statistical, z_bound

import erfmath as em
from erfmath.bench import survey
from erfmath.layers.normalisation import BATCH
from erfmath.networks.settings import RunSettings
from erfmath.theory.sweep.forward import forward
from erfmath.theory.sweep.inputs import InputModel
from erfmath.theory.sweep.moments import Moments
from erfmath.theory.sweep.plan import Graph, Plan

RELU = em.Activation("relu")
SAME = Tolerance(1e-9, 1e-12)


def few(count: int) -> float:
    """E[1 / variance] of so many independent normal values, times their variance."""
    return count / (count - 3)


C1 = em.Conv(1)


def test_batch_norm_divides_by_what_is_not_shared() -> None:
    """c / q = 1 / pi after ReLU: the gain is 1 / (2 q (1 - 1/pi)), not 1 / (2 q)."""
    net = em.serial(em.Conv(1), RELU, em.Conv(1), em.BatchNorm())
    after = 2.0 * 1.0                       # q of the second convolution
    expected = 2 * 0.5 * 2 / (after * (1 - 1 / math.pi))
    assert_close(em.predict(net).total, expected, ROUNDING)
    assert_close(em.predict(net, image=8).total, expected * few(64 * BATCH), ROUNDING)


def test_batch_norm_after_a_global_pool_sees_one_value_an_image() -> None:
    net = em.serial(C1, em.GlobalAvgPool(), C1, em.BatchNorm())
    plain = em.serial(C1, em.GlobalAvgPool(), C1)
    spread = 2 * 2 / 36                     # of the second convolution's values
    expected = em.predict(plain, image=6).total / spread * few(BATCH)
    assert_close(em.predict(net, image=6).total, expected, ROUNDING)


def test_frozen_batch_norm_is_the_identity() -> None:
    plain = em.serial(em.Conv(3), RELU, em.Conv(3))
    frozen = em.serial(em.Conv(3), em.BatchNorm(mode="identity"), RELU, em.Conv(3))
    assert_close(em.predict(frozen, image=12).map, em.predict(plain, image=12).map, ROUNDING)


@pytest.mark.parametrize("norm, lost", [(em.LayerNorm(), 1), (em.RMSNorm(), 0)])
def test_layer_norm_undoes_the_level_of_every_site(norm: em.Layer, lost: int) -> None:
    """After a padded convolution corner sites have 4/9 of the power: their gain is 9/4 as large.

    Of C Gaussian channels the mean of 1 / variance is C / (C - 3) of its inverse, and (C - 2) / C of the gradient is
    left; without a mean C / (C - 2) and (C - 1) / C.
    """
    net = em.serial(em.Conv(3, 16), norm)
    middle, corner = (em.predict(net, image=8, unit=u).total for u in (4, 0))
    gain = (16 - 1 - lost) / (16 - 2 - lost)
    assert_close([middle, corner], [gain, 2 * (4 / 9) / (2 * 4 / 9) * gain], ROUNDING)


@pytest.mark.parametrize("norm, channels", [(em.LayerNorm(), 3), (em.RMSNorm(), 2)])
def test_too_few_channels_are_refused_by_name(norm: em.Layer, channels: int) -> None:
    with pytest.raises(NotImplementedError, match=f"over {channels} channels the mean of 1 / variance does not exist"):
        em.predict(em.serial(em.Conv(1, channels), norm))


@pytest.mark.parametrize("norm, image", [(em.InstanceNorm(), 3), (em.InstanceNorm(), 1), (em.GroupNorm(4), 1)])
def test_statistics_of_too_few_values_are_refused_by_name(norm: em.Layer, image: int) -> None:
    net = em.serial(em.Conv(1, 8), norm, em.Conv(1, 8))
    with pytest.raises(NotImplementedError, match="norm1: over . values the mean of 1 / variance does not exist"):
        em.predict(net, image=image, ndim=1)
    assert em.predict(net, image=4, ndim=1).total > 0


@pytest.mark.parametrize("norm", [em.BatchNorm(), em.LayerNorm(), em.RMSNorm(), em.GroupNorm(2), em.InstanceNorm()])
def test_norms_divide_small_and_large_values_alike_or_refuse_them_by_name(norm: em.Layer) -> None:
    """A factor before a norm changes nothing; weights that take the values out of the range of floats are refused."""
    def predicted(factor: float, gain: float = 2.0) -> em.EffectiveReceptiveField:
        net = em.serial(em.Conv(3, 8, weights=em.Random(gain=gain)), em.Scale(factor), norm, RELU, em.Conv(3))
        return em.predict(net, image=8, ndim=1)

    expected = predicted(1.0)
    for factor in (1e-100, 1e100):
        assert_close(predicted(factor).map, expected.map, SAME)
    with pytest.raises(ValueError, match="norm1: .* too small for floats"):
        predicted(1.0, 1e-320)


def test_gradient_through_the_statistics_of_a_map() -> None:
    """One unit of n numbers: 1 - 4/n and so on stay at its site, 1/n of the power of each part goes to every site."""
    def pair(n: int) -> float:
        """E[(1 + v v')^2] of two of n numbers over their deviation."""
        return 1 + (n - 3 * (n - 1) / (n + 1) - 2) / (n - 1)

    sites, gain = 36, 2 / 2 * few(36)
    power = em.predict(em.serial(C1, em.InstanceNorm()), image=6).map / gain
    fourth = 3 * (sites - 1) / (sites + 1)
    even = np.full((6, 6), pair(sites) / sites**2)
    even[3, 3] += 1 - 4 / sites + (1 + fourth) / sites**2
    assert_close(power, even, ROUNDING)
    batch = em.predict(em.serial(C1, em.BatchNorm("batch")), image=6).map
    assert_close(batch[0, 0], pair(BATCH * sites) / (BATCH * sites)**2 * few(BATCH * sites), ROUNDING)


def test_what_is_even_ends_at_the_next_norm() -> None:
    """A gradient that is the same at all sites is what a norm takes off; its other half is not touched."""
    one = em.serial(C1, em.InstanceNorm())
    two = em.serial(C1, em.InstanceNorm(), C1, em.InstanceNorm())
    far = [em.predict(net, image=20, unit=(10, 10)).map[0, 0] for net in (one, two)]
    # Of the upper norm's half is left, and of the lower one's all.
    assert_close(far[1] / far[0], 1.5, Tolerance(0.03, 0.0))


GROUPS: dict[str, tuple[em.Layer, em.Layer]] = {
    "one channel a group": (em.GroupNorm(16), em.InstanceNorm()),
    "one channel a group, scaled": (em.GroupNorm(16, scale_var=0.2, shift_var=0.3),
                                    em.InstanceNorm(scale_var=0.2, shift_var=0.3)),
    "no scale": (em.BatchNorm(scale_var=0.0), em.BatchNorm()),
}


@pytest.mark.parametrize("name", GROUPS)
def test_norms_that_are_the_same(name: str) -> None:
    nets = [em.serial(em.Conv(3, 16), RELU, em.Conv(3, 16), norm, RELU, em.Conv(3, 16)) for norm in GROUPS[name]]
    for unit in (0, 4):
        one, other = (em.predict(net, image=9, unit=unit).map for net in nets)
        assert_close(one, other, SAME)


def test_group_norm_depends_on_channels_a_group_not_on_the_width() -> None:
    one, other = (em.predict(em.serial(em.Conv(3), RELU, em.Conv(3), em.GroupNorm(width // 4)), image=9,
                             width=width).map for width in (256, 1024))
    # But for what weights lead back to the map below, in 1 / width.
    assert_close(one, other, Tolerance(0.01, 0.0))


def test_group_norm_averages_over_the_means_of_its_channels() -> None:
    """s^2 = 1 - 1/pi + (1/pi) t / k with t of k - 1 freedoms: its mean of 1 / s^2 by a million draws."""
    k, share = 4, 1 / math.pi
    t = np.random.default_rng(0).chisquare(k - 1, 10**6)
    expected = float((1 / (1 - share + share * t / k)).mean()) / 2  # q of the second convolution is 2
    norm = em.predict(em.serial(C1, RELU, C1, em.GroupNorm(4)), width=16).total
    assert_close(norm / 2, expected, Tolerance(1e-3, 0.0))


# ---------------------------------------------------------------------------------------------
# scales and shifts
# ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("norm", [em.BatchNorm, em.LayerNorm, em.InstanceNorm])
def test_scales_multiply_power_by_their_mean_square(norm: type[em.Layer]) -> None:
    plain, scaled = (em.predict(em.serial(em.Conv(3), norm(scale_var=v), em.Conv(3)), image=7).map for v in (0.0, 0.5))
    assert_close(scaled, 1.5 * plain, SAME)


def test_shifts_are_shared_by_all_sites() -> None:
    """Below a second norm: variance 1 + b, of which b is shared, and taken off again."""
    net = em.serial(C1, em.BatchNorm(scale_var=0.5, shift_var=0.7), C1, em.BatchNorm())
    assert_close(em.predict(net).total, 2 / 2 * 1.5 * 2 / (2 * 1.5), ROUNDING)
    row = em.signals(net, image=6)["batch_norm1"]
    assert_close([row.second, row.shared], [1.5 + 0.7, 0.7], ROUNDING)


def test_frozen_batch_norm_with_scale_and_shift() -> None:
    """As a scale by its mean square, and biases."""
    net = em.serial(C1, em.BatchNorm("identity", scale_var=0.44, shift_var=0.6), RELU, C1, em.BatchNorm())
    same = em.serial(em.Conv(1, weights=em.Random(gain=2 * 1.44), bias=0.6), RELU, C1, em.BatchNorm())
    assert_close(em.predict(net).total, em.predict(same).total, SAME)


def test_biases_are_shared_by_all_sites() -> None:
    """q = 2 + b and c = b after the first; the norm divides by 2 (2 + b) - 2 b."""
    net = em.serial(em.Conv(1, bias=0.8), em.Conv(1), em.BatchNorm())
    assert_close(em.predict(net).total, 4 / (2 * 2.8 - 2 * 0.8), ROUNDING)


def test_symmetric_biases_leave_rectified_chains_as_they_are() -> None:
    plain, biased = (em.predict(em.repeat(em.serial(em.Conv(3, bias=b), RELU), 3), image=9).map for b in (0.0, 2.0))
    assert_close(biased, plain, SAME)


@pytest.mark.parametrize("kind, fields", [(em.LayerNorm, {}), (em.RMSNorm, {}), (em.InstanceNorm, {}),
                                          (em.GroupNorm, {"groups": 2})])
def test_given_scales_and_shifts_act_by_their_mean_squares(kind: type[em.Layer], fields: dict[str, int]) -> None:
    shifts = kind is not em.RMSNorm
    arrays = np.random.default_rng(1).normal(1.5, 0.5, (2, 16))[:1 + shifts]
    variances = {"scale_var": float(np.mean(arrays[0]**2)) - 1,
                 **({"shift_var": float(np.mean(arrays[1]**2))} if shifts else {})}

    def net(**more: float) -> em.Network:
        return em.serial(em.Conv(3), kind(**fields, **more, name="norm"), em.Activation("relu"), em.Conv(3),
                         em.Activation("tanh"), em.Conv(3))
    given = em.predict(net(), image=12, weights={"norm": arrays if shifts else arrays[0]})
    assert_close(given.map, em.predict(net(**variances), image=12).map, ROUNDING)
    with pytest.raises(ValueError, match="norm: weights: an array of shape"):
        em.predict(net(), image=12, weights={"norm": arrays[:, :8]})


def test_channels_that_are_patterns_of_borders_vary_in_variance() -> None:
    """Two convolutions of nearly constant maps, then a batch norm: 1 / variance is larger on average.

    Sampled at width 64 (400 draws): .2311(43) on 16 sites, .1012(19) on 8 x 8; with the mean variance .170 and .071.
    """
    level = em.serial(em.Conv(3, 64), em.Activation("sigmoid"), em.Activation("softplus"))
    net = em.serial(level, em.Conv(3, 64), em.Conv(3, 64), em.BatchNorm(), em.Activation("relu"))
    for image, sampled in (((16,), .2311), ((8, 8), .1012)):
        assert abs(em.predict(net, image=image, channels_in=64, ndim=len(image)).total / sampled - 1) < .15


UNLIKE = em.serial(em.Conv(3, 64), em.concat(em.serial(em.Conv(3, 32), em.Activation("relu")), em.serial(
    em.Conv(3, 32, weights=em.Random(gain=.3)), em.Activation("sigmoid"))))


@pytest.mark.parametrize("norm, sampled, error", [(em.GroupNorm(4), 2.592, .033), (em.InstanceNorm(), 2.817, .037)])
def test_norms_of_unlike_channels_divide_each_by_its_own_group(norm: em.Layer, sampled: float, error: float) -> None:
    """Groups of rectified values beside groups of sigmoids; sampled at width 64, 600 draws."""
    net = em.serial(UNLIKE, norm, em.Conv(3, 64), em.Activation("relu"), em.Conv(3, 64))
    total = em.predict(net, image=24, channels_in=64, ndim=1).total
    assert abs(total - sampled) < 4 * error


def test_layer_norm_over_channels_of_different_means() -> None:
    """Each group's second moment about the mean of all channels, over their variance; by quadrature."""
    gate, soft = em.Activation("sigmoid"), em.Activation("softplus")
    whole = em.concat(gate, em.serial(gate, soft))
    net = em.serial(em.Conv(3, 64), em.BatchNorm(), whole, em.LayerNorm(), em.Conv(1, 4))
    graph = Graph.of(net, RunSettings.of(net, channels_in=64, ndim=1), flat=False)
    seen: dict[int, Moments] = {}
    forward(graph, Plan(graph, mean=False), InputModel(), seen)
    z, w = np.polynomial.hermite_e.hermegauss(80)
    first = 1 / (1 + np.exp(-z))
    values, w = np.stack([first, np.log1p(np.exp(first))]), w / w.sum()
    mean = (values @ w).mean()
    second = (values - mean)**2 @ w
    assert_close(seen[graph.names.index("layer_norm1")].average, second / second.mean(), REWRITE)


def test_a_mean_that_filters_leave_is_the_same_in_all_phases() -> None:
    """Once a gate failed after it: what was taken off a phase was more than it had."""
    net = em.serial(em.Conv(3, 2), em.Activation("relu"), em.Activation("sigmoid"), em.Upsample(3), em.BlurPool(3, 2),
                    em.BatchNorm(), em.Upsample(2, "bilinear"), em.Activation("silu"))
    fields = [em.predict(net, image=image, channels_in=4, ndim=1).total for image in (None, 96)]
    assert abs(fields[0] / fields[1] - 1) < .1


@pytest.mark.parametrize("kernel, stride", [(1, 2), (2, 3), (2, 2)])
def test_phases_with_other_means(kernel: int, stride: int) -> None:
    """Sites that no tap of a transposed convolution reads are zero: less the mean they have its square, not less."""
    net = em.serial(em.Conv(3, 64), em.Activation("relu"), em.ConvTranspose(kernel, 64, stride=stride),
                    em.Activation("relu"), em.BatchNorm(), em.AvgPool(2), em.Conv(3, 64))
    plane, image = (em.predict(net, ndim=2, channels_in=64, image=size) for size in (None, 12))
    assert np.isfinite(plane.map).all() and plane.map.min() >= 0
    assert abs(image.total / plane.total - 1) < .15  # it was 10 with one tap of two, 1.25 with two


def test_no_pair_of_sites_shares_more_than_a_site() -> None:
    """Sites that a stride picks lie nearer to borders than others: some variance is left on nearly constant maps."""
    net = em.serial(em.Conv(3, 6, weights=em.Random(gain=.5)), em.Activation("relu"), em.Activation("sigmoid"),
                    em.Conv(1, 4, stride=2), em.BatchNorm())
    assert em.predict(net, image=5, channels_in=2).total > 0


def test_norms_of_maps_sum_what_neighbouring_gradients_have_in_common() -> None:
    """Sampled at width 64, 300 draws: std 3.138, total 1.273(22); taken as uncorrelated 2.463 and 1.443."""
    conv = em.Conv(3, 64)
    net = em.serial(conv, em.InstanceNorm(), conv, em.AvgPool(3, 1, 1), em.Upsample(2), conv)
    erf = em.predict(net, image=24, channels_in=64, ndim=1)
    assert abs(erf.std[0] / 3.138 - 1) < .05 and abs(erf.total / 1.273 - 1) < .06
    sizes = em.erf_size_map(net, 24, channels_in=64, ndim=1)
    assert_close(sizes.total[erf.unit], erf.total, REWRITE)
    assert_close(sizes.std[(slice(None), *erf.unit)], erf.std, REWRITE)


@pytest.mark.parametrize("factor", [1.0, 1.88, 3.0])
def test_layer_norms_of_three_channels_are_refused_whatever_their_scale(factor: float) -> None:
    """(C - 2) / (C - 3) is infinite, and not a large number where rounding keeps C - 3 from zero."""
    net = em.serial(em.Conv(3, 3), em.Scale(factor), em.LayerNorm(), em.Conv(3, 6))
    with pytest.raises(NotImplementedError, match="^layer_norm1: over 3 channels the mean of 1 / variance"):
        em.predict(net, image=8)


def test_even_gradients_below_many_averages_in_a_row() -> None:
    """Extents of averages add by their variances; a product of their sizes made the total 800 times too large."""
    def smooth() -> em.Network:
        return em.residual(em.serial(em.GroupNorm(1), em.AvgPool(3, 1, 1, count_include_pad=False)))

    net = em.serial(em.Conv(3), *(smooth() for _ in range(12)))
    measured = em.measure(net, image=14, width=16, draws=80, rng=0)
    predicted = em.predict(net, image=14, width=16)
    assert abs(predicted.total / measured.total - 1) < z_bound(1) * measured.total_stderr / measured.total + 0.1
    assert abs(predicted.std[0] / measured.std[0] - 1) < z_bound(1) * measured.std_stderr[0] / measured.std[0] + 0.05


def test_norms_in_a_row_take_the_same_from_a_gradient_only_once() -> None:
    """Of three instance norms over 24 sites; taken thrice, the total would be 8 % smaller (20 % over 12 sites)."""
    layers = [em.serial(em.Conv((3,), 32), em.InstanceNorm(), em.Activation("relu")) for _ in range(3)]
    net, about = em.serial(*layers), {"image": 24, "width": 32, "channels_in": 32, "ndim": 1}
    sampled, theory = em.measure(net, draws=1000, rng=0, **about), em.predict(net, **about)
    assert sampled.total_stderr is not None and sampled.total_stderr < 0.02 * sampled.total
    assert abs(theory.total / sampled.total - 1) < 0.03
    assert abs(theory.std[0] / sampled.std[0] - 1) < 0.02


@pytest.mark.parametrize("norm", [em.BatchNorm(), em.InstanceNorm()], ids=["batch", "instance"])
def test_of_numbers_whose_mean_is_taken_off_two_are_correlated(norm: em.Layer) -> None:
    """-1 / (n - 1): after a rectifier distant sites share 1 / 2 pi less E[phi']^2 / (n - 1), to first order."""
    net, sites = em.serial(em.Conv((1,)), norm, RELU), 16
    count = sites * (BATCH if norm == em.BatchNorm() else 1)
    shared = em.signals(net, image=sites, ndim=1)["relu1"].shared
    assert abs(shared - (1 / (2 * math.pi) - 0.25 / (count - 1))) < 0.1 / (count - 1)**2


def test_what_distant_gradients_have_in_common_with_the_values() -> None:
    """A global pool after ReLU hands 1(v > 0) to n sites: less its parts along 1 and v, 1/2 - 1/4 - 1/(2 pi)."""
    net, sites = em.serial(C1, em.InstanceNorm(), RELU, em.GlobalAvgPool()), np.array([32, 64, 128, 256])
    totals = np.array([em.predict(net, image=int(n), ndim=1).total for n in sites])
    assert_rate(sites, np.abs(totals * sites / (1 / 4 - 1 / (2 * math.pi)) - 1), 1)


@pytest.mark.parametrize("norm", [em.InstanceNorm(), em.GroupNorm(4), em.BatchNorm("batch")])
def test_pools_that_gather_a_map_after_its_norm(norm: em.Layer) -> None:
    net = em.serial(em.Conv(3), norm, RELU, em.AdaptiveAvgPool(2), em.Conv(1))
    options = {"image": 10, "width": 16, "channels_in": 8}
    assert em.compare(em.predict(net, **options), em.measure(net, **options, draws=400, rng=0)).agrees()


def residual(norm: em.Layer) -> em.Network:
    branch = em.serial(em.Conv(3), norm, RELU, em.Conv(3), norm)
    return em.serial(em.Conv(3), norm, RELU, *[em.serial(em.residual(branch), RELU)] * 2, em.GlobalAvgPool())


def test_norms_in_a_row_before_a_global_pool() -> None:
    """The width of the field; of the total four times as much was lost as there was."""
    net, options = residual(em.InstanceNorm()), {"image": 10, "width": 16, "channels_in": 8}
    theory, sampled = em.predict(net, **options), em.measure(net, **options, draws=100, rng=0)
    assert theory.total > 0
    assert_statistical(sampled.std, sampled.std_stderr, theory.std)


@pytest.mark.parametrize("function", ["relu", "silu"])
def test_no_power_is_negative_on_maps_of_few_sites(function: str) -> None:
    pooled = em.serial(em.AdaptiveAvgPool(2), em.Conv(1), em.InstanceNorm(), em.Activation(function),
                       em.Upsample(size=12, mode="bilinear"))
    net = em.serial(em.Conv(3), em.InstanceNorm(), em.Activation(function), em.concat(em.Identity(), pooled),
                    em.Conv(1), em.InstanceNorm(), em.Activation(function))
    found = em.predict(net, image=12)
    assert found.map.min() >= 0 and np.isfinite(found.std).all()


def test_sums_that_read_padding_alone_after_a_norm_of_a_map() -> None:
    """All taps of the last but one convolution lie outside a map of one column: nothing is seen."""
    block = em.residual(em.serial(em.Conv(1, 2), em.Conv(3, 8)))
    net = em.serial(em.Conv(1, 4, stride=2, padding=0), em.Conv((1, 5), 4, padding=1, dilation=2), em.GroupNorm(4),
                    em.Conv(2, 8, padding=1, dilation=2), block, em.Activation("relu"))
    assert em.predict(net, image=14, unit=0, channels_in=4).total == 0


@pytest.mark.parametrize("functions", [("relu",), ("tanh", "hardswish")])
def test_what_goes_with_the_values_meets_the_gates_below(functions: tuple[str, ...]) -> None:
    """E[D^2 y^2] of the slopes D down to the last random layer: .4 to 1.5 of E[D^2].  Without, 7 and 32 % too wide."""
    norms = [em.BatchNorm()] * (len(functions) - 1) + [em.InstanceNorm()]
    gates = [part for function, norm in zip(functions, norms) for part in (em.Activation(function), norm)]
    net, options = em.serial(em.Conv(3, 32), *gates), {"image": 26, "width": 32, "channels_in": 32, "ndim": 1}
    theory, sampled = em.predict(net, **options), em.measure(net, **options, draws=400, rng=0)
    assert abs(theory.std[0] / sampled.std[0] - 1) < z_bound(1) * sampled.std_stderr[0] / sampled.std[0]


def test_a_norm_of_a_slice_that_leaves_kinds_of_channels_out() -> None:
    """Of three kinds side by side the first and a part of the second, as they are without the third."""
    def net(*rest: em.Layer, stop: int) -> em.Network:
        parts = em.concat(em.Identity(), em.Conv(1, 8), *rest)
        return em.serial(parts, em.Slice(0, stop), em.BatchNorm())
    conv = em.serial(em.Activation("sigmoid"), em.Conv(3, 6))
    left, right = (em.predict(one, image=4, unit=0, channels_in=4) for one in (net(conv, stop=9), net(stop=9)))
    assert_close(left.map, right.map, ROUNDING)


def test_a_mean_may_take_off_more_than_a_site_has() -> None:
    """In a corner of this map the mean's part is taken to be larger than the mean square: its root was no number."""
    net, image = survey.drawn(498)
    erf = em.predict(net, image=image, width=survey.WIDTH, channels_in=survey.WIDTH)
    assert np.isfinite(erf.total) and erf.total > 0 and (erf.map >= 0).all()


@pytest.mark.parametrize("function, named", [("softplus", ("batch_norm2",)), ("relu", ())])
def test_batch_norms_of_nearly_constant_values_are_named(function: str, named: tuple[str, ...]) -> None:
    """Twice softplus leaves a tenth of the square: most of what varies on 4 sites is what zeros at borders make."""
    gate = em.Activation(function)
    net = em.serial(em.Conv((3,), 64), em.BatchNorm(), gate, gate, em.Conv((3,), 64), em.BatchNorm(),
                    em.Activation("relu"))
    found = [a.nodes for a in em.predict(net, image=4).assumptions if a.name == "NEARLY_CONSTANT"]
    assert found == ([named] if named else [])


@pytest.mark.parametrize("around", [(), (em.Activation("relu"),)])
def test_scales_of_frozen_norms(around: tuple[em.Activation, ...]) -> None:
    """The mean square of the scales, 1 + 2, with and without what needs a forward sweep."""
    net = em.serial(em.BatchNorm("identity", scale_var=2.), em.Conv(1, 8, weights=em.Random(gain=1.)), *around)
    assert em.predict(net, ndim=1).total == pytest.approx(3.0 / (2 if around else 1), rel=1e-12)


def test_norms_after_padded_max_pools() -> None:
    """Windows of 1, 2, 4 sites: means 0, 1 / sqrt(pi), 1.029375, mean squares 1, 1, 1.551329 (Teichroew 1956)."""
    mean, square = np.array([0.0, math.pi**-0.5, 1.029375]), np.array([1.0, 1.0, 1.551329])
    part = np.array([4, 28, 49]) / 81
    pool, last = em.MaxPool(2, 1, 1), em.Conv(1, 64, weights=em.Random(gain=1.))
    layer, group = em.serial(pool, em.LayerNorm(), last), em.serial(pool, em.GroupNorm(1), last)
    options = {"image": 8, "channels_in": 64, "width": 64}
    totals = np.array([em.predict(layer, unit=unit, **options).total for unit in ((0, 0), (0, 4), (4, 4))])
    assert_close(totals / totals[-1], (square - mean**2)[-1] / (square - mean**2), Tolerance(0.01, 0.0))
    assert_close(em.predict(group, **options).total, 1 / (part @ square - (part @ mean)**2), Tolerance(0.01, 0.0))


def test_halves_that_nothing_reads_change_nothing() -> None:
    """Groups of one half of the channels are those of that half alone; gradients of the other half are none."""
    conv, above = em.Conv(5, 8, padding="same"), (em.residual(em.MaxPool(3, 1, 1)), em.Slice(1, 3))
    one = em.serial(conv, em.GroupNorm(2), *above)
    both = em.serial(conv, em.concat(em.Identity(), em.Identity()), em.GroupNorm(4), *above)
    for unit in (0, 2):
        one_map, two_map = (em.predict(net, image=4, unit=unit, width=8).map for net in (one, both))
        assert_close(two_map, one_map, REWRITE)


def test_rounding_of_means_is_no_pattern() -> None:
    """Batch norm of relu(w x) for w of all sizes, added to what is smaller at borders: gates there are the same."""
    def net(gain: float) -> em.Network:
        branch = em.serial(em.Conv(1, 4, weights=em.Random(gain=gain)), RELU, em.BatchNorm())
        both = em.add(branch, em.Conv(3, 4, padding=1))
        return em.serial(em.Conv(1, 6, stride=2), both, em.Activation("gelu"))
    first, *others = (em.predict(net(gain), image=12, channels_in=2, ndim=2).total for gain in np.linspace(.3, 3, 28))
    assert_close(others, [first] * len(others), REWRITE)


def test_zeros_of_which_the_mean_is_taken() -> None:
    """SELU of normal values has no mean but for rounding, and zeros at borders no variance, which was below zero."""
    conv, selu = em.Conv(1, 8, padding=1, weights=em.Random(gain=2., fan="out")), em.Activation("selu")
    net = em.serial(conv, selu, em.BatchNorm(), em.Upsample(3), em.MaxPool(2), em.Conv(3, 4))
    corner, middle = (em.predict(net, image=(7, 12), channels_in=4, unit=unit).total for unit in ((0, 0), (6, 9)))
    assert 0 <= corner < middle
