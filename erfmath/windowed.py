"""Layers that read a window of sites: convolutions, pools, upsampling."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from .checks import Padding, PerAxis, choice, per_axis, sizes
from .geometry import AxisGeometry
from .specs import Layer, Pool, Weighted, open_dimensions
from .weights import Random, Weights

__all__ = ["AvgPool", "BlurPool", "Conv", "ConvTranspose", "GlobalAvgPool", "MaxPool", "Upsample"]


# ---------------------------------------------------------------------------------------------
# convolutions
# ---------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Conv(Weighted):
    """Convolution (a correlation, as in every framework): output x reads z = s x + d a - p.

    Equations 4 and 16: tap a = 0..k-1 of each axis, stride s, dilation d, padding p before the
    first site.

    Parameters
    ----------
    kernel_size : int or tuple of int
        Taps k; one value for all axes, or one per axis.
    channels : int, optional
        Output channels; None stands for the `width` of the run.
    stride, dilation : int or tuple of int
        s and d, as for `kernel_size`.
    padding : int, pair, pairs per axis, or {"half", "valid", "same"}
        p on both sides, (before, after) on every axis, or one such pair per axis. "half" is
        d (k - 1) / 2 and keeps the size at stride 1 (odd extents only), "valid" is 0, "same" is
        the rule of TensorFlow, which depends on the size of the image.
    groups : int or "depthwise"
        Groups of channels that do not mix; "depthwise" is one per incoming channel, and keeps
        the channels.
    weights : Random, Constant or Fixed
        How the weights are drawn, or what they are.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If a value is out of range, "half" meets an even extent, fields are given for different
        numbers of axes, groups do not divide the channels, or an array of weights does not fit.

    Examples
    --------
    >>> import erfmath as em
    >>> em.Conv(3, 64, stride=2).geometry(ndim=1)
    (AxisGeometry(kernel=3, stride=2, dilation=1, padding=(1, 1), transposed=False),)
    >>> em.receptive_field(em.serial(em.Conv((3, 5), dilation=2))).size
    (5, 9)
    """

    op: ClassVar[str] = "conv"
    channels: int | None = None
    _: dataclasses.KW_ONLY
    stride: PerAxis = 1
    padding: Padding = "half"
    dilation: PerAxis = 1
    groups: Any = 1
    weights: Weights = field(default_factory=Random)
    name: str | None = None

    def __post_init__(self) -> None:
        self._check(low=0)


@dataclass(frozen=True)
class ConvTranspose(Weighted):
    """Transposed convolution, x = s z + a - p: (n - 1) s + k - (p_before + p_after) output sites.

    Equation 5. Frameworks' `output_padding` is ``padding=(p, p - output_padding)``.

    Parameters
    ----------
    kernel_size : int or tuple of int
        Taps k; one value for all axes, or one per axis.
    channels : int, optional
        Output channels; None stands for the `width` of the run.
    stride : int or tuple of int
        s: how many output sites there are for each input site.
    padding : int, pair, pairs per axis, or {"valid", "same"}
        Sites cut off on both sides; "valid" is 0, "same" gives n s sites.
    groups : int or "depthwise"
        As for `Conv`.
    weights : Random, Constant or Fixed
        The fan-in is c_in prod(k / s) / groups; a `Fixed` array has shape (in, out / groups, k).
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        As for `Conv`.

    Examples
    --------
    >>> import erfmath as em
    >>> net = em.serial(em.ConvTranspose(4, stride=2, padding=1))
    >>> net.shapes(image=8), em.receptive_field(net).stride
    ({'conv_transpose1': (16, 16)}, (Fraction(1, 2), Fraction(1, 2)))
    """

    op: ClassVar[str] = "conv_transpose"
    words: ClassVar[tuple[str, ...]] = ("valid", "same")
    transposed: ClassVar[bool] = True
    channels: int | None = None
    _: dataclasses.KW_ONLY
    stride: PerAxis = 1
    padding: Padding = 0
    groups: Any = 1
    weights: Weights = field(default_factory=Random)
    name: str | None = None

    def __post_init__(self) -> None:
        self._check(low=None)  # output padding takes sites away


# ---------------------------------------------------------------------------------------------
# pools and upsampling
# ---------------------------------------------------------------------------------------------

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
        As for `Conv`; smaller than the kernel.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If a value is out of range, or the padding would leave a window wholly outside.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.MaxPool(3, 2, 1)).shapes(image=112)
    {'max_pool1': (56, 56)}
    """

    op: ClassVar[str] = "max_pool"
    stride: Any = None
    padding: Padding = 0
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._check_pool()


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
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        As for `MaxPool`.

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
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.count_include_pad, (bool, np.bool_)):
            raise ValueError(f"count_include_pad={self.count_include_pad!r}: must be True or False")
        self._set(count_include_pad=bool(self.count_include_pad))
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

    def axis_weights(self, kernel: int) -> npt.NDArray[np.float64]:
        """Weights along an axis of `kernel` taps, of sum 1."""
        return np.array([math.comb(kernel - 1, a) for a in range(kernel)]) / 2.0**(kernel - 1)


