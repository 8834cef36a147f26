"""Given weights through their gates, and how single networks scatter, on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

import erfmath as em
from helpers import Ask

NET = em.serial(em.Conv(3, 4), em.Activation("relu"), em.Conv(3, 2))
RNG = np.random.default_rng(0)
WEIGHTS = {"conv1": RNG.standard_normal((4, 3, 3, 3)), "conv2": RNG.standard_normal((2, 4, 3, 3))}


def test_gates(ask: Ask) -> None:
    NET.save("net.json")
    np.savez("net.npz", **WEIGHTS)
    images = RNG.standard_normal((12, 3, 10, 10))
    np.savez("images.npz", images)
    words = ("predict", "net.json", "--weights", "net.npz", "--seed", "1", "--json")
    for gates in ("independent", "layers"):
        found = json.loads(ask(*words, "--gates", gates, "--image", "10", "--images", "images.npz").out)
        erf = em.predict(NET, weights=WEIGHTS, gates=gates, images=images, rng=1)
        assert np.allclose(found["std"], erf.std) and np.allclose(found["coherent"], getattr(erf, "coherent"))
        assert list(found["contributions"]) == ["relu1"] and found["gates"] == gates
    table = ask("predict", "net.json", "--weights", "net.npz", "--gates", "channels", "--draws", "20").out
    assert "channels," in table and "of the power coherent" in table


def test_one_network_is_told(ask: Ask) -> None:
    one = em.scatter(em.zoo.build("plain"))
    assert f"+- {one.size:.2g} px" in ask("predict", "plain").out
    assert np.isclose(json.loads(ask("predict", "plain", "--json").out)["one_network"]["size"], one.size)


@pytest.mark.parametrize("words, message", [
    (("--gates", "layers"), "give --weights"), (("--images", "images.npz"), "give --gates"),
    (("--gates", "layers", "--weights", "net.npz", "--images", "net.json"), "--images net.json: must be an npz file"),
    (("--gates", "layers", "--weights", "net.npz", "--images", "net.npz"), "an array called images"),
])
def test_refusals(ask: Ask, words: tuple[str, ...], message: str) -> None:
    NET.save("net.json")
    np.savez("net.npz", **WEIGHTS)
    answer = ask("predict", "net.json", *words)
    assert answer.status == 2 and not answer.out and answer.err.count("\n") == 1 and message in answer.err
