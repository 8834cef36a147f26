"""A network that is trained: its parameters by name, its gradients, and how well it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..base.checks import integer
from ..empirics.boxes import Program, compile_network
from ..empirics.run import Parameters, Run, forward
from ..empirics.sampling import Kernel, kernels_of
from ..layers import BatchNorm
from ..networks.network import Network
from .losses import CrossEntropy, Loss, Verdict

__all__ = ["Evaluation", "Model", "evaluate", "recalibrate"]

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Model:
    """A network with its numbers of channels, ready to run on inputs of one shape.

    Parameters have names: kernels are called as their nodes, biases "node.bias", and the scales and
    shifts of batch norms "node.scale" and "node.shift".
    """

    net: Network
    program: Program
    kernels: dict[int, Kernel]
    biased: frozenset[int]
    norms: dict[int, int] = field(repr=False)   # channels of batch norms

    @staticmethod
    def of(net: Network, channels: int, space: tuple[int, ...], width: int) -> Model:
        """Biases go to every convolution of a network without batch norm, else to the last ones only."""
        ndim = len(space)
        counts = list(net.channels(width, channels, ndim).values())
        norms = {i: counts[i] for i, node in enumerate(net.nodes)
                 if isinstance(node.layer, BatchNorm) and node.layer.mode == "data"}
        program = compile_network(net, ndim, image=space, frozen=norms)
        kernels = {i: kernel for i, kernel in kernels_of(net, ndim, width, channels).items() if i in program.steps}
        norms = {i: c for i, c in norms.items() if i in program.steps}
        behind = max(norms, default=-1)
        return Model(net, program, kernels, frozenset(i for i in kernels if i > behind), norms)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every array of `weights`, by name."""
        names, found = self.net.names, {}
        for i, kernel in self.kernels.items():
            found[names[i]] = kernel.shape
            if i in self.biased:
                found[f"{names[i]}.bias"] = (kernel.shape[1] * kernel.groups if kernel.transposed else kernel.shape[0],)
        return found | {names[i]: (4, channels) for i, channels in self.norms.items()}

    @property
    def decays(self) -> frozenset[str]:
        """Names of the parameters that weight decay acts on."""
        return frozenset(self.net.names[i] for i in self.kernels)

    def initial(self, rng: np.random.Generator) -> dict[str, Array]:
        """Kernels drawn by their `weights`, no biases, batch norms that change nothing."""
        start: dict[str, Array] = {}
        for i, kernel in self.kernels.items():
            name = self.net.names[i]
            if kernel.random:
                shape = kernel.shape
                uniform = (rng.random(shape, np.float32) - np.float32(0.5)) * np.float32(np.sqrt(12))
                drawn = rng.standard_normal(shape, np.float32) if kernel.weights.law == "normal" else uniform
                start[name] = drawn * kernel.scale().astype(np.float32)
            else:
                start[name] = np.array(kernel.fixed(), np.float32)
            if i in self.biased:
                start[f"{name}.bias"] = np.zeros(self.shapes[f"{name}.bias"], np.float32)
        for i, channels in self.norms.items():
            start[f"{self.net.names[i]}.scale"] = np.ones(channels, np.float32)
            start[f"{self.net.names[i]}.shift"] = np.zeros(channels, np.float32)
        return start

    def running(self) -> dict[str, Array]:
        """Statistics of batch norms before any batch: mean 0 and variance 1, (2, channels)."""
        return {self.net.names[i]: np.stack([np.zeros(c, np.float32), np.ones(c, np.float32)])
                for i, c in self.norms.items()}

    def split(self, weights: Arrays) -> tuple[dict[str, Array], dict[str, Array]]:
        """Parameters and running statistics out of `weights` by node."""
        parameters, running = dict(weights), {}
        for i in self.norms:
            name = self.net.names[i]
            scale, shift, *statistics = parameters.pop(name)
            parameters[f"{name}.scale"], parameters[f"{name}.shift"] = scale, shift
            running[name] = np.stack(statistics)
        return parameters, running

    def join(self, parameters: Arrays, running: Arrays) -> dict[str, Array]:
        """`weights` by node, as `measure` takes them."""
        weights = dict(parameters)
        for name, statistics in running.items():
            weights[name] = np.concatenate([[weights.pop(f"{name}.scale"), weights.pop(f"{name}.shift")], statistics])
        return weights

    def check(self, weights: Arrays) -> dict[str, Array]:
        """Given weights of all nodes, in float32.

        Raises
        ------
        ValueError
            If an array is missing or does not fit.
        """
        rest = dict(weights)
        found = {}
        for name, shape in self.shapes.items():
            if name not in rest and not name.endswith(".bias"):
                raise ValueError(f"weights: nothing for {name!r}; give every convolution and batch norm")
            array = np.asarray(rest.pop(name, np.zeros(shape)))
            if array.dtype.kind not in "fiu" or array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"weights[{name!r}]: shape {array.shape} of {array.dtype}; must be finite real "
                                 f"numbers of shape {shape}")
            found[name] = array.astype(np.float32)
        if rest:
            raise ValueError(f"weights: {next(iter(rest))!r} is no convolution, bias or batch norm of this network; "
                             f"known are {', '.join(self.shapes)}")
        return found

    def run(self, parameters: Arrays, running: Arrays, inputs: Array, *, training: bool,
            generators: tuple[np.random.Generator, ...] = ()) -> Run:
        """Forward pass on inputs (images, channels, *space); statistics of batch norms are those of the
        batch in training, else the running ones."""
        names = self.net.names
        kernels = {i: parameters[names[i]][None] for i in self.kernels}
        biases = {i: parameters[f"{names[i]}.bias"][None] for i in self.kernels if f"{names[i]}.bias" in parameters}
        norms = {i: np.stack([parameters[f"{names[i]}.scale"], parameters[f"{names[i]}.shift"], *running[names[i]]])
                 for i in self.norms}
        numbers = Parameters(kernels, {i: kernel.groups for i, kernel in self.kernels.items()}, biases, norms)
        x = np.ascontiguousarray(inputs.swapaxes(0, 1))[None]
        return forward(self.program, numbers, x, images=None if training else 0, training=training,
                       generators=generators)

    def gradients(self, parameters: Arrays, running: Arrays, inputs: Array, labels: Array, loss: Loss,
                  generators: tuple[np.random.Generator, ...] = ()) -> tuple[Verdict, dict[str, Array], Run]:
        """The loss of a batch, its gradient to every parameter, and the run."""
        run = self.run(parameters, running, inputs, training=True, generators=generators)
        verdict = loss(run.output[0], labels)
        found = {}
        for (i, what), gradient in run.learn(verdict.gradient[None]).items():
            name = self.net.names[i] if what == "kernel" else f"{self.net.names[i]}.{what}"
            found[name] = gradient[0]
        return verdict, found, run

    def moved(self, running: Arrays, run: Run, share: float) -> dict[str, Array]:
        """Running statistics after a batch."""
        fresh = {}
        for i, (mean, variance) in run.statistics.items():
            old = running[self.net.names[i]]
            fresh[self.net.names[i]] = old + old.dtype.type(share) * (np.concatenate([mean, variance]) - old)
        return fresh


