"""Slices, shuffles and pixel shuffles: what they accept and refuse, and which channels they read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import EXACT, assert_close
from specs import INT, check_spec, examples

import erfmath as em
from erfmath.layers import Layer


@pytest.mark.parametrize("layer", examples("slice", "shuffle", "softmax", "pixel_shuffle", "pixel_unshuffle"), ids=repr)
def test_channels_spec(layer: Layer) -> None:
    check_spec(layer)


@pytest.mark.parametrize("make, message", [
    (lambda: em.Slice(-1, 2), "start=-1: must be at least 0"),
    (lambda: em.Slice(2, 2), "stop=2: must be larger than start=2"),
    (lambda: em.Slice(0, 1.5), "stop=1.5: " + INT),
    (lambda: em.serial(em.Conv(3, 4), em.Slice(2, 6)), "slice1: stop=6: only 4 channels come in"),
    (lambda: em.Shuffle(0), "groups=0: must be at least 1"),
    (lambda: em.serial(em.Conv(3, 4), em.Shuffle(3)), "shuffle1: groups=3: must divide the 4 incoming channels"),
    (lambda: em.Softmax("2"), "parts='2': " + INT),
    (lambda: em.serial(em.Conv(3, 4), em.Softmax(3)), "softmax1: parts=3: must divide the 4 incoming channels"),
    (lambda: em.PixelShuffle(0), "scale=0: must be at least 1"),
    (lambda: em.PixelShuffle((1000, 1000)), r"scale=\(1000, 1000\): places: at most 65536 are taken"),
    (lambda: em.predict(em.serial(em.Conv(3, 10**6), em.PixelShuffle(1000), em.Conv(3))), "scale=1000: places"),
    (lambda: em.PixelShuffle(2).out_channels(6, None, 2), "scale=2: .*=4: must divide the 6 incoming channels"),
    (lambda: em.PixelUnshuffle((2, 0)), r"scale\[1\]=0: must be at least 1"),
    (lambda: em.split([4, 4], em.Identity()), r"part_sizes=\[4, 4\]: must be one number .* of the 1 branches"),
    (lambda: em.split(4, em.Identity()), "part_sizes=4: must be one number"),
    (lambda: em.split([4, 0], em.Identity(), em.Conv(3)), r"part_sizes\[1\]=0: must be at least 1"),
])
def test_channels_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_channel_reads_move_values_as_numpy_does(ndim: int) -> None:
    """Channels numbered on a map of r^d blocks, moved by reshaping and transposing."""
    n, c, r = 2, 3, 2
    coarse = np.arange(c * r**ndim * n**ndim).reshape(c, *(r,) * ndim, *(n,) * ndim)
    order = [0, *(axis for pair in zip(range(1 + ndim, 1 + 2 * ndim), range(1, 1 + ndim)) for axis in pair)]
    fine = coarse.transpose(order).reshape(c, *(n * r,) * ndim)
    channel_of = np.arange(c * r**ndim).reshape(c, *(r,) * ndim)[(...,) + (None,) * ndim]
    channel_of = np.broadcast_to(channel_of, coarse.shape).transpose(order).reshape(fine.shape)
    reads = em.PixelShuffle(r).channel_reads([np.arange(c * r**ndim)], c, ndim)
    assert [set(column) for column in reads.T] == [set(channel_of[i].ravel()) for i in range(c)]
    back = em.PixelUnshuffle(r).channel_reads([np.arange(c)], c * r**ndim, ndim)
    assert_close(back, np.arange(c).repeat(r**ndim)[None], EXACT)
    assert em.PixelShuffle(r).out_channels(c * r**ndim, None, ndim) == c
    assert em.PixelUnshuffle(r).out_channels(c, None, ndim) == c * r**ndim
    assert em.PixelShuffle(r).out_channels(8, None, None) is em.PixelUnshuffle(r).out_channels(8, None, None) is None


def test_channel_reads_of_slices_and_shuffles() -> None:
    labels = [np.arange(6)]
    assert_close(em.Slice(2, 5).channel_reads(labels, 3, 2), [[2, 3, 4]], EXACT)
    assert_close(em.Shuffle(2).channel_reads(labels, 6, 2), [[0, 3, 1, 4, 2, 5]], EXACT)  # as torch's channel_shuffle
    assert_close(em.Softmax(2).channel_reads(labels, 6, 2), [[0, 1, 2] * 2, [3, 4, 5] * 2], EXACT)
    assert em.Shuffle(1).is_identity and em.PixelShuffle((1, 1)).is_identity and not em.Shuffle(2).is_identity


def test_split_is_slices_and_their_branches() -> None:
    net = em.serial(em.Conv(1, 8, name="in"), em.split([2, 6], em.Identity(), em.Conv(3, 5), name="out"))
    assert net.names == ("in", "slice1", "slice2", "conv1", "out")
    assert net["out"].inputs == ("slice1", "conv1") and net["slice2"].layer == em.Slice(2, 8)
    assert net.channels()["out"] == 7
