"""Pools: what they accept and refuse."""

from __future__ import annotations

from typing import Any

import pytest
from specs import INT, check_spec, examples

import erfmath as em
from erfmath.layers import Layer


@pytest.mark.parametrize("layer", examples("max_pool", "avg_pool", "blur_pool", "global_avg_pool"), ids=repr)
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
