"""A layer between two maps as taps: what a sweep has to know of it to move values and gradients along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...layers.geometry import AxisGeometry
from ..memory import lazy, remembered
from .rows import Rows
from .taps import Array, Taps

__all__ = ["Linear", "Norm", "SAMPLE", "box", "by_place", "reach", "separable", "together"]

SAMPLE = "the theory has no rule for it; use erfmath.measure"


class _Fields(NamedTuple):
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
    fold: tuple[Taps, ...] = ()
    opened: Callable[[Array], Array] | None = None


class Linear(_Fields):
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
    fold : tuple of Taps
        A fixed layer that the input passes first: padding by what the map holds.
    opened : callable, optional
        Where it routes: from numbers of sites to how often, per group, the gate of the winner of so many is open.
    gate : bool
        Whether values are multiplied by what depends on them: an activation or a normalisation.
    """

    @staticmethod
    def random(taps: tuple[Taps, ...], gain: float, groups: int) -> Linear:
        """Independent weights of zero mean, whose variances are the taps."""
        return Linear(taps, gain, groups=groups, fresh=True, zero_mean=True, variances=True)

    @lazy
    def folding(self) -> Linear:
        """The fixed layer that the input passes first."""
        return Linear(self.fold)

    @lazy
    def unfolded(self) -> Linear:
        """What comes after it."""
        return self._replace(fold=())

    @property
    def evenly(self) -> Linear:
        """Windows that hand what they have to all their sites alike."""
        return self._replace(taps=tuple(taps._replace(weights=np.full(taps.weights.shape, 1 / taps.weights.size))
                                        for taps in self.taps), routes=False, inside_only=True, gain=1.0)

    @lazy
    def in_place(self) -> bool:
        """Whether each site reads itself alone: values times a number, or mixed channels."""
        return not self.fold and all(taps.trivial for taps in self.taps)

    @lazy
    def by_axes(self) -> bool:
        """Whether taps are products over axes."""
        return all(len(taps.axes) == 1 for taps in self.taps)

    @lazy
    def by_rows(self) -> bool:
        """Whether weights depend on the place, and not by a padding of the map alone."""
        return any(taps.rows is not None and not taps.rows.fold for taps in self.taps)

    def folded_as(self, other: Linear) -> Linear:
        """The same after what the input of another passes first."""
        if not other.fold:
            return self
        return self._replace(fold=other.fold, taps=tuple(taps._replace(geometry=tuple(
            g._replace(padding=(0, 0), border="zeros") for g in taps.geometry)) for taps in self.taps))

    def padded(self, sizes: tuple[Any, ...]) -> tuple[Any, ...]:
        """Sites of the map after `folding`."""
        out = list(sizes)
        for taps in self.fold:
            assert taps.rows is not None
            out[taps.axes[0]] = len(taps.rows.matrix)
        return tuple(out)

    @property
    def ties_channels(self) -> bool:
        """Whether the channels below are correlated, by weights that are no random ones."""
        return self.equal or self.matrix is not None

    @lazy
    def like_axes(self) -> bool:
        """Whether a layer of one `Taps` an axis, or none, does the same along all of them."""
        first = self.taps[0] if self.taps else None
        return not self.fold and all(
            first is not None and taps.rows is first.rows and taps.geometry == first.geometry
            and (taps.weights is first.weights or np.array_equal(taps.weights, first.weights))
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
    weights = {g.kernel: np.full(g.kernel, 1 / g.kernel) for g in geometry}
    return separable(geometry, [weights[g.kernel] for g in geometry])


def together(geometry: tuple[AxisGeometry, ...], weights: Array) -> tuple[Taps, ...]:
    """Taps of one filter over all axes."""
    return (Taps(tuple(range(len(geometry))), geometry, weights),)


def by_place(matrices: Sequence[Array | None], fold: bool = False) -> tuple[Taps, ...]:
    """Taps of one matrix (sites out, sites in) an axis; None, and the identity, leave an axis as it is."""
    found = []
    for axis, matrix in enumerate(matrices):
        square = matrix is not None and matrix.shape[0] == matrix.shape[1]
        if matrix is not None and not (square and np.array_equal(matrix, np.eye(len(matrix)))):
            rows = Rows(matrix, fold)
            found.append(Taps((axis,), (AxisGeometry(len(rows.typical)),), rows.typical, rows))
    return tuple(found)


def reach(op: Linear, lags: tuple[int, ...], back: bool) -> tuple[int, ...]:
    """Lags before a layer that reach those after it (`back`), or after that come from those before."""
    if op.fold:
        first, second = (op.unfolded, op.folding) if back else (op.folding, op.unfolded)
        return reach(second, reach(first, lags, back), back)
    if not op.taps or (op.variances and not any(lags)):
        return lags
    out = list(lags)
    for taps in op.taps:
        if taps.rows is not None:
            axis, = taps.axes
            out[axis] = (taps.rows if back else taps.rows.transposed).reach(lags[axis])
            continue
        for axis, g in zip(taps.axes, taps.geometry):
            spread = 0 if op.variances else g.extent - 1
            grows = g.transposed != back  # the other side's lattice is the finer one
            out[axis] = lags[axis] * g.stride + spread if grows else (lags[axis] + spread) // g.stride
    return tuple(out)
