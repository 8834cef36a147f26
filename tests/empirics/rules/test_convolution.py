"""Convolutions as layers of a run: windows, gradients, kernels."""

from __future__ import annotations

import pytest
from differences import Case, check_input_gradient, check_parameter_gradients, check_windows, plant_error

import erfmath as em
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


@pytest.mark.parametrize("name, image", [("groups", (4, 5)), ("transposed", (2, 3)), ("1d", (11,)), ("3d", (5, 3, 4))])
def test_run_and_its_parameter_gradients(name: str, image: tuple[int, ...]) -> None:
    check_parameter_gradients((CASES[name][0], image), images=2)


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
