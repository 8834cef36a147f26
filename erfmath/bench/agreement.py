"""Whether theory and measurement agree: the paper's chains, and whole networks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..comparison import compare
from ..empirics.measure import measure
from ..layers import Activation, Conv
from ..network import Network, repeat, serial
from ..theory.predict import predict
from ..weights import Constant
from . import Table, accuracy

__all__ = ["run"]

SEED = 2  # not that of `accuracy`: other draws
DEPTHS = (5, 10, 20, 40)
#: Relative standard error of the std of the paper's chains; draws of networks, as a part of those of `accuracy`.
PRECISION, PART, LEAST = 0.005, 0.5, 100

#: The paper's three kinds of chains of 3x3 convolutions.
CHAINS: dict[str, Callable[[], Network]] = {
    "all ones": lambda: Conv(3, weights=Constant()),
    "random": lambda: Conv(3),
    "random + ReLU": lambda: serial(Conv(3), Activation("relu")),
}


def run(quick: bool = False) -> Table:
    """One row a network; `quick` takes the shortest chains and few draws."""
    workers = 1 if quick else os.cpu_count() or 1
    rows = tuple(_cells(*case, workers=workers) for case in _cases(quick))
    agree = sum(cells[-1] == "yes" for cells in rows)
    return Table("agreement", ("network", "image", "draws", "theory", "measured/theory", "+-", "TV", "+-", "z rms", "p",
                               "agree"), rows,
                 ("std of the map in pixels, axis 0, of the middle unit, width 16; TV: total variation over the cells of",
                  "the test of shape, and p of that test; z: of the share, pixel by pixel; agree: within 3%, level 0.01;",
                  f"{agree} of {len(rows)} agree; all ones: the largest difference is "
                  f"{max(_difference(layers) for layers in DEPTHS[:1 if quick else None]):.1g} of the map's maximum"))


def _cases(quick: bool) -> Iterator[tuple[str, Network, dict[str, Any], dict[str, Any]]]:
    """Names, networks, arguments of both sides, and of `measure` alone."""
    for kind, part in CHAINS.items():
        for layers in DEPTHS[:1] if quick else DEPTHS:
            yield f"{layers} x {kind}", repeat(part(), layers), {}, {"draws": 40} if quick else {"until": PRECISION}
    for case in () if quick else accuracy.CASES:
        yield (case.name, case.build(width=case.width), {"image": case.image, "unit": case.unit, "width": case.width},
               {"draws": max(int(PART * case.draws), LEAST)})


def _cells(name: str, net: Network, about: dict[str, Any], sampling: dict[str, Any], workers: int) -> tuple[Any, ...]:
    """One row."""
    comparison = compare(predict(net, **about), measure(net, rng=SEED, workers=workers, **sampling, **about))
    ratio, variation = comparison.std_ratio[0], comparison.coarse_variation
    measured: Any = comparison.measured
    tested = comparison.cells is not None
    return (name, about.get("image", "plane"), measured.draws, f"{comparison.theory.std[0]:.3f}", f"{ratio.value:.4f}",
            f"{ratio.stderr:.4f}", f"{variation.value:.4f}", f"{variation.stderr:.4f}",
            f"{comparison.z_rms:.2f}" if tested else "-", f"{comparison.p_shape:.2g}" if tested else "-",
            "yes" if comparison.agrees() else "no")


def _difference(layers: int) -> float:
    """Largest difference of the maps of a chain of ones, in units of the maximum."""
    net = repeat(CHAINS["all ones"](), layers)
    theory, measured = predict(net).map, measure(net).map
    return float(np.abs(measured - theory).max() / theory.max())
