"""Normalisations: what they accept and refuse, and over what they take statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from specs import REAL, check_spec, examples

import erfmath as em
from erfmath.layers import Layer

NORMS = ("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm", "grn")


@pytest.mark.parametrize("layer", examples(*NORMS), ids=repr)
def test_norm_spec(layer: Layer) -> None:
    check_spec(layer)


@pytest.mark.parametrize("make, message", [
    (lambda: em.BatchNorm("train"), "mode='train': must be one of 'data', 'batch', 'identity'"),
    (lambda: em.BatchNorm(scale_var=-1), "scale_var=-1.0: must not be negative"),
    (lambda: em.LayerNorm(shift_var="1"), "shift_var='1': " + REAL),
    (lambda: em.GroupNorm(0), "groups=0: must be at least 1"),
    (lambda: em.serial(em.Conv(1, 6), em.GroupNorm(4)), "group_norm1: groups=4: must divide the 6 incoming channels"),
    (lambda: em.GRN(gamma=float("nan")), "gamma=nan: must be finite"),
])
def test_norm_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_norm_traits() -> None:
    assert em.BatchNorm().statistics == ("batch", "space") and em.BatchNorm().is_gate and em.BatchNorm().takes_norm
    frozen = em.BatchNorm("identity")
    assert frozen.statistics == () and frozen.is_identity and not frozen.is_gate
    assert em.LayerNorm().statistics == ("channels",) and em.LayerNorm().mixes_channels
    assert not em.BatchNorm().mixes_channels and not em.InstanceNorm().mixes_channels
    assert em.GroupNorm(4).statistics == ("channels", "space") and em.GroupNorm(4).group_count(12, 2) == 4
    through = [em.BatchNorm("batch"), em.GroupNorm(2), em.InstanceNorm(), em.LayerNorm(), em.RMSNorm(), em.GRN(1.0)]
    assert all(layer.through_statistics for layer in through)
    assert not any(layer.through_statistics for layer in (em.BatchNorm(), em.BatchNorm("identity"), em.GRN()))
    assert em.GRN().is_identity and not em.GRN(0, 1).is_identity
    assert not em.BatchNorm("identity", shift_var=1).is_identity


@pytest.mark.parametrize("layer, count", [
    (em.BatchNorm(), 24), (em.LayerNorm(), 24), (em.GroupNorm(3), 24), (em.GRN(), 24), (em.RMSNorm(), 12),
    (em.InstanceNorm(), 0), (em.InstanceNorm(scale_var=1), 24),
])
def test_norm_parameters(layer: Layer, count: int) -> None:
    assert layer.parameters(12, 12, 2) == count


@pytest.mark.parametrize("layer, reads", [
    (em.BatchNorm(), [{0}, {1}, {2}, {3}]), (em.GroupNorm(2), [{0, 1}, {0, 1}, {2, 3}, {2, 3}]),
    (em.InstanceNorm(), [{0}, {1}, {2}, {3}]), (em.LayerNorm(), [{0, 1, 2, 3}] * 4), (em.GRN(), [{0}, {1}, {2}, {3}]),
    (em.GRN(1.0), [{0, 1, 2, 3}] * 4),
])
def test_norm_channel_reads(layer: Layer, reads: list[set[int]]) -> None:
    assert [set(column) for column in layer.channel_reads([np.arange(4)], 4, 2).T] == reads
