"""Subsampling and dilation: fifteen 3x3 layers, three of them strided or dilated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..layers import Activation, Conv
from ..networks.building import serial
from .base import Arrays, Data, Desk, Options, Part, Quote, Spec
from .panels import AMPLITUDE, map_grid, page
from .sampling import generator, measured, predicted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compute", "draw", "parts", "quotes"]

LAYERS = 15
#: Layers that are not dense, counted from 1: (stride, dilation).
NETWORKS: dict[str, dict[int, tuple[int, int]]] = {
    "dense": {},
    "stride 2 at 4, 8, 12": {4: (2, 1), 8: (2, 1), 12: (2, 1)},
    "dilation 2, 4, 8 at 4, 8, 12": {4: (1, 2), 8: (1, 4), 12: (1, 8)},
}
#: Width at 4.55 % over that of the dense network, digitised, about +-3 %.
PUBLISHED = {"stride 2 at 4, 8, 12": 3.88, "dilation 2, 4, 8 at 4, 8, 12": 2.08}


def parts(options: Options) -> dict[str, Spec]:
    return {name: {"layers": [special.get(n, (1, 1)) for n in range(1, LAYERS + 1)], "width": 16,
                   "draws": options.draws(100, 10), "seed": [options.seed, i]}
            for i, (name, special) in enumerate(NETWORKS.items())}


def compute(spec: Spec, desk: Desk) -> Arrays:
    net = serial(*(serial(Conv(3, stride=stride, dilation=dilation), Activation("relu"))
                   for stride, dilation in spec["layers"]))
    return predicted(net) | measured(net, desk, draws=spec["draws"], rng=generator(spec), width=spec["width"])


def quotes(data: Data) -> list[Quote]:
    found = []
    for name, part in data.items():
        found += [Quote(f"{name}: side of the TRF", part.number("side")),
                  Quote(f"{name}: std of power", part.number("std"), part.number("std_error"),
                        part.number("theory_std")),
                  Quote(f"{name}: width at 4.55 %", part.number("width"), part.number("width_error"),
                        part.number("theory_width"))]
    dense = data["dense"]
    for name in PUBLISHED:
        part = data[name]
        ratio = part.number("width") / dense.number("width")
        error = ratio * sum((p.number("width_error") / p.number("width"))**2 for p in (part, dense))**0.5
        found.append(Quote(f"{name}: width / that of dense", ratio, error,
                           part.number("theory_width") / dense.number("theory_width"), PUBLISHED[name]))
    return found


def draw(data: Data) -> Figure:
    figure = page(9.2, 6.4)
    panels = figure.subplots(2, len(data))
    reach = 0.52 * max(part.number("side") for part in data.values())
    columns = [(f"{name}\nTRF {part.number('side'):.0f} px (dashed)", part) for name, part in data.items()]
    image = map_grid(panels, columns, words=_words, reach=reach, box=True)
    for ax in panels[-1]:
        ax.set_xlabel("x, input pixels", fontsize="small")
    figure.colorbar(image, ax=panels, shrink=0.7, pad=0.02).set_label(AMPLITUDE)
    draws = data["dense"].spec["draws"]
    figure.suptitle(f"Fifteen 3×3 layers with ReLU on one scale, {draws} random networks each", fontsize="medium")
    return figure


def _words(part: Part, of: str) -> str:
    prefix = "theory_" if of == "theory" else ""
    return f"std {part.number(prefix + 'std'):.2f} px\nwidth {part.number(prefix + 'width'):.1f} px"
