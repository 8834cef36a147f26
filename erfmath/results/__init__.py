"""The effective receptive field of one unit: its values, sizes, shapes and files."""

from __future__ import annotations

from .measured import MeasuredReceptiveField  # enters itself among the kinds, which gradients and files look up

__all__ = ["MeasuredReceptiveField"]
