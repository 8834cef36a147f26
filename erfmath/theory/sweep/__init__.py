"""One sweep forward for moments, one backward for power."""

from __future__ import annotations

__all__: list[str] = []
