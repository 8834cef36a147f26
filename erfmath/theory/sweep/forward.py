"""The forward sweep: second moments of every node's values at initialisation.

Per node and channel group it carries M(x, tau) = E[v(x) v(x + tau)] (lag 0 is the second moment q, a
map where borders matter), the far covariance c = E[v v'] between distant sites or independent inputs
of one channel, its correlation rho at one place, and the one-site distribution where it is not Gaussian.
What the backward sweep needs of all this are the gates: E[phi'^2], 1/variance, and so on
(docs/theory.md, equations 29 to 48).
"""

from __future__ import annotations

import functools
import math
import operator
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from ..rules.context import Before
from ..rules.neighbours import Borders
from ..rules.pooling import Route
from .inputs import InputModel
from .lowering import reach
from .moments import Moments
from .plan import Graph, Plan, widest
from .taps import Array
from .values import SiteValue

__all__ = ["Gates", "forward"]


@dataclass
class Gates:
    """What the forward sweep tells the backward one.

    Attributes
    ----------
    power : dict
        Per node with a gate, the factor on M(x, tau): shape (groups, *lags, *lattice), extents 1
        where it does not vary.
    routes : dict
        Per max pool, who wins, and how much wider than others the gate before stands open for winners.
    sites : dict
        Per node, what the value of a site is in each channel group.
    parts : dict
        Per node and channel group of a sum, the inputs that are not Gaussian, and which part of its source each is.
    """

    power: dict[int, Array] = field(default_factory=dict)
    routes: dict[int, Route] = field(default_factory=dict)
    sites: dict[int, tuple[SiteValue, ...]] = field(default_factory=dict)
    parts: dict[tuple[int, int], dict[int, int]] = field(default_factory=dict)


def forward(graph: Graph, plan: Plan, inputs: InputModel) -> Gates:
    """The gates of all nodes for the given kind of inputs."""
    sweep = _Forward(graph, plan, inputs)
    phases = any(taps.geometry[0].transposed for op in graph.ops for taps in op.taps)
    if graph.sizes[-1][0] is not None and sweep.neighbours and not phases:
        # Away from borders neighbours are correlated alike everywhere: once at a point will do.
        plane = _Forward(replace(graph, sizes=((None,) * graph.ndim,) * len(graph.sizes)), plan, inputs)
        plane.run()
        sweep.plane, sweep.need = plane.done, {i: (0,) * graph.ndim for i in sweep.need}
    return sweep.run()


class _Forward:
    def __init__(self, graph: Graph, plan: Plan, inputs: InputModel) -> None:
        self.graph, self.plan, self.inputs = graph, plan, inputs
        self.gates = Gates()
        self.plane: dict[int, Moments] = {}
        self.done: dict[int, Moments] = {}
        self.depends_on: dict[int, frozenset[int]] = {-1: frozenset((-1,))}
        self.need = self._lags()
        self.neighbours = any(map(any, self.need.values()))
        self.extent = self._extents()
        self.borders = Borders(graph, self.extent)

    def _lags(self) -> dict[int, tuple[int, ...]]:
        """Lags to carry: needed by what lies above, and possibly different from c."""
        graph, zero = self.graph, (0,) * self.graph.ndim
        need = {i: zero for i in range(-1, graph.top + 1)}
        for i in range(graph.top, -1, -1):
            here = widest([need[i], self.plan.lags[i]]) if graph.ops[i].gate else need[i]
            before = reach(graph.ops[i], here, back=True)
            for j in graph.sources[i]:
                need[j] = before if need[j] == zero else widest([need[j], before])
        made = {-1: self.inputs.reach(graph.ndim)}
        for i in range(graph.top + 1):
            made[i] = reach(graph.ops[i], widest([made[j] for j in graph.sources[i]]), back=False)
        return {i: zero if zero in (need[i], made[i]) else tuple(map(min, need[i], made[i])) for i in made}

    def _extents(self) -> dict[int, tuple[int, ...]]:
        """Extent of every map: that of the image; on the plane a torus where lags matter, else a point."""
        graph = self.graph
        if graph.sizes[-1][0] is not None:
            return {i: tuple(n or 1 for n in graph.sizes[i]) for i in self.need}
        if not self.neighbours or not any(taps.geometry[0].transposed for op in graph.ops for taps in op.taps):
            return {i: (1,) * graph.ndim for i in self.need}
        strides: dict[int, tuple[Fraction, ...]] = {-1: (Fraction(1),) * graph.ndim}
        for i in range(graph.top + 1):
            per_axis = list(strides[graph.sources[i][0]])
            for taps in graph.ops[i].taps:
                for axis, g in zip(taps.axes, taps.geometry):
                    per_axis[axis] *= Fraction(1, g.stride) if g.transposed else g.stride
            strides[i] = tuple(per_axis)
        # Every map gets whole periods, and is wide enough that its lags do not meet around the torus.
        whole = [math.lcm(*(s[axis].numerator for s in strides.values())) for axis in range(graph.ndim)]
        times = [max(math.ceil((2 * self.need[i][axis] + 3) * s[axis] / whole[axis]) for i, s in strides.items())
                 for axis in range(graph.ndim)]
        return {i: tuple(int(w * t / step) for w, t, step in zip(whole, times, s)) for i, s in strides.items()}

    def run(self) -> Gates:
        graph = self.graph
        wraps = graph.sizes[-1][0] is None
        values = self.inputs.values(self.need[-1], self.extent[-1], wraps)
        cov_far, corr_site = np.array([self.inputs.cov_far]), np.array([self.inputs.cov_far / self.inputs.second])
        self.done[-1] = Moments(values, cov_far, corr_site, (None,), wraps, self.plane.get(-1))
        for i in range(graph.top + 1):
            if self.plan.edges[i] or i == graph.top:
                here = self._node(i, [self.done[j] for j in graph.sources[i]])
                self.borders.follow(i, self.done[graph.sources[i][0]])
                self.done[i] = here.beside(self.plane[i]) if self.plane else here
                if not wraps:  # what lies on the plane is small, and read once more by the sweep over the image
                    for j in set(graph.sources[i]):
                        if self.plan.edges[j][0].reader == i:  # the last one
                            del self.done[j]
                self.depends_on[i] = frozenset((i,)) if graph.ops[i].fresh else functools.reduce(
                    operator.or_, [self.depends_on[j] for j in graph.sources[i]])
        return self.gates

    def _node(self, i: int, inputs: list[Moments]) -> Moments:
        sources, depends_on = self.graph.sources[i], self.depends_on
        apart = all(depends_on[j].isdisjoint(depends_on[k]) for n, j in enumerate(sources) for k in sources[:n])
        at = Before(self.graph, i, self.plan.lags, self.need[i], self.extent, self.gates, self.borders, apart)
        found = self.graph.rules[i].forward(at, inputs)
        self.gates.sites[i] = found.sites
        return found
