"""Small panels of maps, many on a page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..plotting import LINES, Display, show_map, style as pictures
from .base import Axes, Figure, Part

__all__ = ["AMPLITUDE", "annotate", "draw_marginal", "letters", "map_grid", "page", "panel_map",
           "plus_minus", "ratios", "rows_of"]

AMPLITUDE = "RMS gradient $E[g^2]^{1/2}$ / maximum"


def page(height: float) -> Figure:
    """An empty page of a journal, of so many inches."""
    return pictures.page(pictures.PAGE, height)


def letters(panels: Iterable[Axes]) -> None:
    """a, b, c, ... in bold beside the upper left corners."""
    for mark, ax in zip("abcdefghijklmnopqrstuvwxyz", panels):
        pictures.letter(ax, mark)


def plus_minus(part: Part, size: str, over: float = 1.0, digits: int = 2) -> str:
    """A measured number with its standard error, if it has one."""
    error = part.number(f"{size}_error") / over
    return f"{part.number(size) / over:.{digits}f}" + (f" ± {error:.{digits}f}" if error else "")


def statistic_of(part: Part) -> str:
    """What the part's maps are, for `show_map`."""
    return str(part.spec.get("statistic", "power"))


def panel_map(ax: Axes, part: Part, of: str, *, display: Display = "amplitude", reach: float | None = None) -> Any:
    """The map `part[of]` with pixels counted from the TRF centre, out to `reach` where it is given."""
    offset = part["origin"] - part["center"]
    image = show_map(ax, part[of], tuple(offset), statistic=statistic_of(part), display=display)
    if reach is not None:
        ax.set_xlim(-reach, reach)
        ax.set_ylim(reach, -reach)
    far = float(np.abs(ax.get_xlim()).max())
    step = next(base * 10**power for power in range(6) for base in (1, 2, 5) if base * 10**power > 0.4 * far)
    ax.set_xticks([-step, 0, step])
    ax.set_yticks([-step, 0, step])
    ax.tick_params(length=2, pad=2)
    ax.set_facecolor("#7d8590")
    return image


def rows_of(columns: Sequence[Part], rows: Sequence[str] = ("measured", "theory")) -> dict[str, list[tuple[Part, str]]]:
    """Rows of `map_grid`: a column per part, a row per map of it."""
    return {of: [(part, of) for part in columns] for of in rows}


def map_grid(panels: Any, rows: dict[str, list[tuple[Part, str]]], titles: Sequence[str],
             words: Callable[[Part, str], str], *, display: Display = "amplitude", reach: float | None = None,
             box: bool = False) -> Any:
    """Rows of maps by name, with a few `words` in each; coordinates beside the first column and below the last row."""
    image = None
    for i, (name, cells) in enumerate(rows.items()):
        for j, (part, of) in enumerate(cells):
            ax = panels[i, j]
            image = panel_map(ax, part, of, display=display, reach=reach)
            if box:
                _mark_box(ax, part)
            annotate(ax, words(part, of))
            ax.tick_params(labelbottom=i == len(rows) - 1, labelleft=reach is None or j == 0)
            if i == 0:
                ax.set_title(titles[j])
            if i == len(rows) - 1:
                ax.set_xlabel("x, input pixels")
        panels[i, 0].set_ylabel(f"{name}\ny, input pixels")
    return image


def annotate(ax: Axes, text: str) -> None:
    """Words in the upper left corner, readable on any colour."""
    from matplotlib.patheffects import withStroke

    ax.text(0.04, 0.96, text, transform=ax.transAxes, color="white", ha="left", va="top", fontsize=7,
            path_effects=[withStroke(linewidth=2, foreground="#202020")])


def _mark_box(ax: Axes, part: Part) -> None:
    """The outline of the theoretical receptive field."""
    (top, left), (bottom, right) = part["window"] - part["center"] + np.array([[-0.5], [0.5]])
    ax.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color="white", linestyle=(0, (4, 3)))


def marginals(part: Part) -> tuple[Any, Any, Any, Any]:
    """x from the TRF centre, and the marginal of the normalised map: theory, measured, its standard error."""
    theory = part["theory"].astype(float).sum(axis=0)
    return np.arange(len(theory)) + part["origin"][1] - part["center"][1], theory, part["marginal"], part[
        "marginal_error"]


def draw_marginal(ax: Axes, part: Part, number: int, name: str) -> None:
    """Marginal along x: theory as a line, what was measured as markers with error bars."""
    style = LINES[number]
    x, theory, measured, error = marginals(part)
    ax.plot(x, theory, color=style["color"], linestyle=style["linestyle"], label=f"{name}, theory")
    ax.errorbar(x, measured, error, color=style["color"], marker=style["marker"], markersize=3, linestyle="none",
                elinewidth=0.8, capsize=0, markerfacecolor="none", label=f"{name}, measured")


def ratios(columns: dict[str, Part], words: Callable[[Part, str], str], title: str) -> Figure:
    """One theory for all: its map, and of each case the measured marginal over the theory's, where 99 % of it lies."""
    figure = page(2.2)
    panels = figure.subplots(1, len(columns) + 1, width_ratios=[1.2, *[1] * len(columns)])
    some = next(iter(columns.values()))
    image = panel_map(panels[0], some, "theory")
    annotate(panels[0], words(some, "theory"))
    panels[0].set(title=title, xlabel="x, input pixels", ylabel="y, input pixels")
    figure.colorbar(image, ax=panels[0], location="left", shrink=0.8).set_label(AMPLITUDE)
    for ax, (name, part), style in zip(panels[1:], columns.items(), LINES):
        x, theory, measured, error = marginals(part)
        inner = np.minimum(theory.cumsum(), theory[::-1].cumsum()[::-1]) > 0.005
        ax.axhline(1, color="black", linewidth=0.8)
        ax.errorbar(x[inner], measured[inner] / theory[inner], error[inner] / theory[inner], color=style["color"],
                    marker=style["marker"], linestyle="none", markersize=3)
        ax.set(title=f"{name}\n{words(part, 'measured')}", xlabel="x, input pixels", ylim=(0.5, 1.5))
        ax.tick_params(labelleft=ax is panels[1])
    panels[1].set_ylabel("marginal of $E[g^2]$,\nmeasured / theory")
    letters(panels)
    return figure
