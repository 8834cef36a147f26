"""How sizes grow: against depth, or any other number, on two logarithmic axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from ..analysis.growth import Growth
from ..analysis.power_law import PowerLaw, fit_power_law
from .style import COLUMN, KINDS, LINES, PAGE, in_style, page, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plain_numbers", "plot_growth", "plot_layers", "power_law"]

#: Standard errors that a sampled point may lie off the line of a power law.
FAR = 4
#: Points up to which each has a marker of full size.
MARKED = 40


def power_law(values: npt.ArrayLike, sizes: npt.ArrayLike, errors: npt.ArrayLike | None = None) -> PowerLaw:
    """`fit_power_law` with the error of the slope that independent standard `errors` of sizes give; none without."""
    law = fit_power_law(values, sizes).exact()
    if errors is None:
        return law
    off = np.log(np.asarray(values, dtype=float))
    off -= off.mean()
    relative = np.asarray(errors, dtype=float) / np.asarray(sizes, dtype=float)
    return law._replace(slope_stderr=float(np.linalg.norm(off * relative) / (off @ off)))


@in_style
def plot_growth(values: Growth | npt.ArrayLike, sizes: Any = None, *, errors: Any = None, fit: bool = True,
                ax: Axes | None = None, xlabel: str = "layers", ylabel: str = "size, input pixels",
                title: str | None = None) -> Figure:
    """Draw sizes against values, log-log, each row with its fitted power law.

    Parameters
    ----------
    values : Growth, or array of shape (points,)
        The result of `growth`: its sizes are drawn, their ratios to the theoretical receptive field, and
        the closed form beside both; of what follows only `title` is then used.  Or the number of layers,
        or whatever the sizes grow with.
    sizes : array of shape (points,), or mapping of str to such arrays
        A row per name of the legend.
    errors : like `sizes`, optional
        Standard errors, drawn as bars, and carried over to that of the slope.
    fit : bool
        Draw the least-squares line of the logarithms, and its slope in the legend; takes three points.
        Where sizes follow no power law (`PowerLaw.holds`), within their errors, no line is drawn.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into, instead of a figure of its own.
    xlabel, ylabel, title : str, optional
        Labels of the axes, and title.

    Returns
    -------
    matplotlib.figure.Figure
        The picture, which belongs to no window.

    Raises
    ------
    ValueError
        If there is nothing to fit: rows of different length, fewer than three points, a number that is not
        positive.

    See Also
    --------
    growth : How sizes grow with a parameter.

    Examples
    --------
    >>> import erfmath as em
    >>> layers = [5, 10, 20, 40, 80]
    >>> sizes = [em.predict(em.zoo.plain(n)).size("threshold") for n in layers]
    >>> figure = em.plotting.plot_growth(layers, {"random weights": sizes})
    >>> figure.axes[0].get_legend().get_texts()[0].get_text()
    'random weights: slope 0.529'
    """
    if isinstance(values, Growth):
        return _both(values, title)
    rows = sizes if isinstance(sizes, Mapping) else {"": sizes}
    bars = errors if isinstance(errors, Mapping) else {"": errors}
    if ax is None:
        ax = page(COLUMN, 3.6).add_subplot()
    x = np.asarray(values, dtype=float)
    for i, (name, row) in enumerate(rows.items()):
        style, error = LINES[i % len(LINES)], bars.get(name)
        law = power_law(x, row, error) if fit else None
        if law is not None and error is not None and not law.holds:
            near = np.abs(law(x) / row - 1) <= FAR * np.asarray(error, dtype=float) / row
            law = law._replace(misfit=0.0) if near.all() else law
        words = name if law is None else f"{name}{': ' if name else ''}{law.words.replace('+-', '±')}"
        ax.errorbar(x, np.asarray(row, dtype=float), yerr=error, color=style["color"], label=words or None,
                    marker=style["marker"], markersize=4 if len(x) <= MARKED else 1.5, linestyle="none", capsize=2)
        if law is not None and law.holds:
            ends = np.array([x.min(), x.max()])
            ax.plot(ends, law(ends), color=style["color"], linestyle=style["linestyle"])
    ax.set_xscale("log")
    ax.set_yscale("log")
    for ticks in (ax.xaxis, ax.yaxis):
        plain_numbers(ticks)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    if rows and (any(rows) or fit):
        ax.legend()
    if title:
        ax.set_title(plain(title))
    return cast("Figure", ax.figure)


def _both(over: Growth, title: str | None) -> Figure:
    """Sizes and ratios side by side, in dots the closed form of each."""
    figure = page(PAGE, 3.2)
    positive = {kind: size for kind, size in over.sizes.items() if size.min() > 0}
    ratios = {kind: over.ratio(kind) for kind in positive}
    for ax, rows, words, free in zip(figure.subplots(1, 2), (positive, ratios), (
            "size, input pixels", "size / side of the TRF"), ("upper left", "lower left")):
        plot_growth(over.values, {KINDS.get(kind, kind): row for kind, row in rows.items()}, ax=ax,
                    xlabel=over.parameter, ylabel=words)
        closed = [over.asymptote[kind] * row / positive[kind] for kind, row in rows.items()
                  if np.isfinite(over.asymptote[kind]).any()]
        for line, label in zip(closed, ["Gaussian, closed form"] + [""] * len(closed)):
            ax.plot(over.values, line, color="#202020", linewidth=1.0, linestyle=":", zorder=3, label=label)
        if rows:
            shown = np.concatenate([*rows.values(), *closed])
            shown = shown[shown > 0]  # a closed form may be 0, or unknown
            low, high = np.log([shown.min(), shown.max()])
            if low == high:
                low, high = low - 0.5, high + 0.5
            room = 0.28 * (high - low)  # for the legend
            ax.set_ylim(*np.exp((low - 0.05 * (high - low) - room * (free == "lower left"),
                                 high + 0.05 * (high - low) + room * (free == "upper left"))))
            ax.legend(loc=free)
    if title:
        figure.suptitle(plain(title))
    return figure


@in_style
def plot_layers(names: Sequence[str], sizes: Mapping[str, Sequence[float]]) -> Figure:
    """Draw sizes against the layers of a network, a line per name of the legend.

    Parameters
    ----------
    names : sequence of str
        Of the layers, in their order.
    sizes : mapping of str to sequence of float
        In input pixels; nan leaves a gap.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> plot_layers(["conv1", "conv2"], {"TRF": [3, 5]}).axes[0].get_yscale()
    'log'
    """
    figure = page(COLUMN, 2.6)
    ax = figure.add_subplot()
    for style, (label, row) in zip(LINES, sizes.items()):
        ax.plot(range(len(names)), row, label=label, markersize=3, **style)
    ax.set_yscale("log")
    plain_numbers(ax.yaxis)
    ax.set_xticks(range(len(names)), list(map(plain, names)), rotation=60, ha="right")
    ax.set_ylabel("input pixels")
    ax.legend()
    return figure


def plain_numbers(ticks: Any) -> None:
    """5, 10, 20, 50 on a logarithmic axis, in place of powers of ten."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter, NullLocator

    ticks.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0)))
    ticks.set_major_formatter(FormatStrFormatter("%g"))
    ticks.set_minor_locator(NullLocator())
    ticks.set_minor_formatter(NullFormatter())
