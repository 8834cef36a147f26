"""Effective receptive fields of convolutional networks, computed analytically.

Not the error function: the ERF here is the effective receptive field of Luo, Li, Urtasun and
Zemel, *Understanding the Effective Receptive Field in Deep Convolutional Neural Networks*, 2016.

Every public name is imported on first use (PEP 562), so that ``import erfmath`` costs next to
nothing and a program pays only for the rooms it enters.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "Activation", "Add", "AvgPool", "BatchNorm", "Comparison", "Concat", "Constant", "Conv", "ConvTranspose",
    "Dropout", "EffectiveReceptiveField", "Fixed", "GlobalAvgPool", "Identity", "LayerNorm",
    "MaxPool", "Network", "Pad", "Random", "ReceptiveField", "Scale", "Upsample", "add",
    "compare", "concat", "kernels", "lattice", "load", "measure", "path_counts", "plotting", "predict",
    "receptive_field", "receptive_fields", "repeat", "residual", "serial", "support", "walk",
    "widening", "zoo",
]

if TYPE_CHECKING:
    from . import kernels, lattice, plotting, zoo
    from .comparison import Comparison, compare
    from .empirics.measure import measure
    from .layers import (
        Activation, Add, AvgPool, BatchNorm, Concat, Constant, Conv, ConvTranspose, Dropout, Fixed,
        GlobalAvgPool, Identity, LayerNorm, MaxPool, Pad, Random, Scale, Upsample,
    )
    from .network import Network, add, concat, load, repeat, residual, serial
    from .result import EffectiveReceptiveField
    from .theory.given import widening
    from .theory.predict import predict
    from .theory.support import ReceptiveField, receptive_field, receptive_fields, support
    from .walks import path_counts, walk

# What type checkers read above, for the interpreter: module -> the public names it defines.
_MODULES = {
    "comparison": "Comparison compare",
    "empirics.measure": "measure",
    "layers": (
        "Activation Add AvgPool BatchNorm Concat Constant Conv ConvTranspose Dropout Fixed "
        "GlobalAvgPool Identity LayerNorm MaxPool Pad Random Scale Upsample"
    ),
    "network": "Network add concat load repeat residual serial",
    "result": "EffectiveReceptiveField",
    "theory.given": "widening",
    "theory.predict": "predict",
    "theory.support": "ReceptiveField receptive_field receptive_fields support",
    "walks": "path_counts walk",
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}
_SUBMODULES = frozenset({"kernels", "lattice", "plotting", "zoo"})


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
