"""Activities of gates without any input: given by hand, or told by the batch norms before them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..base.errors import quoted
from ..empirics.arrays import Array
from ..empirics.plan import Plan
from ..empirics.rules import Step
from ..empirics.rules.activation import activate
from .circuit import gates_of
from .observed import Observed, factors_by_site, two_slopes
from .slopes import Slope

__all__ = ["by_hand", "from_norms"]

#: Standard normal values and their weights, for the mean of functions that may have kinks.
POINTS = np.linspace(-8.5, 8.5, 1001)
#: Functions of one slope between two ends, and none outside.
CLIPPED = {"relu6": (0.0, 6.0, 1.0), "hardtanh": (-1.0, 1.0, 1.0), "hardsigmoid": (-3.0, 3.0, 1 / 6)}
WEIGHTS = np.exp(-POINTS**2 / 2) / np.exp(-POINTS**2 / 2).sum()


def by_hand(step: Step, counts: Mapping[int, int], taps: int, given: Any, key: str) -> Observed:
    """What a user says of a gate, in the shapes that `activities` returns.

    Raises
    ------
    ValueError
        If it has another shape, or says what cannot be.
    """
    array = np.asarray(given, dtype=float)
    layer: Any = step.layer
    low, channels = two_slopes(step), counts[step.index]
    if step.layer.op == "max_pool":
        shapes, words = [(taps,), (channels, taps)], f"the share of each tap, (taps,) or ({channels}, {taps})"
    elif len(step.inputs) > 1:
        shapes = [(len(step.inputs), 2, channels)]
        words = f"mean and mean square of what multiplies the gradient of each input, {shapes[0]}"
    else:
        words = f"the mean and the mean square of the slope, (2, {channels})"
        shapes = [(2, channels)]
        if low is not None or getattr(layer, "function", "") in ("relu6", "hardtanh"):
            shapes = [(), (channels,), *shapes]
            words = f"the part of open gates, a number or ({channels},), or {words}"
    if array.shape not in shapes or not np.isfinite(array).all():
        raise ValueError(f"gates[{quoted(key)}]: shape {array.shape}; must be {words}")
    if step.layer.op == "max_pool":
        shares = array.reshape(-1, taps)
        if (shares < 0).any() or not np.allclose(shares.sum(axis=1), 1):
            raise ValueError(f"gates[{quoted(key)}]: shares must not be negative, and sum to 1")
        return shares
    if array.ndim > 1 and (array[..., 1, :] < array[..., 0, :]**2 * (1 - 1e-9)).any():
        raise ValueError(f"gates[{quoted(key)}]: a mean square must not be less than the square of the mean")
    if array.ndim == 3:
        # What has a single channel is one number for all of them.
        wide = [max(counts[j] for k, j in enumerate(step.inputs) if k != which) for which in range(len(array))]
        return tuple(Slope(rows[0, :n], rows[1, :n], by_site)
                     for rows, n, by_site in zip(array, wide, factors_by_site(step)))
    if array.ndim < 2:
        if (array < 0).any() or (array > 1).any():
            raise ValueError(f"gates[{quoted(key)}]: parts of open gates must lie between 0 and 1")
        low = low or 0.0
        part = np.broadcast_to(array, (channels,))
        return (Slope(low + (1 - low) * part, low**2 + (1 - low**2) * part),)
    return (Slope(array[0], array[1]),)


#: Mean and variance of the values of each channel, taken to be Gaussian.
State = tuple[Array, Array]


def from_norms(plan: Plan, channels: Mapping[int, int]) -> dict[int, Observed]:
    """What batch norms of given statistics tell of the gates after them; gates of which nothing is told are left out.

    A norm with scale gamma and shift beta puts out values of mean beta and variance gamma^2, so that a ReLU is open
    with probability Phi(beta / |gamma|).  Sums of such values have the sum of their means and variances.  Between
    such a ReLU and a pool of N sites, gradients come from the winners: these are open with probability 1 - (1 - p)^N.
    """
    program, given = plan.program, plan.recipe.given
    small, fused, gates = gates_of(plan)
    known: dict[int, State] = {}
    found: dict[int, Observed] = {}
    for i, step in program.steps.items():
        above = [known.get(j) for j in step.inputs]
        if i in gates and i not in fused:
            seen = _gate(step, above[0], channels[i])
            if seen is not None:
                found[i] = seen
        rows = {name: given[i, name][0].astype(float) for name in ("scale", "shift", "variance") if (i, name) in given}
        if "variance" in rows:
            known[i] = rows["shift"], rows["scale"]**2
        elif step.layer.op in _STATES and None not in above:
            known[i] = _STATES[step.layer.op](step, above, channels[i])
    pools: dict[int, int] = {}  # sites of the pool that alone reads a node
    path = [i for i in small.steps if i in small.path and i > program.source]
    readers = Counter(j for i in path for j in small.steps[i].inputs)
    for i in reversed(path):
        step = small.steps[i]
        if i in pools and i in found and two_slopes(step) == 0.0:
            part = 1 - (1 - found[i][0].mean)**pools[i]
            found[i] = (Slope(part, part),)
        elif step.layer.op == "max_pool" and readers[step.inputs[0]] == 1:
            pools[step.inputs[0]] = math.prod(step.kernel)
    return found


def _gate(step: Step, state: State | None, count: int) -> Observed | None:
    from scipy.special import ndtr
    layer: Any = step.layer
    if layer.op == "max_pool":
        taps = math.prod(step.kernel)
        return np.full((1, taps), 1 / taps)
    if layer.op == "adaptive_max_pool":
        return ()
    if layer.op == "dropout":
        return (Slope(np.ones(count), np.full(count, 1 / (1 - layer.p))),)
    if layer.op != "activation" or state is None:
        return None
    mean, variance = state
    low, deviation = two_slopes(step), np.sqrt(np.maximum(variance, 1e-300))
    if layer.function in CLIPPED:
        first, last, inside = CLIPPED[layer.function]
        part = ndtr((last - mean) / deviation) - ndtr((first - mean) / deviation)
        return (Slope(inside * part, inside**2 * part),)
    if low is not None:
        part = ndtr(mean / deviation)
        return (Slope(low + (1 - low) * part, low**2 + (1 - low**2) * part),)
    slope = np.asarray(activate(_values(state), layer.function, layer.slope)[1], float)
    return (Slope(slope @ WEIGHTS, slope**2 @ WEIGHTS),)


def _values(state: State) -> Array:
    mean, variance = state
    return mean[:, None] + np.sqrt(variance)[:, None] * POINTS


def _activated(step: Step, above: Any, count: int) -> State:
    layer: Any = step.layer
    value = activate(_values(above[0]), layer.function, layer.slope)[0]
    mean = value @ WEIGHTS
    return mean, np.maximum(value**2 @ WEIGHTS - mean**2, 0)


def _summed(step: Step, above: Any, count: int) -> State:
    mean, variance = (sum(np.broadcast_to(state[k], (count,)) for state in above) for k in range(2))
    return np.asarray(mean), np.asarray(variance)


def _largest(step: Step, above: Any, count: int) -> State:
    """Mean and variance of the largest of so many independent Gaussian values."""
    from scipy.special import ndtr
    mean, variance = above[0]
    weights = np.gradient(ndtr(POINTS)**math.prod(step.kernel))
    first, second = (float(weights @ POINTS**k / weights.sum()) for k in (1, 2))
    return mean + np.sqrt(variance) * first, variance * (second - first**2)


def _same(step: Step, above: Any, count: int) -> State:
    return above[0]


def _scaled(step: Step, above: Any, count: int) -> State:
    layer: Any = step.layer
    mean, variance = above[0]
    return mean * layer.factor, variance * layer.factor**2


def _rearranged(step: Step, above: Any, count: int) -> State:
    layer: Any = step.layer

    def change(part: Array) -> Array:
        if layer.op == "slice":
            return part[layer.start:layer.stop]
        return part.reshape(layer.groups, -1).T.ravel()
    mean, variance = above[0]
    return change(mean), change(variance)


def _concatenated(step: Step, above: Any, count: int) -> State:
    means, variances = zip(*above)
    return np.concatenate(means), np.concatenate(variances)


#: What layers make of the state of their inputs.
_STATES: dict[str, Callable[[Step, Any, int], State]] = {
    "activation": _activated, "add": _summed, "concat": _concatenated, "identity": _same, "max_pool": _largest,
    "pad": _same, "scale": _scaled, "shuffle": _rearranged, "slice": _rearranged,
}
