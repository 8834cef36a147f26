"""The tolerance levels of the tests, and the one list of test networks.

No test writes a tolerance of its own: it names one of these levels, so that a level can be read,
questioned and changed in one place.

==============  =======================================================================
`EXACT`         equal, element by element: integers, Fractions, booleans
`ROUNDING`      relative 1e-12 element by element: the same sum in another order
`REWRITE`       relative 1e-9: one function written in two ways, each through all its layers
`FFT`           1e-13 of the largest element: error spread evenly by a transform
`STATISTICAL`   sampled against known: largest abs(z) within the Bonferroni bound
`ASYMPTOTIC`    an error falls with n at the claimed rate (slope in log-log), at least
==============  =======================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

import erfmath as em


class Answer(NamedTuple):
    """What the command line answered: exit status, standard output, standard error."""

    status: int | str | None
    out: str
    err: str


Ask = Callable[..., Answer]


class Tolerance(NamedTuple):
    """Allowed difference: `rtol` of each expected element plus `atol` of the largest."""

    rtol: float
    atol: float


EXACT = Tolerance(rtol=0.0, atol=0.0)
ROUNDING = Tolerance(rtol=1e-12, atol=1e-15)
REWRITE = Tolerance(rtol=1e-9, atol=1e-12)
FFT = Tolerance(rtol=0.0, atol=1e-13)
#: Probability that a right answer is refused, all cells of one comparison together.
STATISTICAL = 1e-4
#: How much flatter than claimed the slope of log(error) over log(n) may be.
ASYMPTOTIC = 0.1


def assert_close(actual: Any, expected: Any, level: Tolerance, *, scale: float = 0.0) -> None:
    """Same shape, and every element within `level` of the expected one.

    `scale` is the size of the terms that cancel where the expected value is (near) zero: a mean
    that should vanish is right to rounding of the numbers it was made from, not of zero.
    """
    assert np.shape(actual) == np.shape(expected), (
        f"shape {np.shape(actual)}, expected {np.shape(expected)}")
    if level == EXACT:
        assert np.array_equal(actual, expected), f"{actual!r}\nis not exactly\n{expected!r}"
        return
    got = np.asarray(actual, dtype=float)
    want = np.asarray(expected, dtype=float)
    finite = np.isfinite(want)
    assert np.array_equal(got[~finite], want[~finite], equal_nan=True), f"{got!r} is not {want!r}"
    got, want = got[finite], want[finite]
    if not want.size:
        return
    unit = max(float(np.abs(want).max()), scale)
    room = level.rtol * np.maximum(np.abs(want), scale) + level.atol * unit
    error = np.abs(got - want)
    worst = int(np.argmax(error - room))
    assert np.all(error <= room), (
        f"element {worst} (flat index): {got.flat[worst]!r}, expected {want.flat[worst]!r}; "
        f"off by {error.flat[worst]:.3g}, allowed {room.flat[worst]:.3g}")


def z_bound(cells: int) -> float:
    """Largest abs(z) that `cells` right answers exceed with probability `STATISTICAL` at most."""
    return float(-ndtri(STATISTICAL / (2 * cells)))


def assert_statistical(estimate: Any, stderr: Any, expected: Any) -> None:
    """Every estimate lies within its own sampling error of the expected value."""
    z = (np.asarray(estimate, float) - np.asarray(expected, float)) / np.asarray(stderr, float)
    worst, bound = float(np.abs(z).max()), z_bound(z.size)
    assert worst <= bound, f"|z| = {worst:.2f} over {z.size} cells, allowed {bound:.2f}"


def draws_for(error: float, spread: float) -> int:
    """Number of draws at which the mean of values of standard deviation `spread` has `error`."""
    return math.ceil((spread / error) ** 2)


def assert_rate(n: Any, error: Any, rate: float) -> None:
    """`error` falls as n**(-rate) or faster (`ASYMPTOTIC`)."""
    slope = float(np.polyfit(np.log(np.asarray(n, float)), np.log(np.asarray(error, float)), 1)[0])
    assert slope <= -rate + ASYMPTOTIC, f"error ~ n**{slope:.3f}, expected n**{-rate}"


#: The test networks, by name; built when asked for.
NETWORKS: dict[str, Callable[[], em.Network]] = {
    "one": lambda: em.serial(em.Conv(3)),
    "chain": lambda: em.serial(*[em.Conv(3) for _ in range(5)]),
    "strided": lambda: em.serial(em.Conv(5, stride=2), em.Conv(3, dilation=2), em.Conv(3)),
    "pooled": lambda: em.serial(em.Conv(3), em.MaxPool(2), em.Conv(3), em.AvgPool(2), em.Conv(3)),
    "residual": lambda: em.repeat(em.residual(em.serial(em.Conv(3), em.Conv(3))), 2),
    "branched": lambda: em.serial(
        em.Conv(3),
        em.concat(em.Conv(1), em.Conv(3), em.serial(em.Conv(3), em.Conv(3))),
        em.Conv(3),
    ),
    "decoder": lambda: em.serial(em.Conv(3, stride=2), em.Upsample(2), em.Conv(3)),
}


def suptitle(figure: Any) -> str:
    """The title of a figure; Matplotlib has a method for it from 3.8 on."""
    return figure._suptitle.get_text() if figure._suptitle else ""
