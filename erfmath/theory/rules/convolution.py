"""Convolutions: random weights, one filter for each channel, equal weights, given ones (equations 16 to 21)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...layers import Conv, ConvTranspose
from ...layers.convolution import Weighted
from ...layers.geometry import AxisGeometry
from ...layers.weights import Constant, Fixed, Random
from ..memory import remembered, replace
from ..sweep import patterns
from ..sweep.covariance import Covariance
from ..sweep.factor import Factor
from ..sweep.few_terms import FewTerms, few, variances_of
from ..sweep.lowering import SAMPLE, Linear, Norm, box, by_place, reach, separable, together
from ..sweep.linear_layers import read_shares, read_sites
from ..sweep.moments import Common, Map, Moments, Tilt, in_parts
from ..sweep.patterns import Known
from ..sweep.rows import padding
from ..sweep.taps import Array, Taps, reads
from . import images
from .alignment import PIXELS, Along, mean, through_random
from .base import Rule, gathered, rule_for
from .context import Above, Before, Below
from .directions import Patterns, Reads, border_patterns, faint, faint_in_place, tap_ratios
from .images import Images
from .neighbours import Passage, through_taps

__all__ = ["ConvolutionRule"]


@rule_for(Conv, ConvTranspose)
class ConvolutionRule(Rule):
    """Weights decide: random ones mix channels and are a fresh source, equal and given ones tie channels."""

    fields = frozenset({"kernel_size", "channels", "stride", "padding", "dilation", "groups", "weights", "padding_mode",
                        "bias", "output_padding"})

    def lower(self, layer: Weighted, sizes: tuple[int | None, ...], c_in: int, c_out: int) -> Linear:  # type: ignore
        geometry, fold = _folded(layer, sizes)
        op = self._lowered(layer, geometry, c_in, c_out)
        return op._replace(fold=fold) if fold else op

    def _lowered(self, layer: Weighted, geometry: tuple[AxisGeometry, ...], c_in: int, c_out: int) -> Linear:
        weights = layer.weights
        kernel = tuple(g.kernel for g in geometry)
        groups = c_in if layer.groups == "depthwise" else layer.groups
        if isinstance(weights, Random):
            gain = weights.gain * c_in / weights.fan_channels(c_in, c_out)
            if layer.transposed:
                gain *= math.prod(g.stride for g in geometry)
            if weights.profile is None:
                return Linear.random(box(geometry), gain, groups)
            parts = weights.variances(kernel)
            if len(parts) < len(kernel):  # a product of lines is followed along each axis
                taps = _factors(geometry, parts[0])
                if len(taps) < len(kernel):
                    return Linear.random(together(geometry, parts[0]), gain, groups)
                parts = [line.weights.ravel() / line.weights.sum() for line in taps]
            return Linear.random(separable(geometry, parts), gain, groups)
        if isinstance(weights, Constant):
            return Linear(box(geometry), groups=groups, equal=not groups == c_in == c_out)
        assert isinstance(weights, Fixed)
        if weights.per_channel(len(kernel)):
            return Linear(_factors(geometry, weights.array))
        if groups == c_in == c_out and (weights.array == weights.array[0]).all():
            return Linear(_factors(geometry, weights.array[0, 0]))
        matrix = weights.array if not layer.transposed else np.swapaxes(weights.array, 0, 1)
        if layer.transposed and groups > 1:  # (in, out/groups, *k) -> (out, in/groups, *k)
            parts = np.split(weights.array, groups, axis=0)
            matrix = np.concatenate([np.swapaxes(part, 0, 1) for part in parts])
        return Linear(together(geometry, np.ones(kernel)), groups=groups, matrix=matrix)

    def given(self, layer: Weighted, weights: Any, ndim: int, c_in: int, c_out: int  # type: ignore[override]
              ) -> tuple[Linear, Norm | None]:
        """The mean square per tap of `weights`, with zero mean and channels alike (equations 49 and 50).

        `weights` has the shape of `Fixed`: (out, in / groups, *k), transposed (in, out / groups, *k).
        """
        need, array = layer.weight_shape(c_in, c_out, ndim), np.asarray(weights, dtype=float)
        if array.shape != need or not np.isfinite(array).all():
            raise ValueError(f"weights: an array of shape {array.shape}; must be finite, of shape {need}")
        power = (array**2).sum(axis=(0, 1)) / c_out
        total = float(power.sum())
        groups = c_in if layer.groups == "depthwise" else layer.groups
        flat = np.full(power.shape, 1 / power.size)  # of a kernel of zeros, nothing that passes it is of any shape
        taps = Taps(tuple(range(ndim)), layer.geometry(ndim), power / total if total else flat)
        return Linear.random((taps,), total, groups), None

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        after = self._made(at, inputs[0])
        return after if not at.gates.products or not at.op.fresh else after.with_map(_map(at, inputs[0]))

    def _made(self, at: Before, m: Moments) -> Moments:
        graph, op = at.graph, at.op
        if op.ties_channels:
            raise NotImplementedError("a gate in a network with weights that are equal or given for all "
                                      f"channels: {SAMPLE}")
        if op.fresh:
            if at.met and not m.gaussian and self._few(at):
                return self._of_few(at, m)
            if len(m.cov_far) > 1:
                m = m.mixed(graph.mixture(at.i))
            if op.in_place and at.i not in graph.biases:
                gain = op.gain * math.prod([taps.weights.item() for taps in op.taps])
                return self._tilted(at, m, m.with_lags(at.want).multiple(
                    gain, m.cov_far * gain, m.corr_site, (None,) * len(m.cov_far), m.common))
        return self._tilted(at, m, super().forward(at, [m]))

    @staticmethod
    def _few(at: Before) -> bool:
        """Whether its sums are of few terms, whatever the width: those of groups of few channels."""
        if at.op.groups == 1 or at.layer.transposed:
            return False
        inputs = at.graph.channels[at.source] // at.op.groups
        return few(math.prod(taps.weights.size for taps in at.op.taps), inputs)

    def _of_few(self, at: Before, m: Moments) -> Moments:
        """With what sums of few values are, where they are of one kind of channel, which is not Gaussian."""
        mixture = at.graph.mixture(at.i)
        after = self._tilted(at, m.mixed(mixture), super().forward(at, [m.mixed(mixture)]))
        inputs = at.graph.channels[at.source] // at.op.groups
        variances = variances_of([taps.weights for taps in at.op.taps], inputs)
        alone = [int(np.argmax(share)) if share.max() > 1 - 1e-9 else -1 for share in mixture]
        sites = tuple(None if g < 0 or m.sites[g] is None or m.value(g).plain else
                      FewTerms.of(m.value(g), variances).value() for g in alone)
        return replace(after, sites=sites) if any(sites) and alone == list(range(len(m.sites))) else after

    def shared(self, at: Before, inputs: Sequence[Moments], after: Moments) -> Known:
        if at.i in at.graph.biases:
            return (None,) * len(after.sites)
        if not at.op.fresh:
            return super().shared(at, inputs, after)
        known = at.gates.shared.get(at.source, (None,) * len(inputs[0].sites))
        found = [patterns.mixed(inputs[0], known, share) for share in at.graph.mixture(at.i)]
        return tuple([None if one is None else patterns.through_random(
            at.op, one, at.extents[at.source], at.extents[at.i]) for one in found])

    def images(self, at: Before, inputs: Sequence[Moments], after: Moments) -> Images | None:
        op, m = at.op, inputs[0]
        if not op.fresh or at.layer.transposed:
            return super().images(at, inputs, after)
        if m.pixels is None:
            known = at.gates.images.get(at.source)
            return None if known is None else images.through_random(op, known)
        geometry = [g for taps in op.taps for g in taps.geometry]
        return None if op.fold or op.groups > 1 else images.of_pixels(
            m.pixels, _weights(op), [g.dilation for g in geometry], [g.stride for g in geometry],
            at.graph.channels[at.source], float(after.average[0] - after.cov_far[0]))

    def along(self, at: Before, inputs: Sequence[Moments]) -> list[Along]:
        if not at.op.fresh:
            return super().along(at, inputs)
        taps, q = math.prod(taps.weights.size for taps in at.op.taps), inputs[0].average
        below = at.gates.along.get(at.source, [PIXELS] * len(q))
        shares = in_parts(at.graph.mixture(at.i) * (q if q.any() else 1.0)) / len(q)  # led back along values
        return [through_random(mean(below, share), at.graph.channels[at.source], at.op.groups, taps,
                               at.sites_per_input) for share in shares.tolist()]

    def evenly(self, at: Before, left: float) -> float:
        if not at.op.fresh:
            return super().evenly(at, left)
        sizes, extent = at.graph.sizes[at.source], at.graph.sizes[at.i]
        return 1 - (1 - left * gathered(at.op.folding, sizes, at.op.padded(sizes))) * _evenness(at.op, sizes, extent)

    @staticmethod
    def _tilted(at: Before, m: Moments, after: Moments) -> Moments:
        """With what a batch norm would do to single taps, where few directions carry the variance; found if it asks."""
        op, graph = at.op, at.graph
        if not op.fresh or at.layer.transposed or at.i in graph.biases:
            return after
        channels, sizes = graph.channels[at.source] // op.groups, graph.sizes[at.source]
        if m.pixels is None and (None in sizes or op.fold or len(m.cov_far) > 1 or not m.coupled):
            return after
        ratios: Callable[[], Patterns | None]
        if m.pixels is not None:
            dilation = tuple(g.dilation for taps in op.taps for g in taps.geometry)
            ratios = functools.partial(tap_ratios, m.pixels, _weights(op), dilation, channels)
        else:
            ratios = functools.partial(
                _patterns, m.common or Common(functools.partial(in_parts, m.second)), m.alike, float(m.cov_far[0]),
                float(m.average[0] - m.cov_site[0]), op, sizes, graph.sizes[at.i], channels)
        after.tilts = (Tilt(0, (at.i,), ratios),)
        return after

    def passage(self, layer: Weighted, op: Linear, ndim: int) -> Passage | None:  # type: ignore[override]
        if not op.fresh or layer.transposed or len(op.taps) != ndim or op.fold:
            return None
        return Passage(lambda axis, line, m, level, n_out: through_taps(line, level, op.taps[axis], n_out),
                       by_level=True)

    def backward(self, at: Below, state: Covariance) -> Covariance:
        op = self._as_normed(at, at.op)
        if not op.fold:
            return self._below(at, state, op, at.sizes, at.lags)
        # Lags that the padding folds onto those below, as far as there are any.
        apart = tuple(map(min, zip(reach(op.folding, at.lags, back=False), reach(op.unfolded, state.lags, back=True))))
        below = self._below(at, state, op.unfolded, op.padded(at.sizes), apart)
        return below.through_fixed(op.folding, at.sizes, at.lags)

    def number(self, at: Below) -> float | None:
        op, graph = at.op, at.graph
        if not (op.fresh and op.in_place and op.groups == len(graph.groups[at.i]) == len(graph.groups[at.j]) == 1):
            return None
        return op.gain * math.prod(taps.weights.item() for taps in self._as_normed(at, op).taps)

    @staticmethod
    def _as_normed(at: Below | Above, op: Linear) -> Linear:
        """With the power of its taps as a batch norm right after it leaves it."""
        if at.i not in at.gates.tilts:
            return op
        geometry = tuple(g for taps in op.taps for g in taps.geometry)
        weights = np.asarray(_weights(op) * at.gates.tilts[at.i])
        if max(weights.shape) == weights.size:  # along one axis
            only = int(np.argmax(weights.shape))
            return op._replace(taps=separable(geometry, [weights.ravel() if axis == only else np.ones(1)
                                                         for axis in range(weights.ndim)]))
        return op._replace(taps=together(geometry, weights))

    def _below(self, at: Below, state: Covariance, op: Linear, sizes: tuple[int | None, ...], lags: tuple[int, ...]
               ) -> Covariance:
        c_in, c_out = at.channels
        if op.fresh:
            return state.through_random(op, sizes, lags, at.graph.mixture(at.i), c_in)
        if op.equal:
            return state.through_constant(op, sizes, lags, c_in, c_out, at.graph.shares(at.j))
        if op.matrix is None:
            return state.through_fixed(op, sizes, lags)
        if len(at.graph.groups[at.j]) > 1:
            raise NotImplementedError(f"given weights that mix channels right after a concatenation: {SAMPLE}")
        return state.through_full(op, sizes, lags)

    def factor(self, at: Below, factor: Factor) -> Factor:
        below = self._factor(at, factor, at.op.unfolded, at.op.padded(at.sizes))
        return below.through(at.op.folding, at.sizes) if at.op.fold else below

    def _factor(self, at: Below, factor: Factor, op: Linear, sizes: tuple[int | None, ...]) -> Factor:
        if op.matrix is not None:
            return factor.through_full(op, sizes)
        if not op.equal:
            return factor.through(op, sizes)
        c_in, c_out = at.channels
        if at.plan.channels == "explicit":
            return factor.through_constant(op, sizes, c_in, c_out)
        below = factor.through(op, sizes).times((c_out / c_in)**0.5)
        below.values[1:] = 0  # directions other than that of equal channels end here
        return below

    def transpose(self, at: Above) -> Array:
        values = at.input
        if at.op.fresh and values.shape[1] > 1:
            values = np.einsum("hg,fg...->fh...", at.graph.mixture(at.i), values)
        return at.linear(self._as_normed(at, at.op), values, at.lags)


def _patterns(common: Common, alike: bool, shared: float, own: float, op: Linear, sizes: tuple[int | None, ...],
              out: tuple[int | None, ...], channels: int) -> Patterns | None:
    """What a batch norm makes of values that have a mean, which borders make a pattern of; axes may be `alike`."""
    if not own > 0 or op.in_place and faint_in_place(channels * shared / own, channels, common()):
        return None
    lines = common.lines(alike)
    axes = [(taps.weights, lines[axis], g, sizes[axis] or 1, out[axis] or 1)
            for taps in op.taps for axis, g in zip(taps.axes, taps.geometry)]
    each = axes[:1] if alike else axes
    times = len(axes) // len(each)
    for _, line, *_ in each:
        if np.minimum.reduce(line) < 0:
            return None  # filters that turn the sign of the mean here and there leave no product of lines
    if op.by_axes and faint(channels * shared / own, channels, [
            (power, np.dot(read := read_shares(*how), line), np.dot(read, line * line)) for power, line, *how in each],
            times):
        return None
    weights = tuple([(taps.weights.tobytes(), taps.weights.shape) for taps in op.taps])
    return _border_patterns(shared / own, weights, times, tuple([(line.tobytes(), *how) for _, line, *how in each]),
                            channels)


@remembered(256, lasting=False)
def _border_patterns(shared: float, weights: tuple[tuple[bytes, tuple[int, ...]], ...], times: int,
                     lines: tuple[tuple[bytes, AxisGeometry, int, int], ...], channels: int) -> Patterns | None:
    """The same of lines of means that taps read, each along so many axes: layers and networks share many."""
    reads = []
    for line, *how in lines:
        z, inside = read_sites(*how)
        reads.append(Reads.of((inside * np.frombuffer(line)[z]).T))  # the mean is lower near borders
    taps = [np.frombuffer(each).reshape(shape) for each, shape in weights]
    return border_patterns(1.0, shared, functools.reduce(np.multiply.outer, taps), times * reads, channels)


def _map(at: Before, m: Moments) -> Map | None:
    """What the values are made from, where their weights tell nothing of it but what its channels have in common.

    A depthwise layer reads one channel: what others read, too, is the map further down.
    """
    known, inputs, q = m.made_from, at.graph.channels[at.source] // at.op.groups, float(m.average.mean())
    if inputs > 1 and q:
        alone = (1 + (float(m.cov_far.mean()) / q)**2) / inputs, (np.ones(1),) * m.ndim
        known = Map(at.source, (alone, *(known.parts if known is not None else ())))
    return None if known is None else known.through(at.op.taps)


def _weights(op: Linear) -> Array:
    """The taps' weights over all axes."""
    return np.asarray(functools.reduce(np.multiply.outer, [taps.weights for taps in op.taps]))


