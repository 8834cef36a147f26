"""The Gaussian that fits an effective receptive field best, and the sites to look at for that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..base.checks import flag, of_field
from .sizes import SLACK

if TYPE_CHECKING:
    from .field import EffectiveReceptiveField

__all__ = ["GaussianErrors", "GaussianFit", "around", "box", "gaussian_fit", "spread"]

Array = npt.NDArray[np.float64]
Box = tuple[tuple[int, ...], tuple[int, ...]]

#: Standard deviations about the centroid within which a Gaussian is fitted, and its most iterations.
FIT_REACH, MOST_STEPS = 6.0, 100


class GaussianErrors(NamedTuple):
    """Standard errors of a fit, returned by `gaussian_fit`; nan where the pixels do not determine them.

    Attributes
    ----------
    height : float
        Of the height, in units of the normalised ERF.
    center : ndarray
        Of the centre per axis, in pixels.
    covariance : ndarray
        Of each entry of the covariance, in pixels squared.
    std : ndarray
        Of the standard deviation per axis, in pixels.
    offset : float
        Of the offset, in units of the normalised ERF; 0 where none was fitted.

    See Also
    --------
    gaussian_fit : What makes it.
    """

    height: float
    center: Array
    covariance: Array
    std: Array
    offset: float


class GaussianFit(NamedTuple):
    """Fit of height * exp(-(x - center)^T covariance^-1 (x - center) / 2) + offset; returned by `gaussian_fit`.

    Attributes
    ----------
    height : float
        In units of the normalised ERF.
    center : ndarray
        In input pixels.
    covariance : ndarray
        In pixels squared.
    r_squared : float
        1 - sum(residual^2) / sum((share - mean)^2).
    offset : float
        In units of the normalised ERF; 0 where none was fitted.
    stderr : GaussianErrors
        Standard errors of these.

    See Also
    --------
    gaussian_fit : What makes it.
    """

    height: float
    center: Array
    covariance: Array
    r_squared: float
    offset: float
    stderr: GaussianErrors

    @property
    def std(self) -> Array:
        """Standard deviation per axis, in pixels."""
        return np.sqrt(np.diag(self.covariance))


@of_field
def gaussian_fit(erf: EffectiveReceptiveField, *, offset: bool = False) -> GaussianFit:
    """Fit a Gaussian to the normalised ERF by least squares, with or without a constant.

    The pixels within 6 standard deviations of the centroid count, those of the image only.  The fit
    starts from the moments and is `scipy.optimize.least_squares` in a Cholesky factor of the inverse
    covariance.  Standard errors take the residuals for independent and equally large: they tell how
    well the pixels determine the parameters, not how draws or images scatter.

    Parameters
    ----------
    erf : EffectiveReceptiveField
        The result.
    offset : bool
        Fit a constant background too, as trained networks have.

    Returns
    -------
    GaussianFit
        Parameters of the fit, and their standard errors.

    Raises
    ------
    ValueError
        If the ERF has a negative variance (a mean of both signs).
    SizeError
        If the map within 6 standard deviations would not fit in memory.

    See Also
    --------
    GaussianFit : Its result.
    GaussianErrors : Standard errors of a fit, returned by `gaussian_fit`.

    Examples
    --------
    >>> import numpy as np
    >>> import erfmath as em
    >>> line = np.exp(-np.arange(-20, 21)**2 / 18)                          # a Gaussian of std 3
    >>> erf = em.EffectiveReceptiveField(np.outer(line, line) + .02, origin=(0, 0), unit=(), trf=None,
    ...                                  center=(20, 20), image=(41, 41))
    >>> fit = em.shapes.gaussian_fit(erf, offset=True)
    >>> fit.std.round(6).tolist(), round(fit.offset / fit.height, 6), round(fit.r_squared, 6)
    ([3.0, 3.0], 0.02, 1.0)
    """
    flag(offset, "offset")
    from scipy.optimize import least_squares

    lo, hi = around(erf, FIT_REACH, inside=True)
    share = erf.crop(lo, hi, of="share").ravel()
    peak = share.max()
    values = share / peak
    ndim, lower = erf.ndim, np.tril_indices(erf.ndim)
    axes = (np.arange(b - a + 1, dtype=float) for a, b in zip(lo, hi))  # from lo: the same wherever it lies
    sites = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, ndim)

    def unpack(parameters: Array) -> tuple[Any, Array, Array, Any]:
        root = np.zeros((ndim, ndim))  # lower Cholesky factor of the inverse covariance
        root[lower] = parameters[1 + ndim:1 + ndim + len(lower[0])]
        return parameters[0], parameters[1:1 + ndim], root, parameters[-1] if offset else 0.0

    def residual(parameters: Array) -> Array:
        height, center, root, floor = unpack(parameters)
        return height * np.exp(-0.5 * (((sites - center) @ root)**2).sum(axis=1)) + floor - values

    def jacobian(parameters: Array) -> Array:
        height, center, root, _ = unpack(parameters)
        off = sites - center
        turned = off @ root
        bell = np.exp(-0.5 * (turned**2).sum(axis=1))
        slope = -height * bell[:, None]
        columns = [bell[:, None], -slope * (turned @ root.T), slope * off[:, lower[0]] * turned[:, lower[1]]]
        return np.hstack([*columns, np.ones((len(sites), 1))] if offset else columns)

    start = _start(values, sites, offset)
    fit = least_squares(residual, start, jac=jacobian, x_scale=np.abs(start) + 1e-3,
                        xtol=1e-12, ftol=1e-12, gtol=1e-12, max_nfev=MOST_STEPS)
    height, center, root, floor = unpack(fit.x)
    covariance: Array = np.linalg.inv(root @ root.T).astype(np.float64)
    total = ((values - values.mean())**2).sum()
    errors = _errors(fit.jac, 2 * fit.cost, covariance, root)
    return GaussianFit(float(height * peak), center + lo, covariance,
                       float(1 - 2 * fit.cost / total) if total else 1.0, float(floor * peak),
                       errors._replace(height=errors.height * peak,
                                       offset=errors.offset * peak if offset else 0.0))


def _start(values: Array, sites: Array, offset: bool) -> Array:
    """Parameters from the moments; above an offset those of the squares, which hardly feel the rest."""
    floor = float(np.quantile(values, 0.25)) if offset else 0.0
    weight = np.maximum(values - floor, 0)**2 if offset else values
    weight = weight if weight.any() else np.ones_like(values)  # all of one level
    center = weight @ sites / weight.sum()
    off = sites - center
    covariance = (2 if offset else 1) * (off.T * weight) @ off / weight.sum()
    # A one-pixel field has no spread of its own.
    root = np.linalg.cholesky(np.linalg.inv(covariance + 1e-3 * np.eye(len(center))))
    return np.concatenate([[1 - floor], center, root[np.tril_indices(len(center))], [floor] if offset else []])


def _errors(jac: Array, square: float, covariance: Array, root: Array) -> GaussianErrors:
    """Standard errors from the Jacobian and the sum of squared residuals, carried on to the covariance."""
    ndim, count = len(covariance), jac.shape[1]
    scale = np.linalg.norm(jac, axis=0)
    even = jac / np.where(scale > 0, scale, 1)
    values, vectors = np.linalg.eigh(even.T @ even)
    if len(jac) <= count or values[0] <= 1e-12 * values[-1]:
        return GaussianErrors(math.nan, np.full(ndim, math.nan), np.full((ndim, ndim), math.nan),
                              np.full(ndim, math.nan), math.nan)
    law = square / (len(jac) - count) * (vectors / values) @ vectors.T / np.outer(scale, scale)
    pulls = []  # of the covariance on each entry of the root: d(P^-1) = -P^-1 dP P^-1 with P = root root^T
    for i, j in zip(*np.tril_indices(ndim)):
        step = np.zeros((ndim, ndim))
        step[i, j] = 1
        pulls.append(-covariance @ (step @ root.T + root @ step.T) @ covariance)
    pull = np.stack(pulls, axis=-1)
    part = slice(1 + ndim, 1 + ndim + len(pulls))
    variance = np.einsum("abk,kl,abl->ab", pull, law[part, part], pull)
    single = np.sqrt(np.diag(law))
    return GaussianErrors(float(single[0]), single[1:1 + ndim], np.sqrt(variance),
                          np.sqrt(np.diag(variance)) / (2 * np.sqrt(np.diag(covariance))), float(single[-1]))


# ---------------------------------------------------------------------------------------------
# where to look
# ---------------------------------------------------------------------------------------------

def spread(erf: EffectiveReceptiveField) -> Array:
    """Standard deviations, refused where they are none."""
    if not np.isfinite(erf.std).all():
        raise ValueError(f"share: of {erf.label} has a negative variance, as a mean of both signs can; use "
                         "the power, or the magnitude")
    return erf.std


def around(erf: EffectiveReceptiveField, reach: float, *, inside: bool = False) -> Box:
    """Sites within `reach` standard deviations of the centroid, and one more."""
    return box(erf, erf.centroid, reach * spread(erf) + 1, inside=inside)


def box(erf: EffectiveReceptiveField, middle: Sequence[float], reach: Array, *, inside: bool = False) -> Box:
    """Sites within `reach` of `middle` along each axis; only those of the image if `inside`."""
    lo = [math.floor(m - r + SLACK) for m, r in zip(middle, reach)]
    hi = [math.ceil(m + r - SLACK) for m, r in zip(middle, reach)]
    if inside and erf.image is not None:
        lo, hi = [max(a, 0) for a in lo], [min(b, n - 1) for b, n in zip(hi, erf.image)]
    return tuple(lo), tuple(hi)
