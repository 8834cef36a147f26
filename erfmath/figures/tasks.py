"""Tasks of noise whose labels need distant pixels, made on the fly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..empirics.sampling import generator

__all__ = ["TASKS", "BoxEnergy", "TwoPixels"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Noise:
    """White noise on a square; labels, of every pixel, look beyond it too."""

    size: int
    reach: int

    @property
    def channels(self) -> int:
        """One."""
        return 1

    @property
    def space(self) -> tuple[int, int]:
        """The square."""
        return self.size, self.size

    def description(self) -> str:
        """Tells one task from another."""
        return repr(self)

    def batch(self, step: int, size: int, entropy: Any) -> tuple[Array, Array]:
        """Inputs and labels of a step."""
        r, wide = self.reach, self.size + 2 * self.reach
        x = generator(entropy, step).standard_normal((size, 1, wide, wide), np.float32)
        inside = np.s_[..., r:wide - r, r:wide - r]
        return np.ascontiguousarray(x[inside]), self.labels(x[:, 0]).astype(np.int64)

    def labels(self, x: Array) -> Array:
        """Of the inner pixels of (images, rows, columns)."""
        raise NotImplementedError


@dataclass(frozen=True)
class TwoPixels(_Noise):
    """Whether the larger of the two pixels `reach` above and below exceeds its median."""

    def labels(self, x: Array) -> Array:
        r = self.reach
        return np.maximum(x[:, :-2 * r, r:-r], x[:, 2 * r:, r:-r]) > 0.5449521  # the normal quantile of 2^(-1/2)


@dataclass(frozen=True)
class BoxEnergy(_Noise):
    """Whether the sum of squares over the (2 reach + 1)^2 pixels around exceeds its median."""

    def labels(self, x: Array) -> Array:
        k = 2 * self.reach + 1
        sums = np.pad(x.astype(float)**2, ((0, 0), (1, 0), (1, 0))).cumsum(axis=1).cumsum(axis=2)
        energy = sums[:, k:, k:] - sums[:, :-k, k:] - sums[:, k:, :-k] + sums[:, :-k, :-k]
        return energy > k * k * (1 - 2 / (9 * k * k))**3


TASKS = {"two pixels": TwoPixels, "box energy": BoxEnergy}
