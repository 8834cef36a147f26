"""What a network is trained on: images with labels, and a task made on the fly."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ..base.checks import integer, numbers
from ..base.errors import MOST_CHANNELS, check_count, quoted
from ..empirics.sampling import generator

__all__ = ["BoxMajority", "Data", "Images", "majority"]

Array = npt.NDArray[Any]


@runtime_checkable
class Data(Protocol):
    """What `fit` asks of its data."""

    @property
    def channels(self) -> int:
        """Channels of the inputs."""

    @property
    def space(self) -> tuple[int, ...]:
        """Pixels of the inputs per axis."""

    def batch(self, step: int, size: int, entropy: Any) -> tuple[Array, Array]:
        """Inputs ``(size, channels, *space)``, float32, and labels of training step `step`, `size` images.

        All that is random in it comes from `entropy`, integers that a `SeedSequence` takes, and `step`.
        """

    def description(self) -> str:
        """Tells one set of data from another."""


@dataclass(frozen=True, eq=False)
class Images:
    """Images and their labels.

    Parameters
    ----------
    images : ndarray
        ``(N, channels, *space)``, of uint8 or real numbers.
    labels : ndarray of int
        One an image (N,), or one a site ``(N, *sites)``, where sites may be coarser than pixels.
    classes : int, optional
        Labels run from 0 to classes - 1 (default: the largest label says).
    mean, std : ndarray, optional
        Per channel, by which inputs are normalised (default: of these images).  Give test images
        those of the training images.

    Raises
    ------
    ValueError
        If the arrays do not fit each other, are not finite, labels lie outside of the classes, or a
        channel never varies.

    See Also
    --------
    majority : The most frequent label of each block of `factor` sites per axis.
    BoxMajority : A synthetic task of known range.

    Examples
    --------
    Two images of two pixels, of mean 1 and standard deviation 1:

    >>> import numpy as np
    >>> from erfmath.training import Images
    >>> data = Images(np.array([[[0, 2]], [[2, 0]]]), labels=np.array([0, 1]))
    >>> data.channels, data.space, data.classes, len(data)
    (1, (2,), 2, 2)
    >>> data.inputs().tolist()
    [[[-1.0, 1.0]], [[1.0, -1.0]]]
    """

    images: Array
    labels: Array
    classes: int = 0
    mean: Any = None
    std: Any = None

    def __post_init__(self) -> None:
        images, labels = np.asarray(self.images), np.asarray(self.labels)
        if images.dtype.kind not in "fiu" or not 3 <= images.ndim <= 5 or 0 in images.shape:
            raise ValueError(f"images: shape {images.shape} of {images.dtype}; must be real numbers of shape "
                             "(N, channels, *space), at least one")
        if labels.dtype.kind not in "iu":
            raise ValueError(f"labels: of {labels.dtype}; must be integers")
        if labels.ndim < 1 or len(labels) != len(images) or labels.ndim not in (1, images.ndim - 1):
            raise ValueError(f"labels: shape {labels.shape}; must be ({len(images)},) or ({len(images)}, *sites) "
                             f"for images of shape {images.shape}")
        if images.dtype.kind == "f" and not np.isfinite(images).all():
            raise ValueError("images: must be finite")
        low, high = int(labels.min()), int(labels.max())
        unknown = isinstance(self.classes, int) and not self.classes
        classes = high + 1 if unknown else integer(self.classes, "classes", 1)
        if low < 0 or high >= classes:
            raise ValueError(f"labels: from {low} to {high}; must be 0 to {classes - 1} for {classes} classes")
        axes = (0, *range(2, images.ndim))
        mean = images.mean(axis=axes, dtype=np.float64) if self.mean is None else self.mean
        std = images.std(axis=axes, dtype=np.float64) if self.std is None else self.std
        for name, value in (("mean", mean), ("std", std)):
            value = numbers(value, name, False)
            if value.shape != images.shape[1:2] or not np.isfinite(value).all():
                raise ValueError(f"{name}: shape {value.shape}; must be one finite number for each of the "
                                 f"{images.shape[1]} channels")
            object.__setattr__(self, name, value)
        if not (self.std > 0).all():
            raise ValueError("std: must be positive; a channel that never varies tells nothing")
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "classes", classes)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return int(self.images.shape[1])

    @property
    def space(self) -> tuple[int, ...]:
        """Pixels of the images per axis."""
        return tuple(self.images.shape[2:])

    def inputs(self, which: Any = slice(None)) -> Array:
        """Normalised inputs, float32: what `measure(images=...)` and `recalibrate` take.

        `which` is an index into the images: a slice or an array (default: all).
        """
        shape = (-1, *(1,) * len(self.space))
        x = self.images[which].astype(np.float32)
        x -= self.mean.astype(np.float32).reshape(shape)
        x *= (1 / self.std).astype(np.float32).reshape(shape)
        return x

    def batch(self, step: int, size: int, entropy: Any) -> tuple[Array, Array]:
        """Inputs and labels of training step `step`, `size` images; each epoch has a new order out of `entropy`.

        Images that do not fill a last batch wait for the next order.
        """
        if not 1 <= size <= len(self):
            raise ValueError(f"batch={quoted(size)}: there are {len(self)} images")
        epoch, part = divmod(step, len(self) // size)
        order = generator(entropy, epoch).permutation(len(self))[part * size:(part + 1) * size]
        return self.inputs(order), self.labels[order]

    def description(self) -> str:
        """A digest of images, labels, mean and std."""
        digest = hashlib.sha256()
        for array in (self.images, self.labels, self.mean, self.std):
            digest.update(repr((array.shape, array.dtype)).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def majority(labels: Array, factor: int, classes: int) -> Array:
    """The most frequent label of each block of `factor` sites per axis; of equals the lowest.

    Parameters
    ----------
    labels : ndarray of int
        ``(N, *sites)``, sites divisible by `factor`.
    factor : int
        Sites of a block per axis.
    classes : int
        Labels are 0 to classes - 1.

    Returns
    -------
    ndarray of int
        ``(N, *sites / factor)``.

    Raises
    ------
    ValueError
        If `factor` does not divide the sites.

    See Also
    --------
    Images : Images and their labels.
    BoxMajority : A synthetic task of known range.

    Examples
    --------
    >>> import erfmath as em
    >>> import numpy as np
    >>> em.training.majority(np.array([[[0, 1, 2, 2], [1, 1, 0, 2]]]), 2, 3)
    array([[[1, 2]]])
    """
    labels, factor, classes = np.asarray(labels), integer(factor, "factor", 1), integer(classes, "classes", 1)
    if labels.dtype.kind not in "iu" or labels.ndim < 2:
        raise ValueError(f"labels: shape {labels.shape} of {labels.dtype}; must be integers of shape (N, *sites)")
    check_count(classes, MOST_CHANNELS, f"classes={quoted(classes)}")
    n, *space = labels.shape
    if any(size % factor for size in space):
        raise ValueError(f"factor={quoted(factor)}: must divide the {tuple(space)} sites of the labels")
    shape = [n, *(part for size in space for part in (size // factor, factor))]
    axes = tuple(range(2, len(shape), 2))
    best = np.zeros((n, *(size // factor for size in space)), labels.dtype)
    most = np.full(best.shape, -1)
    for label in range(classes):
        count = (labels == label).reshape(shape).sum(axis=axes)
        best[count > most] = label
        np.maximum(most, count, out=most)
    return best


@dataclass(frozen=True)
class BoxMajority:
    """White noise; the label of every pixel says whether the box around it sums to more than 0.

    A task whose range is known: the label depends on (2 radius + 1)^ndim pixels, all equally.  Every batch
    is drawn afresh.

    Parameters
    ----------
    size : int
        Pixels per axis.
    radius : int
        Of the box, in pixels; what lies outside of the image counts as 0.
    ndim : int
        Axes of the images.

    Attributes
    ----------
    channels : int
        Of the inputs, 1.
    classes : int
        Of the labels, 2.

    Raises
    ------
    ValueError
        If `size` or `ndim` is no integer of at least 1, or `radius` none of at least 0.

    See Also
    --------
    majority : The most frequent label of each block of `factor` sites per axis.
    Images : Images and their labels.

    Examples
    --------
    >>> import erfmath as em
    >>> inputs, labels = em.training.BoxMajority(9, 1).batch(0, 4, entropy=0)
    >>> inputs.shape, labels.shape
    ((4, 1, 9, 9), (4, 9, 9))
    """

    size: int = 33
    radius: int = 8
    ndim: int = 2
    channels: int = field(default=1, init=False)
    classes: int = field(default=2, init=False)

    def __post_init__(self) -> None:
        integer(self.size, "size", 1)
        integer(self.radius, "radius", 0)
        integer(self.ndim, "ndim", 1)

    @property
    def space(self) -> tuple[int, ...]:
        """Pixels of the images per axis."""
        return (self.size,) * self.ndim

    def batch(self, step: int, size: int, entropy: Any) -> tuple[Array, Array]:
        """Inputs ``(size, 1, *space)`` and labels ``(size, *space)`` of training step `step`, `size` images.

        They depend on `entropy` and `step` only.
        """
        rng = generator(entropy, step)
        inputs = rng.standard_normal((size, 1, *self.space), np.float32)
        site = np.arange(self.size)
        box = (np.abs(site[:, None] - site) <= self.radius).astype(np.float32)
        total = inputs[:, 0]
        for axis in range(1, self.ndim + 1):
            total = np.moveaxis(np.moveaxis(total, axis, -1) @ box, -1, axis)
        return inputs, (total > 0).astype(np.intp)

    def description(self) -> str:
        """Size, radius and number of axes."""
        return repr(self)
