"""n-fold convolution compared with repeated np.convolve, and the one-shot FFT that loses the tails."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..lattice.kernels import uniform
from ..plotting.style import in_style
from ..walks import Walk, walk
from ..walks.modes import fast_length
from . import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["growth", "picture", "run"]

#: Multiplications up to which repeated np.convolve is waited for; beyond, a tenth of the layers
#: is timed, which takes a hundredth of the time, up to this depth.
_PATIENCE, _DEEPEST = 3e9, 10_000
#: Largest support held as a whole.
_SITES = 3 * 10**6


def _one_shot(k: int, n: int) -> NDArray[np.float64]:
    size = n * (k - 1) + 1
    length = fast_length(size)
    return np.fft.irfft(np.fft.rfft(np.full(k, 1 / k), length) ** n, length)[:size]


def _repeated(k: int, n: int) -> NDArray[np.float64]:
    kernel, law = np.full(k, 1 / k), np.ones(1)
    for _ in range(n):
        law = np.convolve(law, kernel)
    return law


def _errors(values: NDArray[np.float64], exact: Walk, first: int = 0) -> tuple[str, str]:
    """Largest error over the peak, and largest relative error; what underflows counts as it comes out."""
    sites = np.arange(first, first + values.size)
    truth = exact.pmf(sites)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        gap = np.abs(np.expm1(np.log(values) - exact.logpmf(sites)))
    relative = float(np.nan_to_num(gap, nan=1.0, posinf=np.inf).max())
    return f"{np.abs(values - truth).max() / truth.max():.1e}", f"{relative:.1e}"


def _times(work: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Least processor time of each piece of work, in seconds, the pieces taking turns."""
    best = dict.fromkeys(work, float("inf"))
    for _ in range(rounds):
        for name, piece in work.items():
            start = time.process_time()
            piece()
            best[name] = min(best[name], time.process_time() - start)
    return best


def _case(k: int, n: int, rounds: int) -> list[tuple[Any, ...]]:
    kernel = uniform(k)
    whole = n * (k - 1) + 1 <= _SITES
    work: dict[str, Callable[[], Any]] = {}
    if whole:
        work["one-shot FFT"] = lambda: _one_shot(k, n)
    scale = 1 if n * n * k * k / 2 <= _PATIENCE else 100
    if n <= _DEEPEST:
        work["np.convolve"] = lambda: _repeated(k, n if scale == 1 else n // 10)
    if whole:
        work["exact"] = lambda: walk(kernel, n).scaled(0)
        work["fft"] = lambda: walk(kernel, n, method="fft").array()
    work |= {"window": lambda: walk(kernel, n, method="window").array(),
             "normal": lambda: walk(kernel, n, method="normal").error_bound,
             "edgeworth": lambda: walk(kernel, n, method="edgeworth").error_bound}
    times = _times(work, rounds)
    exact = walk(kernel, n) if whole else None
    peak = float(walk(kernel, n, method="window").pmf(n * (k - 1) // 2))
    rows: list[tuple[Any, ...]] = []
    first = next(iter(times.values()))
    for name, seconds in times.items():
        errors, factor = ("-", "-"), 1
        if name == "np.convolve":
            factor = scale
            errors = _errors(_repeated(k, n), exact) if scale == 1 and exact else errors
        elif name == "one-shot FFT" and exact:
            errors = _errors(_one_shot(k, n), exact)
        elif name == "exact" and exact:
            errors = "-", f"< {exact.errors['relative']:.1e}"
        else:
            law = walk(kernel, n, method=name)
            relative = _errors(law.array()[0], exact, law.window[0])[1] if exact else "-"
            errors = f"< {law.error_bound / peak:.1e}", relative
        rows.append((f"{k}, {n}", name, 1e3 * factor * seconds, factor * seconds / first, *errors))
    return rows


def run(quick: bool = False) -> Table:
    """Times and errors for k = 3, 7, 31 and n = 10^2, 10^4, 10^6 layers of uniform kernels."""
    depths = (100,) if quick else (100, 10_000, 1_000_000)
    rows = [row for k in (3, 7, 31) for n in depths for row in _case(k, n, 2 if quick else 5)]
    deep: dict[str, Callable[[], Any]] = {
        "window, n = 1e+03": lambda: walk(uniform(3), 10**3, method="window").pmf(10**3),
        "window, n = 1e+09": lambda: walk(uniform(3), 10**9, method="window").pmf(10**9)}
    small: dict[str, Callable[[], Any]] = {
        "np.convolve, n = 20": lambda: _repeated(3, 20), "exact, n = 20": lambda: walk(uniform(3), 20).array()}
    for pair in (deep, small):
        times = _times(pair, 3 if quick else 301)
        rows += [("3", name, 1e3 * t, t / next(iter(times.values())), "-", "-") for name, t in times.items()]
    return Table("walk", ("k, n", "method", "CPU ms", "x first", "error / peak", "relative error"), tuple(rows),
                 ("Errors are measured against `exact`, underflow to 0 counts as 1; < marks bounds of the method.",
                  "Supports above 3 10^6 sites are left to `window`; np.convolve over 3 10^9 multiplications is",
                  "timed over a tenth of the layers, times 100."))


def growth(k: int = 3, quick: bool = False) -> dict[str, list[tuple[int, float]]]:
    """Seconds of processor time over the number of layers n, for each method as far as it goes."""
    kernel = uniform(k)
    work: dict[str, tuple[float, Callable[[int], Any]]] = {
        "np.convolve, repeated": (1e4, lambda n: _repeated(k, n)),
        "one-shot FFT": (1e6, lambda n: _one_shot(k, n)),
        "exact": (1e6, lambda n: walk(kernel, n).scaled(0)),
        "fft": (1e6, lambda n: walk(kernel, n, method="fft").array()),
        "window, all sites": (1e9, lambda n: walk(kernel, n, method="window").array()),
        "window, 1000 sites": (1e12, lambda n: walk(kernel, n, method="window").pmf(np.arange(n, n + 1000))),
        "normal, with error bound": (1e12, lambda n: walk(kernel, n, method="normal").error_bound),
        "edgeworth, with error bound": (1e12, lambda n: walk(kernel, n, method="edgeworth").error_bound),
        "rational": (1e3, lambda n: walk(kernel, n, method="rational").scaled(n))}
    times: dict[str, list[tuple[int, float]]] = {}
    for name, (deepest, piece) in work.items():
        depths = [n for n in (10**e for e in range(1, 4 if quick else 13)) if n <= deepest]
        cost = _times({str(n): partial(piece, n) for n in depths}, 1 if quick else 7)
        times[name] = list(zip(depths, cost.values()))
    return times


@in_style
def picture(quick: bool = False) -> Figure:
    """Log-log plot of `growth`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    ax = figure.add_subplot()
    rivals = {"np.convolve, repeated": "black", "one-shot FFT": "gray"}
    for marker, (name, points) in zip("osD^v<>xP", growth(quick=quick).items()):
        n, seconds = zip(*points)
        ax.loglog(n, [1e3 * s for s in seconds], marker=marker, markersize=4, label=name, color=rivals.get(name),
                  linestyle="--" if name in rivals else "-")
    ax.set(xlabel="number of layers (uniform kernel of 3 taps)", ylabel="processor time, ms")
    ax.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    return figure
