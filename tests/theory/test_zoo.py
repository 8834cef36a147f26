"""Predictions for named networks, against gradients sampled with the frameworks' own modules and against `measure`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import erfmath as em

#: Standard deviations along both axes with their errors: 60 re-initialised draws of the modules of torchvision
#: (resnet18) and timm by autograd, batch norms at the statistics of four images, 128 pixels.
SAMPLED = [
    ("resnet18", (28.62, 28.62), (0.07, 0.07)),
    ("efficientnet_b0", (28.78, 28.97), (0.16, 0.14)),
    pytest.param("mobilenet_v3_small", (29.41, 29.56), (0.15, 0.13), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("name, std, error", SAMPLED)
def test_predicted_sizes_are_those_of_sampled_modules(name: str, std: tuple[float, ...], error: tuple[float, ...]
                                                      ) -> None:
    found = em.predict(em.zoo.build(name), image=128).std
    assert (abs(found - np.array(std)) < 4 * np.array(error)).all()


#: Narrow, and on small images: a width, an image, and options.
SMALL: dict[str, tuple[int, Any, dict[str, Any]]] = {
    "squeezenet": (48, 64, {}), "resnext50": (16, 64, {}), "regnet_y_400mf": (16, 64, {}),
    "shufflenet_v2": (12, 64, {}),
    "mobilenet_v3_large": (16, 64, {}), "mnasnet": (16, 64, {}),
    "convnext_v2_atto": (16, 64, {}), "repvgg_a0": (24, 64, {}), "hrnet_w18": (8, 64, {}), "fcn": (16, 64, {}),
    "pspnet": (16, 64, {"image": 64}), "fpn_resnet50": (16, 64, {}), "edsr": (32, 32, {}),
    "wavenet": (16, (400,), {"stacks": 2, "layers": 6}), "tcn": (25, (400,), {"levels": 4}),
    "resnet3d_18": (16, (8, 32, 32), {}), "unet_plus_plus": (16, 32, {"levels": 3}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_predicted_sizes_are_measured(name: str) -> None:
    """Within four standard errors and the two per cent by which so few channels miss the limit."""
    width, image, options = SMALL[name]
    net = em.zoo.build(name, width=width, **options)
    theory, measured = em.predict(net, image=image), em.measure(net, image=image, draws=30, rng=0)
    assert (abs(theory.std - measured.std) < 4 * measured.std_stderr + 0.02 * measured.std).all()
