"""The command ``figures``: pictures, data and numbers of the paper's figures."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

from ..base.checks import integer
from ..base.errors import quoted
from ..base.files import write_atomically
from ..base.tables import csv_table, latex_table, text_table
from ..figures import FIGURES, Options, Result, make
from ..figures.run import FORMATS, check_folder, select
from .report import Answer

__all__ = ["add_figures_options", "figures"]


def add_figures_options(parser: argparse.ArgumentParser) -> None:
    """Names, where to, how many draws, and an option for every data file that a figure reads."""
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help="figures to make (default: all); a name brings along those of its kind whose files "
                             "are given, as fig3 does fig3_box and fig3_cifar")
    parser.add_argument("-o", "--out", metavar="DIR", help="directory for pictures, data and provenance; made if it is "
                        "not there; without it, and without names, the figures are listed")
    parser.add_argument("--quick", action="store_true", help="fewer draws and smaller networks, to see that all works")
    parser.add_argument("--draws", type=int, metavar="N",
                        help="networks to draw for each measured map (default: each figure's own number)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of all that is random (default: 0)")
    parser.add_argument("--format", type=_formats, default=("png",), metavar="F,...",
                        help=f"of the pictures: {', '.join(FORMATS)}, or several (default: png)")
    parser.add_argument("-j", "--workers", type=int, default=1, metavar="N",
                        help="processes (default: 1); never changes the result")
    for file, purpose in _files().items():
        parser.add_argument(f"--{file}", type=pathlib.Path, metavar="PATH", help=purpose)
    width = max(map(len, FIGURES))
    titles = "".join(f"\n  {name.ljust(width)}  {entry.title}" for name, entry in FIGURES.items())
    parser.epilog = f"figures:{titles}\n\n{parser.epilog}"


def _files() -> dict[str, str]:
    return {file: purpose for entry in FIGURES.values() for file, purpose in entry.files.items()}


def _formats(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    for form in chosen:
        if form not in FORMATS:
            raise argparse.ArgumentTypeError(f"{quoted(form)}: must be one of {', '.join(FORMATS)}, or several as "
                                             "pdf,svg")
    return chosen


def figures(options: argparse.Namespace) -> Iterator[Answer]:
    """``erfmath figures``: make them one after the other, and print the numbers of each; or list them."""
    if options.out is None:
        if options.names:
            raise ValueError("--out: must be a directory for the pictures; without names all figures are listed")
        rows = [("figure", "shows"), *((name, entry.title) for name, entry in FIGURES.items())]
        yield Answer({"figures": [{"name": name, "title": title} for name, title in rows[1:]]}, text_table(rows), rows)
        return
    paths = {file: getattr(options, file.replace("-", "_")) for file in _files()}
    asked = Options(options.quick, options.draws, options.seed,
                    {file: path for file, path in paths.items() if path is not None})
    integer(options.workers, "workers", 1)
    names, left = select(options.names, asked)
    check_folder(options.out)
    for name in names:
        try:
            result = make(name, options.out, asked, form=options.format, workers=options.workers,
                          progress=not options.quiet)
        except KeyboardInterrupt:
            print(f"erfmath: interrupted; finished parts are in {pathlib.Path(options.out) / 'parts'}, and the "
                  "same command goes on from there", file=sys.stderr)
            raise
        yield _answer(result, options.table)
    for name in left:
        needed = " and ".join(f"--{file} FILE" for file in FIGURES[name].files)
        print(f"erfmath: {name}: left out, it needs {needed}", file=sys.stderr)


def _answer(result: Result, table: str) -> Answer:
    columns = {"theory": [quote.theory for quote in result.quotes], "paper": [quote.paper for quote in result.quotes]}
    columns = {name: values for name, values in columns.items() if any(v is not None for v in values)}
    rows = [(result.name, "value", "+-", *columns), *(
        (quote.what, _number(quote.value), "" if quote.stderr is None else f"{quote.stderr:.1g}",
         *(_number(values[i]) for values in columns.values())) for i, quote in enumerate(result.quotes))]
    paths = list(map(str, result.paths))
    if table != "text":
        form, ending = (csv_table, "csv") if table == "csv" else (latex_table, "tex")
        paths.append(str(result.paths[0].with_suffix(f".{ending}")))
        write_atomically(paths[-1], lambda file: file.write(f"{form(rows)}\n".encode()))
    cost = f"{result.seconds:.1f} s of CPU time for {result.parts} parts"
    if result.reused:
        cost += (f"; {result.reused} of them taken from {result.paths[0].parent / 'parts'}, where earlier runs "
                 "left them (delete it to compute anew)")
    values = {"figure": result.name, "title": FIGURES[result.name].title, "caption": result.caption, "paths": paths,
              "numbers": [quote._asdict() for quote in result.quotes], "parts": result.parts, "reused": result.reused,
              "cpu_seconds": result.seconds}
    text = f"{result.name}: {FIGURES[result.name].title}\n{text_table([('', *rows[0][1:]), *rows[1:]], 'lr')}"
    return Answer(values, f"{text}\n{result.caption}\n{', '.join(paths)}\n{cost}", rows)


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4g}"
