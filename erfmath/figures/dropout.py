"""Dropout does not change the shape of the effective receptive field."""

from __future__ import annotations

from ..layers import Activation, Conv, Dropout
from ..networks.building import repeat, serial
from ..networks.network import Network
from .base import Data, Figure, Options, Part, Quote, Spec
from .panels import plus_minus, ratios
from .sampling import both

__all__ = ["caption", "compute", "draw", "parts", "quotes"]


def parts(options: Options) -> dict[str, Spec]:
    return {f"p = {p:g}": {"dropout": p, "layers": 20, "width": 32, "draws": options.draws(200),
                           "seed": [options.seed, i]} for i, p in enumerate((0.0, 0.2, 0.5))}


def network(spec: Spec) -> Network:
    return repeat(serial(Conv(3), Activation("relu"), Dropout(spec["dropout"])), spec["layers"])


compute = both(network)


def quotes(data: Data) -> list[Quote]:
    return [quote for name, part in data.items() for quote in (
        part.quote(f"{name}: std of power", "std"), part.quote(f"{name}: width at 4.55 %", "width"))]


def draw(data: Data) -> Figure:
    return ratios({f"dropout, {name}": part for name, part in data.items()}, _words, "theory, any p")


def caption(data: Data) -> str:
    some = next(iter(data.values())).spec
    return (f"{some['layers']} layers of 3×3 convolution, ReLU and dropout with probability p; {some['draws']} random "
            "networks each, with standard errors.")


def _words(part: Part, of: str) -> str:
    return f"σ = {plus_minus(part, 'std') if of == 'measured' else format(part.number('theory_std'), '.2f')} px"
