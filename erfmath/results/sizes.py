"""Criteria for the extent of an effective receptive field, each a function of its own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..base.checks import choice, of_field, real
from ..base.errors import quoted
from .density import Dense

if TYPE_CHECKING:
    from .field import EffectiveReceptiveField

__all__ = ["KINDS", "area_ratio", "area_ratio_log10", "background", "half_max", "mass", "mass_radius",
           "participation", "std", "threshold"]
__dir__ = __all__.copy  # tab completion offers public names only

#: The paper's level: a Gaussian holds 95.45 % within two standard deviations.
LEVEL = 1 - 0.9545
#: Part of the pixels, the farthest ones, that `background` is taken from.
FARTHEST = 1 / 3
#: What rounding may make of a coordinate, or of two equal variances.
SLACK = 1e-9


@of_field
def threshold(erf: EffectiveReceptiveField, level: float = LEVEL,
              reference: str = "center") -> float:
    """Root of the number of pixels with amplitude above `level` times that of the reference.

    N^(1/d) in d dimensions, with the number N of pixels x where A(x) > level A(reference); A is the
    root of a power map and the absolute value of any other.  For a Gaussian amplitude of standard deviation s it is
    sqrt(2 pi ln(1 / level)) s in two dimensions, 4.406 s at the paper's level.

    Parameters
    ----------
    erf : EffectiveReceptiveField
        The result.
    level : float
        Between 0 and 1; by default the paper's, 1 - 0.9545.
    reference : {"center", "max"}
        The TRF centre (the mean of the nearest pixels, where it lies between them), or the pixel
        of the largest amplitude.

    Returns
    -------
    float
        In pixels.

    Raises
    ------
    ValueError
        If `level` is not between 0 and 1, or `reference` is another word.
    SizeError
        If the pixels are too many to be counted in memory.

    See Also
    --------
    half_max : Width at half maximum.
    std : Root mean variance per axis.

    Examples
    --------
    >>> import erfmath as em
    >>> erf = em.predict(em.repeat(em.Conv(3), 2))                  # per axis a power of 1, 2, 3, 2, 1 ninths
    >>> em.sizes.threshold(erf), em.sizes.threshold(erf, level=.9)  # 25 pixels; 1 pixel
    (5.0, 1.0)
    """
    level = real(level, "level")
    choice(reference, "reference", ("center", "max"))
    if not 0 < level < 1:
        raise ValueError(f"level={quoted(level)}: must lie between 0 and 1")
    power = 2 if erf.statistic == "power" else 1  # amplitude is the square root of a power map
    amplitude = (erf.density.largest_amplitude(power) if reference == "max" else
                 erf.density.amplitude_at(erf.center, power))
    return float(erf.density.count_above(level * amplitude, power))**(1 / erf.ndim)


@of_field
def half_max(erf: EffectiveReceptiveField) -> float:
    """Root of the number of pixels with amplitude above half that of the centre: `threshold` at level 1/2.

    Parameters
    ----------
    erf : EffectiveReceptiveField
        The result.

    Returns
    -------
    float
        In pixels.

    See Also
    --------
    threshold : The paper's size, at 4.55 % of the centre.
    std : Root mean variance per axis.

    Examples
    --------
    >>> import erfmath as em
    >>> erf = em.predict(em.repeat(em.Conv(3), 2))          # powers (1, 2, 3, 2, 1) x (1, 2, 3, 2, 1) / 81
    >>> round(em.sizes.half_max(erf)**2)                    # 1 of 9, 4 each of 6, 4 and 3 are above 9 / 4
    13
    """
    return threshold(erf, level=0.5)


@of_field
def std(erf: EffectiveReceptiveField) -> float:
    """Root of the mean variance per axis, sqrt(tr C / d) with the covariance C of the normalised ERF.

    Parameters
    ----------
    erf : EffectiveReceptiveField
        The result.

    Returns
    -------
    float
        In pixels; nan where the mean variance is negative, as that of a mean of both signs can be.

    See Also
    --------
    half_max : Width at half maximum.
    mass : Side of the square that encloses a given fraction.

    Examples
    --------
    >>> import erfmath as em
    >>> round(em.sizes.std(em.predict(em.repeat(em.Conv(3), 6))), 9)       # sqrt(6 * 2 / 3)
    2.0
    """
    with np.errstate(invalid="ignore"):
        return float(np.sqrt(np.trace(erf.covariance) / erf.ndim))


@of_field
def mass(erf: EffectiveReceptiveField, p: float = 0.95) -> float:
    """Side of the smallest square about the TRF centre c that encloses the fraction `p` of the ERF.

    2 r + 1 with the smallest r such that the share where max_a abs(x_a - c_a) <= r is at least p.

    Parameters
    ----------
    erf : EffectiveReceptiveField
        The result.
    p : float
        Above 0 and at most 1.

    Returns
    -------
    float
        In pixels.

    Raises
    ------
    ValueError
        If `p` is not in that range.
    SizeError
        If the map would not fit in memory; separable ones need none.

    See Also
    --------
    std : Root mean variance per axis.
    mass_radius : Radius of the disc that encloses a given fraction.

    Examples
    --------
    >>> import erfmath as em
    >>> erf = em.predict(em.serial(em.Conv(5)))                            # 1/25 on each of 5 x 5 pixels
    >>> em.sizes.mass(erf), em.sizes.mass(erf, p=9/25)
    (5.0, 3.0)
    """
    return 2 * erf.density.reach(erf.center, _part(p)) + 1


@of_field
def mass_radius(erf: EffectiveReceptiveField, p: float) -> float:
    """Find the radius of the smallest disc about the TRF centre that encloses the fraction `p` of the ERF.

    The smallest r such that the share of the pixels at Euclidean distances of at most r is at least p.

    Parameters
    ----------
    erf : EffectiveReceptiveField
        The result.
    p : float
        Above 0 and at most 1.

    Returns
    -------
    float
        In pixels.

    Raises
    ------
    ValueError
        If `p` is not in that range.
    SizeError
        If the map would not fit in memory; two-dimensional separable ones need none.

    See Also
    --------
    mass : Side of the square that encloses a given fraction.
    participation : 1 / sum(share^2).

    Examples
    --------
    >>> import erfmath as em
    >>> erf = em.predict(em.serial(em.Conv(5)))                            # 1/25 on each of 5 x 5 pixels
    >>> em.sizes.mass_radius(erf, 5/25), round(em.sizes.mass_radius(erf, 9/25)**2, 9)
    (1.0, 2.0)
    """
    return erf.density.radius(erf.center, _part(p))


def _part(p: float, name: str = "p") -> float:
    p = real(p, name)
    if not 0 < p <= 1:
        raise ValueError(f"{name}={quoted(p)}: must be above 0 and at most 1")
    return p


@of_field
def participation(erf: EffectiveReceptiveField) -> float:
    """1 / sum(share^2): the number of pixels of a flat field of the same concentration.

    Parameters
    ----------
    erf : EffectiveReceptiveField
        The result.

    Returns
    -------
    float
        A number of pixels, an area.

    See Also
    --------
    mass_radius : Radius of the disc that encloses a given fraction.
    area_ratio : Fraction of the image covered by the square that encloses 99 %.

    Examples
    --------
    >>> import erfmath as em
    >>> round(em.sizes.participation(em.predict(em.serial(em.Conv(5)))), 9)
    25.0
    """
    return 1 / erf.density.square_sum()


@of_field
def area_ratio(erf: EffectiveReceptiveField, t: float = 0.99) -> float:
    """Part of the image that the smallest centred square covers that encloses the fraction `t` of the ERF.

    The square is that of `mass`.  On the infinite plane the unit's window takes the place of the image.
    What of the square lies outside is not counted, so that it is at most 1.

    Parameters
    ----------
    erf : EffectiveReceptiveField
        The result.
    t : float
        Above 0 and at most 1.

    Returns
    -------
    float
        A ratio of areas.

    Raises
    ------
    ValueError
        If `t` is not in that range.
    SizeError
        If the map would not fit in memory; separable ones need none.

    See Also
    --------
    participation : 1 / sum(share^2).
    area_ratio_log10 : `area_ratio` after log10(map + 1).

    Examples
    --------
    >>> import erfmath as em
    >>> erf = em.predict(em.repeat(em.Conv(3), 20), image=64)
    >>> erf.size("mass", p=.99), round(erf.size("area_ratio"), 4)          # 21 of 64 pixels, squared
    (21.0, 0.1077)
    """
    return _covered(erf, erf.density.reach(erf.center, _part(t, "t")))


@of_field
def area_ratio_log10(erf: EffectiveReceptiveField, t: float = 0.99) -> float:
    """`area_ratio` after log10(map + 1), as the large-kernel papers publish it; changes with scale.

    The logarithm makes little of large values, and how little depends on their unit: the same
    gradients in other units, or after another loss, have another ratio.  Their lists are of the
    statistic "relu", about pixel n // 2, and of squares of at least 3 pixels (Ding et al., Scaling
    up your kernels to 31x31, 2022, and its program ``analyze_erf.py``).

    Parameters
    ----------
    erf : EffectiveReceptiveField
        The result.
    t : float
        Above 0 and at most 1.

    Returns
    -------
    float
        A ratio of areas.

    Raises
    ------
    ValueError
        If `t` is not in that range, or the map has negative values, or none but zeros.
    SizeError
        If the map would not fit in memory.

    See Also
    --------
    area_ratio : Fraction of the image covered by the square that encloses 99 %.
    background : Level of a constant background, as maps of trained networks have it.

    Examples
    --------
    >>> import numpy as np
    >>> import erfmath as em
    >>> erf = em.predict(em.repeat(em.Conv(3), 20), image=64)
    >>> louder = em.EffectiveReceptiveField(1e6 * erf.map, origin=erf.origin, unit=erf.unit, trf=erf.trf,
    ...                                     image=erf.image)
    >>> [round(e.size("area_ratio"), 4) for e in (erf, louder)]
    [0.1077, 0.1077]
    >>> [round(e.size("area_ratio_log10"), 4) for e in (erf, louder)]      # 31 and 41 of 64, squared
    [0.2346, 0.4104]
    """
    if (erf.map < 0).any() or not erf.map.any():
        raise ValueError('area_ratio_log10: needs a map of values above 0, as "magnitude", "relu" or "power"')
    logarithms = Dense(np.log1p(erf.map), erf.origin)
    return _covered(erf, logarithms.reach(erf.center, _part(t, "t")))


def _covered(erf: EffectiveReceptiveField, reach: float) -> float:
    """Part of the image, or of the window, within `reach` of the TRF centre along all axes."""
    lo, hi = _frame(erf)
    covered = math.prod(max(min(math.floor(c + reach + SLACK), b) - max(math.ceil(c - reach - SLACK), a) + 1, 0)
                        for a, b, c in zip(lo, hi, erf.center))
    return covered / math.prod(b - a + 1 for a, b in zip(lo, hi))


def _frame(erf: EffectiveReceptiveField) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First and last pixel of the image; on the plane of the window, or of the map where not known."""
    if erf.image is not None:
        return (0,) * erf.ndim, tuple(n - 1 for n in erf.image)
    return erf.window or (erf.origin, tuple(o + n - 1 for o, n in zip(erf.origin, erf.shape)))


