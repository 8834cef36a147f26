"""Small panels of maps, many on a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..plotting import LINES, Display, show_map
from .base import Part

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["AMPLITUDE", "annotate", "dark_edge", "draw_marginal", "line_through_center",
           "map_grid", "maps_over_marginals", "mark_box", "page", "panel_map"]

AMPLITUDE = "amplitude $E[g^2]^{1/2}$ / maximum"


def page(width: float, height: float) -> Figure:
    """An empty figure, in inches, that belongs to no window."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return Figure(figsize=(width, height),
                  layout=ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.04, hspace=0.02, wspace=0.02))


def statistic_of(part: Part) -> str:
    """What the part's maps are, for `show_map`."""
    return str(part.spec.get("statistic", "power"))


def panel_map(ax: Axes, part: Part, of: str, *, display: Display = "amplitude", reach: float | None = None) -> Any:
    """The map `part[of]` with pixels counted from the true centre, out to `reach` where it is given."""
    offset = part["origin"] - part["center"]
    image = show_map(ax, part[of], tuple(offset), statistic=statistic_of(part), display=display)
    if reach is not None:
        ax.set_xlim(-reach, reach)
        ax.set_ylim(reach, -reach)
    ticks = round_ticks(float(np.abs(ax.get_xlim()).max()))
    ax.set_xticks(ticks)
    ax.set_yticks(ticks)
    ax.tick_params(labelsize="x-small", length=2, pad=2)
    ax.set_facecolor("#7d8590")
    return image


def round_ticks(far: float) -> list[float]:
    """-a, 0, a with a round number a, so that labels of small panels never meet."""
    step = next(base * 10**power for power in range(6) for base in (1, 2, 5) if base * 10**power > 0.4 * far)
    return [-step, 0, step]


def map_grid(panels: Any, columns: Sequence[tuple[str, Part]], rows: Sequence[str] = ("measured", "theory"), *,
             words: Callable[[Part, str], str], names: Sequence[str] = (), display: Display = "amplitude",
             reach: float | None = None, box: bool = False) -> Any:
    """A column per part, a row per map of it, with a few `words` in each; x pixels below the last row."""
    image = None
    for j, (title, part) in enumerate(columns):
        for i, of in enumerate(rows):
            ax = panels[i, j]
            image = panel_map(ax, part, of, display=display, reach=reach)
            if box:
                mark_box(ax, part)
            annotate(ax, words(part, of))
            ax.tick_params(labelbottom=i == len(rows) - 1, labelleft=reach is None or j == 0)
            if j == 0:
                ax.set_ylabel((names or rows)[i], fontsize="medium")
        if title:
            panels[0, j].set_title(title, fontsize="medium")
    return image


def annotate(ax: Axes, text: str) -> None:
    """Words in the upper left corner, readable on any colour."""
    ax.text(0.04, 0.96, text, transform=ax.transAxes, color="white", ha="left", va="top", fontsize="small",
            path_effects=dark_edge())


def dark_edge() -> list[Any]:
    """What makes white words and marks readable on any colour."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2.2, foreground="#202020")]


def mark_box(ax: Axes, part: Part) -> None:
    """The outline of the theoretical receptive field."""
    (top, left), (bottom, right) = part["window"] - part["center"] + np.array([[-0.5], [0.5]])
    ax.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color="white", linewidth=1.2,
            linestyle=(0, (4, 3)))


def line_through_center(part: Part, of: str = "theory") -> tuple[Any, Any]:
    """Amplitude along the row nearest to the true centre, over its largest value there."""
    share = np.maximum(part[of].astype(float), 0.0)
    line = share[round(float(part["center"][0] - part["origin"][0]))]
    x = np.arange(len(line)) + part["origin"][1] - part["center"][1]
    amplitude = np.sqrt(line) if statistic_of(part) == "power" else line
    return x, amplitude / amplitude.max()


def draw_marginal(ax: Axes, part: Part, number: int, name: str) -> None:
    """Marginal of the share along x: theory as a line, what was measured as markers."""
    style = LINES[number]
    for of in ("theory", "measured"):
        share = part[of].astype(float).sum(axis=0)
        x = np.arange(len(share)) + part["origin"][1] - part["center"][1]
        if of == "theory":
            ax.plot(x, share, color=style["color"], linestyle=style["linestyle"], label=f"{name}, theory")
        else:
            ax.plot(x, share, color=style["color"], marker=style["marker"], markersize=4, linestyle="none",
                    markerfacecolor="none", label=f"{name}, measured")


def maps_over_marginals(columns: Sequence[tuple[str, Part]], title: str, *, words: Callable[[Part, str], str],
                        display: Display = "amplitude", bar: str = AMPLITUDE, reach: float | None = None,
                        box: bool = False, floor: float = 1e-6) -> Figure:
    """Measured maps, the theory below, and below both the marginals of all on a logarithmic axis."""
    figure = page(1.0 + 2.55 * len(columns), 9.0)
    grid = figure.add_gridspec(3, len(columns), height_ratios=[1, 1, 1.1])
    panels = np.array([[figure.add_subplot(grid[i, j]) for j in range(len(columns))] for i in range(2)])
    image = map_grid(panels, columns, words=words, display=display, reach=reach, box=box)
    color_bar = figure.colorbar(image, ax=panels, shrink=0.8, pad=0.02)
    color_bar.set_label(bar)
    if display == "power-law":
        color_bar.set_ticks([0.0, 0.001, 0.01, 0.1, 0.3, 1.0])
    ax = figure.add_subplot(grid[2, :])
    for i, (name, part) in enumerate(columns):
        draw_marginal(ax, part, i, name.split("\n")[0])
    ax.set_yscale("log")
    ax.set_ylim(floor, 3 * max(part[of].sum(axis=0).max() for _, part in columns for of in ("theory", "measured")))
    far = max(part.number("side") for _, part in columns) / 2 if reach is None else reach
    ax.set_xlim(-far, far)
    ax.set_xlabel("x, input pixels from the centre")
    ax.set_ylabel("share of $E[g^2]$ per column")
    ax.legend(fontsize="small", frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=len(columns))
    figure.suptitle(title, fontsize="medium")
    return figure
