"""Growth against paths counted by hand, the paper's exact slopes, and least squares written out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, FFT, ROUNDING, assert_close

import erfmath as em

ONES = em.Constant()


def counted(n: int, power: int) -> float:
    """The paper's size for n 3x3 layers: pixels above 4.55 % of the centre, by repeated convolution."""
    line = np.ones(1)
    for _ in range(n):
        line = np.convolve(line, np.ones(3) / 3)
    amplitude = np.multiply.outer(line, line)**(1 / power)
    return float(np.sqrt(np.count_nonzero(amplitude > (1 - 0.9545) * amplitude.max())))


def test_sizes_are_those_of_counted_paths() -> None:
    depths = [5, 17, 60]
    for weights, power in ((em.Random(), 2), (ONES, 1)):
        over = em.growth(lambda n: em.zoo.plain(n, weights=weights), depths, parameter="layers")
        assert_close(over.sizes["threshold"], [counted(n, power) for n in depths], EXACT)
        assert_close(over.trf, [2 * n + 1 for n in depths], EXACT)
        assert_close(over.sizes["std"], np.sqrt(np.array(depths) * 8 / 12), ROUNDING)
        assert_close(over.asymptote["std"], over.sizes["std"], ROUNDING)
        assert_close(over.ratio(), over.sizes["threshold"] / over.trf, EXACT)


@pytest.mark.slow
@pytest.mark.parametrize("weights, size, ratio", [(ONES, 0.496, -0.490), (em.Random(), 0.508, -0.478)])
def test_slopes_over_every_depth_of_the_paper(weights: Any, size: float, ratio: float) -> None:
    over = em.growth(lambda n: em.zoo.plain(n, weights=weights), range(5, 201))
    assert round(over.fit("threshold").slope, 3) == size
    assert round(over.fit("threshold", ratio=True).slope, 3) == ratio


def test_slopes_of_counted_paths() -> None:
    """The same numbers from `fit_power_law` on sizes counted without the package's maps."""
    depths = np.arange(5, 201)
    line, sizes = np.ones(1), {1: [], 2: []}  # type: ignore[var-annotated]
    for n in range(1, 201):
        line = np.convolve(line, np.ones(3) / 3)
        if n >= 5:
            ordered = np.sort(line)
            for power, row in sizes.items():  # pairs of a row and a column above the level
                edge = (1 - 0.9545)**power * line.max()**2
                row.append(math.sqrt((len(line) - np.searchsorted(ordered, edge / line, side="right")).sum()))
    for power, size, ratio in ((1, 0.496, -0.490), (2, 0.508, -0.478)):
        assert round(em.fit_power_law(depths, sizes[power]).slope, 3) == size
        assert round(em.fit_power_law(depths, np.array(sizes[power]) / (2 * depths + 1)).slope, 3) == ratio


def test_dilation_kernel_and_width_as_parameters() -> None:
    over = em.growth(lambda k: em.repeat(em.Conv(k), 4), (3, 5, 9), kinds=("std",))
    assert_close(over.sizes["std"], [math.sqrt(4 * (k * k - 1) / 12) for k in (3, 5, 9)], ROUNDING)
    over = em.growth(lambda d: em.repeat(em.Conv(3, dilation=d), 4), (1, 2, 4), kinds=("std",))
    assert_close(over.fit("std").slope, 1.0, FFT, scale=100)
    over = em.growth(lambda w: em.serial(em.Conv(3, w), em.concat(em.Conv(1, 16), em.Conv(5, 32 * w)), em.Conv(1)),
                     (1, 2, 4), kinds=("std",), image=20)
    assert np.isnan(over.asymptote["std"]).all() and (np.diff(over.sizes["std"]) > 0).all()


def strided(every: int) -> Any:
    return lambda n: em.serial(*(em.Conv(3, stride=2 if layer % every == 0 else 1) for layer in range(1, n + 1)))


