"""Gates without any input: by hand, and told by batch norms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import norm

import erfmath as em


def test_batch_norms_tell_them() -> None:
    """A ReLU is open with probability Phi(beta / |gamma|), a sum of two normed values by their summed moments."""
    unit = em.serial(em.Conv(3, 3), em.BatchNorm())
    net = em.serial(em.residual(unit, em.serial(em.Conv(1, 3), em.BatchNorm())), em.Activation("relu"), em.Conv(1, 1),
                    em.BatchNorm(), em.Activation("sigmoid"))
    rng = np.random.default_rng(0)
    norms = {f"batch_norm{i}": np.stack([rng.normal(0, 1, c), rng.normal(0, 1, c), np.zeros(c), np.ones(c)])
             for i, c in ((1, 3), (2, 3), (3, 1))}
    weights: Any = {"conv1": rng.standard_normal((3, 2, 1)), "conv2": rng.standard_normal((3, 2, 3)),
                    "conv3": rng.standard_normal((1, 3, 1)), **norms}
    told: Any = em.predict(net, weights=weights, gates="independent", image=9, channels_in=2, ndim=1)
    (g1, b1), (g2, b2), (g3, b3) = (norms[f"batch_norm{i}"][:2] for i in (1, 2, 3))
    part = ndtr((b1 + b2) / np.hypot(g1, g2))
    z = np.linspace(-9, 9, 200001)
    slope = 1 / (2 + 2 * np.cosh(b3 + np.abs(g3) * z))
    moments = np.array([[(slope**k * norm.pdf(z)).sum() * (z[1] - z[0])] for k in (1, 2)])
    hand = em.predict(net, weights=weights, gates={"relu1": part, "sigmoid1": moments}, image=9, channels_in=2, ndim=1)
    assert np.allclose(told.map, hand.map, rtol=1e-6)
    assert any("batch norms" in a.value for a in told.assumptions)


@pytest.mark.parametrize("given, words", [
    (np.ones(3), "shape"), (1.5, "between 0 and 1"), ([[0.5, 0.5], [0.1, 0.1]], "mean square"),
    ([0.5, np.nan], "shape"),
])
def test_what_cannot_be_is_refused(given: Any, words: str) -> None:
    net = em.serial(em.Conv(1, 2), em.Activation("relu"))
    about: Any = {"weights": {"conv1": np.ones((2, 1, 1))}, "channels_in": 1, "ndim": 1}
    with pytest.raises(ValueError, match=words):
        em.predict(net, gates={"relu1": given}, **about)
    with pytest.raises(ValueError, match="nothing is said of relu1"):
        em.predict(net, gates={}, **about)
    with pytest.raises(ValueError, match="no node 'relu7'"):
        em.predict(net, gates={"relu1": 0.5, "relu7": 0.5}, **about)


@pytest.mark.parametrize("function, phi", [
    ("relu6", lambda v: np.clip(v, 0, 6)), ("hardtanh", lambda v: np.clip(v, -1, 1)),
    ("hardsigmoid", lambda v: np.clip(v / 6 + 0.5, 0, 1)), ("hardswish", lambda v: v * np.clip(v / 6 + 0.5, 0, 1)),
    ("gelu", lambda v: v * ndtr(v)),
])
def test_functions_with_kinks_after_a_batch_norm(function: str, phi: Any) -> None:
    """The total power is scale^2 E phi'^2, and of the mean gates (scale E phi')^2, by differences on a fine grid."""
    scale, shift = 2.5, 0.7
    z = np.linspace(-8, 8, 400_001)
    slope = np.diff(phi(shift + scale * z)) / np.diff(scale * z)
    weight = norm.pdf((z[1:] + z[:-1]) / 2) * (z[1] - z[0])
    net = em.serial(em.Conv(1, 1), em.BatchNorm(), em.Activation(function))
    erf: Any = em.predict(net, weights={"conv1": np.ones((1, 1, 1)), "batch_norm1": np.array([
        [scale], [shift], [0.0], [1.0]])}, gates="independent", channels_in=1, ndim=1)
    exact = function not in ("hardswish",)                   # whose slope jumps: by quadrature
    rtol = 1e-5 if exact else 5e-3
    assert np.isclose(erf.total, scale**2 * (slope**2 @ weight), rtol=rtol)
    assert np.isclose(erf.coherent_map.sum(), (scale * (slope @ weight))**2, rtol=rtol)
