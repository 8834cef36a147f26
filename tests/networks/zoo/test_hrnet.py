"""HRNet and U-Net++: parameters, costs and receptive fields against publications."""

from __future__ import annotations

from typing import Any

import pytest
from zoo_checks import check_costs


@pytest.mark.parametrize("name, image, published, giga", [
    ("hrnet_w18", 64, 9_562_260, None),          # all of timm's parameters before its classifier's
])
def test_zoo_costs(name: str, image: Any, published: int, giga: float | None) -> None:
    check_costs(name, image, published, giga)
