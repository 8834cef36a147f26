"""The paper's figures: for each one a specification, the data computed from it, and a picture.

``erfmath figures [NAMES] --out DIR`` makes them; `make` does the same from Python.  For a figure
called NAME three files are written to DIR:

=========  ===============================================================================
NAME.png   the picture (or .pdf, .svg)
NAME.npz   all arrays that it is drawn from, under "part/array"
NAME.json  caption, command, seed, versions, specification of every part, and all numbers quoted
=========  ===============================================================================

Parts that are finished stay in ``DIR/parts``, one file each, under a name made of figure,
specification, version and code of erfmath: after an interruption, or with another format, they are taken
from there; after a change of the code they are computed anew.

How to add a figure
-------------------
Write a module of this package, and give it a line in `FIGURES`.  The module has five functions
(types in `base`):

``parts(options) -> dict[str, Spec]``
    What is to be computed, cut into parts by name.  A `Spec` is a dict of plain JSON values that says
    all that the numbers depend on: layers, draws, seed, and for a data file its digest
    (`base.digest`), never its path.  `Options` holds ``seed``, ``files``, ``quick``, and
    ``options.draws(full)`` and ``options.pick(full, quick)`` to choose by.
``compute(spec, desk) -> dict[str, ndarray]``
    One part, from its spec alone.  It may run in a process of its own.  ``desk.progress(done, total)``
    moves the bar; ``desk.scratch`` is the path of a file in which a long part may keep a checkpoint of
    its own: an interrupted part finds it there again, and it is removed once the part is finished.  An interruption is
    raised (`sampling.measure` and `recipes.run` do), never answered by a part with fewer draws;
    ``desk.files[name]`` is the path of a data file.
``draw(data) -> Figure``
    The picture, from ``data[part name]``: a `Part` with ``part.spec`` and arrays ``part["array"]``.
    It draws and computes nothing that is not in `quotes`.
``caption(data) -> str``
    What the picture shows, with the numbers of the specification that was run.
``quotes(data) -> list[Quote]``
    The numbers that the text quotes: what, value, standard error, and what theory and paper say.

A figure that reads data files names them in its `FIGURES` entry: ``files={"cifar10": "help"}``
becomes the option ``--cifar10 FILE``.  Asked for by name it then demands its files; among all figures it
is left out, and said to be, where they are not given.
"""

from __future__ import annotations

from .base import Desk, Options, Part, Quote
from .registry import FIGURES, Entry
from .run import Result, make

__all__ = ["Desk", "Entry", "FIGURES", "Options", "Part", "Quote", "Result", "make"]
__dir__ = __all__.copy  # tab completion offers public names only
