"""Changes of a network, one by one, against networks edited by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import EXACT, assert_close
from remedied import Conv, Norm, Relu, branch, change, edited, field, found, residual, small

import erfmath as em
from erfmath.lattice.kernels import corners, soft_rim


@pytest.mark.parametrize("what, fields", [
    ("double the dilation of all at stride 1", {"a": {"dilation": 2}, "b": {"dilation": 2}}),
    ("double the dilation of all at stride 2", {"c": {"dilation": 2}, "d": {"dilation": 2, "padding": 2}}),
    ("two more taps per axis in all at stride 2", {"c": {"kernel_size": 5}, "d": {"kernel_size": 5, "padding": 2}}),
])
def test_layers_changed_where_they_are(what: str, fields: dict[str, Any]) -> None:
    assert_close(field(change("small", what).net), field(edited(small(), **fields)), EXACT)


def test_a_stride_moved_by_one_layer() -> None:
    moved = em.serial(Conv(3, 4), Relu, em.MaxPool(2), Conv(3, 4), Relu, Conv(3, 8), Relu, Conv(3, 8), Relu)
    assert_close(field(change("small", "the stride 2 of pool moved before b").net), field(moved), EXACT)


def test_a_stride_of_a_residual_stage_moved_by_one_block() -> None:
    half = em.residual(em.serial(Conv(3, 8, stride=2), Norm, Relu, Conv(3, 8)), Conv(1, 8, stride=2))
    whole = em.residual(em.serial(Conv(3, 8), Norm, Relu, Conv(3, 8)), Conv(1, 8))
    same = em.residual(em.serial(Conv(3, 8), Norm, Relu, Conv(3, 8)))
    changes = em.remedies(em.serial(Conv(3, 8), Norm, same, Norm, half, Norm), image=16, kinds=("stride",)).changes
    by_hand = em.serial(Conv(3, 8), Norm, em.MaxPool(2), same, Norm, whole, Norm)
    maps = [em.predict(remedy.net, image=16).map for remedy in changes]
    assert any(np.array_equal(m, em.predict(by_hand, image=16).map) for m in maps)


def test_skips_left_out_and_weakened() -> None:
    bare = em.serial(Conv(3, 8), Relu, em.repeat(em.serial(branch(), Relu), 3))
    assert_close(field(change("residual", "all 3 skips left out").net), field(bare), EXACT)
    weak = em.serial(Conv(3, 8), Relu, em.repeat(em.serial(em.residual(branch(), em.Scale(0.5)), Relu), 3))
    assert_close(field(change("residual", "all 3 skips at half their weight").net), field(weak), EXACT)
    last = em.serial(Conv(3, 8), Relu, em.repeat(em.serial(em.residual(branch()), Relu), 2), branch(), Relu)
    assert_close(field(change("residual", "the skip into add3 left out").net), field(last), EXACT)


def test_initialisations() -> None:
    for what, kernel in (("half of the variance on the rim of all kernels", soft_rim(3, 0.5)),
                         ("all variance on the corners of all kernels", corners(3))):
        weights = {"kind": "random", "profile": kernel.pmf.tolist()}
        by_hand = edited(small(), **{name: {"weights": weights} for name in "abcd"})
        assert_close(field(change("small", what).net), field(by_hand), EXACT)


def test_more_depth() -> None:
    deeper = em.serial(small(), Conv(3, 8), Relu)
    assert_close(field(change("small", "d once more after it").net), field(deeper), EXACT)
    blocks = em.serial(residual(), em.residual(branch()), Relu)
    once = next(remedy for remedy in found("residual").changes if remedy.kind == "depth")
    assert "once more" in once.what
    assert_close(em.receptive_field(once.net).size, em.receptive_field(blocks).size, EXACT)
    assert_close(field(em.serial(once.net)), field(once.net), EXACT)


def test_fixed_weights_stay() -> None:
    net = em.serial(Conv(3, weights=em.Fixed([1.0, 2.0, 1.0])), Conv(3))
    whats = [remedy.what for remedy in em.remedies(net, image=9, ndim=1).changes]
    assert "double the dilation of all at stride 1" in whats
    dilated = next(r for r in em.remedies(net, image=9, ndim=1).changes if r.kind == "dilation").net
    assert dilated["conv1"].layer == net["conv1"].layer


def test_filters_of_ones_and_profiles_can_be_dilated() -> None:
    ones = em.zoo.plain(4, weights=em.Constant())
    kinds = {remedy.kind: remedy for remedy in em.remedies(ones, image=20).changes}
    assert set(kinds) == {"dilation", "kernel", "depth"}
    profiled = em.zoo.plain(4, weights=em.Random(profile=[1, 2, 1]))
    whats = {remedy.kind for remedy in em.remedies(profiled, image=20, kinds=("dilation", "kernel")).changes}
    assert whats == {"dilation"}
    alone = em.remedies(ones, image=20, kinds="dilation")  # one word for a sequence of it
    assert [remedy.what for remedy in alone.changes] == [remedy.what for remedy in em.remedies(
        ones, image=20, kinds=("dilation",)).changes]
