"""A trained network's effective receptive field: before, after, in between, and what theory says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import training
from ..networks.network import Network
from ..theory.predict import predict
from . import recipes
from .base import Arrays, Data, Desk, Figure, Options, Quote, Spec, digest, mean_error, scalars
from .sampling import Size, jackknife, keep, measure, stops_of

__all__ = ["Followed", "IMAGES", "SIZES", "curves", "growth", "scores", "seeds_of"]

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


def follow(spec: Spec, desk: Desk) -> Arrays:
    """Train as `recipes` says, and measure the field of node "features" at every snapshot.

    Arrays by snapshot: "step", `SIZES` with "_error" and "theory_"; of the first and the last one
    also "map_", "theory_map_", "layers_" (std layer by layer) and sizes "shuffled_" (see `_shuffled`).
    """
    net = recipes.network(spec)
    train = recipes.train_data(spec, desk.files)
    run = recipes.run(spec, train, checkpoint=desk.scratch, progress=desk.progress)
    if run.diverged:
        raise ValueError(f"the loss of {spec['task']} is not finite after {len(run.loss)} steps with seed "
                         f"{spec['seed']}: there is nothing to compare; take another seed")
    test = recipes.test_data(spec, desk.files, train)
    images = test.inputs(slice(spec["images"]))
    found: Arrays = {"step": np.array(sorted(run.kept)), **curves(run), **scores(spec, net, run, test)}
    rows: dict[str, list[float]] = {}
    for step in found["step"].tolist():
        weights = run.kept[step]
        if spec.get("norm"):
            weights = training.recalibrate(net, weights, train.inputs(slice(CALIBRATION)))
        stops = stops_of(len(images), 10)
        fields = _field(net, weights, images, spec, draws=stops)
        theory = predict(net, image=images.shape[2:], node="features", channels_in=images.shape[1], weights=weights)
        sizes = {f"theory_{name}": size(theory) for name, size in SIZES.items()}
        for name, value in {**jackknife(fields, stops, SIZES), **sizes}.items():
            rows.setdefault(name, []).append(float(value))
        when = {0: "before", spec["steps"]: "after"}.get(step)
        if when is not None:
            keep(desk, weights, when)
            last, magnitude = fields[-1], _field(net, weights, images, spec, statistic="magnitude")
            found |= {f"map_{when}": last.share.astype(np.float32),
                      f"theory_map_{when}": theory.share.astype(np.float32), "origin": np.array(last.origin),
                      "center": np.array(last.center), **_layers(net, weights, images, spec, when),
                      **scalars(**{f"magnitude_{name}_{when}": SIZES[name](magnitude) for name in ("std", "width")})}
            mixed = _shuffled(weights, np.random.default_rng(spec["seed"]))
            if spec.get("norm"):
                mixed = training.recalibrate(net, mixed, train.inputs(slice(CALIBRATION)))
            shuffled = _field(net, mixed, images, spec)
            found |= scalars(**{f"shuffled_{name}_{when}": size(shuffled) for name, size in SIZES.items()})
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


def _field(net: Network, weights: Any, images: Any, spec: Spec, **how: Any) -> Any:
    """Measured field of node "features" over the images, one at a time."""
    return measure(net, **{"node": "features", "weights": weights, "images": images, "batch": 1, "rng": spec["seed"],
                           "draws": len(images), **how})


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
        measured = _field(net, weights, images[:128], spec, node=name, draws=128)
        theory = predict(net, image=images.shape[2:], channels_in=images.shape[1], node=name, weights=weights)
        rows.append([measured.size("std"), theory.size("std")])
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


@dataclass(frozen=True)
class Followed:
    """A figure of networks that are followed through training: runs of several seeds in groups.

    `groups` say what each changes of its task's recipe, `changes` what all do, `quick` what a quick run does beside;
    `seeds` are the numbers of runs of a full and a quick figure, `words` the caption with fields of the spec.
    """

    groups: Mapping[str, Spec]
    seeds: tuple[int, int]
    quick: Spec
    words: str
    draw_data: Callable[..., Figure]
    changes: Spec = field(default_factory=dict)
    file: str | None = None
    paper: Mapping[str, float] = field(default_factory=dict)
    reach: float | None = None

    def parts(self, options: Options) -> dict[str, Spec]:
        """A part "group, seed i" for each."""
        changes = {**self.changes, **options.pick({}, self.quick), "images": options.pick(IMAGES, 20)}
        if self.file is not None:
            changes["file"] = digest(options.files[self.file])
        return {f"{group}, seed {i}": recipes.spec(**about, seed=options.seed + i, **changes)
                for i in range(options.pick(*self.seeds)) for group, about in self.groups.items()}

    def compute(self, spec: Spec, desk: Desk) -> Arrays:
        """As `follow`."""
        return follow(spec, desk)

    def draw(self, data: Data) -> Figure:
        """Maps before and after, sizes against the step, losses."""
        return self.draw_data(data, list(self.groups), self.reach, self.paper)

    def caption(self, data: Data) -> str:
        """What was trained, and how well it does."""
        spec = next(iter(data.values())).spec
        scores = "; ".join(f"{group}: {np.mean([data[n].number('test_accuracy') for n in seeds_of(data, group)]):.1%}"
                           for group in self.groups)
        return (self.words.format(**spec, box=2 * spec.get("radius", 0) + 1)
                + f" {spec['steps']} steps; test accuracy {scores}. Maps of the first seed.")

    def quotes(self, data: Data) -> list[Quote]:
        """Growth in every size, beside that of the theory with the trained weights; accuracy."""
        found = []
        for group in self.groups:
            names = seeds_of(data, group)
            for prefix, sizes, words in (("", WORDS, ""), ("shuffled_", ("std", "width"), ", channels shuffled")):
                for size in sizes:
                    theory = None if size.startswith("magnitude") else float(
                        growth(data, names, f"theory_{size}").mean())
                    found.append(Quote(f"{group}: {WORDS[size]}{words}, after / before",
                                       *mean_error(growth(data, names, f"{prefix}{size}")), theory,
                                       None if prefix else self.paper.get(size)))
            for score, words in (("test_accuracy", "test accuracy"), ("test_iou", "test mean IoU")):
                value, error = mean_error([data[n].number(score) for n in names])
                if np.isfinite(value):
                    found.append(Quote(f"{group}: {words}", value, error))
        return found
