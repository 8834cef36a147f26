"""A layer of every registered kind with random options, and networks of them: for checks that no kind may miss.

    draw_layer(Draw(np.random.default_rng(0)), "conv", 4, (7, 8))
    draw_network(np.random.default_rng(0)).net

Unlike `generators`, which draws what people build, this draws options that are rare but allowed.
A new kind is one entry of `LAYERS`; `tests/test_vocabulary.py` names the kinds that have none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from generators import Draw, Shape

import erfmath as em
from erfmath.layers import FUNCTIONS, Layer

#: Channels of a network's input, and of its layers that leave them open.
CHANNELS, WIDTH = 2, 4
#: Values of a map, above which nothing more is put on it.
VALUES = 2000
#: Sides of images by number of axes.
SIDES = {1: (9, 30), 2: (5, 14), 3: (4, 8)}
MODES = ("reflect", "replicate", "circular")


def divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


def several(draw: Draw, values: tuple[int, ...], ndim: int) -> Any:
    """One number for all axes, or one per axis."""
    return draw.pick(values) if draw.chance(.6) else tuple(draw.pick(values) for _ in range(ndim))


def variance(draw: Draw) -> float:
    return draw.pick((0.0, draw.number()))


def affine(draw: Draw) -> dict[str, float]:
    return {"scale_var": variance(draw), "shift_var": variance(draw)}


def conv(draw: Draw, channels: int, shape: Shape) -> Layer:
    kernel, dilation = several(draw, (1, 2, 3), len(shape)), several(draw, (1, 1, 2), len(shape))
    groups: Any = draw.pick((1, 1, "depthwise", draw.pick(divisors(channels))))
    out = None if groups == "depthwise" else draw.pick((1, 2)) * (groups if groups > 1 else 2)
    mode = draw.pick(("zeros", "zeros", *MODES))
    padding = draw.pick(("valid", "same", 1, 0, (0, 1))) if mode == "zeros" else draw.pick((1, (1, 0), 2))
    return em.Conv(kernel, out, stride=several(draw, (1, 1, 2), len(shape)), padding=padding, dilation=dilation,
                   groups=groups, padding_mode=mode, bias=variance(draw))


def conv_transpose(draw: Draw, channels: int, shape: Shape) -> Layer:
    if draw.chance(.3):
        return em.ConvTranspose(draw.pick((2, 3)), 2, stride=2, padding=draw.pick((0, 1)), output_padding=1)
    kernel, groups = draw.pick((1, 2, 3, 4)), draw.pick((1, 1, draw.pick(divisors(channels))))
    return em.ConvTranspose(kernel, draw.pick((1, 2)) * groups, stride=several(draw, (1, 2), len(shape)), groups=groups,
                            padding=draw.pick((0, "same", (0, 1))) if kernel > 1 else 0,
                            dilation=several(draw, (1, 1, 2), len(shape)),
                            bias=variance(draw))


def max_pool(draw: Draw, channels: int, shape: Shape) -> Layer:
    kernel = draw.pick((2, 3))
    return em.MaxPool(kernel, draw.pick((None, 1, 2)), draw.pick((0, 1)), dilation=draw.pick((1, 2)),
                      ceil_mode=draw.chance(.5))


def avg_pool(draw: Draw, channels: int, shape: Shape) -> Layer:
    ceil = draw.chance(.5)
    padding = draw.pick((0, 1)) if ceil else draw.pick((0, 1, "same", (1, 0)))
    return em.AvgPool(draw.pick((2, 3)), draw.pick((None, 1, 2)), padding, draw.chance(.5), ceil_mode=ceil)


def upsample(draw: Draw, channels: int, shape: Shape) -> Layer:
    mode = draw.pick(("nearest", "bilinear", "bicubic"))
    to = {"size": several(draw, (1, 2, 3, 5, 8), len(shape))} if draw.chance(.5) else {"scale": draw.pick((1, 2, 3))}
    return em.Upsample(mode=mode, align_corners=mode != "nearest" and draw.chance(.5), **to)


def activation(draw: Draw, channels: int, shape: Shape) -> Layer:
    function = draw.pick(FUNCTIONS)
    return em.Activation(function, slope=draw.number() if function in ("leaky_relu", "prelu") and draw.chance(.5)
                         else None)


def part_of_channels(draw: Draw, channels: int, shape: Shape) -> Layer:
    start = int(draw.rng.integers(channels))
    return em.Slice(start, int(draw.rng.integers(start, channels)) + 1)


def pad(draw: Draw, channels: int, shape: Shape) -> Layer:
    mode = draw.pick(("zeros", *MODES))
    return em.Pad(draw.pick((1, (1, 0), (2, 1)) + ((-1, (-1, 2)) if mode == "zeros" else ())), mode)


Make = Callable[[Draw, int, Shape], Layer]

#: How a layer of each registered kind is drawn on a map of some channels and sites.  Merges are `MERGES`.
LAYERS: dict[str, Make] = {
    "activation": activation,
    "slice": part_of_channels,
    "shuffle": lambda draw, channels, shape: em.Shuffle(draw.pick(divisors(channels))),
    "softmax": lambda draw, channels, shape: em.Softmax(draw.pick(divisors(channels))),
    "pixel_shuffle": lambda draw, channels, shape: em.PixelShuffle(several(draw, (1, 2), len(shape))),
    "pixel_unshuffle": lambda draw, channels, shape: em.PixelUnshuffle(several(draw, (1, 2), len(shape))),
    "conv": conv,
    "conv_transpose": conv_transpose,
    "scale": lambda draw, channels, shape: em.Scale(draw.pick((-1, 1)) * draw.number()),
    "dropout": lambda draw, channels, shape: em.Dropout(draw.pick((0.0, .3))),
    "pad": pad,
    "identity": lambda draw, channels, shape: em.Identity(),
    "batch_norm": lambda draw, channels, shape: em.BatchNorm(draw.pick(("data", "batch", "identity")), **affine(draw)),
    "layer_norm": lambda draw, channels, shape: em.LayerNorm(**affine(draw)),
    "rms_norm": lambda draw, channels, shape: em.RMSNorm(scale_var=variance(draw)),
    "group_norm": lambda draw, channels, shape: em.GroupNorm(draw.pick(divisors(channels)), **affine(draw)),
    "instance_norm": lambda draw, channels, shape: em.InstanceNorm(**affine(draw)),
    "grn": lambda draw, channels, shape: em.GRN(draw.number(), draw.number()),
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "blur_pool": lambda draw, channels, shape: em.BlurPool(draw.pick((2, 3, 4)), draw.pick((1, 2)),
                                                           draw.pick(("same", "valid", 1))),
    "global_avg_pool": lambda draw, channels, shape: em.GlobalAvgPool(),
    "adaptive_avg_pool": lambda draw, channels, shape: em.AdaptiveAvgPool(several(draw, (1, 2, 3, 5), len(shape))),
    "adaptive_max_pool": lambda draw, channels, shape: em.AdaptiveMaxPool(several(draw, (1, 2, 3, 5), len(shape))),
    "upsample": upsample,
}


def site_gate(channels: int) -> em.Network:
    """Of one site."""
    return em.serial(em.GlobalAvgPool(), em.Conv(1, channels), em.Activation("sigmoid"))


def other(draw: Draw, channels: int) -> Any:
    """What a map may meet: a map like it, one site of each channel, or one channel."""
    return draw.pick((em.Conv(3, channels), site_gate(channels), em.serial(em.Conv(3, 1), em.Activation("sigmoid"))))


#: Networks of one layer that takes several inputs, each with the map itself as one of them.
MERGES: dict[str, Callable[[Draw, int], em.Network]] = {
    "add": lambda draw, channels: em.add(em.Identity(), draw.pick((em.Conv(3, channels), site_gate(channels)))),
    "multiply": lambda draw, channels: em.multiply(em.Identity(), other(draw, channels)),
    "concat": lambda draw, channels: em.concat(em.Identity(), draw.pick((em.Conv(3, 2), site_gate(2)))),
}


class Drawn(NamedTuple):
    """A network and the image that it runs on."""

    net: em.Network
    image: Shape


def grown(net: em.Network, part: em.Network, image: Shape) -> em.Network | None:
    """A part after a network, or None where it does not fit or makes too many values."""
    try:
        both = em.serial(net, part)
        channels = both.channels(WIDTH, CHANNELS, len(image))[both.output]
        return both if channels * math.prod(both.shapes(image, len(image))[both.output]) <= VALUES else None
    except ValueError:
        return None


def draw_part(draw: Draw, op: str, channels: int, shape: Shape) -> em.Network:
    """A layer of this kind; a merge with what it merges."""
    return MERGES[op](draw, channels) if op in MERGES else em.serial(LAYERS[op](draw, channels, shape))


def draw_one(draw: Draw, op: str, ndim: int, side: int = 6) -> Drawn:
    """A layer of this kind between two convolutions, on an image of about `side` sites an axis."""
    image = tuple(int(n) for n in draw.rng.integers(side - 1, side + 2, size=ndim))
    while True:
        part = grown(em.serial(em.Conv(2, 4, padding=(0, 1))), draw_part(draw, op, 4, image), image)
        net = part and grown(part, em.serial(em.Conv(2, 3, padding=(1, 0))), image)
        if net:
            return Drawn(net, image)


def draw_network(rng: np.random.Generator, layers: tuple[int, int] = (2, 8)) -> Drawn:
    """A random chain of layers and merges of any kind."""
    draw = Draw(rng)
    ndim = draw.pick((1, 2, 2, 2, 3))
    image = tuple(int(n) for n in rng.integers(*SIDES[ndim], size=ndim))
    net, kinds = em.serial(em.Identity()), [*LAYERS, *MERGES, "conv", "conv", "activation"]
    for _ in range(int(rng.integers(*layers))):
        channels, shape = net.channels(WIDTH, CHANNELS, ndim)[net.output], net.shapes(image)[net.output]
        parts = (draw_part(draw, draw.pick(kinds), channels, shape) for _ in range(20))
        net = next((more for part in parts if (more := grown(net, part, image))), net)
    return Drawn(net, image)
