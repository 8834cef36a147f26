"""Layers to and from the fields of a JSON node: the constructors' parameter names, defaults left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from .layers import (Activation, Add, AvgPool, BatchNorm, Concat, Conv, ConvTranspose, Dropout, GlobalAvgPool,
                     Identity, Layer, LayerNorm, MaxPool, Pad, Scale, Upsample)
from .weights import Constant, Fixed, Random, Weights

__all__ = ["layer_from_dict", "layer_to_dict"]

_OPS: dict[str, type[Layer]] = {kind.op: kind for kind in (
    Conv, ConvTranspose, MaxPool, AvgPool, GlobalAvgPool, Upsample, Activation, BatchNorm, LayerNorm,
    Scale, Dropout, Identity, Pad, Add, Concat)}
_WEIGHTS = {kind.__name__.lower(): kind for kind in (Random, Constant, Fixed)}
#: Window fields that say nothing, tolerated on layers without a window.
_SILENT = {"kernel_size": (1, "same", "valid"), "stride": (1,), "dilation": (1,),
           "padding": (0, "same", "valid")}


def layer_to_dict(layer: Layer) -> dict[str, Any]:
    """The JSON fields of `layer` that differ from their defaults, and its op."""
    out: dict[str, Any] = {"op": layer.op}
    for f in dataclasses.fields(layer):
        value = getattr(layer, f.name)
        default = f.default_factory() if callable(f.default_factory) else f.default
        if f.name != "name" and (default is dataclasses.MISSING or value != default):
            out[f.name] = _to_json(value)
    return out


def _to_json(value: Any) -> Any:
    if isinstance(value, (Random, Constant, Fixed)):
        out = {"kind": type(value).__name__.lower()}
        for f in dataclasses.fields(value):
            item = getattr(value, f.name)
            if f.default is dataclasses.MISSING or not np.array_equal(item, f.default):
                out[f.name] = _to_json(item)
        return out
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    return value


def layer_from_dict(fields: dict[str, Any]) -> Layer:
    """The layer that a JSON node describes (its keys without `inputs`).

    Raises
    ------
    ValueError
        Naming the field: unknown op or field, missing field, wrong type or value.
    """
    fields = dict(fields)
    op = fields.pop("op", None)
    if not isinstance(op, str) or op not in _OPS:
        raise ValueError(f"op={op!r}: must be one of {', '.join(_OPS)}")
    kind = _OPS[op]
    known = {f.name: f for f in dataclasses.fields(kind) if f.name != "_"}
    for key in list(fields):
        if key in known:
            continue
        if op in ("add", "concat", "identity") and key in _SILENT and _is_silent(fields[key], _SILENT[key]):
            del fields[key]
        else:
            raise ValueError(f"{key}={fields[key]!r}: not a field of {op!r}, or not one that says "
                             f"nothing there; fields are {', '.join(known)}")
    for key, f in known.items():
        needed = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if needed and key not in fields:
            raise ValueError(f"{key}: missing; {op!r} needs it")
    if "weights" in fields:
        fields["weights"] = _weights_from_dict(fields["weights"])
    return kind(**fields)


def _is_silent(value: Any, allowed: tuple[Any, ...]) -> bool:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return all(_is_silent(item, allowed) for item in value)
    return not isinstance(value, bool) and value in allowed


def _weights_from_dict(value: Any) -> Weights:
    if isinstance(value, str):
        value = {"kind": value}
    if not isinstance(value, dict) or value.get("kind") not in _WEIGHTS:
        raise ValueError(f"weights={value!r}: must be an object whose kind is one of {', '.join(_WEIGHTS)}")
    fields = {key: item for key, item in value.items() if key != "kind"}
    kind = _WEIGHTS[value["kind"]]
    known = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in fields:
        if key not in known:
            raise ValueError(f"weights.{key}: not a field of {value['kind']!r}; fields are {', '.join(known)}")
    if kind is Fixed and "array" not in fields:
        raise ValueError("weights.array: missing; 'fixed' needs it")
    weights: Weights = kind(**fields)
    return weights
