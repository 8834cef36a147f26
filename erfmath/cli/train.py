"""The command ``train``: a small network trained in NumPy."""

from __future__ import annotations

import argparse
import math
import os
from typing import Any

import numpy as np

import erfmath as em

from ..base.checks import integer, real
from ..base.contents import numbers_of
from ..base.files import write_atomically
from ..base.tables import text_table
from . import report, targets
from .networks import network, store
from .report import Answer
from .sampling import INTERRUPTED

__all__ = ["add_train_options", "train"]

TEST = 7  # entropy of the images on which the box task is validated


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """Data, optimiser, validation."""
    parser.add_argument("network", metavar="NET",
                        help="name of a network (see erfmath zoo), a JSON file, or - for JSON on standard input; it "
                             "ends in one value per image or per label")
    parser.add_argument("--data", default="box", metavar="PATH",
                        help="npz file with x_train, y_train, x_test, y_test; the unpacked folder of CIFAR-10; or box, "
                             "a synthetic task: is the sum over 17 x 17 pixels of noise positive? (default: box)")
    parser.add_argument("--steps", type=int, default=400, metavar="N", help="training steps (default: 400)")
    parser.add_argument("--batch", type=int, default=16, metavar="N", help="images in a step (default: 16)")
    parser.add_argument("--optimiser", choices=("adam", "sgd"), default="adam",
                        help="sgd has a Nesterov momentum of 0.9 (default: adam)")
    parser.add_argument("--rate", type=float, metavar="R",
                        help="learning rate, which falls along a cosine (default: 0.002 for adam, 0.05 for sgd)")
    parser.add_argument("--width", type=int, default=16, metavar="N",
                        help="channels of layers that leave theirs open (default: 16)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights, images and noise (default: 0)")
    parser.add_argument("--validate", type=int, default=100, metavar="N",
                        help="steps from one validation to the next; the best weights are kept (default: 100)")
    parser.add_argument("--patience", type=int, metavar="N",
                        help="stop after N validations without improvement (default: never)")
    parser.add_argument("--checkpoint", metavar="FILE", help="keep the run in FILE (.npz), and resume from there")
    parser.add_argument("--save", metavar="FILE", help="save the best weights (.npz), for predict --weights")
    parser.set_defaults(image=None)


class _Best:
    """Validates, keeps the best weights, and says when to stop; the checkpoint keeps it."""

    def __init__(self, net: em.Network, data: Any, loss: Any, width: int, patience: int | None) -> None:
        self.rows: list[tuple[int, float, float]] = []
        self.weights: dict[str, Any] = {}
        self._how, self._patience = (net, data, loss, width), patience

    @property
    def best(self) -> int:
        """Which validation had the lowest loss, the first of equal ones; -1 before there is any."""
        losses = [loss if loss == loss else math.inf for _, loss, _ in self.rows]
        return losses.index(min(losses)) if losses else -1

    def __call__(self, step: int, weights: dict[str, Any]) -> bool:
        if not self.rows or self.rows[-1][0] < step:  # a resumed run asks again
            net, data, loss, width = self._how
            found = em.training.evaluate(net, weights, data, loss=loss, width=width)
            if not self.rows or found.loss < self.rows[self.best][1]:
                self.weights = weights
            self.rows.append((step, float(found.loss), float(found.accuracy)))
        return self._patience is not None and len(self.rows) - 1 - self.best >= self._patience

    def state_dict(self) -> dict[str, Any]:
        return {"rows": np.array(self.rows).reshape(-1, 3),
                **{f"weights/{name}": array for name, array in self.weights.items()}}

    def load_state_dict(self, arrays: dict[str, Any]) -> None:
        rows = numbers_of(arrays, "rows", finite=False).reshape(-1, 3)
        self.rows = [(int(step), float(loss), float(accuracy)) for step, loss, accuracy in rows]
        self.weights = {name.removeprefix("weights/"): array for name, array in arrays.items() if name != "rows"}
        for name in arrays:
            numbers_of(arrays, name, finite=False)


def train(options: argparse.Namespace) -> Answer:
    """``erfmath train``: losses and accuracies, on validation images too."""
    for path in (options.save, options.checkpoint):
        targets.archive(path)
    if options.patience is not None:
        integer(options.patience, "patience", 1)
    every = min(integer(options.validate, "validate", 1), integer(options.steps, "steps", 1))
    rate = {"adam": 0.002, "sgd": 0.05}[options.optimiser] if options.rate is None else real(options.rate, "rate")
    net = network(options)
    data, held, loss = _data(options.data)
    adam = options.optimiser == "adam"
    optimiser: Any = em.training.Adam(rate) if adam else em.training.SGD(rate, 0.9, True)
    best = _Best(net, held, loss, options.width, options.patience)
    with report.progress(options, f"train {options.network}") as bar:
        done = em.fit(net, data, steps=options.steps, batch=options.batch, optimiser=optimiser, loss=loss,
                      schedule=em.training.Cosine(warmup=min(30, options.steps // 10)), clip=1.0, rng=options.seed,
                      width=options.width, checkpoint=options.checkpoint, progress=bar, evaluate_every=every,
                      callback=best)
    steps = len(done.loss)
    stopped = options.patience is not None and bool(best.rows) and best.rows[-1][0] == steps < options.steps
    weights = best.weights or done.weights
    if options.save:
        write_atomically(options.save, lambda file: store(file, weights))
    rows = [("step", "validation loss", "validation accuracy"),
            *((step, f"{value:.4g}", f"{accuracy:.2%}") for step, value, accuracy in best.rows)]
    last = done.loss[-20:].mean() if steps else float("nan")
    ended = "diverged" if done.diverged else "stopped early" if stopped else "interrupted" if done.partial else "done"
    chosen = best.rows[best.best] if best.rows else None
    text = "\n".join([text_table(rows, "r"),
                      f"{ended} after {steps} of {options.steps} steps; training loss {last:.4g}, mean of the last 20",
                      *([f"best: step {chosen[0]}, accuracy {chosen[2]:.2%}"] if chosen else []),
                      *([f"weights of that step: {options.save}"] if options.save else [])])
    values = {"network": options.network, "data": options.data, "steps": steps, "ended": ended,
              "training_loss": done.loss, "training_accuracy": done.accuracy,
              "best_step": chosen[0] if chosen else None,
              "validation": [dict(zip(("step", "loss", "accuracy"), row)) for row in best.rows]}
    return Answer(values, text, rows, status=INTERRUPTED if ended == "interrupted" else 0)


def _data(name: str) -> tuple[Any, Any, Any]:
    """Training data, validation data and the loss."""
    if name == "box":
        task = em.training.BoxMajority()
        inputs, labels = task.batch(0, 256, entropy=TEST)
        one = [0.0], [1.0]
        held = em.training.Images(inputs, labels, 2, *one)
        return task, held, em.training.BinaryCrossEntropy()
    read = em.training.read_cifar10 if os.path.isdir(name) else em.training.read_npz
    first = read(name)
    return first, read(name, "test", like=first), em.training.CrossEntropy()
