"""Whether two effective receptive fields agree, in standard errors and in per cent.

A good theory is still refuted by enough draws, and a bad one survives few: so both questions are
asked, and their answers stand side by side.  *Is there a difference?* is answered by tests of no
difference (`p_shape`, `p_total`, and `z` pixel by pixel); *is it small?* by an equivalence test
(`agrees`), which allows for the sampling error.
"""

from __future__ import annotations

import functools
import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .base.checks import flag, integer, real
from .base.errors import quoted
from .base.tables import html_picture, text_table
from .results.field import EffectiveReceptiveField
from .results.measured import MeasuredReceptiveField

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .plotting import Display

__all__ = ["Comparison", "Estimate", "compare"]

Array = npt.NDArray[np.float64]

#: Cells of the test of shape, per axis, at most; and how many draws there must be for each.
BANDS, DRAWS_PER_CELL = 5, 10
#: Draws that the tests of the sums of the maps need.
TOTAL_NEEDS = 10
#: Pixels of z that count: those that hold this much of the expected share.
COUNTED = 0.99


class Estimate(NamedTuple):
    """A number and its standard error, as a `Comparison` returns them; made by its properties.

    Attributes
    ----------
    value : float
    stderr : float
        In the unit of `value`; 0 where nothing was sampled, nan where it is not known.
    freedom : float
        Degrees of freedom of the t distribution of (estimate - truth) / stderr: the effective number
        of draws less one.

    Examples
    --------
    >>> from erfmath.comparison import Estimate
    >>> low, high = Estimate(1.0, 0.1).interval(0.05)                       # 1.96 standard errors
    >>> round(low, 3), round(high, 3)
    (0.804, 1.196)
    >>> low, high = Estimate(1.0, 0.1, freedom=3).interval(0.05)            # 3.18 of them
    >>> round(low, 3), round(high, 3)
    (0.682, 1.318)
    """

    value: float
    stderr: float
    freedom: float = math.inf

    def interval(self, level: float = 0.01) -> tuple[float, float]:
        """What holds the true value with probability 1 - `level`."""
        reach = self.reach(level / 2)
        return self.value - reach, self.value + reach

    def reach(self, tail: float) -> float:
        """What the sampling error passes with probability `tail`."""
        return _quantile(tail, self.freedom) * self.stderr if self.stderr > 0 else self.stderr

    def z(self, expected: float) -> float:
        """Distance from the value `expected`, in standard errors; nan where nothing was sampled."""
        return (self.value - expected) / self.stderr if self.stderr > 0 else math.nan


class _Cells(NamedTuple):
    """Difference of shares over a few cells, and the covariance of its sampling error."""

    difference: Array
    covariance: Array
    draws: float


