"""Ensembles beside automatic differentiation: the loop people write, and all draws in one call.

Everybody draws weights and inputs, back-propagates a random combination of the unit's channels and
accumulates g^2 at the input.  `measure` computes only the cone of the unit, and for linear networks
no forward pass, because their gradient does not depend on the input; PyTorch's autograd is charged
for whole maps with the same padding and for the forward pass that it cannot do without.

What no implementation of the same ensemble can save is timed too: drawing the weights, and the matrix
products of the cone with nothing around them.
"""

from __future__ import annotations

import math
import time
import tracemalloc
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from ..empirics.measure import measure
from ..empirics.plan import Chunk, Plan, make_plan
from ..empirics.sampling import parameters_of, seed_entropy
from ..layers import Activation, Conv
from ..networks.building import repeat, serial
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..networks.zoo import resnet18, vgg16
from . import Table, side_by_side

__all__ = ["run"]

BATCH = 8  # images from which batch norms take their statistics
SITES = 1024  # columns of the bare matrix products


class _Case(NamedTuple):
    name: str
    net: Network
    image: int
    width: int
    draws: int

    @property
    def batch(self) -> int:
        return BATCH if any(node.layer.op == "batch_norm" for node in self.net) else 1

    @property
    def chain(self) -> bool:
        return all(node.layer.op in ("conv", "activation") for node in self.net)


def _cases(quick: bool) -> list[_Case]:
    relu, linear = repeat(serial(Conv(3), Activation("relu")), 20), repeat(Conv(3), 20)
    cases = [_Case(f"20 x 3x3 {name}, width {width}", net, 41, width, draws)
             for name, net in (("ReLU", relu), ("linear", linear))
             for width, draws in ((1, 100), (16, 100), (64, 20))]
    cases += [_Case("VGG-16, width 16, 224 px", vgg16(width=16), 224, 16, 4),
              _Case("ResNet-18, width 16, 224 px", resnet18(width=16), 224, 16, 4)]
    return [case._replace(draws=2) for case in cases[:2]] if quick else cases


def run(quick: bool = False) -> Table:
    """Time per draw, times of the alternatives in the same rounds, and peak memory."""
    torch = import_module("torch") if find_spec("torch") else None
    if torch is not None:
        torch.set_num_threads(1)
    rows = []
    for case in _cases(quick):
        work: dict[str, Callable[[], Any]] = {"numpy": lambda: _measure(case)}
        if torch is not None:
            work["loop"] = lambda: [_autograd(torch, case, 1) for _ in range(case.draws)]
            if case.chain:
                work["grouped"] = lambda: _autograd(torch, case, case.draws)
        plan = _plan(case)
        work["drawing"] = lambda: [plan.recipe.sample(i, min(i + plan.chunk, case.draws))
                                   for i in range(0, case.draws, plan.chunk)]
        work["products"] = _products(plan, case.draws)
        times = side_by_side(work, rounds=1 if quick else 5, clock=time.process_time)
        peak, weights, largest = _memory(plan, case)
        rows.append((case.name, case.draws, 1e3 * times["numpy"].seconds / case.draws,
                     times["drawing"].ratio, times["products"].ratio,
                     *(value for rival in ("loop", "grouped") for value in
                       ((1e3 * times[rival].seconds / case.draws, times[rival].ratio)
                        if rival in times else ("-", "-"))),
                     peak / 2**20, weights / 2**20, (peak - weights) / largest))
    notes = ["drawing, products: drawing the weights, the bare matrix products, as parts of erfmath's time",
             "ratio: time of the rival over erfmath's in the same round; above 1 erfmath is faster",
             "peak: most memory in use during a run of one chunk of draws; without the weights also in "
             "activations of the chunk's largest layer"]
    if torch is None:
        notes.append("PyTorch is not installed: no comparison")
    else:
        notes.append(f"PyTorch {torch.__version__}, one thread, as everything here")
    header = ("network", "draws", "erfmath", "drawing", "products", "autograd loop", "ratio", "one grouped call",
              "ratio", "peak MB", "weights", "activations")
    return Table("Measuring, ms of CPU per draw", header, tuple(rows), tuple(notes))


