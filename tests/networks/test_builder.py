"""Networks built node by node equal those of the combinators, and refuse what does not fit."""

from __future__ import annotations

from typing import Any

import pytest

import erfmath as em


def test_build_equals_the_combinators() -> None:
    b = em.NetworkBuilder()
    x = b(em.Conv(3, 8), b.input)
    y = b.add(x, b(em.serial(em.Conv(3, 8), em.Activation("relu")), x))
    assert b.build(y) == em.serial(em.Conv(3, 8), em.residual(em.serial(em.Conv(3, 8), em.Activation("relu"))))
    z = b.concat(y, b(em.Conv(1, 4), y), name="both")
    assert b.build(z)["both"].layer == em.Concat("both") and b.build(z).channels()["both"] == 12
    gate = b(em.serial(em.GlobalAvgPool(), em.Conv(1, 8), em.Activation("sigmoid")), y)
    assert b.build(b.multiply(y, gate)).output == "multiply1"
    assert b.build(b(em.Add(), x, y, x)).nodes[-1].inputs == ("conv1", "add1", "conv1")


def test_build_reads_nodes_more_than_once_and_leaves_the_rest_out() -> None:
    b = em.NetworkBuilder()
    fine = b(em.Conv(3, 8, name="fine"), b.input)
    coarse = b(em.Conv(3, 8, stride=2, name="coarse"), fine)
    b(em.Conv(9, 8, name="unused"), fine)
    up = b(em.Upsample(2), coarse)
    first, second = b.add(fine, up), b.concat(fine, up)
    net = b.build(b.concat(first, second, fine))
    assert net.names == ("fine", "coarse", "upsample1", "add1", "concat1", "concat2")
    assert net.channels()["concat2"] == 32
    assert em.Network.from_dict(net.to_dict()) == net
    assert b.build(b(em.Conv(3), b.input)).names == ("conv1",)
    assert b.build(b.input) == em.serial()


@pytest.mark.parametrize("make, error, message", [
    (lambda b: b(em.Conv(3)), ValueError, "inputs: Conv takes one, not 0"),
    (lambda b: b(em.Conv(3), b.input, b.input), ValueError, "inputs: Conv takes one, not 2"),
    (lambda b: b.add(), ValueError, "inputs: Add takes at least one, not 0"),
    (lambda b: b("relu", b.input), TypeError, r"did you mean Activation\('relu'\)"),
    (lambda b: b(em.Conv(3), "input"), TypeError, "'input': must be a handle"),
    (lambda b: b(em.Conv(3), em.NetworkBuilder().input), ValueError, "handle of another NetworkBuilder"),
    (lambda b: b.build(em.serial(em.Conv(3))), TypeError, "must be a handle"),
    (lambda b: b.build(b.add(b(em.Conv(3, 4), b.input), b(em.Conv(3, 5), b.input))), ValueError,
     "add1: inputs: cannot add 4 and 5 channels"),
])
def test_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(em.NetworkBuilder())
