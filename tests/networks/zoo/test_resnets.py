"""Residual networks: parameters, costs and receptive fields against publications."""

from __future__ import annotations

import math
from typing import Any

import pytest
from zoo_checks import LAST, check_costs, field, network, parameters, reach, repeated

import erfmath as em


@pytest.mark.parametrize("name, options, norm, biased, published", [
    ("resnet18", {}, 2, LAST, 11_689_512),
    ("resnet34", {}, 2, LAST, 21_797_672),
    ("resnet50", {}, 2, LAST, 25_557_032),
    ("resnet101", {}, 2, LAST, 44_549_160),
    ("resnet152", {}, 2, LAST, 60_192_808),
    ("resnet_v1_50", {}, 2, LAST, 25_557_032),
    # Keras' ResNet50V2 has 25 613 800: 4 a normalised channel, and biases of conv1, of the four
    # projections and of the last 1x1 of each unit.
    ("resnet_v2_50", {}, 4, LAST,
     25_613_800 - 64 - 3840 - (3 * 256 + 4 * 512 + 6 * 1024 + 3 * 2048)),
    # Option A has 269 722 and 1 727 962; option B adds two projections with their norms.
    ("cifar_resnet20", {}, 2, LAST, 269_722 + 16 * 32 + 32 * 64 + 2 * (32 + 64)),
    ("cifar_resnet110", {}, 2, LAST, 1_727_962 + 16 * 32 + 32 * 64 + 2 * (32 + 64)),
])
def test_zoo_parameter_count(name: str, options: dict[str, Any], norm: int, biased: str, published: int) -> None:
    assert parameters(network(name, head=True, **options), norm, biased) == published


@pytest.mark.parametrize("name, image, published, giga", [
    ("resnext50", 224, 25_028_904, 4.23),
    ("wide_resnet50", 224, 68_883_240, 11.398),
    ("regnet_y_400mf", 224, 4_344_144, 0.402),
    ("resnet3d_18", (16, 112, 112), 33_371_472, 40.697),
])
def test_zoo_costs(name: str, image: Any, published: int, giga: float | None) -> None:
    check_costs(name, image, published, giga)


@pytest.mark.parametrize("name, node, options, published", [
    ("resnet18", None, {}, (435, 32, 217)),
    ("resnet34", None, {}, (899, 32, 449)),
    ("resnet50", None, {}, (427, 32, 213)),
    ("resnet101", None, {}, (971, 32, 485)),
    ("resnet152", None, {}, (1451, 32, 725)),
    ("resnet_v1_50", "block1", {}, (35, 8, None)),
    ("resnet_v1_50", "block2", {}, (99, 16, None)),
    ("resnet_v1_50", "block3", {}, (291, 32, None)),
    ("resnet_v1_50", None, {}, (483, 32, None)),
    ("resnet_v2_50", "block3", {}, (291, 32, None)),
    ("resnet_v2_50", None, {}, (483, 32, None)),
])
def test_zoo_receptive_field(name: str, node: str | None, options: dict[str, Any],
                             published: tuple[Any, Any, Any]) -> None:
    assert field(name, node, **options) == published


# The longest way through the networks for which nothing is published.
LONGEST = {
    "cifar_resnet": ((3, 1), *repeated(6, (3, 1)), (3, 2), *repeated(5, (3, 1)), (3, 2),
                     *repeated(5, (3, 1))),
    "preact_resnet": ((3, 1), *repeated(6, (3, 1)), (3, 2), *repeated(5, (3, 1)), (3, 2),
                      *repeated(5, (3, 1))),
    "regnet_y_400mf": ((3, 2), (3, 2), (3, 2), *repeated(2, (3, 1)), (3, 2), *repeated(5, (3, 1)), (3, 2),
                       *repeated(5, (3, 1))),
    "resnet3d_18": ((3, 1), *repeated(4, (3, 1)), *repeated(3, (3, 2), *repeated(3, (3, 1)))),
}


@pytest.mark.parametrize("name", LONGEST)
def test_zoo_receptive_field_of_the_longest_way(name: str) -> None:
    assert field(name)[:2] == reach(*LONGEST[name])


def test_zoo_unit_of_a_pooled_head_sees_the_whole_image() -> None:
    net = network("resnet18", head=True)
    assert em.receptive_field(net).size == (math.inf, math.inf)
    assert em.receptive_field(net, image=224).size == (224, 224)
