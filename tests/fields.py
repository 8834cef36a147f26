"""Effective receptive fields made by hand, and their numbers taken pixel by pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import erfmath as em

ERF = em.EffectiveReceptiveField

SHAPES = {1: (9,), 2: (6, 9), 3: (4, 5, 6)}
ORIGINS = {1: (-3,), 2: (-2, -5), 3: (-1, -2, -3)}


def chain(n: int = 3, k: int = 3, **options: Any) -> em.Network:
    return em.serial(*[em.Conv(k, weights=em.Random(gain=1), **options)] * n)


def field(values: Any, origin: tuple[int, ...], *, unit: tuple[int, ...] | None = None, k: int = 3,
          **options: Any) -> Any:
    """An ERF with a true centre at `unit` (odd k) or half a pixel before it (even k), TRF k + 16."""
    array = np.asarray(values, dtype=float)
    unit = (0,) * array.ndim if unit is None else unit
    net = em.serial(em.Conv(17), em.Conv(k, padding=k // 2))
    return ERF(array, origin=origin, unit=unit, trf=em.receptive_field(net, ndim=array.ndim), **options)


def random_erf(ndim: int, seed: int = 0, **options: Any) -> Any:
    """Full-rank values: nothing separates."""
    return field(np.random.default_rng([seed, ndim]).random(SHAPES[ndim]), ORIGINS[ndim], **options)


def pixels(erf: Any) -> dict[tuple[int, ...], float]:
    """Share by pixel."""
    total = math.fsum(erf.map.ravel())
    return {tuple(o + i for o, i in zip(erf.origin, index)): erf.map[index] / total
            for index in np.ndindex(*erf.shape)}


def variants(erf: Any) -> dict[str, Any]:
    """The same field: louder and fainter gradients, zeros stored around it, moved by 70 pixels."""
    wide = tuple(o - 3 for o in erf.origin)
    away = tuple(o + 70 for o in erf.origin)
    return {"louder": field(erf.map * 1e200, erf.origin), "fainter": field(erf.map * 1e-200, erf.origin),
            "doubled": field(erf.map * 4, erf.origin), "wider": field(np.pad(erf.map, (3, 2)), wide),
            "moved": field(erf.map, away, unit=(70,) * erf.ndim)}


#: Everything that has one value for a field and does not depend on the scale of the gradients.
ALL_SIZES: dict[str, Any] = {
    "threshold": lambda e: e.size(), "threshold of max": lambda e: e.size(reference="max"),
    "half_max": lambda e: e.size("half_max"), "std": lambda e: e.size("std"),
    "mass": lambda e: e.size("mass"), "mass of half": lambda e: e.size("mass", p=.5),
    "participation": lambda e: e.size("participation"), "radius": lambda e: e.mass_radius(.7),
    "area_ratio": lambda e: e.size("area_ratio"), "area_ratio of half": lambda e: e.size("area_ratio", t=.5),
    "rms": lambda e: e.rms_radius, "ratio": lambda e: e.ratio(),
    "background": lambda e: e.background() / e.total,
    "std above background": lambda e: e.above_background(e.map.mean() / 2).size("std"),
}
