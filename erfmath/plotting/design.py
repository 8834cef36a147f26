"""Pictures of answers: sizes over a map, changes before and after, what each layer adds."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from .maps import FRAME, NOWHERE, show_map
from .profiles import envelope
from .style import COLUMN, KINDS, PAGE, in_style, letter, page, plain, quantity, symbol

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..analysis.layer_shares import LayerShares
    from ..analysis.remedies import Remedies, Remedy
    from ..analysis.size_map import SizeMap

__all__ = ["plot_layer_shares", "plot_remedies", "plot_size_map"]

#: Arrows per axis at most.
ARROWS = 12
DARK, LIGHT, WARM, GREY = "#12355b", "#7fa6cf", "#c1440e", "#9aa5b1"


@in_style
def plot_size_map(sizes: SizeMap, *, ax: Axes | None = None, title: str | None = None) -> Figure:
    """Draw the size of the ERF of every unit at its TRF centre, with arrows to the centroids.

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
    if sizes.size.ndim > 2:
        raise ValueError("sizes: has three axes; a picture needs one or two")
    if ax is None:
        ax = page(COLUMN, 4.2 if sizes.size.ndim == 2 else 2.6).add_subplot()
    figure = cast("Figure", ax.figure)
    image = " × ".join(map(str, sizes.image))
    ax.set_title(f"{plain(title) + ', ' if title else ''}units of {plain(sizes.node)}, image {image} px")
    words = f"{KINDS.get(sizes.kind, sizes.kind)}, input pixels"
    if sizes.size.ndim == 1:
        ax.plot(sizes.center[0], sizes.size, color=DARK)
        ax.set_xlabel("TRF centre of the unit, input pixels")
        ax.set_ylabel(words)
        return figure
    (top, bottom), (left, right) = (_ends(centres) for centres in (sizes.center[0][:, 0], sizes.center[1][0]))
    shown = ax.imshow(sizes.size, cmap="cividis", interpolation="nearest", extent=(left, right, bottom, top))
    figure.colorbar(shown, ax=ax, label=words, shrink=0.9)
    _draw_shifts(sizes, ax)
    ax.set_xlabel("x of the unit's TRF centre, input pixels")
    ax.set_ylabel("y of the unit's TRF centre, input pixels")
    return figure


