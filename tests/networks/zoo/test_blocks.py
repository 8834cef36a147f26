"""Building blocks of the zoo: how weights begin."""

from __future__ import annotations

import inspect
import re

import pytest
from helpers import ROUNDING, assert_close
from zoo_checks import convolutions, network, taps

import erfmath as em
from erfmath.networks import zoo

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
