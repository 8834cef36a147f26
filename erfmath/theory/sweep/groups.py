"""Channels that are alike: which of a map's channels are one group, and which group each comes from.

A group is a set of channels whose values are distributed alike and whose gradients are handed down alike.  Moments and
powers are carried per group.  Layers that mix all channels leave one group; concatenations, slices, shuffles and
convolutions of groups of unequal channels leave several, which need not lie side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..memory import remembered

__all__ = ["Labels", "ONE", "collected", "count", "distinct", "of_parts", "owners", "picked", "side_by_side", "sizes",
           "spread_over", "whole"]

#: Per channel the number of its group; groups count from 0, in the order in which they come.
Labels = npt.NDArray[np.intp]
#: Owners where both sides have one group.
ONE = np.zeros((1, 1), np.intp)
ONE.flags.writeable = False


@remembered(1024)
def whole(channels: int) -> Labels:
    """All channels in one group."""
    return np.broadcast_to(np.zeros((), np.intp), (channels,))


def distinct(columns: npt.ArrayLike) -> Labels:
    """Groups of like columns, shape (any, channels)."""
    array = np.asarray(columns)
    if (array == array[:, :1]).all():
        return whole(array.shape[1])
    _, first, which = np.unique(array, axis=1, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.intp)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[which.reshape(-1)])


def sizes(labels: Labels) -> tuple[int, ...]:
    """Channels of each group."""
    if not labels.strides[0]:  # one number for all
        return (len(labels),)
    return tuple(np.bincount(labels).tolist())


def count(labels: Labels) -> int:
    """How many groups there are."""
    return int(labels.max()) + 1 if labels.strides[0] else 1


def side_by_side(counts: Sequence[int]) -> tuple[Labels, ...]:
    """`owners` for each input of a concatenation, of so many groups each."""
    found, first, total = [], 0, sum(counts)
    for each in counts:
        owner = np.full((1, total), -1)
        owner[0, first:first + each] = np.arange(each)
        found.append(owner)
        first += each
    return tuple(found)


def owners(labels: Labels, reads: Labels, below: Labels) -> Labels:
    """For each group, the groups of an input that its channels read, shape (any, groups); -1 is none.

    `reads` has shape (any, channels): the channels of the input that each channel reads.
    """
    _, first = np.unique(labels, return_index=True)
    read = reads[:, first]
    return np.where(read < 0, -1, below[read])


def spread_over(labels: Labels, below: Labels, parts: int) -> npt.NDArray[np.float64]:
    """For each group after a layer of `parts` groups of weights, what part of its inputs comes from each group below.

    Shape (groups, groups below); each row sums to 1.
    """
    count = int(below.max()) + 1
    per_part = np.stack([np.bincount(part, minlength=count) / len(part) for part in below.reshape(parts, -1)])
    _, first = np.unique(labels, return_index=True)
    return np.asarray(per_part[first * parts // len(labels)])


def picked(owner: Labels, count: int) -> Any:
    """Index of the groups that `owner` numbers from 0 to `count`, None where some are sums or in another order."""
    if len(owner) == count == 1 and owner[0] == 0:
        return slice(None)
    kept = np.flatnonzero(owner >= 0)
    if len(kept) != count or (owner[kept] != np.arange(count)).any():
        return None
    return slice(kept[0], kept[-1] + 1) if kept[-1] - kept[0] < count else kept


def collected(values: npt.NDArray[np.float64], owner: Labels, count: int) -> npt.NDArray[np.float64]:
    """Sums over the first axis by `owner`, shape (groups,); -1 is left out.  What is only picked may be a view."""
    found = picked(owner, count)
    if found is not None:
        return np.asarray(values[found])
    out = np.zeros_like(values, shape=(count, *values.shape[1:]))
    for g, k in enumerate(owner.tolist()):
        if k >= 0:
            out[k] += values[g]
    return out


def of_parts(below: Labels, parts: int, channels: int) -> Labels:
    """Groups after random weights in `parts` groups: channels that read like mixtures are alike."""
    if parts == 1 or not below.strides[0]:
        return whole(channels)
    mixtures: Sequence[Labels] = [np.sort(part) for part in below.reshape(parts, -1)]
    return distinct(np.repeat(np.stack(mixtures, axis=1), channels // parts, axis=1))
