"""FCN and DeepLab: parameters, costs and receptive fields against publications."""

from __future__ import annotations

from typing import Any

import pytest
from zoo_checks import check_costs

#: The head of FCN that torchvision adds to train on an earlier map: 3x3 from 1024 to 256 channels, norm, 21 classes.
AUXILIARY = 1024 * 256 * 9 + 512 + 256 * 21 + 21, (1024 * 256 * 9 + 256 * 21) * 65**2


@pytest.mark.parametrize("name, image, published, giga", [
    ("fcn", 520, 35_322_218 - AUXILIARY[0], 152.717 - AUXILIARY[1] / 1e9),
    ("deeplabv3_resnet50", 520, 42_004_074 - AUXILIARY[0], 178.722 - AUXILIARY[1] / 1e9),
])
def test_zoo_costs(name: str, image: Any, published: int, giga: float | None) -> None:
    check_costs(name, image, published, giga)
