"""Pools: what they accept and refuse."""

from __future__ import annotations

from typing import Any

import pytest
from specs import INT, check_spec, examples

import erfmath as em
from erfmath.layers import Layer


POOLS = ("max_pool", "avg_pool", "blur_pool", "global_avg_pool", "adaptive_avg_pool", "adaptive_max_pool")


@pytest.mark.parametrize("layer", examples(*POOLS), ids=repr)
def test_pool_spec(layer: Layer) -> None:
    check_spec(layer)


@pytest.mark.parametrize("make, message", [
    (lambda: em.AvgPool(3, padding=[(0, 0), (0, True)]), "padding=True: " + INT),
    (lambda: em.MaxPool(2, padding="half"), "use padding='same' or a pair"),
    (lambda: em.MaxPool((2, 2), (2, 2, 2)), "MaxPool: .* different numbers of axes"),
    (lambda: em.MaxPool(2, padding=2), "padding=2: must be smaller than kernel_size=2"),
    (lambda: em.AvgPool((3, 2), 1, 2), r"padding=2: must be smaller than kernel_size=\(3, 2\)"),
    (lambda: em.AvgPool(3, 1, (0, 3)), r"padding=\(0, 3\): must be smaller"),
    (lambda: em.BlurPool(4), "padding='half': needs an odd extent"),
    (lambda: em.BlurPool(3, 2, 3), "padding=3: must be smaller than kernel_size=3"),
    (lambda: em.MaxPool(2, dilation=0), "dilation=0: must be at least 1"),
    (lambda: em.MaxPool(2, padding=3, dilation=2), "padding=3: must be smaller"),
    (lambda: em.MaxPool(2, ceil_mode=1), "ceil_mode=1: must be True or False"),
    (lambda: em.AvgPool(2, padding="same", ceil_mode=True), "ceil_mode=True: has no meaning with padding='same'"),
    (lambda: em.AdaptiveAvgPool(0), "size=0: must be at least 1"),
    (lambda: em.AdaptiveMaxPool((2, 3, 4, 5)), r"size=\(2, 3, 4, 5\): one integer, or one per axis"),
    (lambda: em.AvgPool(2, count_include_pad=1), "count_include_pad=1: must be True or False"),
])
def test_pool_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_pool_defaults() -> None:
    assert em.MaxPool(3).stride == em.AvgPool(3).stride == 3 and em.MaxPool((2, 4)).stride == (2, 4)
    assert (em.BlurPool().kernel_size, em.BlurPool().stride, em.BlurPool().padding) == (3, 2, "half")
    assert em.MaxPool(3, 1).stride == 1
    assert em.AvgPool(3, 1, "same").counts_inside_only
    assert em.AvgPool(3, count_include_pad=False).counts_inside_only
    assert not em.AvgPool(3, 1, 1).counts_inside_only


def test_global_pooling() -> None:
    axis = em.GlobalAvgPool().geometry(1)[0]
    assert axis.out(1) == axis.out(100) == 1 and axis.needs_size
    with pytest.raises(ValueError, match="no padding"):
        axis.pads(10)


@pytest.mark.parametrize("n, k, s, p, d, out", [  # as torch.nn.MaxPool1d(k, s, p, d, ceil_mode=True)
    (7, 3, 2, 0, 1, 3), (8, 3, 2, 0, 1, 4), (8, 2, 3, 1, 1, 3), (9, 3, 4, 1, 1, 3), (6, 3, 3, 0, 2, 2),
    (112, 3, 2, 0, 1, 56),
    (4, 2, 2, 1, 1, 3), (5, 2, 2, 1, 1, 3), (3, 1, 3, 0, 1, 1), (2, 3, 2, 0, 1, 1),
])
def test_pool_ceil_mode(n: int, k: int, s: int, p: int, d: int, out: int) -> None:
    assert em.serial(em.MaxPool(k, s, p, dilation=d, ceil_mode=True)).shapes((n,)) == {"max_pool1": (out,)}
    if d == 1:
        assert em.serial(em.AvgPool(k, s, p, ceil_mode=True)).shapes((n,)) == {"avg_pool1": (out,)}


def test_adaptive_pool_of_one_bin_is_global() -> None:
    assert em.AdaptiveAvgPool(1).geometry(2) == em.AdaptiveAvgPool((1, 1)).geometry(2) == em.GlobalAvgPool().geometry(2)
    assert em.AdaptiveAvgPool((1, 2)).geometry(2)[0].out(9) == 1 and em.AdaptiveMaxPool(3).routes
    pyramid = em.concat(em.Identity(), *[em.serial(em.AdaptiveAvgPool(b), em.Upsample(size=12)) for b in (1, 2, 3, 6)])
    assert pyramid.shapes(image=12)["concat1"] == (12, 12) and pyramid.channels()["concat1"] == 15
    with pytest.raises(ValueError, match="concat1: inputs: shapes differ"):
        pyramid.shapes(image=13)
    with pytest.raises(ValueError, match="upsample1: .* depends on the size of the image; give image="):
        em.receptive_field(em.serial(em.Conv(3), em.Upsample(size=9)))
