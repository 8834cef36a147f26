"""Trained networks: the field of given weights, from what their gates do on average or layer by layer."""

from __future__ import annotations

__all__: list[str] = []
