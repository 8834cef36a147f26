"""Measured fields: what the draws let one say, in numbers and in words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close, assert_statistical, z_bound

import erfmath as em

of = em.EffectiveReceptiveField.from_gradients


def grads(samples: int, *, seed: int = 0, tails: float = 0.0, ndim: int = 2) -> Any:
    """Noise under a Gaussian amplitude, well inside the image; `tails` is the std of the logarithm of each sample."""
    rng = np.random.default_rng([seed, samples, ndim])
    n = 15
    far = sum((x - n // 2)**2 for x in np.ogrid[(slice(n),) * ndim])
    size = np.exp(tails * rng.normal(size=(samples, 1, *[1] * ndim)))
    return size * rng.normal(size=(samples, 2, *(n,) * ndim)) * np.exp(-far / 6)


def test_repr_has_draws_and_errors() -> None:
    erf = of(grads(40))
    std = ", ".join(f"{s:.4g} +- {e:.2g}" for s, e in zip(erf.std, erf.std_stderr))
    assert repr(erf) == ("<MeasuredReceptiveField of the unit centred at (7, 7): power, "
                         f"std ({std}), 40 draws, TRF unknown>")
    heavy = of(grads(40, tails=1.0))
    assert f"40 draws (count as {heavy.effective_draws:.3g})" in repr(heavy)
    assert "1 draw, TRF" in repr(of(grads(1)))
    assert "nothing seen" in repr(of(np.zeros((2, 1, 3, 3))))
    exact = em.measure(em.repeat(em.Conv(3, weights=em.Constant()), 2))
    assert "+-" not in repr(exact) and "draw" not in repr(exact)


def test_effective_draws_and_caution() -> None:
    enough, few, heavy = of(grads(40)), of(grads(10)), of(grads(60, tails=1.5))
    totals = (grads(60, tails=1.5)**2).sum(axis=(1, 2, 3))
    assert_close(heavy.effective_draws, totals.sum()**2 / (totals**2).sum(), ROUNDING)
    assert_close(heavy.freedom, heavy.effective_draws - 1, EXACT)
    assert enough.caution == "" and not enough.heavy
    assert few.caution.endswith("effective draws are too few for reliable errors; take 30 at least") and not few.heavy
    assert heavy.caution.startswith("heavy tails: 60 draws count as ") and heavy.heavy
    exact = em.measure(em.repeat(em.Conv(3, weights=em.Constant()), 2))
    assert exact.freedom == math.inf and exact.caution == ""
    assert of(grads(1)).freedom == 0


def test_size_stderr_allows_for_axes_that_widen_together() -> None:
    """Samples of two sizes, wide and narrow along both axes at once: independent errors would be too small."""
    rng = np.random.default_rng(5)
    y, x = np.ogrid[-10:11, -10:11]
    maps = np.array([np.exp(-(x**2 + y**2) / (2 * (2 + s)**2)) for s in rng.random(4000)])
    erfs = [of(np.sqrt(part)[:, None]) for part in maps.reshape(100, 40, 21, 21)]
    sizes, errors = np.array([e.size("std") for e in erfs]), np.array([e.size_stderr for e in erfs])
    ratio = sizes.var(ddof=1) / (errors**2).mean()
    assert abs(ratio - 1) < z_bound(1) * math.sqrt(2 / 100)
    independent = np.mean([np.linalg.norm(e.std * e.std_stderr) / (2 * e.size("std")) for e in erfs])
    assert errors.mean() > 1.3 * independent
    assert_close([e.size_stderr for e in (of(grads(20, ndim=1)),)], of(grads(20, ndim=1)).std_stderr, ROUNDING)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_profile_stderr_is_that_of_the_marginals(ndim: int) -> None:
    """In one dimension that of the share itself."""
    erf = of(grads(30, ndim=ndim))
    if ndim == 1:
        assert_close(erf.profile_stderr(0), erf.share_stderr, ROUNDING)
    maps = (grads(30, ndim=ndim)**2).sum(axis=1)
    for axis in range(ndim):
        lines = maps.sum(axis=tuple(a + 1 for a in range(ndim) if a != axis))
        off = lines - erf.profile(axis) * lines.sum(axis=1, keepdims=True)
        expected = np.sqrt((off**2).sum(axis=0) / (30 * 29)) / erf.total
        assert_close(erf.profile_stderr(axis), expected, ROUNDING, scale=float(expected.max()))
    assert_close(erf.profile_stderr(), erf.profile_stderr(ndim - 1), EXACT)


def test_profile_stderr_lies_on_the_whole_map() -> None:
    """The box of pixels that reach the unit is smaller than the image."""
    net = em.repeat(em.Conv(3), 2)
    erf = em.measure(net, image=(9, 14), unit=(4, 2), draws=200, rng=0)
    for axis in range(2):
        error, line = erf.profile_stderr(axis), em.predict(net, image=(9, 14), unit=(4, 2)).profile(axis)
        assert error.shape == erf.profile(axis).shape
        assert_close(error > 0, erf.profile(axis) > 0, EXACT)
        assert_statistical(erf.profile(axis)[error > 0], error[error > 0], line[error > 0])


def test_amplitudes_have_errors_per_pixel_alone() -> None:
    net = em.repeat(em.Conv(3), 2)
    erf = em.measure(net, image=9, draws=40, statistic="amplitude", rng=0)
    power = em.measure(net, image=9, draws=40, rng=0)
    seen = power.map > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        assert_close(erf.stderr[seen], (power.stderr / (2 * np.sqrt(power.map)))[seen], ROUNDING)
    for error in (erf.total_stderr, erf.size_stderr, *erf.std_stderr, *erf.profile_stderr(0)[4:5]):
        assert math.isnan(error)


def test_arrays_are_read_only() -> None:
    erf = of(grads(5))
    for array in (erf.stderr, erf.share_stderr, erf.std_stderr, erf.profile_stderr(0), erf.moments.mean):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttributeError, match="does not change"):
        erf.draws = 7
