"""Losses: how far outputs are from labels, the gradient of that, and how many labels were hit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ..base.checks import integer

__all__ = ["BinaryCrossEntropy", "CrossEntropy", "Loss", "Verdict"]

Array = npt.NDArray[Any]


class Verdict(NamedTuple):
    """What a loss says of one batch.

    Attributes
    ----------
    loss : float
        Mean over the labels that count.
    gradient : ndarray
        Of `loss`, in the shape of the output.
    guess : ndarray of int
        Most probable class per label, in the shape of the labels.
    counts : ndarray of bool
        Which labels count.
    """

    loss: float
    gradient: Array
    guess: Array
    counts: Array


class Loss(Protocol):
    """Takes outputs ``(channels, images, *space)`` and labels ``(images, *space)`` or, of a single site, (images,)."""

    def __call__(self, output: Array, labels: Array) -> Verdict: ...

    def classes(self, channels: int) -> int:
        """Number of classes that outputs of so many `channels` tell apart."""


def _sites(output: Array, labels: Array) -> Array:
    """Labels in the shape ``(images, *space)`` of the output."""
    shape = output.shape[1:]
    if labels.shape != shape and (labels.shape != shape[:1] or any(n != 1 for n in shape[1:])):
        raise ValueError(f"labels: of shape {labels.shape}; the network's output of {shape} (images, *space) takes "
                         + ("one label an image or one a site" if all(n == 1 for n in shape[1:]) else
                            "one label a site; end in GlobalAvgPool() for one an image"))
    return labels.reshape(shape)


@dataclass(frozen=True)
class CrossEntropy:
    """-log of the softmax probability of the label: per image, or per site of a dense output.

    Parameters
    ----------
    ignore : int, optional
        A label that does not count, as "void" in segmentation.

    Raises
    ------
    ValueError
        If `ignore` is no integer of at least 0.

    See Also
    --------
    BinaryCrossEntropy : -log of the logistic probability of labels 0 and 1.

    Examples
    --------
    Four equal outputs for one image: each class has probability 1/4, and the loss is log 4.

    >>> import numpy as np
    >>> from erfmath.training import CrossEntropy
    >>> round(CrossEntropy()(np.zeros((4, 1)), np.array([2])).loss, 3)
    1.386
    """

    ignore: int | None = None

    def __post_init__(self) -> None:
        if self.ignore is not None:
            integer(self.ignore, "ignore", 0)

    def classes(self, channels: int) -> int:
        """Number of classes that an output tells apart: as many as it has `channels`."""
        return channels

    def __call__(self, output: Array, labels: Array) -> Verdict:
        from scipy.special import log_softmax
        sites = _sites(output, labels)
        counts = np.ones(sites.shape, bool) if self.ignore is None else sites != self.ignore
        target = np.where(counts, sites, 0).astype(np.intp)[None]
        if target.size and not 0 <= target.min() <= target.max() < len(output):
            raise ValueError(f"labels: from {target.min()} to {target.max()}; must be 0 to {len(output) - 1} for an "
                             f"output of {len(output)} channels, or ignore={self.ignore}")
        number = max(int(counts.sum()), 1)
        log_p = log_softmax(output, axis=0)
        loss = -float((np.take_along_axis(log_p, target, axis=0)[0] * counts).sum(dtype=np.float64)) / number
        p = np.exp(log_p)
        np.put_along_axis(p, target, np.take_along_axis(p, target, axis=0) - 1, axis=0)
        p *= counts.astype(p.dtype) / p.dtype.type(number)
        return Verdict(loss, p, output.argmax(axis=0).reshape(labels.shape), counts.reshape(labels.shape))


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """-log of the logistic probability of labels 0 and 1, of an output of one channel.

    See Also
    --------
    CrossEntropy : -log of the softmax probability of the label.

    Examples
    --------
    An output of 0 gives both labels probability 1/2: the loss is log 2.

    >>> import numpy as np
    >>> from erfmath.training import BinaryCrossEntropy
    >>> verdict = BinaryCrossEntropy()(np.zeros((1, 1)), np.array([1]))
    >>> round(verdict.loss, 3), verdict.gradient
    (0.693, array([[-0.5]]))
    """

    def classes(self, channels: int) -> int:
        """Number of classes that an output tells apart: 2; other `channels` than 1 raise a ValueError."""
        if channels != 1:
            raise ValueError(f"loss: BinaryCrossEntropy takes an output of 1 channel, the network has {channels}")
        return 2

    def __call__(self, output: Array, labels: Array) -> Verdict:
        from scipy.special import expit
        sites = _sites(output, labels)
        z, y = output[0], sites.astype(output.dtype)
        # log(1 + e^z) - y z, whose derivative is the probability less the label
        loss = float((np.logaddexp(z, z.dtype.type(0)) - y * z).mean(dtype=np.float64))
        gradient = (expit(z) - y) / z.dtype.type(max(z.size, 1))
        guess = (z > 0).astype(np.intp).reshape(labels.shape)
        return Verdict(loss, gradient[None], guess, np.ones(labels.shape, bool))
