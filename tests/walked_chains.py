"""Chains by walks and by the sweep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import erfmath as em
from erfmath.theory.chains import chain as chains

PLAIN = em.Random(gain=1)
RECTANGLE = em.Random(profile=[[0, 1, 0, 2, 1], [1, 1, 3, 0, 1]])
TILTED = em.Random(gain=1, profile=[[2, 1, 0], [1, 3, 1], [0, 1, 2]])
SKEWED = em.Random(gain=1.5, profile=[[4, 3, 1], [2, 3, 1], [2, 1, 1]])
NETWORKS: dict[str, Callable[[], em.Network]] = {
    "one kernel": lambda: em.repeat(em.Conv(3, weights=TILTED), 12),
    "skewed": lambda: em.repeat(em.Conv(3, weights=SKEWED), 9),
    "dilated runs": lambda: em.serial(*[em.repeat(em.Conv(3, weights=TILTED, dilation=d), 4) for d in (1, 2, 1, 3)]),
    "strided": lambda: em.serial(em.repeat(em.Conv(3, weights=SKEWED), 6), em.Conv(3, stride=2, weights=TILTED),
                                 em.repeat(em.Conv((2, 5), weights=RECTANGLE, stride=(1, 2), padding=(1, 0)), 2),
                                 em.repeat(em.Conv(3, weights=TILTED, padding="valid"), 6)),
    "among products": lambda: em.serial(em.repeat(em.Conv(5, weights=PLAIN), 5), em.MaxPool(2),
                                        em.repeat(em.Conv(3, weights=TILTED), 7), em.Scale(-2.0)),
    "residual": lambda: em.repeat(em.residual(em.Conv(3, 16, weights=PLAIN)), 8),
    "weighted residual": lambda: em.repeat(em.residual(
        em.serial(em.Conv(3, weights=PLAIN), em.Conv(3, weights=PLAIN), em.Scale(0.3)), em.Scale(0.9)), 5),
    "residual stages": lambda: em.serial(
        em.Conv(3, weights=PLAIN), em.repeat(em.residual(em.Conv(3, weights=PLAIN)), 6),
        em.residual(em.Conv(3, stride=2, weights=PLAIN), em.Conv(1, stride=2, padding=0, weights=PLAIN)),
        em.repeat(em.residual(em.Conv(3, dilation=2, weights=SKEWED)), 6)),
    "nested": lambda: em.repeat(em.residual(em.serial(em.residual(em.Conv(3, weights=PLAIN)),
                                                      em.Conv(3, weights=TILTED))), 4),
    "three branches": lambda: em.repeat(em.serial(
        em.Conv(1, 8), em.add(em.Conv(3, 8), em.Conv(5, 8), em.Conv(1, 8))), 4),
    "depthwise": lambda: em.serial(em.Conv(1, 6), em.repeat(em.residual(
        em.Conv(3, groups="depthwise", weights=TILTED)), 6)),
    "fixed filters": lambda: em.repeat(em.Conv(3, weights=em.Fixed([[0, 1, 0], [1, 2, 1], [0, 1, 0]])), 6),
    "a + b w": lambda: em.repeat(em.residual(em.Conv(3, weights=em.Fixed([[0, .1, 0], [.1, .3, .1], [0, .1, 0]])),
                                             em.Scale(.3)), 8),
    "constant": lambda: em.serial(em.Conv(1, 4, weights=em.Constant()),
                                  em.repeat(em.residual(em.Conv(3, 4, weights=em.Constant())), 6)),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def unfolded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erfmath.theory.predict.folded", lambda *_: None)


def swept(net: em.Network, monkeypatch: pytest.MonkeyPatch, **options: Any) -> em.EffectiveReceptiveField:
    """The same field from the backward sweep, whatever a walk could do."""
    with monkeypatch.context() as patch:
        unfolded(patch)
        patch.setattr("erfmath.theory.predict.chain", lambda *_: None)
        return em.predict(net, channels_in=16, **options)


def walked(net: em.Network, monkeypatch: pytest.MonkeyPatch, **options: Any) -> em.EffectiveReceptiveField:
    """The same field from a walk, however small."""
    with monkeypatch.context() as patch:
        patch.setattr(chains, "_FEW", {2: 0, 3: 0})
        return em.predict(net, channels_in=16, **options)
