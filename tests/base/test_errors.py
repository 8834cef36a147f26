"""Sizes that cannot be: refused with bytes and a remedy before anything is made of them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import erfmath as em
from erfmath.base.errors import QUOTED, SizeError, check_count, quoted

BILLION = 10**9

#: Layers that no network can hold.
LAYERS: dict[str, Callable[[], Any]] = {
    "kernel": lambda: em.Conv(BILLION + 1), "max pool": lambda: em.MaxPool(BILLION),
    "average pool": lambda: em.AvgPool(BILLION), "stride": lambda: em.Conv(3, stride=BILLION),
    "transposed stride": lambda: em.ConvTranspose(3, stride=10**7),
    "transposed kernel": lambda: em.ConvTranspose(BILLION),
    "scale": lambda: em.Upsample(BILLION), "bilinear": lambda: em.Upsample(10**7, "bilinear"),
    "size": lambda: em.Upsample(size=BILLION), "blur": lambda: em.BlurPool(100_001),
    "one axis": lambda: em.Conv((3, BILLION + 1)),
}

#: Networks of layers that are fine, for geometry at least.
NETWORKS: dict[str, Callable[[], em.Network]] = {
    "dilation": lambda: em.serial(em.Conv(3, 4), em.Conv(3, 4, dilation=BILLION)),
    "padding": lambda: em.serial(em.Conv(3, 4), em.Conv(3, 4, padding=BILLION)),
    "pad": lambda: em.serial(em.Conv(3, 4), em.Pad(BILLION), em.Conv(3, 4)),
    "pool's dilation": lambda: em.serial(em.Conv(3, 4), em.MaxPool(3, 1, 0, dilation=BILLION)),
    "channels": lambda: em.serial(em.Conv(3, BILLION), em.Activation("relu"), em.Conv(3, 4)),
    "shuffled": lambda: em.serial(em.Conv(3, 4), em.repeat(em.Upsample(64), 4), em.Conv(3, 4)),
    "bins": lambda: em.serial(em.Conv(3, 4), em.AdaptiveAvgPool(BILLION), em.Conv(3, 4)),
    "concatenated": lambda: doubled(30),
    "one dilation": lambda: em.serial(em.Conv(3, dilation=BILLION)),
}

#: Runs of what is fine itself.
RUNS: dict[str, Callable[[], Any]] = {
    "signals": lambda: em.signals(em.serial(em.Conv(3)), image=10**6),
    "cubic": lambda: em.predict(em.serial(em.Conv(3), em.Upsample(3, "bicubic")), image=10**5, ndim=1),
    "resized": lambda: em.predict(em.serial(em.Upsample(size=50_000, mode="bicubic")), image=10**4, ndim=1),
    "chain": lambda: em.predict(em.serial(em.Conv(3, dilation=10**8), em.Conv(3, dilation=7))),
    "walk": lambda: em.walk(em.kernels.uniform(10**5), 3).pmf(5),
    "walk's window": lambda: em.walk(em.kernels.uniform(10**5), 3, method="window").pmf(5),
    "walk's transform": lambda: em.walk(em.kernels.uniform(10**5), 3, method="fft").pmf(5),
    "batch": lambda: em.fit(em.serial(em.Conv(3, 8), em.Conv(3, 1)), em.training.BoxMajority(9, 1), steps=1,
                            batch=10**8, loss=em.training.BinaryCrossEntropy()),
}

VERBS: dict[str, Callable[[em.Network], Any]] = {
    "receptive_field": lambda net: em.receptive_field(net, image=32),
    "support": lambda net: em.support(net, image=32),
    "predict": lambda net: em.predict(net, ndim=1).map,
    "predict on an image": lambda net: em.predict(net, image=32).map,
    "measure": lambda net: em.measure(net, ndim=1, draws=2, rng=0),
    "measure on an image": lambda net: em.measure(net, image=32, draws=2, rng=0),
    "erf_size_map": lambda net: em.erf_size_map(net, 16, ndim=1),
    "layer_shares": lambda net: em.layer_shares(net, image=32),
}


def doubled(times: int) -> em.Network:
    nodes = [{"name": f"c{i}", "op": "concat", "inputs": [f"c{i - 1}" if i else "input"] * 2} for i in range(times)]
    return em.Network.from_dict({"format": "erfmath-network", "version": 1, "output": f"c{times - 1}", "nodes": nodes})


@pytest.fixture
def little() -> Iterator[None]:
    """Whatever happens, no more than 400 MB are taken."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e8


@pytest.mark.parametrize("name", LAYERS)
def test_layers_that_cannot_be(name: str, little: None) -> None:
    with pytest.raises(SizeError, match="at most .* are taken, .* bytes at least; take a smaller one"):
        LAYERS[name]()


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_that_cannot_be(name: str, little: None) -> None:
    """Every verb answers, or says what does not fit; none asks the machine for it."""
    try:
        net = NETWORKS[name]()
    except ValueError as error:
        assert isinstance(error, SizeError) and "bytes" in str(error)
        return
    refused = 0
    for verb, ask in VERBS.items():
        try:
            ask(net)
        except SizeError as error:
            refused += 1
            assert "bytes" in str(error), verb
        except (ValueError, NotImplementedError) as error:
            assert "too small" in str(error) or "give image=" in str(error) or "whole" in str(error), (verb, error)
    assert refused, "some verb cannot do that"


@pytest.mark.parametrize("name", RUNS)
def test_runs_that_cannot_be(name: str, little: None) -> None:
    with pytest.raises(SizeError, match="bytes"):
        RUNS[name]()


def test_wide_blurs_are_binomial() -> None:
    """From the exact integers, where floats cannot hold the factorials."""
    from fractions import Fraction
    from math import comb
    for kernel in (59, 60, 61, 69, 1001, 1024):
        weights = em.BlurPool(kernel, padding="valid").axis_weights(kernel)
        for a in (0, 1, kernel // 3, kernel // 2, kernel - 1):
            exact = float(Fraction(comb(kernel - 1, a), 2**(kernel - 1)))
            assert abs(weights[a] - exact) <= 1e-12 * exact
        erf = em.measure(em.serial(em.BlurPool(kernel, 1, padding="valid")), ndim=1)
        assert abs(erf.map - weights).max() < 1e-12


@pytest.mark.parametrize("value", [
    "x" * 10**5, [0] * 10**5, {i: i for i in range(10**4)}, 10**5000, [10**5000], lambda: None, object(), -10**1000],
    ids=["text", "list", "mapping", "integer", "integers", "function", "object", "negative"])
def test_messages_quote_little(value: Any) -> None:
    """One line, however long a value is, without addresses, of what Python itself does not print."""
    assert len(quoted(value)) <= QUOTED and "\n" not in quoted(value) and " at 0x" not in quoted(value)
    for ask in (lambda: em.Conv(value), lambda: em.Activation(value), lambda: em.Scale(value),
                lambda: em.predict(em.zoo.plain(2), method=value), lambda: em.zoo.build("plain", n=value),
                lambda: em.receptive_field(em.zoo.plain(2), node=value),
                lambda: em.receptive_field(em.zoo.plain(2), image=value)):
        with pytest.raises((ValueError, TypeError)) as caught:
            ask()
        assert len(str(caught.value)) < 500 and "=" in str(caught.value) and "4300" not in str(caught.value)


def test_check_count_says_how_many() -> None:
    check_count(5, 5, "five")
    with pytest.raises(SizeError, match="six: at most 5 are taken, 6 need 48 bytes at least; take less"):
        check_count(6, 5, "six", "take less")
