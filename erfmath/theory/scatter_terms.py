"""What makes single networks scatter beside random layers and gates: few weights, pools, pixels (docs/trained.md).

`products` are P(x) G(x) of a node, (functions, groups, *map): its power times the values of functionals for unit power.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..layers.geometry import AxisGeometry
from .sweep.lowering import Linear
from .sweep.pairs import windows
from .sweep.plan import Graph, Plan
from .sweep.taps import Array, reads

__all__ = ["of_neighbours", "of_pixels", "of_weights", "of_winners", "shared_winners", "summed"]


def summed(products: Array) -> Array:
    """Over the sites of a map, (functions, groups)."""
    return products.reshape(*products.shape[:2], -1).sum(axis=2)


def of_weights(plan: Plan, i: int, products: Array, above: Array, below: Array, images: float, peak: float
               ) -> tuple[Array, float]:
    """What the few weights of a grouped convolution add; and the fourth moment of what it hands down, over its square.

    All sites of a channel share a tap's weight w, by whose square the power of each varies.  And the sum over n taps of
    w g, E g^4 = peak (E g^2)^2, varies more than a Gaussian.  A norm of the channel divides by the sum of all squares.
    """
    graph, op, j, layer = plan.graph, plan.graph.ops[i], plan.graph.sources[i][0], plan.graph.layers[i]
    if not _plain(op, graph.ndim) or len(graph.groups[i]) != len(graph.groups[j]):
        return np.zeros(len(products)), 3.0
    sums, squares, fewest = _by_tap(op, above, below)
    taps, whole = len(sums), sums.sum(axis=0)
    scale = np.divide(summed(products)[-1], whole[-1], out=np.zeros(whole.shape[1]), where=whole[-1] != 0)
    spread = 0.8 if getattr(layer, "weights").law == "uniform" else 2.0   # of a weight's square, over the mean's square
    terms = fewest * graph.channels[i] / op.groups
    handed = 3 + (3 * (peak - 1) + (spread - 2) * peak) / terms
    shared, here = spread * (sums**2).sum(axis=0), spread / terms
    if any(graph.layers[edge.reader].statistics and not graph.layers[edge.reader].mixes_channels
           for edge in plan.edges[i]):
        count = taps * graph.channels[j] / op.groups
        part = count / (count + 2)
        shared, here = part * (shared - spread * whole**2 / taps), spread * part * (1 / terms - 1 / taps)
        handed *= part
    alone = (handed - 3 - (peak - 1) / terms - here) * terms * images * squares
    pairs = np.array(graph.groups[i]) * graph.channels[j] / op.groups    # of channels that have weights
    return np.asarray((shared + alone) * scale**2 @ (1 / pairs)), handed


def _plain(op: Linear, ndim: int) -> bool:
    """Whether one kernel serves all sites."""
    axes = sum(len(taps.axes) for taps in op.taps)
    return not op.fold and axes == ndim and all(taps.rows is None for taps in op.taps)


def _by_tap(op: Linear, above: Array, below: Array) -> tuple[Array, Array, float]:
    """What each tap of a kernel hands down of power `above`, times the values `below`.

    Summed over sites, (taps, functions, groups); the squares of all, (functions, groups); and how many taps meet at a
    site, for the last function.
    """
    geometry = sum((taps.geometry for taps in op.taps), ())
    weights: Any = functools.reduce(np.multiply.outer, [taps.weights for taps in op.taps])
    sums, squares, met = [], np.zeros(below.shape[:2]), np.zeros(below.shape[1:])
    every = slice(None)
    for tap, into, out in _taps(geometry, above.shape[1:], below.shape[2:]):
        part = weights[tap] * above[(every, *into)] * below[(every, every, *out)]
        sums.append(summed(part))
        squares += summed(part**2)
        met[(every, *out)] += part[-1]
    least = float(squares[-1].sum())
    return np.array(sums), squares, float((met**2).sum()) / least if least else 1.0


def _taps(geometry: Sequence[AxisGeometry], above: Sequence[int], below: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Each tap, the output sites that read a site of the map below through it, and these."""
    lines = [reads(g, np.arange(n), m) for g, n, m in zip(geometry, above, below)]
    for tap in itertools.product(*(range(g.kernel) for g in geometry)):
        sites = [np.flatnonzero(there[:, a] & (z[:, a] >= 0) & (z[:, a] < m)) for (z, there), a, m in zip(
            lines, tap, below)]
        yield tap, np.ix_(*sites), np.ix_(*(z[x, a] for (z, _), x, a in zip(lines, sites, tap)))


