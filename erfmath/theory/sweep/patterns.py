"""What two inputs have in common at any two sites of a small map: patterns that borders give each channel.

`Moments` knows this as numbers (at one place, and on average over pairs of sites), and how it falls towards borders.
On maps of a few sites, and after layers with large means, borders make patterns that go on through the layers: they are
part of the variance of each channel, have few degrees of freedom, and make batch norms divide channels by variances
that differ (docs/theory.md, equation 71).  Followed on sites that stand for others like them, in the middle of a map.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...layers.geometry import AxisGeometry
from ..memory import remembered
from ..rules.functions import Function, cross
from .lowering import Linear
from .linear_layers import read_sites
from .moments import Moments, ratio
from .taps import Array

__all__ = ["APART", "EARLY", "KINDS", "Known", "LARGEST", "PART", "Shared", "WIDEST", "at_one_place", "beyond",
           "inverse", "mixed", "of_moments", "of_sum", "refill", "through_batch_norm", "through_filter",
           "through_function", "through_random"]

#: Sites per axis of the largest maps whose patterns are followed.
LARGEST = 12
#: The same of maps that are at least this part of the image, on which most layers of a network are, and of no more
#: kinds of channels side by side: patterns of one are little of all, and each takes its time.
EARLY, PART, KINDS = 24, 1 / 8, 8
#: Sites per axis that are followed one by one, else those near borders and one that stands for the others.
APART = 7
#: Sites that a layer of stride 1 may read, of one that does less than all sites of a map.
WIDEST = 3
#: What remains of a pattern from site to site, between those near borders and the middle.
FALL = 0.25
#: Points at which functions of correlated values are found.
NODES = 5
_PARTS = (1 - np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)) / 2
#: Coefficients of the polynomial through these points.
_POWERS = np.linalg.inv(np.vander(_PARTS, increasing=True))
#: The quadrature of `inverse`, in the logarithm of its variable.
_T = np.exp(np.linspace(-14.0, 12.0, 105))
_STEP = 26.0 / 104
#: A pattern that is less of the variance makes no difference.
FAINT = 1e-6
#: The same of one that is not followed.
UNKNOWN = 0.05
#: What counts as no variance, as part of the average one.
LEAST = 1e-9

#: E[v(x) v'(x')] of two inputs at any two of the sites that are followed, shape (sites, sites).
Shared = Array
#: That of each channel group of a node, None where it is not known.
Known = tuple[Shared | None, ...]


class _Same:
    """What is shared, as an argument of what is remembered: looked up by one site, compared by all."""

    def __init__(self, of: Shared) -> None:
        self.of = of

    def __hash__(self) -> int:
        return hash(self.of[0].tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and (self.of is other.of or np.array_equal(self.of, other.of))


@remembered(64)
def _axis(n: int) -> tuple[Array, Array]:
    """Sites of an axis that are followed, and what each site is made of them, shape (n, sites)."""
    if n <= APART:
        return np.arange(n), np.eye(n)
    side = APART // 2
    kept = np.array([*range(side), n // 2, *range(n - side, n)])
    depth = np.arange(1, n - 2 * side + 1)  # beyond the last of those at one border, and at the other
    made = np.zeros((n, APART))
    made[kept, np.arange(APART)] = 1.0
    made[side:n - side, side - 1], made[side:n - side, side + 1] = FALL**depth, FALL**depth[::-1]
    made[n // 2, [side - 1, side + 1]] = 0.0
    made[side:n - side, side] = 1 - made[side:n - side, side - 1] - made[side:n - side, side + 1]
    return kept, made


@remembered(64)
def _map(sizes: tuple[int, ...]) -> tuple[Array, Array]:
    """Places of the sites of a map that are followed, in its order, and the part of all that each stands for."""
    weights = functools.reduce(np.multiply.outer, [_axis(n)[1].mean(axis=0) for n in sizes])
    places = np.arange(math.prod(sizes)).reshape(sizes)[np.ix_(*(_axis(n)[0] for n in sizes))]
    return places.ravel(), np.ravel(weights)


def _at(maps: Array) -> Array:
    """Maps at the sites that are followed, one after the other, shape (groups, sites)."""
    return maps.reshape(len(maps), -1).take(_map(maps.shape[1:])[0], axis=1)


def of_moments(m: Moments, g: int = 0) -> Shared:
    """What is known of a group where nothing is followed: means fall towards borders alike in all its channels."""
    far, levels = _falls(m)[g]
    count = len(_map(m.second.shape[1:])[1])
    return _of_fall(far, levels) if far else np.zeros((count, count))


def _falls(m: Moments) -> list[tuple[float, bytes]]:
    """Per group what any two sites have in common of that, over the product of two levels, and these; 0 of nothing."""
    if not m.coupled:
        return [(0.0, b"")] * len(m.cov_far)
    levels, means = _at(m.common_falls), m.mean(m.common_falls).tolist()
    far = np.minimum(m.cov_far, m.cov_site).tolist()  # no pair has more than a site
    return [(c / (mean * mean or 1.0), (level if mean else np.ones(len(level))).tobytes()) if c else (0.0, b"")
            for c, mean, level in zip(far, means, levels)]


def _of_fall(far: float, levels: bytes) -> Shared:
    level = np.frombuffer(levels)
    return np.multiply.outer(level * far, level)


def mixed(m: Moments, known: Known, share: Array) -> Shared | None:
    """The mean over groups that have a `share` in it; None where much of it is a pattern that is not followed.

    There two inputs have more in common at one place than `of_moments` says.
    """
    parts = [of_moments(m, g) if one is None else one for g, one in enumerate(known)]
    more = sum([part * max(float(m.cov_site[g]) - at_one_place(m, parts[g]), 0.0)
                for g, part in enumerate(share.tolist()) if known[g] is None])
    if more > UNKNOWN * float(np.dot(share, m.average)):
        return None
    return parts[0] if len(parts) == 1 else np.dot(
        share, np.array(parts).reshape(len(parts), -1)).reshape(parts[0].shape)


def of_sum(parts: Sequence[Moments], shared: Sequence[Shared], times: Sequence[float], g: int = 0) -> Shared:
    """Of a sum of independent values of a group; their means are in common everywhere."""
    total = sum(one if a == 1 else a * a * one for a, one in zip(times, shared))
    means = [(a * float(part.means[g]), part) for a, part in zip(times, parts)]
    means = [(mean, part) for mean, part in means if mean]
    for n, (mean, part) in enumerate(means):
        for other, another in means[:n]:
            both = np.multiply.outer(_at(part.level_map)[g], _at(another.level_map)[g]) * (mean * other)
            total = total + both + both.T
    return np.asarray(total)


def through_random(op: Linear, shared: Shared, sizes_in: Sequence[int], sizes: Sequence[int]) -> Shared | None:
    """After random weights: both sites read through the same tap."""
    if op.fold or any([taps.rows is not None or len(taps.axes) > 1 for taps in op.taps]):
        return None
    if op.in_place:
        return shared * (op.gain * math.prod([taps.weights.item() for taps in op.taps]))
    ndim, passed = len(sizes), [np.ones((1, 1))] * len(sizes)
    for taps in op.taps:
        axis, = taps.axes
        if taps.geometry[0].transposed and taps.geometry[0].stride > 1 and sizes[axis] > APART:
            return None  # where sites differ by phase none stands for others
        passed[axis] = _passage(taps.geometry[0], tuple(taps.weights.tolist()), sizes_in[axis], sizes[axis])
    if any(one.size == 1 for one in passed):
        return None
    counts, after = ([len(_axis(n)[0]) for n in each] for each in (sizes_in, sizes))
    order = [axis + side for axis in range(ndim) for side in (0, ndim)]
    pairs = shared.reshape(counts + counts).transpose(order)
    for axis in range(ndim):  # the first axis is the last one after it
        pairs = np.dot(passed[axis], pairs.reshape(counts[axis]**2, -1)).T
    back = [2 * axis + side for side in (0, 1) for axis in range(ndim)]
    whole = pairs.reshape([n for n in after for _ in (0, 1)]).transpose(back)
    return whole.reshape(math.prod(after), -1) * op.gain


def through_filter(lines: Sequence[Array], shared: Shared) -> Shared:
    """After weights that are the same in all channels: per axis, shape (sites out, sites in)."""
    parts = []
    for line in lines:
        parts.append(line[_axis(len(line))[0]] @ _axis(line.shape[1])[1])
    whole: Array = parts[0]
    for part in parts[1:]:
        whole = np.asarray(np.kron(whole, part))
    return np.asarray(whole @ shared @ whole.T)


def _everywhere(values: Array, sizes: Sequence[int]) -> Array:
    """A map from the sites that are followed."""
    whole = values.reshape([len(_axis(n)[0]) for n in sizes])
    for n in sizes:  # the first axis is the last one after it
        whole = np.tensordot(whole, _axis(n)[1], (0, 1))
    return whole


def refill(before: Moments, after: Moments, shared: Known, filtered: Known) -> None:
    """Correct E[v^2] after a filter: of what patterns hold, more is left than of what single inputs have alone."""
    values, near = after.values.copy(), after.cov_site.copy()
    for g, (one, left) in enumerate(zip(shared, filtered)):
        if one is None or left is None:
            continue
        known, own = before.average[g] - before.cov_site[g], before.average[g] - at_one_place(before, one)
        near[g] = at_one_place(after, left)
        alone = max((after.average[g] - after.cov_site[g]) * ratio(max(own, 0.0), known, 1.0), 0.0)
        values[g] = _everywhere(left.diagonal(), after.second.shape[1:]) + alone * ratio(
            after.second[g], after.average[g])
    after.values = values
    for name in ("second", "average", "cov_site", "deviation", "mean_deviation", "level", "_falls"):
        vars(after).pop(name, None)
    after.corr_site = np.minimum(ratio(near, after.average), 1.0)


def beyond(m: Moments, shared: Shared, g: int) -> bool:
    """Whether more is followed at one place than two inputs of a group have in common there."""
    return at_one_place(m, shared) > float(m.cov_site[g]) + UNKNOWN * float(m.average[g])


def at_one_place(m: Moments, shared: Shared) -> float:
    """E[v v'] of two inputs at one place, averaged over the map."""
    return float(np.dot(_map(m.second.shape[1:])[1], shared.diagonal()))


@remembered(256)
def _passage(g: AxisGeometry, weights: tuple[float, ...], n: int, n_out: int) -> Array:
    """What two sites of an axis make of any two of the input, shape (pairs of sites, pairs of the input's)."""
    kept, made = _axis(n_out)[0], _axis(n)[1]
    z, inside = read_sites(g, n, n_out)
    reads = np.where(inside[kept].T[..., None], made[np.clip(z[kept].T, 0, n - 1)], 0.0)
    pairs = np.einsum("a,axz,ayw->xyzw", np.array(weights), reads, reads)
    return pairs.reshape(len(kept)**2, -1)


def through_function(phi: Function, m: Moments, after: Moments, known: Known) -> Known:
    """Of a function of each value: to first order in what exceeds `of_moments`, of Gaussian values to any."""
    before, then, second = _falls(m), _falls(after), _at(m.second)
    found: list[Shared | None] = []
    for g, (shared, site, q) in enumerate(zip(known, m.sites, m.average.tolist())):
        if shared is None:
            found.append(None)
        elif site is None and q:
            found.append(_of_gaussian(phi, q, second[g].tobytes(), _Same(shared), before[g], then[g]))
        else:
            value = m.value(g)
            nodes = value.through(phi).nodes  # split at the kinks of the function
            slope = float(nodes.p @ phi.slope(value.at(nodes.u)))
            found.append(np.asarray(of_moments(after, g) + slope**2 * (shared - of_moments(m, g))))
    return tuple(found)


def _polynomial(powers: Sequence[float], at: Any, low: float, high: float) -> Any:
    """That of these coefficients, from the lowest, of the place between `low` and `high`."""
    place = (at - low) * (1 / (high - low))
    total = place * powers[-1]
    for one in powers[-2:0:-1]:
        total += one
        total *= place
    total += powers[0]
    return total


@remembered(64, lasting=False)
def _of_gaussian(phi: Function, q: float, second: bytes, shared: _Same, before: tuple[float, bytes],
                 after: tuple[float, bytes]) -> Shared:
    """The same of Gaussian values: concatenations in a row hold the same channels, and are read by the same layers."""
    root = np.sqrt(np.maximum(np.frombuffer(second), LEAST * q))
    roots = np.multiply.outer(root, root)
    corr = _within_one(shared.of / roots)
    known: Any = _within_one(_of_fall(*before) / roots) if before[0] else 0.0
    low = min(0.0, *(float(np.minimum.reduce(one, axis=None)) for one in (corr, known)))  # as of all phases of a map
    high = max(*(float(np.maximum.reduce(one, axis=None)) for one in (corr, known)), low + LEAST)
    line = np.dot(_POWERS, cross(phi, np.full(NODES, q), low + (high - low) * _PARTS)).tolist()
    found = np.asarray(_polynomial(line, corr, low, high) - _polynomial(line, known, low, high))
    return found + _of_fall(*after) if after[0] else found


def _within_one(corr: Array) -> Array:
    """Correlations, in place, without what rounding leaves beyond 1."""
    return np.minimum(np.maximum(corr, -1, out=corr), 1, out=corr)


def through_batch_norm(m: Moments, shared: Shared, count: int, g: int = 0) -> tuple[Shared, float]:
    """After a batch norm of `count` inputs, and E[1 / variance] of a channel.

    The variance is that of `count` times as many values of their own as there are sites, and of a pattern; 0 for the
    mean where rounding has left neither.
    """
    return _batch_norm(m.second.shape[1:], _at(m.second[g:g + 1]).tobytes(), _Same(shared), count)


@remembered(64, lasting=False)
def _batch_norm(sizes: tuple[int, ...], second: bytes, known: _Same, count: int) -> tuple[Shared, float]:
    """The same of second moments at the sites that are followed."""
    weights, shared = _map(sizes)[1], known.of
    own = np.maximum(np.frombuffer(second) - shared.diagonal(), 0.0)
    rows = np.dot(shared, weights)
    pattern = shared - rows
    rows -= float(np.dot(weights, rows))
    pattern -= rows[:, None]
    mean, square = float(np.dot(weights, own)), float(np.dot(weights, own * own))
    varied = max(float(np.dot(weights, pattern.diagonal())), 0.0)
    many = count * math.prod(sizes) * float(mean * mean / square if square else 1.0) - 1
    if not mean and not varied:
        return np.zeros(shared.shape), 0.0
    if varied <= FAINT * mean:
        return np.zeros(shared.shape), (many + 1) / max(many - 2, LEAST) / mean
    power = float(np.dot(weights, np.dot(pattern * pattern, weights)))
    whole, part = inverse(mean * many / (many + 1), many, varied, varied**2 / power)
    pattern *= part / varied
    return pattern, whole


def inverse(own: float, many: float, pattern: float, freedoms: float) -> tuple[float, float]:
    """E[1 / s^2] and E[p / s^2] of the mean square s^2 of a pattern p and values o of its own at `many` samples.

    Along each of the `freedoms` directions of the pattern own values add to it, o / many + p / freedoms, and have
    o / many along others.  The integral over t of E[exp(-t s^2)], (1 + 2 t part)^(-1/2) for each.
    """
    t = _T / (own + pattern)
    freedoms = min(freedoms, many)
    one = 2 * own / many
    other = one + 2 * pattern / freedoms
    density = np.exp(-(many - freedoms) / 2 * np.log1p(one * t) - freedoms / 2 * np.log1p(other * t)) * t * _STEP
    return float(density.sum()), float((density * pattern / (1 + other * t)).sum())