def _measure(case: _Case) -> None:
    # A chain's image is its receptive field, so that the plane is the same work.
    measure(case.net, image=None if case.chain else case.image, width=case.width, draws=case.draws,
            batch=case.batch, rng=0)


def _plan(case: _Case) -> Plan:
    settings = RunSettings.of(case.net, image=None if case.chain else case.image, width=case.width)
    return make_plan(case.net, settings, statistic="power", entropy=seed_entropy(0), normalise=False, images=None,
                     channel=None, batch=case.batch, dtype=None)


def _products(plan: Plan, draws: int) -> Callable[[], Any]:
    """All matrix products of some draws, of numbers that lie in the cache."""
    work = []
    for (i, _), kernel in plan.recipe.drawn.items():
        step, images = plan.program.steps[i], plan.recipe.inputs[1]
        sites = math.prod(step.backward.out.shape) + images * math.prod(step.forward.out.shape)
        rows = np.ones((kernel.shape[0], math.prod(kernel.shape[1:])), np.float32)
        whole, rest = divmod(sites, SITES)
        for count, length in ((whole, SITES), (1, rest)):
            work += [(rows, np.ones((rows.shape[1], length), np.float32))] * count
    return lambda: [a @ b for _ in range(draws) for a, b in work]


def _memory(plan: Plan, case: _Case) -> tuple[int, int, int]:
    """Bytes for one chunk of draws: most in use, of its weights, of its largest activation."""
    draws = min(plan.chunk, case.draws)
    channels = case.net.channels(case.width)
    images = max(plan.recipe.inputs[1], 1)
    largest = max(3 * math.prod(plan.program.forward.shape), *(
        channels[step.name] * math.prod(step.forward.out.shape) for step in plan.program.steps.values()))
    tracemalloc.start()
    plan.moments(Chunk(0, (draws,)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    weights = sum(math.prod(kernel.shape) for kernel in plan.recipe.drawn.values())
    return peak, 4 * draws * weights, 4 * draws * images * largest


# ---------------------------------------------------------------------------------------------
# the rivals
# ---------------------------------------------------------------------------------------------

def _autograd(torch: Any, case: _Case, draws: int) -> Any:
    """g^2 at the input of `draws` networks side by side, as grouped convolutions."""
    ndim, size = 2, (case.image,) * 2
    known = parameters_of(case.net, ndim, case.width, 3)
    image = torch.randn(case.batch, draws * 3, *size, requires_grad=True)
    values = {-1: image}
    for i, node in enumerate(case.net.nodes):
        x = values[case.net.sources[i][0]]
        values[i] = _torch_layer(torch, node.layer, x, known.get((i, "kernel")), draws) if node.layer.op != "add" else (
            sum(values[j] for j in case.net.sources[i]))
    y = values[case.net.index(None)]
    unit = tuple(n // 2 for n in y.shape[2:])
    out = y[(0, slice(None), *unit)]
    (out * torch.randn_like(out) / math.sqrt(len(out) / draws)).sum().backward()
    return image.grad[0].square().reshape(draws, 3, *size).sum(1).mean(0)


def _torch_layer(torch: Any, layer: Any, x: Any, kernel: Any, draws: int) -> Any:
    functional = torch.nn.functional
    geometry = layer.geometry(2)
    stride = [g.stride for g in geometry]
    if layer.op == "conv":
        scale = torch.from_numpy(kernel.std.astype(np.float32))
        w = torch.randn(draws * kernel.shape[0], *kernel.shape[1:]) * scale
        return functional.conv2d(x, w, stride=stride, padding=[g.pads(None)[0] for g in geometry],
                                 groups=draws)
    if layer.op == "max_pool":
        return functional.max_pool2d(x, [g.kernel for g in geometry], stride, [g.pads(None)[0] for g in geometry])
    if layer.op == "batch_norm":
        with torch.no_grad():
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        return functional.batch_norm(x, mean, variance)
    if layer.op == "activation":
        return functional.relu(x)
    raise NotImplementedError(layer.op)
