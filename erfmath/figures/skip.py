"""Skip connections: the field of a residual network is a mixture over how many blocks a path enters.

A block is identity + s * (3x3 convolution of gain 1): a path enters it with probability s^2 / (1 + s^2).  Of
twenty blocks it enters a binomial number, none of them with probability (1 + s^2)^-20: that part of the
field is a single pixel, an atom in the centre.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..layers import Conv, Scale
from ..layers.weights import Random
from ..networks.building import repeat, residual, serial
from ..networks.network import Network
from .base import Arrays, Data, Desk, Options, Part, Quote, Spec, scalars
from .panels import maps_over_marginals
from .sampling import SIZES, generator, measured, predicted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compute", "draw", "parts", "quotes"]

LAYERS = 20
#: The factor s of the convolutions; None: no identity beside them.
NETWORKS = {"plain": None, "residual, s = 1": 1.0, "residual, s = 0.3": 0.3}


def parts(options: Options) -> dict[str, Spec]:
    return {name: {"scale": scale, "layers": LAYERS, "width": 16, "draws": options.draws(200, 20),
                   "seed": [options.seed, i]} for i, (name, scale) in enumerate(NETWORKS.items())}


def network(scale: float | None, layers: int) -> Network:
    """`layers` convolutions, each beside an identity if there is a scale; a 1x1 one brings the channels."""
    conv = Conv(3, weights=Random(gain=1.0))
    part = serial(conv) if scale is None else residual(serial(conv, Scale(scale)))
    return serial(Conv(1, weights=Random(gain=1.0)), repeat(part, layers))


def compute(spec: Spec, desk: Desk) -> Arrays:
    net = network(spec["scale"], spec["layers"])
    theory = predicted(net)
    return theory | scalars(theory_centre=theory["theory"].max()) | measured(
        net, desk, draws=spec["draws"], rng=generator(spec), width=spec["width"],
        sizes={**SIZES, "centre": lambda erf: float(erf.crop(0, 0, of="share")[0, 0])})


def entering(scale: float | None) -> float:
    """Probability that a path enters the convolution of a block."""
    return 1.0 if scale is None else scale**2 / (1 + scale**2)


def quotes(data: Data) -> list[Quote]:
    found = []
    for name, part in data.items():
        n, p = part.spec["layers"], entering(part.spec["scale"])
        found += [Quote(f"{name}: std of power (theory: root of {n} x {p:.3f} x 2/3)", part.number("std"),
                        part.number("std_error"), (n * p * 2 / 3)**0.5),
                  Quote(f"{name}: width at 4.55 %", part.number("width"), part.number("width_error"),
                        part.number("theory_width")),
                  Quote(f"{name}: share of the centre pixel", part.number("centre"),
                        part.number("centre_error"), part.number("theory_centre")),
                  Quote(f"{name}: share of paths that enter no block", (1 - p)**n)]
    return found


def draw(data: Data) -> Figure:
    some = next(iter(data.values())).spec
    columns = [(f"{name}\n{some['layers'] * entering(part.spec['scale']):.3g} convolutions on average", part)
               for name, part in data.items()]
    return maps_over_marginals(
        columns, f"{some['layers']} blocks: identity + s × (3×3 convolution); {some['draws']} random networks each. "
        "All show the same theoretical field (41 px)", words=_words, display="power-law",
        bar="power $E[g^2]$ / maximum, colours by power 0.25", floor=1e-9)


def _words(part: Part, of: str) -> str:
    prefix = "" if of == "measured" else "theory_"
    return f"std {part.number(prefix + 'std'):.2f} px\ncentre {part.number(prefix + 'centre'):.3f}"
