"""Panels: maps and marginals about the centre of the TRF, numbers with their errors."""

from __future__ import annotations

import numpy as np
from helpers import EXACT, assert_close
from matplotlib.figure import Figure

from erfmath.figures import Part, panels

#: All power at row 2, column 5 of an image; the TRF is centred at (4, 3.5).
SHARE = np.zeros((6, 8))
SHARE[2, 5] = 1.0
PART = Part({}, {"theory": SHARE, "origin": np.array([0, 0]), "center": np.array([4, 3.5]), "std": np.array(1.234),
                 "std_error": np.array(0.051), "marginal": SHARE.sum(axis=0), "marginal_error": np.full(8, 0.1)}, 0.0)


def test_plus_minus_shows_errors_where_there_are_any() -> None:
    assert panels.plus_minus(PART, "std") == "1.23 ± 0.05"
    assert panels.plus_minus(PART, "std", over=2.0, digits=1) == "0.6 ± 0.0"
    assert panels.plus_minus(Part({}, {"std": np.array(1.5), "std_error": np.array(0.0)}, 0.0), "std") == "1.50"


def test_panel_map_counts_from_the_centre() -> None:
    ax = Figure().subplots()
    image = panels.panel_map(ax, PART, "theory", reach=6)
    left, right, bottom, top = image.get_extent()
    row, column = np.argwhere(image.get_array() == image.get_array().max())[0]
    assert (left + column + 0.5, top + row + 0.5) == (1.5, -2.0)
    assert ax.get_xlim() == (-6, 6) and ax.get_ylim() == (6, -6)


def test_draw_marginal_counts_from_the_centre() -> None:
    ax = Figure().subplots()
    panels.draw_marginal(ax, PART, 0, "one")
    x, theory = ax.lines[0].get_data()
    assert x[np.argmax(theory)] == 1.5
    assert_close(panels.marginals(PART)[2], theory, EXACT)


def test_letters_in_order() -> None:
    axes = Figure().subplots(1, 3)
    panels.letters(axes)
    assert [[text.get_text() for text in ax.texts] or ax.get_title(loc="left") for ax in axes] == [["a"], ["b"], ["c"]]
