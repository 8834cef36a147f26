"""Random networks over the whole vocabulary, from a seed: what tests of any network draw.

    sample = draw_network(np.random.default_rng(7))
    em.predict(sample.net, **sample.options)

A new kind of layer is one entry of `KINDS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import erfmath as em

Part = Any  #: A layer or a network.
Shape = tuple[int, ...]
#: Sides of images by number of axes, and channels: small, so that one prediction takes milliseconds.
SIDES = {1: (9, 24), 2: (7, 14), 3: (4, 6)}
#: Pixels that a unit may see by number of axes: correlations between sites cost their square.
SEEN = {1: 200, 2: 2500, 3: 1000}
CHANNELS = (2, 4, 6, 8)
FUNCTIONS = ("relu", "relu", "relu", "relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu", "softplus",
             "identity", "relu6", "hardtanh", "hardswish", "hardsigmoid", "mish", "selu", "celu", "gelu_tanh", "prelu",
             "softsign", "relu_squared")
BORDERS = ("reflect", "replicate", "circular")


class Draw:
    """A generator of random choices."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, values: Sequence[Any], p: Sequence[float] | None = None) -> Any:
        """One of `values`, with weights `p` where given."""
        if p is None:
            return values[int(self.rng.integers(len(values)))]
        edges = np.cumsum(p)
        return values[int(np.searchsorted(edges, self.rng.random() * edges[-1], side="right"))]

    def number(self, low: float = .4, high: float = 2.5) -> float:
        """A factor between `low` and `high`, of few digits so that a printed network is short."""
        return round(float(np.exp(self.rng.uniform(math.log(low), math.log(high)))), 2)

    def array(self, shape: Shape) -> np.ndarray:
        """Weights of few digits, none of them zero."""
        values = self.rng.normal(size=shape).round(2)
        return np.where(values == 0, .5, values)


class Place(NamedTuple):
    """What comes in where a part is put.

    Attributes
    ----------
    channels : int
    shape : tuple of int or None
        Of the map; None on the plane.
    ndim : int
    keep : bool
        Whether the part must keep the map as it is (a branch that meets others).
    depth : int
        How many blocks may still be nested.
    """

    channels: int
    shape: Shape | None
    ndim: int
    keep: bool = False
    depth: int = 2

    def after(self, part: Part) -> Place:
        """The place after `part`; ValueError where it does not fit."""
        net = part if isinstance(part, em.Network) else em.serial(part)
        channels = net.channels(channels_in=self.channels, ndim=self.ndim)[net.output]
        shape = None if self.shape is None else net.shapes(self.shape)[net.output]
        return self._replace(channels=channels, shape=shape)

    @property
    def even(self) -> bool:
        """Whether the map is halved without a rest."""
        return self.shape is None or all(n % 2 == 0 and n >= 4 for n in self.shape)


Make = Callable[[Draw, Place], Part]


class Kind(NamedTuple):
    """How a kind of part is drawn, how often, and whether it can keep the map as it is."""

    make: Make
    weight: float = 1.0
    keeps: bool = True
    block: bool = False


# ---------------------------------------------------------------------------------------------
# layers
# ---------------------------------------------------------------------------------------------

def weights(draw: Draw, kernel: Shape) -> em.Random:
    """Random weights of any kind."""
    profile = None
    if draw.chance(.2):
        shape = kernel[:1] if len(set(kernel)) == 1 and draw.chance(.5) else kernel
        profile = draw.rng.uniform(.2, 1, size=shape).round(2)
    return em.Random(gain=draw.pick((1., 2., 2., .5)), fan=draw.pick(("in", "in", "out")), profile=profile,
                     law=draw.pick(("normal", "uniform")))


