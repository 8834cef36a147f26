"""What linear layers make of second moments, forwards."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from ...layers.geometry import AxisGeometry
from ..memory import remembered, replace
from .lowering import Linear, reach
from .moments import Moments, at, ratio
from .pairs import border_pairs, cut_pairs, fixed_pairs, select_lags
from .pooled_pairs import pooled_pairs
from .taps import Array, Taps, adjoint, forward, reads

__all__ = ["far_factor", "filtered_values", "folded", "linear", "random_map", "read_shares", "read_sites",
           "shared_after"]


def linear(op: Linear, m: Moments, sizes_in: tuple[int | None, ...], extent: tuple[int, ...],
           lags: tuple[int, ...]) -> Array:
    """M(x, tau) after a random layer or a filter, shape (groups, *lags, *extent)."""
    if op.fold:
        m, sizes_in = folded(op, m, sizes_in, reach(op.unfolded, lags, back=True))
        op = op.unfolded
    if m.wraps and math.prod(m.second.shape[1:]) == 1:
        return _at_point(op, m, lags)
    before = m.with_lags(reach(op, lags, back=True)).values
    if op.variances and not m.wraps:
        return _random(op, before, sizes_in, extent, lags)
    start: tuple[int, ...] = (0,) * m.ndim
    flipped = op._replace(taps=tuple(_flip(taps, sizes_in) for taps in op.taps), inside_only=False)
    bounds: tuple[int | None, ...] = extent
    if m.wraps:
        around = [g.extent + max(map(abs, g.pads(None))) for taps in op.taps for g in taps.geometry]
        before = np.pad(before, [(0, 0)] * (1 + m.ndim) + [(r, r) for r in around], mode="wrap")
        start, bounds = tuple(-r for r in around), (None,) * m.ndim
    if op.variances:
        values, start = _random_torus(flipped, before, start, lags)
    elif op.routes:
        assert not m.wraps  # forwards, sites that win are an average's
        values = pooled_pairs(before, flipped, extent, lags)
    else:
        values, start = fixed_pairs(before, start, flipped, bounds, lags)
    values = _placed(values, start, extent)
    if op.inside_only:
        for taps in op.taps:
            values = border_pairs(values, (0,) * m.ndim, taps, sizes_in)
    return values


def filtered_values(op: Linear, m: Moments, sizes_in: tuple[int | None, ...], extent: tuple[int, ...],
                    lags: tuple[int, ...]) -> Array:
    """The same of values, whose mean squares are not negative."""
    values = linear(op, m, sizes_in, extent, lags)
    if any(m.lags) and not op.variances:
        power = values[at(lags)]
        if power.min(initial=0.0) < 0:  # covariances of neighbours are not exact: more than a site has may be taken off
            np.maximum(power, 0.0, out=power)
    return values


def folded(op: Linear, m: Moments, sizes_in: tuple[int | None, ...], lags: tuple[int, ...]
           ) -> tuple[Moments, tuple[int | None, ...]]:
    """Moments after the padding by what the map holds, and the size of the padded map."""
    if m.wraps:
        return m, sizes_in
    sizes = op.padded(sizes_in)
    return replace(m, values=linear(op.folding, m, sizes_in, sizes, lags), common=None), sizes


def _random(op: Linear, values: Array, sizes_in: tuple[int | None, ...], extent: tuple[int, ...],
            lags: tuple[int, ...]) -> Array:
    """On an image: both sites of a pair read through the same tap."""
    if any(lags):
        for axis, g in enumerate(g for taps in op.taps for g in taps.geometry):
            g = g._replace(transposed=not g.transposed)
            values = select_lags(values, 1 + axis, g, values.shape[1 + axis] // 2, lags[axis])
    values = random_map(op, values, sizes_in, extent)
    return cut_pairs(values, (0,) * len(extent), extent, tuple(range(len(extent))))[0] if any(lags) else values


def random_map(op: Linear, values: Array, sizes_in: tuple[int | None, ...], extent: tuple[int, ...]) -> Array:
    """Maps, along the last axes of `values`, on which each site of the output reads the mean over the taps."""
    factor = op.gain
    for taps in op.taps:
        trivial = taps.trivial
        if trivial or taps.flat:
            factor *= taps.weights.item(0)
        if not trivial:
            values = forward(values, taps, sizes_in, extent)
    return values * factor


def _random_torus(op: Linear, values: Array, start: tuple[int, ...], lags: tuple[int, ...]
                  ) -> tuple[Array, tuple[int, ...]]:
    plane = (None,) * len(start)
    for axis, g in enumerate(g for taps in op.taps for g in taps.geometry):
        values = select_lags(values, 1 + axis, g, values.shape[1 + axis] // 2, lags[axis])
    for taps in op.taps:
        w = taps.weights
        if not taps.trivial:
            values, start = adjoint(values, start, taps, plane, lambda tap, part: w[tap] * part, taps.flat)
    return values * (op.gain * math.prod(t.weights.item() for t in op.taps if t.trivial)), start


def _flip(taps: Taps, sizes: tuple[int | None, ...]) -> Taps:
    """Taps whose adjoint is the layer itself, forwards."""
    if taps.rows is not None:
        return taps._replace(rows=taps.rows.transposed)
    geometry = tuple(AxisGeometry(g.kernel, g.stride, g.dilation, g.pads(sizes[axis]), not g.transposed)
                     for axis, g in zip(taps.axes, taps.geometry))
    return taps._replace(geometry=geometry)


def _placed(values: Array, start: tuple[int, ...], extent: tuple[int, ...]) -> Array:
    """`values` on sites 0 .. extent - 1, zero where nothing was written."""
    ndim = len(start)
    if values.shape[-ndim:] == extent and not any(start):
        return values
    whole = np.zeros((*values.shape[:-ndim], *extent))
    ends = list(zip(start, values.shape[-ndim:], extent))
    into: Any = (..., *(slice(max(s, 0), max(min(s + n, e), 0)) for s, n, e in ends))
    out: Any = (..., *(slice(max(-s, 0), max(min(n, e - s), 0)) for s, n, e in ends))
    whole[into] = values[out]
    return whole


def _at_point(op: Linear, m: Moments, lags: tuple[int, ...]) -> Array:
    """After a layer on the plane where all sites are alike (after upsampling: the mean over phases)."""
    phases = math.prod(g.stride for taps in op.taps for g in taps.geometry if g.transposed)
    if phases > 1 or any(taps.geometry[0].transposed for taps in op.taps):
        total = math.prod(float(taps.weights.sum()) for taps in op.taps)
        if op.variances:
            return m.values * (op.gain * total / phases)
        squares = math.prod(float((taps.weights**2).sum()) for taps in op.taps)
        alike = m.per_pair(m.cov_site)
        return ((m.values - alike) * squares / phases + alike * (total / phases)**2) * op.gain**2
    values = m.with_lags(reach(op, lags, back=True)).values * (op.gain if op.variances else op.gain**2)
    for taps in op.taps:
        if taps.rows is None:  # what pads a map does nothing on the plane
            values = _thinned(values, taps, lags, op.variances)
    return values


def _thinned(values: Array, taps: Taps, lags: tuple[int, ...], random: bool) -> Array:
    """M'(tau) = sum over pairs of taps (the same tap twice, if random) of w_a w_b M(s tau + d (b - a))."""
    def at_shift(shift: tuple[int, ...]) -> Array:
        index: list[Any] = [slice(None)] * values.ndim
        for axis, g, d in zip(taps.axes, taps.geometry, shift):
            middle = values.shape[1 + axis] // 2 + g.dilation * d
            index[1 + axis] = slice(middle - g.stride * lags[axis], middle + g.stride * lags[axis] + 1, g.stride)
        return values[tuple(index)]

    if random:
        return np.asarray(at_shift((0,) * len(taps.axes)) * np.add.reduce(taps.weights, axis=None))
    total: Any = 0
    for shift in itertools.product(*(range(1 - k, k) for k in taps.weights.shape)):
        here = tuple(slice(max(-d, 0), k - max(d, 0)) for d, k in zip(shift, taps.weights.shape))
        there = tuple(slice(max(d, 0), k - max(-d, 0)) for d, k in zip(shift, taps.weights.shape))
        total = total + (taps.weights[here] * taps.weights[there]).sum() * at_shift(shift)
    return np.asarray(total)


