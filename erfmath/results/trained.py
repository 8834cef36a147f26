"""The field of given weights, predicted from what their gates do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.contents import field_of, numbers_of
from .density import Density, readonly
from .kinds import enter
from .measured import MeasuredReceptiveField

__all__ = ["TrainedReceptiveField"]

Array = npt.NDArray[np.float64]

#: Layers that a table names.
NAMED = 4


@enter("trained")
class TrainedReceptiveField(MeasuredReceptiveField):
    """An effective receptive field of given weights under a hypothesis about gates, returned by ``predict(gates=)``.

    Draws are of gates, or of random signs that stand for them; where nothing was drawn `stderr` is None.

    Attributes
    ----------
    gates : str
        The hypothesis.
    coherent_map : ndarray
        E[g]^2, summed over channels of the unit and of the input: the power that is left if every gate has its mean.
    contributions : mapping of str to float
        Share of the power that comes of the fluctuations of each gate, by node; with `coherent` they sum to 1.
    """

    gates: str
    coherent_map: Array
    _contributions: tuple[tuple[str, float], ...]

    def __init__(self, moments: Any, box: Any, *, gates: str, coherent_map: Any, contributions: Mapping[str, float],
                 **about: Any) -> None:
        self._hold(gates=gates, _contributions=tuple(contributions.items()))
        super().__init__(moments, box, **about)
        self._hold(coherent_map=self._placed(coherent_map) if coherent_map.shape != self.shape
                   else readonly(coherent_map))

    @property
    def coherent(self) -> float:
        """Share of the power that is coherent: the sum of `coherent_map` over that of the power."""
        total = self.coherent_map.sum() + 0.0
        return float(total / self.total) if self.statistic == "power" else 1.0

    @property
    def contributions(self) -> dict[str, float]:
        """Share of the power that comes of the fluctuations of each gate, by node."""
        return dict(self._contributions)

    def _extras(self) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """What a file holds besides the map."""
        _, arrays, facts = super()._extras()
        return ("trained", {**arrays, "coherent_map": self.coherent_map},
                {**facts, "gates": self.gates, "contributions": self.contributions})

    @classmethod
    def _restored(cls, density: Density, arrays: Mapping[str, Any], facts: Mapping[str, Any],
                  **about: Any) -> MeasuredReceptiveField:
        """From what a file holds; ``EffectiveReceptiveField.load`` is the way to read one."""
        return super()._restored(density, arrays, facts, **about, gates=field_of(facts, "gates", str),
                                 coherent_map=numbers_of(arrays, "coherent_map", density.shape),
                                 contributions=field_of(facts, "contributions", dict))

    def table(self) -> list[tuple[str, str]]:
        """Summary, in rows of a name and a description."""
        rows = super().table()
        if self.statistic != "power":
            return rows
        most = sorted(self.contributions.items(), key=lambda item: -item[1])[:NAMED]
        told = [("coherent", f"{self.coherent:.1%} of the power")]
        if most:
            told.append(("fluctuations of", ", ".join(f"{name} {part:.1%}" for name, part in most)))
        return [*rows[:-1], *told, rows[-1]]
