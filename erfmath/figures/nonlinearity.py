"""Three nonlinearities at 20 layers: ReLU, tanh and sigmoid spread a gradient in the same way."""

from __future__ import annotations

from ..layers.weights import Random
from ..networks import zoo
from ..networks.network import Network
from .base import Data, Figure, Options, Part, Quote, Spec
from .panels import plus_minus, ratios
from .sampling import both

__all__ = ["caption", "compute", "draw", "parts", "quotes"]

#: Gain of the weights, and the published width at 4.55 % over the side, digitised, about +-3 %.
FUNCTIONS = {"ReLU": (2.0, 0.558), "tanh": (1.0, 0.577), "sigmoid": (1.0, 0.580)}


def parts(options: Options) -> dict[str, Spec]:
    return {name: {"function": name.lower(), "layers": 20, "gain": gain, "width": 16, "draws": options.draws(100),
                   "seed": [options.seed, i]} for i, (name, (gain, _)) in enumerate(FUNCTIONS.items())}


def network(spec: Spec) -> Network:
    return zoo.plain(spec["layers"], activation=spec["function"], weights=Random(gain=spec["gain"]))


compute = both(network)


def quotes(data: Data) -> list[Quote]:
    return [quote for name, part in data.items() for quote in (
        part.quote(f"{name}: width / side of the TRF", "width", part.number("side"), FUNCTIONS[name][1]),
        part.quote(f"{name}: std of power", "std"))]


def draw(data: Data) -> Figure:
    return ratios(dict(data), _words, "theory of all three")


def caption(data: Data) -> str:
    some = next(iter(data.values()))
    return (f"{some.spec['layers']} layers of 3×3 convolutions with three nonlinearities, {some.spec['draws']} random "
            f"networks each, with standard errors; w: width at 4.55 % of the centre / side of the TRF "
            f"({some.number('side'):.0f} px).")


def _words(part: Part, of: str) -> str:
    side = part.number("side")
    if of == "measured":
        return f"w = {plus_minus(part, 'width', side, 3)}"
    return f"w = width / TRF\n    = {part.number('theory_width') / side:.3f}"
