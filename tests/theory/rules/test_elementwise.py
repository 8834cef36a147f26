"""Layers without a nonlinearity: exact truths."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import REWRITE, ROUNDING, assert_close

import erfmath as em


def test_dropout_widens_power_only() -> None:
    net = em.serial(em.Conv(3), em.Dropout(0.2), em.Conv(3))
    plain = em.predict(em.serial(em.Conv(3), em.Conv(3)))
    assert_close(em.predict(net).map, plain.map / 0.8, ROUNDING)


@pytest.mark.parametrize("image, unit", [(9, (0,)), (12, (0, 0))])
@pytest.mark.parametrize("below, above", [
    ((em.MaxPool(3, 1, 1), em.BatchNorm()), (em.Conv(3, 6, stride=2, padding=0),)),  # means at borders
    ((em.Conv(3, 4), em.InstanceNorm()), (em.MaxPool(3, 2, 1), em.Conv(3, 4), em.InstanceNorm())),  # map statistics
])
def test_a_scale_is_moved_through_a_rectifier(below: tuple[em.Layer, ...], above: tuple[em.Layer, ...], image: int,
                                              unit: tuple[int, ...]) -> None:
    relu, scale = em.Activation("relu"), em.Scale(1.5)
    nets = [em.serial(*below, *between, *above) for between in ((scale, relu), (relu, scale))]
    first, second = (em.predict(net, image=image, unit=unit, ndim=len(unit), channels_in=3) for net in nets)
    np.testing.assert_allclose(first.map, second.map, rtol=1e-9, atol=1e-12 * second.map.max())


@pytest.mark.parametrize("nothing", [em.Identity(), em.Scale(1.0), em.Dropout(0), em.BatchNorm(mode="identity")])
def test_layers_that_do_nothing_keep_what_norms_of_maps_share(nothing: em.Layer) -> None:
    """In `signals`, too, where each node keeps its own row."""
    def arriving(*between: em.Layer) -> float:
        net = em.serial(em.Conv(3, 4), em.InstanceNorm(), *between, em.Activation("relu"), em.MaxPool(3, 2, 1),
                        em.Conv(3, 4), em.InstanceNorm(), em.Conv(1, 4))
        return em.signals(net, image=9, ndim=1).to_dict()["nodes"][0]["arriving"]

    assert arriving(nothing) == pytest.approx(arriving(), rel=1e-9)


def test_a_pad_hands_on_what_values_are_like() -> None:
    """Zeros around a map tell nothing of its middle: sums of nine terms, some of them dropped, are what they were."""
    conv = em.Conv(3, groups="depthwise", stride=2, padding="same")
    below = em.Conv(3, 4), em.Dropout(.3)
    one, *others = (em.predict(em.serial(*below, *way, conv, em.RMSNorm()), channels_in=4, ndim=2).total
                    for way in ((), (em.Pad(1),), (em.Pad(1), em.Scale(2.)), (em.Scale(2.), em.Pad(1))))
    assert_close(others, [one] * 3, REWRITE)
