"""What builds networks: combinators of layers and networks, and files."""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Sequence
from typing import Union

from ..base.checks import integer, is_sequence
from ..base.errors import MOST_NODES, NODE, check_count, named, quoted
from ..layers import Activation, Add, Concat, Identity, Layer, Multiply, Slice
from .json import INPUT
from .network import Network

__all__ = ["Part", "add", "appended", "concat", "load", "multiply", "network_of", "repeat", "residual", "serial",
           "split"]

Part = Union[Layer, Network]


def network_of(part: Part) -> Network:
    """A part as a network: itself, or that of one layer."""
    if isinstance(part, Network):
        return part
    if isinstance(part, Layer):
        if part.many_inputs:
            raise ValueError(f"{type(part).__name__}: merges several inputs; use "
                             f"erfmath.{part.op}(...)")
        return Network([part], [(INPUT,)], 0)
    text, hint = quoted(part), ""
    if isinstance(part, (list, tuple)):
        text, hint = f"[{len(part)} parts]", "; parts are given one by one, as in serial(*parts) and add(*branches)"
    elif isinstance(part, type) and issubclass(part, Layer):
        text, hint = part.__name__, f"; did you mean {part.__name__}(...)?"
    elif isinstance(part, str):
        with contextlib.suppress(ValueError):
            hint = f"; did you mean Activation({Activation(part).function!r})?"
    elif isinstance(part, int):
        hint = "; repeat(part, n) takes the part first"
    raise TypeError(f"{text}: a part of a network is a Layer or a Network, not {type(part).__name__}{hint}")


def serial(*parts: Part) -> Network:
    """Chain layers and networks, one after the other.

    Parameters
    ----------
    *parts : Layer or Network
        In the order of the data; none makes the identity.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    TypeError
        If a part is neither layer nor network.
    ValueError
        Naming the node, if parts are of different dimensions or their channels do not fit.

    See Also
    --------
    add : The sum of several branches from one input.
    concat : Several branches from one input.
    residual : ``shortcut(x) + branch(x)``.
    repeat : Copies of a layer or network, one after the other.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.Conv(3), em.serial(em.Conv(3), em.Activation("relu"))).names
    ('conv1', 'conv2', 'relu1')
    """
    if not parts:
        return Network([Identity()], [(INPUT,)], 0)
    first = network_of(parts[0])
    layers, inputs, output = list(first._layers), list(first._inputs), first._output
    for part in parts[1:]:
        output = appended(layers, inputs, part, output)
    return Network(layers, inputs, output, known=first._state, dims=first._dims)


def appended(layers: list[Layer], inputs: list[tuple[int, ...]], part: Part, source: int) -> int:
    """Put `part` after node `source`; return where its output now is."""
    shift = len(layers)
    if isinstance(part, Layer) and not part.many_inputs:  # checked once, with the network that it is put in
        layers.append(part)
        inputs.append((source,))
        return shift
    net = network_of(part)
    layers += net._layers
    inputs += [tuple(source if j == INPUT else j + shift for j in js) for js in net._inputs]
    return source if net._output == INPUT else net._output + shift


def _merge(layer: Layer, branches: Sequence[Part]) -> Network:
    if not branches:
        raise ValueError(f"{layer.op}: needs at least one branch")
    nodes = sum(len(branch) if isinstance(branch, Network) else 1 for branch in branches)
    check_count(nodes, MOST_NODES, f"{layer.op}: nodes", "take fewer copies", each=NODE)
    layers: list[Layer] = []
    inputs: list[tuple[int, ...]] = []
    ends = []
    for branch in branches:
        ends.append(INPUT if _plain(branch) else appended(layers, inputs, branch, INPUT))
    return Network(layers + [layer], inputs + [tuple(ends)], len(layers))


def _plain(branch: Part) -> bool:
    """Whether it is a bare Identity(): what comes in, and not a node of its own."""
    return isinstance(branch, Identity) and branch.name is None


def add(*branches: Part, name: str | None = None) -> Network:
    """The sum of several branches from one input.

    Parameters
    ----------
    *branches : Layer or Network
        A bare ``Identity()`` is the input itself.
    name : str, optional
        Name of the sum.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    TypeError, ValueError
        As `serial`; also if branches differ in stride or channels, or there are none.

    See Also
    --------
    serial : Layers and networks one after the other.
    concat : Several branches from one input.
    multiply : The product of several branches from one input, value by value.

    Examples
    --------
    >>> import erfmath as em
    >>> em.predict(em.add(em.Conv(3), em.Conv(5)), ndim=1).share.round(3).tolist()
    [0.1, 0.267, 0.267, 0.267, 0.1]
    """
    return _merge(Add(name), branches)


def concat(*branches: Part, name: str | None = None) -> Network:
    """Several branches from one input, concatenated along the channels in the order given.

    Parameters
    ----------
    *branches : Layer or Network
        A bare ``Identity()`` is the input itself.
    name : str, optional
        Name of the concatenation.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    TypeError, ValueError
        As `serial`; also if branches differ in stride, or there are none.

    See Also
    --------
    add : The sum of several branches from one input.
    split : A branch for each part of the channels.

    Examples
    --------
    >>> import erfmath as em
    >>> em.concat(em.Identity(), em.Conv(3, 8), name="both").channels(channels_in=3)
    {'conv1': 8, 'both': 11}
    """
    return _merge(Concat(name), branches)


