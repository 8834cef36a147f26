"""Power laws fitted to sizes, and whether sizes follow one at all."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..base.checks import numbers

__all__ = ["PowerLaw", "fit_power_law"]

#: Data follow a power law if no point lies further off the line, in parts of itself, or if R^2 is at least that: sizes
#: that count pixels come in steps, large ones where there are few pixels.
MISFIT, LEAST_R_SQUARED = 0.1, 0.99


class PowerLaw(NamedTuple):
    """y = exp(intercept) x^slope, fitted in logarithms; standard errors from the scatter about the line.

    Made by `fit_power_law` and `Growth.fit`; called with x it gives y.

    Attributes
    ----------
    slope : float
        The exponent: d log y / d log x.
    slope_stderr : float or None
        None where y is exact, and what lies off the line is curvature and no scatter.
    intercept : float
        Natural logarithm of y at x = 1.
    intercept_stderr : float or None
    r_squared : float
        Fraction of the variance of log y that the line explains; 1 where there is none.
    misfit : float
        Largest distance of a point from the line, as a fraction of the smaller of the two.

    Examples
    --------
    >>> import erfmath as em
    >>> law = em.fit_power_law([1, 2, 4], [3, 12, 48])                      # 3 x^2
    >>> round(law.slope, 9), round(float(law(10)), 6), law.holds
    (2.0, 300.0, True)
    """

    slope: float
    slope_stderr: float | None
    intercept: float
    intercept_stderr: float | None
    r_squared: float
    misfit: float

    def __call__(self, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The fitted y."""
        return np.asarray(np.exp(self.intercept) * np.asarray(x, dtype=float)**self.slope)

    @property
    def holds(self) -> bool:
        """Whether every point lies within 10 % of the line, or R^2 is at least 0.99."""
        return self.misfit <= MISFIT or self.r_squared >= LEAST_R_SQUARED

    @property
    def words(self) -> str:
        """The slope, with its standard error where there is one; or that there is no power law."""
        if not self.holds:
            return f"no power law (a line in logarithms is off by up to {self.misfit:.0%}, R^2 = {self.r_squared:.3f})"
        return f"slope {self.slope:.3f}" + ("" if self.slope_stderr is None else f" +- {self.slope_stderr:.3f}")

    def __str__(self) -> str:
        error = "" if self.slope_stderr is None else f" +- {self.slope_stderr:.4f}"
        return f"{math.exp(self.intercept):.3g} x^({self.slope:.3f}{error})" + ("" if self.holds else ", " + self.words)

    def exact(self) -> PowerLaw:
        """The same without standard errors, for numbers that have none."""
        return self._replace(slope_stderr=None, intercept_stderr=None)


def fit_power_law(x: npt.ArrayLike, y: npt.ArrayLike) -> PowerLaw:
    """Slope and intercept of log y over log x, by ordinary least squares (`scipy.stats.linregress`).

    Parameters
    ----------
    x, y : array_like, shape (points,)
        Positive, at least three points, not all at one x.

    Returns
    -------
    PowerLaw
        Exponent, prefactor and quality of the fit.

    Raises
    ------
    ValueError
        For other shapes, or values that have no logarithm.

    See Also
    --------
    growth : How sizes grow with a parameter.

    Examples
    --------
    >>> import erfmath as em
    >>> law = em.fit_power_law([1, 4, 9, 16], [2, 4, 6, 8])
    >>> round(law.slope, 6), round(float(law(25)), 6)
    (0.5, 10.0)

    An exponential is no power law:

    >>> print(em.fit_power_law([1, 2, 3, 4], [2, 4, 8, 16]).words)
    no power law (a line in logarithms is off by up to 22%, R^2 = 0.961)
    """
    from scipy.stats import linregress

    a, b = numbers(x, "x"), numbers(y, "y")
    if a.ndim != 1 or a.shape != b.shape or len(a) < 3:
        raise ValueError(f"x, y: have shapes {a.shape} and {b.shape}; must be two rows of one length, at least three")
    if not all((v > 0).all() for v in (a, b)) or (a == a[0]).all():
        raise ValueError("x, y: must be positive, and not all at one x")
    if (b == b[0]).all():  # linregress has no error for a line without scatter or slope
        return PowerLaw(0.0, 0.0, math.log(b[0]), 0.0, 1.0, 0.0)
    a, b = np.log(a), np.log(b)
    fit: Any = linregress(a, b)
    off = float(np.abs(b - fit.intercept - fit.slope * a).max())
    return PowerLaw(float(fit.slope), float(fit.stderr), float(fit.intercept), float(fit.intercept_stderr),
                    float(fit.rvalue**2), math.expm1(off))
