"""The effective receptive field of one unit, from theory or from measurement."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..base.checks import choice, integer, integers, is_sequence, real
from ..base.contents import numbers_of
from ..base.errors import quoted
from ..base.progress import Report
from ..base.tables import html_picture, html_table, text_table
from ..networks.trf import ReceptiveField
from . import gradients, shapes, sizes
from .assumptions import Assumed, Assumption, Stated
from .density import Dense, Density, Frozen, readonly
from .kinds import enter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..theory.scatter import Scatter
    from .measured import MeasuredReceptiveField

__all__ = ["EffectiveReceptiveField", "STATISTICS"]

Array = npt.NDArray[np.float64]

#: Pixels times nodes up to which a table tells how single networks scatter.
MOST_SITES = 2**22
#: What a map can hold: E[g^2], E[g], the root of E[g^2], E abs(g), E max(g, 0).
STATISTICS = ("power", "mean", "amplitude", "magnitude", "relu")


@enter("field")
class EffectiveReceptiveField(Frozen):
    """How strongly each input pixel influences a unit.

    Made by `predict`, `measure` and `from_gradients`.  Arrays are read-only; ``map[0, ...]`` is the
    pixel at `origin`.  With the gradient g of the unit with respect to the pixel, `map` is E[g^2]
    (or another `statistic` of g) and `share` is map / sum(map).

    Parameters
    ----------
    map : array_like
        One value per pixel, summed over input channels; of the moment given by `statistic`.
    origin : tuple of int
        Input pixel of ``map[0, ...]``.
    unit : tuple of int
        Site of the unit; empty where only its centre is known.
    trf : ReceptiveField or None
        Theoretical receptive field of the unit's node; gives the TRF centre.
    statistic : {"power", "mean", "amplitude", "magnitude", "relu"}
        E[g^2], E[g], the root of E[g^2], E abs(g) or E max(g, 0).
    method : str
        How it was obtained.
    assumptions : sequence of Assumed, Assumption or Stated
        What is approximated.
    image : tuple of int, optional
        Size of the image in pixels; None on the infinite plane.
    stderr : array_like, optional
        Standard error of `map`; None means not sampled.
    center : tuple of float, optional
        TRF centre in input pixels, where there is no `trf`.

    Raises
    ------
    ValueError
        If `map` and `origin` differ in dimension, `statistic` is another word, or not just one of
        `trf` and `center` is given.
    OverflowError
        If `map` is not finite.

    See Also
    --------
    predict : Effective receptive field, from theory.
    measure : The same by Monte Carlo.
    compare : Test whether two results agree.

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
                 assumptions: Sequence[Assumed | Assumption | Stated] = (), image: tuple[int, ...] | None = None,
                 stderr: npt.ArrayLike | None = None, center: Sequence[float] | None = None) -> None:
        self._describe(Dense(map, origin), unit, trf, statistic, method, assumptions, image, stderr, center)

    @classmethod
    def of(cls, density: Density, *, unit: tuple[int, ...], trf: ReceptiveField | None, statistic: str = "power",
           method: str = "exact", assumptions: Sequence[Assumed | Assumption | Stated] = (),
           image: tuple[int, ...] | None = None, center: Sequence[float] | None = None) -> EffectiveReceptiveField:
        """A field whose map is held in another form than value by value: a `density`, as of `results.density`.

        `unit`, `trf`, `statistic`, `method`, `assumptions`, `image` and `center` are as of the class.
        """
        self = cls.__new__(cls)
        self._describe(density, unit, trf, statistic, method, assumptions, image, None, center)
        return self

    def _describe(self, density: Density, unit: tuple[int, ...], trf: ReceptiveField | None, statistic: str,
                  method: str, assumptions: Sequence[Assumed | Assumption | Stated], image: tuple[int, ...] | None,
                  stderr: npt.ArrayLike | None, center: Sequence[float] | None) -> None:
        choice(statistic, "statistic", STATISTICS)
        unit = integers(unit, "unit")
        if image is not None:
            image = integers(image, "image")
        if center is not None:
            if not is_sequence(center) or len(center) != density.ndim:
                raise ValueError(f"center={quoted(center)}: must have {density.ndim} values, one per axis")
            center = [real(c, f"center[{a}]") for a, c in enumerate(center)]
        for name, value, kind in (("method", method, str), ("assumptions", assumptions, Sequence)):
            if not isinstance(value, kind):
                raise TypeError(f"{name}={quoted(value)}: must be a {kind.__name__}")
        if trf is not None and not hasattr(trf, "window"):
            raise TypeError(f"trf={quoted(trf)}: must be a ReceptiveField, as receptive_field returns one")
        if (trf is None) == (center is None):
            raise ValueError("center: needed if there is no trf, and only then")
        if image is not None and (density.origin != (0,) * density.ndim or density.shape != tuple(image)):
            raise ValueError(f"image={quoted(tuple(image))}: the map must cover it, from pixel 0 on; it has shape "
                             f"{density.shape} and origin {density.origin}")
        self._hold(density=density, unit=tuple(unit), statistic=statistic, method=method,
                   assumptions=tuple(assumptions), image=image, node="" if trf is None else trf.node,
                   stderr=None if stderr is None else readonly(stderr, "stderr"), _trf=trf,
                   _center=None if center is None else tuple(center))

    #: The map, as sizes and shapes are taken on it.
    density: Density
    unit: tuple[int, ...]
    node: str
    image: tuple[int, ...] | None
    statistic: str
    method: str
    assumptions: tuple[Assumed | Assumption | Stated, ...]
    stderr: Array | None
    _trf: ReceptiveField | None
    _center: tuple[float, ...] | None
    #: The network and the settings that a prediction for random weights is of.
    _run: tuple[Any, Any] | None = None

    def assuming(self, *more: Assumption | Stated) -> EffectiveReceptiveField:
        """The same field with `more` in its assumptions."""
        other = copy.copy(self)
        other._hold(assumptions=(*self.assumptions, *more))
        return other

    def __repr__(self) -> str:
        seen = self._told() if self.density.log_total > -math.inf else "nothing seen"
        size = "unknown" if self._trf is None else self._trf.size
        return f"<{type(self).__name__} of {self.label}: {self.statistic}, {seen}, TRF {size}>"

    def _told(self) -> str:
        """The widths, for `repr`."""
        return "std (" + ", ".join(f"{s:.4g}" for s in self.std) + ")"

    @property
    def label(self) -> str:
        """The unit, in words: its node and place, or its TRF centre."""
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
    def ndim(self) -> int:
        """Number of axes."""
        return self.density.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent of the map in pixels."""
        return self.density.shape

    @property
    def origin(self) -> tuple[int, ...]:
        """Input pixel of ``map[0, ...]``."""
        return self.density.origin

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
        return self.density.map

    @property
    def share(self) -> Array:
        """The map normalised to sum 1: map / sum(map).

        Raises
        ------
        ValueError
            If sum(map) is zero: the unit sees nothing, or what it sees cancels.
        SizeError
            If the map of a chain would not fit in memory; `crop` gives parts of it.
        """
        return self.density.share

    @property
    def amplitude(self) -> Array:
        """What a picture of gradients shows: the RMS gradient for power, the absolute value for other statistics."""
        return readonly(np.sqrt(self.map) if self.statistic == "power" else np.abs(self.map))

    @property
    def total(self) -> float:
        """Sum of the map: sum(map)."""
        return self.density.total

    def crop(self, lo: Any, hi: Any, *, of: str = "map") -> Array:
        """Part of `map`, or of `share` if so named by `of`, from pixel `lo` to pixel `hi`, both inside.

        One int is for all axes.  Zeros where nothing is seen; SizeError if it would not fit in memory.
        """
        return self.density.crop(lo, hi, of=of)

    def _axis(self, axis: int) -> int:
        if not -self.ndim <= integer(axis, "axis") < self.ndim:
            raise IndexError(f"axis={quoted(axis)}: must be from {-self.ndim} to {self.ndim - 1}")
        return axis % self.ndim

    # -- lines --------------------------------------------------------------------------------

    def profile(self, axis: int = -1) -> Array:
        """Marginal of the normalised ERF, summed over all axes but `axis`; its first value is at ``origin[axis]``."""
        return self.density.profiles[self._axis(axis)]

    def cut(self, axis: int = -1) -> Array:
        """The normalised ERF along the line through the TRF centre parallel to `axis`.

        If the centre is between pixels, the mean over the nearest lines.
        """
        return self.density.cut(self._axis(axis), self.center)

    # -- numbers ------------------------------------------------------------------------------

    @property
    def center(self) -> tuple[float, ...]:
        """TRF centre u S - P + (R - 1)/2 of the unit, not the middle of the image."""
        return self._center if self._center is not None else self.trf.center(self.unit or 0)

    @functools.cached_property
    def centroid(self) -> tuple[float, ...]:
        """Mean position of the normalised ERF, in input pixels."""
        first, _ = self.density.moments(self.center)
        return tuple(float(c + m) for c, m in zip(self.center, first))

    @functools.cached_property
    def covariance(self) -> Array:
        """Covariance matrix of the normalised ERF about its centroid, in pixels squared."""
        return readonly(self.density.moments(self.centroid)[1])

    @functools.cached_property
    def std(self) -> Array:
        """Standard deviation of the normalised ERF per axis about its centroid, in pixels.

        nan where a mean of both signs has a negative variance.
        """
        with np.errstate(invalid="ignore"):
            return readonly(np.sqrt(np.diag(self.covariance)))

    @property
    def rms_radius(self) -> float:
        """Root of the mean squared distance from the TRF centre, in pixels."""
        return float(np.sqrt(np.trace(self.density.moments(self.center)[1])))

    def mass_radius(self, p: float) -> float:
        """Radius of the smallest disc about the TRF centre that encloses the fraction `p` of the ERF."""
        return sizes.mass_radius(self, p)

    def size(self, kind: str = "threshold", **options: Any) -> float:
        """One number for the extent, in pixels; docs/metrics.md gives the failure modes of each.

        ================ =================================================================
        threshold        the paper's: root of the number of pixels whose amplitude is above
                         `level` (.0455) times that at the centre (reference="center") or
                         the largest ("max")
        half_max         the same with level 1/2
        std              root of the mean variance per axis
        mass             side of the smallest square about the TRF centre that encloses `p`
                         (.95) of the ERF
        participation    1 / sum(share^2), a number of pixels
        area_ratio       part of the image (on the plane: of the window) that the smallest
                         centred square covers that encloses `t` (.99) of the ERF
        area_ratio_log10 the same after log10(map + 1), as published for large kernels;
                         unlike all others it changes with the scale of the gradients
        ================ =================================================================

        Parameters
        ----------
        kind : str
            One of these names; each is a function of `sizes`, and `options` are its parameters.
        **options
            Parameters of that function, as ``p=0.9`` of "mass".

        Returns
        -------
        float
            In input pixels; "participation" is a number of pixels, the area ratios are fractions.

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
                raise ValueError(f"{name}={quoted(options[name])}: not an option of size({quoted(kind)}); "
                                 + (f"options are {', '.join(known)}" if known else "it has none"))
        return measure(self, **options)

    def ratio(self, kind: str = "threshold", **options: Any) -> float:
        """`size` over the side of the theoretical receptive field, "participation" over its area.

        Parameters
        ----------
        kind : str
            As of `size`.
        **options
            As of `size`.

        Returns
        -------
        float
            Dimensionless.

        Raises
        ------
        ValueError
            If the theoretical receptive field is not known, or the size is a ratio already.
        """
        choice(kind, "kind", tuple(sizes.KINDS))
        if kind.startswith("area_ratio"):
            raise ValueError(f"kind={quoted(kind)}: is a ratio already; use size({quoted(kind)})")
        area = math.prod(map(float, self.trf.size))
        return self.size(kind, **options) / (area if kind == "participation" else area**(1 / self.ndim))

    def gaussian_fit(self, *, offset: bool = False) -> shapes.GaussianFit:
        """Least-squares fit of a Gaussian, on a constant `offset` if wanted; see `shapes.gaussian_fit`."""
        return shapes.gaussian_fit(self, offset=offset)

    def background(self, quantile: float = 0.5) -> float:
        """Level of a constant background: `sizes.background`, at `quantile` instead of the median."""
        return sizes.background(self, quantile)

    def above_background(self, level: float | None = None) -> EffectiveReceptiveField:
        """The field max(map - level, 0), of which all sizes and scores can be taken.

        Parameters
        ----------
        level : float, optional
            In units of the map; by default `background()`.  Of sampled maps the noise above the
            level stays: ``above_background(erf.background(0.95))`` leaves less of it.

        Returns
        -------
        EffectiveReceptiveField
            On the same pixels.

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
        if (self.map < 0).any():
            raise ValueError("above_background: the map has negative values, so it has no background")
        return EffectiveReceptiveField(
            np.maximum(self.map - level, 0), origin=self.origin, unit=self.unit, trf=self._trf,
            statistic=self.statistic, method=f"{self.method}, above {level:.4g}", image=self.image,
            assumptions=self.assumptions, stderr=self.stderr, center=self._center)

    # -- gradients of other programs ----------------------------------------------------------

    @staticmethod
    def from_gradients(grads: Any, *, statistic: str = "power", unit_center: Any = None, trf: Any = None,
                       unit: Any = None, normalise: str | None = None,
                       channels: str = "first", progress: Report = None) -> MeasuredReceptiveField:
        """The field of a unit from its gradients with respect to input images, of any framework.

        `grads` has the shape ``(samples, channels, *space)``.  `statistic`, `unit_center`, `trf`, `unit`,
        `normalise`, `channels`, `progress`, the warning and what is refused are those of `gradients.from_gradients`,
        which this is the short way to.
        """
        return gradients.from_gradients(grads, statistic=statistic, unit_center=unit_center, trf=trf, unit=unit,
                                        normalise=normalise, channels=channels, progress=progress)

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
        from .files import write  # archives are not needed to predict

        write(self, path)

    def _extras(self) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """What a file holds besides the map: the kind of the result, arrays, and facts."""
        return "field", {} if self.stderr is None else {"stderr": self.stderr}, {}

    @classmethod
    def _restored(cls, density: Density, arrays: Mapping[str, Any], facts: Mapping[str, Any],
                  **about: Any) -> EffectiveReceptiveField:
        """From what a file holds; ``EffectiveReceptiveField.load`` is the way to read one."""
        known = "stderr" in arrays
        self = EffectiveReceptiveField.__new__(EffectiveReceptiveField)
        self._describe(density, stderr=numbers_of(arrays, "stderr", density.shape, signed=False, finite=False)
                       if known else None, **about)
        return self

    @staticmethod
    def load(path: str | pathlib.Path) -> EffectiveReceptiveField:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or Path
            Name of the file.

        Returns
        -------
        EffectiveReceptiveField
            Of the class that was saved.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is no result saved by erfmath, or its contents contradict each other.
        """
        from .files import read

        return read(path)

    # -- for people ---------------------------------------------------------------------------

    def table(self) -> list[tuple[str, str]]:
        """Summary, in rows of a name and a description."""
        rows = [("unit", self.label), ("image", "infinite plane" if self.image is None else _pixels(self.image)),
                ("statistic", f"{self.statistic}, {self.method}"),
                ("TRF", "not known" if self._trf is None else _pixels(self._trf.size)),
                ("TRF centre", ", ".join(f"{c:g}" for c in self.center))]
        if self.density.log_total > -math.inf:
            rows += [("std", self._widths() + " px"), ("width at 4.55 % of the centre", f"{self.size():.4g} px")]
        else:
            rows.append(("std", "nothing seen"))
        return [*rows, *self._single(), ("assumptions", "\n".join(a.value for a in self.assumptions) or "none")]

    # -- one network ----------------------------------------------------------------------------

    @property
    def one_network(self) -> Scatter | None:
        """How far the field of a single network lies from this mean field, as `scatter` tells; None where none does."""
        return self.scatter_over(1)

    def _scatter(self, net: Any, settings: Any, **how: Any) -> Scatter:
        from ..theory.scatter import scatter_of
        return scatter_of(self, net, settings, **how)

    def scatter_over(self, images: float, unit_correlation: float = 1.0) -> Scatter | None:
        """As `one_network`, for a network whose field is averaged over so many images.

        Parameters
        ----------
        images : float
            How many.
        unit_correlation : float
            Of the unit's gradients for two images, see `MeasuredReceptiveField`.

        Returns
        -------
        Scatter or None
            None where the theory does not tell.
        """
        if self._run is None:
            return None
        try:
            return self._scatter(*self._run, images=images, unit_correlation=unit_correlation)
        except (NotImplementedError, ValueError):
            return None

    def draws_needed(self, error: float) -> int:
        """Networks to draw until the standard error of ``size("std")`` is the part `error` of it.

        By the scatter of one network (docs/trained.md), to first order in 1/channels; no pilot run is needed.

        Parameters
        ----------
        error : float
            Relative, as 0.01.

        Returns
        -------
        int
            Number of networks.

        Raises
        ------
        ValueError
            If it is not positive, or the theory does not tell how single networks scatter.

        Examples
        --------
        >>> import erfmath as em
        >>> em.predict(em.repeat(em.serial(em.Conv(3), em.Activation("relu")), 10), width=16).draws_needed(0.01)
        28
        """
        if not real(error, "error") > 0:
            raise ValueError(f"error={quoted(error)}: must be positive")
        one = self.one_network
        if one is None:
            raise ValueError("draws_needed: the theory does not tell how single networks scatter about this field; "
                             "measure has until=")
        return one.draws_needed(error)

    def _soon(self) -> Scatter | None:
        """`one_network`, if it is told soon: what tables show without being asked."""
        slow = self._run is None or math.prod(self.shape) * len(self._run[0]) > MOST_SITES
        return None if slow else self.one_network

    def _single(self) -> list[tuple[str, str]]:
        """A row on how single networks scatter."""
        one = self._soon()
        return [] if one is None else [
            ("one network", f"of this width scatters by +- {one.size:.2g} px"),
            ("its total", f"median {one.typical_total:.3g} for a mean of {self.total:.3g}, scatters by a factor of "
             f"{math.exp(one.log_total):.3g}")]

    def _widths(self) -> str:
        return " x ".join(f"{s:.4g}" for s in self.std)

    def __str__(self) -> str:
        return text_table(self.table())

    def _repr_html_(self) -> str:
        table = html_table(self.table(), header=False)
        with contextlib.suppress(ValueError, OverflowError):  # nothing seen, or too large: the table says enough
            return table + html_picture(self.plot(title=""))
        return table

    def plot(self, **options: Any) -> Figure:
        """Draw it: ``erfmath.plotting.plot`` with its `options`."""
        from ..plotting import plot
        return plot(self, **options)


def _pixels(extents: Sequence[Any]) -> str:
    return " x ".join(map(str, extents)) + " px"
