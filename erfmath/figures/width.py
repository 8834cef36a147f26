"""Finite width: E[g^2] is the theory's at every width; what narrows with the width is the scatter around it.

Two averages over the same kind of networks: the map of E[g^2], and the mean of maps that were each divided
by their sum.  The second is the average that pictures invite, and it is another statistic: narrow deep
networks have a few large gradients in single maps, and weighing all maps alike makes the field look wider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..empirics.measure import measure
from ..layers.weights import Random
from ..networks import zoo
from ..plotting import LINES
from ..theory.predict import predict
from .base import Arrays, Data, Desk, Options, Part, Quote, Spec, scalars
from .panels import AMPLITUDE, annotate, page, panel_map
from .sampling import generator, mean_std

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["compute", "draw", "parts", "quotes"]

LAYERS = 20
CASES = {"linear": (None, 1.0), "ReLU": ("relu", 2.0)}
STATISTICS = {"power": "$E[g^2]$", "normalised": "each map over its sum"}
SHOWN = (2, 4, 16, 64)  # widths whose maps are drawn


def parts(options: Options) -> dict[str, Spec]:
    widths = options.pick((1, 2, 4, 8, 16, 32, 64), (2, 4, 16, 64))
    return {f"{case}, width {width}": {
        "case": case, "layers": LAYERS, "width": width, "maps": 20,
        "draws": options.draws(max(12_800 // width, 200), max(160 // width, 10)), "seed": [options.seed, i, width]}
        for i, case in enumerate(CASES) for width in widths if not (case == "ReLU" and width == 1)}


def compute(spec: Spec, desk: Desk) -> Arrays:
    function, gain = CASES[spec["case"]]
    net = zoo.plain(spec["layers"], activation=function, weights=Random(gain=gain))
    theory = predict(net)
    found: Arrays = {}
    for name, how in (("power", None), ("normalised", "draw")):
        erf = measure(net, draws=spec["draws"], width=spec["width"], channels_in=spec["width"], normalise=how,
                      rng=generator(spec), progress=desk.progress)
        found |= scalars(**{name: mean_std(erf), f"{name}_error": float(erf.std_stderr.mean() / 2**0.5)})
        if how is None:
            totals = erf.moments.table[:, 0] / theory.total
            found |= scalars(dead=erf.dead / erf.draws, median=float(np.median(totals)))
    few = measure(net, draws=min(spec["maps"], spec["draws"]), width=spec["width"], channels_in=spec["width"],
                  rng=generator(spec))
    return found | {"few": few.share.astype(np.float32), "theory": theory.share.astype(np.float32),
                    "origin": np.array(theory.origin), "center": np.array(theory.center),
                    **scalars(theory_std=mean_std(theory))}


def quotes(data: Data) -> list[Quote]:
    found = []
    for key, words in (("power", "std of E[g^2]"), ("normalised", "std, each map over its sum")):
        found += [Quote(f"{name}: {words}", part.number(key), part.number(f"{key}_error"),
                        part.number("theory_std")) for name, part in data.items()]
    return found + [Quote(f"{name}: share of networks whose gradient is zero", part.number("dead"))
                    for name, part in data.items() if part.number("dead") > 0]


def draw(data: Data) -> Figure:
    figure = page(10.4, 6.4)
    rows: Any = figure.subfigures(2, 1, height_ratios=[1, 1.35])
    above, below = rows
    panels = above.subplots(1, len(SHOWN) + 1)
    image: Any = None
    for ax, width in zip(panels, SHOWN):
        part = data[f"ReLU, width {width}"]
        image = panel_map(ax, part, "few")
        ax.set_title(f"width {width}", fontsize="medium")
        annotate(ax, f"{min(part.spec['maps'], part.spec['draws'])} networks")
    panel_map(panels[-1], part, "theory")
    panels[-1].set_title("theory", fontsize="medium")
    for ax in panels[1:]:
        ax.tick_params(labelleft=False)
    above.colorbar(image, ax=panels, shrink=0.75, pad=0.01).set_label(AMPLITUDE.replace(" / ", "\n/ "))
    left, right = below.subplots(1, 2)
    _draw_widths(left, data)
    _draw_scatter(right, data)
    above.suptitle(f"{LAYERS} layers of 3×3 with ReLU: maps of a few networks of each width; below, of many networks",
                   fontsize="medium")
    return figure


def _draw_widths(ax: Axes, data: Data) -> None:
    """std over that of the theory, for both statistics."""
    for i, (case, (key, words)) in enumerate((c, s) for c in CASES for s in STATISTICS.items()):
        chosen = _of(data, case)
        width = [part.spec["width"] for part in chosen]
        theory = np.array([part.number("theory_std") for part in chosen])
        value, error = (np.array([part.number(name) for part in chosen]) / theory for name in (key, f"{key}_error"))
        ax.errorbar(width, value, error, color=LINES[i]["color"], marker=LINES[i]["marker"], capsize=2,
                    linestyle=LINES[i]["linestyle"], linewidth=1, label=f"{case}, {words}")
    ax.axhline(1, color="black", linewidth=0.8)
    _width_axis(ax, data)
    ax.set_ylabel("std measured / theory")
    ax.legend(fontsize="small", frameon=False)


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
    ax.legend(fontsize="small", frameon=False)


def _of(data: Data, case: str) -> list[Part]:
    return [part for part in data.values() if part.spec["case"] == case]


def _width_axis(ax: Axes, data: Data) -> None:
    widths = sorted({part.spec["width"] for part in data.values()})
    ax.set_xscale("log", base=2)
    ax.set_xticks(widths, [str(width) for width in widths])
    ax.set_xlabel("width: channels of every layer")
