"""DenseNet, ConvNeXt, RepLKNet and RepVGG: parameters, costs and receptive fields against publications."""

from __future__ import annotations

from typing import Any

import pytest
from zoo_checks import ALL, LAST, check_costs, field, network, parameters, reach, repeated


@pytest.mark.parametrize("name, options, norm, biased, published", [
    ("densenet121", {}, 2, LAST, 7_978_856),
    ("convnext_tiny", {}, 2, ALL, 28_589_128),
])
def test_zoo_parameter_count(name: str, options: dict[str, Any], norm: int, biased: str, published: int) -> None:
    assert parameters(network(name, head=True, **options), norm, biased) == published


@pytest.mark.parametrize("name, image, published, giga", [
    ("convnext_v2_atto", 224, 3_708_400, None),
    ("repvgg_a0", 224, 9_108_968, None),
])
def test_zoo_costs(name: str, image: Any, published: int, giga: float | None) -> None:
    check_costs(name, image, published, giga)


@pytest.mark.parametrize("name, node, options, published", [
    ("densenet121", None, {}, (2071, 32, 1021)),
])
def test_zoo_receptive_field(name: str, node: str | None, options: dict[str, Any],
                             published: tuple[Any, Any, Any]) -> None:
    assert field(name, node, **options) == published


# The longest way through the networks for which nothing is published.
LONGEST = {
    "convnext_tiny": ((4, 4), *repeated(3, (7, 1)), (2, 2), *repeated(3, (7, 1)), (2, 2),
                      *repeated(9, (7, 1)), (2, 2), *repeated(3, (7, 1))),
    "replknet31b": ((3, 2), (3, 1), (3, 2), *repeated(2, (31, 1)), (3, 2), *repeated(2, (29, 1)),
                    (3, 2), *repeated(18, (27, 1)), (3, 2), *repeated(2, (13, 1))),
    "repvgg_a0": ((3, 2), (3, 2), (3, 1), (3, 2), *repeated(3, (3, 1)), (3, 2), *repeated(13, (3, 1)), (3, 2)),
    "convnext_v2_atto": ((4, 4), *repeated(2, (7, 1)), (2, 2), *repeated(2, (7, 1)), (2, 2), *repeated(6, (7, 1)),
                         (2, 2), *repeated(2, (7, 1))),
}


@pytest.mark.parametrize("name", LONGEST)
def test_zoo_receptive_field_of_the_longest_way(name: str) -> None:
    assert field(name)[:2] == reach(*LONGEST[name])


def test_zoo_parameters_of_replknet() -> None:
    """79 million, published with the small kernels merged into the large ones."""
    net = network("replknet31b", head=True, small_kernel=None)
    assert parameters(net, 2, LAST) // 10**6 == 79
