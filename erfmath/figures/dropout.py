"""Dropout leaves the shape of the effective receptive field alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..layers import Activation, Conv, Dropout
from ..networks.building import repeat, serial
from .base import Arrays, Data, Desk, Options, Part, Quote, Spec
from .panels import maps_over_marginals
from .sampling import generator, measured, predicted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compute", "draw", "parts", "quotes"]

PROBABILITIES = (0.0, 0.2, 0.5)


def parts(options: Options) -> dict[str, Spec]:
    return {f"p = {p:g}": {"dropout": p, "layers": 20, "width": 32, "draws": options.draws(200, 12),
                           "seed": [options.seed, i]} for i, p in enumerate(PROBABILITIES)}


def compute(spec: Spec, desk: Desk) -> Arrays:
    net = repeat(serial(Conv(3), Activation("relu"), Dropout(spec["dropout"])), spec["layers"])
    return predicted(net) | measured(net, desk, draws=spec["draws"], rng=generator(spec), width=spec["width"])


def quotes(data: Data) -> list[Quote]:
    found = []
    for name, part in data.items():
        found += [Quote(f"{name}: std of power", part.number("std"), part.number("std_error"),
                        part.number("theory_std")),
                  Quote(f"{name}: width at 4.55 %", part.number("width"), part.number("width_error"),
                        part.number("theory_width"))]
    return found


def draw(data: Data) -> Figure:
    some = next(iter(data.values())).spec
    return maps_over_marginals(
        [(f"dropout {name}", part) for name, part in data.items()],
        f"{some['layers']} layers of 3×3 convolution, ReLU, dropout; {some['draws']} random networks each.\n"
        "The theory is the same for all", words=_words)


def _words(part: Part, of: str) -> str:
    return f"std {part.number('std' if of == 'measured' else 'theory_std'):.2f} px"
