"""Batch and layer normalisation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ..base.checks import choice
from .base import Layer

__all__ = ["BatchNorm", "LayerNorm", "Norm"]


class Norm(Layer):
    """Shared by all normalisations: statistics of the data, then a scale and a shift per channel."""

    follows: ClassVar[bool] = True

    @property
    def is_gate(self) -> bool:
        return bool(self.statistics)

    def parameters(self, c_in: int, c_out: int, ndim: int, biases: bool = False) -> int:
        return 2 * c_out

    def multiply_adds(self, c_in: int, c_out: int, shape_in: tuple[int, ...], shape_out: tuple[int, ...]) -> int:
        return 0  # not counted, as is usual


@dataclass(frozen=True)
class BatchNorm(Norm):
    """Batch normalisation, scale 1 and shift 0 (equation 40).

    Parameters
    ----------
    mode : {"data", "identity"}
        By the statistics of the data, or frozen as the identity.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If the mode is unknown.

    Examples
    --------
    >>> import erfmath as em
    >>> loud = em.Conv(3, weights=em.Random(gain=100))
    >>> round(em.predict(em.serial(loud, em.BatchNorm())).total, 6)
    1.0
    """

    op: ClassVar[str] = "batch_norm"
    takes_norm: ClassVar[bool] = True
    mode: Literal["data", "identity"] = "data"
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        choice(self.mode, "mode", ("data", "identity"))
        super().__post_init__()

    @property
    def is_identity(self) -> bool:
        return self.mode == "identity"

    @property
    def statistics(self) -> tuple[str, ...]:
        return () if self.is_identity else ("batch", "space")


@dataclass(frozen=True)
class LayerNorm(Norm):
    """Normalisation over the channels of each site, as ConvNeXt uses it (equation 41).

    Parameters
    ----------
    name : str, optional
        Name of the node.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.Conv(7, groups="depthwise"), em.LayerNorm()).names
    ('conv1', 'layer_norm1')
    """

    op: ClassVar[str] = "layer_norm"
    name: str | None = field(default=None, kw_only=True)

    @property
    def statistics(self) -> tuple[str, ...]:
        return ("channels",)
