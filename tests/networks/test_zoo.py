"""The zoo against published parameter counts, receptive fields and initialisers."""

from __future__ import annotations

import functools
import inspect
import json
import math
import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import pytest
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.networks import zoo

NAMES = zoo.names()
FUNCTIONS = [name for name in NAMES if hasattr(zoo, name)]
WITH_HEAD = [name for name in FUNCTIONS if "head" in inspect.signature(getattr(zoo, name)).parameters]


@functools.cache
def network(name: str, **options: Any) -> em.Network:
    return zoo.build(name, **options)


def convolutions(net: em.Network) -> Iterable[tuple[str, Any, int, int]]:
    """Name, layer, incoming channels per group and outgoing channels of every convolution."""
    channels = net.channels() | {"input": 3}
    for node in net.nodes:
        if isinstance(node.layer, (em.Conv, em.ConvTranspose)):
            c_in = channels[node.inputs[0]]
            groups = c_in if node.layer.groups == "depthwise" else node.layer.groups
            yield node.name, node.layer, c_in // groups, channels[node.name]


def taps(layer: Any) -> int:
    k = layer.kernel_size
    return math.prod(k) if isinstance(k, tuple) else k**2


def parameters(net: em.Network, norm: int, biased: str) -> int:
    """Weights, `norm` parameters per normalised channel, the biases of the matching nodes."""
    channels = net.channels()
    total = sum(taps(layer) * c_in * c_out + c_out * bool(re.fullmatch(biased, name))
                for name, layer, c_in, c_out in convolutions(net))
    for node in net.nodes:
        if isinstance(node.layer, (em.BatchNorm, em.LayerNorm)):
            total += norm * channels[node.name]
        elif isinstance(node.layer, em.Scale):
            total += channels[node.name]
    return total


ALL, LAST = ".*", "classifier"

# Published numbers of trainable parameters, with the reference's biases and 2 parameters a
# normalised channel; Keras counts 3 (no scale) or 4 (scale, shift, mean, variance).
PARAMETERS = [
    ("alexnet", {}, 2, ALL, 61_100_840),
    ("vgg11", {}, 2, ALL, 132_863_336),
    ("vgg13", {}, 2, ALL, 133_047_848),
    ("vgg16", {}, 2, ALL, 138_357_544),
    ("vgg19", {}, 2, ALL, 143_667_240),
    ("vgg16", {"batch_norm": True}, 2, ALL, 138_365_992),
    ("googlenet", {"reduced": True}, 2, LAST, 6_624_904),
    ("inception_v3", {}, 3, LAST, 23_851_784),
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
    ("densenet121", {}, 2, LAST, 7_978_856),
    ("mobilenet_v1", {}, 4, LAST, 4_253_864),
    ("mobilenet_v2", {}, 2, LAST, 3_504_872),
    ("convnext_tiny", {}, 2, ALL, 28_589_128),
    # The usual PyTorch code has 31 037 633 for one class.
    ("unet", {"batch_norm": True}, 2, "conv_transpose.*|classifier", 31_037_633 + 64 + 1),
]


@pytest.mark.parametrize("name, options, norm, biased, published", PARAMETERS)
def test_zoo_parameter_count(name: str, options: dict[str, Any], norm: int, biased: str, published: int) -> None:
    assert parameters(network(name, head=True, **options), norm, biased) == published


#: The head of FCN that torchvision adds to train on an earlier map: 3x3 from 1024 to 256 channels, norm, 21 classes.
AUXILIARY = 1024 * 256 * 9 + 512 + 256 * 21 + 21, (1024 * 256 * 9 + 256 * 21) * 65**2