@of_field
def background(erf: EffectiveReceptiveField, quantile: float = 0.5) -> float:
    """Level of a constant background, as maps of trained networks have it, in units of the map.

    The median of the map over the third of the pixels that lie farthest from the TRF centre in
    maximum norm, of those that the unit can see: its window within the image.  Where the unit is in
    the middle these are the outer tenth on each side.  The median passes over stray bright pixels
    and over borders; a field whose own tails reach that far raises it.

    Parameters
    ----------
    erf : EffectiveReceptiveField
        The result.
    quantile : float
        In place of the median: 0.95, say, to exceed the noise of sampled maps.

    Returns
    -------
    float
        In units of the map.

    Raises
    ------
    ValueError
        If `quantile` is not from 0 to 1, or the unit sees nothing of the image.
    SizeError
        If that part of the map would not fit in memory.

    See Also
    --------
    area_ratio_log10 : `area_ratio` after log10(map + 1).
    area_ratio : Fraction of the image covered by the square that encloses 99 %.

    Examples
    --------
    >>> import numpy as np
    >>> import erfmath as em
    >>> line = np.exp(-np.arange(-30, 31)**2 / 18)                          # a Gaussian of std 3
    >>> map = np.outer(line, line) + 0.02
    >>> erf = em.EffectiveReceptiveField(map, origin=(0, 0), unit=(), trf=None, center=(30, 30), image=(61, 61))
    >>> round(erf.background(), 6)
    0.02
    >>> [round(e.size("std"), 2) for e in (erf, erf.above_background())]
    [13.42, 3.0]
    """
    if not 0 <= real(quantile, "quantile") <= 1:
        raise ValueError(f"quantile={quoted(quantile)}: must lie from 0 to 1")
    lo, hi = _frame(erf)
    if erf.window is not None:
        lo, hi = tuple(map(max, lo, erf.window[0])), tuple(map(min, hi, erf.window[1]))
    part = erf.crop(lo, hi)
    if not part.size:
        raise ValueError(f"background: {erf.label} sees nothing of the image")
    far = np.maximum.reduce(np.broadcast_arrays(*np.ix_(
        *(np.abs(np.arange(a, b + 1) - c) for a, b, c in zip(lo, hi, erf.center)))))
    return float(np.quantile(part[far >= np.quantile(far, 1 - FARTHEST)], quantile))


KINDS = {"threshold": threshold, "half_max": half_max, "std": std, "mass": mass, "participation": participation,
         "area_ratio": area_ratio, "area_ratio_log10": area_ratio_log10}
