"""Signal propagation: moments of the values and power of the gradients at every node, without sampling."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..base.progress import Report, shown
from ..base.tables import Printed, text_table
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..theory.sweep.inputs import input_model
from ..theory.sweep.moments import Moments
from ..theory.sweep.observe import observe
from ..theory.sweep.plan import Graph

__all__ = ["Signal", "Signals", "signals"]


@dataclass(frozen=True)
class Signal:
    """What is known of one node; values averaged over its map and channels.

    Attributes
    ----------
    node, kind : str
    second : float
        E[v^2] of the values v.
    shared : float
        E[v v'] of distant sites (or independent inputs) of one channel: the part of the second moment
        that all sites of a channel share.  `second` less this is the variance that a batch norm sees.
    mean, std : float
        Of the distribution of the values over weights, inputs, sites and channels.
    arriving : float or None
        Power of the gradient at the node's output, sum over sites and channels of E[g^2], for a
        gradient of total power 1 at the unit; None where an activation acts on what another one has made.
        Branches that part and meet again with no random layer between add more than their powers.
    passing : float or None
        Power that the node hands to its inputs; None likewise.
    """

    node: str
    kind: str
    second: float
    shared: float
    mean: float
    std: float
    arriving: float | None
    passing: float | None

    @property
    def variance(self) -> float:
        """Variance over sites and inputs within a channel, `second` less `shared`."""
        return self.second - self.shared

    @property
    def gain(self) -> float | None:
        """By what the node multiplies the power of the gradient."""
        return self.passing / self.arriving if self.arriving and self.passing is not None else None


@dataclass(frozen=True)
class Signals(Printed):
    """The table of `signals`, the input first; printed with str(), and a mapping from names to rows.

    A max pool right after another is one with it, and has the row of the later one.

    Attributes
    ----------
    nodes : tuple of Signal
    image : tuple of int or None
    unit : tuple of int
        Whose gradient it is, of the last node.
    """

    nodes: tuple[Signal, ...]
    image: tuple[int, ...] | None
    unit: tuple[int, ...]

    def __iter__(self) -> Iterator[Signal]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __getitem__(self, node: str) -> Signal:
        for row in self.nodes:
            if row.node == node:
                return row
        raise KeyError(node)

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("node", "kind", "E[v^2]", "shared", "mean", "std", "gradient", "passes on")]
        for row in self.nodes:
            numbers = (row.second, row.shared, row.mean, row.std, row.arriving, row.passing)
            rows.append((row.node, row.kind, *("-" if x is None else f"{x:.4g}" for x in numbers)))
        return text_table(rows, "llr")

    def to_dict(self) -> dict[str, Any]:
        """The table as JSON-ready objects."""
        return {"image": self.image, "unit": self.unit, "nodes": [asdict(row) for row in self.nodes]}


def signals(net: Network, *, image: Any = None, unit: Any = None, node: str | None = None, width: int = 16,
            channels_in: int = 3, ndim: int = 2, input_moments: tuple[float, float] = (1.0, 0.0),
            input_covariance: Any = None, weights: Mapping[str, Any] | None = None,
            progress: Report = None) -> Signals:
    """Compute moments of values and power of gradients at every node that leads to a unit (equations 29 to 48).

    The signal propagation plots that are usually sampled [1]_, from the two sweeps of `predict`:
    ``shared`` is the average squared channel mean, `Signal.variance` the average channel variance.

    Parameters
    ----------
    net : Network
        The network.
    image, unit, node, width, channels_in, ndim, input_moments, input_covariance, weights : optional
        As in `predict`.
    progress : bool, optional
        True for a bar on stderr.

    Returns
    -------
    Signals
        A row per node.

    Raises
    ------
    ValueError
        For arguments that do not fit the network.
    NotImplementedError
        Where the theory has no rule.

    See Also
    --------
    predict : Effective receptive field, from theory.

    Notes
    -----
    Every node keeps its map here, while `predict` may take a max pool before a curved function of the same values,
    which is more accurate: where there is one, the power that arrives at the input is 2 to 13 % off its total.

    References
    ----------
    .. [1] Brock, De, Smith, Characterizing signal propagation to close the performance gap in unnormalized
       ResNets, ICLR 2021.

    Examples
    --------
    >>> import erfmath as em
    >>> table = em.signals(em.serial(em.Conv(3), em.Activation("relu"), em.Conv(3)))
    >>> print(table)
    node   kind   E[v^2]  shared    mean     std  gradient  passes on
    input  input       1       0       0       1         2          -
    conv1  conv        2       0       0   1.414         1          2
    relu1  relu        1  0.3183  0.5642  0.8256         2          1
    conv2  conv        2  0.6366       0   1.414         1          2
    """
    settings = RunSettings.of(net, image=image, unit=unit, node=node, width=width, channels_in=channels_in, ndim=ndim,
                              weights=weights, input_moments=input_moments, input_covariance=input_covariance)
    unit = settings.unit_of(net)
    graph = Graph.of(net, settings, flat=False)
    with shown(progress, "signals"):
        seen = observe(graph, unit, input_model(input_moments, input_covariance, settings.ndim))
    rows = []
    for i in sorted(seen.moments):
        name, kind = (net.names[i], net.nodes[i].layer.kind) if i >= 0 else ("input", "input")
        rows.append(Signal(name, kind, *_values(seen.moments[i], graph.shares(i)), _known(seen.arriving.get(i)),
                           _known(seen.passing.get(i))))
    return Signals(tuple(rows), settings.image, unit)


def _values(moments: Moments, shares: list[float]) -> tuple[float, float, float, float]:
    """Second moment, shared part, mean and standard deviation, over all channel groups."""
    second, shared, mean = (float(np.dot(shares, each)) for each in (moments.average, moments.cov_far, moments.means))
    return second, shared, mean, math.sqrt(max(second - mean**2, 0.0))


def _known(power: float | None) -> float | None:
    return None if power is None or math.isnan(power) else power