def test_crossover_from_depth_to_strides() -> None:
    """A stride after every m layers: half of the variance lies behind it from m (1 + 1/4) layers on."""
    for every in (4, 8):
        over = em.growth(strided(every), range(every - 1, 3 * every), kinds=("std",))
        assert over.crossover == every * 1.25
        exponent = over.local_exponent("std")
        assert abs(exponent[0] - 0.5) < 0.6 and exponent[-1] > 1
    assert em.growth(em.zoo.plain, (5, 6, 7)).crossover is None
    assert em.growth(lambda n: em.serial(em.Conv(3, stride=2), em.repeat(em.Conv(3), n)), (5, 6, 7)).crossover is None


def test_local_exponent_of_a_power_law() -> None:
    over = em.growth(em.zoo.plain, range(4, 30), kinds=("std",))
    assert_close(over.local_exponent("std"), np.full(26, 0.5), FFT, scale=100)


def test_table() -> None:
    done: list[tuple[int, int]] = []
    over = em.growth(em.zoo.plain, range(3, 30), parameter="layers", progress=lambda i, n: done.append((i, n)))
    text = str(over)
    assert all(words in text for words in ("layers", "closed form", "of 27 rows", "threshold: size slope"))
    assert "+-" not in text
    assert done[-1] == (27, 27) and "half of the variance" not in text
    assert "half of the variance from value = 5 on" in str(em.growth(strided(4), range(3, 8)))


def test_growth_that_strides_bend_has_no_straight_line() -> None:
    """Std after a stride every four layers is exponential in the depth: no power law, and no error of a slope."""
    over = em.growth(strided(4), range(4, 33, 4), kinds=("std",))
    law = over.fit("std")
    assert not law.holds and law.slope_stderr is None and law.misfit > 0.5
    assert "std: size no power law (a line in logarithms is off by up to" in str(over)
    straight = em.growth(em.zoo.plain, range(5, 41, 5)).fit("threshold")
    assert straight.holds and straight.slope_stderr is None and straight.misfit < 0.05


def test_ratios_of_kinds_that_are_no_sides() -> None:
    over = em.growth(em.zoo.plain, range(3, 7), kinds=("participation", "area_ratio"), ndim=2)
    fields = [em.predict(em.zoo.plain(n)) for n in range(3, 7)]
    assert_close(over.ratio("participation"), [erf.ratio("participation") for erf in fields], ROUNDING)
    assert_close(over.ratio("area_ratio"), [erf.size("area_ratio") for erf in fields], ROUNDING)
    assert np.isnan(over.asymptote["area_ratio"]).all() and np.isfinite(over.asymptote["participation"]).all()
    with pytest.raises(ValueError, match="area_ratio"):
        em.design(0.5, kind="area_ratio")


def test_few_rows_are_all_shown_and_zeros_have_no_power_law() -> None:
    over = em.growth(lambda k: em.zoo.plain(3, k), (1, 3, 5, 7, 9), kinds="std")
    assert len(str(over).splitlines()) == 7 and "no power law" in str(over)
    exponents = over.local_exponent("std")
    assert np.isnan(exponents[0]) and np.isfinite(exponents[1:]).all()


@pytest.mark.parametrize("values, options, words", [
    ((1, 2), {}, "at least three"), ((3, 2, 1), {}, "ascending"), ((0, 1, 2), {}, "positive"),
    (("a", 1, 2), {}, "values"),
    ((1, 2, 3), {"kinds": ("width",)}, "kinds='width'"), ((1, 2, 3), {"image": 0}, "image=0"),
])
def test_refusals(values: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        em.growth(em.zoo.plain, values, **options)


def test_growth_refuses_what_is_no_network() -> None:
    with pytest.raises(TypeError, match="must be a Network"):
        em.growth(lambda n: em.Conv(n), (1, 3, 5))  # type: ignore[arg-type, return-value]
