"""The central limit theorem and its refinement by Hermite polynomials, with certified errors."""

from __future__ import annotations

from functools import cached_property
from math import log, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from ..base.errors import quoted
from .base import Walk
from .certify import certificate, edgeworth_coefficients
from .scaled import Scaled
from .steps import Problem

__all__ = ["SmoothWalk"]

#: Variance below which heights and widths of the density leave the range of floats.
_LEAST = 1e-250


class SmoothWalk(Walk):
    """Methods "normal" and "edgeworth": a density sampled at the lattice points of the support.

    With y the site in standard deviations from the mean (equation W10),

        normal      span * N(E S, Cov S)
        edgeworth   the same times 1 + sum_j c_j He_j(y), cumulants to order 2 + `order` (1-D)

    Contract: errors["sup"] bounds abs(pmf - p) at every site and errors["total_variation"] half
    its sum, both from the transforms (equation W11); `error_bound` is the first. The errors fall
    like n^-1 ("normal", symmetric kernels; n^-1/2 relative to the peak otherwise), and relative
    to the peak like n^-(order+1)/2. Far from the mean the polynomials are no approximation and may
    be negative, where `logpmf` is nan.
    """

    def __init__(self, problem: Problem, order: int | None = None) -> None:
        method = "normal" if order is None else "edgeworth"
        problem.require_distribution(f'method="{method}"')
        if order not in (None, 1, 2, 3):
            raise ValueError(f"order={quoted(order)}: Edgeworth expansions have order 1, 2 or 3")
        if order is not None and problem.ndim > 1:
            raise ValueError('method="edgeworth" is for one dimension and for products of 1-D '
                             'kernels: use method="normal" or "window"')
        super().__init__(problem, method)
        covariance = problem.lattice_covariance
        if np.linalg.matrix_rank(covariance) < problem.ndim:
            raise ValueError("the covariance matrix is singular, so there is no normal density: "
                             'use method="exact" or "window"')
        coefficients = edgeworth_coefficients(problem.lattice_cumulants[:, 0], order) if order else np.ones(1)
        if coefficients is None or np.diag(covariance).min() < _LEAST:
            raise ValueError(f"variance {np.diag(covariance).min():.3g} on the lattice: too small for a {method} "
                             'density in floats; use method="exact" or "window"')
        self._coefficients = coefficients
        self._precision = np.linalg.inv(covariance)
        self._log_peak = -0.5 * float(np.linalg.slogdet(2 * pi * covariance)[1])

    @cached_property
    def errors(self) -> dict[str, float]:
        """"sup": absolute, per site; "total_variation": half the sum over all sites."""
        problem = self._problem
        bounds = certificate(problem.blocks, problem.lattice_covariance, self._coefficients)
        return {name: bounds[name] for name in ("sup", "total_variation")}

    @property
    def error_bound(self) -> float:
        """Upper bound of abs(pmf(x) - exact) over all sites x."""
        return self.errors["sup"]

    @property
    def peak_bound(self) -> float:
        """Height of the density, and what the polynomials can add to it."""
        return float(np.exp(self._log_peak)) + self.error_bound

    def _at(self, s: NDArray[np.int64]) -> Scaled:
        y = self._problem.deviation(s)
        bits = self._log_peak - 0.5 * np.einsum("pa,ab,pb->p", y, self._precision, y)
        bits = np.maximum(bits / log(2), -(2.0**59))  # a 64-bit exponent
        whole = np.floor(bits)
        values = np.exp2(bits - whole)
        if len(self._coefficients) > 1:
            from numpy.polynomial.hermite_e import hermeval

            far = 1e8  # standard deviations: the Gaussian is below any float long before
            z = np.clip(y[:, 0] * sqrt(self._precision[0, 0]), -far, far)
            values = values * hermeval(z, self._coefficients)
        return Scaled.of(values, whole.astype(np.int64))
