"""Who sees whom, site by site: random networks as lists of steps, and a walk along every path."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from helpers import ROUNDING, assert_close

import erfmath as em

Site = tuple[int, ...]


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


def field(*parts: Any, **options: Any) -> em.ReceptiveField:
    return em.receptive_field(em.serial(*parts), **options)


def unet(levels: int, up: Any) -> em.Network:
    net = em.repeat(em.Conv(3), 2)
    for _ in range(levels):
        deeper = em.serial(em.MaxPool(2), net, up)
        net = em.serial(em.repeat(em.Conv(3), 2), em.concat(em.Identity(), deeper),
                        em.repeat(em.Conv(3), 2))
    return net
