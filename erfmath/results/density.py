"""What a result is taken on: how a map spreads over the pixels, in the form that it is known.

=============  =====================================================================
`Density`      the contract: what results, sizes and shapes ask
`Dense`        a map, value by value
`Scaled`       its share, where the sum of the map is beyond the range of floats
`Separable`    a product of one line per axis; the map itself is built only when asked for
=============  =====================================================================

A third kind, the distribution of a walk, is in `theory.chains`.  Densities are frozen.  What takes
work is kept once it is known (`map`, `share`, `profiles`): arrays that nobody can write to, and the
same ones whichever thread asks first.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..base.checks import choice, integers, numbers, point, real
from ..base.errors import check_bytes, quoted
from ..base.contents import field_of, numbers_of
from ..lattice.field import Field

__all__ = ["Dense", "Density", "Frozen", "Scaled", "Separable", "readonly", "scaled"]

Array = npt.NDArray[np.float64]

#: Tolerance of a cumulative sum.
ROUNDING = 1e-12
#: How far from 1 the sum of a line in a file may be.
UNITY = 1e-9
#: Largest logarithm of a float.
LARGEST_LOG = 709
#: Of sums of maps whose values are all held as they are: the smallest that count are above the subnormal numbers.
SAFE_LOG = 600


def readonly(values: npt.ArrayLike, name: str = "values") -> Array:
    """`values` as an array of floats that cannot be written to."""
    held = values if isinstance(values, np.ndarray) and values.dtype == np.float64 else numbers(values, name, False)
    view = held.view()
    view.flags.writeable = False
    return view


class ReadOnlyCopies:
    """What is copied, by copy, deepcopy or pickle, with arrays that cannot be written to."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        for value in state.values():
            for array in value if isinstance(value, tuple) else (value,):
                if isinstance(array, np.ndarray):
                    array.flags.writeable = False
        self.__dict__.update(state)


class Frozen(ReadOnlyCopies):
    """What never changes: attributes are given once, by `_hold`, and copies are read-only too."""

    def _hold(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name}: a {type(self).__name__} does not change; make another one")


