"""Networks as values: names, shapes, channels, dimensions."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from graphs import shallow_stack
from helpers import NETWORKS

import erfmath as em

relu = em.Activation("relu")


@pytest.mark.parametrize("parts, names", [
    ([em.Conv(3), em.Conv(3, name="conv1"), em.Conv(3)], "conv2 conv1 conv3"),
    ([em.Conv(3, name="a")] * 3, "a a_2 a_3"),
    ([em.Conv(3, name="a"), em.Conv(3, name="a_2"), em.Conv(3, name="a")], "a a_2 a_3"),
    ([em.Conv(3, name="a"), em.Conv(3, name="a"), em.Conv(3, name="a_2")], "a a_3 a_2"),
    ([em.Conv(3, name="conv"), em.Conv(3), em.Conv(3, name="conv"), em.Conv(3)],
     "conv conv1 conv_2 conv2"),
    ([em.Activation("tanh"), em.Activation("relu"), em.Activation("tanh")], "tanh1 relu1 tanh2"),
    ([em.repeat(em.serial(em.Conv(3, name="c"), relu), 2)], "c relu1 c_2 relu2"),
    ([em.ConvTranspose(3), em.AvgPool(3), em.Upsample(), em.BatchNorm(), em.LayerNorm(), em.Pad(0),
      em.Scale(1), em.Dropout(0), em.Identity(), em.BlurPool(), em.GlobalAvgPool()],
     "conv_transpose1 avg_pool1 upsample1 batch_norm1 layer_norm1 pad1 scale1 dropout1 identity1 "
     "blur_pool1 global_avg_pool1"),
])
def test_names(parts: list[Any], names: str) -> None:
    assert em.serial(*parts).names == tuple(names.split())


def test_a_network_is_a_value() -> None:
    for build in NETWORKS.values():
        net = build()
        for other in (build(), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            assert other == net and hash(other) == hash(net)
        assert em.serial(net, relu) != net
    assert em.serial(em.Conv(3)) != em.serial(em.Conv(5)) != em.Conv(5)
    assert em.serial(em.Conv(3)) != em.serial(em.Conv(3, name="other"))
    assert em.serial(em.Conv(3)) == em.serial(em.Conv(3, name="conv1"))  # a name is the node's
    assert em.add(em.Conv(3), em.Identity()) != em.add(em.Identity(), em.Conv(3))


def test_shapes() -> None:
    net = em.serial(em.Conv(7, stride=2, padding=3), em.MaxPool(3, 2, 1),
                    em.residual(em.Conv(3), em.Identity(name="skip")), em.GlobalAvgPool())
    assert list(net.shapes(224).values()) == [(112,) * 2, (56,) * 2, (56,) * 2, (56,) * 2,
                                              (56,) * 2, (1, 1)]
    assert net.shapes((9, 20))["max_pool1"] == (3, 5)
    assert net.shapes(np.array([9, 20])) == net.shapes([9, 20]) == net.shapes((9, 20))
    assert net.shapes(np.int64(9), ndim=3)["conv1"] == (5, 5, 5)
    assert net.shapes((9,))["conv1"] == (5,)
    assert tuple(net.shapes(9)) == net.names


@pytest.mark.parametrize("net, image, message", [
    (em.serial(em.Conv(5, padding=0)), 4, r"image=\(4, 4\): too small, conv1 has no output site"),
    (em.repeat(em.MaxPool(2), 3), (8, 7), r"image=\(8, 7\): too small, max_pool3 .* \(2, 1\)"),
    (em.serial(em.Pad(-2)), 4, "too small, pad1"),
    (em.serial(em.Conv(3)), 0, "image=0: must be at least 1"),
    (em.serial(em.Conv(3)), (3, -1), "image=-1: must be at least 1"),
    (em.serial(em.Conv(3)), 3.0, "image=3.0: must be an integer"),
    (em.serial(em.Conv(3)), True, "image=True: must be an integer"),
    (em.serial(em.Conv(3)), "224", "image='224': must be an integer"),
    (em.serial(em.Conv((3, 3))), (4, 4, 4), r"image=\(4, 4, 4\): must have 2 values"),
    (em.serial(em.Conv(3)), (4, 4, 4, 4), "image=.*: must have 1 to 3 values, one per axis"),
    (em.residual(em.Conv(3, padding=0)), 8, r"add1: inputs: shapes differ, input \(8, 8\), conv1"),
    (em.residual(em.serial(em.MaxPool(2), em.Upsample(2))), 7, r"upsample1 \(6, 6\), for image="),
])
def test_shapes_refused(net: em.Network, image: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        net.shapes(image)


def test_dimension() -> None:
    assert em.serial(em.Conv(3)).dimension(3) == 3
    assert em.serial(em.Conv((3, 3))).dimension(3) == 2  # its own
    cube = em.serial(em.Conv(3, weights=em.Fixed(np.ones((3, 3, 3)))))
    assert cube.ndim is None and cube.dimension(1) == 1
    with pytest.raises(ValueError, match="ndim=2: this network lives in 1 or 3 dimensions"):
        cube.dimension(2)


def test_channels() -> None:
    net = em.serial(em.Conv(3), relu, em.Conv(3, 10, name="ten"),
                    em.concat(em.Identity(), em.Conv(1)), em.Conv(3, groups="depthwise"),
                    em.Conv(1, 8, groups=2), em.MaxPool(2))
    counts = net.channels(width=6, channels_in=4)
    assert counts == {"conv1": 6, "relu1": 6, "ten": 10, "conv2": 6, "concat1": 16, "conv3": 16,
                      "conv4": 8, "max_pool1": 8}
    assert net.channels()["concat1"] == 26
    assert em.serial(relu).channels() == {"relu1": 3}
    one = em.serial(em.Conv(3, weights=em.Fixed(np.ones((3, 3, 3)))))
    assert one.channels(ndim=3) == one.channels(ndim=1) == {"conv1": 3}


@pytest.mark.parametrize("net, options, message", [
    (em.residual(em.Conv(3, 8)), {}, "add1: inputs: cannot add 3 and 8 channels"),
    (em.residual(em.Conv(3)), {"width": 8}, "add1: inputs: cannot add 3 and 8"),
    (em.serial(em.Conv(3), em.Conv(3, groups=4)), {"width": 6}, "conv2: groups=4: must divide"),
    (em.serial(em.Conv(3, groups=2, name="g")), {}, "g: groups=2: must divide the 3 incoming"),
    (em.serial(relu), {"width": 0}, "width=0: must be at least 1"),
    (em.serial(relu), {"width": 2.0}, "width=2.0: must be an integer"),
    (em.serial(relu), {"channels_in": 0}, "channels_in=0: must be at least 1"),
    (em.serial(relu), {"ndim": 5}, "ndim=5: this network lives in"),
])
def test_channels_refused(net: em.Network, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        net.channels(**options)


def test_an_unknown_node_is_named_with_its_neighbours() -> None:
    net = em.serial(em.Conv(3), relu)
    with pytest.raises(ValueError, match="node='conv2': .* did you mean 'conv1'"):
        net.index("conv2")
    with pytest.raises(ValueError, match="node='xyz': no node of this network; see net.names"):
        net["xyz"]
    with pytest.raises(ValueError, match="node=3: no node"):
        net.index(3)  # type: ignore[arg-type]


def test_the_shallow_stack_catches_recursion() -> None:
    def down(n: int) -> int:
        return down(n - 1) if n else 0

    with shallow_stack(), pytest.raises(RecursionError):
        down(100)


def test_shapes_of_what_is_pooled_to_one_site() -> None:
    """It serves every site of the maps that it meets; anything else must have their shape."""
    gate = em.serial(em.GlobalAvgPool(), em.Conv(1, 16), em.Activation("sigmoid"))
    for meet, c in ((em.multiply, 16), (em.add, 16), (em.concat, 32)):
        net = em.serial(em.Conv(3, 16, stride=2), meet(gate, em.Identity(), name="met"), em.Conv(3))
        assert net.shapes(image=8)["met"] == net.shapes(image=8)["conv3"] == (4, 4) and net.channels()["met"] == c
    up = em.concat(em.Conv(1, 16), em.serial(em.GlobalAvgPool(), em.Upsample(32)), name="met")
    assert up.shapes(image=32)["met"] == (32, 32)
    with pytest.raises(ValueError, match=r"met: inputs: shapes differ, .*\(33, 33\).*\(32, 32\), for image=\(33, 33\)"):
        up.shapes(image=33)
    with pytest.raises(ValueError, match="shapes differ"):  # one site that is none of a pooled map
        em.add(em.Conv(3), em.Conv(5, padding=0)).shapes(image=5)


def test_names_of_kinds_that_end_in_a_digit() -> None:
    layers = [em.Activation("relu6"), *[em.Activation("relu")] * 61]
    assert len(set(em.serial(*layers).names)) == 62 and em.serial(*layers).names[0] == "relu6_1"
    assert len(set(em.serial(em.Identity("in"), *layers).names)) == 63
