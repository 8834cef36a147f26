"""Halos of tiles against networks that are run on them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from helpers import FFT, assert_close, assert_statistical

import erfmath as em
from erfmath.analysis.size_map import prepare
from erfmath.analysis.tiles import _Known, _Swept, _Tiles
from erfmath.networks.settings import RunSettings

Conv, Relu = em.Conv, em.Activation("relu")
CHAIN = em.repeat(Conv(3), 6)


def lost_on_a_line(net: em.Network, halo: int) -> float:
    """Largest fraction that is lost in a tile of a line of 41 sites."""
    settings = RunSettings.of(net, image=41, ndim=1)
    tiles, swept = _Tiles(net, settings), prepare(net, settings)
    power = _Swept(*swept, tiles) if swept else _Known(net, settings, tiles)
    return max(power.lost(spans) for spans in tiles.spans(halo))


@pytest.mark.parametrize("error", (0.1, 0.01, 1e-4, 0.0))
def test_halo_of_a_chain(error: float) -> None:
    """A kept corner unit is a unit `halo` pixels from the corner of a wide image: what is missing of its total."""
    found = em.tile_halo(CHAIN, error)
    plane = em.predict(CHAIN).total
    lost = [1 - em.predict(CHAIN, image=40, unit=h).total / plane for h in range(8)]
    assert found.exact == 6 and found.multiple == 1
    assert found.halo == next(h for h, part in enumerate(lost) if part <= max(error, 1e-12))
    if found.halo < 6:
        assert_close(found.error, lost[found.halo], FFT, scale=1)
        share = em.predict(CHAIN).crop(-found.halo, 6, of="share").sum()
        assert_close(found.cut, 1 - share, FFT, scale=1)
        assert found.cut < found.error


def test_every_unit_of_a_block_on_every_side() -> None:
    """Strides, phases of a decoder, even kernels: against the tiles themselves, frozen gates and all."""
    net = em.serial(Conv(4, stride=2, padding=(0, 2)), Conv(3), em.ConvTranspose(4, stride=2, padding=1), Conv(3))
    found = em.tile_halo(net, 0.2)
    assert found.multiple == 2 and found.halo % 2 == 0 and found.halo < found.exact
    whole, start, n = em.erf_size_map(net, 60).total, 30, 60
    worst = 0.0
    for low in itertools.product((True, False), repeat=2):
        first = [start - found.halo if here else 0 for here in low]
        stop = [n if here else start + 2 + found.halo for here in low]
        tile = em.erf_size_map(net, [b - a for a, b in zip(first, stop)]).total
        for unit in itertools.product((start, start + 1), repeat=2):
            inner = tuple(u - a for u, a in zip(unit, first))
            worst = max(worst, 1 - tile[inner] / whole[unit])
    assert_close(found.error, worst, FFT, scale=1)


def test_the_error_is_that_of_the_output() -> None:
    """Linear random networks run on a line and on a tile of it: mean squared difference over mean square."""
    layers, halo, draws, width = 6, 2, 1500, 8
    rng = np.random.default_rng(3)
    shape = (draws, width, 3, width)
    wide = rng.normal(size=(draws, width, 41))
    tile = wide[..., 20 - halo:].copy()
    for _ in range(layers):
        weights = rng.normal(size=shape) / np.sqrt(3 * width)
        wide, tile = (convolved(x, weights) for x in (wide, tile))
    difference = ((wide[:, :, 20] - tile[:, :, halo])**2).mean(axis=1)
    square = (wide[:, :, 20]**2).mean(axis=1)
    ratio = difference.mean() / square.mean()
    net = em.repeat(Conv(3, weights=em.Random(gain=1.0)), layers)
    expected = 1 - em.predict(net, image=41, unit=halo, ndim=1).total / em.predict(net, ndim=1).total
    stderr = np.std(difference - ratio * square) / square.mean() / np.sqrt(draws)
    assert_statistical(ratio, stderr, expected)
    lost = lost_on_a_line(net, halo)
    assert_close(lost, expected, FFT, scale=1)


def convolved(x: Any, weights: Any) -> Any:
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1)))
    return sum(np.einsum("doi,dix->dox", weights[:, :, tap], padded[..., tap:tap + x.shape[-1]]) for tap in range(3))


def test_a_given_image() -> None:
    given, default = em.tile_halo(CHAIN, 0.01, image=40), em.tile_halo(CHAIN, 0.01)
    assert given.image == (40, 40) and default.image == (13, 13)
    assert given.halo == default.halo and given.exact == default.exact
    assert_close(given.error, default.error, FFT, scale=1)


def test_tile_halo_without_error_is_geometry_alone() -> None:
    """Also where lost and kept paths interfere, and no error is known."""
    block = em.residual(em.residual(Conv(3, 8, weights=em.Random(gain=1.0))))
    found = em.tile_halo(block, 0, channels_in=8)
    assert (found.halo, found.exact, found.error, found.cut) == (1, 1, 0, 0)
    for net in (CHAIN, em.zoo.unet(), KNOWN):
        found = em.tile_halo(net, 0)
        assert found.halo == found.exact


def test_tile_halo_of_an_image_that_units_see_beyond() -> None:
    """The error is that of units that see all they can; tiles must fit into the image."""
    net = em.zoo.unet()
    free = em.tile_halo(net, 0.005)
    assert (free.halo, round(free.error, 4)) == (64, 0.0035)
    with pytest.raises(ValueError, match=r"image=\(96, 96\).* halo of 64 .* error is 0.00351"):
        em.tile_halo(net, 0.005, image=96)
    small = em.tile_halo(net, 0.005, image=160)
    assert (small.halo, small.error) == (free.halo, free.error)


def test_tile_halo_of_a_field_that_no_image_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erfmath.analysis.tiles.LARGEST_IMAGE", 8)
    net = em.repeat(Conv(3), 12)
    with pytest.raises(ValueError, match="image=, 25 pixels"):
        em.tile_halo(net, 1e-4)
    wide = em.tile_halo(net, 1e-4, image=25)
    assert 4 < wide.halo < 12
    assert em.tile_halo(net, 0.5).halo < 4


@pytest.mark.parametrize("dilation, weights", [(500, em.Random()), (2000, em.Constant())])
def test_tile_halo_of_taps_that_the_image_does_not_hold(dilation: int, weights: em.Random | em.Constant) -> None:
    """Of sparse taps the image holds one alone: it says nothing of the others."""
    with pytest.raises(ValueError, match=f"image=, {2 * dilation + 1} pixels"):
        em.tile_halo(em.serial(Conv(3, dilation=dilation, weights=weights)), 0.01, ndim=1)
    held = em.tile_halo(em.serial(Conv(3, dilation=dilation, weights=weights)), 0.01, ndim=1, image=2 * dilation + 1)
    assert held.halo == dilation


def test_tile_halo_is_printed_as_a_table() -> None:
    lines = str(em.tile_halo(CHAIN, 0.01)).splitlines()
    assert [line.split()[0] for line in lines] == ["halo", "error", "no"] and "multiples of 1 px" in lines[0]


@pytest.mark.parametrize("net, options, words", [
    (CHAIN, {"error": -0.1}, "error=-0.1"), (CHAIN, {"error": 1.0}, "error=1.0"),
    (em.serial(Conv(3), em.GlobalAvgPool()), {}, "global pooling"),
    (em.serial(Conv(3), em.GlobalAvgPool()), {"image": 9}, "global pooling"),
    (em.serial(Conv(3, stride=4)), {"image": 10}, "multiple of 4"),
    (em.serial(Conv(3, stride=4)), {"image": 8}, "three times"),
])
def test_no_tiles(net: em.Network, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        em.tile_halo(net, **options)


def test_ones_beside_the_network_itself() -> None:
    """White images through filters of ones, whole and as tiles: mean squared difference over mean square."""
    layers, draws = 5, 4000
    x = np.random.default_rng(0).normal(size=(draws, 41))
    net = em.repeat(Conv(3, weights=em.Constant()), layers)
    for halo in range(layers):
        wide, tile = x, x[:, 20 - halo:]
        for _ in range(layers):
            wide, tile = (np.apply_along_axis(np.convolve, 1, y, np.ones(3), "same") for y in (wide, tile))
        difference, square = (wide[:, 20] - tile[:, halo])**2, wide[:, 20]**2
        ratio = difference.mean() / square.mean()
        stderr = np.std(difference - ratio * square) / square.mean() / np.sqrt(draws)
        lost = lost_on_a_line(net, halo)
        assert_statistical(ratio, stderr, lost)
        found = em.tile_halo(net, lost * (1 + 1e-9), ndim=1)
        assert found.halo == halo and found.exact == layers
        assert_close(found.error, lost, FFT, scale=1)
        assert found.cut <= found.error


KNOWN = em.serial(Conv(4, stride=2, padding=(0, 2), weights=em.Fixed([[1, 2, 3, 1]] * 4)),
                  Conv(3, weights=em.Fixed([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])),
                  em.AvgPool(3, 1, 1, count_include_pad=False), em.Upsample(2, mode="bilinear"))


def test_known_weights_beside_tiles_that_are_run() -> None:
    """Filters of both signs, strides, phases, pools and upsampling that look at the border: gradients measured."""
    found = em.tile_halo(KNOWN, 0.03)
    assert found.multiple == 2 and 0 < found.halo < found.exact
    start, n = 20, 40
    whole = {unit: em.measure(KNOWN, image=n, unit=unit).map for unit in np.ndindex(n, n) if min(unit) in (20, 21)
             and max(unit) in (20, 21)}
    worst = cut = 0.0
    for low in itertools.product((True, False), repeat=2):
        first = [start - found.halo if here else 0 for here in low]
        stop = [n if here else start + 2 + found.halo for here in low]
        inside = tuple(map(slice, first, stop))
        for unit, full in whole.items():
            tile = np.zeros_like(full)
            tile[inside] = em.measure(KNOWN, image=[b - a for a, b in zip(first, stop)],
                                      unit=tuple(u - a for u, a in zip(unit, first))).map
            worst = max(worst, ((full - tile)**2).sum() / (full**2).sum())
            full = full.copy()
            square = (full**2).sum()
            full[inside] = 0
            cut = max(cut, (full**2).sum() / square)
    assert_close(found.error, worst, FFT, scale=1)
    assert_close(found.cut, cut, FFT, scale=1)
    assert em.tile_halo(KNOWN, 0.0).halo == em.tile_halo(KNOWN, 0.0).exact


def test_no_tiles_where_lost_and_kept_paths_interfere() -> None:
    tied, met = em.serial(Conv(3), Conv(3, weights=em.Constant())), em.serial(Conv(3), em.residual(em.AvgPool(3, 1, 1)))
    for net in (tied, met):
        with pytest.raises(NotImplementedError, match="interfere"):
            em.tile_halo(net, channels_in=16)
    with pytest.raises(NotImplementedError, match="depends on the data"):
        em.tile_halo(em.repeat(em.serial(Conv(3, weights=em.Constant()), Relu), 3))
