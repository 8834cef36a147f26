"""Chains on the plane, as walks."""

from __future__ import annotations

__all__: list[str] = []
