"""The field of given weights under a hypothesis about their gates."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..base.checks import choice, integer
from ..base.errors import few, quoted
from ..base.progress import shown
from ..empirics.arrays import Array, on_space, place
from ..empirics.blas import one_thread
from ..empirics.measure import check_images
from ..empirics.plan import Plan, make_plan
from ..empirics.rules import Step
from ..empirics.sampling import generator, seed_entropy
from ..layers.geometry import Box
from ..networks.images import NaturalImages, natural_images
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..results.assumptions import Assumed, Assumption
from ..results.statistics import Moments
from ..results.trained import TrainedReceptiveField
from .circuit import Circuit, channels_of, missing_names, origins
from .drawn import Grouping, drawn
from .fused import fuse
from .independent import coherent, exact, exact_fits, probed
from .kinds import Observed, kind_of
from .known import from_norms
from .moved import moved, strides
from .observed import all_units, observed
from .slopes import Bins, Gate, Routes, Slopes

__all__ = ["HYPOTHESES", "predict_through_gates"]

#: What `predict` takes as `gates`, beside activities by hand.
HYPOTHESES = ("independent", "channels", "layers", "streams")
#: Pixels of noise from which activities are taken, and how many images these make at least and at most; on the plane,
#: where fewer sites are seen, four times as many.
PIXELS, LEAST_IMAGES, MOST_IMAGES = 2**18, 8, 64
#: Of networks with weights to draw: images, and draws of gates, of each; and how many are added up at a time.
PAIR, NETWORKS = 2, 32
#: Longest wavelength of this noise, in pixels, unless maps are larger.
PERIOD = 64
#: Channels of a unit that are followed one by one, and gradients with random signs that stand for more of them.
FEW, SIGNED = 16, 8


def predict_through_gates(net: Network, settings: RunSettings, *, gates: Any, statistic: str | None, images: Any,
                          draws: int, rng: Any, progress: Any, grouping: Grouping = Grouping(),
                          ) -> TrainedReceptiveField:
    """As `predict` with `gates`; `grouping` is of layers whose gates are drawn.

    Raises
    ------
    ValueError
        If gates or images do not fit the network; for the mean gradient through random weights, which is zero.
    NotImplementedError
        Where a hypothesis does not tell what a layer does; the message says which does.
    """
    statistic = statistic or "power"
    choice(statistic, "statistic", ("power", "mean"))
    hand = gates if isinstance(gates, Mapping) else None
    hypothesis = "independent" if hand is not None else gates
    choice(hypothesis, "gates", ("taps", *HYPOTHESES))
    draws = integer(draws, "draws", 2)
    noise = images if isinstance(images, NaturalImages) else None
    images = None if images is None or noise else check_images(images)
    trf, unit = settings.receptive_field(net), settings.unit_of(net)
    lo, hi = trf.window(unit) if trf.image is None else ((0,) * trf.ndim, tuple(n - 1 for n in trf.image))
    plan = make_plan(net, settings, window=Box(lo, hi), statistic=statistic, entropy=seed_entropy(rng),
                     normalise=False, images=images, channel=None, batch=None,
                     dtype="float64" if statistic == "mean" else None)
    missing = missing_names(net, plan)
    if missing and statistic == "mean":
        raise ValueError(f"statistic='mean': {few(missing)} have random weights of mean zero (no array in weights=), "
                         "so that the mean gradient is zero; use statistic='power'")
    parts = _Parts(net, settings, plan, channels_of(net, settings), images, noise, grouping)
    about: dict[str, Any] = {"origin": lo, "shape": tuple(b - a + 1 for a, b in zip(lo, hi)), "unit": unit, "trf": trf,
                             "image": trf.image, "statistic": statistic, "seed": plan.recipe.entropy,
                             "networks": 1, "unit_correlation": plan.recipe.unit_channels**-0.5,
                             "gates": "by hand" if hand is not None else hypothesis}
    with shown(progress, "predicting") as show, one_thread():
        if missing:
            found, source = _over_networks(parts, hypothesis, hand, draws, show)
        else:
            known, source = parts.slopes(hypothesis, hand)
            found = _found(parts, hypothesis, known, draws, statistic, show)
    about["assumptions"] = _assumptions(hypothesis, source, missing)
    return TrainedReceptiveField(found.moments, plan.field, method=found.method, sampled=not found.exact,
                                 coherent_map=found.coherent, contributions=found.contributions,
                                 **{**about, "networks": found.moments.count if missing else 1})


class _Found(NamedTuple):
    """A field through gates: its power and its coherent power, and what comes of each gate, by name."""

    moments: Moments
    coherent: Array
    totals: dict[str, float]
    method: str

    @property
    def exact(self) -> bool:
        """Whether nothing was drawn."""
        return self.method in ("exact", "mean gates")

    @property
    def contributions(self) -> dict[str, float]:
        """Shares of the power that come of each gate.

        What gates add was followed for few draws: their parts are sure, their sum is what is not coherent.
        """
        rest, left = sum(self.totals.values()), max(self.moments.total - float(self.coherent.sum()), 0.0)
        return {name: part / rest * left / self.moments.total if rest else 0.0 for name, part in self.totals.items()}


class _Parts(NamedTuple):
    net: Network
    settings: RunSettings
    plan: Plan
    channels: dict[int, int]
    images: Array | None
    noise: NaturalImages | None
    grouping: Grouping = Grouping()
    #: Of networks with random weights, which of them this is: so many draw the images in turn.
    network: int | None = None

    def with_weights(self, parameters: Mapping[tuple[int, str], Array], entropy: Any, network: int) -> _Parts:
        """The same with all weights given."""
        recipe = dataclasses.replace(self.plan.recipe, drawn={}, given=dict(parameters), entropy=entropy)
        return self._replace(plan=dataclasses.replace(self.plan, recipe=recipe), network=network)

    def slopes(self, hypothesis: str, hand: Mapping[str, Any] | None) -> tuple[dict[int, Observed], str]:
        """What every gate does on average, and where that is from."""
        wanted = Circuit.of(self.plan, self.channels, self.plan.recipe.given).gates
        if hand is not None:
            return self._by_hand(hand, wanted), "hand"
        if self.images is None and self.noise is None and hypothesis == "independent":
            found = from_norms(self.plan, self.channels)
            if set(wanted) <= set(found):
                return found, "norms"
        plan = self.plan
        if self.settings.image is not None:
            plan = all_units(self.net, self.settings, plan)
        shape = plan.program.forward.shape if self.settings.image is None else self.settings.image
        count = min(max(PIXELS // math.prod(shape), LEAST_IMAGES), MOST_IMAGES)
        count = count if self.network is None else PAIR
        if self.settings.image is None:
            count *= 4
        return observed(plan, self.inputs(plan, count), self.channels), "noise" if self.images is None else "images"

    def _by_hand(self, hand: Mapping[str, Any], wanted: Any) -> dict[int, Observed]:
        steps, found = fuse(self.plan.program)[0].steps, from_norms(self.plan, self.channels)
        by_name = {steps[i].name: i for i in wanted}
        for name, given in hand.items():
            if name in by_name:
                i = by_name[name]
                found[i] = kind_of(steps[i].layer).by_hand(steps[i], self.channels, given, name)
            elif name not in self.net.names:
                raise ValueError(f"gates: the network has no node {quoted(name)}")
        missing = [name for name, i in by_name.items() if i not in found]
        if missing:
            raise ValueError(f"gates: nothing is said of {few(missing)}")
        return found

    def inputs(self, plan: Plan, count: int) -> Array:
        """Images, (channels, N, *space), on the sites that go forward."""
        box, image, given = plan.program.forward, self.settings.image, None
        if isinstance(plan.recipe.images, np.ndarray) and plan.program is self.plan.program:
            given = plan.recipe.images
        elif self.images is not None:
            given = np.moveaxis(self.images, 1, 0)
        if given is not None:
            wanted = PAIR * max(plan.recipe.inputs[1], 1)
            if self.network is None or wanted >= given.shape[1]:
                return given
            return given[:, (self.network * wanted + np.arange(wanted)) % given.shape[1]]
        shape = box.shape if image is None else image
        rng = generator(plan.recipe.entropy, 2**31)
        kind = self.noise or natural_images(mean=0, std=1, period=max(PERIOD, 2 * max(shape)))
        noise = kind.sample(count * max(plan.recipe.inputs[1], 1), shape, rng, self.settings.channels_in)
        if image is not None:
            noise = noise[on_space(slice(a, b + 1) for a, b in zip(*box))]
        return np.moveaxis(noise, 1, 0)


def _gate(parts: _Parts, step: Step, what: Observed) -> Gate:
    """A gate that is known by what was observed."""
    if isinstance(what, np.ndarray):
        shapes = parts.settings.shapes(parts.net)
        below = step.inputs[0]
        sites = parts.settings.image if below < 0 or shapes is None else shapes[parts.net.names[below]]
        return Routes(step, what, sites)
    return Slopes(step, what, tuple(parts.channels[j] for j in step.inputs)) if what else Bins(step)


def _over_networks(parts: _Parts, hypothesis: str, hand: Mapping[str, Any] | None, draws: int,
                   show: Callable[[int, int], Any]) -> tuple[_Found, str]:
    """The mean over networks in which the arrays that are not given are drawn, as `measure` draws them.

    A draw is a network: its field is one draw of all its gates, or the mean of the fewest that there can be.
    """
    recipe, moments, coherent, totals, source = parts.plan.recipe, None, np.zeros(()), dict[str, float](), ""
    entropy = recipe.entropy if isinstance(recipe.entropy, list) else [recipe.entropy]
    for start in range(0, draws, NETWORKS):
        maps = []
        for k in range(start, min(start + NETWORKS, draws)):
            one = parts.with_weights(recipe.sample(k, k + 1).parameters, [*entropy, k], k)
            known, source = one.slopes(hypothesis, hand)
            here = _found(one, hypothesis, known, PAIR, "power", lambda done, total: None)
            maps.append(here.moments.mean)
            coherent = coherent + here.coherent
            totals = {name: totals.get(name, 0.0) + part for name, part in here.totals.items()}
            show(k + 1, draws)
        part = Moments.of(np.stack(maps))
        moments = part if moments is None else moments.merge(part)
    assert moments is not None
    return _Found(moments, coherent / draws, totals, "networks drawn"), source


def _found(parts: _Parts, hypothesis: str, known: dict[int, Observed], draws: int, statistic: str,
           show: Callable[[int, int], Any]) -> _Found:
    """The field of one network, all of whose weights are given."""
    plan = parts.plan
    circuit = Circuit.of(plan, parts.channels, plan.recipe.given)
    gates = {i: _gate(parts, circuit.step(i), known[i]) for i in circuit.gates}
    if hypothesis == "independent":
        _check_products(circuit)

    def placed(maps: Array) -> Array:
        return place(maps, plan.program.backward, plan.field)
    if statistic == "mean":
        mean = placed(coherent(circuit, gates, circuit.units(None, 1, "mean"), square=False))
        return _Found(Moments.of(mean[None]), mean, {}, "mean gates")
    # What is exact for one network costs more than a draw, and does not make a mean over networks exact.
    closed = hypothesis == "independent" and parts.network is None
    dense = not gates or closed and exact_fits(circuit, gates)
    stride = strides(parts.net, parts.settings, circuit, gates) if closed and not dense else None
    if dense or stride is not None:
        wide = dataclasses.replace(plan, recipe=dataclasses.replace(plan.recipe, dtype="float64"))
        circuit = Circuit.of(wide, parts.channels, {k: v.astype(float) for k, v in plan.recipe.given.items()})
        power, mean, totals = exact(circuit, gates) if stride is None else moved(circuit, gates, stride)
        moments, mean, method = Moments.of(placed(power)[None]), placed(mean), "exact"
    else:
        chunks = (probed(circuit, gates, draws) if hypothesis == "independent" else
                  drawn(circuit, gates, parts.inputs(plan, draws), draws, hypothesis, parts.grouping))
        whole, totals = None, {}
        for maps, first in chunks:
            here = Moments.of(placed(maps))
            whole, totals = (here, first) if whole is None else (whole.merge(here), totals)
            show(whole.count, draws)
        assert whole is not None
        moments, method = whole, "random signs" if hypothesis == "independent" else "gates drawn"
        mean = placed(_coherent(circuit, gates))
    by_name = {plan.program.steps[i].name: float(part) for i, part in sorted(totals.items())}
    return _Found(moments, mean, by_name, method)


def _check_products(circuit: Circuit) -> None:
    """Factors must not be functions of one value: then their product is no gate of its own."""
    origin = origins(circuit)
    for i in circuit.gates:
        step = circuit.step(i)
        met = [origin[j] for j in step.inputs]
        if any(a.root == b.root and a.start < b.stop and b.start < a.stop for a, b in itertools.combinations(met, 2)):
            raise NotImplementedError(f"{step.name}: multiplies functions of the same value, of which "
                                      "gates='independent' has no mean; use gates='layers', or erfmath.measure")


def _coherent(circuit: Circuit, gates: Mapping[int, Gate]) -> Array:
    """The coherent power: of all channels of the unit if they are few, else of random signs on them."""
    count = circuit.channels[circuit.program.top]
    if count <= FEW:
        return coherent(circuit, gates, circuit.units(None, 1, "power"))
    rng = generator(circuit.plan.recipe.entropy, 2**31 + 1)
    return coherent(circuit, gates, circuit.units(rng, SIGNED, "power")) / SIGNED


def _assumptions(hypothesis: str, source: str, drawn: tuple[str, ...]) -> tuple[Assumption | Assumed, ...]:
    """The assumptions, and where activities are from."""
    found: list[Assumption | Assumed] = [{
        "independent": Assumption.GATES_INDEPENDENT, "channels": Assumption.GATES_OF_CHANNELS,
        "layers": Assumption.GATES_OF_LAYERS, "streams": Assumption.GATES_OF_STREAMS}[hypothesis]]
    if source in ("norms", "noise"):
        found.append(Assumption.GATES_BY_NORMS if source == "norms" else Assumption.GATES_BY_NOISE)
    if drawn:
        found.append(Assumed(Assumption.WEIGHTS_DRAWN, drawn))
    return tuple(found)
