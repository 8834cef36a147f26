"""What each family of layers does to moments and powers."""

from __future__ import annotations

__all__: list[str] = []
