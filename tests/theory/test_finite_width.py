"""Finite width, to first order, against paths followed one by one, exact moments, and sampling."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close, assert_rate, assert_statistical, z_bound
from scipy.interpolate import CubicSpline

import erfmath as em
from erfmath.networks.settings import RunSettings
from erfmath.results.assumptions import Assumption
from erfmath.theory import finite_width
from erfmath.theory.rules.elementwise import ScaleRule
from erfmath.theory.rules.functions import Function, cross, function, gate, second
from erfmath.theory.sweep.inputs import InputModel
from erfmath.theory.sweep.plan import Graph

Array = Any
GELU = em.Activation("gelu")


def layers(function: str, depth: int, *, width: int | None = None, **conv: Any) -> em.Network:
    return em.repeat(em.serial(em.Conv(3, width, **conv), em.Activation(function)), depth)


def graph(net: em.Network, *, width: int = 16, channels_in: int = 3, ndim: int = 1) -> Graph:
    return Graph.of(net, RunSettings.of(net, ndim=ndim, width=width, channels_in=channels_in))


def ratios(net: em.Network, moments: tuple[float, float] = (1.0, 0.0), **about: Any) -> tuple[float, ...]:
    return finite_width.variance_ratios(graph(net, **about), InputModel(*moments))


# ---------------------------------------------------------------------------------------------
# numbers of one stage
# ---------------------------------------------------------------------------------------------

def test_moments_of_a_square_are_exact() -> None:
    """phi(z) = z^2: f = z^4 and d = 4 z^2, whose moments are whole numbers times powers of q."""
    square = Function(lambda z: z**2, lambda z: 2 * z)
    q, rho, c = 3.0, 0.5, 8
    stage = finite_width._Stage.of([square], q, rho, c)
    expected = (3 * q**2, 2, 1, 4 * 3 / 4, (96 - 72 * rho**2 - 24 * rho**4) / 9 / c, 4 * (1 - rho**2) / c, 5 / c,
                (1 + 2 * rho**2) / 3)
    assert_close(stage, expected, ROUNDING)


@pytest.mark.parametrize("name", ["gelu", "silu", "tanh"])
def test_moments_of_activations_are_those_of_the_sweeps(name: str) -> None:
    phi, q, rho = function(em.Activation(name)), np.array([0.7]), np.array([0.4])
    stage = finite_width._Stage.of([phi], 0.7, 0.4, 8)
    expected = [*second(phi, q), *gate(phi, q), *cross(phi, q, rho) / second(phi, q)]
    assert_close([stage.second, stage.passes**2 * stage.second / 0.7 / stage.carries, stage.rho], expected, ROUNDING)


def test_functions_in_a_row_are_one() -> None:
    """Twice the square of z is the square of sqrt(2) z."""
    square = Function(lambda z: z**2, lambda z: 2 * z)
    twice, root = (ScaleRule().function(em.Scale(factor)) for factor in (2.0, math.sqrt(2)))
    assert_close(finite_width._Stage.of([square, twice], 1.3, 0.2, 4),
                 finite_width._Stage.of([root, square], 1.3, 0.2, 4), ROUNDING)


# ---------------------------------------------------------------------------------------------
# sums over walks
# ---------------------------------------------------------------------------------------------

def direct(net: em.Network, width: int, channels_in: int, far: float) -> float:
    """The ratio of variances of a 1-D chain, path by path on numbered sites, without lags and sweeps."""
    convs = [node.layer for node in net.nodes if isinstance(node.layer, em.Conv)]
    phis = [[function(node.layer)] for node in net.nodes if isinstance(node.layer, em.Activation)]
    geometry = [conv.geometry(1)[0] for conv in convs]
    taps = [conv.weights.variances((g.kernel,))[0] for conv, g in zip(convs, geometry)]
    counts = [channels_in, *(conv.channels or width for conv in convs)]
    stages = [finite_width._Stage.of([], 1.0, far, channels_in)]
    for conv, phi, count in zip(convs, phis, counts[1:]):
        stages.append(finite_width._Stage.of(phi, conv.weights.gain * stages[-1].second, stages[-1].rho, count))
    # Sites that walks from site 0 of the top can reach; `down[n]` takes probabilities at stage n to those at n - 1.
    reach = [[0]]
    for g, w in zip(geometry[::-1], taps[::-1]):
        reach.insert(0, list(range(g.stride * reach[0][0], g.stride * reach[0][-1] + g.dilation * (len(w) - 1) + 1)))
    down: list[Any] = [None]
    for n, (g, w) in enumerate(zip(geometry, taps), start=1):
        matrix = np.zeros((len(reach[n]), len(reach[n - 1])))
        for (i, x), (a, p) in itertools.product(enumerate(reach[n]), enumerate(w)):
            matrix[i, reach[n - 1].index(g.stride * x + g.dilation * a)] += p
        down.append(matrix)
    top = len(convs)
    # pull[l][k]: how log q at the sites of stage l depends on that of the channels' mean of phi^2 at those of k < l.
    pull = [[np.zeros(0)] * top for _ in range(top + 1)]
    for upper in range(1, top + 1):
        pull[upper][upper - 1] = down[upper]
        for k in range(upper - 2, -1, -1):
            pull[upper][k] = pull[upper][k + 1] * stages[k + 1].passes @ down[k + 1]
    walk = [[np.eye(len(reach[n])) for n in range(top + 1)] for _ in range(top + 1)]
    for upper in range(1, top + 1):
        for k in range(upper - 1, -1, -1):
            walk[upper][k] = walk[upper][k + 1] @ down[k + 1]
    added = np.zeros(len(reach[0]))
    start = np.zeros(len(reach[top]))
    start[reach[top].index(0)] = 1.0
    for upper in range(1, top + 1):
        above = start @ walk[top][upper]
        for lower in range(upper):
            together = stages[lower].shared * pull[upper][lower]
            for k in range(lower):
                together = together + stages[lower].opens * stages[k].noise * pull[upper][k] @ pull[lower][k].T
            product = math.prod(stages[n].carries for n in range(lower + 1, upper)) * walk[upper][lower]**2
            both = walk[upper][lower] * together + 2 * stages[lower].met * product
            added += stages[upper].opens * (above @ both) @ walk[lower][0]
    x, limit = np.array(reach[0]), start @ walk[top][0]
    variance = [float(p @ x**2 / p.sum() - (p @ x / p.sum())**2) for p in (limit, limit + added)]
    return variance[1] / variance[0]


CHAINS = {
    "equal": layers("gelu", 4),
    "strides": em.serial(em.Conv(3, stride=2), GELU, em.Conv(5), em.Activation("silu"), em.Conv(3, stride=2), GELU),
    "dilation, profile": em.serial(em.Conv(3, dilation=2), em.Activation("tanh"),
                                   em.Conv(3, 5, weights=em.Random(1.5, profile=[1, 4, 2])), GELU, em.Conv(3), GELU),
    "even kernels": em.serial(em.Conv(2, padding=0), GELU, em.Conv(4, stride=3, padding=0), GELU,
                              em.Conv(2, padding=0), em.Activation("softplus")),
}


@pytest.mark.parametrize("far", [0.0, 0.5])
@pytest.mark.parametrize("name", CHAINS)
def test_the_sweeps_are_sums_over_pairs_of_walks(name: str, far: float) -> None:
    ratio, = ratios(CHAINS[name], (1.0, far), width=8)
    assert_close(ratio, direct(CHAINS[name], 8, 3, far), ROUNDING)
    assert abs(1 - ratio) > 1000 * ROUNDING.rtol


def one_finite_layer(values: Array, slopes: Array, channels: int, depth: int) -> tuple[float, float]:
    """Second moment about the middle of a 1-D field of SiLU, and its standard error, by sampling.

    `values` and `slopes` (draws, channels, sites) are phi and phi' of the only layer of few channels; of the
    `depth` layers above, of infinitely many, the values of one draw are known: for second moments q, powers P
    and products r of values and gradients, q' = F(q), P' = G(q) P + 2 G'(q) r^2 and r' = F'(q) r after means of
    three sites times the gain 2.
    """
    phi = function(em.Activation("silu"))
    grid = np.linspace(0.05, 8, 300)
    second_of, gate_of = CubicSpline(grid, second(phi, grid)), CubicSpline(grid, gate(phi, grid))
    second_slope, gate_slope = second_of.derivative(), gate_of.derivative()

    def mean(x: Array) -> Array:
        return 2 * (x[:, :-2] + x[:, 1:-1] + x[:, 2:]) / 3

    squares, sites = values**2, values.shape[2]
    start_power, start_product = (slopes**2).mean(axis=1), np.sqrt((squares * slopes**2).mean(axis=1) / channels)
    levels, at = [mean(squares.mean(axis=1))], np.arange(sites)
    for _ in range(depth - 1):
        levels.append(mean(second_of(levels[-1])))
    field = np.zeros((len(values), sites))
    for pixel in at:
        power, product = start_power * (at == pixel), start_product * (at == pixel)
        for q in levels:
            product = mean(product)
            power, product = gate_of(q) * mean(power) + 2 * gate_slope(q) * product**2, second_slope(q) * product
        field[:, pixel] = power[:, 0]
    square = (at - depth)**2
    moment = float(field.sum(axis=0) @ square / field.sum())
    pull = field @ square - moment * field.sum(axis=1)
    return moment, float(pull.std() / len(field)**0.5 / field.sum(axis=1).mean())


MANY = 4 * 10**6


def test_first_order_of_few_input_channels() -> None:
    """Pixels of 100 channels: what is left is of the order of 1 % of the correction."""
    x = np.random.default_rng(0).standard_normal((4000, 100, 9))
    moment, error = one_finite_layer(x, np.ones(x.shape), 100, 4)
    ratio, = ratios(layers("silu", 4), width=MANY, channels_in=100)
    assert_statistical(moment, error, 4 * 2 / 3 * ratio)
    assert abs(moment - 4 * 2 / 3) > 2 * z_bound(1) * error


@pytest.mark.slow
def test_first_order_of_few_channels_in_a_layer() -> None:
    phi, channels = function(em.Activation("silu")), 50
    z = np.random.default_rng(0).standard_normal((20_000, channels, 7)) * math.sqrt(2)
    moment, error = one_finite_layer(phi.value(z), phi.slope(z), channels, 3)
    net = em.serial(layers("silu", 1, width=channels), layers("silu", 3, width=MANY))
    ratio, = ratios(net, channels_in=MANY)
    assert_statistical(moment + 2 / 3, error, 4 * 2 / 3 * ratio)
    assert abs(moment - 3 * 2 / 3) > 2 * z_bound(1) * error


def test_axes_are_told_apart() -> None:
    one, both = ratios(layers("gelu", 4), width=8), ratios(layers("gelu", 4), width=8, ndim=2)
    assert_close(both[0], both[1], ROUNDING)
    assert 0 < 1 - both[0] < 1 - one[0]  # in the plane walks meet less often
    flat = em.repeat(em.serial(em.Conv((3, 1)), GELU), 4)
    assert_close(ratios(flat, width=8, ndim=2), [one[0], 1.0], ROUNDING)


def test_the_correction_is_of_order_one_over_channels() -> None:
    widths = [64, 256, 1024]
    errors = [1 - ratios(layers("gelu", 6), width=w, channels_in=w)[0] for w in widths]
    assert_rate(widths, errors, 1)


# ---------------------------------------------------------------------------------------------
# fields
# ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", CHAINS)
def test_the_field_has_the_corrected_variance(name: str) -> None:
    limit, finite = (em.predict(CHAINS[name], ndim=1, width=8, method=m) for m in ("exact", "finite_width"))
    assert_close((finite.std / limit.std)**2, ratios(CHAINS[name], width=8), ROUNDING)
    assert_close(finite.centroid, limit.centroid, ROUNDING, scale=1.0)
    assert finite.method == "finite_width" and Assumption.LEADING_WIDTH in finite.assumptions
    assert Assumption.INFINITE_WIDTH not in finite.assumptions


def test_an_image_far_from_its_borders_is_the_plane() -> None:
    net = layers("gelu", 3)
    plane = em.predict(net, width=8, method="finite_width")
    image = em.predict(net, width=8, method="finite_width", image=21)
    assert_close(image.std, plane.std, ROUNDING)


def test_values_that_have_faded_away_see_a_straight_line() -> None:
    """SiLU keeps a quarter of small values: 300 layers of gain 0.1 leave 1e-300 of the first."""
    few, many = (ratios(layers("silu", depth, weights=em.Random(0.1))) for depth in (20, 300))
    assert 0 < 1 - many[0] < 1 - few[0]


def test_rectifiers_do_not_see_the_width() -> None:
    net = em.serial(em.Conv(3), em.Activation("relu"), em.Scale(0.5), em.Conv(3),
                    em.Activation("leaky_relu", slope=0.1))
    limit, finite = (em.predict(net, width=2, method=m) for m in ("exact", "finite_width"))
    assert_close(finite.map, limit.map, EXACT)


@pytest.mark.slow
def test_sampled_networks_of_few_channels() -> None:
    """Six layers in 1-D at 16 channels: 4.5 % of the variance, which this many draws tell from 0 by 7 errors."""
    net = layers("silu", 6)
    about: dict[str, Any] = {"ndim": 1, "width": 16, "channels_in": 16}
    sampled = em.measure(net, draws=12_000, rng=0, **about)
    limit, finite = (em.predict(net, method=m, **about) for m in ("exact", "finite_width"))
    z = [float((sampled.std[0] - erf.std[0]) / sampled.std_stderr[0]) for erf in (limit, finite)]
    assert abs(z[1]) < z_bound(1) < -z[0]


@pytest.mark.parametrize("net, about, word", [
    (em.serial(em.Conv(3), em.BatchNorm(), GELU), {}, "batch_norm"),
    (em.residual(em.serial(em.Conv(3), GELU)), {"width": 3}, "add"),
    (em.serial(em.Conv(4, 4, groups=2, padding="same"), GELU), {"channels_in": 4}, "conv"),
    (em.serial(em.Conv(3, weights=em.Random(profile=[[1, 2, 1], [2, 9, 2], [1, 2, 1]])), GELU), {}, "conv"),
    (em.serial(em.Conv(3), GELU, em.Conv(3, weights=em.Constant())), {"statistic": "power"}, "conv"),
    (layers("gelu", 2), {"input_covariance": np.eye(3)[1:2] + np.zeros((3, 3))}, "input_covariance"),
    (layers("gelu", 2, width=4), {"weights": {"conv1": np.ones((4, 3, 3, 3))}}, "weights="),
])
def test_what_it_is_not_for_is_told(net: em.Network, about: dict[str, Any], word: str) -> None:
    with pytest.raises(NotImplementedError, match=f"finite_width.*{word}|{word}.*finite_width"):
        em.predict(net, method="finite_width", **about)
