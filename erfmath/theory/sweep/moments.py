"""Second moments on maps.

A map is an image with borders; or, for the infinite plane, a single point where all sites are alike,
or else (after upsampling, where sites differ by phase) a torus large enough that its ends do not meet.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...base.errors import check_bytes
from ..memory import lazy, replace
from .inputs import InputModel
from .site_distribution import SiteDistribution
from .taps import REMEDY, Array, Taps
from .values import Gaussian, SiteValue, Value

if TYPE_CHECKING:
    from ..rules.directions import Patterns
    from ..rules.functions import Function

__all__ = ["Common", "Map", "Moments", "Tilt", "at", "concatenate", "in_parts", "inside", "overlap", "ratio", "refit"]

#: What rounding leaves of a covariance, as a part of the second moment.
ROUNDED = 1e-14
#: First parts of `Moments.normed` of norms that take the mean of a channel over its map.
NORMS_OF_MAPS = ("batch_norm", "map")


class Tilt(NamedTuple):
    """What a norm does to the taps of one convolution.

    Attributes
    ----------
    group : int
        Of its channels.
    way : tuple of int
        The convolution, and concatenations since.
    ratios : callable
    """

    group: int
    way: tuple[int, ...]
    ratios: Callable[[], Patterns | None]


class Map(NamedTuple):
    """The map that random layers have made values from: other layers that read it have its fluctuations in common.

    What values share given a map is a mean over its channels, and varies with the distant sites (or inputs) that are
    compared, as given the maps further down.

    Attributes
    ----------
    node : int
        That holds it.
    parts : tuple of (float, tuple of ndarray)
        For each map the variance over E[v^2]^2 right above it, and per axis how it is correlated over lags by now.
    """

    node: int
    parts: tuple[tuple[float, tuple[Array, ...]], ...]

    @property
    def varies(self) -> float:
        """The variance over distant pairs of sites, over E[v^2]^2."""
        return sum(part * math.prod(float(line[len(line) // 2]) for line in lines) for part, lines in self.parts)

    def through(self, taps: Sequence[Taps]) -> Map:
        """After random weights: both sites read through the same tap."""
        parts = self.parts
        for one in taps:
            if one.rows is not None or len(one.axes) > 1 or one.trivial:
                continue
            (axis,), (g,) = one.axes, one.geometry
            weights = np.zeros(g.extent)
            weights[::g.dilation] = one.weights / one.weights.sum()
            pairs = np.convolve(weights, weights[::-1])
            step = 1 if g.transposed else g.stride
            found = []
            for part, lines in parts:
                line = np.convolve(lines[axis], pairs)
                found.append((part, (*lines[:axis], line[len(line) // 2 % step::step], *lines[axis + 1:])))
            parts = tuple(found)
        return self._replace(parts=parts)


@dataclass(eq=False)
class Moments:
    """Moments of one node's values.

    Attributes
    ----------
    values : ndarray, shape (groups, *lags, *lattice)
        M(x, tau) = E[v(x) v(x + tau)] per channel group.
    cov_far : ndarray, shape (groups,)
        c: the same for distant sites or independent inputs, averaged over the map.
    corr_site : ndarray, shape (groups,)
        E[v v'] / E[v^2] of independent inputs at one place; neighbours share it unless lags say more.
    sites : tuple of (Value or None)
        What the value of a site is, per group; None is a Gaussian that nothing but `values` describes.
    wraps : bool
        Whether the map is a torus or a point, that is, stands for the plane.
    plane : Moments, optional
        The same far from all borders, at a point; gives an image the correlation of neighbours.
    normed : tuple of (str, int) or None
        Per group, by which norm the values have been normalised, and nothing else since: once more changes nothing but
        scale; empty where none has been.
    pixels : InputModel, optional
        What the values are, if they are correlated pixels.
    tilts : tuple of Tilt
        By what dividing by their variance multiplies the power of each tap of the convolutions that have just made the
        values, beyond the mean variance.
    alike : bool
        Whether the map is the same along all axes, as where the image is a square and no layer tells axes apart.
    offset : ndarray, shape (groups, *lattice), optional
        By what the mean of a site differs from that of the map, the same in all channels: so it is near borders where
        a batch norm takes one mean from values that have another there.
    windows : ndarray, shape (groups, *lattice), optional
        Of how many sites each is the largest, or a function of that: of fewer at borders.  0 of groups of others.
    common : Common, optional
        Gives E[v(x) v'] over distant sites (or inputs) v', in parts of its average, per group and site.  None: it falls
        towards borders as `second` does.
    made_from : Map, optional
        What they were made from, where products may ask.
    periods : tuple of int
        After how many sites phases of a transposed layer repeat, along each axis; empty where there are none.
    """

    values: Array
    cov_far: Array
    corr_site: Array
    sites: tuple[SiteValue, ...]
    wraps: bool
    plane: Moments | None = None
    normed: tuple[tuple[str, int] | None, ...] = ()
    pixels: InputModel | None = None
    tilts: tuple[Tilt, ...] = ()
    common: Common | None = None
    offset: Array | None = None
    windows: Array | None = None
    made_from: Map | None = None
    alike: bool = False
    periods: tuple[int, ...] = ()

    @property
    def ndim(self) -> int:
        """Number of spatial dimensions."""
        return (self.values.ndim - 1) // 2

    @lazy
    def lags(self) -> tuple[int, ...]:
        """Half-widths of the box of lags."""
        return tuple([n // 2 for n in self.values.shape[1:1 + self.ndim]])

    @lazy
    def second(self) -> Array:
        """q per group and site, shape (groups, *lattice)."""
        return self.values[at(self.lags)]

    @lazy
    def average(self) -> Array:
        """q per group, averaged over the map, shape (groups,)."""
        return self.mean(self.second)

    @lazy
    def cov_site(self) -> Array:
        """E[v v'] of independent inputs at one place, averaged over the map, shape (groups,)."""
        return self.corr_site * self.average

    @lazy
    def coupled(self) -> bool:
        """Whether distant sites have anything in common, more than rounding leaves where a mean has been taken off."""
        far = self.cov_far.tolist()
        return any(far) and any([abs(c) > ROUNDED * q for c, q in zip(far, self.average.tolist())])

    @lazy
    def gaussian(self) -> bool:
        """Whether no site's value is more than a Gaussian."""
        return self.sites.count(None) == len(self.sites)

    def mean(self, maps: Array) -> Array:
        """Mean of a map per group, shape (groups,)."""
        flat = maps.reshape(len(maps), -1)
        return np.add.reduce(flat, axis=1) / flat.shape[1]

    def per_site(self, numbers: Array) -> Array:
        """One number per group, shaped to multiply maps."""
        return numbers.reshape((-1,) + (1,) * self.ndim)

    def per_pair(self, numbers: Array) -> Array:
        """One number per group, shaped to multiply `values`."""
        return numbers.reshape((-1,) + (1,) * (self.values.ndim - 1))

    @property
    def summed_to_zero(self) -> Array | None:
        """Per group, of how many values a norm has just taken the mean off; None of none."""
        if not self.normed or self.wraps:
            return None
        sites = self.second[0].size
        return np.array([math.inf if norm is None or norm[0] not in NORMS_OF_MAPS or norm[1] * sites < 2 else
                         norm[1] * sites for norm in self.normed], dtype=float)

    def value(self, group: int) -> Value:
        """The value of a site of a group, at the average second moment."""
        known, q = self.sites[group], float(self.average[group])
        if known is None:
            return Gaussian.of(q, float(self.cov_site[group])).value()
        return known.times(math.sqrt(q / known.second)) if known.second else known

    def times(self, factor: float) -> Moments:
        """Of the values times a number."""
        sites = tuple(None if site is None else site.times(factor) for site in self.sites)
        offset = None if self.offset is None else self.offset * factor
        return replace(self, values=self.values * factor**2, cov_far=self.cov_far * factor**2, sites=sites,
                       offset=offset)

    def distribution(self, group: int, near: float | None = None) -> SiteDistribution:
        """The distribution of that; with `near`, the part that sites share is such that E[v v'] is that."""
        value = self.value(group)
        return value.distribution if near is None else value.sharing(near).distribution

    def products(self, maps: Array, box: tuple[int, ...]) -> Array:
        """maps(x) maps(x + tau) for every lag of a box, shape (groups, *lags, *lattice); 0 outside an image."""
        lags = math.prod(2 * h + 1 for h in box)
        check_bytes(8 * lags * maps.size, f"second moments at {lags} lags", REMEDY)
        squares = (maps * maps)[(slice(None), *(None,) * self.ndim)]
        if not any(box):
            return squares
        if self.wraps and maps.size == len(maps):  # a point is its own neighbour
            return squares * np.ones([2 * h + 1 for h in box] + [1] * self.ndim)
        around = [(0, 0), *((h, h) for h in box)]
        padded = np.pad(maps, around, mode="wrap") if self.wraps else np.pad(maps, around)
        partners = np.lib.stride_tricks.sliding_window_view(padded, maps.shape[1:], tuple(range(1, 1 + self.ndim)))
        return maps[(slice(None), *(None,) * self.ndim)] * partners

    def correlations(self, box: tuple[int, ...]) -> Array:
        """E[v v'] / q in the interior for every lag of a box: as carried, else `corr_site`."""
        if self.plane is not None and any(self.plane.lags):
            return self.plane.correlations(box)
        pairs = self.values.reshape(*self.values.shape[:1 + self.ndim], -1)
        q = np.where(self.average > 0, self.average, 1.0) * pairs.shape[-1]
        carried = np.asarray(np.add.reduce(pairs, axis=-1) / self.per_site(q))
        if box == self.lags:
            return carried
        shape = len(q), *(2 * h + 1 for h in box)
        check_bytes(8 * math.prod(shape), f"correlations of shape {shape}", REMEDY)
        if self.by_phase is not None:
            places = np.ix_(np.arange(len(q)), *map(_of_phases, self.lags, box, self.periods))
            return np.asarray(self.by_phase[places])
        out = np.empty(shape)
        out[:] = self.per_site(self.corr_site)
        held, there = overlap(self.lags, box)
        out[there] = carried[held]
        return out

    @lazy
    def by_phase(self) -> Array | None:
        """The same of carried lags, of pairs on the map; None where these are not of all phases, or there are none."""
        if not self.periods or any(h < period for h, period in zip(self.lags, self.periods)):
            return None
        pairs, among = (values.reshape(*values.shape[:1 + self.ndim], -1).sum(axis=-1) for values in (
            self.values, self.products(self.deviation, self.lags)))
        return ratio(pairs, among)

    @property
    def far_phases(self) -> Array | None:
        """Correlations of the farthest sites of each phase that lags are carried for, shape (groups, phases)."""
        if self.by_phase is None:
            return None
        last = (slice(None), *(slice(2 * h + 1 - period, None) for h, period in zip(self.lags, self.periods)))
        return self.by_phase[last].reshape(len(self.by_phase), -1)

    def open_pairs(self, function: Function, lags: tuple[int, ...], gates: Array) -> None:
        """Note how often a function of two sites is open at both, for `opened`."""
        self.__dict__["_opened"] = function, lags, gates

    def opened(self, function: Function, lags: tuple[int, ...]) -> Array | None:
        """How often that is, for every lag of a box, shape (groups, *lags, *lattice), where it has been noted."""
        known = self.__dict__.get("_opened")
        return known[2] if known is not None and known[0] is function and known[1] == lags else None

    def shared(self, box: tuple[int, ...]) -> Array:
        """What nearby sites share if they share `corr_site`, for every lag of a box, as `values`."""
        return self.per_pair(self.corr_site) * self.products(self.deviation, box)

    @lazy
    def deviation(self) -> Array:
        """sqrt(q) per group and site, shape (groups, *lattice)."""
        return np.sqrt(self.second)

    @lazy
    def mean_deviation(self) -> Array:
        """Mean of that over the map, per group."""
        return self.mean(self.deviation)

    @property
    def falls(self) -> Array:
        """What is as `deviation` up to a factor per group."""
        known = self.__dict__.get("_falls")
        return self.deviation if known is None else known

    @property
    def falling_as_deviations(self) -> Common:
        """`common` of values whose means fall as deviations do."""
        if "_falls" in self.__dict__ or "mean_deviation" not in self.__dict__:
            return Common(functools.partial(in_parts, self.falls), self.falls)
        return Common(functools.partial(in_parts, self.deviation, self.mean_deviation), self.deviation)

    @property
    def means(self) -> Array:
        """E[v] per group, at the average second moment, shape (groups,)."""
        return np.array([0.0 if site is None else self.value(g).mean for g, site in enumerate(self.sites)])

    @property
    def mean_map(self) -> Array:
        """E[v] per group and site.

        Means fall towards borders as deviations do, unless that is more than distant sites share: the largest of fewer
        sites has another mean.
        """
        means = self.per_site(self.means) * self.level_map
        less = self.means**2 * self.level > self.cov_far * (1 + 1e-6)
        if self.common is None or not less.any():
            return means
        shared = np.copysign(np.sqrt(np.maximum(self.cov_far, 0.0)), self.means)
        return np.where(self.per_site(less), self.per_site(shared) * self.common_map, means)

    @property
    def level_map(self) -> Array:
        """sqrt(q) over that of the average, per group and site: means fall towards borders as deviations do."""
        return self.deviation / self.per_site(np.where(self.average > 0, np.sqrt(self.average), 1.0))

    @lazy
    def level(self) -> Array:
        """Mean over pairs of sites of sqrt(q q'), as a part of average q: c falls as these do."""
        if self.second[0].size == 1:
            return np.ones(len(self.average))
        if len(self.average) == 1:
            mean, q = self.mean_deviation.item(), self.average.item()
            return np.array([mean * mean / q if q else 1.0])
        return ratio(self.mean_deviation**2, self.average, 1.0)

    def with_lags(self, want: tuple[int, ...]) -> Moments:
        """The box of lags `want`; at lags that were not carried sites share `corr_site`."""
        if want == self.lags:
            return self
        if not any(want):
            return replace(self, values=self.second[(slice(None), *(None,) * self.ndim)])
        values = self.correlations(want)[(..., *(None,) * self.ndim)] * self.products(self.deviation, want)
        held, there = overlap(self.lags, want)
        values[there] = self.values[held]
        return replace(self, values=values)

    def spread(self, extent: tuple[int, ...], lags: tuple[int, ...]) -> Moments:
        """Moments of one site that serves a whole map: the same value everywhere."""
        values = self.per_pair(self.average) * inside(extent, lags, self.wraps)
        return Moments(values, self.cov_far, self.corr_site, self.sites, self.wraps)

    def multiple(self, factor: Any, cov_far: Array, corr_site: Array, sites: tuple[SiteValue, ...],
                 common: Callable[[], Array] | None = None) -> Moments:
        """M(x, tau) times a number (per group), all else as given: what the map is like need not be found again."""
        times = factor if isinstance(factor, float) else self.per_pair(np.asarray(factor))
        out = Moments(self.values * times, cov_far, corr_site, sites, self.wraps,
                      common=None if self.wraps else Common.of(common))
        known, other = self.__dict__, out.__dict__
        for name in ("lags", "level"):
            if name in known:
                other[name] = known[name]
        other["average"] = self.average * factor
        other["_falls"] = known.get("_falls", known.get("deviation"))
        return out

    def beside(self, plane: Moments) -> Moments:
        """The same, with the moments far from all borders."""
        return self._with(plane=plane)

    def with_common(self, common: Callable[[], Array] | None) -> Moments:
        """The same, where distant sites have so much in common."""
        return self if self.wraps or common is self.common else self._with(common=Common.of(common))

    def with_map(self, made_from: Map | None) -> Moments:
        """The same, with what they were made from."""
        return self._with(made_from=made_from)

    def alone(self) -> Moments:
        """The same without what ties it to other nodes, for what may be asked of it long after these are done."""
        return self._with(common=None, tilts=(), plane=None)

    def _with(self, **others: Any) -> Moments:
        """The same with other fields, of which nothing that is known already depends."""
        out = object.__new__(Moments)
        out.__dict__.update(self.__dict__, **others)
        return out

    @property
    def common_map(self) -> Array:
        """What `common` says, as a map."""
        return self.falling(self.second) if self.common is None else self.common()

    @property
    def common_falls(self) -> Array:
        """The same up to a factor per group."""
        return self.second if self.common is None else self.common.falls

    @property
    def means_map(self) -> Array:
        """What distant sites have in common falls towards borders in proportion to this, per group and site."""
        return self.deviation if self.common is None else self.common()

    @property
    def lines(self) -> tuple[Array, ...]:
        """Means of `means_map` along each axis, as `lines_of`."""
        if self.common is not None:
            return self.common.lines(self.alike)
        return lines_of(self.falls if len(self.sites) == 1 else self.deviation, self.alike)

    def falling(self, maps: Array) -> Array:
        """Maps in parts of their averages, per group; 1 where all is 0."""
        return in_parts(maps)

    def of_groups(self, owner: Array) -> Moments:
        """Moments of the groups `owner`, one for each of its entries."""
        if len(owner) == len(self.cov_far) and (len(owner) == 1 or (owner == np.arange(len(owner))).all()):
            return self
        common = self.common
        return replace(self, values=self.values[owner], cov_far=self.cov_far[owner], corr_site=self.corr_site[owner],
                       common=None if common is None else Common(lambda: common()[owner]),
                       offset=None if self.offset is None else self.offset[owner],
                       windows=None if self.windows is None else self.windows[owner],
                       normed=self.normed and tuple(self.normed[k] for k in owner),
                       tilts=tuple(Tilt(n, way, ratios) for g, way, ratios in self.tilts
                                   for n in np.flatnonzero(np.asarray(owner) == g).tolist()),
                       sites=tuple(self.sites[k] for k in owner))

    def _mixed_common(self, share: Array) -> Array:
        assert self.common is not None
        parts = self.common() * self.per_site(self.cov_far)
        return self.falling((share @ parts.reshape(len(parts), -1)).reshape(len(share), *parts.shape[1:]))

    def mixed(self, share: Array) -> Moments:
        """Means over groups, as layers see them that read several; `share` has shape (groups after, groups)."""
        if len(self.cov_far) == len(share) == 1:
            return self
        values = (share @ self.values.reshape(share.shape[1], -1)).reshape(len(share), *self.values.shape[1:])
        out = replace(self, values=values, cov_far=share @ self.cov_far,
                      corr_site=ratio(share @ self.cov_site, share @ self.average), sites=(None,) * len(share),
                      normed=(),
                      common=None if self.common is None else Common(lambda: self._mixed_common(share)))
        vars(out)["average"] = share @ self.average
        return out


class Common:
    """A map of what distant sites have in common, made when it is asked for, and once: several layers may ask."""

    __slots__ = ("_falls", "_lines", "_made", "_make")

    def __init__(self, make: Callable[[], Array], falls: Array | None = None) -> None:
        self._make: Callable[[], Array] | None = make
        self._made: Array
        self._falls = falls  # a multiple of it, which does for its lines
        self._lines: tuple[Array, ...] = ()

    @staticmethod
    def of(make: Callable[[], Array] | None) -> Common | None:
        """The function as such a map; one that is already stays."""
        return make if make is None or isinstance(make, Common) else Common(make)

    def __call__(self) -> Array:
        if self._make is not None:
            self._made, self._make, self._falls = self._make(), None, None
        return self._made

    @property
    def falls(self) -> Array:
        """The map up to a factor per group."""
        return self() if self._falls is None else self._falls

    def lines(self, alike: bool) -> tuple[Array, ...]:
        """As `lines_of`."""
        if not self._lines:
            known = self._falls
            self._lines = lines_of(self() if known is None or len(known) > 1 else known, alike)
        return self._lines


def lines_of(maps: Array, alike: bool) -> tuple[Array, ...]:
    """Per axis the mean across it at each site, in parts of that of all, shape (sites,).

    Of maps that are `alike` along all axes one line serves these.
    """
    found = []
    for axis in range(1, 2 if alike else maps.ndim):
        line = np.add.reduce(maps, axis=_ACROSS[maps.ndim, axis])
        total = np.add.reduce(line)
        line *= len(line) / (total or 1.0)
        found.append(line)
    return tuple(found * (maps.ndim - 1) if alike else found)


#: All axes of a map of so many, but one.
_ACROSS = {(ndim, axis): tuple(a for a in range(ndim) if a != axis) for ndim in range(2, 8) for axis in range(1, ndim)}


def _of_phases(have: int, want: int, period: int) -> Array:
    """Places of carried lags that stand for those of a wider box: the farthest of the same phase."""
    lags = np.arange(-want, want + 1)
    beyond = have - (have - np.abs(lags)) % period
    return have + np.where(np.abs(lags) <= have, lags, np.sign(lags) * beyond)


def inside(extent: tuple[int, ...], lags: tuple[int, ...], wraps: bool = False) -> Array:
    """1 where both sites of a pair lie on the map, shape (*lags, *extent)."""
    total = np.ones((*(2 * h + 1 for h in lags), *extent))
    for axis, (h, n) in enumerate(zip(lags, extent)):
        if h and not wraps:
            partner = np.arange(n) + np.arange(-h, h + 1)[:, None]
            shape = [1] * total.ndim
            shape[axis], shape[len(lags) + axis] = 2 * h + 1, n
            total *= ((partner >= 0) & (partner < n)).reshape(shape)
    return total


def in_parts(maps: Array, mean: Array | None = None) -> Array:
    """Maps in parts of their averages (which may be known), per group; 1 where all is 0."""
    if mean is None:
        flat = maps.reshape(len(maps), -1)
        mean = np.add.reduce(flat, axis=1) / flat.shape[1]
    return ratio(maps, mean.reshape((-1,) + (1,) * (maps.ndim - 1)), 1.0)


def ratio(part: Any, whole: Any, otherwise: float = 0.0) -> Array:
    """part / whole, `otherwise` where the whole is 0."""
    whole = np.asarray(whole)
    if whole.item() if whole.size == 1 else np.count_nonzero(whole) == whole.size:
        return np.asarray(part / whole)
    shape = np.broadcast_shapes(np.shape(part), whole.shape)
    return np.divide(part, whole, out=np.full(shape, otherwise), where=whole > 0)


def overlap(have: tuple[int, ...], want: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where the lags common to two boxes lie in either, after the group axis."""
    common = [min(h, w) for h, w in zip(have, want)]
    return ((slice(None), *(slice(h - c, h + c + 1) for h, c in zip(have, common))),
            (slice(None), *(slice(w - c, w + c + 1) for w, c in zip(want, common))))


def refit(values: Array, want: tuple[int, ...], first: int) -> Array:
    """The box of lags, which begins at axis `first`, cut or filled with zeros."""
    have = tuple(n // 2 for n in values.shape[first:first + len(want)])
    if have == want:
        return values
    index: list[Any] = [slice(None)] * first + [slice(max(h - w, 0), h + min(h, w) + 1) for h, w in zip(have, want)]
    width = [(0, 0)] * first + [(max(w - h, 0),) * 2 for h, w in zip(have, want)]
    return np.pad(values[tuple(index)], width + [(0, 0)] * (values.ndim - len(width)))


def at(lags: tuple[int, ...]) -> Any:
    """Index of lag 0 in an array over (groups, *lags, ...) with half-widths `lags`."""
    return slice(None), *lags


def concatenate(parts: list[Moments], node: int | None = None) -> Moments:
    """Groups of several nodes, one after the other, in `node`; the lags must agree."""
    values, cov_far, corr_site = (np.concatenate([getattr(part, what) for part in parts])
                                  for what in ("values", "cov_far", "corr_site"))
    out = Moments(values, cov_far, corr_site, tuple([site for part in parts for site in part.sites]), parts[0].wraps)
    vars(out)["average"] = np.concatenate([part.average for part in parts])
    for name in ("offset", "windows"):
        maps = [getattr(part, name) for part in parts]
        if any(one is not None for one in maps):
            out = out._with(**{name: np.concatenate([
                np.zeros(part.second.shape) if one is None else one for part, one in zip(parts, maps)])})
    if node is not None and any(part.tilts for part in parts):
        first = itertools.accumulate((len(part.cov_far) for part in parts), initial=0)
        out = out._with(tilts=tuple(Tilt(before + group, (*way, node), ratios) for before, part in zip(first, parts)
                                    for group, way, ratios in part.tilts))
    if any(part.normed for part in parts):
        out = out._with(normed=tuple(norm for part in parts for norm in part.normed or (None,) * len(part.cov_far)))
    if all(part.common is None for part in parts):
        return out
    return out.with_common(lambda: np.concatenate([part.common_map for part in parts]))
