"""What a prediction takes for granted."""

from __future__ import annotations

import enum

__all__ = ["Assumption"]


class Assumption(enum.Enum):
    """An assumption behind a result; each has a paragraph in docs/theory.md, section 12."""

    INFINITE_WIDTH = "layers are wide: what random weights put out is Gaussian"
    LEADING_WIDTH = "effects of a finite number of channels are taken to first order in 1/channels"
    INDEPENDENT_GATES = ("gradient independence: derivatives of activations do not depend on the weights above them "
                         "(Yang 2019; Schoenholz et al. 2017)")
    INPUT_MOMENTS = "pixels have the given second moments, white noise by default"
    DISTANT_SITES = "the covariance of activations at two sites is approximated by one value nearby and one far away"
    BATCH_STATISTICS = "batch norm divides by the statistics of many inputs, which are constants in the backward pass"
    MAX_POOL_ROUTING = ("every site of a max-pooling window is equally likely to be its maximum, but for correlations "
                        "to first order")
    EQUICORRELATED_POOLS = "all sites of a max-pooling window are equally correlated"
    NEIGHBOURS = "correlations between neighbouring sites are those far from any border"
    DEPENDENT_BRANCHES = ("branches of one value that meet again after activations, pools or a change of resolution "
                          "are correlated through their mean derivatives only")
    TAP_MOMENTS = "given weights enter as their mean square per tap, the same for all channels"
