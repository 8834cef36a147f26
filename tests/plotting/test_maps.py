"""Maps: pixels, marks, titles, displays, other dimensions."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import ERF, SMALL, THEORY, draw, lines
from helpers import EXACT, ROUNDING, assert_close, suptitle
from matplotlib.colors import LogNorm, PowerNorm
from matplotlib.figure import Figure

import erfmath as em
from erfmath.plotting import FLOOR, GAMMA, plot, show_map, side_by_side


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
    assert_close(marks["TRF centre"], [ERF.center[::-1]], EXACT)
    lo, hi = ERF.trf.window(ERF.unit)
    box = marks["TRF, 13 × 23 px"]
    assert_close(box.min(axis=0), np.subtract(lo, 0.5)[::-1], EXACT)
    assert_close(box.max(axis=0), np.add(hi, 0.5)[::-1], EXACT)
    image = marks["image, 20 × 48 px"]
    assert_close(np.ptp(image, axis=0), [48.0, 20.0], EXACT)
    ring = marks[r"1$\sigma$ of $E[g^2]$"][:, ::-1] - ERF.centroid
    square = np.einsum("ni,ij,nj->n", ring, np.linalg.inv(ERF.covariance), ring)
    assert_close(square, np.ones(len(ring)), ROUNDING)


def test_the_title_says_what_is_shown() -> None:
    title = suptitle(plot(ERF, title="net"))
    assert title.startswith("net, unit (4, 5) of conv5, image 20 × 48")
    std = f"{ERF.std[0]:.3g} × {ERF.std[1]:.3g}"
    assert rf"TRF 13 × 23 px, $\sigma$ of $E[g^2]$ {std} px" in title
    assert suptitle(plot(ERF, title="")) == ""


@pytest.mark.parametrize("display, kind, label", [
    ("amplitude", None, "RMS gradient $E[g^2]^{1/2}$ / maximum"),
    ("linear", None, "$E[g^2]$ / maximum"),
    ("log", LogNorm, "$E[g^2]$ / maximum, logarithmic colours"),
    ("power-law", PowerNorm, f"$E[g^2]$ / maximum, colours by power {GAMMA:g}"),
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
    assert figure.axes[3].get_ylabel() == "$E[g]$ / maximum"
    shown = figure.axes[0].images[0]
    assert shown.norm.vmin == shown.get_array().min() < 0
    assert plot(signed).axes[3].get_ylabel() == "amplitude $|E[g]|$ / maximum"
    draw(figure)


def test_a_wide_trf_does_not_hide_the_map() -> None:
    erf = em.predict(em.zoo.plain(400))
    figure = plot(erf)
    left, right = figure.axes[0].get_xlim()
    assert 8 * erf.std[1] < right - left < 20 * erf.std[1] < erf.trf.size[1]
    assert "TRF, 801 × 801 px (wider than this view)" in lines(figure.axes[0])


def test_a_narrow_trf_is_shown_whole() -> None:
    figure = plot(em.predict(em.zoo.plain(20)))
    left, right = figure.axes[0].get_xlim()
    assert left < -20 and right > 20 and "TRF, 41 × 41 px" in lines(figure.axes[0])


def test_the_box_is_the_window_of_the_unit_shown() -> None:
    """A decoder's windows differ by the phase of the unit."""
    erf = em.predict(em.zoo.unet(), unit=0)
    lo, hi = erf.trf.window(erf.unit)
    extent = hi[0] - lo[0] + 1
    assert extent < erf.trf.size[0]
    assert f"TRF, {extent} × {extent} px" in lines(plot(erf).axes[0])


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
    panels = [ax for ax in figure.axes if ax.patches]
    assert len(panels) == ndim and len(figure.axes) == (1 if ndim == 1 else 7)
    for axis, ax in enumerate(panels):
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


def test_a_map_in_axes_of_ones_own_says_what_its_colours_are() -> None:
    ax = Figure().add_subplot()
    plot(ERF, ax=ax, display="log")
    assert ax.get_title().endswith("colours: $E[g^2]$ / maximum, logarithmic colours")


@pytest.mark.parametrize("display, expected", [
    ("amplitude", [[0.5, 1.0]]), ("linear", [[0.25, 1.0]]), ("power-law", [[0.25, 1.0]]), ("log", [[0.25, 1.0]])])
def test_show_map(display, expected) -> None:
    shown = show_map(Figure().add_subplot(), [[1.0, 4.0]], (3, -2), display=display)
    assert_close(shown.get_array(), expected, ROUNDING)
    assert shown.get_extent() == [-2.5, -0.5, 3.5, 2.5]


def test_numbers_of_ticks_do_not_collide() -> None:
    """The boxes of no two labels of a picture overlap."""
    for erf, display in ((ERF, "amplitude"), (em.predict(em.zoo.plain(400)), "linear"), (THEORY, "log")):
        figure = plot(erf, display=display)
        figure.draw_without_rendering()
        ticks = [(tick, sorted(axis.get_view_interval())) for ax in figure.axes[:3] for axis in (ax.xaxis, ax.yaxis)
                 for tick in axis.get_major_ticks()]
        boxes = [(label.get_text(), label.get_window_extent()) for tick, (low, high) in ticks
                 if low <= tick.get_loc() <= high for label in (tick.label1, tick.label2)
                 if label.get_visible() and label.get_text()]
        assert len(boxes) > 8
        for i, (one, a) in enumerate(boxes):
            assert not [other for other, b in boxes[:i] if a.overlaps(b)], one


def test_the_marginals_of_a_logarithmic_map_are_logarithmic() -> None:
    for display, scale in (("log", "log"), ("linear", "linear"), ("amplitude", "linear")):
        _, top, side, _ = plot(ERF, display=display).axes
        assert (top.get_yscale(), side.get_xscale()) == (scale, scale)


def test_the_grey_band_is_in_the_legend() -> None:
    words = [text.get_text() for legend in plot(ERF).legends for text in legend.get_texts()]
    assert "TRF along one axis" in words and any(word.startswith("1$\\sigma$") for word in words)


def test_slices_of_three_dimensions() -> None:
    erf = em.predict(em.zoo.plain(3), ndim=3)
    for axis, ax in enumerate(plot(erf, display="linear").axes[:3]):
        values = ax.images[0].get_array()
        assert_close(values.max(), 1.0, EXACT)
        middle = np.take(erf.map, erf.shape[axis] // 2, axis) / erf.map.max()
        trim = (values.shape[0] - middle.shape[0]) // 2
        assert_close(values[trim:trim + 7, trim:trim + 7], middle, ROUNDING, scale=1)


def test_side_by_side_has_one_scale_and_objects() -> None:
    wide = em.predict(em.repeat(em.Conv(7), 4))
    figure = side_by_side({"small": THEORY, "wide": wide}, objects={"cat": (10, 20)})
    small, large = (ax for ax in figure.axes if ax.images and ax.get_title())
    assert small.get_xlim() == large.get_xlim() and small.get_ylim() == large.get_ylim()
    assert small.get_title().startswith("small") and large.get_title().startswith("wide")
    box = lines(small)["cat, 10 × 20 px"]
    assert_close(np.ptp(box, axis=0), [20.0, 10.0], EXACT)
    assert_close(box.mean(axis=0)[:1], [-2.0], EXACT)  # five corners, the first one twice
    draw(figure)
    assert len([ax for ax in side_by_side(*[THEORY] * 5, objects=[8]).axes if ax.images and ax.get_title()]) == 5
    for erfs in ((), (em.predict(SMALL, ndim=1),)):
        with pytest.raises(ValueError, match="all in two dimensions"):
            side_by_side(*erfs)
