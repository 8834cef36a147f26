"""What every walk can be asked, whatever the method that computed it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from math import prod
from typing import Any, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base.checks import is_sequence, point
from ..base.errors import check_bytes, quoted
from .scaled import ZERO_EXPONENT, Scaled
from .steps import Problem

__all__ = ["Walk"]

_FAR = 2**63 - 1  # the last site that an integer of 64 bits holds

Site = Union[int, tuple[int, ...]]
Moments = Union[float, NDArray[np.float64]]


class Walk(ABC):
    """Distribution of S = sum_l J_l X_l, the effective receptive field of a chain (equation W2).

    Sites are input pixels: the unit's own first tap is 0 where kernels have offset 0. In 1-D sites
    and moments are plain numbers; in d dimensions sites are arrays of shape (..., d), and
    `mean`, `var`, `kurtosis` arrays of shape (d,).

    ==========================  =============================================
    site                        `pmf`, `logpmf`
    ==========================  =============================================
    outside the support         0, -inf
    between lattice points      0, -inf (`span` > 1: strides, two-point distributions)
    below the range of floats   0 and the logarithm; `scaled` keeps all digits
    ==========================  =============================================

    Made by `walk`.

    Examples
    --------
    Two layers of two taps, the second after a stride of 3: the sites 0, 1, 3 and 4, equally likely.

    >>> import erfmath as em
    >>> pair = em.kernels.uniform(2)
    >>> sums = em.walk([(pair, 1, 1), (pair, 3, 1)])
    >>> sums.support, sums.mean, [round(sums.pmf(x), 12) for x in range(5)]
    ((0, 4), 2.0, [0.25, 0.25, 0.0, 0.25, 0.25])
    """

    #: What shows that a long computation goes on: that of `walk`.
    _progress: Any = None

    def __init__(self, problem: Problem, method: str) -> None:
        self._problem = problem
        #: Name of the method that computed this distribution; for "auto", the one it picked.
        self.method = method

    # -- moments: of the steps, in closed form, whatever the method ---------------------------

    def _scalar(self, values: NDArray[np.float64]) -> Moments:
        return float(values[0]) if self.ndim == 1 else values

    def _site(self, sites: Sequence[int]) -> Any:
        return int(sites[0]) if self.ndim == 1 else tuple(int(s) for s in sites)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._problem.ndim

    @property
    def mean(self) -> Moments:
        """E[S], offsets included (equation W3)."""
        self._problem.require_distribution("mean")
        return self._scalar(self._problem.mean)

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance matrix of S, shape (ndim, ndim)."""
        self._problem.require_distribution("covariance")
        span = np.array(self._problem.span, dtype=float)
        return self._problem.lattice_covariance * np.outer(span, span)

    @property
    def var(self) -> Moments:
        """Var[S] = sum of J_l^2 Var[X_l] along each axis (equation W3)."""
        self._problem.require_distribution("var")
        return self._scalar(np.diag(self.covariance).copy())

    @property
    def kurtosis(self) -> Moments:
        """Excess kurtosis along each axis (equation W4); nan where nothing varies."""
        self._problem.require_distribution("kurtosis")
        return self._scalar(self._problem.kurtosis)

    @property
    def log_mass(self) -> float:
        """Logarithm of the product of the kernels' masses: 0 unless they carry one."""
        return self._problem.log_mass

    # -- where ----------------------------------------------------------------------------------

    @property
    def span(self) -> Site:
        """Lattice spacing: probabilities vanish off support[0] + span * integers."""
        return self._site(self._problem.span)

    @cached_property
    def support(self) -> tuple[Any, Any]:
        """First and last site that a path can reach, both inclusive (the theoretical RF)."""
        p = self._problem
        last = [s + g * (e - 1) for s, g, e in zip(p.start, p.span, p.extent)]
        return self._site(p.start), self._site(last)

    def _box(self) -> tuple[Sequence[int], Sequence[int]]:
        """Lattice box (first, last), inclusive, of what `array` returns unasked."""
        return (0,) * self.ndim, tuple(e - 1 for e in self._problem.extent)

    @cached_property
    def window(self) -> tuple[Any, Any]:
        """First and last site computed, inclusive; all but `mass_outside` lies inside."""
        p = self._problem
        lo, hi = self._box()
        return (self._site([s + g * b for s, g, b in zip(p.start, p.span, lo)]),
                self._site([s + g * b for s, g, b in zip(p.start, p.span, hi)]))

    @property
    def mass_outside(self) -> float:
        """Upper bound of the probability outside `window`."""
        return 0.0

    # -- how well -------------------------------------------------------------------------------

    @property
    @abstractmethod
    def errors(self) -> dict[str, float]:
        """Parts of the error bound, by name; what they bound is said in the method's docs."""

    @property
    @abstractmethod
    def error_bound(self) -> float:
        """Upper bound of abs(pmf(x) - exact) over all sites x."""

    @property
    def peak_bound(self) -> float:
        """Upper bound of the largest value."""
        return 1.0

    # -- values ---------------------------------------------------------------------------------

    @abstractmethod
    def _at(self, s: NDArray[np.int64]) -> Scaled:
        """Values at lattice points s of shape (points, ndim), all inside the support's box."""

    def _locate(self, x: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Lattice points of sites x, and which sites are lattice points of the support's box."""
        try:
            sites = np.asarray(x)
        except ValueError:
            raise ValueError(f"x={quoted(x)}: must be an array of sites") from None
        if sites.dtype == object and all(isinstance(v, int) for v in sites.flat):  # beyond 64 bits: outside
            sites = np.array([max(-_FAR, min(v, _FAR)) for v in sites.flat], np.int64).reshape(sites.shape)
        if sites.size and sites.dtype.kind not in "iu":
            raise TypeError(f"x={quoted(x)}: sites must be integers, got {sites.dtype} values")
        if self.ndim > 1 and (not sites.ndim or sites.shape[-1] != self.ndim):
            raise ValueError(f"sites of a {self.ndim}-D walk must have shape (..., {self.ndim}), "
                             f"got {sites.shape}")
        p = self._problem
        first, last = np.array(p.start), np.array([a + g * (e - 1) for a, g, e in zip(p.start, p.span, p.extent)])
        if sites.dtype == np.uint64:
            sites = np.minimum(sites, np.uint64(_FAR))
        sites = sites.astype(np.int64)
        sites = sites[..., None] if self.ndim == 1 else sites
        inside = (sites >= first) & (sites <= last)
        s, rest = np.divmod(np.where(inside, sites, first) - first, np.array(p.span))
        return s, (inside & (rest == 0)).all(axis=-1)

    def scaled(self, x: ArrayLike) -> Scaled:
        """Probabilities at sites x with an exponent of their own; `to_float` flags underflow.

        Parameters
        ----------
        x : int, or array of int
            Sites in input pixels; shape (..., d) in d > 1 dimensions.

        Returns
        -------
        Scaled
            Of the shape of x (without its last axis if d > 1).

        Raises
        ------
        TypeError
            If sites are not integers.
        ValueError
            If sites do not have the walk's dimension.
        """
        s, inside = self._locate(x)
        found = self._at(s[inside].reshape(-1, self.ndim))
        values = Scaled(np.zeros(inside.shape), np.full(inside.shape, ZERO_EXPONENT))
        values.mantissa[inside] = found.mantissa
        values.exponent[inside] = found.exponent
        return values

    def pmf(self, x: ArrayLike) -> Any:
        """P(S = x), 0 where that is below the range of floats; for signed kernels w**n at x.

        Parameters
        ----------
        x : int, or array of int
            Sites in input pixels; shape (..., d) in d > 1 dimensions.

        Returns
        -------
        float or ndarray
            Of the shape of x, without its last axis if d > 1.

        Raises
        ------
        TypeError, ValueError
            As `scaled`.
        """
        values = self.scaled(x).floats()
        return values if values.ndim else float(values)

    def logpmf(self, x: ArrayLike) -> Any:
        """Natural logarithm of `pmf`, also far below the range of floats; -inf where it is 0.

        Parameters
        ----------
        x : int, or array of int
            Sites in input pixels; shape (..., d) in d > 1 dimensions.

        Returns
        -------
        float or ndarray
            Of the shape of x, without its last axis if d > 1.

        Raises
        ------
        ValueError
            If a kernel is signed: its values have no logarithm.
        """
        self._problem.require_distribution("logpmf")
        values = self.scaled(x).log()
        return values if values.ndim else float(values)

    def array(self, lo: Any = None, hi: Any = None) -> tuple[NDArray[np.float64], Any]:
        """Probabilities of the sites lo..hi (inclusive) as a dense array, and its first site.

        Sites between lattice points are filled with zeros.

        Parameters
        ----------
        lo, hi : int, or tuple of int of length d, optional
            First and last site in input pixels; those of `window` by default.

        Returns
        -------
        values : ndarray, shape hi - lo + 1 per axis
            Probabilities; of signed kernels w**n.
        first : int, or tuple of int
            Site of ``values[0, ...]``, which is lo.

        Raises
        ------
        SizeError
            If the array would pass `erfmath.base.errors.MEMORY_LIMIT`.
        ValueError
            If lo or hi does not have the walk's dimension.
        """
        first = self._corner(self.window[0] if lo is None else lo, "lo")
        last = self._corner(self.window[1] if hi is None else hi, "hi")
        shape = tuple(max(b - a + 1, 0) for a, b in zip(first, last))
        check_bytes(8 * prod(shape), f"a dense array of {' x '.join(map(quoted, shape))} sites",
                    "give lo and hi, or ask pmf for single sites")
        out = np.zeros(shape)
        p = self._problem
        s_lo = [max(0, -((o - a) // g)) for a, o, g in zip(first, p.start, p.span)]
        s_hi = [min(e - 1, (b - o) // g) for b, o, g, e in zip(last, p.start, p.span, p.extent)]
        if all(b >= a for a, b in zip(s_lo, s_hi)):
            where = tuple(slice(o + g * a - f, o + g * b - f + 1, g)
                          for a, b, o, g, f in zip(s_lo, s_hi, p.start, p.span, first))
            out[where] = self._dense(s_lo, s_hi)
        return out, self._site(first)

    def _corner(self, site: Any, name: str) -> tuple[int, ...]:
        if not is_sequence(site) and self.ndim > 1:
            raise ValueError(f"{name}={quoted(site)}: a {self.ndim}-D walk needs {self.ndim} coordinates")
        return point(site, name, self.ndim)

    def _dense(self, lo: Sequence[int], hi: Sequence[int]) -> NDArray[np.float64]:
        """Values on the lattice box lo..hi (inclusive), inside the support's box."""
        axes = [np.arange(a, b + 1) for a, b in zip(lo, hi)]
        s = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        return self._at(s.reshape(-1, self.ndim)).floats().reshape(s.shape[:-1])

    def __repr__(self) -> str:
        lo, hi = self.support
        return f"<walk of {self._problem.depth} layers on {lo}..{hi}, method {self.method!r}>"
