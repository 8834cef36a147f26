"""What is known of gradients, and how it is handed on: simulated paths, equal functions, sweeps of all kinds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import REWRITE, ROUNDING, Tolerance, assert_close, z_bound

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.theory.rules import functions as activations
from erfmath.theory.sweep import backward, conditioning, sources, values
from erfmath.theory.sweep.backward import _Sweep, prepared
from erfmath.theory.sweep.conditioning import MOST, Conditioned, conditional, conditioned_gain, passed, spanned
from erfmath.theory.sweep.inputs import InputModel
from erfmath.theory.sweep.plan import Edge, Graph
from erfmath.theory.sweep.sources import Dropped, Joint, Largest, Standardised, Sum
from erfmath.theory.sweep.values import Gaussian, Known, Nodes, Value

Array = Any

R, G1 = em.Activation("relu"), em.Random(gain=1)
RELU = activations.function(R)
#: Sums whose parts share nothing, and those that do.
ALONE, SHARED = Tolerance(1e-6, 0.0), Tolerance(5e-3, 0.0)


def rectified(q: float = 1.0, c: float = 0.0) -> Value:
    return Gaussian.of(q, c).value().through(RELU)


def conv(kernel: int = 3, gain: float = 2.0) -> em.Conv:
    return em.Conv(kernel, 16, weights=em.Random(gain=gain))


# ---------------------------------------------------------------------------------------------
# gates along an identity, simulated
# ---------------------------------------------------------------------------------------------

#: q and c of the Gaussian that a stream begins with, then of each branch.
RUNS = {
    "normalised": [(1.0, 0.0)] * 5,
    "falling": [(4.0, 0.0), (1.0, 0.0), (0.3, 0.0), (0.1, 0.0)],
    "shared start": [(1.0, 0.4), (1.0, 0.0), (1.0, 0.0), (1.0, 0.0)],
    "shared all along": [(1.0, 0.4), (1.0, 0.3), (2.0, 0.5), (1.0, 0.7)],
    "weak branches": [(4.0, 1.0), (0.3, 0.0), (0.3, 0.1), (0.3, 0.0)],
}


def streamed(run: list[tuple[float, float]]) -> list[Value]:
    """x_0 = relu(z), x_k = relu(x_(k-1) + f_k)."""
    stream = [rectified(*run[0])]
    for q, c in run[1:]:
        stream.append(Sum.of([stream[-1]], q, c).value().through(RELU))
    return stream


def open_together(stream: list[Value], first: int, last: int) -> float:
    """P(gates first..last open), by what is known of a gradient that enters at the last."""
    known: Known | None = stream[last].entry
    chance = stream[last].squared_slope
    for k in range(last - 1, first - 1, -1):
        assert known is not None
        (known, power, _), = passed((known,), stream[k + 1].source, 0, stream[k])
        chance *= power * stream[k].squared_slope
    return chance


def simulated(run: list[tuple[float, float]], draws: int, rng: np.random.Generator) -> dict[tuple[int, int], Array]:
    """Whether gates first..last are open, at two sites that share what sites of a channel do."""
    def pair(q: float, c: float) -> Array:
        return math.sqrt(c) * rng.standard_normal(draws) + math.sqrt(q - c) * rng.standard_normal((2, draws))

    x, opened = np.zeros((2, draws)), []
    for q, c in run:
        x = x + pair(q, c)
        opened.append(x > 0)
        x = np.maximum(x, 0)
    return {(m, k): np.logical_and.reduce(opened[m:k + 1]).mean(axis=0)
            for m in range(len(run)) for k in range(m, len(run))}


@pytest.mark.parametrize("name", RUNS)
def test_gates_along_an_identity(name: str) -> None:
    stream = streamed(RUNS[name])
    sampled = simulated(RUNS[name], 400_000, np.random.default_rng(7))
    bound = z_bound(len(sampled))
    for (first, last), outcomes in sampled.items():
        error = bound * outcomes.std() / math.sqrt(outcomes.size)
        got, room = open_together(stream, first, last), SHARED.rtol if any(c for _, c in RUNS[name]) else ALONE.rtol
        assert abs(got - outcomes.mean()) <= room * outcomes.mean() + error, (first, last)


def test_marginal_gates_are_not_enough() -> None:
    """The effect that all this is there for: what passes one gate passes the next more often."""
    stream = streamed(RUNS["normalised"])
    assert open_together(stream, 0, 3) > 1.5 * math.prod(value.squared_slope for value in stream[:4])


@pytest.mark.parametrize("wrong", ["sign of a kernel", "spread in place of its square", "no normalisation",
                                   "slope in place of its square", "gate forgotten"])
def test_planted_faults_are_seen(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The joint gate of one block, 3/8 at q = 1, is off by more than a hundred tolerances."""
    def joint(q: float) -> float:
        return open_together(streamed([(1.0, 0.0), (q, 0.0)]), 0, 1)

    q = 0.77  # of which nothing is remembered
    expected = 0.25 + math.asin(1 / math.sqrt(1 + q)) / (2 * math.pi)
    assert_close(joint(q), expected, ALONE)
    q, subtract = 0.771, np.subtract.outer

    def kernel(off: float) -> None:
        class Faulty:
            outer = staticmethod(lambda a, b: subtract(a, b) + off * a[:, None])
        fake = type("Numpy", (), {"__getattr__": lambda self, name: getattr(np, name), "subtract": Faulty})()
        monkeypatch.setattr(sources, "np", fake)
    if wrong == "sign of a kernel":
        kernel(-2.0)
    elif wrong == "spread in place of its square":
        monkeypatch.setattr(sources.Sum, "of", staticmethod(lambda parts, q, c, made=Sum.of: made(parts, q**0.5, c)))
    elif wrong == "no normalisation":
        monkeypatch.setattr(values, "normalised", lambda table, p: (table, table @ p))
    elif wrong == "slope in place of its square":
        monkeypatch.setattr(Value, "_slopes_at", lambda self, nodes: np.stack([self.at(nodes.u), self.slope(nodes.u)]))
    else:
        monkeypatch.setattr(Value, "entry", property(lambda self: Known(self.nodes, np.ones((2, len(self.nodes.u))))))
    expected = 0.25 + math.asin(1 / math.sqrt(1 + q)) / (2 * math.pi)
    assert abs(joint(q) / expected - 1) > 100 * ALONE.rtol


