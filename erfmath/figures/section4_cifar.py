"""Initialisations that widen the field (section 4 of the paper), in training, on CIFAR-10."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import section4
from .base import Arrays, Data, Desk, Options, Quote, Spec, digest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compute", "draw", "parts", "quotes"]

RATES = (0.01, 0.02, 0.04)
LEVEL = 1.75


def parts(options: Options) -> dict[str, Spec]:
    changes = {"file": digest(options.files["cifar10"]), **options.pick({}, {"steps": 2, "batch": 8})}
    return section4.runs("init", options, RATES, changes)


def compute(spec: Spec, desk: Desk) -> Arrays:
    return section4.compare(spec, desk, LEVEL)


def quotes(data: Data) -> list[Quote]:
    return section4.verdicts(data)


def draw(data: Data) -> Figure:
    return section4.picture(data, "CIFAR-10: 10 convolutions 3×3, no batch norm, SGD of constant rate, 600 steps; "
                            "initialisations of equal total variance", LEVEL)
