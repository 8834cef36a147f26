"""GoogLeNet and Inception v3: parameters, costs and receptive fields against publications."""

from __future__ import annotations

from typing import Any

import pytest
from zoo_checks import LAST, field, network, parameters, reach, repeated


@pytest.mark.parametrize("name, options, norm, biased, published", [
    ("googlenet", {"reduced": True}, 2, LAST, 6_624_904),
    ("inception_v3", {}, 3, LAST, 23_851_784),
])
def test_zoo_parameter_count(name: str, options: dict[str, Any], norm: int, biased: str, published: int) -> None:
    assert parameters(network(name, head=True, **options), norm, biased) == published


@pytest.mark.parametrize("name, node, options, published", [
    ("googlenet", None, {"reduced": True}, (379, 32, None)),
    ("inception_v3", "Mixed_7b", {}, (1183, 32, 554)),
    ("inception_v3", None, {}, (1311, 32, 618)),
])
def test_zoo_receptive_field(name: str, node: str | None, options: dict[str, Any],
                             published: tuple[Any, Any, Any]) -> None:
    assert field(name, node, **options) == published


# The longest way through the networks for which nothing is published.
LONGEST = {
    "googlenet": ((7, 2), (3, 2), (3, 1), (3, 2), *repeated(2, (5, 1)), (3, 2),
                  *repeated(5, (5, 1)), (3, 2), *repeated(2, (5, 1))),
}


@pytest.mark.parametrize("name", LONGEST)
def test_zoo_receptive_field_of_the_longest_way(name: str) -> None:
    assert field(name)[:2] == reach(*LONGEST[name])
