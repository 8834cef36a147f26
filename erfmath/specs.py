"""What layer specs have in common: a name, an axis geometry, windows, channels."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

from .checks import DIMENSIONS, Padding, PerAxis, integer, padding_rule, per_axis, sizes
from .geometry import SITE, AxisGeometry
from .weights import Constant, Fixed, Random, Weights

__all__ = ["Layer", "Pool", "Weighted", "Windowed", "open_dimensions", "pairs"]


@dataclass(frozen=True)
class Layer:
    """Base of all layer specs, frozen dataclasses without arrays.

    Attributes
    ----------
    op : str
        Name of the kind of layer in JSON.
    many_inputs : bool
        Whether it merges several inputs.

    Examples
    --------
    >>> import erfmath as em
    >>> layer = em.Conv((3, 5), stride=2)
    >>> layer.op, sorted(layer.dimensions()), [axis.kernel for axis in layer.geometry(ndim=2)]
    ('conv', [2], [3, 5])
    """

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
        """Connection of sites along each of `ndim` axes."""
        return (SITE,) * ndim

    def out_channels(self, c_in: int | None, width: int | None, ndim: int | None) -> int | None:
        """Channels after this layer for `c_in` incoming ones; None where they are not known yet.

        Parameters
        ----------
        c_in, width : int or None
            Incoming channels, and those of layers that leave theirs open.
        ndim : int or None
            Number of axes, where it is known.

        Raises
        ------
        ValueError
            If this layer cannot take `c_in` channels.
        """
        return c_in

    def _set(self, **values: Any) -> None:
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def _check_dimensions(self) -> None:
        if not self.dimensions():
            raise ValueError(f"{type(self).__name__}: its fields are given for different numbers "
                             "of axes; give one int, or one value for each of the same axes")


def open_dimensions(*values: Any) -> frozenset[int]:
    """The dimensions that per-axis values leave open."""
    return DIMENSIONS.intersection(*({len(v)} for v in values if isinstance(v, tuple)))


def pairs(padding: Padding | None) -> tuple[tuple[int, int], ...] | None:
    """The pairs (before, after) per axis of a padding rule, if it is one that fixes the dimension."""
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
        return open_dimensions(self.kernel_size, getattr(self, "stride"),
                               getattr(self, "dilation", 1), pairs(getattr(self, "padding")))

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
        return _axes(self.kernel_size, getattr(self, "stride"), getattr(self, "dilation", 1), getattr(self, "padding"),
                     self.transposed, ndim)


@functools.lru_cache(maxsize=1024)
def _axes(kernel_size: PerAxis, stride: PerAxis, dilation: PerAxis, padding: Any, transposed: bool, ndim: int
          ) -> tuple[AxisGeometry, ...]:
    """The same for every layer with these fields."""
    axes = []
    for axis, (k, s, d) in enumerate(zip(*(per_axis(value, ndim) for value in (kernel_size, stride, dilation)))):
        rule: Any = padding
        if padding == "valid":
            rule = (0, 0)
        elif padding == "half":
            rule = (d * (k - 1) // 2,) * 2
        elif padding == "same" and transposed:  # output n s sites, as in TensorFlow
            before = max(k - s, 0) // 2
            rule = (before, k - s - before)
        elif isinstance(padding, int):
            rule = (padding, padding)
        elif pairs(padding):
            rule = padding[axis]
        axes.append(AxisGeometry(k, s, d, rule, transposed))
    return tuple(axes)


class Weighted(Windowed):
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


class Pool(Windowed):
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