def _evenness(op: Linear, sizes_in: tuple[int | None, ...], sizes: tuple[int | None, ...]) -> float:
    """Of a gradient that is the same at all sites above, the part of its power that is so below.

    Each tap hands it to the sites that are read through it, which near borders and under strides are not all.
    """
    fold, total = {taps.axes[0]: taps.rows for taps in op.fold}, 1.0
    padded = op.padded(sizes_in)
    for taps in op.taps:
        for axis, g in zip(taps.axes, taps.geometry):
            n, m = padded[axis], sizes[axis]
            if n is None or m is None:
                continue
            z, hit = reads(g, np.arange(m), n)
            hit = hit & (z >= 0) & (z < n)
            counts = np.stack([np.bincount(z[hit[:, a], a], minlength=n) for a in range(g.kernel)])
            rows = fold.get(axis)
            if rows is not None:
                counts = counts @ rows.matrix
            square = (counts**2).mean(axis=1).sum()
            total *= float((counts.mean(axis=1)**2).sum() / square) if square else 1.0
    return total


def _folded(layer: Weighted, sizes: tuple[int | None, ...]) -> tuple[tuple[AxisGeometry, ...], tuple[Taps, ...]]:
    """The geometry, and on an image the padding by what the map holds that comes first."""
    geometry = layer.geometry(len(sizes))
    if getattr(layer, "padding_mode", "zeros") == "zeros":
        return geometry, ()
    plain = tuple(g._replace(border="zeros") for g in geometry)
    if None in sizes:
        return plain, ()
    fold = by_place([padding(n, g.pads(n), g.border) for g, n in zip(geometry, sizes) if n is not None], fold=True)
    return tuple(g._replace(padding=(0, 0)) for g in plain), fold


def _factors(geometry: tuple[AxisGeometry, ...], array: Array) -> tuple[Taps, ...]:
    """One filter per axis where the given filter is their exact product, else the filter itself."""
    pivot = np.unravel_index(np.argmax(np.abs(array)), array.shape)
    peak = array[pivot]
    if array.ndim > 1 and peak != 0:
        lines = [array[pivot[:axis] + (slice(None),) + pivot[axis + 1:]] / peak for axis in range(array.ndim)]
        product = peak * math.prod(np.ix_(*lines))
        if np.allclose(product, array, rtol=1e-14, atol=0):
            return separable(geometry, [peak * lines[0], *lines[1:]])
    return together(geometry, array) if array.ndim > 1 else separable(geometry, [array])
