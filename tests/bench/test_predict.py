"""What the benchmarks of `predict` count and compare is right. No times are asserted."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.bench import predict


@pytest.mark.parametrize("build, image", [(em.zoo.resnet50, 64), (em.zoo.resnet18, 75), (em.zoo.vgg16, 64)])
def test_dense_sweep_gives_the_map_of_predict(build, image: int) -> None:
    net = predict.linear_part(build(width=predict.WIDTH))
    values, _ = predict.dense_sweep(net, image)
    assert_close(values, em.predict(net, image=image).map, ROUNDING)


def test_dense_sweep_sees_a_wrong_tap(monkeypatch: pytest.MonkeyPatch) -> None:
    net = predict.linear_part(em.zoo.resnet18(width=predict.WIDTH))
    spread = predict._spread
    monkeypatch.setattr(predict, "_spread", lambda layer, above, shape: 1.01 * spread(layer, above, shape))
    with pytest.raises(AssertionError):
        assert_close(predict.dense_sweep(net, 64)[0], em.predict(net, image=64).map, ROUNDING)


def test_dense_sweep_multiply_adds() -> None:
    net = em.serial(em.Conv(5, stride=2), em.MaxPool(2), em.Conv(3))
    assert predict.dense_sweep(net, 16)[1] == 8 * 8 * 25 + 4 * 4 * 4 + 4 * 4 * 9


def test_linear_part_keeps_all_but_activations() -> None:
    net = em.zoo.resnet18(width=8)
    linear = predict.linear_part(net)
    assert linear.names == net.names and em.receptive_field(linear) == em.receptive_field(net)
    kinds = {node.layer.op for node in linear}
    assert kinds == {node.layer.op for node in net} - {"activation", "batch_norm"} | {"identity"}


def test_site_taps_of_two_layers() -> None:
    net = em.serial(em.Conv(3), em.Conv(3))
    top, bottom = 1 * 3 + 3 * 3, 3 * 3 * 3 + 5 * 3 * 3  # one axis after the other
    assert predict.site_taps(lambda: em.predict(net, image=9)) == top + bottom
    assert predict.site_taps(lambda: None) == 0


def test_site_taps_of_the_sweep_forwards() -> None:
    net = em.serial(em.Conv(3), em.Activation("relu"), em.Conv(3))
    plain = predict.site_taps(lambda: em.predict(em.serial(em.Conv(3), em.Conv(3)), image=9))
    assert predict.site_taps(lambda: predict._first(net, 9)) == plain + 9 * 9 * (3 + 3)  # of the layer before the gate
    assert predict.site_taps(lambda: em.predict(net, image=9)) == plain  # gates are remembered


def test_peak_is_that_of_what_is_held_at_a_time() -> None:
    size = 8 * 10**6

    def work() -> None:
        for _ in range(3):
            np.zeros(size // 8)

    assert size <= predict.peak(work) < 1.5 * size


def test_costs_take_turns_and_give_medians(monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = [0.0], []
    times = {"a": iter([9, 1, 2, 3]), "b": iter([9, 4, 4, 30])}
    monkeypatch.setattr(predict.time, "perf_counter", lambda: 2 * now[0])
    monkeypatch.setattr(predict.time, "process_time", lambda: now[0])

    def work(name: str) -> None:
        now[0] += next(times[name])
        calls.append(name)

    cost = predict.costs({"a": lambda: work("a"), "b": lambda: work("b")}, 3)
    assert calls == ["a", "b"] * 4  # the first round warms up
    assert cost == {"a": (4, 2), "b": (8, 4)}


def test_what_gates_meet() -> None:
    """A stream, a pool and a layer of few terms for each channel before a gate, and none of them."""
    conv, relu = em.Conv(3), em.Activation("relu")
    nets = {"sums": [relu, em.residual(conv), relu], "pools": [em.MaxPool(2), em.Activation("gelu")],
            "sums of few terms": [relu, em.Conv(3, groups="depthwise"), relu], "": [relu, em.MaxPool(2), conv, relu]}
    for kinds, layers in nets.items():
        assert predict.met_by_gates(em.serial(conv, *layers, conv), 16) == [kind for kind in [kinds] if kind]
