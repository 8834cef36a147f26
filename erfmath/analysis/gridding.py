"""Gridding: pixels inside the TRF that no path reaches, and fields that favour some phases of a period."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..networks.network import Network
from ..networks.support import support
from ..results.field import EffectiveReceptiveField
from ..results.shapes import periodicity

__all__ = ["checkerboard", "holes", "patterns"]

#: Longest period of a checkerboard, in pixels, and how many longer ones are tried.
SHORT, LONG_PERIODS = 8, 16


def holes(net: Network, *, image: Any = None, unit: Any = None, node: str | None = None, ndim: int = 2) -> float:
    """Fraction of the pixels in the smallest box around a unit's `support` that no path reaches.

    Examples
    --------
    >>> import erfmath as em
    >>> holes(em.repeat(em.Conv(3, dilation=2), 2), ndim=1).__round__(3)  # every second of nine
    0.444
    """
    return 1 - support(net, image=image, unit=unit, node=node, ndim=ndim).density


def checkerboard(erf: EffectiveReceptiveField) -> float:
    """Largest of `patterns` of up to 8 pixels: 0 for a smooth field, 1 for one phase alone.

    Examples
    --------
    >>> import erfmath as em
    >>> round(checkerboard(em.predict(em.repeat(em.Conv(3), 10))), 3)
    0.012
    >>> round(checkerboard(em.predict(em.repeat(em.Conv(3, dilation=2), 10))), 3)
    1.0
    """
    return max(patterns(erf, SHORT).values())


def patterns(erf: EffectiveReceptiveField, longest: float) -> dict[int, float]:
    """Strength of the patterns of each period, in pixels, on the lattice of all axes (`shapes.periodicity`).

    All periods of up to 8 pixels, and some up to the longest; nan for a field with negative values.
    """
    longer = np.geomspace(SHORT, max(longest, SHORT), LONG_PERIODS).round().astype(int).tolist()
    periods = sorted({*range(2, SHORT + 1), *longer})
    if erf.density.negative:
        return dict.fromkeys(periods, math.nan)
    return {period: found.joint for period, found in periodicity(erf, periods).items()}
