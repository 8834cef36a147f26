"""What training returns, and the file that keeps it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.checks import integer
from ..base.contents import field_of, numbers_of
from ..base.files import read_archive, write_archive
from ..empirics.sampling import check_entropy

__all__ = ["Training", "read_arrays", "write_arrays"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Training:
    """A training run, returned by `fit`.

    Attributes
    ----------
    weights : dict
        By node as `measure` and `predict` take them: kernels, "node.bias" biases, and for batch norms
        (4, channels): scale, shift, running mean and variance.
    loss, accuracy : ndarray
        Of the batch of every step done, before the step.
    kept : dict
        Weights after the steps asked for by `keep`; 0 is the beginning.
    steps : int
        Steps asked for; `len(loss)` are done.
    seed : int or list of int
        What all draws grew from: give it as `rng` to repeat the run.
    partial : bool
        Whether the run was cut short, by Ctrl-C or because the loss was no longer finite.

    See Also
    --------
    CropFlip : Shift each image by up to `shift` sites per axis, zeros coming in.
    Images : Images and their labels.

    Examples
    --------
    >>> import erfmath as em
    >>> data = em.training.BoxMajority(5, 1)
    >>> done = em.fit(em.serial(em.Conv(3, 2)), data, steps=2, batch=4, rng=0, keep=[0])
    >>> len(done.loss), sorted(done.kept), done.partial
    (2, [0], False)
    >>> done.save("run.npz")
    >>> em.training.Training.load("run.npz").seed == done.seed
    True
    """

    weights: dict[str, Array]
    loss: Array
    accuracy: Array
    kept: dict[int, dict[str, Array]]
    steps: int
    seed: Any
    partial: bool

    @property
    def diverged(self) -> bool:
        """Whether the run ended because the loss was no longer finite."""
        return len(self.loss) > 0 and not bool(np.isfinite(self.loss[-1]))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all of it to an npz file at `path`."""
        groups = {f"kept/{step}": weights for step, weights in self.kept.items()}
        write_arrays(path, {"weights": self.weights, **groups, "run": {"loss": self.loss, "accuracy": self.accuracy}},
                     {"steps": self.steps, "seed": self.seed, "partial": self.partial})

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Training:
        """Read what `save` wrote to `path`.

        Parameters
        ----------
        path : path
            Name of the file.

        Returns
        -------
        Training
            The run.

        Raises
        ------
        ValueError
            If the file is something else.
        """
        groups, about = read_arrays(path, "a training run")
        try:
            steps, partial = integer(field_of(about, "steps", int), "steps", 0), field_of(about, "partial", bool)
            loss, accuracy = (numbers_of(groups["run"], name, ndim=1, finite=False) for name in ("loss", "accuracy"))
            if len(loss) != len(accuracy) or len(loss) > steps or not np.isfinite(loss[:-1]).all():
                raise ValueError(f"loss, accuracy: of {len(loss)} and {len(accuracy)} steps; must be finite, of at "
                                 f"most {steps} steps")
            kept = {integer(int(group.removeprefix("kept/")), "kept", 0): _weights(arrays)
                    for group, arrays in groups.items() if group.startswith("kept/")}
            if kept and max(kept) > steps:
                raise ValueError(f"kept: of step {max(kept)}; there are {steps}")
            return Training(_weights(groups["weights"], not len(loss) or bool(np.isfinite(loss[-1]))), loss, accuracy,
                            kept, steps, check_entropy(field_of(about, "seed"), "seed"), partial)
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)}: not a training run ({error})") from None


def _weights(arrays: Mapping[str, Array], finite: bool = True) -> dict[str, Array]:
    """Arrays of a file by node, of real numbers; those of a run that diverged need not be finite."""
    for name in arrays:
        numbers_of(arrays, name, finite=finite)
    return dict(arrays)


def write_arrays(path: str | os.PathLike[str], groups: Mapping[str, Mapping[str, Array]],
                 about: Mapping[str, Any]) -> None:
    """Named groups of named arrays, and a JSON-ready `about`, as one npz file."""
    write_archive(path, {f"{group}:{name}": array
                         for group, members in groups.items() for name, array in members.items()}, about)


def read_arrays(path: str | os.PathLike[str], what: str) -> tuple[dict[str, dict[str, Array]], dict[str, Any]]:
    """The groups and `about` that `write_arrays` wrote.

    Raises
    ------
    ValueError
        Saying that the file is not `what`.
    """
    groups: dict[str, dict[str, Array]] = {}
    try:
        arrays, about = read_archive(path)
        for key, array in arrays.items():
            group, name = key.split(":", 1)
            groups.setdefault(group, {})[name] = array
    except FileNotFoundError:
        raise
    except (ValueError, OSError) as error:
        raise ValueError(f"{os.fspath(path)}: not {what} ({error})") from None
    return groups, about
