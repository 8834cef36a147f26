"""Initialisations that widen the field (section 4 of the paper), in training, on the box task.

Three initialisations of the same total variance at three learning rates, paired by seed: a single
rate would mislead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..empirics.measure import measure
from ..plotting import LINES
from . import recipes
from .base import Arrays, Data, Desk, Options, Quote, Spec, scalars
from .panels import page
from .trained import SIZES, curves, scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PROFILES", "compare", "compute", "draw", "parts", "picture", "quotes", "verdicts"]

PROFILES = {"he": "He, flat", "soft": "soft rim", "centre": "centre-heavy"}
RATES = (1e-3, 2e-3, 4e-3)
LEVEL = 0.45  # loss whose first step is compared
LAST = 50     # steps over which losses are averaged
MEASURED = 256


def parts(options: Options) -> dict[str, Spec]:
    changes = options.pick({}, {"steps": 60, "layers": 3, "size": 15, "radius": 3})
    return runs("box", options, RATES, changes)


def runs(task: str, options: Options, rates: Sequence[float], changes: Mapping[str, Any]) -> dict[str, Spec]:
    """A part for every initialisation, rate and seed."""
    return {f"{profile}, {rate:g}, seed {i}": recipes.spec(task, options.seed + i, rate=rate, profile=profile,
                                                           images=options.pick(2000, 20), **changes)
            for i in range(options.pick(4, 2)) for rate in rates for profile in PROFILES}


def compute(spec: Spec, desk: Desk) -> Arrays:
    return compare(spec, desk, LEVEL)


def compare(spec: Spec, desk: Desk, level: float) -> Arrays:
    """Train; loss, first step below `level`, accuracy, and std of the field before and after."""
    train = recipes.train_data(spec, desk.files)
    run = recipes.run(spec, train, checkpoint=desk.scratch, progress=desk.progress)
    test = recipes.test_data(spec, desk.files, train)
    net, images = recipes.network(spec), test.inputs(slice(MEASURED))
    with np.errstate(invalid="ignore", over="ignore"):
        mean = np.convolve(run.loss, np.ones(LAST) / LAST, "valid") if len(run.loss) >= LAST else np.array([np.inf])
    below = np.flatnonzero(mean <= level)
    found = {**curves(run), **scores(spec, net, run, test),
             **scalars(steps_to_level=float(below[0] + LAST) if below.size else np.nan)}
    for when, step in (("before", 0), ("after", spec["steps"])):
        if step in run.kept:
            field = measure(net, node="features", weights=run.kept[step], images=images, batch=1, draws=len(images),
                            rng=spec["seed"])
            # A network can die at a high rate: all units negative, whatever the image.
            found |= scalars(**{f"{name}_{when}": SIZES[name](field) if field.dead < field.draws else np.nan
                                for name in ("std", "width")})
    return found


# -- what comes out -------------------------------------------------------------------------------

def _by(data: Data, profile: str, rate: float) -> list[Any]:
    """Parts of one initialisation at one rate, by seed."""
    return [part for part in data.values() if (part.spec["profile"], part.spec["rate"]) == (profile, rate)]


def _rates(data: Data) -> list[float]:
    return sorted({part.spec["rate"] for part in data.values()})


def _loss(part: Any) -> float:
    """Final loss; after a run that diverged, infinite."""
    return part.number("final_loss") if not part.number("diverged") else np.inf


def _mean(values: Any) -> tuple[float, float]:
    """Mean and its standard error."""
    values = np.asarray(values, dtype=float)
    return float(values.mean()), float(values.std(ddof=1) / len(values)**0.5) if np.isfinite(values).all() else np.nan


def _best(data: Data, profile: str) -> float:
    """The rate at which an initialisation ends with the lowest mean loss."""
    return min(_rates(data), key=lambda rate: np.mean([_loss(part) for part in _by(data, profile, rate)]))


def verdicts(data: Data) -> list[Quote]:
    """Final loss of each initialisation at each rate, its difference to He's, and at each one's best rate."""
    found = []
    for profile, name in PROFILES.items():
        for rate in _rates(data):
            losses = [_loss(part) for part in _by(data, profile, rate)]
            found.append(Quote(f"{name}, rate {rate:g}: final loss", *_mean(losses)))
            if profile != "he":
                he = [_loss(part) for part in _by(data, "he", rate)]
                found.append(Quote(f"{name}, rate {rate:g}: final loss less He's", *_mean(np.subtract(losses, he))))
    for profile, name in PROFILES.items():
        best, base = _best(data, profile), _best(data, "he")
        chosen = _by(data, profile, best)
        found.append(Quote(f"{name}: best rate", best))
        if profile != "he":
            less = np.subtract([_loss(p) for p in chosen], [_loss(p) for p in _by(data, "he", base)])
            found.append(Quote(f"{name}: loss at its best rate less He's at He's", *_mean(less)))
        for array, words in (("steps_to_level", "steps to the level"), ("test_accuracy", "test accuracy"),
                             ("std_before", "std before, px"), ("std_after", "std after, px")):
            found.append(Quote(f"{name}, best rate: {words}", *_mean([p.number(array) for p in chosen])))
    return found


def quotes(data: Data) -> list[Quote]:
    return verdicts(data)


def draw(data: Data) -> Figure:
    return picture(data, "Box task: 12 convolutions 3×3, Adam; initialisations of equal total variance", LEVEL)


def picture(data: Data, title: str, level: float) -> Figure:
    """Loss against rate, steps to the level, field before and after, and losses at the best rates."""
    figure = page(10.4, 7.6)
    axes = figure.subplots(2, 2).ravel()
    rates = _rates(data)
    for i, (profile, name) in enumerate(PROFILES.items()):
        style, x = LINES[i], np.array(rates) * 1.04**(i - 1)
        look: dict[str, Any] = dict(color=style["color"], marker=style["marker"], linestyle=style["linestyle"],
                                    label=name, capsize=3)
        _points(axes[0], x, [[_loss(p) for p in _by(data, profile, rate)] for rate in rates], look)
        _points(axes[1], x, [[p.number("steps_to_level") for p in _by(data, profile, rate)] for rate in rates], look)
        chosen = _by(data, profile, _best(data, profile))
        for part in chosen:
            axes[2].plot([2 * i, 2 * i + 1], [part.number("std_before"), part.number("std_after")],
                         color=style["color"], marker=style["marker"], markersize=4)
        axes[3].plot(chosen[0]["history_step"], np.mean([p["loss"] for p in chosen], axis=0), color=style["color"],
                     linestyle=style["linestyle"], label=f"{name}, rate {_best(data, profile):g}")
    labels = f"loss, mean of the last {LAST} steps", f"first step with a mean loss below {level:g}"
    for ax, label in zip(axes, labels):
        ax.set_xscale("log")
        ax.set_xticks(rates, [f"{rate:g}" for rate in rates])
        ax.minorticks_off()
        ax.set_xlabel("learning rate")
        ax.set_title(label, fontsize="medium")
        ax.legend(frameon=False, fontsize="small")
    axes[2].set_xticks(range(2 * len(PROFILES)), ["before", "after"] * len(PROFILES), fontsize="small")
    axes[2].set_title("std of $E[g^2]$ at the best rate, px; every seed", fontsize="medium")
    axes[3].set_xlabel("training step")
    axes[3].set_title("training loss at each one's best rate, mean of seeds", fontsize="medium")
    axes[3].legend(frameon=False, fontsize="small")
    figure.suptitle(f"{title}\nabove: means of the seeds ± standard error, where all of them got there",
                    fontsize="medium")
    return figure


def _points(ax: Axes, x: Any, values: list[list[float]], look: dict[str, Any]) -> None:
    """Mean and standard error over seeds; nothing where a run diverged or never came to the level."""
    means, errors = zip(*(_mean(v) if np.isfinite(v).all() else (np.nan, np.nan) for v in values))
    ax.errorbar(x, means, errors, **look)
