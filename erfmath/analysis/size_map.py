"""Size and centre of the effective receptive field of every unit of a map, in one go."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.checks import choice
from ..base.errors import check_bytes
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..networks.support import support
from ..networks.trf import ReceptiveField
from ..results.sizes import KINDS
from ..theory.predict import predict
from ..theory.sweep.forward import Gates, forward
from ..theory.sweep.inputs import InputModel
from ..theory.sweep.plan import Graph, Plan
from ..theory.sweep.transpose import can_read, readout

__all__ = ["SizeMap", "erf_size_map", "prepare"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SizeMap:
    """What `erf_size_map` knows of every unit u of a node's map; all in input pixels.

    Attributes
    ----------
    size : ndarray, shape ``(*map)``
        Extent by `kind`; for "std" the root of the mean variance per axis.
    std, centroid, center : ndarray, shape ``(ndim, *map)``
        Standard deviation and mean of the normalised ERF per axis; TRF centre (equation 7).
    total : ndarray, shape ``(*map)``
        Sum of each map: the power not lost at borders, gains included.
    kind : str
    image : tuple of int
    trf : ReceptiveField
    """

    size: Array
    std: Array
    centroid: Array
    center: Array
    total: Array
    kind: str
    image: tuple[int, ...]
    trf: ReceptiveField

    @property
    def node(self) -> str:
        """The node whose units these are."""
        return self.trf.node

    @property
    def shift(self) -> Array:
        """How far the centroid lies from the TRF centre, shape ``(ndim, *map)``."""
        return self.centroid - self.center

    def __repr__(self) -> str:
        low, high = self.size.min(), self.size.max()
        return f"<SizeMap of {self.node}, {self.size.shape} units: {self.kind} {low:.4g} to {high:.4g} pixels>"


def prepare(net: Network, settings: RunSettings) -> tuple[Plan, Gates] | None:
    """What a sweep over `net` on an image starts from, for white pixels of variance 1; None if it cannot."""
    _check_size(settings.pixels)
    graph = Graph.of(net, settings)
    if not any(op.zero_mean for op in graph.ops):  # the mean, not the power
        return None
    plan = Plan(graph, mean=False)
    if not can_read(plan):
        return None
    return plan, forward(graph, plan, InputModel()) if plan.gated else Gates()


def _check_size(image: tuple[int, ...]) -> None:
    check_bytes(8 * (1 + 2 * len(image)) * math.prod(image), f"1, x and x^2 of the {image} pixels",
                "take a smaller image, or units one by one with predict")


def erf_size_map(net: Network, image: Any, *, node: str | None = None, kind: str = "std", width: int = 16,
                 channels_in: int = 3, ndim: int = 2, weights: Mapping[str, Any] | None = None,
                 progress: Callable[[int, int], Any] | None = None) -> SizeMap:
    r"""Size and centre of the effective receptive field of every unit of a map.

    With P_u the power map of unit u, one sweep carries 1, x and x^2 from the pixels to all units and
    gives sum(P_u), sum(x P_u), sum(x^2 P_u), hence

        std(u)^2 = sum(x^2 P_u) / sum(P_u) - (sum(x P_u) / sum(P_u))^2

    per axis, borders and the phases of decoders included, at about the price of a few units.

    Parameters
    ----------
    net : Network
    image : int or tuple of int
        Size of the input in pixels.
    node : str, optional
        The output by default.
    kind : str
        Any kind of `EffectiveReceptiveField.size`.  Kinds other than "std" need the maps themselves
        and take one `predict` a unit, as do networks whose weights are equal or given.
    width, channels_in, ndim, weights
        As in `predict`.
    progress : callable, optional
        Called with the number of units done and to do, where they are done one by one.

    Returns
    -------
    SizeMap

    Raises
    ------
    ValueError
        For arguments that do not fit the network, or totals below the range of floats.
    SizeError
        Where the sweep would not fit in memory.

    Examples
    --------
    >>> import erfmath as em
    >>> sizes = em.erf_size_map(em.repeat(em.Conv(3), 20), 41)
    >>> sizes.size.shape, [round(float(sizes.size[unit]), 3) for unit in ((20, 20), (0, 0))]
    ((41, 41), [3.651, 2.39])
    """
    choice(kind, "kind", tuple(KINDS))
    settings = RunSettings.of(net, image=image, node=node, width=width, channels_in=channels_in, ndim=ndim,
                              weights=weights)
    pixels, trf = settings.pixels, settings.receptive_field(net)
    _check_size(pixels)
    shape = net.shapes(pixels)[trf.node]
    center = np.stack(np.meshgrid(*([trf.center(u)[axis] for u in range(n)] for axis, n in enumerate(shape)),
                                  indexing="ij")).astype(float)
    swept = prepare(net, settings) if kind == "std" else None
    if swept is not None:
        total, centroid, std = _moments(*swept, pixels)
        _refuse_underflow(net, settings, total)
        size = np.sqrt((std**2).mean(axis=0))
    else:
        total, size = np.empty(shape), np.empty(shape)
        centroid, std = np.empty(center.shape), np.empty(center.shape)
        for done, unit in enumerate(np.ndindex(*shape), 1):
            erf = predict(net, **settings.but(unit=unit).keywords)
            total[unit], size[unit] = erf.total, erf.size(kind)
            centroid[(slice(None), *unit)], std[(slice(None), *unit)] = erf.centroid, erf.std
            if progress is not None:
                progress(done, math.prod(shape))
    for array in (size, std, centroid, center, total):
        array.flags.writeable = False
    return SizeMap(size, std, centroid, center, total, kind, pixels, trf)


def _refuse_underflow(net: Network, settings: RunSettings, total: Array) -> None:
    """Totals of 0 must be those of units that see nothing, and all others have all their digits."""
    faint = (total > 0) & (total < np.finfo(float).tiny / np.finfo(float).eps)
    if not faint.any() and not settings.weights:
        faint = total == 0
        seen = [unit for unit in np.argwhere(faint)[:1].tolist()
                if support(net, image=settings.image, unit=unit, node=settings.node).mask.any()]
        faint &= bool(seen)
    if faint.any():
        unit = tuple(np.argwhere(faint)[0].tolist())
        raise ValueError(f"unit {unit}: its total power, {total[unit]:.3g}, is below the range of floats; give layers "
                         "a larger gain, on which no size depends")


def _moments(plan: Plan, gates: Gates, pixels: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Mass, centroid and standard deviation of the fields of all units."""
    # About the middle of the image, so that as little as possible cancels below.
    middle = [(n - 1) / 2 for n in pixels]
    lines = np.meshgrid(*(np.arange(n) - m for n, m in zip(pixels, middle)), indexing="ij")
    total, *moments = readout(plan, gates, np.stack([np.ones(pixels), *lines, *(x**2 for x in lines)]))
    with np.errstate(invalid="ignore", divide="ignore"):  # a unit that sees nothing has no place
        first, second = np.split(np.stack(moments) / total, 2)
    spread = np.maximum(second - first**2, 0.0)
    return total, first + np.reshape(middle, (-1, *(1,) * total.ndim)), np.sqrt(spread)
