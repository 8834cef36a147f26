"""What a prediction takes for granted."""

from __future__ import annotations

import enum

__all__ = ["Assumption"]


class Assumption(enum.Enum):
    """An assumption behind a result; each has a paragraph in docs/theory.md, section 12."""

    INFINITE_WIDTH = "channels are so many that values are Gaussian before every gate"
    LEADING_WIDTH = "of what a finite number of channels does, only the first order in 1/channels counts"
    INDEPENDENT_GATES = "gates do not depend on the weights above them"
    INPUT_MOMENTS = "pixels have the second moments given, white noise unless told otherwise"
    DISTANT_SITES = "what sites of a channel share is one number nearby and one far away"
    BATCH_STATISTICS = "batch norm divides by statistics of many inputs, frozen in the backward pass"
    MAX_POOL_ROUTING = ("sites of a max-pooling window win alike, but for what their correlations say to first order, "
                        "and different windows pick independently")
    EQUICORRELATED_POOLS = "the sites of a max-pooling window are equally correlated"
    NEIGHBOURS = "neighbouring sites are correlated as far from all borders"
    TAP_MOMENTS = "given weights act through their mean square per tap, channels alike"
