"""How single networks scatter about the mean field: against the formula for chains, and against sampled networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import erfmath as em
from erfmath.bench.scatter import CASES, Case, sampled
from helpers import ROUNDING, assert_close


def chain_formula(channels: list[int], r: list[float], kernel: int = 3) -> float:
    """sum over layers of R_l / c_l sum over x of (p_l f_l)^2, f_l = x^2 - s_l^2, for a 1-D chain on the plane."""
    p, total = np.ones(1), 0.0
    for c, one in zip(channels, r):
        p = np.convolve(p, np.ones(kernel) / kernel)
        x = np.arange(len(p)) - len(p) // 2
        total += one / c * float(((p * (x**2 - p @ x**2))**2).sum())
    return total


def test_linear_chains_by_the_formula() -> None:
    net = em.repeat(em.Conv(3, weights=em.Random(gain=1.0)), 6)
    for width in (8, 64):
        found = em.scatter(net, width=width, channels_in=2, ndim=1)
        expected = chain_formula([width] * 5 + [2], [2.0] * 6)
        assert_close(found.std[0], np.sqrt(expected) / (2 * found.erf.std[0]), ROUNDING)
        assert found.size == pytest.approx(found.std[0])


@pytest.mark.parametrize("images", [1, 7])
def test_rectified_chains_by_the_formula(images: int) -> None:
    """R = (5 - kappa) / B + (1 - 1/B) 2 r^2 (1 + kappa), the correlations those of the arc-cosine kernel."""
    depth, width = 5, 16
    net = em.repeat(em.serial(em.Conv(3), em.Activation("relu")), depth)
    rho = [0.0]                                            # of the values before each gate, from the input on
    for _ in range(depth - 1):
        rho.append((np.sqrt(1 - rho[-1]**2) + rho[-1] * (np.pi / 2 + np.arcsin(rho[-1]))) / np.pi)
    kappa = [2 * np.arcsin(one) / np.pi for one in rho]
    one, pairs, r, terms = 1 / images, 1 - 1 / images, 1.0, []
    for k in reversed(kappa):                              # gates from the unit down
        terms.append((5 - k) * one + pairs * 2 * r**2 * (1 + k))
        r *= (1 + k) / 2
    terms.append(2 * (one + pairs * r**2))                 # pixels
    # The unit's own gate is at one site: it has no part in the width.
    expected = chain_formula([width] * (depth - 1) + [3], terms[1:])
    found = em.scatter(net, images=images, width=width, ndim=1)
    assert np.isclose(found.std[0], np.sqrt(expected) / (2 * found.erf.std[0]), rtol=1e-9)


def test_powers_beyond_the_range_of_floats() -> None:
    """Gains change the total, and nothing else."""
    deep = [em.repeat(em.Conv(3, weights=em.Random(gain=gain)), 24) for gain in (1.0, 1e12, 1e-12)]
    plain, *others = [em.scatter(net, ndim=1) for net in deep]
    for found in others:
        assert np.allclose([found.size, found.log_total], [plain.size, plain.log_total], rtol=1e-9)


def test_what_it_is_used_for() -> None:
    net = em.repeat(em.serial(em.Conv(3), em.Activation("relu")), 10)
    one, erf = em.scatter(net, width=16), em.predict(net, width=16)
    assert 0.12 < one.size < 0.15                          # 400 networks: .137(5)
    assert erf.draws_needed(0.01) == one.draws_needed(0.01) == int(np.ceil((one.size / erf.size("std") / 0.01)**2))
    assert [a.name for a in one.assumptions] == ["SCATTER_BY_WIDTH"]      # the mean is exact
    assert f"+- {one.size:.2g} px" in str(erf) and f"+- {one.size:.2g} px" in str(one)
    assert f"median {one.typical_total:.3g} for a mean of {erf.total:.3g}" in str(erf)
    assert 0 < one.typical_total < erf.total
    measured = em.measure(net, draws=1, rng=0, width=16)
    distance = (measured.size("std") - erf.size("std")) / one.size
    assert f"{distance:+.2g}" in em.compare(erf, measured).report()
    assert em.predict(net, weights={f"conv{i}": np.ones((16, 16 if i > 1 else 3, 3, 3)) for i in range(1, 11)}
                      ).one_network is None


def weights_of(net: em.Network, seed: int, width: int = 16) -> dict[str, Any]:
    """He's, for the convolutions of a chain on three channels."""
    rng, found, into = np.random.default_rng(seed), {}, 3
    for node in net:
        if node.layer.takes_weights:
            found[node.name] = rng.normal(0, np.sqrt(2 / (9 * into)), (width, into, 3, 3))
            into = width
    return found


def test_comparisons_with_one_network_and_with_several() -> None:
    """Images of one network average its gates out, but not its weights; networks average both."""
    net = relu(6)
    erf, several = em.predict(net), em.measure(net, draws=12, rng=0)
    one = em.measure(net, weights=weights_of(net, 0), draws=12, rng=0)
    assert (several.networks, one.networks, one.unit_correlation) == (12, 1, 0.25)
    assert em.measure(net, weights=weights_of(net, 0), draws=2, channel=0).unit_correlation == 1
    spread = em.scatter(net).size
    for measured, expected in ((several, spread / np.sqrt(several.effective_draws)),
                               (one, erf.scatter_over(one.effective_draws, 0.25).size)):
        assert expected < spread
        distance = (measured.size("std") - erf.size("std")) / expected
        assert f"{distance:+.2g} of that away" in em.compare(erf, measured).report()
    assert erf.scatter_over(5).size == em.scatter(net, images=5).size