# Published parameters and, where there are any, giga-multiply-adds, of torchvision 0.29 and timm 1.0 unless said.
COSTS = [
    ("squeezenet", 224, 1_248_424, 0.819),
    ("resnext50", 224, 25_028_904, 4.23),
    ("wide_resnet50", 224, 68_883_240, 11.398),
    ("regnet_y_400mf", 224, 4_344_144, 0.402),
    ("shufflenet_v2", 224, 2_278_604, 0.145),
    ("mobilenet_v3_small", 224, 2_542_856, 0.057),
    ("mobilenet_v3_large", 224, 5_483_032, 0.217),
    ("mnasnet", 224, 4_383_312, 0.314),
    ("efficientnet_b0", 224, 5_288_548, 0.386),
    ("efficientnet_v2_s", 384, 21_458_488, 8.366),
    ("convnext_v2_atto", 224, 3_708_400, None),
    ("repvgg_a0", 224, 9_108_968, None),
    ("hrnet_w18", 64, 9_562_260, None),          # all of timm's parameters before its classifier's
    ("fcn", 520, 35_322_218 - AUXILIARY[0], 152.717 - AUXILIARY[1] / 1e9),
    ("deeplabv3_resnet50", 520, 42_004_074 - AUXILIARY[0], 178.722 - AUXILIARY[1] / 1e9),
    ("resnet3d_18", (16, 112, 112), 33_371_472, 40.697),
    # The reference's baseline for a scale of 2, and the large network.
    ("edsr", 48, 1_369_859, None),
]


@pytest.mark.parametrize("name, image, published, giga", COSTS)
def test_zoo_costs(name: str, image: Any, published: int, giga: float | None) -> None:
    """Biases where no norm follows; ConvNeXt has them before norms, too."""
    net = network(name, **({"head": True} if name in WITH_HEAD else {}))
    costs = em.costs(net, image, biases=True if name == "convnext_v2_atto" else "unnormed")
    assert costs.total_parameters == published
    assert giga is None or round(costs.total_multiply_adds / 1e9 - giga, 3) == 0


def test_zoo_parameters_counted_otherwise() -> None:
    """3-D U-Net: convolutions with their biases, norms left out.  NAFNet: no biases before pixel shuffles."""
    volumes = network("unet3d", head=True)
    assert parameters(volumes, 0, "conv[0-9]+|classifier") == 19_069_955
    images, enlarged = network("nafnet"), sum(4 * 32 << level for level in range(4))
    assert round((em.costs(images, 16, biases=True).total_parameters - enlarged) / 1e6, 2) == 29.16
    assert em.costs(zoo.edsr(32, width=256), 48, biases=True).total_parameters == 40_729_603


def test_zoo_parameters_of_replknet() -> None:
    """79 million, published with the small kernels merged into the large ones."""
    net = network("replknet31b", head=True, small_kernel=None)
    assert parameters(net, 2, LAST) // 10**6 == 79


def field(name: str, node: str | None = None, **options: Any) -> tuple[Any, Any, Any]:
    rf = em.receptive_field(network(name, **options), node=node, gates=False)
    return rf.size[0], rf.stride[0], rf.padding and rf.padding[0]


# Receptive field, stride and padding, from publications and from measurements of gradients.
FIELDS = [
    ("alexnet", None, {}, (195, 32, 66)),
    ("vgg11", None, {}, (150, 32, 59)),
    ("vgg16", "conv5_3", {}, (196, 16, 90)),
    ("vgg16", "pool5", {}, (212, 32, 90)),
    ("vgg16", None, {"batch_norm": True}, (212, 32, 90)),
    ("googlenet", None, {"reduced": True}, (379, 32, None)),
    ("inception_v3", "Mixed_7b", {}, (1183, 32, 554)),
    ("inception_v3", None, {}, (1311, 32, 618)),
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
    ("densenet121", None, {}, (2071, 32, 1021)),
    ("mobilenet_v1", None, {}, (315, 32, None)),
    ("mobilenet_v2", None, {}, (491, 32, 245)),
    ("context_module", None, {}, (67, 1, 33)),
    ("efficientnet_b0", None, {}, (851, 32, 425)),
]


@pytest.mark.parametrize("name, node, options, published", FIELDS)
def test_zoo_receptive_field(name: str, node: str | None, options: dict[str, Any],
                             published: tuple[Any, Any, Any]) -> None:
    assert field(name, node, **options) == published


