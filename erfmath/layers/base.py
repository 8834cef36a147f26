"""What layer specs have in common: a name, an axis geometry, windows, channels."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

from ..base.checks import DIMENSIONS, Padding, PerAxis, padding_rule, per_axis, sizes
from .geometry import SITE, AxisGeometry

__all__ = ["Layer", "Windowed", "open_dimensions", "pairs"]


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
