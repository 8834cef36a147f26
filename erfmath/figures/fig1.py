"""Figure 1: stacks of 3x3 layers with all-ones, random, and random weights with ReLU.

Amplitudes over as many random networks as the paper ran, below each the theory, and the width at 4.55 %
of the centre over the side of the theoretical receptive field.  The last row is about the published
panels called "uniform": they are as wide as random weights make them, not all-ones ones.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..layers.weights import Constant, Random
from ..networks import zoo
from ..networks.network import Network
from ..plotting import LINES
from ..results.sizes import LEVEL
from .base import Arrays, Data, Desk, Options, Part, Quote, Spec
from .panels import line_through_center, map_grid, page
from .sampling import generator, measured, predicted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compute", "draw", "parts", "quotes"]

LAYERS = (5, 10, 20, 40)
CASES = ("all ones", "random", "random + ReLU")
#: Width at 4.55 % over the side, digitised from the published panels, about +-3 %.
PUBLISHED: dict[str, dict[int, float]] = {
    "all ones": {10: 0.773, 20: 0.578, 40: 0.440}, "random": {20: 0.583, 40: 0.436},
    "random + ReLU": {10: 0.621, 20: 0.505, 40: 0.376}}


def network(case: str, layers: int) -> Network:
    """`layers` 3x3 convolutions of one of the three cases, of gain 1 per layer."""
    if case == "all ones":
        return zoo.plain(layers, weights=Constant())
    relu = case == "random + ReLU"
    return zoo.plain(layers, activation="relu" if relu else None, weights=Random(gain=2.0 if relu else 1.0))


def parts(options: Options) -> dict[str, Spec]:
    return {f"{case}, {layers}": {"case": case, "layers": layers, "width": 16,
                                  "statistic": "mean" if case == "all ones" else "power",
                                  "draws": options.draws(20, 8), "seed": [options.seed, i, layers]}
            for i, case in enumerate(CASES) for layers in LAYERS}


def compute(spec: Spec, desk: Desk) -> Arrays:
    net = network(spec["case"], spec["layers"])
    return predicted(net) | measured(net, desk, draws=spec["draws"], rng=generator(spec), width=spec["width"])


def quotes(data: Data) -> list[Quote]:
    found = []
    for part in data.values():
        layers, case, side = part.spec["layers"], part.spec["case"], part.number("side")
        found.append(Quote(f"{layers} layers, {case}: width / side of the TRF", part.number("width") / side,
                           part.number("width_error") / side, part.number("theory_width") / side,
                           PUBLISHED[case].get(layers)))
    return found + [Quote(f"{part.spec['layers']} layers, {part.spec['case']}: std of {part.spec['statistic']}",
                          part.number("std"), part.number("std_error"), part.number("theory_std"))
                    for part in data.values()]


def draw(data: Data) -> Figure:
    figure = page(8.4, 13.6)
    rows = 2 * len(CASES)
    panels = figure.subplots(rows + 1, len(LAYERS), gridspec_kw={"height_ratios": [1] * rows + [1.2]})
    image: Any = None
    for i, case in enumerate(CASES):
        columns = [("" if i else f"{n} layers, TRF {2 * n + 1} px", data[f"{case}, {n}"]) for n in LAYERS]
        image = map_grid(panels[2 * i:2 * i + 2], columns, words=_width, names=(f"{case}\nmeasured", f"{case}\ntheory"))
    for ax, layers in zip(panels[rows], LAYERS):
        _draw_cuts(ax, data, layers)
    panels[rows, 0].set_ylabel("amplitude / centre,\nalong y = 0")
    figure.legend(*panels[rows, 1].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    bar = figure.colorbar(image, ax=panels[:rows, :], location="right", shrink=0.3, aspect=30, pad=0.01)
    bar.set_label("amplitude / maximum: $|E[g]|$ for all ones, else $E[g^2]^{1/2}$")
    figure.suptitle("Stacks of 3×3 convolutions; each panel shows the whole theoretical receptive field (TRF).\n"
                    "Number in a panel: width at 4.55 % of the centre / side of the TRF", fontsize="large")
    return figure


def _width(part: Part, of: str) -> str:
    return f"{part.number('width' if of == 'measured' else 'theory_width') / part.number('side'):.3f}"


def _draw_cuts(ax: Any, data: Data, layers: int) -> None:
    """Both laws against the published width of the "uniform" panel."""
    side = data[f"random, {layers}"].number("side")
    for case, style in zip(("all ones", "random"), LINES):
        ax.plot(*line_through_center(data[f"{case}, {layers}"]), color=style["color"],
                linestyle=style["linestyle"], label=f"{case}, theory")
    ax.axhline(LEVEL, color="#808080", linewidth=0.8, linestyle=":", label="4.55 % of the centre")
    if layers in PUBLISHED["all ones"]:
        radius = PUBLISHED["all ones"][layers] * side / math.sqrt(math.pi)  # of a disc of as many pixels
        ax.plot([-radius, radius], [LEVEL, LEVEL], "|", color="#c02020", markersize=14, markeredgewidth=2,
                label='published width of "uniform"')
    ax.set_xlim(-side / 2, side / 2)
    ax.set_ylim(0, 1.05)
    ax.set_xlabel("input pixels from the centre", fontsize="small")
