"""What wide networks do, by covariances of all pairs of sites: one layer after the other."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import erfmath as em

Array = Any


class Pairs(NamedTuple):
    """Per channel group: share of the channels, E[v v'] of one input and of two, (sites, sites)."""

    share: tuple[float, ...]
    same: tuple[Array, ...]
    other: tuple[Array, ...]
    shape: tuple[int, int]

    def each(self, f: Callable[[Array], Array], shape: tuple[int, int]) -> Pairs:
        return Pairs(self.share, tuple(map(f, self.same)), tuple(map(f, self.other)), shape)

    def mixed(self) -> Pairs:
        return Pairs((1.0,), (sum(s * k for s, k in zip(self.share, self.same)),),
                     (sum(s * k for s, k in zip(self.share, self.other)),), self.shape)


def tap_matrices(layer: Any, axis: int, n: int, out: int) -> list[Array]:
    """Per tap, which input site an output site reads along one axis."""
    g = layer.geometry(2)[axis]
    before = g.pads(n)[0]
    matrices = []
    for a in range(g.kernel):
        matrix = np.zeros((out, n))
        for x, z in itertools.product(range(out), range(n)):
            matrix[x, z] = (x == g.stride * z + a - before if g.transposed
                            else z == g.stride * x + g.dilation * a - before)
        matrices.append(matrix)
    return matrices


def upsampling(layer: em.Upsample, n: int) -> Array:
    s = layer.scale
    matrix = np.zeros((n * s, n))
    for x in range(n * s):
        source = min(max((x + 0.5) / s - 0.5, 0), n - 1) if layer.mode == "bilinear" else x // s
        low = math.floor(source)
        matrix[x, low] += 1 - (source - low)
        matrix[x, min(low + 1, n - 1)] += source - low
    return matrix


def relu_pairs(k: Array, a: Array, b: Array) -> Array:
    root = np.sqrt(np.outer(a, b))
    rho = np.clip(np.divide(k, root, out=np.zeros_like(k), where=root > 0), -1, 1)
    return root * (np.sqrt(1 - rho**2) + rho * (np.pi - np.arccos(rho))) / (2 * np.pi)


def tanh_pairs(k: Array, a: Array, b: Array) -> Array:
    """Gauss-Hermite in both values."""
    t, w = np.polynomial.hermite_e.hermegauss(30)
    w = w / w.sum()
    out = np.zeros(k.shape)
    for i, j in np.ndindex(k.shape):
        z = math.sqrt(a[i]) * t
        slope = k[i, j] / math.sqrt(a[i])
        rest = math.sqrt(max(b[j] - slope**2, 0.0))
        out[i, j] = w @ (np.tanh(z) * (np.tanh(slope * t[:, None] + rest * t) @ w))
    return out


def through(layer: Any, inputs: list[Pairs], shape: tuple[int, int], rng: np.random.Generator) -> Pairs:
    """`inputs` after one layer whose output has `shape`."""
    p = inputs[0]
    if isinstance(layer, (em.Conv, em.ConvTranspose)):
        gain = layer.weights.gain
        if layer.transposed:
            gain *= math.prod(g.stride for g in layer.geometry(2))
        lines = [tap_matrices(layer, axis, n, m) for axis, (n, m) in enumerate(zip(p.shape, shape))]
        taps = [np.kron(a, b) for a, b in itertools.product(*lines)]
        if layer.groups != "depthwise":
            p = p.mixed()
        return p.each(lambda k: gain / len(taps) * sum(t @ k @ t.T for t in taps), shape)
    if isinstance(layer, em.Activation):
        pairs = {"relu": relu_pairs, "tanh": tanh_pairs}[layer.function]
        seconds = [np.diag(k) for k in p.same]
        return p._replace(same=tuple(pairs(k, q, q) for k, q in zip(p.same, seconds)),
                          other=tuple(pairs(k, q, q) for k, q in zip(p.other, seconds)))
    if isinstance(layer, em.BatchNorm):
        # The mean over inputs and the map is what two inputs have in common, averaged over sites.
        common = [k.mean() for k in p.other]
        spread = [np.diag(k).mean() - c for k, c in zip(p.same, common)]
        cross = [k.mean(axis=1) for k in p.other]

        def less(k: Array, g: int) -> Array:
            return (k - cross[g][:, None] - cross[g] + common[g]) / spread[g]
        return p._replace(same=tuple(less(k, g) for g, k in enumerate(p.same)),
                          other=tuple(less(k, g) for g, k in enumerate(p.other)))
    if isinstance(layer, em.LayerNorm):
        root = 1 / np.sqrt(np.diag(p.mixed().same[0]))
        return p.each(lambda k: k * np.outer(root, root), shape)
    if isinstance(layer, em.Dropout):
        keep = 1 - layer.p
        return p._replace(same=tuple(k + np.diag(np.diag(k)) * (1 / keep - 1) for k in p.same))
    if isinstance(layer, em.Scale):
        return p.each(lambda k: k * layer.factor**2, shape)
    if isinstance(layer, em.Upsample):
        matrix = functools.reduce(np.kron, [upsampling(layer, n) for n in p.shape])
        return p.each(lambda k: matrix @ k @ matrix.T, shape)
    if isinstance(layer, em.BlurPool):
        k = layer.kernel_size
        lines = [sum(math.comb(k - 1, a) / 2**(k - 1) * t for a, t in enumerate(tap_matrices(layer, axis, n, m)))
                 for axis, (n, m) in enumerate(zip(p.shape, shape))]
        matrix = np.kron(*lines)
        return p.each(lambda k: matrix @ k @ matrix.T, shape)
    if isinstance(layer, em.AvgPool):
        lines = [sum(tap_matrices(layer, axis, n, m)) for axis, (n, m) in enumerate(zip(p.shape, shape))]
        matrix = np.kron(*lines)
        matrix = matrix / (matrix.sum(axis=1, keepdims=True) if layer.counts_inside_only else
                           math.prod(g.kernel for g in layer.geometry(2)))
        return p.each(lambda k: matrix @ k @ matrix.T, shape)
    if isinstance(layer, em.Add):
        return Pairs(p.share, (sum(one.mixed().same[0] for one in inputs),),
                     (sum(one.mixed().other[0] for one in inputs),), shape)
    assert isinstance(layer, em.Concat)
    share = [s / len(inputs) for one in inputs for s in one.share]
    return Pairs(tuple(share), tuple(k for one in inputs for k in one.same),
                 tuple(k for one in inputs for k in one.other), shape)


def limit(net: em.Network, image: tuple[int, int], q: float = 1.0, c: float = 0.0) -> dict[str, Pairs]:
    """Every node's covariances for inputs of independent pixels."""
    sites = math.prod(image)
    shapes, rng = net.shapes(image, 2), np.random.default_rng(3)
    done = {"input": Pairs((1.0,), (c + (q - c) * np.eye(sites),), (np.full((sites, sites), c),), image)}
    for node in net:
        done[node.name] = through(node.layer, [done[name] for name in node.inputs], shapes[node.name], rng)
    return done


def relu() -> em.Activation:
    return em.Activation("relu")
