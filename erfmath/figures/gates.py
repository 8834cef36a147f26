"""Trained networks explained: the measured field beside that of second moments, and of three hypotheses about gates."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import training
from ..layers import Activation, BatchNorm, Conv
from ..networks.building import residual, serial
from ..networks.network import Network
from ..theory.predict import predict
from .base import Arrays, Data, Desk, Figure, Options, Part, Quote, Spec, scalars
from .panels import AMPLITUDE, annotate, letters, page, panel_map
from .sampling import finished, keep, measure
from .tasks import TASKS

__all__ = ["caption", "compute", "draw", "network", "parts", "quotes", "trained_weights"]

#: Task, kind of network, reach of the task, steps.
CASES = {"two pixels": ("two pixels", "plain", 4, 800), "box energy": ("box energy", "plain", 4, 800),
         "two pixels, batch norm": ("two pixels", "norms", 4, 600),
         "two pixels, residual": ("two pixels", "residual", 4, 600)}
#: What is shown of each, by the name of its map.
ROWS = {"measured": "measured", "taps": "second moments\nper tap", "independent": "independent\ngates",
        "channels": "channels\napart", "layers": "layers\napart"}
HYPOTHESES = ("independent", "channels", "layers")
TEST, CALIBRATION = 12_345, 256


def parts(options: Options) -> dict[str, Spec]:
    cases = dict(list(CASES.items())[::3]) if options.quick else CASES
    return {name: {"task": task, "network": kind, "reach": reach, "steps": options.pick(steps, 8), "batch": 16,
                   "layers": options.pick(8, 3), "channels": options.pick(12, 4), "size": options.pick(33, 13),
                   "images": options.pick(300, 30), "seed": options.seed}
            for name, (task, kind, reach, steps) in cases.items()}


def network(spec: Spec) -> Network:
    """`layers` convolutions 3x3 with ReLU: plain, with batch norms, or as residual units; and a last 1x1."""
    n, channels, kind = spec["layers"], spec["channels"], spec["network"]
    gate = (Activation("relu"),) if kind == "plain" else (BatchNorm(), Activation("relu"))
    if kind == "residual":
        unit = residual(serial(*gate, Conv(3, channels)))
        return serial(Conv(3, channels), *[unit] * (n - 1), *gate, Conv(1, 1))
    return serial(*[serial(Conv(3, channels), *gate)] * n, Conv(1, 1))


def compute(spec: Spec, desk: Desk) -> Arrays:
    """Arrays "map_" and numbers "std_", "variation_", "total_" by row and time, "before" or "after" training."""
    net, task = network(spec), TASKS[spec["task"]](spec["size"], spec["reach"])
    run = _run(spec, net, task, checkpoint=desk.scratch, progress=desk.progress)
    images, _ = task.batch(0, spec["images"], [spec["seed"], TEST])
    found = scalars(final_loss=float(run.loss[-30:].mean()), final_accuracy=float(run.accuracy[-30:].mean()))
    for when, weights in (("before", run.kept[0]), ("after", run.weights)):
        weights = _with_statistics(spec, net, task, weights)
        keep(desk, weights, when)
        found |= _fields(net, weights, images, spec, when)
    return found


def _run(spec: Spec, net: Network, task: Any, **options: Any) -> training.Training:
    return finished(training.fit(
        net, task, steps=spec["steps"], batch=spec["batch"], rng=spec["seed"], keep=(0,), clip=1.0,
        optimiser=training.Adam(3e-3), schedule=training.Cosine(warmup=30, floor=0.05),
        loss=training.BinaryCrossEntropy(), **options))


def _with_statistics(spec: Spec, net: Network, task: Any, weights: Any) -> Any:
    if spec["network"] == "plain":
        return weights
    calibration, _ = task.batch(1, CALIBRATION, [spec["seed"], TEST])
    return training.recalibrate(net, weights, calibration)


def trained_weights(spec: Spec) -> Any:
    """Of the network of a part, after training."""
    net, task = network(spec), TASKS[spec["task"]](spec["size"], spec["reach"])
    return _with_statistics(spec, net, task, _run(spec, net, task).weights)


def _fields(net: Network, weights: Any, images: Any, spec: Spec, when: str) -> Arrays:
    draws, seed = spec["images"], spec["seed"]
    fields: dict[str, Any] = {
        "measured": measure(net, weights=weights, images=images, draws=draws, channel=0, rng=seed),
        "taps": predict(net, weights=weights, image=images.shape[2:], channels_in=1),
        **{gates: predict(net, weights=weights, images=images, gates=gates, draws=draws, rng=seed)
           for gates in HYPOTHESES},
        "unseen": predict(net, weights=weights, image=images.shape[2:], channels_in=1, gates="independent",
                          draws=draws, rng=seed)}
    measured, found = fields["measured"], Arrays()
    for name, erf in fields.items():
        error = np.zeros(2) if erf.stderr is None else erf.std_stderr
        found |= {f"std_{name}_{when}": np.array(erf.std), f"std_{name}_{when}_error": np.array(error),
                  **scalars(**{f"variation_{name}_{when}": float(np.abs(erf.share - measured.share).sum() / 2),
                               f"total_{name}_{when}": float(erf.total / measured.total)})}
        if when == "after":
            found[f"map_{name}"] = erf.share.astype(np.float32)
    layers = fields["layers"]
    return {**found, **scalars(**{f"coherent_{when}": layers.coherent}), "origin": np.array(measured.origin),
            "center": np.array(measured.center), f"contributions_{when}": np.array(list(layers.contributions.values()))}


def _std(part: Part, name: str, when: str = "after") -> str:
    return ", ".join(f"{s:.2f}" for s in part[f"std_{name}_{when}"])


def draw(data: Data) -> Figure:
    figure = page(1.5 * len(ROWS))
    panels = figure.subplots(len(ROWS), len(data), squeeze=False)
    reach = next(iter(data.values())).spec["layers"] + 0.5
    image = None
    for j, (title, part) in enumerate(data.items()):
        for i, (name, words) in enumerate(ROWS.items()):
            ax = panels[i, j]
            image = panel_map(ax, _of(part, name), "map", reach=reach)
            annotate(ax, f"std {_std(part, name)} px")
            ax.tick_params(labelbottom=i == len(ROWS) - 1, labelleft=j == 0)
            if i == 0:
                ax.set_title(title.replace(", ", ",\n"))
            if j == 0:
                ax.set_ylabel(f"{words}\ny, input pixels")
            if i == len(ROWS) - 1:
                ax.set_xlabel("x, input pixels")
    assert image is not None
    figure.colorbar(image, ax=panels, shrink=0.5, pad=0.02).set_label(AMPLITUDE)
    letters(panels.flat)
    return figure


def _of(part: Part, name: str) -> Part:
    """One map of a part, as `panel_map` draws it."""
    return Part(part.spec, {"map": part[f"map_{name}"], "origin": part["origin"], "center": part["center"]}, 0.0)


def caption(data: Data) -> str:
    told = "; ".join(f"{name}: accuracy {part.number('final_accuracy'):.1%}, {part.number('coherent_after'):.0%} of "
                     "the power coherent" for name, part in data.items())
    some = next(iter(data.values()))
    return (f"Trained networks of {some.spec['layers']} layers 3×3 of {some.spec['channels']} channels, {told}. "
            f"Measured over {some.spec['images']} inputs, and from the weights: by second moments per tap, and through "
            "gates that are independent, of one channel together, of one layer together.")


def quotes(data: Data) -> list[Quote]:
    """Std after training along both axes: measured, with what each hypothesis says in place of the theory."""
    found = []
    for title, part in data.items():
        for when in ("before", "after"):
            for axis in (0, 1):
                value, error = (float(part[f"std_measured_{when}{more}"][axis]) for more in ("", "_error"))
                for name in ("taps", *HYPOTHESES, *(("unseen",) if part.spec["network"] != "plain" else ())):
                    words = {"unseen": "independent gates, activities without data"}.get(name, name)
                    found.append(Quote(f"{title}, {when}: std along {'yx'[axis]}, px, beside {words}", value, error,
                                       float(part[f"std_{name}_{when}"][axis])))
            for name in ("taps", *HYPOTHESES):
                found.append(Quote(f"{title}, {when}: total variation from measured, {name}",
                                   part.number(f"variation_{name}_{when}")))
        found.append(Quote(f"{title}: coherent fraction of the power, after", part.number("coherent_after")))
    return found
