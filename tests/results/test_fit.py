"""The Gaussian that fits best: against Gaussians, SciPy's own fit, and the scatter of many fits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from fields import CENTER, COVARIANCE, bell, field, flat, gaussian_like, random_erf, seen, variants
from helpers import EXACT, ROUNDING, Tolerance, assert_close, assert_statistical, draws_for

Array = Any

#: `scipy.optimize.curve_fit` takes its slopes from differences; it is believed this far.
DIFFERENCES = Tolerance(1e-4, 0.0)


@pytest.mark.parametrize("ndim, n", [(1, 30), (2, 18), (3, 16)])
@pytest.mark.parametrize("level", [None, 0.0, 0.3])
def test_gaussian_fit_finds_a_gaussian(ndim: int, n: int, level: float | None) -> None:
    values = bell(ndim, n) + (level or 0.0)
    fit = seen(7 * values).gaussian_fit(offset=level is not None)
    assert_close(fit.center - n, CENTER[:ndim], ROUNDING, scale=10)
    assert_close(fit.covariance, COVARIANCE[:ndim, :ndim], ROUNDING, scale=10)
    assert_close(fit.std, np.sqrt(np.diag(COVARIANCE[:ndim, :ndim])), ROUNDING, scale=10)
    assert_close(fit.height, 1 / values.sum(), ROUNDING)
    assert_close(fit.offset, (level or 0.0) / values.sum(), ROUNDING, scale=fit.height)
    assert_close(fit.r_squared, 1.0, ROUNDING)


def test_an_offset_that_is_not_fitted_widens_the_fit() -> None:
    erf = seen(bell(2, 18) + .1)
    assert erf.gaussian_fit().std[0] > 1.1 * erf.gaussian_fit(offset=True).std[0]
    assert erf.gaussian_fit().r_squared < erf.gaussian_fit(offset=True).r_squared
    assert erf.gaussian_fit().offset == 0 == erf.gaussian_fit().stderr.offset


@pytest.mark.parametrize("offset", [False, True])
def test_gaussian_fit_and_its_errors_are_those_of_curve_fit(offset: bool) -> None:
    """In the parameters themselves, by finite differences, with SciPy's own covariance."""
    from scipy.optimize import curve_fit

    rng = np.random.default_rng(7)
    values = bell(2, 9) + .05 + .02 * rng.normal(size=(19, 19))
    erf = seen(values)
    share, (y, x) = erf.share, np.indices((19, 19))

    def model(_: Any, height: float, v: float, u: float, vv: float, uv: float, uu: float, floor: float = 0) -> Array:
        precision = np.linalg.inv([[vv, uv], [uv, uu]])
        off = np.stack([y - v, x - u])
        return (height * np.exp(-np.einsum("aij,ab,bij->ij", off, precision, off) / 2) + floor).ravel()

    fit = erf.gaussian_fit(offset=offset)
    tail = ([fit.offset], [fit.stderr.offset]) if offset else ([], [])
    lower = np.tril_indices(2)
    found, wrong = (np.concatenate([[part.height], part.center, part.covariance[lower], end])
                    for part, end in zip((fit, fit.stderr), tail))
    best, law = curve_fit(model, None, share.ravel(), p0=found * 1.01, ftol=1e-15, xtol=1e-15, gtol=1e-15)
    assert_close((best - found) / wrong, np.zeros(len(found)), DIFFERENCES, scale=1)
    assert_close(np.sqrt(np.diag(law)), wrong, DIFFERENCES)
    assert_close(fit.stderr.std * 2 * fit.std, np.diag(fit.stderr.covariance), ROUNDING)
    left = ((share.ravel() - model(None, *found))**2).sum()
    assert_close(fit.r_squared, 1 - left / ((share - share.mean())**2).sum(), ROUNDING)


def test_standard_errors_of_a_fit_tell_how_far_fits_scatter() -> None:
    """Over many pictures of one Gaussian with independent noise."""
    rng, true = np.random.default_rng(11), bell(2, 8) + .3
    off = []
    for _ in range(draws_for(.1, 1)):
        fit = seen(true + .05 * rng.normal(size=true.shape)).gaussian_fit(offset=True)
        off.append(np.concatenate([(fit.center - 8 - CENTER[:2]) / fit.stderr.center,
                                   (fit.std - np.sqrt(np.diag(COVARIANCE)[:2])) / fit.stderr.std]))
    square = np.array(off)**2
    assert_statistical(square.mean(axis=0), square.std(axis=0, ddof=1) / math.sqrt(len(square)), np.ones(4))


def test_gaussian_fit_of_what_is_none() -> None:
    one = field([[0, 0, 0], [0, 1, 0], [0, 0, 0]], (-1, -1)).gaussian_fit()
    assert_close(one.center, [0, 0], ROUNDING, scale=1)
    fit = random_erf(2).gaussian_fit()
    assert 0 <= fit.r_squared < 1 and np.linalg.eigvalsh(fit.covariance).min() > 0
    single = seen([[3.0]]).gaussian_fit(offset=True)  # one pixel does not determine seven numbers
    assert single.r_squared == 1 and all(np.isnan(value).all() for value in single.stderr)


def test_a_box_is_no_gaussian() -> None:
    """Zeros around it count, wherever the stored map ends."""
    box = field(np.ones((7, 7)), (-3, -3))
    assert .5 < box.gaussian_fit().r_squared < .95
    assert_close(flat(box.gaussian_fit()), flat(field(np.pad(np.ones((7, 7)), 5), (-8, -8)).gaussian_fit()), EXACT)


def test_a_fit_moves_with_the_field() -> None:
    erf = gaussian_like(2)
    here, there = erf.gaussian_fit(offset=True), variants(erf)["moved"].gaussian_fit(offset=True)
    assert_close(there.center - 70, here.center, ROUNDING, scale=70)
    assert_close(there.covariance, here.covariance, ROUNDING)
