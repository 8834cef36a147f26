"""Layers that pick, order or rearrange channels, as layers of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from differences import Case, check_input_gradient, check_parameter_gradients, check_windows
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.empirics.boxes import compile_network
from erfmath.empirics.run import forward

C, A = em.Conv, em.Activation

CASES: dict[str, Case] = {
    "slices": (em.serial(C(3, 6), em.split([2, 3, 1], em.Identity(), C(3, 2), em.Pad((1, -1))), em.Slice(1, 4), C(3)),
               (5, 6)),
    "shuffles": (em.serial(C(3, 6, groups=2), em.Shuffle(2), C(3, 6, groups=3), em.Shuffle(3)), (5, 4)),
    "softmax": (em.serial(C(3, 6), em.Softmax(3), C(3)), (4, 5)),
    "pixels": (em.serial(C(3, 8), em.PixelShuffle(2), C(3, 3), em.PixelUnshuffle((3, 2)), C(1)), (5, 4)),
    "1d": (em.serial(C(3, 6), em.Slice(0, 4), em.PixelShuffle(2), C(3, stride=2), em.Shuffle(2), em.PixelUnshuffle(3)),
           (9,)),
    "3d": (em.serial(C(1, 12), em.PixelShuffle((1, 2, 3)), C(3), em.Softmax(2), em.PixelUnshuffle((1, 3, 2)), C(1)),
           (3, 3, 2)),
}
every_case = pytest.mark.parametrize("name", CASES)


@every_case
def test_run_on_windows(name: str) -> None:
    check_windows(CASES[name])


@every_case
def test_run_and_its_input_gradient(name: str) -> None:
    check_input_gradient(CASES[name])


@every_case
def test_run_and_its_parameter_gradients(name: str) -> None:
    check_parameter_gradients(CASES[name], images=2)


def output(layer: Any, x: Any) -> Any:
    """Of one image, (channels, *space)."""
    program = compile_network(em.serial(layer), x.ndim - 1, image=x.shape[1:])
    return forward(program, {}, x[None, :, None]).output[0, :, 0]


def test_pixel_shuffle_by_hand() -> None:
    x = np.arange(8.0).reshape(8, 1, 1)
    y = output(em.PixelShuffle(2), x)
    assert_close(y, [[[0, 1], [2, 3]], [[4, 5], [6, 7]]], EXACT)
    assert_close(output(em.PixelUnshuffle(2), y), x, EXACT)
    line = np.arange(12.0).reshape(6, 2)
    assert_close(output(em.PixelShuffle(3), line), [[0, 2, 4, 1, 3, 5], [6, 8, 10, 7, 9, 11]], EXACT)


def test_pixel_unshuffle_drops_what_fills_no_block() -> None:
    assert_close(output(em.PixelUnshuffle(2), np.arange(5.0)[None]), [[0, 2], [1, 3]], EXACT)


def test_pixel_shuffle_after_a_convolution_is_a_transposed_one() -> None:
    rng, k, r = np.random.default_rng(0), 3, 2
    kernel = rng.standard_normal((4, 3 * r * r, k, k))  # (in, out r^2, k, k) of a transposed one at stride 1
    wide = np.zeros((4, 3, k * r, k * r))
    for a in np.ndindex(r, r):
        wide[:, :, a[0]::r, a[1]::r] = kernel[:, a[0] * r + a[1]::r * r]
    image, x = (5, 4), rng.standard_normal((1, 4, 1, 5, 4))
    fine = em.serial(em.ConvTranspose(k, 3 * r * r, padding=1), em.PixelShuffle(r))
    plain = em.serial(em.ConvTranspose(k * r, 3, stride=r, padding=r * (k - 1) // 2))
    ys = [forward(compile_network(net, 2, image=image), {(0, "kernel"): w[None]}, x).output
          for net, w in ((fine, kernel), (plain, wide))]
    assert_close(ys[0], ys[1], ROUNDING, scale=10.0)


def test_shuffle_and_softmax_by_hand() -> None:
    x = np.arange(6.0).reshape(6, 1)
    assert_close(output(em.Shuffle(2), x).ravel(), [0, 3, 1, 4, 2, 5], EXACT)
    logarithms = np.log([[1.0], [2.0], [3.0], [6.0]])
    assert_close(output(em.Softmax(2), logarithms).ravel(), [0.25, 0.25, 0.75, 0.75], ROUNDING)
