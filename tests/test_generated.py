"""Random valid networks: what the verbs say of each other, of their JSON, and of what gradients really reach."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from generators import draw_network
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em


def check(seed: int) -> None:
    """One network: JSON, receptive field and support against sampled gradients, sizes of all units, totals."""
    sample = draw_network(np.random.default_rng(seed), plane=False, layers=(1, 3), ndim=1 + seed % 2, most=8)
    net, options = sample.net, sample.options
    again = em.Network.from_dict(json.loads(json.dumps(net.to_dict())))
    assert again == net and hash(again) == hash(net) and again.shapes(sample.image) == net.shapes(sample.image)

    try:
        measured = em.measure(net, **options, draws=8, rng=seed, width=4)
    except NotImplementedError:
        return
    # Through the statistics of a map a gradient reaches all of it, which no receptive field counts.
    by_statistics = any("space" in node.layer.statistics and getattr(node.layer, "mode", "") != "data" for node in net)
    reached = np.argwhere(measured.map != 0)[:0 if by_statistics else None]
    field = em.receptive_field(net, image=sample.image, ndim=sample.ndim)
    mask, start = em.support(net, image=sample.image, unit=sample.unit, ndim=sample.ndim)
    whole = np.zeros(sample.image, bool)
    whole[tuple(slice(s, s + n) for s, n in zip(start, mask.shape))] = mask
    assert whole[tuple(reached.T)].all(), "a gradient reaches what the support leaves out"
    if len(reached):
        lo, hi = field.window(sample.unit)
        assert (reached >= np.array(lo)).all() and (reached <= np.array(hi)).all()
    if not any(node.layer.is_gate or node.layer.routes for node in net) and measured.statistic == "power":
        assert np.array_equal(whole, measured.map != 0)

    try:
        predicted = em.predict(again, **options, width=4)
        if predicted.statistic == "mean":  # one by one
            return
        sizes = em.erf_size_map(net, sample.image, channels_in=sample.channels_in, ndim=sample.ndim, width=4)
    except (NotImplementedError, ValueError):
        return
    if predicted.density.log_total > -math.inf:
        assert_close(sizes.total[sample.unit], predicted.total, ROUNDING, scale=predicted.total)
        assert_close(sizes.std[(slice(None), *sample.unit)]**2, predicted.std**2, ROUNDING, scale=1.0)
    assert_close(em.predict(net, **options, width=4).map, predicted.map, EXACT)
    if not any(node.layer.is_gate or node.layer.statistics for node in net):
        # Of few draws the standard error is as uncertain as the total.
        more = em.measure(net, **options, draws=200, rng=seed, width=4)
        if more.effective_draws > 30:
            assert abs(more.total - predicted.total) <= 6 * more.total_stderr


@pytest.mark.parametrize("seed", range(12))
def test_a_random_network(seed: int) -> None:
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 400))
def test_many_random_networks(seed: int) -> None:
    check(seed)
