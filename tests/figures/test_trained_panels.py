"""Panels of trained networks: what is drawn is what the parts hold."""

from __future__ import annotations

import numpy as np
from helpers import EXACT, assert_close
from matplotlib.figure import Figure

from erfmath.figures import Part, trained_panels


def part(before: float, after: float) -> Part:
    """A run of two sizes, at steps 0 and 9, after which the size has changed; theory is half of it."""
    std = np.array([before, after])
    return Part({}, {"step": np.array([0, 9]), "std": std, "std_error": 0.1 * std, "theory_std": std / 2,
                     "shuffled_std_before": np.array(1.0), "shuffled_std_after": np.array(1.25)}, 0.0)


DATA = {"task, seed 0": part(2.0, 3.0), "task, seed 1": part(2.0, 4.0), "other, seed 0": part(4.0, 2.0)}


def test_ratios_of_every_seed() -> None:
    ax = Figure().subplots()
    trained_panels._ratios(ax, DATA, ["task", "other"], "std", {"std": 1.7})
    drawn = {(line.get_marker(), round(float(line.get_xdata()[0]))): line.get_ydata() for line in ax.lines[:6]}
    for marker, last in (("o", [0.5]), ("s", [0.5]), ("D", [1.25])):
        assert_close(drawn[marker, 0], [1.5, 2.0] if marker in "os" else [1.25, 1.25], EXACT)
        assert_close(drawn[marker, 1], last, EXACT)
    assert ax.lines[-1].get_ydata()[0] == 1.7


def test_curve_against_the_step() -> None:
    """From step 1 on, since the axis is logarithmic."""
    ax = Figure().subplots()
    trained_panels._curve(ax, DATA, ["task, seed 1"], "std")
    measured, theory = (line for line in ax.lines if len(line.get_xdata()) == 2)
    assert_close(measured.get_data(), [[1, 10], [2.0, 4.0]], EXACT)
    assert_close(theory.get_data(), [[1, 10], [1.0, 2.0]], EXACT)
