"""What all specs have in common: windows, names, dimensions, the registry of kinds."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from specs import INT

import erfmath as em
from erfmath.layers import Layer, base
from erfmath.layers.base import KINDS

KERNEL_LAYERS = (em.Conv, em.ConvTranspose, em.MaxPool, em.AvgPool)


@pytest.mark.parametrize("make, message", [
    *((lambda cls=cls: cls(0), "kernel_size=0: must be at least 1") for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3.0), "kernel_size=3.0: " + INT) for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(True), "kernel_size=True: " + INT) for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls("3"), "kernel_size='3': " + INT) for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, stride=0), "stride=0: must be at least 1") for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, stride=(1, False)), r"stride\[1\]=False: " + INT)
      for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, padding="full"), "padding='full': .*'valid'.*'same'")
      for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, padding=1.5), "padding=1.5: " + INT) for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, padding=None), "padding=None: " + INT) for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, padding=(1, 1, 1)), r"padding=\(1, 1, 1\): .* one pair per axis")
      for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, padding=[(1, 1), (1, 1, 1)]), "one pair .* per axis")
      for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, padding=[1, (1, 1)]), "a flat pair is") for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, padding=[]), r"padding=\[\]: ") for cls in KERNEL_LAYERS),
    (lambda: em.Conv(3, name="input"), "name='input': must be a non-empty string"),
    (lambda: em.Identity(name=""), "name='': must be a non-empty string"),
    (lambda: em.GlobalAvgPool(name=3), "name=3: must be a non-empty string"),
])
def test_windows_and_names_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_numpy_values_become_plain_ones() -> None:
    layer = em.Conv(np.int64(3), np.uint8(8), stride=np.array([1, 2]), dilation=np.array(2),
                    padding=np.array([[1, 1], [2, 2]]), groups=np.int32(2))
    assert layer == em.Conv(3, 8, stride=(1, 2), dilation=2, padding=((1, 1), (2, 2)), groups=2)
    plain = (layer.kernel_size, layer.channels, layer.dilation, layer.groups, *layer.stride)
    assert all(type(value) is int for value in plain)
    assert type(em.Scale(np.float32(0.5)).factor) is float
    assert em.Scale(Fraction(1, 2)) == em.Scale(0.5)
    assert em.AvgPool(2, count_include_pad=np.bool_(False)).count_include_pad is False


@pytest.mark.parametrize("layer, dims", [
    (em.Conv(3), {1, 2, 3}), (em.Conv((3,)), {1}), (em.Conv((3, 3)), {2}), (em.Conv([3] * 3), {3}),
    (em.Conv(3, stride=(1, 2)), {2}), (em.Conv(3, dilation=(1, 1, 2)), {3}),
    (em.Conv(3, padding=(1, 2)), {1, 2, 3}), (em.Conv(3, padding=[(1, 1)]), {1}),
    (em.Conv(3, padding=[(1, 1), (2, 2)]), {2}), (em.Pad((1, 2)), {1, 2, 3}),
    (em.Pad([(0, 1)] * 3), {3}), (em.MaxPool((2, 2)), {2}), (em.BlurPool((3, 5)), {2}),
    (em.Upsample((2, 2, 1)), {3}),
    (em.Conv(3, weights=em.Random(profile=[1, 2, 1])), {1, 2, 3}),
    (em.Conv(3, weights=em.Random(profile=np.ones((3, 3)))), {2}),
    (em.Conv(3, weights=em.Fixed(np.ones(3))), {1}),
    (em.Conv(3, weights=em.Fixed(np.ones((4, 2, 3)))), {1}),
    (em.Conv(3, weights=em.Fixed(np.ones((4, 2, 3, 3)))), {2}),
    (em.Conv(3, weights=em.Fixed(np.ones((3, 3, 3)))), {1, 3}),  # one filter, or three by three
    (em.Conv((3, 3, 3), weights=em.Fixed(np.ones((3, 3, 3)))), {3}),
    (em.GlobalAvgPool(), {1, 2, 3}), (em.Activation("relu"), {1, 2, 3}),
])
def test_values_per_axis_fix_the_dimension(layer: Layer, dims: set[int]) -> None:
    assert layer.dimensions() == dims
    for ndim in dims:
        assert len(layer.geometry(ndim)) == ndim


def test_layer_traits() -> None:
    conv, depthwise, constant = em.Conv(3), em.Conv(3, groups="depthwise"), em.Conv(3, weights=em.Constant())
    assert conv.takes_weights and conv.random and conv.mixes_channels and not constant.random
    assert not depthwise.mixes_channels and not em.Conv(3, weights=em.Fixed(np.ones((3, 3)))).mixes_channels
    assert em.MaxPool(2).routes and em.MaxPool(2).needs_data and not em.MaxPool(2).is_gate
    assert em.ConvTranspose(3).transposed and em.Upsample(2).transposed and not conv.transposed
    assert em.Conv(1, stride=2).single_tap(2) and em.Conv((1, 3)).single_tap(2) is False
    assert em.Scale(2).single_tap(3) and not em.GlobalAvgPool().single_tap(1)
    assert em.Upsample(size=5).single_tap(2) and not em.Upsample(size=5, mode="bilinear").single_tap(2)
    assert not em.AdaptiveMaxPool(5).single_tap(2)


def test_weight_shape() -> None:
    assert em.Conv((3, 5), 8, groups=2).weight_shape(4, 8, 2) == (8, 2, 3, 5)
    assert em.ConvTranspose(3, 8, groups=2).weight_shape(4, 8, 1) == (4, 4, 3)
    assert em.Conv(3, groups="depthwise").weight_shape(4, 4, 1) == (4, 1, 3)
    assert em.Conv(3, weights=em.Fixed([1, 2, 1])).weight_shape(4, 4, 1) == (4, 1, 3)
    assert em.MaxPool(3).weight_shape(4, 4, 2) is None


def test_layer_kinds_are_entered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erfmath.layers.base.KINDS", dict(KINDS))
    made = type("Twice", (Layer,), {"op": "twice", "__module__": __name__})
    assert base.KINDS["twice"] is made and "twice" not in KINDS
    with pytest.raises(TypeError, match="Thrice: op='twice': is the op of .*Twice; every kind .* one of its own"):
        type("Thrice", (Layer,), {"op": "twice"})
    assert base.KINDS["twice"] is made
    type("Abstract", (Layer,), {})
    assert set(base.KINDS) == {*KINDS, "twice"}
