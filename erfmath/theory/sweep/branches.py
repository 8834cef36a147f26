"""Sums of branches of one value: filters of it, perhaps after a norm, as one linear function of it.

x + pool(x), x + pool(n(x)) - n(x): what such a sum is has second moments that no branch knows by itself.  With T the
sum of the branches' filters they are T Q T^T; each side is filtered by itself, so that borders act as they do in each
branch.  A norm over inputs also takes away what all sites share; that part is filtered separately (equations 29, 34).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..memory import replace
from .lowering import Linear
from .moments import Moments, at as lag_zero, ratio
from .pairs import cut_pairs
from .taps import Array, Taps, border_gain

__all__ = ["Branch", "filters", "gathered", "kernel_of"]


class Branch(NamedTuple):
    """One way from a value to a sum.

    Attributes
    ----------
    factor : float
    norms : tuple of int
        Norms on the way, by node.
    ops : tuple of Linear
        Filters on the way, the first first.
    """

    factor: float = 1.0
    norms: tuple[int, ...] = ()
    ops: tuple[Linear, ...] = ()

    @staticmethod
    def of(op: Linear) -> Branch:
        """A single filter."""
        if all(taps.trivial for taps in op.taps):
            return Branch(op.gain * float(np.prod([taps.weights.item() for taps in op.taps])))
        return Branch(ops=(op,))

    def after(self, first: Branch) -> Branch:
        """This after another one."""
        return Branch(first.factor * self.factor, first.norms + self.norms, first.ops + self.ops)


def filters(op: Linear) -> bool:
    """Whether a layer is the same filter of each channel that leaves every site where it is."""
    return not (op.fresh or op.gate or op.routes or op.equal or op.ties_channels or op.fold) and all(
        isinstance(taps, Taps) and all(not g.transposed and g.stride == 1 and g.extent % 2 and g.pads(None) == (
            g.extent // 2,) * 2 and g.border == "zeros" and g.padding != "same" for g in taps.geometry)
        for taps in op.taps)


def kernel_of(ops: Sequence[Linear], ndim: int) -> Array:
    """Filters one after the other as one, far from borders."""
    kernel = np.ones((1,) * ndim)
    for op in ops:
        kernel = kernel * op.gain
        for taps in op.taps:
            whole, steps = [1] * ndim, [1] * ndim
            for axis, g in zip(taps.axes, taps.geometry):
                whole[axis], steps[axis] = g.extent, g.dilation
            wide = np.zeros(whole)
            wide[tuple(slice(None, None, step) for step in steps)] = taps.weights.reshape(
                [-(-n // step) for n, step in zip(whole, steps)])
            out = np.zeros([m + n - 1 for m, n in zip(kernel.shape, wide.shape)])
            for place in np.ndindex(*kernel.shape):
                out[tuple(slice(p, p + n) for p, n in zip(place, wide.shape))] += kernel[place] * wide
            kernel = out
    return kernel


def summed(branches: Sequence[Branch], factors: Sequence[float], ndim: int) -> Array:
    """The filter that branches are together, far from borders."""
    kernels = [factor * kernel_of(branch.ops, ndim) for branch, factor in zip(branches, factors)]
    out = np.zeros([max(n) for n in zip(*(k.shape for k in kernels))])
    for kernel in kernels:
        out[tuple(slice((n - m) // 2, (n - m) // 2 + m) for m, n in zip(kernel.shape, out.shape))] += kernel
    return out


def gathered(m: Moments, branches: Sequence[Branch], gates: Mapping[int, Array], centres: Sequence[bool],
             sizes: tuple[int | None, ...], lags: tuple[int, ...]) -> tuple[Moments, Array]:
    """Moments of a sum of branches of a value, and the filter that they are far from borders.

    Parameters
    ----------
    m : Moments
        Of the value.
    branches : sequence of Branch
    gates : mapping
        Per norm, its factor on powers, as in `Gates`.
    centres : sequence of bool
        Whether norms of a branch take away what all sites share.
    sizes : tuple
        Of the map.
    lags : tuple of int
        To be carried.

    Returns
    -------
    Moments
        Without what the value of a site is.
    ndarray
    """
    factors = [branch.factor * float(np.prod([np.sqrt(_alone(gates[n])) for n in branch.norms])) for branch in branches]
    kernel = summed(branches, factors, m.ndim)
    reach = [n // 2 for n in kernel.shape]
    box = tuple(h + 2 * r for h, r in zip(lags, reach))
    kept = [(f, b.ops) for f, b, gone in zip(factors, branches, centres) if not gone]
    everything, wraps = [(f, b.ops) for f, b in zip(factors, branches)], m.wraps
    level = m.level_map
    far = m.per_pair(m.cov_far) * m.products(level, box)
    nearby = m.with_lags(box).values
    alike = m.per_pair(m.corr_site) * m.products(m.deviation, box)

    def through(values: Array, terms: Any) -> Array:
        return _sides(values, terms, sizes, wraps, lags) if terms else np.zeros(1)
    if any(centres):
        values = through(nearby - far, everything) + through(far, kept)
        shared = through(np.maximum(alike - far, 0.0), everything) + through(far, kept)
    else:
        values, shared = through(nearby, everything), through(alike, everything)
    line: Any = level[(slice(None), *(None,) * m.ndim)]
    apart = _summed(line, kept, sizes, wraps, None) if kept else np.zeros(line.shape)
    cov_far = m.cov_far * ratio(m.mean(apart[lag_zero((0,) * m.ndim)]), m.mean(level))**2
    whole = Moments(values, cov_far, np.zeros(len(cov_far)), (None,) * len(cov_far), m.wraps)
    shared = np.broadcast_to(shared, values.shape)
    corr_site = np.clip(ratio(whole.mean(shared[lag_zero(lags)]), whole.average), 0.0, 1.0)
    return replace(whole, corr_site=corr_site), kernel


def _alone(gate: Array) -> float:
    """Mean of a gate at lag 0."""
    middle = tuple(n // 2 for n in gate.shape[1:1 + (gate.ndim - 1) // 2])
    return float(gate[(slice(None), *middle)].mean())


def _sides(values: Array, terms: Sequence[tuple[float, Sequence[Linear]]], sizes: tuple[int | None, ...], wraps: bool,
           lags: tuple[int, ...]) -> Array:
    """T Q T^T: both sites of every pair filtered."""
    ndim = len(sizes)
    for left in (True, False):
        values = _summed(values, terms, sizes, wraps, left)
    cut = tuple(slice(n // 2 - h, n // 2 + h + 1) for n, h in zip(values.shape[1:1 + ndim], lags))
    values = values[(slice(None), *cut)]
    if any(lags) and not wraps:
        values, _ = cut_pairs(values, (0,) * ndim, sizes, tuple(range(ndim)))
    return values


def _summed(values: Array, terms: Sequence[tuple[float, Sequence[Linear]]], sizes: tuple[int | None, ...], wraps: bool,
            left: bool | None) -> Array:
    """The sum of all terms, each through its filters; `left` as for `_filtered`."""
    total: Any = 0.0
    for factor, ops in terms:
        part = values
        for op in ops:
            part = _filtered(part, op, sizes, wraps, left)
        total = total + factor * part
    return np.asarray(total)


def _filtered(values: Array, op: Linear, sizes: tuple[int | None, ...], wraps: bool, left: bool | None) -> Array:
    """The first site of each pair (`left`), the second, or (None) the sites of a map through a filter."""
    ndim = len(sizes)
    values = values * op.gain if op.gain != 1 else values
    for taps in op.taps:
        total = np.zeros(values.shape)
        for tap in np.ndindex(*taps.weights.shape):
            if not taps.weights[tap]:
                continue
            part = values
            for a, axis, g in zip(tap, taps.axes, taps.geometry):
                by = g.dilation * a - g.extent // 2
                if left is not None:
                    part = _moved(part, 1 + axis, -by if left else by, False)
                if left is not False:
                    part = _moved(part, 1 + ndim + axis, by, wraps)
            total += taps.weights[tap] * part
        values = total
        if op.inside_only:
            values = values * _border(taps, sizes, values.shape, left)
    if left is False and not wraps:  # the second site, too, must lie on the map
        values, _ = cut_pairs(values.copy(), (0,) * ndim, sizes, tuple(range(ndim)))
    return values


def _moved(values: Array, axis: int, by: int, wraps: bool) -> Array:
    """out[k] = values[k + by] along an axis; 0 from outside, unless it wraps."""
    n = values.shape[axis]
    if not by or (wraps and n == 1):
        return values
    if wraps:
        return np.roll(values, -by, axis)
    out = np.zeros(values.shape)
    if abs(by) < n:
        lead = (slice(None),) * axis
        out[(*lead, slice(max(-by, 0), n - max(by, 0)))] = values[(*lead, slice(max(by, 0), n - max(-by, 0)))]
    return out


def _border(taps: Taps, sizes: tuple[int | None, ...], shape: tuple[int, ...], left: bool | None) -> Array:
    """What windows at the border are multiplied by that share their weight among the sites inside."""
    axis, = taps.axes
    ndim, n = len(sizes), sizes[axis]
    gain = None if n is None else border_gain(taps, 0, n, n)
    out = [1] * (1 + 2 * ndim)
    if gain is None or n is None:
        return np.ones(out)
    out[1 + ndim + axis] = n
    if left is not False:
        return np.asarray(gain.reshape(out))
    count = shape[1 + axis]
    site = np.arange(n) + (np.arange(count) - count // 2)[:, None]
    out[1 + axis] = count
    return np.where((site >= 0) & (site < n), gain[np.clip(site, 0, n - 1)], 0.0).reshape(out)
