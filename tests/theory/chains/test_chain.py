"""Chains as walks against the backward sweep, exact counts and closed formulas; folded chains against whole ones."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, FFT, ROUNDING, assert_close, assert_rate
from walked_chains import NETWORKS, TILTED, every_network, swept, unfolded, walked

import erfmath as em
from erfmath.base.errors import SizeError
from erfmath.networks.settings import RunSettings
from erfmath.results import sizes
from erfmath.theory.chains import chain as chains
from erfmath.theory.chains.density import WalkDensity


@every_network
@pytest.mark.parametrize("unit", [(0, 0), (-3, 2)])
def test_walks_are_sweeps(name: str, unit: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ways that share the taps and no more give one field, place, total and assumptions included."""
    net = NETWORKS[name]()
    walk, sweep = (find(net, monkeypatch, unit=unit) for find in (walked, swept))
    assert isinstance(walk.density, WalkDensity) and walk.method == "window" and sweep.method == "exact"
    assert (walk.origin, walk.shape, walk.trf, walk.unit) == (sweep.origin, sweep.shape, sweep.trf, sweep.unit)
    assert (walk.node, walk.statistic, walk.assumptions) == (sweep.node, sweep.statistic, sweep.assumptions)
    assert_close(walk.total, sweep.total, ROUNDING)
    assert_close(walk.map, sweep.map, FFT)
    error = walk.density.distribution.error_bound
    assert np.abs(walk.share - sweep.share).max() <= error + ROUNDING.rtol * sweep.share.max()
    for axis in range(2):
        assert_close(walk.profile(axis), sweep.profile(axis), FFT)
        assert_close(walk.cut(axis), sweep.cut(axis), FFT, scale=float(sweep.share.max()))
    assert_close(walk.covariance, sweep.covariance, ROUNDING, scale=float(sweep.covariance.max()) * 10)
    assert_close(walk.centroid, sweep.centroid, ROUNDING, scale=100.0)
    assert_close(walk.rms_radius, sweep.rms_radius, ROUNDING)


