"""Initialisations: the bound is reached at the corners."""

from __future__ import annotations

import numpy as np
import pytest
from figure_data import data_of, quoted
from helpers import ROUNDING, assert_close, assert_statistical

from erfmath.figures import Options, initialisation


@pytest.mark.slow
def test_initialisation_reaches_its_bound_at_the_corners() -> None:
    data = data_of("initialisation", Options(quick=True, draws_asked=60))
    quotes = quoted(initialisation.quotes(data))
    for k, bound in ((3, 1.5**0.5), (5, 2**0.5), (7, 2.25**0.5)):
        quote = quotes[f"k = {k}, corners: std over that of equal variances"]
        assert_close([quote.theory, quotes[f"k = {k}: bound of that ratio"].value], [bound, bound], ROUNDING)
        assert_statistical(quote.value, quote.stderr, bound)
        assert 1 < quotes[f"k = {k}, soft rim, half: std over that of equal variances"].theory < bound
    share = data["corners, k = 3"]["theory"]
    assert np.count_nonzero(share[1::2]) == np.count_nonzero(share[:, 1::2]) == 0, "one parity of pixels only"
