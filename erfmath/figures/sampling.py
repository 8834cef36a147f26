"""Maps for figures: predicted, and measured with the standard errors of their sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..empirics.measure import measure
from ..networks.network import Network
from ..results.field import EffectiveReceptiveField
from ..theory.predict import predict
from .base import Arrays, Desk, Spec, scalars

__all__ = ["SIZES", "generator", "jackknife", "measured", "mean_std", "predicted"]

Size = Callable[[EffectiveReceptiveField], float]
GROUPS = 25  # of draws, left out one at a time for standard errors


def generator(spec: Spec) -> np.random.Generator:
    """The randomness of a part: ``spec["seed"]`` is an int or a list of them."""
    return np.random.default_rng(spec["seed"])


def mean_std(erf: EffectiveReceptiveField) -> float:
    """Root of the mean variance over the axes, in pixels."""
    return erf.size("std")


def width(erf: EffectiveReceptiveField) -> float:
    """Root of the number of pixels whose amplitude is above 4.55 % of the centre's."""
    return erf.size("threshold")


SIZES: Mapping[str, Size] = {"std": mean_std, "width": width}


def predicted(net: Network, **where: Any) -> Arrays:
    """Theory: "theory" (share), its "theory_std", "theory_width" (threshold), and the "side" of the TRF."""
    erf = predict(net, **where)
    lo, hi = erf.trf.window(erf.unit)
    return {"theory": erf.share.astype(np.float32), "origin": np.array(erf.origin),
            "center": np.array(erf.center), "window": np.array([lo, hi]),
            **scalars(theory_std=mean_std(erf), theory_width=width(erf), side=float(erf.trf.size[0]))}


def measured(net: Network, desk: Desk, *, draws: int, rng: np.random.Generator,
             sizes: Mapping[str, Size] = SIZES, **where: Any) -> Arrays:
    """Measurement: "measured" (share), and `sizes` with their "_error", by the jackknife."""
    stops = np.unique(np.linspace(0, draws, min(draws, GROUPS) + 1).astype(int)[1:])
    found = measure(net, draws=list(map(int, stops)), rng=rng, progress=desk.progress, **where)
    last = found[-1]
    arrays = {"measured": last.share.astype(np.float32), "draws": np.array(last.draws)}
    for name, size in sizes.items():
        arrays |= scalars(**{name: size(last), f"{name}_error": jackknife(found, stops, size)})
    return arrays


def jackknife(found: Sequence[EffectiveReceptiveField], stops: Any, size: Size) -> float:
    """Standard error of a size, from running means after `stops` draws: groups left out in turn.

    Zero where there is nothing random.
    """
    last = found[-1]
    if last.stderr is None:
        return 0.0
    sums = np.array([erf.map * n for erf, n in zip(found, stops)])
    groups, counts = np.diff(sums, axis=0, prepend=0.0), np.diff(stops, prepend=0)
    left = []
    for group, count in zip(groups, counts):
        part = (sums[-1] - group) / (stops[-1] - count)
        left.append(size(EffectiveReceptiveField(np.maximum(part, 0.0), origin=last.origin, unit=last.unit,
                                                 trf=last.trf, statistic="power", image=last.image)))
    return float(np.sqrt((len(left) - 1) * np.var(left)))
