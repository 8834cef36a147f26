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
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from ...base.errors import check_bytes
from ..memory import replace
from ..rules.context import Before, Roots
from ..rules.alignment import PIXELS, Along, Even
from ..rules.images import Images
from ..rules.functions import slant as slant_of, steepness
from ..rules.neighbours import Borders
from ..rules.pooling import Route
from .dependence import Dependence, Unfollowed
from .branches import Branch, filters
from .inputs import InputModel
from .lowering import reach
from .moments import Moments
from .patterns import APART, EARLY, KINDS, LARGEST, PART, WIDEST, Known
from .plan import Graph, Plan, widest
from .sources import Itself
from .taps import Array
from .together import made_of
from .values import SiteValue

__all__ = ["Gates", "forward", "needed"]

#: A value at zero that is none.
LIFTED = 0.05


@dataclass
class Gates:
    """What the forward sweep tells the backward one.

    Attributes
    ----------
    power : dict
        Per node with a gate, the factor on M(x, tau): shape (groups, *lags, *lattice), extents 1
        where it does not vary.
    factors : dict
        Per product and input, as (node, slot): the same, of what multiplies this input.
    routes : dict
        Per max pool, who wins, and how much more often than others the gate before is open for winners.
    sites : dict
        Per node, what the value of a site is in each channel group.
    parts : dict
        Per node and channel group of a sum, the inputs that are not Gaussian, and which part of its source each is.
    uncorrelated : set
        Sums of values that depend on one another in a way that is not followed, and count as uncorrelated.
    even : dict
        Per node and channel group, how much norms further down leave of the power of a gradient that is the same at
        all sites, and of one in proportion to the values; all of it where nothing is said.
    levels : dict
        Per norm over a map whose statistics gradients pass, E[v^2] at each site, shape (groups, *lattice).
    aligned : dict
        Per such norm and channel group, how much more power what goes with the values has further down, where it stays
        along values.
    again : dict
        Of this, what goes with all that a stream holds, which other norms of the stream remove, too.
    shared : dict
        Per node with a small map and channel group, what two inputs have in common at any two sites; None where that
        is not followed.
    images : dict
        Per node, what two samples of correlated pixels have in common, where that is followed.
    along : dict
        Per node and channel group, the same of a gradient in proportion to its values.
    made : dict
        The same of the value that they are a function of, site by site; None where it is one of others.
    steep : dict
        Per node that such norms lead to and channel group, E[g^2 v^2] / (E[g^2] E[v^2]) of gradients g that meet its
        values v.
    slant : dict
        Per such node, E[g v]^2 / (E[g]^2 E[v^2]) and E[g^2] / E[g]^2 - 1 of gradients that all sites share.
    winners : dict
        Per norm and group of whose values a max pool takes the largest, the same of gradients of winners.
    idle : dict
        Per norm, channel groups of values that are normalised already, whose statistics do not fluctuate.
    tilts : dict
        Per convolution right before a batch norm, factors on the power that each tap hands down.
    centred : dict
        Per product, what those of its factors depend on whose mean is zero.
    patterned : set
        Batch norms of values most of whose variance is a pattern that all inputs share.
    unfollowed : set
        Inputs of sums, as (node, slot), whose part in the sum is not known by its value.
    strict : bool
        Whether such sums are refused: where gates depend on what is asked for.
    products : bool
        Whether values are multiplied, so that it matters what they are made from.
    numbers : dict
        Per node whose layer multiplies the power of gradients by a number, its input and that; None of others.
    handed : dict
        Per edge and what is known of a gradient above it, what is below (`conditioning`).  The backward sweep notes
        these two.
    """

    power: dict[int, Array] = field(default_factory=dict)
    factors: dict[tuple[int, int], Array] = field(default_factory=dict)
    routes: dict[int, Route] = field(default_factory=dict)
    sites: dict[int, tuple[SiteValue, ...]] = field(default_factory=dict)
    parts: dict[tuple[int, int], dict[int, int]] = field(default_factory=dict)
    uncorrelated: set[int] = field(default_factory=set)
    even: dict[int, list[Even]] = field(default_factory=dict)
    levels: dict[int, Array] = field(default_factory=dict)
    aligned: dict[int, Array] = field(default_factory=dict)
    again: dict[int, Array] = field(default_factory=dict)
    shared: dict[int, Known] = field(default_factory=dict)
    images: dict[int, Images] = field(default_factory=dict)
    along: dict[int, list[Along]] = field(default_factory=dict)
    made: dict[int, list[Along | None]] = field(default_factory=dict)
    steep: dict[int, Array] = field(default_factory=dict)
    slant: dict[int, tuple[Array, Array]] = field(default_factory=dict)
    winners: dict[tuple[int, int], float] = field(default_factory=dict)
    idle: dict[int, Array] = field(default_factory=dict)
    tilts: dict[int, Array] = field(default_factory=dict)
    centred: dict[int, list[Dependence]] = field(default_factory=dict)
    patterned: set[int] = field(default_factory=set)
    unfollowed: set[tuple[int, int]] = field(default_factory=set)
    strict: bool = True
    products: bool = False
    numbers: dict[int, tuple[int, float] | None] = field(default_factory=dict)
    handed: dict[tuple[object, ...], Any] = field(default_factory=dict)


