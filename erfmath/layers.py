"""Layer specifications: what a layer is, without arrays, without a place in a network.

Every layer is a frozen dataclass.  One int for a size, stride or dilation stands for all axes and
leaves the dimension of the network open; a tuple gives one value per axis and fixes it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from .checks import (DIMENSIONS, Padding, PerAxis, choice, integer, padding_rule, per_axis, real,
                     sizes)
from .geometry import AxisGeometry
from .weights import Constant, Fixed, Random, Weights

__all__ = ["Activation", "Add", "AvgPool", "BatchNorm", "Concat", "Constant", "Conv",
           "ConvTranspose", "Dropout", "FUNCTIONS", "Fixed", "GlobalAvgPool", "Identity", "Layer",
           "LayerNorm", "MaxPool", "Pad", "Random", "Scale", "Upsample", "Windowed"]

FUNCTIONS = ("relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu", "softplus", "identity")


@dataclass(frozen=True)
class Layer:
    """Base of all layer specs.  `op` is the name in JSON; `name` names the node."""

    op: ClassVar[str]
    many_inputs: ClassVar[bool] = False

    def __post_init__(self) -> None:
        name = getattr(self, "name", None)
        if name is not None and (not isinstance(name, str) or not name or name == "input"):
            raise ValueError(f"name={name!r}: must be a non-empty string other than 'input'")

    @property
    def kind(self) -> str:
        """What unnamed nodes are called after."""
        return self.op

    def dimensions(self) -> frozenset[int]:
        """Numbers of spatial dimensions in which this layer can live."""
        return DIMENSIONS

    def geometry(self, ndim: int) -> tuple[AxisGeometry, ...]:
        """Connection of sites along each axis."""
        return (AxisGeometry(),) * ndim

    def out_channels(self, c_in: int | None, width: int | None, ndim: int | None) -> int | None:
        """Channels after this layer; None where `c_in` or `width` is not known yet."""
        return c_in

    def _set(self, **values: Any) -> None:
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def _check_dimensions(self) -> None:
        if not self.dimensions():
            raise ValueError(f"{type(self).__name__}: its fields are given for different numbers "
                             "of axes; give one int, or one value for each of the same axes")


def _open_dimensions(*values: Any) -> frozenset[int]:
    """The dimensions that per-axis values leave open."""
    return DIMENSIONS.intersection(*({len(v)} for v in values if isinstance(v, tuple)))


def _pairs(padding: Padding | None) -> tuple[tuple[int, int], ...] | None:
    """The pairs per axis of a padding rule, if it is one that fixes the dimension."""
    # A flat pair of ints is (before, after) on every axis and fixes nothing.
    nested = isinstance(padding, tuple) and isinstance(padding[0], tuple)
    return padding if nested else None  # type: ignore[return-value]


@dataclass(frozen=True)
class Windowed(Layer):
    """Base of layers that read a window of sites."""

    kernel_size: PerAxis
    words: ClassVar[tuple[str, ...]] = ("half", "valid", "same")
    transposed: ClassVar[bool] = False

    def dimensions(self) -> frozenset[int]:
        return _open_dimensions(self.kernel_size, getattr(self, "stride"),
                                getattr(self, "dilation", 1), _pairs(getattr(self, "padding")))

    def _check_window(self, low: int | None = 0) -> None:
        self._set(kernel_size=sizes(self.kernel_size, "kernel_size", 1),
                  stride=sizes(getattr(self, "stride"), "stride", 1),
                  padding=padding_rule(getattr(self, "padding"), self.words, low))
        if hasattr(self, "dilation"):
            self._set(dilation=sizes(self.dilation, "dilation", 1))
        super().__post_init__()
        self._check_dimensions()
        for axis in self.geometry(min(self.dimensions())):
            if getattr(self, "padding") == "half" and axis.extent % 2 == 0:
                raise ValueError(f"padding='half': needs an odd extent, kernel_size="
                                 f"{self.kernel_size} with dilation={getattr(self, 'dilation', 1)} "
                                 f"spans {axis.extent} sites; use padding='same' or a pair "
                                 "(before, after)")

    def geometry(self, ndim: int) -> tuple[AxisGeometry, ...]:
        kernel = per_axis(self.kernel_size, ndim)
        stride = per_axis(getattr(self, "stride"), ndim)
        dilation = per_axis(getattr(self, "dilation", 1), ndim)
        padding = getattr(self, "padding")
        axes = []
        for axis in range(ndim):
            k, s, d = kernel[axis], stride[axis], dilation[axis]
            rule: Any = padding
            if padding == "valid":
                rule = (0, 0)
            elif padding == "half":
                rule = (d * (k - 1) // 2,) * 2
            elif padding == "same" and self.transposed:  # output n s sites, as in TensorFlow
                before = max(k - s, 0) // 2
                rule = (before, k - s - before)
            elif isinstance(padding, int):
                rule = (padding, padding)
            elif _pairs(padding):
                rule = padding[axis]
            axes.append(AxisGeometry(k, s, d, rule, self.transposed))
        return tuple(axes)


class _Weighted(Windowed):
    """Shared by Conv and ConvTranspose: channels, groups, weights."""

    channels: int | None
    groups: Any
    weights: Weights

    def _check(self, low: int | None) -> None:
        self._check_weights()
        self._check_window(low)
        self.out_channels(None, None, None)  # refuses fields that contradict each other

    def _check_weights(self) -> None:
        if self.channels is not None:
            self._set(channels=integer(self.channels, "channels", 1))
        if self.groups != "depthwise":
            if isinstance(self.groups, str):
                raise ValueError(f"groups={self.groups!r}: must be an integer or 'depthwise'")
            self._set(groups=integer(self.groups, "groups", 1))
            if self.channels is not None and self.channels % self.groups:
                raise ValueError(f"groups={self.groups}: must divide channels={self.channels}")
        if not isinstance(self.weights, (Random, Constant, Fixed)):
            raise ValueError(f"weights={self.weights!r}: must be Random(...), Constant() or "
                             "Fixed(array)")

    def dimensions(self) -> frozenset[int]:
        return frozenset(ndim for ndim in super().dimensions() if self._fits(ndim))

    def _check_dimensions(self) -> None:
        if super().dimensions() and not self.dimensions():
            raise ValueError(f"weights: an array of shape {self._shape()} does not fit "
                             f"kernel_size={self.kernel_size}")
        super()._check_dimensions()

    def _shape(self) -> tuple[int, ...] | None:
        """Shape of the array that the weights hold, if they hold one."""
        weights = self.weights
        array = weights.array if isinstance(weights, Fixed) else getattr(weights, "profile", None)
        return None if array is None else array.shape

    def _fits(self, ndim: int) -> bool:
        kernel, shape = per_axis(self.kernel_size, ndim), self._shape()
        if shape is None or shape == kernel:
            return True
        if isinstance(self.weights, Fixed):
            return len(shape) == ndim + 2 and shape[2:] == kernel
        return len(shape) == 1 and set(kernel) == set(shape)

    def out_channels(self, c_in: int | None, width: int | None, ndim: int | None) -> int | None:
        fixed = self.weights if isinstance(self.weights, Fixed) else None
        dims = self.dimensions() if ndim is None else frozenset((ndim,))
        if fixed is not None and len(dims) > 1:
            return None
        if fixed is not None and not fixed.per_channel(min(dims)):
            out: int | None = self._fixed_channels(fixed.array.shape, c_in)
        elif fixed is not None or self.groups == "depthwise":
            if None not in (self.channels, c_in) and self.channels != c_in:
                raise ValueError(f"channels={self.channels}: this layer keeps its {c_in} incoming "
                                 "channels (groups='depthwise' or one filter for all); leave "
                                 "them out")
            out = c_in
        else:
            out = width if self.channels is None else self.channels
        if self.groups != "depthwise":
            for what, count in (("incoming", c_in), ("outgoing", out)):
                if count is not None and count % self.groups:
                    raise ValueError(f"groups={self.groups}: must divide the {count} {what} "
                                     "channels")
        return out

    def _fixed_channels(self, shape: tuple[int, ...], c_in: int | None) -> int:
        """Channels after a full array of weights, which also says how many come in."""
        first, second = shape[:2]
        groups = first if self.groups == "depthwise" else self.groups
        given_in, given_out = second * groups, first
        if self.transposed:
            given_in, given_out = first, second * groups
        what = f"weights of shape {shape} with groups={self.groups!r}"
        if given_in != given_out and self.groups == "depthwise":
            raise ValueError(f"{what}: must have 1 as their second axis")
        if c_in is not None and c_in != given_in:
            raise ValueError(f"{what} take {given_in} channels, {c_in} come in")
        if self.channels not in (None, given_out):
            raise ValueError(f"channels={self.channels}: {what} give {given_out}")
        return given_out


@dataclass(frozen=True)
class Conv(_Weighted):
    """Convolution (a correlation, as in every framework).

    Parameters
    ----------
    kernel_size, stride, dilation : int or tuple of int
        One value for all axes, or one per axis.
    channels : int, optional
        Output channels; None stands for the `width` of the run.
    padding : int, pair, pairs per axis, or {"half", "valid", "same"}
        "half" keeps the size at stride 1 (odd extents only); "same" is TensorFlow's rule.
    groups : int or "depthwise"
    weights : Random, Constant or Fixed
    name : str, optional

    Examples
    --------
    >>> Conv(3).geometry(ndim=1)
    (AxisGeometry(kernel=3, stride=1, dilation=1, padding=(1, 1), transposed=False),)
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
class ConvTranspose(_Weighted):
    """Transposed convolution: (n - 1) s + k - (p_before + p_after) output sites.

    Frameworks' `output_padding` is ``padding=(p, p - output_padding)``; "same" gives n s sites.
    Other parameters as for `Conv`.
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


class _Pool(Windowed):
    """Shared by MaxPool and AvgPool: stride, and padding that leaves no window outside."""

    stride: Any
    padding: Padding

    def _check_pool(self) -> None:
        if self.stride is None:
            self._set(stride=self.kernel_size)
        self._check_window()
        for axis in self.geometry(min(self.dimensions())):
            if isinstance(axis.padding, tuple) and max(axis.padding) >= axis.kernel:
                raise ValueError(f"padding={self.padding}: must be smaller than kernel_size="
                                 f"{self.kernel_size}, or windows would lie wholly outside")


@dataclass(frozen=True)
class MaxPool(_Pool):
    """Max pooling; `stride` defaults to the kernel size.  Padded sites never win."""

    op: ClassVar[str] = "max_pool"
    stride: Any = None
    padding: Padding = 0
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._check_pool()


@dataclass(frozen=True)
class AvgPool(_Pool):
    """Average pooling; `stride` defaults to the kernel size.

    With ``count_include_pad=False``, and always under "same" padding, a window that overlaps the
    border averages over the sites inside.
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
class GlobalAvgPool(Layer):
    """Average over the whole map, to one site; on the infinite plane its field is infinite."""

    op: ClassVar[str] = "global_avg_pool"
    name: str | None = None

    def geometry(self, ndim: int) -> tuple[AxisGeometry, ...]:
        return (AxisGeometry(padding="whole"),) * ndim


