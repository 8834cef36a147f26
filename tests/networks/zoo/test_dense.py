"""U-Net and the context module: parameters, costs and receptive fields against publications."""

from __future__ import annotations

from typing import Any

import pytest
from zoo_checks import field, network, parameters

import erfmath as em


@pytest.mark.parametrize("name, options, norm, biased, published", [
    # The usual PyTorch code has 31 037 633 for one class.
    ("unet", {"batch_norm": True}, 2, "conv_transpose.*|classifier", 31_037_633 + 64 + 1),
])
def test_zoo_parameter_count(name: str, options: dict[str, Any], norm: int, biased: str, published: int) -> None:
    assert parameters(network(name, head=True, **options), norm, biased) == published


@pytest.mark.parametrize("name, node, options, published", [
    ("context_module", None, {}, (67, 1, 33)),
])
def test_zoo_receptive_field(name: str, node: str | None, options: dict[str, Any],
                             published: tuple[Any, Any, Any]) -> None:
    assert field(name, node, **options) == published


def test_zoo_context_module_layer_by_layer() -> None:
    net = network("context_module")
    sizes = [rf.size[0] for name, rf in em.receptive_fields(net).items() if "conv" in name]
    assert sizes == [3, 5, 9, 17, 33, 65, 67, 67]


@pytest.mark.parametrize("up, sizes", [("transpose", {188, 204}), ("nearest", {220, 236}), ("bilinear", {252, 268})])
def test_zoo_receptive_field_of_the_unet_depends_on_the_phase(up: str, sizes: set[int]) -> None:
    rf = em.receptive_field(network("unet", up=up))
    windows = [rf.window(unit) for unit in range(32)]
    assert {hi[0] - lo[0] + 1 for lo, hi in windows} == sizes
    assert rf.size == (max(sizes),) * 2 and rf.stride == (1, 1) and not rf.shift_invariant
