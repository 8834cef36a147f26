"""Random networks of the whole vocabulary, predicted and sampled: how the differences are distributed.

Networks are drawn, not chosen, so that what the table of accuracy lacks is seen, too.  As a program it looks at as
many as are asked for, and writes a line of JSON for each, so that a long survey can be stopped and gone on with:

    python -m erfmath.bench.survey 0 500 survey.jsonl
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Union

import numpy as np

from .. import layers as em
from ..empirics.measure import measure
from ..networks.building import add, concat, multiply, residual, serial, split
from ..networks.network import Network
from ..theory.predict import predict
from . import Table
from .kept import Kept

__all__ = ["WIDTH", "Found", "drawn", "look", "run", "survey"]

WIDTH = 64
#: Sides of images, by number of axes.
SIDES = {1: (20, 32), 2: (9, 13)}
#: Draws of the first look, and of the second, which only those get that the first finds suspect.
FIRST, SECOND = 30, 400
#: What is suspect: a relative difference and a number of standard errors, both to be exceeded.
PART, SIGMAS = 0.03, 4.0

Part = Union[em.Layer, Network]
FUNCTIONS = ("relu", "relu", "relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid", "elu", "softplus", "relu6",
             "hardswish", "mish", "selu")


class Place(NamedTuple):
    """What comes in, and whether the map must be kept and how deep blocks may be nested."""

    channels: int
    shape: tuple[int, ...]
    keep: bool = False
    depth: int = 2

    def after(self, part: Part) -> Place:
        """ValueError where the part does not fit, or leaves next to nothing."""
        net = part if isinstance(part, Network) else serial(part)
        ndim = len(self.shape)
        channels = net.channels(width=WIDTH, channels_in=self.channels, ndim=ndim)[net.output]
        shape = net.shapes(self.shape)[net.output]
        if min(shape) < 4 or max(shape) > 2 * SIDES[ndim][1] or channels < 8 or channels > 4 * WIDTH:
            raise ValueError("map or channels")
        if self.keep and shape != self.shape:
            raise ValueError("another map")
        return self._replace(channels=channels, shape=shape)


class _Draw:
    """Random parts; each method is a kind, named so that what goes wrong can be counted by kind."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def pick(self, values: Sequence[Any]) -> Any:
        return values[int(self.rng.integers(len(values)))]

    def conv(self, at: Place) -> Part:
        stride = 1 if at.keep else self.pick((1, 1, 1, 2))
        return em.Conv(self.pick((1, 3, 3, 3, 5)), WIDTH, stride=stride, dilation=self.pick((1, 1, 1, 2)),
                       groups=self.pick((1, 1, 1, 4)) if at.channels % 4 == 0 else 1,
                       padding_mode=self.pick(("zeros",) * 5 + ("reflect", "replicate")),
                       bias=self.pick((0.0, 0.0, 0.0, 0.1)))

    def depthwise(self, at: Place) -> Part:
        return em.Conv(self.pick((3, 5)), groups="depthwise")

    def transposed(self, at: Place) -> Part:
        kernel, padding = self.pick(((2, 0), (4, 1)))
        return em.ConvTranspose(kernel, WIDTH, stride=2, padding=padding)

    def gate(self, at: Place) -> Part:
        return em.Activation(self.pick(FUNCTIONS))

    def norm(self, at: Place) -> Part:
        norms: list[Part] = [em.BatchNorm(), em.BatchNorm(), em.BatchNorm(), em.LayerNorm(), em.RMSNorm(),
                             em.InstanceNorm()]
        return self.pick(norms + [em.GroupNorm(4)] * (at.channels % 4 == 0))

    def block(self, at: Place) -> Part:
        """Convolution, norm, gate: what most networks are made of."""
        return serial(em.Conv(3, WIDTH, stride=1 if at.keep else self.pick((1, 1, 2))),
                      *self.pick(((), (em.BatchNorm(),), (em.BatchNorm(),))), self.gate(at))

    def max_pool(self, at: Place) -> Part:
        return em.MaxPool(3, 1, 1) if at.keep else self.pick((em.MaxPool(2), em.MaxPool(3, 2, 1), em.MaxPool(3, 1, 1)))

    def average(self, at: Place) -> Part:
        if at.keep:
            return self.pick((em.AvgPool(3, 1, 1), em.BlurPool(3, 1)))
        return self.pick((em.AvgPool(2), em.AvgPool(3, 2, 1), em.BlurPool(3, 2), em.AvgPool(3, 1, 1),
                          em.AdaptiveAvgPool(max(at.shape[0] // 2, 4))))

    def up(self, at: Place) -> Part:
        return em.Upsample(2, self.pick(("nearest", "bilinear", "bicubic")))

    def shuffled(self, at: Place) -> Part:
        return self.pick((em.PixelUnshuffle(2), em.PixelShuffle(2), em.Shuffle(4)))

    def small(self, at: Place) -> Part:
        return self.pick((em.Scale(self.pick((-0.5, 0.7, 1.6))), em.Dropout(0.2), em.Identity(), em.GRN(),
                          em.Pad(1) if not at.keep else em.Pad(0)))

    # -- branches -----------------------------------------------------------------------------

    def branch(self, at: Place, most: int = 3, channels: int | None = None) -> Part:
        """A few parts that keep the map."""
        parts, end = self.grow(at._replace(keep=True, depth=at.depth - 1), int(self.rng.integers(1, most + 1)))
        if channels is not None and (end.channels != channels or not any(_mixes(part) for part in parts)):
            parts.append(em.Conv(self.pick((1, 3)), channels))
        return serial(*parts)

    def residual(self, at: Place) -> Part:
        shortcut = self.pick((None, None, None, em.BatchNorm(), em.Scale(0.7)))
        return serial(residual(self.branch(at, channels=at.channels), shortcut),
                      *self.pick(((), (em.Activation("relu"),), (self.gate(at),))))

    def bottleneck(self, at: Place) -> Part:
        conv = serial(em.Conv(3, at.channels), em.BatchNorm(), em.Activation("relu"), em.Conv(3, at.channels),
                      em.BatchNorm())
        return serial(residual(conv), em.Activation("relu"))

    def sums(self, at: Place) -> Part:
        branches: list[Part] = [self.branch(at, 2, at.channels) for _ in range(self.pick((2, 3)))]
        return serial(add(*branches), *self.pick(((), (em.Activation("relu"),))))

    def side(self, at: Place) -> Part:
        return concat(self.pick((em.Identity(), em.Conv(1, 32), em.MaxPool(3, 1, 1), em.AvgPool(3, 1, 1))),
                      self.branch(at, 2))

    def mixer(self, at: Place) -> Part:
        return residual(serial(em.LayerNorm(), self.pick((em.AvgPool(3, 1, 1), em.Conv(5, groups="depthwise")))))

    def excite(self, at: Place) -> Part:
        gate = serial(em.GlobalAvgPool(), em.Conv(1, 16), em.Activation("relu"), em.Conv(1, at.channels),
                      em.Activation("sigmoid"))
        return multiply(em.Identity(), gate)

    def gated(self, at: Place) -> Part:
        return multiply(em.Conv(3, WIDTH), serial(em.Conv(3, WIDTH), em.Activation(self.pick(("sigmoid", "silu")))))

    def parted(self, at: Place) -> Part:
        half = at.channels // 2
        return split([half, at.channels - half], em.Identity(), self.branch(at._replace(channels=at.channels - half)))

    def hourglass(self, at: Place) -> Part:
        if any(n % 2 or n < 8 for n in at.shape):
            raise ValueError("a decoder halves its map")
        down = self.pick((em.MaxPool(2), em.AvgPool(2), em.Conv(3, WIDTH, stride=2)))
        here = at._replace(keep=False, depth=at.depth - 1).after(down)
        up = self.pick((em.Upsample(2), em.Upsample(2, "bilinear"), em.ConvTranspose(2, at.channels, stride=2)))
        middle = serial(down, self.branch(here, 2, at.channels), up)
        return self.pick((residual(middle), concat(em.Identity(), middle)))

    # -- networks -----------------------------------------------------------------------------

    def grow(self, at: Place, count: int) -> tuple[list[Part], Place]:
        """So many parts, and what comes after them."""
        parts: list[Part] = []
        while len(parts) < count:
            blocks = BLOCKS if at.depth > 0 else ()
            kind = self.pick(LAYERS + blocks if at.keep else LAYERS + RESIZING + blocks)
            try:
                part = kind(self, at)
                at = at.after(part)
            except ValueError:
                continue
            parts.append(part)
        return parts, at


LAYERS: tuple[Callable[[_Draw, Place], Part], ...] = (
    *(_Draw.conv,) * 5, *(_Draw.block,) * 4, _Draw.depthwise, *(_Draw.gate,) * 4, *(_Draw.norm,) * 2, _Draw.max_pool,
    _Draw.average, _Draw.small)
RESIZING = (_Draw.transposed, _Draw.up, _Draw.shuffled)
BLOCKS = (*(_Draw.residual,) * 2, *(_Draw.bottleneck,) * 2, _Draw.sums, _Draw.side, _Draw.mixer, _Draw.excite,
          _Draw.gated, _Draw.parted, _Draw.hourglass)


def _mixes(part: Part) -> bool:
    """Whether a part begins anew: branches that do not are functions of the value beside them."""
    nodes = part if isinstance(part, Network) else serial(part)
    return any(node.layer.mixes_channels for node in nodes)


def drawn(seed: int, layers: tuple[int, int] = (3, 12)) -> tuple[Network, tuple[int, ...]]:
    """The network of a seed, and its image; the first layer is a convolution of random weights."""
    draw = _Draw(np.random.default_rng([14, seed]))
    ndim = draw.pick((1, 2))
    low, high = SIDES[ndim]
    start = Place(WIDTH, (int(draw.rng.integers(low, high + 1)),) * ndim)
    first = em.Conv(3, WIDTH)
    low, high = layers
    while True:
        parts, _ = draw.grow(start.after(first), int(draw.rng.integers(low - 1, high)))
        net = serial(first, *parts)
        if low <= len(net) <= 4 * high:
            return net, start.shape


class Found(NamedTuple):
    """What a network's prediction and its sample are like; ratios are theory / sampled, z in standard errors.

    Attributes
    ----------
    refused : str
        Why there is no prediction, empty where there is one.
    std, std_z, total, total_z : float
        Of the std the axis that is worst.
    variation, noise : float
        Total variation of the share, and what draws alone make of it.
    assumptions : tuple of str
    """

    seed: int
    draws: int
    refused: str = ""
    std: float = 1.0
    std_z: float = 0.0
    total: float = 1.0
    total_z: float = 0.0
    variation: float = 0.0
    noise: float = 0.0
    effective: float = 0.0
    assumptions: tuple[str, ...] = ()

    @property
    def suspect(self) -> bool:
        """Whether anything is off by more than PART and SIGMAS."""
        return any(abs(ratio - 1) > PART and abs(z) > SIGMAS for ratio, z in (
            (self.std, self.std_z), (self.total, self.total_z)))


def look(seed: int, draws: int = FIRST) -> Found:
    """Predict and measure the network of a seed."""
    net, image = drawn(seed)
    about: dict[str, Any] = {"image": image, "width": WIDTH, "channels_in": WIDTH, "ndim": len(image)}
    try:
        theory = predict(net, **about)
    except NotImplementedError as error:
        return Found(seed, draws, str(error))
    except (ArithmeticError, ValueError, IndexError, np.linalg.LinAlgError) as error:  # a fault: the survey goes on
        return Found(seed, draws, f"{type(error).__name__}: {error}")
    half, sampled = measure(net, draws=(draws // 2, draws), rng=1000 * seed + draws, **about)
    table = sampled.moments.table
    total, first, second = table[:, 0], table[:, 1::2], table[:, 2::2]
    centre = first.sum(axis=0) / total.sum()
    pulls = second - 2 * centre * first + (centre**2 - sampled.std**2) * total[:, None]
    count, mean = len(total), float(total.mean())
    errors = pulls.std(axis=0, ddof=1) / (math.sqrt(count) * mean * 2 * sampled.std**2)  # relative
    ratios = theory.std / sampled.std
    zs = (ratios - 1) / np.maximum(errors, 1e-12)
    worst = int(np.argmax(np.abs(zs)))
    ratio = theory.total / sampled.total
    spread = float(total.std(ddof=1)) / (math.sqrt(count) * mean)
    other = sampled.map * sampled.draws - half.map * half.draws
    noise = float(np.abs(half.map / half.map.sum() - other / other.sum()).sum()) / 4
    shares = theory.crop(sampled.origin, [o + n - 1 for o, n in zip(sampled.origin, sampled.shape)], of="share")
    return Found(seed, draws, "", float(ratios[worst]), float(zs[worst]), float(ratio), float((ratio - 1) / spread),
                 float(np.abs(shares - sampled.share).sum()) / 2, noise, float(sampled.effective_draws),
                 tuple(str(getattr(a, "name", a)) for a in theory.assumptions))


def survey(seeds: Sequence[int], first: int = FIRST, second: int = SECOND) -> Iterator[Found]:
    """A line for each seed; suspects are looked at once more, with more draws of their own."""
    for seed in seeds:
        found = look(seed, first)
        yield look(seed, second) if found.suspect else found


HEADER = ("quantity", "networks", "-3 sigma", "-1 sigma", "median", "+1 sigma", "+3 sigma", "off by > 3 %")


def table(found: Sequence[Found]) -> Table:
    """The distribution of ratios and of z."""
    good = [one for one in found if not one.refused]
    rows = []
    for name, values in (("std", [f.std for f in good]), ("std, z", [f.std_z for f in good]),
                         ("total", [f.total for f in good]), ("total, z", [f.total_z for f in good]),
                         ("TV", [f.variation for f in good]), ("TV of noise", [f.noise for f in good])):
        levels = np.quantile(values, (0.00135, 0.15866, 0.5, 0.84134, 0.99865)) if values else np.full(5, math.nan)
        off = sum(one.suspect for one in good) if name in ("std, z", "total, z") else "-"
        rows.append((name, len(values), *(f"{level:.3f}" for level in levels), off))
    return Table("survey", HEADER, tuple(rows), (
        f"{len(found)} random networks, {len(found) - len(good)} of them refused; ratios are theory / sampled, at "
        f"width {WIDTH}", f"off: by more than {PART:.0%} and {SIGMAS:g} standard errors, after {SECOND} draws"))


def run(quick: bool = False, *, results: str | None = None, progress: Callable[[int, int], Any] | None = None,
        seeds: range = range(500)) -> Table:
    """The distribution over random networks; `quick` takes a few of them and few draws.

    Parameters
    ----------
    results : str, optional
        File of lines of JSON, one a network: those in it are not looked at again, others are added.
    progress : callable, optional
        Called with the number of networks done and of all.
    seeds : range
        Of the networks.
    """
    if quick:
        return table(list(survey(range(3), 8, 16)))
    kept = Kept(results, Found)
    done = {one.seed for one in kept.found}
    for one in survey([seed for seed in seeds if seed not in done]):
        kept.add(one)
        if progress is not None:
            progress(len(kept.found), len(seeds))
    return table(kept.found)


def main(first: int, last: int, file: str) -> None:
    """Go on with a survey of these seeds whose lines are in `file`, and print its table."""
    print(run(results=file, seeds=range(first, last)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
