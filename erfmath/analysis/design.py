"""Inverse design: the cheapest chains and residual stacks whose field has a wanted size."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..base.checks import choice, flag, integer, is_sequence, real
from ..base.errors import MOST_CHANNELS, MOST_SITES, check_count, quoted
from ..base.progress import Report, shown
from ..base.tables import Printed, text_table
from ..layers import Activation, BatchNorm, Conv
from ..networks.building import Part, repeat, residual, serial
from ..networks.network import Network
from ..results.field import EffectiveReceptiveField
from ..results.sizes import KINDS
from ..theory.predict import predict
from .closed_forms import gaussian_size, uniform_variance
from .costs import costs
from .gridding import checkerboard, holes

__all__ = ["Budget", "Choices", "Design", "Designs", "design"]

#: Most candidates of one family that are listed, and that are tried by `predict`.
MOST_ROWS, MOST_TRIES = 2 * 10**6, 25
#: Largest size in input pixels that can be asked for.
FARTHEST = 1e9
#: Sizes other than std follow from it only about, so candidates this much too small are tried too.
SLACK = 0.05

#: What comes before every convolution of a residual stack but the first.
_ACTIVE = serial(BatchNorm(), Activation("relu"))

Table = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Budget:
    """What a network may cost; None is no limit.

    Parameters
    ----------
    multiply_adds : int, optional
        For one image of the size given to `design`.
    parameters : int, optional
        Of all layers together.
    depth : int
        Convolutions from the input to the output; 32 by default.

    Raises
    ------
    ValueError
        If one of them is not an integer of at least 1.

    See Also
    --------
    design : Networks that reach a size.
    Choices : What networks `design` puts together.

    Examples
    --------
    Three layers of 3 x 3 have a standard deviation of sqrt(3 * 2 / 3) pixels, which is just enough.

    >>> import erfmath as em
    >>> plain = em.Choices(kernel_sizes=(3,), dilations=((1,),), strides=(0,), kinds=("chain",))
    >>> [best] = em.design(1.4, budget=em.Budget(depth=3), choices=plain, image=16)
    >>> best.depth, round(best.std**2, 6)
    (3, 2.0)
    """

    multiply_adds: int | None = None
    parameters: int | None = None
    depth: int = 32

    def __post_init__(self) -> None:
        for name in ("multiply_adds", "parameters", "depth"):
            if getattr(self, name) is not None:
                integer(getattr(self, name), name, 1)


@dataclass(frozen=True)
class Choices:
    """What networks `design` puts together.

    Parameters
    ----------
    kernel_sizes : sequence of int
        Odd, the same in all layers of a network.
    dilations : sequence of sequences of int
        Dilations taken in turn within each stage, one schedule a network.
    strides : sequence of int
        Numbers of stride-2 layers: 0 keeps the size of the map, m divides it by 2^m.
    kinds : sequence of {"chain", "residual"}
        A chain is convolution and ReLU; the last layer of every stage but the last has stride 2.  A
        residual stack has in each stage one convolution (stride 2 but in the first stage) and
        blocks of two, all after batch norm and ReLU but the first.
    width : int
        Channels of the first stage.
    doubling : bool
        Whether channels double with each stride.

    Raises
    ------
    ValueError
        If a sequence is empty, a kernel size is even or less than 3, a dilation or the width is less
        than 1, a number of strides is negative, or a kind is another word.
    TypeError
        If one number is given where a sequence is wanted.

    See Also
    --------
    design : Networks that reach a size.
    Budget : What a network may cost; None is no limit.

    Examples
    --------
    Dilations 1 and 2 in turn: two layers have the variance 2 / 3 (1 + 4) along each axis.

    >>> import erfmath as em
    >>> dilated = em.Choices(kernel_sizes=[3], dilations=[[1, 2]], strides=[0], kinds=["chain"])
    >>> [best] = em.design(1.8, choices=dilated, image=16)
    >>> dilated.dilations, best.depth, round(3 * best.std**2, 6)
    (((1, 2),), 2, 10.0)
    """

    kernel_sizes: Sequence[int] = (3, 5, 7)
    dilations: Sequence[Sequence[int]] = ((1,), (1, 2), (1, 2, 4))
    strides: Sequence[int] = (0, 1, 2, 3)
    kinds: Sequence[str] = ("chain", "residual")
    width: int = 64
    doubling: bool = True

    def __post_init__(self) -> None:
        for name in ("kernel_sizes", "dilations", "strides", "kinds"):
            if not is_sequence(getattr(self, name)):
                raise TypeError(f"{name}={quoted(getattr(self, name))}: must be a sequence of the values to choose "
                                "from")
            object.__setattr__(self, name, tuple(getattr(self, name)))
            if not getattr(self, name):
                raise ValueError(f"{name}: must hold one choice at least")
        for k in self.kernel_sizes:
            if integer(k, "kernel_sizes", 3) % 2 == 0:
                raise ValueError(f"kernel_sizes={quoted(self.kernel_sizes)}: must be odd, so that maps keep their size")
        if not all(map(is_sequence, self.dilations)):
            raise TypeError(f"dilations={quoted(self.dilations)}: must hold sequences of dilations, as (1, 2)")
        object.__setattr__(self, "dilations", tuple(tuple(integer(d, "dilations", 1) for d in cycle)
                                                    for cycle in self.dilations))
        flag(self.doubling, "doubling")
        for m in self.strides:
            integer(m, "strides", 0)
        for kind in self.kinds:
            choice(kind, "kinds", ("chain", "residual"))
        integer(self.width, "width", 1)


@dataclass(frozen=True, eq=False)
class Design:
    """One network that reaches the target, as `predict` confirms.

    Attributes
    ----------
    net : Network
    kind : str
    kernel_size : int
    dilations : tuple of int
    stages : tuple of int
        Layers (of a chain) or blocks (of a residual stack) per stage; a stride of 2 lies between.
    size, std : float
        Of its effective receptive field on the plane, by the kind asked for, in input pixels.
    trf, stride : int
        Side of the theoretical receptive field; effective stride.
    depth, multiply_adds, parameters : int
    checkerboard : float
        Strength of periodic patterns in the field (`erfmath.analysis.gridding`); holes it has none.
    """

    net: Network
    kind: str
    kernel_size: int
    dilations: tuple[int, ...]
    stages: tuple[int, ...]
    size: float
    std: float
    trf: int
    stride: int
    depth: int
    multiply_adds: int
    parameters: int
    checkerboard: float


class Designs(Printed, tuple[Design, ...]):
    """Designs in the order of their cost; printed with str()."""

    def __str__(self) -> str:
        rows = [("kind", "kernel", "dilations", "stages", "size", "std", "TRF", "stride", "depth", "multiply-adds",
                 "parameters", "checkerboard")]
        rows += [(d.kind, str(d.kernel_size), ",".join(map(str, d.dilations)), "+".join(map(str, d.stages)),
                  f"{d.size:.4g}", f"{d.std:.4g}", str(d.trf), str(d.stride), str(d.depth), f"{d.multiply_adds:,}",
                  f"{d.parameters:,}", f"{d.checkerboard:.2f}") for d in self]
        return text_table(rows, "r")


def design(target: float, *, kind: str = "std", budget: Budget = Budget(), choices: Choices = Choices(),
           image: int = 224, channels_in: int = 3, progress: Report = None) -> Designs:
    """The cheapest networks of each family whose effective receptive field is at least `target` wide.

    A family has one kind of network, one kernel size, one schedule of dilations and one number of
    strides.  Its members, all ways to spread layers over the stages, are ranked by multiply-adds,
    then parameters, then depth; their variance is known in closed form (equation 10; in a residual
    stack a block counts with the part of the power that flows through it).  The first that `predict`
    confirms, and whose field has no holes, stands for the family.

    Parameters
    ----------
    target : float
        In input pixels.
    kind : str
        Of `EffectiveReceptiveField.size`; for "participation" a number of pixels.
    budget : Budget
        Limits on depth and cost.
    choices : Choices
        What networks are made of.
    image : int
        Side of the square image for which multiply-adds are counted.
    channels_in : int
        Channels of the input.
    progress : bool or callable, optional
        True for a bar on stderr, or a function that is called with the number of families done and to do.

    Returns
    -------
    Designs
        The cheapest first.

    Raises
    ------
    ValueError
        Where nothing within the budget reaches the target; the message says how far one gets.

    See Also
    --------
    remedies : What would widen the ERF.
    required_depth : Fewest equal convolutions whose field reaches a standard deviation.

    Examples
    --------
    >>> import erfmath as em
    >>> best = em.design(20, choices=em.Choices(kernel_sizes=(3,), kinds=("chain",)), image=64)[0]
    >>> best.stages, best.dilations, best.depth, round(best.std, 2)
    ((1, 1, 1, 3), (1, 2, 4), 6, 30.17)
    """
    target = real(target, "target")
    choice(kind, "kind", tuple(KINDS))
    for name, value, known in (("budget", budget, Budget), ("choices", choices, Choices)):
        if not isinstance(value, known):
            raise TypeError(f"{name}={quoted(value)}: must be a {known.__name__}")
    image, channels_in = integer(image, "image", 1), integer(channels_in, "channels_in", 1)
    check_count(image, MOST_SITES, f"image={quoted(image)}", "take a smaller image")
    check_count(channels_in, MOST_CHANNELS, f"channels_in={quoted(channels_in)}", "take fewer channels")
    if not 0 < target < FARTHEST:
        raise ValueError(f"target={quoted(target)}: must be positive and below {FARTHEST:g}, in input pixels")
    power = 2 if kind == "participation" else 1
    std = (target / float(gaussian_size(1.0, kind)))**(1 / power)
    found: list[Design] = []
    furthest = 0.0
    families = math.prod(map(len, (choices.kinds, choices.strides, choices.kernel_sizes, choices.dilations)))
    with shown(progress, "design") as show:
        for done, family in enumerate(_families(choices, budget, image, channels_in), 1):
            furthest = max(furthest, family.furthest)
            best = family.first(target, kind, std if kind == "std" else std * (1 - SLACK))
            if best is not None and all(best.net != other.net for other in found):  # too short for its schedule
                found.append(best)
            show(done, families)
    if not found:
        widest = float(gaussian_size(furthest, kind))
        if not widest:
            raise ValueError(f"target={target:g}: none of these choices, not even the shortest, is within {budget}")
        raise ValueError(f"target={target:g}: nothing within {budget} reaches it; the widest of these choices has "
                         f"{kind} {widest:.4g} pixels, about: allow more depth, strides, dilation or cost")
    return Designs(sorted(found, key=lambda d: (d.multiply_adds, d.parameters, d.depth)))


# ---------------------------------------------------------------------------------------------
# families
# ---------------------------------------------------------------------------------------------

class _Stage(NamedTuple):
    """What the members of a family have in one stage, by the number of its layers or blocks."""

    squares: npt.NDArray[np.float64]  # variance in units of (k^2 - 1) / 12 J^2
    multiply_adds: Table
    parameters: Table


@dataclass(frozen=True, eq=False)
class _Family:
    kind: str
    kernel: int
    cycle: tuple[int, ...]
    stages: Table  # (members, stages)
    variance: npt.NDArray[np.float64]
    multiply_adds: Table
    parameters: Table
    width: int
    doubling: bool
    image: int
    channels_in: int

    @property
    def furthest(self) -> float:
        """Largest standard deviation of any member."""
        return float(np.sqrt(self.variance.max())) if len(self.variance) else 0.0

    def first(self, target: float, kind: str, std: float) -> Design | None:
        """The cheapest member that `predict` confirms."""
        wide = np.flatnonzero(self.variance >= std**2 * (1 - 1e-9))
        depth = _depth(self.kind, self.stages[wide])
        order = wide[np.lexsort((depth, self.parameters[wide], self.multiply_adds[wide]))]
        for row in order[:MOST_TRIES]:
            net = _build(self.kind, self.kernel, self.cycle, tuple(map(int, self.stages[row])), self.width,
                         self.doubling)
            erf = predict(net, channels_in=self.channels_in)
            if erf.size(kind) >= target * (1 - 1e-9) and not holes(net, ndim=1):
                return self._design(net, row, erf, erf.size(kind))
        return None

    def _design(self, net: Network, row: int, erf: EffectiveReceptiveField, size: float) -> Design:
        stages = tuple(map(int, self.stages[row]))
        price = costs(net, self.image, channels_in=self.channels_in)
        return Design(net, self.kind, self.kernel, self.cycle, stages, size, float(erf.size("std")),
                      int(erf.trf.size[0]), int(erf.trf.stride[0]), int(_depth(self.kind, self.stages[[row]])[0]),
                      price.total_multiply_adds, price.total_parameters, checkerboard(erf))


def _depth(kind: str, stages: Table) -> Table:
    """Convolutions on the longest path."""
    return np.asarray(stages.sum(axis=1) if kind == "chain" else (1 + 2 * stages).sum(axis=1))


def _families(choices: Choices, budget: Budget, image: int, channels_in: int) -> Iterator[_Family]:
    flows: list[npt.NDArray[np.float64]] | None = None
    for kind, strides in itertools.product(choices.kinds, choices.strides):
        members = _members(kind, strides, budget.depth)
        if not len(members):
            continue
        if kind == "residual" and flows is None:
            flows = _flows((budget.depth - 1) // 2)
        for kernel, cycle in itertools.product(choices.kernel_sizes, map(tuple, choices.dilations)):
            variance = np.zeros(len(members))
            adds, weights = np.zeros((2, len(members)), dtype=np.int64)
            for place, counts in enumerate(members.T):
                stage = _stage(kind, kernel, cycle, place, place == strides, int(counts.max()), choices, image,
                               channels_in, flows)
                variance += stage.squares[counts] * 4.0**place
                adds += stage.multiply_adds[counts]
                weights += stage.parameters[counts]
            fits = np.ones(len(members), dtype=bool)
            if budget.multiply_adds is not None:
                fits &= adds <= budget.multiply_adds
            if budget.parameters is not None:
                fits &= weights <= budget.parameters
            variance *= float(uniform_variance(kernel))
            yield _Family(kind, kernel, cycle, members[fits], variance[fits], adds[fits], weights[fits],
                          choices.width, choices.doubling, image, channels_in)


def _members(kind: str, strides: int, depth: int) -> Table:
    """All numbers of layers (blocks) per stage within the depth: at least one, of blocks none."""
    least, most = (1, depth) if kind == "chain" else (0, (depth - strides - 1) // 2)
    count = math.comb(most, strides + 1) if kind == "chain" else math.comb(most + strides + 1, strides + 1)
    if most < least or count == 0:
        return np.zeros((0, strides + 1), dtype=np.int64)
    if count > MOST_ROWS:
        raise ValueError(f"depth={quoted(depth)}, strides={quoted(strides)}: {count} ways to spread the layers, more "
                         f"than {MOST_ROWS}; ask for less depth or fewer strides")
    rows = np.zeros((1, 0), dtype=np.int64)
    for place in range(strides + 1):
        room = most - least * (strides - place) - rows.sum(axis=1)
        times = room - least + 1
        start = np.repeat(np.cumsum(times) - times, times)
        fresh = np.arange(int(times.sum())) - start + least
        rows = np.column_stack([np.repeat(rows, times, axis=0), fresh])
    return rows


def _stage(kind: str, kernel: int, cycle: tuple[int, ...], place: int, last: bool, most: int, choices: Choices,
           image: int, channels_in: int, flows: Any) -> _Stage:
    """Tables over the number of layers (blocks) of stage `place`."""
    sites = -(-image // 2**place)
    here, below = (choices.width * 2**max(p, 0) if choices.doubling else choices.width for p in (place, place - 1))
    taps, n = kernel**2, np.arange(most + 1)
    square = np.array([float(cycle[i % len(cycle)])**2 for i in range(max(most, 1))])
    if kind == "chain":
        # The first layer takes what comes from below; the last one but of the last stage has stride 2.
        first = taps * here * (channels_in if place == 0 else below)
        weights = np.where(n > 0, first + (n - 1) * taps * here**2, 0)
        area, after = sites**2, sites**2 if last else (-(-sites // 2))**2
        at_end = np.where(n == 1, first, taps * here**2) * (n > 0)
        adds = (weights - at_end) * area + at_end * after
        return _Stage(np.concatenate([[0.0], np.cumsum(square[:most])]), adds.astype(np.int64), weights)
    # One convolution, at stride 2 but in the first stage, and blocks of two.
    first = taps * here * (channels_in if place == 0 else below)
    blocks = 2 * taps * here**2
    through = np.concatenate([[0.0], np.cumsum(square[:most] * flows[min(place, 1)][:most])])
    squares = (1.0 if place == 0 else 0.25) + 2 * through  # a strided layer reads the finer map
    norms = 4 * here * n + (2 * below if place else 0)  # scale and shift
    return _Stage(squares, (first + n * blocks) * sites**2, first + n * blocks + norms)


def _flows(blocks: int) -> list[npt.NDArray[np.float64]]:
    """Part of the power that flows through the branch of each block, the lowest first: of the first
    stage, and of any other.

    It depends on the values' moments alone, and these on the blocks of the stage below it; so the
    variances of the fields of all blocks of one stack hold them all.
    """
    flows = []
    for stages in ((blocks,), (0, blocks)):
        net = _build("residual", 3, (1,), stages, None, False)
        sums = [node.name for node in net.nodes if node.layer.sums]
        jump = 4.0**(len(stages) - 1)
        variance = [2 / 3 * (1 + (len(stages) - 1))]
        variance += [float(predict(net, node=name, ndim=1).std[0]**2) for name in sums]
        flows.append(np.diff(variance) / (2 * 2 / 3 * jump))
    return flows


def _build(kind: str, kernel: int, cycle: tuple[int, ...], stages: tuple[int, ...], width: int | None,
           doubling: bool) -> Network:
    parts: list[Part] = []
    for place, count in enumerate(stages):
        channels = None if width is None else width * 2**place if doubling else width
        if kind == "chain":
            for i in range(count):
                stride = 2 if i == count - 1 and place < len(stages) - 1 else 1
                parts += [Conv(kernel, channels, dilation=cycle[i % len(cycle)], stride=stride), Activation("relu")]
            continue
        parts += [Conv(kernel, channels)] if place == 0 else [_ACTIVE, Conv(kernel, channels, stride=2)]
        for i in range(count):
            layer = serial(_ACTIVE, Conv(kernel, channels, dilation=cycle[i % len(cycle)]))
            parts.append(residual(repeat(layer, 2)))
    return serial(*parts)
