"""A trained network's effective receptive field: before, after, in between, and what theory says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import training
from ..empirics.measure import measure
from ..networks.network import Network
from ..results.field import EffectiveReceptiveField
from ..theory.predict import predict
from . import recipes
from .base import Arrays, Data, Desk, Options, Quote, Spec, scalars
from .sampling import Size, jackknife

__all__ = ["IMAGES", "SIZES", "by_seed", "curves", "follow", "growth", "growth_quotes", "scores", "seeds_of"]

#: Sizes of a field; the first two are the main ones.
SIZES: Mapping[str, Size] = {
    "std": lambda erf: erf.size("std"),
    "width": lambda erf: erf.size("threshold", reference="max"),
    "half_max": lambda erf: erf.size("threshold", level=0.5, reference="max"),
    "radius90": lambda erf: erf.mass_radius(0.9),
    "participation": lambda erf: erf.size("participation"),
}
WORDS = {"std": "std of power", "width": "width at 4.55 %", "half_max": "width at half maximum",
         "radius90": "radius of 90 % of the power", "participation": "participation",
         "magnitude_std": "std of E|g|", "magnitude_width": "width of E|g| at 4.55 %"}
IMAGES, CALIBRATION = 512, 1024
HISTORY = 200  # points of the curves of loss and accuracy


def by_seed(groups: Mapping[str, Spec], options: Options, seeds: int, changes: Spec) -> dict[str, Spec]:
    """A part "group, seed i" for each; a group says what it changes of the recipe, and `changes` is for all."""
    return {f"{group}, seed {i}": recipes.spec(**about, seed=options.seed + i, images=options.pick(IMAGES, 20),
                                               **changes)
            for i in range(seeds) for group, about in groups.items()}


def follow(spec: Spec, desk: Desk) -> Arrays:
    """Train as `recipes` says, and measure the field of node "features" at every snapshot.

    Arrays by snapshot: "step", `SIZES` with "_error" and "theory_"; of the first and the last one
    also "map_", "theory_map_", "layers_" (std layer by layer) and sizes "shuffled_" (see `_shuffled`).
    """
    net = recipes.network(spec)
    train = recipes.train_data(spec, desk.files)
    run = recipes.run(spec, train, checkpoint=desk.scratch, progress=desk.progress)
    test = recipes.test_data(spec, desk.files, train)
    images = test.inputs(slice(spec["images"]))
    found: Arrays = {"step": np.array(sorted(run.kept)), **curves(run), **scores(spec, net, run, test)}
    rows: dict[str, list[float]] = {}
    for step in found["step"].tolist():
        weights = run.kept[step]
        if spec.get("norm"):
            weights = training.recalibrate(net, weights, train.inputs(slice(CALIBRATION)))
        field = _measured(net, weights, images, spec, rows)
        theory = predict(net, image=images.shape[2:], node="features", channels_in=images.shape[1], weights=weights)
        for name, size in SIZES.items():
            rows.setdefault(f"theory_{name}", []).append(size(theory))
        when = {0: "before", spec["steps"]: "after"}.get(step)
        if when is not None:
            found |= {f"map_{when}": field.share.astype(np.float32),
                      f"theory_map_{when}": theory.share.astype(np.float32), "origin": np.array(field.origin),
                      "center": np.array(field.center), **_layers(net, weights, images, spec, when)}
            found |= _magnitude(net, weights, images, spec, when)
            mixed = _shuffled(weights, np.random.default_rng(spec["seed"]))
            if spec.get("norm"):
                mixed = training.recalibrate(net, mixed, train.inputs(slice(CALIBRATION)))
            field = measure(net, node="features", weights=mixed, images=images, batch=1, draws=len(images),
                            rng=spec["seed"])
            found |= scalars(**{f"shuffled_{name}_{when}": size(field) for name, size in SIZES.items()})
    return found | {name: np.array(values) for name, values in rows.items()}


def curves(run: training.Training) -> Arrays:
    """Loss and accuracy of batches, averaged over stretches of steps."""
    ends = np.unique(np.linspace(0, len(run.loss), HISTORY + 1).astype(int))
    starts, counts = ends[:-1], np.diff(ends)
    with np.errstate(invalid="ignore", over="ignore"):
        return {"history_step": (starts + ends[1:]) / 2, "loss": np.add.reduceat(run.loss, starts) / counts,
                "accuracy": np.add.reduceat(run.accuracy, starts) / counts,
                **scalars(diverged=float(run.diverged), final_loss=float(run.loss[-50:].mean()),
                          final_accuracy=float(run.accuracy[-50:].mean()))}


def scores(spec: Spec, net: Network, run: training.Training, test: training.Images) -> Arrays:
    """Accuracy on test images, batch norms with their running statistics; after a run that diverged, none."""
    if run.diverged:
        return scalars(test_accuracy=np.nan, test_iou=np.nan)
    done = training.evaluate(net, run.weights, test, loss=recipes.loss_of(spec), batch=100)
    return scalars(test_accuracy=done.accuracy, test_iou=done.mean_iou)


def _stops(count: int) -> list[int]:
    return np.linspace(0, count, min(count, 10) + 1).astype(int)[1:].tolist()


def _measured(net: Network, weights: Any, images: Any, spec: Spec,
              rows: dict[str, list[float]]) -> EffectiveReceptiveField:
    stops = _stops(len(images))
    fields = measure(net, node="features", weights=weights, images=images, batch=1, draws=stops, rng=spec["seed"])
    for name, size in SIZES.items():
        rows.setdefault(name, []).append(size(fields[-1]))
        rows.setdefault(f"{name}_error", []).append(jackknife(fields, stops, size))
    return fields[-1]


def _magnitude(net: Network, weights: Any, images: Any, spec: Spec, when: str) -> Arrays:
    field = measure(net, node="features", weights=weights, images=images, batch=1, draws=len(images),
                    statistic="magnitude", rng=spec["seed"])
    return scalars(**{f"magnitude_{name}_{when}": SIZES[name](field) for name in ("std", "width")})


def _shuffled(weights: Any, rng: np.random.Generator) -> dict[str, Any]:
    """The weights with the channels of every kernel put in another order, each kernel for itself.

    All that a kernel is by itself stays: its taps, their second moments, their smoothness.  How the
    kernels of successive layers go together is gone.
    """
    mixed = {}
    for name, array in weights.items():
        if array.ndim > 2:
            out, into = rng.permutation(array.shape[0]), rng.permutation(array.shape[1])
            mixed[name] = array[out][:, into]
            if f"{name}.bias" in weights:
                mixed[f"{name}.bias"] = weights[f"{name}.bias"][out]
    return {**weights, **mixed}


def _layers(net: Network, weights: Any, images: Any, spec: Spec, when: str) -> Arrays:
    """Std of the field of the middle unit after each unit of the network, measured and predicted."""
    names = [node.name for node in net if node.layer.sums]
    names = names or [node.inputs[0] for node in net if node.layer.is_gate and not node.layer.statistics]
    rows = []
    for name in names:
        where: dict[str, Any] = dict(node=name, weights=weights)
        field = measure(net, images=images[:128], batch=1, draws=128, rng=spec["seed"], **where)
        theory = predict(net, image=images.shape[2:], channels_in=images.shape[1], **where)
        rows.append([field.size("std"), theory.size("std")])
    return {f"layers_{when}": np.array(rows)}


# -- growth ---------------------------------------------------------------------------------------

def seeds_of(data: Data, group: str) -> list[str]:
    """Parts of a group: those called "group, seed i"."""
    return [name for name in data if name.startswith(f"{group}, seed ")]


def growth(data: Data, names: Sequence[str], size: str) -> Any:
    """Size after over size before, per seed."""
    if size.startswith(("magnitude", "shuffled")):
        return np.array([data[n].number(f"{size}_after") / data[n].number(f"{size}_before") for n in names])
    return np.array([data[n][size][-1] / data[n][size][0] for n in names])


def growth_quotes(data: Data, groups: Sequence[str], paper: Mapping[str, float] | None = None) -> list[Quote]:
    """Growth in every size, beside that of the theory with the trained weights; accuracy."""
    found = []
    for group in groups:
        names = seeds_of(data, group)
        for size, words in WORDS.items():
            ratios = growth(data, names, size)
            theory = None if size.startswith("magnitude") else float(growth(data, names, f"theory_{size}").mean())
            error = float(ratios.std(ddof=1) / len(ratios)**0.5) if len(ratios) > 1 else None
            found.append(Quote(f"{group}: {words}, after / before", float(ratios.mean()), error, theory,
                               (paper or {}).get(size)))
        for size in ("std", "width"):
            ratios = growth(data, names, f"shuffled_{size}")
            error = float(ratios.std(ddof=1) / len(ratios)**0.5) if len(ratios) > 1 else None
            found.append(Quote(f"{group}: {WORDS[size]}, channels shuffled, after / before", float(ratios.mean()),
                               error, float(growth(data, names, f"theory_{size}").mean())))
        for score in ("test_accuracy", "test_iou"):
            scores = np.array([data[n].number(score) for n in names])
            if np.isfinite(scores).all():
                error = float(scores.std(ddof=1) / len(scores)**0.5) if len(scores) > 1 else None
                found.append(Quote(f"{group}: {score.replace('_', ' ').replace('iou', 'mean IoU')}",
                                   float(scores.mean()), error))
    return found
