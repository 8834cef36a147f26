"""A network that is trained: its parameters by name, its gradients, and how well it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..base.checks import check_network, integer, numbers
from ..base.errors import quoted
from ..empirics.boxes import Program, compile_network
from ..empirics.rules import Parameter, rule_of
from ..empirics.run import Run, forward
from ..empirics.sampling import checked, parameters_of
from ..networks.network import Network
from .losses import CrossEntropy, Loss, Verdict

__all__ = ["Evaluation", "Model", "evaluate", "recalibrate"]

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Model:
    """A network with its numbers of channels, ready to run on inputs of one shape.

    Parameters have names: kernels are called as their nodes, others "node.bias", "node.scale", and so on.  What is
    not trained is called `running`: "node.mean" and "node.variance" of batch norms, and kernels that are `Fixed` or
    `Constant`.
    """

    net: Network
    program: Program
    parameters: dict[tuple[int, str], Parameter] = field(repr=False)

    @staticmethod
    def of(net: Network, channels: int, space: tuple[int, ...], width: int) -> Model:
        """Biases go to every convolution of a network without batch norm, else to the last ones only."""
        ndim = len(space)
        norms = {i for i, node in enumerate(net.nodes) if node.layer.takes_norm and node.layer.statistics}
        program = compile_network(net, ndim, image=space)
        last = max(norms & set(program.steps), default=-1)
        known = {key: p for key, p in parameters_of(net, ndim, width, channels).items() if key[0] in program.steps}
        return Model(net, program, {(i, what): p for (i, what), p in known.items()
                                    if (i > last or p.random if what == "bias" else
                                        p.trained or not p.optional or i in norms)})

    def name(self, i: int, what: str) -> str:
        """What a parameter is called: as its node, if it is what `weights` has under that name."""
        step = self.program.steps[i]
        return step.name if rule_of(step.layer).stacked(step.layer) == (what,) else f"{step.name}.{what}"

    @property
    def trained(self) -> dict[str, Parameter]:
        """The parameters that training changes, by their names."""
        return {self.name(*key): parameter for key, parameter in self.parameters.items() if parameter.trained}

    @property
    def stacked(self) -> dict[str, list[str]]:
        """Names of the parameters that `weights` holds as rows of one array, by node."""
        rows = {step.name: [self.name(i, what) for what in rule_of(step.layer).stacked(step.layer)
                            if (i, what) in self.parameters] for i, step in self.program.steps.items()}
        return {node: names for node, names in rows.items() if len(names) > 1}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every array of `weights`, by name."""
        found: dict[str, Any] = {self.name(*key): parameter.shape for key, parameter in self.parameters.items()}
        for node, names in self.stacked.items():
            found[node] = (len(names), *[found.pop(name) for name in names][0])
        return found

    @property
    def decays(self) -> frozenset[str]:
        """Names of the parameters that weight decay acts on."""
        return frozenset(name for name, parameter in self.trained.items() if parameter.decays)

    def initial(self, rng: np.random.Generator) -> dict[str, Array]:
        """Kernels drawn by their `weights`, no biases, batch norms that change nothing."""
        return {name: parameter.draw(rng) for name, parameter in self.trained.items()}

    def running(self) -> dict[str, Array]:
        """What is not trained, before any batch: batch norms have mean 0 and variance 1."""
        return {self.name(*key): parameter.fixed().astype(np.float32) for key, parameter in self.parameters.items()
                if not parameter.trained}

    def split(self, weights: Arrays) -> tuple[dict[str, Array], dict[str, Array]]:
        """Parameters and running statistics out of `weights` by node."""
        found, trained = dict(weights), self.trained
        for node, names in self.stacked.items():
            found.update(zip(names, found.pop(node)))
        return ({name: array for name, array in found.items() if name in trained},
                {name: array for name, array in found.items() if name not in trained})

    def join(self, parameters: Arrays, running: Arrays) -> dict[str, Array]:
        """`weights` by node, as `measure` takes them."""
        found = {**parameters, **running}
        for node, names in self.stacked.items():
            found[node] = np.stack([found.pop(name) for name in names])
        return found

    def check(self, weights: Arrays) -> dict[str, Array]:
        """Given weights of all nodes, in float32.

        Raises
        ------
        ValueError
            If an array is missing or does not fit.
        """
        if not isinstance(weights, Mapping):
            raise TypeError(f"weights={quoted(weights)}: must be a mapping from names of nodes to arrays")
        rest, found = dict(weights), {}
        # What a layer can do without may be left out.
        initial = self.join({self.name(*key): p.fixed() for key, p in self.parameters.items()}, {})
        for (i, what), p in self.parameters.items():
            if not p.optional or not p.trained:
                initial.pop(self.net.names[i], None)
        for name, shape in self.shapes.items():
            if name not in rest and name not in initial:
                raise ValueError(f"weights: nothing for {quoted(name)}; give every convolution and batch norm")
            found[name] = checked(name, rest[name] if name in rest else initial[name], shape).astype(np.float32)
        if rest := {name: array for name, array in rest.items() if name not in found}:
            raise ValueError(f"weights: {quoted(next(iter(rest)))} is no convolution, bias or norm of this network; "
                             f"known are {', '.join(self.shapes)}")
        return found

    def run(self, parameters: Arrays, running: Arrays, inputs: Array, *, training: bool,
            generators: tuple[np.random.Generator, ...] = ()) -> Run:
        """Forward pass on inputs ``(images, channels, *space)``; statistics of batch norms are those of the
        batch in training, else the running ones."""
        numbers = {**parameters, **running}
        x = np.ascontiguousarray(inputs.swapaxes(0, 1))[None]
        return forward(self.program, {key: numbers[self.name(*key)][None] for key in self.parameters}, x,
                       images=None if training else 0, training=training, to_inputs=False, generators=generators)

    def gradients(self, parameters: Arrays, running: Arrays, inputs: Array, labels: Array, loss: Loss,
                  generators: tuple[np.random.Generator, ...] = ()) -> tuple[Verdict, dict[str, Array], Run]:
        """The loss of a batch, its gradient to every parameter, and the run."""
        run = self.run(parameters, running, inputs, training=True, generators=generators)
        verdict = loss(run.output[0], labels)
        found = run.learn(verdict.gradient[None])
        return verdict, {self.name(*key): gradient[0] for key, gradient in found.items()
                         if self.parameters[key].trained}, run

    def moved(self, running: Arrays, run: Run, fraction: float) -> dict[str, Array]:
        """Running statistics after a batch: a `fraction` of the way to those that it had."""
        met = {self.name(*key): array[0] for key, array in run.statistics.items()}
        return {name: old + old.dtype.type(fraction) * (met[name] - old) if name in met else old
                for name, old in running.items()}


