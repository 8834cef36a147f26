"""n-fold convolution on the lattice: the law of a chain's effective receptive field."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .base import Walk
from .dense import ExactWalk, RationalWalk
from .integers import path_counts
from .modes import SpectralWalk
from .product import ProductWalk, axis_steps
from .scaled import Scaled
from .smooth import NormalWalk
from .steps import Problem, Steps, as_steps

__all__ = ["Scaled", "Walk", "path_counts", "walk"]

_METHODS: dict[str, Callable[[Problem], Walk]] = {
    "exact": ExactWalk, "normal": NormalWalk, "rational": RationalWalk,
    "window": partial(SpectralWalk, full=False), "fft": partial(SpectralWalk, full=True),
}


def walk(steps: Steps, n: int | None = None, *, method: str = "exact") -> Walk:
    """Law of S = sum_l J_l X_l: how a chain of layers spreads a gradient (equation W2).

    Parameters
    ----------
    steps : kernel, or sequence of (kernel, jump, count)
        One kernel for `n` equal layers, or groups of `count` layers each. The jump J is the
        product of the strides below the layer and its own dilation, in input pixels; it may be
        negative, and in d dimensions a tuple.
    n : int, optional
        Number of layers, where `steps` is one kernel.
    method : str

    Examples
    --------
    >>> import erfmath as em
    >>> s = em.walk(em.kernels.uniform(3), n=2)
    >>> s.mean, s.var, s.support, [round(9 * p) for p in s.pmf(range(5))]
    (2.0, 1.3333333333333333, (0, 4), [1, 2, 3, 2, 1])
    """
    if method not in _METHODS:
        raise ValueError(f"method={method!r}: must be one of {', '.join(_METHODS)}")
    listed = as_steps(steps, n)
    problem = Problem(listed)
    split = axis_steps(listed) if problem.ndim > 1 and method != "rational" else None
    if split is None:
        return _METHODS[method](problem)
    return ProductWalk(problem, *split, _METHODS[method])