def shared_after(op: Linear, m: Moments, after: Array, sizes_in: tuple[int | None, ...]) -> Array:
    """`corr_site` after a layer that makes M(x, tau) = `after`: random layers leave it, filters gather like values."""
    if op.variances or not any(m.corr_site.tolist()):
        return m.corr_site
    box = reach(op, (0,) * m.ndim, back=True)
    values = m.shared(box)
    if any(m.lags):  # two inputs share no more at two sites than one of them does
        values = np.minimum(values, np.maximum(m.with_lags(box).values, 0.0))
    alike = replace(m, values=values, corr_site=np.ones(len(m.corr_site)), plane=None)
    part = linear(op, alike, sizes_in, after.shape[1 + m.ndim:], (0,) * m.ndim)
    return np.minimum(ratio(_average(part, m.ndim), _average(after, m.ndim)), 1.0)


def _average(values: Array, ndim: int) -> Array:
    """Lag 0 averaged over the map, per group."""
    middle = tuple(n // 2 for n in values.shape[1:1 + ndim])
    return np.asarray(values[at(middle)].reshape(len(values), -1).mean(axis=1))


def far_factor(op: Linear, m: Moments, sizes_in: tuple[int | None, ...], sizes: tuple[int | None, ...]) -> Any:
    """What a layer makes of c, per group: pairs of distant sites read through the same tap, or through any two.

    Towards borders c falls as sqrt(q), here the product of its means along each axis.
    """
    if len(m.cov_far) > 1 and not m.wraps:
        return np.array([far_factor(op, m.of_groups(np.array([g])), sizes_in, sizes) for g in range(len(m.cov_far))])
    factor = op.gain if op.variances else op.gain**2
    if op.fold:
        (m, sizes_in), op = folded(op, m, sizes_in, (0,) * m.ndim), op.unfolded
    each: float | None = None
    for taps in op.taps:
        if each is None or not m.alike:
            each = _far_factor(op, taps, m, sizes_in, sizes)
        factor *= each
    return factor


def _far_factor(op: Linear, taps: Taps, m: Moments, sizes_in: tuple[int | None, ...], sizes: tuple[int | None, ...]
                ) -> float:
    """The same of taps along some of the axes."""
    if taps.rows is not None:
        return 1.0 if m.wraps else _mean_row(taps.rows.matrix, m, taps.axes[0])**2
    if taps.trivial:
        return taps.weights.item() if op.variances or op.inside_only else taps.weights.item()**2
    present = [_presence(g, m, axis, sizes_in[axis], sizes[axis]) for axis, g in zip(taps.axes, taps.geometry)]
    within = present[0] if len(present) == 1 else np.asarray(math.prod(np.ix_(*present)))
    if op.variances:
        return float(np.vdot(taps.weights, within * within))
    return 1.0 if op.inside_only else float((taps.weights * within).sum())**2


def _mean_row(matrix: Array, m: Moments, axis: int) -> float:
    """Mean over output sites of what each reads of sqrt(q), over that of all."""
    line = np.add.reduce(m.means_map, axis=tuple(a for a in range(1 + m.ndim) if a != 1 + axis))
    return float(ratio((matrix @ line).mean(), line.mean()))


def _presence(g: AxisGeometry, m: Moments, axis: int, n: int | None, n_out: Any) -> Array:
    """For each tap, the mean over output sites of the sqrt(q) that it reads over that of all, zero outside the map."""
    if n is None:
        return np.full(g.kernel, 1 / g.stride if g.transposed else 1.0)
    return np.dot(read_shares(g, n, n_out), m.lines[axis])


@remembered(1024)
def read_shares(g: AxisGeometry, n: int, n_out: int) -> Array:
    """Which part of the output sites reads each site through each tap, shape (taps, sites)."""
    z, within = read_sites(g, n, n_out)
    return np.stack([np.bincount(z[within[:, a], a], minlength=n) for a in range(g.kernel)]) / n_out


@remembered(4096)
def read_sites(g: AxisGeometry, n: int, n_out: int) -> tuple[Array, Array]:
    """Site 0 .. n - 1 that each output site reads through each tap, and whether it does."""
    z, hit = reads(g, np.arange(n_out), n)
    return np.clip(z, 0, n - 1), hit & (z >= 0) & (z < n)
