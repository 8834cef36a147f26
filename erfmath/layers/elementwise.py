"""Layers that act site by site without a nonlinearity: scale, dropout, padding, identity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..base.checks import Padding, choice, padding_rule, real
from ..base.errors import quoted
from .base import STEEPEST, Layer, open_dimensions, pairs
from .geometry import BORDERS, AxisGeometry
from .slips import BORDER_WORDS

__all__ = ["Dropout", "Identity", "Pad", "Scale"]


@dataclass(frozen=True)
class Scale(Layer):
    """Multiplication by a constant, as LayerScale at initialisation.

    Parameters
    ----------
    factor : float
        What values and gradients are multiplied by.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If the factor is not a finite number.

    See Also
    --------
    Dropout : Inverted dropout.
    Pad : Padding; negative values crop.

    Examples
    --------
    >>> import erfmath as em
    >>> em.predict(em.serial(em.Scale(0.5), em.Conv(1, weights=em.Random(gain=1)))).total
    0.25
    """

    op: ClassVar[str] = "scale"
    follows: ClassVar[bool] = True
    factor: float
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(factor=real(self.factor, "factor"))
        if abs(self.factor) > STEEPEST:
            raise ValueError(f"factor={quoted(self.factor)}: must be at most {STEEPEST:g} in size")
        super().__post_init__()

    @property
    def is_identity(self) -> bool:
        return self.factor == 1

    def parameters(self, c_in: int, c_out: int, ndim: int, biases: bool = False) -> int:
        return c_out

    def multiply_adds(self, c_in: int, c_out: int, shape_in: tuple[int, ...], shape_out: tuple[int, ...]) -> int:
        return 0  # not counted, as is usual


@dataclass(frozen=True)
class Dropout(Layer):
    """Inverted dropout: values are dropped with probability `p`, kept ones divided by 1 - p.

    Parameters
    ----------
    p : float
        At least 0 and below 1.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If `p` is out of range.

    See Also
    --------
    Scale : Multiplication by a constant, as LayerScale at initialisation.
    Pad : Padding; negative values crop.

    Examples
    --------
    >>> import erfmath as em
    >>> em.predict(em.serial(em.Conv(1, weights=em.Random(gain=1)), em.Dropout(0.5))).total
    2.0
    """

    op: ClassVar[str] = "dropout"
    free: ClassVar[bool] = True
    follows: ClassVar[bool] = True
    draws_noise: ClassVar[bool] = True
    p: float
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(p=real(self.p, "p"))
        if not 0 <= self.p < 1:
            raise ValueError(f"p={quoted(self.p)}: must be at least 0 and below 1")
        super().__post_init__()

    @property
    def is_identity(self) -> bool:
        return self.p == 0


@dataclass(frozen=True)
class Pad(Layer):
    """Padding; negative values crop.

    Parameters
    ----------
    padding : int, pair, or pairs per axis
        Sites added on both sides, (before, after) on every axis, or one such pair per axis.
    mode : {"zeros", "reflect", "replicate", "circular"}
        What is added, as `Conv` has it.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If a value is none of these.

    See Also
    --------
    Dropout : Inverted dropout.
    Identity : Passes its input on: a branch that skips, or a place with a name.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.Pad((1, -2))).shapes(image=8)
    {'pad1': (7, 7)}
    """

    op: ClassVar[str] = "pad"
    free: ClassVar[bool] = True
    padding: Padding
    mode: str = "zeros"
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(padding=padding_rule(self.padding, (), None, BORDERS, "mode"))
        choice(self.mode, "mode", BORDERS, BORDER_WORDS)
        super().__post_init__()

    @property
    def is_identity(self) -> bool:
        return all(axis.padding == (0, 0) for axis in self.geometry(min(self.dimensions())))

    def dimensions(self) -> frozenset[int]:
        return open_dimensions(pairs(self.padding))

    def geometry(self, ndim: int) -> tuple[AxisGeometry, ...]:
        flat: Any = (self.padding, self.padding) if isinstance(self.padding, int) else self.padding
        return tuple(AxisGeometry(padding=pair, border=self.mode) for pair in pairs(self.padding) or (flat,) * ndim)


@dataclass(frozen=True)
class Identity(Layer):
    """Passes its input on: a branch that skips, or a place with a name.

    Parameters
    ----------
    name : str, optional
        Name of the node.

    See Also
    --------
    Pad : Padding; negative values crop.
    Dropout : Inverted dropout.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.Conv(3), em.Identity("here"), em.Conv(3)).names
    ('conv1', 'here', 'conv2')
    """

    op: ClassVar[str] = "identity"
    free: ClassVar[bool] = True
    follows: ClassVar[bool] = True
    name: str | None = None

    @property
    def is_identity(self) -> bool:
        return True
