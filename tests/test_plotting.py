"""Pictures show the numbers of the result they were drawn from, at the right pixels."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close
from matplotlib.colors import LogNorm, PowerNorm
from matplotlib.figure import Figure
from scipy.stats import norm

import erfmath as em
from erfmath.plotting import FLOOR, GAMMA, plot

# Nothing about this one is symmetric: axes of different extent, a unit near a corner.
TRF = "theoretical receptive field"
NET = em.serial(em.Conv((3, 7), stride=(1, 2)), em.Conv((5, 3)), em.repeat(em.Conv(3), 3))
ERF = em.predict(NET, image=(20, 48), unit=(4, 5))


def draw(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    return file.getvalue()


def lines(ax) -> dict[str, np.ndarray]:
    return {line.get_label(): line.get_xydata() for line in ax.get_lines()}


def test_the_map_lies_on_its_pixels() -> None:
    """Each pixel, looked up where the picture shows it, has the value of the map there."""
    figure = plot(ERF)
    shown = figure.axes[0].images[0]
    left, right, bottom, top = shown.get_extent()
    rows, columns = shown.get_array().shape
    y, x = np.arange(20), np.arange(48)
    row = np.floor((y - top) / (bottom - top) * rows).astype(int)
    column = np.floor((x - left) / (right - left) * columns).astype(int)
    amplitude = np.sqrt(ERF.map)
    assert_close(shown.get_array()[np.ix_(row, column)], amplitude / amplitude.max(), ROUNDING)
    assert bottom > top, "rows count downwards, as in images"


def test_marks_are_where_the_result_says() -> None:
    marks = lines(plot(ERF).axes[0])
    assert_close(marks["true centre"], [ERF.center[::-1]], EXACT)
    lo, hi = ERF.trf.window(ERF.unit)
    box = marks[f"{TRF}, 13 × 23"]
    assert_close(box.min(axis=0), np.subtract(lo, 0.5)[::-1], EXACT)
    assert_close(box.max(axis=0), np.add(hi, 0.5)[::-1], EXACT)
    image = marks["image, 20 × 48"]
    assert_close(np.ptp(image, axis=0), [48.0, 20.0], EXACT)
    ring = marks["one std about the centroid"][:, ::-1] - ERF.centroid
    square = np.einsum("ni,ij,nj->n", ring, np.linalg.inv(ERF.covariance), ring)
    assert_close(square, np.ones(len(ring)), ROUNDING)


@pytest.mark.parametrize("panel, axis", [(1, 1), (2, 0)])
def test_profiles_stand_beside_their_gaussians(panel: int, axis: int) -> None:
    ax = plot(ERF).axes[panel]
    steps = ax.patches[0].get_data()
    assert_close(steps.values, ERF.profile(axis), EXACT)
    assert_close(steps.edges[:-1] + 0.5, np.arange(ERF.image[axis], dtype=float), EXACT)
    curve = lines(ax)["Gaussian, same mean and std"]
    x, y = curve.T if panel == 1 else curve.T[::-1]
    assert_close(y, norm.pdf(x, ERF.centroid[axis], ERF.std[axis]), ROUNDING)


def test_the_title_says_what_is_shown() -> None:
    title = plot(ERF, title="net").get_suptitle()
    assert title.startswith("net, unit (4, 5) of conv5, image 20 × 48")
    std = f"{ERF.std[0]:.3g} × {ERF.std[1]:.3g}"
    assert f"theoretical field 13 × 23 px, std of power {std} px" in title


@pytest.mark.parametrize("display, kind, label", [
    ("amplitude", None, "amplitude $E[g^2]^{1/2}$ / maximum"),
    ("linear", None, "power $E[g^2]$ / maximum"),
    ("log", LogNorm, "power $E[g^2]$ / maximum, logarithmic colours"),
    ("power-law", PowerNorm, f"power $E[g^2]$ / maximum, colours by power {GAMMA:g}"),
])
def test_displays_change_colours_and_say_so(display, kind, label) -> None:
    before = ERF.map.copy()
    figure = plot(ERF, display=display)
    shown = figure.axes[0].images[0]
    assert figure.axes[3].get_ylabel() == label
    assert kind is None or isinstance(shown.norm, kind)
    if display != "amplitude":
        brightest = np.sort(shown.get_array(), axis=None)[-9:]
        assert_close(brightest, np.sort(ERF.map / ERF.map.max(), axis=None)[-9:], ROUNDING)
        assert shown.get_array().min() >= (FLOOR if display == "log" else 0)
    assert_close(ERF.map, before, EXACT)
    assert draw(figure).startswith(b"\x89PNG")


def test_mean_and_signed_maps() -> None:
    signed = em.predict(em.serial(em.Conv(3, weights=em.Fixed(np.outer([1, 2, 1], [2, -1, 2])))))
    assert signed.statistic == "mean"
    figure = plot(signed, display="linear")
    assert figure.axes[3].get_ylabel() == "mean $E[g]$ / maximum"
    shown = figure.axes[0].images[0]
    assert shown.norm.vmin == shown.get_array().min() < 0
    assert plot(signed).axes[3].get_ylabel() == "amplitude $|E[g]|$ / maximum"
    draw(figure)


def test_a_wide_trf_does_not_hide_the_map() -> None:
    erf = em.predict(em.zoo.plain(400))
    figure = plot(erf)
    left, right = figure.axes[0].get_xlim()
    assert 8 * erf.std[1] < right - left < 20 * erf.std[1] < erf.trf.size[1]
    assert f"{TRF}, 801 × 801 (wider than this view)" in lines(figure.axes[0])


def test_a_narrow_trf_is_shown_whole() -> None:
    figure = plot(em.predict(em.zoo.plain(20)))
    left, right = figure.axes[0].get_xlim()
    assert left < -20 and right > 20 and f"{TRF}, 41 × 41" in lines(figure.axes[0])


def test_the_box_is_the_window_of_the_unit_shown() -> None:
    """A decoder's windows differ by the phase of the unit."""
    erf = em.predict(em.zoo.unet(), unit=0)
    lo, hi = erf.trf.window(erf.unit)
    extent = hi[0] - lo[0] + 1
    assert extent < erf.trf.size[0]
    assert f"{TRF}, {extent} × {extent}" in lines(plot(erf).axes[0])


