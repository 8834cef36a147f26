"""Networks of one and of three dimensions: parameters, costs and receptive fields against publications."""

from __future__ import annotations

import pytest
from zoo_checks import field, network, parameters, reach, repeated

# The longest way through the networks for which nothing is published.
LONGEST = {
    "tcn": repeated(2, *((6 * 2**i + 1, 1) for i in range(8))),
    "wavenet": ((2, 1), *repeated(3, *((2**i + 1, 1) for i in range(10)))),
}


@pytest.mark.parametrize("name", LONGEST)
def test_zoo_receptive_field_of_the_longest_way(name: str) -> None:
    assert field(name)[:2] == reach(*LONGEST[name])


def test_zoo_parameters_counted_otherwise() -> None:
    """3-D U-Net: convolutions with their biases, norms left out."""
    assert parameters(network("unet3d", head=True), 0, "conv[0-9]+|classifier") == 19_069_955