# ---------------------------------------------------------------------------------------------
# passages
# ---------------------------------------------------------------------------------------------

PASSAGES: dict[str, tuple[Value, Value]] = {
    "sum": (Sum.of([rectified()], 0.8, 0.0).value(), rectified()),
    "sum of two": (Sum.of([rectified(), rectified(2.0)], 0.8, 0.0).value(), rectified()),
    "sum on a lattice": (Sum.of([rectified(), rectified(2.0)], 0.0, 0.0).value(), rectified()),
    "pool": (Largest.of(rectified(), 4).value(), rectified()),
    "norm": (Standardised.of(rectified()).value(), rectified()),
    "functions of one source": (Joint.of((rectified(), Gaussian.of(1.0, 0.0).value())).value(), rectified()),
}


@pytest.mark.parametrize("name", PASSAGES)
def test_what_is_known_has_mean_one_and_power_is_kept(name: str) -> None:
    """E[h slope^2] is the same before and after, and h has mean one."""
    above, below = PASSAGES[name]
    known = above.times(1.0, -0.5).through(RELU).entry
    assert_close(known.table @ known.nodes.p, [1.0, 1.0], ROUNDING)
    (after, power, pairs), = passed((known,), above.source, 0, below)
    assert after is None  # what a Gaussian is made of is not known
    nodes, table = above.source.pull(0, known.nodes, known.table)
    slope = below.slope(nodes.u)
    assert_close(power, nodes.p @ (table[0] * slope**2) / (nodes.p @ slope**2), REWRITE)
    assert_close(pairs, (nodes.p @ (table[1] * slope) / (nodes.p @ slope))**2, REWRITE)


def test_nothing_known_gains_nothing() -> None:
    """Where h is one a sum hands on one; a pool hands on how much oftener winners are active."""
    for above, gain in ((Sum.of([rectified()], 0.8, 0.0).value(), 1.0), (Largest.of(rectified(), 4).value(), 15 / 8),
                        (Dropped.of(rectified(), 0.5).value(), 1.0)):
        ones = Known(above.nodes, np.ones((2, len(above.nodes.u))))
        (_, power, _), = passed((ones,), above.source, 0, rectified())
        assert_close(power, gain, Tolerance(1e-8, 0.0))


def test_parts_of_one_gradient_go_together() -> None:
    """As one by one, and each is found again in its place."""
    above, below = PASSAGES["sum"]
    one, other = above.through(RELU).entry, above.times(1.0, -0.5).through(RELU).entry
    other = Known(one.nodes, np.stack([np.exp(-one.nodes.u), np.ones(len(one.nodes.u))]))
    both = passed((one, other, one), above.source, 0, below)
    alone = [passed((known,), above.source, 0, below)[0] for known in (one, other, one)]
    assert_close([part[1:] for part in both], [part[1:] for part in alone], REWRITE)
    assert both[0] == both[2]


