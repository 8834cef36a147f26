"""Residual streams: gates after sums remember the gates before them (docs/theory.md, equations 45 to 48).

Along x = phi(x_before + f) the same site is gated again and again, and what passed a gate passes the
next one oftener than a gate by itself says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..rules.functions import Function
from .covariance import Covariance
from .moments import Moments, ratio
from .site_distribution import SiteDistribution, distant, gated_sum, rounded
from .taps import Array

if TYPE_CHECKING:
    from ..rules.context import Above, Before
    from .plan import Plan

__all__ = ["Entries", "Runs", "Stream", "Streams"]


@dataclass(frozen=True)
class Stream:
    """A gate after the sum of a residual stream, x = phi(x_before + f).

    Attributes
    ----------
    transition : ndarray, shape (values before, values after)
        phi'^2 times the probability to get from one value to another.
    p_before, p_behind : ndarray
        Probabilities of the values.
    """

    transition: Array
    p_before: Array
    p_after: Array


class _Sum(NamedTuple):
    """A residual sum: its one input that is not Gaussian, and q, c at one place of the rest."""

    before: int
    distribution: SiteDistribution
    q: float
    c: float


class Streams:
    """Streams as the forward sweep finds them."""

    def __init__(self) -> None:
        self._sums: dict[int, _Sum] = {}

    def added(self, i: int, sources: Sequence[int], parts: Sequence[Moments]) -> None:
        """Note the sum `i` of `parts`, if it is that of a stream."""
        non_gaussian = [(j, part) for j, part in zip(sources, parts)
                        if any(one is not None for one in part.distributions)]
        if len(non_gaussian) == len(parts[0].distributions) == 1 and len(parts) > 1:
            (before, stream), = non_gaussian
            q, c = (float(sum(getattr(part, what)[0] for part in parts if part is not stream))
                    for what in ("average", "cov_site"))
            self._sums[i] = _Sum(before, stream.distribution(0), q, c)

    def forward(self, at: Before, phi: Function, m: Moments) -> Moments | None:
        """x = phi(x_before + f) where x_before is not Gaussian: its distribution, and the gate's memory."""
        if at.source not in self._sums:
            return None
        before, old, q, c = self._sums[at.source]
        total, distribution, transition = gated_sum(old, rounded(q), rounded(c), phi)
        streams, lags = at.gates.streams, at.need[before]
        streams[at.i] = Stream(transition, old.marginal, distribution.marginal)
        if before not in streams and at.graph.rules[before].begins_stream and not any(lags):
            # Where the stream begins, the first gate: what passed the later ones passes it more often.
            opened = old.share @ (old.p * old.slope**2)
            streams[before] = Stream(opened[None], np.ones(1), old.marginal)
        cov_far = distant(total.row_means, distribution.row_means, distribution.share,
                          float(m.cov_far[0] / m.level[0])) * m.level
        corr_site = ratio(distribution.cov_site, distribution.second)[None]
        after = m.with_lags((0,) * m.ndim).multiple(distribution.second / (old.second + q), cov_far, corr_site,
                                                    (distribution,))
        return after.with_lags(at.want)


@dataclass(frozen=True)
class Runs:
    """A gradient inside a residual stream, split by the gate through which each part entered.

    The same site is gated again and again along the identity branches: with each part goes
    survival, the mean of phi'^2 along the gates passed so far given the value below the last.
    """

    parts: tuple[tuple[Covariance, Array], ...]

    @staticmethod
    def entering(state: Covariance, stream: Stream) -> Runs:
        """A gradient that has passed no gate of the stream yet."""
        return Runs(((state, np.ones_like(stream.p_after)),))

    def through(self, stream: Stream) -> Runs:
        """Through the gate after a residual sum: open more often for what passed later gates already."""
        after = np.stack([survival for _, survival in self.parts], axis=1)
        before = stream.transition @ after
        open_more = np.sqrt((stream.p_before @ before) / (stream.p_after @ after))
        return Runs(tuple((part.times(factor), survival) for (part, _), factor, survival in
                          zip(self.parts, open_more.tolist(), before.T)))


class Entries:
    """Streams in the transposed sweep: per gate, what lies at its input but for the stream's own, and the gate before.
    """

    def __init__(self, plan: Plan, streams: Mapping[int, Stream]) -> None:
        self._plan, self._streams = plan, streams
        self._entries: dict[int, tuple[Any, int | None]] = {}

    def __contains__(self, i: int) -> bool:
        return i in self._streams

    def pass_gate(self, at: Above) -> Array:
        """What enters a residual stream at this gate: down the gates below, each as open as those above make it."""
        graph, streams = self._plan.graph, self._streams
        i, j = at.i, graph.sources[at.i][0]
        inputs = dict.fromkeys(graph.sources[j]) if j >= 0 and graph.layers[j].sums else {}
        before = next((k for k in inputs if k in streams), None)
        if before is None or not all(e.reader in streams for e in self._plan.edges[j]):
            self._entries[i] = at.with_lags(at.input), None
        else:
            rest = [k for k in inputs if k != before]
            self._entries[i] = at.summed(j, rest) if rest else None, before
        parts, factor, survival = [], 1.0, np.ones(1)
        gate: int | None = i
        while gate is not None:
            stream = streams[gate]
            after = np.broadcast_to(survival, stream.p_after.shape)
            survival = stream.transition @ after
            factor *= float((stream.p_before @ survival) / (stream.p_after @ after))
            part, gate = self._entries[gate]
            if part is not None:
                parts.append(factor * part)
        return at.with_lags(sum(parts[1:], parts[0]))
