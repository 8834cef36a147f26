"""What units see where channels are picked, ordered or joined, against boolean matrices of every channel and site."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import erfmath as em
from erfmath.networks.strands import strands
from erfmath.networks.windows import DEAD

Reads = Any  # boolean, (channels, sites, channels of what is looked at, its sites)
N = 12


def conv_reads(x: Reads, c_out: int, k: int, groups: int) -> Reads:
    """A convolution of k taps on the same sites: every output of a group reads all of the group."""
    c, n = x.shape[:2]
    y = np.zeros((c_out, n, *x.shape[2:]), bool)
    for o in range(c_out):
        group = o * groups // c_out
        for site in range(n):
            for z in range(max(site - k // 2, 0), min(site + k // 2, n - 1) + 1):
                y[o, site] |= x[group * c // groups:(group + 1) * c // groups, z].any(axis=0)
    return y


class Grown:
    """A random network with the matrices of all its nodes, and of what each sees of one of its nodes."""

    def __init__(self, seed: int, kinds: Sequence[str]) -> None:
        self.rng, self.kinds = random.Random(seed), kinds
        self.nodes: list[dict[str, Any]] = []
        self.reads: list[Reads] = []
        self.marked = -1
        self.of_marked: list[Reads] = []
        self.add({"op": "conv", "kernel_size": 1, "channels": 4}, ["input"], lambda x: conv_reads(x[0], 4, 1, 1))
        for _ in range(self.rng.randint(3, 9)):
            self.grow()

    def add(self, fields: dict[str, Any], inputs: list[Any], act: Any) -> None:
        name = f"n{len(self.nodes)}"
        image = np.eye(3 * N, dtype=bool).reshape(3, N, 3, N)
        self.nodes.append({"name": name, **fields, "inputs": [j if j == "input" else f"n{j}" for j in inputs]})
        self.reads.append(act([image if j == "input" else self.reads[j] for j in inputs]))
        if self.marked < 0 and self.rng.random() < 0.3:
            self.marked = len(self.nodes) - 1
        c, n = self.reads[max(self.marked, 0)].shape[:2]
        if len(self.nodes) - 1 == self.marked:
            self.of_marked.append(np.eye(c * n, dtype=bool).reshape(c, n, c, n))
        elif self.marked < 0:
            self.of_marked.append(None)
        else:
            blank = [np.zeros((*self.reads[j].shape[:2], c, n), bool) if self.of_marked[j] is None else
                     self.of_marked[j] for j in inputs]
            self.of_marked.append(act(blank))

    def grow(self) -> None:
        last = len(self.reads) - 1
        a = self.rng.randint(max(0, last - 2), last)
        c, n = self.reads[a].shape[:2]
        kind = self.rng.choice(self.kinds)
        g = self.rng.choice([d for d in range(1, c + 1) if c % d == 0])
        if kind == "conv":
            k, out = self.rng.choice([1, 3, 5]), g * self.rng.randint(1, 3)
            return self.add({"op": "conv", "kernel_size": k, "channels": out, "groups": g}, [a],
                            lambda x: conv_reads(x[0], out, k, g))
        if kind == "depthwise":
            return self.add({"op": "conv", "kernel_size": 3, "groups": "depthwise"}, [a],
                            lambda x: conv_reads(x[0], c, 3, c))
        if kind == "slice":
            start = self.rng.randint(0, c - 1)
            stop = self.rng.randint(start + 1, c)
            return self.add({"op": kind, "start": start, "stop": stop}, [a], lambda x: x[0][start:stop])
        if kind == "shuffle":
            order = [group * (c // g) + i for i in range(c // g) for group in range(g)]
            return self.add({"op": kind, "groups": g}, [a], lambda x: x[0][order])
        if kind in ("softmax", "layer_norm", "group_norm"):
            each, more = np.arange(c), {"softmax": {"parts": g}, "group_norm": {"groups": g}, "layer_norm": {}}
            blocks = {"softmax": each % (c // g), "group_norm": each * g // c, "layer_norm": 0 * each}[kind]
            return self.add({"op": kind, **more[kind]}, [a],
                            lambda x: np.stack([x[0][blocks == b].any(axis=0) for b in blocks]))
        if kind == "pixel_unshuffle":
            r = self.rng.choice([r for r in (2, 3) if n % r == 0] or [1])
            return self.add({"op": kind, "scale": r}, [a], lambda x: np.stack([
                x[0][j // r, j % r::r] for j in range(c * r)]))
        if kind == "pixel_shuffle":
            r = self.rng.choice([r for r in (2, 3) if c % r == 0 and n * r <= 2 * N] or [1])
            return self.add({"op": kind, "scale": r}, [a], lambda x: np.stack([
                [x[0][o * r + site % r, site // r] for site in range(n * r)] for o in range(c // r)]))
        b = self.rng.choice([b for b in range(last + 1) if self.reads[b].shape[1] == n])
        if kind == "concat":
            return self.add({"op": kind}, [b, a], lambda x: np.concatenate(x))
        if self.reads[b].shape[0] == c or (kind == "multiply" and self.reads[b].shape[0] == 1):
            self.add({"op": kind}, [b, a], lambda x: x[0] | x[1])

    def network(self) -> em.Network:
        return em.Network.from_dict({"format": "erfmath-network", "version": 1, "nodes": self.nodes,
                                     "output": self.nodes[-1]["name"]})


KINDS = ["conv", "conv", "depthwise", "slice", "slice", "shuffle", "concat", "add", "multiply", "softmax", "layer_norm",
         "group_norm"]
#: Sites to channels and back, with parts of the channels in between.
PIXELS = ["conv", "depthwise", "depthwise", "slice", "shuffle", "concat", "add", "pixel_unshuffle", "pixel_unshuffle",
          "pixel_shuffle", "pixel_shuffle"]


@pytest.mark.parametrize("kinds, seed", [*((KINDS, seed) for seed in range(30)),
                                         *((PIXELS, seed) for seed in range(100, 116))])
def test_support_of_channels(kinds: list[str], seed: int) -> None:
    grown = Grown(seed, kinds)
    net = grown.network()
    for source, reads in (("input", grown.reads), (f"n{grown.marked}", grown.of_marked)):
        if source == "n-1":
            continue
        for i, of_node in enumerate(reads):
            if source != "input" and i <= grown.marked:
                continue
            for unit in (0, of_node.shape[1] // 3, of_node.shape[1] - 1):
                seen = of_node[:, unit].any(axis=(0, 1))
                options: dict[str, Any] = {"node": f"n{i}", "image": N, "ndim": 1, "source": source}
                if not seen.any():
                    if not of_node.any():
                        with pytest.raises(ValueError, match=f"source='{source}': n{i} does not depend on it"):
                            em.receptive_field(net, **options)
                    continue
                sites = np.flatnonzero(seen)
                found = em.support(net, unit=unit, **options)
                assert (found.origin[0] + np.flatnonzero(found.mask)).tolist() == sites.tolist()
                (lo,), (hi,) = em.receptive_field(net, **options).window(unit)
                assert (max(lo, 0), min(hi, of_node.shape[3] - 1)) == (sites[0], sites[-1])


def test_strands_merge_what_sees_the_same() -> None:
    """One strand a map where nothing picks channels, and no more than there are different paths elsewhere."""
    plain = em.zoo.resnet18()
    found = strands(plain.layers, plain.sources, plain.known_channels, 2)
    assert list(found.nodes) == list(range(len(plain)))
    block = em.serial(em.split([8, 8], em.Identity(), em.serial(em.Conv(1, 8), em.Conv(3, groups="depthwise"))),
                      em.Shuffle(2))
    net = em.serial(em.Conv(3, 16), em.repeat(block, 4))
    found = strands(net.layers, net.sources, net.known_channels, 2)
    assert len(found.of_node[-1]) == 5 and max(map(len, found.of_node)) == 5  # after 0 to 4 convolutions
    assert em.receptive_field(net).size == (11, 11)
    assert em.receptive_field(em.serial(net, em.Slice(0, 1))).size == (3, 3)


def test_strands_of_unknown_numbers_of_channels() -> None:
    """Where a part begins in the channels of a run is not known: then it sees all that there is."""
    net = em.serial(em.concat(em.Conv(1), em.Conv(5)), em.Slice(0, 4))
    assert em.receptive_field(net).size == (5, 5)
    assert em.receptive_field(em.serial(em.concat(em.Conv(1, 4), em.Conv(5)), em.Slice(0, 4))).size == (5, 5)
    assert em.receptive_field(em.serial(em.concat(em.Conv(1, 4), em.Conv(5, 8)), em.Slice(0, 4))).size == (1, 1)


def test_source() -> None:
    net = em.serial(em.Conv(7, stride=2, name="stem"), em.add(em.Conv(3, name="a"), em.Conv(5, name="b")),
                    em.Conv(3, stride=2, name="top"))
    assert em.receptive_field(net, source="stem").size == (7, 7)
    assert em.receptive_field(net, source="a").size == (3, 3)  # past the other branch
    rf = em.receptive_field(net, source="stem", image=32)
    assert rf.image == (16, 16) and rf.stride == (2, 2) and rf.window(0) == ((-3, -3), (3, 3))
    assert em.support(net, source="stem", image=32, unit=0).mask.shape == (4, 4)
    every = em.receptive_fields(net, source="a")
    assert list(every) == ["add1", "top"] and every["add1"].size == (1, 1)
    assert em.receptive_field(net, source="input") == em.receptive_field(net)
    with pytest.raises(ValueError, match="source='b': a does not depend on it"):
        em.receptive_field(net, node="a", source="b")
    with pytest.raises(ValueError, match="source='nowhere': no node of this network"):
        em.receptive_field(net, source="nowhere")
    found = strands(net.layers, net.sources, net.known_channels, 2, net.index("a"))
    assert found.sources[0] == (DEAD,)


def squeeze_and_excite(c: int) -> em.Network:
    return em.multiply(em.Identity(), em.serial(em.GlobalAvgPool(), em.Conv(1, c), em.Activation("sigmoid")))


def test_gates() -> None:
    """A factor of one site sees the whole image, and moves neither stride nor centre."""
    plain = em.serial(em.Conv(3, 8, stride=2), em.Conv(3, 8))
    net = em.serial(em.Conv(3, 8, stride=2), squeeze_and_excite(8), em.Conv(3, 8))
    without, rf, bare = em.receptive_field(net, gates=False), em.receptive_field(net), em.receptive_field(plain)
    assert (without.size, without.window(2)) == (bare.size, bare.window(2)) and not without.infinite
    assert rf.infinite and rf.stride == bare.stride and rf.center(3) == bare.center(3)
    with pytest.raises(ValueError, match="give image="):
        rf.window(3)
    on = em.receptive_field(net, image=16)
    assert on.size == (16, 16) and on.window(3) == ((0, 0), (15, 15)) and on.center(3) == bare.center(3)
    assert on.window(0) == ((-3, -3), (15, 15)) and on.stride == bare.stride
    assert em.support(net, image=16).mask.all()
    assert em.support(net, image=16, unit=3, gates=False).mask.shape == (7, 7)
    with pytest.raises(ValueError, match="units see the same pixels"):
        on.units(3)
    same = em.receptive_field(em.serial(em.Conv(3, 8, stride=2, padding="same"), squeeze_and_excite(8)))
    with pytest.raises(ValueError, match="depends on the size of the image"):
        same.center()
    # A product of nothing but factors of one site keeps them all.
    pooled = em.serial(em.GlobalAvgPool(), em.multiply(em.Conv(1, 3), em.Conv(1, 3)))
    assert em.receptive_field(pooled, gates=False).infinite
    # In a sum or a concatenation what is pooled is no gate.
    assert em.receptive_field(em.add(em.Conv(1, 3), em.serial(em.GlobalAvgPool(), em.Conv(1, 3))), gates=False).infinite


def test_a_field_with_what_all_units_see_survives_json() -> None:
    for image in (None, 16):
        rf = em.receptive_field(em.serial(em.Conv(3, 8, stride=2), squeeze_and_excite(8)), image=image)
        assert em.ReceptiveField.from_dict(rf.to_dict()) == rf
    cut = em.receptive_field(em.serial(em.Conv(3, stride=2, padding=0), em.MaxPool(3, 2, 0), em.Conv(3)), image=64)
    assert em.ReceptiveField.from_dict(cut.to_dict()) == cut and cut.window(14) == ((52, 52), (62, 62))
    bins = em.receptive_field(em.serial(em.AdaptiveAvgPool(3)), image=8)
    assert em.ReceptiveField.from_dict(bins.to_dict()) == bins and bins.stride == (Fraction(8, 3),) * 2


def test_sites_of_blocks_as_channels_on_the_plane() -> None:
    """Channel c r^2 + i of an unshuffled map is site i of each block, row by row; all together are the block."""
    def seen(*parts: em.Network | em.Layer, unit: int = 0) -> list[tuple[int, ...]]:
        found = em.support(em.serial(em.Conv(1, 2), *parts), unit=unit)
        return sorted(tuple((np.array(found.origin) + place).tolist()) for place in np.argwhere(found.mask))

    block = [(y, x) for y in range(2) for x in range(2)]
    for channel in range(8):
        assert seen(em.PixelUnshuffle(2), em.Slice(channel, channel + 1)) == [block[channel % 4]]
    assert seen(em.PixelUnshuffle(2), em.Slice(0, 2)) == block[:2]
    assert seen(em.PixelUnshuffle(2), em.Conv(1, 3), em.Slice(0, 1)) == block
    assert seen(em.PixelUnshuffle((1, 2)), em.Slice(1, 2), unit=3) == [(3, 7)]
    back = em.serial(em.PixelUnshuffle(2), em.Conv(3, groups="depthwise"), em.PixelShuffle(2))
    assert seen(back, unit=4) == [(y, x) for y in (2, 4, 6) for x in (2, 4, 6)]  # a dilated convolution
    assert em.receptive_field(em.serial(em.Conv(1, 2), back)).shift_invariant


def test_strands_of_a_whole_block_are_one() -> None:
    """What reads all sites of a block has the windows that it has where no channels are picked."""
    stem = em.serial(em.Conv(3, 4), em.PixelUnshuffle(2), em.Conv(3, groups="depthwise"), em.Activation("relu"),
                     em.Conv(1, 8), em.Conv(3, 8))
    for image in (None, 20):
        plain, picked = em.receptive_field(stem, image=image), em.receptive_field(em.serial(stem, em.Slice(0, 4)),
                                                                                  image=image)
        for what in ("size", "stride", "padding", "shift_invariant"):
            assert getattr(plain, what) == getattr(picked, what)
        assert plain.window(3) == picked.window(3) and plain.center(1) == picked.center(1)


def test_a_part_that_is_the_input() -> None:
    """Channel 0 of the input, of its channels in another order, or of a convolution: one pixel, or the kernel."""
    conv = em.Conv(3, 2)
    for first, size in ((em.Identity(), 1), (em.Shuffle(2), 1), (conv, 3)):
        net = em.serial(em.concat(first, em.Identity(), em.Conv(5, 2)), em.Activation("relu"), em.Slice(0, 1))
        assert em.receptive_field(net, channels_in=2, ndim=1).size == (size,)
        assert em.support(net, channels_in=2, ndim=1)[0].sum() == size


def test_stride_beside_one_site_that_serves_all() -> None:
    """It is that of the other branch, in whatever order and parts they are joined."""
    def net(*names: str) -> em.Network:
        nodes = [{"name": "bins", "inputs": ["input"], "op": "adaptive_avg_pool", "size": [2]},
                 {"name": "one", "inputs": ["bins"], "op": "avg_pool", "kernel_size": 2, "stride": 2},
                 {"name": "part", "inputs": ["one"], "op": "slice", "start": 0, "stop": 1},
                 {"name": "rest", "inputs": ["one"], "op": "slice", "start": 1, "stop": 2},
                 {"name": "both", "inputs": ["part", "rest"], "op": "concat"},
                 {"name": "all", "inputs": list(names), "op": "concat"}]
        return em.Network.from_dict({**em.serial(em.Conv(1)).to_dict(), "nodes": nodes, "output": "all"})
    for names in (("one", "bins"), ("bins", "one"), ("both", "bins"), ("bins", "both")):
        rf = em.receptive_field(net(*names), image=4, ndim=1, channels_in=2).on_plane()
        assert rf.stride == (2,) and rf.size == (4,)
