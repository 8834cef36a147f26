"""Size and centre of the effective receptive field of every unit of a map, in one go."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.checks import choice
from ..base.errors import check_bytes
from ..base.progress import Report, check_progress, shown
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..networks.trf import ReceptiveField
from ..results.density import LARGEST_LOG, SAFE_LOG, ReadOnlyCopies, readonly
from ..results.sizes import KINDS
from ..theory.predict import predict
from ..theory.sweep.forward import Gates, needed
from ..theory.sweep.inputs import input_model
from ..theory.sweep.plan import Graph, Plan
from ..theory.sweep.transpose import can_read, readout

__all__ = ["SizeMap", "erf_size_map", "prepare"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SizeMap(ReadOnlyCopies):
    """What `erf_size_map` knows of every unit u of a node's map; all in input pixels, nan for units that see nothing.

    Attributes
    ----------
    size : ndarray, shape ``(*map)``
        Extent by `kind`; for "std" the root of the mean variance per axis.
    std, centroid, center : ndarray, shape ``(ndim, *map)``
        Standard deviation and mean of the normalised ERF per axis; TRF centre (equation 7).
    part : ndarray, shape ``(*map)``
        Sum of each map, times exp(-log_scale): `total` where that is in the range of floats.
    log_scale : float
    kind : str
    image : tuple of int
    trf : ReceptiveField
    """

    size: Array
    std: Array
    centroid: Array
    center: Array
    part: Array
    log_scale: float
    kind: str
    image: tuple[int, ...]
    trf: ReceptiveField

    @property
    def node(self) -> str:
        """The node whose units these are."""
        return self.trf.node

    @property
    def total(self) -> Array:
        """Sum of each map: the power not lost at borders, gains included; shape ``(*map)``.

        Raises
        ------
        OverflowError
            If these are beyond the range of floats.
        """
        with np.errstate(divide="ignore"):
            logs = np.log(np.abs(self.part)) + self.log_scale
        if (np.abs(logs[self.part != 0]) > LARGEST_LOG).any():
            raise OverflowError(f"sum(map) is exp({logs.min():.6g}) to exp({logs.max():.6g}), beyond the range of "
                                "floats; no size depends on it")
        return readonly(np.sign(self.part) * np.exp(logs) if self.log_scale else self.part)

    @property
    def blind(self) -> int:
        """Number of units that see nothing."""
        return int((self.part == 0).sum())

    @property
    def shift(self) -> Array:
        """How far the centroid lies from the TRF centre, shape ``(ndim, *map)``."""
        return self.centroid - self.center

    def __repr__(self) -> str:
        found = self.size[np.isfinite(self.size)]
        words = f"{self.kind} {found.min():.4g} to {found.max():.4g} pixels" if found.size else "nothing seen"
        blind = f", {self.blind} see nothing" if self.blind and found.size else ""
        return f"<SizeMap of {self.node}, {self.size.shape} units: {words}{blind}>"


def prepare(net: Network, settings: RunSettings, flat: bool = True) -> tuple[Plan, Gates] | None:
    """What a sweep over `net` on an image starts from; None if it cannot.

    Unless `flat`, every node has the map that it has in `net`.
    """
    _check_size(settings.pixels)
    graph = Graph.of(net, settings, flat)
    if settings.default_statistic(net) == "mean":
        return None
    plan = Plan(graph, mean=False)
    inputs = input_model(settings.input_moments, settings.input_covariance, settings.ndim)
    if not can_read(plan):
        return None
    return plan, needed(graph, plan, inputs)


def _check_size(image: tuple[int, ...]) -> None:
    check_bytes(8 * (1 + 2 * len(image)) * math.prod(image), f"1, x and x^2 of the {image} pixels",
                "take a smaller image, or units one by one with predict")


def erf_size_map(net: Network, image: Any, *, node: str | None = None, kind: str = "std", width: int = 16,
                 channels_in: int = 3, ndim: int = 2, weights: Mapping[str, Any] | None = None,
                 input_moments: tuple[float, float] = (1.0, 0.0), input_covariance: Any = None,
                 progress: Report = None) -> SizeMap:
    r"""Size and centre of the effective receptive field of every unit of a map.

    With P_u the power map of unit u, one sweep carries 1, x and x^2 from the pixels to all units and
    gives sum(P_u), sum(x P_u), sum(x^2 P_u), hence

        std(u)^2 = sum(x^2 P_u) / sum(P_u) - (sum(x P_u) / sum(P_u))^2

    per axis, borders and the phases of decoders included, at about the price of a few units.

    Parameters
    ----------
    net : Network
        The network.
    image : int or tuple of int
        Size of the input in pixels.
    node : str, optional
        The output by default.
    kind : str
        Any kind of `EffectiveReceptiveField.size`.  Kinds other than "std" need the maps themselves
        and take one `predict` a unit, as do networks whose weights are equal or given.
    width, channels_in, ndim, weights, input_moments, input_covariance : optional
        As in `predict`.
    progress : bool or callable, optional
        True for a bar on stderr, or a function that is called with the number of units done and to do,
        where they are done one by one.

    Returns
    -------
    SizeMap
        Size, centroid and total of every unit.

    Raises
    ------
    ValueError
        For arguments that do not fit the network, or totals of units that no floats can hold together.
    SizeError
        Where the sweep would not fit in memory.

    See Also
    --------
    predict : Effective receptive field, from theory.
    border_layers : Layers that see more than the image: theoretically, and effectively.

    Examples
    --------
    >>> import erfmath as em
    >>> sizes = em.erf_size_map(em.repeat(em.Conv(3), 20), 41)
    >>> sizes.size.shape, [round(float(sizes.size[unit]), 3) for unit in ((20, 20), (0, 0))]
    ((41, 41), [3.651, 2.39])
    """
    choice(kind, "kind", tuple(KINDS))
    check_progress(progress)
    settings = RunSettings.of(net, image=image, node=node, width=width, channels_in=channels_in, ndim=ndim,
                              weights=weights, input_moments=input_moments, input_covariance=input_covariance)
    pixels, trf = settings.pixels, settings.receptive_field(net)
    _check_size(pixels)
    shape = net.shapes(pixels)[trf.node]
    center = np.stack(np.meshgrid(*([trf.center(u)[axis] for u in range(n)] for axis, n in enumerate(shape)),
                                  indexing="ij")).astype(float)
    swept = prepare(net, settings) if kind == "std" else None
    if swept is not None:
        part, log_scale, centroid, std = _moments(*swept, pixels)
        _refuse_underflow(part)
        size = np.sqrt((std**2).mean(axis=0))
    else:
        sign, log_total, size = np.zeros(shape), np.full(shape, -math.inf), np.full(shape, math.nan)
        centroid, std = np.full(center.shape, math.nan), np.full(center.shape, math.nan)
        with shown(progress, "size map") as show:
            for done, unit in enumerate(np.ndindex(*shape), 1):
                erf = predict(net, **settings.but(unit=unit).keywords)
                if erf.density.log_total > -math.inf:
                    sign[unit], log_total[unit], size[unit] = erf.density.sign, erf.density.log_total, erf.size(kind)
                    centroid[(slice(None), *unit)], std[(slice(None), *unit)] = erf.centroid, erf.std
                show(done, math.prod(shape))
        log_scale = float(log_total.max(initial=-math.inf))
        log_scale = log_scale if math.isfinite(log_scale) and abs(log_scale) > SAFE_LOG else 0.0
        part = sign * np.exp(log_total - log_scale)
    for array in (size, std, centroid, center, part):
        array.flags.writeable = False
    return SizeMap(size, std, centroid, center, part, log_scale, kind, pixels, trf)


def _refuse_underflow(total: Array) -> None:
    """All but 0 must have all their digits; totals are scaled, so that this is about units beside one another."""
    faint = (total > 0) & (total < np.finfo(float).tiny / np.finfo(float).eps)
    if faint.any():
        unit = tuple(np.argwhere(faint)[0].tolist())
        raise ValueError(f"unit {unit}: its total power is too small beside that of others for floats to hold both; "
                         "ask predict for it")


def _moments(plan: Plan, gates: Gates, pixels: tuple[int, ...]) -> tuple[Array, float, Array, Array]:
    """Mass with its scale, centroid and standard deviation of the fields of all units."""
    # About the middle of the image, so that as little as possible cancels below.
    middle = [(n - 1) / 2 for n in pixels]
    lines = np.meshgrid(*(np.arange(n) - m for n, m in zip(pixels, middle)), indexing="ij")
    (total, *moments), log_scale = readout(plan, gates, np.stack([np.ones(pixels), *lines, *(x**2 for x in lines)]))
    with np.errstate(invalid="ignore", divide="ignore"):  # a unit that sees nothing has no place
        first, second = np.split(np.stack(moments) / total, 2)
    spread = np.maximum(second - first**2, 0.0)
    return total, log_scale, first + np.reshape(middle, (-1, *(1,) * total.ndim)), np.sqrt(spread)
