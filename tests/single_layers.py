"""Single layers of every kind as functions of maps, run by the other half of the package."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from differences import run_window
from generators import Draw
from helpers import ROUNDING, assert_close
from vocabulary import LAYERS

import erfmath as em
from erfmath.empirics.boxes import compile_network
from erfmath.empirics.sampling import parameters_of
from erfmath.layers import Layer

Array = Any
Map = Callable[[Array], Array]

#: Of the maps, and of how many layers of a kind, drawn at random.
CHANNELS, DRAWS = 4, 6


def run_of(layer: Layer, image: tuple[int, ...], channels: int = CHANNELS) -> Map:
    """What a layer does to maps; of layers that differ in how they are written the weights are the same."""
    net, rng = em.serial(layer), np.random.default_rng(0)
    program = compile_network(net, len(image), image=image)
    numbers = {key: p.value + (0.0 if p.std is None else p.std) * rng.standard_normal((1, *p.shape))
               for key, p in parameters_of(net, len(image), CHANNELS, channels).items() if p.random or not p.optional}
    return lambda x: run_window(program, numbers, x).output


def drawn(op: str) -> list[tuple[Layer, Map, Array]]:
    """Layers of a kind, what each does to maps, and a map without negative values."""
    found = []
    for number in range(DRAWS):
        rng, image = np.random.default_rng([zlib.crc32(op.encode()), number]), (7, 8)[:1 + number % 2]
        layer = LAYERS[op](Draw(rng), CHANNELS, image)
        found.append((layer, run_of(layer, image), np.abs(rng.standard_normal((1, CHANNELS, 2, *image)))))
    return found


def close(one: Array, other: Array) -> None:
    assert_close(one, other, ROUNDING, scale=float(np.abs(other).max()))
