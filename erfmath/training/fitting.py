"""Training: gradient descent on a network's weights, step by step from numbered draws.

Everything random in step i comes from child i of a SeedSequence, so that a run that is taken up again
goes on bit for bit as if nothing had happened.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..base.checks import check_network, integer
from ..base.progress import shown
from ..empirics.sampling import generator, seed_entropy
from ..networks.network import Network
from .augmentation import Augment
from .data import Data
from .losses import CrossEntropy, Loss
from .model import Model
from .optimisers import SGD, Cosine, Memory, Optimiser, Schedule, clipped
from .result import Training, read_arrays, write_arrays

__all__ = ["Training", "fit"]

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]

#: How much a batch's statistics move the running ones.
MOMENTUM = 0.1
#: Seconds between two writes of a checkpoint.
INTERVAL = 30.0
#: Of what checkpoints hold.
VERSION = 2


class _State(NamedTuple):
    """Between two steps; a step makes a new one, so that an interrupted step has not happened."""

    step: int
    parameters: dict[str, Array]
    running: dict[str, Array]
    memory: Memory
    kept: dict[int, dict[str, Array]]


class _Run(NamedTuple):
    """Everything that decides what a run does."""

    model: Model
    data: Data
    steps: int
    batch: int
    optimiser: Optimiser
    schedule: Schedule
    augment: Augment | None
    loss: Loss
    clip: float | None
    keep: frozenset[int]

    def description(self, weights: Arrays | None) -> str:
        """A digest of all of it, and of the weights that it starts from, where they are given."""
        digest = hashlib.sha256(json.dumps([
            VERSION, self.model.net.to_dict(), self.data.description(), self.steps, self.batch, repr(self.optimiser),
            repr(self.schedule), repr(self.augment), repr(self.loss), self.clip, sorted(self.keep)],
            default=repr).encode())
        for name, array in (weights or {}).items():
            digest.update(name.encode() + np.asarray(array, np.float32).tobytes())
        return digest.hexdigest()

    def step(self, state: _State, streams: list[Any], history: Array) -> _State:
        """One step; its loss and accuracy go into its row of `history`."""
        n = state.step
        inputs, labels = self.data.batch(n, self.batch, streams[1])
        if self.augment is not None:
            inputs, labels = self.augment(inputs, labels, generator(streams[2], n))
        verdict, gradients, run = self.model.gradients(state.parameters, state.running, inputs, labels, self.loss,
                                                       (generator(streams[3], n),))
        hits = (verdict.guess == labels) & verdict.counts
        history[n] = verdict.loss, hits.sum() / max(verdict.counts.sum(), 1)
        if self.clip is not None:
            gradients = clipped(gradients, self.clip)
        rate = self.optimiser.rate * self.schedule(n, self.steps)
        parameters, memory = self.optimiser(state.parameters, gradients, state.memory, rate, n, self.model.decays)
        running = self.model.moved(state.running, run, MOMENTUM)
        kept = state.kept
        if n + 1 in self.keep:
            kept = {**kept, n + 1: self.model.join(parameters, running)}
        return _State(n + 1, parameters, running, memory, kept)


class _Checkpoint:
    """One npz file that holds a state; `description` says of which run."""

    def __init__(self, path: str | os.PathLike[str], description: str) -> None:
        self._path, self._description, self._written = path, description, time.monotonic()

    def load(self, entropy: Any) -> tuple[Any, _State | None, Array | None]:
        """Entropy, state and history; the last two None where there is no file."""
        if not os.path.exists(self._path):
            return entropy, None, None
        groups, about = read_arrays(self._path, "a checkpoint of a training run")
        if about.get("description") != self._description:
            raise ValueError(f"checkpoint={os.fspath(self._path)!r}: belongs to a run with another network, other data "
                             "or other arguments; give another file name, or delete it")
        memory = {group.removeprefix("memory/"): arrays for group, arrays in groups.items()
                  if group.startswith("memory/")}
        kept = {int(group.removeprefix("kept/")): arrays for group, arrays in groups.items()
                if group.startswith("kept/")}
        state = _State(about["step"], groups["parameters"], groups.get("running", {}), memory, kept)
        return about["entropy"], state, groups["run"]["history"]

    def save(self, entropy: Any, state: _State, history: Array, now: bool = False) -> None:
        """Write, unless the last time was a moment ago."""
        if not now and time.monotonic() - self._written < INTERVAL:
            return
        groups = {"parameters": state.parameters, "running": state.running, "run": {"history": history},
                  **{f"memory/{name}": dict(arrays) for name, arrays in state.memory.items()},
                  **{f"kept/{step}": arrays for step, arrays in state.kept.items()}}
        write_arrays(self._path, groups, {"description": self._description, "entropy": entropy, "step": state.step})
        self._written = time.monotonic()


def fit(net: Network, data: Data, *, steps: int, batch: int = 128, optimiser: Optimiser = SGD(0.1, 0.9, True),
        schedule: Schedule = Cosine(), augment: Augment | None = None, loss: Loss = CrossEntropy(), rng: Any = None,
        progress: bool | Callable[[int, int], Any] | None = None, checkpoint: str | os.PathLike[str] | None = None,
        keep: Collection[int] = (), clip: float | None = None, weights: Arrays | None = None,
        width: int = 16) -> Training:
    """Train a network: stochastic gradient descent on `data`, in float32.

    Parameters
    ----------
    net : Network
        Its output is compared with the labels: one site per image (end in `GlobalAvgPool` and a 1x1
        convolution), or one per label.
    data : Images, BoxMajority, or another such task
        See `erfmath.training`.
    steps, batch : int
        Steps, and images in each.
    optimiser : SGD or Adam
        Its `rate` is multiplied by `schedule`.
    schedule : Cosine or Piecewise
    augment : CropFlip or callable, optional
        Takes (inputs, labels, rng) and returns inputs and labels.
    loss : CrossEntropy or BinaryCrossEntropy
    rng : int, Generator or None
        Weights, the order of images, augmentation and dropout all grow from it.
    progress : bool or callable
        True shows a bar on stderr; a callable gets (done, total).
    checkpoint : path, optional
        npz file that keeps the run; the same call goes on from there, bit for bit.
    keep : collection of int
        Steps after which the weights are kept; 0 is the beginning.
    clip : float, optional
        Largest Euclidean norm of all gradients together.
    weights : mapping, optional
        What to start from, of all nodes (as `Training.weights`), instead of drawing.
    width : int
        Channels of layers that leave theirs open.

    Returns
    -------
    Training
        Weights as `measure` and `predict` take them, losses and accuracies, and the weights kept.

    Raises
    ------
    ValueError
        For arguments that do not fit each other, or a checkpoint of another run.

    Notes
    -----
    Norms have scales and shifts; batch norms normalise by the batch, and gather running statistics.
    Convolutions have biases after the last batch norm; everywhere, in a network without.  Kernels
    that are `Fixed` or `Constant` stay so.  Weight decay acts on kernels.  Ctrl-C returns what is
    done, marked `partial`; so does a loss that is no longer finite.

    Examples
    --------
    >>> import erfmath as em
    >>> net = em.serial(em.Conv(3, 8), em.Activation("relu"), em.Conv(3, 1))
    >>> done = em.fit(net, em.training.BoxMajority(9, 1), steps=60, batch=16, rng=0,
    ...               optimiser=em.training.Adam(1e-2), loss=em.training.BinaryCrossEntropy())
    >>> bool(done.loss[-10:].mean() < 0.8 * done.loss[:10].mean())
    True
    """
    check_network(net)
    if not isinstance(data, Data):
        raise TypeError(f"data: is a {type(data).__name__}; must be training.Images or a task such as "
                        "training.BoxMajority")
    steps, batch = integer(steps, "steps", 1), integer(batch, "batch", 1)
    model = Model.of(net, data.channels, tuple(data.space), width)
    run = _Run(model, data, steps, batch, optimiser, schedule, augment, loss, clip,
               frozenset(integer(step, "keep", 0) for step in keep))
    _check_classes(model, data, loss, width)
    entropy = seed_entropy(rng)
    history = np.zeros((steps, 2))
    state, saved = None, None
    if checkpoint is not None:
        saved = _Checkpoint(checkpoint, run.description(weights))
        found, state, rows = saved.load(entropy)
        if rng is not None and found != entropy:
            raise ValueError(f"checkpoint={os.fspath(checkpoint)!r}: was begun with rng={found}; give the same, "
                             "or leave rng out")
        entropy = found
        history = history if rows is None else rows
    streams = [child.generate_state(4).tolist() for child in np.random.SeedSequence(entropy).spawn(4)]
    if state is None:
        parameters, running = (model.initial(generator(streams[0], 0)), model.running()) if weights is None else (
            model.split(model.check(weights)))
        state = _State(0, parameters, running, {}, {0: model.join(parameters, running)} if 0 in run.keep else {})
    partial = False
    try:
        with shown(progress, "training") as show, np.errstate(over="ignore", invalid="ignore"):
            while state.step < steps and not partial:
                after = run.step(state, streams, history)
                partial = not np.isfinite(history[state.step, 0])
                state = after
                show(state.step, steps)
                if saved is not None:
                    saved.save(entropy, state, history)
    except KeyboardInterrupt:
        partial = True
    finally:
        if saved is not None:
            saved.save(entropy, state, history, now=True)
    done = history[:state.step]
    return Training(model.join(state.parameters, state.running), done[:, 0].copy(), done[:, 1].copy(), state.kept,
                    steps, entropy, partial)


def _check_classes(model: Model, data: Data, loss: Loss, width: int) -> None:
    channels = model.net.channels(width, data.channels, len(data.space))[model.net.output]
    known, told = getattr(data, "classes", None), loss.classes(channels)
    ignored = getattr(loss, "ignore", None)
    if known is not None and known - (ignored == known - 1) > told:
        raise ValueError(f"net: its output of {channels} channels tells {told} classes apart, the labels have {known}")
