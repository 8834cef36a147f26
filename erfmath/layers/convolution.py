"""Convolutions and transposed convolutions."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..base.checks import Padding, PerAxis, integer, per_axis, real
from ..base.errors import quoted
from .base import Windowed
from .weights import Constant, Fixed, Random, Weights

__all__ = ["Conv", "ConvTranspose", "Weighted"]


class Weighted(Windowed):
    """Shared by Conv and ConvTranspose: channels, groups, weights."""

    channels: int | None
    groups: Any
    weights: Weights
    bias: float | str

    def _check(self, low: int | None) -> None:
        self._check_weights()
        if isinstance(self.bias, str):
            if self.bias != "weights" or not self.random:
                raise ValueError(f"bias={quoted(self.bias)}: must be a variance, or 'weights' for that of Random "
                                 "weights")
        else:
            if isinstance(self.bias, bool):
                raise ValueError(f"bias={self.bias}: must be a real number, the variance of the biases; did you mean "
                                 + ("bias='weights', drawn with that of the weights?" if self.bias else "bias=0?"))
            self._set(bias=real(self.bias, "bias"))
            if self.bias < 0:
                raise ValueError(f"bias={quoted(self.bias)}: must not be negative, it is a variance")
        self._check_window(low)
        self.out_channels(None, None, None)  # refuses fields that contradict each other

    def _check_weights(self) -> None:
        if self.channels is not None:
            self._set(channels=integer(self.channels, "channels", 1))
        if not isinstance(self.groups, str) or self.groups != "depthwise":
            if isinstance(self.groups, str):
                raise ValueError(f"groups={quoted(self.groups)}: must be an integer or 'depthwise'")
            self._set(groups=integer(self.groups, "groups", 1))
            if self.channels is not None and self.channels % self.groups:
                raise ValueError(f"groups={quoted(self.groups)}: must divide channels={quoted(self.channels)}")
        if not isinstance(self.weights, (Random, Constant, Fixed)):
            array = hasattr(self.weights, "shape") or isinstance(self.weights, list)
            hint = ("did you mean Fixed(array)?" if array else
                    f"did you mean Random.like({quoted(self.weights)})?" if isinstance(self.weights, str) else
                    "did you mean Random() with parentheses?" if self.weights is Random else "")
            raise ValueError(f"weights={quoted(self.weights)}: must be Random(...), Constant() or "
                             "Fixed(array)" + (f"; {hint}" if hint else ""))

    def dimensions(self) -> frozenset[int]:
        return frozenset(ndim for ndim in super().dimensions() if self._fits(ndim))

    def _check_dimensions(self) -> None:
        if super().dimensions() and not self.dimensions():
            raise ValueError(f"weights: an array of shape {self._shape()} does not fit "
                             f"kernel_size={self.kernel_size}")
        super()._check_dimensions()

    @property
    def takes_weights(self) -> bool:
        return True

    @property
    def random(self) -> bool:
        return self.weights.random

    @property
    def mixes_channels(self) -> bool:
        return any(self._dense(ndim) for ndim in self.dimensions())

    def _dense(self, ndim: int) -> bool:
        """Whether there are filters between channels, and not one for each or for all of them."""
        one_filter = isinstance(self.weights, Fixed) and self.weights.per_channel(ndim)
        return self.groups != "depthwise" and not one_filter

    def group_count(self, c_in: int, ndim: int) -> int:
        return int(self.groups) if self._dense(ndim) else c_in

    def weight_shape(self, c_in: int, c_out: int, ndim: int) -> tuple[int, ...]:
        groups = self.group_count(c_in, ndim)
        channels = (c_in, c_out // groups) if self.transposed else (c_out, c_in // groups)
        return (*channels, *per_axis(self.kernel_size, ndim))

    def parameters(self, c_in: int, c_out: int, ndim: int, biases: bool = False) -> int:
        return math.prod(self.weight_shape(c_in, c_out, ndim)) + (biases or self.bias != 0) * c_out

    def bias_variance(self, c_in: int, c_out: int, ndim: int) -> float:
        if not isinstance(self.bias, str):
            return self.bias
        assert isinstance(self.weights, Random)
        taps = float(math.prod(per_axis(self.kernel_size, ndim)))
        if self.transposed:
            taps /= math.prod(per_axis(getattr(self, "stride"), ndim))
        return self.weights.gain * self.group_count(c_in, ndim) / (taps * self.weights.fan_channels(c_in, c_out))

    def multiply_adds(self, c_in: int, c_out: int, shape_in: tuple[int, ...], shape_out: tuple[int, ...]) -> int:
        sites = math.prod(shape_in if self.transposed else shape_out)
        return math.prod(self.weight_shape(c_in, c_out, len(shape_in))) * sites

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
                raise ValueError(f"channels={quoted(self.channels)}: this layer keeps its {c_in} incoming channels "
                                 "(groups='depthwise' or one filter for all); leave them out")
            out = c_in
        else:
            out = width if self.channels is None else self.channels
        if self.groups != "depthwise":
            for what, count in (("incoming", c_in), ("outgoing", out)):
                if count is not None and count % self.groups:
                    raise ValueError(f"groups={quoted(self.groups)}: must divide the {count} {what} "
                                     "channels")
        return out

    def _fixed_channels(self, shape: tuple[int, ...], c_in: int | None) -> int:
        """Channels after a full array of weights, which also says how many come in."""
        first, second = shape[:2]
        groups = first if self.groups == "depthwise" else self.groups
        given_in, given_out = second * groups, first
        if self.transposed:
            given_in, given_out = first, second * groups
        what = f"weights of shape {shape} with groups={quoted(self.groups)}"
        if given_in != given_out and self.groups == "depthwise":
            raise ValueError(f"{what}: must have 1 as their second axis")
        if c_in is not None and c_in != given_in:
            raise ValueError(f"{what} take {given_in} channels, {c_in} come in")
        if self.channels not in (None, given_out):
            raise ValueError(f"channels={quoted(self.channels)}: {what} give {given_out}")
        return given_out


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
        Output channels; None means the `width` of the run.
    stride : int or tuple of int
        Stride s, as for `kernel_size`.
    padding : int, pair, pairs per axis, or {"half", "valid", "same"}
        Padding p on both sides, (before, after) on every axis, or one such pair per axis. "half" is
        d (k - 1) / 2 and keeps the size at stride 1 (odd extents only), "valid" is 0, "same" is
        the rule of TensorFlow, which depends on the size of the image.
    dilation : int or tuple of int
        Dilation d, as for `kernel_size`.
    groups : int or "depthwise"
        Groups of channels that do not mix; "depthwise" is one per incoming channel, and keeps
        the channels.
    weights : Random, Constant or Fixed
        How the weights are drawn, or what they are.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What padding consists of: zeros, the map reflected about its last site, that site again, or the other
        end of the map.
    bias : float or "weights"
        Variance of the biases, drawn with mean 0; with 0 there are none. "weights" is the variance of a
        weight, as PyTorch draws them.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If a value is out of range, "half" meets an even extent, fields are given for different
        numbers of axes, groups do not divide the channels, or an array of weights does not fit.

    See Also
    --------
    ConvTranspose : Transposed convolution, x = s z + d a - p.

    Examples
    --------
    >>> import erfmath as em
    >>> em.Conv(3, 64, stride=2).geometry(ndim=1)
    (AxisGeometry(kernel=3, stride=2, dilation=1, padding=(1, 1), transposed=False, ceil_mode=False, border='zeros',
                  resize=None),)
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
    padding_mode: str = "zeros"
    bias: float | str = 0.0
    name: str | None = None

    def __post_init__(self) -> None:
        self._check(low=0)


@dataclass(frozen=True)
class ConvTranspose(Weighted):
    """Transposed convolution, x = s z + d a - p: (n - 1) s + d (k - 1) + 1 - (p_before + p_after) output sites.

    Equation 5. ``padding=p, output_padding=o`` is ``padding=(p, p - o)``.

    Parameters
    ----------
    kernel_size : int or tuple of int
        Taps k; one value for all axes, or one per axis.
    channels : int, optional
        Output channels; None means the `width` of the run.
    stride : int or tuple of int
        Stride s: how many output sites there are for each input site.
    padding : int, pair, pairs per axis, or {"valid", "same"}
        Sites cut off on both sides; "valid" is 0, "same" gives n s sites.
    groups : int or "depthwise"
        As for `Conv`.
    weights : Random, Constant or Fixed
        The fan-in is c_in prod(k / s) / groups; a `Fixed` array has shape (in, out / groups, k).
    dilation : int or tuple of int
        Dilation d: output sites from tap to tap.
    output_padding : int or tuple of int
        Sites added again after the last one, as frameworks have it.
    bias : float or "weights"
        As for `Conv`.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        As for `Conv`.

    See Also
    --------
    Conv : Convolution (a correlation, as in every framework).

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
    dilation: PerAxis = 1
    output_padding: PerAxis = 0
    bias: float | str = 0.0
    name: str | None = None

    def __post_init__(self) -> None:
        self._check(low=None)  # output padding takes sites away