def reach(*layers: tuple[int, int]) -> tuple[int, int]:
    """Receptive field and stride of a chain of (kernel, stride), counted from the first layer."""
    size, jump = 1, 1
    for kernel, stride in layers:
        size, jump = size + (kernel - 1) * jump, jump * stride
    return size, jump


def repeated(n: int, *layers: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return layers * n


# The longest way through the networks for which nothing is published.
LONGEST = {
    "googlenet": ((7, 2), (3, 2), (3, 1), (3, 2), *repeated(2, (5, 1)), (3, 2),
                  *repeated(5, (5, 1)), (3, 2), *repeated(2, (5, 1))),
    "convnext_tiny": ((4, 4), *repeated(3, (7, 1)), (2, 2), *repeated(3, (7, 1)), (2, 2),
                      *repeated(9, (7, 1)), (2, 2), *repeated(3, (7, 1))),
    "replknet31b": ((3, 2), (3, 1), (3, 2), *repeated(2, (31, 1)), (3, 2), *repeated(2, (29, 1)),
                    (3, 2), *repeated(18, (27, 1)), (3, 2), *repeated(2, (13, 1))),
    "cifar_resnet": ((3, 1), *repeated(6, (3, 1)), (3, 2), *repeated(5, (3, 1)), (3, 2),
                     *repeated(5, (3, 1))),
    "preact_resnet": ((3, 1), *repeated(6, (3, 1)), (3, 2), *repeated(5, (3, 1)), (3, 2),
                      *repeated(5, (3, 1))),
    "plain": repeated(20, (3, 1)),
    "squeezenet": ((7, 2), (3, 2), *repeated(3, (3, 1)), (3, 2), *repeated(4, (3, 1)), (3, 2), (3, 1)),
    "mnasnet": ((3, 2), (3, 1), (3, 2), *repeated(2, (3, 1)), (5, 2), *repeated(2, (5, 1)),
                (5, 2), *repeated(2, (5, 1)), *repeated(2, (3, 1)), (5, 2), *repeated(3, (5, 1)), (3, 1)),
    "mobilenet_v3_small": ((3, 2), (3, 2), (3, 2), (3, 1), (5, 2), *repeated(4, (5, 1)), (5, 2), *repeated(2, (5, 1))),
    "mobilenet_v3_large": ((3, 2), (3, 1), (3, 2), (3, 1), (5, 2), *repeated(2, (5, 1)), (3, 2), *repeated(5, (3, 1)),
                           (5, 2), *repeated(2, (5, 1))),
    "efficientnet_v2_s": ((3, 2), *repeated(2, (3, 1)), (3, 2), *repeated(3, (3, 1)), (3, 2), *repeated(3, (3, 1)),
                          (3, 2), *repeated(5, (3, 1)), *repeated(9, (3, 1)), (3, 2), *repeated(14, (3, 1))),
    "shufflenet_v2": ((3, 2), (3, 2), (3, 2), *repeated(3, (3, 1)), (3, 2), *repeated(7, (3, 1)), (3, 2),
                      *repeated(3, (3, 1))),
    "regnet_y_400mf": ((3, 2), (3, 2), (3, 2), *repeated(2, (3, 1)), (3, 2), *repeated(5, (3, 1)), (3, 2),
                       *repeated(5, (3, 1))),
    "repvgg_a0": ((3, 2), (3, 2), (3, 1), (3, 2), *repeated(3, (3, 1)), (3, 2), *repeated(13, (3, 1)), (3, 2)),
    "convnext_v2_atto": ((4, 4), *repeated(2, (7, 1)), (2, 2), *repeated(2, (7, 1)), (2, 2), *repeated(6, (7, 1)),
                         (2, 2), *repeated(2, (7, 1))),
    "resnet3d_18": ((3, 1), *repeated(4, (3, 1)), *repeated(3, (3, 2), *repeated(3, (3, 1)))),
    "tcn": repeated(2, *((6 * 2**i + 1, 1) for i in range(8))),
    "wavenet": ((2, 1), *repeated(3, *((2**i + 1, 1) for i in range(10)))),
}


@pytest.mark.parametrize("name", LONGEST)
def test_zoo_receptive_field_of_the_longest_way(name: str) -> None:
    assert field(name)[:2] == reach(*LONGEST[name])


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


#: Networks whose docstrings give no receptive field: it depends on the depth, or is the whole image.
UNSAID = {"plain", "cifar_resnet", "preact_resnet", "deeplabv3_resnet50", "pspnet"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_says_the_receptive_field(name: str) -> None:
    summary = (getattr(zoo, name).__doc__ or "").splitlines()[0]
    said = re.search(r"receptive field ([\d x]+)(?: or \d+ by the phase of the unit)?"
                     r"(?:, stride ([\d/ x]+))?(?:, padding (\d+))?", summary)
    assert (said is None) == (name in UNSAID)
    if said is None:
        return
    rf = em.receptive_field(network(name), gates=False)
    size, stride, padding = ([] if word is None else list(map(Fraction, re.findall(r"[\d/]+", word)))
                             for word in said.groups())
    lo, hi = rf.on_plane().window(0)
    assert [b - a + 1 for a, b in zip(lo, hi)] == (size if len(size) > 1 else size * rf.ndim)
    assert not stride or list(rf.stride) == (stride if len(stride) > 1 else stride * rf.ndim)
    assert not padding or list(rf.padding or ()) == padding * rf.ndim


@pytest.mark.parametrize("name", FUNCTIONS)
def test_zoo_json_round_trip(name: str) -> None:
    net = network(name)
    assert em.Network.from_dict(json.loads(json.dumps(net.to_dict()))) == net


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "plain"])
def test_zoo_width_scales_all_channels(name: str) -> None:
    """All but those of an image that comes out; and the narrowest network can be built."""
    width = inspect.signature(getattr(zoo, name)).parameters["width"].default
    wide, images = network(name, width=2 * width).channels(), {"edsr", "nafnet"}
    assert wide == {node: c if c == 3 and name in images else 2 * c for node, c in network(name).channels().items()}
    assert min(network(name, width=1).channels().values()) == 1


