"""Gates drawn from forward passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from generators import draw_network
from helpers import REWRITE, ROUNDING, assert_close, assert_statistical

import erfmath as em
from erfmath.empirics.arrays import place
from erfmath.empirics.plan import make_plan
from erfmath.empirics.rules import rule_of
from erfmath.empirics.sampling import parameters_of
from erfmath.networks.settings import RunSettings
from erfmath.trained import drawn as module, independent
from erfmath.trained.circuit import Circuit, channels_of
from erfmath.trained.predicted import _Parts, _gate, predict_through_gates


def test_unshifted_draws_are_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of layer that depends on data; one channel of the unit, so that nothing else is drawn."""
    net = em.serial(em.Conv(3, 4), em.GroupNorm(2), em.Activation("gelu"), em.MaxPool(2),
                    em.multiply(em.Conv(1, 4), em.serial(em.GlobalAvgPool(), em.Conv(1, 4), em.Activation("sigmoid"))),
                    em.residual(em.serial(em.Conv(3, 4), em.LayerNorm(), em.Activation("relu"))), em.InstanceNorm(),
                    em.AdaptiveMaxPool(2), em.Conv(1, 1))
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal(shape) for name, shape in {
        "conv1": (4, 2, 3, 3), "conv2": (4, 4, 1, 1), "conv3": (4, 4, 1, 1), "conv4": (4, 4, 3, 3),
        "conv5": (1, 4, 1, 1)}.items()}
    images = rng.standard_normal((12, 2, 10, 10))
    monkeypatch.setattr(module._Shifts, "through", lambda self, i, pull, dy: list(pull(dy)))
    erf: Any = em.predict(net, weights=weights, images=images, gates="layers", draws=12)
    measured = em.measure(net, weights=weights, images=images, draws=12, channel=0)
    assert np.abs(erf.map - measured.map).max() < 1e4 * np.finfo(np.float32).eps * measured.map.max()


@pytest.mark.parametrize("gates", ["layers", "channels", "independent"])
def test_layers_are_drawn_apart(gates: str) -> None:
    """A positive weight between two ReLUs: they open together, and in one of four cases when drawn apart."""
    net = em.serial(em.Conv(1, 1), em.Activation("relu"), em.Conv(1, 1), em.Activation("relu"))
    weights = {"conv1": np.ones((1, 1, 1)), "conv2": np.ones((1, 1, 1))}
    images = np.random.default_rng(1).standard_normal((2000, 1, 1))
    assert_statistical(em.measure(net, weights=weights, images=images, draws=2000, channel=0).total, 0.5 / 2000**0.5,
                       0.5)
    erf: Any = em.predict(net, weights=weights, images=images, gates=gates, draws=2000, rng=0)
    if gates != "independent":
        assert_statistical(erf.total, erf.total_stderr, 0.25)
    else:
        assert erf.stderr is None and abs(erf.total - 0.25) < 4 * 0.5 / 2000**0.5


def test_streams_of_a_chain_are_its_layers() -> None:
    net = em.repeat(em.serial(em.Conv(3, 3), em.Activation("relu"), em.MaxPool(2)), 2)
    rng = np.random.default_rng(5)
    weights = {"conv1": rng.standard_normal((3, 1, 3, 3)), "conv2": rng.standard_normal((3, 3, 3, 3))}
    about: Any = {"weights": weights, "images": rng.standard_normal((20, 1, 12, 12)), "draws": 20, "rng": 0}
    assert_close(em.predict(net, gates="streams", **about).map, em.predict(net, gates="layers", **about).map, ROUNDING)