def compare(theory: EffectiveReceptiveField, measured: EffectiveReceptiveField) -> Comparison:
    """Compare two results on the same unit: theory and measurement, or any two of either.

    Parameters
    ----------
    theory : EffectiveReceptiveField
        What is expected; ratios are taken over it.
    measured : EffectiveReceptiveField
        What is tested. Maps may have different shapes: they are compared by input pixel.

    Returns
    -------
    Comparison
        Differences, tests and intervals.

    Raises
    ------
    TypeError
        If one of them is not an `EffectiveReceptiveField`.
    ValueError
        If they are of different statistics, units, images or theoretical receptive fields, or if the last
        are not known, as of gradients without `trf`.

    See Also
    --------
    predict : Effective receptive field, from theory.
    measure : The same by Monte Carlo.

    Examples
    --------
    >>> import erfmath as em
    >>> net = em.repeat(em.Conv(3), 4)
    >>> comparison = em.compare(em.predict(net), em.measure(net, draws=1000, rng=0))
    >>> comparison.agrees(), bool(comparison.p_shape > 0.01)
    (True, True)
    """
    for name, erf in (("theory", theory), ("measured", measured)):
        if not isinstance(erf, EffectiveReceptiveField):
            raise TypeError(f"{name}={quoted(erf)}: must be an effective receptive field, as predict and measure "
                            "return")
    for what in ("statistic", "unit", "image"):
        a, b = getattr(theory, what), getattr(measured, what)
        if a != b:
            raise ValueError(f"{what}: {quoted(a)} and {quoted(b)}; only results for the same {what} can be compared")
    if (theory.trf.size, theory.trf.stride) != (measured.trf.size, measured.trf.stride):
        raise ValueError(f"theoretical receptive fields differ: {theory.trf.size} and {measured.trf.size}; "
                         "the results are of different networks or nodes")
    return Comparison(theory, measured)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two effective receptive fields of one unit side by side; made by `compare`.

    Attributes
    ----------
    theory, measured : EffectiveReceptiveField
        Either may be sampled or not.

    See Also
    --------
    compare : Test whether two results agree.

    Examples
    --------
    The shares (1, 1, 1) / 3 and (1, 2, 1) / 4 differ by 1/12, 1/6 and 1/12; their variances are 2/3 and 1/2.

    >>> import erfmath as em
    >>> peaked = em.Conv(3, weights=em.Random(profile=[1, 2, 1]))
    >>> flat, steep = (em.predict(em.serial(layer), ndim=1) for layer in (em.Conv(3), peaked))
    >>> comparison = em.compare(flat, steep)
    >>> round(comparison.total_variation, 6), round(comparison.std_ratio[0].value**2, 6), comparison.agrees()
    (0.166667, 0.75, False)
    """

    theory: EffectiveReceptiveField
    measured: EffectiveReceptiveField

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.theory.ndim

    @functools.cached_property
    def sampled(self) -> tuple[MeasuredReceptiveField, ...]:
        """Those of the two that come from draws."""
        return tuple(erf for erf in (self.theory, self.measured)
                     if isinstance(erf, MeasuredReceptiveField) and erf.stderr is not None)

    @property
    def effective_draws(self) -> float:
        """The smaller effective number of draws of the two; infinite where nothing was sampled."""
        return min((erf.effective_draws for erf in self.sampled), default=math.inf)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of t intervals."""
        return min((erf.freedom for erf in self.sampled), default=math.inf)

    # -- the common window ----------------------------------------------------------------------

    @functools.cached_property
    def box(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """First and last pixel of the window that holds both maps."""
        a, b = self.theory, self.measured
        lo = tuple(map(min, a.origin, b.origin))
        return lo, tuple(max(p + n, q + m) - 1 for p, n, q, m in zip(a.origin, a.shape, b.origin, b.shape))

    @functools.cached_property
    def shares(self) -> tuple[Array, Array]:
        """Both shares on this window."""
        return self.theory.crop(*self.box, of="share"), self.measured.crop(*self.box, of="share")

    # -- is there a difference? -----------------------------------------------------------------

    @functools.cached_property
    def z(self) -> Array:
        """Difference of the shares in standard errors, per pixel; nan where nothing was sampled."""
        variance = sum((self._share_stderr(erf)**2 for erf in (self.theory, self.measured)),
                       np.zeros(self.shares[0].shape))
        difference = self.shares[1] - self.shares[0]
        return np.divide(difference, np.sqrt(variance), out=np.full(variance.shape, math.nan),
                         where=variance > 0)

    def _share_stderr(self, erf: EffectiveReceptiveField) -> Array:
        if erf.stderr is None:
            return np.zeros(self.shares[0].shape)
        error = erf.stderr / erf.total
        if isinstance(erf, MeasuredReceptiveField) and erf.share_stderr is not None:
            error = erf.share_stderr
        whole = np.zeros(self.shares[0].shape)
        whole[tuple(slice(o - a, o - a + n) for o, a, n in zip(erf.origin, self.box[0], erf.shape))] = error
        return whole

    @functools.cached_property
    def counted_z(self) -> Array:
        """z of the pixels with the largest expected share, those that hold 99 % of it."""
        expected = np.abs(self.shares[0]).ravel()
        order = np.argsort(expected)[::-1]
        within = np.cumsum(expected[order])
        most = int(np.searchsorted(within, COUNTED * within[-1])) + 1
        z = self.z.ravel()[order[:most]]
        return z[np.isfinite(z)]

    @property
    def z_rms(self) -> float:
        """Root mean square of `counted_z`: about 1 where there is no difference."""
        return float(np.sqrt((self.counted_z**2).mean())) if self.counted_z.size else math.nan

    @property
    def z_max(self) -> float:
        """Largest absolute value of `counted_z`."""
        return float(np.abs(self.counted_z).max()) if self.counted_z.size else math.nan

    def z_bound(self, level: float = 0.01) -> float:
        """What `z_max` passes with probability `level` at most if there is no difference (Bonferroni)."""
        return _quantile(level / (2 * max(self.counted_z.size, 1)), self.freedom)

    @functools.cached_property
    def cells(self) -> _Cells | None:
        """Difference of the shares over cells of similar mass, with its covariance from the draws.

        None where no draws, or fewer than `cells_need`, are at hand.
        """
        sampled = [erf for erf in self.sampled if erf.has_blocks]
        if not sampled or len(sampled) < len(self.sampled) or len({erf.box for erf in sampled}) > 1:
            return None
        first = sampled[-1]
        sums = [first.blocks_of(erf) / erf.total for erf in (self.theory, self.measured)]
        expected = sums[0]
        if len(sampled) == 2:
            weight = sampled[1].draws / (sampled[0].draws + sampled[1].draws)
            expected = (1 - weight) * sums[0] + weight * sums[1]
        merge = _bands(expected.reshape(first.block_shape), self.effective_draws)
        share = merge(expected)
        if len(share) < 2:
            return None
        covariance = np.zeros((len(share),) * 2)
        for erf in sampled:
            # What each draw's cells miss of the expected share of its own total: mean 0 if that is true.
            off = merge(np.eye(len(erf.moments.scatter))) - share  # by block, (blocks, cells)
            n = erf.draws
            covariance += off.T @ erf.moments.scatter @ off / (erf.total**2 * n * (n - 1))
        return _Cells(merge(sums[1] - sums[0]), covariance, self.effective_draws)

    @property
    def cells_need(self) -> int:
        """Effective draws from which on there are cells: ten for each of two cells per axis."""
        return DRAWS_PER_CELL * 2**self.ndim

    @functools.cached_property
    def p_shape(self) -> float:
        """Probability of so large a difference of the shares if there is none; nan if not known.

        Hotelling's T^2 test on the shares of at most 25 cells: it uses the covariance of the draws,
        because a network's pixels rise and fall together.
        """
        if self.cells is None:
            return math.nan
        from scipy.stats import f

        square, rank = _mahalanobis(self.cells.difference, self.cells.covariance)
        n = self.cells.draws
        if rank == 0 or n <= rank:
            return math.nan
        return float(f.sf(square * (n - rank) / (rank * (n - 1)), rank, n - rank))

    @property
    def total_ratio(self) -> Estimate:
        """Sum of the measured map over that of the theory."""
        ratio = self.measured.total / self.theory.total
        parts = [_total_stderr(erf) / erf.total for erf in (self.theory, self.measured)]
        return Estimate(ratio, abs(ratio) * math.hypot(*parts), self.freedom)

    @property
    def p_total(self) -> float:
        """Probability of so large a difference of the sums of the maps if there is none; nan if not known.

        The larger answer of two tests: Student's t of the means of the draws' totals, which is right for
        many draws, but refuses true theories of narrow, deep networks, whose few largest totals are
        missing from most ensembles; and Cox's of a lognormal mean, which is right for those.
        """
        if not self.sampled or any(erf.draws < TOTAL_NEEDS or (erf.dead and erf.caution) for erf in self.sampled):
            return math.nan
        from scipy.special import stdtr

        plain = _difference(*((erf.total, _total_stderr(erf)) for erf in (self.theory, self.measured)))
        tails = [2 * stdtr(self.freedom, -abs(plain))]
        logs = [_log_total(erf) for erf in (self.theory, self.measured)]
        if all(math.isfinite(value) for value, _ in logs):
            tails.append(2 * stdtr(min(erf.draws for erf in self.sampled) - 1, -abs(_difference(*logs))))
        return float(max(tails))

    # -- is it small? ---------------------------------------------------------------------------

    @property
    def std_ratio(self) -> tuple[Estimate, ...]:
        """Measured over theoretical standard deviation, per axis."""
        found = []
        errors = [_std_stderr(erf) for erf in (self.theory, self.measured)]
        for a, b, da, db in zip(self.theory.std, self.measured.std, *errors):
            ratio = float(b / a) if a > 0 else (1.0 if b == 0 else math.inf)
            error = ratio * math.hypot(da / a if a > 0 else 0, db / b if b > 0 else 0)
            found.append(Estimate(ratio, error, self.freedom))
        return tuple(found)

    @property
    def std_z(self) -> tuple[float, ...]:
        """Difference of the standard deviations in standard errors, per axis; nan where nothing was sampled."""
        return tuple(ratio.z(1.0) for ratio in self.std_ratio)

    @property
    def size_ratio(self) -> float:
        """Measured over theoretical threshold size."""
        return self.measured.size() / self.theory.size()

    @property
    def total_variation(self) -> float:
        """Half the sum of the absolute differences of the shares, sampling noise included."""
        return float(0.5 * np.abs(self.shares[1] - self.shares[0]).sum())

    @functools.cached_property
    def coarse_variation(self) -> Estimate:
        """Total variation over the cells of the test of shape; over pixels, of unknown error, where those are None."""
        if self.cells is None:
            return Estimate(self.total_variation, math.nan if self.sampled else 0.0)
        signs = np.sign(self.cells.difference)
        error = 0.5 * math.sqrt(max(float(signs @ self.cells.covariance @ signs), 0.0))
        return Estimate(float(0.5 * np.abs(self.cells.difference).sum()), error, self.freedom)

    def profile_variation(self, axis: int = -1) -> float:
        """Total variation of the marginals along `axis`."""
        a, b = (self._marginals(share)[axis] for share in self.shares)
        return float(0.5 * np.abs(a - b).sum())

    def agrees(self, level: float = 0.01, tolerance: float = 0.03, *, total: bool = False) -> bool:
        """Whether the difference is shown to be small: an equivalence test.

        True if the standard deviations along every axis differ by less than `tolerance` (relative),
        and the shares by less in total variation over the cells, once the sampling error is allowed
        for; with `total` also the sums of the maps.  A false True has probability `level` at most.
        False therefore means different *or* too few draws: the intervals in the report say which.
        """
        _check(level, tolerance)
        flag(total, "total")
        return all(abs(d.value) + d.reach(level) <= tolerance for d in self._differences(total))

    def _differences(self, total: bool) -> list[Estimate]:
        ratios = [*self.std_ratio, *([self.total_ratio] if total else [])]
        return [ratio._replace(value=ratio.value - 1) for ratio in ratios] + [self.coarse_variation]

    def draws_to_agree(self, level: float = 0.01, tolerance: float = 0.03, *, power: float = 0.9,
                       total: bool = False) -> int:
        """Draws with which `agrees` would be true with about probability `power`, were there no difference.

        From the scatter of the draws at hand, which must be enough for `cells`.

        Parameters
        ----------
        level, tolerance : float
            As of `agrees`.
        power : float
            Between 0 and 1.
        total : bool
            As of `agrees`.

        Returns
        -------
        int
            Number of draws.

        Raises
        ------
        ValueError
            If nothing was sampled, or too few draws, or an argument is outside its range.
        """
        _check(level, tolerance)
        if not 0 < real(power, "power") < 1:
            raise ValueError(f"power={quoted(power)}: must lie between 0 and 1")
        if self.cells is None:
            raise ValueError(f"draws_to_agree: needs a measurement with {self.cells_need} effective draws at least")
        *ratios, _ = self._differences(total)
        reach, scatter = _quantile(level, math.inf), _quantile((1 - power) / 2, math.inf)
        noise, error, spread = _variation_of_noise(self.cells.covariance)
        worst = max(noise + reach * error + scatter * spread, *((reach + scatter) * ratio.stderr for ratio in ratios))
        return math.ceil(max(erf.draws for erf in self.sampled) * (worst / tolerance)**2)

    def draws_needed(self, alternative: EffectiveReceptiveField, level: float = 0.01, power: float = 0.9) -> int:
        """Draws that `p_shape` needs to fall below `level` with probability `power`, were `alternative` true.

        The covariance is taken from the draws at hand.

        Parameters
        ----------
        alternative : EffectiveReceptiveField
            What is to be told from the theory.
        level, power : float
            Probabilities, between 0 and 1.

        Returns
        -------
        int
            Number of draws.

        Raises
        ------
        ValueError
            If nothing was sampled, or the alternative does not differ.
        """
        from scipy.optimize import brentq
        from scipy.stats import chi2, ncx2

        if self.cells is None or not isinstance(self.measured, MeasuredReceptiveField):
            raise ValueError("draws_needed: needs a measurement with draws")
        merge = _bands((self.measured.blocks_of(self.theory) / self.theory.total)
                       .reshape(self.measured.block_shape), self.cells.draws)
        shift = merge(self.measured.blocks_of(alternative) / alternative.total
                      - self.measured.blocks_of(self.theory) / self.theory.total)
        square, rank = _mahalanobis(shift, self.cells.covariance * self.measured.draws)
        if not square > 0:
            raise ValueError("alternative: has the same normalised ERF as the theory")
        bound = chi2.isf(level, rank)
        needed = brentq(lambda nc: ncx2.sf(bound, rank, nc) - power, 1e-9, 1e4)
        return integer(math.ceil(needed / square), "draws", 1)

    # -- for people -----------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, str]:
        """What the two are, in a few words."""
        return _name(self.theory, "theory"), _name(self.measured, "measured")

    def report(self, level: float = 0.01, tolerance: float = 0.03) -> str:
        """Summary on one screen.

        Parameters
        ----------
        level : float
            Of the intervals, of the bound of z and of `agrees`; between 0 and 0.5.
        tolerance : float
            Of `agrees`; relative, positive.

        Returns
        -------
        str
            Table of sizes, intervals and tests.

        Raises
        ------
        ValueError
            If one of them is outside its range.
        """
        lines = [f"{self.theory.node} unit {self.theory.unit}, {self.theory.statistic}: "
                 f"(a) {self.names[0]}, (b) {self.names[1]}", ""]
        rows = [("", "(a)", "(b)", "")]
        for axis, ratio in enumerate(self.std_ratio):
            rows.append((f"std, axis {axis}", f"{self.theory.std[axis]:.4f}", f"{self.measured.std[axis]:.4f}",
                         _with_interval(ratio, level, f"{1 - level:.0%} interval ")))
        rows.append(("sum of the map", f"{self.theory.total:.5g}", f"{self.measured.total:.5g}",
                     _with_interval(self.total_ratio, level)))
        rows.append(("threshold size", f"{self.theory.size():.3f}", f"{self.measured.size():.3f}",
                     f"b/a {self.size_ratio:.4f}"))
        fits = [erf.gaussian_fit().r_squared for erf in (self.theory, self.measured)]
        rows.append(("R^2 of a Gaussian", f"{fits[0]:.4f}", f"{fits[1]:.4f}", ""))
        profiles = ", ".join(f"{self.profile_variation(axis):.4f}" for axis in range(self.ndim))
        tests = [("total variation", f"pixels {self.total_variation:.4f}, marginals {profiles}{self._cell_words()}")]
        if self.counted_z.size:
            tests.append(("z-scores", f"rms {self.z_rms:.3f}, largest {self.z_max:.2f} of {self.counted_z.size} "
                          f"pixels (bound {self.z_bound(level):.2f})"))
            tests.append(("no difference?", f"shape p = {_p(self.p_shape)}, sum of the map p = {_p(self.p_total)}"))
        tests += self._in_networks()
        tests.append((f"within {tolerance:.3g}?", self._verdict(level, tolerance)))
        tests += [("note", f"({letter}) {erf.caution}") for letter, erf in zip("ab", (self.theory, self.measured))
                  if isinstance(erf, MeasuredReceptiveField) and erf.caution]
        return "\n".join([*lines, text_table(rows, "lrrl"), "", text_table(tests)])

    def _in_networks(self) -> list[tuple[str, str]]:
        """How far (b) lies from (a), by the scatter of the network or networks that it is of."""
        measured, networks, images, same, words = self.measured, 1.0, 1.0, 1.0, ""
        if isinstance(measured, MeasuredReceptiveField) and measured.networks is not None:
            same, count = measured.unit_correlation, max(measured.effective_draws, 1.0)  # as draws weigh in the mean
            several = measured.moments.count
            if measured.networks > 1:
                networks = count
            elif measured.stderr is None:  # through gates that nobody drew: a mean over them all
                images, words = math.inf, " over all images"
            elif several > 1:
                images, words = count, f" over {several} images"
        one = self.theory.scatter_over(images, same)
        if one is None or not one.size > 0:
            return []
        spread = one.size / math.sqrt(networks)
        off = (measured.size("std") - self.theory.size("std")) / spread
        one_row = f"of this width scatters by +- {one.size:.2g} px{words}"
        away = f": (b) is {off:+.2g} of that away"
        if networks == 1:
            return [("one network", one_row + away)]
        return [("one network", one_row), ("mean of all", f"of these scatters by +- {spread:.2g} px{away}")]

    def _cell_words(self) -> str:
        if not self.sampled:
            return ""
        if self.cells is None:
            return f", cells: need at least {self.cells_need} effective draws"
        return f", cells {self.coarse_variation.value:.4f} +- {self.coarse_variation.stderr:.4f}"

    def _verdict(self, level: float, tolerance: float) -> str:
        if self.agrees(level, tolerance):
            return f"agree (level {level:.3g})"
        more = ""
        if self.cells is not None and (needed := self.draws_to_agree(level, tolerance)) > max(
                erf.draws for erf in self.sampled):
            more = f"; about {needed} draws would tell"
        return f"not shown to agree (level {level:.3g}){more}"

    __str__ = report

    def plot(self, *, ax: Axes | None = None, display: Display = "amplitude", title: str | None = None) -> Figure:
        """Theory, measurement, difference in standard errors, and the marginals on both scales.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Draw `plotting.plot_profiles` of both, along the last axis, into these axes instead.
        display : str
            Of these profiles; maps are drawn as "amplitude" only.
        title : str, optional
            Above the panels.

        Returns
        -------
        matplotlib.figure.Figure
            The figure; of `ax` the one that it is in.

        Raises
        ------
        ValueError
            If maps are asked for in another display.
        """
        from .plotting.comparison import Drawn, plot_pair
        from .plotting.profiles import plot_profiles
        fields = dict(zip(self.names, (self.theory, self.measured)))
        if ax is not None:
            return plot_profiles(fields, ax=ax, display=display, title=title)
        if display != "amplitude":
            raise ValueError(f"display={quoted(display)}: the maps of a comparison are drawn as 'amplitude' only")
        theory, measured = (
            Drawn(name, share, self._marginals(share), [self._marginal_stderr(erf, axis) for axis in range(self.ndim)])
            for (name, erf), share in zip(fields.items(), self.shares))
        std = np.maximum(self.theory.std, self.measured.std).tolist()
        return plot_pair((theory, measured), self.z, self.box[0], statistic=self.theory.statistic,
                         centroid=self.theory.centroid, std=std, title=title)

    def _marginals(self, share: Array) -> list[Array]:
        return [share.sum(axis=tuple(a for a in range(self.ndim) if a != axis)) for axis in range(self.ndim)]

    def _marginal_stderr(self, erf: EffectiveReceptiveField, axis: int) -> Array | None:
        if erf not in self.sampled or not isinstance(erf, MeasuredReceptiveField):
            return None
        error, first = erf.profile_stderr(axis), self.box[0][axis]
        whole = np.zeros(self.shares[0].shape[axis])
        whole[erf.origin[axis] - first:erf.origin[axis] - first + erf.shape[axis]] = error
        return whole

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.report())}</pre>" + html_picture(self.plot())


