"""The pixels that a unit sees, holes of strides and dilation left out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..base.errors import check_bytes
from ..layers.geometry import SITE, AxisGeometry
from .strands import paths
from .trf import default_unit, receptive_field
from .windows import NONE, reads, reads_on_plane

if TYPE_CHECKING:
    from .network import Network

__all__ = ["Support", "support"]


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

    def __reduce__(self) -> tuple[Any, ...]:
        return _copied, tuple(self)

    @property
    def density(self) -> float:
        """Fraction of the box's pixels that are seen; 0 where there are none."""
        return float(self.mask.mean()) if self.mask.size else 0.0


def _copied(mask: npt.NDArray[np.bool_], origin: tuple[int, ...]) -> Support:
    mask.flags.writeable = False
    return Support(mask, origin)


def support(net: Network, *, image: Any = None, unit: Any = None, node: str | None = None, source: str | None = None,
            gates: bool = True, ndim: int = 2, channels_in: int | None = None) -> Support:
    """The input pixels that `unit` of `node` sees, holes of strides and dilation left out.

    Weights count as nonzero, statistics of norms as constants.  With `image` every layer's border is respected.

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
    source : str, optional
        Node whose map is looked at, in place of the input.
    gates : bool
        False leaves out what is seen only through factors of one site, as in squeeze-and-excite blocks.
    ndim : int
        Dimension, where the network leaves it open.
    channels_in : int, optional
        Channels of the input; matters to parts of channels that no layer has made anew, which count as the whole
        where it is not given.

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

    See Also
    --------
    receptive_field : Theoretical receptive field.

    Examples
    --------
    >>> import erfmath as em
    >>> net = em.serial(em.Conv(1, stride=2, padding=0), em.Conv(3, padding=1))
    >>> em.support(net).density  # 9 of 5 x 5 pixels
    0.36
    """
    rf = receptive_field(net, image=image, node=node, source=source, gates=gates, ndim=ndim,
                         channels_in=channels_in).on_plane()
    graph = paths(net, ndim, image=image, source=source, gates=gates, channels_in=channels_in,
                  stop=net.index(node) + 1)
    unit = default_unit(rf.shape, rf.ndim, unit)
    lo, hi = rf.window(unit)
    if rf.image is not None:
        lo, hi = tuple(max(a, 0) for a in lo), tuple(min(b, n - 1) for b, n in zip(hi, rf.image))
    check_bytes(math.prod(max(b - a + 1, 0) for a, b in zip(lo, hi)), f"the support of unit {unit}",
                "give an image, or take a smaller network")
    one = np.ones((1,) * rf.ndim, bool)
    seen: dict[int, _Placed] = {strand: (one, unit) for strand in graph.of_node[net.index(node)]}
    for i in range(len(graph.nodes) - 1, -1, -1):
        if i not in seen:
            continue
        mask, start = seen.pop(i)
        for j in set(graph.sources[i]):
            below = mask, start
            for axis in range(rf.ndim):
                n = None if graph.sizes is None else graph.sizes[j][axis]
                below = _adjoint(*below, axis, graph.geometry[i][axis], n)
            seen[j] = _either(seen[j], below) if j in seen else below
    mask, start = seen.get(-1, (np.zeros((0,) * rf.ndim, bool), lo))
    for axis in range(rf.ndim):
        mask, start = _tight(mask, start, axis)
    mask.flags.writeable = False
    return Support(mask, start)


_Placed = tuple[Any, tuple[int, ...]]  # a mask and where it starts


def _adjoint(mask: Any, start: tuple[int, ...], axis: int, g: AxisGeometry, n: int | None) -> _Placed:
    """Sites along `axis` that the sites of `mask` read, on a map of `n` (None: the plane)."""
    if g == SITE and n != 1:
        return mask, start
    mask, first, count = np.moveaxis(mask, axis, 0), start[axis], mask.shape[axis]
    if not count:
        sites = np.zeros((0, 1), int)
    elif n is None:
        sites = reads_on_plane(g, range(first, first + count))
    elif g == SITE:  # a map that was pooled to one site serves all
        sites = np.zeros((count, 1), int)
    else:
        sites = reads(g, n)[first:first + count]
    there = sites[sites != NONE]
    low, stop = (int(there.min()), int(there.max()) + 1) if there.size else (0, 0)
    hit = np.zeros((stop - low, *mask.shape[1:]), bool)
    for tap in sites.T:
        seen = tap != NONE
        np.logical_or.at(hit, tap[seen] - low, mask[seen])
    return np.moveaxis(hit, 0, axis), start[:axis] + (low,) + start[axis + 1:]


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
