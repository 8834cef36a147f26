"""What follows from predictions: growth, layers, costs, coverage, design, remedies."""

from __future__ import annotations

__all__: list[str] = []
