"""One rule for each kind of layer, a module a family, named as in `erfmath.layers`."""

from __future__ import annotations

from . import activation, channels, convolution, elementwise, merge, normalisation, pooling, resampling
from .base import RULES, Call, Parameter, Pull, Rule, Step, Window, rule, rule_of

__all__ = ["Call", "Parameter", "Pull", "RULES", "Rule", "Step", "Window", "activation", "channels", "convolution",
           "elementwise", "merge", "normalisation", "pooling", "resampling", "rule", "rule_of"]
