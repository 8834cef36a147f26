"""Criteria for the extent of an effective receptive field, each a function of its own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .checks import choice, real
from .errors import check_bytes

if TYPE_CHECKING:
    from .result import EffectiveReceptiveField

__all__ = ["GaussianFit", "KINDS", "gaussian_fit", "half_max", "mass", "mass_radius",
           "participation", "std", "threshold"]

Array = npt.NDArray[np.float64]

#: The paper's level: a Gaussian holds 95.45 % within two standard deviations.
LEVEL = 1 - 0.9545


def threshold(erf: EffectiveReceptiveField, level: float = LEVEL,
              reference: str = "center") -> float:
    """Root of the number of pixels with amplitude above `level` times that of the reference.

    In d dimensions the d-th root.  For a Gaussian amplitude of standard deviation s it is 4.406 s
    in two dimensions at the paper's level.
    """
    level = real(level, "level")
    choice(reference, "reference", ("center", "max"))
    if not 0 < level < 1:
        raise ValueError(f"level={level!r}: must lie between 0 and 1")
    power = 2 if erf.statistic == "power" else 1  # amplitude is the square root of a power map
    if erf._lines is not None:
        lines = [np.abs(line) for line in erf._lines]
        at = math.prod(float(erf._near_center(line**(1 / power), axis)) if reference == "center"
                       else line.max()**(1 / power) for axis, line in enumerate(lines))
        return _count_products(lines, (level * at)**power)**(1 / erf.ndim)
    amplitude = np.abs(erf.map)**(1 / power)
    top: Any = amplitude
    if reference == "max":
        top = amplitude.max()
    else:
        for axis in reversed(range(erf.ndim)):
            top = erf._near_center(top, axis)
    return float(np.count_nonzero(amplitude > level * top))**(1 / erf.ndim)


def _count_products(lines: list[Array], limit: float) -> int:
    """Number of products of one value from each line above `limit`, without forming them all."""
    *rest, last = lines
    check_bytes(8 * math.prod(map(len, rest)), "counting the pixels of a map")
    products = np.asarray(math.prod(np.ix_(*rest)) if rest else 1.0).ravel()
    ordered = np.sort(last)
    with np.errstate(divide="ignore", over="ignore"):  # bounds beyond the floats hold for none
        bounds = np.where(products > 0, limit / products, np.inf)
    return int((len(ordered) - np.searchsorted(ordered, bounds, side="right")).sum())


def half_max(erf: EffectiveReceptiveField) -> float:
    """Root of the number of pixels with at least half the amplitude of the centre."""
    return threshold(erf, level=0.5)


def std(erf: EffectiveReceptiveField) -> float:
    """Root of the mean variance per axis, about the centroid; nan where that is negative."""
    with np.errstate(invalid="ignore"):
        return float(np.sqrt(np.trace(erf.covariance) / erf.ndim))


def mass(erf: EffectiveReceptiveField, p: float = 0.95) -> float:
    """Side of the smallest square about the true centre that holds the part `p` of the share."""
    p = _part(p)
    distances = [np.abs(np.arange(n) + (o - c))
                 for n, o, c in zip(erf.shape, erf.origin, erf.center)]
    if erf._lines is not None:
        steps = np.unique(np.concatenate(distances))
        within = math.prod(np.cumsum(np.bincount(np.searchsorted(steps, d), line, len(steps)))
                           for d, line in zip(distances, erf._lines))
    else:
        far = np.maximum.reduce(np.broadcast_arrays(*np.ix_(*distances)))
        steps, place = np.unique(far, return_inverse=True)
        within = np.cumsum(np.bincount(place.ravel(), erf.share.ravel(), len(steps)))
    return float(2 * steps[_first_at_least(np.asarray(within), p)] + 1)


def mass_radius(erf: EffectiveReceptiveField, p: float) -> float:
    """Radius of the smallest disc about the true centre that holds the part `p` of the share."""
    p = _part(p)
    squares: list[Array] = [(np.arange(n) + (o - c)).astype(np.float64)**2
                            for n, o, c in zip(erf.shape, erf.origin, erf.center)]
    if erf._lines is not None and erf.ndim == 2:
        return _radius_of_product(squares[0], erf._lines[0], squares[1], erf._lines[1], p)
    far = np.asarray(sum(np.ix_(*squares)))
    radii, place = np.unique(far, return_inverse=True)
    within = np.cumsum(np.bincount(place.ravel(), erf.share.ravel(), len(radii)))
    return float(np.sqrt(radii[_first_at_least(within, p)]))


def _radius_of_product(rows: Array, in_rows: Array, columns: Array, in_columns: Array, p: float) -> float:
    """`mass_radius` of a product of two lines at squared distances, row by row instead of pixel by pixel."""
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
        if inside >= p * in_rows.sum() * cumulated[-1] * (1 - 1e-12):
            high = middle
        else:
            low = middle


def _part(p: float) -> float:
    p = real(p, "p")
    if not 0 < p <= 1:
        raise ValueError(f"p={p!r}: must be above 0 and at most 1")
    return p


def _first_at_least(within: npt.NDArray[Any], p: float) -> int:
    """First index whose cumulative share reaches p, short of rounding."""
    return min(int(np.searchsorted(within, p * within[-1] * (1 - 1e-12))), len(within) - 1)


def participation(erf: EffectiveReceptiveField) -> float:
    """1 / sum(share^2): the number of pixels of a flat field of the same concentration."""
    if erf._lines is not None:
        return float(1 / math.prod(line @ line for line in erf._lines))
    return float(1 / (erf.share**2).sum())


class GaussianFit(NamedTuple):
    """height * exp(-(x - center)^T covariance^-1 (x - center) / 2), fitted to the share."""

    height: float
    center: Array
    covariance: Array
    r_squared: float


def gaussian_fit(erf: EffectiveReceptiveField) -> GaussianFit:
    """Least squares by `scipy.optimize.least_squares`, started from the moments."""
    from scipy.optimize import least_squares

    share = erf.share
    axes = (np.arange(n, dtype=float) + o for n, o in zip(erf.shape, erf.origin))
    sites = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, erf.ndim)
    values = share.ravel()
    lower = np.tril_indices(erf.ndim)

    def model(parameters: Array) -> Array:
        root = np.zeros((erf.ndim, erf.ndim))  # Cholesky factor of the precision matrix
        root[lower] = parameters[1 + erf.ndim:]
        away = (sites - parameters[1:1 + erf.ndim]) @ root
        return np.asarray(parameters[0] * np.exp(-0.5 * (away**2).sum(axis=1)))

    floor = 1e-3 * np.eye(erf.ndim)  # a one-pixel field has no spread of its own
    start = np.concatenate([[values.max()], erf.centroid,
                            np.linalg.cholesky(np.linalg.inv(erf.covariance + floor))[lower]])
    scale = np.abs(start) + 1e-3
    fit = least_squares(lambda p: (model(p) - values) / values.max(), start, x_scale=scale,
                        xtol=1e-12, ftol=1e-12, gtol=1e-12)
    root = np.zeros((erf.ndim, erf.ndim))
    root[lower] = fit.x[1 + erf.ndim:]
    left = values - model(fit.x)
    spread = ((values - values.mean())**2).sum()
    return GaussianFit(float(fit.x[0]), fit.x[1:1 + erf.ndim],
                       np.linalg.inv(root @ root.T).astype(np.float64),
                       float(1 - (left**2).sum() / spread) if spread else 1.0)


KINDS = {"threshold": threshold, "half_max": half_max, "std": std, "mass": mass,
         "participation": participation}
