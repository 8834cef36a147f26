"""ONNX files to records: operators mapped, shapes inferred, constants folded."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..base.checks import integer, is_sequence, numbers
from ..base.errors import quoted
from . import onnx_constants as _constants  # noqa: F401  its operators register themselves
from .constants import evaluated
from .onnx_file import Model, Node, read_model
from .onnx_inline import Graph, branch
from .onnx_operators import HANDLERS, Plain
from .records import Array, Record, Trace, scalar

__all__ = ["trace_file"]

#: Versions of the operators whose meaning is known here.
OPSETS = range(7, 28)
#: Operators of quantised arithmetic: their integers stand for other numbers.
QUANTISED = ("QLinear", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear")


def trace_file(path: str | os.PathLike[str], image: Any = None, input: str | None = None,
               given: Mapping[str, Any] | None = None) -> Trace:
    """Records of an ONNX file.

    Parameters
    ----------
    path : path
    image : int or tuple of int, optional
        Size of the input in pixels, where the file leaves it open.
    input : str, optional
        Name of the input that is the image, where there are several.
    given : mapping, optional
        Values of the other inputs by name: arrays, or one number for all of an array of the file's shape.

    Raises
    ------
    OSError, SizeError
        If the file cannot be read, or is too large.
    ValueError
        Naming file and node: damaged, quantised, of unknown operators' version, or with an input of open size.
    """
    model = read_model(path)
    try:
        source = f"{os.fspath(path)}" + (f" ({model.producer})" if model.producer else "")
        return _Reader(model, image, input, given or {}).trace(source)
    except ValueError as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from None


class DependsOnInput(ValueError):
    """An array that must be constant is not."""


class _Reader:
    def __init__(self, model: Model, image: Any, input: str | None, given: Mapping[str, Any]) -> None:
        self.model, self.image = model, image
        if model.opset not in OPSETS:
            raise ValueError(f"opset {model.opset}: operators of version {OPSETS[0]} to {OPSETS[-1]} are read; convert "
                             "it to one of them")
        quantised = sorted({node.op for node in model.nodes if node.op.startswith(QUANTISED)})
        if quantised:
            raise ValueError(f"quantised operators ({', '.join(quantised)}) are not read; export the model before it "
                             "is quantised")
        self.constants: dict[str, Array] = dict(model.tensors)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.records: list[Record] = []
        self.notes: list[str] = []
        self.open: set[str] = set()  # values after an unknown operator of which nobody knows the shape
        self.chosen = self.choose(input, given)
        for node in model.nodes:  # some exporters keep all weights in these
            if node.op == "Constant":
                self.node(node)

    def trace(self, source: str) -> Trace:
        name, axis = self.input()
        outputs = {}
        for node in self.model.nodes:
            if node.op != "Constant":
                self.node(node)
        for label in self.model.outputs:
            if label in self.shapes:
                outputs[label] = label
        if not outputs:
            raise ValueError("no output depends on the input")
        return Trace(tuple(self.records), name, self.shapes[name], axis, self.constants, outputs, source,
                     tuple(dict.fromkeys(self.notes)))

    # -- the input ----------------------------------------------------------------------------

    def choose(self, input: str | None, given: Mapping[str, Any]) -> str:
        """Name of the input that is the image; what is given for the others is entered as constants."""
        named = {name: "x".join(str(n or "?") for n in shape or ()) or "number or of open shape"
                 for name, shape in self.model.inputs.items()}
        listed = ", ".join(f"{name} ({words})" for name, words in list(named.items())[:8])
        for name in (*given, *([] if input is None else [input])):
            if name not in named:
                raise ValueError(f"{'given' if name in given else 'input'}={quoted(name)}: must be of the inputs "
                                 f"{listed}")
        if not named:
            raise ValueError("takes no input; must take an image")
        rest = [name for name in named if name not in given]
        chosen = input if input is not None else rest[0] if len(rest) == 1 else None
        if chosen is None or chosen in given or set(rest) != {chosen}:
            raise ValueError(f"takes {len(named)} inputs: {listed}; choose the image by input=, and give the values of "
                             "all others by given=, as given={" + f"{quoted((rest or [*named])[-1])}: 0.0" + "}")
        for name, value in given.items():
            self.constants[name] = self.value(name, value)
        return chosen

    def value(self, name: str, value: Any) -> Array:
        """An input as an array, checked against the shape that the file has for it."""
        array, shape = numbers(value, f"given[{quoted(name)}]"), self.model.inputs[name] or ()
        if array.ndim == 0 and shape:
            sizes = [n if isinstance(n, int) else 1 if i == 0 else None for i, n in enumerate(shape)]
            if None in sizes or math.prod(filter(None, sizes)) > 2**28:
                words = "x".join(str(n or "?") for n in shape)
                raise ValueError(f"given[{quoted(name)}]={quoted(value)}: the file leaves its shape open ({words}) or "
                                 "it is too large; give an array")
            return np.full([n or 1 for n in sizes], array)
        if len(shape) != array.ndim or any(isinstance(n, int) and n != m for n, m in zip(shape, array.shape)):
            raise ValueError(f"given[{quoted(name)}]: must have the shape {shape}, not {array.shape}")
        return array

    def input(self) -> tuple[str, int | None]:
        """Name of the input, its shape entered, and its axis of channels."""
        name = self.chosen
        shape = self.model.inputs[name]
        channel = self.channel_axis(name)
        if shape is None:
            rank = 2 + (len(self.image) if is_sequence(self.image) else self.conv_rank())
            shape = (1,) + (None,) * (rank - 1)
        if len(shape) < 2:
            raise ValueError(f"input {quoted(name)} has the shape {shape}; must have a batch, channels and space")
        axis = None if len(shape) == 2 else channel % len(shape)
        sizes: list[Any] = list(shape)
        space = [i for i in range(1, len(shape)) if i != axis]
        if not isinstance(sizes[0], int):
            sizes[0] = 1
        if axis is not None and not isinstance(sizes[axis], int):
            sizes[axis] = self.channels(name)
        given = self.given(len(space))
        for i, n in zip(space, given):
            if isinstance(sizes[i], int) and n is not None and n != sizes[i]:
                raise ValueError(f"image={quoted(self.image)}: the file is for {sizes[i]} pixels on axis {i} of "
                                 f"{quoted(name)}")
            sizes[i] = sizes[i] if isinstance(sizes[i], int) else n
        if any(not isinstance(n, int) for n in sizes):
            words = "x".join(str(n or "?") for n in shape)
            raise ValueError(f"image=None: the file leaves the size of {quoted(name)} open ({words}); give it in "
                             "pixels, as image=224")
        if math.prod(sizes) > 2**40:
            raise ValueError(f"input {quoted(name)} has the shape {tuple(sizes)}")
        self.shapes[name] = tuple(sizes)
        return name, axis

    def given(self, count: int) -> Sequence[int | None]:
        if self.image is None:
            return (None,) * count
        values = list(self.image) if is_sequence(self.image) else [self.image] * count
        if len(values) != count:
            raise ValueError(f"image={quoted(self.image)}: must have {count} values, one per axis")
        return [integer(n, "image", 1) for n in values]

    def channel_axis(self, name: str) -> int:
        """The last axis where the input is moved to channels first before anything else, or 1.

        Of one channel a reshape does that; then the first convolution tells.
        """
        shape, (_, weights) = self.model.inputs[name] or (), self.first_conv()
        single = weights is not None and weights.ndim > 2 and weights.shape[1] == 1
        if single and len(shape) > 2 and shape[-1] == 1 and shape[1] != 1:
            return -1
        for node in self.model.nodes:
            if name in node.inputs:
                if node.op == "Transpose" and node.attributes.get("perm", [0, 1])[1:2] == [len(
                        node.attributes["perm"]) - 1]:
                    return -1
                if node.op in ("Identity", "Cast", "Sub", "Mul", "Div", "Add") and node.outputs:
                    name = node.outputs[0]
                else:
                    break
        return 1

    def first_conv(self) -> tuple[Node | None, Array | None]:
        for node in self.model.nodes:
            if node.op == "Conv" and len(node.inputs) > 1:
                return node, self.constants.get(node.inputs[1])
        return None, None

    def conv_rank(self) -> int:
        _, weights = self.first_conv()
        return 2 if weights is None else weights.ndim - 2

    def channels(self, name: str) -> int:
        node, weights = self.first_conv()
        if node is None or weights is None:
            raise ValueError(f"input {quoted(name)}: the file does not say how many channels it has")
        return int(weights.shape[1] * node.attributes.get("group", 1))

    # -- nodes --------------------------------------------------------------------------------

    def node(self, node: Node) -> None:
        inputs = [name for name in node.inputs if name]
        missing = [name for name in inputs if name not in self.shapes and name not in self.constants]
        if missing:
            raise ValueError(f"node {quoted(node.name or node.op)}: reads {quoted(missing[0])}, which no node before "
                             "it makes (a cycle, or nodes out of order)")
        if node.op == "If" and node.inputs[0] in self.constants:
            self.taken(node)
            return
        path = self.path(node)
        standard = node.domain in ("", "ai.onnx")
        handler = HANDLERS.get(node.op) if standard else None
        if handler is None or self.open.intersection(inputs):
            self.unknown(node, path)
            return
        call = Call(self, node)
        try:
            plains = handler(call)
        except (KeyError, IndexError, TypeError, ZeroDivisionError, OverflowError, AttributeError) as error:
            raise ValueError(f"node {quoted(path)} ({node.op}): malformed ({type(error).__name__}: {error})") from None
        except DependsOnInput as error:  # an operator with a meaning here, but not of such inputs
            self.unknown(node, path, f" whose {error}")
            return
        except ValueError as error:
            raise type(error)(f"node {quoted(path)} ({node.op}): {error}") from None
        for plain, output in zip(plains, [*[None] * (len(plains) - call.results), *node.outputs]):
            self.add(plain, output or plain.name or f"{path}.{len(self.records)}", path)
        for i, output in enumerate(node.outputs[call.results:], call.results + 1):
            if output and plains[-1].op != "constant":  # as the places of maxima, which nothing here can use
                self.add(Plain(f"output {i} of {node.op}", node.inputs[:1], {}, call.shape()), output, path)

    def taken(self, node: Node) -> None:
        """The branch of a condition that is known."""
        word = "then_branch" if np.all(self.constants[node.inputs[0]]) else "else_branch"
        graph = node.attributes.get(word)
        if not isinstance(graph, Graph):
            raise ValueError(f"node {quoted(node.name or node.op)}: has no {word}")
        nodes, tensors = branch(graph, node)
        self.constants.update(tensors)
        for inner in nodes:
            self.node(inner)

    def unknown(self, node: Node, path: str, why: str = "") -> None:
        """An operator without a meaning here, carried along under its name."""
        after = self.open.intersection(node.inputs)
        if not after and all(name in self.constants for name in node.inputs if name):
            raise ValueError(f"node {quoted(path)}: {node.op} of constants is not computed; export the model with "
                             "constants folded")
        for output in node.outputs:
            shape = self.model.shapes.get(output) or self.model.outputs.get(output) or ()
            sizes = tuple(n if isinstance(n, int) else 1 for n in shape)
            name = (f"{node.domain}.{node.op}" if node.domain else node.op) + why
            if after:  # is not read itself, whatever it is
                name = "identity"
            read = [*node.inputs, *(name for graph in node.attributes.values() if isinstance(graph, Graph)
                                    for inner in graph.nodes for name in inner.inputs)]
            after_map = not after and any(len(s) > 3 and max(s[2:]) > 1 for s in map(self.shapes.get, read) if s)
            if not shape:
                self.open.add(output)
            inputs = tuple(n for n in read if n in self.shapes)
            # What an unknown operator makes of a map may be one, where the file does not tell.
            self.records.append(Record(output, name, inputs, {"of_map": after_map and not shape}, sizes, path))
            self.shapes[output] = sizes

    def add(self, plain: Plain, output: str, path: str) -> None:
        shape = tuple(int(n) for n in plain.shape)
        if min(shape, default=1) < 0 or len(shape) > 16:
            raise ValueError(f"node {quoted(path)}: makes the shape {shape}")
        record = Record(output, plain.op, tuple(plain.inputs), plain.attributes, shape, path)
        if plain.value is not None:
            self.constants[output] = plain.value
        elif all(not isinstance(i, str) or not i or i in self.constants for i in plain.inputs):
            try:
                self.constants[output] = evaluated(record, [self.constants.get(i) if isinstance(i, str) else i
                                                            for i in plain.inputs])
            except NotImplementedError as error:
                raise ValueError(str(error)) from None
        else:
            self.records.append(record)
            self.shapes[output] = shape

    # -- names --------------------------------------------------------------------------------

    def path(self, node: Node) -> str:
        """A path of modules: of the weights, of the exporter's notes, or of the node's name."""
        word = _WORDS.get(node.op, node.op.lower())
        for name in node.inputs[1:3]:
            if name.endswith((".weight", "/weight", ".weights", ".kernel")) and not name.startswith("onnx::"):
                return re.sub(r"[./](weights?|kernel)$", "", name)
        notes = node.notes.get("pkg.torch.onnx.name_scopes")
        if notes is not None:
            scopes = re.findall(r"'([^']*)'", notes)
            classes = re.findall(r"'([^']*)'", node.notes.get("pkg.torch.onnx.class_hierarchy", ""))
            path = scopes[-2] if len(scopes) > 1 else ""
            leaf = len(classes) > 1 and classes[-2].startswith("torch.nn.modules.") and "container" not in classes[-2]
            return path if path and leaf else ".".join(filter(None, (path, word)))
        path = last = ""
        for part in node.name.strip("/").split("/")[:-1]:  # a child of a container repeats the container's name
            inside = last and part.startswith(f"{last}.")
            path = path[:len(path) - len(last)] + part if inside else f"{path}.{part}".strip(".")
            last = part
        if path:
            leaf = path.rpartition(".")[2].lower().replace("_", "")
            owned = node.op in ("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization",
                                "InstanceNormalization")
            return path if owned or word.replace("_", "") in leaf else f"{path}.{word}"
        name = node.name.strip("/").replace("/", ".")
        return word if re.fullmatch(rf"({re.escape(node.op)}|node_\w+)?[._]?\d*", name) else name


_WORDS = {"Gemm": "linear", "MatMul": "linear", "BatchNormalization": "norm", "MaxPool": "max_pool",
          "AveragePool": "avg_pool", "GlobalAveragePool": "global_avg_pool", "ConvTranspose": "conv_transpose"}


class Call:
    """A node with what is known of its inputs.

    Attributes
    ----------
    results : int
        How many of what the handler gives are outputs of the node, the last ones; the others lead to them.
    """

    def __init__(self, reader: _Reader, node: Node) -> None:
        self.reader, self.node, self.opset = reader, node, reader.model.opset
        self.attributes = node.attributes
        self.inputs = node.inputs
        self.results = 1

    def __getitem__(self, name: str) -> Any:
        return self.attributes[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def has(self, i: int) -> bool:
        return i < len(self.inputs) and bool(self.inputs[i])

    def name(self, i: int) -> str:
        return self.inputs[i] if i < len(self.inputs) else ""

    def shape(self, i: int = 0) -> tuple[int, ...]:
        name = self.inputs[i]
        return self.reader.shapes[name] if name in self.reader.shapes else self.reader.constants[name].shape

    def constant(self, i: int) -> Array | None:
        """The array of an input, None where it is left out.

        Raises
        ------
        DependsOnInput
        """
        if not self.has(i):
            return None
        if self.inputs[i] not in self.reader.constants:
            raise DependsOnInput(f"input {i} ({quoted(self.inputs[i])}) depends on the model's input")
        return self.reader.constants[self.inputs[i]]

    def known(self, i: int) -> Array | None:
        """The array of an input, None where it is none."""
        return self.reader.constants.get(self.name(i))

    def ints(self, attribute: str, i: int) -> list[int] | None:
        """Integers that are an attribute in older versions, and an input in newer ones."""
        if attribute in self.attributes:
            value = self.attributes[attribute]
            return [int(value)] if isinstance(value, int) else [int(v) for v in value]
        array = self.constant(i)
        return None if array is None else [int(v) for v in array.reshape(-1)]

    def number(self, attribute: str, i: int) -> float | None:
        if attribute in self.attributes:
            return float(self.attributes[attribute])
        array = self.constant(i)
        return None if array is None else scalar(array)

    def keep(self, name: str, array: Array) -> str:
        """Enter an array that was computed of constants, under a name of its own."""
        self.reader.constants[name] = array
        return name

    def note(self, text: str) -> None:
        self.reader.notes.append(text)
