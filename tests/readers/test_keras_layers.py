"""Layers of Keras, one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import ROUNDING, assert_close
from keras_reading import CONV, layer, read, sequential, start

import erfmath as em


def test_gains_of_initialisers(tmp_path: Path) -> None:
    """Without weights: Glorot's variance is 2 / (fan in + fan out), He's gives a gain of 2."""
    he = {"class_name": "HeNormal", "config": {}}
    m = read(tmp_path, sequential(start(16, 16, 3), layer("Conv2D", "a", filters=12, **CONV),
                                  layer("Conv2D", "b", filters=4, kernel_initializer=he, **CONV)))
    assert_close(m.net["a"].layer.weights.gain, 2 * 27 / (27 + 108), ROUNDING._replace(rtol=1e-6))
    assert_close(m.net["b"].layer.weights.gain, 2.0, ROUNDING._replace(rtol=1e-6))


def test_flattened_maps_and_dense_layers(tmp_path: Path) -> None:
    """A dense layer on a flattened map is a convolution of its size, its weights in the order of the axes."""
    m = read(tmp_path, sequential(start(4, 5, 2), layer("Conv2D", "a", filters=3, **CONV), layer("Flatten", "flat"),
                                  layer("Dense", "head", units=7)))
    head = m.net["head"].layer
    assert head.kernel_size == (4, 5) and m.net.shapes((4, 5))["head"] == (1, 1) and m.net.output == "a"


@pytest.mark.parametrize("size, stride, padding", [(3, 2, "same"), (4, 2, "same"), (2, 3, "same"), (3, 2, "valid"),
                                                   (2, 3, "valid")])
def test_transposed_convolutions(tmp_path: Path, size: int, stride: int, padding: str) -> None:
    """Sizes as Keras documents them: n s, and n s + max(k - s, 0)."""
    m = read(tmp_path, sequential(start(5, 5, 2), layer("Conv2DTranspose", "up", filters=3, kernel_size=[size, size],
                                                        strides=[stride, stride], padding=padding)))
    n = 5 * stride + (max(size - stride, 0) if padding == "valid" else 0)
    assert m.net.shapes(5)["up"] == (n, n)


def test_padding_upsampling_and_channels_first(tmp_path: Path) -> None:
    first = {"data_format": "channels_first"}
    m = read(tmp_path, sequential(
        start(3, 6, 7), layer("ZeroPadding2D", "pad", padding=[[1, 2], [0, 3]], **first),
        layer("Conv2D", "a", filters=4, **{**CONV, **first}), layer("UpSampling2D", "up", size=[2, 2],
                                                                    interpolation="bilinear", **first),
        layer("Cropping2D", "crop", cropping=[[1, 0], [0, 2]], **first)))
    assert m.channels_in == 3 and m.net.shapes((6, 7)) == {"pad": (9, 10), "a": (9, 10), "up": (18, 20),
                                                           "crop": (17, 18)}
    assert m.net["up"].layer == em.Upsample((2, 2), "bilinear")
