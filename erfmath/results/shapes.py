"""Scores of the shape of an effective receptive field, each a function of its own.

All are of `share`, and so do not change with the scale of the gradients, with zeros stored around
the map, or with where it lies.  docs/metrics.md gives the use and the failure modes of each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ..base.checks import integer, is_sequence, of_field, real
from ..base.errors import quoted
from ..lattice.field import Field
from .fit import Box, GaussianErrors, GaussianFit, around, box, gaussian_fit, spread
from .sizes import SLACK

if TYPE_CHECKING:
    from .field import EffectiveReceptiveField

__all__ = ["Anisotropy", "GaussianDistance", "GaussianErrors", "GaussianFit", "Kurtosis", "Periodicity",
           "RadialProfile", "anisotropy", "gaussian_distance", "gaussian_fit", "hole_density", "kurtosis",
           "periodicity", "radial_profile"]
__dir__ = __all__.copy  # tab completion offers public names only

Array = npt.NDArray[np.float64]

#: Standard deviations about its mean beyond which a Gaussian is zero.
GAUSSIAN_REACH = 8.0
#: Smallest variance of a Gaussian on the lattice: below it holds a single site.
LEAST_VARIANCE = 0.01


# ---------------------------------------------------------------------------------------------
# tails, rings, axes
# ---------------------------------------------------------------------------------------------

class Kurtosis(NamedTuple):
    """Excess kurtosis, returned by `kurtosis`: 0 for a Gaussian; nan where there is no spread.

    Attributes
    ----------
    axes : ndarray
        Of the marginal along each axis.
    joint : float
        Of all axes together.

    See Also
    --------
    kurtosis : What makes it.
    """

    axes: Array
    joint: float


@of_field
def kurtosis(erf: EffectiveReceptiveField) -> Kurtosis:
    """Excess kurtosis of the share, along each axis and of all axes together.

    `axes`: E[y^4] / E[y^2]^2 - 3 of the marginals, y = x - centroid.  `joint`: Mardia's,
    E[(y^T C^-1 y)^2] - d (d + 2) with the covariance C (Measures of multivariate skewness and
    kurtosis, 1970).

    Parameters
    ----------
    erf : EffectiveReceptiveField
        The result.

    Returns
    -------
    Kurtosis
        Along each axis, and of all together.

    See Also
    --------
    Kurtosis : Excess kurtosis, 0 for a Gaussian.
    RadialProfile : Means over rings about the TRF centre, from the inside out.

    Examples
    --------
    >>> import erfmath as em
    >>> em.shapes.kurtosis(em.predict(em.repeat(em.Conv(3), 10))).axes.round(9).tolist()    # -1.5 / 10
    [-0.15, -0.15]
    """
    offsets = erf.density.offsets(erf.centroid)
    variances = np.diag(erf.covariance)
    fourth = np.array([erf.profile(axis) @ x**4 for axis, x in enumerate(offsets)])
    axes = np.divide(fourth, variances**2, out=np.full(erf.ndim, math.nan), where=variances > 0) - 3
    if erf.density.is_product:  # independent axes: the cross terms are those of a Gaussian
        return Kurtosis(axes, float(axes.sum()))
    if not np.linalg.eigvalsh(erf.covariance)[0] > SLACK * variances.max():
        return Kurtosis(axes, math.nan)
    square = _quadratic(offsets, np.linalg.inv(erf.covariance).astype(np.float64))
    return Kurtosis(axes, float((erf.share * square**2).sum() - erf.ndim * (erf.ndim + 2)))


class RadialProfile(NamedTuple):
    """Means over rings about the TRF centre, from the inside out; returned by `radial_profile`.

    Attributes
    ----------
    radius : ndarray
        Mean distance of the pixels of each ring, in pixels.
    share : ndarray
        Mean of the normalised ERF over them.
    pixels : ndarray of int
        Their number.

    See Also
    --------
    radial_profile : What makes it.
    """

    radius: Array
    share: Array
    pixels: npt.NDArray[np.int64]

    @property
    def within(self) -> Array:
        """Encircled fraction: of the ERF up to the end of each ring."""
        return np.cumsum(self.share * self.pixels)


@of_field
def radial_profile(erf: EffectiveReceptiveField, *, width: float = 1.0,
                   reach: float | None = None) -> RadialProfile:
    """Mean of the normalised ERF over the pixels in rings about the TRF centre.

    Ring j holds the pixels at distances from (j - 1/2) to (j + 1/2) `width`; those that hold none
    are left out.  `radius` is the mean distance of a ring's pixels.

    Parameters
    ----------
    erf : EffectiveReceptiveField
        The result.
    width : float
        Of a ring, in pixels.
    reach : float, optional
        Distance where the rings end, in pixels; by default they cover all that is seen.

    Returns
    -------
    RadialProfile
        Rings, from the inside out.

    Raises
    ------
    ValueError
        If `width` is not positive, or `reach` negative.
    SizeError
        If the map within `reach` would not fit in memory.

    See Also
    --------
    RadialProfile : Means over rings about the TRF centre, from the inside out.
    Anisotropy : Principal axes of the covariance, returned by `anisotropy`.

    Examples
    --------
    >>> import erfmath as em
    >>> rings = em.shapes.radial_profile(em.predict(em.repeat(em.Conv(3), 3)), reach=2)
    >>> rings.radius.round(2).tolist(), rings.pixels.tolist()
    ([0.0, 1.21, 2.16], [1, 8, 12])
    >>> (4 * 1 + 4 * 2**.5) / 8, (4 * 2 + 8 * 5**.5) / 12
    (1.2071..., 2.1573...)
    """
    if not real(width, "width") > 0 or not math.isfinite(1 / width):
        raise ValueError(f"width={quoted(width)}: must be positive")
    if reach is None:
        ends = zip(*_hull(erf), erf.center)
        reach = math.hypot(*(max(c - a, b - c) for a, b, c in ends))
    elif not real(reach, "reach") >= 0:
        raise ValueError(f"reach={quoted(reach)}: must not be negative")
    lo, hi = box(erf, erf.center, np.full(erf.ndim, reach + width), inside=True)
    share = erf.crop(lo, hi, of="share").ravel()
    squares = [(np.arange(a, b + 1) - c)**2 for a, b, c in zip(lo, hi, erf.center)]
    far = np.sqrt(np.asarray(sum(np.ix_(*squares)))).ravel()
    ring = np.floor(far / width + 0.5 + SLACK).astype(np.int64)
    kept = ring <= math.floor(reach / width + 0.5 + SLACK)
    pixels, distance, inside = (np.bincount(ring[kept], weights) for weights in
                                (None, far[kept], share[kept]))
    some = pixels > 0
    return RadialProfile(distance[some] / pixels[some], inside[some] / pixels[some], pixels[some])


class Anisotropy(NamedTuple):
    """Principal axes of the covariance, returned by `anisotropy`.

    Attributes
    ----------
    ratio : float
        Largest over smallest standard deviation.
    std : ndarray
        Standard deviations along the principal axes in pixels, the largest first.
    axes : ndarray
        Directions of these axes, as columns.
    angle : float
        Of the longest axis in two dimensions, in degrees.

    See Also
    --------
    anisotropy : What makes it.
    """

    ratio: float
    std: Array
    axes: Array
    angle: float


@of_field
def anisotropy(erf: EffectiveReceptiveField) -> Anisotropy:
    """How much longer than wide the field is, and where it points.

    `std` holds the standard deviations along the principal axes, the largest first, `axes` their
    directions as columns, and `ratio` is the largest over the smallest: 1 for a round field,
    infinite for a line, nan for a single pixel.  `angle` is that of the longest axis in two
    dimensions, in degrees from the last axis (x) towards the first (y, which points down in
    pictures), above -90 and at most 90; nan for a round field, whose `axes` are those of the image.

    Parameters
    ----------
    erf : EffectiveReceptiveField
        The result.

    Returns
    -------
    Anisotropy
        Ratio, angle and standard deviations.

    Raises
    ------
    ValueError
        If the ERF has a negative variance (a mean of both signs).

    See Also
    --------
    Anisotropy : Principal axes of the covariance, returned by `anisotropy`.
    hole_density : Part of the sites without any gradient.

    Examples
    --------
    >>> import erfmath as em
    >>> tall = em.shapes.anisotropy(em.predict(em.repeat(em.Conv((5, 3)), 4)))
    >>> round(tall.ratio, 4), tall.angle                                     # sqrt(2 / (2 / 3))
    (1.7321, 90.0)
    """
    spread(erf)
    squares, axes = np.linalg.eigh(erf.covariance)
    squares, axes = np.maximum(squares[::-1], 0), axes[:, ::-1]
    squares = np.where(squares > SLACK * squares[0], squares, 0)
    std = np.sqrt(squares)
    ratio = math.nan if std[0] == 0 else math.inf if std[-1] == 0 else float(std[0] / std[-1])
    if not ratio > 1 + SLACK:  # every direction is as good, and the last bit must not choose one
        axes = np.eye(erf.ndim)
    angle = math.nan
    if erf.ndim == 2 and ratio > 1 + SLACK:
        y, x = axes[:, 0]
        angle = -(math.degrees(math.atan2(-y, x)) % -180)  # a direction and its opposite are one axis
        angle = angle if angle <= 90 else angle - 180
    return Anisotropy(ratio, std, axes, angle)


# ---------------------------------------------------------------------------------------------
# holes and checkerboards
# ---------------------------------------------------------------------------------------------

@of_field
def hole_density(erf: EffectiveReceptiveField, *, level: float = 0.0) -> float:
    """Part of the sites without any gradient, in the smallest box around those that have some.

    Parameters
    ----------
    erf : EffectiveReceptiveField
        The result.
    level : float
        A site has gradient if its amplitude is above `level` times the largest; above 0 for maps
        whose zeros are not exact.

    Returns
    -------
    float
        From 0, no holes, to below 1.

    Raises
    ------
    ValueError
        If `level` is not from 0 to below 1, or the unit sees nothing.
    SizeError
        If the map would not fit in memory; separable ones at level 0 need none.

    See Also
    --------
    anisotropy : How much longer than wide the field is, and where it points.
    Periodicity : Strength of the patterns of one period, 1 for one phase alone.

    Examples
    --------
    >>> import erfmath as em
    >>> dilated = em.predict(em.repeat(em.Conv(3, dilation=2), 5))         # 11 of 21 sites per axis
    >>> round(em.shapes.hole_density(dilated), 4), round(1 - (11 / 21)**2, 4)
    (0.7256, 0.7256)
    """
    if not 0 <= real(level, "level") < 1:
        raise ValueError(f"level={quoted(level)}: must be at least 0 and below 1")
    if erf.density.is_product and level == 0:
        lines = [np.flatnonzero(line) for line in erf.density.seen]
        return 1 - math.prod(len(seen) / (int(seen[-1] - seen[0]) + 1) for seen in lines)
    seen = erf.amplitude > level * erf.amplitude.max()
    if not seen.any():
        raise ValueError(f"hole_density: {erf.label} sees nothing")
    return 1 - np.count_nonzero(seen) / math.prod(int(np.ptp(sites)) + 1 for sites in np.nonzero(seen))


class Periodicity(NamedTuple):
    """Strength of the patterns of one period, 1 for one phase alone; returned by `periodicity`.

    Attributes
    ----------
    axes : ndarray
        Of the marginal along each axis.
    joint : float
        On the lattice of all axes.

    See Also
    --------
    periodicity : What makes it.
    """

    axes: Array
    joint: float


@of_field
def periodicity(erf: EffectiveReceptiveField,
                periods: Sequence[int] = (2, 3, 4, 8, 16, 32)) -> dict[int, Periodicity]:
    """Strength of checkerboards: unevenness of the ERF over the phases of each period.

    The normalised ERF is folded, m_j = sum of p(x) over x = j mod s, and so is the Gaussian of the same mean
    and covariance, g_j, since a narrow field is uneven without any pattern.  The strength is their
    distance over the largest that a wide field can have, sum_j abs(m_j - g_j) / 2 / (1 - 1 / s): 1
    if a wide field lies on one phase.  `joint` folds all axes at once, with s^d phases,
    and also finds diagonal patterns.  A pattern shows at multiples of its period too.

    Parameters
    ----------
    erf : EffectiveReceptiveField
        The result.
    periods : sequence of int
        Periods s in pixels, at least 2.

    Returns
    -------
    dict of int to Periodicity
        By period.

    Raises
    ------
    ValueError
        If the ERF has negative values, or a period is below 2.
    SizeError
        If the map within 8 standard deviations would not fit in memory; separable ones need none.

    See Also
    --------
    Periodicity : Strength of the patterns of one period, 1 for one phase alone.
    GaussianDistance : Distances to the Gaussian of the same mean and covariance.

    Examples
    --------
    >>> import erfmath as em
    >>> strided = em.repeat(em.Conv(3), 8), em.Conv(1, stride=2), em.repeat(em.Conv(3), 8)
    >>> [round(em.shapes.periodicity(em.predict(em.serial(*parts)), [2])[2].joint, 3)
    ...  for parts in (strided, strided[1:])]
    [0.0, 1.0]
    """
    _positive(erf)
    lo, hi = around(erf, GAUSSIAN_REACH)
    bells = [_gaussian(lo[a:a + 1], hi[a:a + 1], erf.centroid[a:a + 1], erf.covariance[a:a + 1, a:a + 1])
             for a in range(erf.ndim)]
    bell = None if erf.density.is_product else _gaussian(lo, hi, erf.centroid, erf.covariance)
    found = {}
    if not is_sequence(periods):
        raise TypeError(f"periods={quoted(periods)}: must be a sequence of integers")
    for period in (integer(s, "periods", 2) for s in periods):
        lines = [Field(erf.profile(a), erf.origin[a]).wrap(period).values for a in range(erf.ndim)]
        curves = [Field(bell, lo[a]).wrap(period).values for a, bell in enumerate(bells)]
        axes = [_variation(m, g) / (1 - 1 / period) for m, g in zip(lines, curves)]
        whole = (np.asarray(math.prod(np.ix_(*curves))) if bell is None else
                 Field(bell, lo).wrap(period).values)
        joint = _variation(erf.density.folded(period), whole)
        found[period] = Periodicity(np.array(axes), joint / (1 - period**-erf.ndim))
    return found


# ---------------------------------------------------------------------------------------------
# the Gaussian of the central limit theorem
# ---------------------------------------------------------------------------------------------

class GaussianDistance(NamedTuple):
    """Distances to the Gaussian of the same mean and covariance, returned by `gaussian_distance`.

    Attributes
    ----------
    total_variation : float
        Total variation, from 0 to 1.
    sup : float
        Largest difference at a pixel.
    relative_sup : float
        The same over the largest value of the Gaussian.

    See Also
    --------
    gaussian_distance : What makes it.
    """

    total_variation: float
    sup: float
    relative_sup: float


@of_field
def gaussian_distance(erf: EffectiveReceptiveField) -> GaussianDistance:
    """Distance of the normalised ERF from the Gaussian of the central limit theorem.

    q is the density of the Gaussian with the mean and covariance of the share, at all sites of the
    infinite lattice, normalised to sum 1.  `total_variation` is sum abs(p - q) / 2, the part of the
    share that lies elsewhere; `sup` the largest abs(p - q); `relative_sup` that over the largest q.

    Parameters
    ----------
    erf : EffectiveReceptiveField
        The result.

    Returns
    -------
    GaussianDistance
        Total variation and largest differences.

    Raises
    ------
    ValueError
        If the ERF has negative values.
    SizeError
        If the map within 8 standard deviations would not fit in memory.

    See Also
    --------
    GaussianDistance : Distances to the Gaussian of the same mean and covariance.
    periodicity : Strength of checkerboards.

    Examples
    --------
    >>> import math
    >>> import erfmath as em
    >>> erf = em.predict(em.serial(em.Conv((2,), padding=0)))  # halves 1/2 off the middle: q ~ exp(-2 x^2)
    >>> outside = math.exp(-4) + math.exp(-12)          # q at 3/2 and 5/2 over q at 1/2
    >>> round(em.shapes.gaussian_distance(erf).total_variation, 9), round(outside / (1 + outside), 9)
    (0.017992135, 0.017992135)
    >>> tv = [em.shapes.gaussian_distance(em.predict(em.repeat(em.Conv(3), n))).total_variation for n in (20, 40)]
    >>> round(tv[0] / tv[1], 1)                         # falls like 1 / n
    2.0
    """
    _positive(erf)
    lo, hi = around(erf, GAUSSIAN_REACH)
    share = erf.crop(lo, hi, of="share")
    bell = _gaussian(lo, hi, erf.centroid, erf.covariance)
    off = np.abs(share - bell)
    elsewhere = max(1 - float(share.sum()), 0.0)  # share where the Gaussian has nothing
    return GaussianDistance(float(0.5 * (off.sum() + elsewhere)), float(off.max()),
                            float(off.max() / bell.max()))


def _gaussian(lo: Sequence[int], hi: Sequence[int], mean: Sequence[float], covariance: Array) -> Array:
    """A Gaussian at the sites lo..hi, normalised to sum 1; a single site along axes without spread."""
    squares, axes = np.linalg.eigh(covariance)
    precision = (axes / np.maximum(squares, LEAST_VARIANCE)) @ axes.T
    offsets: list[Array] = [np.arange(a, b + 1, dtype=np.float64) - m for a, b, m in zip(lo, hi, mean)]
    exponent = _quadratic(offsets, precision)
    bell = np.exp(-0.5 * (exponent - exponent.min()))
    return bell / bell.sum()


def _quadratic(offsets: Sequence[Array], matrix: Array) -> Array:
    """y^T matrix y at all sites, from the offsets along each axis."""
    y = np.ix_(*offsets)
    return np.asarray(sum(matrix[a, b] * y[a] * y[b] for a in range(len(y)) for b in range(len(y))))


def _variation(p: Array, q: Array) -> float:
    return float(0.5 * np.abs(p - q).sum())


# ---------------------------------------------------------------------------------------------
# where to look
# ---------------------------------------------------------------------------------------------

def _positive(erf: EffectiveReceptiveField) -> None:
    if erf.density.negative:
        raise ValueError(f"share: of {erf.label} has negative values; use the power, or the magnitude")


def _hull(erf: EffectiveReceptiveField) -> Box:
    """Smallest box around the sites of nonzero share."""
    seen = [np.flatnonzero(line) for line in erf.density.seen]
    return (tuple(int(sites[0]) + o for sites, o in zip(seen, erf.origin)),
            tuple(int(sites[-1]) + o for sites, o in zip(seen, erf.origin)))
