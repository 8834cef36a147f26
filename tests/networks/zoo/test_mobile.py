"""MobileNet v1 and v2, ShuffleNet v2: parameters, costs and receptive fields against publications."""

from __future__ import annotations

from typing import Any

import pytest
from zoo_checks import LAST, check_costs, field, network, parameters, reach, repeated


@pytest.mark.parametrize("name, options, norm, biased, published", [
    ("mobilenet_v1", {}, 4, LAST, 4_253_864),
    ("mobilenet_v2", {}, 2, LAST, 3_504_872),
])
def test_zoo_parameter_count(name: str, options: dict[str, Any], norm: int, biased: str, published: int) -> None:
    assert parameters(network(name, head=True, **options), norm, biased) == published


@pytest.mark.parametrize("name, image, published, giga", [
    ("shufflenet_v2", 224, 2_278_604, 0.145),
])
def test_zoo_costs(name: str, image: Any, published: int, giga: float | None) -> None:
    check_costs(name, image, published, giga)


@pytest.mark.parametrize("name, node, options, published", [
    ("mobilenet_v1", None, {}, (315, 32, None)),
    ("mobilenet_v2", None, {}, (491, 32, 245)),
])
def test_zoo_receptive_field(name: str, node: str | None, options: dict[str, Any],
                             published: tuple[Any, Any, Any]) -> None:
    assert field(name, node, **options) == published


# The longest way through the networks for which nothing is published.
LONGEST = {
    "shufflenet_v2": ((3, 2), (3, 2), (3, 2), *repeated(3, (3, 1)), (3, 2), *repeated(7, (3, 1)), (3, 2),
                      *repeated(3, (3, 1))),
}


@pytest.mark.parametrize("name", LONGEST)
def test_zoo_receptive_field_of_the_longest_way(name: str) -> None:
    assert field(name)[:2] == reach(*LONGEST[name])
