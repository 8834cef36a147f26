"""The picture of two fields of one unit: drawn from arrays, nothing computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .style import FLOOR, LINES, PAGE, in_style, letter, page, plain, quantity, symbol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Drawn", "plot_pair"]

Array = npt.NDArray[Any]

REACH = 4.5  # standard deviations about the centroid that are shown
Z_SCALE = 4.0  # standard errors at full colour


class Drawn(NamedTuple):
    """What is drawn of one of the two fields; arrays lie on the window that holds both.

    Attributes
    ----------
    name : str
    share : ndarray
    marginals : sequence of ndarray
        One an axis.
    errors : sequence of ndarray or None
        Standard errors of these.
    """

    name: str
    share: Array
    marginals: Sequence[Array]
    errors: Sequence[Array | None]


@in_style
def plot_pair(pair: tuple[Drawn, Drawn], z: Array, origin: Sequence[int], *, statistic: str, centroid: Sequence[float],
              std: Sequence[float], title: str | None = None) -> Figure:
    """Maps and their difference in standard errors (in two dimensions), and marginals on linear and logarithmic axes.

    Parameters
    ----------
    pair : tuple of Drawn
    z : ndarray
        Difference in standard errors.
    origin : sequence of int
        Pixel of the first element of all arrays.
    statistic : str
        What the maps hold.
    centroid, std : sequence of float
        Where to look, in pixels per axis.
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure
    """
    ndim, views = z.ndim, []
    for first, n, c, s in zip(origin, z.shape, centroid, std):
        reach = REACH * s + 1
        views.append((max(first, math.floor(c - reach)), min(first + n - 1, math.ceil(c + reach))))
    maps = ndim == 2
    figure = page(PAGE, 2.2 * maps + 1.6 * ndim + 0.3)
    parts: Any = figure.subfigures(2, 1, height_ratios=(2.2, 1.6 * ndim + 0.3)) if maps else [figure]
    panels = _draw_maps(parts[0], pair, z, origin, views, statistic) if maps else []
    rows = parts[-1].subplots(ndim, 2, squeeze=False)
    for axis, row in enumerate(rows):
        name = "yx"[axis] if maps else f"coordinate of axis {axis}" if ndim > 1 else "coordinate"
        for panel, scale in zip(row, ("linear", "log")):
            _draw_marginals(panel, pair, axis, origin[axis], views[axis], scale)
            panel.set_xlabel(f"{name}, input pixels")
        row[0].set_ylabel(f"marginal of {symbol(statistic)}\nper pixel, sum 1")
    parts[-1].legend(*rows[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    for mark, panel in zip("abcdefghi", [*panels, *rows.ravel()]):
        letter(panel, mark)
    if title:
        figure.suptitle(plain(title))
    return figure


def _draw_maps(part: Any, pair: tuple[Drawn, Drawn], z: Array, origin: Sequence[int],
               views: list[tuple[int, int]], statistic: str) -> list[Any]:
    (top, bottom), (left, right) = views
    cut = slice(top - origin[0], bottom - origin[0] + 1), slice(left - origin[1], right - origin[1] + 1)
    power = 0.5 if statistic == "power" else 1.0
    amplitudes = [np.abs(drawn.share[cut])**power for drawn in pair]
    largest = max(float(values.max()) for values in amplitudes) or 1.0
    style: dict[str, Any] = {"extent": (left - 0.5, right + 0.5, bottom + 0.5, top - 0.5), "interpolation": "nearest"}
    panels = part.subplots(1, 3)
    for panel, role, values in zip(panels, ("theory", "measured"), amplitudes):
        image = panel.imshow(values / largest, cmap="cividis", vmin=0, vmax=1, **style)
        panel.set_title(role)
    part.colorbar(image, ax=list(panels[:2]), shrink=0.85, label=quantity(statistic, "amplitude"))
    image = panels[2].imshow(z[cut], cmap="RdBu_r", vmin=-Z_SCALE, vmax=Z_SCALE, **style)
    panels[2].set_title("measured − theory")
    panels[2].set_facecolor("#c9cdd3")
    part.colorbar(image, ax=panels[2], shrink=0.85, label="standard errors", extend="both")
    for panel in panels:
        panel.set_xlabel("x, input pixels")
    panels[0].set_ylabel("y, input pixels")
    return list(panels)


def _draw_marginals(panel: Any, pair: tuple[Drawn, Drawn], axis: int, start: int, view: tuple[int, int],
                    scale: str) -> None:
    x = np.arange(view[0], view[1] + 1)
    shown = slice(view[0] - start, view[1] - start + 1)
    for drawn, style in zip(pair, LINES):
        line, error = drawn.marginals[axis][shown], drawn.errors[axis]
        if error is None:
            panel.plot(x, line, color=style["color"], linestyle=style["linestyle"], label=plain(drawn.name))
        else:
            panel.errorbar(x, line, yerr=error[shown], color=style["color"], marker="o", markersize=2, linestyle="none",
                           elinewidth=0.7, capsize=0, label=plain(drawn.name))
    if scale == "log":
        values = np.concatenate([drawn.marginals[axis][shown] for drawn in pair])
        top = float(values.max())
        panel.set_yscale("log", nonpositive="mask")
        panel.set_ylim(max(float(values[values > 0].min(initial=top)) / 3, FLOOR * top), 3 * top)
    else:
        panel.set_ylim(min(0.0, *(float(drawn.marginals[axis].min()) for drawn in pair)), None)
