"""How sizes grow with depth, kernel size, dilation, or any other number a network is made from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.checks import choice, is_sequence, real
from ..base.errors import quoted
from ..base.progress import Report, check_progress, shown
from ..base.tables import Printed, text_table
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..results.density import ReadOnlyCopies
from ..results.field import EffectiveReceptiveField
from ..results.sizes import KINDS
from ..theory.predict import predict
from .closed_forms import RATIOS, gaussian_size
from .layer_shares import chain_variances
from .power_law import PowerLaw, fit_power_law

__all__ = ["Growth", "growth"]

Array = npt.NDArray[np.float64]

#: Rows of a printed table at most.
ROWS = 16
#: Values within this factor make up a local exponent: sizes that count pixels come in steps.
NEAR = 1.25


@dataclass(frozen=True, eq=False)
class Growth(ReadOnlyCopies, Printed):
    """Sizes over a parameter, made by `growth`; printed with str().

    Attributes
    ----------
    parameter : str
        Name of the value.
    values : ndarray, shape (points,)
        What the networks were made from, ascending.
    trf : ndarray, shape (points,)
        Side of the theoretical receptive field, in pixels.
    sizes : mapping of str to ndarray, shape (points,)
        Per kind, from theory, in pixels.
    asymptote : mapping of str to ndarray, shape (points,)
        The closed form beside it: of a Gaussian with the variance of equation 10; nan where the
        network is no chain on the plane.
    strided : ndarray, shape (points,)
        Fraction of that variance from layers after a stride; nan likewise.
    ndim : int

    Examples
    --------
    For n layers of 3 taps the variance is 2 n / 3, and the theoretical receptive field 2 n + 1.

    >>> import erfmath as em
    >>> over = em.growth(em.zoo.plain, [6, 24, 54], kinds=["std"], parameter="layers")
    >>> over.sizes["std"].round(6).tolist(), over.trf.tolist()
    ([2.0, 4.0, 6.0], [13.0, 49.0, 109.0])
    >>> round(over.fit("std").slope, 6), round(float(over.ratio("std")[0]), 6)
    (0.5, 0.153846)
    """

    parameter: str
    values: Array
    trf: Array
    sizes: Mapping[str, Array]
    asymptote: Mapping[str, Array]
    strided: Array
    ndim: int = 2

    def ratio(self, kind: str = "threshold") -> Array:
        """Size of this `kind` (a key of `sizes`) over the side of the theoretical receptive field.

        A number of pixels ("participation") is over the area; what is a ratio already stays as it is.
        """
        power = {"participation": self.ndim}.get(kind, kind not in RATIOS)
        return np.asarray(self.sizes[kind] / self.trf**power)

    def fit(self, kind: str = "threshold", *, ratio: bool = False) -> PowerLaw:
        """Power law of the size of this `kind`, or with `ratio` of the method `ratio`, over the parameter.

        Sizes are exact, so that it has no standard errors; `PowerLaw.holds` says whether they follow it.

        Parameters
        ----------
        kind : str
            A key of `sizes`.
        ratio : bool
            Fit the method `ratio` instead of the size.

        Returns
        -------
        PowerLaw
            Exponent, factor and fraction of explained variance, without standard errors.

        Raises
        ------
        KeyError
            For a kind that `sizes` does not hold.
        ValueError
            If a size is not positive.
        """
        return fit_power_law(self.values, self.ratio(kind) if ratio else self.sizes[kind]).exact()

    def local_exponent(self, kind: str = "threshold") -> Array:
        """Local exponent d log(size) / d log(value), per point, of the size of this `kind`.

        It is the slope of the least-squares line through the values within a factor of `NEAR`, and next
        to each; nan where a size is 0, and where no other is near.
        """
        size = self.sizes[kind]
        seen = size > 0
        x, y = np.log(self.values), np.log(np.where(seen, size, 1.0))
        slopes = []
        for i, at in enumerate(x):
            near = np.abs(x - at) <= math.log(NEAR)
            near[max(i - 1, 0):i + 2] = True
            near &= seen
            slopes.append(np.polyfit(x[near] - at, y[near], 1)[0] if seen[i] and near.sum() > 1 else math.nan)
        return np.array(slopes)

    @property
    def crossover(self) -> float | None:
        """The value from which on layers after a stride make up half of the variance, or more.

        Below it a chain grows with the root of its depth, above it with its strides.  None where
        they do at the first value already, or nowhere.
        """
        beyond = np.flatnonzero(self.strided >= 0.5)
        return float(self.values[beyond[0]]) if beyond.size and beyond[0] else None

    def __str__(self) -> str:
        heads = [self.parameter, "TRF"]
        columns = [self.values, self.trf]
        for kind, size in self.sizes.items():
            heads += [kind, "closed form", "ratio", "exponent"]
            columns += [size, self.asymptote[kind], self.ratio(kind), self.local_exponent(kind)]
        points = len(self.values)
        shown = np.arange(points) if points <= ROWS else np.unique(
            np.round(np.geomspace(1, points, ROWS)).astype(int) - 1)
        lines = [text_table([heads, *([f"{round(column[i], 9) + 0:.4g}" for column in columns] for i in shown)], "r")]
        if len(shown) < points:
            lines.append(f"({len(shown)} of {points} rows)")
        for kind in self.sizes:
            if not self.sizes[kind].min() > 0:
                lines.append(f"{kind}: is not positive everywhere, and follows no power law")
                continue
            lines.append(f"{kind}: size {self.fit(kind).words}; ratio {self.fit(kind, ratio=True).words}")
        if self.crossover is not None:
            lines.append(f"strides make up half of the variance from {self.parameter} = {self.crossover:g} on")
        return "\n".join(lines)


def growth(make_net: Callable[[Any], Network], values: Iterable[float], *, kinds: Sequence[str] = ("threshold", "std"),
           parameter: str = "value", progress: Report = None, **options: Any) -> Growth:
    r"""Compute the sizes of the ERF of ``make_net(value)`` for each value, and their closed forms.

    For n equal layers on the plane std = d sqrt(n (k^2 - 1) / 12), the TRF n d (k - 1) + 1, and their
    ratio falls as 1/sqrt(n) (equations 10 and 13).

    Parameters
    ----------
    make_net : callable
        From a value to a `Network`: of so many layers, of such a kernel, dilation, width, ...
    values : iterable of float
        Positive, ascending, at least three.
    kinds : sequence of str
        Kinds of `EffectiveReceptiveField.size`.
    parameter : str
        Name of the value, for tables and axes.
    progress : bool or callable, optional
        True for a bar on stderr, or a function that is called with the number of networks done and to do.
    **options : optional
        Keywords of `predict`.

    Returns
    -------
    Growth
        Sizes, ratios and closed forms for each value.

    Raises
    ------
    ValueError
        For values that are not ascending, unknown kinds, and whatever `predict` refuses.

    See Also
    --------
    fit_power_law : Slope and intercept of log y over log x, by ordinary least squares.
    required_depth : Fewest equal convolutions whose field reaches a standard deviation.
    plotting.plot_growth : Draw sizes against values, log-log, each row with its fitted power law.

    Examples
    --------
    >>> import erfmath as em
    >>> over = em.growth(em.zoo.plain, range(5, 51), parameter="layers")
    >>> [round(over.fit(kind).slope, 3) for kind in ("std", "threshold")], int(over.trf[-1])
    ([0.5, 0.519], 101)
    """
    if not callable(make_net):
        raise TypeError(f"make_net={quoted(make_net)}: must be a function that makes a network of a value")
    if not isinstance(parameter, str):
        raise TypeError(f"parameter={quoted(parameter)}: must be the name of what varies")
    if not isinstance(values, Iterable):
        raise TypeError(f"values={quoted(values)}: must be numbers, one a network")
    listed = [*values]
    x = np.array([real(v, "values") for v in listed])
    if len(x) < 3 or x[0] <= 0 or (np.diff(x) <= 0).any():
        raise ValueError("values: must be at least three, positive and ascending")
    check_progress(progress)
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    if not is_sequence(kinds):
        raise TypeError(f"kinds={quoted(kinds)}: must be one kind, or a sequence of them")
    for kind in kinds:
        choice(kind, "kinds", tuple(KINDS))
    rows, ndim = [], 0
    with shown(progress, "growth") as show:
        for done, value in enumerate(listed, 1):
            net = make_net(value)
            if not isinstance(net, Network):
                raise TypeError(f"make_net({quoted(value)}) gave {quoted(net)}: must be a Network; erfmath.serial "
                                "makes one of a layer")
            row, ndim = _row(net, kinds, options)
            rows.append(row)
            show(done, len(listed))
    trf, strided, sizes, closed = (np.array(column) for column in zip(*rows))
    for array in (x, trf, strided, sizes, closed):
        array.flags.writeable = False
    return Growth(parameter, x, trf, dict(zip(kinds, sizes.T)), dict(zip(kinds, closed.T)), strided, ndim)


def _row(net: Network, kinds: Sequence[str], options: Mapping[str, Any]) -> tuple[tuple[Any, ...], int]:
    """TRF, fraction after strides, sizes and closed forms of one network; its dimension."""
    erf = predict(net, **options)
    side = math.prod(map(float, erf.trf.size))**(1 / erf.ndim)
    std, strided = _closed(net, erf, options)
    closed = [math.nan if kind in RATIOS else float(gaussian_size(std, kind, ndim=erf.ndim, statistic=erf.statistic))
              for kind in kinds]
    return (side, strided, [erf.size(kind) for kind in kinds], closed), erf.ndim


def _closed(net: Network, erf: EffectiveReceptiveField, options: Mapping[str, Any]) -> tuple[float, float]:
    """Standard deviation by equation 10, and the fraction of the variance from layers after a stride."""
    if erf.image is not None or erf.node != net.output:
        return math.nan, math.nan
    settings = RunSettings(erf.ndim, **{name: options[name] for name in ("width", "channels_in") if name in options})
    terms = chain_variances(net, settings, erf.statistic)
    if terms is None:
        return math.nan, math.nan
    after, jump = 0.0, 1
    for node, axes in zip(net.nodes, net.geometry(erf.ndim)):
        after += terms.get(node.name, 0.0) * (jump > 1)
        jump *= max(g.stride for g in axes)
    total = sum(terms.values())
    return math.sqrt(total), after / total if total else 0.0
