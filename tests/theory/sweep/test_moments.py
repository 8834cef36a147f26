"""Second moments on maps: boxes of lags."""

from __future__ import annotations

import numpy as np
from helpers import EXACT, assert_close

from erfmath.theory.sweep import moments


def test_inside_counts_pairs_on_the_map() -> None:
    found = moments.inside((4, 3), (1, 2))
    for s in range(-1, 2):
        for t in range(-2, 3):
            assert found[s + 1, t + 2].sum() == (4 - abs(s)) * (3 - abs(t))
    assert moments.inside((4, 3), (1, 2), wraps=True).all()


def test_refit_keeps_common_lags() -> None:
    values = np.arange(15.0).reshape(1, 5, 3)
    assert_close(moments.refit(values, (1,), 1), values[:, 1:4], EXACT)
    wide = moments.refit(values, (3,), 1)
    assert wide.shape == (1, 7, 3) and not wide[:, [0, 6]].any()
    assert_close(wide[:, 1:6], values, EXACT)


def test_ratio_of_nothing_is_what_is_said() -> None:
    assert_close(moments.ratio(np.array([1.0, 2.0]), np.array([4.0, 0.0]), otherwise=9.0), [0.25, 9.0], EXACT)