# ---------------------------------------------------------------------------------------------

def _quantile(tail: float, freedom: float) -> float:
    """What a variable of Student's t distribution passes with probability `tail`; normal if `freedom` is infinite."""
    from scipy.special import ndtri, stdtrit
    if freedom <= 0:
        return math.inf
    return float(-ndtri(tail) if freedom == math.inf else -stdtrit(freedom, tail))


def _check(level: float, tolerance: float) -> None:
    if not 0 < real(level, "level") < 0.5:
        raise ValueError(f"level={quoted(level)}: must lie between 0 and 0.5")
    if not real(tolerance, "tolerance") > 0:
        raise ValueError(f"tolerance={quoted(tolerance)}: must be positive")


def _p(value: float) -> str:
    return "not known: too few draws" if math.isnan(value) else f"{value:.3g}"


def _with_interval(ratio: Estimate, level: float, word: str = "") -> str:
    if math.isnan(ratio.stderr):
        return f"b/a {ratio.value:.4f}, of unknown error: one draw has none"
    if ratio.stderr == 0:
        return f"b/a {ratio.value:.4f}"
    low, high = ratio.interval(level)
    return f"b/a {ratio.value:.4f}, {word}{low:.4f} to {high:.4f}, z {ratio.z(1.0):+.1f}"


