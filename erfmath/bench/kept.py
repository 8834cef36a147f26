"""What a benchmark has found, in a file of lines of JSON, one a network, by which a later run goes on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

__all__ = ["Kept"]

One = TypeVar("One")


class Kept(Generic[One]):
    """Findings of runs before, and of this one.

    Parameters
    ----------
    path : str or None
        The file; None keeps them in memory only.
    kind : callable
        Makes a finding, a dataclass or a named tuple, of its fields.

    Attributes
    ----------
    found : list
        All of them.
    """

    def __init__(self, path: str | None, kind: Callable[..., One]) -> None:
        self._path = None if path is None else Path(path)
        self.found: list[One] = []
        if self._path is not None and self._path.exists():
            self.found += [kind(**json.loads(line)) for line in self._path.read_text(encoding="utf-8").splitlines()]

    def add(self, one: One) -> None:
        """Keep one more, on the disk at once."""
        self.found.append(one)
        if self._path is not None:
            about: Any = one
            fields = about._asdict() if hasattr(about, "_asdict") else dataclasses.asdict(about)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(fields) + "\n")
