"""Upsampling: a fixed transposed filter."""

from __future__ import annotations

from ...layers import Upsample
from ..sweep.lowering import Linear, separable
from .base import Rule, rule_for

__all__ = ["UpsampleRule"]


@rule_for(Upsample)
class UpsampleRule(Rule):
    """A box, or a triangle that is clamped at the edge."""

    fields = frozenset({"scale", "mode"})

    def lower(self, layer: Upsample, sizes: tuple[int | None, ...], c_in: int, c_out: int) -> Linear:  # type: ignore
        geometry = layer.geometry(len(sizes))
        return Linear(separable(geometry, [layer.axis_weights(g.stride) for g in geometry]),
                      inside_only=layer.mode == "bilinear")
