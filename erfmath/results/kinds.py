"""The kinds of results by name: each enters itself, so that files and gradients make results without knowing them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["KINDS", "enter"]

Kind = TypeVar("Kind", bound=type)

KINDS: dict[str, Any] = {}


def enter(name: str) -> Callable[[Kind], Kind]:
    """Enter a class of results: the decorator's name for it is the one in files."""
    def entered(kind: Kind) -> Kind:
        KINDS[name] = kind
        return kind
    return entered
