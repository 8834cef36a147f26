"""Which gates depend on each other: fields through gates of blocks of layers, and of inputs that are alike.

Under "layers" every layer takes its gates from an input of its own, chosen at random.  Here the layers of a block take
them from the same one, or all of a draw from inputs that are close to each other in a certain order.  Two networks are
trained as in the figure `trained`; packages that are installed give others (see `pretrained`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..empirics.measure import measure
from ..empirics.plan import make_plan
from ..figures import gates as toys
from ..figures.base import Options
from ..figures.tasks import TASKS
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..trained.drawn import Grouping
from ..trained.predicted import predict_through_gates
from . import Table
from .pretrained import MODELS

__all__ = ["blocks", "orders", "parts", "rows", "run", "stages"]

Array = Any
#: Networks of the figure, and how many inputs; of packages, and how many photographs.
TOYS, INPUTS = ("two pixels, residual", "two pixels, batch norm"), 600
PACKAGES, PHOTOGRAPHS = ("NudeNet, stride 8", "RapidOCR, detection"), 100
#: Layers in a block; and inputs on either side in an order, as parts of all.
BLOCKS, WINDOWS = (2, 4), (0.1, 0.033)
#: Stride up to which maps are called fine.
COARSE = 8
#: Repetitions of what is drawn.
AGAIN = 4


def gates_of(net: Network) -> list[str]:
    """Nodes whose gradients depend on the data, from the input on; batch norms have given statistics."""
    return [node.name for node in net if (node.layer.is_gate or node.layer.routes)
            and not node.layer.takes_norm]


def blocks(net: Network, size: int) -> dict[str, int]:
    """Every `size` successive gates together."""
    return {name: k // size for k, name in enumerate(gates_of(net))}


def stages(net: Network, image: tuple[int, ...]) -> dict[str, int]:
    """Gates of maps of one size together."""
    shapes = net.shapes(image)
    sizes = list(dict.fromkeys(shapes[name] for name in gates_of(net)))
    return {name: sizes.index(shapes[name]) for name in gates_of(net)}


def parts(net: Network, image: tuple[int, ...]) -> dict[str, dict[str, int]]:
    """Blocks, stages, halves, and the gates of fine or coarse maps together, in words."""
    names, shapes = gates_of(net), net.shapes(image)
    fine = {name for name in names if shapes[name][0] * COARSE >= image[0]}
    return {**{f"blocks of {size} layers": blocks(net, size) for size in (4, 16)},
            "maps of one size": stages(net, image),
            f"fine maps (stride up to {COARSE})": {name: 0 for name in names if name in fine},
            "coarse maps": {name: 0 for name in names if name not in fine},
            "two halves": {name: int(2 * k >= len(names)) for k, name in enumerate(names)},
            "every other layer": {name: k % 2 for k, name in enumerate(names)}}


def orders(maps: Array) -> dict[str, Array]:
    """Orders of inputs by what is measured of each, its map (inputs, y, x): power, where it lies, how far it reaches.

    In the last the neighbours lie on the same side, and are of similar power.
    """
    total = np.maximum(maps.sum(axis=(1, 2)), 1e-300)
    y, x = (np.arange(n) - n // 2 for n in maps.shape[1:])
    at = (maps.sum(axis=2) @ y / total, maps.sum(axis=1) @ x / total)
    reach = maps.sum(axis=2) @ y**2 / total + maps.sum(axis=1) @ x**2 / total
    side = at[0] < 0
    low, high = np.flatnonzero(side), np.flatnonzero(~side)
    return {"power": np.argsort(total), "place along y": np.argsort(at[0]), "reach": np.argsort(reach),
            "side, then power": np.concatenate([low[np.argsort(total[low])], high[np.argsort(-total[high])]])}


def rows(net: Network, weights: Any, inputs: Array, groups: Mapping[str, Mapping[str, int]], *, node: str | None = None,
         channel: int | None = None, again: int = AGAIN) -> Iterator[tuple[str, Any, float, float]]:
    """Std along both axes, total variation from the measured map and part of the measured total, by what is together.

    Numbers are of the mean of so many repetitions (`again`).
    """
    count = len(inputs)
    settings = RunSettings.of(net, image=inputs.shape[2:], channels_in=inputs.shape[1], node=node, weights=weights)
    plan = make_plan(net, settings, statistic="power", entropy=0, normalise=False, images=inputs, channel=channel,
                     batch=1, dtype=None)
    maps = np.concatenate([plan.maps(k, min(k + 50, count)) for k in range(0, count, 50)])
    measured = measure(net, weights=weights, images=inputs, node=node, channel=channel, batch=1, draws=count, rng=0)
    yield "measured", measured.std, 0.0, 1.0
    told = orders(maps)
    cases = {"layers": (np.arange(count), Grouping())}
    cases |= {words: (np.arange(count), Grouping(together)) for words, together in groups.items()}
    cases |= {f"inputs of similar {what}, {2 * round(part * count / 2) + 1} of {count}":
              (order, Grouping(window=round(part * count / 2))) for part in WINDOWS for what, order in told.items()}
    for words, (order, grouping) in cases.items():
        found = [predict_through_gates(net, settings, gates="layers", statistic=None, images=inputs[order],
                                       draws=count, rng=k, progress=None, grouping=grouping) for k in range(again)]
        share = np.mean([erf.map for erf in found], axis=0)
        total = share.sum()
        share = share / total
        std = [_std(share.sum(axis=1 - axis)) for axis in (0, 1)]
        yield words, std, float(np.abs(share - measured.share).sum() / 2), float(total / measured.total)


def _std(line: Array) -> float:
    x = np.arange(len(line))
    return float(np.sqrt(line @ x**2 - (line @ x)**2))


def _trained(quick: bool) -> Iterator[tuple[str, Network, Any, Array]]:
    """The networks of the figure, and inputs."""
    for name in TOYS[:1] if quick else TOYS:
        spec = toys.parts(Options(quick=quick))[name]
        net, task = toys.network(spec), TASKS[spec["task"]](spec["size"], spec["reach"])
        weights = toys.trained_weights(spec)
        inputs, _ = task.batch(0, 40 if quick else INPUTS, [spec["seed"], toys.TEST])
        yield name, net, weights, inputs


def run(quick: bool = False) -> Table:
    """Networks trained here, then those of packages."""
    found: list[tuple[Any, ...]] = []

    def add(name: str, several: Iterator[tuple[str, Any, float, float]]) -> None:
        for words, std, variation, total in several:
            found.append((name, words, ", ".join(f"{s:.2f}" for s in std), f"{variation:.3f}", f"{total:.2f}"))
    for name, net, weights, inputs in _trained(quick):
        groups = {f"blocks of {size} layers": blocks(net, size) for size in BLOCKS}
        add(name, rows(net, weights, inputs, groups, channel=0, again=1 if quick else AGAIN))
    for name in () if quick else PACKAGES:
        model = MODELS[name]
        pictures = model.inputs(PHOTOGRAPHS, 0) if model.path is not None else None
        if pictures is not None:
            net, weights = model.read()
            add(f"{name}, photographs", rows(net, weights, pictures, parts(net, model.image), node=model.node, again=1))
    return Table("Dependence between layers: gates of some layers, or of a draw, from the same or similar inputs",
                 ("network", "together", "std, px", "variation", "of the total"), tuple(found),
                 ("variation: total variation distance from the measured map",))
