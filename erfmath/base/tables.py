"""The one printer of tables: as text for terminals, as HTML for notebooks, as CSV and LaTeX for papers."""

from __future__ import annotations

import base64
import csv
import html
import io
import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Printed", "csv_table", "html_picture", "html_table", "latex_table", "percent", "text_table"]

#: Dots per inch of pictures in notebooks.
SCREEN = 110

Rows = Iterable[Sequence[object]]


def percent(part: float) -> str:
    """A part of a whole to a tenth of a per cent, 0 without a sign.

    Examples
    --------
    >>> percent(-1e-9), percent(-0.25)
    ('0.0%', '-25.0%')
    """
    return f"{round(part, 3) + 0.0:.1%}"


def text_table(rows: Rows, align: str = "l") -> str:
    """Rows of cells as lines of text, columns as wide as they need, two spaces apart.

    Parameters
    ----------
    rows : iterable of sequences
        Cells are shown by `str`; a cell of several lines continues below.  All rows have equal length.
    align : str
        "l" or "r" per column; the last letter is for all further ones: "lr" has the first column
        left-aligned, the rest right-aligned.

    Returns
    -------
    str
        Without spaces at the ends of lines.

    Examples
    --------
    >>> print(text_table([("node", "TRF"), ("conv1", 3), ("conv2", 15)], align="lr"))
    node   TRF
    conv1    3
    conv2   15
    """
    lines = [line for row in rows
             for line in itertools.zip_longest(*(str(cell).split("\n") for cell in row), fillvalue="")]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    sides = itertools.chain(align, itertools.repeat(align[-1]))
    layout = "  ".join(f"{{:{'<' if side == 'l' else '>'}{width}}}" for side, width in zip(sides, widths))
    return "\n".join(layout.format(*line).rstrip() for line in lines)


def html_table(rows: Rows, *, header: bool = True, caption: str = "") -> str:
    """The same rows as an HTML table without styles of its own, for `_repr_html_`.

    Parameters
    ----------
    rows : iterable of sequences
        Cells are shown by `str`, escaped.
    header : bool
        Whether the first row names the columns.
    caption : str

    Examples
    --------
    >>> html_table([("std", "4 < 5")], header=False)
    '<table><tr><td>std</td><td>4 &lt; 5</td></tr></table>'
    """
    text = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    for i, row in enumerate(rows):
        tag = "th" if header and i == 0 else "td"
        cells = "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in row)
        text += "<tr>" + cells.replace("\n", "<br>") + "</tr>"
    return f"<table>{text}</table>"


class Printed:
    """What prints as a table; notebooks show the same."""

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def html_picture(figure: Figure) -> str:
    """A figure as an HTML image that holds its own data."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=SCREEN)
    return f'<img src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'


def csv_table(rows: Rows) -> str:
    """The same rows as comma-separated values, the first of them the header.

    Examples
    --------
    >>> print(csv_table([("node", "TRF"), ("a, b", 3)]))
    node,TRF
    "a, b",3
    """
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([["" if cell is None else cell for cell in row] for row in rows])
    return file.getvalue().rstrip("\n")


def latex_table(rows: Rows) -> str:
    """The same rows as a LaTeX tabular with the rules of booktabs, the first of them the header.

    Examples
    --------
    >>> print(latex_table([("node", "TRF"), ("conv_1", 3)]))
    \\begin{tabular}{lr}
    \\toprule
    node & TRF \\\\
    \\midrule
    conv\\_1 & 3 \\\\
    \\bottomrule
    \\end{tabular}
    """
    special = {char: f"\\{char}" for char in "&%$#_{}"} | {
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\n": " "}

    def escaped(cell: object) -> str:
        return "".join(special.get(char, char) for char in ("" if cell is None else str(cell)))

    lines = [" & ".join(map(escaped, row)) + r" \\" for row in rows]
    columns = lines[0].count(" & ")
    return "\n".join([f"\\begin{{tabular}}{{l{'r' * columns}}}", r"\toprule", lines[0], r"\midrule",
                      *lines[1:], r"\bottomrule", r"\end{tabular}"])
