"""Given weights: a trained layer as the theory sees it, by its second moment per tap."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..base.checks import check_network, numbers
from ..base.errors import quoted
from ..networks.network import Network
from .sweep.taps import Array

__all__ = ["widening"]


def widening(net: Network, weights: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """How much wider each given kernel is than a flat one: ratio of standard deviations per axis.

    The distribution of a kernel is its mean square per tap (equations 49 and 50); that of a flat one with k
    taps has the variance (k^2 - 1) / 12.  An axis with one tap has ratio 1.

    Parameters
    ----------
    net : Network
        The network.
    weights : mapping of str to array_like
        Weights by the name of the node, ``(out, in, *k)`` or, transposed, ``(in, out, *k)``.  Those of batch
        norms are passed over.

    Returns
    -------
    dict of str to tuple of float
        Of every convolution among `weights`, one ratio per axis.

    Raises
    ------
    ValueError
        If a name is of no node, or a kernel is not finite, all zero, or not of its layer's size.

    See Also
    --------
    predict : Effective receptive field, from theory.

    Examples
    --------
    >>> import numpy as np
    >>> import erfmath as em
    >>> kernel = np.ones((8, 8, 3, 3))
    >>> kernel[:, :, 1, :] = 0                                   # rows at -1 and 1: a variance of 1, not 2/3
    >>> [round(r, 3) for r in em.widening(em.serial(em.Conv(3, 8)), {"conv1": kernel})["conv1"]]
    [1.225, 1.0]
    """
    check_network(net)
    if not isinstance(weights, Mapping) or not all(isinstance(name, str) for name in weights):
        raise TypeError(f"weights={quoted(weights)}: must be a mapping from names of nodes to arrays")
    ratios = {}
    for name, value in weights.items():
        layer = net[name].layer
        if not layer.takes_weights:
            continue
        array = numbers(value, f"weights[{name!r}]", False)
        kernel = tuple(g.kernel for g in layer.geometry(net.dimension(max(array.ndim - 2, 1))))
        if array.shape[2:] != kernel or not np.isfinite(array).all() or not array.any():
            raise ValueError(f"weights: {name} has an array of shape {array.shape}; must be finite, not all zero, of "
                             f"shape (channels, channels, {', '.join(map(str, kernel))})")
        power = (array**2).sum(axis=(0, 1))
        ratios[name] = tuple(_std(power, axis) / math.sqrt((k * k - 1) / 12) if k > 1 else 1.0
                             for axis, k in enumerate(power.shape))
    return ratios


def _std(power: Array, axis: int) -> float:
    line = power.sum(axis=tuple(a for a in range(power.ndim) if a != axis)) / power.sum()
    sites = np.arange(len(line))
    return float(np.sqrt(line @ sites**2 - (line @ sites)**2))
