"""All networks of the zoo: docstrings, JSON, widths, heads and options."""

from __future__ import annotations

import inspect
import json
import re
from fractions import Fraction
from typing import Any

import pytest
from zoo_checks import FUNCTIONS, WITH_HEAD, field, network

import erfmath as em
from erfmath.networks import zoo

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
    (lambda: zoo.resnet50(width=0), ValueError, "width=0"),
    (lambda: zoo.plain(3, 2.5), ValueError, "kernel_size=2.5"),  # type: ignore[arg-type]
    (lambda: zoo.plain(3, activation="rleu"), ValueError, "rleu"),
])
def test_build_refuses_bad_options(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_every_name_is_a_builder_of_that_name() -> None:
    """Also those of one depth, as cifar_resnet20, which are no functions of their own."""
    assert all(callable(getattr(zoo, name)) for name in zoo.names())
    assert em.zoo.cifar_resnet20(width=4) == zoo.build("cifar_resnet20", width=4)
