"""Training: gradient descent on a network's weights, step by step from numbered draws.

Everything random in step i comes from child i of a SeedSequence, so that a run that is taken up again
goes on bit for bit as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..base.checks import check_network, integer, real
from ..base.errors import check_bytes, quoted
from ..base.contents import numbers_of
from ..base.keeping import Keeper
from ..base.progress import shown
from ..empirics.sampling import check_entropy, generator, seed_entropy
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
#: Steps over which the loss in the bar is averaged.
SMOOTH = 20
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


class _Checkpoint(Keeper):
    """One npz file that holds a state; `description` says of which run, `callback` may have a state of its own."""

    def __init__(self, path: str | os.PathLike[str], run: _Run, weights: Arrays | None, callback: Any) -> None:
        super().__init__(path, INTERVAL)
        self._run, self._description = run, run.description(weights)
        self._callback = callback if hasattr(callback, "state_dict") and hasattr(callback, "load_state_dict") else None

    def load(self, entropy: Any) -> tuple[Any, _State | None, Array | None]:
        """Entropy, state and history; the last two None where there is no file."""
        if not os.path.exists(self.path):
            return entropy, None, None
        groups, about = read_arrays(self.path, "a checkpoint of a training run")
        if about.get("description") != self._description:
            raise ValueError(f"checkpoint={os.fspath(self.path)!r}: belongs to a run with another network, other data "
                             "or other arguments; give another file name, or delete it")
        try:
            state = self._state(groups, about)
            if self._callback is not None and "callback" in groups:
                self._callback.load_state_dict(groups["callback"])
            return check_entropy(about["entropy"], "entropy"), state, groups["run"]["history"].copy()
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"checkpoint={os.fspath(self.path)!r}: not a checkpoint of a training run "
                             f"({error})") from None

    def _state(self, groups: dict[str, dict[str, Array]], about: Mapping[str, Any]) -> _State:
        """What is in a file, which may be of anybody's: everything has to fit the run."""
        model, steps = self._run.model, self._run.steps
        step = integer(about["step"], "step", 0)
        history = numbers_of(groups["run"], "history", (steps, 2), finite=False)
        if step > steps or not np.isfinite(history[:max(step - 1, 0)]).all():  # the last may have diverged
            raise ValueError(f"step={quoted(step)}: does not fit the history")
        parameters, running = model.initial(np.random.default_rng(0)), model.running()
        memory = {group.removeprefix("memory/"): _like(arrays, parameters, group) for group, arrays in groups.items()
                  if group.startswith("memory/")}
        whole = model.join(parameters, running)
        kept = {int(group.removeprefix("kept/")): _like(arrays, whole, group) for group, arrays in groups.items()
                if group.startswith("kept/")}
        if set(kept) != {n for n in self._run.keep if n <= step}:
            raise ValueError(f"kept: of steps {sorted(kept)}")
        return _State(step, _like(groups["parameters"], parameters, "parameters"),
                      _like(groups.get("running", {}), running, "running"), memory, kept)

    def save(self, entropy: Any, state: _State, history: Array, now: bool = False) -> None:
        """Write, unless the last time was a moment ago."""
        groups = {"parameters": state.parameters, "running": state.running, "run": {"history": history},
                  **{f"memory/{name}": dict(arrays) for name, arrays in state.memory.items()},
                  **{f"kept/{step}": arrays for step, arrays in state.kept.items()}}
        if self._callback is not None:
            groups["callback"] = dict(self._callback.state_dict())
        self.write(lambda: write_arrays(self.path, groups, {"description": self._description, "entropy": entropy,
                                                            "step": state.step}), now)


def _like(arrays: Mapping[str, Array], wanted: Mapping[str, Array], group: str) -> dict[str, Array]:
    """Arrays of a file, where they have the names, shapes and types of those wanted."""
    if set(arrays) != set(wanted):
        raise ValueError(f"{group}: holds {sorted(arrays)}, must hold {sorted(wanted)}")
    for name, array in wanted.items():
        numbers_of(arrays, name, array.shape, finite=False)  # a run may have diverged
        if arrays[name].dtype != array.dtype:
            raise ValueError(f"{name}: is of {arrays[name].dtype}, must be of {array.dtype}")
    return dict(arrays)


