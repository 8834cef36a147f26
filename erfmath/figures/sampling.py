"""Maps for figures: predicted, and measured with the standard errors of their sizes."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..base.files import write_atomically
from ..empirics import measure as empirics
from ..networks.network import Network
from ..results.field import EffectiveReceptiveField
from ..theory.predict import predict
from ..training.result import Training
from .base import Arrays, Desk, Spec, scalars

__all__ = ["SIZES", "both", "finished", "generator", "jackknife", "keep", "measure", "measured", "predicted",
           "stops_of"]

Size = Callable[[EffectiveReceptiveField], Any]
GROUPS = 25  # of draws, left out one at a time for standard errors

#: Root of the mean variance over the axes; root of the number of pixels above 4.55 % of the centre's amplitude.
SIZES: Mapping[str, Size] = {"std": lambda erf: erf.size("std"), "width": lambda erf: erf.size("threshold")}


def finished(run: Training) -> Training:
    """The run, unless it was interrupted: what is half done is no part of a figure."""
    if run.partial and not run.diverged:
        raise KeyboardInterrupt
    return run


def measure(net: Network, **how: Any) -> Any:
    """`erfmath.measure`, but an interruption is raised: a part has all its draws or is not kept."""
    found = empirics.measure(net, **how)
    if (found[-1] if isinstance(found, list) else found).partial:
        raise KeyboardInterrupt
    return found


def generator(spec: Spec) -> np.random.Generator:
    """The randomness of a part: ``spec["seed"]`` is an int or a list of them."""
    return np.random.default_rng(spec["seed"])


def both(network: Callable[[Spec], Network]) -> Callable[[Spec, Desk], Arrays]:
    """The ``compute`` of figures whose parts are a network each, predicted and measured."""
    def compute(spec: Spec, desk: Desk) -> Arrays:
        net = network(spec)
        return predicted(net) | measured(net, spec, desk)
    return compute


def stops_of(draws: int, groups: int = GROUPS) -> list[int]:
    """Numbers of draws after each of so many groups of nearly equal size."""
    return np.unique(np.linspace(0, draws, min(draws, groups) + 1).astype(int)[1:]).tolist()


def predicted(net: Network, sizes: Mapping[str, Size] = SIZES, **where: Any) -> Arrays:
    """Theory: its "theory" (normalised map), "theory_total", sizes "theory_...", and the "side" of the TRF."""
    erf = predict(net, **where)
    return {"theory": erf.share.astype(np.float32), "origin": np.array(erf.origin), "center": np.array(erf.center),
            "window": np.array(erf.trf.window(erf.unit)),
            **scalars(side=float(erf.trf.size[0]), theory_total=float(erf.total),
                      **{f"theory_{name}": size(erf) for name, size in sizes.items()})}


def measured(net: Network, spec: Spec, desk: Desk, sizes: Mapping[str, Size] = SIZES, **where: Any) -> Arrays:
    """Measurement: "measured" (normalised map), and `sizes` and "marginal" with their "_error"."""
    stops = stops_of(spec["draws"])
    found = measure(net, draws=stops, rng=generator(spec), width=spec["width"], progress=desk.progress, **where)
    sizes = {**sizes, "marginal": lambda erf: erf.profile(-1)}
    return {"measured": found[-1].share.astype(np.float32), **jackknife(found, stops, sizes)}


def jackknife(found: Sequence[EffectiveReceptiveField], stops: Sequence[int], sizes: Mapping[str, Size]) -> Arrays:
    """Sizes, and as "..._error" their standard errors, from fields of the first so many draws.

    One group of draws after the other is left out: joint in all that a size depends on.  Zero where nothing is random.
    """
    last = found[-1]
    arrays = {name: np.asarray(size(last), dtype=float) for name, size in sizes.items()}
    sums = np.array([erf.map * n for erf, n in zip(found, stops)])
    groups, counts = np.diff(sums, axis=0, prepend=0.0), np.diff(stops, prepend=0)
    left = [] if last.stderr is None else [
        EffectiveReceptiveField(np.maximum((sums[-1] - group) / (stops[-1] - count), 0.0), origin=last.origin,
                                unit=last.unit, trf=last.trf, statistic="power", image=last.image)
        for group, count in zip(groups, counts)]
    for name, size in sizes.items():
        spread = np.var([size(erf) for erf in left], axis=0) if left else np.zeros_like(arrays[name])
        arrays[f"{name}_error"] = np.sqrt((len(left) - 1) * spread) if left else spread
    return arrays


def keep(desk: Desk, weights: Mapping[str, Any], when: str) -> pathlib.Path:
    """Write trained arrays beside a part, where ``numpy.load`` reads them as `measure` and `predict` take them."""
    stem = desk.scratch.name.removesuffix(".npz").removesuffix(".scratch")
    path = desk.scratch.with_name(f"{stem}.weights-{when}.npz")
    arrays: dict[str, Any] = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    write_atomically(path, lambda file: np.savez_compressed(file, **arrays))
    return path
