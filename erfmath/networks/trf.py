"""Theoretical receptive fields: which input pixels can influence a unit.

Every layer acts on each axis by itself, so the smallest box around the receptive field follows
from one window per axis, [lo(u), hi(u)] for unit u, which `windows` follows through the network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..base.checks import DIMENSIONS, check_network, flag, image_shape, integer, point
from ..base.contents import field_of
from ..base.errors import quoted
from ..base.tables import html_table, text_table
from .strands import Paths, paths
from .windows import Number, Seen, Windows, sweep, union

if TYPE_CHECKING:
    from .network import Network

__all__ = ["ReceptiveField", "default_unit", "receptive_field", "receptive_fields", "summary", "summary_rows"]

Border = tuple[tuple[int, Any, Any], ...]  # units along an axis with first and last pixel


@dataclass(frozen=True)
class ReceptiveField:
    """Theoretical receptive field of one node's units, in input pixels (equations 6 and 7).

    Made by `receptive_field` and `receptive_fields`.

    Attributes
    ----------
    size : tuple
        Largest extent R of a unit's window per axis; infinite after global pooling on the plane.
    stride : tuple
        Effective stride S: how far the window moves from unit to unit (a Fraction after
        upsampling, 0 after global pooling).
    padding : tuple or None
        Effective padding P; None where it depends on the size of an image that was not given.
    image : tuple of int or None
        Size of the input, where it was given.
    node : str
        Whose units these are.
    shape : tuple of int or None
        Extent of the node's map, where the size of the input was given.
    shift_invariant : bool
        False where the window depends on the phase of the unit (decoders) or branches with
        different centres meet; `window` is exact all the same.

    See Also
    --------
    receptive_field : Theoretical receptive field.

    Examples
    --------
    >>> import erfmath as em
    >>> rf = em.receptive_field(em.zoo.resnet50(), image=224)
    >>> rf.center(3), rf.nearest_unit(112), rf.units(0)
    ((96.0, 96.0), (3, 3), ((-6, -6), (6, 6)))
    """

    size: tuple[Number, ...]
    stride: tuple[Number, ...]
    padding: tuple[Number, ...] | None
    image: tuple[int, ...] | None
    node: str
    shift_invariant: bool
    _windows: tuple[Windows, ...] = field(repr=False)
    shape: tuple[int, ...] | None = None
    _borders: tuple[Border, ...] = field(default=(), repr=False)
    _unknown: bool = field(default=False, repr=False)  # whether windows lie elsewhere on images of other sizes

    @property
    def ndim(self) -> int:
        """Number of spatial dimensions."""
        return len(self.size)

    @property
    def infinite(self) -> bool:
        """Whether a unit sees the whole plane (global pooling, no image given)."""
        return math.inf in self.size

    def center(self, unit: Any = 0) -> tuple[float, ...]:
        """TRF centre u S - P + (R - 1)/2 of `unit`: in general not the middle of the image.

        What all units see besides, through a map that was pooled to one site, does not move it.
        """
        self._refuse_unknown()
        if any(math.inf in w.lo for w in self._windows) or any(-math.inf in w.lo for w in self._windows):
            self._refuse_infinite()
        return tuple(float(w.offset + u * w.stride)
                     for w, u in zip(self._windows, point(unit, "unit", self.ndim)))

    def window(self, unit: Any = 0) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Smallest box around what `unit` sees: its first and last pixel (lo, hi), both inside.

        The box is not clipped to the image: negative coordinates lie in the padding.  Of the image, where
        one was given, it holds no more than `support` (strides drop the last rows of a map).  Where the
        unit sees nothing, hi is lo - 1.  Only where a transposed convolution with gaps (kernel
        smaller than stride) is merged with other branches can the box be larger than needed: gaps
        of one axis are not known to the others.
        """
        self._refuse_infinite()
        self._refuse_unknown()
        ends = [self._ends(axis, u) for axis, u in enumerate(point(unit, "unit", self.ndim))]
        if any(lo is None for lo, _ in ends):
            corner = tuple(math.floor(c) for c in self.center(unit))
            return corner, tuple(c - 1 for c in corner)
        return tuple(lo for lo, _ in ends), tuple(hi for _, hi in ends)

    def _ends(self, axis: int, unit: int) -> tuple[Any, Any]:
        """First and last pixel along an axis, None where nothing is seen."""
        elsewhere = self._borders[axis] if self._borders else ()
        return next(((lo, hi) for u, lo, hi in elsewhere if u == unit), None) or self._windows[axis].at(unit)

    def units(self, pixel: Any) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Projective field: first and last unit per axis whose window holds `pixel`.

        None if no unit's does.  Without holes in the windows (see `support`) all units between see
        the pixel too.
        """
        self._refuse_infinite()
        self._refuse_unknown()
        first, last = [], []
        for axis, (w, x) in enumerate(zip(self._windows, point(pixel, "pixel", self.ndim))):
            if w.shift == 0 or w.whole is not None:
                raise ValueError(f"{self.node}: after global pooling all units see the same "
                                 "pixels, those of window()")
            seen: list[int] = []
            for phase, (lo, hi) in enumerate(zip(w.lo, w.hi)):
                if lo is None:
                    continue
                # Unit phase + turns T sees x if lo + turns J <= x <= hi + turns J.
                least, most = -((hi - x) // w.shift), (x - lo) // w.shift
                if least <= most:
                    seen += [phase + least * len(w.lo), phase + most * len(w.lo)]
            if seen and self._borders and self._borders[axis]:
                ends = {u: self._ends(axis, u) for u in range(min(seen), max(seen) + 1)}
                seen = [u for u, (lo, hi) in ends.items() if lo is not None and lo <= x <= hi]
            if not seen:
                return None
            first.append(min(seen))
            last.append(max(seen))
        return tuple(first), tuple(last)

    def nearest_unit(self, pixel: Any) -> tuple[int, ...]:
        """The unit whose centre is nearest to `pixel` (ties: the lower one)."""
        self.center()
        return tuple(math.ceil((x - w.offset) / w.stride - Fraction(1, 2)) if w.shift else 0
                     for w, x in zip(self._windows, point(pixel, "pixel", self.ndim)))

    def to_dict(self) -> dict[str, Any]:
        """The field as JSON-ready objects; `from_dict` reads them back."""
        return {"node": self.node, "image": self.image, "shape": self.shape, "padding_known": self.padding is not None,
                "windows": [_to_json(w) for w in self._windows], "borders": self._borders,
                "place_known": not self._unknown}

    @staticmethod
    def from_dict(d: Mapping[str, Any]) -> ReceptiveField:
        """The receptive field that `d` describes.

        Parameters
        ----------
        d : mapping
            As `to_dict` gives it.

        Returns
        -------
        ReceptiveField
            The receptive field.

        Raises
        ------
        ValueError
            Naming what is missing, or none of a field.
        """
        windows = tuple(_window(w) for w in field_of(d, "windows", (list, tuple)))
        if len(windows) not in DIMENSIONS:
            raise ValueError(f"windows: has {len(windows)} axes, must have 1 to 3")
        image, shape = (None if field_of(d, name) is None else
                        image_shape(field_of(d, name, (list, tuple)), len(windows)) for name in ("image", "shape"))
        rf = _field(field_of(d, "node", str), windows, image, shape, not field_of(d, "padding_known", bool))
        borders = tuple(tuple(_border(item) for item in axis) for axis in d.get("borders", ()))
        if len(borders) not in (0, rf.ndim):
            raise ValueError(f"borders: has {len(borders)} axes, must have {rf.ndim}")
        return replace(rf, _borders=borders, _unknown=not field_of({"place_known": True, **d}, "place_known", bool))

    def on_plane(self) -> ReceptiveField:
        """The same field where an unknown padding is taken as centred, as "same" is at stride 1.

        On the plane a network with such padding has no place of its own; this one is as good as another.
        """
        return replace(self, _unknown=False)

    def _refuse_unknown(self) -> None:
        if self._unknown:
            raise ValueError(f"{self.node}: where its units look depends on the size of the image (padding='same' "
                             "with a stride); give image=")

    def table(self) -> list[tuple[str, str]]:
        """Summary, in rows of a name and a description; "?" depends on the size of the image."""
        rows = [("node", self.node), ("image", "not given" if self.image is None else f"{_text(self.image)} px"),
                ("TRF", f"{_text(self.size)} px"), ("stride", f"{_text(self.stride)} px"),
                ("padding", f"{_text(self.padding)} px")]
        if not self.infinite and not self._unknown:
            (lo, hi), center = self.window(), self.center()
            rows.append(("unit 0", f"pixels {', '.join(map(str, lo))} to {', '.join(map(str, hi))}, TRF centre "
                         f"{', '.join(f'{c:g}' for c in center)}"))
        return rows

    def __str__(self) -> str:
        return text_table(self.table())

    def _repr_html_(self) -> str:
        return html_table(self.table(), header=False)

    def _refuse_infinite(self) -> None:
        if self.infinite:
            raise ValueError(f"{self.node}: sees the whole plane (global pooling); give image= for "
                             "a finite receptive field")


def _to_json(windows: Windows) -> dict[str, Any]:
    shift = windows.shift if isinstance(windows.shift, int) else str(windows.shift)
    return {**windows._asdict(), "shift": shift}


def _number(value: Any) -> int | Fraction:
    """A shift from a file: an int, or a fraction as text."""
    shift = Fraction(value) if isinstance(value, str) else integer(value, "windows.shift", 0)
    if shift < 0:
        raise ValueError(f"windows.shift={quoted(value)}: must not be negative")
    return shift


def _border(item: Any) -> tuple[int, Any, Any]:
    """A unit, its first and its last pixel from a file."""
    unit, *ends = item
    if len(ends) != 2 or (ends[0] is None) != (ends[1] is None):
        raise ValueError(f"borders: {quoted(list(item))} is no unit with its first and last pixel")
    lo, hi = (None if end is None else integer(end, "borders") for end in ends)
    return integer(unit, "borders", 0), lo, hi


def _window(d: Any) -> Windows:
    """Windows along one axis from a file: lo <= hi in each phase, both None where nothing is seen."""
    shift = _number(field_of(d, "shift"))
    lo, hi = (tuple(x if x is None or x in (-math.inf, math.inf) else integer(x, "windows")
                    for x in field_of(d, end, (list, tuple))) for end in ("lo", "hi"))
    fits = 0 < len(lo) == len(hi) and all(a is b is None or None not in (a, b) and a <= b for a, b in zip(lo, hi))
    if not fits:
        raise ValueError(f"windows: lo={quoted(list(lo))} and hi={quoted(list(hi))} are no first and last pixels")
    whole = d.get("whole")
    if whole is not None and (not isinstance(whole, (list, tuple)) or len(whole) != 2 or not whole[0] <= whole[1]):
        raise ValueError(f"windows: whole={quoted(whole)}: must be a first and a last pixel")
    return Windows(shift, lo, hi, field_of(d, "aligned", bool), None if whole is None else tuple(whole))


def _plain(value: Number) -> Number:
    """An int where the value is one."""
    return int(value) if value == math.floor(value) else value


def receptive_fields(net: Network, *, image: Any = None, source: str | None = None, gates: bool = True,
                     ndim: int = 2) -> dict[str, ReceptiveField]:
    """Theoretical receptive field of every node.

    Parameters
    ----------
    net : Network
        What is looked at.
    image : int or tuple of int, optional
        Size of the input in pixels; matters to borders, "same" padding, and layers that pool or resize the map.
    source : str, optional
        Node whose map the field is on, in place of the input: "pixels" are then its sites.
    gates : bool
        False leaves out what is seen only through factors of one site, as in squeeze-and-excite blocks.
    ndim : int
        Dimension, where the network leaves it open.

    Returns
    -------
    dict of str to ReceptiveField
        By the names of the nodes; with a `source` only of those that depend on it.

    Raises
    ------
    TypeError
        If `net` is no network.
    ValueError
        If the image does not fit it.

    See Also
    --------
    receptive_field : Theoretical receptive field.

    Examples
    --------
    >>> import erfmath as em
    >>> [rf.size[0] for rf in em.receptive_fields(em.repeat(em.Conv(3), 4)).values()]
    [3, 5, 7, 9]
    """
    return _fields(net, image, ndim, None, source, flag(gates, "gates"))


def _fields(net: Network, image: Any, ndim: int, only: int | None, source: str | None, gates: bool,
            channels_in: int | None = None) -> dict[str, ReceptiveField]:
    graph = paths(net, ndim, image=image, source=source, gates=gates, channels_in=channels_in,
                  stop=None if only is None else only + 1)
    columns: list[Any] = []
    per_axis: list[list[Seen]] = []
    for axis in range(graph.ndim):
        column = ([g[axis] for g in graph.geometry], None if graph.sizes is None else [s[axis] for s in graph.sizes])
        if column in columns:  # isotropic: the work of an earlier axis serves
            per_axis.append(per_axis[columns.index(column)])
        else:
            per_axis.append(sweep(column[0], graph.sources, column[1], lambda i: net.names[graph.nodes[i]]))
        columns.append(column)
    unknown = _unknown_padding(graph)
    names, found = net.names, {}
    for i in range(len(graph.of_node)) if only is None else (only,):
        parts = [part for part in graph.of_node[i] if part >= 0 and all(axis[part].windows.sees for axis in per_axis)]
        if source is not None and not parts:
            continue
        shape = None if graph.shapes is None else graph.shapes[i]
        ends = [(None, None)] * graph.ndim if shape is None or graph.pixels is None else list(zip(shape, graph.pixels))
        seen = [union([axis[part] for part in parts or graph.of_node[i]], *end) for axis, end in zip(per_axis, ends)]
        borders = tuple(() if n is None else one.borders(n) for one, (_, n) in zip(seen, ends))
        found[names[i]] = replace(
            _field(names[i], tuple(one.windows for one in seen), graph.pixels, shape, any(unknown[p] for p in parts)),
            _borders=borders if any(borders) else (), _unknown=any(unknown[p] for p in parts))
    return found


def _field(name: str, windows: tuple[Windows, ...], image: Any, shape: tuple[int, ...] | None,
           unknown: bool) -> ReceptiveField:
    size = tuple(w.size for w in windows)
    padding = None
    if not unknown and math.inf not in size:
        padding = tuple(_plain(Fraction(int(w.size) - 1, 2) - w.offset) for w in windows)
    return ReceptiveField(size, tuple(_plain(w.stride) for w in windows), padding, image, name,
                          all(w.aligned and len(w.lo) == 1 for w in windows), windows, shape)


def _unknown_padding(graph: Paths) -> list[bool]:
    """Per strand, whether its effective padding depends on an image size that was not given."""
    if graph.pixels is not None:
        return [False] * len(graph.nodes)
    unknown: list[bool] = []
    for axes, inputs in zip(graph.geometry, graph.sources):
        before = any(j >= 0 and unknown[j] for j in inputs)
        pooled = any(axis.padding == "whole" for axis in axes)  # what sees everything has no place to be wrong
        unknown.append(not pooled and (before or any(axis.needs_size for axis in axes)))
    return unknown


def receptive_field(net: Network, *, image: Any = None, node: str | None = None, source: str | None = None,
                    gates: bool = True, ndim: int = 2, channels_in: int | None = None) -> ReceptiveField:
    """Theoretical receptive field of the units of `node` (default: the output).

    Statistics of norms count as constants: what a group norm sees through those of the whole map is left out.

    Parameters
    ----------
    net : Network
        What is looked at.
    image : int or tuple of int, optional
        Size of the input in pixels; matters to borders, "same" padding, and layers that pool or resize the map.
    node : str, optional
        Node whose units are looked at; the output by default.
    source : str, optional
        Node whose map the field is on, in place of the input: "pixels" are then its sites.
    gates : bool
        False leaves out what is seen only through factors of one site, as in squeeze-and-excite blocks.
    ndim : int
        Dimension, where the network leaves it open.
    channels_in : int, optional
        Channels of the input; matters to parts of channels that no layer has made anew, which count as the whole
        where it is not given.

    Returns
    -------
    ReceptiveField
        Size, stride, padding, and the window of every unit.

    Raises
    ------
    TypeError
        If `net` is no network.
    ValueError
        If there is no such node, it does not depend on the source, or the image does not fit the network.

    See Also
    --------
    predict : Effective receptive field, from theory.
    receptive_fields : Of every node.
    support : The pixels that are reached.

    Examples
    --------
    >>> import erfmath as em
    >>> rf = em.receptive_field(em.zoo.vgg16())
    >>> rf.size, rf.stride, rf.padding
    ((212, 212), (32, 32), (90, 90))
    >>> rf.window(unit=0)
    ((-90, -90), (121, 121))
    >>> em.receptive_field(em.zoo.vgg16(), source="pool1").size       # on the map after the first pool
    (104, 104)
    """
    check_network(net)
    only = net.index(node)
    if only < 0:
        raise ValueError(f"node={quoted(node)}: must be a node of the network, not its input")
    count = None if channels_in is None else integer(channels_in, "channels_in", 1)
    found = list(_fields(net, image, ndim, only, source, flag(gates, "gates"), count).values())
    if not found:
        raise ValueError(f"source={quoted(source)}: {net.names[only]} does not depend on it")
    return found[0]


def default_unit(shape: tuple[int, ...] | None, ndim: int, unit: Any) -> tuple[int, ...]:
    """`unit` as a tuple: n // 2 of a map of `shape` unless given, 0 on the infinite plane.

    Raises
    ------
    ValueError
        If the unit lies outside the map.
    """
    if unit is None:
        return (0,) * ndim if shape is None else tuple(n // 2 for n in shape)
    place = point(unit, "unit", ndim)
    if shape is not None and not all(0 <= u < n for u, n in zip(place, shape)):
        raise ValueError(f"unit={quoted(place)}: outside the node's map of shape {shape}; units count "
                         "from 0")
    return place


def _text(values: Any) -> str:
    if values is None:
        return "?"
    words = ["whole" if v == math.inf else str(v) for v in values]
    return words[0] if len(set(words)) == 1 else "x".join(words)


def summary(net: Network, image: Any = None, ndim: int = 2, source: str | None = None) -> str:
    """`summary_rows` as text."""
    return text_table(summary_rows(net, image, ndim, source))


def summary_rows(net: Network, image: Any = None, ndim: int = 2, source: str | None = None) -> list[tuple[str, ...]]:
    """A table of all nodes: op, output shape for `image`, TRF size, effective stride and padding.

    With a `source`, of those that see its map, in its sites.

    "whole" is the whole image (infinite on the plane), "?" depends on the size of the image.
    """
    fields = receptive_fields(net, image=image, source=source, ndim=ndim)
    dims = next(iter(fields.values())).ndim
    shapes = net.shapes(image, dims) if image is not None else {}
    rows: list[tuple[str, ...]] = [("node", "op", "output", "TRF", "stride", "padding")]
    for node in net.nodes:
        if node.name not in fields:
            continue
        rf = fields[node.name]
        shape = "x".join(map(str, shapes[node.name])) if shapes else "-"
        rows.append((node.name, node.layer.kind, shape, _text(rf.size), _text(rf.stride),
                     _text(rf.padding)))
    return rows
