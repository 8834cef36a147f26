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
    "Activation", "Add", "AvgPool", "BatchNorm", "BlurPool", "Budget", "Choices", "Comparison", "Concat",
    "Constant", "Conv", "ConvTranspose", "Dropout", "EffectiveReceptiveField", "Fixed", "GlobalAvgPool", "Identity",
    "LayerNorm", "MaxPool", "Network", "Pad", "Random", "ReceptiveField", "Scale", "Upsample", "add",
    "border_layers", "compare", "concat", "costs", "coverage", "design", "erf_size_map", "figures", "fit",
    "fit_power_law", "gradients", "growth", "kernels", "lattice", "layer_shares", "load", "measure", "path_counts",
    "plotting", "predict", "reached_std", "receptive_field", "receptive_fields", "remedies", "repeat", "required_depth",
    "residual", "serial", "shapes", "sizes", "support", "tile_halo", "training", "walk", "widening", "zoo",
]

if TYPE_CHECKING:
    from . import figures, gradients, kernels, lattice, plotting, shapes, sizes, training, zoo
    from .comparison import Comparison, compare
    from .empirics.measure import measure
    from .empirics.train import fit
    from .layers import (
        Activation, Add, AvgPool, BatchNorm, BlurPool, Concat, Constant, Conv, ConvTranspose, Dropout, Fixed,
        GlobalAvgPool, Identity, LayerNorm, MaxPool, Pad, Random, Scale, Upsample,
    )
    from .network import Network, add, concat, load, repeat, residual, serial
    from .result import EffectiveReceptiveField
    from .theory.costs import costs
    from .theory.coverage import coverage, tile_halo
    from .theory.depth import reached_std, required_depth
    from .theory.design import Budget, Choices, design
    from .theory.given import widening
    from .theory.growth import fit_power_law, growth
    from .theory.layer_shares import border_layers, layer_shares
    from .theory.predict import predict
    from .theory.remedies import remedies
    from .theory.size_map import erf_size_map
    from .theory.support import ReceptiveField, receptive_field, receptive_fields, support
    from .walks import path_counts, walk

# What type checkers read above, for the interpreter: module -> the public names it defines.
_MODULES = {
    "comparison": "Comparison compare",
    "empirics.measure": "measure",
    "empirics.train": "fit",
    "layers": (
        "Activation Add AvgPool BatchNorm BlurPool Concat Constant Conv ConvTranspose Dropout Fixed "
        "GlobalAvgPool Identity LayerNorm MaxPool Pad Random Scale Upsample"
    ),
    "network": "Network add concat load repeat residual serial",
    "result": "EffectiveReceptiveField",
    "theory.costs": "costs",
    "theory.coverage": "coverage tile_halo",
    "theory.depth": "reached_std required_depth",
    "theory.design": "Budget Choices design",
    "theory.given": "widening",
    "theory.growth": "fit_power_law growth",
    "theory.layer_shares": "border_layers layer_shares",
    "theory.predict": "predict",
    "theory.remedies": "remedies",
    "theory.size_map": "erf_size_map",
    "theory.support": "ReceptiveField receptive_field receptive_fields support",
    "walks": "path_counts walk",
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}
_SUBMODULES = frozenset({"figures", "gradients", "kernels", "lattice", "plotting", "shapes", "sizes", "training",
                         "zoo"})


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
