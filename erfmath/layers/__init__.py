"""Layer specifications: what a layer is, without arrays, without a place in a network.

Every layer is a frozen dataclass.  One int for a size, stride or dilation is meant for all axes and
leaves the dimension of the network open; a tuple gives one value per axis and fixes it.
"""
# flake8: noqa: F401, F403 -- each family's __all__ says what it adds, so that a new kind needs no line here

from __future__ import annotations

from . import activation, base, channels, convolution, elementwise, merge, normalisation, pooling, resampling, weights
from .activation import *
from .base import *
from .channels import *
from .convolution import *
from .elementwise import *
from .merge import *
from .normalisation import *
from .pooling import *
from .resampling import *
from .weights import *

__all__ = [*activation.__all__, *base.__all__, *channels.__all__, *convolution.__all__, *elementwise.__all__, *merge.__all__,
           *normalisation.__all__, *pooling.__all__, *resampling.__all__, *weights.__all__]
