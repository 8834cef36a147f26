"""What a prediction takes for granted."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Union

__all__ = ["Assumption", "Stated", "as_stored", "from_stored"]


class Assumption(enum.Enum):
    """An assumption behind a result; each has a paragraph in docs/theory.md, section 12."""

    INFINITE_WIDTH = "layers are wide: what random weights put out is Gaussian"
    LEADING_WIDTH = "effects of a finite number of channels are taken to first order in 1/channels"
    INDEPENDENT_GATES = ("gradient independence: derivatives of activations do not depend on the weights above them "
                         "(Yang 2019; Schoenholz et al. 2017)")
    INPUT_MOMENTS = "pixels have the given second moments, white noise by default"
    DISTANT_SITES = "the covariance of activations at two sites is approximated by one value nearby and one far away"
    BATCH_STATISTICS = "batch norm divides by the statistics of many inputs, which are constants in the backward pass"
    NORM_STATISTICS = "statistics of one site, one map or one batch fluctuate as those of independent values"
    MAX_POOL_ROUTING = ("every site of a max-pooling window is equally likely to be its maximum, but for correlations "
                        "to first order")
    EQUICORRELATED_POOLS = "all sites of a max-pooling window are equally correlated"
    NEIGHBOURS = "correlations between neighbouring sites are those far from any border"
    DEPENDENT_BRANCHES = ("branches of one value that meet again after activations, pools or a change of resolution "
                          "are correlated through their mean derivatives only")
    INDEPENDENT_FACTORS = ("factors of a product are independent of each other and of the gradient; what a factor of "
                           "one site gathers from different sites adds up by power, but for nearby ones")
    CHANNEL_NORMS = "norms of channels over the map are those of what all sites of a channel share, and constants"
    SMALL_LOGITS = "of a softmax over more than two parts, all but one have equal shares in what that one leaves"
    TAP_MOMENTS = "given weights enter as their mean square per tap, the same for all channels"
    GATES_INDEPENDENT = "gates of all layers, channels and sites are independent, each as often open as its channel's"
    GATES_OF_CHANNELS = "gates of one channel belong together, those of different channels and layers are independent"
    GATES_OF_LAYERS = "gates of one layer belong together, those of different layers are independent"
    GATES_BY_NORMS = "values after batch norms are Gaussian, of the mean and variance that shift and scale give them"
    GATES_BY_NOISE = "inputs are noise with the spectrum of photographs"


@dataclass(frozen=True)
class Stated:
    """An assumption that one network brings along, as the layers that the readers put in for operations without one.

    Attributes
    ----------
    name, value : str
        As those of a member of `Assumption`: a short name, and the assumption in words.
    """

    name: str
    value: str


def as_stored(assumptions: Iterable[Union[Assumption, Stated]]) -> list[Any]:
    """Assumptions as plain values."""
    return [[a.name, a.value] if isinstance(a, Stated) else a.name for a in assumptions]


def from_stored(values: list[Any]) -> list[Union[Assumption, Stated]]:
    """What `as_stored` gave.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is something else.
    """
    found: list[Union[Assumption, Stated]] = []
    for value in values:
        if isinstance(value, str):
            found.append(Assumption[value])
        else:
            name, words = value
            found.append(Stated(str(name), str(words)))
    return found
