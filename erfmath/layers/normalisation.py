"""Batch and layer normalisation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ..base.checks import choice
from .base import Layer

__all__ = ["BatchNorm", "LayerNorm"]


@dataclass(frozen=True)
class BatchNorm(Layer):
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
    mode: Literal["data", "identity"] = "data"
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        choice(self.mode, "mode", ("data", "identity"))
        super().__post_init__()


@dataclass(frozen=True)
class LayerNorm(Layer):
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
