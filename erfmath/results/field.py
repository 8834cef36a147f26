"""The effective receptive field of one unit, from theory or from measurement."""

from __future__ import annotations

import functools
import inspect
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..base.checks import choice, is_sequence, real
from ..base.errors import check_bytes
from ..networks.trf import ReceptiveField
from . import shapes, sizes
from .assumptions import Assumption

if TYPE_CHECKING:
    from .measured import MeasuredReceptiveField

__all__ = ["EffectiveReceptiveField", "STATISTICS"]

Array = npt.NDArray[np.float64]

#: What a map can hold: E[g^2], E[g], the root of E[g^2], E abs(g), E max(g, 0).
STATISTICS = ("power", "mean", "amplitude", "magnitude", "relu")


class EffectiveReceptiveField:
    """How strongly each input pixel acts on a unit.

    Made by `predict`, `measure` and `from_gradients`.  Arrays are read-only; ``map[0, ...]`` is the
    pixel at `origin`.  With the gradient g of the unit with respect to the pixel, `map` is E[g^2]
    (or another `statistic` of g) and `share` is map / sum(map).

    Parameters
    ----------
    map : array_like
        One value per pixel, summed over input channels; of what is told by `statistic`.
    origin : tuple of int
        Input pixel of ``map[0, ...]``.
    unit : tuple of int
        Site of the unit; empty where only its centre is known.
    trf : ReceptiveField or None
        Theoretical receptive field of the unit's node; gives the true centre.
    statistic : {"power", "mean", "amplitude", "magnitude", "relu"}
        E[g^2], E[g], the root of E[g^2], E abs(g) or E max(g, 0).
    method : str
        How it was obtained.
    assumptions : sequence of Assumption
        What it rests on.
    image : tuple of int, optional
        Size of the image in pixels; None on the infinite plane.
    stderr : array_like, optional
        Standard error of `map`; None means not sampled.
    center : tuple of float, optional
        True centre in input pixels, where there is no `trf` to tell it.

    Raises
    ------
    ValueError
        If `map` and `origin` differ in dimension, `statistic` is another word, or not just one of
        `trf` and `center` is given.
    OverflowError
        If `map` is not finite.

    Examples
    --------
    >>> import erfmath as em
    >>> erf = em.EffectiveReceptiveField([[0, 1, 0], [1, 4, 1], [0, 1, 0]], origin=(7, 7), unit=(), trf=None,
    ...                                  center=(8, 8))
    >>> float(erf.share.max()), erf.centroid, erf.std.tolist()             # a variance of 2 / 8 per axis
    (0.5, (8.0, 8.0), [0.5, 0.5])
    """

    def __init__(self, map: npt.ArrayLike, *, origin: tuple[int, ...], unit: tuple[int, ...],
                 trf: ReceptiveField | None, statistic: str = "power", method: str = "exact",
                 assumptions: Sequence[Assumption] = (), image: tuple[int, ...] | None = None,
                 stderr: npt.ArrayLike | None = None, center: Sequence[float] | None = None) -> None:
        values = _readonly(map)
        if values.ndim != len(origin):
            raise ValueError(f"map: has {values.ndim} axes, origin has {len(origin)} values")
        if not np.isfinite(values).all():
            raise OverflowError("map: holds values beyond the range of floats; choose gains near 1 "
                                "per layer")
        self._map: Array | None = values
        self._lines: tuple[Array, ...] | None = None
        self._log_total = float(np.log(abs(values.sum()))) if values.sum() != 0 else -math.inf
        self._describe(values.shape, origin, unit, trf, statistic, method, assumptions, image, center)
        self.stderr = None if stderr is None else _readonly(stderr)

    @classmethod
    def separable(cls, lines: Sequence[npt.ArrayLike], log_total: float, *, origin: tuple[int, ...],
                  unit: tuple[int, ...], trf: ReceptiveField, statistic: str, method: str,
                  assumptions: Sequence[Assumption] = ()) -> EffectiveReceptiveField:
        """A field whose share is the product of the marginals `lines`, one per axis, each of sum 1.

        `log_total` is the logarithm of sum(map); `map` itself is built only when asked for.  `origin`,
        `unit`, `trf`, `statistic`, `method` and `assumptions` are as of the class.
        """
        self = cls.__new__(cls)
        self._map, self._lines = None, tuple(_readonly(line) for line in lines)
        self._log_total = log_total
        self._describe(tuple(map(len, self._lines)), origin, unit, trf, statistic, method,
                       assumptions, None)
        self.stderr = None
        return self

    def _describe(self, shape: tuple[int, ...], origin: tuple[int, ...], unit: tuple[int, ...],
                  trf: ReceptiveField | None, statistic: str, method: str,
                  assumptions: Sequence[Assumption], image: tuple[int, ...] | None,
                  center: Sequence[float] | None = None) -> None:
        choice(statistic, "statistic", STATISTICS)
        if (trf is None) == (center is None):
            raise ValueError("center: needed where there is no trf to tell it, and only there")
        self.shape, self.origin, self.unit = tuple(shape), tuple(origin), tuple(unit)
        self.statistic, self.method, self.assumptions = statistic, method, tuple(assumptions)
        self.image, self.node, self.ndim = image, "" if trf is None else trf.node, len(self.shape)
        self._trf, self._center = trf, None if center is None else tuple(map(float, center))

    def __repr__(self) -> str:
        seen = "nothing seen"
        if self._log_total > -math.inf:
            seen = "std (" + ", ".join(f"{s:.4g}" for s in self.std) + ")"
        size = "unknown" if self._trf is None else self._trf.size
        return f"<EffectiveReceptiveField of {self.label}: {self.statistic}, {seen}, TRF {size}>"

    @property
    def label(self) -> str:
        """Whose field it is, in words."""
        if self.unit:
            return f"{self.node} unit {self.unit}"
        return "the unit centred at (" + ", ".join(f"{c:g}" for c in self.center) + ")"

    @property
    def trf(self) -> ReceptiveField:
        """Theoretical receptive field of the unit's node.

        Raises
        ------
        ValueError
            If it is not known: gradients do not tell it.  `window` is None then.
        """
        if self._trf is None:
            raise ValueError("trf: the theoretical receptive field of these gradients is not known; give "
                             "from_gradients trf=, a ReceptiveField or its size in pixels")
        return self._trf

    @property
    def window(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """First and last pixel of the unit's theoretical receptive field; None where not known."""
        return None if self._trf is None else self._trf.window(self.unit or 0)

    # -- maps ---------------------------------------------------------------------------------

    @property
    def map(self) -> Array:
        """E[g^2] or E[g] per pixel, summed over input channels, all gains included.

        Raises
        ------
        SizeError
            If the map of a chain would not fit in memory; `crop` gives parts of it.
        OverflowError
            If its values are beyond the range of floats; `share` is not.
        """
        if self._map is None:
            self._map = _readonly(self._product() * self.total)
        return self._map

    @functools.cached_property
    def share(self) -> Array:
        """map / sum(map).

        Raises
        ------
        ValueError
            If sum(map) is zero: the unit sees nothing, or what it sees cancels.
        """
        if self._lines is not None:
            return _readonly(self._product())
        total = self.total
        if total == 0:
            raise ValueError(f"share: {self.label} has a map of sum zero (it sees nothing, or what it "
                             "sees cancels); use map or amplitude")
        return _readonly(self.map / total)

    @property
    def amplitude(self) -> Array:
        """What a picture of |g| shows: sqrt(map) for power, |map| for the others."""
        return _readonly(np.sqrt(self.map) if self.statistic == "power" else np.abs(self.map))

    @property
    def total(self) -> float:
        """sum(map)."""
        if self._lines is None:
            return float(self.map.sum())
        if abs(self._log_total) > 709:
            raise OverflowError(f"sum(map) is exp({self._log_total:.6g}), beyond the range of "
                                "floats; use share, or gains near 1 per layer")
        return math.exp(self._log_total)

    def crop(self, lo: Any, hi: Any, *, of: str = "map") -> Array:
        """Part of `map`, or of `share` if so named by `of`, from pixel `lo` to pixel `hi`, both inside.

        One int stands for all axes.  Zeros where nothing is seen; SizeError if it would not fit in memory.
        """
        choice(of, "of", ("map", "share"))
        first = _corner(lo, self.ndim, "lo")
        last = _corner(hi, self.ndim, "hi")
        shape = tuple(max(b - a + 1, 0) for a, b in zip(first, last))
        check_bytes(8 * math.prod(shape), f"a part of shape {shape}")
        spans = [slice(max(a - o, 0), max(min(b + 1 - o, n), max(a - o, 0)))
                 for a, b, o, n in zip(first, last, self.origin, self.shape)]
        if self._lines is not None:
            part = self._product(spans) * (self.total if of == "map" else 1.0)
        else:
            part = (self.map if of == "map" else self.share)[tuple(spans)]
        out = np.zeros(shape)
        out[tuple(slice(s.start + o - a, s.start + o - a + n) for s, o, a, n in
                  zip(spans, self.origin, first, part.shape))] = part
        return out

    def _product(self, spans: Sequence[slice] | None = None) -> Array:
        assert self._lines is not None
        lines = [line[span] for line, span in zip(self._lines, spans or [slice(None)] * self.ndim)]
        check_bytes(8 * math.prod(map(len, lines)), f"a map of shape {tuple(map(len, lines))}",
                    "ask for a part with crop(lo, hi), or for profile(axis)")
        return np.asarray(math.prod(np.ix_(*lines)), dtype=float)

    # -- lines --------------------------------------------------------------------------------

    def profile(self, axis: int = -1) -> Array:
        """Marginal of `share`, summed over all axes but `axis`; its first value is at ``origin[axis]``."""
        return self._profiles[range(self.ndim)[axis]]

    @functools.cached_property
    def _profiles(self) -> tuple[Array, ...]:
        return self._lines or tuple(
            _readonly(self.share.sum(axis=tuple(a for a in range(self.ndim) if a != axis)))
            for axis in range(self.ndim))

    def cut(self, axis: int = -1) -> Array:
        """`share` along the line through the true centre parallel to `axis`.

        Where the centre lies between pixels, the mean over the nearest lines.
        """
        axis = range(self.ndim)[axis]
        if self._lines is not None:
            at = [self._near_center(line, a) for a, line in enumerate(self._lines) if a != axis]
            return _readonly(self._lines[axis] * math.prod(at))
        lines = self.share
        for a in reversed(range(self.ndim)):
            if a != axis:
                lines = self._near_center(lines, a)
        return _readonly(lines)

    def _near_center(self, values: Any, axis: int) -> Any:
        """Mean over the pixels nearest to the centre along `axis` of an array over that axis."""
        where = self.center[axis] - self.origin[axis]
        near = [i for i in {math.floor(where), math.ceil(where)} if 0 <= i < self.shape[axis]]
        along = 0 if values.ndim == 1 else axis
        pixels = 1 if math.floor(where) == math.ceil(where) else 2  # those off the map hold zeros
        return values.take(near, axis=along).sum(axis=along) / pixels

    # -- numbers ------------------------------------------------------------------------------

    @property
    def center(self) -> tuple[float, ...]:
        """True centre u S - P + (R - 1)/2 of the unit, not the middle of the image."""
        return self._center if self._center is not None else self.trf.center(self.unit or 0)

    def _offsets(self, about: Sequence[float]) -> list[Array]:
        """Coordinates of the pixels from a point, per axis."""
        return [np.arange(n, dtype=np.float64) + (o - c) for n, o, c in zip(self.shape, self.origin, about)]

    def _moments(self, about: Sequence[float]) -> tuple[Array, Array]:
        """First moments and matrix of second moments of `share` about a point."""
        offsets = self._offsets(about)
        lines = [self.profile(axis) for axis in range(self.ndim)]
        first = np.array([line @ x for line, x in zip(lines, offsets)])
        second = np.outer(first, first)
        if self._lines is None:
            for a in range(self.ndim):
                for b in range(a):
                    rest = tuple(axis for axis in range(self.ndim) if axis not in (a, b))
                    second[a, b] = second[b, a] = offsets[b] @ self.share.sum(axis=rest) @ offsets[a]
        second[np.diag_indices(self.ndim)] = [line @ x**2 for line, x in zip(lines, offsets)]
        return first, second

    @functools.cached_property
    def centroid(self) -> tuple[float, ...]:
        """Mean position under `share`, in input pixels."""
        first, _ = self._moments(self.center)
        return tuple(float(c + m) for c, m in zip(self.center, first))

    @functools.cached_property
    def covariance(self) -> Array:
        """Covariance matrix of `share` about its centroid, in pixels squared."""
        return _readonly(self._moments(self.centroid)[1])

    @functools.cached_property
    def std(self) -> Array:
        """Standard deviation of `share` per axis about its centroid, in pixels.

        nan where a mean of both signs has a negative variance.
        """
        with np.errstate(invalid="ignore"):
            return _readonly(np.sqrt(np.diag(self.covariance)))

    @property
    def rms_radius(self) -> float:
        """Root of the mean squared distance from the true centre, in pixels."""
        return float(np.sqrt(np.trace(self._moments(self.center)[1])))

    def mass_radius(self, p: float) -> float:
        """Radius of the smallest disc about the true centre that holds the part `p` of `share`."""
        return sizes.mass_radius(self, p)

    def size(self, kind: str = "threshold", **options: Any) -> float:
        """One number for the extent, in pixels; docs/metrics.md says when each of them misleads.

        ================ =================================================================
        threshold        the paper's: root of the number of pixels whose amplitude is above
                         `level` (.0455) times that at the centre (reference="center") or
                         the largest ("max")
        half_max         the same with level 1/2
        std              root of the mean variance per axis
        mass             side of the smallest square about the true centre that holds `p`
                         (.95) of the share
        participation    1 / sum(share^2), a number of pixels
        area_ratio       part of the image (on the plane: of the window) that the smallest
                         centred square covers that holds `t` (.99) of the share
        area_ratio_log10 the same after log10(map + 1), as published for large kernels;
                         unlike all others it changes with the scale of the gradients
        ================ =================================================================

        Parameters
        ----------
        kind : str
            One of these names; each is a function of `sizes`, and `options` are its parameters.

        Raises
        ------
        ValueError
            For another name or option, and as the function of `sizes` does.

        Examples
        --------
        >>> import erfmath as em
        >>> erf = em.predict(em.serial(em.Conv(5)))                        # 1/25 on each of 5 x 5 pixels
        >>> erf.size(), erf.size("mass", p=9/25)
        (5.0, 3.0)
        """
        choice(kind, "kind", tuple(sizes.KINDS))
        measure: Callable[..., float] = sizes.KINDS[kind]
        known = [*inspect.signature(measure).parameters][1:]
        for name in options:
            if name not in known:
                raise ValueError(f"{name}={options[name]!r}: not an option of size({kind!r}); "
                                 + (f"options are {', '.join(known)}" if known else "it has none"))
        return measure(self, **options)

    def ratio(self, kind: str = "threshold", **options: Any) -> float:
        """`size` over the side of the theoretical receptive field, "participation" over its area.

        `kind` and `options` are as of `size`.

        Raises
        ------
        ValueError
            If the theoretical receptive field is not known, or the size is a ratio already.
        """
        if kind.startswith("area_ratio"):
            raise ValueError(f"kind={kind!r}: is a ratio already; use size({kind!r})")
        area = math.prod(map(float, self.trf.size))
        return self.size(kind, **options) / (area if kind == "participation" else area**(1 / self.ndim))

    def gaussian_fit(self, *, offset: bool = False) -> shapes.GaussianFit:
        """Least-squares fit of a Gaussian, on a constant `offset` if wanted; see `shapes.gaussian_fit`."""
        return shapes.gaussian_fit(self, offset=offset)

    def background(self, quantile: float = 0.5) -> float:
        """Level of the plateau that the field stands on: `sizes.background`, of `quantile` instead of the median."""
        return sizes.background(self, quantile)

    def above_background(self, level: float | None = None) -> EffectiveReceptiveField:
        """The field max(map - level, 0), of which all sizes and scores can be taken.

        Parameters
        ----------
        level : float, optional
            In units of the map; by default `background()`.  Of sampled maps the noise above the
            level stays: ``above_background(erf.background(0.95))`` leaves less of it.

        Raises
        ------
        ValueError
            If the map has negative values.

        Examples
        --------
        >>> import numpy as np
        >>> import erfmath as em
        >>> line = np.exp(-np.arange(-30, 31)**2 / 18)                      # a Gaussian of std 3
        >>> erf = em.EffectiveReceptiveField(np.outer(line, line) + .02, origin=(0, 0), unit=(), trf=None,
        ...                                  center=(30, 30), image=(61, 61))
        >>> for kind in ("std", "mass"):
        ...     print(kind, round(erf.size(kind), 2), round(erf.above_background().size(kind), 2))
        std 13.42 3.0
        mass 59.0 15.0
        """
        level = self.background() if level is None else real(level, "level")
        if self._log_total > -math.inf and (self.map < 0).any():
            raise ValueError("above_background: the map has negative values, so there is nothing it stands on")
        return EffectiveReceptiveField(
            np.maximum(self.map - level, 0), origin=self.origin, unit=self.unit, trf=self._trf,
            statistic=self.statistic, method=f"{self.method}, above {level:.4g}", image=self.image,
            assumptions=self.assumptions, stderr=self.stderr, center=self._center)

    # -- gradients of other programs ----------------------------------------------------------

    @staticmethod
    def from_gradients(grads: Any, *, statistic: str = "power", unit_center: Any = None, trf: Any = None,
                       unit: Any = None, normalise: str | None = None,
                       channels: str = "first") -> MeasuredReceptiveField:
        """The field of a unit from its gradients with respect to input images, of any framework.

        `grads` has the shape (samples, channels, *space).  `statistic`, `unit_center`, `trf`, `unit`,
        `normalise`, `channels`, the warning and what is refused are those of `gradients.from_gradients`,
        which this is the short way to.
        """
        from .gradients import from_gradients
        return from_gradients(grads, statistic=statistic, unit_center=unit_center, trf=trf, unit=unit,
                              normalise=normalise, channels=channels)

    # -- files --------------------------------------------------------------------------------

    def save(self, path: str | pathlib.Path) -> None:
        """Write an npz file that `load` reads; no pickles.

        Parameters
        ----------
        path : str or Path
            What it held before is replaced as a whole or not at all.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        from .files import write
        write(self, path)

    def _draws(self) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """What a file holds besides where there were draws: arrays and facts."""
        return {}, None

    @staticmethod
    def load(path: str | pathlib.Path) -> EffectiveReceptiveField:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is not one of ours.
        """
        from .files import read
        return read(path)


def _readonly(values: npt.ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64)
    view = array.view()
    view.flags.writeable = False
    return view


def _corner(value: Any, ndim: int, name: str) -> tuple[int, ...]:
    point = tuple(value) if is_sequence(value) else (value,) * ndim
    if len(point) != ndim or not all(isinstance(x, (int, np.integer)) for x in point):
        raise ValueError(f"{name}={value!r}: must be one integer, or {ndim}, one per axis")
    return tuple(int(x) for x in point)