@dataclass(frozen=True)
class Upsample(Layer):
    """Upsampling by an integer `scale`.

    "nearest": output site x copies input site x // scale.  "bilinear" (linear along each axis):
    half-pixel centres, source coordinate (x + 1/2) / scale - 1/2, clamped at the edge.
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
        return _open_dimensions(self.scale)

    def geometry(self, ndim: int) -> tuple[AxisGeometry, ...]:
        return tuple(AxisGeometry(len(self.axis_weights(s)), s, 1, self._pads(s), True)
                     for s in per_axis(self.scale, ndim))

    def axis_weights(self, scale: int) -> npt.NDArray[np.float64]:
        """Weights of the transposed filter along an axis: a box, or for "bilinear" a triangle."""
        if self.mode == "nearest":
            return np.ones(scale)
        # The triangle 1 - |x + 1/2 - s (z + 1/2)| / s around input site z, where it is positive.
        offset = np.arange(2 * scale - scale % 2)
        return 1 - np.abs(offset - offset.mean()) / scale

    def _pads(self, scale: int) -> tuple[int, int]:
        total = len(self.axis_weights(scale)) - scale
        return total // 2, total - total // 2


@dataclass(frozen=True)
class Activation(Layer):
    """A nonlinearity at each site; `slope` is that of "leaky_relu" below zero."""

    op: ClassVar[str] = "activation"
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


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch normalisation: by the statistics of the data, or frozen as the identity."""

    op: ClassVar[str] = "batch_norm"
    mode: Literal["data", "identity"] = "data"
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        choice(self.mode, "mode", ("data", "identity"))
        super().__post_init__()


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Normalisation over the channels of each site, as ConvNeXt uses it."""

    op: ClassVar[str] = "layer_norm"
    name: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Scale(Layer):
    """Multiplication by a constant (LayerScale at initialisation)."""

    op: ClassVar[str] = "scale"
    factor: float
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(factor=real(self.factor, "factor"))
        super().__post_init__()


@dataclass(frozen=True)
class Dropout(Layer):
    """Inverted dropout: values are dropped with probability `p`, kept ones divided by 1 - p."""

    op: ClassVar[str] = "dropout"
    p: float
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(p=real(self.p, "p"))
        if not 0 <= self.p < 1:
            raise ValueError(f"p={self.p!r}: must be at least 0 and below 1")
        super().__post_init__()


@dataclass(frozen=True)
class Pad(Layer):
    """Zero padding; negative values crop."""

    op: ClassVar[str] = "pad"
    padding: Padding
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(padding=padding_rule(self.padding, (), None))
        super().__post_init__()

    def dimensions(self) -> frozenset[int]:
        return _open_dimensions(_pairs(self.padding))

    def geometry(self, ndim: int) -> tuple[AxisGeometry, ...]:
        flat: Any = (self.padding, self.padding) if isinstance(self.padding, int) else self.padding
        return tuple(AxisGeometry(padding=pair) for pair in _pairs(self.padding) or (flat,) * ndim)


@dataclass(frozen=True)
class Identity(Layer):
    """Passes its input on."""

    op: ClassVar[str] = "identity"
    name: str | None = None


@dataclass(frozen=True)
class Add(Layer):
    """Sum of several inputs of the same shape."""

    op: ClassVar[str] = "add"
    many_inputs: ClassVar[bool] = True
    name: str | None = None


@dataclass(frozen=True)
class Concat(Layer):
    """Concatenation of several inputs along the channels."""

    op: ClassVar[str] = "concat"
    many_inputs: ClassVar[bool] = True
    name: str | None = None
