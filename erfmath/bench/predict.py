"""What ``predict`` costs: beside passes of the same network, beside draws, beside a dense sweep.

Processor time is what is compared, because machines are shared; it is the same work on one core.
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import numpy.typing as npt

from ..empirics.measure import measure
from ..layers import Add, Conv, MaxPool
from ..layers.weights import Random
from ..networks import zoo
from ..networks.building import repeat
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..results.field import EffectiveReceptiveField
from ..theory.memory import forget
from ..theory.predict import predict
from ..theory.sweep import linear_layers, taps
from ..theory.sweep.backward import prepared
from ..theory.sweep.few_terms import FewTerms
from ..theory.sweep.inputs import InputModel
from ..theory.sweep.plan import Graph
from ..theory.sweep.sources import Largest, Sum
from . import Table

__all__ = ["dense_sweep", "linear_part", "met_by_gates", "run", "site_taps"]

Array = npt.NDArray[np.float64]

WIDTH = 16
NETWORKS: dict[str, Callable[..., Network]] = {
    "resnet50": zoo.resnet50, "vgg16": zoo.vgg16, "unet": zoo.unet, "densenet121": zoo.densenet121,
    "mobilenet_v2": zoo.mobilenet_v2}
CHAIN = 10_000
#: Relative error of a width that theory reaches (see `erfmath bench accuracy`) and draws are counted for.
ERROR = 0.005
#: What `predict(resnet50, image=224)` is to stay below: processor time, and its share of 100 draws.
MOST_MS, LEAST_RATIO = 30.0, 1000.0
#: The same of other networks: image and milliseconds.
TARGETS = {"inception_v3": (zoo.inception_v3, 299, 150.0)}
#: What values that are not Gaussian are, by their sources.
NOT_GAUSSIAN = {Sum: "sums", Largest: "pools", FewTerms: "sums of few terms"}


class _Cost(NamedTuple):
    """Median wall and processor time of a piece of work, in seconds."""

    wall: float
    cpu: float


def run(quick: bool = False) -> Table:
    """One row a network; ratios are of medians of processor time, the pieces of work taking turns."""
    image, rounds = (32, 1) if quick else (224, 9)
    rows: list[tuple[Any, ...]] = []
    notes = ["again: CPU ms of a further unit of the same network;",
             "draw: one of `measure` (batch norm: on 8 inputs); pass: forward and backward of one input;",
             f"both in NumPy at width {WIDTH}; draws: for a standard error of {ERROR:.1%} of the std;",
             "site-taps: sites times taps of all steps, forwards and backwards; maps: peak memory over",
             "that of one map of the image's size (the chain: of one of its two lines)"]
    met: dict[str, str] = {}
    for name, build in itertools.islice(NETWORKS.items(), 1 if quick else None):
        net = build(width=WIDTH)
        met[name] = ", ".join(met_by_gates(net, image))
        cost = costs({
            "predict": lambda: _first(net, image),
            "again": lambda: predict(net, image=image),
            "pass": lambda: measure(net, image=image, draws=1, batch=1, rng=0),
            "draw": lambda: measure(net, image=image, draws=1, rng=0)}, 1 if quick else 3,
            {"predict": rounds, "again": rounds})
        own = cost["predict"].cpu
        sampled = measure(net, image=image, draws=4 if quick else 24, rng=0)
        one = float(np.mean(sampled.std_stderr / sampled.std)) * math.sqrt(sampled.draws)
        draws = math.ceil((one / ERROR)**2)
        rows.append((name, len(net), 1e3 * cost["predict"].wall, 1e3 * own, 1e3 * cost["again"].cpu,
                     cost["pass"].cpu / own, cost["draw"].cpu / own, draws, draws * cost["draw"].cpu / own,
                     site_taps(lambda: _first(net, image)) / 1e6, peak(lambda: _first(net, image)) / (8 * image**2)))
        if name == "resnet50":
            notes += [_target(build(), image), _beside_dense(net, image, rounds)]
            for each, (other, size, most) in {} if quick else TARGETS.items():
                notes.append(_within(each, other, size, most))
                met[each] = ", ".join(met_by_gates(other(), size))
    notes.append("gates need tables of one site: " + ("; ".join(
        f"{name} ({kinds})" for name, kinds in met.items() if kinds) or "nowhere"))
    notes.append("all that gates meet is Gaussian: " + (", ".join(
        name for name, kinds in met.items() if not kinds) or "nowhere"))
    chain = repeat(Conv(3), 100 if quick else CHAIN)
    cost = costs({"predict": lambda: predict(chain)}, rounds)
    rows.append((f"{len(chain)} layers, plane", len(chain), 1e3 * cost["predict"].wall, 1e3 * cost["predict"].cpu,
                 *("-",) * 6, peak(lambda: predict(chain)) / (8 * predict(chain).shape[0])))
    return Table(f"predict, image {image}", ("network", "nodes", "ms", "CPU ms", "again", "pass", "draw", "draws",
                                             "all draws", "M site-taps", "maps"), tuple(rows), tuple(notes))


def _first(net: Network, image: int) -> EffectiveReceptiveField:
    """A prediction that finds nothing remembered."""
    forget()
    return predict(net, image=image)


def met_by_gates(net: Network, image: int) -> list[str]:
    """Kinds of values that gates met when the network was predicted, other than Gaussian ones.

    Each needs a table of its distribution at one site.
    """
    graph = Graph.of(net, RunSettings.of(net, image=image))
    _, gates = prepared(graph, False, InputModel())
    sites = [site for i in graph.used if graph.ops[i].gate for site in gates.sites.get(graph.sources[i][0], ())]
    kinds = {type(site.source) for site in sites if site is not None and site.source.parts}
    return sorted(NOT_GAUSSIAN.get(kind, kind.__name__) for kind in kinds)


def costs(work: Mapping[str, Callable[[], Any]], rounds: int, more: Mapping[str, int] | None = None
          ) -> dict[str, _Cost]:
    """Medians over `rounds` turns, after one that does not count; `more` are those that run oftener."""
    wall: dict[str, list[float]] = {name: [] for name in work}
    cpu: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, piece in work.items():
            for _ in range(math.ceil((more or {}).get(name, rounds) / rounds)):
                start = time.perf_counter(), time.process_time()
                piece()
                if turn:
                    wall[name].append(time.perf_counter() - start[0])
                    cpu[name].append(time.process_time() - start[1])
    return {name: _Cost(statistics.median(wall[name]), statistics.median(cpu[name])) for name in work}


def peak(work: Callable[[], Any]) -> int:
    """Most bytes that `work` holds at a time."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def site_taps(work: Callable[[], Any]) -> int:
    """Multiply-adds of a plain loop over sites and taps for all that `work` passes through layers."""
    with _counted() as count:
        work()
    return count[0]


