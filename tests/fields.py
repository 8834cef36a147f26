"""Effective receptive fields made by hand, and their numbers taken pixel by pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import erfmath as em

ERF = em.EffectiveReceptiveField

COVARIANCE = np.array([[5.0, 1.5, -.5], [1.5, 3.0, .7], [-.5, .7, 4.0]])
CENTER = np.array([0.3, -1.2, 0.6])
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


def bell(ndim: int, n: int, *, covariance: Any = COVARIANCE, center: Any = CENTER) -> Any:
    """A Gaussian density of height 1 at the sites -n..n."""
    sites = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * ndim, indexing="ij"), -1) - center[:ndim]
    precision = np.linalg.inv(covariance[:ndim, :ndim])
    return np.exp(-np.einsum("...a,ab,...b", sites, precision, sites) / 2)


def seen(map: Any, **options: Any) -> Any:
    """A field of an image, about its middle."""
    array = np.asarray(map, dtype=float)
    center = options.pop("center", [(n - 1) / 2 for n in array.shape])
    return ERF(array, origin=(0,) * array.ndim, unit=(), trf=None, center=center, image=array.shape, **options)


def gaussian_like(ndim: int, seed: int = 3) -> Any:
    """A rough Gaussian, full rank, that fills its window."""
    values = bell(ndim, 5, covariance=COVARIANCE / 2)
    return field(values * (1 + .2 * np.random.default_rng([seed, ndim]).random(values.shape)), (-5,) * ndim)


def flat(value: Any) -> list[Any]:
    """All numbers of a score, one after the other."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple):
        return [number for part in value for number in flat(part)]
    return list(np.ravel(value))


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
