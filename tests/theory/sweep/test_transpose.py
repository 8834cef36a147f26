"""One sweep upwards against one sweep downwards per unit: sum_i P_u(i) f(i) for all units u."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.analysis.size_map import prepare
from erfmath.networks.settings import RunSettings
from erfmath.theory.memory import forget
from erfmath.theory.sweep.forward import Gates
from erfmath.theory.sweep.transpose import _Readout, readout

Conv, Relu = em.Conv, em.Activation("relu")


def stream(blocks: int) -> em.Network:
    """A residual stream: gates after sums remember one another."""
    branch = em.serial(Conv(3, 16), em.BatchNorm(), Relu, Conv(3, 16), em.BatchNorm())
    block = em.serial(em.residual(branch), Relu)
    down = em.serial(em.residual(em.serial(Conv(3, 16, stride=2), em.BatchNorm()),
                                 em.serial(Conv(1, 16, stride=2), em.BatchNorm())), Relu)
    return em.serial(Conv(3, 16), em.BatchNorm(), Relu, em.repeat(block, blocks), down, em.repeat(block, blocks))


NETWORKS: dict[str, tuple[Callable[[], em.Network], Any]] = {
    "chain": (lambda: em.repeat(Conv(3), 4), 13),
    "strided": (lambda: em.serial(Conv(5, stride=2), Conv(3, dilation=2), Conv((3, 1))), (17, 12)),
    "even": (lambda: em.serial(Conv(4, stride=2, padding="same"), Conv(2, padding=(1, 0))), (15, 10)),
    "pools": (lambda: em.serial(Conv(3), Relu, em.MaxPool(3, 2, 1), em.AvgPool(3, 2, 1), Conv(3), em.Upsample(2),
                                em.MaxPool(3, 2, 1)), 33),
    "averages": (lambda: em.serial(Conv(3), em.AvgPool(2, 1), Conv(3),
                                   em.AvgPool(3, 1, 1, count_include_pad=False)), 9),
    "bilinear": (lambda: em.serial(Conv(3, stride=2), Relu, em.Upsample(2, "bilinear"), Conv(3), em.Activation("tanh"),
                                   em.Upsample(2, "bilinear"), Conv(3)), 16),
    "transposed": (lambda: em.serial(Conv(3, stride=2), Relu, em.ConvTranspose(4, stride=2, padding=1)), 14),
    "dropout": (lambda: em.serial(Conv(3), em.AvgPool(3, 1, 1), em.Dropout(0.3), Conv(3), em.AvgPool(2)), 12),
    "concatenated": (lambda: em.serial(Conv(3, 8), Relu, em.concat(Conv(1, 4), em.MaxPool(3, 1, 1), Conv(5, 12)),
                                       em.BatchNorm(), Relu, Conv(3, groups="depthwise"), Conv(1, 8)), 11),
    "stream": (lambda: stream(3), 16),
    "twice": (lambda: em.serial(Conv(3, 8), em.BatchNorm(), em.add(Conv(3, 8), em.Scale(0.5)), Conv(3, 8)), 9),
    "added to itself": (lambda: em.serial(Conv(3, 8), em.add(em.Identity(), em.Identity(), Conv(3, 8)), Conv(3, 8)), 9),
    "line": (lambda: em.serial(Conv(3), em.Activation("tanh"), em.MaxPool(3, 2, 1), Conv((3,))), 33),
    "volume": (lambda: em.serial(Conv((3, 3, 3)), Relu, em.MaxPool(2), Conv(3)), 6),
    "pooled whole": (lambda: em.serial(Conv(3), em.BatchNorm(), Relu, em.GlobalAvgPool(), Conv(1, 10)), 8),
    "unet": (lambda: em.zoo.unet(width=4), 32),
    "densenet": (lambda: em.zoo.build("convnext_tiny", width=8), 64),
}


def read(net: em.Network, image: Any, fields: Any) -> Any:
    swept = prepare(net, RunSettings.of(net, image=image))
    assert swept is not None
    return readout(*swept, fields).values


@pytest.mark.parametrize("name", NETWORKS)
def test_readout_is_the_transpose_of_predict(name: str) -> None:
    """Random functions of the pixels, over the fields of five units each."""
    make, image = NETWORKS[name]
    net, rng = make(), np.random.default_rng(0)
    ndim = net.ndim or 2
    pixels = image if isinstance(image, tuple) else (image,) * ndim
    fields = rng.random((3, *pixels))
    found = read(net, pixels, fields)
    shape = net.shapes(image)[net.output]
    assert found.shape == (3, *shape)
    for unit in {(0,) * ndim, *(tuple(int(rng.integers(n)) for n in shape) for _ in range(4))}:
        power = em.predict(net, image=image, unit=unit).map
        assert_close(found[(slice(None), *unit)], (fields * power).reshape(3, -1).sum(axis=1), ROUNDING)


def test_sites_left_out_are_borders() -> None:
    """A chain on the part of every map that a tile has is the chain on the tile."""
    net, first, stop = em.serial(*(Conv(3), em.AvgPool(3, 1, 1)) * 2, Conv(3)), 4, 13
    swept = prepare(net, RunSettings.of(net, image=(20,)))
    assert swept is not None
    plan = swept[0]
    keep = {i: ((first, stop),) for i in range(-1, len(net))}
    assert any(map(any, plan.lags.values()))
    inner = readout(plan, Gates(), np.ones((1, 20)), keep).values[0]
    for unit in range(stop - first):
        assert_close(inner[first + unit], em.predict(net, image=stop - first, unit=unit, ndim=1).total, ROUNDING)


def test_what_is_known_stays_whatever_other_threads_forget() -> None:
    """Another network in another thread may drop what is remembered between any two steps."""
    net, fields = stream(2), np.ones((1, 16, 16))
    swept = prepare(net, RunSettings.of(net, image=(16, 16)))
    assert swept is not None
    expected = readout(*swept, fields).values
    started = _Readout(*swept, {})
    forget()
    assert np.array_equal(started.run(fields).values, expected)


@pytest.mark.parametrize("net", [
    em.serial(Conv(3, weights=em.Constant()), Conv(3)),
    em.serial(em.Conv(3), em.residual(em.AvgPool(3, 1, 1, count_include_pad=False))),
    em.serial(em.residual(em.AvgPool(3, 1, 1, count_include_pad=False)), em.Conv(3)),
])
def test_what_has_no_transpose_is_known(net: em.Network) -> None:
    assert prepare(net, RunSettings.of(net, image=8)) is None
