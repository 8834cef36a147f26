"""Layer specifications: what a layer is, without arrays, without a place in a network.

Every layer is a frozen dataclass.  One int for a size, stride or dilation stands for all axes and
leaves the dimension of the network open; a tuple gives one value per axis and fixes it.
"""

from __future__ import annotations

from .activation import FUNCTIONS, Activation
from .base import Layer, Windowed
from .convolution import Conv, ConvTranspose
from .elementwise import Dropout, Identity, Pad, Scale
from .merge import Add, Concat
from .normalisation import BatchNorm, LayerNorm
from .pooling import AvgPool, BlurPool, GlobalAvgPool, MaxPool
from .resampling import Upsample
from .weights import Constant, Fixed, Random

__all__ = ["Activation", "Add", "AvgPool", "BatchNorm", "BlurPool", "Concat", "Constant", "Conv",
           "ConvTranspose", "Dropout", "FUNCTIONS", "Fixed", "GlobalAvgPool", "Identity", "Layer",
           "LayerNorm", "MaxPool", "Pad", "Random", "Scale", "Upsample", "Windowed"]