def _name(erf: EffectiveReceptiveField, role: str) -> str:
    if isinstance(erf, MeasuredReceptiveField) and erf.stderr is not None:
        dead = f", {erf.dead} dead" if erf.dead else ""
        return f"{erf.method}, {erf.counted}{dead}{', interrupted' if erf.partial else ''}"
    return f"{role}, {erf.method}" if role != erf.method else role


def _total_stderr(erf: EffectiveReceptiveField) -> float:
    if erf.stderr is None:
        return 0.0
    return erf.total_stderr if isinstance(erf, MeasuredReceptiveField) else math.nan


def _log_total(erf: EffectiveReceptiveField) -> tuple[float, float]:
    """Logarithm of the sum of the map and its error; nan where the draws' totals are not all positive."""
    if isinstance(erf, MeasuredReceptiveField) and erf.stderr is not None:
        return erf.moments.log_total()
    return erf.density.log_total, 0.0


def _difference(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Difference of two values with errors, in errors; nan without any."""
    error = math.hypot(a[1], b[1])
    return (b[0] - a[0]) / error if error > 0 else math.nan


def _std_stderr(erf: EffectiveReceptiveField) -> Array:
    if erf.stderr is None:
        return np.zeros(erf.ndim)
    return erf.std_stderr if isinstance(erf, MeasuredReceptiveField) else np.full(erf.ndim, math.nan)


def _bands(expected: Array, draws: float) -> Any:
    """A function that sums blocks, along its last axis, into cells that hold similar parts of `expected`."""
    ndim = expected.ndim
    bands = max(min(BANDS, int((draws / DRAWS_PER_CELL)**(1 / ndim) + 1e-9)), 1)
    starts = []
    for axis in range(ndim):
        marginal = np.abs(expected.sum(axis=tuple(a for a in range(ndim) if a != axis)))
        within = np.cumsum(marginal) / marginal.sum()
        starts.append(np.unique([0, *np.searchsorted(within, np.arange(1, bands) / bands)]))

    def merge(blocks: Array) -> Array:
        lead = blocks.shape[:-1]
        cells = blocks.reshape(*lead, *expected.shape)
        for axis, first in enumerate(starts, start=len(lead)):
            cells = np.add.reduceat(cells, first, axis=axis)
        return cells.reshape(*lead, -1)
    return merge


def _variation_of_noise(covariance: Array) -> tuple[float, float, float]:
    """Half the sum of absolute values of Gaussian noise: its mean, the error `coarse_variation` gives it, its std.

    By the moments of signs and absolute values of two Gaussians with correlation r: E[s s'] = 2 asin(r) / pi and
    E[|e e'|] = 2 (sqrt(1 - r^2) + r asin(r)) / pi in units of their standard deviations.
    """
    std = np.sqrt(np.diag(covariance))
    scale = np.outer(std, std)
    r = np.clip(np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0), -1, 1)
    signs = (covariance * np.arcsin(r)).sum() * 2 / math.pi
    products = (scale * (np.sqrt(1 - r**2) + r * np.arcsin(r) - 1)).sum() * 2 / math.pi
    mean = float(std.sum()) / math.sqrt(2 * math.pi)
    return mean, math.sqrt(max(signs, 0)) / 2, math.sqrt(max(products, 0)) / 2


def _mahalanobis(difference: Array, covariance: Array) -> tuple[float, int]:
    """d^T C^+ d and the rank of C: shares sum to one, so that C has a direction of no variance."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-9 * max(values.max(), 0.0)
    return float(((vectors[:, kept].T @ difference)**2 / values[kept]).sum()), int(kept.sum())
