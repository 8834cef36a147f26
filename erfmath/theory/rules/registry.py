"""All families of rules; importing this enters them."""

from __future__ import annotations

from . import (activation, channel_norms, channels, convolution, elementwise, merge, normalisation, pooling, product,
               resampling)
from .base import RULES, Rule, rule_of

__all__ = ["FAMILIES", "RULES", "Rule", "rule_of"]

#: A family of layers has one module of rules.
FAMILIES = (activation, channel_norms, channels, convolution, elementwise, merge, normalisation, pooling, product,
            resampling)
