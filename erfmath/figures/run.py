"""Making a figure: parts computed or taken from an earlier run, picture, data and provenance."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import json
import math
import os
import pathlib
import platform
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import __version__
from ..base.errors import quoted
from ..base.files import check_target, open_regular, read_archive, write_archive, write_atomically
from ..base.progress import Progress
from ..empirics.parallel import in_order
from ..plotting.style import STYLE
from .base import Data, Desk, Options, Part, Quote, Spec
from .registry import FIGURES, recipe

__all__ = ["FORMATS", "Result", "check_folder", "make", "select"]

FORMATS = ("png", "pdf", "svg")
PACKAGE = pathlib.Path(__file__).parents[1]
#: Rooms, and modules of this one, whose code no number of a part comes from.
UNUSED = {"cli", "bench", "plotting", "analysis", "readers", "figures/run.py", "figures/registry.py",
          "figures/panels.py", "figures/trained_panels.py"}
#: Functions of figures that read finished parts.
READING = {"draw", "quotes", "caption"}
#: So that the same numbers give the same file: no dates.
_METADATA: dict[str, dict[str, Any]] = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}


class Result(NamedTuple):
    """A figure that was made, as returned by `make`.

    Attributes
    ----------
    name : str
    paths : tuple of path
        Pictures, data and provenance.
    caption : str
    quotes : list of Quote
    parts, reused : int
        Parts that it has, and how many of them an earlier run had finished.
    seconds : float
        CPU time of all parts, whenever they were computed.

    See Also
    --------
    make : What makes it.
    """

    name: str
    paths: tuple[pathlib.Path, ...]
    caption: str
    quotes: list[Quote]
    parts: int
    reused: int
    seconds: float


def select(names: list[str], options: Options) -> tuple[list[str], list[str]]:
    """The figures to make, all if no names are given, and those left out for want of their files.

    A name stands for all figures of its kind whose files are given: fig3 for fig3_box, with CIFAR-10's file also for
    fig3_cifar.

    Raises
    ------
    ValueError
        For an unknown name, or a figure asked for by name without its files.
    OSError
        For a file that cannot be read.
    """
    for path in options.files.values():
        if not path.is_dir():
            with open_regular(path):
                pass
    missing = {name: [f"--{file} FILE" for file in entry.files if file not in options.files]
               for name, entry in FIGURES.items()}
    wanted: list[str] = []
    for name in names:
        kind = [other for other in FIGURES if other == name or other.startswith(f"{name}_")]
        if not kind:
            raise ValueError(f"no figure is called {quoted(name)}; there are {', '.join(FIGURES)}")
        if missing.get(name):
            raise ValueError(f"{name}: needs {' and '.join(missing[name])}")
        wanted += [other for other in kind if not missing[other]]
    chosen = list(dict.fromkeys(wanted)) if names else list(FIGURES)
    return [n for n in chosen if not missing[n]], [n for n in chosen if missing[n]]


def check_folder(out: str | os.PathLike[str]) -> None:
    """Refuse, before any work is done, a directory that cannot be made or written to.

    Raises
    ------
    OSError
    """
    out = pathlib.Path(out)
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"{out}: is a file; figures need a directory")
    check_target(out / "file" if out.exists() else out)


def make(name: str, out: str | os.PathLike[str], options: Options = Options(), *,
         form: str | Sequence[str] = "png", workers: int = 1, progress: bool = True) -> Result:
    """Compute what is not there yet, draw, and write picture, data and provenance.

    Parameters
    ----------
    name : str
        One of `FIGURES`.
    out : path
        Directory; made if its parent is there.
    options : Options
        Draws, seed and data files.
    form : "png", "pdf", "svg", or a sequence of them
        Of the pictures.
    workers : int
        Processes that compute parts side by side; never changes a number.
    progress : bool
        Whether a bar on stderr shows work that lasts.

    Returns
    -------
    Result
        Paths, caption and numbers.

    Raises
    ------
    ValueError
        For a name or format that there is not, or data files that are missing.
    OSError
        If something cannot be read or written.

    See Also
    --------
    Options : What may be asked of any figure.

    Examples
    --------
    >>> from erfmath import figures
    >>> result = figures.make("clt", "out", form="svg")
    >>> [path.name for path in result.paths], result.parts
    (['clt.svg', 'clt.npz', 'clt.json'], 3)
    """
    forms = (form,) if isinstance(form, str) else tuple(form)
    if not forms or not set(forms) <= set(FORMATS):
        raise ValueError(f"form={quoted(form)}: must be one of {', '.join(FORMATS)}, or several of them")
    select([name], options)
    check_folder(out)
    out = pathlib.Path(out)
    paths = tuple(out / f"{name}.{ending}" for ending in (*forms, "npz", "json"))
    figure, new = recipe(name), not out.exists()
    store = out / "parts"
    store.mkdir(parents=True, exist_ok=True)
    try:
        for path in (*paths, store / "part.npz"):
            check_target(path)
        data, reused = _data(name, figure.parts(options), store, options, workers, progress)
    except BaseException:
        with contextlib.suppress(OSError):  # what came to nothing leaves nothing
            store.rmdir()
            if new:
                out.rmdir()
        raise
    quotes, caption = figure.quotes(data), figure.caption(data)
    arrays: dict[str, Any] = {f"{part}/{key}": array for part, done in data.items()
                              for key, array in done.arrays.items()}
    _write_pictures(figure, data, dict(zip(forms, paths)))
    write_atomically(paths[-2], lambda file: np.savez_compressed(file, **arrays))
    about = _provenance(name, options, data, quotes, caption)
    write_atomically(paths[-1], lambda file: file.write((json.dumps(about, indent=1) + "\n").encode()))
    return Result(name, paths, caption, quotes, len(data), reused, sum(part.seconds for part in data.values()))


def _write_pictures(figure: Any, data: Data, paths: dict[str, pathlib.Path]) -> None:
    import matplotlib

    with matplotlib.rc_context(STYLE):
        drawn = figure.draw(data)
        for form, path in paths.items():
            how: dict[str, Any] = {"pil_kwargs": {"optimize": True}} if form == "png" else {}
            write_atomically(path, lambda file: drawn.savefig(file, format=form, metadata=_METADATA[form], **how))


# ---------------------------------------------------------------------------------------------
# parts
# ---------------------------------------------------------------------------------------------

def _data(name: str, specs: dict[str, Spec], store: pathlib.Path, options: Options, workers: int,
          progress: bool) -> tuple[Data, int]:
    """All parts of a figure, and how many of them an earlier run had finished."""
    specs = json.loads(json.dumps(specs))  # as a file gives them back: tuples are lists
    where = {part: store / f"{name}-{_key(name, spec)}.npz" for part, spec in specs.items()}
    todo = [(path, specs[part]) for part, path in where.items() if _load(path, specs[part]) is None]
    finished, total = len(specs) - len(todo), len(specs)
    with Progress(f"figure {name}, per cent", delay=1.0 if progress else math.inf) as bar:

        def show(done: int, whole: int) -> None:
            bar(int(100 * (finished + done / max(whole, 1))) // total, 100)

        work = functools.partial(_finish, name, dict(options.files), show if workers == 1 else None)
        with in_order(work, todo, workers) as results:
            for _ in results:
                finished += 1
                show(0, 1)
    data = {}
    for part, path in where.items():
        done = _load(path, specs[part])
        if done is None:
            raise OSError(f"{path}: cannot be read back; is something else writing there?")
        data[part] = done
    return data, total - len(todo)


def _key(name: str, spec: Spec) -> str:
    text = json.dumps([spec, __version__, _code(recipe(name).parts.__module__)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def _code(module: str) -> str:
    """Digest of the code that the parts of a figure come from; comments, docstrings and drawing do not count.

    Of this room that is what figures share, and the figure's own `module`.
    """
    digest = hashlib.sha256()
    own = PACKAGE / "figures" / f"{module.rpartition('.')[2]}.py"
    shared = {PACKAGE / "figures" / f"{name}.py" for name in ("base", "sampling", "recipes", "trained")}
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        if place.partition("/")[0] in UNUSED or place.startswith("figures/") and path not in shared | {own}:
            continue
        digest.update(f"{place} {_computing(path.read_text(encoding='utf-8'))}\n".encode())
    return digest.hexdigest()


def _computing(source: str) -> str:
    """The syntax tree of a module, without docstrings and without the functions that read finished parts."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            node.body = [part for part in node.body if not (
                isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
                or isinstance(part, ast.FunctionDef) and (part.name in READING or "draw" in part.name))]
    return ast.dump(tree)


