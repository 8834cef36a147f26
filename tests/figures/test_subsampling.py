"""Strides and dilations: sizes known to three digits."""

from __future__ import annotations

import pytest
from figure_data import data_of, quoted
from helpers import assert_statistical

from erfmath.figures import Options
from erfmath.figures.registry import recipe
from erfmath.figures.subsampling import PUBLISHED as SUBSAMPLED


@pytest.mark.slow
def test_subsampling_numbers() -> None:
    data = data_of("subsampling", Options(draws_asked=40))
    known = {"dense": (3.162, 31), "stride 2 at 4, 8, 12": (13.565, 105), "dilation 2, 4, 8 at 4, 8, 12": (8.0, 53)}
    quotes = quoted(recipe("subsampling").quotes(data))
    for name, (std, side) in known.items():
        quote = quotes[f"{name}: std of power"]
        assert round(quote.theory, 3) == std and data[name].number("side") == side
        assert_statistical(quote.value, quote.stderr, quote.theory)
    ratios = {name: quotes[f"{name}: width / that of dense"] for name in SUBSAMPLED}
    assert [(round(q.theory, 1), q.paper) for q in ratios.values()] == [(4.2, 3.88), (2.2, 2.08)]