class Evaluation(NamedTuple):
    """How a network does on labelled images; returned by `evaluate`.

    Attributes
    ----------
    loss, accuracy : float
        Over all labels that count.
    confusion : ndarray of int
        Number of labels by (label, guess), (classes, classes).

    See Also
    --------
    evaluate : Loss, accuracy and confusion of a trained network on all of `data`.
    recalibrate : The weights, with the statistics of all batch norms those of `images`.

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
        The network.
    weights : mapping
        Of all nodes, as `Training.weights`; a bias that is left out is 0.
    data : Images
        Images and labels.
    loss : CrossEntropy or BinaryCrossEntropy
        As in `fit`.
    batch : int
        Images that are run at once; the result does not depend on it, memory does.
    width : int
        Channels of layers that leave theirs open, as in `fit`.

    Returns
    -------
    Evaluation
        Loss, accuracy, confusion.

    Raises
    ------
    ValueError
        If weights or labels do not fit the network.

    See Also
    --------
    Evaluation : How a network does on labelled images; returned by `evaluate`.
    recalibrate : The weights, with the statistics of all batch norms those of `images`.

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
    check_network(net)
    if not all(hasattr(data, name) for name in ("channels", "space", "inputs", "labels")):
        raise TypeError(f"data={quoted(data)}: must be labelled images, as training.Images holds")
    if not callable(loss) or not hasattr(loss, "classes"):
        raise TypeError(f"loss={quoted(loss)}: must be a loss, as training.CrossEntropy()")
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
    """The weights, with the statistics of all batch norms those of `images` ``(N, channels, *space)``.

    What running statistics are only slowly after the weights have changed; before training they are
    0 and 1.  Each batch is normalised by itself, and the statistics are the means over batches.

    Parameters
    ----------
    net : Network
        The network.
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

    See Also
    --------
    evaluate : Loss, accuracy and confusion of a trained network on all of `data`.
    Evaluation : How a network does on labelled images; returned by `evaluate`.

    Examples
    --------
    Pixels 1 and 3 have mean 2 and variance 1; the rows are scale, shift, mean and variance.

    >>> import erfmath as em
    >>> import numpy as np
    >>> fresh = {"batch_norm1": np.array([[1], [0], [0], [1]])}
    >>> found = em.training.recalibrate(em.serial(em.BatchNorm()), fresh, np.array([[[1, 3]]]))
    >>> found["batch_norm1"].ravel().round(4).tolist()          # epsilon is in the variance
    [1.0, 0.0, 2.0, 1.0]
    """
    check_network(net)
    images = numbers(images, "images").astype(np.float32)
    if not 3 <= images.ndim <= 5:
        raise ValueError(f"images: shape {images.shape}; must be (N, channels, *space)")
    model = Model.of(net, images.shape[1], images.shape[2:], width)
    parameters, running = model.split(model.check(weights))
    total, done = running, 0
    for start in range(0, len(images), integer(batch, "batch", 1)):
        part = images[start:start + batch]
        done += len(part)
        total = model.moved(total, model.run(parameters, running, part, training=True), len(part) / done)
    return model.join(parameters, total)
