"""What is true of one layer, as its spec tells: it does nothing, is linear, goes channel by channel, commutes.

Sums, concatenations, factors and functions of values change places with layers of which these are true.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...layers import AvgPool, BlurPool, Conv, ConvTranspose, Layer, MaxPool, Pad, Scale, Upsample
from ...layers.geometry import SITE, AxisGeometry
from ...layers.weights import Constant, Fixed
from ..memory import remembered
from .base import rule_of
from .functions import Function
from .order import rises

__all__ = ["absorbs", "before_doubling", "by_channel", "commutes", "copies", "curved", "drawn", "filters",
           "function_of", "homogeneous", "keeps_positive", "like", "linear", "nothing", "odd", "of_copies", "of_sites",
           "plain", "rising", "slope_below", "spares_positive", "spreads", "unnamed"]

Array = npt.NDArray[np.float64]
#: Values above and below zero at which functions are compared.
_RISING = np.sinh(np.linspace(0, 17, 3401)[1:])
_FALLING = -_RISING
#: Fields that tell the windows of a layer, in one of several ways.
WINDOW = frozenset({"kernel_size", "stride", "padding", "dilation", "padding_mode", "output_padding", "scale"})
#: Those of them that tell windows apart wherever they are written in one way.
TELLING = frozenset({"kernel_size", "stride", "scale"})
#: What rounding leaves of zero in functions put together of several.
SMALL = 1e-12


def _of_functions(question: Callable[..., bool]) -> Callable[..., bool]:
    """Ask layers what is true of their functions, of each function once; no where one is not known or not finite."""
    @remembered(256)
    def answer(*functions: Function) -> bool:
        try:
            return question(*functions)
        except NotImplementedError:
            return False

    @functools.wraps(question)
    def asked(*layers: Layer) -> bool:
        functions = [function_of(layer) for layer in layers]
        return None not in functions and answer(*functions)
    return asked


def unnamed(layer: Any) -> Layer:
    """A layer whatever it is called."""
    unnamed: Layer = layer if layer.name is None else replace(layer, name=None)
    return unnamed


@remembered(256)
def _fields(kind: type[Layer]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name != "name")


def like(one: Layer, other: Layer | None, but: str | None = None) -> bool:
    """Whether two layers are one but for their names, the field `but`, and how their windows are written."""
    if one is other:
        return True
    if type(one) is not type(other) or other is None:
        return False
    written_alike = True
    for name in _fields(type(one)):
        if name != but and (here := getattr(one, name)) != (there := getattr(other, name)):
            if name not in WINDOW or (name in TELLING and type(here) is type(there)):
                return False
            written_alike = False
    if written_alike:
        return True
    ndim = max(one.dimensions() & other.dimensions(), default=0)
    return ndim > 0 and list(map(_window, one.geometry(ndim))) == list(map(_window, other.geometry(ndim)))


def _window(g: AxisGeometry) -> AxisGeometry:
    """An axis without what makes no difference."""
    if g.kernel == 1:
        g = g._replace(dilation=1)
    if g.padding == "same" and g.stride == 1 and not g.transposed:
        g = g._replace(padding=((g.extent - 1) // 2, g.extent // 2))
    return g if isinstance(g.padding, str) or any(g.padding) else g._replace(border="zeros")


def nothing(layer: Layer, ndim: int) -> bool:
    """Whether a layer hands on its only input as it is."""
    if layer.is_identity or layer.many_inputs:
        return True
    if isinstance(layer, (MaxPool, AvgPool, BlurPool)):
        return all(g.kernel == g.stride == 1 and g.padding in ((0, 0), "same") for g in layer.geometry(ndim))
    if isinstance(layer, (Conv, ConvTranspose)) and isinstance(layer.weights, Fixed) and not layer.bias:
        array = layer.weights.array
        return (array.size == 1 and layer.weights.per_channel(ndim) and array.item() == 1
                and all(map(plain, layer.geometry(ndim))))
    return False


def plain(g: AxisGeometry) -> bool:
    """Whether nothing happens along an axis."""
    return g._replace(transposed=False, dilation=1, border="zeros",
                      padding=(0, 0) if g.padding == "same" and g.kernel == 1 else g.padding) == SITE


def of_sites(layer: Layer, ndim: int) -> bool:
    """Whether a convolution reads the site alone that it makes."""
    return isinstance(layer, Conv) and all(map(plain, layer.geometry(ndim)))


def spreads(layer: Layer, ndim: int) -> bool:
    """Whether a layer reads more than one site."""
    return any(g.kernel > 1 or g.resize is not None or g.padding == "whole" for g in layer.geometry(ndim))


def copies(layer: Layer) -> bool:
    """Whether a layer puts out copies of sites."""
    return isinstance(layer, Upsample) and layer.mode == "nearest"


def of_copies(layer: Layer, norm: Layer) -> bool:
    """Whether a norm of the copies of sites that a layer makes is these of the norm.

    Statistics of the map must know each site as often.
    """
    return bool(norm.statistics) and copies(layer) and (getattr(layer, "by_taps") or "space" not in norm.statistics)


def linear(layer: Layer) -> bool:
    """Whether a sum of maps, or a multiple of one, may as well be taken after it."""
    return not (layer.needs_data or layer.draws_noise or layer.random or layer.multiplies or layer.takes_norm
                or getattr(layer, "bias", False))


def drawn(layer: Layer) -> bool:
    """Whether anything of a layer is drawn at random: two of its kind differ."""
    return layer.random or layer.draws_noise or any(getattr(layer, name, 0) for name in ("scale_var", "shift_var"))


def homogeneous(layer: Layer, factor: float) -> bool:
    """Whether a layer makes `factor` times as much of a map that is this times as large, and is no factor itself.

    A sign goes before copies of sites, next to the pools there.
    """
    if layer.routes or copies(layer):
        return factor > 0
    if layer.draws_noise or linear(layer):
        return not hasattr(layer, "factor")
    phi = function_of(layer)
    return factor > 0 and phi is not None and phi.below is not None


def by_channel(layer: Layer) -> bool:
    """Whether a layer does the same with each channel, whatever the others are."""
    return not (layer.mixes_channels or rule_of(layer).moves or layer.many_inputs or getattr(layer, "bias", False))


def filters(layer: Layer, ndim: int) -> bool:
    """Whether a layer is one filter of each channel, so that sums of channels may as well be taken after it."""
    weights = getattr(layer, "weights", None)
    each = by_channel(layer) or isinstance(weights, Fixed) and weights.per_channel(ndim)
    return each and linear(layer) and not (copies(layer) or hasattr(layer, "factor"))


def before_doubling(layer: Layer, ndim: int) -> bool:
    """Whether a layer goes before channels are there twice; factors, copies of sites and borders come after that."""
    if copies(layer) or isinstance(layer, (Pad, Scale)):
        return False
    return filters(layer, ndim) or by_channel(layer) and not layer.takes_weights


def function_of(layer: Layer) -> Function | None:
    """The function of each value, for layers that are one that is known."""
    try:
        return rule_of(layer).function(layer)
    except NotImplementedError:  # refused later, by the name of the node
        return None


def rising(layer: Layer) -> bool:
    """Whether a layer is a function of each value that never falls."""
    if hasattr(layer, "factor"):
        return layer.factor > 0
    if layer.is_gate and not layer.many_inputs:
        phi = function_of(layer)
        return phi is not None and rises(phi)
    return layer.is_identity and not layer.many_inputs


def curved(layer: Layer) -> bool:
    """Whether a layer is a function of each value, and no rectifier: of values twice as large it is not twice it."""
    phi = function_of(layer)
    return phi is not None and phi.below is None


def slope_below(layer: Layer) -> float | None:
    """The slope below zero of a rectifier that leaves what is above zero as it is."""
    phi = function_of(layer)
    return phi.below if phi is not None and phi.above == 1 else None


def lets_pass(layer: Layer) -> bool:
    """Whether functions of values may commute with a layer."""
    return layer.draws_noise or layer.routes or copies(layer) or isinstance(layer, Scale)


def passes(gate: Layer, between: Sequence[Layer], ndim: int) -> bool:
    """Whether a function of each value does the same before layers as after them."""
    return all(commutes(gate, layer, ndim) or homogeneous(gate, getattr(layer, "factor", 0)) for layer in between)


def commutes(gate: Layer, layer: Layer, ndim: int) -> bool:
    """Whether a function of each value does the same before a layer as after it."""
    phi = function_of(gate)
    return phi is not None and rule_of(layer).commutes(layer, ndim, phi)


def keeps_positive(layer: Layer, below: bool) -> bool:
    """Whether a layer puts out nothing below zero, and no gradient passes where it puts out zero.

    `below` says so of what it reads.
    """
    if layer.is_gate and not layer.many_inputs:
        return _never_negative(layer)
    return below and getattr(layer, "factor", 1) > 0 and getattr(layer, "by_taps", True) and not layer.takes_norm and (
        not layer.takes_weights or _never_negative_weights(layer))


def _never_negative_weights(layer: Any) -> bool:
    """Whether a layer has weights that are the same in all networks, and none below zero."""
    weights = layer.weights
    return not layer.bias and (isinstance(weights, Constant) or isinstance(weights, Fixed) and weights.array.min() >= 0)


@_of_functions
def _never_negative(phi: Function) -> bool:
    """Whether a function is flat where it is zero, and above zero elsewhere."""
    value, slope = phi.value(_FALLING), phi.slope(_FALLING)
    return bool(min(value.min(), phi.value(_RISING).min()) > -SMALL and (np.abs(slope[value < SMALL]) < SMALL).all())


@_of_functions
def spares_positive(phi: Function) -> bool:
    """Whether a function leaves values above zero as they are."""
    return bool((phi.value(_RISING) == _RISING).all())


@_of_functions
def odd(phi: Function) -> bool:
    """Whether a function of minus a value is minus the function of it."""
    return _equal(phi.value(_FALLING), -phi.value(_RISING))


@_of_functions
def absorbs(phi: Function, before: Function) -> bool:
    """Whether a function is the same of values that have passed another one before."""
    return all(_equal(phi.value(before.value(z)), phi.value(z)) for z in (_RISING, _FALLING))


def _equal(one: Array, other: Array) -> bool:
    return bool((np.abs(one - other) <= SMALL * np.maximum(np.abs(other), 1)).all())
