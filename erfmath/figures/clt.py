"""How good is the Gaussian?  The exact law of a chain beside its approximations, and where the tails part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..lattice import kernels
from ..plotting import LINES
from ..walks import walk
from .base import Arrays, Data, Desk, Options, Quote, Spec
from .panels import page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compute", "draw", "parts", "quotes"]

LAYERS = (3, 10, 40)
APPROXIMATIONS = {"normal": "Gaussian", "edgeworth": "Edgeworth", "saddlepoint": "saddlepoint"}
OFF = 0.1  # relative error from which on the tails have parted


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
                found.append(Quote(f"{name}: {word} off by more than {OFF:.0%} from ... std on", where))
    return found


def _parting(x: Any, exact: Any, approximation: Any, std: float) -> float | None:
    """The distance in std from which on the relative error is above `OFF`; None where it never is."""
    wrong = np.abs(approximation / exact - 1) > OFF
    right = np.abs(x[~wrong])
    out = np.abs(x[wrong & (np.abs(x) > (right.max() if right.size else -1))])
    return float(out.min() / std) if out.size else None


def draw(data: Data) -> Figure:
    figure = page(10.4, 8.6)
    panels = figure.subplots(3, len(data), sharey=False)
    for j, (name, part) in enumerate(data.items()):
        for ax in panels[:2, j]:
            ax.plot(part["x"], part["exact"], "o", color="black", markersize=4, markerfacecolor="none", label="exact")
        for (method, word), style in zip(APPROXIMATIONS.items(), LINES[1:]):
            label = f"{word} (ends where it is negative)" if method == "edgeworth" else word
            look = dict(color=style["color"], linestyle=style["linestyle"], label=label)
            for ax in panels[:2, j]:
                ax.plot(part["x"], np.where(part[method] > 0, part[method], np.nan), **look)
            panels[2, j].plot(part["x"], part[method] / part["exact"], **look)
        std = part.number("std")
        panels[0, j].set_title(f"{name} of 3×3, std {std:.3g} px", fontsize="medium")
        reach = min(4.2 * std, 1.08 * float(part["x"].max()))
        panels[0, j].set_xlim(-reach, reach)
        panels[1, j].set_yscale("log")
        panels[1, j].set_ylim(0.1 * part["exact"].min(), 5 * part["exact"].max())
        panels[2, j].axhline(1, color="black", linewidth=0.8)
        panels[2, j].set_yscale("log")
        panels[2, j].set_ylim(0.05, 20)
        panels[2, j].set_xlabel("input pixels from the centre")
    for ax, label in zip(panels[:, 0], ("probability", "probability, whole support", "approximation / exact")):
        ax.set_ylabel(label)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return figure
