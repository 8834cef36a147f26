"""Panels of trained networks: maps before and after, sizes against the step, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..plotting import LINES
from .base import Data, Part
from .panels import AMPLITUDE, annotate, page, panel_map
from .trained import growth, seeds_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_overview", "draw_runs"]

#: What is compared before and after, by the beginning of its arrays' names.
MARKS = {"": "measured", "shuffled_": "measured, channels shuffled", "theory_": "theory, with the weights"}
ROWS = {"measured": "map_", "theory, with the weights": "theory_map_"}


def draw_runs(data: Data, groups: Sequence[str], title: str, *, reach: float | None = None,
              paper: Mapping[str, float] | None = None) -> Figure:
    """For each group maps of its first seed, before and after, measured and predicted; curves of all seeds."""
    figure = page(11.2, 1.0 + 5.4 * len(groups) + 3.4)
    parts: Any = figure.subfigures(len(groups) + 1, 1, height_ratios=[5.2] * len(groups) + [3.4])
    for group, sub in zip(groups, parts):
        _group(sub, data, group, reach)
    last = parts[-1].subplots(1, 3)
    for ax, size, label in zip(last, ("std", "width"), ("std of $E[g^2]$, after / before",
                                                        "width at 4.55 %, after / before")):
        _ratios(ax, data, groups, size, label, (paper or {}).get(size))
    _losses(last[2], data, groups)
    figure.suptitle(title, fontsize="medium")
    return figure


def draw_overview(data: Data, groups: Sequence[str], title: str) -> Figure:
    """A column per group: measured maps before and after; below, curves of all and losses."""
    figure = page(2.7 * len(groups) + 0.8, 9.6)
    halves: Any = figure.subfigures(2, 1, height_ratios=[1.75, 1])
    top, bottom = halves
    panels = top.subplots(2, len(groups))
    image = None
    for j, group in enumerate(groups):
        names = seeds_of(data, group)
        first = data[names[0]]
        for i, when in enumerate(("before", "after")):
            image = panel_map(panels[i, j], first, f"map_{when}")
            annotate(panels[i, j], f"std {first['std'][-i]:.2f} px\nwidth {first['width'][-i]:.1f} px")
        panels[0, j].set_title(f"{group}\ntest accuracy "
                               f"{np.mean([data[n].number('test_accuracy') for n in names]):.1%}", fontsize="medium")
    for i, when in enumerate(("before training", "after training")):
        panels[i, 0].set_ylabel(when, fontsize="medium")
    top.colorbar(image, ax=panels, shrink=0.7, label=AMPLITUDE)
    axes = bottom.subplots(1, 3)
    for ax, size, label in zip(axes, ("std", "width"), ("std of $E[g^2]$, px", "width at 4.55 %, px")):
        for i, group in enumerate(groups):
            rows = np.array([data[n][size] for n in seeds_of(data, group)])
            steps = data[seeds_of(data, group)[0]]["step"] + 1
            ax.errorbar(steps, rows.mean(axis=0), rows.std(axis=0, ddof=1) / len(rows)**0.5, label=group,
                        color=LINES[i]["color"], marker=LINES[i]["marker"], markersize=4)
        ax.set_xscale("log")
        ax.set_ylim(0, None)
        ax.set_xlabel("training step + 1")
        ax.set_title(label + ", mean of seeds", fontsize="medium")
        ax.legend(fontsize="x-small", frameon=False, loc="lower right", ncols=2)
    _losses(axes[2], data, groups)
    figure.suptitle(title, fontsize="medium")
    return figure


def _group(sub: Any, data: Data, group: str, reach: float | None) -> None:
    names = seeds_of(data, group)
    first = data[names[0]]
    panels = sub.subplots(2, 4, width_ratios=[1, 1, 1.25, 1.25])
    image = None
    for i, (row, prefix) in enumerate(ROWS.items()):
        for j, when in enumerate(("before", "after")):
            ax = panels[i, j]
            image = panel_map(ax, first, f"{prefix}{when}", reach=reach)
            which = "theory_" if i else ""
            at = 0 if when == "before" else -1
            annotate(ax, f"std {first[which + 'std'][at]:.2f} px\nwidth {first[which + 'width'][at]:.1f} px")
            if i == 0:
                ax.set_title(f"{when} training", fontsize="medium")
            if j == 0:
                ax.set_ylabel(row, fontsize="medium")
    sub.colorbar(image, ax=panels[:, :2], location="left", shrink=0.7, label=AMPLITUDE)
    _curve(panels[0, 2], data, names, "std", "std of $E[g^2]$, px")
    _curve(panels[0, 3], data, names, "width", "width at 4.55 %, px")
    _layers(panels[1, 2], first, "before")
    _layers(panels[1, 3], first, "after")
    top = max(ax.get_ylim()[1] for ax in panels[1, 2:])
    for ax in panels[1, 2:]:
        ax.set_ylim(0, top)
    accuracy = np.mean([data[n].number("test_accuracy") for n in names])
    seeds = f"{len(names)} seed{'s' if len(names) > 1 else ''}"
    sub.suptitle(f"{group}: {seeds}, test accuracy {accuracy:.1%}; maps of the first seed",
                 fontsize="medium", fontweight="bold")


def _curve(ax: Axes, data: Data, names: Sequence[str], size: str, label: str) -> None:
    """A size against the step, of every seed: measured with error bars, predicted dashed."""
    for i, name in enumerate(names):
        part = data[name]
        style = LINES[i % len(LINES)]
        ax.errorbar(part["step"] + 1, part[size], part[f"{size}_error"], color=style["color"],
                    marker=style["marker"], markersize=4, linewidth=1.2, label=name.split(", ")[-1])
        ax.plot(part["step"] + 1, part[f"theory_{size}"], color=style["color"], linestyle=(0, (4, 2)), linewidth=1,
                label="theory" if i == 0 else None)
    ax.set_xscale("log")
    ax.set_ylim(0, None)
    ax.set_xlabel("training step + 1")
    ax.set_title(label, fontsize="medium")
    ax.legend(fontsize="x-small", frameon=False, loc="lower right", ncols=2)


def _layers(ax: Axes, part: Part, when: str) -> None:
    rows = part[f"layers_{when}"]
    depth = np.arange(1, len(rows) + 1)
    ax.plot(depth, rows[:, 0], color=LINES[0]["color"], marker="o", markersize=4, label="measured")
    ax.plot(depth, rows[:, 1], color=LINES[1]["color"], linestyle=(0, (4, 2)), label="theory")
    ax.set_xlabel("unit of the network")
    ax.set_xticks(range(2, len(rows) + 1, 2 if len(rows) < 14 else 4))
    ax.set_title(f"layer by layer, {when}: std, px", fontsize="medium")
    ax.legend(fontsize="x-small", frameon=False)


def _ratios(ax: Axes, data: Data, groups: Sequence[str], size: str, label: str, paper: float | None) -> None:
    """After / before of every seed, measured and predicted, beside the published ratio."""
    for i, group in enumerate(groups):
        names = seeds_of(data, group)
        for j, (which, word) in enumerate(MARKS.items()):
            values = growth(data, names, f"{which}{size}")
            style = LINES[(0, 3, 1)[j]]
            ax.plot(np.full(len(values), i + 0.18 * (j - 1)), values, linestyle="none", marker="oDs"[j],
                    color=style["color"], markerfacecolor="none" if j == 2 else None, label=word if i == 0 else None)
    ax.axhline(1, color="black", linewidth=0.8)
    if paper is not None:
        ax.axhline(paper, color="grey", linestyle=":", label=f"published, {paper:.2f}")
    ax.set_xlim(-0.6, len(groups) - 0.4)
    low, high = ax.get_ylim()
    ax.set_ylim(min(0.6, low - 0.35), max(1.2, high) + 0.1)
    ax.set_xticks(range(len(groups)), groups, fontsize="small")
    ax.set_title(label, fontsize="medium")
    ax.legend(fontsize="x-small", frameon=False, loc="lower center")


def _losses(ax: Axes, data: Data, groups: Sequence[str]) -> None:
    for i, group in enumerate(groups):
        for j, name in enumerate(seeds_of(data, group)):
            part = data[name]
            ax.plot(part["history_step"], part["loss"], color=LINES[i]["color"], linewidth=0.8,
                    label=group if j == 0 else None)
    ax.set_ylim(0, None)
    ax.set_xlabel("training step")
    ax.set_title("training loss", fontsize="medium")
    ax.legend(fontsize="x-small", frameon=False)
