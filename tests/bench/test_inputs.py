"""Natural images beside white noise: where no layer looks at values, the field is the same."""

from __future__ import annotations

from typing import Any

import pytest

import erfmath as em
from erfmath.bench import inputs


def test_run_of_a_linear_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three convolutions: the TRF, and the same size and total for all images."""
    def linear() -> em.Network:
        return em.repeat(em.Conv(3), 3)

    def line(**_: Any) -> em.Network:
        return em.zoo.wavenet()

    monkeypatch.setattr(inputs, "zoo", type("Zoo", (), {
        "__all__": ["linear", "line", "nafnet"], "names": lambda: ["linear", "line", "nafnet"], "linear": linear,
        "line": line}))
    (name, size, noise, images, totals), = inputs.run().rows
    assert (name, size, noise) == ("linear", 7, f"{2**0.5:.2f}") and images == noise and totals == 1.0