@contextmanager
def _counted() -> Iterator[list[int]]:
    count = [0]

    def counting(step: Callable[..., Any]) -> Callable[..., Any]:
        def counted(values: Array, *rest: Any) -> Any:
            weights, = (part.weights for part in rest if isinstance(part, taps.Taps))
            count[0] += values.size * weights.size
            return step(values, *rest)
        return counted

    with (mock.patch.multiple(taps, _scatter=counting(taps._scatter), _gather=counting(taps._gather)),
          mock.patch.object(linear_layers, "forward", counting(linear_layers.forward))):
        yield count


def _within(name: str, build: Callable[..., Network], image: int, most: float) -> str:
    net = build()
    own = 1e3 * costs({"predict": lambda: _first(net, image)}, 9)["predict"].cpu
    return f"{name} on {image} pixels: {own:.0f} ms of CPU (target {most:.0f}: {'met' if own <= most else 'missed'})"


def _target(net: Network, image: int) -> str:
    cost = costs({"predict": lambda: _first(net, image),
                  "draw": lambda: measure(net, image=image, draws=1, rng=0)}, 1, {"predict": 9})
    own, ratio = 1e3 * cost["predict"].cpu, 100 * cost["draw"].cpu / cost["predict"].cpu
    return (f"resnet50 as published (width 64): {own:.0f} ms of CPU (target {MOST_MS:.0f}: "
            f"{'met' if own <= MOST_MS else 'missed'}), 1/{ratio:.0f} of 100 draws (target 1/{LEAST_RATIO:.0f}: "
            f"{'met' if ratio >= LEAST_RATIO else 'missed'})")


