"""Runs of whole networks."""

from __future__ import annotations

import importlib
import re

import numpy as np
import pytest
from differences import draw_parameters, run_window
from helpers import EXACT, REWRITE, ROUNDING, assert_close
from vocabulary import draw_network

import erfmath as em
from erfmath.empirics.boxes import compile_network
from erfmath.empirics.run import forward
from erfmath.layers.base import KINDS

C, A = em.Conv, em.Activation


def test_forward_on_the_plane_pads_nothing() -> None:
    """The gradient on the plane is that far from the borders of an image."""
    net = em.serial(C(3, stride=2), A("relu"), em.AvgPool(2, 2, 1), em.Upsample(2, mode="bilinear"),
                    C(3, padding="same"), em.MaxPool(3, 1, 1), em.ConvTranspose(3, stride=2, padding=1))
    rng = np.random.default_rng(3)
    numbers = draw_parameters(net, 2, rng)
    x = rng.standard_normal((1, 2, 1, 48, 48))
    unit = (24, 25)
    dy = rng.standard_normal((1, 4, 1, 1, 1))
    on_image = compile_network(net, 2, image=(48, 48), unit=unit)
    on_plane = compile_network(net, 2, unit=unit)
    assert on_plane.backward == on_image.backward
    expected = run_window(on_image, numbers, x).backward(dy)
    assert_close(run_window(on_plane, numbers, x).backward(dy), expected, EXACT)


def test_forward_refuses_inputs_on_other_sites() -> None:
    program = compile_network(em.serial(C(3)), 1, image=(8,), unit=(0,))
    with pytest.raises(ValueError, match="the program needs"):
        forward(program, {(0, "kernel"): np.ones((1, 2, 1, 3))}, np.ones((1, 1, 1, 8)))


def test_learn_spares_the_inputs_and_changes_no_gradient() -> None:
    net, rng = em.serial(C(3, stride=2), A("tanh"), C(3)), np.random.default_rng(0)
    numbers, program = draw_parameters(net, 2, rng), compile_network(net, 2, image=(6, 5))
    x = rng.standard_normal((1, 2, 3, 6, 5))
    runs = [forward(program, numbers, x, training=True, to_inputs=wanted) for wanted in (True, False)]
    both = [run.learn(np.ones_like(run.output)) for run in runs]
    for key, gradient in both[0].items():
        assert_close(both[1][key], gradient, ROUNDING)


#: What PyTorch refuses: reflecting a map more than once, and 3-D pools wider than their map.
REFUSED_BY_TORCH = "Padding size should be less|smaller than kernel size|Padding value causes wrapping"


@pytest.mark.torch
def test_thousand_networks_against_pytorch() -> None:
    """Outputs, and gradients to inputs and parameters, of networks of all kinds of layers."""
    torch_twin = importlib.import_module("torch_twin")
    assert set(torch_twin.LAYERS) == set(KINDS)
    refused, worst = 0, dict.fromkeys(("outputs", "inputs", "parameters"), 0.0)
    for seed in range(1050):
        rng = np.random.default_rng([15, seed])
        net, image = draw_network(rng)
        try:
            found = torch_twin.compare(net, image, rng)
        except RuntimeError as error:
            assert re.search(REFUSED_BY_TORCH, str(error)), error
            refused += 1
            continue
        assert max(found.values()) < REWRITE.rtol, f"{found} on {image}: {[node.layer for node in net.nodes]}"
        worst = {what: max(worst[what], error) for what, error in found.items()}
    print(f"{1050 - refused} networks, {refused} that PyTorch refuses; largest differences {worst}")
    assert refused <= 50
