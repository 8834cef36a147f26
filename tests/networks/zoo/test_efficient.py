"""EfficientNet, MnasNet and MobileNet v3: parameters, costs and receptive fields against publications."""

from __future__ import annotations

from typing import Any

import pytest
from zoo_checks import check_costs, field, reach, repeated


@pytest.mark.parametrize("name, image, published, giga", [
    ("mobilenet_v3_small", 224, 2_542_856, 0.057),
    ("mobilenet_v3_large", 224, 5_483_032, 0.217),
    ("mnasnet", 224, 4_383_312, 0.314),
    ("efficientnet_b0", 224, 5_288_548, 0.386),
    ("efficientnet_v2_s", 384, 21_458_488, 8.366),
])
def test_zoo_costs(name: str, image: Any, published: int, giga: float | None) -> None:
    check_costs(name, image, published, giga)


@pytest.mark.parametrize("name, node, options, published", [
    ("efficientnet_b0", None, {}, (851, 32, 425)),
])
def test_zoo_receptive_field(name: str, node: str | None, options: dict[str, Any],
                             published: tuple[Any, Any, Any]) -> None:
    assert field(name, node, **options) == published


# The longest way through the networks for which nothing is published.
LONGEST = {
    "mnasnet": ((3, 2), (3, 1), (3, 2), *repeated(2, (3, 1)), (5, 2), *repeated(2, (5, 1)),
                (5, 2), *repeated(2, (5, 1)), *repeated(2, (3, 1)), (5, 2), *repeated(3, (5, 1)), (3, 1)),
    "mobilenet_v3_small": ((3, 2), (3, 2), (3, 2), (3, 1), (5, 2), *repeated(4, (5, 1)), (5, 2), *repeated(2, (5, 1))),
    "mobilenet_v3_large": ((3, 2), (3, 1), (3, 2), (3, 1), (5, 2), *repeated(2, (5, 1)), (3, 2), *repeated(5, (3, 1)),
                           (5, 2), *repeated(2, (5, 1))),
    "efficientnet_v2_s": ((3, 2), *repeated(2, (3, 1)), (3, 2), *repeated(3, (3, 1)), (3, 2), *repeated(3, (3, 1)),
                          (3, 2), *repeated(5, (3, 1)), *repeated(9, (3, 1)), (3, 2), *repeated(14, (3, 1))),
}


@pytest.mark.parametrize("name", LONGEST)
def test_zoo_receptive_field_of_the_longest_way(name: str) -> None:
    assert field(name)[:2] == reach(*LONGEST[name])