# ---------------------------------------------------------------------------------------------
# the dense baseline
# ---------------------------------------------------------------------------------------------

def _beside_dense(net: Network, image: int, rounds: int) -> str:
    linear = linear_part(net)
    done = [0]

    def dense() -> None:
        done[0] = dense_sweep(linear, image)[1]

    cost = costs({"predict": lambda: _first(linear, image), "dense": dense}, rounds)
    own, baseline = cost["predict"].cpu, cost["dense"].cpu
    return (f"linear part of resnet50: {1e3 * own:.0f} ms of CPU, whole maps and all k x k taps {1e3 * baseline:.0f} "
            f"({baseline / own:.1f} x), {done[0] / 1e6:.0f} M multiply-adds against "
            f"{site_taps(lambda: _first(linear, image)) / 1e6:.1f} M")


def linear_part(net: Network) -> Network:
    """The network without its activations and normalisations, so that only a backward sweep is left."""
    d = net.to_dict()
    d["nodes"] = [{key: node[key] for key in ("name", "inputs")} | {"op": "identity"}
                  if node["op"] in ("activation", "batch_norm") else node for node in d["nodes"]]
    return Network.from_dict(d)


def dense_sweep(net: Network, image: int) -> tuple[Array, int]:
    """Power map of the middle unit the plain way: whole maps, every tap of every kernel, no cones.

    Takes random convolutions, max pools, sums and identities; gives the map and the number of
    multiply-adds.
    """
    shapes = {**net.shapes(image), "input": (image, image)}
    channels = {**net.channels(WIDTH), "input": 3}
    maps: dict[str, Array] = {name: np.zeros(shape) for name, shape in shapes.items()}
    y, x = (n // 2 for n in shapes[net.output])
    maps[net.output][y, x] = 1
    count = 0
    for node in reversed(net.nodes):
        above, layer = maps[node.name], node.layer
        for name in node.inputs:
            if not isinstance(layer, (Conv, MaxPool)):
                maps[name] += above
                continue
            if isinstance(layer, MaxPool):
                gain = 1.0
                above = above / _windows(layer, shapes[name], above.shape)
            else:
                assert isinstance(layer.weights, Random)
                fan = layer.weights.fan_channels(channels[name], channels[node.name])
                gain = layer.weights.gain * channels[name] / fan
                gain /= math.prod(g.kernel for g in layer.geometry(2))
            maps[name] += gain * _spread(layer, above, shapes[name])
            count += above.size * math.prod(g.kernel for g in layer.geometry(2))
        if isinstance(layer, Add):
            assert len(set(node.inputs)) == len(node.inputs)
    return maps["input"], count


def _spread(layer: Conv | MaxPool, above: Array, shape: tuple[int, ...]) -> Array:
    """Each site's value to all the sites that it reads."""
    rows, columns = layer.geometry(2)
    (top, bottom), (left, right) = rows.pads(shape[0]), columns.pads(shape[1])
    padded = np.zeros((shape[0] + top + bottom, shape[1] + left + right))
    for i in range(rows.kernel):
        for j in range(columns.kernel):
            padded[i * rows.dilation:, j * columns.dilation:][
                :rows.stride * above.shape[0]:rows.stride, :columns.stride * above.shape[1]:columns.stride] += above
    return padded[top:top + shape[0], left:left + shape[1]]


def _windows(layer: MaxPool, shape: tuple[int, ...], out: tuple[int, ...]) -> Array:
    """Sites of the map in each window of a pool."""
    ones: list[Array] = []
    for g, n, n_out in zip(layer.geometry(2), shape, out):
        first = g.stride * np.arange(n_out) - g.pads(n)[0]
        ones.append(np.minimum(first + g.kernel, n) - np.maximum(first, 0.0))
    return np.multiply.outer(*ones)
