"""Convolution as matrix products: brute force, adjoints, tiles."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest
from differences import check_adjoint
from helpers import ROUNDING, assert_close

from erfmath.empirics.convolution import conv, conv_input_grad, conv_out, conv_weight_grad

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
def test_conv_is_the_sum_it_claims_to_be(case: Case) -> None:
    x, w, _ = arrays(case)
    y = conv(x, w, case.stride, case.dilation, case.groups)
    assert_close(y, brute_force(x, w, case), ROUNDING, scale=1.0)


def conv_pairs(case: Case) -> list[tuple[Any, ...]]:
    x, w, dy = arrays(case)
    rest = case.stride, case.dilation, case.groups
    return [(lambda u: conv(u, w, *rest), lambda v: conv_input_grad(v, w, case.space, *rest), x, dy),
            (lambda u: conv(x, u, *rest), lambda v: conv_weight_grad(x, v, case.kernel, *rest), w, dy)]


@every_case
@pytest.mark.parametrize("of", ["input", "weights"])
def test_conv_adjoints(case: Case, of: str) -> None:
    check_adjoint(*conv_pairs(case)[of == "weights"])


def test_conv_by_many_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    for case in CASES.values():
        x, w, dy = arrays(case, draws=3)
        rest = case.stride, case.dilation, case.groups
        expected = conv(x, w, *rest), conv_weight_grad(x, dy, case.kernel, *rest)
        with monkeypatch.context() as patch:
            patch.setattr("erfmath.empirics.convolution.TILE_SITES", 5)
            tiled = conv(x, w, *rest), conv_weight_grad(x, dy, case.kernel, *rest)
        for a, b in zip(tiled, expected):
            assert_close(a, b, ROUNDING, scale=10.0)


def test_conv_with_one_kernel_for_all_draws() -> None:
    for case in CASES.values():
        x, w, _ = arrays(case, draws=3)
        same = np.broadcast_to(w[:1], (3, *w.shape[1:]))
        rest = case.stride, case.dilation, case.groups
        assert_close(conv(x, w[:1], *rest), conv(x, same, *rest), ROUNDING, scale=1.0)


def test_conv_stays_in_single_precision() -> None:
    x, w, dy = (a.astype(np.float32) for a in arrays(CASES["strided"]))
    rest = (2, 3), (1, 1)
    assert conv(x, w, *rest).dtype == np.float32
    assert conv_input_grad(dy, w, (7, 9), *rest).dtype == np.float32
    assert conv_weight_grad(x, dy, (3, 2), *rest).dtype == np.float32


@every_case
def test_check_adjoint_catches_a_planted_error(case: Case) -> None:
    for forward, adjoint, u, v in conv_pairs(case):
        if v.size:
            with pytest.raises(AssertionError):
                check_adjoint(forward, lambda v: 1.001 * adjoint(v), u, v)
