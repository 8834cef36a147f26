"""How single networks scatter about the mean field: theory against sampled networks."""

from __future__ import annotations

import numpy as np

from ..layers import Activation, BatchNorm, Conv, Random
from ..networks.building import repeat, residual, serial
from ..networks.network import Network
from ..plotting import LINES
from ..theory.scatter import scatter
from .base import Arrays, Data, Desk, Figure, Options, Quote, Spec, scalars
from .panels import letters, page
from .sampling import generator, measure

__all__ = ["CASES", "caption", "compute", "draw", "network", "parts", "quotes"]

#: Kind of layer, image, and whether single networks are shown.
CASES: dict[str, Spec] = {
    "linear": {"kind": "linear"}, "ReLU": {"kind": "relu"}, "tanh": {"kind": "tanh"},
    "batch norm, ReLU": {"kind": "norms", "image": 24}, "two strides": {"kind": "strides", "image": 48},
    "residual": {"kind": "residual", "image": 24},
}
WIDTHS = (16, 32, 64)


def parts(options: Options) -> dict[str, Spec]:
    return {f"{name}, width {width}": {"image": None, **about, "width": width, "layers": options.pick(8, 3),
                                       "draws": options.draws(200), "seed": [options.seed, i, width]}
            for i, (name, about) in enumerate(CASES.items()) for width in options.pick(WIDTHS, WIDTHS[:1])}


def network(spec: Spec) -> Network:
    """A chain of convolutions 3x3 of a kind, or residual units of two."""
    n, kind = spec["layers"], spec["kind"]
    relu = Activation("relu")
    if kind == "linear":
        return repeat(Conv(3, weights=Random(gain=1.0)), n)
    if kind == "strides":
        return serial(*[serial(Conv(3, stride=2 if i in (0, n // 2) else 1), relu) for i in range(n)])
    if kind == "residual":
        branch = serial(BatchNorm(), relu, Conv(3))
        return serial(Conv(3), repeat(residual(serial(branch, branch)), n // 2))
    gate = {"relu": (relu,), "tanh": (Activation("tanh"),), "norms": (BatchNorm(), relu)}[kind]
    return repeat(serial(Conv(3), *gate), n)


def compute(spec: Spec, desk: Desk) -> Arrays:
    """Sizes of single networks about the mean field's centre, their scatter and what theory says of it."""
    net, about = network(spec), {"image": spec["image"], "width": spec["width"]}
    theory = scatter(net, **about)
    found = measure(net, draws=spec["draws"], rng=generator(spec), progress=desk.progress, **about)
    table = found.moments.table
    first, second = table[:, 1::2] / table[:, :1], table[:, 2::2] / table[:, :1]
    centre = table[:, 1::2].sum(axis=0) / table[:, 0].sum()
    sizes = np.sqrt((second - 2 * centre * first + centre**2).mean(axis=1))
    logs, error = np.log(table[:, 0]), 1 / np.sqrt(2 * len(sizes))
    spread = float(sizes.std(ddof=1))
    return {"sizes": sizes, "logs": logs, **scalars(
        size=spread, size_error=spread * error, theory_size=theory.size, mean=theory.erf.size("std"),
        log_total=float(logs.std(ddof=1)), log_total_error=float(logs.std(ddof=1)) * error,
        theory_log_total=theory.log_total)}


def draw(data: Data) -> Figure:
    figure = page(3.0)
    panels = figure.subplots(1, 3)
    for ax, size, words in ((panels[0], "size", "scatter of the size, px"),
                            (panels[1], "log_total", "scatter of the log total")):
        for (kind, _), style in zip(CASES.items(), LINES):
            mine = [part for name, part in data.items() if name.startswith(f"{kind}, width")]
            ax.errorbar([p.number(f"theory_{size}") for p in mine], [p.number(size) for p in mine],
                        [p.number(f"{size}_error") for p in mine], linestyle="none", marker=style["marker"],
                        markersize=4, color=style["color"], label=kind)
        ends = [min(ax.get_xlim()[0], ax.get_ylim()[0]), max(ax.get_xlim()[1], ax.get_ylim()[1])]
        ends[0] = max(ends[0], 0.0)
        ax.fill_between(ends, [0.8 * e for e in ends], [1.2 * e for e in ends], color="0.9", linewidth=0)
        ax.plot(ends, ends, color="black", linewidth=0.8)
        ax.set(xlim=ends, ylim=ends, xlabel=f"theory: {words}", ylabel=f"sampled: {words}")
    panels[0].legend(fontsize=6)
    part = next(part for name, part in data.items() if name.startswith("ReLU, width"))
    panels[2].hist(part["sizes"], bins=20, density=True, color="0.75")
    mean, spread = part.number("mean"), part.number("theory_size")
    x = np.linspace(mean - 4 * spread, mean + 4 * spread, 200)
    panels[2].plot(x, np.exp(-((x - mean) / spread)**2 / 2) / (spread * np.sqrt(2 * np.pi)), color="black")
    panels[2].set(xlabel=f"size of one network, px\n(ReLU, width {part.spec['width']})", ylabel="density")
    letters(panels)
    return figure


def caption(data: Data) -> str:
    some = next(iter(data.values()))
    return (f"Standard deviation of single networks about the mean field, {some.spec['layers']} layers 3×3 of 16 to 64 "
            f"channels, {some.spec['draws']} networks each: theory to first order in 1/width against sampling; band: "
            "20 %. Right: sizes of the networks, and the Gaussian that theory gives.")


def quotes(data: Data) -> list[Quote]:
    return [part.quote(f"{name}: scatter of {words}", size) for name, part in data.items()
            for size, words in (("size", "the size, px"), ("log_total", "the log total"))]
