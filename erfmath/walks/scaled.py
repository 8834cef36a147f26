"""Numbers with an exponent of their own, for probabilities far below the smallest float."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from math import frexp, log, log10
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["DECIMAL", "Scaled"]

#: Arithmetic for the few numbers, such as M(z)**n, whose logarithm needs more than 53 bits.
DECIMAL = Context(prec=50, Emax=MAX_EMAX, Emin=MIN_EMIN)

#: Exponent of zero: below every other, so that maxima ignore it, yet far from int64 overflow.
ZERO_EXPONENT = -(1 << 60)
#: Shifts beyond this many bits are the same as infinite ones.
_FAR = 1 << 14


@dataclass(frozen=True, eq=False)
class Scaled:
    """mantissa * 2**exponent, element by element; mantissa in [1/2, 1) or 0 (or negative).

    ==========  =================  =================
    value       `to_float()`       `log()`
    ==========  =================  =================
    0           0.0                -inf
    2**-1000    9.33e-302          -693.147
    2**-5000    0.0, with warning  -3465.74
    2**+5000    inf, with warning  3465.74
    negative    itself             nan
    ==========  =================  =================

    Made by `Walk.scaled`, and by `of` from ordinary floats.

    Attributes
    ----------
    mantissa : ndarray of float64
        Of any shape.
    exponent : ndarray of int64
        Of the same shape; a power of two.

    Examples
    --------
    >>> from erfmath.walks.scaled import Scaled
    >>> tiny = Scaled.of([0.75], exponent=-5000)
    >>> round(float(tiny.log10()[0]), 3), bool(tiny.underflows()[0])
    (-1505.275, True)
    """

    mantissa: Any
    exponent: Any

    @classmethod
    def of(cls, values: ArrayLike, exponent: int | NDArray[np.int64] = 0) -> Scaled:
        """`values` (array_like of float) * 2**`exponent` (int or array of int), normalised."""
        mantissa, shift = np.frexp(np.asarray(values, dtype=float))
        shift = shift.astype(np.int64)  # 32 bits do not hold ZERO_EXPONENT
        total = shift + exponent
        if not mantissa.all():
            total = np.where(mantissa == 0, ZERO_EXPONENT, total)
        return cls(mantissa, total)

    @classmethod
    def of_integers(cls, values: Iterable[int]) -> Scaled:
        """Integers `values` of any length, rounded to 53 bits."""
        listed = list(values)
        shifts = [max(v.bit_length() - 64, 0) for v in listed]
        tops = [float(v >> shift) for v, shift in zip(listed, shifts)]
        return cls.of(tops, np.array(shifts, dtype=np.int64))

    @classmethod
    def of_decimal(cls, value: Decimal) -> Scaled:
        """A Decimal `value` of any size, rounded to 53 bits."""
        shift = int(value.logb(DECIMAL)) * 33219280948873623 // 10**16 if value else 0  # log2(10)
        mantissa, rest = frexp(float(DECIMAL.divide(value, DECIMAL.power(2, shift))))
        return cls(np.float64(mantissa), np.int64(rest + shift if value else ZERO_EXPONENT))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array of numbers."""
        return self.mantissa.shape

    def __getitem__(self, key: Any) -> Scaled:
        return Scaled(self.mantissa[key], self.exponent[key])

    def __mul__(self, other: Scaled) -> Scaled:
        """Element-wise product; exponents add."""
        return Scaled.of(self.mantissa * other.mantissa, self.exponent + other.exponent)

    def floats(self) -> NDArray[np.float64]:
        """The nearest floats, silently 0 (or infinite) out of range."""
        return np.ldexp(self.mantissa, np.minimum(np.maximum(self.exponent, -_FAR), _FAR))

    def underflows(self) -> NDArray[np.bool_]:
        """Where a number that is not 0 becomes 0 (or loses digits) as a float."""
        return (self.mantissa != 0) & (self.exponent < -1021)

    def to_float(self) -> NDArray[np.float64]:
        """The nearest floats; a RuntimeWarning counts those that do not fit one."""
        lost = int((self.underflows() | (self.exponent > 1024)).sum())
        if lost:
            warnings.warn(f"{lost} of {self.mantissa.size} values lie outside the range of floats: "
                          "use log() or log10()", RuntimeWarning, stacklevel=2)
        return self.floats()

    def log(self) -> NDArray[np.float64]:
        """Natural logarithm; -inf at 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.mantissa == 0, -np.inf, np.log(self.mantissa) + self.exponent * log(2))

    def log10(self) -> NDArray[np.float64]:
        """Decimal logarithm; -inf at 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.mantissa == 0, -np.inf, np.log10(self.mantissa) + self.exponent * log10(2))
