"""Nodes of one value, whatever comes in: what they make of the products and sums that read them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...layers import Layer, Scale
from .base import rule_of

__all__ = ["dead", "with_constants"]


def dead(name: str, layer: Layer, given: Mapping[str, Any], c_in: int, c_out: int, ndim: int) -> bool:
    """Whether given weights make a node zero, as those at the end of a residual branch often do at initialisation."""
    if name not in given or np.any(given.get(f"{name}.bias", getattr(layer, "bias", 0.0))):
        return False
    array = np.asarray(given[name])
    if np.any(array[:2] if layer.statistics else array):  # scales and shifts
        return False
    try:
        rule_of(layer).given(layer, array, ndim, c_in, c_out)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return True


def with_constants(i: int, layers: list[Layer], sources: list[tuple[int, ...]], sizes: list[Any], channels: list[int],
                   constant: dict[int, float]) -> tuple[Layer, tuple[int, ...]]:
    """Note whether a node is constant; take constant factors, and terms of zero, out of products and sums."""
    layer, inputs = layers[i], sources[i]
    if len(inputs) == 1:
        below, factor = constant.get(inputs[0]), getattr(layer, "factor", None)
        if factor == 0:
            constant[i] = 0.0
        elif below is not None:
            phi = rule_of(layer).function(layer)
            if phi is not None:
                constant[i] = float(phi.value(np.array([below]))[0])
            elif factor is not None or layer.is_identity:
                constant[i] = below * (1.0 if factor is None else factor)
        return layer, inputs
    rest = tuple(j for j in inputs if j not in constant)
    alike = all(sizes[j] == sizes[i] and channels[j] == channels[i] for j in rest)
    if len(rest) == 1 and alike and layer.multiplies:
        layers[i] = Scale(math.prod(constant[j] for j in inputs if j in constant))
        sources[i] = rest
    elif rest and alike and layer.sums and not any(constant.get(j) for j in inputs):
        sources[i] = rest
    return layers[i], sources[i]
