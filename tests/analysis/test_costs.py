"""Multiply-adds and parameters against published tables."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import EXACT, assert_close

import erfmath as em

# Operations as published with torchvision's weights, in units of 1e9 multiply-adds, at 224 pixels.
PUBLISHED = {"alexnet": 0.714, "vgg11": 7.609, "vgg13": 11.308, "vgg16": 15.47, "vgg19": 19.632, "resnet18": 1.814,
             "resnet34": 3.664, "resnet50": 4.089, "resnet101": 7.801, "resnet152": 11.514, "densenet121": 2.834,
             "mobilenet_v2": 0.301, "convnext_tiny": 4.456}


@pytest.mark.parametrize("name, published", PUBLISHED.items())
def test_published_multiply_adds(name: str, published: float) -> None:
    found = em.costs(em.zoo.build(name, head=True), 224).total_multiply_adds / 1e9
    assert round(found, 2 if name == "vgg16" else 3) == published


def test_published_multiply_adds_of_a_larger_image() -> None:
    assert round(em.costs(em.zoo.inception_v3(head=True), 299).total_multiply_adds / 1e9, 3) == 5.713


@pytest.mark.parametrize("name, biases, published", [
    ("vgg16", True, 138_357_544), ("alexnet", True, 61_100_840), ("resnet50", False, 25_557_032 - 1000),
    ("mobilenet_v2", False, 3_504_872 - 1000), ("densenet121", False, 7_978_856 - 1000),
])
def test_published_parameters(name: str, biases: bool, published: int) -> None:
    """Those of all biases, or of none: published networks with norms have 1000, in the classifier."""
    assert em.costs(em.zoo.build(name, head=True), 224, biases=biases).total_parameters == published


def test_every_kind_by_hand() -> None:
    net = em.serial(em.Conv((3, 5), 8, stride=2), em.BatchNorm(), em.Conv(3, groups="depthwise"),
                    em.Conv(1, 4, groups=2), em.Scale(2.0), em.ConvTranspose(2, 6, stride=2), em.Activation("relu"),
                    em.LayerNorm(), em.MaxPool(2))
    found = em.costs(net, (10, 12), channels_in=3)
    area = 5 * 6
    assert found.multiply_adds == {"conv1": 15 * 3 * 8 * area, "conv2": 9 * 8 * area, "conv3": 8 * 4 // 2 * area,
                                   "conv_transpose1": 4 * 4 * 6 * area}
    assert found.parameters == {"conv1": 360, "batch_norm1": 16, "conv2": 72, "conv3": 16, "scale1": 4,
                                "conv_transpose1": 96, "layer_norm1": 12}
    assert found.total_multiply_adds == sum(found.multiply_adds.values())
    assert em.costs(net, (10, 12), biases=True).total_parameters == found.total_parameters + 8 + 8 + 4 + 6
    with pytest.raises(ValueError, match="biases='some': must be one of 'unnormed'"):
        em.costs(net, (10, 12), biases="some")


def test_transposed_convolutions_count_what_comes_in() -> None:
    """As many as the convolution whose transpose they are."""
    up, down = em.serial(em.ConvTranspose(4, 5, stride=2, padding=1)), em.serial(em.Conv(4, 3, stride=2, padding=1))
    assert_close(em.costs(up, 16, channels_in=3).total_multiply_adds,
                 em.costs(down, 32, channels_in=5).total_multiply_adds, EXACT)


@pytest.mark.parametrize("options, words", [({"image": 0}, "image=0"), ({"image": (8, 8, 8)}, "ndim"),
                                            ({"image": 8, "width": 0}, "width=0")])
def test_refusals(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words if words != "ndim" else "values, one per axis|dimensions"):
        em.costs(em.serial(em.Conv((3, 3))), **options)
