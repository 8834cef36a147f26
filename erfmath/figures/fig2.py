"""Figure 2: how the effective receptive field grows, and its ratio to the theoretical one shrinks.

The size is the paper's, the root of the number of pixels with an amplitude above 4.55 %; but of which map,
and of what?  Single random networks of one channel are measured in three ways, all on the same draws:
each map by itself against its centre, which is a random number like all others; each by itself against
its maximum; and runs of maps averaged as pictures are, each first divided by its maximum.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..analysis.power_law import PowerLaw
from ..layers.weights import Constant, Random, Weights
from ..networks import zoo
from ..plotting import LINES
from ..plotting.growth import plain_numbers, power_law
from ..results.sizes import LEVEL
from ..theory.predict import predict
from .base import Arrays, Data, Desk, Figure, Options, Quote, Spec
from .panels import letters, page
from .sampling import generator, measure

__all__ = ["caption", "compute", "draw", "parts", "quotes"]

FIRST, LAST = 5, 200
THEORIES: dict[str, Weights] = {"all ones": Constant(), "random amplitude": Random(gain=1.0)}
REFERENCES = ("center", "max")
RUN = 20  # maps in an average, as in the paper
PROTOCOLS = {"center": "each map against its centre", "max": "each map against its maximum",
             "run": "averages of maps over their maxima"}
#: Digitised from the published figure, about +-3 %, and the slopes printed there.
LAYERS = (5, 6, 7, 8, 9, 10, 20, 40, 100, 200)
PUBLISHED_SIZE = (10.6, 11.7, 12.5, 13.5, 14.5, 15.3, 23.2, 34.0, 56.0, 82.6)
PUBLISHED_RATIO = (0.953, 0.896, 0.834, 0.793, 0.765, 0.728, 0.57, 0.42, 0.285, 0.21)
PUBLISHED_SLOPES = (0.56, -0.43)


def parts(options: Options) -> dict[str, Spec]:
    found: dict[str, Spec] = {name: {"theory": name, "layers": [FIRST, LAST]} for name in THEORIES}
    return found | {f"sampled, {n} layers": {"layers": n, "draws": options.draws(200), "run": RUN,
                                             "seed": [options.seed, n]} for n in LAYERS}


def compute(spec: Spec, desk: Desk) -> Arrays:
    if "theory" in spec:
        layers = np.arange(spec["layers"][0], spec["layers"][1] + 1)
        weights = THEORIES[spec["theory"]]
        sizes = [predict(zoo.plain(int(n), weights=weights)).size("threshold") for n in layers]
        return {"layers": layers, "size": np.array(sizes)}
    net, rng = zoo.plain(spec["layers"], weights=Random(gain=1.0)), generator(spec)
    length = run_length(spec)
    each, runs, total = [], [], np.zeros(())
    for draw in range(1, spec["draws"] + 1):
        one = measure(net, draws=1, width=1, channels_in=1, rng=rng)
        each.append([one.size("threshold", reference=reference) for reference in REFERENCES])
        total = total + one.amplitude / one.amplitude.max()
        if draw % length == 0:
            runs.append(math.sqrt(np.count_nonzero(total > LEVEL * total[total.shape[0] // 2, total.shape[1] // 2])))
            total = np.zeros(())
        desk.progress(draw, spec["draws"])
    return {**dict(zip(REFERENCES, np.array(each).T)), "run": np.array(runs)}


def run_length(spec: Spec) -> int:
    """Maps in an average: fewer where there would be less than three averages, which have no standard error."""
    return int(min(spec["run"], spec["draws"] // 3))


def _side(layers: Any) -> Any:
    return 2 * np.asarray(layers) + 1


def curves(data: Data) -> dict[str, tuple[Any, Any, Any]]:
    """Layers, sizes and their standard errors (None: exact) of every curve but the published one."""
    found: dict[str, tuple[Any, Any, Any]] = {
        f"{name}, exact": (data[name]["layers"], data[name]["size"], None) for name in THEORIES}
    sampled = [part for part in data.values() if "draws" in part.spec]
    for key, name in PROTOCOLS.items():
        each = np.array([part[key] for part in sampled])
        found[name] = (np.array([part.spec["layers"] for part in sampled]), each.mean(axis=1),
                       each.std(axis=1, ddof=1) / np.sqrt(each.shape[1]))
    return found


def slopes(layers: Any, size: Any, error: Any) -> tuple[PowerLaw, PowerLaw]:
    """Power laws of the size and of its ratio to the side of the TRF."""
    side = _side(layers)
    return power_law(layers, size, error), power_law(layers, size / side, None if error is None else error / side)


def quotes(data: Data) -> list[Quote]:
    found = []
    for name, curve in curves(data).items():
        for what, fit, paper in zip(("growth", "shrink"), slopes(*curve), PUBLISHED_SLOPES):
            error = None if curve[2] is None else fit.slope_stderr
            found.append(Quote(f"{name}: slope of {what}", fit.slope, error, None, paper))
    for what, values, paper in zip(("growth", "shrink"), (PUBLISHED_SIZE, PUBLISHED_RATIO), PUBLISHED_SLOPES):
        fit = power_law(LAYERS, values)
        found.append(Quote(f"published points, digitised: slope of {what}", fit.slope, fit.slope_stderr, None, paper))
    for name in PROTOCOLS.values():
        found += [Quote(f"{n} layers, {name}: size", s, e, None, p)
                  for n, s, e, p in zip(*(row.tolist() for row in curves(data)[name]), PUBLISHED_SIZE)]
    return found


def draw(data: Data) -> Figure:
    figure = page(4.2)
    panels = figure.subplots(1, 2)
    for which, ax in enumerate(panels):
        for (name, curve), style in zip(curves(data).items(), LINES):
            layers, size, error = curve
            fit, over = slopes(*curve)[which], (1, _side(layers))[which]
            if error is None:
                ax.plot(layers, size / over, color=style["color"], linestyle=style["linestyle"],
                        label=f"{name}: {fit.slope:.3f}")
            else:
                ax.errorbar(layers, size / over, yerr=error / over, color=style["color"], marker=style["marker"],
                            linestyle="none", label=f"{name}: {fit.slope:.3f} ± {fit.slope_stderr:.3f}")
        ax.plot(LAYERS, (PUBLISHED_SIZE, PUBLISHED_RATIO)[which], "o", color="black", markerfacecolor="none",
                markersize=7, label=f"published, digitised (given there: {PUBLISHED_SLOPES[which]:.2f})")
        ax.set(xscale="log", yscale="log", xlabel="layers of 3×3", xlim=(4.5, 225), title=("growth", "shrink")[which],
               ylim=((7, 120), (0.1, 1.1))[which],
               ylabel=("size: root of the number of pixels above 4.55 %", "size / side of the TRF")[which])
        for ticks in (ax.xaxis, ax.yaxis):
            plain_numbers(ticks)
        ax.legend(title="fitted slope of the logarithms", loc="upper center", bbox_to_anchor=(0.5, -0.16))
    letters(panels)
    return figure


def caption(data: Data) -> str:
    spec = data[f"sampled, {LAYERS[0]} layers"].spec
    return (f"{spec['draws']} random networks of one channel for each depth, measured in three ways (averages of "
            f"{run_length(spec)} maps), beside exact theory and the published points. That maps measured against their "
            "maximum come near the line of all ones is a coincidence: these networks are random.")
