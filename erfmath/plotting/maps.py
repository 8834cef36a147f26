"""One result on one page: the map in colours, its marks, and the profiles beside it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .profiles import draw_profile, plot_profiles
from .style import COLOURS, FLOOR, GAMMA, Display, Style, check_display, quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..comparison import Comparison
    from ..results.field import EffectiveReceptiveField

__all__ = ["plot", "show_map"]

REACH = 4.5  # standard deviations around the centroid within which there is something to see
WIDEST = 3.0  # times that region the view may grow so that the whole TRF and image are in it

BOX: Style = dict(color="white", linewidth=1.6, linestyle=(0, (5, 3)))
FRAME: Style = dict(color="#7fd0ff", linewidth=2.0)
ELLIPSE: Style = dict(color="#ff8c42", linewidth=1.8)
CROSS: Style = dict(color="white", marker="+", markersize=12, markeredgewidth=1.6, linestyle="none")


def plot(result: EffectiveReceptiveField | Comparison, *, ax: Axes | None = None,
         display: Display = "amplitude", title: str | None = None) -> Figure:
    r"""Draw an effective receptive field in input pixels, or a comparison of two.

    In two dimensions: the map around its true centre, with the box of the theoretical receptive
    field, the frame of the image, the ellipse of one standard deviation of `share` about the
    centroid, and both marginal profiles of `share` beside the Gaussian of the same mean and
    standard deviation.  In one or three dimensions: the profile of each axis beside its Gaussian.
    A comparison: both maps, their difference in standard errors, and the marginals.

    Parameters
    ----------
    result : EffectiveReceptiveField or Comparison
    ax : matplotlib.axes.Axes, optional
        Draw the map alone (in one dimension the profile, of a comparison `plot_profiles` along its
        last axis) into these axes instead of a figure of its own.
    display : "amplitude", "linear", "log" or "power-law"
        What the colours show: the amplitude :math:`\sqrt{E[g^2]}`, or the map itself in linear,
        logarithmic or power-law (exponent 1/4) colours.  Profiles stand on a logarithmic axis for
        "log" and on the same linear one for the others.  Maps of comparisons are "amplitude" only.
    title : str, optional
        First words of the title, as the name of the network.

    Returns
    -------
    matplotlib.figure.Figure
        It belongs to no window and no global state; save it with ``figure.savefig(...)``.

    Raises
    ------
    ValueError
        If there is no such display, another one than "amplitude" for the maps of a comparison, or
        `ax` for a result in three dimensions.

    Examples
    --------
    >>> import erfmath as em
    >>> erf = em.predict(em.zoo.plain(10))
    >>> figure = em.plotting.plot(erf, title="ten layers of 3x3")
    >>> figure.savefig("plain.png")
    """
    check_display(display)
    from ..comparison import Comparison
    if isinstance(result, Comparison):
        return _draw_comparison(result, ax, display, title)
    if result.ndim == 2:
        return _draw_map(result, ax, display, title)
    return _draw_profiles(result, ax, display, title)


def show_map(ax: Axes, values: Any, origin: tuple[int, ...] = (0, 0), *,
             statistic: str = "power", display: Display = "amplitude") -> Any:
    """Show a map, over its largest value, in the colours of a display: `plot` without its marks.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    values : array of shape (rows, columns)
        E[g^2] ("power") or E[g] ("mean"), or its share.
    origin : tuple of int
        Input pixel of ``values[0, 0]``.
    statistic : "power" or "mean"
    display : "amplitude", "linear", "log" or "power-law"

    Returns
    -------
    matplotlib.image.AxesImage
        For ``figure.colorbar``; y counts downwards, as in images.

    Raises
    ------
    ValueError
        If there is no such display.

    Examples
    --------
    >>> import erfmath as em
    >>> from matplotlib.figure import Figure
    >>> panel = Figure().add_subplot()
    >>> em.plotting.show_map(panel, [[1, 2, 1], [2, 4, 2]]).get_extent()
    [-0.5, 2.5, 1.5, -0.5]
    """
    from matplotlib.colors import LogNorm, Normalize, PowerNorm

    check_display(display)
    values = np.asarray(values, dtype=float)
    if display == "amplitude":
        values = np.sqrt(values) if statistic == "power" else np.abs(values)
    values = values / (np.abs(values).max() or 1.0)
    norm: Normalize
    if display == "log":
        values, norm = np.maximum(np.abs(values), FLOOR), LogNorm(FLOOR, 1.0)
    elif display == "power-law":
        values, norm = np.abs(values), PowerNorm(GAMMA, 0.0, 1.0)
    else:
        norm = Normalize(min(0.0, float(values.min())), 1.0)
    y, x = origin
    rows, columns = values.shape
    extent = (x - 0.5, x + columns - 0.5, y + rows - 0.5, y - 0.5)
    return ax.imshow(values, norm=norm, cmap=COLOURS, extent=extent,
                     interpolation="antialiased")  # no moiré where screen and map pixels are nearly equal


# ---------------------------------------------------------------------------------------------
# what to show
# ---------------------------------------------------------------------------------------------

def _views(erf: EffectiveReceptiveField) -> list[tuple[float, float]]:
    """First and last coordinate to show per axis: TRF and image too, if the map stays readable."""
    lo, hi = erf.window or (erf.origin, tuple(o + n - 1 for o, n in zip(erf.origin, erf.shape)))
    center, centroid, std = erf.center, erf.centroid, erf.std
    views, whole = [], []
    for axis in range(erf.ndim):
        reach = REACH * std[axis] + 1
        near = (min(centroid[axis] - reach, center[axis] - 1),
                max(centroid[axis] + reach, center[axis] + 1))
        first, last = float(lo[axis]), float(hi[axis])
        if erf.image is not None:
            first, last = min(first, 0.0), max(last, erf.image[axis] - 1.0)
        margin = 0.5 + 0.03 * (last - first)
        whole.append((first - margin, last + margin))
        views.append((max(near[0], first - margin), min(near[1], last + margin)))
    fits = all(w[1] - w[0] <= WIDEST * (v[1] - v[0]) for v, w in zip(views, whole))
    return whole if fits else views


def _title(erf: EffectiveReceptiveField, title: str | None) -> str:
    unit = f"unit {erf.unit[0] if erf.ndim == 1 else erf.unit} of {erf.node}" if erf.unit else erf.label
    image = "infinite plane" if erf.image is None else f"image {_times(erf.image)}"
    std = _times([f"{s:.3g}" for s in erf.std])
    seen = "" if erf.window is None else f"theoretical field {_extent(*erf.window)} px, "
    return (f"{title + ', ' if title else ''}{unit}, {image}\n"
            f"{seen}std of {erf.statistic} {std} px")


def _extent(lo: tuple[int, ...], hi: tuple[int, ...]) -> str:
    """Pixels per axis of the window of this unit (others may have another, behind upsampling)."""
    return _times(last - first + 1 for first, last in zip(lo, hi))


def _times(values: Any) -> str:
    return " × ".join(map(str, values))


# ---------------------------------------------------------------------------------------------
# two dimensions
# ---------------------------------------------------------------------------------------------

def _draw_map(erf: EffectiveReceptiveField, ax: Axes | None, display: Display,
              title: str | None) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    views = _views(erf)
    if ax is not None:
        _draw_values(erf, ax, display, views)
        _draw_marks(erf, ax, views)
        ax.set_title(f"{_title(erf, title)}\ncolours: {quantity(erf.statistic, display)}",
                     fontsize="small")  # there is no colour bar to say so
        return cast("Figure", ax.figure)
    # Laid out in inches: the panels keep their size whatever the shape of the map.
    tall, wide = (v[1] - v[0] for v in views)
    height, width = (max(1.6, 4.8 * n / max(tall, wide)) for n in (tall, wide))
    left, bottom, panel, gap = 1.0, 1.3, 1.05, 0.13
    size = (left + width + panel + 1.75, bottom + height + panel + 0.8)
    figure = Figure(figsize=size)

    def place(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / size[0], y / size[1], w / size[0], h / size[1]))

    ax = place(left, bottom, width, height)
    top = place(left, bottom + height + gap, width, panel)
    side = place(left + width + gap, bottom, panel, height)
    image = _draw_values(erf, ax, display, views)
    _draw_marks(erf, ax, views)
    draw_profile(erf, 1, top, views[1])
    draw_profile(erf, 0, side, views[0], upright=True)
    top.tick_params(labelbottom=False)
    side.tick_params(labelleft=False)
    for ticks in (top.yaxis, side.xaxis):  # a label at 0 would run into those of the map
        ticks.set_major_locator(MaxNLocator(2))
        ticks.set_major_formatter(PercentFormatter(1.0))
    top.set_ylabel("share per\ncolumn")
    side.set_xlabel("share per row")
    bar = figure.colorbar(image, cax=place(left + width + panel + 0.45, bottom, 0.2, height))
    bar.set_label(quantity(erf.statistic, display))
    if display == "power-law":
        bar.set_ticks([0.0, 0.001, 0.01, 0.1, 0.3, 1.0])
    handles, labels = ax.get_legend_handles_labels()
    curves, names = top.get_legend_handles_labels()
    figure.legend([*handles, *curves[:2]], [*labels, *names[:2]], loc="lower center", ncols=2,
                  fontsize="small", frameon=False)
    figure.suptitle(_title(erf, title), y=1 - 0.1 / size[1])
    return figure


def _draw_values(erf: EffectiveReceptiveField, ax: Axes, display: Display,
                 views: list[tuple[float, float]]) -> Any:
    """The map in colours, as far as it reaches within the views; grey where there is none."""
    ends = [(math.floor(v[0]), math.ceil(v[1])) for v in views]
    lo = tuple(max(first, o) for (first, _), o in zip(ends, erf.origin))
    hi = tuple(min(last, o + n - 1) for (_, last), o, n in zip(ends, erf.origin, erf.shape))
    image = show_map(ax, erf.crop(lo, hi, of="share"), lo, statistic=erf.statistic, display=display)
    ax.set_facecolor("#c9cdd3")
    ax.set_xlim(*views[1])
    ax.set_ylim(views[0][1], views[0][0])
    ax.set_xlabel("x, input pixels")
    ax.set_ylabel("y, input pixels")
    return image


def _draw_marks(erf: EffectiveReceptiveField, ax: Axes, views: list[tuple[float, float]]) -> None:
    """TRF box, image frame, ellipse of one standard deviation, true centre."""
    from matplotlib.patheffects import withStroke

    dark = [withStroke(linewidth=3.4, foreground="#202020")]  # visible on any colour
    if erf.window is not None:
        lo, hi = erf.window
        box = f"theoretical receptive field, {_extent(lo, hi)}{_beyond(lo, hi, views)}"
        ax.plot(*_corners(lo, hi), label=box, path_effects=dark, **BOX)
    if erf.image is not None:
        lo, hi = (0, 0), tuple(n - 1 for n in erf.image)
        ax.plot(*_corners(lo, hi), label=f"image, {_times(erf.image)}{_beyond(lo, hi, views)}",
                path_effects=dark, **FRAME)
    squares, axes = np.linalg.eigh(erf.covariance)
    angle = np.linspace(0.0, 2 * np.pi, 361)
    around = axes * np.sqrt(np.maximum(squares, 0.0)) @ [np.cos(angle), np.sin(angle)]
    centroid = erf.centroid
    ax.plot(centroid[1] + around[1], centroid[0] + around[0],
            label="one std about the centroid", path_effects=dark, **ELLIPSE)
    ax.plot(erf.center[1], erf.center[0], label="true centre", path_effects=dark, **CROSS)


def _beyond(lo: tuple[int, ...], hi: tuple[int, ...], views: list[tuple[float, float]]) -> str:
    """Words for the legend where no edge of a box is to be seen."""
    seen = any(v[0] < edge < v[1] for v, ends in zip(views, zip(lo, hi)) for edge in ends)
    return "" if seen else " (wider than this view)"


def _corners(lo: tuple[int, ...], hi: tuple[int, ...]) -> Any:
    """x and y around the outside of the pixels from `lo` to `hi`."""
    (top, left), (bottom, right) = (x - 0.5 for x in lo), (x + 0.5 for x in hi)
    return [left, right, right, left, left], [top, top, bottom, bottom, top]


# ---------------------------------------------------------------------------------------------
# profiles
# ---------------------------------------------------------------------------------------------

def _draw_profiles(erf: EffectiveReceptiveField, ax: Axes | None, display: Display,
                   title: str | None) -> Figure:
    from matplotlib.figure import Figure

    views = _views(erf)
    if ax is None:
        figure = Figure(figsize=(8.2, 1.6 + 2.6 * erf.ndim), layout="constrained")
        panels = list(figure.subplots(erf.ndim, 1, squeeze=False)[:, 0])
    elif erf.ndim == 1:
        figure, panels = cast("Figure", ax.figure), [ax]
    else:
        raise ValueError(f"ax: cannot hold the profiles of all {erf.ndim} axes; leave it out")
    for axis, panel in enumerate(panels):
        draw_profile(erf, axis, panel, views[axis], log=display == "log")
        name = "" if erf.ndim == 1 else f" of axis {axis}"
        panel.set_xlabel(f"coordinate{name}, input pixels")
        panel.set_ylabel(f"share of {erf.statistic}")
    panels[0].legend(fontsize="small")
    panels[0].set_title(_title(erf, title))
    return figure


# ---------------------------------------------------------------------------------------------
# two results
# ---------------------------------------------------------------------------------------------

def _draw_comparison(comparison: Comparison, ax: Axes | None, display: Display,
                     title: str | None) -> Figure:
    if ax is not None:
        pair = {"(a)": comparison.theory, "(b)": comparison.measured}
        return plot_profiles(pair, ax=ax, display=display, title=title)
    if display != "amplitude":
        raise ValueError(f"display={display!r}: the maps of a comparison are drawn as 'amplitude' only")
    from .comparison import plot as draw
    return draw(comparison, title)
