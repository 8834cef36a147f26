"""Pools: max, average, blurring, global average, and those of a given number of bins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..base.checks import Padding, PerAxis, flag, per_axis, sizes
from ..base.errors import quoted
from .base import Layer, Windowed, most, open_dimensions
from .geometry import AxisGeometry, Resize

__all__ = ["AdaptiveAvgPool", "AdaptiveMaxPool", "AvgPool", "BlurPool", "GlobalAvgPool", "MaxPool", "Pool"]

#: Most taps of a blur.
MOST_STEPS = 1024


class Pool(Windowed):
    """Shared by MaxPool and AvgPool: stride, and padding that leaves no window outside."""

    free: ClassVar[bool] = True
    stride: Any
    padding: Padding

    def _check_pool(self) -> None:
        if self.stride is None:
            self._set(stride=self.kernel_size)
        if hasattr(self, "ceil_mode"):
            self._set(ceil_mode=flag(self.ceil_mode, "ceil_mode"))
            if self.ceil_mode and self.padding == "same":
                raise ValueError("ceil_mode=True: has no meaning with padding='same', which fills every window's start")
        self._check_window()
        for axis in self.geometry(min(self.dimensions())):
            if isinstance(axis.padding, tuple) and max(axis.padding) >= axis.extent:
                raise ValueError(f"padding={quoted(self.padding)}: must be smaller than kernel_size="
                                 f"{self.kernel_size}, or windows would lie wholly outside")


@dataclass(frozen=True)
class MaxPool(Pool):
    """Max pooling; padded sites never win.

    The theory is that of equation 22, and of section 13 where the values are known.

    Parameters
    ----------
    kernel_size : int or tuple of int
        Sites of a window; one value for all axes, or one per axis.
    stride : int or tuple of int, optional
        The kernel size by default.
    padding : int, pair, pairs per axis, or {"half", "valid", "same"}
        As for `Conv`; smaller than the window.
    dilation : int or tuple of int
        Sites from tap to tap.
    ceil_mode : bool
        Whether a last window that is only partly filled counts: one that starts inside the map or in the
        padding before it, as in PyTorch.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If a value is out of range, or the padding would leave a window wholly outside.

    See Also
    --------
    AvgPool : Average pooling: a convolution of each channel with equal weights.
    BlurPool : Pooling without aliasing.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.MaxPool(3, 2, 1)).shapes(image=112)
    {'max_pool1': (56, 56)}
    """

    op: ClassVar[str] = "max_pool"
    stride: Any = None
    padding: Padding = 0
    dilation: PerAxis = 1
    ceil_mode: bool = False
    name: str | None = field(default=None, kw_only=True)

    @property
    def routes(self) -> bool:  # type: ignore[override]
        return any(axis.kernel > 1 for axis in self.geometry(min(self.dimensions())))

    def __post_init__(self) -> None:
        self._check_pool()

    def check_map(self, sizes: Sequence[int]) -> None:
        for axis, n in zip(self.geometry(len(sizes)), sizes):
            if axis.dilation == 1:
                continue
            first = axis.stride * np.arange(max(axis.out(n), 0))[:, None] - axis.pads(n)[0]
            site = first + axis.dilation * np.arange(axis.kernel)
            if not ((site >= 0) & (site < n)).any(axis=1).all():
                raise ValueError(f"dilation={quoted(self.dilation)}: on a map of {tuple(sizes)} a window has all of "
                                 "its sites in the padding, where nothing can win")


@dataclass(frozen=True)
class AvgPool(Pool):
    """Average pooling: a convolution of each channel with equal weights.

    Parameters
    ----------
    kernel_size : int or tuple of int
        Sites of a window; one value for all axes, or one per axis.
    stride : int or tuple of int, optional
        The kernel size by default.
    padding : int, pair, pairs per axis, or {"half", "valid", "same"}
        As for `Conv`; smaller than the kernel.
    count_include_pad : bool
        Whether a window that overlaps the border divides by all its sites. If not, and always
        under "same" padding, it averages over those inside.
    ceil_mode : bool
        Whether a last window that is only partly filled counts: one that starts inside the map or in the
        padding before it, as in PyTorch.  What such a window reaches
        beyond the padding never counts.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        As for `MaxPool`.

    See Also
    --------
    MaxPool : Max pooling; padded sites never win.
    BlurPool : Pooling without aliasing.

    Examples
    --------
    >>> import erfmath as em
    >>> em.predict(em.serial(em.AvgPool(2)), ndim=1).map.tolist()
    [0.5, 0.5]
    """

    op: ClassVar[str] = "avg_pool"
    stride: Any = None
    padding: Padding = 0
    count_include_pad: bool = True
    ceil_mode: bool = False
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(count_include_pad=flag(self.count_include_pad, "count_include_pad"))
        self._check_pool()

    @property
    def counts_inside_only(self) -> bool:
        """Whether windows at the border average over the sites inside only."""
        return self.padding == "same" or not self.count_include_pad


@dataclass(frozen=True)
class BlurPool(Pool):
    """Pooling without aliasing: a binomial filter on each channel, then every stride-th site.

    Tap a = 0..k-1 of each axis has the weight C(k - 1, a) / 2^(k - 1): a fixed filter of variance
    (k - 1) / 4 (equations 4 and 20).

    Parameters
    ----------
    kernel_size : int or tuple of int
        Taps k; one value for all axes, or one per axis.
    stride : int or tuple of int
        Sites from window to window.
    padding : int, pair, pairs per axis, or {"half", "valid", "same"}
        Of zeros, as for `Conv`; smaller than the kernel.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        As for `MaxPool`.

    See Also
    --------
    AvgPool : Average pooling: a convolution of each channel with equal weights.
    GlobalAvgPool : Average over the whole map, to one site.

    Notes
    -----
    The reference pads by reflection.

    References
    ----------
    Zhang, Making convolutional networks shift-invariant again, 2019.

    Examples
    --------
    >>> import erfmath as em
    >>> em.predict(em.serial(em.BlurPool()), ndim=1).map.tolist()
    [0.25, 0.5, 0.25]
    """

    op: ClassVar[str] = "blur_pool"
    kernel_size: PerAxis = 3
    stride: Any = 2
    padding: Padding = "half"
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._check_pool()
        most(self.kernel_size, "kernel_size", MOST_STEPS)  # of std 16; each costs as many layers' work

    def axis_weights(self, kernel: int) -> npt.NDArray[np.float64]:
        """Weights along an axis of `kernel` taps, of sum 1."""
        if kernel < 60:
            return np.array([math.comb(kernel - 1, a) for a in range(kernel)]) / 2.0**(kernel - 1)
        # By the ratios of neighbours from the middle on: factorials and powers leave the range of floats.
        a = np.arange((kernel - 1) // 2 + 1, kernel)
        upper = np.cumprod(np.concatenate([[1.0], (kernel - a) / a]))
        weights = np.concatenate([upper[:0 if kernel % 2 else 1:-1], upper])
        return weights / weights.sum()


@dataclass(frozen=True)
class GlobalAvgPool(Layer):
    """Average over the whole map, to one site; on the infinite plane its field is infinite.

    Parameters
    ----------
    name : str, optional
        Name of the node.

    See Also
    --------
    BlurPool : Pooling without aliasing.
    AdaptiveAvgPool : Averages over m bins an axis, whatever the size n of the map.

    Examples
    --------
    >>> import erfmath as em
    >>> em.receptive_field(em.serial(em.GlobalAvgPool()), image=8).window()
    ((0, 0), (7, 7))
    """

    op: ClassVar[str] = "global_avg_pool"
    free: ClassVar[bool] = True
    name: str | None = None

    def geometry(self, ndim: int) -> tuple[AxisGeometry, ...]:
        return (AxisGeometry(padding="whole"),) * ndim


class Adaptive(Layer):
    """Shared by the pools whose output has a given size."""

    free: ClassVar[bool] = True
    size: PerAxis

    def __post_init__(self) -> None:
        self._set(size=sizes(self.size, "size", 1))
        super().__post_init__()

    def dimensions(self) -> frozenset[int]:
        return open_dimensions(self.size)

    def geometry(self, ndim: int) -> tuple[AxisGeometry, ...]:
        bins = per_axis(self.size, ndim)
        if set(bins) == {1}:
            return (AxisGeometry(padding="whole"),) * ndim
        return tuple(AxisGeometry(resize=Resize("bins", m)) for m in bins)


@dataclass(frozen=True)
class AdaptiveAvgPool(Adaptive):
    """Averages over m bins an axis, whatever the size n of the map; one bin is `GlobalAvgPool`.

    Bin x = 0..m-1 holds the sites floor(x n / m) .. ceil((x + 1) n / m) - 1, as in PyTorch; bins overlap where m
    does not divide n.

    Parameters
    ----------
    size : int or tuple of int
        Bins m; one value for all axes, or one per axis.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If the size is no positive integer.

    See Also
    --------
    GlobalAvgPool : Average over the whole map, to one site.
    AdaptiveMaxPool : The largest value of each of m bins an axis.

    Examples
    --------
    >>> import erfmath as em
    >>> rf = em.receptive_field(em.serial(em.AdaptiveAvgPool(3)), image=(8,), ndim=1)
    >>> [rf.window(unit) for unit in range(3)]
    [((0,), (2,)), ((2,), (5,)), ((5,), (7,))]
    """

    op: ClassVar[str] = "adaptive_avg_pool"
    size: PerAxis
    name: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class AdaptiveMaxPool(Adaptive):
    """The largest value of each of m bins an axis, the bins of `AdaptiveAvgPool`.

    Parameters
    ----------
    size : int or tuple of int
        Bins m; one value for all axes, or one per axis.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If the size is no positive integer.

    See Also
    --------
    AdaptiveAvgPool : Averages over m bins an axis, whatever the size n of the map.
    GlobalAvgPool : Average over the whole map, to one site.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.AdaptiveMaxPool((2, 3))).shapes(image=(7, 7))
    {'adaptive_max_pool1': (2, 3)}
    """

    op: ClassVar[str] = "adaptive_max_pool"
    routes: ClassVar[bool] = True
    size: PerAxis
    name: str | None = field(default=None, kw_only=True)
