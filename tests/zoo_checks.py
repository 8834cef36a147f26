"""How networks of the zoo are counted, and measured against publications."""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Iterable
from typing import Any

import erfmath as em
from erfmath.networks import zoo

NAMES = zoo.names()
FUNCTIONS = [name for name in NAMES if name in zoo.__all__]
WITH_HEAD = [name for name in FUNCTIONS if "head" in inspect.signature(getattr(zoo, name)).parameters]
#: Biased nodes of the reference: all, or the classifier. Published numbers of trainable parameters are with them and 2
#: parameters a normalised channel; Keras counts 3 (no scale) or 4 (scale, shift, mean, variance).
ALL, LAST = ".*", "classifier"


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


def check_costs(name: str, image: Any, published: int, giga: float | None) -> None:
    """Parameters and, where there are any, giga-multiply-adds, of torchvision 0.29 and timm 1.0 unless said.

    Biases where no norm follows; ConvNeXt has them before norms, too.
    """
    net = network(name, **({"head": True} if name in WITH_HEAD else {}))
    costs = em.costs(net, image, biases=True if name == "convnext_v2_atto" else "unnormed")
    assert costs.total_parameters == published
    assert giga is None or round(costs.total_multiply_adds / 1e9 - giga, 3) == 0


def field(name: str, node: str | None = None, **options: Any) -> tuple[Any, Any, Any]:
    rf = em.receptive_field(network(name, **options), node=node, gates=False)
    return rf.size[0], rf.stride[0], rf.padding and rf.padding[0]


def reach(*layers: tuple[int, int]) -> tuple[int, int]:
    """Receptive field and stride of a chain of (kernel, stride), counted from the first layer."""
    size, jump = 1, 1
    for kernel, stride in layers:
        size, jump = size + (kernel - 1) * jump, jump * stride
    return size, jump


def repeated(n: int, *layers: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return layers * n
