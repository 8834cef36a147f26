"""Linear layers as taps, and the adjoint of taps along the axes they act on.

An output site x reads the input sites that its taps a point to (`erfmath.layers.geometry`).  The adjoint
hands what lies at x back to those sites; this is the only place where the theory does index
arithmetic.  Arrays carry their lattice along the *last* axes; axes before them are carried along.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...base.errors import MOST_WORK, check_bytes, check_count
from ...layers.geometry import AxisGeometry
from ..memory import lazy, remembered
from .rows import Rows

__all__ = ["Array", "Taps", "adjoint", "border_gain", "forward", "reads"]

Array = npt.NDArray[Any]

#: Taps of one weight above which a box sum by doubling takes fewer steps than one of tap after tap.
MANY = 12
#: Sites of the input times sites of the output, along an axis, up to which taps are a matrix.
FEW = 400
#: Sites for each tap along an axis up to which a product of matrices takes less time than steps, of equal taps and of
#: others, in arrays of so many numbers at least.
FLAT_SITES, SITES, LARGE = 2.5, 5.0, 2**12
REMEDY = "give an image, take a smaller network, or sample it with erfmath.measure"


class _Fields(NamedTuple):
    axes: tuple[int, ...]
    geometry: tuple[AxisGeometry, ...]
    weights: Array
    rows: Rows | None = None


class Taps(_Fields):
    """Weights of a layer along some axes.

    A separable layer has one `Taps` per axis and applies them in turn; any other has a single one
    for all axes.  `weights[a]` are amplitudes, or variances for random weights.  Where they depend on the place
    `rows` has them, along one axis, and `weights` are those of a typical row.
    """

    @lazy
    def flat(self) -> bool:
        """Whether all taps weigh the same, along one axis."""
        return self.rows is None and self.weights.ndim == 1 and len(set(self.weights.tolist())) == 1

    @lazy
    def trivial(self) -> bool:
        """Whether this is one tap in place, so that only its weight matters."""
        return self.rows is None and self.weights.size == 1 and _in_place(self.geometry)


@remembered(4096)
def _in_place(geometry: tuple[AxisGeometry, ...]) -> bool:
    return all(g._replace(padding=(0, 0), transposed=False) == AxisGeometry() and g.pads(None) == (0, 0)
               for g in geometry)


def _region(first_axis: int, axes: tuple[int, ...], parts: list[slice]) -> tuple[Any, ...]:
    """Index that takes `parts` along the lattice `axes`, everything elsewhere."""
    index: list[Any] = [slice(None)] * (first_axis + max(axes) + 1)
    for axis, part in zip(axes, parts):
        index[first_axis + axis] = part
    return tuple(index)


def check_work(geometry: tuple[AxisGeometry, ...], sites: int) -> None:
    """Refuse a layer of very many taps on very many sites."""
    work = sites * math.prod(g.kernel for g in geometry)
    check_count(work, MOST_WORK, f"{work} multiplications in one layer", "take a smaller kernel or image", each=0)


def adjoint(values: Array, start: tuple[int, ...], taps: Taps, sizes: tuple[int | None, ...],
            weigh: Callable[[tuple[int, ...], Array], Array] | None = None, flat: bool = False, factor: float = 1.0
            ) -> tuple[Array, tuple[int, ...]]:
    """Hand `values` at output sites back to the input sites, over all taps.

    Parameters
    ----------
    values : ndarray, shape (..., *lattice)
    start : tuple of int
        Lattice coordinate of the first element.
    taps : Taps
    sizes : tuple of (int or None)
        Sites of the layer's input along each axis, for paddings that depend on it; None is the plane.
    weigh : callable, optional
        ``weigh(tap, part)`` is what tap `tap` hands on of `part`: a multiple, or a mixture along the leading axes.
        By default that times its weight, or where `flat` as it is.
    flat : bool
        Whether every tap hands on the same (one axis only): a box sum then does it.
    factor : float
        Multiplies all of it, without `weigh`.

    Returns
    -------
    values, start
        At input sites; nothing is cut at borders.
    """
    lead = values.ndim - len(start)
    begin = list(start)
    counts, befores = [], []
    for axis, g in zip(taps.axes, taps.geometry):
        n, before = values.shape[lead + axis], g.pads(sizes[axis])[0]
        befores.append(before)
        if g.transposed:
            begin[axis] = -((g.extent - 1 - start[axis] - before) // g.stride)
            counts.append(max((start[axis] + n - 1 + before) // g.stride - begin[axis] + 1, 0))
        else:
            begin[axis] = g.stride * start[axis] - before
            counts.append(g.stride * (n - 1) + g.extent)
    if not flat:
        check_work(taps.geometry, max(values.size, math.prod(values.shape[:lead]) * math.prod(counts)))
    if taps.geometry[0].transposed:
        total = _gather(values if factor == 1 else values * factor, start, taps, lead, begin, counts, befores, weigh,
                        flat)
    else:
        total = _scatter(values, taps, lead, counts, weigh, flat, factor)
    return total, tuple(begin)


def _scatter(values: Array, taps: Taps, lead: int, counts: list[int],
             weigh: Callable[[tuple[int, ...], Array], Array] | None, flat: bool, factor: float = 1.0) -> Array:
    """out[s x + d a] += weigh(a, values[x])."""
    axis, g = lead + taps.axes[0], taps.geometry[0]
    weights = None if flat or weigh is not None else taps.weights * factor
    if weigh is None and len(taps.axes) == 1 and values.size >= LARGE and (
            values.shape[axis] <= g.kernel * (FLAT_SITES if flat else SITES)):
        band = _band(g, np.full(g.kernel, factor) if weights is None else weights, values.shape[axis])
        found = _product(band, values, axis)
        if found is not None:
            return found
    if weigh is not None:
        part = weigh((0,) * len(taps.axes), values)
    elif weights is not None:
        part = weights.item(0) * values
    else:
        part = values if factor == 1 else factor * values
    if flat and g.kernel > MANY:
        return _box(_insert_zeros(part, g.stride, axis), g.kernel, g.dilation, axis)
    shape = list(part.shape)
    for axis, count in zip(taps.axes, counts):
        shape[lead + axis] = count
    check_bytes(8 * math.prod(shape), f"a field of shape {tuple(shape)}", REMEDY)
    landing = _landing(taps.axes, taps.geometry, lead, part.shape[lead:])
    if len(taps.axes) == 1 and taps.geometry[0].stride == 1:  # the first tap need not be added to anything
        total, axis = np.empty_like(part, shape=shape), lead + taps.axes[0]
        (_, first), *landing = landing
        total[first] = part
        total[(slice(None),) * axis + (slice(part.shape[axis], None),)] = 0.0
    else:
        total = np.zeros_like(part, shape=shape)
    if weights is not None:
        each = [(weights[tap].item(), region) for tap, region in landing]
        if values.size >= LARGE:  # taps of one weight with each other
            each.sort(key=operator.itemgetter(0))
        weight = weights.item(0)
        for other, region in each:
            if other != weight:
                weight, part = other, other * values
            total[region] += part
        return total
    for tap, region in landing:
        if weigh is not None and not flat and any(tap):
            part = weigh(tap, values)
        total[region] += part
    return total


def _band(g: AxisGeometry, weights: Array, count: int) -> Array:
    """What `count` output sites hand to all input sites that they read, as a matrix."""
    band = np.zeros((g.stride * (count - 1) + g.extent, count))
    x = np.arange(count)
    for tap, weight in enumerate(weights.tolist()):
        band[g.stride * x + g.dilation * tap, x] = weight
    return band


def _product(matrix: Array, values: Array, axis: int) -> Array | None:
    """A matrix along an axis of values that lie one after the other in memory; None of others."""
    order = sorted(range(values.ndim), key=values.strides.__getitem__, reverse=True)
    there = values.transpose(order)
    if not there.flags.c_contiguous:
        return None
    place = order.index(axis)
    before, after = there.shape[:place], there.shape[place + 1:]
    flat = there.reshape(math.prod(before), there.shape[place], math.prod(after))
    found = np.matmul(matrix, flat).reshape(*before, len(matrix), *after)
    return found.transpose(np.argsort(order))


@remembered(1024)
def _landing(axes: tuple[int, ...], geometry: tuple[AxisGeometry, ...], lead: int, lattice: tuple[int, ...]
             ) -> list[tuple[tuple[int, ...], Any]]:
    """Per tap, where it puts what lies on `lattice`."""
    spans = [[slice(g.dilation * a, g.dilation * a + g.stride * (lattice[axis] - 1) + 1, g.stride)
              for a in range(g.kernel)] for axis, g in zip(axes, geometry)]
    return [(tap, _region(lead, axes, [per_tap[a] for per_tap, a in zip(spans, tap)]))
            for tap in itertools.product(*(range(g.kernel) for g in geometry))]


def _gather(values: Array, start: tuple[int, ...], taps: Taps, lead: int, begin: list[int],
            counts: list[int], befores: list[int], weigh: Callable[[tuple[int, ...], Array], Array] | None, flat: bool
            ) -> Array:
    """out[z] += weigh(a, values[s z + d a - p])."""
    width = [(0, 0)] * values.ndim
    for axis, g, count, before in zip(taps.axes, taps.geometry, counts, befores):
        first = g.stride * begin[axis] - before  # the site that tap 0 of the first z reads
        last = g.stride * (begin[axis] + count - 1) + g.extent - 1 - before
        width[lead + axis] = (start[axis] - first,
                              last - (start[axis] + values.shape[lead + axis] - 1)) if count else (0, 0)
    values = _fit(values, width)
    total: Any = 0
    for tap in itertools.product(*(range(g.kernel) for g in taps.geometry)):
        offsets = [g.dilation * a for g, a in zip(taps.geometry, tap)]
        spans = [slice(a, a + g.stride * (count - 1) + 1 if count else a, g.stride)
                 for g, a, count in zip(taps.geometry, offsets, counts)]
        part = values[_region(lead, taps.axes, spans)]
        if weigh is not None:
            part = weigh(tap, part)
        total = total + (part if weigh is not None or flat else taps.weights[tap] * part)
    return np.asarray(total)


def _fit(values: Array, width: list[tuple[int, int]]) -> Array:
    """Zero padding per axis; negative widths cut."""
    into, out = [], []
    for (a, b), n in zip(width, values.shape):
        into.append(slice(max(a, 0), a + n + min(b, 0)))
        out.append(slice(max(-a, 0), n - max(-b, 0)))
    fitted = np.zeros([a + n + b for (a, b), n in zip(width, values.shape)])
    fitted[tuple(into)] = values[tuple(out)]
    return fitted


def _insert_zeros(values: Array, stride: int, axis: int) -> Array:
    if stride == 1:
        return values
    shape = list(values.shape)
    shape[axis] = stride * (shape[axis] - 1) + 1
    spread = np.zeros(shape)
    spread[(slice(None),) * axis + (slice(None, None, stride),)] = values
    return spread


def _box(values: Array, count: int, step: int, axis: int) -> Array:
    """Sum of `count` copies of `values`, each `step` sites after the last, in log2(count) additions.

    Only additions, so that non-negative values keep their relative accuracy.
    """
    shape = list(values.shape)
    shape[axis] += step * (count - 1)
    before = (slice(None),) * axis
    total = np.zeros(shape)
    block, size, done = values, 1, 0
    while True:
        if count & size:
            total[before + (slice(done * step, done * step + block.shape[axis]),)] += block
            done += size
        if done == count:
            return total
        shape[axis] = block.shape[axis] + size * step
        double = np.zeros(shape)
        double[before + (slice(0, block.shape[axis]),)] = block
        double[before + (slice(size * step, None),)] += block
        block, size = double, 2 * size


def border_gain(taps: Taps, start: int, count: int, n: int | None) -> Array | None:
    """Total weight over weight inside the map, for output sites start .. start + count - 1 of one axis.

    What averages over the sites inside only multiplies by this; None where no site is at a border.
    """
    g, = taps.geometry
    if n is None:
        return None
    z, hit = reads(g, np.arange(start, start + count), n)
    weight = (hit * taps.weights).sum(axis=1)
    within = (hit * ((z >= 0) & (z < n)) * taps.weights).sum(axis=1)
    if (within == weight).all():
        return None
    return np.divide(weight, within, out=np.zeros(count), where=within > 0)


def forward(values: Array, taps: Taps, sizes_in: tuple[int | None, ...], extent: tuple[int, ...]) -> Array:
    """What output sites 0 .. extent - 1 of an image read of `values`, which lie on its sites; 0 from outside.

    With equal weights along one axis the plain sum, that is, in units of the weight.
    """
    lead, shape, flat = values.ndim - len(extent), values.shape, taps.flat
    if flat:
        axis, = taps.axes
        after = lead + axis - values.ndim
        if after >= -2 and shape[after] * extent[axis] <= FEW:  # one product costs less than a few sums
            counts = _counts(taps.geometry[0], sizes_in[axis], shape[after], extent[axis])
            return np.dot(values, counts.T) if after == -1 else np.matmul(counts, values)
    whole, moves = _moves(taps.axes, taps.geometry, shape[:lead], shape[lead:], sizes_in, extent)
    if whole is not None:  # a tap that reads a site for each of the output
        tap, out = whole
        total = values[out].copy() if flat else taps.weights[tap] * values[out]
    else:
        total = np.zeros([*shape[:lead], *(extent[a] if a in taps.axes else n for a, n in enumerate(shape[lead:]))])
    for tap, into, out in moves:
        total[into] += values[out] if flat else taps.weights[tap] * values[out]
    return total


@remembered(1024)
def _moves(axes: tuple[int, ...], geometry: tuple[AxisGeometry, ...], leading: tuple[int, ...],
           lattice: tuple[int, ...], sizes_in: tuple[int | None, ...], extent: tuple[int, ...]
           ) -> tuple[tuple[Any, Any] | None, tuple[tuple[Any, ...], ...]]:
    """Per tap, the output sites that read a site of `lattice` through it, and those sites.

    First, without the output sites, a tap through which all of them do, if there is one; then the others.
    """
    check_work(geometry, math.prod(leading) * math.prod(extent))
    lead = len(leading)
    spans = [_spans(g, g.pads(sizes_in[axis])[0], lattice[axis], extent[axis]) for axis, g in zip(axes, geometry)]
    whole, others = None, []
    for tap in itertools.product(*(range(g.kernel) for g in geometry)):
        into, out = ([per_tap[a][side] for per_tap, a in zip(spans, tap)] for side in (0, 1))
        if whole is None and all(part == slice(0, extent[axis], part.step) and part.step in (1, None)
                                 for axis, part in zip(axes, into)):
            whole = tap, _region(lead, axes, out)
        else:
            others.append((tap, _region(lead, axes, into), _region(lead, axes, out)))
    return whole, tuple(others)


@remembered(256)
def _counts(g: AxisGeometry, size: int | None, n: int, n_out: int) -> Array:
    """How often each output site reads each site, shape (n_out, n)."""
    found = np.zeros((n_out, n))
    for into, out in _spans(g, g.pads(size)[0], n, n_out):
        found[np.arange(n_out)[into], np.arange(n)[out]] += 1.0
    return found


def _spans(g: AxisGeometry, before: int, n: int, n_out: int) -> list[tuple[slice, slice]]:
    """Per tap, the output sites that read a site 0 .. n - 1 through it, and those sites."""
    spans = []
    for a in range(g.kernel):
        shift = before - g.dilation * a
        fine, coarse = (n_out, n) if g.transposed else (n, n_out)  # fine site = s coarse site - shift
        first = max(-(-shift // g.stride), 0)
        stop = max(min((fine - 1 + shift) // g.stride + 1, coarse), first)
        thin, wide = slice(first, stop), slice(g.stride * first - shift, max(g.stride * stop - shift, 0), g.stride)
        spans.append((wide, thin) if g.transposed else (thin, wide))
    return spans


def reads(g: AxisGeometry, x: Array, n: int) -> tuple[Array, Array]:
    """Input site that output site x reads through each tap, and whether there is one."""
    a, before = np.arange(g.kernel), g.pads(n)[0]
    if g.transposed:
        z, rest = np.divmod(x[:, None] + before - g.dilation * a, g.stride)
        return z, rest == 0
    z = g.stride * x[:, None] + g.dilation * a - before
    return z, np.ones(z.shape, bool)
