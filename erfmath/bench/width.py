"""Finite width: the sampled E[g^2] of narrow chains against the theory (docs/theory.md, section 14)."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np

from ..empirics.measure import measure
from ..theory.predict import predict
from . import Table
from .accuracy import plain

__all__ = ["run"]


class _Chain(NamedTuple):
    """Layers of 3x3 convolutions and an activation, and how often they are drawn."""

    function: str
    layers: int
    width: int
    inputs: int
    draws: int


CHAINS = (
    *(_Chain("relu", layers, width, width, draws // width)
      for layers, draws in ((10, 160_000), (20, 80_000)) for width in (2, 4, 8, 16)),
    *(_Chain("gelu", 10, *case) for case in ((16, 3, 10_000), (16, 16, 10_000), (64, 64, 2000))),
    *(_Chain("gelu", 20, *case) for case in ((16, 3, 16_000), (64, 3, 3000), (64, 64, 3000))),
    _Chain("silu", 10, 16, 16, 16_000), _Chain("silu", 10, 64, 64, 3000),
    _Chain("elu", 20, 16, 16, 4000), _Chain("tanh", 20, 16, 16, 4000),
)
QUICK = (_Chain("relu", 5, 4, 4, 100), _Chain("relu", 5, 8, 8, 50), _Chain("gelu", 5, 8, 8, 50))


def run(quick: bool = False) -> Table:
    """Variance and total of the map, measured over theory."""
    workers = 1 if quick else os.cpu_count() or 1
    return Table("Finite width: 3x3 convolutions with activations, E[g^2] over that of infinitely many channels",
                 ("layers", "", "width", "inputs", "draws", "variance", "+-", "first order", "total", "+-"),
                 tuple(_cells(chain, workers) for chain in (QUICK if quick else CHAINS)),
                 ("variance of the map and its total as sampled; first order: of the variance, by",
                  "predict(method='finite_width'); inputs: channels of the input"))


def _cells(chain: _Chain, workers: int) -> tuple[Any, ...]:
    net = plain(chain.function, chain.layers)(chain.width)
    about: dict[str, Any] = {"width": chain.width, "channels_in": chain.inputs}
    limit, first = (predict(net, method=method, **about) for method in ("exact", "finite_width"))
    measured = measure(net, draws=chain.draws, rng=0, workers=workers, **about)
    error = 2 * float(np.mean(measured.std_stderr / limit.std)) / 2**0.5  # of two axes
    sampled, theory = (float(np.mean((erf.std / limit.std)**2)) for erf in (measured, first))
    return (chain.layers, chain.function, chain.width, chain.inputs, chain.draws, f"{sampled:.4f}", f"{error:.4f}",
            f"{theory:.4f}", f"{measured.total / limit.total:.3f}", f"{measured.total_stderr / limit.total:.3f}")
