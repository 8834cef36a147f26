"""Pictures show the numbers of the result they were drawn from, at the right pixels."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close, assert_statistical, suptitle
from matplotlib.colors import LogNorm, PowerNorm
from matplotlib.figure import Figure
from scipy.stats import norm

import erfmath as em
from erfmath.plotting import FLOOR, GAMMA, LINES, plot, plot_growth, plot_profiles, show_map, side_by_side
from erfmath.plotting.growth import power_law

# Nothing about this one is symmetric: axes of different extent, a unit near a corner.
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


@pytest.mark.parametrize("panel, axis", [(1, 1), (2, 0)])
def test_profiles_stand_beside_their_gaussians(panel: int, axis: int) -> None:
    ax = plot(ERF).axes[panel]
    steps = ax.patches[0].get_data()
    assert_close(steps.values, ERF.profile(axis), EXACT)
    assert_close(steps.edges[:-1] + 0.5, np.arange(ERF.image[axis], dtype=float), EXACT)
    curve = lines(ax)[r"Gaussian of the same mean and $\sigma$"]
    x, y = curve.T if panel == 1 else curve.T[::-1]
    assert_close(y, norm.pdf(x, ERF.centroid[axis], ERF.std[axis]), ROUNDING)


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


def test_colours_survive_greyscale() -> None:
    from matplotlib import colormaps
    levels = np.diff(colormaps[em.plotting.COLOURS](np.linspace(0, 1, 256))[:, :3] @ [0.2126, 0.7152, 0.0722])
    assert (levels > 0).all(), "lighter with every step"
    assert len({line["marker"] for line in LINES}) == len(LINES), "and lines differ in more than colour"


# ---------------------------------------------------------------------------------------------
# comparisons, profiles, growth
# ---------------------------------------------------------------------------------------------

SMALL = em.repeat(em.Conv(3), 4)
THEORY, MEASURED = em.predict(SMALL), em.measure(SMALL, draws=20, rng=0)


def test_a_comparison_is_drawn_as_its_own_module_does() -> None:
    comparison = em.compare(THEORY, MEASURED)
    figure = plot(comparison, title="four layers")
    assert len(figure.axes) == len(comparison.plot().axes)
    assert suptitle(figure) == "four layers"
    draw(figure)
    ax = Figure().add_subplot()
    plot(comparison, ax=ax, display="log")
    assert {text.get_text() for text in ax.get_legend().get_texts()} >= set(comparison.names)
    with pytest.raises(ValueError, match="display='log': the maps of a comparison"):
        plot(comparison, display="log")


@pytest.mark.parametrize("display", ["linear", "log", "power-law", "amplitude"])
@pytest.mark.parametrize("axis", [0, 1])
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


def test_the_error_of_a_slope_is_its_scatter() -> None:
    rng, x, relative = np.random.default_rng(0), np.array([5.0, 10, 20, 40]), 0.02
    errors = relative * x**0.5
    laws = [power_law(x, x**0.5 + errors * rng.normal(size=4), errors) for _ in range(2000)]
    slopes = np.array([law.slope for law in laws])
    told = np.mean([law.slope_stderr for law in laws])
    assert_statistical(slopes.std(ddof=1), told / np.sqrt(2 * len(laws)), told)
    assert_statistical(slopes.mean(), told / np.sqrt(len(laws)), 0.5)


def test_growth_draws_what_it_was_given() -> None:
    layers, rows = [5, 10, 20], {"a": [1.0, 2.0, 4.0], "b": [3.0, 3.0, 3.0]}
    figure = plot_growth(layers, rows, errors={"a": [0.1, 0.2, 0.4]}, title="growth", ylabel="side")
    ax = figure.axes[0]
    assert ax.get_xscale() == ax.get_yscale() == "log" and ax.get_ylabel() == "side"
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words == [f"a: slope 1.000 ± {0.1 / np.sqrt(2) / np.log(2):.3f}", "b: slope 0.000"]
    shown = [container.lines[0].get_xydata() for container in ax.containers]
    assert_close(shown[0], np.transpose([layers, rows["a"]]), EXACT)
    draw(figure)
    curve = plot_growth([1, 2, 3, 4], {"c": [2, 4, 8, 16], "d": [2, 4, 8, 16]}, errors={"d": [1, 2, 4, 8]}).axes[0]
    words = [text.get_text() for text in curve.get_legend().get_texts()]
    assert words[0].startswith("c: no power law") and words[1].startswith("d: slope 1.459")
    assert sum(len(line.get_xdata()) == 2 for line in curve.get_lines()) == 1, "a line for the one with errors alone"
    single = Figure().add_subplot()
    plot_growth(layers, rows["a"], fit=False, ax=single)
    assert single.get_legend() is None and len(single.get_lines()) > 0


@pytest.mark.parametrize("make, values", [
    (lambda k: em.zoo.plain(4, k), (1, 3, 5, 7)),  # a size and a closed form of 0
    (lambda _: em.zoo.plain(4), (1, 2, 3)),  # one size throughout
    (lambda n: em.serial(em.Conv(3), em.residual(em.repeat(em.Conv(3), n))), (1, 2, 3)),  # no closed form
])
@pytest.mark.parametrize("kinds", [("std",), ("threshold", "std")])
def test_growth_shows_all_that_is_positive(make: object, values: tuple[int, ...], kinds: tuple[str, ...]) -> None:
    over = em.growth(make, values, kinds=kinds)  # type: ignore[arg-type]
    left, right = plot_growth(over).axes
    for ax, scale in ((left, 1.0), (right, over.trf)):
        low, high = ax.get_ylim()
        drawn = np.concatenate([rows[kind] / scale for kind in kinds if over.sizes[kind].min() > 0
                                for rows in (over.sizes, over.asymptote)] or [[]])
        drawn = drawn[drawn > 0]
        assert ((low < drawn) & (drawn < high)).all()


@pytest.mark.parametrize("call, message", [
    (lambda: plot_profiles({}), "must hold one result at least"),
    (lambda: plot_profiles({"one": ERF}, axis=2), "axis=2: one has the axes 0 to 1"),
    (lambda: plot_profiles([ERF], display="jet"), "display='jet'"),
    (lambda: plot_growth([1, 2, 3], {"a": [1, -1, 1]}), "must be positive"),
    (lambda: plot_growth([1, 2, 3], {"a": [1, 1]}), "two rows of one length"),
])
def test_profiles_and_growth_refuse(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


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


def test_refusals() -> None:
    with pytest.raises(ValueError, match="display='jet': must be one of amplitude, linear, log, "):
        plot(ERF, display="jet")
    with pytest.raises(ValueError, match="ax: cannot hold the profiles of all 3 axes"):
        plot(em.predict(em.zoo.plain(2), ndim=3), ax=Figure().add_subplot())


def test_no_global_state() -> None:
    code = ("import sys, erfmath as em; em.plotting.plot(em.predict(em.zoo.plain(2))); "
            "sys.exit('matplotlib.pyplot' in sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)


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
    for draw in (em.plotting.plot, lambda erf, **how: em.plotting.plot_profiles([erf], **how)):
        with pytest.raises(ValueError, match="smooth='x': must be 'stride' or None"):
            draw(ERF, smooth="x")
