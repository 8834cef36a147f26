"""Norms of maps whose channels are of several kinds, however these are put together: they are one function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from generators import Draw
from helpers import REWRITE, assert_close

import erfmath as em

#: Functions with large and small means, curved and not.
FUNCTIONS = ("relu", "leaky_relu", "sigmoid", "hardsigmoid", "softplus", "tanh", "gelu", "identity")


def kind(draw: Draw, ndim: int, channels: int) -> em.Network:
    """Channels of one kind, from any map."""
    conv, act = em.Conv((3,) * ndim, channels, padding=1), em.Activation(draw.pick(FUNCTIONS))
    more = draw.pick([(), (em.AvgPool(3, 1, 1),), (em.BlurPool(3, 1),), (em.residual(em.serial(conv, act)),),
                      (em.MaxPool(3, 1, 1),), (em.residual(em.Conv((1,) * ndim, channels)), act)])
    return em.serial(conv, *draw.pick([(), (em.BatchNorm(),)]), act, *more)


def ways(draw: Draw, norm: Callable[[], em.Layer], parts: list[em.Network], widths: list[int], beside: em.Part
         ) -> dict[str, em.Network]:
    """The norm of some kinds of channels, beside others, written in several ways."""
    order, at = draw.rng.permutation(len(parts)), [int(draw.rng.integers(1, width)) for width in widths]
    split = [em.concat(em.serial(em.Slice(0, k), norm()), em.serial(em.Slice(k, width), norm()))
             for k, width in zip(at, widths)]
    return {
        "in each": em.concat(*[em.serial(part, norm()) for part in parts], beside),
        "after all": em.concat(em.serial(em.concat(*parts), norm()), beside),
        "in another order": em.concat(beside, em.serial(em.concat(*[parts[k] for k in order]), norm())),
        "in pieces": em.concat(*[em.serial(part, pieces) for part, pieces in zip(parts, split)], beside),
    }


def cases(draw: Draw, norm: Callable[[], em.Layer], among: tuple[int, ...]) -> tuple[dict[str, em.Network], Any]:
    """Networks that are one function, and where to look at them."""
    ndim = draw.pick([1, 1, 2])
    widths = [draw.pick(among) for _ in range(draw.pick([2, 3]))]
    parts = [kind(draw, ndim, width) for width in widths]
    stem, conv = em.Conv((3,) * ndim, draw.pick([2, 6]), padding=1), em.Conv((3,) * ndim, 6, padding=1)
    act = em.Activation(draw.pick(FUNCTIONS))
    found = {name: em.serial(stem, whole, act, conv, norm(), conv)
             for name, whole in ways(draw, norm, parts, widths, kind(draw, ndim, 4)).items()}
    return found, {"image": (draw.pick([4, 7, 9] if ndim == 1 else [4, 5]),) * ndim, "channels_in": 2}


@pytest.mark.parametrize("number", range(40))
def test_batch_norms_of_several_kinds_of_channels(number: int) -> None:
    nets, about = cases(Draw(np.random.default_rng([14, number])), em.BatchNorm, (2, 4, 5))
    expected, *others = [em.predict(net, **about) for net in nets.values()]
    for name, other in zip(list(nets)[1:], others):
        assert_close(other.map, expected.map, REWRITE)


def test_patterns_of_several_kinds_of_channels() -> None:
    """Sampled: 1.855 +- 0.007; 1.777 where patterns are not followed through the concatenation."""
    part, conv = functools.partial(em.Conv, (3,), 48, padding=1), em.Conv((3,), 48, padding=1)
    kinds = em.concat(*[em.serial(part(), em.Activation(name)) for name in ("sigmoid", "softplus")])
    net = em.serial(conv, kinds, conv, em.Activation("sigmoid"), conv, em.BatchNorm(), conv)
    assert em.predict(net, image=6, channels_in=48).total == pytest.approx(1.855, rel=0.025)
