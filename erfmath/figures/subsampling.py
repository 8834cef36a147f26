"""Subsampling and dilation: fifteen 3x3 layers, three of them strided or dilated."""

from __future__ import annotations

from ..layers import Activation, Conv
from ..networks.building import serial
from ..networks.network import Network
from .base import Data, Figure, Options, Part, Quote, Spec, ratio
from .panels import AMPLITUDE, letters, map_grid, page, plus_minus, rows_of
from .sampling import both

__all__ = ["caption", "compute", "draw", "parts", "quotes"]

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
                   "draws": options.draws(100), "seed": [options.seed, i]}
            for i, (name, special) in enumerate(NETWORKS.items())}


def network(spec: Spec) -> Network:
    return serial(*(serial(Conv(3, stride=stride, dilation=dilation), Activation("relu"))
                    for stride, dilation in spec["layers"]))


compute = both(network)


def quotes(data: Data) -> list[Quote]:
    found = [quote for name, part in data.items() for quote in (
        Quote(f"{name}: side of the TRF", part.number("side")), part.quote(f"{name}: std of power", "std"),
        part.quote(f"{name}: width at 4.55 %", "width"))]
    return found + [Quote(f"{name}: width / that of dense", *ratio(data[name], data["dense"], "width"), paper)
                    for name, paper in PUBLISHED.items()]


def draw(data: Data) -> Figure:
    figure = page(4.7)
    panels = figure.subplots(2, len(data))
    titles = [name.replace(" at ", "\nin layers ") + f"\nTRF {part.number('side'):.0f} px (dashed)"
              for name, part in data.items()]
    image = map_grid(panels, rows_of(list(data.values())), titles, _words, box=True,
                     reach=0.52 * max(part.number("side") for part in data.values()))
    figure.colorbar(image, ax=panels, shrink=0.7, pad=0.02).set_label(AMPLITUDE)
    letters(panels.flat)
    return figure


def caption(data: Data) -> str:
    some = data["dense"].spec
    return f"{len(some['layers'])} 3×3 layers with ReLU on one scale, {some['draws']} random networks each."


def _words(part: Part, of: str) -> str:
    if of == "theory":
        return f"σ = {part.number('theory_std'):.2f} px\nwidth {part.number('theory_width'):.1f} px"
    return f"σ = {plus_minus(part, 'std')} px\nwidth {plus_minus(part, 'width', digits=1)} px"
