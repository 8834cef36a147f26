"""Pictures of answers: sizes over a map, changes before and after, shares of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..analysis.layer_shares import LayerShares
    from ..analysis.remedies import Remedies, Remedy
    from ..analysis.size_map import SizeMap

__all__ = ["plot_layer_shares", "plot_remedies", "plot_size_map"]

#: Arrows per axis at most.
ARROWS = 12
DARK, LIGHT, WARM, GREY, NOWHERE = "#12355b", "#7fa6cf", "#c1440e", "#9aa5b1", "#c9cdd3"


def plot_size_map(sizes: SizeMap, *, ax: Axes | None = None, title: str | None = None) -> Figure:
    """Draw the size of the field of every unit, with arrows from true centres to centroids.

    Parameters
    ----------
    sizes : SizeMap
        In one or two dimensions.
    ax : matplotlib.axes.Axes, optional
    title : str, optional
        First words of the title, as the name of the network.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        In three dimensions.

    Examples
    --------
    >>> import erfmath as em
    >>> figure = plot_size_map(em.erf_size_map(em.zoo.plain(10), 32))
    >>> figure.savefig("sizes.png")
    """
    from matplotlib.figure import Figure

    if sizes.size.ndim > 2:
        raise ValueError("sizes: has three axes; a picture needs one or two")
    if ax is None:
        ax = Figure(figsize=(6.2, 4.9), layout="constrained").add_subplot()
    figure = cast("Figure", ax.figure)
    image = " × ".join(map(str, sizes.image))
    ax.set_title(f"{title + ', ' if title else ''}units of {sizes.node}, image {image}", fontsize="medium")
    if sizes.size.ndim == 1:
        ax.plot(sizes.size, color=DARK)
        ax.set_xlabel("unit")
        ax.set_ylabel(f"{sizes.kind} of the field, input pixels")
        return figure
    shown = ax.imshow(sizes.size, cmap="cividis", interpolation="nearest")
    figure.colorbar(shown, ax=ax, label=f"{sizes.kind} of the field, input pixels", shrink=0.9)
    _draw_shifts(sizes, ax)
    ax.set_xlabel("unit, x")
    ax.set_ylabel("unit, y")
    return figure


def _draw_shifts(sizes: SizeMap, ax: Axes) -> None:
    """Arrows as long as centroids are away from true centres, all on one scale."""
    spots = [np.unique(np.linspace(0, n - 1, min(n, ARROWS)).round().astype(int)) for n in sizes.size.shape]
    y, x = np.meshgrid(*spots, indexing="ij")
    shift = sizes.shift[(slice(None), y, x)]
    longest = float(np.nanmax(np.hypot(*shift), initial=0.0))
    if longest < 0.05:
        return
    cell = max(sizes.size.shape) / ARROWS
    seen = np.hypot(*shift) > 0.08 * longest
    ax.quiver(x[seen], y[seen], shift[1][seen], shift[0][seen], color="white", edgecolor="#202020", linewidth=0.6,
              angles="xy", scale_units="xy", scale=longest / max(cell, 1.0), width=0.008)
    ax.set_title(f"{ax.get_title()}\narrows: from true centre to centroid, the longest {longest:.3g} px",
                 fontsize="medium")


def plot_remedies(found: Remedies, *, top: int = 12, title: str | None = None) -> Figure:
    """Draw the field before and after the best change, both profiles, and the gains of the first `top`.

    The best change is the first that makes no grid.

    Parameters
    ----------
    found : Remedies
    top : int
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        Where there is no change, or the fields have three dimensions.

    Examples
    --------
    >>> import erfmath as em
    >>> plot_remedies(em.remedies(em.zoo.plain(10), image=32)).savefig("remedies.png")
    """
    from matplotlib.figure import Figure

    from .style import quantity

    if not found.changes or found.now.erf.ndim > 2:
        raise ValueError("found: holds no change to draw, or fields with three axes")
    best, rows = found.changes[0], found.changes[:top]
    maps = found.now.erf.ndim == 2
    figure = Figure(figsize=(12.0, 2.6 + 0.24 * max(len(rows), 10)), layout="constrained")
    grid = figure.add_gridspec(2 if maps else 1, 3, width_ratios=(1, 1, 1.25))
    if maps:
        reach = _reach(best, found.now)
        panels = [figure.add_subplot(grid[0, column]) for column in (0, 1)]
        for ax, remedy in zip(panels, (found.now, best)):
            _draw_field(ax, remedy, found.kind, reach)
        bar = figure.colorbar(panels[-1].images[0], ax=panels)
        bar.set_label(quantity(found.now.erf.statistic, "amplitude"), fontsize="small")
    _draw_profiles(figure.add_subplot(grid[-1, :2]), found.now, best)
    _draw_gains(figure.add_subplot(grid[:, 2]), rows, found.kind)
    if title:
        figure.suptitle(title)
    return figure


def _reach(*remedies: Remedy) -> float:
    """Half a side that shows three standard deviations of the widest."""
    return 3 * max(float(remedy.erf.std.max()) for remedy in remedies) + 1


def _draw_field(ax: Axes, remedy: Remedy, kind: str, reach: float) -> None:
    from . import show_map

    erf, half = remedy.erf, int(np.ceil(reach))
    lo, hi = (np.array([round(c) + sign * half for c in erf.center]) for sign in (-1, 1))
    first, last = np.maximum(lo, erf.origin), np.minimum(hi, np.add(erf.origin, erf.shape) - 1)
    show_map(ax, erf.crop(first, last, of="share"), tuple(first), statistic=erf.statistic)
    ax.set_facecolor(NOWHERE)  # beyond the image, or the theoretical field
    ax.set_xlim(lo[1] - 0.5, hi[1] + 0.5)
    ax.set_ylim(hi[0] + 0.5, lo[0] - 0.5)
    ax.set_title(f"{remedy.what}\n{kind} {remedy.size:.4g} px", fontsize="small", wrap=True)
    ax.set_xlabel("x, input pixels")
    ax.set_ylabel("y, input pixels")


def _draw_profiles(ax: Axes, now: Remedy, best: Remedy) -> None:
    reach = _reach(now, best)
    for remedy in (now, best):
        erf = remedy.erf
        line = erf.profile(-1)
        x = np.arange(len(line)) + erf.origin[-1] - erf.center[-1]
        near = np.abs(x) <= reach
        if remedy is now:
            ax.fill_between(x[near], line[near], step="mid", color=LIGHT, label=remedy.what)
        else:
            ax.step(x[near], line[near], where="mid", color=WARM, linewidth=1.2, label=remedy.what)
    ax.set_xlabel("distance from the true centre along the last axis, input pixels")
    ax.set_ylabel(f"share of {now.erf.statistic}")
    ax.set_ylim(0, None)
    ax.legend(fontsize="x-small", frameon=False, loc="upper right")


def _draw_gains(ax: Axes, rows: tuple[Remedy, ...], kind: str) -> None:
    places = np.arange(len(rows))[::-1]
    ax.barh(places + 0.2, [100 * row.gain for row in rows], 0.4, label=f"gain in {kind}",
            color=[GREY if row.gridding else DARK for row in rows])
    ax.barh(places - 0.2, [100 * row.cost for row in rows], 0.4, label="extra multiply-adds", color=WARM)
    ax.set_yticks(places, [row.what + (" (grid)" if row.gridding else "") for row in rows], fontsize="x-small")
    ax.axvline(0, color="#404040", linewidth=0.8)
    ax.set_xlabel("per cent of the baseline")
    ax.legend(fontsize="x-small", frameon=False, loc="lower right")


def plot_layer_shares(shares: LayerShares, *, ax: Axes | None = None, title: str | None = None) -> Figure:
    """Draw each layer's share of the field's variance beside its share of the multiply-adds.

    Parameters
    ----------
    shares : LayerShares
    ax : matplotlib.axes.Axes, optional
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import erfmath as em
    >>> plot_layer_shares(em.layer_shares(em.zoo.vgg16())).savefig("layers.png")
    """
    from matplotlib.figure import Figure

    rows = shares.layers
    if ax is None:
        ax = Figure(figsize=(6.6, 1.4 + 0.27 * len(rows)), layout="constrained").add_subplot()
    places = np.arange(len(rows))[::-1]
    work = sum(row.multiply_adds for row in rows) or 1
    ax.barh(places + 0.2, [100 * row.share for row in rows], 0.4, color=DARK, label="of the variance of the field")
    ax.barh(places - 0.2, [100 * row.multiply_adds / work for row in rows], 0.4, color=WARM,
            label="of the multiply-adds of these layers")
    ax.set_yticks(places, [f"{row.node}  {row.layer}" for row in rows], fontsize="small")
    ax.set_ylim(-0.7, len(rows) - 0.3)
    ax.set_xlabel("per cent")
    ax.legend(fontsize="small", frameon=False, loc="lower right")
    if title:
        ax.set_title(title)
    return cast("Figure", ax.figure)