def forward(graph: Graph, plan: Plan, inputs: InputModel, seen: dict[int, Moments] | None = None) -> Gates:
    """The gates of all nodes for the given kind of inputs; `seen`, if given, gets the moments of all nodes."""
    sweep = _Forward(graph, plan, inputs, seen)
    if graph.sizes[-1][0] is not None and sweep.neighbours and not any(
            graph.ops[i].by_rows or any(taps.geometry[0].transposed for taps in graph.ops[i].taps)
            for i in sweep.wanted):
        # Away from borders neighbours are correlated alike everywhere: once at a point will do.
        plane = _Forward(replace(graph, sizes=((None,) * graph.ndim,) * len(graph.sizes)), plan, inputs,
                         None if seen is None else {})
        if seen is None:
            plane.wanted &= plane.leading_to_lags()
        plane.run()
        sweep.plane, sweep.need = plane.done, {i: (0,) * graph.ndim for i in sweep.need}
    return sweep.run()


def needed(graph: Graph, plan: Plan, inputs: InputModel) -> Gates:
    """The gates where there are any, or max pools of whole maps; sites of unknown values win alike."""
    if plan.gated:
        return forward(graph, plan, inputs)
    try:
        return forward(graph, plan, inputs) if plan.routed else Gates()
    except NotImplementedError:
        return Gates()


def _averaged(ways: list[tuple[float, dict[int, float]]]) -> dict[int, float]:
    """Means over several ways, each of a weight, of what is 0 where a way does not say."""
    whole = sum(weight for weight, _ in ways)
    return {j: sum(weight * way.get(j, 0.0) for weight, way in ways) / (whole or 1.0)
            for j in set().union(*[way for _, way in ways])}


class _Met:
    """Numbers of each channel group that readers hand down, each with what part of the group's channels it reads."""

    def __init__(self, graph: Graph, top: Sequence[float]) -> None:
        count = len(graph.groups[graph.top])
        self._top = np.array(top)
        self._known = {graph.top: [(np.ones((count, 1)), np.array([top] * count))]}

    def add(self, j: int, read: Array, numbers: Array) -> None:
        """What a reader hands down, shape (its groups, any); `read` has shape (groups, its groups)."""
        self._known.setdefault(j, []).append((read.sum(axis=1, keepdims=True), read @ numbers))

    def pop(self, i: int) -> Array | None:
        """The mean over readers, shape (groups, any), that of the top for groups without any; None of nodes without."""
        there = self._known.pop(i, None)
        if there is None:
            return None
        whole = sum(weight for weight, _ in there)
        mean = sum(numbers for _, numbers in there) / np.where(whole > 0, whole, 1.0)
        return np.where(whole > 0, mean, self._top)


#: Lags up to which sites of different phases of a transposed convolution are told apart, at least and at most, and the
#: numbers that are carried for it: those of all lags of a whole map would be too many.
PHASED, FARTHEST, CARRIED = 3, 12, 2**17


def _phased(sizes: Sequence[int | None], stride: int) -> int:
    """Lags up to which sites of a map of these sizes are told apart by their phases, of which there are so many."""
    sites, lag = math.prod(n or 1 for n in sizes), max(PHASED, stride)
    while lag < FARTHEST and sites * (2 * lag + 3)**len(sizes) <= CARRIED:
        lag += 1
    return lag


