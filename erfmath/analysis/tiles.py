"""Tiles against the effective receptive field: what a unit loses that sees beyond the tile it lies in."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..base.checks import real
from ..base.errors import SizeError, quoted
from ..base.progress import Report, shown
from ..base.tables import Printed
from ..lattice.field import Field
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..networks.trf import ReceptiveField, receptive_fields
from ..theory.predict import predict
from ..theory.sweep.forward import Gates
from ..theory.sweep.plan import Plan
from ..theory.sweep.transpose import Reading, Spans, readout
from .size_map import prepare

__all__ = ["TileHalo", "tile_halo"]

#: Side of the largest image on which `tile_halo` works unasked, where the network sees further than that.
LARGEST_IMAGE = 768


@dataclass(frozen=True)
class TileHalo(Printed):
    """How much context a tile needs around the part of it that is kept; printed with str().

    Attributes
    ----------
    halo : int
        Pixels of context on each side.
    error : float
        Largest fraction of a kept unit's power that is lost: along paths that leave the tile in any
        layer, where zero padding replaces what the whole image has there.  Without nonlinearities it
        is the mean squared error over the mean square of the output, for white pixels.
    cut : float
        Largest fraction of a kept unit's power that lies outside the tile at the input.
    exact : int
        Halo at which nothing is lost, from the theoretical receptive field.
    multiple : int
        Tiles must start at multiples of this many pixels for their sites to be those of the image.
    image : tuple of int
        The image that tiles were compared with.
    """

    halo: int
    error: float
    cut: float
    exact: int
    multiple: int
    image: tuple[int, ...]

    def __str__(self) -> str:
        return (f"halo       {self.halo} px on each side, tiles at multiples of {self.multiple} px\n"
                f"error      at most {self.error:.3g} of a kept unit's power ({self.cut:.3g} lies outside the tile)\n"
                f"no error   at {self.exact} px, the theoretical receptive field")


def tile_halo(net: Network, error: float = 0.01, *, image: Any = None, node: str | None = None, width: int = 16,
              channels_in: int = 3, ndim: int = 2, weights: Mapping[str, Any] | None = None,
              progress: Report = None) -> TileHalo:
    """Compute the overlap of tiles that keeps the error in their interior below a bound.

    An image is cut into tiles, each with a halo; the network runs on every tile, and the outputs
    inside the halo are thrown away.  A kept unit at the corner of the interior loses the paths that
    leave the tile in any layer (equation 14): a fraction `error` of its power.  Gates are those of the
    whole image, as batch norms with frozen statistics are.

    Where no weight is random, the gradient g of the unit in the whole image and the gradient g' of the
    same unit in the tile are numbers, and the error is

        sum_i (g(i) - g'(i))^2 / sum_i g(i)^2

    over the pixels: again the mean squared error of the output over its mean square, for white pixels,
    the same in all channels, and for the mean over the unit's channels.  It is exact, and includes what
    pools at the border of a tile put in place of a lost path.

    Parameters
    ----------
    net : Network
        Its output, or `node`, must be a map.
    error : float
        Largest fraction of the power that may be lost; 0 is the halo of the theoretical receptive
        field, from geometry alone.  The error falls with the halo except for weights of both signs, of
        which more may be missed as paths come in: then the halo is one whose error is below the bound
        and above it one step before, not always the smallest.
    image : int or tuple of int, optional
        Size of the whole image, from which tiles are cut.  Units in the middle of it are compared; if
        they see beyond it, those of an image that holds all they see, of up to 768 pixels a side, or all
        but a small fraction of the error.
    node, width, channels_in, ndim, weights : optional
        As in `predict`.
    progress : bool, optional
        True for a bar on stderr.

    Returns
    -------
    TileHalo
        Halo, error and multiple.

    Raises
    ------
    ValueError
        Where no unit has tiles (global pooling), no tile with the halo fits into the image, or units see
        more than the largest image holds.
    NotImplementedError
        Where the error is above 0 and random weights and such as tie channels (`Constant`, `Fixed` for
        all channels) are mixed in one network, or branches meet with no random layer between: lost and
        kept paths then interfere.

    See Also
    --------
    coverage : Fraction of the ERF inside an object.
    erf_size_map : Size and centre of the effective receptive field of every unit of a map.

    Examples
    --------
    >>> import erfmath as em
    >>> tile = em.tile_halo(em.zoo.unet(), error=0.01)
    >>> tile.halo, tile.exact, tile.multiple, tile.cut < tile.error < 0.01
    (64, 96, 16, True)

    What counts is the square of the gradient.  Of filters of ones it is narrower than of random filters:

    >>> ones, random = em.zoo.plain(20, weights=em.Constant()), em.zoo.plain(20)
    >>> [em.tile_halo(net, error=0.01).halo for net in (ones, random)]
    [7, 10]
    """
    settings = RunSettings.of(net, image=image, node=node, width=width, channels_in=channels_in, ndim=ndim,
                              weights=weights)
    error = real(error, "error")
    if not 0 <= error < 1:
        raise ValueError(f"error={quoted(error)}: must be at least 0 and below 1")
    tiles = _Tiles(net, settings)
    with shown(progress, "tiles"):
        found = _smallest(net, settings, tiles, error) if error else tiles.result(tiles.exact, 0.0, 0.0)
    if settings.image and found.multiple + 2 * found.halo > min(settings.image):
        raise ValueError(f"image={quoted(settings.image)}: too small for tiles with a halo of {found.halo} on each "
                         f"side of {found.multiple} pixels, where the error is {found.error:.3g}; take the image as "
                         "one tile, or give a larger error=")
    return found


def _smallest(net: Network, settings: RunSettings, tiles: _Tiles, error: float) -> TileHalo:
    """By bisection in multiples, since the error falls with the halo."""
    swept = prepare(net, settings.but(image=tiles.image), flat=False)
    power = _Swept(*swept, tiles) if swept else _Known(net, settings, tiles)
    if tiles.start < tiles.exact and max(power.cut(tiles.middle), _beyond(net, settings, tiles)) > error / 2:
        raise ValueError(f"error={error:g}: units see more than an image of {tiles.image} holds; " + tiles.remedy)
    low, high = -1, min(tiles.start, tiles.exact) // tiles.multiple
    found = 0.0
    while high - low > 1:
        middle = (low + high) // 2
        here = max(0.0, *(power.lost(spans) for spans in tiles.spans(middle * tiles.multiple)))
        if here <= error:
            high, found = middle, here
        else:
            low = middle
    halo = high * tiles.multiple
    if halo == tiles.start < tiles.exact:
        raise ValueError(f"error={error:g}: units lose more than that in all tiles of an image of {tiles.image}; "
                         + tiles.remedy)
    return tiles.result(halo, found, max(power.cut(spans[-1]) for spans in tiles.spans(halo)))


def _beyond(net: Network, settings: RunSettings, tiles: _Tiles) -> float:
    """Fraction of the ERF on the plane outside an image about its centre: of sparse taps the image may hold none."""
    try:
        erf = predict(net, **settings.but(image=None).keywords)
        lo, hi = zip(*((math.ceil(c - n / 2), math.floor(c + n / 2)) for c, n in zip(erf.center, tiles.image)))
        inside = float(erf.crop(lo, hi, of="share").sum())
    except SizeError:
        return 1.0
    except (NotImplementedError, ValueError):  # what only an image can tell
        return 0.0
    return max(1 - inside, 0.0)


class _Tiles:
    """Geometry: a block of kept units in the middle of an image, and tiles that end a halo beyond it on one side."""

    def __init__(self, net: Network, settings: RunSettings) -> None:
        self.net, self.top = net, net.index(settings.node)
        sized = settings.receptive_field(net)
        self.strides = _strides(net, sized, self.top)
        self.multiple = math.lcm(*(step.numerator for line in self.strides.values() for step in line))
        given = settings.image or ()
        if any(n % self.multiple for n in given) or min(given, default=3 * self.multiple) < 3 * self.multiple:
            raise ValueError(f"image={quoted(given)}: must be a multiple of {self.multiple}, the network's largest "
                             "stride, and at least three times that")
        self.exact = -(-_reach(sized, self.multiple) // self.multiple) * self.multiple
        side = self.multiple * (1 + 2 * min(self.exact, LARGEST_IMAGE // 2) // self.multiple)
        self.image = tuple(max(n, side) for n in given) or (side,) * settings.ndim
        self.start = min(self.image) // self.multiple // 2 * self.multiple
        if not given:
            self.start = min(self.start, self.exact)
        self.block = [range(int(self.start / s), int((self.start + self.multiple) / s)) for s in self.strides[self.top]]

    @property
    def middle(self) -> Spans:
        """The pixels of the image without a fringe of one eighth on each side."""
        return tuple((n // 8, n - n // 8) for n in self.image)

    @property
    def remedy(self) -> str:
        """What to do where the image is too small."""
        return f"give a larger image=, {2 * self.exact + self.multiple} pixels a side hold everything"

    def result(self, halo: int, error: float, cut: float) -> TileHalo:
        """What is said of a halo."""
        return TileHalo(halo, error, cut, self.exact, self.multiple, self.image)

    def spans(self, halo: int) -> list[dict[int, Spans]]:
        """Sites of every map, for the tiles that end a halo beyond the block, at each of its corners."""
        return [self._spans(halo, sides) for sides in itertools.product((False, True), repeat=len(self.image))]

    def _spans(self, halo: int, sides: Sequence[bool]) -> dict[int, Spans]:
        """Sites of every map that a tile has, cut off below (False) or above (True) along each axis."""
        first = [0 if above else self.start - halo for above in sides]
        stop = [self.start + self.multiple + halo if above else n for above, n in zip(sides, self.image)]
        stop = [min(b, n) for b, n in zip(stop, self.image)]
        shapes = {i: shape for i, shape in enumerate(self.net.shapes([b - a for a, b in zip(first, stop)]).values())}
        spans: dict[int, Spans] = {-1: tuple(zip(first, stop))}
        for i, steps in self.strides.items():
            begin = [int(a / s) for a, s in zip(first, steps)]
            spans[i] = tuple((b, b + n) for b, n in zip(begin, shapes[i]))
        return spans


class _Swept:
    """Power of the kept units of a network with random weights: lost paths carry theirs away."""

    def __init__(self, plan: Plan, gates: Gates, tiles: _Tiles) -> None:
        self.plan, self.gates, self.ones = plan, gates, np.ones((1, *tiles.image))
        self.kept: Any = (..., *(slice(line.start, line.stop) for line in tiles.block))
        self.whole, self.scale = readout(plan, gates, self.ones)

    def lost(self, spans: dict[int, Spans]) -> float:
        """Largest fraction of the power of a kept unit that flows along paths out of the tile."""
        return float((1 - self._part(readout(self.plan, self.gates, self.ones, spans))).max())

    def _part(self, reading: Reading) -> Any:
        """A reading over that of the whole image."""
        return reading.values[self.kept] / self.whole[self.kept] * math.exp(reading.log_scale - self.scale)

    def cut(self, tile: Spans) -> float:
        """Largest fraction of the power of a kept unit that lies outside the tile."""
        outside = self.ones.copy()
        outside[(slice(None), *_slices(tile))] = 0
        return float(self._part(readout(self.plan, self.gates, outside)).max())


class _Known:
    """The same without random weights: gradients of whole image and tile are numbers, and differ."""

    def __init__(self, net: Network, settings: RunSettings, tiles: _Tiles) -> None:
        self.net, self.top, self.settings = net, tiles.top, settings
        self.whole = {}
        for unit in itertools.product(*tiles.block):
            erf = predict(net, **settings.but(image=tiles.image, unit=unit).keywords)
            if erf.statistic != "mean":
                raise NotImplementedError(
                    "tiles of a network that mixes random weights with such as tie channels (Constant, Fixed for all "
                    "channels), or in which branches meet with no random layer between: lost and kept paths interfere, "
                    "and no part of the power is that of the lost ones; use measure(image=) on tile and image, or "
                    "error=0")
            self.whole[unit] = erf.map

    def lost(self, spans: dict[int, Spans]) -> float:
        size = tuple(stop - first for first, stop in spans[-1])
        parts = []
        for unit, whole in self.whole.items():
            inner = tuple(u - first for u, (first, _) in zip(unit, spans[self.top]))
            tile = predict(self.net, **self.settings.but(image=size, unit=inner).keywords).map
            rest = Field(whole) + Field(tile, tuple(first for first, _ in spans[-1])) * -1
            parts.append(_fraction(rest.values, whole))
        return max(parts)

    def cut(self, tile: Spans) -> float:
        parts = []
        for whole in self.whole.values():
            outside = whole.copy()
            outside[_slices(tile)] = 0
            parts.append(_fraction(outside, whole))
        return max(parts)


def _slices(tile: Spans) -> tuple[slice, ...]:
    return tuple(slice(first, stop) for first, stop in tile)


def _fraction(rest: Any, whole: Any) -> float:
    total = float((whole**2).sum())
    return float((rest**2).sum()) / total if total else 0.0


def _strides(net: Network, rf: ReceptiveField, top: int) -> dict[int, tuple[Fraction, ...]]:
    """Effective strides of all nodes up to `top`."""
    if rf.infinite or 0 in rf.stride:
        raise ValueError(f"{rf.node}: sees the whole image (global pooling), so that no tile will do; give node= a "
                         "node before it")
    fields = receptive_fields(net, image=rf.image, ndim=rf.ndim)
    return {i: tuple(Fraction(s) for s in fields[name].stride) for i, name in enumerate(net.names[:top + 1])}


def _reach(rf: ReceptiveField, multiple: int) -> int:
    """Pixels that units centred in one block see beyond it."""
    far = 0
    for axis, step in enumerate(rf.stride):
        for u in range(int(multiple / Fraction(step))):
            lo, hi = rf.window(u)
            far = max(far, -int(lo[axis]), int(hi[axis]) - multiple + 1)
    return far