def multiply(*branches: Part, name: str | None = None) -> Network:
    """The product of several branches from one input, value by value.

    Parameters
    ----------
    *branches : Layer or Network
        A bare ``Identity()`` is the input itself.  A branch of one channel multiplies all channels, one
        that is pooled to a single site all sites.
    name : str, optional
        Name of the product.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    TypeError, ValueError
        As `add`.

    See Also
    --------
    add : The sum of several branches from one input.

    Examples
    --------
    Squeeze and excite:

    >>> import erfmath as em
    >>> gate = em.serial(em.GlobalAvgPool(), em.Conv(1, 4), em.Activation("relu"),
    ...                  em.Conv(1, 16), em.Activation("sigmoid"))
    >>> net = em.serial(em.Conv(3, 16), em.multiply(em.Identity(), gate))
    >>> net.shapes(image=8)["multiply1"], net.nodes[-1].inputs
    ((8, 8), ('conv1', 'sigmoid1'))
    """
    return _merge(Multiply(name), branches)


def split(part_sizes: Sequence[int], *branches: Part, name: str | None = None) -> Network:
    """A branch for each part of the channels, and their outputs one after the other.

    Parameters
    ----------
    part_sizes : sequence of int
        Channels of each part, in order.
    *branches : Layer or Network
        One per part; a bare ``Identity()`` hands its part on.
    name : str, optional
        Name of the concatenation.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    TypeError, ValueError
        As `concat`; also if there are not as many branches as parts, or a part is not at least one channel.

    See Also
    --------
    concat : Several branches from one input.
    Slice : Channels start, start + 1, ..., stop - 1 of those that come in.

    Examples
    --------
    >>> import erfmath as em
    >>> net = em.serial(em.Conv(1, 8), em.split([4, 4], em.Identity(), em.Conv(3, 4)))
    >>> net.names
    ('conv1', 'slice1', 'slice2', 'conv2', 'concat1')
    """
    if not is_sequence(part_sizes) or len(part_sizes) != len(branches):
        raise ValueError(f"part_sizes={quoted(part_sizes)}: must be one number of channels for each of the "
                         f"{len(branches)} branches")
    ends = [0]
    for i, size in enumerate(part_sizes):
        ends.append(ends[-1] + integer(size, f"part_sizes[{i}]", 1))
    return concat(*(Slice(a, b) if _plain(branch) else serial(Slice(a, b), branch)
                    for a, b, branch in zip(ends, ends[1:], branches)), name=name)


def residual(branch: Part, shortcut: Part | None = None, *, name: str | None = None) -> Network:
    """``shortcut(x) + branch(x)``.

    Parameters
    ----------
    branch : Layer or Network
        What is added.
    shortcut : Layer or Network, optional
        The identity unless given.
    name : str, optional
        Name of the sum.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    TypeError, ValueError
        As `add`.

    See Also
    --------
    add : The sum of several branches from one input.
    serial : Layers and networks one after the other.

    Examples
    --------
    >>> import erfmath as em
    >>> block = em.residual(em.Conv(3, weights=em.Random(gain=1)))
    >>> em.predict(block, ndim=1, channels_in=16).share.round(3).tolist()
    [0.167, 0.667, 0.167]
    """
    return add(Identity() if shortcut is None else shortcut, branch, name=name)


def repeat(part: Part, n: int) -> Network:
    """Repeat a layer or network, one copy after the other, each with weights of its own.

    Parameters
    ----------
    part : Layer or Network
        What is repeated.
    n : int
        How often; 0 makes the identity.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    TypeError, ValueError
        As `serial`; also if `n` is negative or no integer.

    See Also
    --------
    serial : Layers and networks one after the other.

    Examples
    --------
    >>> import erfmath as em
    >>> em.receptive_field(em.repeat(em.Conv(3), 20)).size
    (41, 41)
    """
    net, n = network_of(part), integer(n, "n", 0)
    check_count(n * len(net), MOST_NODES, f"n={quoted(n)}: nodes", "take fewer copies", each=NODE)
    two = serial(*[net] * min(n, 2))
    if n < 3 or net._output == INPUT:
        return two
    end, size = net._output, len(net)
    if two._state[end] != two._state[end + size]:
        return serial(two, *[net] * (n - 2))
    # The second copy hands on what it was handed: all that follow are like it.
    inputs = list(net._inputs)
    for shift in range(size, n * size, size):
        inputs += [tuple(end + shift - size if j == INPUT else j + shift for j in js) for js in net._inputs]
    return Network(net._layers * n, inputs, end + (n - 1) * size,
                   known=two._state + two._state[size:] * (n - 2), dims=two._dims)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object; a field that is given twice says two things."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice}: is given twice in one object")
    return found


def load(path: str | pathlib.Path) -> Network:
    """Read a network from a JSON file.

    Parameters
    ----------
    path : str or path
        As `Network.save` or another program wrote it.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    ValueError
        Naming the file, and the line of broken JSON or the node and field that are wrong.
    OSError
        If the file cannot be read.

    See Also
    --------
    Network : An immutable network with one input and one output.
    zoo.build : A network by its name.

    Examples
    --------
    >>> import erfmath as em
    >>> net = em.zoo.plain(3)
    >>> net.save("net.json")
    >>> em.load("net.json") == net
    True
    """
    from ..base.files import open_regular

    with open_regular(path) as file:
        data = file.read()
    try:
        return Network.from_dict(json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: line {error.lineno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise ValueError(f"{path}: not a network: nested too deeply") from None
    except ValueError as error:
        raise named(error, path) from None
