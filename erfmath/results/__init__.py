"""The effective receptive field of one unit: what is known of it, its sizes, its form, files."""

from __future__ import annotations

__all__: list[str] = []