@dataclass(frozen=True)
class GlobalAvgPool(Layer):
    """Average over the whole map, to one site; on the infinite plane its field is infinite.

    Parameters
    ----------
    name : str, optional
        Name of the node.

    Examples
    --------
    >>> import erfmath as em
    >>> em.receptive_field(em.serial(em.GlobalAvgPool()), image=8).window()
    ((0, 0), (7, 7))
    """

    op: ClassVar[str] = "global_avg_pool"
    name: str | None = None

    def geometry(self, ndim: int) -> tuple[AxisGeometry, ...]:
        return (AxisGeometry(padding="whole"),) * ndim


@dataclass(frozen=True)
class Upsample(Layer):
    """Upsampling by an integer factor.

    "nearest": output site x copies input site x // scale.  "bilinear" (linear along each axis):
    half-pixel centres, source coordinate (x + 1/2) / scale - 1/2, clamped at the edge.

    Parameters
    ----------
    scale : int or tuple of int
        Output sites per input site; one value for all axes, or one per axis.
    mode : {"nearest", "bilinear"}
        How values between are filled in.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If the scale is no positive integer, or the mode unknown.

    Examples
    --------
    >>> import erfmath as em
    >>> rf = em.receptive_field(em.serial(em.Upsample(2, "bilinear")), ndim=1)
    >>> [rf.window(unit) for unit in (0, 1, 2)]
    [((-1,), (0,)), ((0,), (1,)), ((0,), (1,))]
    """

    op: ClassVar[str] = "upsample"
    scale: PerAxis = 2
    mode: Literal["nearest", "bilinear"] = "nearest"
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(scale=sizes(self.scale, "scale", 1))
        choice(self.mode, "mode", ("nearest", "bilinear"))
        super().__post_init__()

    def dimensions(self) -> frozenset[int]:
        return open_dimensions(self.scale)

    def geometry(self, ndim: int) -> tuple[AxisGeometry, ...]:
        return tuple(AxisGeometry(len(self.axis_weights(s)), s, 1, self._pads(s), True)
                     for s in per_axis(self.scale, ndim))

    def axis_weights(self, scale: int) -> npt.NDArray[np.float64]:
        """Weights of the transposed filter along an axis of this `scale`: a box, or a triangle."""
        if self.mode == "nearest":
            return np.ones(scale)
        # The triangle 1 - |x + 1/2 - s (z + 1/2)| / s around input site z, where it is positive.
        offset = np.arange(2 * scale - scale % 2)
        return 1 - np.abs(offset - offset.mean()) / scale

    def _pads(self, scale: int) -> tuple[int, int]:
        total = len(self.axis_weights(scale)) - scale
        return total // 2, total - total // 2
