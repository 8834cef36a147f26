"""Finite width: the sampled E[g^2] of narrow ReLU chains against the theory (equations 51 to 54)."""

from __future__ import annotations

import numpy as np

from . import Table

__all__ = ["run"]


def run(quick: bool = False) -> Table:
    """Variance and total of the map, measured over theory, for chains of 3x3 ReLU layers."""
    import erfmath as em

    rows = []
    for layers, draws in ((5, 400),) if quick else ((10, 160_000), (20, 80_000)):
        net = em.repeat(em.serial(em.Conv(3), em.Activation("relu")), layers)
        theory = em.predict(net)
        for width in (4, 8) if quick else (2, 4, 8, 16):
            count = draws // width
            measured = em.measure(net, draws=count, width=width, channels_in=width, rng=0)
            ratio = float(np.mean((measured.std / theory.std)**2))
            error = 2 * float(np.mean(measured.std_stderr / theory.std)) / 2**0.5  # of two axes
            rows.append((layers, width, count, f"{ratio:.4f}", f"{error:.4f}",
                         f"{measured.total / theory.total:.3f}", f"{measured.total_stderr / theory.total:.3f}"))
    return Table("Finite width: 3x3 convolutions with ReLU, E[g^2] sampled / theory",
                 ("layers", "width", "draws", "variance", "+-", "total", "+-"), tuple(rows),
                 ("Theory says 1 at every width; narrow networks differ in how far single draws scatter.",))
