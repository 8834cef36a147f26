"""Theoretical receptive fields against per-site recursion, closed forms and published values."""

from __future__ import annotations

import inspect
import itertools
import json
import math
import random
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.base.errors import SizeError
from erfmath.layers.geometry import AxisGeometry
from erfmath.networks import support as trf_support, windows as trf_windows
from erfmath.networks.trf import default_unit

Site = tuple[int, ...]


# ---------------------------------------------------------------------------------------------
# the oracle: which sites an output site reads, one at a time, in plain Python
# ---------------------------------------------------------------------------------------------

class Step(NamedTuple):
    """One layer along one axis, on `n` input sites."""

    kind: str  # "conv" (pools and pads too), "transposed", "nearest", "linear", "cubic", "whole", "bins"
    n: int
    k: int = 1
    s: int = 1
    d: int = 1
    rule: Any = (0, 0)  # a pair, or "same"; of what is resized the size, or None
    border: str = "zeros"
    ceil: bool = False
    corners: bool = False

    @property
    def span(self) -> int:
        return self.d * (self.k - 1) + 1

    def pads(self, known: bool) -> tuple[int, int]:
        """Padding on n sites, or by the convention for unknown sizes."""
        if self.rule != "same":
            return self.rule
        if not known:
            return (self.span - 1) // 2, self.span // 2
        windows = len(range(0, self.n, self.s))  # one starts at every s-th site
        total = max(self.s * (windows - 1) + self.span - self.n, 0)
        return total // 2, total - total // 2

    def count(self) -> int:
        """Output sites, counted."""
        if self.kind not in ("conv", "transposed"):
            return 1 if self.kind == "whole" else self.n * self.s if self.rule in (None, (0, 0)) else self.rule
        before, after = self.pads(known=True)
        if self.kind == "conv":
            if self.ceil:  # windows that begin before the padding after the map, until one reaches its end
                count = len(range(0, before + self.n, self.s))
                end = before + self.n + after
                return 0 if self.span - end >= self.s else next(
                    (c for c in range(1, count) if (c - 1) * self.s + self.span >= end), count)
            return len(range(0, before + self.n + after - self.span + 1, self.s))
        return len(range(before, (self.n - 1) * self.s + self.span - after))

    def reads(self, x: int, inside: bool, known: bool = True) -> set[int]:
        """Input sites before output site x; only those of the image if `inside`."""
        if self.kind == "whole":
            return set(range(self.n))
        if self.kind == "bins":
            return {z for z in range(self.n) if x * self.n < (z + 1) * self.rule and z * self.rule < (x + 1) * self.n}
        if self.kind == "conv":
            before = self.pads(known)[0]
            sites = {self.s * x - before + self.d * tap for tap in range(self.k)}
            if inside and self.border != "zeros":
                sites = {fold(z, self.n, self.border) for z in sites}
        elif self.kind == "transposed":
            before = self.pads(known)[0]
            near = range((x + before - self.span) // self.s, (x + before) // self.s + 1)
            sites = {z for z in near for tap in range(self.k) if self.s * z + self.d * tap - before == x}
        else:
            m = self.count()
            if self.kind == "nearest":
                sites = {math.floor(Fraction(x * self.n, m))}
            else:
                source = Fraction(x * (self.n - 1), max(m - 1, 1)) if self.corners else (
                    (x + Fraction(1, 2)) * Fraction(self.n, m) - Fraction(1, 2))
                sites = {math.floor(source), math.ceil(source)}
                if self.kind == "cubic" and len(sites) == 2:  # at a site the other taps are 0
                    sites |= {min(sites) - 1, max(sites) + 1}
            if inside:
                sites = {min(max(z, 0), self.n - 1) for z in sites}
        return {z for z in sites if 0 <= z < self.n} if inside else sites


def fold(z: int, n: int, border: str) -> int:
    """The site of the map that a padded site repeats, walked to step by step."""
    if border == "replicate":
        return min(max(z, 0), n - 1)
    while not 0 <= z < n:
        if border == "circular":
            z += n if z < 0 else -n
        else:
            z = -z if z < 0 else 2 * (n - 1) - z
            if n == 1:
                return 0
    return z


class Case(NamedTuple):
    """A network, and the same network in the oracle's words."""

    net: em.Network
    image: Site
    steps: list[list[Step]]  # per node and axis
    sources: list[list[int]]
    shapes: list[Site]

    def sees(self, unit: Site, inside: bool, known: bool = True) -> set[Site]:
        """Pixels that `unit` of the last node sees."""
        frontier: dict[int, set[Site]] = {len(self.steps) - 1: {unit}}
        for i in reversed(range(len(self.steps))):
            read: set[Site] = set()
            for site in frontier.pop(i, ()):
                axes = [step.reads(x, inside, known) for step, x in zip(self.steps[i], site)]
                read.update(itertools.product(*axes))
            for j in self.sources[i]:
                frontier.setdefault(j, set()).update(read)
        return frontier.get(-1, set())


def hull(sites: set[Site]) -> tuple[Site, Site] | None:
    return (tuple(map(min, zip(*sites))), tuple(map(max, zip(*sites)))) if sites else None


def random_newer_layer(rng: random.Random, shape: Site) -> tuple[dict[str, Any], list[Step]]:
    """Layers whose reads depend on the size of the map, or are folded at its ends."""
    op = rng.choice(["conv", "pad", "max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool", "size", "scale",
                     "conv_transpose", "pixel_shuffle", "pixel_unshuffle"])
    axes = range(len(shape))
    k, s, d = ([rng.randint(1, most) for _ in axes] for most in (4, 3, 3))
    spans = [b * (a - 1) + 1 for a, b in zip(k, d)]
    border = rng.choice(["reflect", "replicate", "circular"])
    if op == "pad":
        pairs: Any = [(rng.randint(0, n - 1), rng.randint(0, n - 1)) for n in shape]
        return ({"op": op, "padding": pairs, "mode": border},
                [Step("conv", n, rule=pair, border=border) for n, pair in zip(shape, pairs)])
    if op == "conv":
        pairs = [(rng.randint(0, min(a - 1, n - 1)), rng.randint(0, min(a - 1, n - 1))) for a, n in zip(spans, shape)]
        return ({"op": op, "kernel_size": k, "stride": s, "dilation": d, "padding": pairs, "padding_mode": border},
                [Step("conv", *rest, border=border) for rest in zip(shape, k, s, d, pairs)])
    if op in ("max_pool", "avg_pool"):
        d = d if op == "max_pool" else [1 for _ in axes]
        pairs = [(rng.randint(0, a // 2), rng.randint(0, a // 2)) for a in k]
        if op == "max_pool":  # none of whose windows may lie in the padding as a whole
            d = [1 if any(not any(0 <= z + b * j < n for j in range(a)) for z in range(-p, n + q)) else b
                 for a, b, n, (p, q) in zip(k, d, shape, pairs)]
        fields: dict[str, Any] = {"op": op, "kernel_size": k, "stride": s, "padding": pairs, "ceil_mode": True}
        fields |= {"dilation": d} if op == "max_pool" else {}
        return fields, [Step("conv", *rest, ceil=True) for rest in zip(shape, k, s, d, pairs)]
    if op.startswith("adaptive"):
        bins = [rng.randint(2, 5) for _ in axes]
        return {"op": op, "size": bins}, [Step("bins", n, rule=m) for n, m in zip(shape, bins)]
    if op in ("size", "scale"):
        mode = rng.choice(["nearest", "bilinear", "bicubic"])
        kind = {"nearest": "nearest", "bilinear": "linear", "bicubic": "cubic"}[mode]
        corners = mode != "nearest" and rng.random() < 0.5
        sizes = [rng.randint(1, 2 * n + 1) if op == "size" else s[axis] for axis, n in enumerate(shape)]
        return ({"op": "upsample", op: sizes, "mode": mode, "align_corners": corners},
                [Step(kind, n, s=1 if op == "size" else m, rule=m if op == "size" else None, corners=corners)
                 for n, m in zip(shape, sizes)])
    if op == "conv_transpose":
        pairs = [(rng.randint(0, a - 1), rng.randint(0, a - 1)) for a in spans]
        more = [rng.randint(0, 2) for _ in axes]
        rules = [(a, b - c) for (a, b), c in zip(pairs, more)]
        return ({"op": op, "kernel_size": k, "stride": s, "dilation": d, "padding": pairs, "output_padding": more},
                [Step("transposed", *rest) for rest in zip(shape, k, s, d, rules)])
    if op == "pixel_shuffle":
        return {"op": op, "scale": s}, [Step("nearest", n, s=r, rule=None) for n, r in zip(shape, s)]
    return {"op": op, "scale": s}, [Step("conv", n, r, r) for n, r in zip(shape, s)]


def random_layer(rng: random.Random, shape: Site, gaps: bool) -> tuple[dict[str, Any], list[Step]]:
    """A random layer as JSON fields and as the oracle's steps."""
    op = rng.choice(["conv", "conv", "conv", "conv_transpose", "max_pool", "avg_pool", "upsample",
                     "pad", "activation"])
    axes = range(len(shape))
    k = [rng.randint(1, 4) for _ in axes]
    s = [rng.choice([1, 1, 1, 2, 3]) for _ in axes]
    d = [rng.choice([1, 1, 2, 3]) if op == "conv" else 1 for _ in axes]
    if op == "activation":
        return {"op": op, "function": "relu"}, [Step("conv", n) for n in shape]
    if op == "upsample":
        mode = rng.choice(["nearest", "bilinear"])
        kind = {"nearest": "nearest", "bilinear": "linear"}[mode]
        return ({"op": op, "scale": s, "mode": mode},
                [Step(kind, n, s=a) for n, a in zip(shape, s)])
    if op == "conv_transpose":
        k = k if gaps else [max(a, b) for a, b in zip(k, s)]
        pairs: Any = [(rng.randint(0, a - 1), rng.randint(-1, 1)) for a in k]
    elif op == "pad":
        pairs = [(rng.randint(-1, 2), rng.randint(-1, 2)) for _ in axes]
        return ({"op": op, "padding": pairs},
                [Step("conv", n, rule=pair) for n, pair in zip(shape, pairs)])
    else:
        pairs = [(rng.randint(0, a - 1), rng.randint(0, a - 1)) for a in k]
    spans = [b * (a - 1) + 1 for a, b in zip(k, d)]
    padding: Any = rng.choice(["pairs", "valid", "same", "half", "int", "flat"])
    if op == "conv_transpose" and padding == "half" or any(a % 2 == 0 for a in spans):
        padding = rng.choice(["pairs", "same"])
    if padding == "int":
        padding = min(pairs)[0]
        rules: list[Any] = [(padding, padding)] * len(k)
    elif padding == "flat":
        padding = [min(a for a, _ in pairs), min(b for _, b in pairs)]
        rules = [tuple(padding)] * len(k)
    elif padding == "pairs":
        padding = rules = pairs
    elif padding == "valid":
        rules = [(0, 0)] * len(k)
    elif padding == "half":
        rules = [(a // 2, a // 2) for a in spans]
    elif op == "conv_transpose":  # n s sites, what is too much cut off evenly, the one left over after
        rules = [(max(a - b, 0) // 2, a - b - max(a - b, 0) // 2) for a, b in zip(k, s)]
    else:
        rules = ["same"] * len(k)
    kind = "transposed" if op == "conv_transpose" else "conv"
    fields = {"op": op, "kernel_size": k, "stride": s, "padding": padding}
    fields |= {"dilation": d} if op == "conv" else {}
    return fields, [Step(kind, *rest) for rest in zip(shape, k, s, d, rules)]


def random_case(rng: random.Random, ndim: int, image: Site, nodes: int, gaps: bool = True,
                largest: int = 40, newer: bool = False) -> Case:
    """A random directed acyclic graph whose last node reads as many branches as fit together."""
    described: list[dict[str, Any]] = []
    steps: list[list[Step]] = []
    sources: list[list[int]] = []
    shapes: list[Site] = []
    strides: list[tuple[Fraction, ...]] = []
    unit_stride = (Fraction(1),) * ndim

    def meet(i: int) -> list[int]:
        """Nodes whose maps can be added to that of node i, itself included."""
        all_nodes = range(-1, len(steps))
        return [j for j in all_nodes if (shapes + [image])[j] == (shapes + [image])[i]
                and (strides + [unit_stride])[j] == (strides + [unit_stride])[i]]

    while len(steps) < nodes:
        source = rng.randint(max(-1, len(steps) - 3), len(steps) - 1)
        shape = image if source < 0 else shapes[source]
        partners = meet(source)
        if len(partners) > 1 and rng.random() < 0.4:
            inputs = rng.sample(partners, rng.randint(2, min(3, len(partners))))
            fields, here = {"op": rng.choice(["add", "concat"])}, [Step("conv", n) for n in shape]
        else:
            inputs = [source]
            fields, here = (random_newer_layer(rng, shape) if newer and rng.random() < 0.6 else
                            random_layer(rng, shape, gaps))
        out = tuple(step.count() for step in here)
        if not all(1 <= n <= largest for n in out):
            continue
        name = f"n{len(steps)}"
        described.append({"name": name, **fields,
                          "inputs": [f"n{j}" if j >= 0 else "input" for j in inputs]})
        before = unit_stride if inputs[0] < 0 else strides[inputs[0]]
        if any(step.kind == "bins" or step.kind in ("nearest", "linear", "cubic") and step.rule not in (None, (0, 0))
               for step in here):  # nothing of another branch has the size of such a map
            before = tuple(Fraction(len(steps) + 7) for _ in before)
        strides.append(tuple(a * step.s if step.kind == "conv" else a / step.s
                             for a, step in zip(before, here)))
        steps.append(here)
        sources.append(inputs)
        shapes.append(out)
    net = em.Network.from_dict({"format": "erfmath-network", "version": 1, "nodes": described,
                                "output": f"n{nodes - 1}"})
    return Case(net, image, steps, sources, shapes)


def cases(ndim: int, number: int, gaps: bool = True, newer: bool = False) -> Iterator[Case]:
    for seed in range(number):
        rng = random.Random(1000 * ndim + seed + 10_000 * newer)
        image = tuple(rng.randint(4, 16 if ndim == 1 else 9) for _ in range(ndim))
        yield random_case(rng, ndim, image, nodes=rng.randint(2, 9 if ndim == 1 else 5), gaps=gaps,
                          largest=40 if ndim == 1 else 16, newer=newer)


def assert_support(case: Case, unit: Site) -> None:
    """`support` on the image is what the oracle finds, pixel by pixel."""
    found = em.support(case.net, image=case.image, unit=unit, ndim=len(case.image))
    pixels = {tuple(int(a) + b for a, b in zip(index, found.origin))
              for index in np.argwhere(found.mask)}
    seen = case.sees(unit, inside=True)
    assert pixels == seen
    box = hull(seen)
    if box is None:
        assert found.mask.size == 0 and found.density == 0
    else:
        extent = tuple(b - a + 1 for a, b in zip(*box))
        assert (found.origin, found.mask.shape) == (box[0], extent)
        assert_close(found.density, len(seen) / math.prod(extent), ROUNDING)
    assert not found.mask.flags.writeable


def assert_window(case: Case, unit: Site, known: bool) -> None:
    """`window` is the smallest box around what the oracle finds on the plane, or inside the image."""
    rf = em.receptive_field(case.net, image=case.image if known else None, ndim=len(case.image))
    lo, hi = rf.on_plane().window(unit)
    expected = hull(case.sees(unit, inside=False, known=known))
    held = {0 <= u < n for u, n in zip(unit, case.shapes[-1])}
    if known and len(held) == 2:  # between the two
        return
    if known and expected is not None and held == {True}:
        inside = hull(case.sees(unit, inside=True))
        if inside is None:  # nothing, or padding
            assert any(max(a, 0) > min(b, n - 1) for a, b, n in zip(lo, hi, case.image))
            return
        ends = zip(*expected, *inside, case.image)
        expected = tuple(zip(*((a if max(a, 0) == c else c, b if min(b, n - 1) == d else d)
                               for a, b, c, d, n in ends)))
    assert (hi == tuple(a - 1 for a in lo)) if expected is None else ((lo, hi) == expected)
    extents = [b - a + 1 for a, b in zip(lo, hi)]
    assert all(extent <= most for extent, most in zip(extents, rf.size))


@pytest.mark.parametrize("ndim, number", [(1, 100), (2, 30), (3, 5)])
def test_support_on_images_against_the_oracle(ndim: int, number: int) -> None:
    for case in cases(ndim, number):
        assert tuple(case.net.shapes(case.image).values()) == tuple(case.shapes)
        shape = case.shapes[-1]
        rng = random.Random(number)
        units = list(itertools.product(*map(range, shape)))
        for unit in {units[0], units[-1], *rng.sample(units, min(len(units), 4))}:
            assert_support(case, unit)


@pytest.mark.parametrize("ndim, number", [(1, 100), (2, 40)])
@pytest.mark.parametrize("known", [True, False])
def test_windows_on_the_plane_against_the_oracle(ndim: int, number: int, known: bool) -> None:
    for case in cases(ndim, number, gaps=ndim == 1):
        for u in range(-3, 9) if ndim == 1 else (-1, 0, 1, 2):
            assert_window(case, (u, *(2 * u + 1,) * (ndim - 1)), known)


@pytest.mark.parametrize("ndim, number", [(1, 150), (2, 60), (3, 8)])
def test_support_and_windows_of_resized_and_folded_maps(ndim: int, number: int) -> None:
    for case in cases(ndim, number, gaps=ndim == 1, newer=True):
        assert tuple(case.net.shapes(case.image).values()) == tuple(case.shapes)
        units = list(itertools.product(*map(range, case.shapes[-1])))
        rng = random.Random(number)
        rf = em.receptive_field(case.net, image=case.image)
        for unit in {units[0], units[-1], *rng.sample(units, min(len(units), 4))}:
            assert_support(case, unit)
            lo, hi = rf.window(unit)
            seen = hull(case.sees(unit, inside=True))
            part = [(max(a, 0), min(b, n - 1)) for a, b, n in zip(lo, hi, case.image)]
            if seen is None:
                assert ndim > 1 or any(a > b for a, b in part)
            else:
                assert tuple(part) == tuple(zip(*seen))


def test_a_unit_far_from_the_border_sees_its_window() -> None:
    met = 0
    for seed in range(200):
        case = random_case(random.Random(seed), 1, (400,), nodes=5, largest=2000)
        n, = case.shapes[-1]
        lo, hi = em.receptive_field(case.net, image=case.image).window((n // 2,))
        found = em.support(case.net, image=case.image, ndim=1)  # unit n // 2
        plane = case.sees((n // 2,), inside=False)
        if plane == case.sees((n // 2,), inside=True) and plane:
            met += 1
            assert found.origin == lo
            assert found.mask.shape == (hi[0] - lo[0] + 1,)
    assert met > 150  # hardly a case was left out


@pytest.mark.parametrize("ndim", [1, 2])
def test_the_oracle_catches_an_off_by_one(ndim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    true_pads = AxisGeometry.pads

    def shifted(self: AxisGeometry, n: int | None) -> tuple[int, int]:
        before, after = true_pads(self, n)
        return (before + 1, after - 1) if self.kernel == 3 else (before, after)

    monkeypatch.setattr(AxisGeometry, "pads", shifted)
    monkeypatch.setattr(trf_windows, "reads", trf_windows.reads.__wrapped__)
    monkeypatch.setattr(trf_support, "reads", trf_windows.reads)
    caught = {assert_support: 0, assert_window: 0}
    for case in cases(ndim, 40):
        unit = tuple(n // 2 for n in case.shapes[-1])
        for check, extra in ((assert_support, ()), (assert_window, (True,))):
            try:
                check(case, unit, *extra)
            except AssertionError:
                caught[check] += 1
    assert min(caught.values()) > 5


# ---------------------------------------------------------------------------------------------
# known values
# ---------------------------------------------------------------------------------------------

def field(*parts: Any, **options: Any) -> em.ReceptiveField:
    return em.receptive_field(em.serial(*parts), **options)


def test_chains_follow_the_closed_form() -> None:
    """R = 1 + sum (k - 1) d J,  S = prod s,  P = sum p J  with J the stride so far."""
    rng = random.Random(0)
    for _ in range(50):
        jump, size, padding, layers = 1, 1, 0, []
        for _ in range(rng.randint(1, 8)):
            k, s, d, p = (rng.randint(1, 5), rng.randint(1, 3), rng.randint(1, 3),
                          (rng.randint(0, 3), rng.randint(0, 3)))
            layers.append(em.Conv(k, stride=s, dilation=d, padding=p))
            size, padding, jump = size + (k - 1) * d * jump, padding + p[0] * jump, jump * s
        rf = field(*layers)
        assert (rf.size, rf.stride, rf.padding) == ((size,) * 2, (jump,) * 2, (padding,) * 2)
        assert rf.shift_invariant and not rf.infinite and rf.ndim == 2
        lo = 3 * jump - padding, -2 * jump - padding
        assert rf.window((3, -2)) == (lo, (lo[0] + size - 1, lo[1] + size - 1))


VGG16 = [em.MaxPool(2) if letter == "p" else em.Conv(3) for letter in "ccpccpcccpcccpccc"]
ALEXNET = [em.Conv(11, stride=4, padding=2), em.MaxPool(3, 2), em.Conv(5), em.MaxPool(3, 2),
           em.Conv(3), em.Conv(3), em.Conv(3), em.MaxPool(3, 2)]


@pytest.mark.parametrize("layers, size, stride, padding", [
    ([em.Conv(3)] * 20, 41, 1, 20),
    ([em.Conv(3, dilation=d) for d in (1, 1, 2, 4, 8, 16, 1)], 67, 1, 33),  # context module
    ([em.Conv(3, dilation=2 if i in (3, 7, 11) else 1) for i in range(15)], 37, 1, 18),
    ([em.Conv(3, stride=2 if i in (3, 7, 11) else 1) for i in range(15)], 105, 8, 52),
    (VGG16, 196, 16, 90),
    (ALEXNET, 195, 32, 66),
    ([em.Conv(4, padding=(1, 2))], 4, 1, 1),
    ([em.Conv(2, padding="same")], 2, 1, 0),  # the site left over is padded after
    ([em.Conv(3, padding=(2, 0)), em.Conv(3, padding=(0, 2))], 5, 1, 2),
    ([em.Conv(1, stride=2), em.Conv(1, stride=2)], 1, 4, 0),
    ([em.Pad(3), em.Conv(5, padding=0)], 5, 1, 3),
    ([em.Pad(-3), em.Conv(5)], 5, 1, -1),
    ([em.Conv(7), em.Pad((-2, 2))], 7, 1, 1),
    ([em.Upsample(2), em.MaxPool(2)], 1, 1, 0),
    ([em.ConvTranspose(3, padding=1), em.Conv(3)], 5, 1, 2),
    ([em.Identity()], 1, 1, 0),
])
def test_textbook_values(layers: list[Any], size: int, stride: int, padding: int) -> None:
    for ndim in (1, 2, 3):
        rf = field(*layers, ndim=ndim)
        assert rf.size == (size,) * ndim and rf.stride == (stride,) * ndim
        assert rf.padding == (padding,) * ndim
        lo, hi = rf.window(0)
        assert (lo, hi) == ((-padding,) * ndim, (size - 1 - padding,) * ndim)


def unet(levels: int, up: Any) -> em.Network:
    net = em.repeat(em.Conv(3), 2)
    for _ in range(levels):
        deeper = em.serial(em.MaxPool(2), net, up)
        net = em.serial(em.repeat(em.Conv(3), 2), em.concat(em.Identity(), deeper),
                        em.repeat(em.Conv(3), 2))
    return net


def test_a_unet_of_four_levels_by_phase() -> None:
    """188 or 204 pixels: by hand, a window of units [a, b] goes down and up the levels."""
    def window(a: int, b: int, levels: int) -> tuple[int, int]:
        a, b = a - 2, b + 2
        if levels:
            low, high = window(a // 2, b // 2, levels - 1)
            a, b = min(a, 2 * low), max(b, 2 * high + 1)
        return (a - 2, b + 2) if levels else (a, b)

    rf = em.receptive_field(unet(4, em.ConvTranspose(2, stride=2)))
    windows = [window(u, u, 4) for u in range(-16, 32)]
    for u, (a, b) in zip(range(-16, 32), windows):
        assert rf.window((u, 0)) == ((a, windows[16][0]), (b, windows[16][1]))
    assert {b - a + 1 for a, b in windows} == {188, 204}
    assert rf.size == (204, 204) and rf.stride == (1, 1) and not rf.shift_invariant


def test_decoders_repeat_with_their_period() -> None:
    for up in (em.Upsample(2), em.Upsample(2, "bilinear"),
               em.ConvTranspose(4, stride=2, padding=1)):
        rf = em.receptive_field(unet(3, up), ndim=1)
        for u in range(8):
            (lo,), (hi,) = rf.window(u)
            assert rf.window(u + 8) == ((lo + 8,), (hi + 8,))


def test_fractional_strides() -> None:
    rf = field(em.Conv(3), em.Upsample(3), ndim=1)
    assert rf.stride == (Fraction(1, 3),) and rf.size == (3,) and not rf.shift_invariant
    assert [rf.window(u) for u in range(-1, 4)] == [((a,), (a + 2,)) for a in (-2, -1, -1, -1, 0)]
    back = field(em.Conv(3), em.Upsample(3), em.Conv(1, stride=3), ndim=1)
    assert back.stride == (1,) and back.shift_invariant


def test_a_branch_that_hides_the_phase_restores_shift_invariance() -> None:
    net = em.add(em.Conv(7), em.serial(em.AvgPool(2), em.Upsample(2)))
    rf = em.receptive_field(net)
    assert em.receptive_field(net, node="upsample1").shift_invariant is False
    assert rf.shift_invariant is True
    assert rf.window(0) == rf.window((0, 0)) == ((-3, -3), (3, 3))
    assert rf.window(1) == ((-2, -2), (4, 4)) and rf.size == (7, 7)


def test_same_padding_with_and_without_the_image() -> None:
    parts = (em.Conv(3, stride=2, padding="same"), em.Conv(3, padding="same"))
    assert field(*parts).padding is None
    assert field(*parts).on_plane().window(0) == ((-3, -3), (3, 3))  # (R - 1) // 2 per layer
    for question in (field(*parts).window, field(*parts).center, field(*parts).units, field(*parts).nearest_unit):
        with pytest.raises(ValueError, match="conv2: where its units look depends on the size .* give image="):
            question(0)
    for n in range(1, 12):
        before = max((math.ceil(n / 2) - 1) * 2 + 3 - n, 0) // 2
        rf = field(*parts, image=(n, n))
        assert rf.padding == (before + 2,) * 2 and rf.image == (n, n)
    assert field(em.Conv(3, padding="same")).padding == (1, 1)
    assert field(em.Conv(1, stride=2, padding="same")).padding == (0, 0)
    assert field(em.ConvTranspose(3, stride=2, padding="same")).padding is not None
    every = em.receptive_fields(em.serial(em.Conv(3), *parts))
    assert [rf.padding for rf in every.values()] == [(1, 1), None, None]


def test_misaligned_branches_are_reported_by_their_union() -> None:
    net = em.add(em.Conv(3, padding=(2, 0)), em.Conv(3, padding=(0, 2)))
    rf = em.receptive_field(net)
    assert not rf.shift_invariant and rf.size == (5, 5) and rf.window(4) == ((2, 2), (6, 6))
    assert em.support(net).density == em.support(net).mask.sum() / 25
    wider = em.receptive_field(em.add(em.Conv(1), em.Conv(7), em.Conv(3, dilation=2)))
    assert wider.shift_invariant and wider.size == (7, 7) and wider.padding == (3, 3)


def test_a_transposed_convolution_with_gaps() -> None:
    net = em.serial(em.ConvTranspose(1, stride=2))
    rf = em.receptive_field(net, ndim=1)
    assert rf.size == (1,) and rf.window(4) == ((2,), (2,))
    (lo,), (hi,) = rf.window(5)
    assert hi == lo - 1
    assert em.support(net, image=(6,), unit=5).mask.size == 0
    assert rf.units(2) == ((4,), (4,))
    deaf = em.receptive_field(em.serial(net, em.Conv(1, stride=2, padding=(1, 0))), ndim=1)
    assert deaf.size == (0,) and deaf.units(0) is None and deaf.window(3)[0] > deaf.window(3)[1]
    # Behind a union, windows of units with and without the gapped branch must not be mixed up:
    # the hull of three units is that of the widest, wherever it stands.
    sparse = em.serial(em.Conv(5), em.ConvTranspose(1, stride=2, padding=(0, -1)))
    both = em.receptive_field(em.serial(em.add(sparse, em.Upsample(2)), em.Conv(3)), ndim=1)
    assert both.window(2) == ((-1,), (3,)) and both.window(3) == ((-1,), (4,))


def test_where_gaps_meet_branches_in_two_dimensions_the_window_holds_the_support() -> None:
    for case in cases(2, 60, gaps=True):
        rf = em.receptive_field(case.net, image=case.image)
        for unit in itertools.product(range(2), repeat=2):
            box = hull(case.sees(unit, inside=True))
            lo, hi = rf.window(unit)
            assert box is None or all(a <= b <= c <= d for a, b, c, d in zip(lo, *box, hi))


def test_global_pooling_sees_everything() -> None:
    net = em.serial(em.Conv(3, stride=2), em.GlobalAvgPool(), em.Conv(1, 10))
    rf = em.receptive_field(net)
    assert rf.infinite and rf.size == (math.inf, math.inf) and rf.padding is None
    assert rf.stride == (0, 0)
    for question in (rf.window, rf.center, rf.units, rf.nearest_unit):
        with pytest.raises(ValueError, match="conv2: sees the whole plane .* give image="):
            question(0)
    with pytest.raises(ValueError, match="give image="):
        em.support(net)
    known = em.receptive_field(net, image=(9, 6))
    assert known.size == (9, 6) and known.window(0) == ((0, 0), (8, 5)) and not known.infinite
    assert known.nearest_unit(3) == (0, 0) and known.center(0) == (4, 2.5)
    with pytest.raises(ValueError, match="units see the same pixels"):
        known.units(3)
    assert em.support(net, image=(9, 6)).mask.all()
    assert em.receptive_field(net, node="conv1").size == (3, 3)
    # A branch of it makes the sum see everything; sites outside the image are not counted.
    context = em.concat(em.serial(em.GlobalAvgPool(), em.Upsample(7)),
                        em.serial(em.GlobalAvgPool(), em.Upsample(7, "bilinear")))
    assert em.receptive_field(context).infinite
    assert em.receptive_field(context, image=7).window(3) == ((0, 0), (6, 6))
    cut = em.serial(em.Conv(1, stride=4), em.GlobalAvgPool())
    assert em.receptive_field(cut, image=(7, 8)).window(0) == ((0, 0), (4, 4))
    blind = em.serial(em.ConvTranspose(1, stride=2, padding=(1, -1)), em.GlobalAvgPool())
    assert em.receptive_field(blind, image=1).size == (0, 0)
    assert em.support(blind, image=1).density == 0
    outside = em.serial(em.Pad((6, -2)), em.Pad((0, -4)), em.GlobalAvgPool())
    assert em.receptive_field(outside, image=2).size == (0, 0)


def test_density_of_the_support() -> None:
    holes = em.support(em.serial(em.Conv(1, stride=2, padding=0), em.Conv(3, padding=1)))
    assert holes.mask.shape == (5, 5) and holes.density == 9 / 25
    dilated = em.support(em.serial(em.Conv(3, dilation=2)), ndim=1)
    assert dilated.mask.tolist() == [True, False, True, False, True]
    assert em.support(em.repeat(em.Conv(3), 4)).density == 1
    assert em.support(em.serial(em.Conv((3, 1)), em.Conv((1, 5)))).mask.shape == (3, 5)
    plus = em.support(em.add(em.Conv((3, 1)), em.Conv((1, 3))))
    assert_close(plus.mask, np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool), EXACT)
    corner = em.support(em.repeat(em.Conv(3), 2), image=9, unit=0)
    assert corner.origin == (0, 0) and corner.mask.shape == (3, 3)


# ---------------------------------------------------------------------------------------------
# units and pixels
# ---------------------------------------------------------------------------------------------

def test_units_and_nearest_unit_invert_window_and_center() -> None:
    for case in cases(1, 100):
        rf = em.receptive_field(case.net, image=case.image)
        assert rf.padding is not None
        (size,), (stride,), (padding,) = rf.size, rf.stride, rf.padding
        # Units beyond see none of the pixels asked for.
        reach = math.ceil((size + abs(padding) + 10) / stride) + 10
        span = range(-reach, reach + 1)
        windows = [rf.window(u) for u in span]
        centres = [u * stride - padding + Fraction(size - 1, 2) for u in span]
        for pixel in (-5, 0, 1, 2, 9):
            seeing = [u for u, ((lo,), (hi,)) in zip(span, windows) if lo <= pixel <= hi]
            assert rf.units(pixel) == (((seeing[0],), (seeing[-1],)) if seeing else None)
            distance = [abs(centre - pixel) for centre in centres]
            assert rf.nearest_unit(pixel) == (span[distance.index(min(distance))],)


def test_units_against_the_support_of_every_unit() -> None:
    for case in cases(1, 80):
        rf = em.receptive_field(case.net, image=case.image)
        for pixel in range(case.image[0]):
            seeing = [u for u in range(case.shapes[-1][0])
                      if (pixel,) in case.sees((u,), inside=True)]
            found = rf.units(pixel)
            if seeing:
                assert found is not None
                assert found[0][0] <= seeing[0] and seeing[-1] <= found[1][0]
    net = em.serial(em.Conv(3), em.MaxPool(2), em.Conv(3))
    rf = em.receptive_field(net, image=16)
    assert rf.units((4, 9)) == ((0, 3), (3, 6))  # unit u sees 2 u - 3 ... 2 u + 4
    maps = {u: em.support(net, image=16, unit=u) for u in itertools.product(range(8), repeat=2)}
    assert {u for u, (mask, origin) in maps.items()
            if all(0 <= p - o < n for p, o, n in zip((4, 9), origin, mask.shape))
            } == set(itertools.product(range(0, 4), range(3, 7)))


def test_the_center_is_where_the_contract_puts_it() -> None:
    for case in cases(2, 60, gaps=False):
        rf = em.receptive_field(case.net, image=case.image)
        assert rf.padding is not None
        for unit in ((0, 0), (3, -2)):
            expected = [float(u * s - p + (r - 1) / Fraction(2))
                        for u, s, p, r in zip(unit, rf.stride, rf.padding, rf.size)]
            assert_close(rf.center(unit), expected, ROUNDING, scale=max(rf.size))
            if rf.shift_invariant and not rf._borders:
                lo, hi = rf.window(unit)
                assert_close(rf.center(unit), np.add(lo, hi) / 2, EXACT)
    # Not the middle of the image: unit 3 of 7 of a ResNet on 224 pixels.
    assert field(em.Conv(7, stride=2, padding=3), em.MaxPool(3, 2, 1),
                 *[em.Conv(3, stride=2, padding=1)] * 3).center(3) == (96, 96)


def test_ties_go_to_the_lower_unit() -> None:
    rf = field(em.MaxPool(2), ndim=1)  # centres 0.5, 2.5, ...
    assert [rf.nearest_unit(x) for x in range(-1, 5)] == [(-1,), (0,), (0,), (1,), (1,), (2,)]
    dense = field(em.Conv(1, stride=2), ndim=1)  # centres 0, 2, 4: odd pixels are ties
    assert [dense.nearest_unit(x) for x in range(-1, 4)] == [(-1,), (0,), (0,), (1,), (1,)]


# ---------------------------------------------------------------------------------------------
# asking
# ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("net, image", [
    (em.serial(em.Conv(3, stride=2, padding="same")), None),
    (em.serial(em.Conv((3, 5), stride=2, padding="same")), (8, 9)),
    (em.serial(em.Conv(3), em.Upsample(3), em.ConvTranspose(1, stride=2)), None),
    (em.serial(em.Conv(3), em.GlobalAvgPool()), None),
    (em.serial(em.Conv(3), em.GlobalAvgPool()), 6),
])
def test_a_field_survives_json(net: em.Network, image: Any) -> None:
    rf = em.receptive_field(net, image=image)
    back = em.ReceptiveField.from_dict(json.loads(json.dumps(rf.to_dict())))
    assert back == rf and hash(back) == hash(rf)
    assert rf.infinite or back.on_plane().window(7) == rf.on_plane().window(7)
    assert em.ReceptiveField.from_dict(rf.on_plane().to_dict()) == rf.on_plane()


def test_every_node_and_one_node_agree() -> None:
    net = em.serial(em.Conv(3, name="stem"), em.residual(em.repeat(em.Conv(3), 2)), em.MaxPool(2))
    every = em.receptive_fields(net, image=20)
    assert tuple(every) == net.names
    for name, rf in every.items():
        assert rf == em.receptive_field(net, image=20, node=name) and rf.node == name
        assert rf.window(1) == em.receptive_field(net, node=name).window((1, 1))
    assert em.receptive_field(net) == em.receptive_fields(net)["max_pool1"]
    assert hash(every["stem"]) == hash(em.receptive_field(net, image=20, node="stem"))


def test_axes_differ_and_numpy_integers_are_units() -> None:
    net = em.serial(em.Conv((1, 3, 5), stride=(1, 2, 3)), em.Conv(3))
    rf = em.receptive_field(net)
    assert (rf.size, rf.stride, rf.padding) == ((3, 7, 11), (1, 2, 3), (1, 3, 5))
    assert rf.window(np.array([1, 2, 3])) == rf.window((1, 2, 3)) == ((0, 1, 4), (2, 7, 14))
    assert all(type(x) is int for x in rf.window(np.int64(2))[0])
    assert rf.window(2) == rf.window((2, 2, 2))


@pytest.mark.parametrize("call, message", [
    (lambda: field(em.Conv(3)).window((1, 2, 3)), r"unit=\(1, 2, 3\): must have 2 values"),
    (lambda: field(em.Conv(3)).window(1.0), r"unit=1\.0: must be an integer"),
    (lambda: field(em.Conv(3)).center(True), "unit=True: must be an integer"),
    (lambda: field(em.Conv(3)).units("12"), "pixel='12': must be an integer"),
    (lambda: field(em.Conv(3)).nearest_unit((1,)), r"pixel=\(1,\): must have 2 values"),
    (lambda: field(em.Conv(3), node="conv2"), "node='conv2': no node .* 'conv1'"),
    (lambda: field(em.Conv(3), node="input"), "node='input': must be a node"),
    (lambda: field(em.Conv(3), image=0), "image=0: must be at least 1"),
    (lambda: field(em.Conv(3), image=2.5), "image=2.5: must be an integer"),
    (lambda: field(em.Conv((3, 3)), image=(4, 4, 4)), r"image=\(4, 4, 4\): must have 2 values"),
    (lambda: field(em.Conv(5, padding=0), image=4), r"image=\(4, 4\): too small, conv1 has no"),
    (lambda: field(em.Conv(3), ndim=4), "ndim=4: this network lives in 1 or 2 or 3 dimensions"),
    (lambda: em.support(em.serial(em.Conv(3)), image=4, unit=4), "outside the node's map"),
    (lambda: em.support(em.serial(em.Conv(3)), image=4, unit=(0, -1)), "outside the node's map"),
])
def test_bad_questions(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


#: What else the verbs that ask for more than a network are given.
REST = {"border_layers": (32,), "costs": (32,), "coverage": (5,), "erf_size_map": (32,), "widening": ({},),
        "fit": (em.training.BoxMajority(9, 1),), "activities": ({}, np.zeros((1, 3, 9, 9)))}


@pytest.mark.parametrize("name", [name for name in em.__all__ if inspect.isfunction(getattr(em, name))
                                  and next(iter(inspect.signature(getattr(em, name)).parameters)) == "net"])
def test_a_layer_is_not_a_network(name: str) -> None:
    more = {"steps": 1} if name == "fit" else {}
    with pytest.raises(TypeError, match="must be a Network"):
        getattr(em, name)(em.Conv(3), *REST.get(name, ()), **more)


def test_default_units() -> None:
    assert default_unit(None, 3, None) == (0, 0, 0)
    assert default_unit((7, 4), 2, None) == (3, 2)
    assert default_unit((7, 4), 2, 3) == (3, 3)
    assert em.support(em.serial(em.Conv(3)), image=(7, 4)).origin == (2, 1)


def test_very_deep_networks() -> None:
    net = em.repeat(em.Conv(3), 10_000)
    assert em.receptive_field(net).size == (20_001, 20_001)
    assert em.support(net, image=5).mask.all()


def test_a_support_too_large_for_memory_is_refused_unless_an_image_cuts_it() -> None:
    net = em.serial(em.Conv(3, dilation=30_000), em.Conv(3))
    with pytest.raises(SizeError, match="would need 3600360009 bytes"):
        em.support(net)
    assert em.support(net, image=5).mask.shape == (3, 3)


def test_summary() -> None:
    net = em.serial(em.Conv((3, 5), stride=2, padding="same", name="stem"), em.Activation("relu"),
                    em.GlobalAvgPool())
    lines = net.summary().splitlines()
    rows = [line.split() for line in lines]
    assert rows[0] == ["node", "op", "output", "TRF", "stride", "padding"]
    assert rows[1:] == [["stem", "conv", "-", "3x5", "2", "?"],
                        ["relu1", "relu", "-", "3x5", "2", "?"],
                        ["global_avg_pool1", "global_avg_pool", "-", "whole", "0", "?"]]
    assert len({line.find(row[-1], 40) for line, row in zip(lines, rows)} - {-1}) == 1
    known = [line.split() for line in net.summary(image=(8, 9)).splitlines()]
    assert known[1] == ["stem", "conv", "4x5", "3x5", "2", "0x2"]
    assert known[3][2:5] == ["1x1", "8x9", "0"]


def test_receptive_fields_print_as_tables() -> None:
    rf = em.receptive_field(em.zoo.resnet50(), image=224)
    assert "TRF      427 px" in str(rf) and "stride   32 px" in str(rf) and "TRF centre 0, 0" in str(rf)
    assert rf._repr_html_().startswith("<table><tr><td>node</td><td>layer4</td></tr>")
    assert "whole px" in str(em.receptive_field(em.serial(em.GlobalAvgPool())))
    assert rf.shape == (7, 7) and em.receptive_field(em.zoo.resnet50()).shape is None