def test_one_pixel() -> None:
    draw(plot(em.predict(em.serial(em.Conv(1)))))


def test_a_chain_too_deep_for_its_whole_map() -> None:
    layer = em.Conv(3, weights=em.Random(gain=1.0))
    draw(plot(em.predict(em.repeat(layer, 10_000))))


@pytest.mark.parametrize("ndim", [1, 3])
@pytest.mark.parametrize("display", ["amplitude", "log"])
def test_profiles_in_other_dimensions(ndim: int, display) -> None:
    erf = em.predict(em.zoo.plain(5), ndim=ndim)
    figure = plot(erf, display=display)
    assert len(figure.axes) == ndim
    for axis, ax in enumerate(figure.axes):
        assert_close(ax.patches[0].get_data().values, erf.profile(axis), EXACT)
        assert ax.get_yscale() == ("log" if display == "log" else "linear")
    draw(figure)


@pytest.mark.parametrize("ndim", [1, 2])
def test_into_given_axes(ndim: int) -> None:
    figure = Figure()
    ax = figure.subplots(1, 2)[1]
    assert plot(em.predict(em.zoo.plain(5), ndim=ndim), ax=ax) is figure
    assert len(figure.axes) == 2 and ax.get_title() and not figure.axes[0].has_data()
    draw(figure)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="display='jet': must be one of amplitude, linear, log, "):
        plot(ERF, display="jet")
    with pytest.raises(ValueError, match="ax: cannot hold the profiles of all 3 axes"):
        plot(em.predict(em.zoo.plain(2), ndim=3), ax=Figure().add_subplot())


def test_no_global_state() -> None:
    code = ("import sys, erfmath as em; em.plotting.plot(em.predict(em.zoo.plain(2))); "
            "sys.exit('matplotlib.pyplot' in sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)
