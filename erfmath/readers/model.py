"""A model that was read: its network, its arrays, and what is known of both."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..base.errors import quoted
from ..empirics.measure import measure
from ..networks.network import Network
from ..networks.trf import ReceptiveField, receptive_field
from ..results.assumptions import Stated
from ..results.field import EffectiveReceptiveField
from ..theory.predict import predict
from .builder import StandIn
from .convert import Converted
from .records import Array

__all__ = ["Model", "model_of"]


@dataclass(frozen=True, eq=False)
class Model:
    """A network with what its source says beside it, returned by `from_torch`, `from_onnx` and `from_keras`.

    Attributes
    ----------
    net : Network
        It ends in the last map with more than one site; nodes after that are there by name.
    weights : dict of str to ndarray
        Kernels by node, biases by "node.bias", batch norms as scale, shift, mean and variance (with epsilon in it),
        other norms as scale and shift, PReLU as slopes.
    image : tuple of int
        Size of the input in pixels that the source was traced with.
    channels_in : int
        Channels of the input.
    outputs : dict of str to str
        Nodes by the name of the model's output.
    stand_ins : tuple of StandIn
        Layers in the place of operations that have none.
    notes : tuple of str
        What else the network does not hold.
    init : str
        "module", "weights" or "he".
    source : str
        What was read, in words.

    Examples
    --------
    >>> import torchvision, erfmath as em                                             # doctest: +SKIP
    >>> model = em.from_torch(torchvision.models.resnet18(), (1, 3, 224, 224))        # doctest: +SKIP
    >>> print(model)                                                                  # doctest: +SKIP
    >>> model.predict().std, model.receptive_field(node="layer3.1.relu_2").size       # doctest: +SKIP
    """

    net: Network
    weights: Mapping[str, Array]
    image: tuple[int, ...]
    channels_in: int
    outputs: Mapping[str, str]
    stand_ins: tuple[StandIn, ...]
    notes: tuple[str, ...]
    init: str
    source: str

    def __repr__(self) -> str:
        return f"<Model of {len(self.net)} nodes, image {'x'.join(map(str, self.image))}, output {self.net.output!r}>"

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>{self.net._repr_html_()}"

    def settings(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """`arguments` of a verb, with what the model knows in the place of those that are not given.

        These are the image, the channels of the input and (init="weights") the arrays.  A `node` may be the label of an
        output.
        """
        known: dict[str, Any] = {"image": self.image, "channels_in": self.channels_in}
        if self.init == "weights":
            known["weights"] = self.weights
        known.update(arguments)
        if known.get("node") not in (None, *self.net.names):
            known["node"] = self.outputs.get(known["node"], known["node"])
        return known

    def assuming(self, erf: EffectiveReceptiveField) -> EffectiveReceptiveField:
        """The field `erf` of this network, with the stand-ins that lead to its node among its assumptions."""
        before, waiting = set(), [erf.node]
        while waiting:
            name = waiting.pop()
            if name not in before and name != "input":
                before.add(name)
                waiting += self.net[name].inputs
        groups: dict[tuple[str, str, str], list[str]] = {}
        for one in self.stand_ins:
            if one.node in before:
                groups.setdefault((one.layer, one.what, one.size), []).append(one.node)
        return erf.assuming(*(
            Stated(f"STAND_IN_{i}", f"{layer} stands in for {what} at {_few(nodes)}" + (f": {size}" if size else ""))
            for i, ((layer, what, size), nodes) in enumerate(groups.items(), 1)))

    def predict(self, **arguments: Any) -> EffectiveReceptiveField:
        """`erfmath.predict` of the network, with image, channels and (init="weights") arrays filled in.

        `arguments` are those of `erfmath.predict`, and go before what the model knows; `node` may also be the label of
        an output.  Stand-ins are among the assumptions of the result.
        """
        return self.assuming(predict(self.net, **self.settings(arguments)))

    def measure(self, **arguments: Any) -> Any:
        """`erfmath.measure` of the network, filled in as by `predict`; `arguments` are those of `erfmath.measure`."""
        return self.assuming(measure(self.net, **self.settings(arguments)))

    def receptive_field(self, **arguments: Any) -> ReceptiveField:
        """`erfmath.receptive_field` of the network, with the image filled in; `arguments` are its own."""
        known = self.settings(arguments)
        return receptive_field(self.net, **{k: v for k, v in known.items() if k in ("image", "node") or k in arguments})

    def report(self, path: str | os.PathLike[str] | None = None, **arguments: Any) -> str:
        """`erfmath.report` of the model: one page of HTML, written to `path` where there is one.

        What was read is its first section; `arguments` are those of `erfmath.report`.
        """
        from ..reporting import report
        return report(self, path, **arguments)

    def summary(self) -> str:
        """What was read, with everything that the network does not hold."""
        kinds: dict[str, int] = {}
        for node in self.net:
            kinds[node.layer.kind] = kinds.get(node.layer.kind, 0) + 1
        lines = [f"{self.source}, input of {self.channels_in} channels, {'x'.join(map(str, self.image))} pixels",
                 f"{len(self.net)} nodes up to {quoted(self.net.output)} and after: "
                 + ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items(), key=lambda item: -item[1])),
                 {"module": "weights: random, of the gains that the arrays have", "he": "weights: random, of gain 2",
                  "weights": "weights: the arrays that were read"}[self.init]]
        lines += [f"output {quoted(label)}: {name}" for label, name in self.outputs.items()]
        lines += [f"stand-in at {s.node}: {s.layer} for {s.what}" + (f" ({s.size})" if s.size else "")
                  for s in self.stand_ins]
        return "\n".join([*lines, *self.notes])


def _few(names: list[str]) -> str:
    """The first of many names."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def model_of(converted: Converted, init: str, source: str) -> Model:
    """The model of what a trace became."""
    c = converted
    return Model(c.net, c.weights, c.image, c.channels_in, c.outputs, c.stand_ins, c.notes, init, source)
