"""Objects against the effective receptive field: how much of it lies inside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.checks import is_sequence, real
from ..base.errors import quoted
from ..base.tables import Printed, text_table
from ..networks.network import Network
from ..results.field import EffectiveReceptiveField
from ..theory.predict import predict

__all__ = ["Coverage", "coverage"]


@dataclass(frozen=True, eq=False)
class Coverage(Printed):
    """Fraction of a unit's effective receptive field inside objects about its TRF centre.

    Printed with str().

    Attributes
    ----------
    object_size : tuple of float
        Sides of the square objects, in input pixels.
    share : tuple of float
        Fraction of the ERF inside each.
    p : float
    whole : float
        Side of the smallest square object that holds the fraction `p` of the mass.
    erf : EffectiveReceptiveField
    """

    object_size: tuple[float, ...]
    share: tuple[float, ...]
    p: float
    whole: float
    erf: EffectiveReceptiveField

    def __str__(self) -> str:
        rows = [("object, px", "fraction of the ERF")]
        rows += [(f"{size:g}", f"{share:.1%}") for size, share in zip(self.object_size, self.share)]
        return f"{text_table(rows, 'r')}\n{self.p:.0%} of the ERF lie inside {self.whole:.4g} px"


def coverage(net: Network, object_size: float | Sequence[float], *, image: Any = None, unit: Any = None,
             node: str | None = None, p: float = 0.95, **options: Any) -> Coverage:
    """Fraction of the effective receptive field inside an object centred on the unit, and its inverse.

    A pixel on the object's edge counts by the part of it that lies inside, so that the fraction grows
    continuously with the size.

    Parameters
    ----------
    net : Network
        The network.
    object_size : float or sequence of float
        Sides of square objects, in input pixels.
    image, unit, node : optional
        As in `predict`.
    p : float
        Fraction of the mass that makes an object seen whole.
    **options : optional
        Further keywords of `predict`.

    Returns
    -------
    Coverage
        Fraction of the ERF inside each object.

    Raises
    ------
    ValueError
        For sizes that are not positive, and whatever `predict` refuses.

    See Also
    --------
    predict : Effective receptive field, from theory.
    tile_halo : Overlap that tiles need.

    Examples
    --------
    >>> import erfmath as em
    >>> seen = em.coverage(em.repeat(em.Conv(3), 20), (5, 41))
    >>> [round(share, 3) for share in seen.share], round(seen.whole, 2)
    ([0.254, 1.0], 16.32)
    """
    p = real(p, "p")
    if not 0 < p < 1:
        raise ValueError(f"p={quoted(p)}: must lie between 0 and 1")
    sizes = tuple(real(s, "object_size") for s in
                  (object_size if is_sequence(object_size) else (object_size,)))  # type: ignore[union-attr]
    if not sizes or min(sizes) <= 0:
        raise ValueError(f"object_size={quoted(object_size)}: must be positive, in input pixels")
    erf = predict(net, image=image, unit=unit, node=node, **options)
    # All mass lies within this side, so that the search below has both its ends.
    widest = 2 * max(max(c - o, o + n - 1 - c) for c, o, n in zip(erf.center, erf.origin, erf.shape)) + 1
    return Coverage(sizes, tuple(_inside(erf, s) for s in sizes), p, _smallest(erf, p, widest), erf)


def _inside(erf: EffectiveReceptiveField, side: float) -> float:
    """Fraction inside the square of this side about the TRF centre, edge pixels in part."""
    lo = tuple(math.floor(c - side / 2 + 0.5) for c in erf.center)
    hi = tuple(math.ceil(c + side / 2 - 0.5) for c in erf.center)
    lo = tuple(max(a, o) for a, o in zip(lo, erf.origin))
    hi = tuple(min(b, o + n - 1) for b, o, n in zip(hi, erf.origin, erf.shape))
    values: Any = erf.crop(lo, hi, of="share")
    for a, b, c in zip(lo, hi, erf.center):
        x = np.arange(a, b + 1)
        within = np.clip(np.minimum(x + 0.5, c + side / 2) - np.maximum(x - 0.5, c - side / 2), 0, 1)
        values = np.tensordot(within, values, axes=1)
    return min(float(values), 1.0)  # rounding may exceed it


def _smallest(erf: EffectiveReceptiveField, p: float, widest: float) -> float:
    from scipy.optimize import brentq

    return float(brentq(lambda side: _inside(erf, side) - p if side else -p, 0.0, widest, xtol=1e-9))
