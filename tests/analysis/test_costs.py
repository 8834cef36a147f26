"""Multiply-adds and parameters against published tables."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import EXACT, assert_close

import erfmath as em

# Operations as published with torchvision's weights, in units of 1e9 multiply-adds, at 224 pixels.
PUBLISHED = {"alexnet": 0.714, "vgg11": 7.609, "vgg13": 11.308, "vgg16": 15.47, "vgg19": 19.632, "resnet18": 1.814,
             "resnet34": 3.664, "resnet50": 4.089, "resnet101": 7.801, "resnet152": 11.514, "densenet121": 2.834,
             "mobilenet_v2": 0.301, "convnext_tiny": 4.456, "resnext50": 4.23, "wide_resnet50": 11.398,
             "efficientnet_b0": 0.386, "mobilenet_v3_small": 0.057, "mobilenet_v3_large": 0.217, "mnasnet": 0.314,
             "shufflenet_v2": 0.145, "squeezenet": 0.819, "regnet_y_400mf": 0.402}
#: With the head of the training on its side, 1024 to 256 to 21 channels, at an eighth of 520 pixels.
AUXILIARY = {"deeplabv3_resnet50": 178.722, "fcn": 152.717}
SIDE = 9 * 1024 * 256 + 256 * 21
#: Parameters of the same weights, and of those of timm 1.0.31 (the last three).
PARAMETERS = {"resnext50": 25_028_904, "wide_resnet50": 68_883_240, "efficientnet_b0": 5_288_548,
              "efficientnet_v2_s": 21_458_488, "mobilenet_v3_small": 2_542_856, "mobilenet_v3_large": 5_483_032,
              "mnasnet": 4_383_312, "shufflenet_v2": 2_278_604, "squeezenet": 1_248_424, "regnet_y_400mf": 4_344_144,
              "resnet3d_18": 33_371_472, "deeplabv3_resnet50": 42_004_074, "fcn": 35_322_218, "repvgg_a0": 9_108_968,
              "convnext_v2_atto": 3_708_400, "hrnet_w18": 21_299_004}


@pytest.mark.parametrize("name, published", PUBLISHED.items())
def test_published_multiply_adds(name: str, published: float) -> None:
    found = em.costs(em.zoo.build(name, head=True), 224).total_multiply_adds / 1e9
    assert round(found, 2 if name == "vgg16" else 3) == published


def test_published_multiply_adds_of_a_larger_image() -> None:
    assert round(em.costs(em.zoo.inception_v3(head=True), 299).total_multiply_adds / 1e9, 3) == 5.713


@pytest.mark.parametrize("name, image, published", [
    ("efficientnet_v2_s", 384, 8.366), ("resnet3d_18", (16, 112, 112), 40.697), ("deeplabv3_resnet50", 520, 178.722),
    ("fcn", 520, 152.717), ("convnext_v2_atto", 224, 0.55), ("nafnet", 256, 16.0)])
def test_published_multiply_adds_at_other_sizes(name: str, image: Any, published: float) -> None:
    """torchvision's; ConvNeXt V2 and NAFNet (without a head) as in their papers, in fewer digits."""
    found = em.costs(em.zoo.build(name, **({} if name == "nafnet" else {"head": True})), image).total_multiply_adds
    side = SIDE * 65**2 if name in AUXILIARY else 0
    digits = {"convnext_v2_atto": 2, "nafnet": 0}.get(name, 3)
    assert round((found + side) / 1e9, digits) == published


@pytest.mark.parametrize("name, published", PARAMETERS.items())
def test_published_parameters_of_all_kinds(name: str, published: int) -> None:
    """With the biases of layers that no norm follows; ConvNeXt V2 has them in front of its norms, too."""
    net = em.zoo.build(name, **({} if name == "hrnet_w18" else {"head": True}))
    biases = True if name == "convnext_v2_atto" else "unnormed"
    found = em.costs(net, (16, 112, 112) if name == "resnet3d_18" else 64, biases=biases).total_parameters
    side = SIDE + 2 * 256 + 21 if name in AUXILIARY else 0
    # HRNet without what its classifier adds: three groups of modules, and the classifier.
    side += 1_385_920 + 6_198_528 + 2_103_296 + 2_049_000 if name == "hrnet_w18" else 0
    assert found + side == published


TRUNK = 25_557_032 - 2_049_000  # of ResNet-50, without its classifier


def test_parameters_of_networks_on_a_published_trunk() -> None:
    """Feature pyramid (one level of four) and pyramid pooling, by the formulas of their papers."""
    pyramid = 256 * (256 + 512 + 1024 + 2048 + 4) + 9 * 256**2 + 256
    assert em.costs(em.zoo.fpn_resnet50(), 64, biases="unnormed").total_parameters == TRUNK + pyramid
    pooling = 4 * (2048 * 512 + 2 * 512) + 9 * 4096 * 512 + 2 * 512 + 512 * 21 + 21
    assert em.costs(em.zoo.pspnet(head=True), 224, biases="unnormed").total_parameters == TRUNK + pooling


def test_parameters_of_sequences_and_volumes() -> None:
    """3-D U-Net: 19,069,955, of which one for each of 2,336 channels of its convolutions and three of the last one.

    Temporal convolutions of 25 channels and 7 taps: two a level, and one of one tap around the first level.
    """
    found = em.costs(em.zoo.unet3d(head=True), (40, 40, 40)).parameters
    weights = sum(n for name, n in found.items() if not name.startswith("batch_norm"))
    assert weights == 19_069_955 - 2_336 - 3
    tcn = em.costs(em.zoo.tcn(), 100, channels_in=1, biases=True).total_parameters
    assert tcn == (7 * 25 + 25) + 15 * (7 * 25**2 + 25) + (25 + 25)


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
