"""Weights that depend on the place: against whole matrices, and against functions that are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import Tolerance, assert_close

import erfmath as em
from erfmath.theory.sweep.rows import Rows

SAME = Tolerance(1e-9, 1e-12)
Array = Any
G1 = em.Random(gain=1.0)
NUMPY = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


# ---------------------------------------------------------------------------------------------
# one axis, with whole matrices and whole covariances
# ---------------------------------------------------------------------------------------------

def pad_matrix(n: int, before: int, after: int, mode: str) -> Array:
    return np.stack([np.pad(row, (before, after), mode=NUMPY[mode]) for row in np.eye(n)], axis=1)  # type: ignore


def bins_matrix(n: int, m: int) -> Array:
    rows = [[float(x * n // m <= z < -(-(x + 1) * n // m)) for z in range(n)] for x in range(m)]
    return np.array([np.array(row) / sum(row) for row in rows])


def linear_matrix(n: int, m: int, corners: bool = False) -> Array:
    at = np.arange(m) * (n - 1) / max(m - 1, 1) if corners else np.clip((np.arange(m) + 0.5) * n / m - 0.5, 0, n - 1)
    return np.stack([np.interp(at, np.arange(n), row) for row in np.eye(n)], axis=1)


class Dense:
    """The covariance of the gradient of a 1-D network, whole, from the unit down."""

    def __init__(self, sites: int, unit: int) -> None:
        self.cov = np.zeros((sites, sites))
        self.cov[unit, unit] = 1.0

    def fixed(self, matrix: Array) -> Dense:
        self.cov = matrix.T @ self.cov @ matrix
        return self

    def conv(self, taps: int, n: int, pads: tuple[int, int] = (0, 0), mode: str = "zeros", stride: int = 1,
             dilation: int = 1) -> Dense:
        """Below random weights of gain 1: both sites of a pair read through the same tap."""
        whole = pad_matrix(n, *pads, mode)
        total = np.zeros((n, n))
        for tap in range(taps):
            pick = whole[[stride * x + dilation * tap for x in range(len(self.cov))]]
            total += pick.T @ self.cov @ pick / taps
        self.cov = total
        return self

    @property
    def power(self) -> Array:
        return np.diag(self.cov)


def predicted(*layers: em.Layer, n: int, unit: int) -> Array:
    return em.predict(em.serial(*layers), image=(n,), unit=unit, width=8, channels_in=8, statistic="power").map


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("unit", [0, 3, 8])
def test_padding_modes_of_convolutions(mode: str, unit: int) -> None:
    conv = em.Conv(3, weights=G1, padding_mode=mode, padding=(2, 1))
    got = predicted(conv, em.AvgPool(3, 1, 1), conv, n=8, unit=unit)
    pool = sum(np.eye(10, k=k)[:9, :9] for k in (-1, 0, 1)) / 3
    dense = Dense(10, unit).conv(3, 9, (2, 1), mode).fixed(pool).conv(3, 8, (2, 1), mode)
    assert_close(got, dense.power, SAME)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_strides_and_dilation_under_padding_modes(mode: str) -> None:
    layers = (em.Conv(3, weights=G1, padding_mode=mode, dilation=2, padding=2),
              em.Upsample(3), em.Conv(4, weights=G1, stride=2, padding=(3, 1), padding_mode=mode))
    nearest = np.repeat(np.eye(7), 3, axis=0)
    for unit in (0, 4, 10):
        dense = Dense(11, unit).conv(4, 21, (3, 1), mode, 2).fixed(nearest).conv(3, 7, (2, 2), mode, 1, 2)
        assert_close(predicted(*layers, n=7, unit=unit), dense.power, SAME)


@pytest.mark.parametrize("layer, matrix", [
    (em.AdaptiveAvgPool(3), bins_matrix(8, 3)), (em.AdaptiveAvgPool(5), bins_matrix(8, 5)),
    (em.AdaptiveAvgPool(4), bins_matrix(8, 4)), (em.AdaptiveAvgPool(11), bins_matrix(8, 11)),
    (em.Upsample(size=13, mode="bilinear"), linear_matrix(8, 13)),
    (em.Upsample(size=5, mode="bilinear"), linear_matrix(8, 5)),
    (em.Upsample(size=13, mode="bilinear", align_corners=True), linear_matrix(8, 13, True)),
    (em.Upsample(size=11), np.eye(8)[np.arange(11) * 8 // 11]),
    (em.Pad((2, -1), "reflect"), pad_matrix(8, 2, 0, "reflect")[:-1]),
    (em.Pad(3, "circular"), pad_matrix(8, 3, 3, "circular")),
    (em.AvgPool(3, 2, 0, ceil_mode=True), np.array([[1, 1, 1, 0, 0, 0, 0, 0], [0, 0, 1, 1, 1, 0, 0, 0],
                                                    [0, 0, 0, 0, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, 1.5, 1.5]]) / 3),
], ids=str)
def test_layers_by_place_between_random_ones(layer: em.Layer, matrix: Array) -> None:
    """A second fixed layer below makes the lags matter that the first one makes."""
    pool = sum(np.eye(8, k=k) for k in (-1, 0, 1)) / 3
    for unit in {0, len(matrix) // 2, len(matrix) - 1}:
        got = predicted(em.AvgPool(3, 1, 1), em.Conv(3, weights=G1), layer, em.Conv(3, weights=G1), n=8, unit=unit)
        n = len(matrix)
        dense = Dense(n, unit).conv(3, n, (1, 1)).fixed(matrix).conv(3, 8, (1, 1)).fixed(pool)
        assert_close(got, dense.power, SAME)
        mean = em.predict(em.serial(layer), image=(8,), unit=unit).map
        assert_close(mean, matrix[unit], SAME)


def test_dilated_transposed_convolution() -> None:
    """Output site x reads tap a of site z where x = 2 z + 3 a - 1; one more site is added at the end."""
    layer = em.ConvTranspose(3, weights=em.Fixed(np.array([1.0, 2.0, 4.0])), stride=2, dilation=3, padding=1,
                             output_padding=1)
    taps = {0: 1.0, 3: 2.0, 6: 4.0}
    matrix = np.array([[taps.get(x + 1 - 2 * z, 0.0) for z in range(5)] for x in range(14)])
    for unit in range(14):
        assert_close(em.predict(em.serial(layer), image=(5,), unit=unit).map, matrix[unit], SAME)
        random = em.ConvTranspose(3, weights=G1, stride=2, dilation=3, padding=1, output_padding=1)
        assert_close(predicted(random, n=5, unit=unit), (matrix[unit] > 0) * 2 / 3, SAME)
        both = predicted(em.AvgPool(3, 1, 1), random, em.AvgPool(3, 1, 1), n=5, unit=unit)
        pool = [sum(np.eye(n, k=k) for k in (-1, 0, 1)) / 3 for n in (5, 14)]
        cov = np.outer(pool[1][unit], pool[1][unit])
        below = sum(pick.T @ cov @ pick * 2 / 3 for pick in ((matrix == w) * 1.0 for w in (1, 2, 4)))
        assert_close(both, np.diag(pool[0].T @ below @ pool[0]), SAME)


# ---------------------------------------------------------------------------------------------
# functions that are the same, with gates
# ---------------------------------------------------------------------------------------------

R = em.Activation("relu")
PAIRS: dict[str, tuple[em.Layer, em.Layer]] = {
    "one bin": (em.AdaptiveAvgPool(1), em.GlobalAvgPool()),
    "as many bins as sites": (em.AdaptiveAvgPool(12), em.Identity()),
    "bins of two": (em.AdaptiveAvgPool(6), em.AvgPool(2)),
    "largest of bins of two": (em.AdaptiveMaxPool(6), em.MaxPool(2)),
    "ceil mode that changes nothing": (em.AvgPool(3, 3, ceil_mode=True), em.AvgPool(3, 3)),
    "ceil mode of a max pool that changes nothing": (em.MaxPool(2, ceil_mode=True), em.MaxPool(2)),
    "ceil mode as padding": (em.MaxPool(5, 5, ceil_mode=True), em.MaxPool(5, 5, padding=[(0, 3), (0, 3)])),
    "a size that is twice": (em.Upsample(size=24), em.Upsample(2)),
    "bilinear to twice": (em.Upsample(size=24, mode="bilinear"), em.Upsample(2, "bilinear")),
    "bilinear to the same": (em.Upsample(size=12, mode="bilinear"), em.Identity()),
    "prelu": (em.Activation("prelu", slope=0.25), em.Activation("leaky_relu", slope=0.25)),
    "celu": (em.Activation("celu"), em.Activation("elu")),
    **{f"{mode} as a pad": (em.Conv(3, padding_mode=mode), em.serial(em.Pad(1, mode), em.Conv(3, padding=0)))
       for mode in ("zeros", "reflect", "replicate", "circular")},
    "output padding": (em.ConvTranspose(3, stride=2, padding=1, output_padding=1),
                       em.ConvTranspose(3, stride=2, padding=(1, 0))),
}


@pytest.mark.parametrize("name", PAIRS)
def test_equal_functions_have_equal_fields(name: str) -> None:
    one, other = (em.serial(em.Conv(3), R, em.Upsample(2, "bilinear"), em.AvgPool(2), part, em.Conv(3), R, em.Conv(1))
                  for part in PAIRS[name])
    for unit in ((0, 0), None):
        a, b = (em.predict(net, image=12, unit=unit) for net in (one, other))
        assert_close(a.map, b.map, SAME)
    c, d = (em.erf_size_map(net, 12).std for net in (one, other))
    assert_close(c, d, SAME)


def test_size_map_reads_what_predict_sends() -> None:
    net = em.serial(em.Conv(3, padding_mode="reflect", bias=0.3), R, em.AdaptiveAvgPool(5), em.Conv(3), R,
                    em.Upsample(size=9, mode="bicubic"), em.Conv(3, padding_mode="circular"))
    sizes = em.erf_size_map(net, 11).std
    for unit in ((0, 0), (4, 2), (8, 8)):
        assert_close(sizes[(slice(None), *unit)], em.predict(net, image=11, unit=unit).std, SAME)


# ---------------------------------------------------------------------------------------------
# refusals
# ---------------------------------------------------------------------------------------------

def test_what_has_no_rule_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="adaptive_avg_pool1: .*give image="):
        em.predict(em.serial(em.AdaptiveAvgPool(5)))
    for run in (em.predict, em.measure):
        with pytest.raises(ValueError, match="max_pool1: dilation=3: on a map of .* all of its sites in the padding"):
            run(em.serial(em.MaxPool(2, 1, 1, dilation=3)), image=2)


def test_pairs_of_a_part_of_the_rows_are_those_of_all() -> None:
    rng = np.random.default_rng(3)
    rows = Rows(bins_matrix(9, 5))
    values = rng.normal(size=(1, 3, 5))
    values[0, 0, 0] = values[0, 2, 4] = 0
    whole, start = rows.pairs(values, 1, 2, 0, 2)
    assert (whole.shape, start) == ((1, 5, 9), 0)
    cov = sum(np.diag(values[0, lag + 1, max(-lag, 0):5 - max(lag, 0)], lag) for lag in (-1, 0, 1))
    below = rows.matrix.T @ cov @ rows.matrix
    for lag in range(-2, 3):
        assert_close(whole[0, lag + 2, max(-lag, 0):9 - max(lag, 0)], np.diag(below, lag), SAME)
    part, start = rows.pairs(values[..., 2:3] * [[[0.0], [1.0], [0.0]]], 1, 2, 2, 0)
    assert start == 3 and part.shape == (1, 1, 3)
