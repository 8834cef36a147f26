"""Convolutions: what they accept and refuse, and their channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from specs import INT, check_spec, examples

import erfmath as em
from erfmath.layers import Layer


@pytest.mark.parametrize("layer", examples("conv", "conv_transpose"), ids=repr)
def test_convolution_spec(layer: Layer) -> None:
    check_spec(layer)


@pytest.mark.parametrize("make, message", [
    (lambda: em.Conv((3, 3, 3, 3)), r"kernel_size=\(3, 3, 3, 3\): .* 1 to 3 axes"),
    (lambda: em.Conv(()), r"kernel_size=\(\): .* 1 to 3 axes"),
    (lambda: em.Conv((3, 0)), r"kernel_size\[1\]=0: must be at least 1"),
    (lambda: em.Conv(np.array(3.0)), "kernel_size=.*: " + INT),
    (lambda: em.Conv([[3, 3]]), r"kernel_size\[0\]=\[3, 3\]: " + INT),
    (lambda: em.Conv(3, dilation=0), "dilation=0: must be at least 1"),
    (lambda: em.Conv(3, dilation=1.0), "dilation=1.0: " + INT),
    (lambda: em.Conv(3, padding_mode="mirror"), "padding_mode='mirror': must be one of 'zeros', 'reflect'"),
    (lambda: em.Conv(3, bias=-0.1), "bias=-0.1: must not be negative, it is a variance"),
    (lambda: em.ConvTranspose(3, bias=True), "bias=True: must be a real number"),
    (lambda: em.ConvTranspose(3, dilation=0), "dilation=0: must be at least 1"),
    (lambda: em.ConvTranspose(3, output_padding=-1), "output_padding=-1: must be at least 0"),
    (lambda: em.Conv(3, padding=-1), "padding=-1: must be at least 0"),
    (lambda: em.Conv(3, padding=(0, -1)), "padding=-1: must be at least 0"),
    (lambda: em.ConvTranspose(3, padding="half"), "padding='half': .*'valid', 'same'"),
    (lambda: em.Conv(2), "padding='half': .* spans 2 sites; use padding='same' or a pair"),
    (lambda: em.Conv((3, 4)), "padding='half': .* spans 4 sites; use padding='same' or a pair"),
    (lambda: em.Conv(4, dilation=3), "padding='half': .*dilation=3 spans 10 sites"),
    (lambda: em.Conv((3, 3), stride=(1, 1, 1)), "Conv: .* different numbers of axes"),
    (lambda: em.Conv((3,), padding=[(1, 1), (1, 1)]), "Conv: .* different numbers of axes"),
    (lambda: em.Conv(3, stride=(2, 2), dilation=(2,)), "Conv: .* different numbers of axes"),
    (lambda: em.Conv(3, 0), "channels=0: must be at least 1"),
    (lambda: em.Conv(3, 8.0), "channels=8.0: " + INT),
    (lambda: em.Conv(3, True), "channels=True: " + INT),
    (lambda: em.Conv(3, groups="all"), "groups='all': must be an integer or 'depthwise'"),
    (lambda: em.Conv(3, groups=None), "groups=None: " + INT),
    (lambda: em.Conv(3, 6, groups=4), "groups=4: must divide channels=6"),
    (lambda: em.Conv(3, weights="random"), "weights='random': must be Random"),
    (lambda: em.Conv(3, weights=em.Random), "weights=<class .*: must be Random"),
    (lambda: em.Conv(3, weights=em.Fixed([[1, 2]])), r"weights: .* shape \(1, 2\) .*kernel_size=3"),
    (lambda: em.Conv((3, 1), weights=em.Random(profile=[1, 2, 1])), r"weights: .* shape \(3,\)"),
    (lambda: em.Conv(3, stride=(1, 1), weights=em.Fixed([1, 1, 1])), r"weights: .* shape \(3,\)"),
    (lambda: em.Conv(3, 5, weights=em.Fixed(np.ones((4, 2, 3, 3)))), "channels=5: .* give 4"),
    (lambda: em.Conv(3, groups=3, weights=em.Fixed(np.ones((4, 2, 3, 3)))),
     "groups=3: must divide the 4 outgoing"),
    (lambda: em.Conv(3, groups="depthwise", weights=em.Fixed(np.ones((4, 2, 3, 3)))),
     "must have 1 as their second axis"),
])
def test_convolution_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def channels(layer: Any, c_in: int | None, width: int | None = 16, ndim: int | None = 2) -> Any:
    return layer.out_channels(c_in, width, ndim)


FULL = em.Fixed(np.ones((6, 2, 3, 3)))


@pytest.mark.parametrize("layer, c_in, out", [
    (em.Conv(3), 5, 16), (em.Conv(3, 7), 5, 7), (em.Conv(3, 8, groups=4), 12, 8),
    (em.Conv(3, groups="depthwise"), 5, 5), (em.Conv(3, 5, groups="depthwise"), 5, 5),
    (em.Conv(3, weights=em.Fixed(np.ones((3, 3)))), 5, 5), (em.Conv(3, weights=FULL), 2, 6),
    (em.Conv(3, 6, groups=3, weights=FULL), 6, 6), (em.ConvTranspose(3, weights=FULL), 6, 2),
    (em.ConvTranspose(3, groups=3, weights=FULL), 6, 6),
    (em.Conv(3, groups="depthwise", weights=em.Fixed(np.ones((4, 1, 3, 3)))), 4, 4),
    (em.ConvTranspose(3, groups="depthwise", weights=em.Fixed(np.ones((4, 1, 3, 3)))), 4, 4),
    (em.MaxPool(2), 5, 5), (em.Activation("relu"), 5, 5), (em.GlobalAvgPool(), 5, 5),
])
def test_out_channels(layer: Layer, c_in: int, out: int) -> None:
    assert channels(layer, c_in) == out


def test_out_channels_not_known_yet() -> None:
    assert channels(em.Conv(3), None, None) is None
    assert channels(em.Conv(3, groups="depthwise"), None) is None
    assert channels(em.Conv(3, 7), None, None) == 7
    cube = em.Conv(3, weights=em.Fixed(np.ones((3, 3, 3))))
    assert channels(cube, 5, ndim=3) == 5 and channels(cube, 3, ndim=1) == 3
    assert channels(cube, 5, ndim=None) is None


@pytest.mark.parametrize("layer, c_in, message", [
    (em.Conv(3, 8, groups=4), 6, "groups=4: must divide the 6 incoming channels"),
    (em.Conv(3, groups=5), 10, "groups=5: must divide the 16 outgoing channels"),
    (em.Conv(3, 6, groups="depthwise"), 5, "channels=6: this layer keeps its 5 incoming channels"),
    (em.Conv(3, 6, weights=em.Fixed(np.ones((3, 3)))), 5, "channels=6: this layer keeps its 5"),
    (em.Conv(3, weights=FULL), 5, r"weights of shape \(6, 2, 3, 3\) .* take 2 channels, 5 come in"),
    (em.ConvTranspose(3, weights=FULL), 2, "take 6 channels, 2 come in"),
    (em.Conv(3, groups="depthwise", weights=em.Fixed(np.ones((4, 1, 3, 3)))), 8,
     "take 4 channels, 8 come in"),
])
def test_out_channels_refused(layer: Layer, c_in: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        channels(layer, c_in)


@pytest.mark.parametrize("n, k, s, p, d, more, out", [  # as torch.nn.ConvTranspose1d(1, 1, k, s, p, more, dilation=d)
    (5, 3, 2, 1, 1, 1, 10), (5, 3, 2, 0, 2, 0, 13), (4, 2, 3, 1, 3, 2, 13), (1, 4, 1, 0, 2, 0, 7),
])
def test_transposed_sizes_with_dilation(n: int, k: int, s: int, p: int, d: int, more: int, out: int) -> None:
    layer = em.ConvTranspose(k, stride=s, padding=p, dilation=d, output_padding=more)
    assert layer.geometry(1)[0].out(n) == out
    if not more:
        return
    same = em.ConvTranspose(k, stride=s, padding=(p, p - more), dilation=d)
    assert same.geometry(1) == layer.geometry(1)


def test_bias_counts_as_a_parameter() -> None:
    assert em.Conv(3, 8).parameters(4, 8, 2) == 288 and em.Conv(3, 8, bias=0.1).parameters(4, 8, 2) == 296
    assert em.ConvTranspose(3, 8, bias=0.1).parameters(4, 8, 2) == 296 == em.Conv(3, 8).parameters(4, 8, 2, True)