def of_winners(op: Linear, products: Array, below: Array) -> Array:
    """What it adds that a window's gradient goes to one of its sites, whose values of a functional differ."""
    geometry = sum((taps.geometry for taps in op.taps), ())
    if len(geometry) != products.ndim - 2:
        return np.zeros(products.shape[:2])
    count, mean, square = np.zeros(products.shape[2:]), np.zeros(products.shape), np.zeros(products.shape)
    for _, into, out in _taps(geometry, products.shape[2:], below.shape[2:]):
        part = below[(slice(None), slice(None), *out)]
        count[into] += 1
        mean[(slice(None), slice(None), *into)] += part
        square[(slice(None), slice(None), *into)] += part**2
    count = np.maximum(count, 1)
    mean, square = mean / count, square / count
    scale = np.divide(products[-1], mean[-1], out=np.zeros(mean.shape[1:]), where=mean[-1] != 0)
    return summed(scale**2 * np.maximum(square - mean**2, 0))


def of_pixels(graph: Graph, i: int, products: Array) -> Array:
    """What a norm of a site's channels adds because the mean square of the pixels that it sees fluctuates.

    Of pixels of c channels by 2 / c; for norms right after the first convolution.
    """
    j = graph.sources[i][0]
    while j >= 0 and not graph.ops[j].taps and not graph.layers[j].statistics and len(graph.sources[j]) == 1:
        j = graph.sources[j][0]
    if j < 0 or graph.sources[j] != (-1,) or not graph.ops[j].fresh or not _plain(graph.ops[j], graph.ndim):
        return np.zeros(len(products))
    op = graph.ops[j]
    weights: Any = functools.reduce(np.multiply.outer, [taps.weights for taps in op.taps])
    pixels = np.zeros((len(products), *(n or 1 for n in graph.sizes[-1])))
    geometry = sum((taps.geometry for taps in op.taps), ())
    for tap, into, out in _taps(geometry, products.shape[1:], pixels.shape[1:]):
        pixels[(slice(None), *out)] += weights[tap] / weights.sum() * products[(slice(None), *into)]
    return np.asarray(2 * (pixels.reshape(len(pixels), -1)**2).sum(axis=1) / graph.channels[-1])


def shared_winners(geometry: Sequence[AxisGeometry]) -> Array:
    """How often windows at each distance have one largest value, 0 at distance 0, (*distances).

    Of so many independent values it is in what both windows have, of all that either has.
    """
    axes, reach = len(geometry), [(g.extent - 1) // g.stride for g in geometry]
    one, other, union = windows(geometry, (0,) * axes, (1,) * axes, (None,) * axes, reach)
    shares = ((one + other - union) / union).reshape([2 * n + 1 for n in reach])
    shares[tuple(reach)] = 0.0
    return np.asarray(shares)


def of_neighbours(products: Array, weights: Array) -> Array:
    """Products of sites with those at each distance, times its weight, summed over both, (functions, groups)."""
    total = np.zeros(products.shape[:2])
    for place in np.argwhere(weights):
        both: list[Any] = [(...,), (...,)]
        for d, n in zip(place - np.array(weights.shape) // 2, products.shape[2:]):
            both = [(*cut, slice(max(a, 0), max(n + min(a, 0), 0))) for cut, a in zip(both, (d, -d))]
        total += weights[tuple(place)] * summed(products[both[0]] * products[both[1]])
    return total