def window(draw: Draw, place: Place, sizes: Sequence[int] = (1, 2, 3, 3, 3, 5)) -> dict[str, Any]:
    """Kernel, stride, padding and dilation of a convolution."""
    kernel = (draw.pick(sizes),) * place.ndim
    if place.ndim > 1 and draw.chance(.15):
        kernel = tuple(draw.pick(sizes) for _ in kernel)
    dilation = draw.pick((1, 1, 1, 2))
    half = [(dilation * (k - 1) // 2, dilation * (k - 1) - dilation * (k - 1) // 2) for k in kernel]
    size = kernel if len(set(kernel)) > 1 or draw.chance(.3) else kernel[0]
    if place.keep:
        return {"kernel_size": size, "dilation": dilation, "padding": half}
    stride = draw.pick((1, 1, 1, 2))
    padding = draw.pick((half, half, "same", "valid", 1))
    return {"kernel_size": size, "dilation": dilation, "padding": padding, "stride": stride}


def kernel_of(fields: dict[str, Any], ndim: int) -> Shape:
    """The kernel per axis."""
    size = fields["kernel_size"]
    return size if isinstance(size, tuple) else (size,) * ndim


def conv(draw: Draw, place: Place) -> Part:
    fields = window(draw, place)
    if draw.chance(.08) and place.shape is not None:
        fields["padding_mode"] = draw.pick(BORDERS)
    if draw.chance(.05):
        fields["bias"] = .1
    return em.Conv(channels=draw.pick(CHANNELS), weights=weights(draw, kernel_of(fields, place.ndim)), **fields)


def grouped(draw: Draw, place: Place) -> Part:
    fields = window(draw, place)
    return em.Conv(channels=2 * draw.pick((1, 2, 3)), groups=2 if place.channels % 2 == 0 else 1,
                   weights=weights(draw, kernel_of(fields, place.ndim)), **fields)


def depthwise(draw: Draw, place: Place) -> Part:
    fields = window(draw, place)
    return em.Conv(groups="depthwise", weights=weights(draw, kernel_of(fields, place.ndim)), **fields)


def constant(draw: Draw, place: Place) -> Part:
    groups = draw.pick((1, "depthwise"))
    return em.Conv(channels=None if groups != 1 else draw.pick(CHANNELS), groups=groups, weights=em.Constant(),
                   **window(draw, place, (1, 2, 3)))


def fixed(draw: Draw, place: Place) -> Part:
    fields = window(draw, place, (1, 2, 3))
    kernel = kernel_of(fields, place.ndim)
    if draw.chance(.5):
        return em.Conv(weights=em.Fixed(draw.array(kernel)), **fields)
    array = draw.array((draw.pick(CHANNELS), place.channels, *kernel)) / math.sqrt(place.channels)
    return em.Conv(weights=em.Fixed(array.round(3)), **fields)


def conv_transpose(draw: Draw, place: Place) -> Part:
    kernel, stride = draw.pick(((2, 2), (3, 1), (3, 2), (4, 2), (1, 2)))
    if place.keep:
        kernel, stride = 3, 1
    padding = draw.pick((0, "same")) if kernel >= stride and not place.keep else (kernel - stride) // 2 if (
        kernel >= stride) else 0
    more = {} if place.keep or draw.chance(.8) else draw.pick(({"dilation": 2}, {"output_padding": stride - 1}))
    return em.ConvTranspose(kernel, draw.pick(CHANNELS), stride=stride, padding=padding,
                            weights=weights(draw, (kernel,) * place.ndim), **more)


def pool(kind: Any) -> Make:
    """Max pools and average pools."""
    def make(draw: Draw, place: Place) -> Part:
        kernel, stride, padding = draw.pick(((2, 2, 0), (2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 1, 0), (3, 3, 0),
                                             (3, 2, "same"), (2, 2, "same")))
        options = {"count_include_pad": draw.chance(.5)} if kind is em.AvgPool else {}
        if place.keep:
            return kind(3, 1, 1, **options)
        if draw.chance(.1) and padding != "same":
            options["ceil_mode"] = True
        if draw.chance(.1) and kind is em.MaxPool:
            options["dilation"] = 2
        return kind(kernel, stride, padding, **options)
    return make


def blur_pool(draw: Draw, place: Place) -> Part:
    return em.BlurPool(draw.pick((3, 5)), 1) if place.keep else em.BlurPool(draw.pick((2, 3, 4)), 2, padding=1)


def upsample(draw: Draw, place: Place) -> Part:
    """To a multiple of the map, or to any size."""
    mode = draw.pick(("nearest", "nearest", "bilinear", "bilinear", "bicubic"))
    if place.shape is None or draw.chance(.7):
        return em.Upsample(draw.pick((2, 2, 3)), mode)
    size = tuple(draw.pick((n, n + 1, 2 * n - 1, max(n - 2, 1))) for n in place.shape)
    return em.Upsample(mode=mode, size=size, align_corners=mode != "nearest" and draw.chance(.4))


def adaptive(draw: Draw, place: Place) -> Part:
    """Bins of one size, or not."""
    if place.shape is None:
        raise ValueError("the plane has no bins")
    return draw.pick((em.AdaptiveAvgPool, em.AdaptiveAvgPool, em.AdaptiveMaxPool))(
        tuple(draw.pick((max(n // 2, 1), max(n - 1, 1), 3)) for n in place.shape))


def norm(draw: Draw, place: Place) -> Part:
    """A normalisation other than by the statistics of the data."""
    groups = [em.GroupNorm(g) for g in range(1, place.channels + 1) if place.channels % g == 0]
    affine = {"scale_var": .2, "shift_var": .1}
    return draw.pick((em.LayerNorm(), em.RMSNorm(), em.InstanceNorm(), draw.pick(groups), em.GRN(), em.GRN(.5, .2),
                      em.BatchNorm("batch"), em.BatchNorm(**affine), em.LayerNorm(**affine)))


def moved(draw: Draw, place: Place) -> Part:
    """Channels in another order, fewer of them, or exchanged with sites."""
    divisors = [g for g in range(2, place.channels + 1) if place.channels % g == 0]
    if place.keep:
        return em.Shuffle(draw.pick(divisors))
    return draw.pick((em.Shuffle(draw.pick(divisors)), em.Slice(0, draw.pick(range(1, place.channels + 1))),
                      em.Slice(place.channels // 2, place.channels), em.PixelShuffle(2), em.PixelUnshuffle(2)))


def activation(draw: Draw, place: Place) -> Part:
    function = draw.pick(FUNCTIONS)
    return em.Activation(function, **({"slope": draw.number(.05, .5)} if function == "leaky_relu" else {}))


def pad(draw: Draw, place: Place) -> Part:
    if place.keep:
        return em.Pad(0)
    if place.shape is not None and draw.chance(.3):
        return em.Pad(draw.pick((1, (1, 0))), draw.pick(BORDERS))
    return em.Pad(draw.pick((1, (1, 0), (-1, 1), (0, -1))))


# ---------------------------------------------------------------------------------------------
# blocks
# ---------------------------------------------------------------------------------------------

def inner(place: Place, *, keep: bool = True) -> Place:
    """The place of a block's branches."""
    return place._replace(keep=keep, depth=place.depth - 1)


def branch(draw: Draw, place: Place, layers: tuple[int, int] = (1, 3), channels: int | None = None) -> Part:
    """A few layers that keep the map; `channels` after them where given."""
    parts, here = grow(draw, place, int(draw.rng.integers(layers[0], layers[1] + 1)))
    if channels is not None and here.channels != channels:
        kernel = draw.pick((1, 3))
        parts.append(em.Conv(kernel, channels, weights=weights(draw, (kernel,) * place.ndim)))
    return em.serial(*parts)


def gate(draw: Draw, *parts: Part) -> Part:
    """Parts, and perhaps an activation after them."""
    return em.serial(*parts, em.Activation("relu")) if draw.chance(.5) else parts[0] if len(parts) == 1 else (
        em.serial(*parts))


def residual(draw: Draw, place: Place) -> Part:
    """x + f(x), either of them scaled now and then."""
    part = branch(draw, inner(place), channels=place.channels)
    if draw.chance(.2):
        part = em.serial(part, em.Scale(draw.number()))
    shortcut = draw.pick((None, None, None, em.Scale(draw.number()), em.BatchNorm(), em.Dropout(.2)))
    return gate(draw, em.residual(part, shortcut))


def bottleneck(draw: Draw, place: Place) -> Part:
    """conv, norm, gate, conv, norm beside the identity or a 1x1 convolution, as in ResNets."""
    stride = 1 if place.keep else draw.pick((1, 2))
    channels = place.channels if stride == 1 and draw.chance(.6) else draw.pick(CHANNELS)
    norm = draw.pick(((), (em.BatchNorm(),)))
    part = em.serial(em.Conv(3, channels, stride=stride), *norm, em.Activation("relu"), em.Conv(3, channels), *norm)
    if stride == 1 and channels == place.channels:
        return gate(draw, em.residual(part))
    shortcut = [em.Conv(1, channels, stride=stride)]
    if stride == 2 and place.even and draw.chance(.4):
        shortcut = [draw.pick((em.AvgPool(2), em.MaxPool(2), em.BlurPool(3, 2))), em.Conv(1, channels)]
    return gate(draw, em.residual(part, em.serial(*shortcut, *norm)))


def pooled(draw: Draw, place: Place) -> Part:
    """x + pool(x), now and then after a norm, as in PoolFormer."""
    part = draw.pick((em.AvgPool(3, 1, 1), em.MaxPool(3, 1, 1), em.BlurPool(3, 1)))
    return em.residual(em.serial(em.LayerNorm(), part) if draw.chance(.3) else part)


def sums(draw: Draw, place: Place) -> Part:
    """Three branches, as in RepVGG."""
    norm = draw.pick(((), (em.BatchNorm(),)))
    c = place.channels
    last = em.serial(*norm) if draw.chance(.5) else em.Identity()
    return gate(draw, em.add(em.serial(em.Conv(3, c), *norm), em.serial(em.Conv(1, c), *norm), last))


def concat(draw: Draw, place: Place) -> Part:
    """Two or three branches side by side, one of them perhaps the identity or a pool."""
    parts: list[Part] = [branch(draw, inner(place), (1, 2), draw.pick(CHANNELS)) for _ in range(draw.pick((1, 1, 2)))]
    parts.insert(0, draw.pick((em.Identity(), em.Identity(), em.Conv(1, 4), em.MaxPool(3, 1, 1), em.AvgPool(3, 1, 1))))
    return em.concat(*parts)


def decoder(draw: Draw, place: Place) -> Part:
    """Down, a few layers, up again, beside a skip."""
    if not place.even:
        raise ValueError("a decoder halves its map")
    down = draw.pick((em.MaxPool(2), em.AvgPool(2), em.BlurPool(3, 2), em.Conv(3, 4, stride=2)))
    here = inner(place).after(down)
    middle = branch(draw, here, (1, 2))
    channels = here.after(middle).channels
    up = draw.pick((em.Upsample(2), em.Upsample(2, "bilinear"), em.ConvTranspose(2, channels, stride=2),
                    em.ConvTranspose(4, channels, stride=2, padding=1)))
    part = em.serial(down, middle, up)
    if channels == place.channels and draw.chance(.5):
        return em.residual(part)
    return em.concat(em.Identity(), part)


def gated(draw: Draw, place: Place) -> Part:
    """A branch times another one of this map, or the map itself times what all of its sites tell."""
    place = inner(place)
    if place.shape is not None and draw.chance(.4):
        squeeze = em.serial(em.GlobalAvgPool(), em.Conv(1, 2), em.Activation("relu"), em.Conv(1, place.channels))
        return em.multiply(em.Identity(), em.serial(squeeze, em.Activation(draw.pick(("sigmoid", "hardsigmoid")))))
    if draw.chance(.3):  # one channel for all
        return em.multiply(branch(draw, place, (1, 2)), em.serial(em.Conv(1, 1), em.Activation("sigmoid")))
    c = draw.pick(CHANNELS)
    first = em.Identity() if draw.chance(.2) and place.channels == c else em.Conv(draw.pick((1, 3)), c)
    return em.multiply(first, em.serial(em.Conv(draw.pick((1, 3)), c), activation(draw, place)))


def parted(draw: Draw, place: Place) -> Part:
    """Some channels through a branch, others past it."""
    if place.channels < 2:
        raise ValueError("one channel")
    place, first = inner(place), draw.pick(range(1, place.channels))
    rest = place.channels - first
    sides = [em.Identity(), branch(draw, place._replace(channels=rest), (1, 2), draw.pick((None, rest)))]
    part = em.split([first, rest], *sides)
    return em.serial(part, em.Shuffle(2)) if draw.chance(.2) else part


def selective(draw: Draw, place: Place) -> Part:
    """Two branches weighed by a softmax, as in selective kernels."""
    if place.shape is None:
        raise ValueError("the plane has no average")
    c = draw.pick(CHANNELS)
    b = em.NetworkBuilder()
    one, other = b(em.Conv(3, c), b.input), b(em.Conv(3, c, dilation=2, padding=2), b.input)
    weighed = b(em.serial(em.GlobalAvgPool(), em.Conv(1, 2 * c), em.Softmax(2)), b.add(one, other))
    parts = [b.multiply(part, b(em.Slice(k * c, (k + 1) * c), weighed)) for k, part in enumerate((one, other))]
    return b.build(b.add(*parts))


#: Every kind of part.  A new kind of layer is one line here.
KINDS: dict[str, Kind] = {
    "conv": Kind(conv, 5),
    "grouped": Kind(grouped, .7),
    "depthwise": Kind(depthwise, .7),
    "constant": Kind(constant, .2),
    "fixed": Kind(fixed, .5),
    "conv_transpose": Kind(conv_transpose, .7),
    "max_pool": Kind(pool(em.MaxPool), 1.2),
    "avg_pool": Kind(pool(em.AvgPool), .8),
    "blur_pool": Kind(blur_pool, .4),
    "upsample": Kind(upsample, .4, keeps=False),
    "activation": Kind(activation, 4),
    "batch_norm": Kind(lambda draw, place: em.BatchNorm(draw.pick(("data", "data", "data", "identity"))), 1.5),
    "norm": Kind(norm, 1),
    "moved": Kind(moved, .8),
    "adaptive": Kind(adaptive, .3, keeps=False),
    "scale": Kind(lambda draw, place: em.Scale(draw.pick((-1, 1)) * draw.number()), .3),
    "dropout": Kind(lambda draw, place: em.Dropout(draw.pick((.1, .3, .5))), .3),
    "identity": Kind(lambda draw, place: em.Identity(), .2),
    "pad": Kind(pad, .3),
    "residual": Kind(residual, 1.5, block=True),
    "bottleneck": Kind(bottleneck, 1, block=True),
    "pooled": Kind(pooled, .3, block=True),
    "sums": Kind(sums, .7, block=True),
    "concat": Kind(concat, 1.2, block=True),
    "decoder": Kind(decoder, .6, block=True),
    "gated": Kind(gated, .8, block=True),
    "parted": Kind(parted, .6, block=True),
    "selective": Kind(selective, .15, block=True),
}


# ---------------------------------------------------------------------------------------------
# networks
# ---------------------------------------------------------------------------------------------

def grow(draw: Draw, place: Place, layers: int) -> tuple[list[Part], Place]:
    """`layers` parts one after the other, and the place after them."""
    parts: list[Part] = []
    while len(parts) < layers:
        small = place.shape is not None and min(place.shape) < 4 or place.keep
        kinds = [kind for kind in KINDS.values() if (kind.keeps or not small) and (place.depth > 0 or not kind.block)]
        kind = draw.pick(kinds, [kind.weight for kind in kinds])
        try:
            part = kind.make(draw, place._replace(keep=small))
            place = place.after(part)
        except ValueError:  # a window larger than the map, a map that is not halved: another part
            continue
        parts.append(part)
    return parts, place


@dataclass(frozen=True)
class Sample:
    """A network, and the image and unit it is looked at with.

    Attributes
    ----------
    net : Network
    image : tuple of int or None
        None on the plane.
    unit : tuple of int
        In the middle, at a border or anywhere.
    channels_in, ndim : int
    """

    net: em.Network
    image: Shape | None
    unit: Shape
    channels_in: int
    ndim: int

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of `predict` and `measure`."""
        return {"image": self.image, "unit": self.unit, "channels_in": self.channels_in, "ndim": self.ndim}


def draw_unit(draw: Draw, shape: Shape | None, ndim: int) -> Shape:
    """A unit of a map of `shape`: its middle, a corner, or any."""
    if shape is None:
        return tuple(draw.pick((0, 0, 1, -2)) for _ in range(ndim))
    ends: Callable[[int], Sequence[int]] = draw.pick((lambda n: (n // 2,), lambda n: (0, n - 1), range))
    return tuple(draw.pick(ends(n)) for n in shape)


def seen(net: em.Network, image: Shape | None, ndim: int) -> float:
    """Pixels of the box that a unit may see."""
    return math.prod(float(n) for n in image or em.receptive_field(net, ndim=ndim).size)


def draw_network(rng: np.random.Generator, *, layers: tuple[int, int] = (2, 5), ndim: int | None = None,
                 plane: bool | None = None, most: int = 24) -> Sample:
    """A random network of about `layers` parts, of at most `most` nodes.

    Parameters
    ----------
    rng : Generator
    layers : pair of int
        Fewest and most parts; a block is one part.
    ndim : int, optional
        Drawn by default: mostly 2.
    plane : bool, optional
        Whether there is no image; drawn by default.
    most : int
        Nodes.
    """
    draw = Draw(rng)
    axes = draw.pick((1, 2, 3), (2, 5, .7)) if ndim is None else ndim
    on_plane = draw.chance(.4) if plane is None else plane
    while True:
        low, high = SIDES[axes]
        side = int(rng.integers(low, high + 1))
        image = None if on_plane else tuple(
            side if draw.chance(.7) else int(rng.integers(low, high + 1)) for _ in range(axes))
        start = Place(draw.pick((2, 3, 4)), image, axes)
        # The first layer is random, but for a few: deterministic ones have another statistic.
        first = conv(draw, start) if draw.chance(.93) else fixed(draw, start)
        try:
            here = start.after(first)
        except ValueError:
            continue
        parts, end = grow(draw, here, int(rng.integers(layers[0], layers[1] + 1)))
        if end.shape is not None and draw.chance(.04):
            parts.append(em.GlobalAvgPool())
            end = end.after(parts[-1])
        net = em.serial(first, *parts)
        if len(net) > most or min(end.shape or (1,)) < 1:
            continue
        if net.ndim not in (None, axes) or seen(net, image, axes) > SEEN[axes]:
            continue
        return Sample(net, image, draw_unit(draw, end.shape, axes), start.channels, axes)
