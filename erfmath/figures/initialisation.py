"""Section 4 of the paper: an initialisation with more variance at the rim of the kernel sees farther.

Profiles from equal variances to all of it in the four corners, which is the most there can be: the field
then grows by the root of 3 (k - 1) / (k + 1), but its pixels are those of one parity only.
"""

from __future__ import annotations

import math

import numpy as np

from ..lattice import kernels
from ..layers.weights import Random
from ..networks import zoo
from ..networks.network import Network
from ..plotting import LINES
from .base import Axes, Data, Figure, Options, Part, Quote, Spec, ratio
from .panels import AMPLITUDE, draw_marginal, letters, map_grid, page, plus_minus, rows_of
from .sampling import both

__all__ = ["caption", "compute", "draw", "parts", "quotes"]

#: Fraction of the variance that has moved to the rim.
PROFILES = {"equal": 0.0, "soft rim, half": 0.5, "corners": 1.0}
MOVED = list(PROFILES)[1:]
LAYERS = {3: 10, 5: 6, 7: 4}  # by kernel size; even, so that the centre has the parity of the corners


def parts(options: Options) -> dict[str, Spec]:
    return {f"{name}, k = {k}": {"rim": rim, "kernel": k, "layers": layers, "width": 16,
                                 "draws": options.draws(1000), "seed": [options.seed, i, k]}
            for k, layers in LAYERS.items() for i, (name, rim) in enumerate(PROFILES.items())}


def network(spec: Spec) -> Network:
    profile = kernels.soft_rim(spec["kernel"], spec["rim"]).pmf
    return zoo.plain(spec["layers"], spec["kernel"], activation="relu", weights=Random(gain=2.0, profile=profile))


compute = both(network)


def bound(k: int) -> float:
    """The largest factor on the std that any profile of k taps can bring."""
    return math.sqrt(3 * (k - 1) / (k + 1))


def quotes(data: Data) -> list[Quote]:
    found = []
    for k in LAYERS:
        found += [data[f"{name}, k = {k}"].quote(f"k = {k}, {name}: std of power", "std") for name in PROFILES]
        found += [Quote(f"k = {k}, {name}: std over that of equal variances",
                        *ratio(data[f"{name}, k = {k}"], data[f"equal, k = {k}"], "std")) for name in MOVED]
        found.append(Quote(f"k = {k}: bound of that ratio", bound(k)))
    return found


def draw(data: Data) -> Figure:
    figure = page(7.2)
    grid = figure.add_gridspec(3, 6, height_ratios=[1, 1, 1.1])
    panels = np.array([[figure.add_subplot(grid[i, 2 * j:2 * j + 2]) for j in range(3)] for i in range(2)])
    columns = [data[f"{name}, k = 3"] for name in PROFILES]
    image = map_grid(panels, rows_of(columns), list(PROFILES), _words)
    figure.colorbar(image, ax=panels, shrink=0.8, pad=0.02).set_label(AMPLITUDE)
    left, right = figure.add_subplot(grid[2, :3]), figure.add_subplot(grid[2, 3:])
    for i, (name, part) in enumerate(zip(PROFILES, columns)):
        draw_marginal(left, part, i, name)
    left.set(xlabel="x, input pixels from the centre", ylabel="marginal of normalised $E[g^2]$", ylim=(0, None))
    _draw_factors(right, data)
    for ax in (left, right):
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    letters([*panels.flat, left, right])
    return figure


def caption(data: Data) -> str:
    some = data["equal, k = 3"].spec
    return (f"{some['layers']} layers of 3×3 with ReLU whose variance per tap is moved to the rim of the kernel: none, "
            f"half, all of it; {some['draws']} random networks each. Right: other kernel sizes; no kernel "
            "passes the root of 3.")


def _draw_factors(ax: Axes, data: Data) -> None:
    k = np.linspace(2, 9, 100)
    ax.plot(k, np.sqrt(3 * (k - 1) / (k + 1)), color="black", linewidth=1, label="bound: all in the corners")
    ax.axhline(3**0.5, color="#808080", linewidth=0.8, linestyle=":", label="$3^{1/2}$")
    for style, name in zip(LINES[1:], MOVED):
        factors, errors, theory = zip(*(ratio(data[f"{name}, k = {size}"], data[f"equal, k = {size}"], "std")
                                        for size in LAYERS))
        ax.errorbar(list(LAYERS), factors, errors, color=style["color"], marker=style["marker"], linestyle="none",
                    markerfacecolor="none", label=f"{name}, measured")
        ax.plot(list(LAYERS), theory, "_", color=style["color"], markersize=14, label=f"{name}, theory")
    ax.set(xlabel="kernel size k", ylabel="σ / σ of equal variances", ylim=(0.95, 1.8), xticks=range(2, 10))


def _words(part: Part, of: str) -> str:
    number = plus_minus(part, "std", digits=3) if of == "measured" else f"{part.number('theory_std'):.3f}"
    return f"σ = {number} px"
