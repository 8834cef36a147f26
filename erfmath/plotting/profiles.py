"""Lines through effective receptive fields: marginals, and cuts through the TRF centre."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

from ..base.checks import integer
from ..base.errors import quoted
from .style import COLUMN, FLOOR, GAMMA, LINES, Display, Style, check_display, in_style, page, plain, symbol

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..results.field import EffectiveReceptiveField

__all__ = ["MARGINAL", "Smooth", "check_smooth", "draw_profile", "envelope", "plot_profiles", "profile_of"]

REACH = 4.5  # standard deviations of the widest result that are shown
MARGINAL = "marginal, per pixel"
Smooth = Literal["stride"]

PROFILE: Style = dict(color="#7fa6cf", fill=True)
ENVELOPE: Style = dict(color="#12355b", linewidth=1.2)
GAUSSIAN: Style = dict(color="#c1440e", linewidth=1.0, linestyle=(0, (4, 2)))


@in_style
def plot_profiles(erfs: Mapping[str, EffectiveReceptiveField] | Sequence[EffectiveReceptiveField], *,
                  axis: int = -1, display: Display = "linear", smooth: Smooth | None = None,
                  ax: Axes | None = None, title: str | None = None) -> Figure:
    """Draw several results along one axis, in input pixels from each one's TRF centre.

    Theory is a line, a measurement (what has a `stderr`) a row of markers with standard errors.  Where
    theoretical receptive fields (TRF) end within the view, short ticks of the same colour at the
    lower edge say so.

    Parameters
    ----------
    erfs : mapping of str to EffectiveReceptiveField, or sequence of them
        Names for the legend; without names, node, unit and method.
    axis : int
        The axis along which they are drawn.
    display : "linear", "log", "power-law" or "amplitude"
        The marginal of the map, normalised to sum 1, on such an axis; "amplitude" is the root of
        E[g^2] (abs E[g] for the mean) along the line through the TRF centre, over its maximum.
    smooth : "stride", optional
        Average marginals over one period of the network's stride, which is the period of the combs that
        strides leave; this adds about stride^2 / 12 to the variance of the curve.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into, instead of a figure of its own.
    title : str, optional
        Title of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        The picture, which belongs to no window.

    Raises
    ------
    ValueError
        If there is nothing to draw, no such display or `smooth`, or an axis that one of them does not have.

    See Also
    --------
    plot : Draw an effective receptive field in input pixels.

    Examples
    --------
    >>> import erfmath as em
    >>> nets = {f"{n} layers": em.predict(em.zoo.plain(n)) for n in (5, 10, 20)}
    >>> em.plotting.plot_profiles(nets, display="log").axes[0].get_yscale()
    'log'
    """
    check_display(display)
    check_smooth(smooth)
    named = _named(erfs)
    for name, erf in named:
        if not -erf.ndim <= integer(axis, "axis") < erf.ndim:
            raise ValueError(f"axis={quoted(axis)}: {name} has the axes 0 to {erf.ndim - 1}")
    if ax is None:
        ax = page(COLUMN, 3.2).add_subplot()
    top, reach, ends = 0.0, 0.0, None
    for (name, erf), style in zip(named, _styles(len(named))):
        x, y = profile_of(erf, axis, display)
        near = max(_reach(erf, axis), 1.0)
        top, reach = max(top, float(np.abs(y).max())), max(reach, near)
        error = _error(erf, axis) if display != "amplitude" and not smooth else None
        if smooth and display != "amplitude":
            y = envelope(erf, axis, y)
        _draw_line(ax, x, y, error, style, measured=erf.stderr is not None, label=name)
        for end in _ends(erf, axis):
            if abs(end) <= REACH * near:
                ends = ax.axvline(end, 0.0, 0.04, color=style["color"], linewidth=1.6, label="_end")
    if ends is not None:
        ends.set_label("end of the TRF")
    ax.set_xlim(-reach, reach)
    _scale(ax, display, top)
    ax.set_xlabel("distance from the TRF centre, input pixels")
    ax.set_ylabel(_words({erf.statistic for _, erf in named}, display)
                  + (",\naveraged over a stride" if smooth and display != "amplitude" else ""))
    ax.legend()
    if title:
        ax.set_title(title)
    return cast("Figure", ax.figure)


def _named(erfs: Any) -> list[tuple[str, EffectiveReceptiveField]]:
    if isinstance(erfs, Mapping):
        named = list(erfs.items())
    else:
        named = [(plain(f"{getattr(erf, 'label', '')}, {getattr(erf, 'method', '')}"), erf)
                 for erf in (erfs if isinstance(erfs, Sequence) else [erfs])]
    if not named:
        raise ValueError("erfs: must hold one result at least")
    for _, erf in named:
        if not hasattr(erf, "density"):
            raise TypeError(f"erfs={quoted(erf)}: must be effective receptive fields, as predict and measure return")
    return named


def _styles(n: int) -> list[Style]:
    return [LINES[i % len(LINES)] for i in range(n)]


def _reach(erf: EffectiveReceptiveField, axis: int) -> float:
    """How far from the TRF centre there is something to see, no farther than the TRF."""
    off = abs(erf.centroid[axis] - erf.center[axis])
    far = max(abs(end) for end in _ends(erf, axis))
    return float(min(off + REACH * erf.std[axis] + 1, 1.08 * far))


def _ends(erf: EffectiveReceptiveField, axis: int) -> tuple[float, float]:
    """Both edges of the theoretical receptive field, from the TRF centre."""
    lo, hi = erf.window or (erf.origin, tuple(o + n - 1 for o, n in zip(erf.origin, erf.shape)))
    return lo[axis] - 0.5 - erf.center[axis], hi[axis] + 0.5 - erf.center[axis]


def _error(erf: EffectiveReceptiveField, axis: int) -> npt.NDArray[Any] | None:
    """Standard error of the marginal, where the result knows it."""
    known = getattr(erf, "profile_stderr", None)
    return None if known is None else known(axis)


def profile_of(erf: EffectiveReceptiveField, axis: int,
               display: Display) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Pixels from the TRF centre, and what a display shows there."""
    x = np.arange(erf.shape[axis]) + (erf.origin[axis] - erf.center[axis])
    if display != "amplitude":
        return x, erf.profile(axis)
    y = np.abs(erf.cut(axis))
    y = np.sqrt(y) if erf.statistic == "power" else y
    return x, y / (y.max() or 1.0)


