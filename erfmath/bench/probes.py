"""What a prediction through independent gates costs, in backward passes of `measure` on the same network."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..empirics.measure import measure
from ..empirics.plan import make_plan
from ..empirics.run import forward
from ..empirics.sampling import parameters_of
from ..networks import zoo
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..theory.predict import predict
from . import Table

__all__ = ["backward_pass", "run", "weights_of"]

CHANNELS_IN, DRAWS, ROUNDS = 3, 200, 5


def weights_of(net: Network, seed: int) -> dict[str, Any]:
    """Random kernels, and batch norms with random shifts: arrays in the place of trained ones."""
    rng, weights, channels = np.random.default_rng(seed), dict[str, Any](), net.channels(channels_in=CHANNELS_IN)
    for (i, name), parameter in parameters_of(net, 2, 16, CHANNELS_IN).items():
        if name == "kernel":
            weights[net.names[i]] = (parameter.std * rng.standard_normal(parameter.shape)).astype(np.float32)
    for node in net:
        if node.layer.takes_norm:
            count = channels[node.name]
            weights[node.name] = np.stack([np.ones(count), 0.2 * rng.standard_normal(count), np.zeros(count),
                                           np.ones(count)])
    return weights


def backward_pass(net: Network, weights: Any, image: int) -> Callable[[], float]:
    """CPU seconds of one backward pass, of the gradient with respect to the input alone."""
    settings = RunSettings.of(net, image=(image, image), channels_in=CHANNELS_IN, weights=weights)
    plan = make_plan(net, settings, statistic="power", entropy=0, normalise=False, images=None, channel=None, batch=1,
                     dtype=None)
    sample = plan.recipe.sample(0, 1)
    x = plan.recipe.batch(0, sample.generators)

    def one() -> float:
        run = forward(plan.program, sample.parameters, x, images=1)
        gradient = np.ones((1, run.output.shape[1], 1, 1, 1), np.float32)
        return _timed(lambda: run.backward(gradient))
    return one


def _timed(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def run(quick: bool = False) -> Table:
    """CPU times of 200 probes, of a backward pass, and of a draw of `measure`; medians of rounds that take turns."""
    width, image, draws, rounds = (4, 32, 4, 1) if quick else (64, 224, DRAWS, ROUNDS)
    net = zoo.resnet18(width=width)
    weights = weights_of(net, 0)
    about: dict[str, Any] = {"weights": weights, "image": image, "channels_in": CHANNELS_IN, "rng": 0}
    backward = backward_pass(net, weights, image)
    backward()
    times: dict[str, list[float]] = {"backward": [], "measure": [], "few": [], "predict": []}
    for _ in range(rounds):
        times["backward"].append(statistics.median(backward() for _ in range(3)))
        times["measure"].append(_timed(lambda: measure(net, draws=4, batch=1, **about)) / 4)
        times["few"].append(_timed(lambda: predict(net, gates="independent", draws=2, **about)))
        times["backward"].append(statistics.median(backward() for _ in range(3)))
        times["predict"].append(_timed(lambda: predict(net, gates="independent", draws=draws, **about)))
    taken = {name: statistics.median(several) for name, several in times.items()}
    rows = [(words, f"{taken[name]:.3f}", f"{taken[name] / taken['backward']:.1f}") for name, words in (
        ("backward", "a backward pass, to the input alone"), ("measure", "a draw of measure, forward and backward"),
        ("few", "2 probes, with all that does not depend on their number"), ("predict", f"{draws} probes"))]
    return Table(f"Independent gates, ResNet-18 of width {width} at {image} px: CPU time",
                 ("work", "seconds", "backward passes"), tuple(rows), ("one thread; medians",))