@every_network
def test_folded_is_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking once at a run of equal blocks changes nothing."""
    net = NETWORKS[name]()
    fold = chains.folded(net, RunSettings.of(net, channels_in=16), "normal", None)
    assert (fold is None) == (name == "three branches")  # whose blocks alternate
    short = walked(net, monkeypatch, unit=(1, -2))
    unfolded(monkeypatch)
    long = walked(net, monkeypatch, unit=(1, -2))
    assert short.trf == long.trf and short.node == long.node == net.output
    assert_close(short.total, long.total, ROUNDING)
    assert_close(short.share, long.share, FFT)


def test_three_dimensions(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = np.arange(1, 28).reshape(3, 3, 3)**2 % 11
    net = em.repeat(em.residual(em.Conv(3, weights=em.Random(profile=profile))), 5)
    walk, sweep = (find(net, monkeypatch, ndim=3) for find in (walked, swept))
    assert isinstance(walk.density, WalkDensity) and walk.origin == sweep.origin
    assert_close(walk.map, sweep.map, FFT)
    assert_close(walk.cut(1), sweep.cut(1), FFT)
    assert_close(walk.covariance, sweep.covariance, ROUNDING, scale=float(sweep.covariance.max()))


def test_inner_nodes_fold() -> None:
    net = em.serial(em.repeat(em.Conv(3), 20), em.Activation("relu"), em.residual(em.Conv(3)))
    fold = chains.folded(net, RunSettings.of(net, node="conv17"), "exact", None)
    assert fold is not None and len(fold.net) == 2 and fold.counts == [1, 16]
    assert fold.trf == em.receptive_field(net, node="conv17")
    assert em.predict(net, node="conv17").node == "conv17"
    assert chains.folded(net, RunSettings.of(net), "exact", None) is None


def test_equal_layers_need_not_be_one_object() -> None:
    """As those of a file are not."""
    net = em.Network.from_dict(em.repeat(em.Conv(3, weights=TILTED), 30).to_dict())
    fold = chains.folded(net, RunSettings.of(net), "normal", None)
    assert fold is not None and len(fold.net) == 2


@pytest.mark.parametrize("net", [
    em.repeat(em.residual(em.serial(em.Conv(3), em.Activation("relu"))), 6),  # gates
    em.repeat(em.residual(em.AvgPool(3, 1, padding=1)), 6),                   # sums what it has correlated
    em.repeat(em.residual(em.serial(em.Conv(3), em.Dropout(.5))), 6),
    em.repeat(em.ConvTranspose(4, stride=2, padding=1), 3),
    em.add(em.Conv(3), em.serial(em.Conv(3), em.Conv(3))),                    # one block is no chain
])
def test_what_is_no_walk_is_swept(net: em.Network, monkeypatch: pytest.MonkeyPatch) -> None:
    erf = walked(net, monkeypatch, statistic="power")
    assert not isinstance(erf.density, WalkDensity) and erf.method == "exact"
    with pytest.raises(ValueError, match="method='normal'"):
        em.predict(net, statistic="power", method="normal", channels_in=16)


@pytest.mark.parametrize("gain", [Fraction(1), Fraction(1, 3)])
def test_residual_powers_are_binomial(gain: Fraction) -> None:
    """(1 + g w)^n = sum_m C(n, m) g^m w^m, w^m by path counts: in one dimension, far into the tails."""
    n = 40
    want = [Fraction(0)] * (2 * n + 1)
    for m in range(n + 1):
        for i, count in enumerate(em.path_counts(3, m)):
            want[n - m + i] += math.comb(n, m) * gain**m * Fraction(count, 3**m)
    net = em.repeat(em.residual(em.Conv(3, weights=em.Random(gain=float(gain)))), n)
    erf = em.predict(net, ndim=1, channels_in=16)
    assert_close(erf.map, np.array([float(v) for v in want]), ROUNDING)
    deep = em.predict(em.repeat(em.residual(em.Conv(3, weights=em.Random(gain=float(gain)))), 1000), ndim=1,
                      channels_in=16)
    assert_close(deep.std**2, [1000 * float(gain / (1 + gain)) * 2 / 3], ROUNDING)


@pytest.mark.parametrize("weights, variance, covariance", [
    (TILTED, 6 / 11, 4 / 11), (em.Random(gain=2, profile=[[0, 1, 0], [1, 1, 1], [0, 1, 0]]), 2 / 5, 0)])
def test_great_depth(weights: em.Random, variance: float, covariance: float) -> None:
    """Nothing of the map's size is built, and the field is the Gaussian of its moments up to O(1/n)."""
    errors, depths = [], [400, 1600, 6400]
    for n in depths:
        erf = em.predict(em.repeat(em.Conv(3, weights=weights), n))
        assert_close(erf.covariance, n * np.array([[variance, covariance], [covariance, variance]]), ROUNDING,
                     scale=float(n))
        peak = erf.crop(0, 0, of="share")[0, 0]
        errors.append(abs(peak * 2 * math.pi * n * math.sqrt(variance**2 - covariance**2) - 1))
    assert_rate(depths, errors, 1.0)
    assert isinstance(erf.density, WalkDensity) and erf.shape == (12_801, 12_801)
    assert erf.density.distribution.mass_outside < FFT.atol
    near = erf.crop(-300, 300, of="share")
    assert_close(erf.size(), math.sqrt(np.count_nonzero(near > sizes.LEVEL**2 * peak)), EXACT)
    far = erf.crop((-6400, -3), (-5400, 3), of="share")
    assert far.shape == (1001, 7) and not far.any()
    deepest = em.predict(em.repeat(em.Conv(3, weights=weights), 9000))
    with pytest.raises(SizeError, match="crop|lo and hi"):
        deepest.share


def test_normal_method_in_the_plane() -> None:
    net = em.repeat(em.residual(em.Conv(3, weights=TILTED)), 400)
    walk, gauss = (em.predict(net, method=method, channels_in=16) for method in ("exact", "normal"))
    assert (walk.method, gauss.method) == ("window", "normal")
    assert_close(walk.std, gauss.std, EXACT)
    gap = np.abs(walk.crop(-90, 90, of="share") - gauss.crop(-90, 90, of="share")).max()
    assert 0 < gap <= gauss.density.distribution.error_bound + walk.density.distribution.error_bound


def test_a_wrong_tap_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """One part in a billion in one tap shows above the error bound."""
    net = NETWORKS["one kernel"]()
    sweep = swept(net, monkeypatch)
    right = chains.from_weights

    def wrong(weights: Any) -> Any:
        weights = np.array(weights)
        weights[0, 0] *= 1 + 1e-9
        return right(weights)
    monkeypatch.setattr(chains, "from_weights", wrong)
    walk = walked(net, monkeypatch)
    assert isinstance(walk.density, WalkDensity)
    error = walk.density.distribution.error_bound
    assert np.abs(walk.share - sweep.share).max() > error + ROUNDING.rtol * sweep.share.max()
