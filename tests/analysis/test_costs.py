"""Multiply-adds and parameters against published tables."""

from __future__ import annotations

import importlib
import inspect
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


#: Multiply-adds and parameters for an image, (channels, *space), counted with hooks on modules of torchvision 0.29 and
#: timm 1.0.31, and written after the papers (tests/counted.py; with `-m torch` they are counted again).
COUNTED = {
    "repvgg_a0": ((3, 224, 224), 1_512_581_120, 9_108_968), "hrnet_w18": ((3, 224, 224), 3_281_983_152, 9_562_260),
    "fpn_resnet50": ((3, 224, 224), 6_322_176_000, 25_082_176), "pspnet": ((3, 224, 224), 33_935_679_488, 46_592_597),
    "edsr": ((3, 360, 640), 316_259_251_200, 1_369_883), "wavenet": ((1, 4000), 4_149_504_000, 1_056_384),
    "tcn": ((1, 784), 51_606_800, 66_250), "unet3d": ((3, 40, 40, 40), 59_742_208_000, 19_069_955),
    "unet_plus_plus": ((3, 96, 96), 4_849_238_016, 9_163_296), "preact_resnet20": ((3, 32, 32), 40_813_184, 272_282),
    "preact_resnet56": ((3, 32, 32), 125_747_840, 855_578)}
#: What those have that the zoo's do not: shifts of the mean of EDSR's colours, on the small and on the large image.
MORE = {"edsr": (9 * 5 * 360 * 640, 2 * 12)}
#: Which layers of them have biases: all, or those that no norm follows but the classifier's alone.
BIASES = {"unet_plus_plus": True, "preact_resnet20": False, "preact_resnet56": False}


@pytest.mark.parametrize("name", COUNTED)
def test_counted_otherwise(name: str) -> None:
    (channels, *image), multiply_adds, parameters = COUNTED[name]
    head = "head" in inspect.signature(getattr(em.zoo, name)).parameters
    net = em.zoo.build(name, **({"head": True} if head else {}))
    found = em.costs(net, tuple(image), channels_in=channels, biases=BIASES.get(name, "unnormed"))
    more = MORE.get(name, (0, 0))
    assert found.total_multiply_adds + more[0] == multiply_adds
    here = found.total_parameters + more[1] + (10 if name.startswith("preact") else 0)
    if name == "unet3d":  # counted without its norms, and with biases of what they normalise
        normed = {node.inputs[0] for node in net.nodes if node.layer.statistics}
        here += sum(net.channels()[one] for one in normed)
        here -= sum(n for one, n in found.parameters.items() if one.startswith("batch_norm"))
        here -= sum(net.channels()[node.name] for node in net.nodes if node.layer.op == "conv_transpose")
    assert here == parameters


@pytest.mark.torch
def test_counted_again() -> None:
    found = importlib.import_module("counted")
    assert {name: (shape, *found.counted(make(), *shape)) for name, (make, shape) in found.MODULES.items()} == COUNTED


def test_published_totals_of_papers() -> None:
    """EDSR's baseline, 316.3 billion for an image of 1280 x 720 with its shifts of the mean (Ahn et al. 2018).

    ResNets on CIFAR images without 1x1 shortcuts: 125.49 and 252.89 million (Lin et al. 2020, HRank).  The context
    module: 64 C^2 parameters (Yu and Koltun 2016).  MobileNet: 569 million (Howard et al. 2017).  RepLKNet-31B with its
    small kernels merged: 15.3 billion, cut off (Ding et al. 2022).  GoogLeNet: torchvision's.
    """
    def giga(net: em.Network, image: int = 224) -> float:
        return em.costs(net, image).total_multiply_adds / 1e9

    assert round((em.costs(em.zoo.edsr(), (360, 640)).total_multiply_adds + MORE["edsr"][0]) / 1e9, 1) == 316.3
    shortcuts = 2 * 16 * 32 * 16**2 / 1e9
    assert [round(1000 * (giga(em.zoo.cifar_resnet(depth, head=True), 32) - shortcuts), 2) for depth in (56, 110)] == [
        125.49, 252.89]
    module = em.zoo.context_module()
    channels = module.channels()[module.output]
    assert em.costs(module, 64, channels_in=channels).total_parameters == 64 * channels**2
    assert round(giga(em.zoo.mobilenet_v1(head=True)), 3) == 0.569
    assert int(10 * giga(em.zoo.replknet31b(head=True, small_kernel=None))) == 153
    assert round(giga(em.zoo.googlenet(head=True, reduced=True)), 3) == 1.498


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
