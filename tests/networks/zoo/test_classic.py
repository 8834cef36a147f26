"""AlexNet, VGG, SqueezeNet and plain chains: parameters, costs and receptive fields against publications."""

from __future__ import annotations

from typing import Any

import pytest
from zoo_checks import ALL, check_costs, field, network, parameters, reach, repeated


@pytest.mark.parametrize("name, options, norm, biased, published", [
    ("alexnet", {}, 2, ALL, 61_100_840),
    ("vgg11", {}, 2, ALL, 132_863_336),
    ("vgg13", {}, 2, ALL, 133_047_848),
    ("vgg16", {}, 2, ALL, 138_357_544),
    ("vgg19", {}, 2, ALL, 143_667_240),
    ("vgg16", {"batch_norm": True}, 2, ALL, 138_365_992),
])
def test_zoo_parameter_count(name: str, options: dict[str, Any], norm: int, biased: str, published: int) -> None:
    assert parameters(network(name, head=True, **options), norm, biased) == published


@pytest.mark.parametrize("name, image, published, giga", [
    ("squeezenet", 224, 1_248_424, 0.819),
])
def test_zoo_costs(name: str, image: Any, published: int, giga: float | None) -> None:
    check_costs(name, image, published, giga)


@pytest.mark.parametrize("name, node, options, published", [
    ("alexnet", None, {}, (195, 32, 66)),
    ("vgg11", None, {}, (150, 32, 59)),
    ("vgg16", "conv5_3", {}, (196, 16, 90)),
    ("vgg16", "pool5", {}, (212, 32, 90)),
    ("vgg16", None, {"batch_norm": True}, (212, 32, 90)),
])
def test_zoo_receptive_field(name: str, node: str | None, options: dict[str, Any],
                             published: tuple[Any, Any, Any]) -> None:
    assert field(name, node, **options) == published


# The longest way through the networks for which nothing is published.
LONGEST = {
    "plain": repeated(20, (3, 1)),
    "squeezenet": ((7, 2), (3, 2), *repeated(3, (3, 1)), (3, 2), *repeated(4, (3, 1)), (3, 2), (3, 1)),
}


@pytest.mark.parametrize("name", LONGEST)
def test_zoo_receptive_field_of_the_longest_way(name: str) -> None:
    assert field(name)[:2] == reach(*LONGEST[name])
