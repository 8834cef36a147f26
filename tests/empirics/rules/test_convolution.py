"""Convolutions as layers of a run: windows, gradients, kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from differences import Case, check_input_gradient, check_parameter_gradients, check_windows, plant_error
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.empirics.boxes import compile_network
from erfmath.empirics.convolution import conv
from erfmath.empirics.run import forward
from erfmath.empirics.sampling import parameters_of

C, A = em.Conv, em.Activation

CASES: dict[str, Case] = {
    "plain": (em.serial(C(3), A("relu"), C(3), A("tanh")), (7, 8)),
    "strides and dilation": (em.serial(C(3, stride=2), C(3, dilation=2, padding=1), C((3, 5), stride=(1, 2))),
                             (15, 17)),
    "same and pairs": (em.serial(C(4, padding="same", stride=2), A("gelu"), C(2, padding=[[1, 0], [0, 2]]),
                                 em.MaxPool(3, 2, 1), C(3)), (13, 12)),
    "groups": (em.serial(C(3, 8), C(3, 8, groups=4), A("silu"), C(3, groups="depthwise", stride=2)), (8, 9)),
    "transposed": (em.serial(C(3, 4), em.ConvTranspose(2, 6, stride=2),
                             em.ConvTranspose(3, 4, stride=2, padding=(1, 0)),
                             em.ConvTranspose(4, 4, padding=-1, groups=2),
                             em.ConvTranspose(3, groups="depthwise", stride=2, padding="same")), (3, 4)),
    "transposed with gaps": (em.serial(em.ConvTranspose(1, stride=3), C(1), em.ConvTranspose(2, stride=3)), (3, 2)),
    "transposed beside all sites": (em.serial(em.MaxPool(3, 1), em.ConvTranspose(1, stride=2, padding=1), C(3)),
                                    (4, 7)),
    "transposed and dilated": (em.serial(
        em.ConvTranspose(3, 4, stride=2, dilation=2, padding=1, output_padding=1), C(1),
        em.ConvTranspose((2, 3), 4, stride=(1, 3), dilation=(3, 1), padding="same")), (4, 3)),
    "reflected": (em.serial(C(3, padding_mode="reflect"), A("tanh"), C(5, padding_mode="reflect", stride=2), C(3)),
                  (6, 7)),
    "repeated": (em.serial(C(3, padding_mode="replicate"), A("tanh"), C(3, dilation=2, padding_mode="replicate"), C(3)),
                 (5, 4)),
    "around": (em.serial(C(3, padding_mode="circular"), A("tanh"), C(3, padding=(0, 3), padding_mode="circular"), C(3)),
               (6, 5)),
    "reflected, depthwise": (em.serial(C(3, groups="depthwise", padding_mode="reflect"), C(3, 4, groups=2)), (4, 5)),
    "3d around": (em.serial(C(3, padding_mode="circular"), C(3, padding_mode="reflect")), (3, 4, 3)),
    "1d": (em.serial(C(3, stride=2), em.residual(C(5)), em.MaxPool(2)), (21,)),
    "3d": (em.serial(C(3, stride=2), A("relu"), em.MaxPool(2), em.Upsample(2, mode="bilinear"),
                     C(3, dilation=2), em.ConvTranspose(2, stride=2)), (5, 6, 7)),
}
every_case = pytest.mark.parametrize("name", CASES)


@every_case
def test_run_on_windows(name: str) -> None:
    check_windows(CASES[name])


@every_case
def test_run_and_its_input_gradient(name: str) -> None:
    check_input_gradient(CASES[name])


@pytest.mark.parametrize("name, image", [("groups", (4, 5)), ("transposed", (2, 3)), ("1d", (11,)), ("3d", (5, 3, 4)),
                                         ("transposed and dilated", (2, 3)), ("reflected", (4, 4)), ("around", (4, 4)),
                                         ("reflected, depthwise", (4, 3))])
def test_run_and_its_parameter_gradients(name: str, image: tuple[int, ...]) -> None:
    check_parameter_gradients((CASES[name][0], image), images=2)


def test_biases_are_drawn_and_shift_gates() -> None:
    """Biases of variance b add b to the values: a sum of variance q + b is positive where its Gaussian is."""
    def net(bias: float) -> em.Network:
        return em.serial(C(1, 16, bias=bias, weights=em.Random(gain=1)), A("sigmoid"), C(1, weights=em.Random(gain=1)))
    known = parameters_of(net(2.0), 2, 16, 3)
    assert known[0, "bias"].std == np.sqrt(2.0) and known[0, "bias"].random
    assert not parameters_of(net(0.0), 2, 16, 3)[0, "bias"].random
    totals = [em.measure(net(bias), draws=500, rng=0, channels_in=64).total for bias in (0, 4)]
    z = np.random.default_rng(0).standard_normal(200_000)
    slope = [float((np.cosh(np.sqrt(q) * z / 2)**-4 / 16).mean()) for q in (1, 5)]
    assert abs(totals[0] / slope[0] - 1) < 0.1 and abs(totals[1] / slope[1] - 1) < 0.1


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes_pad_as_numpy_does(mode: str) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 2, 1, 5, 6)), rng.standard_normal((1, 3, 2, 5, 3))
    program = compile_network(em.serial(C((5, 3), 3, padding=[(2, 3), (1, 0)], padding_mode=mode)), 2, image=(5, 6))
    name: Any = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    padded = np.pad(x, [(0, 0)] * 3 + [(2, 3), (1, 0)], mode=name)
    assert_close(forward(program, {(0, "kernel"): w}, x).output, conv(padded, w, (1, 1), (1, 1)), ROUNDING, scale=10.0)


@pytest.mark.parametrize("op", ["conv", "activation", "max_pool", "upsample", "conv_transpose"])
def test_run_with_a_planted_error_is_caught(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant_error(op, monkeypatch)
    with pytest.raises(AssertionError):
        check_input_gradient(CASES["3d"])


def test_parameters_of_convolutions() -> None:
    """Fan-in is what reaches one output site; transposed convolutions count the taps of one phase."""
    parts = [("in", C), ("out", C)]
    for fan, _ in parts:
        weights = em.Random(gain=1, fan=fan)
        net = em.serial(C(3, 8, weights=weights), em.ConvTranspose(4, 6, stride=2, groups=2, weights=weights),
                        C(1, 6, groups="depthwise", weights=weights))
        found = [p for (_, what), p in parameters_of(net, 2, 16, 4).items() if what == "kernel"]
        assert [p.shape for p in found] == [(8, 4, 3, 3), (8, 3, 4, 4), (6, 1, 1, 1)]
        fans = [36, 16, 1] if fan == "in" else [72, 12, 1]
        assert [round(1 / float(p.std.flat[0])**2, 9) for p in found] == fans
