"""Networks of the whole vocabulary with given weights: independent gates against a Monte Carlo of its own.

The other half: numbers of two values, three times as often on one side as on the other, and winners of pools that are
drawn, where the package has random signs and closed forms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import erfmath as em
from erfmath.empirics.arrays import place
from erfmath.empirics.plan import make_plan
from erfmath.empirics.rules import rule_of
from erfmath.empirics.sampling import parameters_of
from erfmath.networks.settings import RunSettings
from erfmath.trained import independent
from erfmath.trained.circuit import Circuit, channels_of
from erfmath.trained.predicted import _gate, _Parts
from erfmath.trained.slopes import Bins, Gate, Routes, Slopes

Array = Any
FUNCTIONS = ("relu", "leaky_relu", "hardswish", "relu6", "silu", "gelu", "tanh", "sigmoid", "hardsigmoid", "elu",
             "mish", "selu", "celu", "softplus", "prelu", "gelu_tanh")
C = 4


def part(rng: np.random.Generator) -> Any:
    """One block that leaves C channels."""
    def act() -> Any:
        return em.Activation(str(rng.choice(FUNCTIONS)))

    def unit(**options: Any) -> Any:
        return em.serial(em.Conv(3, C, **options), em.BatchNorm(), act())
    gate = em.Activation(str(rng.choice(["sigmoid", "hardsigmoid", "tanh"])))
    padding = str(rng.choice(["zeros", "reflect", "replicate", "circular"]))
    choices = (
        em.serial(em.Conv(3, C, padding_mode=padding), act()), unit(stride=2), em.AvgPool(2), em.MaxPool(2),
        em.residual(em.serial(unit(), em.Conv(3, C))), em.MaxPool(3, 2, 1), em.MaxPool(3, 1, 1),
        em.serial(em.residual(em.serial(em.Conv(3, C), em.BatchNorm())), act()),
        em.serial(em.concat(em.serial(em.Conv(1, 2), act()), em.Identity()), em.Conv(1, C)),
        em.serial(em.Upsample(2, str(rng.choice(["nearest", "bilinear"]))), em.Conv(3, C), act()),
        em.serial(em.ConvTranspose(2, C, stride=2), act()),
        em.multiply(em.Identity(), em.serial(em.GlobalAvgPool(), em.Conv(1, 2), act(), em.Conv(1, C), gate)),
        em.multiply(em.Conv(1, C), em.serial(em.Conv(1, C), gate)),
        em.multiply(em.Identity(), em.serial(em.Conv(1, 1), gate)),
        em.serial(em.Conv(3, C), em.Shuffle(2), act(), em.Conv(3, C, groups=2)),
        em.serial(em.Conv(1, 2 * C), em.multiply(em.Slice(0, C), em.Slice(C, 2 * C))),
        em.serial(em.Conv(1, C), em.multiply(em.Identity(), gate)), em.serial(em.Conv(3, C), em.GRN(gamma=0.5)),
        em.serial(em.Conv(3, C), em.Dropout(0.3), act()), em.serial(em.AdaptiveMaxPool(3), em.Conv(1, C)),
        em.serial(em.Conv(3, C, groups="depthwise"), em.BatchNorm(), em.Activation("hardswish"), em.Conv(1, C)),
        em.serial(em.Conv(3, C), em.GroupNorm(2), act(), em.Conv(1, C)),
        em.serial(em.Conv(3, C), em.Scale(-0.7), act(), em.Pad(1), em.Conv(3, C, padding="valid")),
        em.MaxPool(3, 2, ceil_mode=True), em.AvgPool(3, 2, 1, ceil_mode=True, count_include_pad=False),
        em.MaxPool(2, 1, dilation=2), em.serial(em.PixelUnshuffle(2), em.Conv(3, C), act()),
        em.serial(em.Conv(3, C), em.LayerNorm(), act(), em.Conv(1, C)),
        em.serial(em.Conv(3, C), em.InstanceNorm(), act(), em.Conv(1, C)),
        em.serial(em.Conv(3, C), em.RMSNorm(), act(), em.Conv(1, C)),
        em.serial(em.ConvTranspose(3, C, stride=2, padding=1, output_padding=1, groups=2), em.BatchNorm(), act()),
        em.serial(em.Upsample(size=11, mode="bilinear", align_corners=True), em.Conv(3, C, dilation=2), act()),
        em.serial(em.Upsample(2, "bicubic"), em.AvgPool(2), act(), em.Conv(1, C)),
        em.serial(em.Conv(5, C, stride=3, padding=2), act(), em.AdaptiveAvgPool(4)),
        em.serial(em.Conv(4, C, stride=2, padding=1), act(), em.Pad(2, mode="reflect"), em.Conv(3, C)),
        em.concat(em.serial(em.Slice(0, C // 2), unit(), em.Slice(1, 3)), em.Slice(C // 2, C)),
        em.residual(em.serial(act(), em.Conv(3, C), act(), em.Conv(3, C), em.Scale(0.5))),
        em.serial(em.Conv(3, 2, groups=2), em.Softmax(2), em.Conv(1, C)))
    return choices[int(rng.integers(len(choices)))]


def draw(seed: int) -> tuple[em.Network, tuple[int, ...], tuple[int, ...], np.random.Generator]:
    """A network, its image and a unit."""
    rng = np.random.default_rng(seed)
    image = (int(rng.integers(12, 24)),) if rng.random() < 0.5 else (int(rng.integers(8, 13)),) * 2
    while True:
        parts = [part(rng) for _ in range(int(rng.integers(1, 5)))]
        net = em.serial(em.Conv(3, C), *parts, em.Conv(1, int(rng.choice([1, 3]))))
        try:
            shape = net.shapes(image)[net.output]
        except ValueError:  # a map that is smaller than a window
            continue
        return net, image, tuple(int(rng.integers(n)) for n in shape), rng


def given(net: em.Network, ndim: int, rng: np.random.Generator) -> dict[str, Array]:
    """Arrays of all nodes that take some; batch norms with running statistics."""
    found: dict[str, Array] = {}
    known: dict[int, dict[str, Any]] = {}
    for (i, name), parameter in parameters_of(net, ndim, C, 2).items():
        known.setdefault(i, {})[name] = parameter
    for i, parameters in known.items():
        names = rule_of(net.nodes[i].layer).stacked(net.nodes[i].layer)
        if "kernel" in parameters and parameters["kernel"].random:
            found[net.names[i]] = parameters["kernel"].draw(rng)
        elif names and "kernel" not in names:
            rows = {name: rng.normal(0, 0.4, parameters[name].shape) for name in names}
            rows |= {name: np.abs(rows[name]) + 0.5 for name in names if name in ("scale", "variance")}
            found[net.names[i]] = np.stack(list(rows.values())) if len(rows) > 1 else rows[names[0]]
    return found


def sampled(circuit: Circuit, gates: Mapping[int, Gate], draws: int, rng: np.random.Generator) -> Array:
    """g^2 of a channel of the unit, gates drawn, (draws, *sites)."""
    top, count = circuit.step(circuit.program.top), circuit.channels[circuit.program.top]
    units = np.eye(count)[rng.integers(0, count, draws)].reshape(draws, count, 1, *(1,) * len(top.backward.out.lo))

    def through(gate: Gate, dy: Array) -> list[Array]:
        if isinstance(gate, Slopes):
            parts = []
            for which, slope in enumerate(gate.slopes):
                shape = (len(dy), len(slope.mean), dy.shape[2], *(n if slope.by_site else 1 for n in dy.shape[3:]))
                number = np.where(rng.random(shape) < 0.25, math.sqrt(3), -1 / math.sqrt(3))
                wide = [np.reshape(row, (-1, *(1,) * (dy.ndim - 2))) for row in (slope.mean, slope.spread)]
                parts.append(gate._given(which, dy * (wide[0] + wide[1] * number)))
            return parts
        if isinstance(gate, Routes):
            ends = np.cumsum([np.broadcast_to(share, dy.shape[1:]) for share in gate._by_tap(float)], axis=0)
            at = (rng.random(dy.shape) >= ends[:, None]).sum(axis=0)
            return [gate._routed(dy, lambda a, part: np.multiply(dy, at == a, out=part))]
        assert isinstance(gate, Bins)
        dx = np.zeros_like(dy, shape=(*dy.shape[:3], *gate.step.backward.held[0].shape))
        for value, sites, _ in gate._bins(dy):
            bin_ = dx[sites]
            n = math.prod(bin_.shape[3:])
            dx[sites] += value * np.eye(n)[rng.integers(0, n, dy.shape[:3])].reshape(bin_.shape)
        return [dx]
    pulls = {**circuit.linear, **{i: (lambda dy, gate=gate: through(gate, dy)) for i, gate in gates.items()}}
    g = next(independent.descend(circuit, pulls, {top.index: place(units, circuit.program.unit, top.backward.out)}, {}))
    return (g[:, :, 0]**2).sum(axis=1)


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 60))])
def test_independent_gates(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    net, image, unit, rng = draw(seed)
    about: dict[str, Any] = {"weights": given(net, len(image), rng), "unit": unit, "width": C}
    images = rng.standard_normal((24, 2, *image))
    settings = RunSettings.of(net, image=image, channels_in=2, ndim=len(image), **about)
    plan = make_plan(net, settings, statistic="power", entropy=0, normalise=False, images=images, channel=None,
                     batch=None, dtype="float64")
    circuit = Circuit.of(plan, channels_of(net, settings), plan.recipe.given)
    parts = _Parts(net, settings, plan, circuit.channels, images, None)
    known, _ = parts.slopes("independent", None)
    gates = {i: _gate(parts, circuit.step(i), known[i]) for i in circuit.gates}
    maps = np.concatenate([sampled(circuit, gates, 500, rng) for _ in range(6)])
    lines = maps.reshape(*maps.shape[:2], -1).sum(axis=2)                       # along the first axis
    first = plan.program.backward.lo[0]
    ramp = 1 + np.arange(lines.shape[1]) / lines.shape[1]
    for few in (independent.EXACT_COLUMNS, 0):                                  # exactly, and by random signs
        monkeypatch.setattr(independent, "EXACT_COLUMNS", few)
        erf: Any = em.predict(net, images=images, gates="independent", draws=400, rng=seed, **about)
        line = erf.map.reshape(len(erf.map), -1).sum(axis=1)[first - erf.origin[0]:][:len(ramp)]
        for weight in (np.ones_like(ramp), ramp):
            seen = lines @ weight
            error = math.hypot(seen.std() / math.sqrt(len(seen)), 0 if erf.stderr is None else 2 * erf.total_stderr)
            assert abs(line @ weight - seen.mean()) <= 4.5 * error + 1e-6 * seen.mean()


def with_functions(net: em.Network, function: str) -> em.Network:
    """The same network with one function in the place of all."""
    whole = net.to_dict()
    for node in whole["nodes"]:
        if node["op"] == "activation":
            node["function"] = function
    return em.Network.from_dict(whole)


LINEAR = {"conv", "conv_transpose", "batch_norm", "avg_pool", "add", "concat", "upsample", "shuffle", "slice", "scale",
          "pad", "activation", "adaptive_avg_pool", "pixel_unshuffle", "identity"}


@pytest.mark.parametrize("start", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1000, 20000, 1000))])
def test_open_gates_are_the_linear_network(start: int) -> None:
    """Of networks that only functions make depend on the data; every hypothesis, functions open for all inputs."""
    seed = next(seed for seed in range(start, start + 1000) if {node.layer.op for node in draw(seed)[0]} <= LINEAR
                and sum(node.layer.op == "activation" for node in draw(seed)[0]) > 1)
    net, image, unit, rng = draw(seed)
    linear, relu = with_functions(net, "identity"), with_functions(net, "relu")
    about: dict[str, Any] = {"weights": given(relu, len(image), rng), "unit": unit, "width": C}
    channels = net.channels(C, 2)[net.output]
    expected = sum(em.measure(linear, image=image, channels_in=2, channel=c, dtype="float64", statistic="power",
                              draws=1, **about).map for c in range(channels)) / channels
    erf: Any = em.predict(relu, image=image, channels_in=2, gates={
        node.name: 1.0 for node in relu if node.layer.op == "activation"}, **about)
    assert np.abs(erf.map - expected).max() <= 1e-12 * expected.max()
    for gates in ("independent", "channels", "layers", "streams"):
        erf = em.predict(linear, images=rng.standard_normal((4, 2, *image)), gates=gates, draws=4, rng=0, **about)
        assert np.abs(erf.coherent_map - expected).max() <= 1e-5 * expected.max()
