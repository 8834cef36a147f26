"""Initialisations that widen the field (section 4 of the paper), in training: on the box task and on CIFAR-10.

Three initialisations of the same total variance at three learning rates, paired by seed: a single
rate would mislead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..plotting import LINES
from . import recipes
from .base import Arrays, Axes, Data, Desk, Figure, Options, Part, Quote, Spec, digest, mean_error, scalars
from .panels import letters, page
from .sampling import measure
from .trained import SIZES, curves, scores

__all__ = ["BOX", "CIFAR", "Initialisations", "PROFILES"]

PROFILES = {"he": "He, flat", "soft": "soft rim", "centre": "centre-heavy"}
LAST = 50     # steps over which losses are averaged
MEASURED = 256


@dataclass(frozen=True)
class Initialisations:
    """A figure of one task: every initialisation at every rate, and the first step with a mean loss below `level`."""

    task: str
    rates: tuple[float, ...]
    level: float
    words: str
    quick: Spec = field(default_factory=dict)
    file: str | None = None

    def parts(self, options: Options) -> dict[str, Spec]:
        """A part for every initialisation, rate and seed."""
        changes = {**options.pick({}, self.quick), "images": options.pick(2000, 20)}
        if self.file is not None:
            changes["file"] = digest(options.files[self.file])
        return {f"{profile}, {rate:g}, seed {i}": recipes.spec(self.task, options.seed + i, rate=rate, profile=profile,
                                                               **changes)
                for i in range(options.pick(4, 3)) for rate in self.rates for profile in PROFILES}

    def compute(self, spec: Spec, desk: Desk) -> Arrays:
        """Train; loss, first step below the level, accuracy, and std of the field before and after."""
        train = recipes.train_data(spec, desk.files)
        run = recipes.run(spec, train, checkpoint=desk.scratch, progress=desk.progress)
        test = recipes.test_data(spec, desk.files, train)
        net, images = recipes.network(spec), test.inputs(slice(MEASURED))
        with np.errstate(invalid="ignore", over="ignore"):
            mean = np.convolve(run.loss, np.ones(LAST) / LAST, "valid") if len(run.loss) >= LAST else np.array([np.inf])
        below = np.flatnonzero(mean <= self.level)
        found = {**curves(run), **scores(spec, net, run, test),
                 **scalars(steps_to_level=float(below[0] + LAST) if below.size else np.nan)}
        for when, step in (("before", 0), ("after", spec["steps"])):
            if step in run.kept:
                erf = measure(net, node="features", weights=run.kept[step], images=images, batch=1, draws=len(images),
                              rng=spec["seed"])
                # A network can die at a high rate: all units negative, whatever the image.
                found |= scalars(**{f"{name}_{when}": SIZES[name](erf) if erf.dead < erf.draws else np.nan
                                    for name in ("std", "width")})
        return found

    def quotes(self, data: Data) -> list[Quote]:
        """Final loss of each initialisation at each rate, its difference from He's, and at each one's best rate."""
        return verdicts(data)

    def draw(self, data: Data) -> Figure:
        """Loss against rate, steps to the level, field before and after, and losses at the best rates."""
        return picture(data, self.level)

    def caption(self, data: Data) -> str:
        """What was trained."""
        spec = next(iter(data.values())).spec
        seeds = len({part.spec["seed"] for part in data.values()})
        return (self.words.format(**spec) + f" Initialisations of equal total variance, {spec['steps']} steps; a, b: "
                f"means of {seeds} seeds with standard errors, where all of them reached it.")


BOX = Initialisations("box", (1e-3, 2e-3, 4e-3), 0.45, "Box task: {layers} convolutions 3×3, Adam.",
                      {"steps": 60, "layers": 3, "size": 15, "radius": 3})
CIFAR = Initialisations("init", (0.01, 0.02, 0.04), 1.75, "CIFAR-10: 10 convolutions 3×3, no batch norm, SGD of "
                        "constant rate.", {"steps": 2, "batch": 8}, "cifar10")


# -- what comes out -------------------------------------------------------------------------------

def _by(data: Data, profile: str, rate: float) -> list[Part]:
    """Parts of one initialisation at one rate, by seed."""
    return [part for part in data.values() if (part.spec["profile"], part.spec["rate"]) == (profile, rate)]


def _rates(data: Data) -> list[float]:
    return sorted({part.spec["rate"] for part in data.values()})


def _loss(part: Part) -> float:
    """Final loss; after a run that diverged, infinite."""
    return part.number("final_loss") if not part.number("diverged") else np.inf


def _best(data: Data, profile: str) -> float:
    """The rate at which an initialisation ends with the lowest mean loss."""
    return min(_rates(data), key=lambda rate: np.mean([_loss(part) for part in _by(data, profile, rate)]))


def verdicts(data: Data) -> list[Quote]:
    """Final loss of each initialisation at each rate, its difference from He's, and at each one's best rate."""
    found = []
    for profile, name in PROFILES.items():
        for rate in _rates(data):
            losses = [_loss(part) for part in _by(data, profile, rate)]
            found.append(Quote(f"{name}, rate {rate:g}: final loss", *mean_error(losses)))
            if profile != "he":
                he = [_loss(part) for part in _by(data, "he", rate)]
                found.append(Quote(f"{name}, rate {rate:g}: final loss less that of He's",
                                   *mean_error(np.subtract(losses, he))))
    for profile, name in PROFILES.items():
        best, base = _best(data, profile), _best(data, "he")
        chosen = _by(data, profile, best)
        found.append(Quote(f"{name}: best rate", best))
        if profile != "he":
            less = np.subtract([_loss(p) for p in chosen], [_loss(p) for p in _by(data, "he", base)])
            found.append(Quote(f"{name}: loss at its best rate less that of He's at He's", *mean_error(less)))
        for array, words in (("steps_to_level", "steps to the level"), ("test_accuracy", "test accuracy"),
                             ("std_before", "std before, px"), ("std_after", "std after, px")):
            numbers = [p.number(array) for p in chosen]
            if not any(map(math.isnan, numbers)):  # as steps are where a run has not come to the level
                found.append(Quote(f"{name}, best rate: {words}", *mean_error(numbers)))
    return found


def picture(data: Data, level: float) -> Figure:
    """Four panels."""
    figure = page(5.0)
    axes = figure.subplots(2, 2).ravel()
    rates = _rates(data)
    for i, (profile, name) in enumerate(PROFILES.items()):
        style, x = LINES[i], np.array(rates) * 1.04**(i - 1)
        look: dict[str, Any] = dict(color=style["color"], marker=style["marker"], linestyle=style["linestyle"],
                                    label=name)
        _points(axes[0], x, [[_loss(p) for p in _by(data, profile, rate)] for rate in rates], look)
        _points(axes[1], x, [[p.number("steps_to_level") for p in _by(data, profile, rate)] for rate in rates], look)
        chosen = _by(data, profile, _best(data, profile))
        for part in chosen:
            axes[2].plot([2 * i, 2 * i + 1], [part.number("std_before"), part.number("std_after")],
                         color=style["color"], marker=style["marker"])
        axes[3].plot(chosen[0]["history_step"], np.mean([p["loss"] for p in chosen], axis=0), color=style["color"],
                     linestyle=style["linestyle"], label=f"{name}, rate {_best(data, profile):g}")
    for ax, label in zip(axes, (f"loss, mean of last {LAST} steps", f"first step of mean loss below {level:g}")):
        ax.set(xscale="log", xlabel="learning rate", ylabel=label, xlim=(min(rates) / 1.25, max(rates) * 1.25))
        ax.set_xticks(rates, [f"{rate:g}" for rate in rates])
        ax.minorticks_off()
    for rate in rates:
        reached = [np.isfinite([p.number("steps_to_level") for p in _by(data, name, rate)]).all() for name in PROFILES]
        if not any(reached):
            axes[1].text(rate, 0.5, "not reached\nby all seeds", transform=axes[1].get_xaxis_transform(), ha="center",
                         va="center", fontsize="small")
    axes[2].set_xticks(range(2 * len(PROFILES)), ["before", "after"] * len(PROFILES))
    axes[2].set(ylabel="σ of $E[g^2]$ at the best rate, px", title="every seed")
    axes[3].set(xlabel="training step", ylabel="training loss, mean of seeds", title="each at its best rate")
    for ax in (axes[0], axes[3]):
        ax.legend()
    letters(axes)
    return figure


def _points(ax: Axes, x: Any, values: Sequence[list[float]], look: dict[str, Any]) -> None:
    """Mean and standard error over seeds; nothing where a run diverged or never came to the level."""
    means, errors = zip(*((mean, error or 0.0) if np.isfinite(mean) else (np.nan, np.nan)
                          for mean, error in map(mean_error, values)))
    ax.errorbar(x, means, errors, **look)
    if not np.isfinite(means).any():
        ax.set_yticks([])
        ax.set_title("not by all of any initialisation")
