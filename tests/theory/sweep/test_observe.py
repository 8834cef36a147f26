"""What the sweeps know of every node."""

from __future__ import annotations

import math

from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.theory.sweep.inputs import InputModel
from erfmath.theory.sweep.observe import observe
from erfmath.theory.sweep.plan import Graph


def test_observe_a_chain_by_hand() -> None:
    """Gains 3, 1/2 for a rectifier, and 5: of values from the input up, of gradients from the unit down."""
    net = em.serial(em.Conv(3, 8, weights=em.Random(gain=3)), em.Activation("relu"),
                    em.Conv(3, 8, weights=em.Random(gain=5)))
    found = observe(Graph.of(net, RunSettings.of(net)), (0, 0), InputModel(second=2.0))
    assert_close([float(found.moments[i].average[0]) for i in (0, 1, 2)], [6.0, 3.0, 15.0], ROUNDING)
    assert_close([found.arriving[i] for i in (2, 1, 0, -1)], [1.0, 5.0, 2.5, 7.5], ROUNDING)


def test_what_is_not_known_is_said() -> None:
    """A rectifier that acts on what another one has made hands on no power that is known."""
    net = em.serial(em.Conv(3, 8), em.Activation("relu"), em.Activation("tanh"), em.Conv(3, 8))
    found = observe(Graph.of(net, RunSettings.of(net), flat=False), (0, 0), InputModel())
    assert math.isnan(found.passing[2]) and found.arriving[3] == 1.0
