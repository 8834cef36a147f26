"""Fields: arrays that know the integer coordinate of their first element.

A field f is zero outside its array, so fields of different extent add and convolve without any
bookkeeping at the call: ``start`` of a convolution is the sum of the starts, its mass the product
of the masses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from ..base.checks import point
from ..base.errors import check_bytes, quoted

__all__ = ["Field", "add_on_hull"]

Array = npt.NDArray[Any]
Point = Union[int, Sequence[int]]


def add_on_hull(a: Array, start_a: tuple[int, ...], b: Array,
                start_b: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """Sum of two arrays that lie at their starts along the last axes.

    Parameters
    ----------
    a : ndarray
        The first; leading axes, those without a start, must agree.
    start_a : tuple of int
        Coordinate of its first element along each of the last axes.
    b : ndarray
        The second.
    start_b : tuple of int
        The same of it.

    Returns
    -------
    total : ndarray
        On the smallest box around both, zeros where neither lies.
    start : tuple of int
        Coordinate of its first element.

    Raises
    ------
    ValueError
        If the leading axes differ.

    See Also
    --------
    Field : Values on the integer lattice in 1, 2 or 3 dimensions.

    Examples
    --------
    >>> import numpy as np, erfmath as em
    >>> total, start = em.lattice.add_on_hull(np.ones(2), (0,), np.ones(2), (3,))
    >>> total.tolist(), start
    ([1.0, 1.0, 0.0, 1.0, 1.0], (0,))
    """
    if start_a == start_b and a.shape == b.shape:
        return a + b, start_a
    ndim = len(start_a)
    start = tuple(map(min, start_a, start_b))
    shape = tuple(max(sa + na, sb + nb) - s for s, sa, na, sb, nb in
                  zip(start, start_a, a.shape[-ndim:], start_b, b.shape[-ndim:]))
    total = np.zeros_like(a, np.result_type(a, b), shape=(*a.shape[:-ndim], *shape))
    for part, first in ((a, start_a), (b, start_b)):
        window: tuple[Any, ...] = tuple(slice(f - s, f - s + n) for f, s, n in zip(first, start, part.shape[-ndim:]))
        total[(..., *window)] += part
    return total, start


class Field:
    """Values on the integer lattice in 1, 2 or 3 dimensions, zero outside the array.

    Parameters
    ----------
    values : array_like
        Floats, or integers or Fractions: those are held as Python objects and stay exact,
        however large the results.
    start : int or tuple of int
        Coordinate of the first element; one int applies to all axes.

    Raises
    ------
    ValueError
        If the array has none or more than three axes, or `start` not one value per axis.

    See Also
    --------
    add_on_hull : Sum of two arrays that lie at their starts along the last axes.

    Examples
    --------
    >>> import erfmath as em
    >>> f = em.lattice.Field([1, 2], start=-1)
    >>> f + em.lattice.Field([5], start=2)
    Field([1, 2, 0, 5], start=(-1,))
    >>> f.convolve(f)
    Field([1, 4, 4], start=(-2,))
    """

    __slots__ = ("values", "start")

    values: Array
    start: tuple[int, ...]

    def __init__(self, values: npt.ArrayLike, start: Point = 0) -> None:
        array = np.asarray(values)
        if not 1 <= array.ndim <= 3:
            raise ValueError(f"values: has {array.ndim} axes; a field has 1, 2 or 3")
        if array.dtype.kind in "bui":  # NumPy's integers would wrap around unseen
            array = (array + 0).astype(object)
        self.values = array
        self.start = point(start, "start", array.ndim)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.values.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent of the array."""
        return self.values.shape

    @property
    def stop(self) -> tuple[int, ...]:
        """Coordinate one past the last element."""
        return tuple(s + n for s, n in zip(self.start, self.shape))

    def __repr__(self) -> str:
        return f"Field({self.values.tolist()!r}, start={self.start})"

    # -- algebra ------------------------------------------------------------------------------

    def __add__(self, other: Field) -> Field:
        if not isinstance(other, Field):
            return NotImplemented
        self._same_dimension(other)
        return Field(*add_on_hull(self.values, self.start, other.values, other.start))

    def __mul__(self, factor: Any) -> Field:
        if isinstance(factor, Field):
            return NotImplemented
        return Field(self.values * factor, self.start)

    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        """Equal at every lattice site, however far the zeros around are stored."""
        if not isinstance(other, Field):
            return NotImplemented
        if self.ndim != other.ndim:
            return False
        return not np.any((self + other * -1).values != 0)

    __hash__ = None  # type: ignore[assignment]

    def allclose(self, other: Field, rtol: float, atol: float = 0.0) -> bool:
        """Whether those of `other` agree at every site to `rtol`, or `atol` times the largest."""
        difference = np.abs((self + other * -1).values.astype(float))
        size = np.abs((self * 0 + other).values.astype(float))  # `other` on the same hull
        return bool(np.all(difference <= rtol * size + atol * size.max(initial=0.0)))

    def convolve(self, other: Field) -> Field:
        """(f * g)(z) = sum_x f(x) g(z - x) with `other` as g, by direct sums: no digits are lost."""
        self._same_dimension(other)
        few, many = sorted((self, other), key=lambda f: f.values.size)
        start = tuple(map(sum, zip(self.start, other.start)))
        if self.ndim == 1 and few.values.size:
            return Field(np.convolve(many.values, few.values), start)
        shape = tuple(a + b - 1 if a and b else 0 for a, b in zip(self.shape, other.shape))
        total = np.zeros(shape, np.result_type(self.values, other.values))
        for tap in np.ndindex(*few.shape):
            window = tuple(slice(t, t + n) for t, n in zip(tap, many.shape))
            total[window] += few.values[tap] * many.values
        return Field(total, start)

    def upsample(self, stride: Point) -> Field:
        """The field moved from site x to site `stride` x, zeros between."""
        strides = point(stride, "stride", self.ndim)
        if min(strides) < 1:
            raise ValueError(f"stride={quoted(stride)}: must be at least 1")
        shape = [s * (n - 1) + 1 if n else 0 for s, n in zip(strides, self.shape)]
        check_bytes(math.prod(shape) * self.values.itemsize, f"a field upsampled to {tuple(shape)}")
        values = np.zeros(shape, self.values.dtype)
        values[tuple(slice(None, None, s) for s in strides)] = self.values
        return Field(values, tuple(s * x for s, x in zip(strides, self.start)))

    def crop(self, lo: Point, hi: Point) -> Field:
        """The field on the box from `lo` to `hi`, both inside, zeros where nothing was stored."""
        lo, hi = point(lo, "lo", self.ndim), point(hi, "hi", self.ndim)
        shape = tuple(max(b - a + 1, 0) for a, b in zip(lo, hi))
        if (lo, shape) == (self.start, self.values.shape):
            return self
        check_bytes(math.prod(shape) * self.values.itemsize, f"a field cropped to {shape}")
        values = np.zeros(shape, self.values.dtype)
        source, target = [], []
        for a, start, stop, n in zip(lo, self.start, self.stop, shape):
            first, last = max(a, start), max(min(a + n, stop), max(a, start))
            source.append(slice(first - start, last - start))
            target.append(slice(first - a, last - a))
        if values.size:
            values[tuple(target)] = self.values[tuple(source)]
        return Field(values, lo)

    def wrap(self, period: Point) -> Field:
        """The field folded onto a torus: sites that differ by multiples of `period` add up."""
        periods = point(period, "period", self.ndim)
        if min(periods) < 1:
            raise ValueError(f"period={quoted(period)}: must be at least 1")
        values = self.values
        for axis, (p, start) in enumerate(zip(periods, self.start)):
            lines = np.moveaxis(values, axis, 0)
            lead = start % p
            turns = -(-(lead + len(lines)) // p)
            padded = np.zeros((turns * p, *lines.shape[1:]), lines.dtype)
            padded[lead:lead + len(lines)] = lines
            folded = padded.reshape(turns, p, *lines.shape[1:]).sum(axis=0)
            values = np.moveaxis(folded, 0, axis)
        return Field(values, 0)

    def marginal(self, *axes: int) -> Field:
        """Sum over all axes but `axes`, which stay in the order of the field."""
        kept = sorted(range(self.ndim)[axis] for axis in axes)
        if not kept:
            raise ValueError("axes: name at least one axis to keep")
        gone = tuple(axis for axis in range(self.ndim) if axis not in kept)
        return Field(self.values.sum(axis=gone), tuple(self.start[axis] for axis in kept))

    # -- numbers ------------------------------------------------------------------------------

    def mass(self) -> Any:
        """Sum of all values."""
        return self.values.sum()

    def moment(self, *order: int) -> Any:
        """Raw moment sum_x f(x) prod_axis x_axis^order_axis, one number of `order` per axis."""
        if len(order) != self.ndim:
            raise ValueError(f"order={quoted(order)}: must have {self.ndim} values, one per axis")
        total = self.values
        for start, power in zip(reversed(self.start), reversed(order)):
            sites = np.arange(start, start + total.shape[-1]).astype(total.dtype)
            total = (total * sites**power).sum(axis=-1)
        return total

    def _same_dimension(self, other: Field) -> None:
        if self.ndim != other.ndim:
            raise ValueError(f"fields of {self.ndim} and {other.ndim} dimensions do not combine")
