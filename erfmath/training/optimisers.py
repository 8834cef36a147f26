"""Optimisers and schedules: plain values; what they remember is handed in and out.

An optimiser maps (parameters, gradients, memory, rate) to new parameters and new memory, and changes
nothing in place: a step that is interrupted has not happened.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ..base.checks import flag, integer, real
from ..base.errors import quoted

__all__ = ["Adam", "Cosine", "Memory", "Optimiser", "Piecewise", "SGD", "Schedule", "Update", "clipped"]

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]
#: By name of the quantity, then of the parameter.
Memory = Mapping[str, Arrays]


class Update(NamedTuple):
    """Parameters and the optimiser's memory after a step."""

    parameters: dict[str, Array]
    memory: dict[str, dict[str, Array]]


class Optimiser(Protocol):
    """What `fit` asks of its optimiser: a `rate`, and a call that makes one step.

    The call takes parameters and gradients by name, the memory of the step before (empty at first), the
    rate of this step, its number (from 0), and `decays`: names of the parameters that weight decay acts
    on, which are kernels, not biases or norms.  It returns new parameters and a new memory, and changes
    nothing in place.
    """

    @property
    def rate(self) -> float:
        """Size of a step, before the factor of the schedule."""

    def __call__(self, parameters: Arrays, gradients: Arrays, memory: Memory, rate: float, step: int,
                 decays: frozenset[str]) -> Update: ...


def _check(name: str, value: float, low: float = 0.0, below: float = math.inf) -> float:
    if not low <= real(value, name) < below:
        limit = f" and below {below:g}" if below < math.inf else ""
        raise ValueError(f"{name}={quoted(value)}: must be at least {low:g}{limit}")
    return float(value)


@dataclass(frozen=True)
class SGD:
    """Gradient descent: v <- momentum v + g, p <- p - rate v, or with `nesterov` p - rate (g + momentum v).

    `decay` adds decay times p to the gradients of kernels (L2 regularisation, as PyTorch has it).

    Parameters
    ----------
    rate : float
        Size of a step, at least 0; a schedule multiplies it.
    momentum : float
        Fraction of the step before that goes on, from 0 to below 1.
    nesterov : bool
        Whether the gradient counts once more, ahead of the momentum.
    decay : float
        Of kernels, at least 0.

    Raises
    ------
    ValueError
        If a number is out of its range.

    See Also
    --------
    Adam : Adam with bias correction.
    Cosine : Half a period of a cosine from 1 down to `floor`, after `warmup` steps.

    Examples
    --------
    A weight of 3 with the gradient 2, at a rate of 0.5:

    >>> import numpy as np
    >>> from erfmath.training import SGD
    >>> step = SGD(rate=0.5)({"w": np.array([3.0])}, {"w": np.array([2.0])}, {}, 0.5, 0, frozenset())
    >>> step.parameters["w"]
    array([2.])
    """

    rate: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    decay: float = 0.0

    def __post_init__(self) -> None:
        _check("rate", self.rate)
        _check("momentum", self.momentum, below=1.0)
        flag(self.nesterov, "nesterov")
        _check("decay", self.decay)

    def __call__(self, parameters: Arrays, gradients: Arrays, memory: Memory, rate: float, step: int,
                 decays: frozenset[str]) -> Update:
        before, after, fresh = memory.get("velocity", {}), {}, {}
        for name, p in parameters.items():
            g = gradients[name]
            if self.decay and name in decays:
                g = g + _of(p, self.decay) * p
            v = _of(p, self.momentum) * before[name] + g if name in before else g
            fresh[name] = v
            after[name] = p - _of(p, rate) * (g + _of(p, self.momentum) * v if self.nesterov else v)
        return Update(after, {"velocity": fresh} if self.momentum else {})