class Density(Frozen, ABC):
    """A map and its share, map / sum(map), on the pixels from `origin` on.

    Attributes
    ----------
    origin, shape : tuple of int
        First pixel, and extent in pixels; all is zero elsewhere.
    log_total : float
        Logarithm of abs(sum(map)); the share has sum 1 however large or small that is.
    """

    #: Name in files.
    kind: ClassVar[str]
    #: Which of "map" and "share" the values are held as.
    held: ClassVar[str] = "share"
    #: Whether the share is the product of its profiles.
    is_product: ClassVar[bool] = False
    #: Every kind that files can hold.
    KINDS: ClassVar[dict[str, type[Density]]] = {}

    origin: tuple[int, ...]
    shape: tuple[int, ...]
    log_total: float

    def __init_subclass__(cls) -> None:
        Density.KINDS[cls.kind] = cls

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def last(self) -> tuple[int, ...]:
        """Last pixel."""
        return tuple(o + n - 1 for o, n in zip(self.origin, self.shape))

    @property
    def total(self) -> float:
        """sum(map)."""
        if abs(self.log_total) > LARGEST_LOG:
            raise OverflowError(f"sum(map) is exp({self.log_total:.6g}), beyond the range of floats; "
                                "use share, or gains near 1 per layer")
        return math.exp(self.log_total)

    @property
    def sign(self) -> float:
        """Sign of sum(map)."""
        return 1.0

    # -- values -------------------------------------------------------------------------------

    @abstractmethod
    def part(self, first: tuple[int, ...], last: tuple[int, ...]) -> Array:
        """The share from pixel `first` to `last`, both inside the map."""

    @functools.cached_property
    def map(self) -> Array:
        """All of the map."""
        return self._whole("map")

    @functools.cached_property
    def share(self) -> Array:
        """map / sum(map)."""
        return self._whole("share")

    def _whole(self, of: str) -> Array:
        _check(self.shape)
        return readonly(self._values(self.origin, self.last, of))

    def crop(self, lo: Any, hi: Any, *, of: str = "map") -> Array:
        """From pixel `lo` to pixel `hi`, both inside; zeros beyond the map."""
        choice(of, "of", ("map", "share"))
        lo, hi = point(lo, "lo", self.ndim), point(hi, "hi", self.ndim)
        shape = tuple(max(b - a + 1, 0) for a, b in zip(lo, hi))
        _check(shape)
        first, last = tuple(map(max, lo, self.origin)), tuple(map(min, hi, self.last))
        out = np.zeros(shape)
        if all(a <= b for a, b in zip(first, last)):
            inside = tuple(slice(a - o, b - o + 1) for a, b, o in zip(first, last, lo))
            out[inside] = self._values(first, last, of)
        return out

    def _values(self, first: tuple[int, ...], last: tuple[int, ...], of: str) -> Array:
        part = self.part(first, last)
        return part * self.total if of == "map" else part

    @property
    @abstractmethod
    def profiles(self) -> tuple[Array, ...]:
        """Marginals of the share, one an axis."""

    def cut(self, axis: int, at: Sequence[float]) -> Array:
        """The share along the line through the point `at` parallel to `axis`; see `_near`."""
        lo, hi = list(self.origin), list(self.last)
        others = [a for a in range(self.ndim) if a != axis]
        for a in others:
            lo[a], hi[a] = math.floor(at[a]), math.ceil(at[a])
        return readonly(_near(self.crop(lo, hi, of="share"), others))

    def blocks(self, above: float = 0.0) -> Iterator[tuple[tuple[int, ...], Array]]:
        """Parts of the share with their first pixels, which together hold all pixels above a share."""
        yield self.origin, self.share

    # -- numbers ------------------------------------------------------------------------------

    def offsets(self, about: Sequence[float]) -> list[Array]:
        """Coordinates of the pixels from a point, per axis."""
        return [np.arange(n, dtype=np.float64) + (o - c) for n, o, c in zip(self.shape, self.origin, about)]

    def moments(self, about: Sequence[float]) -> tuple[Array, Array]:
        """First moments and matrix of second moments of the share about a point."""
        offsets = self.offsets(about)
        first = np.array([line @ x for line, x in zip(self.profiles, offsets)])
        second = np.outer(first, first)
        second[np.diag_indices(self.ndim)] = [line @ x**2 for line, x in zip(self.profiles, offsets)]
        return first, second

    @property
    def negative(self) -> bool:
        """Whether the share has values below 0."""
        return any((part < 0).any() for _, part in self.blocks())

    @property
    def seen(self) -> list[npt.NDArray[np.bool_]]:
        """Per axis, which coordinates hold some of the share."""
        seen = [np.zeros(n, bool) for n in self.shape]
        for corner, part in self.blocks():
            for axis, first in enumerate(corner):
                at = slice(first - self.origin[axis], first - self.origin[axis] + part.shape[axis])
                seen[axis][at] |= part.any(axis=tuple(a for a in range(self.ndim) if a != axis))
        return seen

    def amplitude_at(self, at: Sequence[float], power: int) -> float:
        """abs(values)^(1 / power) at a point, of what is held; see `_near`."""
        near = self.crop([math.floor(c) for c in at], [math.ceil(c) for c in at], of=self.held)
        return float(_near(np.abs(near)**(1 / power), range(self.ndim)))

    @abstractmethod
    def largest_amplitude(self, power: int) -> float:
        """Largest abs(values)^(1 / power) of what is held."""

    @abstractmethod
    def count_above(self, amplitude: float, power: int) -> int:
        """Number of pixels whose abs(values)^(1 / power), of what is held, is above a limit."""

    def square_sum(self) -> float:
        """Sum of the squared share."""
        return sum(float((part**2).sum()) for _, part in self.blocks())

    def reach(self, about: Sequence[float], p: float) -> float:
        """Half the side of the smallest square about a point, between centres of pixels, that holds the part `p`."""
        distances = [np.abs(x) for x in self.offsets(about)]
        steps = np.unique(np.concatenate(distances))
        held = np.zeros(len(steps))
        for corner, part in self.blocks():
            places = [np.searchsorted(steps, d[first - o:first - o + n])
                      for d, first, o, n in zip(distances, corner, self.origin, part.shape)]
            far = np.maximum.reduce(np.broadcast_arrays(*np.ix_(*places)))
            held += np.bincount(far.ravel(), part.ravel(), len(steps))
        return float(steps[_first_at_least(np.cumsum(held), p)])

    def radius(self, about: Sequence[float], p: float) -> float:
        """Radius of the smallest disc about a point that encloses the fraction `p` of the ERF."""
        far = np.asarray(sum(np.ix_(*(x**2 for x in self.offsets(about)))))
        radii, place = np.unique(far, return_inverse=True)
        within = np.cumsum(np.bincount(place.ravel(), self.share.ravel(), len(radii)))
        return float(np.sqrt(radii[_first_at_least(within, p)]))

    def folded(self, period: int) -> Array:
        """Sums of the share over the pixels of each phase of a period, along all axes at once."""
        return Field(self.share, self.origin).wrap(period).values

    # -- files --------------------------------------------------------------------------------

    @abstractmethod
    def stored(self) -> tuple[Density, dict[str, Array]]:
        """What a file holds of this density: of which kind (this one, maybe), and its arrays."""

    @classmethod
    def restored(cls, arrays: Mapping[str, Array], origin: tuple[int, ...], about: Mapping[str, Any], *,
                 signed: bool) -> Density:
        """From what a file holds: the arrays that `stored` gave, and facts; `signed` if values may be negative."""
        raise ValueError(f"density={quoted(cls.kind)}: is never stored as such")


