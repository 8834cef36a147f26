"""Networks trained on pictures: what is measured while they are trained, beside what their weights say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import training
from ..plotting import LINES
from ..theory.predict import predict
from . import recipes
from .base import Arrays, Data, Desk, Figure, Options, Part, Quote, Spec, digest, mean_error, scalars
from .panels import letters, page
from .sampling import keep, measure
from .trained import CALIBRATION, _field, _shuffled, scores, seeds_of

__all__ = ["CAMVID", "CIFAR", "Explained", "ROWS"]

#: What is shown of each network, by the name of its arrays.
ROWS = {"measured": "measured", "taps": "second moments per tap", "independent": "independent gates",
        "unseen": "independent gates, activities without data", "channels": "gates of channels",
        "layers": "gates of layers", "streams": "gates of residual streams", "shuffled": "channels shuffled, measured"}
HYPOTHESES = ("independent", "channels", "layers", "streams")
#: Images of a measurement with shuffled channels, at most.
FEWER = 128
TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
#: Of the snapshots of a run: those after about so large a part of its steps.
WHEN = (0.0, 1 / 12, 1 / 3, 1.0)


def fields(net: Any, weights: Any, images: Any, spec: Spec, again: Any) -> Iterator[tuple[str, Any]]:
    """Measured and predicted fields of node "features" by row; `again` gives shuffled weights their statistics."""
    about: dict[str, Any] = {"node": "features", "weights": weights}
    blind = {"image": images.shape[2:], "channels_in": images.shape[1]}
    drawn = {"draws": len(images), "rng": spec["seed"]}
    yield "measured", _field(net, weights, images, spec)
    yield "taps", predict(net, **about, **blind)
    yield "unseen", predict(net, gates="independent", **about, **blind, **drawn)
    for gates in HYPOTHESES:
        yield gates, predict(net, gates=gates, images=images, **about, **drawn)
    mixed = again(_shuffled(weights, np.random.default_rng(spec["seed"])))
    yield "shuffled", measure(net, node="features", weights=mixed, images=images[:FEWER], batch=1, rng=spec["seed"],
                              draws=min(FEWER, len(images)))


@dataclass(frozen=True)
class Explained:
    """A figure of runs of several seeds in groups, by the hypotheses about gates.

    Attributes
    ----------
    groups : mapping
        What each changes of its task's recipe.
    file : str
        Option of the data.
    words : str
        Of the caption.
    seeds : tuple of int
        Numbers of runs of a full and a quick figure.
    images : int
        Test images of a measurement.
    """

    groups: Mapping[str, Spec]
    file: str
    words: str
    seeds: tuple[int, int] = (4, 1)
    images: int = 200
    quick: Spec = field(default_factory=lambda: {"steps": 2, "batch": 8})

    def parts(self, options: Options) -> dict[str, Spec]:
        """A part "group, seed i" for each."""
        changes = {**options.pick({}, self.quick), "images": options.pick(self.images, 8),
                   "file": digest(options.files[self.file])}
        return {f"{group}, seed {i}": recipes.spec(**{**about, "seed": options.seed + i, **changes})
                for i in range(options.pick(*self.seeds)) for group, about in self.groups.items()}

    def compute(self, spec: Spec, desk: Desk) -> Arrays:
        """Arrays by snapshot ("step"): "std_", "std_..._error", "variation_" and "total_" by row."""
        net, train = recipes.network(spec), recipes.train_data(spec, desk.files)
        run = recipes.run(spec, train, checkpoint=desk.scratch, progress=desk.progress)
        test = recipes.test_data(spec, desk.files, train)
        images = test.inputs(slice(spec["images"]))

        def again(weights: Any) -> Any:
            if not spec.get("norm"):
                return weights
            return training.recalibrate(net, weights, train.inputs(slice(CALIBRATION)))
        kept = np.array(sorted(run.kept))
        steps = sorted({int(kept[np.abs(kept - part * spec["steps"]).argmin()]) for part in WHEN})
        rows: dict[str, list[Any]] = {}
        for step in steps:
            weights = again(run.kept[step])
            keep(desk, weights, f"{step}")
            measured: Any = None
            for name, erf in fields(net, weights, images, spec, again):
                measured = erf if measured is None else measured
                error = np.zeros(2) if erf.stderr is None else erf.std_stderr
                for key, value in ((f"std_{name}", erf.std), (f"std_{name}_error", error),
                                   (f"variation_{name}", np.abs(erf.share - measured.share).sum() / 2),
                                   (f"total_{name}", erf.total / measured.total)):
                    rows.setdefault(key, []).append(value)
                if name == "layers":
                    rows.setdefault("coherent", []).append(erf.coherent)
        return {"step": np.array(steps), **scores(spec, net, run, test), **{k: np.array(v) for k, v in rows.items()},
                **scalars(final_loss=float(run.loss[-50:].mean()))}

    def draw(self, data: Data) -> Figure:
        """Std against the step, by row; and what is predicted over what is measured at the end."""
        figure = page(2.6 * len(self.groups) + 0.5)
        panels = figure.subplots(len(self.groups), 2, squeeze=False)
        for (left, right), group in zip(panels, self.groups):
            parts = [data[name] for name in seeds_of(data, group)]
            for row, (name, style) in enumerate(zip(ROWS, LINES)):
                x = parts[0]["step"] / parts[0]["step"].max()
                sizes = np.mean([_size(part, name) for part in parts], axis=0)
                left.plot(x, sizes, **style, markersize=3, label=ROWS[name])
                totals = [part[f"total_{name}"][-1] for part in parts]
                right.semilogx(totals, [_size(part, name)[-1] / _size(part, "measured")[-1] for part in parts],
                               linestyle="none", marker=style["marker"], color=style["color"], markersize=4)
            left.set(xlabel="part of the training steps", ylabel="std of power, input pixels", title=group)
            right.axhline(1, color="0.7", linewidth=0.6, zorder=0)
            right.axvline(1, color="0.7", linewidth=0.6, zorder=0)
            right.set(xlabel="total over measured, after training", ylabel="std over measured")
            low, high = right.get_xlim()
            right.minorticks_off()
            right.set_xticks(ticks := [tick for tick in TICKS if low < tick < high], [f"{tick:g}" for tick in ticks])
        figure.legend(*panels[0, 0].get_legend_handles_labels(), fontsize=6, loc="outside lower center", ncols=4)
        letters(panels.flat)
        return figure

    def caption(self, data: Data) -> str:
        """What was trained, and how well it does."""
        told = "; ".join(f"{group}: {data[names[0]].spec['steps']} steps, test accuracy "
                         f"{np.mean([data[name].number('test_accuracy') for name in names]):.1%}"
                         for group in self.groups for names in [seeds_of(data, group)])
        return f"{self.words} {told}. Lines are means over seeds; right: every seed, after training."

    def quotes(self, data: Data) -> list[Quote]:
        """Per group and snapshot: std measured, std predicted over measured along the worse axis, totals."""
        found = []
        for group in self.groups:
            parts = [data[name] for name in seeds_of(data, group)]
            for k, step in enumerate(parts[0]["step"].tolist()):
                when = f"{group}, after {step} steps"
                found.append(Quote(f"{when}: std measured, px", *mean_error([_size(p, "measured")[k] for p in parts])))
                for name in ROWS:
                    if name == "measured":
                        continue
                    ratios = np.array([p[f"std_{name}"][k] / p["std_measured"][k] for p in parts])
                    found += [Quote(f"{when}: std over measured, {ROWS[name]}", *mean_error(ratios.mean(axis=1)), 1.0),
                              Quote(f"{when}: total over measured, {ROWS[name]}",
                                    *mean_error([p[f"total_{name}"][k] for p in parts]), 1.0),
                              Quote(f"{when}: total variation from measured, {ROWS[name]}",
                                    *mean_error([p[f"variation_{name}"][k] for p in parts]), 0.0)]
        return found


def _size(part: Part, name: str) -> Any:
    """Root of the mean variance over the axes, by snapshot."""
    return np.sqrt((part[f"std_{name}"]**2).mean(axis=1))


#: Short runs: what fits in an hour or two of one processor.
CIFAR = Explained({"with batch norm": {"task": "cifar", "steps": 200, "batch": 64, "rate": 0.05},
                   "without batch norm": {"task": "cifar-plain", "steps": 1500, "batch": 32, "rate": 0.03}}, "cifar10",
                  "CIFAR-10, pre-activation ResNet, 17 units of one 3×3 convolution.")
CAMVID = Explained({"with batch norm": {"task": "camvid", "steps": 300},
                    "without batch norm": {"task": "camvid-plain", "steps": 300}}, "camvid",
                   "CamVid at 120×160, pre-activation ResNet of stride 8, 15 units of one 3×3 convolution.", (1, 1),
                   100)
