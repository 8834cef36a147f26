"""Whether theory and measurement agree: the paper's chains, and whole networks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..comparison import compare
from ..empirics.measure import measure
from ..layers import Activation, Conv
from ..layers.weights import Constant
from ..networks.building import repeat, serial
from ..networks.network import Network
from ..theory.predict import predict
from . import Table, accuracy

__all__ = ["run"]

SEED = 2  # not that of `accuracy`: other draws
DEPTHS = (5, 10, 20, 40)
#: Relative standard error of the std of the paper's chains; draws of networks, as a part of those of `accuracy`.
PRECISION, PART, LEAST = 0.003, 0.25, 100

#: What the paper's three kinds of chains repeat.
CHAINS: dict[str, Any] = {
    "all ones": Conv(3, weights=Constant()), "random": Conv(3), "random + ReLU": serial(Conv(3), Activation("relu"))}


def run(quick: bool = False) -> Table:
    """One row a network; `quick` takes the shortest chains and few draws."""
    workers = 1 if quick else os.cpu_count() or 1
    rows = tuple(_cells(*case, workers=workers) for case in _cases(quick))
    agree = sum(cells[-1] == "yes" for cells in rows)
    worst = max(_difference(layers) for layers in DEPTHS[:1 if quick else None])
    header = ("network", "image", "draws", "theory", "measured/theory", "+-", "TV", "+-", "z rms", "p", "agree")
    return Table("agreement", header, rows, (
        "std of the map in pixels, axis 0, of the middle unit; TV: total variation over the cells",
        "of the test of shape, and p of that test; z: of the share, pixel by pixel; agree: within 3%, level",
        f"0.01; {agree} of {len(rows)} agree; all ones: the maps differ by {worst:.1g} of the maximum at most"))


def _cases(quick: bool) -> Iterator[tuple[str, Network, dict[str, Any], dict[str, Any], str]]:
    """Names, networks, arguments of both sides and of `measure` alone, method of `predict`."""
    for kind, part in CHAINS.items():
        for layers in DEPTHS[:1] if quick else DEPTHS:
            sampling = {"draws": 40} if quick else {"until": PRECISION}
            yield f"{layers} x {kind}", repeat(part, layers), {}, sampling, "exact"
    for case in () if quick else accuracy.CASES:
        draws = max(int(PART * case.draws), LEAST)
        yield case.name, case.build(width=case.width), case.about, {"draws": draws}, case.method


def _cells(name: str, net: Network, about: dict[str, Any], sampling: dict[str, Any], method: str,
           workers: int) -> tuple[Any, ...]:
    """One row."""
    comparison = compare(predict(net, method=method, **about),
                         measure(net, rng=SEED, workers=workers, **sampling, **about))
    ratio, variation = comparison.std_ratio[0], comparison.coarse_variation
    measured: Any = comparison.measured
    tested = comparison.cells is not None
    return (name, about.get("image", "plane"), measured.draws, f"{comparison.theory.std[0]:.3f}", f"{ratio.value:.4f}",
            f"{ratio.stderr:.4f}", f"{variation.value:.4f}", f"{variation.stderr:.4f}",
            f"{comparison.z_rms:.2f}" if tested else "-", f"{comparison.p_shape:.2g}" if tested else "-",
            "yes" if comparison.agrees() else "no")


def _difference(layers: int) -> float:
    """Largest difference of the maps of a chain of ones, in units of the maximum."""
    net = repeat(CHAINS["all ones"], layers)
    theory, measured = predict(net).map, measure(net).map
    return float(np.abs(measured - theory).max() / theory.max())
