"""Panels of trained networks: maps before and after, sizes against the step, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..plotting import LINES
from .base import Axes, Data, Figure, Part
from .panels import AMPLITUDE, annotate, letters, page, panel_map
from .trained import growth, seeds_of

__all__ = ["draw_overview", "draw_runs"]

#: What is compared before and after, by the beginning of its arrays' names.
MARKS = {"": "measured", "shuffled_": "measured, channels shuffled", "theory_": "theory, with the weights"}
ROWS = {"measured": "map_", "theory": "theory_map_"}
#: Height of the panels of one group, in inches: that of two rows of maps as wide as they can be.
GROUP = 3.25
LABELS = {"std": "σ of $E[g^2]$, px", "width": "width at 4.55 %, px"}


def draw_runs(data: Data, groups: Sequence[str], reach: float | None, paper: Mapping[str, float]) -> Figure:
    """For each group maps of its first seed, before and after, measured and predicted; curves of all seeds."""
    figure = page(GROUP * len(groups) + 2.2)
    blocks: Any = figure.subfigures(len(groups) + 1, 1, height_ratios=[GROUP] * len(groups) + [2.2])
    shown: list[Axes] = []
    for group, block in zip(groups, blocks):
        shown += _group(block, data, group, reach)
    last = blocks[-1].subplots(1, 3)
    for ax, size in zip(last, LABELS):
        _ratios(ax, data, groups, size, paper)
    blocks[-1].legend(*last[0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
    _losses(last[2], data, groups)
    last[2].legend()
    letters([*shown, *last])
    return figure


def draw_overview(data: Data, groups: Sequence[str], reach: float | None, paper: Mapping[str, float]) -> Figure:
    """A column per group: measured maps before and after; below, curves of all and losses."""
    figure = page(5.8)
    halves: Any = figure.subfigures(2, 1, height_ratios=[1.5, 1])
    top, bottom = halves
    panels = top.subplots(2, len(groups))
    for j, group in enumerate(groups):
        first = data[seeds_of(data, group)[0]]
        for i, when in enumerate(("before", "after")):
            image = panel_map(panels[i, j], first, f"map_{when}", reach=reach)
            annotate(panels[i, j], f"σ = {first['std'][-i]:.2f} px\nwidth {first['width'][-i]:.1f} px")
            panels[i, 0].set_ylabel(f"{when} training\ny, input pixels")
        panels[0, j].set_title(group)
        panels[1, j].set_xlabel("x, input pixels")
    top.colorbar(image, ax=panels, shrink=0.7).set_label(AMPLITUDE)
    axes = bottom.subplots(1, 3)
    for ax, size in zip(axes, LABELS):
        for group, style in zip(groups, LINES):
            names = seeds_of(data, group)
            rows = np.array([data[n][size] for n in names])
            error = rows.std(axis=0, ddof=1) / len(rows)**0.5 if len(rows) > 2 else None
            ax.errorbar(data[names[0]]["step"] + 1, rows.mean(axis=0), error, label=group, color=style["color"],
                        marker=style["marker"])
        ax.set(xscale="log", xlabel="training step + 1", ylabel=LABELS[size])
    _losses(axes[2], data, groups)
    bottom.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(groups))
    letters([*panels.flat, *axes])
    return figure


def _group(block: Any, data: Data, group: str, reach: float | None) -> list[Axes]:
    names = seeds_of(data, group)
    first = data[names[0]]
    left, right = block.subfigures(1, 2, width_ratios=[1, 1.02])
    panels = np.concatenate([left.subplots(2, 2), right.subplots(2, 2)], axis=1)
    for i, (row, prefix) in enumerate(ROWS.items()):
        for j, when in enumerate(("before", "after")):
            ax, which = panels[i, j], "theory_" if i else ""
            image = panel_map(ax, first, f"{prefix}{when}", reach=reach)
            annotate(ax, f"σ = {first[which + 'std'][-j]:.2f} px\nwidth {first[which + 'width'][-j]:.1f} px")
            ax.tick_params(labelbottom=i == 1, labelleft=j == 0)
        panels[i, 0].set_ylabel(f"{row}\ny, input pixels")
    for j, when in enumerate(("before", "after")):
        panels[0, j].set_title(f"{when} training")
        panels[1, j].set_xlabel("x, input pixels")
        _layers(panels[1, 2 + j], first, when)
    left.colorbar(image, ax=panels[:, :2], location="left", shrink=0.7).set_label(AMPLITUDE)
    for ax, size in zip(panels[0, 2:], LABELS):
        _curve(ax, data, names, size)
    legend = panels[0, 3].legend(fontsize=6, loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
    legend.set_in_layout(True)
    top, low = (f(ax.get_ylim()[i] for ax in panels[1, 2:]) for i, f in ((1, max), (0, min)))
    for ax in panels[1, 2:]:
        ax.set_ylim(low, top)
    block.suptitle(group, fontsize=9)
    return list(panels.flat)


def _curve(ax: Axes, data: Data, names: Sequence[str], size: str) -> None:
    """A size against the step, of every seed: measured with error bars, predicted dashed."""
    for i, (name, style) in enumerate(zip(names, LINES)):
        part = data[name]
        ax.errorbar(part["step"] + 1, part[size], part[f"{size}_error"], color=style["color"], marker=style["marker"],
                    markersize=3, label=name.split(", ")[-1])
        ax.plot(part["step"] + 1, part[f"theory_{size}"], color=style["color"], linestyle=(0, (4, 2)), linewidth=1,
                label="theory" if i == 0 else None)
    ax.set(xscale="log", xlabel="training step + 1", ylabel=LABELS[size])


def _layers(ax: Axes, part: Part, when: str) -> None:
    rows = part[f"layers_{when}"]
    depth = np.arange(1, len(rows) + 1)
    ax.plot(depth, rows[:, 0], color=LINES[0]["color"], marker="o", label="measured")
    ax.plot(depth, rows[:, 1], color=LINES[1]["color"], linestyle=(0, (4, 2)), label="theory")
    ax.set(xlabel="layer", ylabel="σ, px", title=f"by layer, {when}")
    ax.set_xticks(range(2, len(rows) + 1, 2 if len(rows) < 14 else 4))
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.3 * (high - low))         # room for the legend above all that rises early
    ax.legend(loc="upper left", fontsize=6)


def _ratios(ax: Axes, data: Data, groups: Sequence[str], size: str, paper: Mapping[str, float]) -> None:
    """After / before of every seed, measured and predicted, beside the published ratio."""
    for i, group in enumerate(groups):
        for j, (which, word) in enumerate(MARKS.items()):
            values = growth(data, seeds_of(data, group), f"{which}{size}")
            ax.plot(np.full(len(values), i + 0.18 * (j - 1)), values, linestyle="none", marker="oDs"[j],
                    color=LINES[(0, 3, 1)[j]]["color"], markerfacecolor="none" if j == 2 else None,
                    label=word if i == 0 else None)
    ax.axhline(1, color="black", linewidth=0.8)
    if size in paper:
        ax.axhline(paper[size], color="grey", linestyle=":", label=f"published, {paper[size]:.2f}")
    ax.set(xlim=(-0.6, len(groups) - 0.4), ylabel={"std": "σ", "width": "width"}[size] + ", after / before")
    ax.set_xticks(range(len(groups)), [group.replace(" batch", "\nbatch") for group in groups])
    ax.margins(y=0.1)


def _losses(ax: Axes, data: Data, groups: Sequence[str]) -> None:
    for group, style in zip(groups, LINES):
        for j, name in enumerate(seeds_of(data, group)):
            ax.plot(data[name]["history_step"], data[name]["loss"], color=style["color"], linewidth=0.8,
                    label=None if j else group)
    ax.set(ylim=(0, None), xlabel="training step", ylabel="training loss")