def check_smooth(smooth: str | None) -> None:
    """Refuse another word than "stride"."""
    if smooth is not None and not (isinstance(smooth, str) and smooth == "stride"):
        raise ValueError(f"smooth={quoted(smooth)}: must be 'stride' or None")


def envelope(erf: EffectiveReceptiveField, axis: int, line: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A marginal averaged over one period of the stride; as it is where the stride is 1, 0 or not known."""
    period = 1 if erf.window is None else int(erf.trf.stride[axis])
    if period < 2:
        return line
    weights = np.ones(period + 1 - period % 2)
    if period % 2 == 0:  # symmetric about the middle pixel
        weights[[0, -1]] = 0.5
    return np.convolve(line, weights / period)[len(weights) // 2:][:len(line)]


def _draw_line(ax: Axes, x: Any, y: Any, error: Any, style: Style, *, measured: bool, label: str) -> None:
    if measured:
        ax.errorbar(x, y, yerr=error, color=style["color"], marker=style["marker"], markersize=2.5, linestyle="none",
                    markerfacecolor="none", markeredgewidth=0.7, elinewidth=0.7, capsize=0, label=label)
    else:
        ax.plot(x, y, color=style["color"], linestyle=style["linestyle"], label=label)


def _scale(ax: Axes, display: Display, top: float) -> None:
    if display == "log":
        ax.set_yscale("log", nonpositive="mask")
        ax.set_ylim(FLOOR * top, 2 * top)
    elif display == "power-law":
        ax.set_yscale("function", functions=(lambda y: np.sign(y) * np.abs(y)**GAMMA,
                                             lambda y: np.sign(y) * np.abs(y)**(1 / GAMMA)))
        ax.set_ylim(min(0.0, ax.dataLim.y0), 1.1 * top)
        ax.set_yticks([top * part for part in (0.0, 0.001, 0.01, 0.1, 0.3, 1.0)])
        ax.yaxis.set_major_formatter("{x:.2g}")
    else:
        ax.set_ylim(min(0.0, ax.get_ylim()[0]), None)


def _words(statistics: set[str], display: Display) -> str:
    if display == "amplitude":
        return "amplitude through the TRF centre / maximum"
    scale = {"linear": "", "log": ", logarithmic axis", "power-law": f", axis by power {GAMMA:g}"}
    return f"marginal of {' or '.join(map(symbol, sorted(statistics)))}, per pixel{scale[display]}"


def draw_profile(erf: EffectiveReceptiveField, axis: int, ax: Axes, view: tuple[float, float], *,
                 upright: bool = False, log: bool = False, smooth: Smooth | None = None) -> None:
    """The marginal of the normalised ERF along one axis beside the Gaussian of the same mean and std."""
    first = max(math.floor(view[0]), erf.origin[axis])
    seen = slice(first - erf.origin[axis], math.ceil(view[1]) - erf.origin[axis] + 1)
    share = erf.profile(axis)[seen]
    edges = first - 0.5 + np.arange(len(share) + 1)
    ax.stairs(share, edges, orientation="horizontal" if upright else "vertical",
              label=f"marginal of {symbol(erf.statistic)}, sum 1", **PROFILE)
    if smooth:
        along, mean_line = first + np.arange(len(share)), envelope(erf, axis, erf.profile(axis))[seen]
        ax.plot(*((mean_line, along) if upright else (along, mean_line)), label="averaged over a stride", **ENVELOPE)
    mean, std = erf.centroid[axis], float(erf.std[axis])
    if std > 0:
        x = np.linspace(view[0], view[1], 512)
        gauss = np.exp(-((x - mean) / std) ** 2 / 2) / (std * np.sqrt(2 * np.pi))
        ax.plot(*((gauss, x) if upright else (x, gauss)), label=r"Gaussian of the same mean and $\sigma$",
                **GAUSSIAN)
    mark, span = (ax.axhline, ax.axhspan) if upright else (ax.axvline, ax.axvspan)
    if erf.window is not None:
        lo, hi = erf.window
        span(lo[axis] - 0.5, hi[axis] + 0.5, color="#9aa5b1", alpha=0.25, linewidth=0, label="TRF")
    mark(erf.center[axis], color="#606060", linewidth=0.8, linestyle=":", label="TRF centre")
    along_ends = ax.set_ylim if upright else ax.set_xlim
    height_ends = ax.set_xlim if upright else ax.set_ylim
    along_ends(*(view[::-1] if upright else view))
    if log:
        (ax.set_xscale if upright else ax.set_yscale)("log")
        height_ends(FLOOR * share.max(), 2 * share.max())
    else:
        height_ends(min(0.0, float(share.min())), None)
