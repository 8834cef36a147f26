"""What a prediction takes for granted."""

from __future__ import annotations

import enum

__all__ = ["Assumption"]


class Assumption(enum.Enum):
    """An assumption behind a result; each has a paragraph in docs/theory.md."""

    UNIT_GAIN = "activations and normalisations count as gain 1"
    MAX_POOL_ROUTING = ("each site of a max-pooling window wins equally often, "
                        "and different windows pick independently")
