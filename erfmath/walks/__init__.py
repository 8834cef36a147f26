"""n-fold convolution on the lattice: the distribution of a chain's effective receptive field.

One interface, one result type, a module for each way of computing it:

=============  ===========================================================  ==================
method         what is small                                                cost grows with
=============  ===========================================================  ==================
"exact"        the relative error, at every site of the support             support x log
"window"       the error relative to the peak; a window of all but 1e-19    nothing (depth)
"fft"          the error relative to the peak; signed kernels too           support x log
"normal"       a certified bound: the paper's Gaussian                      nothing
"edgeworth"    a certified bound: corrected by `order` (1-3) cumulants      nothing
"saddlepoint"  a certified relative bound, `order` 0 or 1                   sites asked for
"rational"     nothing: Python integers; the oracle                         support x digits
"auto"         as "exact" or "window", whichever is quick ("fft", signed)
=============  ===========================================================  ==================
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..base.errors import quoted
from ..base.progress import Report, check_progress
from . import direct
from .base import Walk
from .dense import ExactWalk, RationalWalk
from .integers import path_counts
from .modes import SpectralWalk
from .product import ProductWalk, axis_steps
from .saddle import SaddlepointWalk
from .scaled import Scaled
from .signed import SignedWalk
from .smooth import SmoothWalk
from .steps import Problem, Steps, as_steps

__all__ = ["METHODS", "Scaled", "Walk", "path_counts", "walk"]

#: What `walk` takes as its method.
METHODS = ("exact", "window", "fft", "normal", "edgeworth", "saddlepoint", "rational", "auto")
#: Sites of a 1-D support, and multiplications in more dimensions, up to which "auto" is exact.
_AUTO_SITES, _AUTO_COST = 10**5, 1e9


def walk(steps: Steps, n: int | None = None, *, method: str = "exact", order: int | None = None,
         progress: Report = None) -> Walk:
    """Distribution of S = sum_l J_l X_l: how a chain of layers spreads a gradient (equation W2).

    Parameters
    ----------
    steps : kernel, or sequence of (kernel, jump, count)
        One kernel for `n` equal layers, or groups of `count` layers each. The jump J is the
        product of the strides below the layer and its own dilation, in input pixels; it may be
        negative, and in d dimensions a tuple. A step may hold a `kernels.KernelStack`.
    n : int, optional
        Number of layers, where `steps` is one kernel; 1 by default.
    method : str
        One of `METHODS`; the module's table and ``docs/walks.md`` say what each promises.
    order : int, optional
        Of "edgeworth" (1, 2 or 3; 2 by default) and "saddlepoint" (0 or 1; 1 by default).
    progress : bool or callable
        Of "exact" and "rational", when values are first asked for: True for a bar on stderr, or a function of
        (parts done, parts). Supports of millions of sites take seconds.

    Returns
    -------
    Walk
        `pmf`, `logpmf`, `scaled`, `array`; `mean`, `var`, `kurtosis`; `support`, `span`,
        `window`, `mass_outside`; `errors`, `error_bound`. Nothing is computed before it is asked
        for. Separable kernels are walked one axis at a time.

    Raises
    ------
    ValueError
        Unknown method, or one that needs a distribution where a kernel is signed, or steps that do not fit.
    SizeError
        A support too large for a method that holds all of it.

    See Also
    --------
    predict : Effective receptive field, from theory.
    path_counts : Number of paths from the unit to each input site.

    Examples
    --------
    >>> import erfmath as em
    >>> s = em.walk(em.kernels.uniform(3), n=2)
    >>> s.mean, round(s.var, 3), s.support, [round(9 * p) for p in s.pmf(range(5))]
    (2.0, 1.333, (0, 4), [1, 2, 3, 2, 1])
    >>> deep = em.walk(em.kernels.uniform(3), n=10**12, method="window")
    >>> round(deep.pmf(10**12) * (2 * 3.141592653589793 * deep.var) ** 0.5, 12)
    1.0
    """
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"method={quoted(method)}: must be one of {', '.join(METHODS)}")
    if order is not None and method not in ("edgeworth", "saddlepoint"):
        raise ValueError(f'order={quoted(order)}: only "edgeworth" and "saddlepoint" have an order')
    check_progress(progress)
    listed = as_steps(steps, n)
    problem = Problem(listed)

    def solve(one: Problem, method: Callable[[Problem], Walk] = _solver(method, order)) -> Walk:
        found = method(one)
        found._progress = progress
        return found

    split = axis_steps(listed) if problem.ndim > 1 and method != "rational" else None
    return solve(problem) if split is None else ProductWalk(problem, *split, solve)


def _solver(method: str, order: int | None) -> Callable[[Problem], Walk]:
    if method == "exact":
        return ExactWalk
    if method == "rational":
        return RationalWalk
    if method == "normal":
        return SmoothWalk
    if method == "edgeworth":
        return partial(SmoothWalk, order=2 if order is None else order)
    if method == "saddlepoint":
        return partial(SaddlepointWalk, order=1 if order is None else order)
    return partial(_spectral_or_exact, method=method)


def _spectral_or_exact(problem: Problem, method: str) -> Walk:
    if problem.is_signed and method in ("fft", "auto"):
        return SignedWalk(problem)
    if method == "auto":
        small = (problem.size <= _AUTO_SITES if problem.ndim == 1 else direct.cost(problem) <= _AUTO_COST)
        return ExactWalk(problem) if small else SpectralWalk(problem, full=False)
    return SpectralWalk(problem, full=method == "fft")