IMAGES: dict[str, Any] = {"inception_v3": 299, "cifar_resnet": 32, "preact_resnet": 32, "unet": 64, "unet3d": (16,) * 3,
                          "resnet3d_18": (16, 112, 112), "wavenet": (64,), "convnext_v2_atto": 224}
OUTPUTS: dict[str, Any] = {"cifar_resnet": ((1, 1), 10), "preact_resnet": ((1, 1), 10), "unet": ((64, 64), 2),
                           "unet3d": ((16,) * 3, 3), "resnet3d_18": ((1,) * 3, 400), "wavenet": ((64,), 256),
                           **dict.fromkeys(("fcn", "deeplabv3_resnet50", "pspnet"), ((28, 28), 21))}
MAPS: dict[str, Any] = {"alexnet": 6, "inception_v3": 8, "cifar_resnet": 8, "preact_resnet": 8, "unet": 64,
                        "squeezenet": 13, "unet3d": (16,) * 3, "resnet3d_18": (2, 7, 7), "wavenet": (64,),
                        "fcn": 28, "deeplabv3_resnet50": 28, "pspnet": 28}


@pytest.mark.parametrize("name", WITH_HEAD)
def test_zoo_head(name: str) -> None:
    """The last map has its known size, and the head makes one classification of it."""
    image, size = IMAGES.get(name, 224), MAPS.get(name, 7)
    bare, net = network(name), network(name, head=True)
    assert bare.shapes(image)[bare.output] == (size if isinstance(size, tuple) else (size,) * 2)
    shape, classes = OUTPUTS.get(name, ((1, 1), 1000))
    assert net.output == ("global_avg_pool1" if name == "squeezenet" else "classifier")
    assert net.shapes(image)[net.output] == shape and net.channels()["classifier"] == classes
    assert net.names[:len(bare) - 1] == bare.names[:-1]


