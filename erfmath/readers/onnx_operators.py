"""What each ONNX operator is as a record, and the shape of what it makes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..base.errors import check_bytes
from .coordinates import COORDINATES, ROUNDED
from .records import Array

__all__ = ["HANDLERS", "Plain", "constant", "handles"]


@dataclass(frozen=True)
class Plain:
    """A record to be: its name and path come with the node; `value` where it is a constant already."""

    op: str
    inputs: Sequence[Any]
    attributes: dict[str, Any]
    shape: Sequence[int]
    name: str = ""
    value: Array | None = field(default=None, repr=False)


#: By operator: a call -> records to be.
HANDLERS: dict[str, Callable[[Any], list[Plain]]] = {}


def handles(*ops: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    def enter(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def several(call: Any) -> list[Plain]:
            found = function(call)
            return found if isinstance(found, list) else [found]
        HANDLERS.update(dict.fromkeys(ops, several))
        return function
    return enter


def constant(array: Any) -> Plain:
    array = np.asarray(array)
    return Plain("constant", (), {}, array.shape, value=array)


# ---------------------------------------------------------------------------------------------
# windows
# ---------------------------------------------------------------------------------------------

def _window(c: Any, kernel: Sequence[int]) -> tuple[list[int], list[int], Any, list[tuple[int, int]]]:
    """Stride, dilation, padding as a record has it, and the pairs that it comes to."""
    space, count = c.shape()[2:], len(kernel)
    stride, dilation = list(c.get("strides", [1] * count)), list(c.get("dilations", [1] * count))
    if min(*stride, *dilation, *kernel) < 1 or not len(stride) == len(dilation) == count == len(space):
        raise ValueError(f"kernel {list(kernel)}, strides {stride}, dilations {dilation} on {len(space)} axes")
    rule = c.get("auto_pad", "NOTSET")
    if rule in ("SAME_UPPER", "SAME_LOWER"):
        totals = [max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
                  for n, k, s, d in zip(space, kernel, stride, dilation)]
        pairs = [(t // 2, t - t // 2) if rule == "SAME_UPPER" else (t - t // 2, t // 2) for t in totals]
        return stride, dilation, "same" if rule == "SAME_UPPER" else pairs, pairs
    flat = [0] * (2 * count) if rule == "VALID" else list(c.get("pads", [0] * (2 * count)))
    pairs = list(zip(flat[:count], flat[count:]))
    if len(flat) != 2 * count or min(flat) < 0:
        raise ValueError(f"pads {flat} on {count} axes")
    return stride, dilation, pairs, pairs


def _out(n: int, k: int, s: int, d: int, pair: tuple[int, int], up: bool = False) -> int:
    room = n + sum(pair) - d * (k - 1) - 1
    if room < 0:
        raise ValueError(f"a kernel of {k} (dilation {d}) is larger than its input of {n} sites and its padding {pair}")
    out = room // s + 1
    if up and room % s and out * s < n + pair[0]:  # the last window must begin inside
        out += 1
    return out


@handles("Conv")
def conv(c: Any) -> Plain:
    weights = c.shape(1)
    stride, dilation, pads, pairs = _window(c, weights[2:])
    space = [_out(*each) for each in zip(c.shape()[2:], weights[2:], stride, dilation, pairs)]
    groups = c.get("group", 1)
    if groups < 1 or weights[1] * groups != c.shape()[1] or weights[0] % groups:
        raise ValueError(f"weights of shape {weights} in {groups} groups on {c.shape()[1]} channels")
    attributes = {"stride": stride, "padding": pads, "dilation": dilation, "groups": groups}
    return Plain("conv", c.inputs[:3], attributes, [c.shape()[0], weights[0], *space])


@handles("ConvTranspose")
def conv_transpose(c: Any) -> Plain:
    weights, space = c.shape(1), c.shape()[2:]
    count = len(weights) - 2
    stride, dilation = list(c.get("strides", [1] * count)), list(c.get("dilations", [1] * count))
    extra, groups = list(c.get("output_padding", [0] * count)), c.get("group", 1)
    spans = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(space, stride, dilation, weights[2:])]
    rule, wanted = c.get("auto_pad", "NOTSET"), c.get("output_shape")
    if wanted is not None or rule.startswith("SAME"):
        wanted = list(wanted)[-count:] if wanted is not None else [n * s for n, s in zip(space, stride)]
        totals = [span + e - n for span, e, n in zip(spans, extra, wanted)]
        pairs = [(t // 2, t - t // 2) if rule != "SAME_LOWER" else (t - t // 2, t // 2) for t in totals]
    else:
        flat = [0] * (2 * count) if rule == "VALID" else list(c.get("pads", [0] * (2 * count)))
        pairs = list(zip(flat[:count], flat[count:]))
    if groups < 1 or weights[0] != c.shape()[1] or len(pairs) != count or len(space) != count or min(stride) < 1:
        raise ValueError(f"weights of shape {weights} on an input of shape {c.shape()}")
    out = [span + e - sum(pair) for span, e, pair in zip(spans, extra, pairs)]
    attributes = {"stride": stride, "padding": pairs, "dilation": dilation, "groups": groups, "transposed": True,
                  "output_padding": extra}
    return Plain("conv", c.inputs[:3], attributes, [c.shape()[0], weights[1] * groups, *out])


@handles("MaxPool", "AveragePool")
def pool(c: Any) -> Plain:
    kernel = list(c["kernel_shape"])
    stride, dilation, pads, pairs = _window(c, kernel)
    up = bool(c.get("ceil_mode", 0))
    space = [_out(*each, up) for each in zip(c.shape()[2:], kernel, stride, dilation, pairs)]
    counted = bool(c.get("count_include_pad", 0))
    attributes = {"kernel": kernel, "stride": stride, "padding": pairs if counted else pads, "dilation": dilation,
                  "ceil": up, "count_include_pad": counted}
    return Plain("max_pool" if c.node.op == "MaxPool" else "avg_pool", c.inputs[:1], attributes,
                 [*c.shape()[:2], *space])


@handles("GlobalAveragePool", "GlobalMaxPool")
def global_pool(c: Any) -> Plain:
    shape = c.shape()
    function = "mean" if c.node.op == "GlobalAveragePool" else "max"
    return Plain("reduce", c.inputs[:1], {"function": function, "axes": list(range(2, len(shape))), "keep": True},
                 [*shape[:2], *(1,) * (len(shape) - 2)])


# ---------------------------------------------------------------------------------------------
# norms
# ---------------------------------------------------------------------------------------------

@handles("BatchNormalization")
def batch_norm(c: Any) -> Plain:
    return Plain("batch_norm", c.inputs[:5], {"eps": float(c.get("epsilon", 1e-5)),
                                              "frozen": not c.get("training_mode", 0)}, c.shape())


@handles("InstanceNormalization")
def instance_norm(c: Any) -> Plain:
    return Plain("instance_norm", c.inputs[:3], {"eps": float(c.get("epsilon", 1e-5))}, c.shape())


@handles("GroupNormalization")
def group_norm(c: Any) -> Plain:
    groups = c["num_groups"]
    inputs = list(c.inputs[:3])
    if c.opset < 21:  # one number a group
        each = c.shape()[1] // groups
        inputs[1:] = [c.keep(f"{name}.each", np.repeat(c.constant(i), each)) for i, name in enumerate(inputs[1:], 1)]
    return Plain("group_norm", inputs, {"groups": groups, "eps": float(c.get("epsilon", 1e-5))}, c.shape())


@handles("MeanVarianceNormalization")
def own_norm(c: Any) -> Plain:
    axes = [a % len(c.shape()) for a in c.get("axes", [0, 2, 3])]
    return Plain("layer_norm", c.inputs[:1], {"axes": [a for a in axes if c.shape()[a] > 1], "eps": 1e-9}, c.shape())


@handles("LRN")
def local_response_norm(c: Any) -> Plain:
    bias, beta = float(c.get("bias", 1.0)), float(c.get("beta", 0.75))
    about = {"factor": bias**-beta, "relative": float(c.get("alpha", 1e-4)) / bias, "beta": beta}
    return Plain("local_response_norm", c.inputs[:1], about, c.shape())


@handles("LayerNormalization", "RMSNormalization")
def layer_norm(c: Any) -> Plain:
    rank = len(c.shape())
    axes = list(range(c.get("axis", -1) % rank, rank))
    return Plain("layer_norm", c.inputs[:3], {"axes": axes, "eps": float(c.get("epsilon", 1e-5)),
                                              "centred": c.node.op == "LayerNormalization"}, c.shape())


# ---------------------------------------------------------------------------------------------
# functions of each element
# ---------------------------------------------------------------------------------------------

_UNARY: dict[str, tuple[str, dict[str, tuple[str, float]]]] = {
    "Relu": ("relu", {}), "Sigmoid": ("sigmoid", {}), "Tanh": ("tanh", {}), "HardSwish": ("hardswish", {}),
    "LeakyRelu": ("leaky_relu", {"slope": ("alpha", 0.01)}), "Elu": ("elu", {"alpha": ("alpha", 1.0)}),
    "Celu": ("celu", {"alpha": ("alpha", 1.0)}), "Mish": ("mish", {}),
    "HardSigmoid": ("hardsigmoid", {"slope": ("alpha", 0.2), "shift": ("beta", 0.5)}), "Softplus": ("softplus", {}),
    "Softsign": ("softsign", {}), "ThresholdedRelu": ("threshold", {"at": ("alpha", 1.0)}), "Exp": ("exp", {}),
    "Log": ("log", {}), "Sqrt": ("sqrt", {}), "Abs": ("abs", {}), "Neg": ("negative", {}),
    "Reciprocal": ("reciprocal", {}), "Erf": ("erf", {}), "Sin": ("sin", {}), "Cos": ("cos", {}), "Sign": ("sign", {}),
    "Floor": ("floor", {}), "Ceil": ("ceil", {}), "Round": ("round", {}), "Tan": ("tan", {}), "Atan": ("atan", {}),
    "Sinh": ("sinh", {}), "Cosh": ("cosh", {}), "Asinh": ("asinh", {})}


@handles(*_UNARY)
def unary(c: Any) -> Plain:
    function, parameters = _UNARY[c.node.op]
    return Plain("unary", c.inputs[:1], {"function": function, **{
        key: float(c.get(name, default)) for key, (name, default) in parameters.items()}}, c.shape())


@handles("Gelu")
def gelu(c: Any) -> Plain:
    return Plain("unary", c.inputs[:1], {"function": "gelu_tanh" if c.get("approximate") == "tanh" else "gelu"},
                 c.shape())


@handles("Swish")
def swish(c: Any) -> list[Plain]:
    slope = float(c.get("alpha", 1.0))
    return [Plain("unary", c.inputs[:1], {"function": "silu"}, c.shape())] if slope == 1 else _scaled_sigmoid(c, slope)


def _scaled_sigmoid(c: Any, slope: float) -> list[Plain]:
    """x sigmoid(slope x)."""
    x, out, shape = c.name(0), c.node.outputs[0], c.shape()
    return [Plain("binary", (x, slope), {"function": "multiply"}, shape, f"{out}.scaled"),
            Plain("unary", (f"{out}.scaled",), {"function": "sigmoid"}, shape, f"{out}.gate"),
            Plain("binary", (x, f"{out}.gate"), {"function": "multiply"}, shape)]


@handles("Selu")
def selu(c: Any) -> list[Plain]:
    alpha, gamma, out = float(c.get("alpha", 1.6732632)), float(c.get("gamma", 1.0507010)), f"{c.node.outputs[0]}.elu"
    if (round(alpha, 5), round(gamma, 5)) == (1.67326, 1.05070):
        return [Plain("unary", c.inputs[:1], {"function": "selu"}, c.shape())]
    return [Plain("unary", c.inputs[:1], {"function": "elu", "alpha": alpha}, c.shape(), out),
            Plain("binary", (out, gamma), {"function": "multiply"}, c.shape())]


@handles("Shrink")
def shrink(c: Any) -> list[Plain]:
    size, bias = float(c.get("lambd", 0.5)), float(c.get("bias", 0.0))
    if bias not in (0.0, size):
        raise ValueError(f"bias={bias}, lambd={size}: a Shrink of a bias that is neither 0 nor lambd")
    return [Plain("unary", c.inputs[:1], {"function": "softshrink" if bias else "hardshrink", "size": size}, c.shape())]


@handles("Clip")
def clip(c: Any) -> Plain:
    return Plain("unary", c.inputs[:1], {"function": "clip", "low": c.number("min", 1), "high": c.number("max", 2)},
                 c.shape())


@handles("PRelu")
def prelu(c: Any) -> Plain:
    return Plain("prelu", c.inputs[:2], {}, c.shape())


_BINARY = {"Add": "add", "Sub": "subtract", "Mul": "multiply", "Div": "divide", "Pow": "power", "Max": "maximum",
           "Min": "minimum", "Sum": "add"}


@handles(*_BINARY)
def binary(c: Any) -> list[Plain]:
    """Of two, or of several in turn."""
    function, found = _BINARY[c.node.op], []
    left, shape = c.inputs[0], c.shape()
    if len(c.inputs) == 1:
        return [Plain("identity", c.inputs, {}, shape)]
    whole = all(c.known(i) is not None and c.known(i).dtype.kind in "iu" for i in range(len(c.inputs)))
    for i, right in enumerate(c.inputs[1:], 1):
        shape = np.broadcast_shapes(shape, c.shape(i))
        check_bytes(8 * math.prod(shape) if c.known(i) is not None and c.known(0) is not None else 0, "a constant")
        if whole and function == "divide":  # of integers: toward zero
            a, b = c.known(0), c.known(1)
            return [constant((np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype))]
        name = "" if i == len(c.inputs) - 1 else f"{c.node.outputs[0]}.{i}"
        found.append(Plain("binary", (left, right), {"function": function}, shape, name))
        left = name
    return found


@handles("Mean")
def mean(c: Any) -> list[Plain]:
    """Of several tensors, site by site."""
    left, shape, found = c.inputs[0], c.shape(), []
    for i, right in enumerate(c.inputs[1:], 1):
        shape, name = np.broadcast_shapes(shape, c.shape(i)), f"{c.node.outputs[0]}.{i}"
        found.append(Plain("binary", (left, right), {"function": "add"}, shape, name))
        left = name
    return [*found, Plain("binary", (left, 1 / len(c.inputs)), {"function": "multiply"}, shape)]


@handles("Identity", "Cast", "CastLike")
def identity(c: Any) -> Plain:
    if c.node.op == "Cast" and c.known(0) is not None:
        kinds = {1: "f4", 6: "i4", 7: "i8", 9: "?", 10: "f4", 11: "f8", 16: "f4"}
        return constant(c.known(0).astype(kinds.get(c["to"], c.known(0).dtype)))
    to = c.get("to", 1)
    function = "nonzero" if to == 9 else "trunc" if to in (2, 3, 4, 5, 6, 7, 12, 13) else ""
    return Plain("unary", c.inputs[:1], {"function": function}, c.shape()) if function else Plain(
        "identity", c.inputs[:1], {}, c.shape())


@handles("Dropout")
def dropout(c: Any) -> Plain:
    training = c.known(2)
    if training is None or not training.any():
        return Plain("identity", c.inputs[:1], {}, c.shape())
    rate = c.known(1)
    return Plain("dropout", c.inputs[:1], {"p": 0.5 if rate is None else float(rate)}, c.shape())


@handles("QuantizeLinear")
def quantise(c: Any) -> Plain:
    if c.known(0) is not None:
        raise ValueError("quantises a constant")
    c.note("values are rounded to integers between layers; the network holds them as they are")
    return Plain("identity", c.inputs[:1], {}, c.shape())


@handles("DequantizeLinear")
def dequantise(c: Any) -> Plain:
    array = c.known(0)
    if array is None:
        return Plain("identity", c.inputs[:1], {}, c.shape())
    scale, zero = c.constant(1), c.constant(2)
    axis = c.get("axis", 1)
    if c.get("block_size", 0):
        scale, zero = (None if v is None else np.repeat(v, c["block_size"], axis)[tuple(map(slice, array.shape))]
                       for v in (scale, zero))
        return constant(((array.astype(float) - (0 if zero is None else zero.astype(float))) * scale
                         ).astype(np.float32))
    shape = [-1 if i == axis % max(array.ndim, 1) else 1 for i in range(array.ndim)] if scale.size > 1 else ()
    zero = np.zeros(1) if zero is None else zero.astype(float)
    place = (lambda a: a.reshape(shape) if a.size > 1 else a.reshape(()))
    return constant(((array.astype(float) - place(zero)) * place(scale)).astype(np.float32))


# ---------------------------------------------------------------------------------------------
# matrices
# ---------------------------------------------------------------------------------------------

@handles("Gemm")
def gemm(c: Any) -> Plain:
    weights, bias = c.constant(1), c.constant(2)
    if c.get("transA", 0) or weights.ndim != 2 or len(c.shape()) != 2:
        raise ValueError("of a transposed or stacked first matrix")
    matrix = weights if c.get("transB", 0) else weights.T
    if c.get("alpha", 1.0) != 1:
        matrix = matrix * np.float32(c["alpha"])
    name = c.name(1) if matrix is weights else c.keep(f"{c.name(1)}.matrix", matrix)
    if matrix.shape[1] != c.shape()[1]:
        raise ValueError(f"a matrix of shape {matrix.shape} on {c.shape()[1]} numbers")
    inputs = [c.name(0), name]
    if bias is not None and bias.size not in (1, len(matrix)):
        raise ValueError(f"a bias of shape {bias.shape} for {len(matrix)} numbers")
    if bias is not None:
        inputs.append(c.keep(f"{c.node.outputs[0]}.bias", c.get("beta", 1.0) * np.broadcast_to(
            bias.reshape(-1), len(matrix))))
    return Plain("linear", inputs, {}, [c.shape()[0], len(matrix)])


@handles("MatMul")
def matmul(c: Any) -> Plain:
    a, b = c.shape(), c.shape(1)
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
        raise ValueError(f"of matrices of shapes {a} and {b}")
    out = [*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1]]
    weights = c.known(1)
    if weights is not None and weights.ndim == 2 and c.known(0) is None:
        return Plain("linear", [c.name(0), c.keep(f"{c.name(1)}.matrix", weights.T)], {}, out)
    return Plain("matmul", c.inputs[:2], {}, out)


@handles("Einsum")
def einsum(c: Any) -> Plain:
    text = c["equation"].replace(" ", "")
    left, arrow, right = text.partition("->")
    words = left.split(",")
    if "." in text or len(words) != len(c.inputs) or any(len(w) != len(c.shape(i)) for i, w in enumerate(words)):
        return Plain("einsum", c.inputs, {}, ())
    sizes = {letter: n for i, word in enumerate(words) for letter, n in zip(word, c.shape(i))}
    if not arrow:
        right = "".join(sorted(letter for letter in sizes if left.count(letter) == 1))
    return Plain("einsum", c.inputs, {"inputs": words, "output": right}, [sizes[letter] for letter in right])


@handles("Softmax")
def softmax(c: Any) -> Plain:
    axis = c.get("axis", -1 if c.opset >= 13 else 1) % len(c.shape())
    return Plain("softmax", c.inputs[:1], {"axis": axis}, c.shape())


# ---------------------------------------------------------------------------------------------
# axes
# ---------------------------------------------------------------------------------------------

def _reshaped(c: Any, shape: Sequence[int]) -> Plain:
    if math.prod(shape) != math.prod(c.shape()):
        raise ValueError(f"of {c.shape()} to {tuple(shape)}")
    return Plain("reshape", c.inputs[:1], {}, shape)


@handles("Reshape")
def reshape(c: Any) -> Plain:
    wanted, have = c.ints("shape", 1), c.shape()
    if not c.get("allowzero", 0):
        wanted = [have[i] if n == 0 else n for i, n in enumerate(wanted)]
    rest = math.prod(n for n in wanted if n != -1)
    return _reshaped(c, [math.prod(have) // rest if n == -1 else n for n in wanted])


@handles("Flatten")
def flatten(c: Any) -> Plain:
    shape = c.shape()
    axis = c.get("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    return _reshaped(c, [math.prod(shape[:axis]), math.prod(shape[axis:])])


@handles("Squeeze")
def squeeze(c: Any) -> Plain:
    axes, shape = c.ints("axes", 1), c.shape()
    drop = {i for i, n in enumerate(shape) if n == 1} if axes is None else {a % len(shape) for a in axes}
    return _reshaped(c, [n for i, n in enumerate(shape) if i not in drop])


@handles("Unsqueeze")
def unsqueeze(c: Any) -> Plain:
    axes, shape = c.ints("axes", 1), list(c.shape())
    for axis in sorted(a % (len(shape) + len(axes)) for a in axes):
        shape.insert(axis, 1)
    return _reshaped(c, shape)


@handles("Transpose")
def transpose(c: Any) -> Plain:
    shape = c.shape()
    order = list(c.get("perm", range(len(shape))[::-1]))
    if sorted(order) != list(range(len(shape))):
        raise ValueError(f"perm {order} of {len(shape)} axes")
    return Plain("permute", c.inputs[:1], {"order": order}, [shape[i] for i in order])


@handles("Expand")
def expand(c: Any) -> Plain:
    return Plain("expand", c.inputs[:1], {}, np.broadcast_shapes(c.shape(), tuple(c.ints("shape", 1))))


@handles("Tile")
def tile(c: Any) -> Plain:
    times, shape = c.ints("repeats", 1), c.shape()
    whole = [t * n for t, n in zip(times, shape)]
    if c.known(0) is not None:
        check_bytes(8 * math.prod(whole), f"a constant of shape {whole}", "the file asks for a very large constant")
        return constant(np.tile(c.known(0), times))
    return Plain("tile", c.inputs[:1], {"times": times}, whole)


@handles("Concat")
def concat(c: Any) -> Plain:
    shapes = [c.shape(i) for i in range(len(c.inputs))]
    axis = c["axis"] % len(shapes[0])
    if len({(*s[:axis], *s[axis + 1:]) for s in shapes}) != 1:
        raise ValueError(f"of shapes {shapes[:4]} along axis {axis}")
    out = list(shapes[0])
    out[axis] = sum(s[axis] for s in shapes)
    return Plain("concat", c.inputs, {"axis": axis}, out)


def _cut(c: Any, source: str, shape: Sequence[int], axis: int, cut: slice, name: str = "") -> Plain:
    start, stop, step = cut.indices(shape[axis])
    out = list(shape)
    out[axis] = len(range(start, stop, step))
    return Plain("slice", (source,), {"axis": axis, "start": start, "stop": stop, "step": step}, out, name)


@handles("Split")
def split(c: Any) -> list[Plain]:
    shape, count = c.shape(), len(c.node.outputs)
    axis = c.get("axis", 0) % len(shape)
    sizes = c.ints("split", 1)
    if sizes is None:
        each = -(-shape[axis] // count)
        sizes = [min(each, shape[axis] - i * each) for i in range(count)]
    ends = np.cumsum([0, *sizes]).tolist()
    if ends[-1] != shape[axis] or min(sizes) < 0 or len(sizes) != count:
        raise ValueError(f"of {shape[axis]} into {sizes}")
    c.results = count
    return [_cut(c, c.name(0), shape, axis, slice(a, b)) for a, b in zip(ends, ends[1:])]


@handles("Slice")
def cuts(c: Any) -> list[Plain]:
    starts, ends = c.ints("starts", 1), c.ints("ends", 2)
    axes, steps = c.ints("axes", 3), c.ints("steps", 4)
    shape, source, found = c.shape(), c.name(0), []
    for i, (start, stop) in enumerate(zip(starts, ends)):
        axis, step = (axes[i] % len(shape) if axes else i), steps[i] if steps else 1
        if step < 1 and c.known(0) is None:
            if len(starts) > 1:
                return [Plain("slice of several axes in reverse", c.inputs[:1], {}, shape)]
            places = list(range(*slice(start, stop, step).indices(shape[axis])))
            return [Plain("take", c.inputs[:1], {"axis": axis, "places": places},
                          [len(places) if a == axis else n for a, n in enumerate(shape)])]
        if step < 1:
            return [constant(c.known(0)[tuple(slice(None) if a != axis else slice(start, stop, step)
                                              for a in range(len(shape)))])]
        name = f"{c.node.outputs[0]}.{i}"
        found.append(_cut(c, source, shape, axis, slice(start, stop, step), name))
        shape, source = tuple(found[-1].shape), name
    return found or [Plain("identity", c.inputs[:1], {}, shape)]


@handles("Gather")
def gather(c: Any) -> Plain:
    shape, index = c.shape(), c.constant(1)
    axis = c.get("axis", 0) % len(shape)
    if index.size and not -shape[axis] <= int(index.min()) <= int(index.max()) < shape[axis]:
        raise ValueError(f"of positions {index.min()} to {index.max()} of {shape[axis]}")
    out = [*shape[:axis], *index.shape, *shape[axis + 1:]]
    if c.known(0) is not None:
        return constant(np.take(c.known(0), index, axis))
    if index.ndim == 0:
        return Plain("select", c.inputs[:1], {"axis": axis, "index": int(index) % shape[axis]}, out)
    if np.array_equal(index.reshape(-1), np.arange(shape[axis])):
        return _reshaped(c, out)
    if index.ndim == 1 and index.size:
        return Plain("take", c.inputs[:1], {"axis": axis, "places": (index % shape[axis]).tolist()}, out)
    return Plain("gather of some channels or sites", c.inputs[:1], {}, out)


@handles("Pad")
def pad(c: Any) -> Plain:
    shape = c.shape()
    flat, axes = c.ints("pads", 1), c.ints("axes", 3)
    axes = [a % len(shape) for a in axes] if axes else list(range(len(shape)))
    pads = [(0, 0)] * len(shape)
    for axis, low, high in zip(axes, flat[:len(axes)], flat[len(axes):]):
        pads[axis] = (low, high)
    mode = {"constant": "zeros", "edge": "replicate", "wrap": "circular"}.get(c.get("mode", "constant"), c.get("mode"))
    value = c.get("value") if "value" in c.attributes else c.number("value", 2) if mode == "zeros" else 0
    return Plain("pad", c.inputs[:1], {"pads": pads, "mode": mode, "value": value},
                 [n + low + high for n, (low, high) in zip(shape, pads)])


@handles("Resize", "Upsample")
def resize(c: Any) -> Plain:
    shape, first = c.shape(), 1 if c.node.op == "Upsample" or c.opset < 11 else 2
    axes = [a % len(shape) for a in c.get("axes", range(len(shape)))]
    sizes = c.ints("sizes", 3) if c.node.op == "Resize" and c.has(3) else None
    if sizes is None:
        found = np.array(c["scales"]) if "scales" in c.attributes else c.constant(first)
        scales = [float(v) for v in found]
    else:
        scales = [n / shape[axis] for n, axis in zip(sizes, axes)]
        policy = {"not_larger": min, "not_smaller": max}.get(c.get("keep_aspect_ratio_policy", "stretch"))
        if policy is not None:
            scales = [policy(scales)] * len(axes)
            sizes = [int(math.floor(scales[0] * shape[axis] + 0.5)) for axis in axes]
    if len(scales) != len(axes) or min(scales, default=1) <= 0:
        raise ValueError(f"scales {scales} of {len(axes)} axes")
    out, scale = list(shape), [1.0] * len(shape)
    for i, axis in enumerate(axes):
        out[axis] = sizes[i] if sizes is not None else int(math.floor(shape[axis] * scales[i] + 1e-6))
        scale[axis] = scales[i]
    word = c.get("mode", "nearest")
    mode = {"nearest": "nearest", "linear": "bilinear", "bilinear": "bilinear", "cubic": "bicubic"}.get(word, word)
    rule = c.get("coordinate_transformation_mode",
                 "half_pixel" if c.node.op == "Resize" and c.opset >= 11 else "asymmetric")
    unusual = (("exclude_outside", 0), ("cubic_coeff_a", -0.75), ("antialias", 0))
    odd = [f"{name}={c.get(name)}" for name, usual in unusual if c.get(name, usual) != usual and (
        mode == "bicubic" or name == "antialias" and min(scale) < 1)]
    if odd or rule not in COORDINATES:
        return Plain(f"resizing with {', '.join(odd) or rule}", c.inputs[:1], {}, out)
    at = [COORDINATES[rule](n, m, s) for n, m, s in zip(shape[2:], out[2:], scale[2:])]
    if mode == "nearest":
        old = c.node.op == "Upsample" or c.opset < 11
        rounding = ROUNDED[c.get("nearest_mode", "floor" if old else "round_prefer_floor")]
        at = [np.clip(rounding(v), 0, n - 1) for v, n in zip(at, shape[2:])]
    return Plain("resize", c.inputs[:1], {"mode": mode, "coordinates": at}, out)


@handles("DepthToSpace", "SpaceToDepth")
def blocks(c: Any) -> list[Plain]:
    (n, channels, *space), size, out = c.shape(), c["blocksize"], c.node.outputs[0]
    if c.node.op == "DepthToSpace" and c.get("mode", "DCR") == "CRD":
        return [Plain("pixel_shuffle", c.inputs[:1], {"factor": size},
                      [n, channels // size**2, *(m * size for m in space)])]
    if len(space) != 2 or size < 1:
        raise ValueError(f"blocks of {size} of an input of shape {c.shape()}")
    (h, w), kept = space, channels // size**2
    if c.node.op == "DepthToSpace":
        apart, order, last = (n, size, size, kept, h, w), [0, 3, 4, 1, 5, 2], (n, kept, h * size, w * size)
    else:
        apart, order = (n, channels, h // size, size, w // size, size), [0, 3, 5, 1, 2, 4]
        last = (n, channels * size**2, h // size, w // size)
    return [Plain("reshape", c.inputs[:1], {}, apart, f"{out}.apart"),
            Plain("permute", (f"{out}.apart",), {"order": order}, [apart[i] for i in order], f"{out}.moved"),
            Plain("reshape", (f"{out}.moved",), {}, last)]


_REDUCE = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "max", "ReduceMin": "min", "ReduceL2": "norm",
           "ReduceProd": "prod"}


@handles(*_REDUCE)
def reduce(c: Any) -> Plain:
    shape, axes = c.shape(), c.ints("axes", 1)
    if not axes and c.get("noop_with_empty_axes", 0):
        return Plain("identity", c.inputs[:1], {}, shape)
    axes = [a % len(shape) for a in axes] if axes else list(range(len(shape)))
    keep = bool(c.get("keepdims", 1))
    out = [1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes]
    return Plain("reduce", c.inputs[:1], {"function": _REDUCE[c.node.op], "axes": axes, "keep": keep}, out)
