"""Section 4 of the paper: an initialisation with more variance at the rim of the kernel sees farther.

Profiles from equal variances to all of it in the four corners, which is the most there can be: the field
then grows by the root of 3 (k - 1) / (k + 1), but its pixels are those of one parity only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..lattice import kernels
from ..layers.weights import Random
from ..networks import zoo
from ..plotting import LINES
from .base import Arrays, Data, Desk, Options, Part, Quote, Spec
from .panels import AMPLITUDE, draw_marginal, map_grid, page
from .sampling import generator, measured, predicted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["compute", "draw", "parts", "quotes"]

#: Part of the variance that has moved to the rim.
PROFILES = {"equal": 0.0, "soft rim, half": 0.5, "corners": 1.0}
SIZES = (3, 5, 7)
LAYERS = {3: 10, 5: 6, 7: 4}  # even, so that the centre has the parity of the corners


def parts(options: Options) -> dict[str, Spec]:
    draws = options.draws(1000, 40)
    return {f"{name}, k = {k}": {"rim": rim, "kernel": k, "layers": LAYERS[k], "width": 16, "draws": draws,
                                 "seed": [options.seed, i, k]}
            for k in SIZES for i, (name, rim) in enumerate(PROFILES.items())}


def compute(spec: Spec, desk: Desk) -> Arrays:
    profile = kernels.soft_rim(spec["kernel"], spec["rim"]).pmf
    net = zoo.plain(spec["layers"], spec["kernel"], activation="relu", weights=Random(gain=2.0, profile=profile))
    return predicted(net) | measured(net, desk, draws=spec["draws"], rng=generator(spec), width=spec["width"])


def bound(k: int) -> float:
    """The largest factor on the std that any profile of k taps can bring."""
    return math.sqrt(3 * (k - 1) / (k + 1))


def quotes(data: Data) -> list[Quote]:
    found = []
    for k in SIZES:
        equal = data[f"equal, k = {k}"]
        for name in PROFILES:
            part = data[f"{name}, k = {k}"]
            found.append(Quote(f"k = {k}, {name}: std of power", part.number("std"), part.number("std_error"),
                               part.number("theory_std")))
        for name in ("soft rim, half", "corners"):
            ratio, error = _ratio(data[f"{name}, k = {k}"], equal)
            theory = data[f"{name}, k = {k}"].number("theory_std") / equal.number("theory_std")
            found.append(Quote(f"k = {k}, {name}: std over that of equal variances", ratio, error, theory))
        found.append(Quote(f"k = {k}: bound of that ratio", bound(k)))
    return found


def _ratio(part: Part, equal: Part) -> tuple[float, float]:
    ratio = part.number("std") / equal.number("std")
    relative = (p.number("std_error") / p.number("std") for p in (part, equal))
    return ratio, ratio * math.hypot(*relative)


def draw(data: Data) -> Figure:
    figure = page(9.2, 9.4)
    grid = figure.add_gridspec(3, 6, height_ratios=[1, 1, 1.15])
    columns = [(f"{name}, {LAYERS[3]} layers", data[f"{name}, k = 3"]) for name in PROFILES]
    panels = np.array([[figure.add_subplot(grid[i, 2 * j:2 * j + 2]) for j in range(3)] for i in range(2)])
    image = map_grid(panels, columns, words=_words)
    figure.colorbar(image, ax=panels, shrink=0.8, pad=0.02).set_label(AMPLITUDE)
    left, right = figure.add_subplot(grid[2, :3]), figure.add_subplot(grid[2, 3:])
    for i, (_, part) in enumerate(columns):
        draw_marginal(left, part, i, list(PROFILES)[i])
    left.set_xlabel("x, input pixels from the centre")
    left.set_ylabel("share of $E[g^2]$ per column")
    left.set_ylim(0, 0.36)
    left.legend(fontsize="x-small", frameon=False, ncols=2, loc="upper center")
    _draw_factors(right, data)
    figure.suptitle("3×3 layers with ReLU whose variance per tap is moved to the rim of the kernel: none of it, half, "
                    f"all of it;\n{columns[0][1].spec['draws']} random networks each", fontsize="medium")
    return figure


def _draw_factors(ax: Axes, data: Data) -> None:
    k = np.linspace(2, 9, 100)
    ax.plot(k, np.sqrt(3 * (k - 1) / (k + 1)), color="black", linewidth=1, label="bound, all in the corners")
    ax.axhline(3**0.5, color="#808080", linewidth=0.8, linestyle=":", label="$3^{1/2}$, no kernel does better")
    for style, name in zip(LINES[1:], ("soft rim, half", "corners")):
        pairs = [(data[f"{name}, k = {size}"], data[f"equal, k = {size}"]) for size in SIZES]
        ratios, errors = np.array([_ratio(*pair) for pair in pairs]).T
        ax.errorbar(SIZES, ratios, errors, color=style["color"], marker=style["marker"], linestyle="none", capsize=3,
                    markerfacecolor="none", label=f"{name}, measured")
        ax.plot(SIZES, [a.number("theory_std") / b.number("theory_std") for a, b in pairs], "_",
                color=style["color"], markersize=16, label=f"{name}, theory")
    ax.set_xlabel("kernel size k")
    ax.set_ylabel("std / std of equal variances")
    ax.set_ylim(0.95, 1.8)
    ax.set_xticks(range(2, 10))
    ax.legend(fontsize="x-small", frameon=False, loc="lower right", bbox_to_anchor=(1.0, 0.02))


def _words(part: Part, of: str) -> str:
    return f"std {part.number('std' if of == 'measured' else 'theory_std'):.2f} px"
