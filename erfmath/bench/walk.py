"""Walks beside their rivals: repeated np.convolve, and the one-shot FFT that loses the tails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels import uniform
from ..walks import Walk, walk
from . import Table, side_by_side

__all__ = ["run"]

#: Multiplications up to which repeated np.convolve is waited for; beyond, a tenth of the layers
#: is timed, which takes a hundredth of the time, up to this depth.
_PATIENCE, _DEEPEST = 3e9, 10_000
#: Largest support held as a whole.
_SITES = 3 * 10**6


def _one_shot(k: int, n: int) -> NDArray[np.float64]:
    size = n * (k - 1) + 1
    return np.fft.irfft(np.fft.rfft(np.full(k, 1 / k), size) ** n, size)


def _repeated(k: int, n: int) -> NDArray[np.float64]:
    kernel, law = np.full(k, 1 / k), np.ones(1)
    for _ in range(n):
        law = np.convolve(law, kernel)
    return law


def _relative(values: NDArray[np.float64], exact: Walk) -> str:
    """Largest relative error; sites that underflow in floats count as they come out."""
    sites = np.arange(values.size)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        gap = np.abs(np.expm1(np.log(values) - exact.logpmf(sites)))
    return f"{float(np.nan_to_num(gap, nan=1.0, posinf=np.inf).max()):.1e}"


def _case(k: int, n: int, rounds: int) -> list[tuple[Any, ...]]:
    kernel = uniform(k)
    cost = n * n * k * k / 2.0
    whole = n * (k - 1) + 1 <= _SITES
    work: dict[str, Callable[[], Any]] = {}
    if whole:
        work["one-shot FFT"] = lambda: _one_shot(k, n)
    scale = 1 if cost <= _PATIENCE else 100
    if n <= _DEEPEST:
        work["np.convolve"] = lambda: _repeated(k, n if scale == 1 else n // 10)
    if whole:
        work["exact"] = lambda: walk(kernel, n).scaled(0)
        work["fft"] = lambda: walk(kernel, n, method="fft").array()
    work["window"] = lambda: walk(kernel, n, method="window").array()
    work["normal"] = lambda: walk(kernel, n, method="normal").error_bound
    work["edgeworth"] = lambda: walk(kernel, n, method="edgeworth").error_bound
    times = side_by_side(work, rounds=rounds)
    exact = walk(kernel, n) if whole else None
    window = walk(kernel, n, method="window")
    peak = float(window.pmf(n * (k - 1) // 2))
    rows: list[tuple[Any, ...]] = []
    for name, timing in times.items():
        error, factor = "", 1
        if name == "np.convolve":
            factor = scale
            error = _relative(_repeated(k, n), exact) if scale == 1 and exact else "(not run)"
        elif name == "one-shot FFT" and exact is not None:
            error = _relative(_one_shot(k, n), exact)
        elif name == "exact" and exact is not None:
            error = f"< {exact.errors['relative']:.1e}"
        else:
            law = walk(kernel, n, method=name)
            error = f"< {law.error_bound / peak:.1e} of the peak"
        rows.append((f"{k}, {n}", name, 1e3 * factor * timing.seconds, factor * timing.ratio,
                     error))
    return rows


def run(quick: bool = False) -> Table:
    """Times and errors for k = 3, 7, 31 and n = 10^2, 10^4, 10^6 layers of uniform kernels."""
    depths = (100,) if quick else (100, 10_000, 1_000_000)
    rows = [row for k in (3, 7, 31) for n in depths for row in _case(k, n, 1 if quick else 3)]
    deep = {f"window, n = {n:.0e}": (lambda n=n: walk(uniform(3), n, method="window").pmf(n))
            for n in (10**3, 10**9)}
    growth = side_by_side(deep, rounds=3 if quick else 21)
    rows += [("3", name, 1e3 * timing.seconds, timing.ratio, "")
             for name, timing in growth.items()]
    return Table("walk", ("k, n", "method", "ms", "x first", "largest relative error"),
                 tuple(rows),
                 ("Errors of the rivals are measured against `exact`, ours are the bounds returned.",
                  "Underflow to 0 counts as 1. Supports above 3 10^6 sites are left to `window`; "
                  "np.convolve not run in full: from a tenth of the layers."))
