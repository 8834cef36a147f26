"""Signal propagation from layer to layer: moments of the values, and power of the gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .style import LINES, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..analysis.signals import Signals

__all__ = ["plot_signals"]

#: Names on the axis at most.
NAMES = 24


def plot_signals(signals: Signals, *, title: str | None = None) -> Figure:
    """Draw moments of the values above, and power of the gradient below, against the nodes in order.

    Parameters
    ----------
    signals : Signals
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import erfmath as em
    >>> plot_signals(em.signals(em.zoo.cifar_resnet(8), image=32)).savefig("signals.png")
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 5.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    names = [plain(row.node, 24) for row in signals]
    values = {"second moment $E[v^2]$": [row.second for row in signals],
              "shared by all sites of a channel": [row.shared for row in signals],
              "squared mean $E[v]^2$": [row.mean**2 for row in signals]}
    gradients = {"arriving gradient $E[g^2]$": [row.arriving for row in signals],
                 "passed on to the inputs": [row.passing for row in signals]}
    _draw(upper, values, "moments of the values")
    _draw(lower, gradients, "total power of the gradient")
    lower.set_yscale("log")
    step = -(-len(names) // NAMES)
    lower.set_xticks(range(0, len(names), step), names[::step], rotation=60, ha="right", fontsize="small")
    lower.set_xlabel("node, from the input to the unit")
    if title:
        figure.suptitle(plain(title))
    return figure


def _draw(ax: Axes, rows: dict[str, list[float | None]] | dict[str, list[float]], label: str) -> None:
    for (name, row), style in zip(rows.items(), LINES):
        ax.plot(np.array(row, dtype=float), label=name, markersize=3, linewidth=1.0, **style)
    ax.set_ylabel(label)
    ax.margins(x=0.01)
    ax.legend(fontsize="small", frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(rows),
              borderaxespad=0.2)
