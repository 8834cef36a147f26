"""Keeping what an interrupted measurement has done."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from ..base.files import read_archive, write_archive
from ..base.keeping import Keeper
from ..results.statistics import Moments
from .sampling import check_entropy

__all__ = ["Checkpoint", "Saved"]

#: Seconds between two writes.
INTERVAL = 2.0


class Saved(NamedTuple):
    """What a checkpoint holds.

    Attributes
    ----------
    entropy : int or list of int
        The seed of all draws.
    whole : Moments, optional
        Of the draws up to the end of a chunk: a longer run goes on from there, and merges the same chunks in
        the same order as if it had never stopped.
    all : Moments, optional
        Of these and of a last chunk that was cut short because no more draws were asked for.
    """

    entropy: Any
    whole: Moments | None = None
    all: Moments | None = None


class Checkpoint(Keeper):
    """One npz file; `description` says of which run, so that no other run goes on with it."""

    def __init__(self, path: str | os.PathLike[str], description: str) -> None:
        super().__init__(path, INTERVAL)
        self._description = description

    def load(self, entropy: Any) -> Saved:
        """What the file holds, or a beginning with `entropy` where there is no file.

        Raises
        ------
        ValueError
            If the file is not a checkpoint, or of another run.
        """
        if not os.path.exists(self.path):
            return Saved(entropy)
        try:
            arrays, about = read_archive(self.path)
            parts = {part: {name.removeprefix(part): array for name, array in arrays.items() if name.startswith(part)}
                     for part in ("whole.", "all.")}
            found = {part: Moments.from_arrays(stored) if stored else None for part, stored in parts.items()}
            saved = Saved(check_entropy(about["entropy"], "entropy"), found["whole."], found["all."] or found["whole."])
            if saved.all is None:
                raise ValueError("it holds no draws")
            description = about["description"]
        except (KeyError, TypeError, ValueError, OSError, AttributeError) as error:
            raise ValueError(f"checkpoint={os.fspath(self.path)!r}: not a checkpoint of a measurement "
                             f"({error})") from None
        if description != self._description:
            raise ValueError(f"checkpoint={os.fspath(self.path)!r}: belongs to a run with another network or "
                             "other arguments; give another file name, or delete it")
        return saved

    def save(self, saved: Saved, now: bool = False) -> None:
        """Write, unless the last time was a moment ago."""
        parts = {"whole.": saved.whole, "all.": None if saved.all is saved.whole else saved.all}
        if any(parts.values()):
            self.write(lambda: write_archive(
                self.path, {part + name: array for part, moments in parts.items() if moments is not None
                            for name, array in moments.arrays().items()},
                {"entropy": saved.entropy, "description": self._description}), now)
