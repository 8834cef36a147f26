"""Finite width: E[g^2] is the theory's at every width; what narrows with the width is the scatter around it.

Two averages over the same kind of networks: the map of E[g^2], and the mean of maps that were each divided
by their sum.  The second is the average that pictures invite, and it is another statistic: narrow deep
networks have a few large gradients in single maps, and weighing all maps equally makes the field look wider.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..layers.weights import Random
from ..networks import zoo
from ..plotting import LINES
from .base import Arrays, Axes, Data, Desk, Figure, Options, Part, Quote, Spec, scalars
from .panels import AMPLITUDE, annotate, letters, page, panel_map
from .sampling import SIZES, generator, jackknife, measure, predicted, stops_of

__all__ = ["caption", "compute", "draw", "parts", "quotes"]

LAYERS = 20
CASES = {"linear": (None, 1.0), "ReLU": ("relu", 2.0)}
STATISTICS = {"power": "$E[g^2]$", "normalised": "each map over its sum"}
SHOWN = (2, 4, 16, 64)  # widths whose maps are drawn


def parts(options: Options) -> dict[str, Spec]:
    widths = options.pick((1, 2, 4, 8, 16, 32, 64), SHOWN)
    return {f"{case}, width {width}": {
        "case": case, "layers": LAYERS, "width": width, "maps": 20, "draws": options.draws(max(12_800 // width, 200)),
        "seed": [options.seed, i, width]}
            for i, case in enumerate(CASES) for width in widths if not (case == "ReLU" and width == 1)}


def compute(spec: Spec, desk: Desk) -> Arrays:
    function, gain = CASES[spec["case"]]
    net = zoo.plain(spec["layers"], activation=function, weights=Random(gain=gain))
    channels = {"width": spec["width"], "channels_in": spec["width"]}
    found = predicted(net, **channels)
    stops = stops_of(spec["draws"])
    for name, how in (("power", None), ("normalised", "draw")):
        fields = measure(net, draws=stops, normalise=how, rng=generator(spec), progress=desk.progress, **channels)
        found |= jackknife(fields, stops, {name: SIZES["std"]})
        if how is None:
            last = fields[-1]
            totals = last.moments.table[:, 0]
            found |= scalars(dead=last.dead / last.draws, median=float(np.median(totals) / found["theory_total"]))
    few = measure(net, draws=min(spec["maps"], spec["draws"]), rng=generator(spec), **channels)
    return found | {"few": few.share.astype(np.float32)}


def quotes(data: Data) -> list[Quote]:
    found = []
    for key, words in (("power", "std of E[g^2]"), ("normalised", "std, each map over its sum")):
        found += [Quote(f"{name}: {words}", part.number(key), part.number(f"{key}_error"), part.number("theory_std"))
                  for name, part in data.items()]
    return found + [Quote(f"{name}: fraction of networks whose gradient is zero", part.number("dead"))
                    for name, part in data.items() if part.number("dead") > 0]


def draw(data: Data) -> Figure:
    figure = page(4.6)
    rows: Any = figure.subfigures(2, 1, height_ratios=[1, 1.5])
    panels = rows[0].subplots(1, len(SHOWN) + 1)
    for ax, width in zip(panels, SHOWN):
        part = data[f"ReLU, width {width}"]
        image = panel_map(ax, part, "few")
        ax.set_title(f"width {width}")
        annotate(ax, f"{min(part.spec['maps'], part.spec['draws'])} networks")
    panel_map(panels[-1], part, "theory")
    panels[-1].set_title("theory")
    for ax in panels:
        ax.set_xlabel("x, input pixels")
        ax.tick_params(labelleft=ax is panels[0])
    panels[0].set_ylabel("y, input pixels")
    rows[0].colorbar(image, ax=panels, shrink=0.8, pad=0.01).set_label(AMPLITUDE.replace(" / ", "\n/ "))
    left, right = rows[1].subplots(1, 2)
    _draw_widths(left, data)
    _draw_scatter(right, data)
    letters([*panels, left, right])
    return figure


def caption(data: Data) -> str:
    draws = sorted({part.spec["draws"] for part in data.values()})
    return (f"{LAYERS} layers of 3×3. Above: maps of a few networks with ReLU of each width. Below: {draws[0]} to "
            f"{draws[-1]} networks; σ over that of the theory, for two ways to average, and the median over networks "
            "of the sum of a map over its expectation.")


def _draw_widths(ax: Axes, data: Data) -> None:
    """Std over that of the theory, for both statistics."""
    for i, (case, (key, words)) in enumerate((c, s) for c in CASES for s in STATISTICS.items()):
        chosen = _of(data, case)
        width = [part.spec["width"] for part in chosen]
        theory = np.array([part.number("theory_std") for part in chosen])
        value, error = (np.array([part.number(name) for part in chosen]) / theory for name in (key, f"{key}_error"))
        ax.errorbar(width, value, error, color=LINES[i]["color"], marker=LINES[i]["marker"],
                    linestyle=LINES[i]["linestyle"], linewidth=1, label=f"{case}, {words}")
    ax.axhline(1, color="black", linewidth=0.8)
    _width_axis(ax, data)
    ax.set_ylabel("σ, measured / theory")
    ax.legend()


def _draw_scatter(ax: Axes, data: Data) -> None:
    """The sum of a typical map: far below its expectation in narrow networks."""
    for case, style in zip(CASES, LINES[::2]):
        chosen = [part for part in _of(data, case) if part.number("median") > 0]
        ax.plot([part.spec["width"] for part in chosen], [part.number("median") for part in chosen],
                color=style["color"], marker=style["marker"], linestyle=style["linestyle"], label=case)
    ax.axhline(1, color="black", linewidth=0.8)
    ax.set_yscale("log")
    _width_axis(ax, data)
    ax.set_ylabel("median of the sum of a map / expectation")
    ax.legend()


def _of(data: Data, case: str) -> list[Part]:
    return [part for part in data.values() if part.spec["case"] == case]


def _width_axis(ax: Axes, data: Data) -> None:
    widths = sorted({part.spec["width"] for part in data.values()})
    ax.set_xscale("log", base=2)
    ax.set_xticks(widths, [str(width) for width in widths])
    ax.set_xlabel("width: channels of every layer")
    ax.minorticks_off()
