"""Remedies: what each change to a network would do to its field, its cost and its TRF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..base.errors import quoted
from ..base.checks import choice, is_sequence
from ..base.progress import Report, check_progress, shown
from ..base.tables import Printed, text_table
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..results.field import EffectiveReceptiveField
from ..results.sizes import KINDS as SIZES
from ..theory.predict import predict
from .candidates import KINDS, candidates
from .costs import costs_of
from .graph_edit import upto
from .gridding import checkerboard, holes, patterns

__all__ = ["Remedies", "Remedy", "remedies"]

#: Extra cost below which a change counts as free, relative to the network's.
FREE = 0.001
#: How much stronger a periodic pattern may become before it is flagged, and its longest period in
#: units of the stride: at the end of a network a grid is as coarse as its map.
PATTERN, LONGEST = 0.05, 3


@dataclass(frozen=True, eq=False)
class Remedy:
    """One change and what it does, as `predict` finds it.

    Attributes
    ----------
    kind : str
        "dilation", "kernel", "stride", "skip", "initialisation" or "depth".
    what : str
    net : Network
        The changed network.
    size, std : float
        Of the unit's field, in input pixels.
    gain : float
        Relative change of `size`.
    multiply_adds, parameters : int
    cost : float
        Relative change of the multiply-adds.
    trf : int
        Side of the theoretical receptive field.
    holes : float
        Part of the pixels in its box that no path reaches.
    checkerboard : float
        Strength of patterns of a short period, 0 to 1 (`shapes.periodicity`).
    pattern, period : float
        By how much the change strengthens a pattern of any period up to three strides, and the
        period, in pixels, for which it does so most.
    gridding : bool
        Whether the change makes holes, or a pattern stronger by more than 0.05.
    erf : EffectiveReceptiveField
    """

    kind: str
    what: str
    net: Network
    size: float
    std: float
    gain: float
    multiply_adds: int
    parameters: int
    cost: float
    trf: int
    holes: float
    checkerboard: float
    pattern: float
    period: int
    gridding: bool
    erf: EffectiveReceptiveField

    @property
    def value(self) -> float:
        """Gain per cost: infinite where the gain is free, the loss itself where there is none."""
        if self.gain <= 0:
            return self.gain
        return math.inf if self.cost <= FREE else self.gain / self.cost


@dataclass(frozen=True, eq=False)
class Remedies(Printed):
    """All changes, the best first; printed with str().

    Attributes
    ----------
    now : Remedy
        The network itself, the baseline.
    changes : tuple of Remedy
        By gain per cost: free changes first, by gain; those that make a grid last.
    kind : str
        What `size` is.
    refused : tuple of (str, str)
        Changes that the theory has no rule for, and why.
    """

    now: Remedy
    changes: tuple[Remedy, ...]
    kind: str
    refused: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return self.table()

    def table(self, top: int | None = None) -> str:
        """The first `top` changes (None: all) as text."""
        rows = [("change", self.kind, "gain", "multiply-adds", "parameters", "cost", "TRF", "")]
        for remedy in (self.now, *self.changes[:top]):
            flag = "" if not remedy.gridding else (f"holes {remedy.holes:.0%}" if remedy.holes > self.now.holes else
                                                   f"grid of {remedy.period:.3g} px")
            rows.append((remedy.what, f"{remedy.size:.4g}", f"{remedy.gain:+.1%}", f"{remedy.multiply_adds:,}",
                         f"{remedy.parameters:,}", f"{remedy.cost:+.1%}", str(remedy.trf), flag))
        lines = [text_table(rows, "lrrrrrrl")]
        if (shown := len(self.changes[:top])) < len(self.changes):
            lines.append(f"({shown} of {len(self.changes)} changes)")
        lines += [f"not known: {what} ({why})" for what, why in self.refused]
        return "\n".join(lines)


def remedies(net: Network, unit: Any = None, *, image: Any = None, node: str | None = None, kind: str = "std",
             kinds: Sequence[str] = KINDS, width: int = 16, channels_in: int = 3, ndim: int = 2,
             progress: Report = None) -> Remedies:
    """What each change to a network would do to the field of a unit, to its cost and its TRF.

    Tried are, resolution by resolution: twice the dilation; two more taps per axis; each stride one
    spatial layer or block earlier (as a max pool); skips at half weight or left out; kernels with
    half or all of their variance on the rim (section 4 of the paper); one more block or layer.
    Every row comes from `predict` on the changed network.

    Parameters
    ----------
    net : Network
        The network.
    unit, image, node : optional
        As in `predict`.  Multiply-adds are those for `image`, or where none is given for one as wide
        as the theoretical receptive field.
    kind : str
        Of `EffectiveReceptiveField.size`: what is to grow.
    kinds : sequence of str
        Kinds of changes to try; all by default.
    width, channels_in, ndim : int
        As in `predict`.
    progress : bool or callable, optional
        True for a bar on stderr, or a function that is called with the number of changes done and to do.

    Returns
    -------
    Remedies
        The baseline and all changes, the best first.

    Raises
    ------
    ValueError, NotImplementedError, SizeError
        As `predict` for the network itself.

    See Also
    --------
    design : Networks that reach a size.
    layer_shares : Contribution of each layer.

    Examples
    --------
    >>> import erfmath as em
    >>> found = em.remedies(em.zoo.plain(10), image=32)
    >>> for remedy in found.changes[:3]:
    ...     print(f"{remedy.gain:+.0%} {remedy.cost:+.0%} {remedy.what}")
    +58% +0% double the dilation of every second at stride 1
    +14% +0% double the dilation of conv10
    +12% +0% half of the variance on the rim of all kernels
    """
    settings = RunSettings.of(net, image=image, unit=unit, node=node, width=width, channels_in=channels_in, ndim=ndim)
    choice(kind, "kind", tuple(SIZES))
    check_progress(progress)
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    if not is_sequence(kinds):
        raise TypeError(f"kinds={quoted(kinds)}: must be one kind, or a sequence of them")
    for one in kinds:
        choice(one, "kinds", KINDS)
    net, settings = upto(net, node), settings.but(node=None)
    priced = settings if settings.image else settings.but(image=_frame(net, settings))
    now = _measured("baseline", "", net, None, kind, settings, priced)
    ideas = [candidate for candidate in candidates(net, settings.ndim) if candidate.kind in kinds]
    found, refused = [], []
    with shown(progress, "remedies") as show:
        for done, idea in enumerate(ideas, 1):
            try:
                found.append(_measured(idea.what, idea.kind, idea.net, now, kind, settings, priced))
            except (ValueError, NotImplementedError, OverflowError) as error:
                refused.append((idea.what, str(error)))
            show(done, len(ideas))
    found.sort(key=lambda remedy: (not remedy.gridding, remedy.value, remedy.gain), reverse=True)
    return Remedies(now, tuple(found), kind, tuple(refused))


def _frame(net: Network, settings: RunSettings) -> tuple[int, ...]:
    """A size of image that fits the network and is about as wide as it sees."""
    trf = settings.receptive_field(net)
    side = 2**math.ceil(math.log2(max(max(map(float, trf.size)), 32))) if not trf.infinite else 256
    return (int(side),) * settings.ndim


def _measured(what: str, kind: str, net: Network, now: Remedy | None, size: str, settings: RunSettings,
              priced: RunSettings) -> Remedy:
    """What the change does in a run, and what it costs in another, on an image."""
    erf = predict(net, **settings.keywords)
    price = costs_of(net, priced)
    extent, adds = erf.size(size), price.total_multiply_adds
    empty = holes(net, image=settings.image, unit=settings.unit, ndim=settings.ndim)
    before = erf if now is None else now.erf
    longest = LONGEST * max(map(float, before.trf.stride))
    known = patterns(before, longest)
    stronger = {period: strength - known[period] for period, strength in patterns(erf, longest).items()}
    worst = max(stronger, key=stronger.__getitem__)
    gridding = now is not None and (empty > now.holes + 1e-9 or stronger[worst] > PATTERN)
    gain, cost = (_relative(extent, now.size), _relative(adds, now.multiply_adds)) if now else (0.0, 0.0)
    return Remedy(kind, what, net, extent, float(erf.size("std")), gain, adds, price.total_parameters, cost,
                  int(max(map(float, erf.trf.size))), empty, checkerboard(erf), stronger[worst], worst, gridding, erf)


def _relative(value: float, before: float) -> float:
    """Relative change; infinite from nothing to something."""
    return value / before - 1 if before else math.inf if value else 0.0
