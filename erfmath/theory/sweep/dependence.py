"""What values and gradients have in common: the random layers that they come from, channel by channel.

Values that depend on different random layers, or on different channels of one, are independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Union

import numpy as np

from .groups import Labels

__all__ = ["SEVERAL", "Dependence", "Unfollowed", "meet", "read_through", "pulled_through"]

#: In place of a channel: none, and more than one.
NONE, SEVERAL = -1, -2
#: No channels at all.
NOWHERE = np.full(0, NONE)
#: Per channel the one of the source that it comes from; None where channels are not followed.
Channels = Union[Labels, None]


def meet(one: Channels, other: Channels) -> bool:
    """Whether any channel comes from the same channel of a source both times."""
    if one is None or other is None or len(one) != len(other):
        return True
    both = (one != NONE) & (other != NONE)
    return bool((both & ((one == other) | (one == SEVERAL) | (other == SEVERAL))).any())


def read_through(channels: Labels, reads: Labels) -> Labels:
    """Channels of a source after a layer that reads those of its input, as `groups.owners` has them."""
    return _united(np.where(reads < 0, NONE, channels[reads]))


def pulled_through(channels: Labels, reads: Labels, count: int) -> Labels:
    """Channels of a source above a layer, seen at the `count` channels of its input."""
    low, high = np.full(count, np.iinfo(np.intp).max), np.full(count, NONE)
    for row in reads:
        there = (row >= 0) & (channels != NONE)
        np.minimum.at(low, row[there], channels[there])
        np.maximum.at(high, row[there], channels[there])
    return np.where(high == NONE, np.where(low == SEVERAL, SEVERAL, NONE), np.where(low == high, high, SEVERAL))


def _united(rows: Labels) -> Labels:
    """One of several rows of channels: those of the only one that has any, or `SEVERAL`."""
    out = rows[0]
    for row in rows[1:]:
        out = np.where((out == NONE) | (out == row), row, np.where(row == NONE, out, SEVERAL))
    return np.asarray(out)


class Dependence:
    """The random layers that the channels of a node depend on with none between, and through which channels."""

    def __init__(self, roots: Mapping[int, Channels]) -> None:
        self.roots = roots

    @property
    def followed(self) -> bool:
        """Whether the channels of all sources are known."""
        return all(channels is not None for channels in self.roots.values())

    def meets(self, other: Dependence) -> bool:
        """Whether values of like channels depend on one another."""
        return any(root in other.roots and meet(mine, other.roots[root]) for root, mine in self.roots.items())

    def shares(self, other: Dependence) -> bool:
        """Whether values of like channels depend on the same channel of a source, not only on several by a softmax."""
        for root, mine in self.roots.items():
            theirs = other.roots.get(root, NOWHERE)
            if mine is None or theirs is None:
                if root in other.roots:
                    return True
            elif len(mine) == len(theirs) and ((mine == theirs) & (mine >= 0)).any():
                return True
        return False

    def joined(self, other: Dependence) -> Dependence:
        """Of values of both."""
        total = dict(self.roots)
        for root, channels in other.roots.items():
            mine = total.get(root, channels)
            known = mine is not None and channels is not None and len(mine) == len(channels)
            total[root] = _united(np.stack([mine, channels])) if known else None  # type: ignore[list-item]
        return Dependence(total)

    def mixed(self, count: int) -> Dependence:
        """Of `count` channels each of which is made of all of these."""
        return Dependence(dict.fromkeys(self.roots, np.full(count, SEVERAL)))

    def through(self, reads: Labels) -> Dependence:
        """Of what a layer makes of these channels."""
        found: dict[int, Channels] = {}
        for root, channels in self.roots.items():
            here = None if channels is None else read_through(channels, reads)
            if here is None or (here != NONE).any():
                found[root] = here
        return Dependence(found)


class Unfollowed(Dependence):
    """The same where channels stay where they are: the bits of a number, since streams of many blocks have many."""

    def __init__(self, bits: int) -> None:
        super().__init__({})
        self.bits = bits

    @property
    def followed(self) -> bool:
        return False

    def meets(self, other: Dependence) -> bool:
        return bool(self.bits & other.bits) if isinstance(other, Unfollowed) else super().meets(other)

    def shares(self, other: Dependence) -> bool:
        return self.meets(other)

    def joined(self, other: Dependence) -> Dependence:
        return Unfollowed(self.bits | other.bits) if isinstance(other, Unfollowed) else super().joined(other)

    def through(self, reads: Labels) -> Dependence:
        return self
