"""Examples of every kind of layer, and what holds for each spec."""

from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest

import erfmath as em
from erfmath.layers import FUNCTIONS, Layer
from erfmath.networks.json import layer_from_dict, layer_to_dict

#: Ends of messages.
INT = "must be an integer"
REAL = "must be a real number"

EXAMPLES: list[Layer] = [
    em.Conv(3), em.Conv((3, 5), 64, stride=(1, 2), dilation=(2, 1), padding=((1, 0), (2, 2))),
    em.Conv(2, padding="same"), em.Conv(4, padding=(1, 2)), em.Conv(3, groups="depthwise"),
    em.Conv(3, 8, groups=4, weights=em.Constant(), name="c"),
    em.Conv(3, weights=em.Random(1, "out", [1, 2, 1], "uniform")),
    em.Conv((2, 3), padding=0, weights=em.Fixed(np.ones((2, 3)))),
    em.ConvTranspose(4, 8, stride=2, padding=(1, 0)), em.ConvTranspose(3, padding=(1, -1)),
    em.ConvTranspose(2, stride=2, padding="same"), em.MaxPool(2), em.MaxPool(3, 2, 1),
    em.MaxPool((2, 3), (1, 2), "same"), em.AvgPool(3, 1, "half"), em.AvgPool(2, 2, 0, False),
    em.BlurPool(), em.BlurPool(4, 1, (1, 2)),
    em.GlobalAvgPool(), em.Upsample(), em.Upsample((2, 3), "bilinear"), em.LayerNorm(),
    *(em.Activation(function) for function in FUNCTIONS), em.Activation("leaky_relu", slope=0.2),
    em.BatchNorm(), em.BatchNorm("identity"), em.Scale(-0.1), em.Dropout(0), em.Dropout(0.5),
    em.Pad(1), em.Pad((1, -2)), em.Pad([[1, 2], [0, 0], [3, 3]]), em.Identity(), em.Add(),
    em.Concat("both"), em.Multiply(), em.Slice(0, 1), em.Slice(2, 6), em.Shuffle(1), em.Shuffle(3), em.Softmax(2),
    em.PixelShuffle(1), em.PixelShuffle(2), em.PixelShuffle((1, 2)), em.PixelUnshuffle(2), em.PixelUnshuffle((2, 1)),
    em.BatchNorm("batch"), em.BatchNorm("identity", shift_var=1), em.GroupNorm(4), em.GroupNorm(1, scale_var=0.5),
    em.InstanceNorm(), em.InstanceNorm(shift_var=0.1), em.RMSNorm(), em.RMSNorm(scale_var=1), em.GRN(),
    em.GRN(0.5, -1), em.Activation("prelu", slope=0.1), em.AdaptiveAvgPool(1), em.AdaptiveAvgPool((2, 3)),
    em.AdaptiveMaxPool(4), em.MaxPool(3, 2, 1, dilation=2, ceil_mode=True), em.AvgPool(3, 2, 1, ceil_mode=True),
    em.Upsample(size=7), em.Upsample(size=(7, 9), mode="bilinear", align_corners=True), em.Upsample(3, "bicubic"),
    em.Conv(3, padding_mode="reflect", bias=0.1), em.ConvTranspose(3, stride=2, dilation=2, output_padding=1, bias=1),
    em.Pad(2, "circular"),
]


def examples(*ops: str) -> list[Layer]:
    """The examples of these kinds of layers."""
    found = [layer for layer in EXAMPLES if layer.op in ops]
    assert {layer.op for layer in found} == set(ops), f"tests/specs.py has no example of some of {ops}"
    return found


def check_spec(layer: Layer) -> None:
    """A spec is a value: frozen, equal to its copies and its JSON, and to nothing else; its traits agree."""
    values = {f.name: getattr(layer, f.name) for f in dataclasses.fields(layer)}
    unpickled = pickle.loads(pickle.dumps(layer))
    named = dataclasses.replace(layer, name=None)  # a name is the node's in JSON
    written = json.loads(json.dumps(layer_to_dict(layer)))
    assert layer_from_dict(written) == named and layer_to_dict(named) == written
    for copy in (type(layer)(**values), dataclasses.replace(layer), unpickled):
        assert copy == layer and hash(copy) == hash(layer) and repr(copy) == repr(layer)
    assert type(layer)(**values | {"name": "other"}) != layer
    assert [other for other in EXAMPLES if other == layer] == [layer]
    for name in values:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(layer, name, None)
    assert not (layer.is_identity and layer.needs_data), "what hands everything on depends on no data"
    assert layer.is_gate >= bool(layer.statistics), "what takes statistics multiplies gradients by them"
    for ndim in layer.dimensions():
        assert len(layer.geometry(ndim)) == ndim
        assert layer.single_tap(ndim) or not layer.follows, "what follows a convolution acts site by site"
