"""The printer of tables."""

from __future__ import annotations

import pytest

from erfmath.base.tables import html_table, text_table

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
