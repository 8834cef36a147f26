"""Pages, fonts, colours, words: what all pictures have in common."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from drawn import ERF, MEASURED, SMALL, THEORY, draw, lines
from helpers import suptitle
from matplotlib.figure import Figure

import erfmath as em
from erfmath.plotting import LINES, plot, plot_growth, plot_profiles, side_by_side


def test_colours_survive_greyscale() -> None:
    from matplotlib import colormaps
    levels = np.diff(colormaps[em.plotting.COLOURS](np.linspace(0, 1, 256))[:, :3] @ [0.2126, 0.7152, 0.0722])
    assert (levels > 0).all(), "lighter with every step"
    assert len({line["marker"] for line in LINES}) == len(LINES), "and lines differ in more than colour"


@pytest.mark.slow
def test_pictures_are_for_print() -> None:
    """5.5 or 7 in wide, no letter below 6 points, fonts as fonts, 300 dpi; and nothing of that leaks out."""
    import matplotlib
    before = dict(matplotlib.rcParams)
    comparison = em.compare(THEORY, MEASURED)
    solid = em.predict(em.zoo.plain(3), ndim=3)
    for figure in (plot(ERF), plot(ERF, display="log"), plot(comparison), plot(solid), plot_profiles([THEORY]),
                   side_by_side(THEORY, THEORY), plot_growth([1, 2, 4], [1, 2, 4])):
        assert figure.get_figwidth() in (5.5, 7.0)
        figure.draw_without_rendering()
        texts = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text() and text.get_visible()]
        assert min(text.get_fontsize() for text in texts) >= 6
        for ax in (ax for part in (figure, *figure.subfigs) for ax in part.axes if ax.images):
            assert "pixels" in ax.get_xlabel() + ax.get_ylabel() or not ax.xaxis.get_tick_params()["labelbottom"]
    file = io.BytesIO()
    plot(ERF).savefig(file, format="pdf")
    assert b"/TrueType" in file.getvalue() or b"/CIDFontType2" in file.getvalue()
    assert b"/Type3" not in file.getvalue()
    file = io.BytesIO()
    plot(ERF).savefig(file, format="svg")
    assert b"input pixels</text>" in file.getvalue()
    file = io.BytesIO()
    plot(ERF).savefig(file)
    width = int.from_bytes(file.getvalue()[16:20], "big")
    assert width == 5.5 * 300 and dict(matplotlib.rcParams) == before


def test_notebooks_show_pictures() -> None:
    assert plot(ERF)._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("statistic, symbol", [
    ("power", "$E[g^2]$"), ("magnitude", "$E|g|$"), ("relu", r"$E\,\max(g, 0)$"), ("amplitude", "$E[g^2]^{1/2}$")])
def test_pictures_say_which_statistic(statistic: str, symbol: str) -> None:
    erf = em.measure(SMALL, draws=5, statistic=statistic, rng=0)
    assert plot(erf, display="linear").axes[3].get_ylabel() == f"{symbol} / maximum"
    assert rf"1$\sigma$ of {symbol}" in lines(plot(erf).axes[0])


def test_names_are_drawn_as_they_are() -> None:
    net = em.serial(em.Conv(3, name="a$b$_{"), em.Conv(3, name="c\ud800$"))
    draw(plot(em.predict(net), title="$x_{$"))
    draw(plot_profiles([em.predict(net)]))
    assert "a\\$b\\$_{" in suptitle(plot(em.predict(net, node="a$b$_{")))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="display='jet': must be one of amplitude, linear, log, "):
        plot(ERF, display="jet")
    with pytest.raises(ValueError, match="ax: cannot hold the profiles of all 3 axes"):
        plot(em.predict(em.zoo.plain(2), ndim=3), ax=Figure().add_subplot())


def test_no_global_state() -> None:
    code = ("import sys, erfmath as em; em.plotting.plot(em.predict(em.zoo.plain(2))); "
            "sys.exit('matplotlib.pyplot' in sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)
