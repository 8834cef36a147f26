"""Where branches meet: sums and concatenations."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from ...layers import Add, Concat, Layer
from ..memory import replace
from ..sweep import patterns
from ..sweep.branches import Branch, gathered
from ..sweep.covariance import MIXED, Covariance
from ..sweep.dependence import Dependence
from ..sweep.factor import Factor
from ..sweep.groups import Labels, count
from ..sweep.lowering import SAMPLE, Linear
from ..sweep.moments import Moments, at as lag_zero, concatenate, ratio
from ..sweep.patterns import Known
from ..sweep.site_distribution import distant
from ..sweep.products import Product
from ..sweep.sources import Joint, Sum, average
from ..sweep.taps import Array, Taps
from ..sweep.together import covariance
from ..sweep.values import Affine, SiteValue, Source, Value
from . import images
from .alignment import PIXELS, Along, of_sum
from .base import Rule, rule_for
from .context import Above, Before, Below
from .functions import Function
from .images import Images

__all__ = ["AddRule", "ConcatRule"]


@rule_for(Add)
class AddRule(Rule):
    """Moments of independent values add; all inputs get the same gradient."""

    def commutes(self, layer: Layer, ndim: int, phi: Function) -> bool:
        return True  # of one input

    def along(self, at: Before, inputs: Sequence[Moments]) -> list[Along]:
        graph, i = at.graph, at.i
        power = np.stack([m.average[owner[0]] * graph.times(i, j)**2
                          for m, owner, j in zip(inputs, graph.owners[i], graph.sources[i])])
        shares = ratio(power, power.sum(axis=0), 1 / len(power)).T.tolist()
        return [of_sum(each, share, graph.channels[i])
                for each, share in zip(at.below(at.gates.along, PIXELS), shares)]

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        graph, i, nodes = at.graph, at.i, list(at.graph.sources[at.i])
        made_of = [{j} for j in nodes]
        if at.roots is not None:  # inputs that depend on one another, as sums of values that do not
            made_of = [set(part) for part in at.roots.parts]
            nodes = list(at.roots.whole)
            inputs = [self._filtered(at, root, ways) for root, ways in at.roots.whole.items()]
        if at.roots is None:
            inputs = [_times(one, graph.times(i, j)) for one, j in zip(inputs, nodes)]
        shaped = [one.gaussian for one in inputs].count(False)
        if shaped > 1 or shaped and (len(inputs) > 2 or at.roots is not None):  # whatever order they are listed in
            order = sorted(range(len(nodes)), key=lambda n: _size(inputs[n]))
            nodes, inputs = [nodes[n] for n in order], [inputs[n] for n in order]
        parts = [self._spread(at, one, j).of_groups(graph.owner(i, j)) for one, j in zip(inputs, nodes)]
        members, covaries = [{j} for j in nodes], 0.0
        if at.roots is not None:
            common = functools.lru_cache(None)(functools.partial(self._common, at, made_of))
            parts, members = self._joined(at, nodes, parts, common)
            covaries = common() if i in at.gates.uncorrelated and len(parts[0].cov_far) == 1 else 0.0
        terms = [[n for n, nodes in enumerate(members) if nodes & roots] for roots in made_of]
        values, cov_far, cov_site = (functools.reduce(np.add, [getattr(part, what) for part in parts])
                                     for what in ("values", "cov_far", "cov_site"))
        q = functools.reduce(np.add, [part.average for part in parts])
        means = [part.means for part in parts]
        for one, other in itertools.permutations([n for n, mean in enumerate(means) if any(mean.tolist())], 2):
            # Independent values have their means in common, wherever they are.
            a, b = (part.per_site(mean) * part.level_map for part, mean in
                    ((parts[one], means[one]), (parts[other], means[other])))
            whole, first, second = (parts[one].products(level, at.want) for level in (a + b, a, b))
            values, cov_far = values + (whole - first - second) / 2, cov_far + means[one] * means[other]
            both = parts[one].mean(a * b)
            q, cov_site = q + both, cov_site + both
        if covaries:
            level = functools.reduce(np.multiply, [part.level_map for part in parts])**(2 / len(parts))
            values[lag_zero(at.want)] += 2 * covaries * level
            q = q + 2 * covaries * parts[0].mean(level)
        sites = tuple(self._site(at, g, parts, terms) for g in range(len(q)))
        total = Moments(values, cov_far, ratio(cov_site, q), sites, parts[0].wraps)
        vars(total)["average"] = q
        if any(part.offset is not None for part in parts):
            vars(total)["offset"] = functools.reduce(np.add, [part.offset for part in parts if part.offset is not None])
        if any(part.common is not None for part in parts):
            total = total.with_common(lambda: _common(parts, means))
        return total

    def shared(self, at: Before, inputs: Sequence[Moments], after: Moments) -> Known:
        known = list(zip(*[at.shared(slot) for slot in range(len(inputs))]))
        if at.roots is not None or any(one.second[0].shape != after.second[0].shape for one in inputs):
            return (None,) * len(known)
        parts = [m.of_groups(owner[0]) for m, owner in zip(inputs, at.graph.owners[at.i])]
        times = [at.graph.times(at.i, j) for j in at.graph.sources[at.i]]
        return tuple([None if all(one is None for one in each) else patterns.of_sum(
            parts, [patterns.of_moments(m, g) if one is None else one for m, one in zip(parts, each)], times, g)
            for g, each in enumerate(known)])

    def images(self, at: Before, inputs: Sequence[Moments], after: Moments) -> Images | None:
        sources = at.graph.sources[at.i]
        known = [at.gates.images[j] for j in sources if j in at.gates.images]
        if len(known) < len(sources) or any(one.second.shape != after.second.shape for one in inputs):
            return None
        return images.of_sum(known, [at.graph.times(at.i, j) for j in sources])

    @staticmethod
    def _common(at: Before, made_of: Sequence[set[int]]) -> float:
        """E[a b] - E[a] E[b] at a site, over pairs of inputs that depend on one another and are no sums of the same.

        0 if it is not known, or negative for one of them, as where most of them cancels.
        """
        graph, total = at.graph, 0.0
        inputs = list(zip(graph.sources[at.i], made_of))
        for (one, mine), (other, theirs) in itertools.combinations(inputs, 2):
            if mine & theirs or not at.depends_on[one].meets(at.depends_on[other]):
                continue
            if (at.i, graph.sources[at.i].index(one)) in graph.one_site or (
                    at.i, graph.sources[at.i].index(other)) in graph.one_site:
                return 0.0
            found = covariance(graph, at.done, at.gates.parts, one, other)
            part = (found or 0.0) * graph.times(at.i, one) * graph.times(at.i, other)
            if part <= 0:
                return 0.0
            total += part
        return total

    @staticmethod
    def _spread(at: Before, m: Moments, j: int) -> Moments:
        """Moments of a node on the map of the sum."""
        sources = at.graph.sources[at.i]
        return at.spread(m, sources.index(j)) if j in sources else m.with_lags(at.want)

    @staticmethod
    def _filtered(at: Before, root: int, branches: Sequence[Branch]) -> Moments:
        """The values of a node through all branches that lead from it to the sum."""
        graph, m, i = at.graph, at.done[root], at.i
        assert at.roots is not None
        known = any(k != root and at.depends_on[k].meets(at.depends_on[root]) for k in at.roots.whole)
        if len(branches) == 1 and not branches[0].ops and not branches[0].norms:
            return _times(m, branches[0].factor, known)
        far = m.coupled
        centres = [far and any(graph.rules[n].centres_far for n in branch.norms) for branch in branches]
        after, kernel = gathered(m, branches, at.gates.power, centres, graph.sizes[i], at.want)
        if all(site is None for site in m.sites) and not (known and kernel.size == 1 and not any(centres)):
            return after
        q, cov_site, sites = after.average, after.cov_site, []
        for g, site in enumerate(m.sites):
            value = m.value(g) if site is None else site
            if any(centres):  # what sites share is not in all of it
                value = Joint.of((value,)).value()
                sites.append(value.times(math.sqrt(q[g] / value.second)))
            else:
                sites.append(average(value, kernel.ravel().tolist(), float(q[g]), float(cov_site[g])))
        return replace(after, sites=tuple(sites))

    @staticmethod
    def _joined(at: Before, nodes: Sequence[int], parts: Sequence[Moments], common: Callable[[], float]
                ) -> tuple[list[Moments], list[set[int]]]:
        """Functions of one source at the same site as one value; other dependent values have only moments in common.

        Also which nodes went into each.  Where `common`, their covariance at a site, is not known and gates follow,
        values on maps of one resolution are refused.
        """
        found: list[tuple[Dependence, Moments, set[int]]] = []
        for node, part in zip(nodes, parts):
            depends_on = at.depends_on[node]
            for n, (known, other, members) in enumerate(found):
                if known.meets(depends_on):
                    both = _same_site(other, part) if any(_one_value(at, node, k) for k in members) else None
                    both = both or _with_product(other, part) or _with_product(part, other)
                    if both is not None:
                        found[n] = known.joined(depends_on), both, members | {node}
                        break
                    if not at.met and (_orthogonal(at, node, known) or len(members) == 1 and all(
                            _orthogonal(at, member, depends_on) for member in members)):
                        at.gates.uncorrelated.add(at.i)
                        continue
                    if known.shares(depends_on) and any(_multiplied(v) for one in (other, part) for v in one.sites):
                        raise NotImplementedError(f"{at.graph.name(at.i)} ({at.layer.kind}): a product added to what "
                                                  f"its factors are made of: {SAMPLE}")
                    resized = any(_resizes(at.graph.ops[j]) and not all(_made_of(at, k, j) for k in (node, *members))
                                  for j in (node, *members) if j >= 0)
                    if at.gates.strict and not resized and not common():
                        raise NotImplementedError(
                            f"{at.graph.name(at.i)}: adds values of {at.graph.name(node)} and of what depends on the "
                            f"same random layer, before an activation, a norm or a pool that needs more than what each "
                            f"of them is like: {SAMPLE}")
                    at.gates.uncorrelated.add(at.i)
            else:
                found.append((depends_on, part, {node}))
        return [part for _, part, _ in found], [members for _, _, members in found]

    @staticmethod
    def _site(at: Before, g: int, parts: Sequence[Moments], terms: Sequence[Sequence[int]]) -> SiteValue:
        """The sum of the values of a group; the gates remember which input is which part of it.

        `terms` says, for each input, of which of `parts` it is made.
        """
        known = {n: part.value(g) for n, part in enumerate(parts) if part.sites[g] is not None}
        if not known:
            return None
        values, rest = list(known.values()), [part for part in parts if part.sites[g] is None]
        q, cov_site = (float(sum(getattr(part, what)[g] for part in rest)) for what in ("average", "cov_site"))
        whole = values[0] if len(values) == 1 and not q else Sum.of(values, q, cov_site).value()
        inputs = [_of_group(at, slot, g) for slot in range(len(at.graph.sources[at.i]))]
        if any(site is not None and site.source is not whole.source for site in inputs):
            found = at.gates.parts[at.i, g] = {}
            for slot, site in enumerate(inputs):
                if site is None:
                    continue
                there = [list(known).index(n) for n in terms[slot] if n in known]
                if isinstance(whole.source, Joint):
                    there = [n for n, part in enumerate(whole.source.parts) if _holds(part, site.source)][-1:]
                elif len(values) == 1 and not q:  # the sum is that value, and what it was made of are its parts
                    there = [0] if there and whole.source.parts else []
                if len(there) == 1 and _holds(whole.source.parts[there[0]], site.source):
                    found[slot] = there[0]
                else:
                    at.gates.unfollowed.add((at.i, slot))
        return whole

    def backward(self, at: Below, state: Covariance) -> Covariance:
        state = state.into_groups(at.owner, len(at.graph.groups[at.j]))
        return state.gathered() if at.gathers else state

    def factor(self, at: Below, factor: Factor) -> Factor:
        return factor.gathered() if at.gathers else factor

    def transpose(self, at: Above) -> Array:
        return at.summed(at.i, at.graph.sources[at.i])


@rule_for(Concat)
class ConcatRule(Rule):
    """Channels side by side: each input gets the gradient of its own."""

    def commutes(self, layer: Layer, ndim: int, phi: Function) -> bool:
        return True  # of one input

    def labels(self, layer: Layer, op: Linear, incoming: Sequence[Labels], channels: int, ndim: int) -> Labels:
        found, first = [], 0
        for below in incoming:
            found.append(first + below if first else below)
            first += count(below)
        return np.concatenate(found)

    def reads(self, layer: Layer, slot: int, incoming: Sequence[int], channels: int, ndim: int) -> Labels:
        first = sum(incoming[:slot])
        read = np.full((1, channels), -1)
        read[0, first:first + incoming[slot]] = np.arange(incoming[slot])
        return read

    def shared(self, at: Before, inputs: Sequence[Moments], after: Moments) -> Known:
        known = [at.gates.shared.get(j, (None,) * len(m.sites)) if m.second[0].shape == after.second[0].shape else
                 (None,) * len(m.sites) for j, m in zip(at.graph.sources[at.i], inputs)]
        return tuple(itertools.chain(*known))

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        return concatenate([at.spread(one, slot) for slot, one in enumerate(inputs)], at.i)

    def backward(self, at: Below, state: Covariance) -> Covariance:
        if state.mixing == MIXED or (state.mixing and at.j in at.plan.ones):
            raise NotImplementedError(f"a concatenation between deterministic layers that mix channels: {SAMPLE}")
        state = state if at.gathers else state.with_lags(at.lags)  # of which most are made when groups are taken apart
        state = replace(state.into_groups(at.owner, len(at.graph.groups[at.j])), uniform=None)
        return state.gathered() if at.gathers else state

    def factor(self, at: Below, factor: Factor) -> Factor:
        c_in, c_out = at.channels
        factor = factor.gathered() if at.gathers else factor
        if at.plan.channels != "explicit":
            return factor.times((c_in / c_out)**0.5)
        first = sum(at.graph.channels[k] for k in at.before)
        return replace(factor, values=factor.values[:, first:first + c_in])

    def transpose(self, at: Above) -> Array:
        graph, parts = at.graph, []
        for slot, j in enumerate(graph.sources[at.i]):
            there = graph.owners[at.i][slot][0] >= 0
            parts.append(at.spread(at.values[j], slot)[:, there])
        return np.concatenate(parts, axis=1)


def _of_group(at: Before, slot: int, g: int) -> SiteValue:
    """The value of input number `slot` in group `g` of the sum."""
    return at.done[at.graph.sources[at.i][slot]].sites[at.graph.owners[at.i][slot][0, g]]


def _size(m: Moments) -> tuple[float, ...]:
    """What tells values apart that are added, but for rounding."""
    return tuple(float(f"{float(numbers[0]):.9e}") for numbers in (m.average, m.cov_far, m.corr_site))


def _times(m: Moments, factor: float, known: bool = False) -> Moments:
    """Moments of values times a number; where `known`, Gaussian ones are that of what they were, too."""
    if factor == 1:
        return m
    sites = tuple(None if site is None and not known else m.value(g) for g, site in enumerate(m.sites))
    return replace(m, sites=sites).times(factor)


def _resizes(op: Linear) -> bool:
    """Whether a layer's map has other sites than its input's."""
    return any(not isinstance(taps, Taps) or any(g.transposed or g.stride > 1 for g in taps.geometry)
               for taps in op.taps)


def _made_of(at: Before, node: int, root: int) -> bool:
    """Whether a node is `root`, or made of its values with no random layer between."""
    waiting = [node]
    while waiting:
        j = waiting.pop()
        if j == root:
            return True
        if j > root and not at.graph.ops[j].fresh:
            waiting += at.graph.sources[j]
    return False


def _holds(part: Value, source: Source) -> bool:
    """Whether a part is a function of `source`, or of what is made of it."""
    return part.source is source or any(_holds(inner, source) for inner in part.source.parts[:1])


def _common(parts: Sequence[Moments], means: Sequence[Array]) -> Array:
    """`Moments.common` of a sum: of each part, and of their means with each other."""
    maps, one = [part.common_map for part in parts], parts[0]
    whole = functools.reduce(np.add, means)
    return one.falling(functools.reduce(np.add, [
        part.per_site(part.cov_far + mean * (whole - mean)) * each for part, mean, each in zip(parts, means, maps)]))


def _orthogonal(at: Before, node: int, other: Dependence) -> bool:
    """Whether a node is a product with a factor of mean zero of which nothing else depends: E[a b c] = E[a] E[b c]."""
    return any(not factor.meets(other) for factor in at.gates.centred.get(node, ()))


def _multiplied(site: SiteValue) -> bool:
    """Whether a value is made of a product."""
    return site is not None and (isinstance(site.source, Product) or any(map(_multiplied, site.source.parts)))


def _with_product(one: Moments, other: Moments) -> Moments | None:
    """a + a b as a (1 + b), where the second value is that in every channel group."""
    found = []
    for g in range(len(other.sites)):
        value, whole = one.value(g), other.value(g)
        if not isinstance(whole.source, Product) or len(whole.source.parts) != 2:
            return None
        scale = 1.0
        for step in whole.steps:
            if not isinstance(step, Affine) or step.b:
                return None
            scale *= step.a
        for first, factor in (whole.source.parts, whole.source.parts[::-1]):
            if first.source is value.source and first.steps == value.steps:
                found.append((value, factor.times(scale, 1.0), scale * factor.mean))
                break
        else:
            return None
    mean = np.array([each for _, _, each in found])
    values = one.values * one.per_pair(1 + 2 * mean) + other.values
    average = one.average * (1 + 2 * mean) + other.average
    cov_far, cov_site = (getattr(one, what) * (1 + 2 * mean) + getattr(other, what) for what in ("cov_far", "cov_site"))
    sites = tuple(Product.of((value, factor)).value() for value, factor, _ in found)
    return replace(one, values=values, cov_far=cov_far, corr_site=ratio(cov_site, average), sites=sites,
                   common=None)


def _one_value(at: Before, node: int, other: int) -> bool:
    """Whether nodes are functions of the value of one node at the same site: others may be as that is."""
    graph = at.graph

    def made_of(j: int) -> list[int]:
        way = [j]
        while j >= 0 and len(graph.sources[j]) == 1 and not (
                graph.ops[j].fresh or graph.ops[j].routes or graph.ops[j].fold or graph.rules[j].moves
                or graph.layers[j].draws_noise) and all(isinstance(t, Taps) and t.trivial for t in graph.ops[j].taps):
            j, = graph.sources[j]
            way.append(j)
        return way
    return not set(made_of(node)).isdisjoint(made_of(other))


def _same_site(one: Moments, other: Moments) -> Moments | None:
    """The sum of two functions of one source, where they are that in every channel group."""
    values = [(one.value(g), other.value(g)) for g in range(len(one.cov_far))]
    if any(a.source is not b.source for a, b in values):
        return None
    sites = [Joint.of((a, b)).value() for a, b in values]
    second = np.array([site.second for site in sites])
    cov_far = np.array([distant(a.rows[0], *site.rows, float(c / level)) * level for (a, _), site, c, level in
                        zip(values, sites, one.cov_far, one.level)])
    cov_site = np.array([site.cov_site for site in sites])
    return one.multiple(ratio(second, one.average), cov_far, ratio(cov_site, second), tuple(sites))