# ---------------------------------------------------------------------------------------------
# graphs
# ---------------------------------------------------------------------------------------------

def ready(net: em.Network, **options: Any) -> tuple[Graph, Any]:
    graph = Graph.of(net, RunSettings.of(net, **options), lean=False)
    return graph, prepared(graph, False, InputModel())


def handed(net: em.Network, node: str, knowns: Any = None) -> list[list[Any]]:
    """What node `node` hands to its first input, of a gradient of which its value's entry is known."""
    graph, (_, gates) = ready(net, channels_in=16, ndim=1)
    i = graph.names.index(node)
    start = conditioning.entry(gates.sites[i]) if knowns is None else knowns
    return conditioning.handed(graph, gates, Edge(i, 0), graph.sources[i][0], [start])


def test_layers_that_do_nothing_hand_on_the_very_same() -> None:
    net = em.serial(conv(), R, em.residual(conv()), em.Identity("nothing"), em.Pad(0, name="none"), R, conv(), R)
    graph, (_, gates) = ready(net, channels_in=16, ndim=1)
    known = gates.sites[graph.names.index("relu2")][0].entry
    for name in ("nothing", "none"):
        (one,), = handed(net, name, (known,))
        assert one.knowns == (known,) and one.knowns[0] is known
        assert (one.power == 1).all() and (one.pairs == 1).all()


NOTHINGS: dict[str, Callable[[], Any]] = {
    "identity": em.Identity, "scale of one": lambda: em.Scale(1.0), "pad of none": lambda: em.Pad(0),
    "dropout of none": lambda: em.Dropout(0.0), "activation": lambda: em.Activation("identity"),
    "slope of one": lambda: em.Activation("leaky_relu", slope=1.0), "pool of one": lambda: em.MaxPool(1),
    "concatenation of one": lambda: em.concat(em.Identity()),
}


@pytest.mark.parametrize("image", [None, 12])
@pytest.mark.parametrize("name", NOTHINGS)
def test_layers_that_do_nothing_change_nothing(name: str, image: int | None) -> None:
    """Wherever they are."""
    def net(*extra: Any) -> em.Network:
        block = em.serial(em.residual(em.serial(conv(), em.BatchNorm(), *extra), em.serial(*extra) if extra else None),
                          *extra, R)
        return em.serial(conv(), *extra, R, *extra, block, *extra, em.MaxPool(2), *extra, block, conv())
    plain, more = (em.predict(one, ndim=1, image=image, channels_in=16) for one in (net(), net(NOTHINGS[name]())))
    assert_close(more.map, plain.map, ROUNDING if name in ("identity", "pad of none") else REWRITE)


def test_rectifying_twice_is_rectifying_once() -> None:
    once, twice = (em.predict(em.serial(conv(), *[R] * n, conv()), ndim=1) for n in (1, 3))
    assert_close(twice.map, once.map, REWRITE)


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_chains_are_the_sweep_far_from_borders(blocks: int, shared: float) -> None:
    """`conditioned_gain` of a chain, against the backward sweep over an image."""
    leaky = em.Activation("leaky_relu", slope=0.3)
    part = [conv(), R, em.Dropout(0.2), em.MaxPool(2), em.Scale(0.7), R, em.AvgPool(1), leaky]
    net = em.serial(*part * blocks, conv())
    graph, (plan, gates) = ready(net, ndim=1)
    assert conditioned_gain(graph, gates) != 0
    plane = em.predict(net, ndim=1, input_moments=(1.0, shared))
    image = em.predict(net, ndim=1, input_moments=(1.0, shared), image=160)
    assert_close([plane.total, plane.std[0]], [image.total, image.std[0]], REWRITE)


def test_a_gradient_of_nothing_known_is_one_part() -> None:
    """Of a sum's branches each new block adds a part, where the value of a site is known from the start."""
    def parts(blocks: int) -> int:
        net = em.serial(conv(), R, *[em.serial(em.residual(conv()), R) for _ in range(blocks)], conv())
        graph, (plan, gates) = ready(net, channels_in=16, ndim=1)
        counts, collect = [], _Sweep._collect

        def counting(self: Any, i: int, arrived: Any) -> Any:
            state = collect(self, i, arrived)
            counts.append(len(state.parts) if isinstance(state, Conditioned) else 1)
            return state
        sweep = _Sweep(graph, False, plan, gates)
        sweep._collect = counting.__get__(sweep)  # type: ignore[method-assign]
        sweep.run((0,))
        return max(counts)
    assert [parts(n) for n in (1, 2, 3)] == [1, 2, 3]


