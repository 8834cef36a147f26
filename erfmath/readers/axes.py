"""Which axis of a map each axis of a tensor holds, through views and permutations.

A position along an axis of a map (batch, channels, or space) is written in digits of mixed base, as hours, minutes
and seconds are: index = sum of digit times step.  Each axis of a tensor is a product of such digits, the slowest
first.  A reshape regroups the digits, a permutation moves them; neither moves any data.  Digits of one value are left
out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["BATCH", "CHANNELS", "Digit", "Layout", "merged", "regrouped", "shape_of", "whole"]

BATCH, CHANNELS = -2, -1  #: Beside 0, 1, ... of space.


class Digit(NamedTuple):
    """A digit of the position along `axis`: `size` values, `step` positions from one to the next."""

    axis: int
    step: int
    size: int


#: Per axis of a tensor its digits.
Layout = tuple[tuple[Digit, ...], ...]


def whole(axis: int, size: int) -> tuple[Digit, ...]:
    """The digits of a whole axis."""
    return (Digit(axis, 1, size),) if size > 1 else ()


def shape_of(layout: Layout) -> tuple[int, ...]:
    return tuple(math.prod(digit.size for digit in digits) for digits in layout)


def merged(digits: Iterable[Digit]) -> tuple[Digit, ...]:
    """Neighbouring digits of one axis as one, where they count on from each other."""
    found: list[Digit] = []
    for digit in digits:
        if digit.size == 1:
            continue
        last = found[-1] if found else None
        if last and last.axis == digit.axis and last.step == digit.step * digit.size:
            found[-1] = Digit(digit.axis, digit.step, last.size * digit.size)
        else:
            found.append(digit)
    return tuple(found)


def regrouped(layout: Layout, shape: Sequence[int]) -> Layout | None:
    """The layout after a reshape to `shape`; None where digits do not divide into it.

    Examples
    --------
    >>> channels = (whole(BATCH, 1), whole(CHANNELS, 6), whole(0, 8))
    >>> regrouped(channels, (1, 2, 3, 8))[1:3]
    ((Digit(axis=-1, step=3, size=2),), (Digit(axis=-1, step=1, size=3),))
    """
    waiting = [digit for digits in layout for digit in digits][::-1]
    out: list[tuple[Digit, ...]] = []
    for size in shape:
        taken: list[Digit] = []
        while size > 1:
            if not waiting:
                return None
            digit = waiting.pop()
            if size % digit.size == 0:
                size //= digit.size
            elif digit.size % size == 0:  # its slow part goes here, the rest on
                rest = digit.size // size
                waiting.append(Digit(digit.axis, digit.step, rest))
                digit, size = Digit(digit.axis, digit.step * rest, size), 1
            else:
                return None
            taken.append(digit)
        out.append(merged(taken))
    return None if waiting else tuple(out)