def test_zoo_unit_of_a_pooled_head_sees_the_whole_image() -> None:
    net = network("resnet18", head=True)
    assert em.receptive_field(net).size == (math.inf, math.inf)
    assert em.receptive_field(net, image=224).size == (224, 224)


FAN_OUT = em.Random(gain=2.0, fan="out")
DEFAULT = em.Random(gain=1 / 3, law="uniform")


@pytest.mark.parametrize("name, weights", [
    ("vgg16", FAN_OUT), ("resnet18", FAN_OUT), ("resnet50", FAN_OUT), ("mobilenet_v2", FAN_OUT),
    ("cifar_resnet", FAN_OUT), ("densenet121", em.Random()), ("resnet_v1_50", em.Random()),
    ("resnet_v2_50", em.Random()), ("preact_resnet", em.Random()), ("unet", em.Random()),
    ("alexnet", DEFAULT), ("replknet31b", DEFAULT)])
def test_zoo_initialiser(name: str, weights: em.Random) -> None:
    assert {layer.weights for _, layer, _, _ in convolutions(network(name))} == {weights}


@pytest.mark.parametrize("name, nodes, std", [("convnext_tiny", ".*", 0.02), ("vgg16", "fc6|fc7|classifier", 0.01)])
@pytest.mark.parametrize("scale", (1, 2))
def test_zoo_initialiser_of_fixed_standard_deviation(name: str, nodes: str, std: float, scale: int) -> None:
    width = scale * inspect.signature(getattr(zoo, name)).parameters["width"].default
    for node, layer, c_in, _ in convolutions(network(name, head=True, width=width)):
        if re.fullmatch(nodes, node):
            assert layer.weights.fan == "in"
            assert_close(layer.weights.gain / (taps(layer) * c_in), std**2, ROUNDING)


def test_build_options() -> None:
    tanh = zoo.plain(3, 5, "tanh", width=7, weights=em.Constant())
    assert tanh == em.repeat(em.serial(em.Conv(5, 7, weights=em.Constant()), em.Activation("tanh")), 3)
    assert field("plain", n=4, kernel_size=4)[0] == 13
    assert zoo.context_module((1, 3)).channels()["conv3"] == 21
    assert {node.layer.factor for node in zoo.convnext_tiny(layer_scale=0.5).nodes
            if isinstance(node.layer, em.Scale)} == {0.5}
    assert network("cifar_resnet110") == zoo.cifar_resnet(depth=110)
    assert [len(zoo.unet(levels).names) for levels in (1, 2)] == [15, 26]
    assert "batch_norm1" in zoo.vgg11(batch_norm=True).names


@pytest.mark.parametrize("name, near", [("resnet5", "resnet50"), ("VGG16", "vgg16"),
                                        ("mobilenet", "mobilenet_v1"), ("?", "known are alexnet")])
def test_build_suggests_near_names(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=near):
        zoo.build(name)


@pytest.mark.parametrize("call, error, message", [
    (lambda: zoo.build("vgg16", widht=3), TypeError, "widht=3: not an option of 'vgg16'.*width"),
    (lambda: zoo.build("preact_resnet20", depth=32), TypeError, "depth=32"),
    (lambda: zoo.cifar_resnet(21), ValueError, "depth=21: must be 6 n"),
    (lambda: zoo.preact_resnet(2), ValueError, "depth=2"),
    (lambda: zoo.unet(0), ValueError, "levels=0"),
    (lambda: zoo.unet(up="cubic"), ValueError, "up='cubic'"),  # type: ignore[arg-type]
    (lambda: zoo.alexnet(width=0), ValueError, "width=0"),
    (lambda: zoo.resnet50(width=0), ValueError, "channels=0"),
    (lambda: zoo.plain(3, 2.5), ValueError, "kernel_size=2.5"),  # type: ignore[arg-type]
    (lambda: zoo.plain(3, activation="rleu"), ValueError, "rleu"),
])
def test_build_refuses_bad_options(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
