"""The measuring side: a small NumPy network with backprop, run on the networks the theory reads."""

from __future__ import annotations

__all__: list[str] = []
