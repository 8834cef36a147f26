"""Profiles: from which centre they are counted, whose error they show, averages over strides."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import ERF, MEASURED, THEORY, draw, lines
from helpers import EXACT, ROUNDING, assert_close
from matplotlib.figure import Figure
from scipy.stats import norm

import erfmath as em
from erfmath.plotting import plot, plot_profiles


@pytest.mark.parametrize("panel, axis", [(1, 1), (2, 0)])
def test_profiles_stand_beside_their_gaussians(panel: int, axis: int) -> None:
    ax = plot(ERF).axes[panel]
    steps = ax.patches[0].get_data()
    assert_close(steps.values, ERF.profile(axis), EXACT)
    assert_close(steps.edges[:-1] + 0.5, np.arange(ERF.image[axis], dtype=float), EXACT)
    curve = lines(ax)[r"Gaussian of the same mean and $\sigma$"]
    x, y = curve.T if panel == 1 else curve.T[::-1]
    assert_close(y, norm.pdf(x, ERF.centroid[axis], ERF.std[axis]), ROUNDING)


@pytest.mark.parametrize("display", ["linear", "log", "power-law", "amplitude"])
@pytest.mark.parametrize("axis", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_profiles_are_counted_from_the_true_centre(axis: int, display) -> None:
    figure = plot_profiles({"one": ERF}, axis=axis, display=display, title="profiles")
    x, y = lines(figure.axes[0])["one"].T
    assert_close(x, np.arange(ERF.image[axis]) - ERF.center[axis], ROUNDING)
    cut = np.sqrt(ERF.cut(axis))
    assert_close(y, cut / cut.max() if display == "amplitude" else ERF.profile(axis), ROUNDING)
    words = {"linear": "per pixel", "log": "logarithmic axis", "power-law": "power 0.25", "amplitude": "amplitude"}
    assert words[display] in figure.axes[0].get_ylabel()
    draw(figure)


def test_profiles_tell_theory_from_measurement() -> None:
    ax = Figure().add_subplot()
    assert plot_profiles([THEORY, MEASURED], ax=ax) is ax.figure
    theory, (measured, _, (bars,)) = ax.get_lines()[0], ax.containers[0]
    assert_close([np.ptp(bar[:, 1]) / 2 for bar in bars.get_segments()], MEASURED.profile_stderr(), ROUNDING)
    assert theory.get_marker() == "None" and theory.get_linestyle() != "None"
    assert measured.get_marker() != "None" and measured.get_linestyle() == "None"


def test_profiles_mark_the_ends_of_theoretical_fields() -> None:
    ax = plot_profiles({"one": THEORY}).axes[0]
    ticks = [line.get_xdata()[0] for line in ax.get_lines()[1:]]
    assert "end of the TRF" in lines(ax)
    assert ticks == [-4.5, 4.5]
    assert len(plot_profiles({"deep": em.predict(em.zoo.plain(400))}).axes[0].get_lines()) == 1, "out of view"


def test_averages_over_a_stride_take_the_comb_out() -> None:
    net = em.serial(em.Conv(3, stride=2), em.repeat(em.Conv(3), 8))
    erf = em.predict(net)
    line = erf.profile()
    mean = (line[:-2] + 2 * line[1:-1] + line[2:]) / 4                       # half, one, half over a period of 2
    drawn = em.plotting.plot_profiles([erf], smooth="stride").axes[0].get_lines()[0].get_ydata()
    assert_close(np.asarray(drawn)[1:-1], mean, ROUNDING)
    assert np.abs(np.diff(line, 2)).max() > 10 * np.abs(np.diff(drawn, 2)).max()
    top = lines(em.plotting.plot(erf, smooth="stride").axes[1])["averaged over a stride"][:, 1]
    assert_close(top[1:-1], mean, ROUNDING)


def test_without_strides_averages_change_nothing() -> None:
    drawn = em.plotting.plot_profiles([ERF], axis=0, smooth="stride").axes[0].get_lines()[0].get_ydata()
    assert_close(np.asarray(drawn), ERF.profile(0), EXACT)


def test_other_words_for_smooth_are_refused() -> None:
    for show in (em.plotting.plot, lambda erf, **how: em.plotting.plot_profiles([erf], **how)):
        with pytest.raises(ValueError, match="smooth='x': must be 'stride' or None"):
            show(ERF, smooth="x")