def test_gates_that_are_always_open() -> None:
    """Sums of two positive values pass a rectifier as they are: it does not add to the scatter."""
    branch = em.serial(em.Conv(3), em.Activation("relu"))
    plain = em.serial(em.Conv(1), em.Activation("relu"), em.repeat(em.residual(branch), 4))
    unit = em.serial(em.residual(branch), em.Activation("relu"))
    gated = em.serial(em.Conv(1), em.Activation("relu"), em.repeat(unit, 4))
    one, other = (em.scatter(net, ndim=1, image=21) for net in (plain, gated))
    assert np.isclose(one.size, other.size, rtol=1e-6) and np.isclose(one.log_total, other.log_total, rtol=1e-6)


def test_pools_in_a_row_are_one() -> None:
    """The windows are those of both together."""
    below, above = [em.Conv(3), em.Activation("relu")], [em.Conv(3), em.Activation("relu"), em.Conv(3)]
    one, other = (em.scatter(em.serial(*below, *pools, *above), image=24) for pools in (
        [em.MaxPool(3, 1), em.MaxPool(3, 2)], [em.MaxPool(5, 2)]))
    assert np.isclose(one.size, other.size, rtol=1e-9) and np.isclose(one.log_total, other.log_total, rtol=1e-9)


def test_gates_of_one_value_are_one_gate() -> None:
    """Two norms and rectifiers of one value, and the weights after them side by side, are one of each."""
    gate = em.serial(em.BatchNorm(), em.Activation("relu"))
    once = em.serial(em.Conv(3, 8), gate, em.Conv(3, 8, weights=em.Random(gain=4.0)))
    twice = em.serial(em.Conv(3, 8), em.add(em.serial(gate, em.Conv(3, 8)), em.serial(gate, em.Conv(3, 8))))
    one, other = (em.scatter(net, ndim=1, image=21) for net in (once, twice))
    assert np.isclose(one.size, other.size, rtol=1e-9) and np.isclose(one.log_total, other.log_total, rtol=1e-9)


def test_norms_of_sites_fluctuate() -> None:
    """A mean square of c values fluctuates by 2 / c of itself, and what is divided by it too: R = 2 + 2 a layer."""
    plain = em.repeat(em.Conv(3, weights=em.Random(gain=1.0)), 4)
    normed = em.repeat(em.serial(em.Conv(3, weights=em.Random(gain=1.0)), em.RMSNorm()), 4)
    about: Any = {"width": 16, "channels_in": 16, "ndim": 1, "image": 33}
    ratio = (em.scatter(normed, **about).log_total / em.scatter(plain, **about).log_total)**2
    assert 1.6 < ratio < 2.1        # the topmost norm lies above every kernel, the pixels below all norms
    size, total = sampled(Case("norms", lambda width: normed, 16, 1500, {"channels_in": 16, "ndim": 1, "image": 33}),
                          1500)
    found = em.scatter(normed, **about)
    assert found.size == pytest.approx(size, rel=0.2) and found.log_total == pytest.approx(total, rel=0.2)


def test_refusals() -> None:
    with pytest.raises(NotImplementedError, match="erfmath.measure"):
        em.scatter(em.repeat(em.Conv(3, weights=em.Constant()), 2))
    with pytest.raises(ValueError, match="zero everywhere"):
        em.scatter(em.serial(em.Conv(1), em.ConvTranspose(1, stride=2)), ndim=1, image=4, unit=1)
    with pytest.raises(ValueError, match="images"):
        em.scatter(em.repeat(em.Conv(3), 2), images=0)
    with pytest.raises(ValueError, match="error=0"):
        em.predict(em.repeat(em.Conv(3), 2)).draws_needed(0)
    with pytest.raises(ValueError, match="until="):
        em.predict(em.repeat(em.Conv(3, weights=em.Constant()), 2)).draws_needed(0.1)


def relu(depth: int, **options: Any) -> em.Network:
    return em.repeat(em.serial(em.Conv(3, **options), em.Activation("relu")), depth)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES[:8] + CASES[9:22] + CASES[23::2], ids=lambda case: f"{case.name} {case.width}")
def test_against_sampled_networks(case: Case) -> None:
    """Within 20 %, and twice the error of the sampled standard deviation; totals, which are log-normal, within 30 %."""
    size, total = sampled(case, case.draws)
    found, error = em.scatter(case.build(case.width), width=case.width, node=case.node, **case.about), 2 * (
        2 * case.draws)**-0.5
    assert abs(found.size / size - 1) < 0.2 + error
    assert abs(found.log_total / total - 1) < 0.3 + error


@pytest.mark.slow
def test_means_over_images_of_single_networks() -> None:
    """Each image with a gradient of the unit of its own: 80 networks, images as they weigh in the mean."""
    net = relu(6)
    erf, fields = em.predict(net, width=16), [em.measure(net, weights=weights_of(net, k), draws=10, rng=k)
                                              for k in range(80)]
    sizes, totals = [erf.size("std") for erf in fields], [np.log(erf.total) for erf in fields]
    found = erf.scatter_over(float(np.mean([one.effective_draws for one in fields])), 0.25)
    assert abs(found.size / np.std(sizes, ddof=1) - 1) < 0.3
    assert abs(found.log_total / np.std(totals, ddof=1) - 1) < 0.3