def test_one_stream_is_the_measurement() -> None:
    """All gates read one residual stream, of one image: draws are those of `measure`, in another order."""
    block = em.residual(em.serial(em.BatchNorm(), em.Activation("relu"), em.Conv(3, 3)))
    net = em.serial(em.Conv(3, 3), block, block, em.Activation("relu"), em.Slice(0, 1))
    rng = np.random.default_rng(6)
    weights: Any = {"conv1": rng.standard_normal((3, 1, 3)), "conv2": rng.standard_normal((3, 3, 3)),
                    "conv3": rng.standard_normal((3, 3, 3)), **{f"batch_norm{i}": np.stack(
                        [rng.uniform(0.5, 1, 3), rng.normal(0, 0.5, 3), np.zeros(3), np.ones(3)]) for i in (1, 2)}}
    images = rng.standard_normal((30, 1, 12))
    erf: Any = em.predict(net, gates="streams", weights=weights, images=images, draws=30, rng=0)
    measured = em.measure(net, weights=weights, images=images, draws=30, batch=1, channel=0)
    assert np.abs(erf.map - measured.map).max() < 100 * np.finfo(np.float32).eps * measured.map.max()
    layers = em.predict(net, gates="layers", weights=weights, images=images, draws=30, rng=0)
    assert np.abs(layers.map - measured.map).max() > 0.01 * measured.map.max()


def test_layers_that_are_drawn_together() -> None:
    """As above, in one group; and of inputs that are apart by up to one place, ordered by their sign."""
    net = em.serial(em.Conv(1, 1), em.Activation("relu"), em.Conv(1, 1), em.Activation("relu"))
    weights = {"conv1": np.ones((1, 1, 1)), "conv2": np.ones((1, 1, 1))}
    images = np.sort(np.random.default_rng(1).standard_normal((2000, 1, 1)), axis=0)
    settings = RunSettings.of(net, image=(1,), channels_in=1, ndim=1, weights=weights)
    about: Any = {"gates": "layers", "statistic": None, "images": images, "draws": 2000, "rng": 0, "progress": None}
    for grouping in (module.Grouping({"relu1": 0, "relu2": 0}), module.Grouping(window=1)):
        erf = predict_through_gates(net, settings, grouping=grouping, **about)
        assert erf.total == pytest.approx((images > 0).mean(), abs=0.01)


def test_channels_of_a_layer() -> None:
    """Two channels that are never open together cancel or not: x+ and x-, each with its own image or the same one."""
    net = em.serial(em.Conv(1, 2), em.Activation("relu"), em.Conv(1, 1))
    weights = {"conv1": np.array([[[1.0]], [[-1.0]]]), "conv2": np.array([[[1.0], [1.0]]])}
    images = np.random.default_rng(2).standard_normal((1000, 1, 1))
    totals = {}
    for gates in ("layers", "channels"):
        erf: Any = em.predict(net, weights=weights, images=images, gates=gates, draws=1000, rng=0)
        totals[gates] = erf
    # The gradient is 1 or -1 in every image: power 1.  Apart it is 1 - 1, 1, -1 or 0 with probability 1/4 each.
    assert totals["layers"].total == pytest.approx(1, abs=1e-6)
    assert_statistical(totals["channels"].total, totals["channels"].total_stderr, 0.5)


def test_gates_with_no_kernel_in_between() -> None:
    """The largest of two values after a ReLU is open in three of four cases; what one lets through, another does."""
    images = np.random.default_rng(3).standard_normal((2000, 1, 2))
    pooled = em.serial(em.Conv(1, 1), em.Activation("relu"), em.MaxPool(2))
    twice = em.serial(em.Conv(1, 1), em.Activation("relu"), em.Identity(), em.Activation("relu"), em.GlobalAvgPool())
    for net, expected in ((pooled, 0.75), (twice, 0.25)):
        about: Any = {"weights": {"conv1": np.ones((1, 1, 1))}, "images": images}
        erf: Any = em.predict(net, gates="layers", draws=2000, rng=0, **about)
        assert_statistical(erf.total, erf.total_stderr, expected)
        assert_statistical(em.predict(net, gates="independent", **about).total, 1 / 2000**0.5, expected)
    normed = em.serial(em.Conv(1, 1), em.BatchNorm(), em.Activation("relu"), em.MaxPool(2))
    told = em.predict(normed, weights={"conv1": np.ones((1, 1, 1)), "batch_norm1": np.array([[1.0], [0], [0], [1]])},
                      gates="independent", channels_in=1, image=2, ndim=1)
    assert_close(told.total, 0.75, ROUNDING)


