"""Networks put together node by node, where some are read more than once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..base.errors import quoted
from ..layers import Add, Concat, Layer, Multiply
from .building import Part, appended, serial
from .json import INPUT
from .network import Network

__all__ = ["Handle", "NetworkBuilder"]


@dataclass(frozen=True, eq=False)
class Handle:
    """A place in a network that is being built; made by a `NetworkBuilder`, which takes it as an input."""

    _builder: NetworkBuilder = field(repr=False)
    _index: int


class NetworkBuilder:
    """Builds a network whose nodes may be read several times, by any node that comes later.

    Calling it with a part and handles puts the part after them, and returns the handle of its output.

    Attributes
    ----------
    input : Handle
        The network's input.

    See Also
    --------
    serial : Layers and networks one after the other.
    add : The sum of several branches from one input.

    Examples
    --------
    Two branches that exchange what they found, as in HRNet:

    >>> import erfmath as em
    >>> b = em.NetworkBuilder()
    >>> fine = b(em.Conv(3), b.input)
    >>> coarse = b(em.Conv(3, stride=2), fine)
    >>> both = b.add(fine, b(em.Upsample(2), coarse))
    >>> net = b.build(b.concat(both, fine))
    >>> net.names, em.receptive_field(net).size
    (('conv1', 'conv2', 'upsample1', 'add1', 'concat1'), (5, 5))
    """

    def __init__(self) -> None:
        self._layers: list[Layer] = []
        self._inputs: list[tuple[int, ...]] = []
        self.input = Handle(self, INPUT)

    def __call__(self, part: Part, *inputs: Handle) -> Handle:
        """Put a layer or a network after what is at `inputs`.

        Parameters
        ----------
        part : Layer or Network
            A layer that merges (`Add()`, `Concat()`, `Multiply()`) takes several inputs, all else takes one.
        *inputs : Handle
            What it reads, in this order.

        Returns
        -------
        Handle
            Of its output.

        Raises
        ------
        TypeError
            If the part is neither layer nor network, or an input no handle.
        ValueError
            If the number of inputs is wrong, or a handle is another builder's.
        """
        places = [self._index(handle) for handle in inputs]
        merges = isinstance(part, Layer) and part.many_inputs
        if not places or (len(places) > 1 and not merges):
            raise ValueError(f"inputs: {type(part).__name__} takes {'at least one' if merges else 'one'}, "
                             f"not {len(places)}")
        if isinstance(part, Layer):
            self._layers.append(part)
            self._inputs.append(tuple(places))
            return Handle(self, len(self._layers) - 1)
        return Handle(self, appended(self._layers, self._inputs, part, places[0]))

    def add(self, *inputs: Handle, name: str | None = None) -> Handle:
        """The sum of what is at `inputs`, as `erfmath.add` of branches. `name` names the node."""
        return self(Add(name), *inputs)

    def concat(self, *inputs: Handle, name: str | None = None) -> Handle:
        """The channels of what is at `inputs` one after the other, as `erfmath.concat` of branches.

        `name` names the node.
        """
        return self(Concat(name), *inputs)

    def multiply(self, *inputs: Handle, name: str | None = None) -> Handle:
        """The product of what is at `inputs`, as `erfmath.multiply` of branches. `name` names the node."""
        return self(Multiply(name), *inputs)

    def build(self, output: Handle) -> Network:
        """The network that ends at `output`; nodes that it does not depend on are left out.

        Parameters
        ----------
        output : Handle
            What `input`, a layer or a merge returned.

        Returns
        -------
        Network
            The network.

        Raises
        ------
        TypeError, ValueError
            If `output` is no handle of this builder; naming the node, if parts are of different dimensions, or
            their strides or channels do not fit.
        """
        top = self._index(output)
        if top == INPUT:
            return serial()
        used = {top}
        for i in range(top, -1, -1):
            used.update(self._inputs[i] if i in used else ())
        place: dict[int, int] = {INPUT: INPUT}
        for i in sorted(used - {INPUT}):
            place[i] = len(place) - 1
        kept = [i for i in place if i != INPUT]
        return Network([self._layers[i] for i in kept],
                       [tuple(place[j] for j in self._inputs[i]) for i in kept], place[top])

    def _index(self, handle: Any) -> int:
        if not isinstance(handle, Handle):
            raise TypeError(f"{quoted(handle)}: must be a handle, as calling a NetworkBuilder returns one")
        if handle._builder is not self:
            raise ValueError(f"{quoted(handle)}: is a handle of another NetworkBuilder")
        return handle._index
