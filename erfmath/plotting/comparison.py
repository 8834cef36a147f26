"""The picture of a comparison: draws what `Comparison` knows and computes nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..comparison import Comparison

__all__ = ["plot"]

REACH = 4.5  # standard deviations about the centroid that are shown
FLOOR = 1e-6  # of the largest marginal value, where logarithmic axes end
Z_SCALE = 4.0  # standard errors at full colour
COLOURS = ("#1f5fa8", "#c1440e")


def plot(comparison: Comparison, title: str | None = None) -> Figure:
    """Maps (in two dimensions) and marginals, under `title` if there is one; the figure belongs to no window."""
    from matplotlib.figure import Figure

    ndim = comparison.ndim
    maps = ndim == 2
    figure = Figure(figsize=(12.5, 3.6 * maps + 2.8 * ndim), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(3.6, 2.8 * ndim)) if maps else [figure]
    if maps:
        _draw_maps(comparison, parts[0])
    panels = parts[-1].subplots(ndim, 2, squeeze=False)
    for axis in range(ndim):
        for panel, scale in zip(panels[axis], ("linear", "log")):
            _draw_marginals(comparison, axis, panel, scale)
    panels[0][0].legend(fontsize="small")
    names = "    ".join(f"({letter}) {name}" for letter, name in zip("ab", comparison.names))
    figure.suptitle(f"{title}\n{names}" if title else names, fontsize="medium")
    return figure


def _view(comparison: Comparison, axis: int) -> tuple[int, int]:
    """First and last pixel shown along `axis`."""
    (lo, hi), about = comparison.box, comparison.theory.centroid[axis]
    reach = REACH * float(max(comparison.theory.std[axis], comparison.measured.std[axis])) + 1
    return max(lo[axis], math.floor(about - reach)), min(hi[axis], math.ceil(about + reach))


def _draw_maps(comparison: Comparison, part: Any) -> None:
    (top, bottom), (left, right) = _view(comparison, 0), _view(comparison, 1)
    lo = comparison.box[0]
    cut = slice(top - lo[0], bottom - lo[0] + 1), slice(left - lo[1], right - lo[1] + 1)
    shares = [np.sqrt(np.abs(share[cut])) for share in comparison.shares]
    largest = max(float(share.max()) for share in shares)
    extent = (left - 0.5, right + 0.5, bottom + 0.5, top - 0.5)
    names = ("(a) root of the share", "(b) root of the share", "(b) - (a), standard errors")
    for panel, name, values in zip(part.subplots(1, 3), names, (*shares, comparison.z[cut])):
        style: dict[str, Any] = {"cmap": "cividis", "vmin": 0, "vmax": largest}
        if name == names[2]:
            style = {"cmap": "RdBu_r", "vmin": -Z_SCALE, "vmax": Z_SCALE}
        image = panel.imshow(values, extent=extent, interpolation="nearest", **style)
        panel.set_title(name, fontsize="medium")
        panel.set_xlabel("coordinate of axis 1, input pixels")
        if name == names[0]:
            panel.set_ylabel("coordinate of axis 0, input pixels")
        part.colorbar(image, ax=panel, shrink=0.85)


def _draw_marginals(comparison: Comparison, axis: int, panel: Any, scale: str) -> None:
    first, last = _view(comparison, axis)
    start = comparison.box[0][axis]
    rest = tuple(a for a in range(comparison.ndim) if a != axis)
    x = np.arange(first, last + 1)
    for share, name, style, colour in zip(comparison.shares, "ab", ("-", "o"), COLOURS):
        line = share.sum(axis=rest)[first - start:last - start + 1]
        panel.plot(x, line, style, color=colour, label=f"({name})", markersize=2.5, linewidth=1.2)
    panel.set_yscale(scale)
    if scale == "log":
        panel.set_ylim(FLOOR * max(share.sum(axis=rest).max() for share in comparison.shares), None)
    panel.set_xlabel(f"coordinate of axis {axis}, input pixels")
    panel.set_ylabel("marginal of the share")
