"""The command ``figures``: pictures, data and numbers of the paper's figures."""

from __future__ import annotations

import argparse
import pathlib
import sys
from typing import Any

from ..base.checks import integer
from ..bench import Table
from ..figures import FIGURES, Options, Result, make
from ..figures.run import FORMATS, check_folder, select

__all__ = ["add_figures_options", "figures"]


def add_figures_options(parser: argparse.ArgumentParser) -> None:
    """Names, where to, how many draws, and an option for every data file that a figure reads."""
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help="figures to make (default: all); a name brings along those of its kind whose files "
                             "are given, as fig3 does fig3_cifar")
    parser.add_argument("--out", required=True, metavar="DIR",
                        help="directory for pictures, data and provenance; made if it is not there")
    parser.add_argument("--quick", action="store_true", help="fewer draws and smaller networks, to see that all works")
    parser.add_argument("--draws", type=int, metavar="N",
                        help="networks to draw for each measured map (default: each figure's own number)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of all that is random (default: 0)")
    parser.add_argument("--format", choices=FORMATS, default="png", help="of the pictures (default: png)")
    parser.add_argument("--workers", type=int, default=1, metavar="N",
                        help="processes (default: 1); never changes the result")
    for file, purpose in _files().items():
        parser.add_argument(f"--{file}", type=pathlib.Path, metavar="FILE", help=purpose)
    width = max(map(len, FIGURES))
    titles = "".join(f"\n  {name.ljust(width)}  {entry.title}" for name, entry in FIGURES.items())
    parser.epilog = f"figures:{titles}\n\n{parser.epilog}"


def _files() -> dict[str, str]:
    return {file: purpose for entry in FIGURES.values() for file, purpose in entry.files.items()}


def figures(options: argparse.Namespace) -> None:
    """``erfmath figures``: make them one after the other, and print the numbers of each."""
    paths = {file: getattr(options, file.replace("-", "_")) for file in _files()}
    asked = Options(options.quick, options.draws, options.seed,
                    {file: path for file, path in paths.items() if path is not None})
    integer(options.workers, "workers", 1)
    names, left = select(options.names, asked)
    check_folder(options.out)
    for name in names:
        try:
            result = make(name, options.out, asked, form=options.format, workers=options.workers)
        except KeyboardInterrupt:
            print(f"erfmath: interrupted; finished parts are in {pathlib.Path(options.out) / 'parts'}, and the "
                  "same command goes on from there", file=sys.stderr)
            raise
        print(_table(result), end="\n\n", flush=True)
    for name in left:
        needed = " and ".join(f"--{file} FILE" for file in FIGURES[name].files)
        print(f"{name}: left out, it needs {needed}")


def _table(result: Result) -> Table:
    columns = [("theory", [quote.theory for quote in result.quotes]),
               ("paper", [quote.paper for quote in result.quotes])]
    columns = [(name, values) for name, values in columns if any(v is not None for v in values)]
    rows = tuple((quote.what, _number(quote.value), _error(quote.stderr),
                  *(_number(values[i]) for _, values in columns)) for i, quote in enumerate(result.quotes))
    where = ", ".join(str(path) for path in result.paths)
    cost = f"{result.seconds:.1f} s of CPU time for {result.parts} parts"
    if result.reused:
        cost += (f"; {result.reused} of them taken from {result.paths[0].parent / 'parts'}, where earlier runs "
                 "left them (delete it to compute anew)")
    return Table(f"{result.name}: {FIGURES[result.name].title}", ("", "value", "+-", *(n for n, _ in columns)),
                 rows, (where, cost))


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4g}"


def _error(value: float | None) -> str:
    return "" if value is None else f"{value:.1g}" if value > 1e-9 else "0"
