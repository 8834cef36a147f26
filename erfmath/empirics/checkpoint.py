"""Keeping what an interrupted measurement has done."""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple

from ..base.files import check_target, read_archive, write_archive
from ..results.statistics import Moments

__all__ = ["Checkpoint", "Saved"]

#: Seconds between two writes.
INTERVAL = 2.0


class Saved(NamedTuple):
    """What a checkpoint holds: the seed of all draws, and the statistics of the first ones."""

    entropy: Any
    moments: Moments | None


class Checkpoint:
    """One npz file; `description` says of which run, so that no other run goes on with it."""

    def __init__(self, path: str | os.PathLike[str], description: str) -> None:
        check_target(path)
        self._path, self._description = path, description
        self._written = time.monotonic()

    def load(self, entropy: Any) -> Saved:
        """What the file holds, or a beginning with `entropy` where there is no file.

        Raises
        ------
        ValueError
            If the file is not a checkpoint, or of another run.
        """
        if not os.path.exists(self._path):
            return Saved(entropy, None)
        try:
            arrays, about = read_archive(self._path)
            saved = Saved(about["entropy"], Moments.from_arrays(arrays))
            description = about["description"]
        except (KeyError, TypeError, ValueError, OSError, AttributeError) as error:
            raise ValueError(f"checkpoint={os.fspath(self._path)!r}: not a checkpoint of a measurement "
                             f"({error})") from None
        if description != self._description:
            raise ValueError(f"checkpoint={os.fspath(self._path)!r}: belongs to a run with another network or "
                             "other arguments; give another file name, or delete it")
        return saved

    def save(self, saved: Saved, now: bool = False) -> None:
        """Write, unless the last time was a moment ago."""
        if saved.moments is None or not (now or time.monotonic() - self._written > INTERVAL):
            return
        about = {"entropy": saved.entropy, "description": self._description}
        write_archive(self._path, saved.moments.arrays(), about)
        self._written = time.monotonic()
