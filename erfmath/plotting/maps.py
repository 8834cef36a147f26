"""One result on one page: the map in colours, its marks, and the marginals beside it; several on one scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..base.errors import quoted
from .profiles import MARGINAL, Smooth, check_smooth, draw_profile
from .style import (COLOURS, COLUMN, FLOOR, GAMMA, PAGE, Display, Style, check_display, in_style, letter, page,
                    plain, quantity, symbol)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..comparison import Comparison
    from ..results.field import EffectiveReceptiveField

__all__ = ["plot", "show_map", "side_by_side"]

REACH = 4.5  # standard deviations around the centroid within which there is something to see
WIDEST = 3.0  # times that region the view may grow so that the whole TRF and image are in it

BOX: Style = dict(color="white", linewidth=1.0, linestyle=(0, (5, 3)))
FRAME: Style = dict(color="#7fd0ff", linewidth=1.2)
ELLIPSE: Style = dict(color="#ff8c42", linewidth=1.2)
CROSS: Style = dict(color="white", marker="+", markersize=8, markeredgewidth=1.2, linestyle="none")
NOWHERE = "#c9cdd3"  # where there is no image
#: Outlines of objects, one after the other.
OBJECTS = ("#ffffff", "#7fd0ff", "#f7b6d2", "#b5e48c")


@in_style
def plot(result: EffectiveReceptiveField | Comparison, *, ax: Axes | None = None,
         display: Display = "amplitude", smooth: Smooth | None = None, title: str | None = None) -> Figure:
    r"""Draw an effective receptive field in input pixels, or a comparison of two.

    In two dimensions: the map around its TRF centre, with the box of the theoretical receptive
    field (TRF), the frame of the image, the ellipse of one standard deviation (1 sigma) of the map
    about its centroid, and both marginals of the map, normalised to sum 1, beside the Gaussian of the
    same mean and standard deviation.  The standard deviation is that of E[g^2], also where the
    colours show its root, the RMS gradient, which is wider by sqrt(2) for a Gaussian.  In three
    dimensions: the slices through the TRF centre, and the marginals.  In one: the map beside its
    Gaussian.  A comparison: both maps, their difference in standard errors, and the marginals.

    Parameters
    ----------
    result : EffectiveReceptiveField or Comparison
        What is drawn.
    ax : matplotlib.axes.Axes, optional
        Draw the map alone (in one dimension the profile, of a comparison `plot_profiles` along its
        last axis) into these axes instead of a figure of its own.
    display : "amplitude", "linear", "log" or "power-law"
        What the colours show: the RMS gradient :math:`\sqrt{E[g^2]}`, or the map itself in linear,
        logarithmic or power-law (exponent 1/4) colours.  Marginals have a logarithmic axis for "log"
        and a linear one for the others.  Maps of comparisons are "amplitude" only.
    smooth : "stride", optional
        Also draw the marginals averaged over one period of the network's stride, without the combs that
        strides leave.  Not for comparisons.
    title : str, optional
        First words of the title, as the name of the network; "" for a picture without any.

    Returns
    -------
    matplotlib.figure.Figure
        It belongs to no window and no global state; save it with ``figure.savefig(...)``.  Sizes are
        those of print, 5.5 or 7 inches wide.

    Raises
    ------
    ValueError
        If there is no such display or `smooth`, another one than the default for a comparison, or
        `ax` for a result in three dimensions.

    See Also
    --------
    side_by_side : Draw fields of several units or networks beside each other.
    plot_profiles : Draw several results along one axis.

    Examples
    --------
    >>> import erfmath as em
    >>> erf = em.predict(em.zoo.plain(10))
    >>> figure = em.plotting.plot(erf, title="ten layers of 3x3")
    >>> figure.savefig("plain.png")
    """
    check_display(display)
    check_smooth(smooth)
    if not (hasattr(result, "density") or hasattr(result, "agrees")):
        raise TypeError(f"result={quoted(result)}: must be an effective receptive field, or a comparison of two")
    if not hasattr(result, "density"):  # a comparison hands over its arrays
        if smooth:
            raise ValueError(f"smooth={quoted(smooth)}: not for comparisons")
        return result.plot(ax=ax, display=display, title=title)
    erf = cast("EffectiveReceptiveField", result)
    return (_draw_map if erf.ndim == 2 else _draw_profiles)(erf, ax, display, title, smooth)


@in_style
def side_by_side(*erfs: EffectiveReceptiveField | Mapping[str, EffectiveReceptiveField],
                 objects: Mapping[str, Any] | Sequence[Any] = (), display: Display = "amplitude",
                 reach: float | None = None) -> Figure:
    """Draw fields of several units or networks beside each other, all on one scale of pixels.

    Each panel is centred on its unit's TRF centre and shows as many input pixels as the others; dashes
    outline the TRF.  Colours are relative to each map's own maximum.

    Parameters
    ----------
    *erfs : EffectiveReceptiveField, or one mapping of str to them
        In two dimensions; the keys are titles of the panels.
    objects : mapping of str to size, or sequence of sizes
        Objects to be seen, drawn about the centre: the side of a square, or (height, width), in
        input pixels.
    display : "amplitude", "linear", "log" or "power-law"
        What the colours show, as in `plot`.
    reach : float, optional
        Pixels shown from the centre to each side; by default all fields and objects are in view.

    Returns
    -------
    matplotlib.figure.Figure
        The picture, which belongs to no window.

    Raises
    ------
    ValueError
        If there is nothing to draw, or a field is not in two dimensions.

    See Also
    --------
    plot : Draw an effective receptive field in input pixels.

    Examples
    --------
    >>> import erfmath as em
    >>> deep, wide = em.repeat(em.Conv(3), 24), em.repeat(em.Conv(7), 8)
    >>> figure = em.plotting.side_by_side({"24 layers of 3x3": em.predict(deep), "8 layers of 7x7": em.predict(wide)},
    ...                                   objects={"traffic sign": 32})
    >>> figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
    True
    """
    check_display(display)
    for erf in erfs:
        for each in erf.values() if isinstance(erf, Mapping) else [erf]:
            if not hasattr(each, "density"):
                raise TypeError(f"erfs={quoted(each)}: must be effective receptive fields, as predict and measure "
                                "return")
    named = [pair for erf in erfs for pair in (erf.items() if isinstance(erf, Mapping) else [(plain(erf.label), erf)])]
    if not named or any(erf.ndim != 2 for _, erf in named):
        raise ValueError("erfs: must hold one field at least, all in two dimensions")
    boxes = objects.items() if isinstance(objects, Mapping) else [("object", size) for size in objects]
    sides = [(name, np.broadcast_to(np.asarray(size, float), 2)) for name, size in boxes]
    if reach is None:
        reach = max([3.5 * float(erf.std.max()) + 1 for _, erf in named] + [0.55 * float(s.max()) for _, s in sides])
    columns = min(len(named), 4)
    rows, width = -(-len(named) // columns), PAGE if columns > 2 else COLUMN
    figure = page(width, ((width - 1.3) / columns + 0.4) * rows + 0.3 * bool(sides) + 0.2)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for ax, (name, erf), mark in zip(panels.flat, named, "abcdefghijklmnop"):
        image = _centred(ax, erf, reach, display)
        for (what, side), colour in zip(sides, OBJECTS * len(sides)):
            _outline(ax, -side / 2, side / 2, f"{what}, {_times(f'{s:g}' for s in side)} px", color=colour,
                     linewidth=1.2)
        ax.set_title(f"{name}\n" + rf"$\sigma$ {_times(f'{s:.3g}' for s in erf.std)} px")
        letter(ax, mark)
    for ax in list(panels.flat)[len(named):]:
        ax.set_axis_off()
    for row in panels:
        row[0].set_ylabel("y from the TRF\ncentre, input pixels")
    for ax in panels[-1]:
        ax.set_xlabel("x from the TRF\ncentre, input pixels")
    statistics = {erf.statistic for _, erf in named}
    figure.colorbar(image, ax=panels, shrink=0.8, aspect=20,
                    label=quantity(statistics.pop(), display) if len(statistics) == 1 else "each over its maximum")
    handles, labels = panels[0][0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(handles), 4), facecolor="#5f6771",
                      frameon=True)
    return figure


def _centred(ax: Axes, erf: EffectiveReceptiveField, reach: float, display: Display) -> Any:
    """The map with pixels counted from the TRF centre."""
    lo, hi = _part(erf, [(c - reach, c + reach) for c in erf.center])
    offset = tuple(a - c for a, c in zip(lo, erf.center))
    image = show_map(ax, erf.crop(lo, hi, of="share"), offset, statistic=erf.statistic, display=display)
    ax.set_facecolor(NOWHERE)
    if erf.window is not None:
        first, last = (np.subtract(end, erf.center) for end in erf.window)
        _outline(ax, first - 0.5, last + 0.5, "TRF", **BOX)
    ax.set_xlim(-reach, reach)
    ax.set_ylim(reach, -reach)
    return image


def show_map(ax: Axes, values: Any, origin: tuple[float, ...] = (0, 0), *,
             statistic: str = "power", display: Display = "amplitude") -> Any:
    """Show a map, over its largest value, in the colours of a display: `plot` without its marks.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes to draw into, instead of a figure of its own.
    values : array of shape (rows, columns)
        The map, or any multiple of it.
    origin : tuple of float
        Input pixel of ``values[0, 0]``.
    statistic : str
        What the map holds: of "power", amplitudes are roots, of all others absolute values.
    display : "amplitude", "linear", "log" or "power-law"
        What the colours show, as in `plot`.

    Returns
    -------
    matplotlib.image.AxesImage
        For ``figure.colorbar``; y counts downwards, as in images.

    Raises
    ------
    ValueError
        If there is no such display.

    See Also
    --------
    plot : Draw an effective receptive field in input pixels.

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


