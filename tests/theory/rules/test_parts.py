"""Max pools of concatenations that hold pooled values."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from helpers import REWRITE, assert_close

import erfmath as em

R = em.Activation("relu")


def uniform(*widths: int, gated: bool = False) -> float:
    """Variance of a mixture of centred uniform distributions on so many sites: largest of independent values.

    Where `gated`, weighed by how often these are positive.
    """
    weights = [1 - Fraction(1, 2**n) if gated else Fraction(1) for n in widths]
    return float(sum(w * Fraction(n * n - 1, 12) for w, n in zip(weights, widths)) / sum(weights))


@pytest.mark.parametrize("between", [(), (R,), (em.Scale(.7),), (R, em.Scale(2.), em.Identity())])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_pool_of_a_concatenation_is_that_of_its_parts(between: tuple[em.Layer, ...], shared: bool, after: bool
                                                      ) -> None:
    """Windows of 3 of windows of 3 are windows of 5, whose sites are equally likely to win."""
    inner = em.MaxPool(3, 1, 1)
    parts = em.concat(em.Conv(1, 4), em.serial(em.Conv(1, 4), inner))
    if shared:  # the pool is read once more
        parts = em.serial(em.Conv(1, 4), em.concat(em.Identity(), em.MaxPool(3, 1, 1)))
    pool = em.MaxPool(3, 1, 1)
    erf = em.predict(em.serial(parts, *((pool, *between) if after else (*between, pool))), ndim=1)
    np.testing.assert_allclose(erf.std**2, [uniform(3, 5, gated=R in between)], rtol=1e-6)


def test_pools_of_all_parts_stay_one() -> None:
    erf = em.predict(em.serial(em.concat(em.Conv(1, 4), em.Conv(3, 4)), em.MaxPool(3, 1, 1)), ndim=1)
    np.testing.assert_allclose(erf.std**2, [1.5 * uniform(3)], rtol=1e-9)


def test_concatenations_in_a_concatenation() -> None:
    pool = em.MaxPool(3, 1, 1)
    inner = em.serial(em.concat(em.Conv(1, 4), em.serial(em.Conv(1, 4), pool)), pool)
    erf = em.predict(em.serial(em.concat(em.Conv(1, 8), inner), pool), ndim=1)
    # 8 channels through one pool, 4 through two, 4 through three
    np.testing.assert_allclose(erf.std**2, [uniform(3, 3, 5, 7)], rtol=1e-9)


def test_shares_of_a_pool_with_copies() -> None:
    """A pool in two parts has one row: what the field loses without both of them."""
    pool = em.MaxPool(3, 1, 1)
    shares = em.layer_shares(em.serial(em.concat(em.Conv(1, 4), em.serial(em.Conv(1, 4), pool)), pool), ndim=1)
    assert [row.node for row in shares.layers] == ["max_pool2"]
    assert shares.layers[0].variance == pytest.approx(uniform(3, 5))


def test_one_site_that_serves_all_stays_one() -> None:
    pooled = em.serial(em.GlobalAvgPool(), em.Conv(1, 4))
    net = em.serial(em.Conv(3, 4), em.concat(em.MaxPool(3, 1, 1), pooled), em.Activation("relu6"), em.AvgPool(3, 3))
    assert em.predict(net, image=6, unit=0, ndim=1).total > 0


def test_norms_of_parts_that_have_been_normalised() -> None:
    """A norm changes nothing in a part that it has normalised: as if it were on the other part alone."""
    for norm in (em.BatchNorm(), em.InstanceNorm()):
        part = em.serial(norm, em.Activation("selu"))
        both = em.serial(em.Conv(3, 4), norm, em.concat(em.Identity(), part), norm)
        alone = em.serial(em.Conv(3, 4), norm, em.concat(em.Identity(), em.serial(part, norm)))
        one, other = (em.predict(net, image=6, unit=0) for net in (both, alone))
        np.testing.assert_allclose(one.map, other.map, rtol=1e-12)


def test_sums_of_concatenations_are_concatenations_of_sums() -> None:
    """A gate after x beside x, plus f(x) beside g(x), sees x + f(x) and x + g(x)."""
    f, g = em.Conv(3, 4), em.serial(em.Conv(1, 4), em.Activation("tanh"))
    both = em.serial(em.add(em.concat(f, g), em.concat(em.Identity(), em.Identity())), R)
    each = em.serial(em.concat(em.residual(f), em.residual(g)), R)
    one, other = (em.predict(em.serial(em.Conv(3, 4), net), image=6, unit=1, ndim=1) for net in (both, each))
    np.testing.assert_allclose(one.map, other.map, rtol=1e-12)


def test_a_function_of_a_map_beside_pools_of_it() -> None:
    """Moved below the pools it is the same function of the same map once more."""
    pool = em.MaxPool(3, 1, 1)
    one, other = (em.predict(em.serial(parts, R, em.Conv(3, 4)), ndim=1) for parts in (
        em.concat(em.Identity(), em.Conv(3, 4), em.serial(pool, pool)),
        em.concat(em.Identity(), em.concat(em.Conv(3, 4), em.MaxPool(5, 1, 2)))))
    np.testing.assert_allclose(one.map, other.map, rtol=1e-12)


def test_rectifiers_of_positive_parts() -> None:
    """relu(x beside y) is x beside relu(y) where x is never below zero: two groups of channels of a norm, or three."""
    positive = em.serial(em.Conv(3, 4), em.Activation("hardsigmoid"))
    ends = em.Conv(3, 4), em.BatchNorm()
    one, other = (em.serial(em.Conv(3, 4), em.concat(*parts), *after, *ends) for parts, after in ((
        (positive, em.Conv(3, 4)), (R,)), ((positive, em.serial(em.Conv(3, 4), R)), ())))
    np.testing.assert_allclose(*(em.predict(net, image=6, unit=0).map for net in (one, other)), rtol=1e-9)


def test_channels_of_a_concatenation_are_those_of_its_parts() -> None:
    """Channels 2 to 5 of four beside four: pooled once more, as the largest of larger windows."""
    pool = em.MaxPool(3, 1, 1)
    net = em.serial(em.concat(em.Conv(1, 4), em.serial(em.Conv(1, 4), pool)), em.Slice(2, 6), pool)
    np.testing.assert_allclose(em.predict(net, ndim=1).std**2, [uniform(3, 5)], rtol=1e-9)


def test_functions_go_before_shuffled_pools() -> None:
    conv, pool, relu = em.Conv(1, 6, stride=2), em.serial(em.MaxPool(3, 1, 1), em.Shuffle(3)), em.Activation("relu")
    end = em.Activation("hardsigmoid")
    nets = (em.serial(conv, em.concat(em.Identity(), pool), relu, end),
            em.serial(conv, em.concat(relu, em.serial(pool, relu)), end))
    assert_close(*[em.predict(net, image=6, unit=0, channels_in=2, ndim=1).map for net in nets], REWRITE)
