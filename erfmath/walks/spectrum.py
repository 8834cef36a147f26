"""Modes of kernels of many taps: one FFT of each kernel gives all of them.

The sums of `charfun` cost a pass over the taps and their lags for each mode; their accuracy is needed where abs(f)
is near 1, which for a wide kernel is so at few modes.  Everywhere else log f from an FFT is as good: its error is
that of the transform over abs(f), while the mode itself is as small as abs(f)^n (equations W7 and W9).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2, pi, prod

import numpy as np
from numpy.typing import NDArray

from .charfun import log_phi
from .steps import Block

__all__ = ["dense_phases", "worthwhile"]

#: Taps of the largest kernel from which on one transform of the torus costs less than the sums.
_TAPS = 64
#: Layers up to which the certificate of equation (W9), at most one unit a layer, cannot discard modes.
_DEPTH = 512
#: Sites transformed per tap beyond that depth, where few modes matter.
_PER_TAP = 256
#: Modulus of f up to which the transform is used.
_NEAR = 0.7


def worthwhile(blocks: Sequence[Block], period: Sequence[int]) -> bool:
    """Whether transforms of all kernels cost less than sums over their taps."""
    taps = max((len(block.taps) for block in blocks), default=0)
    rows = sum(len(block.counts) for block in blocks)
    depth = sum(block.depth for block in blocks)
    return taps >= _TAPS and (depth <= _DEPTH or rows * prod(period) <= _PER_TAP * taps)


def dense_phases(blocks: Sequence[Block], origin: Sequence[int], fraction: Sequence[float], period: tuple[int, ...],
                 nats: float) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which modes are certainly not below exp(-nats), and their log abs(phi), arg phi and rounding.

    Parameters
    ----------
    blocks : sequence of Block
        The layers.
    origin, fraction : per axis
        Mean of the distribution: an integer, and the rest.
    period : tuple of int
        Sides of the torus.
    nats : float
        Modes with abs(phi) < exp(-nats) are left out.

    Returns
    -------
    kept : array of bool, shape (..., period[-1] // 2 + 1)
        Modes of the half grid of a real transform, in its order.
    phases : array, shape (3, number of modes kept)
        As `charfun.log_phi` gives them: about the mean, rounding in units of eps.
    """
    half = (*period[:-1], period[-1] // 2 + 1)
    most, logs, args, noise, largest = (np.zeros(half) for _ in range(5))
    for block in blocks:
        where = tuple((block.taps % np.array(period)).T)
        for row, n in zip(block.pmf, block.n):
            lattice = np.zeros(period)
            np.add.at(lattice, where, row)
            f = np.fft.rfftn(lattice)
            size = np.abs(f)
            error = np.sqrt(row @ row) * (1 + log2(prod(period)) / 2)
            size = np.maximum(size, 1e-300)
            most += n * np.log(np.minimum(size + 64 * np.finfo(float).eps * error, 1))
            logs += n * np.log(size)
            args -= n * np.angle(f)
            noise += n * (2 + error / size)
            np.maximum(largest, size, out=largest)
    kept = most > -nats
    kept[(0,) * len(period)] = True
    modes = np.argwhere(kept)
    modes = np.where(2 * modes > np.array(period), modes - np.array(period), modes)
    turns = sum((modes[:, axis] * (whole % length) % length + modes[:, axis] * rest) / length
                for axis, (whole, rest, length) in enumerate(zip(origin, fraction, period)))
    phases = np.stack([logs[kept], args[kept] - 2 * pi * turns, noise[kept]])
    near = largest[kept] >= _NEAR
    for some in np.array_split(np.flatnonzero(near), near.sum() * max(len(b.taps) for b in blocks) // (1 << 21) + 1):
        phases[:, some] = log_phi(blocks, modes[some], period)
    return kept, phases
