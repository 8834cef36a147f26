"""Layers that act on each site without a nonlinearity: scale, dropout, padding, identity."""

from __future__ import annotations


import numpy as np

from ...layers import Dropout, Identity, Layer, Pad, Scale
from ..memory import replace
from ..sweep.covariance import Covariance
from ..sweep.factor import Factor
from ..sweep.lowering import Linear, by_place, separable
from ..sweep.moments import Moments, at as lag_zero
from ..sweep.rows import padding
from ..sweep.sources import Dropped
from ..sweep.taps import Array
from .base import Rule, rule_for
from .context import Above, Before, Below
from .functions import Function

__all__ = ["DropoutRule", "IdentityRule", "PadRule", "ScaleRule"]


@rule_for(Identity)
class IdentityRule(Rule):
    """Nothing happens."""

    def commutes(self, layer: Layer, ndim: int, phi: Function) -> bool:
        return True


@rule_for(Scale)
class ScaleRule(Rule):
    """A number on amplitudes."""

    fields = frozenset({"factor"})

    def lower(self, layer: Scale, sizes: tuple[int | None, ...], c_in: int, c_out: int) -> Linear:  # type: ignore
        return Linear(gain=layer.factor)

    def function(self, layer: Scale) -> Function:  # type: ignore[override]
        factor = layer.factor
        return Function(lambda z: factor * z, lambda z: np.full(z.shape, factor), below=1.0)


@rule_for(Pad)
class PadRule(Rule):
    """One tap of weight 1, off its place, or sites of the map once more."""

    fields = frozenset({"padding", "mode"})

    def lower(self, layer: Pad, sizes: tuple[int | None, ...], c_in: int, c_out: int) -> Linear:  # type: ignore
        geometry = layer.geometry(len(sizes))
        if layer.mode != "zeros" and None not in sizes:
            return Linear(by_place([padding(n, g.pads(n), g.border) for g, n in zip(geometry, sizes) if n is not None],
                                   fold=True))
        plain = tuple(g._replace(border="zeros") for g in geometry)
        return Linear(separable(plain, [np.ones(1)] * len(sizes)))

    def commutes(self, layer: Pad, ndim: int, phi: Function) -> bool:  # type: ignore[override]
        pads = [pad for g in layer.geometry(ndim) for pad in g.pads(None)]
        return layer.mode != "zeros" or max(pads) <= 0 or not phi.value(np.zeros(1)).any()


@rule_for(Dropout)
class DropoutRule(Rule):
    """Noise of each site and channel: q over 1 - p, pairs of sites as they are."""

    fields = frozenset({"p"})

    def keeps_factor(self, op: Linear, mean: bool) -> bool:
        return mean

    def commutes(self, layer: Dropout, ndim: int, phi: Function) -> bool:  # type: ignore[override]
        return phi.below is not None or not layer.p  # of what is dropped nothing is left, and the rest is scaled

    def walk_gain(self, op: Linear, mean: bool) -> float | None:
        return super().walk_gain(op, mean) if mean else None

    def forward(self, at: Before, inputs: list[Moments]) -> Moments:
        m, kept = inputs[0], 1 - at.layer.p  # type: ignore[attr-defined]
        if kept == 1:
            return super().forward(at, inputs)
        values = m.values.copy()
        values[lag_zero(m.lags)] /= kept
        sites = tuple(Dropped.of(m.value(g), 1 - kept).value() for g in range(len(m.sites)))
        return replace(m, values=values, corr_site=m.corr_site * kept, sites=sites, normed=())

    def mean_factor(self, at: Below, factor: Factor) -> Factor:
        return factor

    def backward(self, at: Below, state: Covariance) -> Covariance:
        return state.masked(at.layer.p, at.channels[1])  # type: ignore[attr-defined]

    def transpose(self, at: Above) -> Array:
        values = at.with_lags(at.input).copy()
        values[(slice(None), *lag_zero(at.lags))] /= 1 - at.graph.layers[at.i].p  # type: ignore[attr-defined]
        return values