@dataclass(frozen=True)
class Adam:
    """Adam with bias correction; `decay` shrinks kernels by rate times decay beside it (AdamW).

    Parameters
    ----------
    rate : float
        About the size of a step of each weight, at least 0; a schedule multiplies it.
    first, second : float
        Fractions of the running means of gradients and of their squares that stay at each step, from 0 to
        below 1.
    eps : float
        Added to the root of the mean square, at least 0.
    decay : float
        Of kernels, at least 0.

    Raises
    ------
    ValueError
        If a number is out of its range.

    See Also
    --------
    SGD : Gradient descent.
    Cosine : Half a period of a cosine from 1 down to `floor`, after `warmup` steps.

    References
    ----------
    Kingma and Ba, Adam: a method for stochastic optimization, 2015; Loshchilov and Hutter, Decoupled
    weight decay regularization, 2019.

    Examples
    --------
    The first step is one rate long, however large the gradient:

    >>> import numpy as np
    >>> from erfmath.training import Adam
    >>> step = Adam(rate=0.25)({"w": np.array([1.0])}, {"w": np.array([4.0])}, {}, 0.25, 0, frozenset())
    >>> step.parameters["w"].round(6)
    array([0.75])
    """

    rate: float = 1e-3
    first: float = 0.9
    second: float = 0.999
    eps: float = 1e-8
    decay: float = 0.0

    def __post_init__(self) -> None:
        _check("rate", self.rate)
        _check("first", self.first, below=1.0)
        _check("second", self.second, below=1.0)
        _check("eps", self.eps)
        _check("decay", self.decay)

    def __call__(self, parameters: Arrays, gradients: Arrays, memory: Memory, rate: float, step: int,
                 decays: frozenset[str]) -> Update:
        means, squares = memory.get("mean", {}), memory.get("square", {})
        after, m, s = {}, {}, {}
        scale = rate / (1 - self.first**(step + 1))
        root = math.sqrt(1 - self.second**(step + 1))
        for name, p in parameters.items():
            g = gradients[name]
            m[name] = _of(p, self.first) * means.get(name, _of(p, 0)) + _of(p, 1 - self.first) * g
            s[name] = _of(p, self.second) * squares.get(name, _of(p, 0)) + _of(p, 1 - self.second) * g * g
            kept = p * _of(p, 1 - rate * self.decay) if name in decays else p
            after[name] = kept - _of(p, scale) * m[name] / (np.sqrt(s[name]) / _of(p, root) + _of(p, self.eps))
        return Update(after, {"mean": m, "square": s})


def _of(like: Array, number: float) -> Any:
    """A number in the precision of `like`, so that it does not widen."""
    return like.dtype.type(number)


def clipped(gradients: Arrays, norm: float) -> dict[str, Array]:
    """All gradients scaled down together where their common Euclidean norm exceeds `norm`."""
    total = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients.values()))
    if total <= norm:
        return dict(gradients)
    return {name: g * _of(g, norm / total) for name, g in gradients.items()}


# -- schedules: factor of the optimiser's rate at a step -----------------------------------------

class Schedule(Protocol):
    """Factor of the optimiser's rate at `step` (from 0) of `steps`."""

    def __call__(self, step: int, steps: int) -> float: ...


def _ramp(step: int, warmup: int) -> float:
    """Linear warm-up, that reaches 1 in step `warmup`."""
    return min(1.0, (step + 1) / (warmup + 1))


@dataclass(frozen=True)
class Cosine:
    """Half a period of a cosine from 1 down to `floor`, after `warmup` steps.

    Parameters
    ----------
    warmup : int
        Steps in which the rate grows linearly before, at least 0.
    floor : float
        Factor of the rate that the cosine ends at, at least 0.

    Raises
    ------
    ValueError
        If a number is out of its range.

    See Also
    --------
    Adam : Adam with bias correction.
    Piecewise : A rate that falls in steps.

    Examples
    --------
    >>> from erfmath.training import Cosine
    >>> [round(Cosine()(step, 4), 3) for step in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """

    warmup: int = 0
    floor: float = 0.0

    def __post_init__(self) -> None:
        integer(self.warmup, "warmup", 0)
        _check("floor", self.floor)

    def __call__(self, step: int, steps: int) -> float:
        if step < self.warmup:
            return _ramp(step, self.warmup)
        part = (step - self.warmup) / max(steps - self.warmup, 1)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * part))


@dataclass(frozen=True)
class Piecewise:
    """The rate is multiplied by `factor` at each of the fractions `at` of all steps; with none, it is constant.

    Parameters
    ----------
    at : tuple of float
        Fractions of all steps, at least 0.
    factor : float
        At least 0.
    warmup : int
        Steps in which the rate grows linearly at the beginning, at least 0.

    Raises
    ------
    ValueError
        If a number is out of its range.

    See Also
    --------
    Cosine : Half a period of a cosine from 1 down to `floor`, after `warmup` steps.
    Adam : Adam with bias correction.

    Examples
    --------
    >>> from erfmath.training import Piecewise
    >>> [round(Piecewise(at=(0.5, 0.75))(step, 4), 3) for step in range(4)]
    [1.0, 1.0, 0.1, 0.01]
    >>> [Piecewise(at=(), warmup=3)(step, 6) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """

    at: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1
    warmup: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.at, (list, tuple)):
            raise ValueError(f"at={quoted(self.at)}: must be a sequence of fractions of all steps")
        for fraction in self.at:
            _check("at", fraction)
        _check("factor", self.factor)
        integer(self.warmup, "warmup", 0)

    def __call__(self, step: int, steps: int) -> float:
        passed = sum(step >= fraction * steps for fraction in self.at)
        return float(self.factor**passed * _ramp(step, self.warmup))
