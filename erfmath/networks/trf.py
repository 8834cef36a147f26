"""Theoretical receptive fields: which input pixels a unit can see at all.

Every layer acts on each axis by itself, so the smallest box around the receptive field follows
from one window per axis, [lo(u), hi(u)] for unit u, which `windows` follows through the network.
`support` gives the pixels themselves, holes left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..base.checks import DIMENSIONS, check_network, image_shape, integer, is_sequence, point
from ..base.errors import check_bytes
from ..base.files import field_of
from ..base.tables import html_table, text_table
from ..layers.geometry import AxisGeometry
from .windows import Number, Windows, sweep

if TYPE_CHECKING:
    from .network import Network

__all__ = ["ReceptiveField", "Support", "default_unit", "receptive_field", "receptive_fields",
           "summary", "support"]


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

    @property
    def ndim(self) -> int:
        """Number of spatial dimensions."""
        return len(self.size)

    @property
    def infinite(self) -> bool:
        """Whether a unit sees the whole plane (global pooling, no image given)."""
        return math.inf in self.size

    def center(self, unit: Any = 0) -> tuple[float, ...]:
        """True centre u S - P + (R - 1)/2 of `unit`: in general not the middle of the image."""
        self._refuse_infinite()
        return tuple(float(w.offset + u * w.stride)
                     for w, u in zip(self._windows, point(unit, "unit", self.ndim)))

    def window(self, unit: Any = 0) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Smallest box around what `unit` sees: its first and last pixel (lo, hi), both inside.

        The box is not clipped to the image: negative coordinates lie in the padding.  Where the
        unit sees nothing, hi is lo - 1.  Only where a transposed convolution with gaps (kernel
        smaller than stride) is merged with other branches can the box be larger than needed: gaps
        of one axis are not known to the others.
        """
        self._refuse_infinite()
        ends = [w.at(u) for w, u in zip(self._windows, point(unit, "unit", self.ndim))]
        if any(lo is None for lo, _ in ends):
            corner = tuple(math.floor(c) for c in self.center(unit))
            return corner, tuple(c - 1 for c in corner)
        return tuple(lo for lo, _ in ends), tuple(hi for _, hi in ends)

    def units(self, pixel: Any) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Projective field: first and last unit per axis whose window holds `pixel`.

        None if no unit's does.  Without holes in the windows (see `support`) all units between see
        the pixel too.
        """
        self._refuse_infinite()
        first, last = [], []
        for w, x in zip(self._windows, point(pixel, "pixel", self.ndim)):
            if w.shift == 0:
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
            if not seen:
                return None
            first.append(min(seen))
            last.append(max(seen))
        return tuple(first), tuple(last)

    def nearest_unit(self, pixel: Any) -> tuple[int, ...]:
        """The unit whose centre is nearest to `pixel` (ties: the lower one)."""
        self._refuse_infinite()
        return tuple(math.ceil((x - w.offset) / w.stride - Fraction(1, 2)) if w.shift else 0
                     for w, x in zip(self._windows, point(pixel, "pixel", self.ndim)))

    def to_dict(self) -> dict[str, Any]:
        """The field as JSON-ready objects; `from_dict` reads them back."""
        return {"node": self.node, "image": self.image, "shape": self.shape, "padding_known": self.padding is not None,
                "windows": [w._asdict() for w in self._windows]}

    @staticmethod
    def from_dict(d: Mapping[str, Any]) -> ReceptiveField:
        """The field that `d`, made by `to_dict`, describes.

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
        return _field(field_of(d, "node", str), windows, image, shape, not field_of(d, "padding_known", bool))

    def table(self) -> list[tuple[str, str]]:
        """What there is to know, in rows of a name and words; "?" depends on the size of the image."""
        rows = [("node", self.node), ("image", "not given" if self.image is None else f"{_text(self.image)} px"),
                ("TRF", f"{_text(self.size)} px"), ("stride", f"{_text(self.stride)} px"),
                ("padding", f"{_text(self.padding)} px")]
        if not self.infinite:
            (lo, hi), center = self.window(), self.center()
            rows.append(("unit 0", f"pixels {', '.join(map(str, lo))} to {', '.join(map(str, hi))}, true centre "
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


def _window(d: Any) -> Windows:
    """Windows along one axis from a file: lo <= hi in each phase, both None where nothing is seen."""
    shift = integer(field_of(d, "shift"), "windows.shift", 0)
    lo, hi = (tuple(x if x is None or x in (-math.inf, math.inf) else integer(x, "windows")
                    for x in field_of(d, end, (list, tuple))) for end in ("lo", "hi"))
    fits = 0 < len(lo) == len(hi) and all(a is b is None or None not in (a, b) and a <= b for a, b in zip(lo, hi))
    if not fits:
        raise ValueError(f"windows: lo={list(lo)!r} and hi={list(hi)!r} are no first and last pixels")
    return Windows(shift, lo, hi, field_of(d, "aligned", bool))


def _plain(value: Number) -> Number:
    """An int where the value is one."""
    return int(value) if value == math.floor(value) else value


def receptive_fields(net: Network, *, image: Any = None,
                     ndim: int = 2) -> dict[str, ReceptiveField]:
    """Theoretical receptive field of every node.

    Parameters
    ----------
    net : Network
        What is looked at.
    image : int or tuple of int, optional
        Size of the input in pixels; matters only to "same" padding and global pooling.
    ndim : int
        Dimension, where the network leaves it open.

    Returns
    -------
    dict of str to ReceptiveField
        By the names of the nodes.

    Raises
    ------
    TypeError
        If `net` is no network.
    ValueError
        If the image does not fit it.

    Examples
    --------
    >>> import erfmath as em
    >>> [rf.size[0] for rf in em.receptive_fields(em.repeat(em.Conv(3), 4)).values()]
    [3, 5, 7, 9]
    """
    return _fields(net, image, ndim, None)


def _fields(net: Network, image: Any, ndim: int,
            only: int | None) -> dict[str, ReceptiveField]:
    check_network(net)
    ndim = net.dimension(len(image) if is_sequence(image) else ndim)
    shapes: list[tuple[int, ...]] | None = None
    if image is not None:
        image = image_shape(image, ndim)
        shapes = [*net.shapes(image, ndim).values(), image]  # index -1 is the input
    stop = len(net) if only is None else only + 1
    geometry, sources = net.geometry(ndim)[:stop], net.sources[:stop]
    per_node: list[list[Windows]] = []
    columns: list[tuple[list[AxisGeometry], list[int] | None]] = []
    for axis in range(ndim):
        column = ([g[axis] for g in geometry],
                  None if shapes is None else [shape[axis] for shape in shapes])
        if column in columns:  # isotropic: the work of an earlier axis serves
            per_node.append(per_node[columns.index(column)])
        else:
            per_node.append(sweep(column[0], sources, column[1]))
        columns.append(column)
    unknown = _unknown_padding(geometry, sources, image)
    names = net.names
    return {names[i]: _field(names[i], tuple(axis[i] for axis in per_node), image,
                             None if shapes is None else shapes[i], unknown[i])
            for i in (range(stop) if only is None else (only,))}


def _field(name: str, windows: tuple[Windows, ...], image: Any, shape: tuple[int, ...] | None,
           unknown: bool) -> ReceptiveField:
    size = tuple(w.size for w in windows)
    padding = None
    if not unknown and math.inf not in size:
        padding = tuple(_plain(Fraction(int(w.size) - 1, 2) - w.offset) for w in windows)
    return ReceptiveField(size, tuple(_plain(w.stride) for w in windows), padding, image, name,
                          all(w.aligned and len(w.lo) == 1 for w in windows), windows, shape)


def _unknown_padding(geometry: Sequence[tuple[AxisGeometry, ...]],
                     sources: Sequence[tuple[int, ...]], image: Any) -> list[bool]:
    """Per node, whether its effective padding depends on an image size that was not given."""
    if image is not None:
        return [False] * len(geometry)
    unknown: list[bool] = []
    for axes, inputs in zip(geometry, sources):
        here = any(axis.needs_size for axis in axes)
        unknown.append(here or any(j >= 0 and unknown[j] for j in inputs))
    return unknown


def receptive_field(net: Network, *, image: Any = None, node: str | None = None,
                    ndim: int = 2) -> ReceptiveField:
    """Theoretical receptive field of the units of `node` (default: the output).

    Parameters
    ----------
    net : Network
        What is looked at.
    image : int or tuple of int, optional
        Size of the input in pixels; matters only to "same" padding and global pooling.
    node : str, optional
        Node whose units are looked at; the output by default.
    ndim : int
        Dimension, where the network leaves it open.

    Returns
    -------
    ReceptiveField

    Raises
    ------
    TypeError
        If `net` is no network.
    ValueError
        If there is no such node, or the image does not fit the network.

    Examples
    --------
    >>> import erfmath as em
    >>> rf = em.receptive_field(em.zoo.vgg16())
    >>> rf.size, rf.stride, rf.padding
    ((212, 212), (32, 32), (90, 90))
    >>> rf.window(unit=0)
    ((-90, -90), (121, 121))
    """
    check_network(net)
    only = net.index(node)
    if only < 0:
        raise ValueError(f"node={node!r}: must be a node of the network, not its input")
    field, = _fields(net, image, ndim, only).values()
    return field


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
        raise ValueError(f"unit={place}: outside the node's map of shape {shape}; units count "
                         "from 0")
    return place


# ---------------------------------------------------------------------------------------------
# the pixels themselves
# ---------------------------------------------------------------------------------------------

class Support(NamedTuple):
    """The pixels that a unit sees, in the smallest box; returned by `support`.

    Attributes
    ----------
    mask : ndarray of bool
        Whether a pixel is seen; ``mask[0, ...]`` is that at `origin`.
    origin : tuple of int
        Input pixel of the first element.
    """

    mask: npt.NDArray[np.bool_]
    origin: tuple[int, ...]

    @property
    def density(self) -> float:
        """Fraction of the box's pixels that are seen; 0 where there are none."""
        return float(self.mask.mean()) if self.mask.size else 0.0


def support(net: Network, *, image: Any = None, unit: Any = None, node: str | None = None,
            ndim: int = 2) -> Support:
    """The input pixels that `unit` of `node` sees, holes of strides and dilation left out.

    Weights count as nonzero.  With `image` every layer's border is respected.

    Parameters
    ----------
    net : Network
        What is looked at.
    image : int or tuple of int, optional
        Size of the input in pixels; the infinite plane by default.
    unit : int or tuple of int, optional
        Unit of the node's map; the middle one with an image, 0 on the plane.
    node : str, optional
        Node whose unit it is; the output by default.
    ndim : int
        Dimension, where the network leaves it open.

    Returns
    -------
    Support
        `mask`, `origin` and `density`.

    Raises
    ------
    ValueError
        If there is no such node or unit, or the image does not fit.
    SizeError
        If the mask would not fit in memory.

    Examples
    --------
    >>> import erfmath as em
    >>> net = em.serial(em.Conv(1, stride=2, padding=0), em.Conv(3, padding=1))
    >>> em.support(net).density  # 9 of 5 x 5 pixels
    0.36
    """
    rf = receptive_field(net, image=image, node=node, ndim=ndim)
    ndim, image = rf.ndim, rf.image
    shapes = None if image is None else [*net.shapes(image, ndim).values(), image]
    top = net.index(node)
    unit = default_unit(None if shapes is None else shapes[top], ndim, unit)
    lo, hi = rf.window(unit)
    if image is not None:
        lo, hi = tuple(max(a, 0) for a in lo), tuple(min(b, n - 1) for b, n in zip(hi, image))
    check_bytes(math.prod(max(b - a + 1, 0) for a, b in zip(lo, hi)), f"the support of unit {unit}",
                "give an image, or take a smaller network")
    geometry, sources = net.geometry(ndim), net.sources
    seen: dict[int, _Placed] = {top: (np.ones((1,) * ndim, bool), unit)}
    for i in range(top, -1, -1):
        if i not in seen:
            continue
        mask, start = seen.pop(i)
        inner = None if shapes is None else shapes[sources[i][0]]
        for axis in range(ndim):
            n = None if inner is None else inner[axis]
            mask, first = _adjoint(mask, start[axis], axis, geometry[i][axis], n)
            start = start[:axis] + (first,) + start[axis + 1:]
        for j in set(sources[i]):
            seen[j] = _either(seen[j], (mask, start)) if j in seen else (mask, start)
    mask, start = seen.get(-1, (np.zeros((0,) * ndim, bool), lo))
    for axis in range(ndim):
        mask, start = _tight(mask, start, axis)
    mask.flags.writeable = False
    return Support(mask, start)


_Placed = tuple[Any, tuple[int, ...]]  # a mask and where it starts


def _adjoint(mask: Any, start: int, axis: int, g: AxisGeometry, n: int | None) -> tuple[Any, int]:
    """Sites along `axis` that the sites of `mask` read, cut to 0..n-1."""
    if g == AxisGeometry():
        return mask, start
    mask = np.moveaxis(mask, axis, 0)
    if g.padding == "whole" and n is not None:
        hit = np.broadcast_to(mask.any(axis=0), (n, *mask.shape[1:]))
        return np.moveaxis(hit, 0, axis), 0
    before, count = g.pads(n)[0], len(mask)
    if g.transposed:
        first = -((g.kernel - 1 - start - before) // g.stride)
        sites = np.arange(first, (start + count - 1 + before) // g.stride + 1)
        hit = np.zeros((len(sites), *mask.shape[1:]), bool)
        for tap in range(g.kernel):
            x = g.stride * sites + tap - before - start
            inside = (x >= 0) & (x < count)
            hit[inside] |= mask[x[inside]]
    else:
        first = g.stride * start - before
        hit = np.zeros((g.stride * (count - 1) + g.extent if count else 0, *mask.shape[1:]), bool)
        for tap in range(g.kernel if count else 0):
            hit[g.dilation * tap:][:g.stride * (count - 1) + 1:g.stride] |= mask
    if n is not None:
        cut = slice(max(-first, 0), max(n - first, 0))
        hit, first = hit[cut], max(first, 0)
    return np.moveaxis(hit, 0, axis), first


def _tight(mask: Any, start: tuple[int, ...], axis: int) -> _Placed:
    """The mask from its first site along `axis` to its last."""
    hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
    first, stop = (int(hit[0]), int(hit[-1]) + 1) if hit.size else (0, 0)
    mask = np.moveaxis(np.moveaxis(mask, axis, 0)[first:stop], 0, axis)
    return mask, start[:axis] + (start[axis] + first,) + start[axis + 1:]


def _either(a: _Placed, b: _Placed) -> _Placed:
    """Sites of either mask, on the smallest box around both."""
    start = tuple(map(min, a[1], b[1]))
    stop = [max(s + n for s, n in zip(ends, sizes))
            for ends, sizes in zip(zip(a[1], b[1]), zip(a[0].shape, b[0].shape))]
    both = np.zeros([e - s for s, e in zip(start, stop)], bool)
    for mask, first in (a, b):
        both[tuple(slice(f - s, f - s + m) for f, s, m in zip(first, start, mask.shape))] |= mask
    return both, start


def _text(values: Any) -> str:
    if values is None:
        return "?"
    words = ["whole" if v == math.inf else str(v) for v in values]
    return words[0] if len(set(words)) == 1 else "x".join(words)


def summary(net: Network, image: Any = None, ndim: int = 2) -> str:
    """A table of all nodes: op, output shape for `image`, TRF size, effective stride and padding.

    "whole" is the whole image (infinite on the plane), "?" depends on the size of the image.
    """
    fields = receptive_fields(net, image=image, ndim=ndim)
    dims = next(iter(fields.values())).ndim
    shapes = net.shapes(image, dims) if image is not None else {}
    rows = [("node", "op", "output", "TRF", "stride", "padding")]
    for node in net.nodes:
        rf = fields[node.name]
        shape = "x".join(map(str, shapes[node.name])) if shapes else "-"
        rows.append((node.name, node.layer.kind, shape, _text(rf.size), _text(rf.stride),
                     _text(rf.padding)))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                     for row in rows)
