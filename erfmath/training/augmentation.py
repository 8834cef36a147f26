"""Augmentation: what is done at random to the inputs and labels of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from ..base.checks import flag, integer

__all__ = ["Augment", "CropFlip"]

Array = npt.NDArray[Any]


class Augment(Protocol):
    """Takes inputs ``(images, channels, *space)``, labels, and a generator; returns inputs and labels."""

    def __call__(self, inputs: Array, labels: Array, rng: np.random.Generator) -> tuple[Array, Array]: ...


@dataclass(frozen=True)
class CropFlip:
    """Shift each image by up to `shift` sites per axis, zeros coming in, and mirror half of them.

    The mirror runs along the last axis.  Labels per site are mirrored with their image; they cannot
    be shifted, as they may be coarser than the image.

    Parameters
    ----------
    shift : int
        Largest shift in pixels, at least 0; all shifts up to it are equally likely.
    flip : bool
        Whether to mirror.

    Raises
    ------
    ValueError
        If `shift` is no such number; when called, if it is not 0 and there are labels per site.

    See Also
    --------
    Images : Images and their labels.
    majority : The most frequent label of each block of `factor` sites per axis.

    Examples
    --------
    What becomes of 40 copies of one image of three pixels:

    >>> import numpy as np
    >>> from erfmath.training import CropFlip
    >>> images, labels = np.tile([1, 2, 3], (40, 1, 1)), np.zeros(40, int)
    >>> moved, _ = CropFlip(shift=1, flip=False)(images, labels, np.random.default_rng(0))
    >>> np.unique(moved[:, 0], axis=0)
    array([[0, 1, 2],
           [1, 2, 3],
           [2, 3, 0]])
    """

    shift: int = 4
    flip: bool = True

    def __post_init__(self) -> None:
        integer(self.shift, "shift", 0)
        flag(self.flip, "flip")

    def __call__(self, inputs: Array, labels: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        n, space = len(inputs), inputs.shape[2:]
        if self.shift:
            if labels.ndim > 1:
                raise ValueError(f"augment: CropFlip(shift={self.shift}) cannot shift labels per site; give shift=0")
            pads = [(0, 0), (0, 0)] + [(self.shift, self.shift)] * len(space)
            windows = sliding_window_view(np.pad(inputs, pads), space, axis=tuple(range(2, inputs.ndim)))
            starts = rng.integers(0, 2 * self.shift + 1, size=(len(space), n))
            inputs = windows[(np.arange(n), slice(None), *starts)]
        if self.flip:
            mirrored = rng.random(n) < 0.5
            inputs, labels = _mirrored(inputs, mirrored), _mirrored(labels, mirrored) if labels.ndim > 1 else labels
        return inputs, labels


def _mirrored(array: Array, which: Array) -> Array:
    return np.where(which.reshape(-1, *(1,) * (array.ndim - 1)), array[..., ::-1], array)
