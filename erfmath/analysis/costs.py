"""What a network costs: multiply-adds and parameters, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..base.checks import choice
from ..base.tables import Printed, text_table
from ..networks.network import Network
from ..networks.settings import RunSettings

__all__ = ["Costs", "costs", "costs_of"]


@dataclass(frozen=True)
class Costs(Printed):
    """Multiply-adds of one image and trainable parameters, by node and in all; printed with str().

    Attributes
    ----------
    multiply_adds, parameters : mapping
        By node; nodes that have none are left out.
    """

    multiply_adds: Mapping[str, int]
    parameters: Mapping[str, int]

    @property
    def total_multiply_adds(self) -> int:
        """Of the whole network."""
        return sum(self.multiply_adds.values())

    @property
    def total_parameters(self) -> int:
        """Of the whole network."""
        return sum(self.parameters.values())

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("node", "multiply-adds", "parameters")]
        for name in dict.fromkeys([*self.multiply_adds, *self.parameters]):
            rows.append((name, f"{self.multiply_adds.get(name, 0):,}", f"{self.parameters.get(name, 0):,}"))
        return text_table([*rows, ("total", f"{self.total_multiply_adds:,}", f"{self.total_parameters:,}")], "lr")


def costs(net: Network, image: Any, *, width: int = 16, channels_in: int = 3, ndim: int = 2,
          biases: bool | str = False) -> Costs:
    """Count multiply-adds and parameters of a network.

    A convolution takes prod(k) c_in / groups multiply-adds for each value of its output, a transposed
    one as many for each value of its input (c_out in place of c_in).  Norms have a scale and a shift
    per channel.  Padded taps are counted, as is usual; activations, pools and norms are not.

    Parameters
    ----------
    net : Network
        The network.
    image : int or tuple of int
        Size of the input in pixels.
    width, channels_in, ndim : int
        As in `predict`.
    biases : bool or "unnormed"
        Whether every convolution has a bias, or those that no norm follows, as most published networks have it.

    Returns
    -------
    Costs
        By node and in total.

    Raises
    ------
    ValueError
        Where the image or the channels do not fit the network, or `biases` is another word.

    See Also
    --------
    layer_shares : Contribution of each layer.

    Examples
    --------
    >>> import erfmath as em
    >>> of = em.costs(em.zoo.vgg16(head=True), image=224, biases=True)
    >>> of.total_multiply_adds, of.total_parameters, of.multiply_adds["conv1_1"]
    (15470264320, 138357544, 86704128)
    >>> em.costs(em.zoo.efficientnet_b0(head=True), image=224, biases="unnormed").total_parameters
    5288548
    """
    settings = RunSettings.of(net, image=image, width=width, channels_in=channels_in, ndim=ndim)
    return costs_of(net, settings, biases)


def costs_of(net: Network, settings: RunSettings, biases: bool | str = False) -> Costs:
    """`costs` of a run on an image."""
    if not isinstance(biases, bool):
        choice(biases, "biases", ("unnormed",))
    # Of a node whose bias a norm would take away again no bias is counted.
    normed = {node.inputs[0] for node in net.nodes if node.layer.statistics} if biases == "unnormed" else set()
    shapes = {**net.shapes(settings.pixels), "input": settings.pixels}
    channels = {**settings.channels(net), "input": settings.channels_in}
    multiply_adds: dict[str, int] = {}
    parameters: dict[str, int] = {}
    for node in net.nodes:
        before = node.inputs[0]
        c_in, c_out = channels[before], channels[node.name]
        work = node.layer.multiply_adds(c_in, c_out, shapes[before], shapes[node.name])
        held = node.layer.parameters(c_in, c_out, settings.ndim, bool(biases) and node.name not in normed)
        if work:
            multiply_adds[node.name] = work
        if held:
            parameters[node.name] = held
    return Costs(multiply_adds, parameters)