def _finish(name: str, files: dict[str, pathlib.Path], show: Any, task: tuple[pathlib.Path, Spec]) -> None:
    """Compute one part and keep it."""
    path, spec = task
    desk = Desk(show or (lambda done, total: None), path.with_suffix(".scratch.npz"), files)
    start = time.process_time()
    arrays = recipe(name).compute(spec, desk)
    write_archive(path, arrays, {"spec": spec, "seconds": time.process_time() - start}, compressed=True)
    desk.scratch.unlink(missing_ok=True)


def _load(path: pathlib.Path, spec: Spec) -> Part | None:
    """A part that an earlier run finished; None where there is none, or none that can be read."""
    try:
        arrays, about = read_archive(path)
        return Part(spec, arrays, float(about["seconds"])) if about["spec"] == spec else None
    except (OSError, KeyError, TypeError, ValueError):
        return None


# ---------------------------------------------------------------------------------------------
# provenance
# ---------------------------------------------------------------------------------------------

def command(name: str, options: Options) -> str:
    """The command line that makes a figure again."""
    words = ["erfmath figures", name, f"--seed {options.seed}"]
    words += [f"--draws {options.draws_asked}"] if options.draws_asked is not None else []
    words += ["--quick"] if options.quick else []
    words += [f"--{file} FILE" for file in FIGURES[name].files]
    return " ".join([*words, "--out DIR"])


def _provenance(name: str, options: Options, data: Data, quotes: list[Quote],
                caption: str) -> dict[str, Any]:
    import matplotlib
    import scipy

    return {
        "figure": name, "title": FIGURES[name].title, "caption": caption,
        "command": command(name, options),
        "seed": options.seed, "quick": options.quick,
        "versions": {"python": platform.python_version(), "numpy": np.__version__,
                     "scipy": scipy.__version__, "matplotlib": matplotlib.__version__,
                     "erfmath": __version__},
        "numbers": [quote._asdict() for quote in quotes],
        "parts": {part: done.spec for part, done in data.items()},
        "cpu_seconds": round(sum(done.seconds for done in data.values()), 1),
    }
