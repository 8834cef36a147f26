"""What a finite number of channels does to a chain of convolutions and smooth activations.

Second moments of values differ from place to place and from draw to draw by parts of order
1/channels, and the gates of smooth activations with them.  Gates that a path meets at places near
one another are open together, so that paths which stay near their own past weigh more, and the field
is narrower (or wider) than in the limit.  The leading order in 1/channels of its variance is a sum
over walks that part from the path at one gate and meet it again, or each other, below
(docs/theory.md, equations 55 to 60).  Two sweeps carry that sum for all distances of the walkers.

The corrected variance is given to the kernels of the network: with a small probability each stays
where it is.  Borders, strides and dilation then act as ever.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..layers.geometry import AxisGeometry
from .chains.variance import variance_terms
from .memory import remembered
from .rules.functions import Function, hermite
from .sweep.inputs import InputModel
from .sweep.lowering import SAMPLE
from .sweep.plan import Graph
from .sweep.taps import Array, Taps

__all__ = ["narrowed", "variance_ratios"]

#: Half-width of the box of distances at which walkers are followed; from further away few meet again.
LAGS = 40
#: Points of the quadrature over values, and terms of expansions in the correlation of distant sites.
POINTS, TERMS = 120, 40
#: Values of this second moment see a straight line; smaller ones need not be told apart.
LEAST = 1e-200


class _Stage(NamedTuple):
    """The functions between two convolutions, on Gaussian values of second moment q after the lower one.

    With f = phi^2, d = phi'^2, F = E[f] and G = E[d] all but the first and last are pure numbers.

    Attributes
    ----------
    second : float
        F.
    passes, opens : float
        d log F / d log q and d log G / d log q.
    carries : float
        d log F / d log q squared, times F / (q G): what is kept of the squared correlation of values and gradients.
    noise, shared, met : float
        Over channels: Var f / F^2 and Cov(f, d) / (F G), less what distant sites have of them, and E[f d] / (F G).
    rho : float
        Correlation of distant sites after the functions.
    """

    second: float
    passes: float
    opens: float
    carries: float
    noise: float
    shared: float
    met: float
    rho: float

    @staticmethod
    def of(functions: Sequence[Function], q: float, rho: float, channels: int) -> _Stage:
        """`rho` is the correlation of distant values below."""
        points, weights, polynomials = _quadrature()
        q = max(q, LEAST)
        value, slope = math.sqrt(q) * points, np.ones(POINTS)
        for phi in functions:
            value, slope = phi.value(value), slope * phi.slope(value)
        second, gate = float(weights @ value**2), float(weights @ slope**2)
        if not (second > 0 and gate > 0 and math.isfinite(second) and math.isfinite(gate)):
            raise OverflowError(f"method='finite_width': values of variance {q:.3g} leave the activation no slope, or "
                                "leave the range of floats; take gains near 1")
        f, d = value**2 / second, slope**2 / gate
        by_log_q = weights * (points**2 - 1) / 2         # q d/dq E[h(z)] = E[h(z) (z^2/q - 1)] / 2
        a, b, c = (polynomials * weights @ np.stack([f, d, value], axis=1)).T
        far = rho**np.arange(TERMS)                      # equation 39
        passes, met = float(by_log_q @ f), float(weights @ (f * d))
        return _Stage(second, passes, float(by_log_q @ d), passes**2 * second / (q * gate),
                      float(weights @ f**2 - far @ (a * a)) / channels, (met - float(far @ (a * b))) / channels,
                      met / channels, float(far @ (c * c)) / second)


@remembered(1)
def _quadrature() -> tuple[Array, Array, Array]:
    """Points and weights for a standard normal variable, and orthonormal Hermite polynomials there."""
    points, weights = np.polynomial.hermite_e.hermegauss(POINTS)
    return points, weights / weights.sum(), hermite(points, TERMS).T


class _Step(NamedTuple):
    """A convolution along one axis: how the distance u of two walkers changes while one of them moves by a.

    `by_order[i][u', u]` is the sum of w_a w_b a^i over taps with u' = s u + b - a; a is counted from its mean.
    """

    stride: int
    variance: float
    by_order: Array

    @staticmethod
    def of(g: AxisGeometry, w: Array, low: int, high: int) -> _Step:
        """From distances up to `high` above to those up to `low` below."""
        w = w / w.sum()
        a = g.dilation * (np.arange(len(w)) - w @ np.arange(len(w)))
        by_order = np.zeros((3, 2 * low + 1, 2 * high + 1))
        above = np.arange(-high, high + 1)
        for first in range(len(w)):
            for other in range(len(w)):
                below = g.stride * above + g.dilation * (other - first)
                held = np.abs(below) <= low
                by_order[:, below[held] + low, above[held] + high] += (
                    w[first] * w[other] * a[first]**np.arange(3))[:, None]
        return _Step(g.stride, float(w @ a**2), by_order)

    def moments(self, above: Array, axis: int) -> Array:
        """Mass, first and second moment of the walker's position (axis 1), for every distance (`axis`)."""
        (one, a, aa), s = (_along(matrix, above, axis) for matrix in self.by_order), self.stride
        return np.stack([one[:, 0], s * one[:, 1] + a[:, 0], s**2 * one[:, 2] + 2 * s * a[:, 1] + aa[:, 0]], axis=1)


