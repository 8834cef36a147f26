"""Figure 1: stacks of 3x3 layers with all-ones, random, and random weights with ReLU.

Maps of as many random networks as the paper ran, beside the theory; and the width at 4.55 % of the centre over
the side of the theoretical receptive field.  The published panels called "uniform" are as wide as random weights
make them, not all-ones ones.
"""

from __future__ import annotations

from typing import Any

from ..layers.weights import Constant, Random
from ..networks import zoo
from ..networks.network import Network
from ..plotting import LINES
from .base import Axes, Data, Figure, Options, Part, Quote, Spec
from .panels import letters, map_grid, page, plus_minus
from .sampling import both

__all__ = ["caption", "compute", "draw", "parts", "quotes"]

LAYERS = (5, 10, 20, 40)
CASES = ("all ones", "random", "random + ReLU")
#: Width at 4.55 % over the side, digitised from the published panels, about +-3 %.
PUBLISHED: dict[str, dict[int, float]] = {
    "all ones": {10: 0.773, 20: 0.578, 40: 0.440}, "random": {20: 0.583, 40: 0.436},
    "random + ReLU": {10: 0.621, 20: 0.505, 40: 0.376}}


def network(spec: Spec) -> Network:
    """3x3 convolutions of one of the three cases, of gain 1 per layer."""
    if spec["case"] == "all ones":
        return zoo.plain(spec["layers"], weights=Constant())
    relu = spec["case"] == "random + ReLU"
    return zoo.plain(spec["layers"], activation="relu" if relu else None, weights=Random(gain=2.0 if relu else 1.0))


compute = both(network)


def parts(options: Options) -> dict[str, Spec]:
    return {f"{case}, {layers}": {"case": case, "layers": layers, "width": 16,
                                  "statistic": "mean" if case == "all ones" else "power",
                                  "draws": options.draws(20), "seed": [options.seed, i, layers]}
            for i, case in enumerate(CASES) for layers in LAYERS}


def quotes(data: Data) -> list[Quote]:
    named = [("{layers} layers, {case}".format(**part.spec), part) for part in data.values()]
    return [part.quote(f"{name}: width / side of the TRF", "width", part.number("side"),
                       PUBLISHED[part.spec["case"]].get(part.spec["layers"])) for name, part in named] + [
        part.quote(f"{name}: std of {part.spec['statistic']}", "std") for name, part in named]


def draw(data: Data) -> Figure:
    figure = page(8.6)
    parts: Any = figure.subfigures(2, 1, height_ratios=[6.4, 2.2])
    above, below = parts
    panels = above.subplots(4, len(LAYERS))
    rows = {f"{case},\n{words}": [(data[f"{case}, {n}"], of) for n in LAYERS] for case, words, of in (
        ("all ones", "exact", "theory"), ("random", "theory", "theory"), ("random", "measured", "measured"),
        ("random + ReLU", "measured", "measured"))}
    image = map_grid(panels, rows, [f"{n} layers, TRF {2 * n + 1} px" for n in LAYERS], _words)
    above.colorbar(image, ax=panels, shrink=0.4, aspect=30, pad=0.01).set_label(
        "$|E[g]|$ (all ones), else RMS gradient $E[g^2]^{1/2}$, / maximum")
    ax = below.subplots()
    _draw_widths(ax, data)
    letters([*panels.flat, ax])
    return figure


def caption(data: Data) -> str:
    draws = next(iter(data.values())).spec["draws"]
    return (f"Stacks of 3×3 convolutions, {draws} random networks each; every panel shows the whole TRF. Theory is the "
            "same with and without ReLU, and exact for all ones. Numbers: width at 4.55 % of the centre / side of the "
            "TRF. Below: the same, with the widths of the published panels, of which \"all ones\" is called uniform.")


def _words(part: Part, of: str) -> str:
    side = part.number("side")
    return plus_minus(part, "width", side, 3) if of == "measured" else f"{part.number('theory_width') / side:.3f}"


def _draw_widths(ax: Axes, data: Data) -> None:
    """Widths over sides: theory as lines, measured as markers, published as open ones."""
    for i, (case, style) in enumerate(zip(CASES, LINES)):
        chosen = [data[f"{case}, {n}"] for n in LAYERS]
        sides = [part.number("side") for part in chosen]
        if i < 2:
            ax.plot(LAYERS, [part.number("theory_width") / side for part, side in zip(chosen, sides)],
                    color=style["color"], linestyle=style["linestyle"], label=f"{case}, theory")
        if i:
            ax.errorbar(LAYERS, [part.number("width") / side for part, side in zip(chosen, sides)],
                        [part.number("width_error") / side for part, side in zip(chosen, sides)], color=style["color"],
                        marker=style["marker"], linestyle="none", label=f"{case}, measured")
        ax.plot([n * 1.06 for n in PUBLISHED[case]], list(PUBLISHED[case].values()), linestyle="none", markersize=6,
                marker=style["marker"], color=style["color"], markerfacecolor="none", label=f"{case}, published")
    ax.set(xscale="log", xlabel="layers", ylabel="width at 4.55 % / side of the TRF")
    ax.set_xticks(LAYERS, [str(n) for n in LAYERS])
    ax.minorticks_off()
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
