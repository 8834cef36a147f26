"""Normalisations: what they accept and refuse, and over what they take statistics."""

from __future__ import annotations

from typing import Any

import pytest
from specs import check_spec, examples

import erfmath as em
from erfmath.layers import Layer


@pytest.mark.parametrize("layer", examples("batch_norm", "layer_norm"), ids=repr)
def test_norm_spec(layer: Layer) -> None:
    check_spec(layer)


@pytest.mark.parametrize("make, message", [
    (lambda: em.BatchNorm("train"), "mode='train': must be one of 'data', 'identity'"),
])
def test_norm_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_norm_traits() -> None:
    assert em.BatchNorm().statistics == ("batch", "space") and em.BatchNorm().is_gate and em.BatchNorm().takes_norm
    frozen = em.BatchNorm("identity")
    assert frozen.statistics == () and frozen.is_identity and not frozen.is_gate
    assert em.LayerNorm().statistics == ("channels",) and em.LayerNorm().mixes_channels
    assert not em.BatchNorm().mixes_channels
