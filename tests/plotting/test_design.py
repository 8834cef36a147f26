"""Pictures of answers: what they draw is what was answered, where the pixels are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.plotting.design import plot_layer_shares, plot_remedies, plot_size_map


def test_plot_size_map_shows_the_sizes() -> None:
    sizes = em.erf_size_map(em.repeat(em.Conv(3), 6), (9, 14))
    ax, = (axes for axes in plot_size_map(sizes, title="six").axes if axes.images)
    assert_close(ax.images[0].get_array(), sizes.size, EXACT)
    assert ax.get_title().startswith("six, units of conv6, image 9 × 14") and ax.get_xlabel().endswith("input pixels")
    line = plot_size_map(em.erf_size_map(em.repeat(em.Conv(3), 6), 9, ndim=1)).axes[0].lines[0]
    assert len(line.get_ydata()) == 9  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="three axes"):
        plot_size_map(em.erf_size_map(em.serial(em.Conv(3)), 3, ndim=3))


def test_plot_size_map_arrows() -> None:
    """From true centres, as long as centroids are off."""
    sizes = em.erf_size_map(em.serial(em.Conv(3, stride=2), em.repeat(em.Conv(3), 4)), 24)
    ax = plot_size_map(sizes).axes[0]
    arrows: Any = next(one for one in ax.collections if hasattr(one, "U"))
    places = {tuple(sizes.center[:, i, j]): (i, j) for i, j in np.ndindex(sizes.size.shape)}
    for (x, y), u, v in zip(np.asarray(arrows.get_offsets()), arrows.U, arrows.V):
        assert_close([v, u], sizes.shift[(slice(None), *places[y, x])], EXACT)
    left, right, bottom, top = ax.images[0].get_extent()
    assert (left, right) == (sizes.center[1, 0, 0] - 1, sizes.center[1, 0, -1] + 1) == (top, bottom)


def test_plot_remedies_shows_before_and_after() -> None:
    found = em.remedies(em.zoo.plain(6), image=20)
    figure = plot_remedies(found, top=4, title="plain")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0].startswith("baseline") and found.changes[0].what in titles[1].replace("\n", " ")
    patches: Any = figure.axes[-1].patches
    bars = [bar.get_width() for bar in patches]
    assert_close(bars[:4], [100 * remedy.gain for remedy in found.changes[:4]], EXACT)
    assert len(plot_remedies(em.remedies(em.zoo.plain(4), image=9, ndim=1)).axes) == 2


def test_plot_layer_shares_shows_variance_and_work() -> None:
    shares = em.layer_shares(em.zoo.vgg11())
    patches: Any = plot_layer_shares(shares).axes[0].patches
    widths = [bar.get_width() for bar in patches]
    n = len(shares.layers)
    assert_close(widths[:n], [100 * row.share for row in shares.layers], EXACT)
    assert_close(sum(widths[n:]), 100.0, ROUNDING)
