"""The characteristic function against plain sums, and the tail bounds against exact tails."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest
from helpers import FFT, assert_close
from walk_cases import CASES

import erfmath as em
from erfmath.lattice import kernels
from erfmath.walks import charfun
from erfmath.walks.charfun import chernoff, log_phi
from erfmath.walks.steps import Problem


def test_log_phi_of_many_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The series that sums a hundred thousand kernels agrees with summing their logarithms."""
    stack = kernels.KernelStack(np.random.default_rng(0).random((100_000, 3)))
    problem = Problem([(stack, 1, 1)])
    numbers = np.arange(0, 40)[:, None]
    assert charfun._cumulant_series(problem.blocks[0], 2 * pi * numbers[:, 0] / 8000) is not None
    series = log_phi(problem.blocks, numbers, (8000,))
    monkeypatch.setattr(charfun, "_cumulant_series", lambda *_: None)
    direct = log_phi(problem.blocks, numbers, (8000,))
    phi = [np.exp(logs + 1j * args) for logs, args, _ in (series, direct)]
    assert_close(np.abs(phi[0] - phi[1]), np.zeros(40), FFT, scale=1.0)


@pytest.mark.parametrize("weights", [[1, 1], [1, 1, 1, 1], [3, 1, 4, 1, 5], [1, 1e-9, 1]])
@pytest.mark.parametrize("period", [48, 49])
def test_log_phi(weights: list, period: int) -> None:
    """Even and odd periods, zeros of f, resonances of strides: against a plain DFT of one layer."""
    kernel = kernels.from_weights(weights)
    problem = Problem([(kernel, 1, 1), (kernel, 6, 1)])
    numbers = np.arange(period // 2 + 1)
    logs, args, _ = log_phi(problem.blocks, numbers[:, None], (period,))
    pmf = kernel.pmf
    both = np.zeros(7 * (len(weights) - 1) + 1)
    for a, p in enumerate(pmf):
        both[6 * a:6 * a + len(pmf)] += p * pmf
    x = np.arange(both.size) - both @ np.arange(both.size)
    want = np.exp(2j * pi / period * np.outer(numbers, x)) @ both
    assert_close(np.abs(np.exp(logs + 1j * args) - want), np.zeros(numbers.size), FFT, scale=1.0)


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("plus", "parity", "cube")])
def test_chernoff_bounds_the_tails(name: str) -> None:
    problem = Problem(CASES[name])
    for axis in range(problem.ndim):
        steps = [(k if k.ndim == 1 else k.marginal(axis), j if isinstance(j, int) else j[axis], n)
                 for k, j, n in CASES[name]]
        pmf, start = em.walk(steps).array()
        x = (start + np.arange(pmf.size)) - em.walk(steps).mean
        for nats in (3.0, 12.0, 30.0):
            below, above = (problem.span[axis] * d for d in chernoff(problem.blocks, axis, nats))
            assert pmf[x < -below].sum() <= np.exp(-nats)
            assert pmf[x > above].sum() <= np.exp(-nats)
