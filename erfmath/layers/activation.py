"""Nonlinearities at each site."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..base.checks import choice, real
from .base import Layer

__all__ = ["Activation", "FUNCTIONS"]

FUNCTIONS = ("relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu", "softplus", "identity")


@dataclass(frozen=True)
class Activation(Layer):
    """A nonlinearity at each site; equations 35 and 36 say what it does to powers.

    Parameters
    ----------
    function : str
        "relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu", "softplus" or "identity".
    slope : float
        Of "leaky_relu" below zero.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If there is no such function, or the slope is not a finite number.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.Conv(3), em.Activation("gelu")).names
    ('conv1', 'gelu1')
    """

    op: ClassVar[str] = "activation"
    free: ClassVar[bool] = True
    follows: ClassVar[bool] = True
    function: str
    slope: float = field(default=0.01, kw_only=True)
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        choice(self.function, "function", FUNCTIONS)
        self._set(slope=real(self.slope, "slope"))
        super().__post_init__()

    @property
    def kind(self) -> str:
        return self.function

    @property
    def is_identity(self) -> bool:
        return self.function == "identity"

    @property
    def is_gate(self) -> bool:
        return not self.is_identity
