"""Walks that the tests of several methods share."""

from __future__ import annotations

import numpy as np

from erfmath.lattice import kernels

PLANE = [(kernels.uniform((3, 2)), (2, 1), 4), (kernels.binomial((2, 3)), 1, 3)]
RNG = np.random.default_rng(3)
CASES = {
    "uniform": [(kernels.uniform(3), 1, 400)],
    "uneven": [(kernels.from_weights([.7, .2, .1]), 1, 300)],
    "wide": [(kernels.uniform(31), 1, 60)],
    "strides": [(kernels.from_weights([1, 2, 3, 4, 5]), j, 20) for j in (1, 2, 4, 8)],
    "comb": [(kernels.uniform(3), 16, 10), (kernels.uniform(3), 1, 30)],
    "even lattice": [(kernels.corners(3), 3, 70)],
    "nearly even": [(kernels.from_weights([1, 1e-9, 1]), 1, 300)],
    "Poisson": [(kernels.from_weights([.99, .01]), 1, 800)],
    "mirrored": [(kernels.from_weights([1, 2, 5]), -2, 80), (kernels.binomial(3), 1, 50)],
    "residual": [(kernels.residual(kernels.uniform(3).centred(), .9, .1), 1, 500)],
    "plus": [(kernels.from_weights([[0, 1, 0], [1, 1, 1], [0, 1, 0]]), 1, 24)],
    "parity": [(kernels.from_weights([[0, 1, 0], [1, 0, 1], [0, 1, 0]]), 1, 24)],
    "diagonal": [(kernels.from_weights([[1, 0], [0, 3]]), 1, 30)],
    "mixed": [(kernels.LatticeDistribution(RNG.integers(1, 9, (3, 3))), 1, 15),
              (kernels.uniform((3, 2)), (2, 1), 5)],
    "cube": [(kernels.LatticeDistribution(np.arange(1, 28).reshape(3, 3, 3)), 1, 5)],
}
SYMMETRIC, SKEWED = kernels.uniform(3), kernels.from_weights([7, 2, 1])