class Dense(Density):
    """A map, value by value; of either sign.

    Parameters
    ----------
    map : array_like
    origin : tuple of int

    Raises
    ------
    ValueError
        If they differ in dimension.
    OverflowError
        If the map is not finite.
    """

    kind, held = "dense", "map"

    def __init__(self, map: npt.ArrayLike, origin: Sequence[int]) -> None:
        values, origin = readonly(map, "map"), integers(origin, "origin")
        if values.ndim != len(origin):
            raise ValueError(f"map: has {values.ndim} axes, origin has {len(origin)} values")
        if not np.isfinite(values).all():
            raise OverflowError("map: holds values beyond the range of floats; choose gains near 1 per layer")
        with np.errstate(over="ignore"):
            total = float(values.sum())
        if not math.isfinite(total):
            raise OverflowError("map: has a sum beyond the range of floats; choose gains near 1 per layer")
        self._hold(map=values, origin=tuple(origin), shape=values.shape, _total=total,
                   log_total=float(np.log(abs(total))) if total != 0 else -math.inf)

    @property
    def total(self) -> float:
        """sum(map)."""
        return self.__dict__["_total"]

    @property
    def sign(self) -> float:
        """Sign of sum(map)."""
        return math.copysign(1.0, self.total)

    def part(self, first: tuple[int, ...], last: tuple[int, ...]) -> Array:
        """The share from pixel `first` to `last`."""
        return self._values(first, last, "share")

    def _values(self, first: tuple[int, ...], last: tuple[int, ...], of: str) -> Array:
        whole = self.map if of == "map" else self.share
        return whole[tuple(slice(a - o, b - o + 1) for a, b, o in zip(first, last, self.origin))]

    @functools.cached_property
    def share(self) -> Array:
        """map / sum(map)."""
        if self.total == 0:
            raise ValueError("share: of a map of sum zero (the unit sees nothing, what it sees cancels, or gradients "
                             "are below the range of floats); use map or amplitude")
        return readonly(self.map / self.total)

    @functools.cached_property
    def profiles(self) -> tuple[Array, ...]:
        """Marginals of the share."""
        return tuple(readonly(self.share.sum(axis=tuple(a for a in range(self.ndim) if a != axis)))
                     for axis in range(self.ndim))

    def moments(self, about: Sequence[float]) -> tuple[Array, Array]:
        """First and second moments of the share."""
        (first, second), offsets = super().moments(about), self.offsets(about)
        for a in range(self.ndim):
            for b in range(a):
                rest = tuple(axis for axis in range(self.ndim) if axis not in (a, b))
                second[a, b] = second[b, a] = offsets[b] @ self.share.sum(axis=rest) @ offsets[a]
        return first, second

    def largest_amplitude(self, power: int) -> float:
        """Of the map."""
        return float((np.abs(self.map)**(1 / power)).max())

    def count_above(self, amplitude: float, power: int) -> int:
        """Of the map."""
        return int(np.count_nonzero(np.abs(self.map)**(1 / power) > amplitude))

    def stored(self) -> tuple[Density, dict[str, Array]]:
        """The map."""
        return self, {"map": self.map}

    @classmethod
    def restored(cls, arrays: Mapping[str, Array], origin: tuple[int, ...], about: Mapping[str, Any], *,
                 signed: bool) -> Density:
        """From the map."""
        return cls(numbers_of(arrays, "map", ndim=len(origin), signed=signed), origin)


