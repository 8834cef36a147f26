"""The assumptions of a prediction."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Union

__all__ = ["Assumed", "Assumption", "Stated", "as_stored", "from_stored"]

#: Names of layers that a line of text holds; of more it has these, and how many there are.
SHOWN = 3


class Assumption(enum.Enum):
    """An assumption of a result; each has a paragraph in docs/theory.md, section 12."""

    INFINITE_WIDTH = "channels are so many that values before activations are Gaussian"
    LEADING_WIDTH = "effects of a finite number of channels are taken to first order in 1/channels"
    INDEPENDENT_GATES = ("whether an activation passes a gradient does not depend on the weights above it (gradient "
                         "independence; Yang 2019)")
    FEW_INPUTS = ("gradients of a mean over a map, which go with the values, are not led back along these by layers "
                  "that read few channels")
    INPUT_MOMENTS = "inputs are white noise, or have the moments that were given"
    DISTANT_SITES = ("the covariance of values at two sites is approximated by one value for neighbours and one for "
                     "distant sites")
    BATCH_STATISTICS = "batch norms divide by the statistics of many inputs, which are constants in the backward pass"
    NEARLY_CONSTANT = ("what batch norms divide by is mostly a pattern that all inputs share, made by borders from "
                       "values that hardly vary: few numbers a channel, whose fluctuations are known roughly")
    NORM_STATISTICS = "statistics of one site, one map or one batch fluctuate like those of independent values"
    RANDOM_SCALES = ("random scales of norms act through their mean square: slopes of curved functions do not depend "
                     "on the scale of the channel")
    MAX_POOL_ROUTING = ("each site of a max-pooling window is equally likely to be the maximum, up to correlations to "
                        "first order")
    EQUICORRELATED_POOLS = "all sites of a max-pooling window have the same correlation"
    NEIGHBOURS = "correlations between neighbouring sites near borders are those of the interior"
    DEPENDENT_BRANCHES = ("branches of one value that meet again after activations, pools or a change of resolution "
                          "are independent given that value, and their sums like those of independent values")
    INDEPENDENT_FACTORS = ("factors of a product are independent of each other and of the gradient; gradients that a "
                           "factor of one site receives from distant sites are uncorrelated")
    CHANNEL_NORMS = ("the norm of a channel over the map depends on the component shared by all its sites, and is a "
                     "constant")
    SMALL_LOGITS = "in a softmax over more than two parts, the sum of the others' exponentials is log-normal"
    TAP_MOMENTS = "given weights enter as their mean square per tap, the same for all channels"
    GATES_INDEPENDENT = ("gates of all layers, channels and sites are independent, each open with the frequency of its "
                         "channel")
    GATES_OF_CHANNELS = ("gates of one channel come from one input, those of different channels and layers are "
                         "independent")
    GATES_OF_LAYERS = "gates of one layer come from one input, those of different layers are independent"
    GATES_OF_STREAMS = ("gates of all layers that read one residual stream come from one input, those of other layers "
                        "are independent")
    GATES_BY_NORMS = "values after batch norms are Gaussian, with the mean and variance given by shift and scale"
    GATES_BY_NOISE = "inputs are noise with the spectrum of photographs"
    SCATTER_BY_WIDTH = ("how single networks scatter is taken to first order in 1/channels, with forward values and "
                        "norms of wide networks, and independent values in windows of pools")
    WEIGHTS_DRAWN = "weights that are not given are random; the ERF is a mean over networks"


#: Errors due to an assumption, from `erfmath bench accuracy`, `width`, `survey`, and docs/theory.md, section 12;
#: after a dot those of networks of one kind.
COSTS: dict[str, str] = {
    "INFINITE_WIDTH": "none of the total, 1.5 % of the std at 16 to 32 channels, 1 % at 64, none in chains",
    "INFINITE_WIDTH.curved": "in 10 layers of GELU or SiLU 0.3 % of the std and 12 % of the total at 64 channels, 2 "
                             "and 80 % at 16; in 20 layers 1.2 and 3 % of the std, totals 14 and 46 times too small",
    "INFINITE_WIDTH.norms": "totals too large: of ResNet-50 by 19 % on 224 pixels at 16 channels, 10 to 12 % on 64; of "
                            "MobileNet-v2, whose bottlenecks are narrow, by 7 % on 224 pixels, 20 % on 96, at any "
                            "width; 4 % of the std of pools to few bins at 32 channels, 6 and 3 % after sums of "
                            "branches without norms at 16 and 64",
    "LEADING_WIDTH": "0.1 % of the variance at 64 channels, 0.5 % at 16; totals are those of infinite width, 14 and 46 "
                     "times too small in 20 layers of GELU, 12 and 80 % in 10",
    "INDEPENDENT_GATES": "none for many channels; for few it is part of the error of Gaussian values",
    "FEW_INPUTS": "totals 28 % too small with one input channel, 8 to 18 % with 3, 6 % with 8; none of the std",
    "INPUT_MOMENTS": "none for such inputs; for photographs use natural_images",
    "DISTANT_SITES": "1 % of the std, 2 % for units in corners; 5 % of the total",
    "BATCH_STATISTICS": "1 % of the std, 5 % of the total; in residual networks of sigmoids up to 15 % of the total, "
                        "in DenseNet-121 11 %, on natural images 10 %, and more after concatenations",
    "NEARLY_CONSTANT": "1 % of the std, in one case 10 %; in random networks totals of 0.4 to 1.5 times the sampled "
                       "one",
    "NORM_STATISTICS": "1 % of the std, 3 % for units in corners, 10 % between activations, after products and of what "
                       "has been upsampled; 8 % of the total, 10 to 25 % before pools of whole maps and of what has "
                       "been upsampled",
    "RANDOM_SCALES": "none of the std; totals 30 % too large under tanh, 4 to 15 % too small under GELU, SiLU",
    "MAX_POOL_ROUTING": "0.5 % of the std in U-Nets, 2 % in pyramids of pools; 5 and 27 % of the total",
    "EQUICORRELATED_POOLS": "1 % of the std, 9 % of the total",
    "NEIGHBOURS": "0.5 % of the std, 1 % of the total",
    "DEPENDENT_BRANCHES": "2 % of the std of sums with a pool, 6 % of a max pool and a larger one, 1 and 2 % of one "
                          "and two hourglasses; 3, 25, 10 and 8 % of the total",
    "INDEPENDENT_FACTORS": "1 % of the std, 4 % of the total; of products of products (NAFNet) 2 and 15 % at 64 "
                           "channels, 27 % of the total at 32; 9 % of the std for squeeze and excite before a batch "
                           "norm, and on products totals 2.3 times the sampled one; 12 and 36 % for averages of "
                           "upsampled products before a batch norm",
    "CHANNEL_NORMS": "1 % of the std, 10 % of the total",
    "SMALL_LOGITS": "0.2 % of the std, 5 % of the total",
    "SCATTER_BY_WIDTH": "20 % of the scatter of sizes, 25 % of that of log totals",
    "WEIGHTS_DRAWN": "none beside the standard error",
    "TAP_MOMENTS": "trained ERFs may be twice as wide; gates= uses the weights themselves",
}


@dataclass(frozen=True, eq=False)
class Assumed:
    """An assumption of one prediction: which layers of its network it is made for, and what it costs.

    It equals the member of `Assumption`, so that ``Assumption.NEIGHBOURS in erf.assumptions`` asks for it.

    Attributes
    ----------
    assumption : Assumption
    nodes : tuple of str
        Layers, by name; empty where it concerns all.
    kind : str
        Of networks, where the cost differs.
    """

    assumption: Assumption
    nodes: tuple[str, ...] = ()
    kind: str = ""

    @property
    def name(self) -> str:
        """That of the assumption."""
        return self.assumption.name

    @property
    def cost(self) -> str:
        """The error of results that rely on it, from the benchmarks; empty where it is not known."""
        return COSTS.get(f"{self.name}.{self.kind}", COSTS.get(self.name, ""))

    @property
    def value(self) -> str:
        """A line: what is assumed, for which layers, what it costs."""
        where = ", ".join(self.nodes[:SHOWN])
        if len(self.nodes) > SHOWN:
            where += f", ... ({len(self.nodes)} layers)"
        return (self.assumption.value + (f": {where}" if where else "")
                + (f"; error: {self.cost}" if self.cost else ""))

    def __str__(self) -> str:
        return self.value

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Assumed):
            return (self.assumption, self.nodes, self.kind) == (other.assumption, other.nodes, other.kind)
        return self.assumption is other if isinstance(other, Assumption) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.assumption)


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

    def __str__(self) -> str:
        return self.value


def as_stored(assumptions: Iterable[Union[Assumed, Assumption, Stated]]) -> list[Any]:
    """Assumptions as plain values."""
    return [[a.name, a.value] if isinstance(a, Stated) else a.name if isinstance(a, Assumption) else
            {"name": a.name, "nodes": list(a.nodes), **({"kind": a.kind} if a.kind else {})} for a in assumptions]


def from_stored(values: list[Any]) -> list[Union[Assumed, Assumption, Stated]]:
    """What `as_stored` gave.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is something else.
    """
    found: list[Union[Assumed, Assumption, Stated]] = []
    for value in values:
        if isinstance(value, str):
            found.append(Assumption[value])
        elif isinstance(value, dict):
            nodes, kind = tuple(map(str, value["nodes"])), str(value.get("kind", ""))
            found.append(Assumed(Assumption[value["name"]], nodes, kind))
        else:
            name, words = value
            found.append(Stated(str(name), str(words)))
    return found