# ---------------------------------------------------------------------------------------------
# channel groups
# ---------------------------------------------------------------------------------------------

def test_groups_of_a_concatenation_are_known_apart() -> None:
    """A gate after a concatenation: channels that were rectified pass, others with probability one half."""
    net = em.serial(em.concat(em.serial(conv(), R), conv()), R, conv(gain=1.0))
    whole = em.predict(net, ndim=1)
    apart = em.predict(em.serial(em.concat(em.serial(conv(), R), em.serial(conv(), R)), conv(gain=1.0)), ndim=1)
    assert_close(whole.map, apart.map, REWRITE)


def test_parts_of_one_group_that_are_known_differently() -> None:
    """Two groups that a sum made of one: two items, whose gains are those of one each and 0 of the other."""
    nodes = Nodes(np.zeros(1), np.ones(1))
    one, other = (Known(nodes, np.ones((2, 1))) for _ in range(2))
    found = [(one, 1.5, 1.2), (other, 0.5, 0.25), (one, 2.0, 3.0), (None, 1.0, 1.0)]
    items = conditioning._apart(found, [0, 0, 0, -1], 1)
    assert [item.knowns for item in items] == [(one,), (other,)]
    assert_close([item.power for item in items], [[1.5, 0, 2.0, 1.0], [0, 0.5, 0, 0]], ROUNDING)
    assert_close([item.pairs for item in items], [[1.2, 0, 3.0, 1.0], [0, 0.25, 0, 0]], ROUNDING)


def test_a_stream_through_groups_of_different_branches() -> None:
    """relu(x + [a, b]) with a Gaussian beside a rectified branch: half the channels each, known exactly."""
    half = em.Conv(1, 8, weights=em.Random(gain=1.0))
    rest = em.Conv(1, 8, weights=em.Random(gain=1.0))
    net = em.serial(em.Conv(1, 16, weights=G1), R, em.add(
        em.Identity(), em.concat(half, em.serial(rest, R))), R, em.Conv(1, 16, weights=G1))
    s2 = 0.5  # of what a convolution of gain 1 makes of relu(z), Var z = 1
    both = 0.25 + math.asin(1 / math.sqrt(1 + s2)) / (2 * math.pi)
    # Gaussian: identity `both`, branch both + 1/4, times the gate of 1/2 below; rectified: 1/2 each, 1/2 below.
    expected = ((both + (both + 0.25) / 2) + (0.5 + 0.5 / 2)) / 2
    assert_close(em.predict(net, channels_in=16, ndim=1).total, expected, Tolerance(2e-4, 0.0))


def test_conditional() -> None:
    assert not conditional([None, Gaussian.of(1.0, 0.0).value(), rectified()])
    assert conditional([None, Largest.of(rectified(), 2).value()])


def test_tables_that_others_span_go_with_them() -> None:
    """Of random combinations of four tables, each of mean 1."""
    rng, count = np.random.default_rng(3), MOST + 2
    nodes = Nodes(np.linspace(-1, 1, 50), np.full(50, 1 / 50))
    base = rng.random((4, 2, 50))
    base /= (base @ nodes.p)[..., None]
    mix = rng.random((count, 4))
    mix /= mix.sum(axis=1, keepdims=True)
    tables = np.einsum("kn,nfu->kfu", mix, base)
    found = spanned([(Known(nodes, table),) for table in tables])
    assert found is not None and len(found[0]) == 4
    assert_close(np.einsum("kn,nfu->kfu", found[1], tables[found[0]]), tables, Tolerance(1e-11, 0.0))
    assert spanned([(Known(nodes, table),) for table in tables[:MOST - 1]]) is None
    assert spanned([(Known(nodes, table),) for table in rng.random((count, 2, 50))]) is None
    assert spanned([(None,)] * count) is None


@pytest.mark.slow
def test_streams_of_many_blocks_as_with_all_their_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    block = em.serial(em.residual(em.serial(em.Conv(3, 16), em.BatchNorm())), R)
    net = em.serial(em.Conv(3, 16), em.repeat(block, MOST + 5))
    fewer = em.predict(net, ndim=1).map
    monkeypatch.setattr(backward, "MOST", 10**6)
    assert_close(em.predict(em.Network.from_dict(net.to_dict()), ndim=1).map, fewer, Tolerance(1e-11, 0.0))
