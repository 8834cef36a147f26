"""The effective receptive field of one unit: what is known of it, its sizes, its form, files."""

from __future__ import annotations

from .measured import MeasuredReceptiveField  # enters itself among the kinds, which gradients and files look up

__all__ = ["MeasuredReceptiveField"]