class _Forward:
    def __init__(self, graph: Graph, plan: Plan, inputs: InputModel, seen: dict[int, Moments] | None = None) -> None:
        self.graph, self.plan, self.inputs, self.seen = graph, plan, inputs, seen
        self.gates = Gates(strict=seen is None, products=any(layer.multiplies for layer in graph.layers))
        self.plane: dict[int, Moments] = {}
        self.done: dict[int, Moments] = {}
        self.spreads = graph.sizes[-1][0] is not None and any(
            layer.is_gate and rule.spreads(layer) for layer, rule in zip(graph.layers, graph.rules))
        self.seconds: dict[int, Array] = {}  # E[v^2] per group, where norms have gradients pass their statistics
        self.small = self._small()
        self.need = self._lags()
        self.neighbours = any(map(any, self.need.values()))
        self.wanted = self._wanted()
        self.extent = self._extents()
        self.borders = Borders(graph, self.extent)
        self.depends_on = self._dependence()
        self.roots = self._roots()
        self.alike = self._alike()
        self.periods = self._periods()

    def _periods(self) -> dict[int, tuple[int, ...]]:
        """After how many sites phases repeat that transposed layers of random weights have made, where any have."""
        found: dict[int, tuple[int, ...]] = {}
        for i, (op, sources) in enumerate(zip(self.graph.ops, self.graph.sources)):
            below = [found[j] for j in sources if j in found]
            if op.fresh:
                below = [(1,) * self.graph.ndim] * any([taps.geometry[0].transposed for taps in op.taps])
            here = [math.lcm(*periods) for periods in zip(*below)]
            for taps in op.taps if below else ():
                for axis, g in zip(taps.axes, taps.geometry):
                    here[axis] = here[axis] * g.stride if g.transposed else here[axis] // math.gcd(here[axis], g.stride)
            if max(here, default=1) > 1:
                found[i] = tuple(here)
        return found

    def _alike(self) -> bool:
        """Whether all maps are the same along all axes."""
        graph, size = self.graph, self.graph.sizes[-1]
        if size[0] is None or len(set(size)) > 1 or self.inputs.covariance is not None:
            return False
        for op, rule in zip(graph.ops, graph.rules):
            if op.taps and (rule.moves or len(op.taps) < graph.ndim or not op.like_axes):
                return False
        return True

    def _small(self) -> set[int]:
        """Nodes with maps of a few sites, where batch norms divide by what patterns at borders are part of.

        Of any map, where values that do not vary have a mean, as after sigmoids, which borders make patterns of.
        """
        graph = self.graph
        if graph.sizes[-1][0] is None or not any(rule.centres_far for rule in graph.rules):
            return set()
        functions = [graph.rules[i].function(graph.layers[i]) for i, edges in self.plan.edges.items()
                     if (edges or i == graph.top) and i >= 0 and graph.ops[i].gate]
        lifted = any(abs(float(phi.value(np.zeros(1))[0])) > LIFTED  # of many layers with few functions
                     for phi in {id(phi): phi for phi in functions}.values() if phi is not None)
        # What wide layers make of more sites than are followed would not be resolved.
        wide = set() if lifted else {sizes for op, sizes in zip(graph.ops, graph.sizes) if not op.routes and any(
            g.extent > WIDEST * g.stride and not g.transposed and max([n or 0 for n in sizes]) > APART
            for taps in op.taps for g in taps.geometry)}
        many = {sizes for groups, sizes in zip(graph.groups, graph.sizes) if len(groups) > KINDS}
        whole = max(n or 0 for n in graph.sizes[-1])
        few = {sizes for sizes in set(graph.sizes) - wide if lifted or (most := max(n or 0 for n in sizes)) <= LARGEST
               or (most <= EARLY and most >= PART * whole and sizes not in many)}
        small = {i for i, sizes in enumerate(graph.sizes[:-1]) if sizes in few} if few else set()
        asked: set[int] = set()
        for i in sorted(small, reverse=True):  # what such a norm further up depends on
            if i in asked or graph.rules[i].centres_far:
                asked.update(graph.sources[i])
        return small & asked

    def _lags(self) -> dict[int, tuple[int, ...]]:
        """Lags to carry: needed by what lies above, and possibly different from c."""
        graph, zero, asked = self.graph, (0,) * self.graph.ndim, self.plan.lags
        need = {i: zero for i in range(-1, graph.top + 1)}
        for i in range(graph.top, -1, -1):
            op, here = graph.ops[i], need[i]
            if op.gate:
                here = widest([here, asked[i]])
                if graph.rules[i].spreads(graph.layers[i]):  # what it spreads goes with values
                    here = widest([here, asked[graph.sources[i][0]]])
            before = reach(op, here, back=True) if op.taps else here
            if before != zero:
                for j in graph.sources[i]:
                    need[j] = before if need[j] == zero else widest([need[j], before])
        made = {-1: self.inputs.reach(graph.ndim)}
        for i in range(max((i for i, lags in need.items() if lags != zero), default=-1) + 1):
            inputs, op = graph.sources[i], graph.ops[i]
            here = made[inputs[0]] if len(inputs) == 1 else widest([made[j] for j in inputs])
            made[i] = reach(op, here, back=False) if op.taps else here
            if op.fresh and any([g.transposed and g.stride > 1 for taps in op.taps for g in taps.geometry]):
                # Sites of one phase have something in common, others nothing.
                phases = max([g.stride for taps in op.taps for g in taps.geometry])
                made[i] = widest([made[i], (_phased(graph.sizes[i], phases),) * graph.ndim])
        for i, here in made.items():
            if need[i] != zero:  # further apart there are no two sites
                need[i] = zero if here == zero else tuple(
                    min(h, m, m if n is None else n - 1) for h, m, n in zip(need[i], here, graph.sizes[i]))
        return need

    def leading_to_lags(self) -> set[int]:
        """Nodes whose lags are carried, and those that lead to them."""
        found: set[int] = set()
        for i in range(self.graph.top, -1, -1):
            if i in found or any(self.need[i]):
                found.update((i, *self.graph.sources[i]))
        return found

    def _extents(self) -> dict[int, tuple[int, ...]]:
        """Extent of every map: that of the image; on the plane a torus where lags matter, else a point."""
        graph = self.graph
        if graph.sizes[-1][0] is not None:
            return {i: graph.sizes[i] for i in self.need}  # type: ignore[misc]
        if not self.neighbours or not any(
                taps.geometry[0].transposed for i in self.wanted for taps in graph.ops[i].taps):
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

    def _dependence(self) -> dict[int, Dependence]:
        """Per node, the random layers that its values depend on with none between; -1 is the input."""
        graph = self.graph
        found: dict[int, Dependence] = {}
        follow = any(rule.moves for rule in graph.rules)  # else channels stay where they are
        if not follow and all(len(sources) == 1 for sources in graph.sources):
            return found
        for i in range(-1, graph.top + 1):
            if i < 0 or graph.ops[i].fresh:
                found[i] = Dependence({i: np.arange(graph.channels[i])}) if follow else Unfollowed(1 << (i + 1))
                continue
            parts = [found[j] for j in graph.sources[i]]
            if not follow and len(parts) == 1:
                found[i] = parts[0]
                continue
            if follow and graph.ops[i].ties_channels:
                parts = [part.mixed(graph.channels[i]) for part in parts]
            elif follow and (len(parts) > 1 or graph.rules[i].moves):
                parts = [part.through(graph.reads(i, slot)) for slot, part in enumerate(parts)]
            found[i] = functools.reduce(lambda one, other: one.joined(other), parts)
        return found

    def _wanted(self) -> set[int]:
        """Nodes whose values a gate or a pool further up depends on, and those themselves; all if `seen`."""
        graph = self.graph
        found: set[int] = set()
        for i in range(graph.top, -1, -1):
            op, edges = graph.ops[i], self.plan.edges[i]
            asked = self.seen is not None or op.gate or op.routes
            if (edges or i == graph.top) and (asked or not found.isdisjoint([edge.reader for edge in edges])):
                found.add(i)
        return found

    def _roots(self) -> dict[int, Roots]:
        """Per sum of values that are not independent, the values that it is a sum of, through filters and norms."""
        graph = self.graph
        found: dict[int, Roots] = {}
        for i in sorted(self.wanted):
            sources = graph.sources[i]
            if graph.layers[i].sums and any(self.depends_on[j].meets(self.depends_on[k])
                                            for n, j in enumerate(sources) for k in sources[:n]):
                found[i] = self._parted(i)
        return found

    def _parted(self, i: int) -> Roots:
        """What a sum is made of: its inputs; in place of those that depend on one another, what these are made of."""
        graph = self.graph
        terms: dict[int, list[tuple[int, Branch]]] = {}  # by node, the input and the way
        for slot, j in enumerate(graph.sources[i]):
            terms.setdefault(j, []).append((slot, Branch(graph.merged.times.get((i, j), 1.0))))
        held = {j for slot, j in enumerate(graph.sources[i]) if (i, slot) in graph.one_site}
        while True:
            met = {j for j in terms for k in terms if j != k and self.depends_on[j].meets(self.depends_on[k])}
            linear = [j for j in met - held if self._steps(j)]
            if not linear:
                break
            ways = terms.pop(max(linear))
            for k, first in self._steps(max(linear)):
                terms.setdefault(k, []).extend((slot, way.after(first)) for slot, way in ways)
        return Roots({j: tuple(way for _, way in ways) for j, ways in terms.items()},
                     [{j for j, ways in terms.items() if any(at == slot for at, _ in ways)}
                      for slot in range(len(graph.sources[i]))])

    def _steps(self, i: int) -> list[tuple[int, Branch]]:
        """The inputs of a node that is a linear function of them, and what it does; none where it is no such."""
        graph = self.graph
        if i < 0 or i == graph.source:
            return []
        op, rule, layer, sources = graph.ops[i], graph.rules[i], graph.layers[i], graph.sources[i]
        alike = all(graph.channels[j] == graph.channels[i] and graph.sizes[j] == graph.sizes[i] for j in sources)
        if not alike or i in graph.biases or layer.joins_channels or rule.moves or layer.multiplies:
            return []
        if layer.is_identity and not layer.many_inputs:
            return [(sources[0], Branch(op.gain))]
        if layer.sums:
            return [(j, Branch(graph.merged.times.get((i, j), 1.0))) for j in sources]
        affine = getattr(layer, "scale_var", 0) or getattr(layer, "shift_var", 0)
        if op.gate and rule.scales_all(layer, graph.channels[i], graph.ndim) and not affine and i not in graph.norms:
            return [(sources[0], Branch(norms=(i,)))]
        return [(sources[0], Branch.of(op))] if filters(op) and not layer.draws_noise else []

    def run(self) -> Gates:
        with np.errstate(over="raise"):
            return self._run()

    def _check_memory(self, last: dict[int, int]) -> None:
        """Refuse what would be held at a time, with what a layer makes of it on its way."""
        needed = {i: 8 * len(self.graph.groups[i]) * math.prod([2 * h + 1 for h in self.need[i]])
                  * math.prod(self.extent[i]) for i in (-1, *self.wanted)}
        held, most, waiting, where = needed[-1], 0, {-1}, -1
        for i in sorted(self.wanted):
            here = needed[i]
            if held + 2 * here > most:
                most, where = held + 2 * here, i
            waiting.add(i)
            gone = {j for j in self.graph.sources[i] if j in waiting and last[j] == i}
            held += here - sum([needed[j] for j in gone])
            waiting -= gone
        check_bytes(most, f"second moments up to {self.need[where]} sites apart, of {self.graph.name(where)} and what "
                    "is held beside it,", "take a smaller image, or sample it with erfmath.measure", arrays=2)

    def _run(self) -> Gates:
        graph = self.graph
        wraps = graph.sizes[-1][0] is None
        last: dict[int, int] = {}  # who reads a node last
        for i in self.wanted:
            for j in graph.sources[i]:
                last[j] = max(i, last.get(j, i))
        if self.neighbours:
            self._check_memory(last)
        values = self.inputs.values(self.need[-1], self.extent[-1], wraps)
        cov_far, corr_site = np.array([self.inputs.cov_far]), np.array([self.inputs.cov_far / self.inputs.second])
        pixels = None if self.inputs.covariance is None else self.inputs
        self.done[-1] = Moments(values, cov_far, corr_site, (None,), wraps, self.plane.get(-1), pixels=pixels,
                                alike=self.alike)
        held = {root for roots in self.roots.values() for root in roots.whole}
        for i, roots in self.roots.items():  # what values that still depend on one another are made of
            if any(self.depends_on[j].meets(self.depends_on[k]) for j in roots.whole for k in roots.whole if j < k):
                held.update(*(made_of(graph, j) for j in graph.sources[i]))
        if self.seen is not None:
            self.seen[-1] = self.done[-1]
        leaving: dict[int, list[int]] = {}  # by the last reader; what lies on the plane is small, and read once more
        for j, i in last.items():
            if not wraps and j not in held:
                leaving.setdefault(i, []).append(j)
        for i in range(graph.top + 1):
            if i in self.wanted:
                here = self._node(i, [self.done[j] for j in graph.sources[i]])
                self.done[i] = here.beside(self.plane[i]) if i in self.plane else here
                if self.seen is not None:
                    self.seen[i] = self.done[i]
                for j in leaving.get(i, ()):
                    del self.done[j]
        if self.gates.levels:
            self._steepness()
            self._met_again()
        return self.gates

    def _handed(self, i: int, slot: int) -> Array:
        """What part of the channels of each group of an input those of each group of a node read."""
        graph = self.graph
        j, sizes = graph.sources[i][slot], np.array(graph.groups[i], dtype=float)
        read = np.zeros((len(graph.groups[j]), len(sizes)))
        if graph.ops[i].fresh:
            read += (graph.mixture(i) * sizes[:, None]).T
            return read / np.maximum(read.sum(axis=1, keepdims=True), 1e-300)
        for row in graph.owners[i][slot]:
            np.add.at(read, (row[row >= 0], np.flatnonzero(row >= 0)), sizes[row >= 0])
        read /= np.array(graph.groups[j], dtype=float)[:, None]
        return read / np.maximum(read.sum(axis=1, keepdims=True), 1.0)

    def _met_again(self) -> None:
        """Norms at the start of a branch take the same from a stream as those that the stream passes later on.

        A norm over x + f takes from a gradient its part along the values, one in f that along those of f, as
        gradients of f are led back to x: the two are correlated by the share of x.
        """
        graph, gates = self.graph, self.gates
        # Parts of gradients that come from such norms; and of what norms take, what one further up has taken.
        met = _Met(graph, (0.0, 0.0))
        # Per other input of a sum, its share, where one does; and where a random layer makes the branch independent.
        branch: dict[int, list[tuple[float, dict[int, float]]]] = {}
        mixed: dict[int, list[tuple[float, dict[int, float]]]] = {}
        for i in range(graph.top, -1, -1):
            there = met.pop(i)
            if there is None:
                continue
            (part, taken), layer = there.T, graph.layers[i]
            followed, known = _averaged(branch.pop(i, [])), _averaged(mixed.pop(i, []))
            if graph.ops[i].fresh:
                followed, known = {}, followed or known
            if i in gates.aligned:
                gates.aligned[i] = gates.aligned[i] + 2 * known.get(graph.sources[i][0], 0.0) * gates.again[i]
                if taken.any():
                    spared = np.array([graph.rules[i].spared(graph, i, one)
                                       for one in np.where(gates.idle.get(i, False), 0.0, taken).tolist()])
                    gates.power[i] = gates.power[i] * spared.reshape(-1, *(1,) * (2 * graph.ndim))
                part = np.ones(len(part))
                below = gates.even.get(graph.sources[i][0], [Even()] * len(part))
                taken = np.array([1 - min(one.left, 1.0) for one in below])
            power = [float(np.dot(graph.shares(j), self.seconds[j])) if j in self.seconds else 0.0
                     for j in (i, *graph.sources[i])]
            shares = [one / (power[0] or 1.0) for one in power[1:]]
            whole = float(np.dot(graph.shares(i), part))
            for slot, j in enumerate(graph.sources[i]):
                read = self._handed(i, slot)
                met.add(j, read, np.stack([part, taken], axis=1))
                weight = float(np.dot(graph.shares(j), read.sum(axis=1)))
                others = {n: share * whole for n, share in zip(graph.sources[i], shares) if n != j}
                summed = layer.sums and len(shares) > 1
                branch.setdefault(j, []).append((weight, others if summed else followed))
                mixed.setdefault(j, []).append((weight, {} if summed else known))

    def _steepness(self) -> None:
        """How steep gates are for large values, from the top down; random layers make gradients of no value."""
        graph, gates = self.graph, self.gates
        met = _Met(graph, (1.0, 0.0, 0.0))
        for i in range(graph.top, -1, -1):
            there = met.pop(i)
            if there is None:
                continue
            for g in range(len(there)):
                if (i, g) in gates.winners:  # what winners have in common with the values is known otherwise
                    there[g] = gates.winners[i, g], 0.0, 0.0
            gates.steep[i], gates.slant[i] = there[:, 0], (there[:, 1], there[:, 2])
            phi = graph.rules[i].function(graph.layers[i]) if graph.ops[i].gate else None  # scales keep what there is
            for slot, j in enumerate(graph.sources[i]):
                if j in graph.sources[i][:slot]:
                    continue
                read, q = self._handed(i, slot), self.seconds.get(j, np.zeros(len(graph.groups[j])))
                if graph.ops[i].fresh or phi is not None:
                    each = [(1.0, 0.0, 0.0) if phi is None or not one else (steepness(phi, one), *slant_of(phi, one))
                            for one in q.tolist()]
                    met.add(j, read.sum(axis=1, keepdims=True) * np.eye(len(q)), np.array(each))
                    continue
                handed = there
                if graph.layers[i].sums and i in self.seconds:  # a part of a sum, by what it is of the variance
                    whole = self.seconds[i]
                    part = np.minimum(q[graph.owners[i][slot][0]] / np.where(whole, whole, 1.0), 1.0)
                    handed = np.stack([1 + (there[:, 0] - 1) * part, there[:, 1] * part, there[:, 2]], axis=1)
                met.add(j, read, handed)

    def _node(self, i: int, inputs: list[Moments]) -> Moments:
        at = Before(self.graph, i, self.plan.lags, self.need[i], self.extent, self.gates, self.borders,
                    self.roots.get(i), self.done, self.depends_on)
        try:
            found = self.graph.rules[i].forward(at, inputs)
            self.borders.follow(i, inputs[0])
        except ArithmeticError as error:
            if isinstance(error, OverflowError) and error.args and isinstance(error.args[0], str):
                raise  # it says what
            raise OverflowError(f"{self.graph.names[i]}: the variance of its values is beyond the range of "
                                "floats; give layers gains near 1, or a norm") from None
        except (ValueError, NotImplementedError) as error:
            if type(error) not in (ValueError, NotImplementedError) or self.graph.names[i] in str(error):
                raise
            raise type(error)(f"{self.graph.names[i]}: {error}") from None
        if i == self.graph.source:
            found = replace(found, sites=tuple(None if site is None else Itself.of(site).value()
                                               for site in found.sites))
        found.alike, found.periods = self.alike, self.periods.get(i, ())
        self.gates.sites[i] = found.sites
        if i in self.small:
            known = self.graph.rules[i].shared(at, inputs, found)
            if any([one is not None for one in known]):
                self.gates.shared[i] = known
        if self.inputs.covariance is not None and len(found.sites) == 1:
            scene = self.graph.rules[i].images(at, inputs, found)
            if scene is not None and scene.variance > 0:
                self.gates.images[i] = scene
        if self.spreads:
            gates, rule = self.gates, self.graph.rules[i]
            gates.even[i], gates.along[i] = rule.even(at, inputs), rule.along(at, inputs)
            gates.made[i] = self._made(at, found)
            self.seconds[i] = found.average
        return found

    def _made(self, at: Before, found: Moments) -> list[Along | None]:
        """Per channel group, `Gates.along` of the value below activations and norms in a row, which has functions.

        Norms through whose statistics gradients pass are not passed.
        """
        op, layer, i = at.op, at.layer, at.i
        one = len(self.graph.sources[i]) == 1 or layer.joins_channels
        if one and not (op.fresh or op.taps or layer.through_statistics):
            return [made for made, in at.below(self.gates.made, PIXELS)]
        return [None if site is not None and site.steps else along
                for along, site in zip(self.gates.along[i], found.sites)]
