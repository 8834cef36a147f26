"""Effective receptive fields of convolutional networks, computed analytically.

Not the error function: the ERF here is the effective receptive field of Luo, Li, Urtasun and
Zemel, *Understanding the Effective Receptive Field in Deep Convolutional Neural Networks*, 2016.

>>> import erfmath as em
>>> net = em.serial(em.Conv(7, 64, stride=2), em.BatchNorm(), em.Activation("relu"), em.MaxPool(3, 2, 1))
>>> em.receptive_field(net).size              # what a unit can see at all
(11, 11)
>>> erf = em.predict(net, image=64)           # what it effectively sees, by theory
>>> measured = em.measure(net, image=64, draws=20, rng=0)       # and by sampling random networks
>>> bool(abs(erf.std[0] - measured.std[0]) < 0.1)
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "Activation", "AdaptiveAvgPool", "AdaptiveMaxPool", "Add", "AvgPool", "BatchNorm", "BlurPool", "Budget",
    "Choices", "Comparison", "Concat", "Constant", "Conv", "ConvTranspose", "Dropout", "EffectiveReceptiveField",
    "Fixed", "GRN", "GlobalAvgPool", "GroupNorm", "Identity", "InstanceNorm", "LayerNorm", "MaxPool", "Multiply",
    "Network", "NetworkBuilder", "Pad", "PixelShuffle", "PixelUnshuffle", "RMSNorm", "Random", "ReceptiveField",
    "Scale", "Shuffle", "Slice", "Softmax", "Upsample", "activities", "add", "border_layers", "compare", "concat",
    "costs", "coverage", "design", "erf_size_map", "figures", "fit", "fit_power_law", "from_keras", "from_onnx",
    "from_torch", "gradients", "growth", "kernels", "lattice", "layer_shares", "load", "measure", "multiply",
    "natural_images", "path_counts", "plotting", "predict", "reached_std", "receptive_field", "receptive_fields",
    "remedies", "repeat", "report", "required_depth", "residual", "scatter", "serial", "shapes", "signals", "sizes",
    "split", "support", "tile_halo", "training", "walk", "widening", "zoo",
]

if TYPE_CHECKING:
    from . import figures, lattice, plotting, training
    from .analysis.border_layers import border_layers
    from .analysis.closed_forms import reached_std, required_depth
    from .analysis.costs import costs
    from .analysis.coverage import coverage
    from .analysis.design import Budget, Choices, design
    from .analysis.growth import growth
    from .analysis.layer_shares import layer_shares
    from .analysis.power_law import fit_power_law
    from .analysis.remedies import remedies
    from .analysis.signals import signals
    from .analysis.size_map import erf_size_map
    from .analysis.tiles import tile_halo
    from .comparison import Comparison, compare
    from .empirics.measure import measure
    from .lattice import kernels
    from .layers import (Activation, AdaptiveAvgPool, AdaptiveMaxPool, Add, AvgPool, BatchNorm, BlurPool, Concat,
                         Constant, Conv, ConvTranspose, Dropout, Fixed, GRN, GlobalAvgPool, GroupNorm, Identity,
                         InstanceNorm, LayerNorm, MaxPool, Multiply, Pad, PixelShuffle, PixelUnshuffle, RMSNorm, Random,
                         Scale, Shuffle, Slice, Softmax, Upsample)
    from .networks import zoo
    from .networks.builder import NetworkBuilder
    from .networks.building import add, concat, load, multiply, repeat, residual, serial, split
    from .networks.images import natural_images
    from .networks.network import Network
    from .networks.support import support
    from .networks.trf import ReceptiveField, receptive_field, receptive_fields
    from .readers.reading import from_keras, from_onnx, from_torch
    from .reporting import report
    from .results import gradients, shapes, sizes
    from .results.field import EffectiveReceptiveField
    from .theory.predict import predict
    from .theory.scatter import scatter
    from .theory.trained import widening
    from .trained.observed import activities
    from .training.fitting import fit
    from .walks import path_counts, walk

# What type checkers read above, for the interpreter: module -> the public names it defines. They are
# imported on first use (PEP 562), so that `import erfmath` costs next to nothing.
_MODULES = {
    "analysis.border_layers": "border_layers",
    "analysis.closed_forms": "reached_std required_depth",
    "analysis.costs": "costs",
    "analysis.coverage": "coverage",
    "analysis.design": "Budget Choices design",
    "analysis.growth": "growth",
    "analysis.layer_shares": "layer_shares",
    "analysis.power_law": "fit_power_law",
    "analysis.remedies": "remedies",
    "analysis.signals": "signals",
    "analysis.size_map": "erf_size_map",
    "analysis.tiles": "tile_halo",
    "comparison": "Comparison compare",
    "empirics.measure": "measure",
    "layers": (
        "Activation AdaptiveAvgPool AdaptiveMaxPool Add AvgPool BatchNorm BlurPool Concat Constant Conv "
        "ConvTranspose Dropout Fixed GRN GlobalAvgPool GroupNorm Identity InstanceNorm LayerNorm MaxPool Multiply "
        "Pad PixelShuffle PixelUnshuffle RMSNorm Random Scale Shuffle Slice Softmax Upsample"
    ),
    "networks.builder": "NetworkBuilder",
    "networks.building": "add concat load multiply repeat residual serial split",
    "networks.images": "natural_images",
    "networks.network": "Network",
    "networks.support": "support",
    "networks.trf": "ReceptiveField receptive_field receptive_fields",
    "readers.reading": "from_keras from_onnx from_torch",
    "reporting": "report",
    "results.field": "EffectiveReceptiveField",
    "theory.predict": "predict",
    "theory.scatter": "scatter",
    "theory.trained": "widening",
    "trained.observed": "activities",
    "training.fitting": "fit",
    "walks": "path_counts walk",
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}
#: Public modules, by the name they have here.
_SUBMODULES = {"figures": "figures", "gradients": "results.gradients", "kernels": "lattice.kernels",
               "lattice": "lattice", "plotting": "plotting", "shapes": "results.shapes", "sizes": "results.sizes",
               "training": "training", "zoo": "networks.zoo"}


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{_SUBMODULES[name]}")
    if name not in _HOME:
        hint = "" if name.startswith("_") else import_module(f"{__name__}.networks.hints").name_meant(name, [*__all__])
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
