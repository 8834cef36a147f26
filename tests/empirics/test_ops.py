"""Forward/backward pairs: brute force, adjoints, finite differences, borders and edges."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close, assert_rate

from erfmath.empirics import ops
from erfmath.empirics.convolution import conv, conv_input_grad, conv_out, conv_weight_grad
from erfmath.layers import FUNCTIONS

Array = Any


class Case(NamedTuple):
    """A convolution: sites, kernel, stride, dilation, channels in, out, groups."""

    space: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    c_in: int = 3
    c_out: int = 2
    groups: int = 1


CASES = {
    "1d": Case((11,), (3,), (1,), (1,)),
    "1d strided dilated": Case((15,), (3,), (2,), (3,)),
    "2d": Case((6, 7), (3, 2), (1, 1), (1, 1)),
    "strided": Case((7, 9), (3, 2), (2, 3), (1, 1)),
    "dilated": Case((9, 8), (2, 3), (1, 1), (3, 2)),
    "stride beyond the kernel": Case((11, 8), (2, 1), (4, 3), (1, 1)),
    "sites left over": Case((10, 10), (3, 3), (4, 4), (1, 1)),
    "grouped": Case((5, 6), (3, 3), (1, 1), (1, 1), 4, 6, 2),
    "depthwise": Case((6, 5), (3, 3), (1, 1), (1, 1), 3, 3, 3),
    "depthwise strided": Case((6, 7), (3, 3), (2, 2), (1, 1), 4, 8, 4),
    "pointwise": Case((4, 4), (1, 1), (1, 1), (1, 1)),
    "3d": Case((4, 5, 3), (2, 3, 2), (1, 1, 1), (1, 1, 1)),
    "3d strided": Case((5, 5, 4), (2, 3, 2), (2, 1, 2), (1, 2, 1)),
    "whole image": Case((3, 4), (3, 4), (1, 1), (1, 1)),
    "kernel beyond the image": Case((2, 5), (3, 3), (1, 1), (1, 1)),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def draw(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape)


def arrays(case: Case, draws: int = 2, images: int = 2) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(7)
    out = conv_out(case.space, case.kernel, case.stride, case.dilation)
    return (draw(rng, draws, case.c_in, images, *case.space),
            draw(rng, draws, case.c_out, case.c_in // case.groups, *case.kernel),
            draw(rng, draws, case.c_out, images, *out))


def brute_force(x: Array, w: Array, case: Case) -> Array:
    out = conv_out(case.space, case.kernel, case.stride, case.dilation)
    y = np.zeros((len(x), case.c_out, x.shape[2], *out))
    per_in, per_out = case.c_in // case.groups, case.c_out // case.groups
    for o, c in itertools.product(range(case.c_out), range(per_in)):
        for site, tap in itertools.product(np.ndindex(*out), np.ndindex(*case.kernel)):
            read = tuple(s * i + d * a for s, i, d, a in zip(case.stride, site, case.dilation, tap))
            source = x[(slice(None), o // per_out * per_in + c, slice(None), *read)]
            y[(slice(None), o, slice(None), *site)] += w[(slice(None), o, c, *tap)][:, None] * source
    return y


@every_case
def test_convolution_is_the_sum_it_claims_to_be(case: Case) -> None:
    x, w, _ = arrays(case)
    y = conv(x, w, case.stride, case.dilation, case.groups)
    assert_close(y, brute_force(x, w, case), ROUNDING, scale=1.0)


def check_adjoint(forward: Callable[[Array], Array], adjoint: Callable[[Array], Array], u: Array, v: Array) -> None:
    """<v, J u> = <J^T v, u>, up to the rounding of the sums."""
    left, right = v * forward(u), adjoint(v) * u
    assert_close(left.sum(), right.sum(), ROUNDING, scale=float(np.abs(left).sum()))


def conv_pairs(case: Case) -> list[tuple[Any, ...]]:
    x, w, dy = arrays(case)
    rest = case.stride, case.dilation, case.groups
    return [(lambda u: conv(u, w, *rest), lambda v: conv_input_grad(v, w, case.space, *rest), x, dy),
            (lambda u: conv(x, u, *rest), lambda v: conv_weight_grad(x, v, case.kernel, *rest), w, dy)]


@every_case
@pytest.mark.parametrize("of", ["input", "weights"])
def test_convolution_adjoints(case: Case, of: str) -> None:
    check_adjoint(*conv_pairs(case)[of == "weights"])


def test_many_tiles_give_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for case in CASES.values():
        x, w, dy = arrays(case, draws=3)
        rest = case.stride, case.dilation, case.groups
        expected = conv(x, w, *rest), conv_weight_grad(x, dy, case.kernel, *rest)
        with monkeypatch.context() as patch:
            patch.setattr("erfmath.empirics.convolution.TILE_SITES", 5)
            tiled = conv(x, w, *rest), conv_weight_grad(x, dy, case.kernel, *rest)
        for a, b in zip(tiled, expected):
            assert_close(a, b, ROUNDING, scale=10.0)


def test_one_kernel_serves_all_draws() -> None:
    for case in CASES.values():
        x, w, _ = arrays(case, draws=3)
        same = np.broadcast_to(w[:1], (3, *w.shape[1:]))
        rest = case.stride, case.dilation, case.groups
        assert_close(conv(x, w[:1], *rest), conv(x, same, *rest), ROUNDING, scale=1.0)


def test_single_precision_stays_single() -> None:
    x, w, dy = (a.astype(np.float32) for a in arrays(CASES["strided"]))
    rest = (2, 3), (1, 1)
    assert conv(x, w, *rest).dtype == np.float32
    assert conv_input_grad(dy, w, (7, 9), *rest).dtype == np.float32
    assert conv_weight_grad(x, dy, (3, 2), *rest).dtype == np.float32
    for function in FUNCTIONS:
        assert ops.activate(x, function)[0].dtype == np.float32
    for result in (*ops.batch_norm(x), *ops.layer_norm(x), ops.max_pool(x, (2, 2), (2, 2))):
        assert result.dtype == np.float32


@pytest.mark.parametrize("pads", [[(1, 2), (0, 3)], [(-1, 0), (2, -2)], [(-3, -2), (0, 0)], [(0, 0), (0, 0)]])
def test_fit_pads_crops_and_has_its_adjoint(pads: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(0)
    x = draw(rng, 2, 1, 1, 5, 6)
    y = ops.fit(x, pads)
    padded = np.pad(x, [(0, 0)] * 3 + [(max(a, 0), max(b, 0)) for a, b in pads])
    cut = [slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(pads, padded.shape[3:])]
    assert_close(y, padded[(..., *cut)], EXACT)
    check_adjoint(lambda u: ops.fit(u, pads), lambda v: ops.fit(v, [(-a, -b) for a, b in pads]), x,
                  draw(rng, *y.shape))


# -- pools and resampling ---------------------------------------------------------------------

@pytest.mark.parametrize("kernel, stride", [((2, 2), (2, 2)), ((3, 3), (2, 2)), ((3, 1), (1, 2)), ((2, 3), (4, 4))])
def test_max_pool(kernel: tuple[int, int], stride: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    x = rng.permutation(2 * 3 * 81).reshape(2, 3, 1, 9, 9).astype(float)  # no ties, all integers
    y = ops.max_pool(x, kernel, stride)
    winner = ops.max_pool_winner(x, y, kernel, stride)
    for site in np.ndindex(*y.shape[3:]):
        window = tuple(slice(s * i, s * i + k) for s, i, k in zip(stride, site, kernel))
        assert_close(y[(..., *site)], x[(..., *window)].max(axis=(3, 4)), EXACT)
    # Half an integer step changes no winner, so that the difference quotient is exact.
    u, v = rng.choice([-0.25, 0.25], x.shape), rng.integers(-8, 9, y.shape).astype(float)
    quotient = ops.max_pool(x + u, kernel, stride) - ops.max_pool(x - u, kernel, stride)
    assert (v * quotient).sum() == (ops.max_pool_grad(v, winner, (9, 9), kernel, stride) * 2 * u).sum()


def test_max_pool_takes_the_first_of_equals_and_never_the_border() -> None:
    x = np.full((1, 1, 1, 4), -3.0)
    padded = ops.fit(x, [(1, 1)], -np.inf)
    y = ops.max_pool(padded, (3,), (1,))
    winner = ops.max_pool_winner(padded, y, (3,), (1,))
    assert_close(y, x, EXACT)
    assert winner.ravel().tolist() == [1, 0, 0, 0]


def spreads() -> dict[str, tuple[Array, int]]:
    out, sites = np.arange(-3, 8), np.arange(-4, 9)
    return {
        "average": (ops.average_rows(np.arange(4), np.arange(9), 3, 2, 1, False, 9), 9),
        "average inside": (ops.average_rows(np.arange(5), np.arange(9), 3, 2, 1, True, 9), 9),
        "nearest": (ops.nearest_rows(np.arange(12), np.arange(4), 3), 4),
        "bilinear": (ops.bilinear_rows(np.arange(12), np.arange(4), 3, 4), 4),
        "bilinear on the plane": (ops.bilinear_rows(out, sites, 2, None), 13),
        "global": (ops.global_rows(np.arange(1), np.arange(6)), 6),
    }


@pytest.mark.parametrize("name", spreads())
def test_spreading_averages_and_has_its_adjoint(name: str) -> None:
    rows, n = spreads()[name]
    rng = np.random.default_rng(2)
    whole = rows if name != "average" else rows[1:]  # the first window counts a padded site
    assert_close(whole.sum(axis=1), np.ones(len(whole)), ROUNDING)
    for axis in range(3):
        matrices = [rows if a == axis else None for a in range(3)]
        x = draw(rng, 2, 2, 1, *(n if a == axis else 2 for a in range(3)))
        y = ops.spread(x, matrices)
        assert_close(y, np.moveaxis(np.tensordot(rows, x, (1, axis + 3)), 0, axis + 3), ROUNDING, scale=1.0)
        check_adjoint(lambda u: ops.spread(u, matrices), lambda v: ops.spread_grad(v, matrices), x,
                      draw(rng, *y.shape))


def test_resampling_by_hand() -> None:
    assert_close(ops.bilinear_rows(np.arange(4), np.arange(2), 2, 2) @ [0.0, 4.0], [0.0, 1.0, 3.0, 4.0], EXACT)
    assert_close(ops.nearest_rows(np.arange(4), np.arange(2), 2) @ [0.0, 4.0], [0.0, 0.0, 4.0, 4.0], EXACT)
    ones = np.ones(3)
    assert_close(ops.average_rows(np.arange(2), np.arange(3), 2, 2, 1, False, 3) @ ones, [0.5, 1.0], EXACT)
    assert_close(ops.average_rows(np.arange(2), np.arange(3), 2, 2, 1, True, 3) @ ones, [1.0, 1.0], EXACT)


# -- nonlinear ops: difference quotients ------------------------------------------------------

STEPS = np.array([2.0**-4, 2.0**-5, 2.0**-6])


def check_quotient(forward: Callable[[Array], Array], adjoint: Callable[[Array], Array], x: Array, u: Array,
                   v: Array) -> None:
    """The central difference quotient along u comes nearer to <J^T v, u> as the step squared."""
    slope = float((adjoint(v) * u).sum())
    quotients = [(v * (forward(x + h * u) - forward(x - h * u))).sum() / (2 * h) for h in STEPS]
    assert_rate(1 / STEPS, np.abs(np.array(quotients) - slope), 2)


def smooth_pairs() -> dict[str, tuple[Callable[[Array], Array], Callable[[Array], Callable[[Array], Array]]]]:
    """Forward functions, and what makes their adjoint at x."""
    found: dict[str, Any] = {
        function: (lambda x, f=function: ops.activate(x, f)[0],
                   lambda x, f=function: lambda v: v * ops.activate(x, f)[1])
        for function in ("tanh", "sigmoid", "gelu", "silu", "elu", "softplus")}
    found["batch norm"] = (lambda x: ops.batch_norm(x)[0],
                           lambda x: lambda v: ops.batch_norm_grad(v, *ops.batch_norm(x)))
    found["layer norm"] = (lambda x: ops.layer_norm(x)[0],
                           lambda x: lambda v: ops.layer_norm_grad(v, *ops.layer_norm(x)))
    return found


def smooth_arrays(name: str) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(3)
    x, u, v = (draw(rng, 2, 4, 3, 5) for _ in range(3))
    if name == "elu":  # its second derivative jumps at 0
        x = np.where(np.abs(x) < 0.5, x + np.sign(x), x)
        u = np.clip(u, -1, 1)
    return x, u, v


@pytest.mark.parametrize("name", smooth_pairs())
def test_difference_quotients(name: str) -> None:
    forward, adjoint = smooth_pairs()[name]
    x, u, v = smooth_arrays(name)
    check_quotient(forward, adjoint(x), x, u, v)


@pytest.mark.parametrize("function, slopes", [("relu", (0, 1)), ("leaky_relu", (0.25, 1)), ("identity", (1, 1))])
def test_piecewise_linear_activations(function: str, slopes: tuple[float, float]) -> None:
    x = np.array([-2.0, -0.5, 0.5, 3.0])
    y, gate = ops.activate(x, function, 0.25)
    assert_close(gate.astype(float), np.where(x > 0, slopes[1], slopes[0]), EXACT)
    assert_close(y, x * gate, EXACT)


def test_activations_of_large_values_do_not_overflow() -> None:
    x = np.array([-1e4, 1e4])
    for function in FUNCTIONS:
        y, slope = ops.activate(x, function)
        assert np.isfinite(y).all() and np.isfinite(slope).all(), function


def test_normalising() -> None:
    x = 3 + 2 * draw(np.random.default_rng(4), 2, 3, 4, 6, 5)
    y, _ = ops.batch_norm(x, eps=0.0)
    assert_close(y.mean(axis=(2, 3, 4)), np.zeros((2, 3)), ROUNDING, scale=1.0)
    assert_close(y.var(axis=(2, 3, 4)), np.ones((2, 3)), ROUNDING)
    y, _ = ops.layer_norm(x, eps=0.0)
    assert_close(y.mean(axis=1), np.zeros((2, 4, 6, 5)), ROUNDING, scale=10.0)
    assert_close(y.var(axis=1), np.ones((2, 4, 6, 5)), ROUNDING, scale=10.0)


# -- tests of tests ---------------------------------------------------------------------------

def wrong(adjoint: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The adjoint with one part in a thousand too much."""
    return lambda v: 1.001 * adjoint(v)


@every_case
def test_a_planted_error_is_caught(case: Case) -> None:
    for forward, adjoint, u, v in conv_pairs(case):
        if v.size:
            with pytest.raises(AssertionError):
                check_adjoint(forward, wrong(adjoint), u, v)


@pytest.mark.parametrize("name", smooth_pairs())
def test_a_planted_error_in_a_slope_is_caught(name: str) -> None:
    forward, adjoint = smooth_pairs()[name]
    x, u, v = smooth_arrays(name)
    with pytest.raises(AssertionError):
        check_quotient(forward, wrong(adjoint(x)), x, u, v)