def fit(net: Network, data: Data, *, steps: int, batch: int = 128, optimiser: Optimiser = SGD(0.1, 0.9, True),
        schedule: Schedule = Cosine(), augment: Augment | None = None, loss: Loss = CrossEntropy(), rng: Any = None,
        progress: bool | Callable[[int, int], Any] | None = None, checkpoint: str | os.PathLike[str] | None = None,
        keep: Collection[int] = (), clip: float | None = None, weights: Arrays | None = None,
        width: int = 16, evaluate_every: int = 100,
        callback: Callable[[int, dict[str, Array]], Any] | None = None) -> Training:
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
        Of the learning rate.
    augment : CropFlip or callable, optional
        Takes (inputs, labels, rng) and returns inputs and labels.
    loss : CrossEntropy or BinaryCrossEntropy
        What is minimised.
    rng : int, Generator or None
        Weights, the order of images, augmentation and dropout all grow from it.
    progress : bool or callable
        True shows a bar on stderr; a callable gets (done, total).
    checkpoint : path, optional
        Npz file that keeps the run; the same call goes on from there, bit for bit.  One run at a time
        works on it.
    keep : collection of int
        Steps after which the weights are kept; 0 is the beginning.
    clip : float, optional
        Largest Euclidean norm of all gradients together.
    weights : mapping, optional
        What to start from, of all nodes (as `Training.weights`), instead of drawing.
    width : int
        Channels of layers that leave theirs open.
    evaluate_every : int
        Steps from one call of `callback` to the next.
    callback : callable, optional
        Gets the number of steps done, and the weights as `Training.weights`; a true answer ends the run
        there, marked `partial`.  For validation and early stopping: `training.evaluate` takes the weights.
        A resumed run first calls it for the step that it resumes from, if that is one of these.  The checkpoint
        also keeps an object's ``state_dict()``, a mapping to arrays, and hands it to ``load_state_dict(arrays)``.

    Returns
    -------
    Training
        Weights as `measure` and `predict` take them, losses and accuracies, and the weights kept.

    Raises
    ------
    ValueError
        For arguments that do not fit each other, or a checkpoint of another run.
    OSError
        If the checkpoint cannot be written, or another run works on it.

    See Also
    --------
    measure : The same by Monte Carlo.
    training.evaluate : Loss, accuracy and confusion of a trained network on all of `data`.

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
    if weights is not None and not isinstance(weights, Mapping):
        raise TypeError(f"weights={quoted(weights)}: must be a mapping from names of nodes to arrays")
    steps, batch = integer(steps, "steps", 1), integer(batch, "batch", 1)
    every = integer(evaluate_every, "evaluate_every", 1)
    check_bytes(16 * steps, f"steps={quoted(steps)}: losses and accuracies", "take fewer steps")
    model = Model.of(net, data.channels, tuple(data.space), width)
    channels = net.channels(width, data.channels, len(data.space))
    largest = max([data.channels * math.prod(data.space), *(
        channels[step.name] * math.prod(step.forward.out.shape) for step in model.program.steps.values())])
    check_bytes(4 * batch * largest, f"batch={quoted(batch)}: the largest activation", "take a smaller batch")
    run = _Run(model, data, steps, batch, optimiser, schedule, augment, loss, clip, _kept(keep, steps))
    _check_callables(run, callback)
    _check_classes(model, data, loss, width)
    entropy = seed_entropy(rng)
    with contextlib.ExitStack() as stack:
        state, history, saved = None, np.zeros((steps, 2)), None
        if checkpoint is not None:
            saved = stack.enter_context(_Checkpoint(checkpoint, run, weights, callback))
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

        def stop(state: _State) -> bool:
            return callback is not None and state.step % every == 0 and bool(
                callback(state.step, model.join(state.parameters, state.running)))

        state = _train(run, state, streams, history, progress,
                       None if saved is None else functools.partial(saved.save, entropy), stop)
    done = history[:state.step]
    return Training(model.join(state.parameters, state.running), done[:, 0].copy(), done[:, 1].copy(), state.kept,
                    steps, entropy, _diverged(state, history) or state.step < steps)


def _train(run: _Run, state: _State, streams: list[Any], history: Array, progress: Any,
           save: Callable[..., Any] | None, stop: Callable[[_State], bool]) -> _State:
    """Step by step from `state` to the end, to Ctrl-C, until `stop`, or until the loss is no longer finite."""
    try:
        with shown(progress, "training") as show, np.errstate(over="ignore", invalid="ignore"):
            ended = state.step > 0 and stop(state)
            while state.step < run.steps and not (ended or _diverged(state, history)):
                state = run.step(state, streams, history)
                show(state.step, run.steps)
                if hasattr(show, "note"):
                    show.note(f"loss {history[max(0, state.step - SMOOTH):state.step, 0].mean():.3g}")
                if save is not None:
                    save(state, history)
                ended = stop(state)
    except KeyboardInterrupt:
        pass
    finally:
        if save is not None:
            save(state, history, now=True)
    return state


def _diverged(state: _State, history: Array) -> bool:
    return state.step > 0 and not np.isfinite(history[state.step - 1, 0])


def _kept(keep: Any, steps: int) -> frozenset[int]:
    if not isinstance(keep, Collection) or isinstance(keep, str):
        raise ValueError(f"keep={quoted(keep)}: must be a collection of steps")
    kept = frozenset(integer(step, "keep", 0) for step in keep)
    if kept and max(kept) > steps:
        raise ValueError(f"keep={quoted(max(kept))}: there are {steps} steps")
    return kept


def _check_callables(run: _Run, callback: Any) -> None:
    """Refuse names and numbers where a thing that can be called is needed."""
    for name, value, known in (("optimiser", run.optimiser, "training.SGD or training.Adam"),
                               ("schedule", run.schedule, "training.Cosine or training.Piecewise"),
                               ("augment", run.augment, "training.CropFlip, a function, or None"),
                               ("loss", run.loss, "training.CrossEntropy or training.BinaryCrossEntropy")):
        needs = {"optimiser": "rate", "loss": "classes"}.get(name, "__call__")
        if not callable(value) or isinstance(value, type) or not hasattr(value, needs):
            if name != "augment" or value is not None:
                raise ValueError(f"{name}={quoted(value)}: must be {known}")
    if callback is not None and not callable(callback):
        raise ValueError(f"callback={quoted(callback)}: must be a function of (step, weights)")
    if run.clip is not None and not real(run.clip, "clip") > 0:
        raise ValueError(f"clip={quoted(run.clip)}: must be positive")


def _check_classes(model: Model, data: Data, loss: Loss, width: int) -> None:
    channels = model.net.channels(width, data.channels, len(data.space))[model.net.output]
    known, told = getattr(data, "classes", None), loss.classes(channels)
    ignored = getattr(loss, "ignore", None)
    if known is not None and known - (ignored == known - 1) > told:
        raise ValueError(f"net: its output of {channels} channels tells {told} classes apart, the labels have {known}")