class Scaled(Dense):
    """A map whose sum is beyond the range of floats: its share, value by value, and the logarithm of its sum.

    Parameters
    ----------
    share : array_like
        Of any sum but 0; only its shape counts, and its sign.
    origin : tuple of int
    log_total : float
        Logarithm of abs(sum(map)).
    """

    kind, held = "scaled", "share"

    def __init__(self, share: npt.ArrayLike, origin: Sequence[int], log_total: float) -> None:
        given = Dense(share, origin)
        # What has sum 1 up to rounding is a share already, as one read from a file.
        one = given.map if abs(given.map.sum() - 1) < 1e-14 else given.share
        self._hold(share=one, origin=given.origin, shape=given.shape, log_total=log_total, _sign=given.sign)

    @property
    def total(self) -> float:
        """sum(map), beyond the range of floats."""
        raise OverflowError(f"sum(map) is exp({self.log_total:.6g}), beyond the range of floats; use share, or gains "
                            "near 1 per layer")

    @property
    def sign(self) -> float:
        """Sign of sum(map)."""
        return self.__dict__["_sign"]

    @property
    def map(self) -> Array:
        """All of the map."""
        return readonly(self.share * self.total)

    def _values(self, first: tuple[int, ...], last: tuple[int, ...], of: str) -> Array:
        part = super()._values(first, last, "share")
        return part * self.total if of == "map" else part

    def largest_amplitude(self, power: int) -> float:
        """Of the share."""
        return float((np.abs(self.share)**(1 / power)).max())

    def count_above(self, amplitude: float, power: int) -> int:
        """Of the share."""
        return int(np.count_nonzero(np.abs(self.share)**(1 / power) > amplitude))

    def stored(self) -> tuple[Density, dict[str, Array]]:
        """The share."""
        return self, {"share": self.share}

    @classmethod
    def restored(cls, arrays: Mapping[str, Array], origin: tuple[int, ...], about: Mapping[str, Any], *,
                 signed: bool) -> Density:
        """From the share."""
        share = numbers_of(arrays, "share", ndim=len(origin), signed=signed)
        if not abs(share.sum() - 1) < UNITY:
            raise ValueError(f"share: has sum {share.sum():.6g}, must have sum 1")
        return cls(share, origin, real(field_of(about, "log_total"), "log_total"))


def scaled(values: Array, origin: Sequence[int], log_scale: float) -> Density:
    """The map `values` times exp(log_scale), in whichever form holds it."""
    total = float(values.sum())
    if log_scale and total:
        log_total = math.log(abs(total)) + log_scale
        if abs(log_total) > SAFE_LOG:
            return Scaled(values, origin, log_total)
    return Dense(values * math.exp(log_scale) if log_scale else values, origin)


