"""Depths against brute force and the network itself; Gaussian sizes against deep stacks."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, assert_close, assert_rate

import erfmath as em
from erfmath.analysis.closed_forms import gaussian_size

ONES = em.Constant()
SCHEMES: list[dict[str, Any]] = [{}, {"dilation": 3}, {"stride": 2, "every": 4}, {"stride": 3, "every": 1},
                                 {"dilation": (1, 2, 5)}, {"stride": 2, "every": 3, "dilation": (1, 2)}]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_reached_std_is_that_of_the_network(scheme: dict[str, Any]) -> None:
    dilation = scheme.get("dilation", 1)
    cycle = dilation if isinstance(dilation, tuple) else (dilation,)
    for kernel, depth in itertools.product((2, 3, 6), (1, 4, 7)):
        layers = [em.Conv(kernel, padding="same", dilation=cycle[i % len(cycle)],
                          stride=scheme.get("stride", 1) if (i + 1) % scheme.get("every", 1) == 0 else 1)
                  for i in range(depth)]
        assert_close(em.reached_std(depth, kernel, **scheme), em.predict(em.serial(*layers), ndim=1).std[0], ROUNDING)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("kernel", (2, 3, 7))
def test_required_depth_is_the_inverse(scheme: dict[str, Any], kernel: int) -> None:
    for depth in range(1, 40):
        std = em.reached_std(depth, kernel, **scheme)
        assert em.required_depth(std, kernel, **scheme) == depth
        assert em.required_depth(std * 1.000001, kernel, **scheme) == depth + 1


def test_required_depth_of_astronomic_targets() -> None:
    assert em.required_depth(1e5) == 15 * 10**9
    assert em.required_depth(1e12, dilation=(1, 2, 4)) > 10**22
    assert em.required_depth(1e12, stride=2, every=4) < 200
    assert em.reached_std(0) == 0.0


@pytest.mark.parametrize("arguments, words", [((0,), "target_std"), ((-1,), "target_std"), ((5, 1), "larger than 1"),
                                              ((5, 0), "kernel_size=0"), (("5",), "target_std")])
def test_depths_that_are_none(arguments: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        em.required_depth(*arguments)
    with pytest.raises(ValueError, match="dilation"):
        em.required_depth(5, dilation=())


@pytest.mark.parametrize("kind", ["std", "threshold", "half_max", "mass", "participation"])
@pytest.mark.parametrize("ndim", (1, 2, 3))
@pytest.mark.parametrize("statistic", ("power", "mean"))
def test_gaussian_size_is_the_limit(kind: str, ndim: int, statistic: str) -> None:
    """Sizes of deep stacks over those of the Gaussian: the difference falls with depth."""
    depths = [8, 32, 128]
    weights = em.Random() if statistic == "power" else ONES
    over = em.growth(lambda n: em.zoo.plain(n, weights=weights), depths, kinds=(kind,), ndim=ndim)
    error = np.abs(over.sizes[kind] / over.asymptote[kind] - 1)
    if kind == "std":
        assert_close(over.sizes[kind], over.asymptote[kind], ROUNDING)
    elif kind == "participation":
        assert_rate(depths, error, 1)
    else:  # these count pixels: within one on either side
        step = 2.0 / over.asymptote[kind]
        assert (error <= 0.3 / np.array(depths) + step).all()


def test_gaussian_size_refuses() -> None:
    with pytest.raises(ValueError, match="kind"):
        gaussian_size(1.0, "width")