def _along(matrix: Array, values: Array, axis: int) -> Array:
    return np.moveaxis(np.tensordot(matrix, values, (1, axis)), 0, axis)


def _middle(values: Array) -> tuple[int, ...]:
    return tuple(n // 2 for n in values.shape)


def _parts(graph: Graph) -> tuple[list[int], list[list[Function]]]:
    """Convolutions of a chain, and the functions after the input and after each of them."""
    convolutions: list[int] = []
    functions: list[list[Function]] = [[]]
    if graph.biases:
        raise NotImplementedError(f"method='finite_width' with biases: {SAMPLE}")
    for i, (layer, op, rule) in enumerate(zip(graph.layers, graph.ops, graph.rules)):
        chain = graph.sources[i] == (i - 1,)
        function = rule.function(layer)
        if chain and function is not None:
            functions[-1].append(function)
        elif chain and op.fresh and not layer.transposed and op.groups == 1 and len(op.taps) == graph.ndim:
            convolutions.append(i)
            functions.append([])
        elif not (chain and layer.is_identity):
            raise NotImplementedError("method='finite_width' is for chains of activations and random convolutions of "
                                      "one group, with kernels that are products; not for "
                                      f"{graph.name(i)} ({layer.kind}): use method='exact', or erfmath.measure")
    return convolutions, functions


def variance_ratios(graph: Graph, inputs: InputModel) -> tuple[float, ...]:
    """Variance of the field at the graph's width over that of infinitely many channels, per axis.

    Parameters
    ----------
    graph : Graph
        A chain of random convolutions and activations, borders aside.
    inputs : InputModel
        Pixels, taken to be Gaussian.

    Returns
    -------
    tuple of float
        1 where activations are linear on both sides of 0: then the width does not matter.

    Raises
    ------
    NotImplementedError
        For other networks, and for inputs whose neighbouring pixels are correlated.
    """
    convolutions, functions = _parts(graph)
    if inputs.covariance is not None:
        raise NotImplementedError(f"method='finite_width' with input_covariance: {SAMPLE}")
    if all(phi.below is not None for after in functions for phi in after):
        return (1.0,) * graph.ndim
    ops = [graph.ops[i] for i in convolutions]
    boxes = [(0,) * graph.ndim]
    for op in ops:
        boxes.append(tuple(min((have + g.extent - 1) // g.stride, LAGS)
                           for have, g in zip(boxes[-1], (taps.geometry[0] for taps in op.taps))))
    steps = [[_Step.of(taps.geometry[0], taps.weights, low, high) for taps, low, high in zip(op.taps, *pair)]
             for op, pair in zip(ops, zip(boxes, boxes[1:]))]
    # Upwards: numbers per stage, and over u the covariance of what log q is more at a site than in the draw (58).
    stages = [_Stage.of(functions[0], inputs.second, inputs.cov_far / inputs.second, graph.channels[-1])]
    local = [np.zeros((1,) * graph.ndim)]
    for i, op, here, after in zip(convolutions, ops, steps, functions[1:]):
        spread = local[-1] * stages[-1].passes**2
        spread[_middle(spread)] += stages[-1].noise
        for axis, step in enumerate(here):
            spread = _along(step.by_order[0].T, spread, axis)
        local.append(spread)
        stages.append(_Stage.of(after, op.gain * stages[-1].second, stages[-1].rho, graph.channels[i]))
    return tuple(_ratio(axis, stages, local, steps) for axis in range(graph.ndim))


def _ratio(axis: int, stages: list[_Stage], local: list[Array], steps: list[list[_Step]]) -> float:
    """Downwards: moments of paths along an axis, in the limit and what is to be added (59), and their variance (60)."""
    path = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    # At each distance from a path, with the path's moments: how the gates above depend on log q there, and on the
    # squared correlation of values and gradients.
    parted = np.zeros((2, 3, *local[-1].shape))
    for n in range(len(stages) - 1, -1, -1):
        stage = stages[n]
        together: Any = (slice(None), slice(None), *_middle(local[n]))
        path[1] += np.array([stage.shared, stage.met]) @ parted[together]
        parted[0] *= stage.passes
        parted[1] *= stage.carries
        path[1] += stage.opens * np.tensordot(parted[0], local[n], local[n].ndim)
        parted[together] += stage.opens * path[0] * [[1], [2]]
        if n:
            own = steps[n - 1][axis]
            for other, step in enumerate(steps[n - 1]):
                parted = own.moments(parted, 2 + axis) if other == axis else _along(step.by_order[0], parted, 2 + other)
            path = path * [1, own.stride, own.stride**2] + path[:, :1] * [0, 0, own.variance]
    limit, (mass, first, second) = path[0, 2], path.sum(axis=0)
    return float((second / mass - (first / mass)**2) / limit) if limit else 1.0


def narrowed(graph: Graph, inputs: InputModel) -> Graph:
    """The graph with kernels such that on the plane its field has the variance of its width.

    Raises
    ------
    NotImplementedError
        As `variance_ratios`.
    """
    ratios = variance_ratios(graph, inputs)
    convolutions, _ = _parts(graph)
    # Per axis, the variance of the whole walk, and how much of it kernels can lose.
    ops = [graph.ops[i] for i in convolutions]
    whole = variance_terms(ops, graph.ndim).sum(axis=0)
    spare = whole - variance_terms(ops, graph.ndim, _least_variance).sum(axis=0)
    shares = (1 - np.array(ratios)) * np.divide(whole, spare, out=np.zeros(graph.ndim), where=spare > 0)
    found = {id(op): op._replace(taps=tuple(map(_lazy, op.taps, shares))) for op in ops}
    return dataclasses.replace(graph, ops=tuple(found.get(id(op), op) for op in graph.ops))


def _least_variance(w: Array) -> Array:
    """The least variance of taps that have the mean of these."""
    mean = float(w @ np.arange(len(w))) % 1
    return np.asarray(mean * (1 - mean))


def _lazy(taps: Taps, share: float) -> Taps:
    """With probability `share` a step to the mean, or as near to it as there are taps."""
    w, a = taps.weights, np.arange(len(taps.weights))
    stay = np.maximum(1 - np.abs(a - w @ a), 0)
    return taps._replace(weights=w + share * (stay - w))
