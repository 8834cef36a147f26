"""Three nonlinearities at 20 layers: ReLU, tanh and sigmoid spread a gradient alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..layers.weights import Random
from ..networks import zoo
from .base import Arrays, Data, Desk, Options, Part, Quote, Spec
from .panels import maps_over_marginals
from .sampling import generator, measured, predicted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compute", "draw", "parts", "quotes"]

#: Gain of the weights, and the published width at 4.55 % over the side, digitised, about +-3 %.
FUNCTIONS = {"ReLU": (2.0, 0.558), "tanh": (1.0, 0.577), "sigmoid": (1.0, 0.580)}


def parts(options: Options) -> dict[str, Spec]:
    return {name: {"function": name.lower(), "layers": 20, "gain": gain, "width": 16, "draws": options.draws(100, 16),
                   "seed": [options.seed, i]} for i, (name, (gain, _)) in enumerate(FUNCTIONS.items())}


def compute(spec: Spec, desk: Desk) -> Arrays:
    net = zoo.plain(spec["layers"], activation=spec["function"], weights=Random(gain=spec["gain"]))
    return predicted(net) | measured(net, desk, draws=spec["draws"], rng=generator(spec), width=spec["width"])


def quotes(data: Data) -> list[Quote]:
    found = []
    for name, part in data.items():
        side = part.number("side")
        found += [Quote(f"{name}: width / side of the TRF", part.number("width") / side,
                        part.number("width_error") / side, part.number("theory_width") / side,
                        FUNCTIONS[name][1]),
                  Quote(f"{name}: std of power", part.number("std"), part.number("std_error"),
                        part.number("theory_std"))]
    return found


def draw(data: Data) -> Figure:
    some = next(iter(data.values()))
    return maps_over_marginals(
        list(data.items()), f"{some.spec['layers']} layers of 3×3 convolutions with three nonlinearities, "
        f"{some.spec['draws']} random networks each.\nNumber in a panel: width at 4.55 % of the centre / "
        f"side of the TRF ({some.number('side'):.0f} px)", words=_width)


def _width(part: Part, of: str) -> str:
    return f"{part.number('width' if of == 'measured' else 'theory_width') / part.number('side'):.3f}"
