"""A layer between two maps as taps: what a sweep has to know of it to move values and gradients along."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...layers.geometry import AxisGeometry
from ..memory import remembered
from .taps import Array, Taps

__all__ = ["Linear", "Norm", "SAMPLE", "box", "reach", "separable", "together"]

SAMPLE = "the theory has no rule for it; use erfmath.measure"


class Linear(NamedTuple):
    """A layer between two maps.

    Attributes
    ----------
    taps : tuple of Taps
        One per axis if separable, else one for all axes; none where each site is by itself.
    gain : float
        On power where taps are variances, on amplitude otherwise.
    inside_only : bool
        Whether windows at the border share their weight among the sites inside.
    groups : int
        Groups of channels that do not mix.
    fresh : bool
        Whether what lies below is uncorrelated with what lies above: a new source of gradients.
    zero_mean : bool
        Whether the mean gradient below is zero.
    variances : bool
        Whether taps are variances, of sum 1, so that both values of a pair pass the same one; else amplitudes.
    equal : bool
        Whether all channels of a group have the same weight, and are summed.
    matrix : ndarray, optional
        Given weights that mix channels, ``matrix[out, in, *tap]``.
    routes : bool
        Whether each output hands its gradient to one of the sites that it reads.
    gate : bool
        Whether values are multiplied by what depends on them: an activation or a normalisation.
    """

    taps: tuple[Taps, ...] = ()
    gain: float = 1.0
    inside_only: bool = False
    groups: int = 1
    fresh: bool = False
    zero_mean: bool = False
    variances: bool = False
    equal: bool = False
    matrix: Array | None = None
    gate: bool = False
    routes: bool = False

    @staticmethod
    def random(taps: tuple[Taps, ...], gain: float, groups: int) -> Linear:
        """Independent weights of zero mean, whose variances are the taps."""
        return Linear(taps, gain, groups=groups, fresh=True, zero_mean=True, variances=True)

    @property
    def ties_channels(self) -> bool:
        """Whether the channels below are correlated, by weights that are no random ones."""
        return self.equal or self.matrix is not None

    @property
    def like_axes(self) -> bool:
        """Whether a layer of one `Taps` an axis, or none, does the same along all of them."""
        return all(taps.geometry == self.taps[0].geometry and np.array_equal(taps.weights, self.taps[0].weights)
                   for taps in self.taps[1:])


class Norm(NamedTuple):
    """A trained batch norm, averaged over channels: E[scale^2 / variance], E[scale^2], E[shift^2]."""

    gain: float
    scale: float
    shift: float


def separable(geometry: tuple[AxisGeometry, ...], weights: Any) -> tuple[Taps, ...]:
    """Taps of one filter an axis."""
    return tuple(Taps((axis,), (g,), np.asarray(w)) for axis, (g, w) in enumerate(zip(geometry, weights)))


@remembered(256)
def box(geometry: tuple[AxisGeometry, ...]) -> tuple[Taps, ...]:
    """Equal weights of sum 1 along each axis; many layers have the same."""
    return separable(geometry, [np.full(g.kernel, 1 / g.kernel) for g in geometry])


def together(geometry: tuple[AxisGeometry, ...], weights: Array) -> tuple[Taps, ...]:
    """Taps of one filter over all axes."""
    return (Taps(tuple(range(len(geometry))), geometry, weights),)


def reach(op: Linear, lags: tuple[int, ...], back: bool) -> tuple[int, ...]:
    """Lags before a layer that reach those after it (`back`), or after that come from those before."""
    if not op.taps or (op.variances and not any(lags)):
        return lags
    out = list(lags)
    for taps in op.taps:
        for axis, g in zip(taps.axes, taps.geometry):
            spread = 0 if op.variances else g.extent - 1
            grows = g.transposed != back  # the other side's lattice is the finer one
            out[axis] = lags[axis] * g.stride + spread if grows else (lags[axis] + spread) // g.stride
    return tuple(out)