def test_a_trained_like_network_is_near_its_measurement(branched: Any) -> None:
    net, weights = branched
    images = np.random.default_rng(4).standard_normal((200, 2, 21, 21))
    measured = em.measure(net, weights=weights, images=images, draws=200, rng=0)
    for gates in ("channels", "layers"):
        erf: Any = em.predict(net, weights=weights, images=images, gates=gates, draws=200, rng=0)
        assert np.abs(erf.std / measured.std - 1).max() < 0.1
        assert erf.draws == 200 and 0 < erf.coherent < 1


def given(sample: Any, rng: np.random.Generator) -> dict[str, Any]:
    """Arrays of all nodes that take some."""
    parts: dict[int, dict[str, Any]] = {}
    for (i, name), parameter in parameters_of(sample.net, sample.ndim, 4, sample.channels_in).items():
        parts.setdefault(i, {})[name] = parameter
    found: dict[str, Any] = {}
    for i, known in parts.items():
        layer, node = sample.net.nodes[i].layer, sample.net.names[i]
        names = rule_of(layer).stacked(layer)
        if "kernel" in names and known["kernel"].random:
            found[node] = known["kernel"].draw(rng)
        elif names and "kernel" not in names:
            rows = [np.abs(rng.normal(1, 0.3, known[name].shape)) + 0.1 for name in names]
            found[node] = np.stack(rows) if len(rows) > 1 else rows[0]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_any_network_that_measure_takes(seed: int) -> None:
    """Unshifted, draws are the measurement; and every hypothesis gives a field."""
    sample = draw_network(np.random.default_rng(seed), plane=False)
    rng = np.random.default_rng(seed)
    about: Any = {"weights": given(sample, rng), "width": 4, "unit": sample.unit}
    images = rng.standard_normal((10, sample.channels_in, *sample.image))
    settings = RunSettings.of(sample.net, image=sample.image, channels_in=sample.channels_in, ndim=sample.ndim, **about)
    plan = make_plan(sample.net, settings, statistic="power", entropy=0, normalise=False, images=images, channel=0,
                     batch=None, dtype="float64")
    circuit = Circuit.of(plan, channels_of(sample.net, settings), plan.recipe.given)
    if circuit.gates:
        measured = em.measure(sample.net, images=images, draws=10, channel=0, dtype="float64", rng=0, **about)
        parts = _Parts(sample.net, settings, plan, circuit.channels, images, None)
        known, _ = parts.slopes("layers", None)
        gates = {i: _gate(parts, circuit.step(i), known[i]) for i in circuit.gates}
        maps = np.concatenate([maps for maps, _ in module.drawn(circuit, gates, parts.inputs(plan, 10), 10, "none")])
        assert_close(place(maps.mean(axis=0), plan.program.backward, plan.field), measured.moments.mean, REWRITE)
    for hypothesis in ("independent", "channels", "layers", "streams"):
        erf = em.predict(sample.net, images=images, gates=hypothesis, draws=10, rng=0, **about)
        assert np.isfinite(erf.map).all()


def test_progress_is_told(branched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    net, weights = branched
    for where, name in ((independent, "EXACT_COLUMNS"), (independent, "CHUNK_BYTES"), (module, "BATCH_BYTES")):
        monkeypatch.setattr(where, name, 1)
    for hypothesis in ("independent", "layers"):
        told: list[tuple[int, int]] = []
        em.predict(net, weights=weights, image=21, unit=(0, 1), channels_in=2, gates=hypothesis, draws=20,
                   rng=0, progress=lambda *part: told.append(part))
        assert told[-1] == (20, 20) and len(told) > 1 and told == sorted(told)
