"""Keeping what an interrupted measurement has done."""

from __future__ import annotations

import json
import os
import time
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from ..files import check_target, write_atomically
from .welford import Moments

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
            with open(self._path, "rb") as file, np.load(file, allow_pickle=False) as data:
                arrays = {name: data[name] for name in data.files}
            about = json.loads(arrays.pop("about").tobytes())
            saved = Saved(about["entropy"], Moments.from_arrays(arrays))
            description = about["description"]
        except (KeyError, TypeError, ValueError, OSError, EOFError, AttributeError, BadZipFile) as error:
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
        arrays = {**saved.moments.arrays(), "about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
        write_atomically(self._path, lambda file: np.savez(file, **arrays))
        self._written = time.monotonic()
