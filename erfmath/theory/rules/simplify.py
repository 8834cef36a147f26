"""Layers that do nothing, and layers in a row that are one: networks are brought to the form that has neither.

What these are is told by the specs alone, so that one function written in several ways becomes one network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...layers import Activation, Layer, PixelShuffle, PixelUnshuffle, Scale, Shuffle, Slice
from ...layers.base import STEEPEST
from ..sweep.values import rounded
from .base import rule_of
from .constants import dead, with_constants
from .copied import each_its_own, repeats
from .factors import before_factors, into_weights
from .fusion import Row, as_one, fewer_copies, related
from .moved import shuffled_back, unmoved
from .nodes import Lists, Nodes
from .parallel import beside
from .parts import belongs_to_parts
from .pools import functions_below, pooled_already, pooled_before
from .single import alone
from .sums import flattened
from .terms import terms_of_one_map
from .traits import (before_doubling, by_channel, commutes, copies, curved, drawn, filters, homogeneous, keeps_positive,
                     lets_pass, like, linear, nothing, odd, of_copies, of_sites, passes, slope_below,
                     spares_positive, spreads)

__all__ = ["simplified"]

#: Layers in a row that another one passes at most; more of them would not fit into Python's calls within calls.
DEEPEST = 60


def simplified(lists: Lists, given: Mapping[str, Any], steady: frozenset[str], repeated: bool, first: bool) -> None:
    """Leave out nodes that do nothing, and replace layers in a row, or side by side, by one.

    Parameters
    ----------
    lists : Lists
        Changed.
    given : mapping from str to array
        Given weights.
    steady : frozenset of str
        Nodes that stay as they are: those of given weights or biases, and others.
    repeated : bool
        Whether each reader of copies of sites, and of the like, is to have its own; else they share one.
    first : bool
        Whether the network is as it was written: what is read by several nodes stays where it is on the first turn.
    """
    for turn in range(len(lists.layers)):
        before = _Simplifying(lists, given, steady, repeated, first and turn == 0)
        kept = before.run()
        if flattened(before) or repeated and each_its_own(before):
            continue
        fewer = [1 for had, has in zip(before.most, before.readers) if had > has == 1]
        if len(kept) < len(lists.layers):
            lists.take(kept)
        if not before.repeat and not fewer:
            break


class _Simplifying(Nodes):
    """One pass along the nodes.

    Attributes
    ----------
    constant : dict
        Nodes of one value, whatever comes in.
    repeat : bool
        Whether there is more to be found once all nodes have been visited.
    first : bool
        Whether none of them has been before.
    """

    def __init__(self, lists: Lists, given: Mapping[str, Any], steady: frozenset[str], repeated: bool,
                 first: bool) -> None:
        super().__init__(lists, steady)
        self.within, self.repeat, self.given, self.repeated, self.first = 0, False, given, repeated, first
        self.gated = any(layer.is_gate or layer.routes for layer in self.layers)
        self.moved = any(layer.moves_channels for layer in self.layers)
        self.products = any(layer.multiplies for layer in self.layers)
        self.constant: dict[int, float] = {}
        self.sunk: set[int] = set()  # places of factors that have gone down

    def run(self) -> list[int]:
        """The nodes that are left."""
        for i in range(len(self.layers)):
            if self.same:
                self._look_up(i)
            if i == self.last or self.names[i] in self.steady:
                self._stays(i)
            elif self.readers[i] or i == self.top:
                self._visit(i)
        return self._left()

    def _stays(self, i: int) -> None:
        name, j = self.names[i], self.sources[i][0]
        if i > self.last and dead(name, self.layers[i], self.given, self.channels[j], self.channels[i], self.ndim):
            self.constant[i] = 0.0

    def _visit(self, i: int) -> None:
        layer = self.layers[i]
        if self.constant or getattr(layer, "factor", 1) == 0:
            before = self.sources[i]
            with_constants(i, self.layers, self.sources, self.sizes, self.channels, self.constant)
            after, self.sources[i] = self.sources[i], before
            if after != before:
                self._put(i, self.layers[i], after)
        if len(self.sources[i]) > 1 and (layer.sums or layer.multiplies):
            self._twice(i)
        if len(self.sources[i]) > 1:
            if layer.multiplies:
                self._flat(i)
            if layer.joins_channels and not self.constant:
                self._side_by_side(i)
            elif layer.sums:
                self._sum(i)
        if len(self.sources[i]) == 1 and self._in_a_row(i):
            return
        if self.products and len(self.sources[i]) == 1 and not (
                isinstance(self.layers[i], Activation) and (j := self.sources[i][0]) >= 0 and self.layers[j].multiplies
                and self._one_with_above(i)) and before_factors(self, i):
            self.repeat = True
            return
        layer = self.layers[i]
        if isinstance(layer, Scale) and layer.factor > 0 and (above := self.reader.get(i)) is not None and (
                curved(self.layers[above]) or getattr(self.layers[above], "bias", False)) and into_weights(
                    self, i, layer, self.gated):  # which it does not pass
            return
        self._note(i)
        j, *others = self.sources[i]
        if not others:
            if layer.routes:
                if pooled_before(self, i):
                    return
                pooled_already(self, i)
                layer, (j,) = self.layers[i], self.sources[i]
            same = self._made_already(i) if self.readers[j] > 1 and j in self.made else None
            if same is not None:
                self._hand_on(i, same)
                return
            self.made[j] = (*self.made[j], i) if j in self.made else (i,)
        if self.moved and not (self.repeated and repeats(layer)):
            found = unmoved(i, layer, self.sources, self.channels, self.origin, self.ndim,
                            lambda j: j < i and self.readers[j] > 0 and self.sizes[j] == self.sizes[i])
            if found is not None and self.sizes[found] == self.sizes[i]:
                self._hand_on(i, found)
                return
        if isinstance(layer, Slice):
            self._apart(self.sources[i][0])
        elif isinstance(layer, (PixelShuffle, PixelUnshuffle)):
            same = shuffled_back(self, i)
            if same is not None:
                self._hand_on(i, same)

    def _apart(self, j: int) -> None:
        """A random convolution whose channels are read in parts that do not overlap as one of each part."""
        readers, layer = self.made.get(j, ()), self.layers[j]
        readers = tuple(i for i in readers if self.readers[i] and self.sources[i] == (j,))
        if not (self._inner(j) and layer.random and 1 < len(readers) == self.readers[j]):
            return
        parts: list[Any] = sorted((self.layers[i] for i in readers if isinstance(self.layers[i], Slice)),
                                  key=lambda part: part.start)
        if len(parts) < len(readers) or any(one.stop > other.start for one, other in zip(parts, parts[1:])):
            return
        (k,), whole = self.sources[j], self.channels[j]
        row = Row(layer, None, (self.sizes[k], self.sizes[j]), (self.channels[k], whole, whole), self.gated, self.ndim)
        made = [as_one(row._replace(second=self.layers[i])) for i in readers]
        for i, one in zip(readers, made):
            if one is not None:
                self._put(i, one, (k,))
                self.origin.pop(i, None)
        self.repeat = True

    def _made_already(self, i: int) -> int | None:
        """A node that is the same function of the same map."""
        (j,), layer = self.sources[i], self.layers[i]
        if drawn(layer) or self.repeated and repeats(layer):
            return None
        same = [k for k in self.made[j] if k != i and self.sources[k] == (j,) and self.readers[k]
                and self._inner(k) and like(self.layers[k], layer)]
        first = min(same, default=i)
        self.repeat = self.repeat or first > i  # once more, from the first on
        return first if first < i else None

    def _note(self, i: int) -> None:
        """What is known of the values of a node."""
        layer, inputs = self.layers[i], self.sources[i]
        square = layer.multiplies and len(set(inputs)) == 1 and len(inputs) % 2 == 0
        if self.gated and (square or keeps_positive(layer, bool(self.positive) and self.positive.issuperset(inputs))):
            self.positive.add(i)
        if layer.statistics:
            if rule_of(layer).normalises and not drawn(layer):
                self.normed[i] = layer
        elif self.normed and (layer.joins_channels or layer.moves_channels) and not isinstance(
                layer, (PixelShuffle, PixelUnshuffle)):
            norm = self.normed.get(inputs[0])
            if norm is not None and by_channel(norm) and all(like(norm, self.normed.get(j)) for j in inputs):
                self.normed[i] = norm

    # -- layers in a row ----------------------------------------------------------------------

    def _in_a_row(self, i: int) -> bool:
        """Simplify a layer of one input, alone and together with what it reads; whether it does nothing then."""
        (j,), sizes = self.sources[i], self.sizes
        layer = self.layers[i] = alone(self.layers[i], sizes[j], self.channels[j], self.ndim)
        if isinstance(layer, Scale) and layer.factor < 0 and self._of_any_sign(j):
            layer = self.layers[i] = Scale(-layer.factor)
        while not nothing(layer, self.ndim):
            one, k = None, self.sources[j][0] if j >= 0 else j
            own = len(self.sources[j]) == 1 and self._own(j)
            takes_in = own or len(self.sources[j]) == 1 and self._inner(j) and (
                not isinstance(layer, Activation) or slope_below(self.layers[j]) is not None)
            if takes_in and related(type(self.layers[j]), type(layer)):
                one = as_one(Row(self.layers[j], layer, (sizes[k], sizes[j]), (
                    self.channels[k], self.channels[j], self.channels[i]), self.gated, self.ndim))
                if one is not None and not like(one, layer) and (
                        not (own or self.layers[j].routes or isinstance(layer, Activation)) or self._common(i)
                        or self._multiplied(i)):
                    one = None
            if one is None:
                if (j in self.positive and spares_positive(layer)) or (
                        j in self.normed and layer.statistics and like(layer, self.normed[j])):
                    break  # positive, or normalised, already
                if self._into_only_part(i, j):
                    return False
                if not own or not (self._near_function(i, j) or self._exchange(i, j)):
                    return False
                (j,), layer = self.sources[i], self.layers[i]
                continue
            layer = alone(one, sizes[k], self.channels[k], self.ndim)
            self._put(i, layer, (k,))  # first, as what is below must not be without a reader meanwhile
            if own:
                self._put(j, self.layers[j], ())
            j = k
        self._hand_on(i, j)
        return i != self.top

    def _of_any_sign(self, j: int) -> bool:
        """Whether values of a node that is read once are as likely as minus these: random weights have made them."""
        while self._own(j) and len(self.sources[j]) == 1:
            layer = self.layers[j]
            if layer.random:
                return True
            if not (linear(layer) or odd(layer) or layer.draws_noise or rule_of(layer).normalises):
                break
            j, = self.sources[j]
        return False

    def _common(self, i: int) -> bool:
        """Whether all terms of a sum, or parts of a concatenation, have passed the same layers from node `i` on.

        These come after it, then.
        """
        way = [i]
        while (above := self.reader.get(way[-1])) is not None and len(self.sources[above]) == 1 and self._own(way[-1]):
            way.append(above)
        if above is None or len(self.sources[above]) < 2 or not self._own(way[-1]) or not (
                self.layers[above].sums or self.layers[above].joins_channels):
            return False
        for j in self.sources[above]:
            for layer in way[::-1]:
                if j < 0 or not self._own(j) or len(self.sources[j]) > 1 or not like(
                        self.layers[j], self.layers[layer]):
                    return False
                j = self.sources[j][0]
        return True

    def _again(self, j: int) -> None:
        """Visit a node once more, from within a visit further up."""
        self.within += 1
        self._visit(j)
        self.within -= 1

    def _exchange(self, i: int, j: int) -> bool:
        """Put a factor, or what moves or copies values, node `j`, after the layer that reads it where they commute.

        Max pools go before curved functions, of which each site has its own then, and after rectifiers.
        """
        below, layer = self.layers[j], self.layers[i]
        if self.within == DEEPEST:
            return False
        if copies(below) and self._fewer_copies(i, j):
            return True
        if layer.routes and (depth := functions_below(self, i)):
            self._pull_up(i, depth)
            self._again(self.sources[i][0])
            self._look_up(i)
            return True
        if isinstance(layer, Activation):
            if isinstance(below, Scale) and not homogeneous(layer, below.factor):
                return self._with_factor_below(i, j)
            if not isinstance(below, Scale) and (not commutes(layer, below, self.ndim) or below.routes and (
                    curved(layer) or self._one_with_above(i))):
                return False
        if isinstance(below, Scale) and homogeneous(layer, below.factor):
            size, count = self.sizes[i], self.channels[i]
        elif isinstance(layer, Activation) or of_copies(below, layer):
            size, count = (each[self.sources[j][0]] for each in (self.sizes, self.channels))
        elif isinstance(below, Activation) and self._before_gate(layer, below, self.sources[j][0]):
            size, count = self.sizes[i], self.channels[i]
        elif isinstance(layer, Slice) and (by_channel(below) and not below.takes_weights or (
                filters(below, self.ndim) and getattr(below, "channels", None) is None)):
            size, count = self.sizes[self.sources[j][0]], self.channels[i]
        elif isinstance(layer, Scale) and below.draws_noise and self.layers[self.sources[j][0]].random and (
                self._own(self.sources[j][0])) and i not in self.sunk:  # whose weights take it up, if they may
            size, count = self.sizes[i], self.channels[i]
            self.sunk.add(i)
        elif copies(below) and of_sites(layer, self.ndim):
            size, count = self.sizes[self.sources[j][0]], self.channels[i]
        elif self._goes_before(layer, below) and not self._common(i):
            size, count = self.sizes[i], self.channels[self.sources[j][0]]
        elif copies(below) and isinstance(layer, Scale) and layer.factor < 0:  # next to pools
            size, count = (each[self.sources[j][0]] for each in (self.sizes, self.channels))
        else:
            return False
        if self._waits(i):
            return False
        self._move_up(i, j, self.sources[j], size, count)
        self._again(j)
        self._look_up(i)
        return True

    def _into_only_part(self, i: int, j: int) -> bool:
        """Put layer `i` before a concatenation `j` of one map with itself, where it does the same; whether it does."""
        parts, layer = self.sources[j] if j >= 0 else (), self.layers[i]
        if not (len(parts) > 1 == len(set(parts)) and self._own(j) and self.layers[j].joins_channels) or (
                drawn(layer) or not before_doubling(layer, self.ndim)):
            return False
        self._move_up(i, j, parts[:1], self.sizes[i], self.channels[parts[0]])
        self._put(i, self.layers[i], (j,) * len(parts))
        self._again(j)
        self._look_up(i)
        return True

    def _waits(self, i: int) -> bool:
        """Whether a node stays where it is, as those that read it may be fewer once all have been visited."""
        if self.first and self.readers[i] > 1:
            self.repeat = True
            return True
        return False

    def _one_with_above(self, i: int) -> bool:
        """Whether function `i` is one with another that reads it."""
        return self._waits(i) or any(
            self._as_one(i, layer) is not None for layer, read in zip(self.layers, self.sources)
            if read == (i,) and isinstance(layer, Activation))

    def _as_one(self, k: int, layer: Layer) -> Layer | None:
        """One layer for node `k`, a function or a convolution, and a layer that reads it; None where there is none."""
        return as_one(Row(self.layers[k], layer, (self.sizes[k],) * 2, (self.channels[k],) * 3, self.gated, self.ndim))

    def _near_function(self, i: int, j: int) -> bool:
        """Put a function that is one with function `i` next to it, if what lies between commutes; whether it does."""
        if not isinstance(self.layers[i], Activation) or not lets_pass(self.layers[j]):
            return False
        between, k = [], j
        while lets_pass(self.layers[k]):
            between.append(self.layers[k])
            k, = self.sources[k]
            if not self._own(k) or len(self.sources[k]) > 1:
                return False
        if not isinstance(self.layers[k], Activation) or self._as_one(k, self.layers[i]) is None or not passes(
                self.layers[k], between, self.ndim):
            return False
        self._pull_up(j, len(between))
        return True

    def _fewer_copies(self, i: int, j: int) -> bool:
        """Let pool `i` read fewer copies of sites, where as many will do; whether it does."""
        fewer = fewer_copies(self.layers[j], self.layers[i], self.ndim)
        if fewer is None:
            return False
        self.layers[j], self.layers[i] = fewer
        self.sizes[j] = tuple(None if n is None else g.stride * n for n, g in zip(
            self.sizes[self.sources[j][0]], fewer[0].geometry(self.ndim)))
        return True

    def _before_gate(self, layer: Layer, gate: Activation, k: int) -> bool:
        """Whether a layer goes before an activation of node `k`: where that is a convolution that it is one with."""
        if isinstance(layer, Scale):
            return layer.factor == -1 and odd(gate)
        return isinstance(layer, (PixelShuffle, PixelUnshuffle)) and self._own(k) and self.layers[k].random and (
            self._as_one(k, layer) is not None)

    def _with_factor_below(self, i: int, j: int) -> bool:
        """Put activation `i` and the factor `j` below it before what lies below both, where all of them commute."""
        k, factor = self.sources[j][0], getattr(self.layers[j], "factor")
        if not self._own(k) or len(self.sources[k]) > 1 or not homogeneous(self.layers[k], factor) or (
                self.layers[k].routes and curved(self.layers[i])):
            return False
        source, gates = self.sources[k][0], isinstance(self.layers[k], Activation)
        if not (gates and self._as_one(k, self.layers[i]) or commutes(self.layers[i], self.layers[k], self.ndim)):
            return False
        self._move_up(j, k, (source,), self.sizes[source], self.channels[source])
        if gates:  # next to one that it is one with
            return True
        self._move_up(i, j, (k,), self.sizes[k], self.channels[k])
        self._again(j)
        self._look_up(i)
        return True

    # -- layers side by side ------------------------------------------------------------------

    def _twice(self, i: int) -> None:
        """Inputs that are the same function of one node as one of them; a sum of nothing else as a multiple."""
        first: list[int] = []
        for j in self.sources[i]:
            layer = self.layers[j]
            same = next((k for k in first if k != j and self._inner(k) and self._own(j) and self.sources[k] == (
                self.sources[j]) and not (drawn(layer) or self.repeated and repeats(layer))
                and like(layer, self.layers[k])), j)
            first.append(same)
        if first and tuple(first) != self.sources[i]:
            gone = set(self.sources[i]).difference(first)
            self._put(i, self.layers[i], tuple(first))
            for j in gone:
                self._put(j, self.layers[j], ())
        if self.layers[i].sums:
            if [1 for j in self.sources[i] if self.readers[j] == 1 and type(self.layers[j]) in (Activation, Scale)]:
                self._rectified(i)
        if self.layers[i].sums:
            parts = [(self.sources[j][0], self.layers[j]) if isinstance(self.layers[j], Scale) and self._own(j) else
                     (j, None) for j in self.sources[i]]
            factor = sum(1.0 if scale is None else getattr(scale, "factor") for _, scale in parts)
            if len({j for j, _ in parts}) == 1 and abs(factor) > 1e-6:
                for j in {j for j, (_, scale) in zip(self.sources[i], parts) if scale is not None}:
                    self._put(j, self.layers[j], ())
                self._put(i, Scale(rounded(factor)), (parts[0][0],))

    def _rectified(self, i: int) -> None:
        """Terms that are rectifiers of one node, times factors, as one rectifier times a factor."""
        terms: dict[int, list[tuple[int, tuple[float, float], list[int]]]] = {}
        for j in self.sources[i]:
            base, slopes, nodes = self._slopes(j)
            terms.setdefault(base, []).append((j, slopes, nodes))
        for base, some in terms.items():
            nodes = sorted({k for _, _, way in some for k in way})
            above, below = (rounded(sum(slopes[side] for _, slopes, _ in some)) for side in (0, 1))
            whole = len(terms) == 1 or above == 1
            if len(some) < 2 or not any(isinstance(self.layers[k], Activation) for k in nodes) or abs(above) < 1e-6 or (
                    abs(below) > STEEPEST * abs(above)) or not (whole or len(nodes) > 1):
                continue
            at, gone = nodes[-1] if whole else nodes[-2], {j for j, _, _ in some}
            end = at if above == 1 else i if whole else nodes[-1]
            kept = tuple(j for j in self.sources[i] if j not in gone)
            self._put(i, Scale(above), (at,)) if end == i else self._put(i, self.layers[i], (*kept, end))
            for k in nodes:
                self._put(k, self.layers[k], ())
            self._put(at, Activation("leaky_relu", slope=rounded(below / above)), (base,))
            if end not in (i, at):
                self._put(end, Scale(above), (at,))
            self.positive.difference_update(nodes)
            self._again(at)
            self._look_up(i if end in (i, at) else end)
            if end != i:
                self._look_up(i)

    def _sum(self, i: int) -> None:
        """A factor of all terms after a sum; convolutions of one map as one, as norms tell what channels are like."""
        for j in self.sources[i]:
            if self._own(j) and copies(self.layers[j]) and self._own(k := self.sources[j][0]) and isinstance(
                    self.layers[k], Scale):  # a sign
                self._pull_up(j, 1)
        if any(isinstance(self.layers[j], Scale) for j in self.sources[i]):
            self._raise(self.sources[i], only_linear=True)
        first = self.layers[self.sources[i][0]]
        if linear(first) and self._alike(self.sources[i], isinstance(first, Shuffle)):
            place = self._after(i)
            self._visit(place)
            self._look_up(i)
            return
        if terms_of_one_map(self, i, self.first):
            self.repeat = True

    def _side_by_side(self, i: int) -> None:
        """Take layers that do the same with each channel out of all inputs of a concatenation, one below the other."""
        way, before = [i], None
        while before != (before := self.sources[way[-1]]):
            self._flat(way[-1])
            self._as_one_beside(way[-1])
            self._raise(self.sources[way[-1]])
            if self._alike(self.sources[way[-1]]):
                way.append(self._after(way[-1]))
        for reader, j in zip(way[-2::-1], way[:0:-1]):  # from the concatenation up
            self._visit(j)
            self._look_up(reader)

    def _raise(self, level: tuple[int, ...], only_linear: bool = False) -> None:
        """Let all nodes end with one layer, where those that do not have it below what it commutes with."""
        tops = [self.layers[j] for j in level if self._only_in(level, j) and len(self.sources[j]) == 1]
        if len(tops) < len(level) or all(like(tops[0], one) for one in tops):
            return
        for layer in tops:
            if layer.random or only_linear and not linear(layer) or belongs_to_parts(layer, level, self.lists):
                continue
            depths = {j: self._depth(j, layer, level) for j in level}
            if None not in depths.values():
                for j, depth in depths.items():
                    self._pull_up(j, depth or 0)
                return

    def _depth(self, j: int, layer: Layer, level: tuple[int, ...]) -> int | None:
        """How many layers, with which it commutes, lie between node `j` and one like `layer`; None if there is none."""
        depth = 0
        while (self._own(j) if depth else self._only_in(level, j)) and len(self.sources[j]) == 1:
            if like(layer, self.layers[j]):
                return depth
            if not self._passes(layer, self.layers[j]):
                break
            depth, j = depth + 1, self.sources[j][0]
        return None

    def _passes(self, layer: Layer, above: Layer) -> bool:
        """Whether a layer may as well come after the one above it."""
        if isinstance(above, Scale):
            return homogeneous(layer, above.factor)
        if isinstance(layer, Activation):
            return commutes(layer, above, self.ndim)
        return of_copies(above, layer) or self._goes_before(layer, above)

    def _goes_before(self, layer: Layer, below: Layer) -> bool:
        """Whether a filter of each channel may as well read what a layer of random weights of single sites reads."""
        return below.random and filters(layer, self.ndim) and spreads(layer, self.ndim) and of_sites(below, self.ndim)

    def _pull_up(self, j: int, depth: int) -> None:
        """Put what lies so many layers below node `j` there."""
        if depth:
            k = self.sources[j][0]
            self._pull_up(k, depth - 1)
            source = self.sources[k][0]
            like = source if isinstance(self.layers[j], Scale) else j
            self._move_up(j, k, (source,), self.sizes[like], self.channels[like])

    def _after(self, i: int) -> int:
        """Take one layer out of all inputs of node `i`; where `i` has moved to."""
        level, place = self.sources[i], max(self.sources[i])
        below = tuple(self.sources[j][0] for j in level)
        self._move_up(i, place, below, self.sizes[below[0]], self.channels[i])
        for j in level:  # last, as what is below must not be without a reader meanwhile
            if j != place:
                self._put(j, self.layers[j], ())
        return place

    def _flat(self, i: int) -> None:
        """Concatenations in a concatenation, or products in a product, as parts of it."""
        inputs, kind = self.sources[i], type(self.layers[i])
        inner = [j for j in inputs if self._own(j) and isinstance(self.layers[j], kind) and (
            self.layers[i].joins_channels or (self.sizes[j], self.channels[j]) == (self.sizes[i], self.channels[i]))]
        if not inner:
            return
        flat: list[int] = []
        for j in inputs:
            flat += self.sources[j] if j in inner else (j,)
        self._put(i, self.layers[i], tuple(flat))

    def _as_one_beside(self, i: int) -> None:
        """Parts of one map next to one another, or convolutions of it that differ in their numbers of channels, as one.
        """
        found: list[int] = []
        for j in self.sources[i]:
            place = self._one_beside(found[-1], j) if found else None
            if place is None:
                found.append(j)
            else:
                found[-1], self.repeat = place, True
        if len(found) < len(self.sources[i]):
            self._put(i, self.layers[i], tuple(found))

    def _one_beside(self, k: int, j: int) -> int | None:
        """The node that holds parts `k` and `j`, or functions of such parts, as one, where they can be."""
        if k == j or not (self._own(j) and self._own(k)):
            return None
        place, whole, below = max(j, k), None, self.sources[k][0]
        if self.sources[j] == self.sources[k]:
            whole = beside(self.layers[k], self.layers[j], (self.channels[below], self.channels[k], self.channels[j]))
        elif isinstance(self.layers[k], Activation) and like(self.layers[k], self.layers[j]):
            both = self._one_beside(below, self.sources[j][0])
            whole, below = (None, below) if both is None else (self.layers[k], both)
        if whole is None:
            return None
        self._put(place, whole, (below,))
        self._put(min(j, k), self.layers[k], ())
        self.channels[place] = self.channels[j] + self.channels[k]
        self.origin.pop(place, None)
        return place

    def _only_in(self, level: tuple[int, ...], j: int) -> bool:
        """Whether one of these nodes is only read here: once, or more often if it may as well come after all of them.
        """
        layer, times = self.layers[j], level.count(j)
        return self._own(j, times) and (times == 1 or not drawn(layer) and (
            times < len(level) or not before_doubling(layer, self.ndim)))

    def _alike(self, level: tuple[int, ...], each: bool = False) -> bool:
        """Whether nodes are one layer that does the same with each channel, of maps of one size, and only read here.

        `each` says so of others.
        """
        if not all(self._only_in(level, j) and len(self.sources[j]) == 1 for j in level):
            return False
        first, below = self.layers[level[0]], [self.sources[j][0] for j in level]
        if belongs_to_parts(first, below, self.lists, self.positive):
            return False
        each = each or by_channel(first) or filters(first, self.ndim)
        return (each and len({self.sizes[j] for j in below}) == 1
                and all(like(first, self.layers[j]) and self.channels[j] == self.channels[k]
                        for j, k in zip(level, below)))