class Separable(Density):
    """A map whose share is the product of `lines`, one per axis, each of sum 1.

    Parameters
    ----------
    lines : sequence of array_like
    origin : tuple of int
    log_total : float
        Logarithm of sum(map).
    """

    kind, is_product = "separable", True
    profiles: tuple[Array, ...] = ()  # per instance: the lines

    def __init__(self, lines: Sequence[npt.ArrayLike], origin: Sequence[int], log_total: float) -> None:
        profiles = tuple(readonly(line) for line in lines)
        self._hold(profiles=profiles, origin=tuple(origin), shape=tuple(map(len, profiles)), log_total=log_total)

    def part(self, first: tuple[int, ...], last: tuple[int, ...]) -> Array:
        """The share from pixel `first` to `last`."""
        lines = [line[a - o:b - o + 1] for line, a, b, o in zip(self.profiles, first, last, self.origin)]
        return np.asarray(math.prod(np.ix_(*lines)), dtype=float)

    @property
    def negative(self) -> bool:
        """Whether a line has values below 0."""
        return any((line < 0).any() for line in self.profiles)

    @property
    def seen(self) -> list[npt.NDArray[np.bool_]]:
        """Where the lines are not 0."""
        return [line != 0 for line in self.profiles]

    def largest_amplitude(self, power: int) -> float:
        """Of the share."""
        return math.prod(float(np.abs(line).max()**(1 / power)) for line in self.profiles)

    def count_above(self, amplitude: float, power: int) -> int:
        """Of the share; the products are not formed."""
        *rest, line = (np.abs(line) for line in self.profiles)
        check_bytes(8 * math.prod(map(len, rest)), "counting the pixels of a map")
        products = np.asarray(math.prod(np.ix_(*rest)) if rest else 1.0).ravel()
        ordered = np.sort(line)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # bounds beyond the floats hold for none
            bounds = np.where(products > 0, amplitude**power / products, np.inf)
        return int((len(ordered) - np.searchsorted(ordered, bounds, side="right")).sum())

    def square_sum(self) -> float:
        """Product of those of the lines."""
        return math.prod(float(line @ line) for line in self.profiles)

    def reach(self, about: Sequence[float], p: float) -> float:
        """A square holds the product of what the lines hold."""
        distances = [np.abs(x) for x in self.offsets(about)]
        steps = np.unique(np.concatenate(distances))
        within = math.prod(np.cumsum(np.bincount(np.searchsorted(steps, d), line, len(steps)))
                           for d, line in zip(distances, self.profiles))
        return float(steps[_first_at_least(np.asarray(within), p)])

    def radius(self, about: Sequence[float], p: float) -> float:
        """In two dimensions row by row, without the map."""
        if self.ndim != 2 or self.negative:
            return super().radius(about, p)
        rows, columns = (x**2 for x in self.offsets(about))
        in_rows, in_columns = self.profiles
        return _radius_of_product(rows, columns, in_rows, in_columns, p)

    def folded(self, period: int) -> Array:
        """The product of the folded lines."""
        lines = [Field(line, o).wrap(period).values for line, o in zip(self.profiles, self.origin)]
        return np.asarray(math.prod(np.ix_(*lines)))

    def stored(self) -> tuple[Density, dict[str, Array]]:
        """The lines."""
        return self, {f"line{axis}": line for axis, line in enumerate(self.profiles)}

    @classmethod
    def restored(cls, arrays: Mapping[str, Array], origin: tuple[int, ...], about: Mapping[str, Any], *,
                 signed: bool) -> Density:
        """From the lines."""
        lines = {f"line{axis}": numbers_of(arrays, f"line{axis}", ndim=1, signed=signed)
                 for axis in range(len(origin))}
        for name, line in lines.items():
            if not abs(line.sum() - 1) < UNITY:
                raise ValueError(f"{name}: has sum {line.sum():.6g}, must have sum 1")
        return cls(list(lines.values()), origin, real(field_of(about, "log_total"), "log_total"))


# ---------------------------------------------------------------------------------------------

def _check(shape: tuple[int, ...]) -> None:
    check_bytes(8 * math.prod(shape), f"a map of shape {shape}",
                "ask for a part with crop(lo, hi), or for profile(axis)")


def _near(values: Array, axes: Sequence[int]) -> Array:
    """Mean along `axes`, which hold the one or two pixels nearest to a point (those off the map hold zeros)."""
    for axis in reversed(axes):
        values = values.mean(axis=axis)
    return values


def _first_at_least(within: npt.NDArray[Any], p: float) -> int:
    """First index whose cumulated share reaches p, short of rounding."""
    return int(np.argmax(within >= p * within[-1] * (1 - ROUNDING)))  # of both signs it need not rise steadily


def _radius_of_product(rows: Array, columns: Array, in_rows: Array, in_columns: Array, p: float) -> float:
    """`radius` of a product of two lines at squared distances, row by row instead of pixel by pixel."""
    order = np.argsort(columns)
    columns, cumulated = columns[order], np.concatenate([[0.0], np.cumsum(in_columns[order])])
    low, high = -1.0, float(rows.max() + columns.max())
    while True:  # bisection in the squared radius, until no pixel lies between
        reached = np.searchsorted(columns, high - rows, side="right")
        high = float((rows + columns[reached - 1])[reached > 0].max())
        middle = (low + high) / 2
        if not low < middle < high:
            return math.sqrt(high)
        inside = in_rows @ cumulated[np.searchsorted(columns, middle - rows, side="right")]
        if inside >= p * in_rows.sum() * cumulated[-1] * (1 - ROUNDING):
            high = middle
        else:
            low = middle
