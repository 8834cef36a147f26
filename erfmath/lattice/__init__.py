"""Arrays with integer coordinates, distributions on the lattice, and kernels."""

from __future__ import annotations

from .field import Field, add_on_hull

__all__ = ["Field", "add_on_hull"]
__dir__ = __all__.copy  # tab completion offers public names only
