"""What multiplies gradients: means, and random parts whose covariance is that of what they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.empirics.plan import make_plan
from erfmath.networks.settings import RunSettings
from erfmath.trained.circuit import Circuit, channels_of
from erfmath.trained.slopes import Routes, Slope, Slopes, signs, window_sites


def gate_of(net: em.Network, weights: dict[str, Any], image: int, unit: int) -> Any:
    """The step of the only gate of a network on a line."""
    settings = RunSettings.of(net, image=image, unit=unit, channels_in=1, ndim=1, weights=weights)
    plan = make_plan(net, settings, statistic="power", entropy=0, normalise=False, images=None, channel=0, batch=None,
                     dtype="float64")
    circuit = Circuit.of(plan, channels_of(net, settings), plan.recipe.given)
    return circuit.step(*circuit.gates)


POOLED = em.serial(em.Conv(1, 1), em.MaxPool(3, 2, 1))
WEIGHTS = {"conv1": np.ones((1, 1, 1))}


@pytest.mark.parametrize("unit, shares", [(1, [0.5, 0.3, 0.2]), (0, [0.6, 0.4])])
def test_routes_have_the_covariance_of_winners(unit: int, shares: list[float]) -> None:
    """diag(w) - w w' for the shares w of a window; at a border those of the taps inside."""
    step = gate_of(POOLED, WEIGHTS, 7, unit)
    routes = Routes(step, np.array([[0.5, 0.3, 0.2]]), (7,))
    dy = np.ones((1, 1, 1, 1))
    w = np.array(shares)
    whole = np.array([0.5, 0.3, 0.2]) if unit else np.array([0.0, 0.6, 0.4])
    mean, = routes.passed(dy)
    assert_close(mean[mean != 0], whole[whole > 0] if unit else np.array([0.3, 0.2]) / 0.5, ROUNDING)
    (shape,) = routes.numbers(dy)
    varied, = routes.varied(dy, [np.eye(3).reshape(3, *shape)])
    rows = varied[:, 0, 0][:, mean[0, 0, 0] != 0]
    assert_close(rows.T @ rows, np.diag(w) - np.outer(w, w), ROUNDING, scale=1.0)


def test_window_sites_at_a_border() -> None:
    assert window_sites(gate_of(POOLED, WEIGHTS, 7, 0), (7,))[:, 0].tolist() == [False, True, True]
    assert window_sites(gate_of(POOLED, WEIGHTS, 7, 3), (7,))[:, 0].tolist() == [True, True, False]


def test_slopes_have_mean_and_spread() -> None:
    step = gate_of(em.serial(em.Conv(1, 1), em.Activation("tanh")), WEIGHTS, 5, 2)
    slopes = Slopes(step, (Slope(np.array([0.6]), np.array([0.45])),), (1,))
    dy = np.full((1, 1, 1, 1), 2.0)
    assert slopes.independent
    mean, = slopes.passed(dy)
    part, = slopes.varied(dy, [np.array([-1.0, 1.0]).reshape(2, *slopes.numbers(dy)[0])])
    assert_close([mean.sum(), *part.sum(axis=(1, 2, 3))], [1.2, -0.6, 0.6], ROUNDING)  # 0.45 = 0.6^2 + 0.3^2
    assert not Slopes(step, (Slope(np.array([0.6]), np.array([0.45]), by_site=False),), (1,)).independent


def test_signs_are_independent_of_one_another() -> None:
    x = signs(np.random.default_rng(0), (20_000, 3), float)
    assert_close(np.unique(x), [-1.0, 1.0], EXACT)
    moments = x.T @ x / len(x)
    assert np.abs(moments - np.eye(3)).max() < 4 / len(x)**0.5 and np.abs(x.mean(axis=0)).max() < 4 / len(x)**0.5
