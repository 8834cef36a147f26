"""Pictures of growth, and the slope in their legend."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import ERF, draw
from helpers import EXACT, assert_close, assert_statistical
from matplotlib.figure import Figure

import erfmath as em
from erfmath.plotting import plot_growth, plot_profiles
from erfmath.plotting.growth import power_law


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
