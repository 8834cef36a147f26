"""Ground floor: errors, checks of arguments, files, progress."""

from __future__ import annotations

__all__: list[str] = []
