"""Layers that pick, order or rearrange channels, without weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ..base.checks import PerAxis, integer, per_axis, sizes
from ..base.errors import check_count, quoted
from .base import Labels, Layer, open_dimensions
from .geometry import AxisGeometry

__all__ = ["PixelShuffle", "PixelUnshuffle", "Shuffle", "Slice", "Softmax"]

#: Most places in a block of sites that become channels: each is followed by itself.
MOST_PLACES = 2**16


@dataclass(frozen=True)
class Slice(Layer):
    """Channels start, start + 1, ..., stop - 1 of those that come in.

    Parameters
    ----------
    start, stop : int
        The first channel, counted from 0, and the first that is left out again.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If the channels are not at least one, or more than come in.

    See Also
    --------
    Shuffle : Channels in a new order.
    Softmax : Softmax at each site over the parts of the channels.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.Conv(3, 8), em.Slice(2, 5)).channels()
    {'conv1': 8, 'slice1': 3}
    """

    op: ClassVar[str] = "slice"
    free: ClassVar[bool] = True
    moves_channels: ClassVar[bool] = True
    start: int
    stop: int
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(start=integer(self.start, "start", 0), stop=integer(self.stop, "stop", 1))
        if self.stop <= self.start:
            raise ValueError(f"stop={quoted(self.stop)}: must be larger than start={quoted(self.start)}")
        super().__post_init__()

    def out_channels(self, c_in: int | None, width: int | None, ndim: int | None) -> int:
        if c_in is not None and c_in < self.stop:
            raise ValueError(f"stop={quoted(self.stop)}: only {c_in} channels come in")
        return self.stop - self.start

    def channel_reads(self, labels: Sequence[Labels], c_out: int, ndim: int) -> Labels:
        return labels[0][None, self.start:self.stop]


@dataclass(frozen=True)
class Shuffle(Layer):
    """Channels in a new order: the first of every group, then the second of every group, and so on.

    Channel a of group g, of c / groups channels, becomes channel a groups + g, as in ShuffleNet.

    Parameters
    ----------
    groups : int
        Groups in which the channels come in; must divide them.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If the groups do not divide the channels.

    See Also
    --------
    Slice : Channels start, start + 1, ..., stop - 1 of those that come in.
    Softmax : Softmax at each site over the parts of the channels.

    References
    ----------
    Zhang, Zhou, Lin and Sun, ShuffleNet: an extremely efficient convolutional neural network for mobile devices, 2018.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.Conv(3, 8, groups=2), em.Shuffle(2), em.Conv(3, 8, groups=2)).names
    ('conv1', 'shuffle1', 'conv2')
    """

    op: ClassVar[str] = "shuffle"
    free: ClassVar[bool] = True
    moves_channels: ClassVar[bool] = True
    groups: int
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(groups=integer(self.groups, "groups", 1))
        super().__post_init__()

    @property
    def is_identity(self) -> bool:
        return self.groups == 1

    def out_channels(self, c_in: int | None, width: int | None, ndim: int | None) -> int | None:
        return _divided(c_in, self.groups, "groups")

    def channel_reads(self, labels: Sequence[Labels], c_out: int, ndim: int) -> Labels:
        return labels[0].reshape(self.groups, -1).T.reshape(1, -1)


@dataclass(frozen=True)
class Softmax(Layer):
    """Softmax at each site over the parts of the channels: channel a of a part against channel a of the others.

    Selective kernels and split attention weigh their branches by it.

    Parameters
    ----------
    parts : int
        Number of parts of c / parts channels each; must divide the channels.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If the parts do not divide the channels.

    See Also
    --------
    Shuffle : Channels in a new order.
    PixelShuffle : Channels to space.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.Conv(1, 8), em.Softmax(2)).channels()
    {'conv1': 8, 'softmax1': 8}
    """

    op: ClassVar[str] = "softmax"
    free: ClassVar[bool] = True
    is_gate: ClassVar[bool] = True
    mixes_channels: ClassVar[bool] = True
    parts: int
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(parts=integer(self.parts, "parts", 1))
        super().__post_init__()

    def out_channels(self, c_in: int | None, width: int | None, ndim: int | None) -> int | None:
        return _divided(c_in, self.parts, "parts")

    def channel_reads(self, labels: Sequence[Labels], c_out: int, ndim: int) -> Labels:
        return np.tile(labels[0].reshape(self.parts, -1), self.parts)


class _Shuffled(Layer):
    """Shared by PixelShuffle and PixelUnshuffle."""

    free: ClassVar[bool] = True
    scale: PerAxis

    def __post_init__(self) -> None:
        self._set(scale=sizes(self.scale, "scale", 1))
        dims = self.dimensions()
        check_count(math.prod(per_axis(self.scale, min(dims))), MOST_PLACES, f"scale={quoted(self.scale)}: places",
                    each=1000)
        super().__post_init__()

    @property
    def is_identity(self) -> bool:
        return self.scale == 1 or (isinstance(self.scale, tuple) and set(self.scale) == {1})

    def dimensions(self) -> frozenset[int]:
        return open_dimensions(self.scale)

    def phases(self, ndim: int) -> tuple[tuple[AxisGeometry, ...], ...]:
        """Per place in a block, row by row, how each axis is read."""
        scales = per_axis(self.scale, ndim)
        check_count(math.prod(scales), MOST_PLACES, f"scale={quoted(self.scale)}: places", each=1000)
        return tuple(tuple(AxisGeometry(1, r, padding=(-at, at + 1 - r), transposed=self.transposed)
                           for r, at in zip(scales, place)) for place in itertools.product(*map(range, scales)))

    def _phases(self, ndim: int | None) -> int | None:
        """Sites of the fine map for each site of the coarse one; None while the dimension is open."""
        dims = self.dimensions() if ndim is None else {ndim}
        return math.prod(per_axis(self.scale, *dims)) if len(dims) == 1 else None


@dataclass(frozen=True)
class PixelShuffle(_Shuffled):
    """Channels to space: r^d channels of a site become the sites of an r x ... x r block.

    Channel c r^d + i of site z becomes channel c of the block's site i, counted row by row.

    Parameters
    ----------
    scale : int or tuple of int
        Factor r; one value for all axes, or one per axis.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If the scale is no positive integer, or r^d does not divide the channels.

    See Also
    --------
    Softmax : Softmax at each site over the parts of the channels.
    PixelUnshuffle : Space to channels: the inverse of `PixelShuffle`.

    References
    ----------
    Shi et al., Real-time single image and video super-resolution using an efficient sub-pixel network, 2016.

    Examples
    --------
    >>> import erfmath as em
    >>> net = em.serial(em.Conv(3, 12), em.PixelShuffle(2))
    >>> net.channels(), net.shapes(image=8)
    ({'conv1': 12, 'pixel_shuffle1': 3}, {'conv1': (8, 8), 'pixel_shuffle1': (16, 16)})
    """

    op: ClassVar[str] = "pixel_shuffle"
    transposed: ClassVar[bool] = True
    scale: PerAxis
    name: str | None = field(default=None, kw_only=True)

    def geometry(self, ndim: int) -> tuple[AxisGeometry, ...]:
        return tuple(AxisGeometry(r, r, transposed=True) for r in per_axis(self.scale, ndim))

    def out_channels(self, c_in: int | None, width: int | None, ndim: int | None) -> int | None:
        phases = self._phases(ndim)
        if c_in is None or phases is None:
            return None
        _divided(c_in, phases, f"scale={self.scale}: its number of sites a block,")
        return c_in // phases

    def channel_reads(self, labels: Sequence[Labels], c_out: int, ndim: int) -> Labels:
        return labels[0].reshape(c_out, -1).T


@dataclass(frozen=True)
class PixelUnshuffle(_Shuffled):
    """Space to channels: the inverse of `PixelShuffle`; sites that do not fill a block at the end are dropped.

    Parameters
    ----------
    scale : int or tuple of int
        Factor r; one value for all axes, or one per axis.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If the scale is no positive integer.

    See Also
    --------
    PixelShuffle : Channels to space.
    Softmax : Softmax at each site over the parts of the channels.

    Examples
    --------
    >>> import erfmath as em
    >>> net = em.serial(em.PixelUnshuffle(2))
    >>> net.channels(channels_in=3), em.receptive_field(net).size
    ({'pixel_unshuffle1': 12}, (2, 2))
    """

    op: ClassVar[str] = "pixel_unshuffle"
    scale: PerAxis
    name: str | None = field(default=None, kw_only=True)

    def geometry(self, ndim: int) -> tuple[AxisGeometry, ...]:
        return tuple(AxisGeometry(r, r) for r in per_axis(self.scale, ndim))

    def out_channels(self, c_in: int | None, width: int | None, ndim: int | None) -> int | None:
        phases = self._phases(ndim)
        return None if c_in is None or phases is None else c_in * phases

    def channel_reads(self, labels: Sequence[Labels], c_out: int, ndim: int) -> Labels:
        return np.repeat(labels[0], c_out // len(labels[0]))[None]


def _divided(c_in: int | None, by: int, what: str) -> int | None:
    """`c_in`, refused if `by` does not divide it."""
    if c_in is not None and c_in % by:
        raise ValueError(f"{what}={quoted(by)}: must divide the {c_in} incoming channels")
    return c_in
