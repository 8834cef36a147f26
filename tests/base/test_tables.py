"""Tables as text, CSV, LaTeX and HTML; results show themselves as tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import erfmath as em
from erfmath.base.tables import csv_table, html_table, latex_table, text_table

NET = em.zoo.plain(3)
ROWS = [("name", "n", "what"), ("a", 1, "x\ny"), ("long one", 100, "")]


def test_text_table_aligns_columns_and_continues_cells() -> None:
    assert text_table(ROWS, "lrl").split("\n") == [
        "name        n  what", "a           1  x", "               y", "long one  100"]
    assert text_table(ROWS[:1] + ROWS[2:], "r") == "    name    n  what\nlong one  100"


def test_text_table_refuses_rows_of_unequal_length() -> None:
    with pytest.raises(ValueError, match="shorter|longer"):
        text_table([("a", "b"), ("c",)])


def test_html_table_escapes() -> None:
    assert html_table([("<a>", "b"), ("&", "c\nd")], caption="x<y") == (
        "<table><caption>x&lt;y</caption><tr><th>&lt;a&gt;</th><th>b</th></tr>"
        "<tr><td>&amp;</td><td>c<br>d</td></tr></table>")


def test_csv_table_and_latex_table() -> None:
    rows = [("a", "b"), ("x_1, 50 %", None)]
    assert csv_table(rows) == 'a,b\n"x_1, 50 %",'
    assert latex_table(rows).splitlines()[4] == r"x\_1, 50 \% &  \\"


@pytest.mark.parametrize("make, held", [
    (lambda: NET, "conv3"),
    (lambda: em.serial(*[em.Conv(3)] * 80), "and 20 more nodes"),
    (lambda: em.serial(em.Conv(3), em.AdaptiveAvgPool(2)), "adaptive_avg_pool1"),
    (lambda: em.costs(NET, 32), "multiply-adds"),
    (lambda: em.coverage(NET, 5), "fraction of the ERF"),
    (lambda: em.tile_halo(NET, 0.01), "halo"),
    (lambda: em.growth(em.zoo.plain, (3, 4, 5)), "TRF"),
    (lambda: em.layer_shares(NET), "conv2"),
    (lambda: em.border_layers(NET, 32), "conv2"),
    (lambda: em.signals(NET), "gradient"),
    (lambda: em.receptive_field(NET), "stride"),
])
def test_notebooks_show_tables(make: Callable[[], Any], held: str) -> None:
    html = make()._repr_html_()
    assert html.startswith(("<table>", "<pre>")) and held in html
