"""One training step beside PyTorch: the CIFAR-10 residual network of 17 units, and convolutions alone.

Both sides run on one thread and are charged CPU time, which other processes disturb least.  Both get
maps in the memory layout that suits them best (channels last), as in the middle of a network.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..empirics import blas
from ..empirics.row_convolution import Rows
from ..empirics.rules import RULES
from ..figures.recipes import network, spec
from ..training.losses import CrossEntropy
from ..training.model import Model
from . import Table, side_by_side

__all__ = ["run"]

#: Channels in, channels out, pixels per side.
CONVOLUTIONS = ((1, 1, 32), (3, 16, 32), (16, 16, 32), (32, 32, 16), (64, 64, 8))


def run(quick: bool = False) -> Table:
    """Milliseconds of CPU per step and per convolution (forward and both gradients)."""
    torch = import_module("torch") if find_spec("torch") else None
    if torch is not None:
        torch.set_num_threads(1)
    images = 2 if quick else 64
    rows = []
    for name, task in (("whole step, batch norm", "cifar"), ("whole step, no batch norm", "cifar-plain")):
        step, shares = _step(task, images)
        rows.append(_row(name, step, None if torch is None else _torch_step(torch, task, images), quick))
        rows.append((f"  {shares}", "", "", ""))
    for c_in, c_out, size in CONVOLUTIONS:
        name = f"convolution {c_in} to {c_out} at {size}x{size}"
        rival = None if torch is None else _torch_convolution(torch, c_in, c_out, size, images)
        rows.append(_row(name, _convolution(c_in, c_out, size, images), rival, quick))
    notes = [f"{images} images, float32; BLAS: {blas.describe()}",
             "ratio: CPU time over PyTorch's in the same round; below 1 erfmath is faster"]
    notes.append("PyTorch is not installed: no rival" if torch is None else
                 f"PyTorch {torch.__version__}, one thread; maps have channels last in memory on both sides")
    return Table("Training, ms of CPU", ("work", "erfmath", "PyTorch", "ratio"), tuple(rows), tuple(notes))


def _row(name: str, ours: Callable[[], Any], theirs: Callable[[], Any] | None, quick: bool) -> tuple[Any, ...]:
    rounds = 1 if quick else 9
    if theirs is None:
        alone = side_by_side({"ours": ours}, rounds=rounds, clock=time.process_time)
        return name, 1e3 * alone["ours"].seconds, "-", "-"
    times = side_by_side({"theirs": theirs, "ours": ours}, rounds=rounds, clock=time.process_time)
    return name, 1e3 * times["ours"].seconds, 1e3 * times["theirs"].seconds, times["ours"].ratio


# -- this library -----------------------------------------------------------------------------

def _step(task: str, images: int) -> tuple[Callable[[], Any], str]:
    """The step to time, and a line that says where its time goes."""
    rng = np.random.default_rng(0)
    model = Model.of(network(spec(task, 0)), 3, (32, 32), 16)
    parameters, running = model.initial(rng), model.running()
    inputs = rng.standard_normal((images, 3, 32, 32), np.float32)
    labels = rng.integers(0, 10, images)

    def step() -> None:
        model.gradients(parameters, running, inputs, labels, CrossEntropy())
    return step, _where(step)


def _where(step: Callable[[], Any]) -> str:
    """Shares of the CPU time by kind of layer, forward and backward together."""
    spent: dict[str, float] = {}

    def timed(op: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*arguments: Any) -> Any:
            start = time.process_time()
            found = work(*arguments)
            spent[op] = spent.get(op, 0.0) + time.process_time() - start
            return found
        return inner

    def watched(op: str, run: Callable[..., Any]) -> Any:
        def inner(*arguments: Any) -> Any:
            y, pull = timed(op, run)(*arguments)
            return y, timed(op, pull)
        return inner
    step()
    try:
        for op, rule in RULES.items():
            setattr(rule, "run", watched(op, rule.run))
        start = time.process_time()
        step()
        whole = time.process_time() - start
    finally:
        for rule in RULES.values():
            vars(rule).pop("run", None)
    spent["rest"] = whole - sum(spent.values())
    return ", ".join(f"{op} {part / max(whole, 1e-9):.0%}" for op, part in
                     sorted(spent.items(), key=lambda item: -item[1]) if part > 0.02 * whole)


def _convolution(c_in: int, c_out: int, size: int, images: int) -> Callable[[], Any]:
    rng = np.random.default_rng(0)
    x, dy = (np.moveaxis(rng.standard_normal((1, images, size, size, c), np.float32), -1, 1) for c in (c_in, c_out))
    w = rng.standard_normal((1, c_out, c_in, 3, 3), np.float32)
    one = (1, 1)

    def work() -> None:
        rows = Rows(x, w, (size, size), one, one, one, 1)
        rows.conv()
        rows.gradients(dy, True)
    return work


# -- PyTorch -----------------------------------------------------------------------------------

def _torch_step(torch: Any, task: str, images: int) -> Callable[[], Any]:
    """The same network, layer by layer, out of PyTorch's own functions."""
    net, functional = network(spec(task, 0)), torch.nn.functional
    model = Model.of(net, 3, (32, 32), 16)
    start = model.initial(np.random.default_rng(0))
    p = {name: torch.from_numpy(array) for name, array in start.items()}
    p = {name: (a.to(memory_format=torch.channels_last) if a.ndim == 4 else a).requires_grad_()
         for name, a in p.items()}
    x = torch.randn(images, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (images,))

    def layer(node: Any, inputs: list[Any]) -> Any:
        spec, name = node.layer, node.name
        if spec.op == "conv":
            g = spec.geometry(2)[0]
            return functional.conv2d(inputs[0], p[name], p.get(f"{name}.bias"), g.stride, g.pads(None)[0])
        if spec.op == "batch_norm":
            return functional.batch_norm(inputs[0], None, None, p[f"{name}.scale"], p[f"{name}.shift"], training=True)
        if spec.op == "scale":
            return inputs[0] * spec.factor
        simple = {"activation": functional.relu, "add": lambda *both: sum(both),
                  "avg_pool": lambda y: functional.avg_pool2d(y, spec.kernel_size),
                  "global_avg_pool": lambda y: functional.adaptive_avg_pool2d(y, 1)}
        return simple[spec.op](*inputs)

    def step() -> None:
        values = {-1: x}
        for i, node in enumerate(net.nodes):
            values[i] = layer(node, [values[j] for j in net.sources[i]])
        for array in p.values():
            array.grad = None
        functional.cross_entropy(values[len(net) - 1].flatten(1), labels).backward()
    return step


def _torch_convolution(torch: Any, c_in: int, c_out: int, size: int, images: int) -> Callable[[], Any]:
    last = torch.channels_last
    x = torch.randn(images, c_in, size, size).to(memory_format=last).requires_grad_()
    w = torch.randn(c_out, c_in, 3, 3).to(memory_format=last).requires_grad_()
    dy = torch.randn(images, c_out, size, size).to(memory_format=last)

    def work() -> None:
        x.grad = w.grad = None
        torch.nn.functional.conv2d(x, w, padding=1).backward(dy)
    return work
