"""Gridding: pixels inside the box that no path reaches, and fields that favour some residues."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..networks.network import Network
from ..networks.trf import support
from ..results.field import EffectiveReceptiveField

__all__ = ["checkerboard", "holes", "patterns"]

Array = npt.NDArray[np.float64]

#: Longest period of a checkerboard, in pixels.
SHORT = 8


def holes(net: Network, *, image: Any = None, unit: Any = None, node: str | None = None, ndim: int = 2) -> float:
    """Share of the pixels in the box of the theoretical receptive field that no path reaches.

    Examples
    --------
    >>> import erfmath as em
    >>> holes(em.repeat(em.Conv(3, dilation=2), 2), ndim=1).__round__(3)  # every second of nine
    0.444
    """
    return 1 - support(net, image=image, unit=unit, node=node, ndim=ndim).density


def checkerboard(erf: EffectiveReceptiveField) -> float:
    """Strength of the strongest pattern of a short period in a field: 0 for a smooth one, 1 for a full one.

    The largest of `patterns` over periods q / j of up to 8 pixels, q and j whole.  Such a pattern
    multiplies the share of the residues modulo q by about 1 +- it.

    Examples
    --------
    >>> import erfmath as em
    >>> round(checkerboard(em.predict(em.repeat(em.Conv(3), 10))), 3)
    0.0
    >>> round(checkerboard(em.predict(em.repeat(em.Conv(3, dilation=2), 10))), 3)
    1.0
    """
    periods = {q / j for q in range(2, SHORT + 1) for j in range(1, q // 2 + 1)}
    return max(0.0, float(patterns(erf, sorted(periods)).max()))


def patterns(erf: EffectiveReceptiveField, periods: npt.ArrayLike) -> Array:
    """abs(phi(2 pi / period)) of the profiles of a field, less what a Gaussian of the same variance has.

    phi is the characteristic function; of the axes the largest counts.

    Parameters
    ----------
    erf : EffectiveReceptiveField
    periods : array_like, shape (periods,)
        In input pixels.

    Returns
    -------
    ndarray, shape (periods,)
    """
    w = 2 * np.pi / np.asarray(periods, dtype=float)
    rows = []
    for axis, variance in enumerate(erf.std**2):
        line = erf.profile(axis)
        waves = np.exp(1j * np.outer(w, np.arange(len(line)) - (len(line) - 1) / 2))
        rows.append(np.abs(waves @ line) - np.exp(-variance * w**2 / 2))
    return np.asarray(np.max(rows, axis=0))