class Evaluation(NamedTuple):
    """How a network does on labelled images; returned by `evaluate`.

    Attributes
    ----------
    loss, accuracy : float
        Over all labels that count.
    confusion : ndarray of int
        Number of labels by (label, guess), (classes, classes).

    Examples
    --------
    Of class 0 the label or the guess occur 3 times, both together 2 times; of class 1, 2 and 1.

    >>> import numpy as np
    >>> from erfmath.training import Evaluation
    >>> found = Evaluation(loss=0.5, accuracy=0.75, confusion=np.array([[2, 1], [0, 1]]))
    >>> round(found.mean_iou, 4)  # (2/3 + 1/2) / 2
    0.5833
    """

    loss: float
    accuracy: float
    confusion: Array

    @property
    def mean_iou(self) -> float:
        """Intersection over union, mean over the classes that occur."""
        hits = np.diag(self.confusion)
        union = self.confusion.sum(axis=0) + self.confusion.sum(axis=1) - hits
        return float((hits[union > 0] / union[union > 0]).mean())


def evaluate(net: Network, weights: Arrays, data: Any, *, loss: Loss = CrossEntropy(), batch: int = 250,
             width: int = 16) -> Evaluation:
    """Loss, accuracy and confusion of a trained network on all of `data`.

    Batch norms use the statistics in `weights`.

    Parameters
    ----------
    net : Network
    weights : mapping
        Of all nodes, as `Training.weights`; a bias that is left out is 0.
    data : Images
    loss : CrossEntropy or BinaryCrossEntropy
        As in `fit`.
    batch : int
        Images that are run at once; the result does not depend on it, memory does.
    width : int
        Channels of layers that leave theirs open, as in `fit`.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        If weights or labels do not fit the network.

    Examples
    --------
    Kernels of one pixel, whose outputs are -x and x: the larger says whether the pixel is bright.

    >>> import erfmath as em
    >>> import numpy as np
    >>> data = em.training.Images(np.array([[[0, 2, 2, 0]]]), labels=np.array([[0, 1, 1, 1]]))
    >>> found = em.training.evaluate(em.serial(em.Conv(1, 2)), {"conv1": [[[-1]], [[1]]]}, data)
    >>> found.accuracy, found.confusion.tolist()
    (0.75, [[1, 0], [1, 2]])
    """
    model = Model.of(net, data.channels, tuple(data.space), width)
    parameters, running = model.split(model.check(weights))
    total, counted, confusion = 0.0, 0, np.zeros((0, 0), int)
    for start in range(0, len(data), integer(batch, "batch", 1)):
        part = slice(start, start + batch)
        output = model.run(parameters, running, data.inputs(part), training=False).output[0]
        labels = data.labels[part]
        verdict, classes = loss(output, labels), loss.classes(len(output))
        counts = verdict.counts
        number = int(counts.sum())
        total, counted = total + verdict.loss * number, counted + number
        pairs = classes * labels[counts].astype(np.intp) + verdict.guess[counts]
        confusion = np.bincount(pairs, minlength=classes**2).reshape(classes, classes) + (
            confusion if confusion.size else 0)
    return Evaluation(total / max(counted, 1), float(np.trace(confusion) / max(counted, 1)), confusion)


