"""The central limit theorem: the paper's Gaussian."""

from __future__ import annotations

from functools import cached_property
from math import log, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import Walk
from .scaled import Scaled
from .steps import Problem

__all__ = ["NormalWalk"]


class NormalWalk(Walk):
    """Method "normal": N(E[S], Cov[S]) at the lattice points (equation W10)."""

    def __init__(self, problem: Problem) -> None:
        problem.require_law('method="normal"')
        super().__init__(problem, "normal")
        if np.linalg.matrix_rank(problem.lattice_covariance) < problem.ndim:
            raise ValueError("the covariance matrix is singular, so there is no normal density: "
                             'use method="exact" or "window"')

    @cached_property
    def _precision(self) -> tuple[NDArray[Any], float]:
        cov = self._problem.lattice_covariance
        return np.linalg.inv(cov), -0.5 * float(np.linalg.slogdet(2 * pi * cov)[1])

    @property
    def errors(self) -> dict[str, float]:
        """None certified yet."""
        return {}

    @property
    def error_bound(self) -> float:
        """Trivial bound."""
        return 1.0

    def _at(self, s: NDArray[np.int64]) -> Scaled:
        precision, log_peak = self._precision
        y = s - np.array([float(m) for m in self._problem.lattice_mean])
        bits = (log_peak - 0.5 * np.einsum("pa,ab,pb->p", y, precision, y)) / log(2)
        whole = np.floor(bits)
        return Scaled.of(np.exp2(bits - whole), whole.astype(np.int64))