def _part(erf: EffectiveReceptiveField, views: list[tuple[float, float]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First and last pixel within the views, of the image where there is one."""
    lo, hi = [math.floor(v[0]) for v in views], [math.ceil(v[1]) for v in views]
    if erf.image is not None:
        lo, hi = [max(a, 0) for a in lo], [min(b, n - 1) for b, n in zip(hi, erf.image)]
    return tuple(lo), tuple(hi)


def _title(erf: EffectiveReceptiveField, title: str | None) -> str:
    if title == "":
        return ""
    unit = f"unit {erf.unit[0] if erf.ndim == 1 else erf.unit} of {plain(erf.node)}" if erf.unit else plain(erf.label)
    image = "infinite plane" if erf.image is None else f"image {_times(erf.image)} px"
    std = _times(f"{s:.3g}" for s in erf.std)
    seen = "" if erf.window is None else f"TRF {_extent(*erf.window)} px, "
    return (f"{plain(title) + ', ' if title else ''}{unit}, {image}\n"
            rf"{seen}$\sigma$ of {symbol(erf.statistic)} {std} px")


def _extent(lo: tuple[int, ...], hi: tuple[int, ...]) -> str:
    """Pixels per axis of the window of this unit (others may have another, after upsampling)."""
    return _times(last - first + 1 for first, last in zip(lo, hi))


def _times(values: Any) -> str:
    return " × ".join(map(str, values))


# ---------------------------------------------------------------------------------------------
# two dimensions
# ---------------------------------------------------------------------------------------------

def _draw_map(erf: EffectiveReceptiveField, ax: Axes | None, display: Display,
              title: str | None, smooth: Smooth | None) -> Figure:
    views = _views(erf)
    if ax is not None:
        _draw_values(erf, ax, display, views)
        _draw_marks(erf, ax, views)
        words = _title(erf, title)
        ax.set_title(words + ("\n" if words else "") + f"colours: {quantity(erf.statistic, display)}",
                     fontsize="small")  # there is no colour bar to say so
        return cast("Figure", ax.figure)
    # Laid out in inches: the panels keep their size whatever the shape of the map.
    tall, wide = (v[1] - v[0] for v in views)
    height, width = (max(1.3, 2.95 * n / max(tall, wide)) for n in (tall, wide))
    left, bottom, panel, gap = 0.75, 1.2, 0.7, 0.1
    size = (COLUMN, bottom + height + panel + 0.55 if title != "" else bottom + height + panel + 0.15)
    figure = page(*size, constrained=False)

    def place(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / size[0], y / size[1], w / size[0], h / size[1]))

    ax = place(left, bottom, width, height)
    top = place(left, bottom + height + gap, width, panel)
    side = place(left + width + gap, bottom, panel, height)
    image = _draw_values(erf, ax, display, views)
    _draw_marks(erf, ax, views)
    draw_profile(erf, 1, top, views[1], log=display == "log", smooth=smooth)
    draw_profile(erf, 0, side, views[0], upright=True, log=display == "log", smooth=smooth)
    top.tick_params(labelbottom=False)
    side.tick_params(labelleft=False)
    side.xaxis.tick_top()  # below, its numbers would run into those of the map
    for ticks in (top.yaxis, side.xaxis):
        _few_ticks(ticks, log=display == "log")
    top.set_ylabel(MARGINAL.replace(", ", ",\n"))
    bar = figure.colorbar(image, cax=place(left + width + panel + gap + 0.15, bottom, 0.12, height))
    bar.set_label(quantity(erf.statistic, display))
    if display == "power-law":
        bar.set_ticks([0.0, 0.001, 0.01, 0.1, 0.3, 1.0])
    handles, labels = ax.get_legend_handles_labels()
    curves, names = top.get_legend_handles_labels()
    known = {name: curve for name, curve in zip(names, curves) if name not in labels}
    known = {("TRF along one axis" if name == "TRF" else name): curve for name, curve in known.items()}
    figure.legend([*handles, *known.values()], [*labels, *known], loc="lower left", ncols=2,
                  bbox_to_anchor=(left / size[0] - 0.02, 0.0), facecolor="#5f6771")
    figure.suptitle(_title(erf, title), x=left / size[0], y=1 - 0.06 / size[1], ha="left")
    return figure


def _few_ticks(ticks: Any, *, log: bool) -> None:
    """Zero and one or two more numbers on a narrow axis; two powers of ten on a logarithmic one."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullLocator

    ticks.set_major_locator(LogLocator(10, numticks=2) if log else MaxNLocator(2))
    if log:
        ticks.set_minor_locator(NullLocator())
    else:
        ticks.set_major_formatter(FormatStrFormatter("%g"))


def _draw_values(erf: EffectiveReceptiveField, ax: Axes, display: Display,
                 views: list[tuple[float, float]]) -> Any:
    """The map in colours, as far as it reaches within the views; grey where there is none."""
    lo, hi = _part(erf, views)
    image = show_map(ax, erf.crop(lo, hi, of="share"), lo, statistic=erf.statistic, display=display)
    ax.set_facecolor(NOWHERE)
    ax.set_xlim(*views[1])
    ax.set_ylim(views[0][1], views[0][0])
    ax.set_xlabel("x, input pixels")
    ax.set_ylabel("y, input pixels")
    return image


def _outlined() -> Any:
    """A dark edge around lines, visible on any colour."""
    from matplotlib.patheffects import withStroke
    return [withStroke(linewidth=2.4, foreground="#202020")]


def _outline(ax: Axes, lo: Any, hi: Any, label: str, **style: Any) -> None:
    """A rectangle from (y, x) `lo` to `hi`."""
    (top, left), (bottom, right) = lo, hi
    ax.plot([left, right, right, left, left], [top, top, bottom, bottom, top], label=label, path_effects=_outlined(),
            **style)


def _draw_marks(erf: EffectiveReceptiveField, ax: Axes, views: list[tuple[float, float]]) -> None:
    """TRF box, image frame, ellipse of one standard deviation, TRF centre."""
    if erf.window is not None:
        lo, hi = erf.window
        _outline(ax, np.subtract(lo, 0.5), np.add(hi, 0.5), f"TRF, {_extent(lo, hi)} px{_beyond(lo, hi, views)}", **BOX)
    if erf.image is not None:
        lo, hi = (0, 0), tuple(n - 1 for n in erf.image)
        _outline(ax, np.subtract(lo, 0.5), np.add(hi, 0.5),
                 f"image, {_times(erf.image)} px{_beyond(lo, hi, views)}", **FRAME)
    squares, axes = np.linalg.eigh(erf.covariance)
    angle = np.linspace(0.0, 2 * np.pi, 361)
    around = axes * np.sqrt(np.maximum(squares, 0.0)) @ [np.cos(angle), np.sin(angle)]
    centroid = erf.centroid
    ax.plot(centroid[1] + around[1], centroid[0] + around[0],
            label=rf"1$\sigma$ of {symbol(erf.statistic)}", path_effects=_outlined(), **ELLIPSE)
    ax.plot(erf.center[1], erf.center[0], label="TRF centre", path_effects=_outlined(), **CROSS)


def _beyond(lo: tuple[int, ...], hi: tuple[int, ...], views: list[tuple[float, float]]) -> str:
    """Words for the legend where no edge of a box is to be seen."""
    seen = any(v[0] < edge < v[1] for v, ends in zip(views, zip(lo, hi)) for edge in ends)
    return "" if seen else " (wider than this view)"


# ---------------------------------------------------------------------------------------------
# one and three
# ---------------------------------------------------------------------------------------------

def _draw_profiles(erf: EffectiveReceptiveField, ax: Axes | None, display: Display,
                   title: str | None, smooth: Smooth | None) -> Figure:
    views = _views(erf)
    if ax is not None and erf.ndim > 1:
        raise ValueError(f"ax: cannot hold the profiles of all {erf.ndim} axes; leave it out")
    if ax is not None:
        figure, panels = cast("Figure", ax.figure), [ax]
    elif erf.ndim == 1:
        figure = page(COLUMN, 2.6)
        panels = [figure.add_subplot()]
    else:
        figure = page(PAGE, 4.4)
        above, panels = figure.subplots(2, 3, height_ratios=(1.5, 1))
        _draw_slices(erf, list(above), display, views)
    for axis, panel in enumerate(panels):
        draw_profile(erf, axis, panel, views[axis], log=display == "log", smooth=smooth)
        panel.set_xlabel("coordinate, input pixels" if erf.ndim == 1 else f"{'zyx'[axis]}, input pixels")
        _few_ticks(panel.yaxis, log=display == "log")
    panels[0].set_ylabel(MARGINAL)
    if erf.ndim == 1:
        panels[0].legend()
        panels[0].set_title(_title(erf, title))
    else:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        figure.suptitle(_title(erf, title))
    return figure


def _draw_slices(erf: EffectiveReceptiveField, panels: list[Axes], display: Display,
                 views: list[tuple[float, float]]) -> None:
    """The planes of pixels nearest to the TRF centre, across each axis."""
    for axis, ax in enumerate(panels):
        lo, hi = map(list, _part(erf, views))
        lo[axis] = hi[axis] = math.floor(erf.center[axis])
        down, across = (a for a in range(3) if a != axis)
        image = show_map(ax, erf.crop(lo, hi, of="share").squeeze(axis), (lo[down], lo[across]),
                         statistic=erf.statistic, display=display)
        ax.set_facecolor(NOWHERE)
        ax.set_xlim(*views[across])
        ax.set_ylim(views[down][1], views[down][0])
        ax.set_xlabel(f"{'zyx'[across]}, input pixels")
        ax.set_ylabel(f"{'zyx'[down]}, input pixels")
        ax.set_title(f"slice at {'zyx'[axis]} = {lo[axis]}")
    panels[0].figure.colorbar(image, ax=panels, shrink=0.8, label=quantity(erf.statistic, display))
