"""Networks of image restoration: parameters against publications."""

from __future__ import annotations

from typing import Any

import pytest
from zoo_checks import check_costs, network

import erfmath as em
from erfmath.networks import zoo


@pytest.mark.parametrize("name, image, published, giga", [
    # The reference's baseline for a scale of 2, and the large network.
    ("edsr", 48, 1_369_859, None),
])
def test_zoo_costs(name: str, image: Any, published: int, giga: float | None) -> None:
    check_costs(name, image, published, giga)


def test_zoo_parameters_counted_otherwise() -> None:
    """NAFNet: no biases before pixel shuffles.  The large EDSR."""
    images, enlarged = network("nafnet"), sum(4 * 32 << level for level in range(4))
    assert round((em.costs(images, 16, biases=True).total_parameters - enlarged) / 1e6, 2) == 29.16
    assert em.costs(zoo.edsr(32, width=256), 48, biases=True).total_parameters == 40_729_603
