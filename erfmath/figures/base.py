"""What figures are made of: options, specifications, parts, and numbers to quote."""

from __future__ import annotations

import hashlib
import math
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from ..base.checks import integer
from ..base.errors import quoted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:  # Matplotlib is not imported before something is drawn
    Axes = Figure = Any

__all__ = ["Arrays", "Axes", "Data", "Desk", "Figure", "Options", "Part", "Quote", "Spec", "digest", "mean_error",
           "ratio", "scalars"]

Spec = dict[str, Any]
Arrays = dict[str, npt.NDArray[Any]]
T = TypeVar("T")

QUICK = 30  # draws: fewer have no standard error worth the name
LEAST = 3   # values from which a standard error is taken


@dataclass(frozen=True)
class Options:
    """What may be asked of any figure.

    Parameters
    ----------
    quick : bool
        Fewer draws and smaller networks: to see that everything works.
    draws_asked : int, optional
        Networks drawn for every measured map; by default each figure's own number.
    seed : int
        Of all that is random.
    files : mapping of str to path
        Data files by the names that `FIGURES` has for them.

    Raises
    ------
    ValueError
        Fewer than three draws, which have no standard error, or a negative seed.

    See Also
    --------
    Desk : Where one part is worked on.
    Quote : A number of a figure beside what others say of it.

    Examples
    --------
    >>> from erfmath.figures import Options
    >>> Options(quick=True).draws(100), Options(draws_asked=50).draws(100)
    (30, 50)
    """

    quick: bool = False
    draws_asked: int | None = None
    seed: int = 0
    files: Mapping[str, pathlib.Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        integer(self.seed, "seed", 0)
        if self.draws_asked is not None and integer(self.draws_asked, "draws") < LEAST:
            raise ValueError(f"draws={quoted(self.draws_asked)}: must be at least {LEAST}, standard errors come from "
                             "the scatter between draws")

    def pick(self, full: T, quick: T) -> T:
        """The value for this run: `full`, or `quick` where that is asked for."""
        return quick if self.quick else full

    def draws(self, full: int) -> int:
        """Number of draws: what was asked for, else `full`, and no more than thirty of a quick run."""
        return self.pick(full, min(full, QUICK)) if self.draws_asked is None else self.draws_asked


class Desk(NamedTuple):
    """Where one part is worked on: the second argument of a figure's ``compute``.

    Parameters
    ----------
    progress : callable
        Takes what is done and what there is to do, and moves the bar.
    scratch : path
        File for a checkpoint of the part's own.
    files : mapping of str to path
        Data files by their names.

    Raises
    ------
    TypeError
        If a field is left out.

    See Also
    --------
    Options : What may be asked of any figure.
    Quote : A number of a figure beside what others say of it.

    Examples
    --------
    >>> from pathlib import Path
    >>> from erfmath.figures import Desk
    >>> desk = Desk(progress=lambda done, total: None, scratch=Path("scratch.npz"), files={})
    >>> desk.scratch.name
    'scratch.npz'
    """

    progress: Callable[[int, int], Any]
    scratch: pathlib.Path
    files: Mapping[str, pathlib.Path]


class Quote(NamedTuple):
    """A number of a figure beside what others say of it; None where they say nothing.

    Parameters
    ----------
    what : str
        What the number is.
    value : float
        The number.
    stderr : float, optional
        Standard error of `value`; None where it is exact, or where fewer than three values tell.
    theory, paper : float, optional
        What the theory and the published figure say.

    Raises
    ------
    TypeError
        If `what` or `value` is left out.

    See Also
    --------
    Desk : Where one part is worked on.
    Part : A finished part: ``part["name"]`` is an array.

    Examples
    --------
    >>> from erfmath.figures import Quote
    >>> Quote("20 layers: width / side", 0.546, 0.005, theory=0.555).theory
    0.555
    """

    what: str
    value: float
    stderr: float | None = None
    theory: float | None = None
    paper: float | None = None


@dataclass(frozen=True)
class Part:
    """A finished part: ``part["name"]`` is an array.

    Parameters
    ----------
    spec : dict
        What it was computed from.
    arrays : dict of str to ndarray
        By name.
    seconds : float
        CPU time that it took.

    Raises
    ------
    KeyError
        For the name of an array that it does not have.

    See Also
    --------
    Quote : A number of a figure beside what others say of it.
    Desk : Where one part is worked on.

    Examples
    --------
    >>> import numpy as np
    >>> from erfmath.figures import Part
    >>> part = Part({"layers": 3}, {"std": np.array(1.5), "std_error": np.array(0.1), "theory_std": np.array(1.4)}, 0.1)
    >>> part.spec["layers"], part.number("std")
    (3, 1.5)
    >>> part.quote("3 layers: std", "std")
    Quote(what='3 layers: std', value=1.5, stderr=0.1, theory=1.4, paper=None)
    """

    spec: Spec
    arrays: Arrays
    seconds: float

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.arrays[name]

    def number(self, name: str) -> float:
        """The array called `name`, of one element, as a float."""
        return float(self.arrays[name])

    def quote(self, what: str, size: str, over: float = 1.0, paper: float | None = None) -> Quote:
        """`what` is quoted of it: the measured `size` in units of `over`, beside theory and `paper`."""
        error = self.number(f"{size}_error")
        return Quote(what, self.number(size) / over, error / over if error else None,
                     self.number(f"theory_{size}") / over, paper)


Data = Mapping[str, Part]


def ratio(part: Part, other: Part, size: str) -> tuple[float, float, float]:
    """A size of one part over that of another, drawn independently: measured, its standard error, in theory."""
    value = part.number(size) / other.number(size)
    relative = (p.number(f"{size}_error") / p.number(size) for p in (part, other))
    return value, value * math.hypot(*relative), part.number(f"theory_{size}") / other.number(f"theory_{size}")


def mean_error(values: npt.ArrayLike) -> tuple[float, float | None]:
    """Mean of a few values and its standard error; None where there are fewer than three, or one is not finite."""
    values = np.asarray(values, dtype=float)
    enough = values.size >= LEAST and np.isfinite(values).all()
    return float(values.mean()), float(values.std(ddof=1) / values.size**0.5) if enough else None


def digest(path: pathlib.Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's files: takes the place of the data in a `Spec`."""
    if not path.is_dir():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    found = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        found.update(f"{file.relative_to(path).as_posix()} {digest(file)}\n".encode())
    return found.hexdigest()


def scalars(**numbers: float) -> Arrays:
    """Numbers as arrays of one element."""
    return {name: np.asarray(value, dtype=float) for name, value in numbers.items()}
