"""How good is the Gaussian?  The exact distribution of a chain beside its approximations, tails included."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..lattice import kernels
from ..plotting import LINES
from ..walks import walk
from .base import Arrays, Data, Desk, Figure, Options, Quote, Spec
from .panels import letters, page

__all__ = ["caption", "compute", "draw", "parts", "quotes"]

LAYERS = (3, 10, 40)
APPROXIMATIONS = {"normal": "Gaussian", "edgeworth": "Edgeworth", "saddlepoint": "saddlepoint"}
OFF = 0.1  # relative error beyond which the tails differ


def parts(options: Options) -> dict[str, Spec]:
    return {f"{n} layers": {"layers": n, "kernel": 3} for n in LAYERS}


def compute(spec: Spec, desk: Desk) -> Arrays:
    kernel, n = kernels.uniform(spec["kernel"]).centred(), spec["layers"]
    exact = walk(kernel, n)
    x = np.arange(exact.support[0], exact.support[1] + 1)
    found = {"x": x, "std": np.array(exact.var**0.5), "exact": exact.pmf(x)}
    return found | {method: np.asarray(walk(kernel, n, method=method).pmf(x)) for method in APPROXIMATIONS}


def quotes(data: Data) -> list[Quote]:
    found = []
    for name, part in data.items():
        for method, word in APPROXIMATIONS.items():
            error = np.abs(part[method] - part["exact"])
            found.append(Quote(f"{name}: {word}, largest error / peak", error.max() / part["exact"].max()))
    for name, part in data.items():
        for method, word in APPROXIMATIONS.items():
            where = _parting(part["x"], part["exact"], part[method], part.number("std"))
            if where is not None:
                found.append(Quote(f"{name}: {word}, std beyond which the error stays above {OFF:.0%}", where))
    return found


def _parting(x: Any, exact: Any, approximation: Any, std: float) -> float | None:
    """The distance in std from which on the relative error is above `OFF`; None where it never is."""
    wrong = np.abs(approximation / exact - 1) > OFF
    right = np.abs(x[~wrong])
    out = np.abs(x[wrong & (np.abs(x) > (right.max() if right.size else -1))])
    return float(out.min() / std) if out.size else None


def draw(data: Data) -> Figure:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    figure = page(6.6)
    panels = figure.subplots(3, len(data))
    for (name, part), (linear, log, relative) in zip(data.items(), panels.T):
        x, std = part["x"], part.number("std")
        for ax in (linear, log):
            ax.plot(x, part["exact"], "_", color="black", markersize=6, label="exact")
        for (method, word), style, size in zip(APPROXIMATIONS.items(), LINES[1:], (4.5, 3, 1.5)):
            look = dict(color=style["color"], marker=style["marker"], markersize=size, linestyle="none", label=word,
                        markerfacecolor="none")
            for ax in (linear, log):
                ax.plot(x, np.where(part[method] > 0, part[method], np.nan), **look)
            relative.plot(x, part[method] / part["exact"], **look)
        reach = min(4.2 * std, 1.08 * float(x.max()))
        linear.set(title=f"{name} of 3×3, σ = {std:.3g} px", xlim=(-reach, reach), ylim=(0, None))
        log.set(yscale="log", ylim=(0.1 * part["exact"].min(), 5 * part["exact"].max()))
        relative.axhline(1, color="black", linewidth=0.8)
        relative.set(yscale="log", xlabel="input pixels from the centre")
        low, high = np.clip(relative.get_ylim(), 0.05, 20)
        relative.set_ylim(low, high)
        if high < 10 * low:
            relative.yaxis.set_major_locator(LogLocator(10, (1, 2, 3, 5, 7)) if high > 2 * low else
                                             MaxNLocator(4, steps=(1, 2, 5, 10)))
            relative.yaxis.set_major_formatter("{x:.3g}")
            relative.yaxis.set_minor_locator(NullLocator())
    for ax, label in zip(panels[:, 0], ("probability", "probability, whole support", "approximation / exact")):
        ax.set_ylabel(label)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    letters(panels.flat)
    return figure


def caption(data: Data) -> str:
    return ("The exact distribution of the field of a chain of 3×3 layers along one axis, and three approximations at "
            "the same pixels. The Edgeworth series is left out where it is negative.")
