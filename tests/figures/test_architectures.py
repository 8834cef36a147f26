"""Named architectures: sizes against published ones and against sums over the map."""

from __future__ import annotations

import numpy as np
from figure_data import DESK

from erfmath.figures import architectures


def test_compute_of_an_architecture() -> None:
    """VGG-11 up to its last pool sees 150 pixels (Araujo, Norris and Sim 2019); squares are counted on the map."""
    assert set(architectures.parts(None)) == set(architectures.NETWORKS)
    found = architectures.compute({"network": "vgg11", "image": 224}, DESK)
    share, side = found["share"].astype(float), float(found["mass"])
    assert found["side"] == 150
    offsets = [np.abs(np.arange(n) - c) for n, c in zip(share.shape, found["center"])]
    held = [share[np.maximum.outer(*offsets) <= reach / 2].sum() for reach in (side - 2, side)]
    assert held[0] < 0.95 <= held[1] + 1e-6