def _ends(centres: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The edges of the cells about evenly spaced centres."""
    half = (centres[-1] - centres[0]) / max(len(centres) - 1, 1) / 2 or 0.5
    return float(centres[0] - half), float(centres[-1] + half)


def _draw_shifts(sizes: SizeMap, ax: Axes) -> None:
    """Arrows from TRF centres to centroids, all on one scale, with a key."""
    spots = [np.unique(np.linspace(0, n - 1, min(n, ARROWS)).round().astype(int)) for n in sizes.size.shape]
    y, x = np.meshgrid(*spots, indexing="ij")
    shift, (down, across) = sizes.shift[(slice(None), y, x)], sizes.center[(slice(None), y, x)]
    longest = float(np.nanmax(np.hypot(*shift), initial=0.0))
    if longest < 0.05:
        return
    cell = max(np.ptp(down), np.ptp(across)) / max(max(map(len, spots)) - 1, 1)
    seen = np.hypot(*shift) > 0.15 * longest  # less is a dot
    arrows = ax.quiver(across[seen], down[seen], shift[1][seen], shift[0][seen], color="white", edgecolor="#202020",
                       linewidth=0.5, angles="xy", scale_units="xy", scale=longest / max(0.85 * cell, 1.0), width=0.006,
                       minlength=0)
    ax.quiverkey(arrows, 1.0, 1.03, longest, f"centroid {longest:.3g} px off", labelpos="W", coordinates="axes",
                 color=DARK, edgecolor=DARK)
    ax.set_title(ax.get_title() + "\n\n")


@in_style
def plot_remedies(found: Remedies, *, top: int = 12, title: str | None = None) -> Figure:
    """Draw the field as it is and after the best change, both marginals, and the gains of the first `top`.

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
    if not found.changes or found.now.erf.ndim > 2:
        raise ValueError("found: holds no change to draw, or fields with three axes")
    best, rows = found.changes[0], found.changes[:top]
    maps = found.now.erf.ndim == 2
    figure = page(PAGE, (2.6 if maps else 0.0) + 1.7 + 0.6 + 0.19 * len(rows))
    parts: Any = figure.subfigures(2 + maps, 1, height_ratios=[2.6] * maps + [1.7, 0.6 + 0.19 * len(rows)])
    drawn: list[Axes] = []
    if maps:
        reach = _reach(best, found.now)
        drawn += list(parts[0].subplots(1, 2))
        for ax, remedy in zip(drawn, (found.now, best)):
            _draw_field(ax, remedy, found.kind, reach)
        parts[0].colorbar(drawn[-1].images[0], ax=drawn, label=quantity(found.now.erf.statistic, "amplitude"))
    drawn += [part.subplots() for part in parts[-2:]]
    _draw_profiles(drawn[-2], found.now, best)
    _draw_gains(drawn[-1], rows, found.kind)
    for ax, mark in zip(drawn, "abcd"):
        letter(ax, mark)
    if title:
        figure.suptitle(plain(title))
    return figure


def _reach(*remedies: Remedy) -> float:
    """Half a side that shows three standard deviations of the widest."""
    return 3 * max(float(remedy.erf.std.max()) for remedy in remedies) + 1


def _draw_field(ax: Axes, remedy: Remedy, kind: str, reach: float) -> None:
    erf, half = remedy.erf, int(np.ceil(reach))
    lo, hi = (np.array([round(c) + sign * half for c in erf.center]) for sign in (-1, 1))
    first, last = np.maximum(lo, erf.origin), np.minimum(hi, np.add(erf.origin, erf.shape) - 1)
    show_map(ax, erf.crop(first, last, of="share"), tuple(first), statistic=erf.statistic)
    ax.set_facecolor(NOWHERE)  # beyond the image, or the TRF
    if erf.image is not None:
        bottom, right = (n - 0.5 for n in erf.image)
        ax.plot([-0.5, right, right, -0.5, -0.5], [-0.5, -0.5, bottom, bottom, -0.5], **FRAME)
    ax.set_xlim(lo[1] - 0.5, hi[1] + 0.5)
    ax.set_ylim(hi[0] + 0.5, lo[0] - 0.5)
    ax.set_title(f"{textwrap.fill(plain(remedy.what), 40)}\n{KINDS.get(kind, kind)} {remedy.size:.4g} px")
    ax.set_xlabel("x, input pixels")
    ax.set_ylabel("y, input pixels")


def _draw_profiles(ax: Axes, now: Remedy, best: Remedy) -> None:
    reach = _reach(now, best)
    for remedy in (now, best):
        erf = remedy.erf
        line = erf.profile(-1)
        x = np.arange(len(line)) + erf.origin[-1] - erf.center[-1]
        near = np.abs(x) <= reach
        colour = DARK if remedy is now else WARM
        smooth = envelope(erf, erf.ndim - 1, line)
        if smooth is not line:
            ax.fill_between(x[near], line[near], step="mid", color=LIGHT if remedy is now else "#f0c9b0", alpha=0.5,
                            linewidth=0)
        ax.plot(x[near], smooth[near], color=colour, linewidth=1.2, label=plain(remedy.what))
    ax.set_xlabel("x from the TRF centre, input pixels")
    ax.set_ylabel(f"marginal of {symbol(now.erf.statistic)}\nper pixel, sum 1")
    ax.set_ylim(0, None)
    ax.legend(loc="upper right", title="lines: averaged over a stride" if max(now.erf.trf.stride) > 1 else None)


def _draw_gains(ax: Axes, rows: tuple[Remedy, ...], kind: str) -> None:
    places = np.arange(len(rows))[::-1]
    ax.barh(places + 0.2, [100 * row.gain for row in rows], 0.4, label=f"gain in {KINDS.get(kind, kind)}",
            color=[GREY if row.gridding else DARK for row in rows])
    ax.barh(places - 0.2, [100 * row.cost for row in rows], 0.4, label="extra multiply-adds", color=WARM)
    ax.set_yticks(places, [plain(row.what, 60) + (" (gridding)" if row.gridding else "") for row in rows])
    ax.axvline(0, color="#404040", linewidth=0.6)
    ax.set_xlabel("change, % of the baseline")
    ax.legend(loc="lower right")


@in_style
def plot_layer_shares(shares: LayerShares, *, ax: Axes | None = None, title: str | None = None) -> Figure:
    """Draw the contribution of each layer to the variance of the ERF, and to the multiply-adds.

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
    rows = shares.layers
    if ax is None:
        ax = page(COLUMN, 0.9 + 0.2 * len(rows)).add_subplot()
    places = np.arange(len(rows))[::-1]
    work = sum(row.multiply_adds for row in rows) or 1
    ax.barh(places + 0.2, [100 * row.share for row in rows], 0.4, color=DARK,
            label=f"variance of the ERF ({shares.variance:.4g} px²)")
    ax.barh(places - 0.2, [100 * row.multiply_adds / work for row in rows], 0.4, color=WARM,
            label="multiply-adds")
    ax.set_yticks(places, [plain(f"{row.node}  {row.layer}", 48) for row in rows])
    ax.set_ylim(-0.7, len(rows) - 0.3)
    ax.set_xlabel("contribution of each layer, %")
    ax.legend(loc="best")
    if title:
        ax.set_title(plain(title))
    return cast("Figure", ax.figure)
