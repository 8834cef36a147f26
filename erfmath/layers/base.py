"""What layer specs have in common: a name, traits, an axis geometry, windows, channels, costs.

Code outside a layer's family asks a spec what is true of it, and never for its class.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..base.checks import DIMENSIONS, Padding, PerAxis, choice, padding_rule, per_axis, sizes
from ..base.errors import MOST_PHASES, MOST_TAPS, check_count, quoted
from .geometry import BORDERS, SITE, AxisGeometry
from .slips import BORDER_WORDS, check_arguments

__all__ = ["KINDS", "Labels", "Layer", "STEEPEST", "Windowed", "most", "open_dimensions", "pairs"]

#: One integer per channel: what it comes from.
Labels = npt.NDArray[np.intp]
#: Every kind of layer by its `op`; defining a kind enters it.
KINDS: dict[str, type[Layer]] = {}


@dataclass(frozen=True)
class Layer:
    """Base of all layer specs, frozen dataclasses without arrays.

    A kind of layer is a subclass with an `op`; defining it enters it into `KINDS`.

    Attributes
    ----------
    op : str
        Name of the kind of layer in JSON.
    many_inputs : bool
        Whether it merges several inputs.
    sums : bool
        Whether the output is the sum of its inputs.
    joins_channels : bool
        Whether the output's channels are those of its inputs, one after the other.
    follows : bool
        Whether it acts site by site and belongs to the convolution before it: norms, activations, dropout.
    draws_noise : bool
        Whether each run draws what it does.
    routes : bool
        Whether each window passes the value of one of its sites on, which depends on the data.
    transposed : bool
        Whether output and input are exchanged: a site reaches a window of output sites.
    multiplies : bool
        Whether the output is the product of its inputs.
    moves_channels : bool
        Whether it picks or orders channels.
    takes_norm : bool
        Whether it can be given scale, shift, mean and variance per channel.
    free : bool
        Whether it has neither parameters nor multiply-adds; a kind that is not says how many.

    Examples
    --------
    >>> import erfmath as em
    >>> layer = em.Conv((3, 5), stride=2)
    >>> layer.op, sorted(layer.dimensions()), [axis.kernel for axis in layer.geometry(ndim=2)]
    ('conv', [2], [3, 5])
    >>> layer.takes_weights, layer.mixes_channels, layer.is_gate, layer.statistics
    (True, True, False, ())
    """

    op: ClassVar[str]
    many_inputs: ClassVar[bool] = False
    sums: ClassVar[bool] = False
    multiplies: ClassVar[bool] = False
    joins_channels: ClassVar[bool] = False
    moves_channels: ClassVar[bool] = False
    follows: ClassVar[bool] = False
    draws_noise: ClassVar[bool] = False
    routes: ClassVar[bool] = False
    transposed: ClassVar[bool] = False
    takes_norm: ClassVar[bool] = False
    free: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "op" not in cls.__dict__:
            return
        other = KINDS.setdefault(cls.op, cls)
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"{cls.__name__}: op={cls.op!r}: is the op of {other.__module__}.{other.__qualname__}; "
                            "every kind of layer needs one of its own")
        KINDS[cls.op] = cls

    def __new__(cls, *values: Any, **fields: Any) -> Any:
        """Refuse arguments of other libraries, with what they are here."""
        if "__dataclass_fields__" in cls.__dict__:
            known = [f for f in dataclasses.fields(cls) if f.init]
            order = [f.name for f in known if not f.kw_only]
            check_arguments(cls.__name__, [f.name for f in known], order, values, fields)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        name = getattr(self, "name", None)
        if name is not None and (not isinstance(name, str) or not name or name == "input"):
            raise ValueError(f"name={quoted(name)}: must be a non-empty string other than 'input'")

    @property
    def kind(self) -> str:
        """What unnamed nodes are called after."""
        return self.op

    @property
    def is_identity(self) -> bool:
        """Whether it hands on what comes in, values and gradients."""
        return False

    @property
    def is_gate(self) -> bool:
        """Whether it multiplies gradients by what depends on the data."""
        return False

    @property
    def needs_data(self) -> bool:
        """Whether gradients depend on what went forward: gates, and routes of max pools."""
        return self.is_gate or self.routes

    @property
    def statistics(self) -> tuple[str, ...]:
        """Axes over which it takes statistics of the data: "batch", "channels", "space"; () where none."""
        return ()

    @property
    def through_statistics(self) -> bool:
        """Whether gradients pass through those statistics; if not, these count as constants."""
        return False

    @property
    def takes_weights(self) -> bool:
        """Whether it has a kernel of weights, and can be given one."""
        return False

    @property
    def random(self) -> bool:
        """Whether its weights are drawn: new for each network, independent, of zero mean."""
        return False

    @property
    def mixes_channels(self) -> bool:
        """Whether a channel of the output depends on several of the input."""
        return "channels" in self.statistics

    def with_given(self, weights: Any) -> Layer:
        """The layer with the numbers that arrays `weights`, given for it, say of it, where it has any."""
        return self

    def single_tap(self, ndim: int) -> bool:
        """Whether each output site reads one input site at most, in `ndim` dimensions."""
        return all(axis.kernel == 1 and axis.padding != "whole" and (
            axis.resize is None or axis.resize.mode == "nearest") for axis in self.geometry(ndim))

    def default(self, field: str) -> Any:
        """What `field` is if nothing is given for it, `dataclasses.MISSING` if something must be."""
        of = {f.name: f for f in dataclasses.fields(self)}[field]
        return of.default_factory() if callable(of.default_factory) else of.default

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

        Returns
        -------
        int or None
            Number of channels.

        Raises
        ------
        ValueError
            If this layer cannot take `c_in` channels.
        """
        return c_in

    def merged_channels(self, incoming: Sequence[int | None]) -> int | None:
        """Channels of inputs of `incoming` channels put together; None where they are not known yet.

        Parameters
        ----------
        incoming : sequence of int or None
            Channels of each input.

        Returns
        -------
        int or None
            Number of channels.

        Raises
        ------
        ValueError
            If the inputs cannot be put together.
        """
        known = {c: None for c in incoming if c is not None}
        if len(known) > 1:
            raise ValueError(f"inputs: cannot {self.op} {' and '.join(str(c) for c in incoming if c is not None)} "
                             "channels; give the layers channels=, or the run a fitting width= or channels_in=")
        return next(iter(known), None)

    def weight_shape(self, c_in: int, c_out: int, ndim: int) -> tuple[int, ...] | None:
        """Shape of the kernel between `c_in` and `c_out` channels over `ndim` axes; None without weights."""
        return None

    def group_count(self, c_in: int, ndim: int) -> int:
        """Groups of channels that do not mix, for `c_in` incoming channels and `ndim` axes."""
        return 1 if self.mixes_channels else c_in

    def check_map(self, sizes: Sequence[int]) -> None:
        """Refuse a map on which the layer has no value somewhere.

        Parameters
        ----------
        sizes : sequence of int
            Of the map that it reads.

        Raises
        ------
        ValueError
            Where it has none.
        """

    def phases(self, ndim: int) -> tuple[tuple[AxisGeometry, ...], ...]:
        """How each place of a block is read, where sites become channels or channels sites; () of other layers.

        Parameters
        ----------
        ndim : int
            Number of axes.

        Returns
        -------
        tuple of tuple of AxisGeometry
            Per place, row by row, one for each axis.
        """
        return ()

    def channel_reads(self, labels: Sequence[Labels], c_out: int, ndim: int) -> Labels:
        """Which channels each channel of the output depends on.

        Parameters
        ----------
        labels : sequence of array
            Per input, one integer for each of its channels.
        c_out : int
            Channels of the output.
        ndim : int
            Number of axes.

        Returns
        -------
        ndarray, shape (any, c_out)
            In each column the integers of the channels that this channel depends on, maybe repeated.
        """
        if self.many_inputs:
            return np.stack([np.broadcast_to(of_one, (c_out,)) for of_one in labels])
        groups = self.group_count(len(labels[0]), ndim)
        if groups == len(labels[0]):
            return np.repeat(labels[0], c_out // groups)[None]
        parts = [np.unique(part) for part in labels[0].reshape(groups, -1)]
        rows = max(map(len, parts))
        columns = np.stack([np.pad(part, (0, rows - len(part)), mode="edge") for part in parts], axis=1)
        return np.repeat(columns, c_out // groups, axis=1)

    def bias_variance(self, c_in: int, c_out: int, ndim: int) -> float:
        """Variance of drawn biases between `c_in` and `c_out` channels over `ndim` axes; 0 where there are none."""
        return 0.0

    def parameters(self, c_in: int, c_out: int, ndim: int, biases: bool = False) -> int:
        """Trainable parameters between `c_in` and `c_out` channels over `ndim` axes, maybe with `biases`."""
        return self._costs_nothing()

    def multiply_adds(self, c_in: int, c_out: int, shape_in: tuple[int, ...], shape_out: tuple[int, ...]) -> int:
        """Multiply-adds of an image, from `c_in` channels of `shape_in` to `c_out` of `shape_out`, as of `costs`."""
        return self._costs_nothing()

    def _costs_nothing(self) -> int:
        if not self.free:
            raise NotImplementedError(f"{self.op}: nothing says what it costs; define parameters and multiply_adds, "
                                      "or declare it free")
        return 0

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


#: Largest slope or factor, so that squares stay in the range of floats.
STEEPEST = 1e150


def most(value: PerAxis, name: str, limit: int) -> PerAxis:
    """`value`, refused above `limit`."""
    check_count(max(value) if isinstance(value, tuple) else value, limit, f"{name}={quoted(value)}")
    return value


@dataclass(frozen=True)
class Windowed(Layer):
    """Base of layers that read a window of sites."""

    kernel_size: PerAxis
    words: ClassVar[tuple[str, ...]] = ("half", "valid", "same")

    def dimensions(self) -> frozenset[int]:
        return open_dimensions(self.kernel_size, getattr(self, "stride"),
                               getattr(self, "dilation", 1), getattr(self, "output_padding", 0),
                               pairs(getattr(self, "padding")))

    def _check_window(self, low: int | None = 0) -> None:
        self._set(kernel_size=most(sizes(self.kernel_size, "kernel_size", 1), "kernel_size", MOST_TAPS),
                  stride=most(sizes(getattr(self, "stride"), "stride", 1), "stride",
                              MOST_PHASES if self.transposed else MOST_TAPS),
                  padding=padding_rule(getattr(self, "padding"), self.words, low, BORDERS))
        for key, low in (("dilation", 1), ("output_padding", 0)):
            if hasattr(self, key):
                self._set(**{key: sizes(getattr(self, key), key, low)})
        if hasattr(self, "padding_mode"):
            choice(self.padding_mode, "padding_mode", BORDERS, BORDER_WORDS)
        super().__post_init__()
        self._check_dimensions()
        for axis in self.geometry(min(self.dimensions())):
            if getattr(self, "padding") == "half" and axis.extent % 2 == 0:
                raise ValueError(f"padding='half': needs an odd extent, kernel_size={self.kernel_size} with "
                                 f"dilation={getattr(self, 'dilation', 1)} spans {axis.extent} sites; use "
                                 "padding='same' or a pair (before, after)")

    def geometry(self, ndim: int) -> tuple[AxisGeometry, ...]:
        return _axes(self.kernel_size, getattr(self, "stride"), getattr(self, "dilation", 1), getattr(self, "padding"),
                     self.transposed, getattr(self, "ceil_mode", False), getattr(self, "padding_mode", "zeros"),
                     getattr(self, "output_padding", 0), ndim)


@functools.lru_cache(maxsize=1024)
def _axes(kernel_size: PerAxis, stride: PerAxis, dilation: PerAxis, padding: Any, transposed: bool, ceil_mode: bool,
          border: str, output_padding: PerAxis, ndim: int) -> tuple[AxisGeometry, ...]:
    """The same for every layer with these fields."""
    axes = []
    for axis, (k, s, d, more) in enumerate(zip(*(per_axis(value, ndim) for value in
                                                 (kernel_size, stride, dilation, output_padding)))):
        rule: Any = padding
        if padding == "valid":
            rule = (0, 0)
        elif padding == "half":
            rule = (d * (k - 1) // 2,) * 2
        elif padding == "same" and transposed:  # output n s sites, as in TensorFlow
            total = d * (k - 1) + 1 - s
            before = max(total, 0) // 2
            rule = (before, total - before)
        elif isinstance(padding, int):
            rule = (padding, padding)
        elif pairs(padding):
            rule = padding[axis]
        if more:
            rule = (rule[0], rule[1] - more)
        axes.append(AxisGeometry(k, s, d, rule, transposed, ceil_mode, border))
    return tuple(axes)
