"""Networks: the graph, what builds it, its theoretical receptive fields, and named networks."""

from __future__ import annotations

__all__: list[str] = []
