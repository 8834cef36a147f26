"""One network, predicted and sampled: a row of the tables of accuracy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..empirics.measure import measure
from ..networks.images import natural_images
from ..networks.network import Network
from ..results.field import EffectiveReceptiveField
from ..results.measured import MeasuredReceptiveField
from ..theory.predict import predict

__all__ = ["Case", "HEADER", "NOTES", "Sampled", "key", "row", "sample"]

Array = npt.NDArray[np.float64]

WIDTH, SEED = 16, 1
#: What a row is held to: relative difference of the std, total variation of the marginal, relative difference of the
#: total, the latter two beyond what the draws alone make.
STD, VARIATION, TOTAL = 0.02, 0.02, 0.05
#: Standard errors that are allowed beside TOTAL, whose samples have heavy tails.
SIGMAS = 3

HEADER = ("network", "image", "width", "draws", "theory", "sampled", "+-", "ratio", "TV", "noise", "total", "+-",
          "within")
NOTES = ("theory, sampled: std of the power map in pixels, rms over the axes; ratio: theory / sampled;",
         "TV: total variation of the marginals; noise: how much of it the draws alone would make;",
         "total: total power, theory / sampled")


@dataclass(frozen=True)
class Case:
    """One network, and how it is sampled.

    Attributes
    ----------
    build : callable
        Takes ``width``, the channels of the first layers.
    draws : int
        Enough for a standard error of about 0.4 % of the std.
    variation : float
        Total variation that is allowed; samples of bilinear U-Nets are heavy-tailed.
    method : str
        Of `predict`.
    natural : bool
        Whether inputs are like photographs, not noise.
    """

    name: str
    build: Callable[..., Network]
    image: int
    draws: int
    unit: int | None = None
    variation: float = VARIATION
    width: int = WIDTH
    channels_in: int = 3
    batch: int | None = None
    ndim: int = 2
    method: str = "exact"
    natural: bool = False

    @property
    def about(self) -> dict[str, Any]:
        """What theory and measurement are told alike."""
        return {"image": self.image, "unit": self.unit, "width": self.width, "channels_in": self.channels_in,
                "ndim": self.ndim}


class Sampled(NamedTuple):
    """What has been measured of a case.

    Attributes
    ----------
    key : str
        Of the network, how it is sampled and the seed.
    std, error : float
        Root mean square over the axes, and its standard error.
    line : list of float
        Marginal of the map, all axes together.
    noise : float
        Total variation that the draws alone make.
    total, total_error : float
    """

    key: str
    std: float
    error: float
    line: list[float]
    noise: float
    total: float
    total_error: float


def key(case: Case) -> str:
    """What tells a case from all others, whatever it is called."""
    about = [case.build(width=case.width).to_dict(), case.about, case.draws, case.batch, case.natural, SEED]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def sample(case: Case, workers: int = 1) -> Sampled:
    """Measure a case."""
    half, sampled = measure(case.build(width=case.width), draws=(case.draws // 2, case.draws), rng=SEED,
                            batch=case.batch, workers=workers, images=natural_images() if case.natural else None,
                            **case.about)
    std, error = _sampled_std(sampled)
    # The two halves differ by twice the noise of the whole.
    other = sampled.map * sampled.draws - half.map * half.draws
    noise = _variation(_line(half.map), _line(other)) / 2
    return Sampled(key(case), std, error, _line(sampled.map).tolist(), noise, sampled.total, sampled.total_stderr)


def row(case: Case, workers: int = 1, known: Sampled | None = None) -> tuple[Any, ...]:
    """Theory and measurement of one case, as cells under `HEADER`; what is `known` is not sampled again."""
    sampled = sample(case, workers) if known is None else known
    first = case.name, case.image, case.width, case.draws
    try:
        theory = predict(case.build(width=case.width), method=case.method,
                         input_covariance=natural_images() if case.natural else None, **case.about)
    except NotImplementedError:
        return (*first, "refused", f"{sampled.std:.3f}", f"{sampled.error:.3f}", *("-",) * 5, "no")
    expected = _std(theory)
    ratio, variation = expected / sampled.std, _variation(_line(theory.map), np.array(sampled.line))
    total, total_error = theory.total / sampled.total, sampled.total_error / sampled.total
    near = (abs(ratio - 1) <= STD and variation <= case.variation
            and abs(total - 1) <= TOTAL + SIGMAS * total_error)
    return (*first, f"{expected:.3f}", f"{sampled.std:.3f}", f"{sampled.error:.3f}",
            f"{ratio:.4f}", f"{variation:.4f}", f"{sampled.noise:.4f}", f"{total:.3f}", f"{total_error:.3f}",
            "yes" if near else "no")


def _std(erf: EffectiveReceptiveField) -> float:
    """Root mean square over the axes: the networks treat them alike."""
    return float(np.sqrt((erf.std**2).mean()))


def _sampled_std(sampled: MeasuredReceptiveField) -> tuple[float, float]:
    """The same, with its standard error to first order in the fluctuations of the draws."""
    table, std = sampled.moments.table, _std(sampled)
    total, first, second = table[:, 0], table[:, 1::2], table[:, 2::2]
    centre = first.sum(axis=0) / total.sum()
    pull = (second - 2 * centre * first).mean(axis=1) + ((centre**2).mean() - std**2) * total
    return std, float(pull.std(ddof=1)) / (len(total)**0.5 * total.mean() * 2 * std)


def _line(values: Array) -> Array:
    """Marginal of a map, all axes together."""
    axes = range(values.ndim)
    line = sum(values.sum(axis=tuple(other for other in axes if other != axis)) for axis in axes)
    return np.asarray(line / np.sum(line))


def _variation(a: Array, b: Array) -> float:
    return float(0.5 * np.abs(a - b).sum())
