"""The central limit theorem: three layers by hand."""

from __future__ import annotations

import math

import numpy as np
from figure_data import DESK, quoted
from helpers import ROUNDING, assert_close

from erfmath.figures import Part, clt


def test_clt_errors() -> None:
    """Of three layers: counts 1, 3, 6, 7, 6, 3, 1 against the Gaussian of variance 2."""
    part = Part({}, clt.compute({"layers": 3, "kernel": 3}, DESK), 0.0)
    assert_close(27 * part["exact"], [1.0, 3, 6, 7, 6, 3, 1], ROUNDING)
    gauss = np.exp(-np.arange(-3, 4)**2 / 4) / math.sqrt(4 * math.pi)
    quotes = quoted(clt.quotes({"3 layers": part}))
    assert_close(quotes["3 layers: Gaussian, largest error / peak"].value,
                 abs(gauss - part["exact"]).max() * 27 / 7, ROUNDING)
    where = quotes["3 layers: Gaussian, std beyond which the error stays above 10%"].value
    assert_close(where, 3 / math.sqrt(2), ROUNDING)  # 0.11 at 0, then below a tenth as far as 2