def recalibrate(net: Network, weights: Arrays, images: Array, *, batch: int = 128, width: int = 16) -> dict[str, Array]:
    """The weights, with the statistics of all batch norms those of `images` (N, channels, *space).

    What running statistics are only slowly after the weights have changed; before training they are
    0 and 1.  Each batch is normalised by itself, and the statistics are the means over batches.

    Parameters
    ----------
    net : Network
    weights : mapping
        Of all nodes, as `Training.weights`; a bias that is left out is 0.
    images : ndarray
        Normalised as in training: `Images.inputs()`.
    batch : int
        Images that are normalised together.
    width : int
        Channels of layers that leave theirs open, as in `fit`.

    Returns
    -------
    dict of ndarray
        By node, as `Training.weights`: only the rows of mean and variance of batch norms are new.

    Raises
    ------
    ValueError
        If the weights do not fit the network.

    Examples
    --------
    Pixels 1 and 3 have mean 2 and variance 1; the rows are scale, shift, mean and variance.

    >>> import erfmath as em
    >>> import numpy as np
    >>> fresh = {"batch_norm1": np.array([[1], [0], [0], [1]])}
    >>> found = em.training.recalibrate(em.serial(em.BatchNorm()), fresh, np.array([[[1, 3]]]))
    >>> found["batch_norm1"].ravel().tolist()
    [1.0, 0.0, 2.0, 1.0]
    """
    images = np.asarray(images, np.float32)
    model = Model.of(net, images.shape[1], images.shape[2:], width)
    parameters, running = model.split(model.check(weights))
    total, done = running, 0
    for start in range(0, len(images), integer(batch, "batch", 1)):
        part = images[start:start + batch]
        done += len(part)
        total = model.moved(total, model.run(parameters, running, part, training=True), len(part) / done)
    return model.join(parameters, total)
