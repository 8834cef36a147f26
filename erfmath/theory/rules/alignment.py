"""Gradients in proportion to the values of a map, which norms over a map make, on their way down (docs/theory.md).

Weights that have made values from others lead such a gradient back along these: W'W v has a part in proportion to v,
the same for all channels, beside what random signs would make of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..memory import remembered
from ..sweep.taps import Array
from ..sweep.values import Value
from . import functions
from .functions import Function

__all__ = ["Along", "Even", "PIXELS", "above_norm", "mean", "of_sum", "through_function", "through_norm",
           "through_random", "through_sites", "with_value"]


class Along(NamedTuple):
    """The power of such a gradient further down, over that of one whose signs are independent.

    Attributes
    ----------
    alone : float
        If each channel has a sign of its own.
    shared : float
        What is added for each other channel that has its sign in common.
    linear : float
        Its part in proportion to the pixels, over what a network of linear layers would leave.
    coherent : float
        Of `alone`, what weights lead back along what they read, in which other branches of that agree.
    weights : float
        How many of a channel have just made the values: a norm of it alone divides by their squares.
    """

    alone: float
    shared: float
    linear: float
    coherent: float
    weights: float = math.inf

    def of(self, channels: float) -> float:
        """If so many channels have their sign in common."""
        return max(self.alone + self.shared * (channels - 1), 0.0)

    def with_more(self, part: float) -> Along:
        """With power that goes along nothing."""
        return self._replace(alone=self.alone + part, weights=math.inf)

    def normed(self, channels: int) -> float:
        """The same where a norm divides them by their deviation."""
        return self.of(channels) / (1 + 2 / self.weights if channels == 1 else 1.0)


#: Of pixels, where gradients end.
PIXELS = Along(1.0, 0.0, 1.0, 0.0)


class Even(NamedTuple):
    """How much norms further down leave of the power of a gradient that is the same at all sites.

    Attributes
    ----------
    left : float
    along : float
        The same of one in proportion to the values.
    norm : (int, int), optional
        The norm over a map that does not leave all of it, and the channel group there, of which the values are a
        function site by site.
    """

    left: float = 1.0
    along: float = 1.0
    norm: tuple[int, int] | None = None


def mean(parts: Sequence[Along], shares: Sequence[float]) -> Along:
    """Of channels of several kinds, which have `shares` in it."""
    if len(parts) == 1:
        return parts[0]
    return Along(*[sum(share * one[n] for one, share in zip(parts, shares)) for n in range(4)])


def through_norm(below: Along, channels: int) -> Along:
    """Below a norm whose statistics `channels` share: of their signs it takes away the mean.

    Each is left with 1 - 1 / n of its variance, and two are correlated by -1 / (n - 1).
    """
    if channels == 1:
        return Along(0.0, 0.0, 0.0, 0.0)
    left, apart = 1 - 1 / channels, below.alone - below.shared
    return Along(left * apart, -apart / channels, left * below.linear, left * below.coherent)


def through_random(below: Along, channels: int, groups: int, taps: int, sites: float) -> Along:
    """Below a layer of random weights from `channels` in `groups`; `sites` of the output for one of the input.

    The sum w w' over a channel's own n weights has fourth moments, which add 1 / n.
    """
    if groups == channels > 1:
        return Along(1 + 1 / taps + sites * below.alone, sites * below.shared, below.linear, sites * below.alone,
                     taps)
    each = channels / groups
    shared = sites * below.of(each) / each
    return Along(1 + shared + 1 / (each * taps), shared, below.linear, shared, each * taps)


def above_norm(along: Sequence[Along], made: Sequence[Along | None], sites: Sequence[Value | None],
               shares: Sequence[float], part: float, channels: int) -> tuple[Array, Array]:
    """Power further down of what a norm over so many `channels`, a `part` of all, takes along the values, per group.

    `made` is that along the values that these are functions of, at their `sites`, where there are such; signs are
    shared with channels of all groups, which have `shares` of them.  Then what other norms take of it: channels that
    a branch mixes have little in common one by one, until they are led back to the same pixels.
    """
    parts = [(one, 1.0) if first is None else (first, with_value(site))
             for one, first, site in zip(along, made, sites)]
    shared = sum(share * one.shared for share, (one, _) in zip(shares, parts))
    again = [part * one.normed(channels) + (1 - part) * one.shared * channels for one in along]
    return np.array([one._replace(shared=shared).normed(channels) * passed for one, passed in parts]), np.array(again)


def through_sites(below: Along, kept: float) -> Along:
    """Below what picks or averages sites, a part of which is `kept`."""
    if kept == 1:
        return below
    return Along(1 - kept + kept * below.alone, kept * below.shared, below.linear, kept * below.coherent)


def through_function(below: Along, phi: Function, q: float) -> Along:
    """Below a function of each value, of variance `q`."""
    more, part, left = _of_function(phi, q)
    return Along(more * (1 - part + part * below.alone), more * part * below.shared, below.linear * left,
                 more * part * below.coherent)


@remembered(256)
def _of_function(phi: Function, q: float) -> tuple[float, float, float]:
    """E[(phi phi')^2] over E[phi^2] E[phi'^2], the part of it in proportion to z, and E[z phi phi'] over E[phi^2]."""
    z = math.sqrt(q) * _POINTS
    value, slope = phi.value(z), phi.slope(z)
    value = value - _WEIGHTS @ value  # of which the norm has taken the mean
    second = float(_WEIGHTS @ value**2)
    power, gates, rise = (float(_WEIGHTS @ x) for x in ((value * slope)**2, slope**2, z * value * slope))
    if not (second and gates and power):
        return 1.0, 0.0, 0.0
    return power / (second * gates), rise**2 / (q * power), rise / second


_POINTS, _WEIGHTS = functions.normal_points(512, 0.03)


def of_sum(parts: Sequence[Along], shares: Sequence[float], channels: int) -> Along:
    """Of a sum of values whose `shares` of its variance are given.

    Parts that are made of the same pixels are led back to the same.
    """
    alone = shared = linear = coherent = 0.0
    for k, (one, a) in enumerate(zip(parts, shares)):
        alone, shared = alone + a**2 * one.alone, shared + a**2 * one.shared
        linear, coherent = linear + a * one.linear, coherent + a**2 * one.coherent
        for other, b in zip(parts[k + 1:], shares[k + 1:]):
            most = max(one.linear, other.linear)
            both = min(one.linear, other.linear) / most if most > 0 else 0.0
            # One may be what the other is made of: it is led back to no less than the whole of that.
            own = min(one.alone, other.alone, max(one.coherent, other.coherent))
            common = min(one.of(channels) / channels, other.of(channels) / channels, max(one.shared, other.shared))
            alone, coherent = alone + 2 * a * b * (1 + both * own), coherent + 2 * a * b * both * own
            shared += 2 * a * b * both * common
    return Along(alone, shared, linear, coherent)


def with_value(site: Value | None) -> float:
    """E[D^2 y^2] / (E[D^2] E[y^2]) of a value y less its mean, D its derivative by the source: 1 where it is that."""
    if site is None or not site.steps:
        return 1.0
    u, p = site.nodes.u, site.nodes.p
    values, slopes = site.at(u), site.slope(u)**2
    squares = (values - p @ values)**2
    return float(p @ (slopes * squares)) / (float(p @ slopes) * float(p @ squares) or 1.0)
