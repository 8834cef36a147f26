"""Skip connections: the field of a residual network is a mixture over how many blocks a path enters.

A block is identity + s * (3x3 convolution of gain 1): a path enters it with probability s^2 / (1 + s^2).  Of
twenty blocks it enters a binomial number, none of them with probability (1 + s^2)^-20: that part of the
field is a single pixel, an atom in the centre.
"""

from __future__ import annotations

import numpy as np

from ..layers import Conv, Scale
from ..layers.weights import Random
from ..networks.building import repeat, residual, serial
from ..networks.network import Network
from .base import Arrays, Data, Desk, Figure, Options, Part, Quote, Spec
from .panels import draw_marginal, letters, map_grid, page, plus_minus, rows_of
from .sampling import SIZES, measured, predicted

__all__ = ["caption", "compute", "draw", "parts", "quotes"]

#: The factor s of the convolutions; None: no identity beside them.
NETWORKS = {"plain": None, "residual, s = 1": 1.0, "residual, s = 0.3": 0.3}
PLACES = {**SIZES, "centre": lambda erf: float(erf.crop(0, 0, of="share")[0, 0])}


def parts(options: Options) -> dict[str, Spec]:
    return {name: {"scale": scale, "layers": 20, "width": 16, "draws": options.draws(200), "seed": [options.seed, i]}
            for i, (name, scale) in enumerate(NETWORKS.items())}


def network(scale: float | None, layers: int) -> Network:
    """`layers` convolutions, each beside an identity if there is a scale; a 1x1 one brings the channels."""
    conv = Conv(3, weights=Random(gain=1.0))
    part = serial(conv) if scale is None else residual(serial(conv, Scale(scale)))
    return serial(Conv(1, weights=Random(gain=1.0)), repeat(part, layers))


def compute(spec: Spec, desk: Desk) -> Arrays:
    net = network(spec["scale"], spec["layers"])
    return predicted(net, PLACES) | measured(net, spec, desk, PLACES)


def entering(scale: float | None) -> float:
    """Probability that a path enters the convolution of a block."""
    return 1.0 if scale is None else scale**2 / (1 + scale**2)


def quotes(data: Data) -> list[Quote]:
    found = []
    for name, part in data.items():
        n, p = part.spec["layers"], entering(part.spec["scale"])
        std = part.quote(f"{name}: std of power (theory: root of {n} x {p:.3f} x 2/3)", "std")
        found += [std._replace(theory=(n * p * 2 / 3)**0.5), part.quote(f"{name}: width at 4.55 %", "width"),
                  part.quote(f"{name}: fraction in the centre pixel", "centre"),
                  Quote(f"{name}: fraction of paths that enter no block", (1 - p)**n)]
    return found


def draw(data: Data) -> Figure:
    figure = page(6.8)
    grid = figure.add_gridspec(3, 3, height_ratios=[1, 1, 0.9])
    panels = np.array([[figure.add_subplot(grid[i, j]) for j in range(3)] for i in range(2)])
    image = map_grid(panels, rows_of(list(data.values())), list(data), _words, display="power-law")
    bar = figure.colorbar(image, ax=panels, shrink=0.7, pad=0.02, ticks=[0.0, 0.001, 0.01, 0.1, 0.3, 1.0])
    bar.set_label("power $E[g^2]$ / maximum, colours by power 0.25")
    ax = figure.add_subplot(grid[2, :])
    for i, (name, part) in enumerate(data.items()):
        draw_marginal(ax, part, i, name)
    ax.set(yscale="log", ylim=(1e-9, 3), xlim=(-20.5, 20.5), xlabel="x, input pixels from the centre",
           ylabel="marginal of normalised $E[g^2]$")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=3)
    letters([*panels.flat, ax])
    return figure


def caption(data: Data) -> str:
    some = next(iter(data.values()))
    entered = ", ".join(f"{part.spec['layers'] * entering(part.spec['scale']):.3g} ({name})"
                        for name, part in data.items())
    return (f"{some.spec['layers']} blocks: identity + s × (3×3 convolution); {some.spec['draws']} random networks "
            f"each, all of TRF {some.number('side'):.0f} px. Convolutions on a path, on average: {entered}.")


def _words(part: Part, of: str) -> str:
    if of == "theory":
        return f"σ = {part.number('theory_std'):.2f} px\ncentre {part.number('theory_centre'):.3f}"
    return f"σ = {plus_minus(part, 'std')} px\ncentre {plus_minus(part, 'centre', digits=3)}"
