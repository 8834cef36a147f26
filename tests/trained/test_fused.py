"""Functions of one value, written out: the same as the one function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import erfmath as em
from erfmath.empirics.boxes import compile_network
from erfmath.layers.merge import Multiply
from erfmath.trained.fused import fuse
from helpers import REWRITE, assert_close

RELU = em.Activation("relu")
#: What is written out, and one activation that is the same.
SAME: dict[str, tuple[Any, Any]] = {
    "swish": (em.multiply(em.Activation("sigmoid"), em.Identity()), em.Activation("silu")),
    "swish of a value that others read": (
        em.multiply(em.serial(em.Scale(2), em.Scale(0.5)), em.serial(em.Identity(), em.Activation("sigmoid"))),
        em.Activation("silu")),
    "mish": (em.multiply(em.serial(em.Activation("softplus"), em.Activation("tanh")), em.Identity()),
             em.Activation("mish")),
    "leaky ReLU": (em.add(RELU, em.serial(em.Scale(-1), RELU, em.Scale(-0.25))),
                   em.Activation("leaky_relu", slope=0.25)),
    "absolute value, whose gate is always open": (em.add(RELU, em.serial(em.Scale(-1), RELU)), None),
    "swish within a swish": (
        em.multiply(em.serial(em.multiply(em.Activation("sigmoid"), em.Identity()), em.Activation("sigmoid")),
                    em.multiply(em.Activation("sigmoid"), em.Identity())),
        em.serial(em.Activation("silu"), em.Identity(), em.multiply(em.Activation("sigmoid"), em.Identity()))),
}


@pytest.mark.parametrize("name", SAME)
def test_written_out(name: str) -> None:
    rng = np.random.default_rng(0)
    weights: Any = {"conv1": rng.standard_normal((3, 2, 3)), "conv2": rng.standard_normal((2, 3, 3))}
    images = rng.standard_normal((16, 2, 9))
    fields = []
    for function in SAME[name]:
        if function is None:
            continue
        net = em.serial(em.Conv(3, 3), function, em.Conv(3, 2))
        about: Any = {"weights": weights, "images": images}
        fields.append([em.predict(net, gates=gates, draws=16, rng=0, **about) for gates in ("independent", "layers")])
    if len(fields) == 2:
        for written, one in zip(*fields):
            # (the images are single precision)
            assert np.abs(written.map - one.map).max() < 100 * np.finfo(np.float32).eps * one.map.max()
            assert np.allclose(getattr(written, "coherent"), getattr(one, "coherent"), atol=1e-5)
    else:
        exact: Any = fields[0][0]
        means = em.activities(em.serial(em.Conv(3, 3), SAME[name][0]), {"conv1": weights["conv1"]}, images)["add1"]
        assert_close(means[1], np.ones(3), REWRITE)     # phi'^2 is 1, whatever the value
        assert 0 < exact.coherent < 1


def test_what_stays() -> None:
    """A node that others read stays a step; other networks are left alone."""
    net = em.NetworkBuilder()
    x = net(em.Conv(3, 2), net.input)
    gate = net(em.Activation("sigmoid"), x)
    product = net(Multiply(), x, gate)
    program = compile_network(net.build(net.add(product, net(em.Conv(3, 2), gate))), 1, image=9)
    small, fused = fuse(program)
    assert len(fused) == 1 and len(small.steps) == len(program.steps)
    kept = {small.steps[i].layer.op for i in small.path if i > small.source}
    assert "multiply" in kept and "activation" in kept
    plain = compile_network(em.repeat(em.serial(em.Conv(3), RELU, em.residual(em.Conv(3))), 2), 1, image=9)
    assert fuse(plain) == (plain, {})
