"""Figure 1: widths known to three digits, and the published panels."""

from __future__ import annotations

from figure_data import data_of, quoted

from erfmath.figures import Options, fig1


def test_fig1_widths() -> None:
    """Known to three digits; the published "uniform" panels are those of random weights."""
    quotes = quoted(fig1.quotes(data_of("fig1", Options(quick=True, draws_asked=3))))
    known = {"all ones": {10: 0.557, 20: 0.394, 40: 0.281}, "random": {10: 0.739, 20: 0.555, 40: 0.394}}
    exact = {case: {n: quotes[f"{n} layers, {case}: width / side of the TRF"].theory for n in widths}
             for case, widths in known.items()}
    assert {case: {n: round(width, 3) for n, width in row.items()} for case, row in exact.items()} == known
    for n, published in fig1.PUBLISHED["all ones"].items():
        assert abs(published - exact["random"][n]) < abs(published - exact["all ones"][n])
