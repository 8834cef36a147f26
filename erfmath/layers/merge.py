"""Where branches meet: sums, products and concatenations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .base import Labels, Layer

__all__ = ["Add", "Concat", "Multiply"]


@dataclass(frozen=True)
class Add(Layer):
    """Sum of several inputs of the same shape: what `add` and `residual` put into a network.

    Parameters
    ----------
    name : str, optional
        Name of the node.

    See Also
    --------
    Concat : Several inputs side by side along the channels.
    Multiply : Product of several inputs, value by value.

    Examples
    --------
    >>> import erfmath as em
    >>> em.residual(em.Conv(3)).nodes[-1]
    Node(name='add1', layer=Add(name=None), inputs=('input', 'conv1'))
    """

    op: ClassVar[str] = "add"
    free: ClassVar[bool] = True
    sums: ClassVar[bool] = True
    many_inputs: ClassVar[bool] = True
    name: str | None = None


@dataclass(frozen=True)
class Concat(Layer):
    """Several inputs side by side along the channels: what `concat` puts into a network.

    Parameters
    ----------
    name : str, optional
        Name of the node.

    See Also
    --------
    Add : Sum of several inputs of the same shape.
    Multiply : Product of several inputs, value by value.

    Examples
    --------
    >>> import erfmath as em
    >>> em.concat(em.Conv(1, 8), em.Conv(3, 16)).channels()
    {'conv1': 8, 'conv2': 16, 'concat1': 24}
    """

    op: ClassVar[str] = "concat"
    free: ClassVar[bool] = True
    many_inputs: ClassVar[bool] = True
    joins_channels: ClassVar[bool] = True
    name: str | None = None

    def merged_channels(self, incoming: Sequence[int | None]) -> int | None:
        known = [c for c in incoming if c is not None]
        return sum(known) if len(known) == len(incoming) else None

    def channel_reads(self, labels: Sequence[Labels], c_out: int, ndim: int) -> Labels:
        return np.concatenate(labels)[None]


@dataclass(frozen=True)
class Multiply(Layer):
    """Product of several inputs, value by value: what `multiply` puts into a network.

    An input with one channel multiplies all channels, one with a single site (squeeze and excite) all sites.

    Parameters
    ----------
    name : str, optional
        Name of the node.

    See Also
    --------
    Concat : Several inputs side by side along the channels.
    Add : Sum of several inputs of the same shape.

    Examples
    --------
    >>> import erfmath as em
    >>> em.multiply(em.Conv(3, 8), em.serial(em.Conv(3, 1), em.Activation("sigmoid"))).channels()
    {'conv1': 8, 'conv2': 1, 'sigmoid1': 1, 'multiply1': 8}
    """

    op: ClassVar[str] = "multiply"
    free: ClassVar[bool] = True
    multiplies: ClassVar[bool] = True
    is_gate: ClassVar[bool] = True
    many_inputs: ClassVar[bool] = True
    name: str | None = None

    def merged_channels(self, incoming: Sequence[int | None]) -> int | None:
        several = [c for c in incoming if c != 1]
        return super().merged_channels(several) if several else 1
