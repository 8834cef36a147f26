"""What each Keras layer is as records."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..base.checks import is_sequence
from ..base.errors import check_bytes, quoted
from .records import Array

__all__ = ["LAYERS", "Layer"]

#: By class: what records it.
LAYERS: dict[str, Callable[[Layer], str | list[str]]] = {}
_ACTIVATIONS = {"relu": "relu", "relu6": "relu6", "silu": "silu", "swish": "silu", "gelu": "gelu", "elu": "elu",
                "selu": "selu", "celu": "celu", "sigmoid": "sigmoid", "tanh": "tanh", "hard_sigmoid": "hardsigmoid",
                "hard_silu": "hardswish", "hard_swish": "hardswish", "mish": "mish", "softplus": "softplus",
                "softsign": "softsign", "leaky_relu": "leaky_relu", "exponential": "exp", "linear": "identity",
                "hard_tanh": "hardtanh", "log_sigmoid": "logsigmoid", "hard_shrink": "hardshrink",
                "soft_shrink": "softshrink", "tanh_shrink": "tanhshrink", "squareplus": "squareplus",
                "sparse_plus": "sparse_plus", "sparse_sigmoid": "sparse_sigmoid"}
_IDENTITIES = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout", "GaussianNoise",
               "GaussianDropout", "ActivityRegularization", "Identity", "StochasticDepth", "RandomFlip",
               "RandomRotation", "RandomZoom", "RandomContrast", "RandomTranslation", "RandomBrightness", "RandomCrop")


def _layers(*classes: str) -> Callable[[Callable[[Layer], Any]], Callable[[Layer], Any]]:
    def enter(function: Callable[[Layer], Any]) -> Callable[[Layer], Any]:
        LAYERS.update(dict.fromkeys(classes, function))
        return function
    return enter


class Layer:
    """A layer in one call: its configuration, its inputs and its weights."""

    def __init__(self, reader: Any, kind: str, config: Any, name: str, inputs: list[str], stored: str,
                 node: Any) -> None:
        self.reader, self.kind, self.config, self.name, self.inputs = reader, kind, config, name, inputs
        self.stored, self.node = stored, node
        self.last = config.get("data_format", "channels_last") != "channels_first"

    def value(self) -> str | list[str]:
        handler = LAYERS.get(self.kind)
        if handler is None:
            self.reader.lost = True
            return self.add(self.kind, self.inputs, {}, self.shape())
        return handler(self)

    def shape(self, i: int = 0) -> tuple[int, ...]:
        return self.reader.shapes[self.inputs[i]]

    def add(self, op: str, inputs: Sequence[Any], attributes: Mapping[str, Any], shape: Sequence[int]) -> str:
        return self.reader.add(op, inputs, attributes, shape, self.name)

    def weight(self, i: int, shape: Sequence[int], variance: float = 0.0, value: float = 0.0) -> Array:
        """The i-th array of the layer; without a file one of the variance, or the value, that it begins with."""
        stored = None if self.reader.weights is None else self.reader.weights.get(self.stored)
        if stored is not None:
            if self.reader.lost and (i >= len(stored) or stored[i].shape != tuple(shape)):
                return np.broadcast_to(np.float32(value), tuple(shape))  # not read, after a layer that is refused
            if i >= len(stored) or stored[i].shape != tuple(shape):
                raise ValueError(f"layer {quoted(self.name)}: its array {i} must have the shape {tuple(shape)}")
            return stored[i]
        if not variance:
            return np.broadcast_to(np.float32(value), tuple(shape))
        check_bytes(4 * math.prod(shape), f"layer {quoted(self.name)}")
        signs = np.where(np.arange(shape[-1]) + np.arange(shape[-2])[:, None] & 1, 1, -1)
        return np.broadcast_to((math.sqrt(variance) * signs).astype(np.float32), tuple(shape))

    def variance(self, key: str, fan_in: float, fan_out: float) -> float:
        """Variance of an initialiser."""
        initialiser = self.config.get(key) or {}
        kind, given = initialiser.get("class_name", "GlorotUniform"), initialiser.get("config", {})
        if kind in ("RandomNormal", "TruncatedNormal"):
            return float(given.get("stddev", 0.05))**2
        scale = {"HeNormal": 2 / fan_in, "HeUniform": 2 / fan_in, "LecunNormal": 1 / fan_in, "LecunUniform": 1 / fan_in}
        if kind == "VarianceScaling":
            fan = {"fan_in": fan_in, "fan_out": fan_out}.get(given.get("mode", "fan_in"), (fan_in + fan_out) / 2)
            return float(given.get("scale", 1.0)) / fan
        return scale.get(kind, 2 / (fan_in + fan_out))

    def keep(self, word: str, array: Array) -> str:
        name = f"{self.name}/{word}"
        self.reader.constants[name] = array
        return name

    def channels_first(self, value: str) -> str:
        shape = self.reader.shapes[value]
        order = [0, len(shape) - 1, *range(1, len(shape) - 1)]
        return self.add("permute", [value], {"order": order}, [shape[a] for a in order]) if self.last else value

    def channels_back(self, value: str) -> str:
        shape = self.reader.shapes[value]
        order = [0, *range(2, len(shape)), 1]
        return self.add("permute", [value], {"order": order}, [shape[a] for a in order]) if self.last else value

    def activated(self, value: str, activation: Any) -> str:
        """The value after an activation of the configuration."""
        parameters: dict[str, Any] = {}
        if isinstance(activation, Mapping):  # an object, or a function of the user's
            if activation.get("class_name") in _OWN and isinstance(activation.get("config"), Mapping):
                about = {"name": self.name, **activation["config"]}
                return str(Layer(self.reader, activation["class_name"], about, self.name, [value], self.stored,
                                 None).value())
            word = activation.get("config") if isinstance(activation.get("config"), str) else activation["class_name"]
            activation = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(word)).lower()
        if activation is None or _ACTIVATIONS.get(activation) == "identity":
            return value
        shape = self.reader.shapes[value]
        if activation == "softmax":
            return self.add("softmax", [value], {"axis": len(shape) - 1}, shape)
        if activation == "leaky_relu":
            parameters["slope"] = 0.2
        if activation == "gelu" and self.config.get("approximate"):
            activation = "gelu_tanh"
        function = _ACTIVATIONS.get(activation, activation)
        return self.add("unary", [value], {"function": function, **parameters}, shape)

    def spatial(self, key: str, default: int = 1) -> list[int]:
        value = self.config.get(key, default)
        count = len(self.shape()) - 2
        return [int(n) for n in value] if is_sequence(value) else [int(value)] * count


def _extent(n: int, k: int, s: int, d: int, padding: str, where: str) -> int:
    if padding == "same":
        return -(-n // s)
    room = n - d * (k - 1) - 1 + (d * (k - 1) if padding == "causal" else 0)
    if room < 0:
        raise ValueError(f"layer {quoted(where)}: a kernel of {k} is larger than its input of {n} sites")
    return room // s + 1


def _convolved(c: Layer, value: str, kernel: Array, bias: Array | None, groups: int, word: str = "kernel") -> str:
    """A convolution of a value with the channels first; `kernel` in the order of Keras."""
    shape, taps = c.reader.shapes[value], kernel.shape[:-2]
    stride, dilation, padding = c.spatial("strides"), c.spatial("dilation_rate"), c.config.get("padding", "valid")
    space = [_extent(*each, padding, c.name) for each in zip(shape[2:], taps, stride, dilation)]
    pads: Any = padding if padding == "same" else [
        (d * (k - 1) if padding == "causal" else 0, 0) for k, d in zip(taps, dilation)]
    array = np.moveaxis(kernel, (-1, -2), (0, 1))
    inputs = [value, c.keep(word, array), "" if bias is None else c.keep(f"{word}.bias", bias)]
    return c.add("conv", inputs, {"stride": stride, "padding": pads, "dilation": dilation, "groups": groups},
                 [shape[0], array.shape[0], *space])


@_layers("Conv1D", "Conv2D", "Conv3D")
def _conv(c: Layer) -> str:
    value = c.channels_first(c.inputs[0])
    taps, filters, groups = c.spatial("kernel_size"), c.config["filters"], c.config.get("groups", 1)
    c_in = c.reader.shapes[value][1]
    size = math.prod(taps)
    kernel = c.weight(0, [*taps, c_in // groups, filters],
                      c.variance("kernel_initializer", size * c_in / groups, size * filters))
    bias = c.weight(1, [filters]) if c.config.get("use_bias", True) else None
    return c.activated(c.channels_back(_convolved(c, value, kernel, bias, groups)), c.config.get("activation"))


def _depthwise(c: Layer, value: str, last: int) -> str:
    taps, many, c_in = c.spatial("kernel_size"), c.config.get("depth_multiplier", 1), c.reader.shapes[value][1]
    size = math.prod(taps)
    kernel = c.weight(0, [*taps, c_in, many], c.variance("depthwise_initializer", size * c_in, size * many))
    bias = c.weight(1, [c_in * many]) if last and c.config.get("use_bias", True) else None
    return _convolved(c, value, kernel.reshape(*taps, 1, c_in * many), bias, c_in, "depthwise")


@_layers("DepthwiseConv1D", "DepthwiseConv2D")
def _depthwise_conv(c: Layer) -> str:
    value = _depthwise(c, c.channels_first(c.inputs[0]), 1)
    return c.activated(c.channels_back(value), c.config.get("activation"))


@_layers("SeparableConv1D", "SeparableConv2D")
def _separable(c: Layer) -> str:
    value = _depthwise(c, c.channels_first(c.inputs[0]), 0)
    shape, filters = c.reader.shapes[value], c.config["filters"]
    kernel = c.weight(1, [*(1,) * (len(shape) - 2), shape[1], filters],
                      c.variance("pointwise_initializer", shape[1], filters))
    inputs = [value, c.keep("pointwise", np.moveaxis(kernel, (-1, -2), (0, 1)))]
    if c.config.get("use_bias", True):
        inputs.append(c.keep("pointwise.bias", c.weight(2, [filters])))
    ones = [1] * (len(shape) - 2)
    value = c.add("conv", inputs, {"stride": ones, "padding": [(0, 0)] * len(ones), "dilation": ones, "groups": 1},
                  [shape[0], filters, *shape[2:]])
    return c.activated(c.channels_back(value), c.config.get("activation"))


@_layers("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def _conv_transpose(c: Layer) -> str:
    value = c.channels_first(c.inputs[0])
    shape, filters = c.reader.shapes[value], c.config["filters"]
    taps, stride = c.spatial("kernel_size"), c.spatial("strides")
    same = c.config.get("padding", "valid") == "same"
    size = math.prod(taps)
    kernel = c.weight(0, [*taps, filters, shape[1]], c.variance("kernel_initializer", size * filters, size * shape[1]))
    spans = [d * (k - 1) + 1 for d, k in zip(c.spatial("dilation_rate"), taps)]
    out = [n * s + (0 if same else max(k - s, 0)) for n, s, k in zip(shape[2:], stride, spans)]
    pads = [(max(k - s, 0) // 2, k - s - max(k - s, 0) // 2) if same else (0, min(k - s, 0))
            for k, s in zip(spans, stride)]
    if c.config.get("output_padding") is not None:
        c.reader.lost = True
        return c.add("transposed convolution with an output padding", c.inputs, {}, c.shape())
    inputs = [value, c.keep("kernel", np.moveaxis(kernel, (-1, -2), (0, 1)))]
    if c.config.get("use_bias", True):
        inputs.append(c.keep("bias", c.weight(1, [filters])))
    attributes = {"stride": stride, "padding": pads, "dilation": c.spatial("dilation_rate"), "transposed": True,
                  "groups": 1, "output_padding": [0] * len(taps)}
    value = c.add("conv", inputs, attributes, [shape[0], filters, *out])
    return c.activated(c.channels_back(value), c.config.get("activation"))


@_layers("Dense")
def _dense(c: Layer) -> str:
    (*rest, c_in), units = c.shape(), c.config["units"]
    kernel = c.weight(0, [c_in, units], c.variance("kernel_initializer", c_in, units))
    inputs = [c.inputs[0], c.keep("kernel", kernel.T)]
    if c.config.get("use_bias", True):
        inputs.append(c.keep("bias", c.weight(1, [units])))
    return c.activated(c.add("linear", inputs, {}, [*rest, units]), c.config.get("activation"))


@_layers("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D")
def _pool(c: Layer) -> str:
    value = c.channels_first(c.inputs[0])
    shape, kernel = c.reader.shapes[value], c.spatial("pool_size", 2)
    stride = kernel if c.config.get("strides") is None else c.spatial("strides")
    padding = c.config.get("padding", "valid")
    space = [_extent(n, k, s, 1, padding, c.name) for n, k, s in zip(shape[2:], kernel, stride)]
    value = c.add("max_pool" if c.kind.startswith("Max") else "avg_pool", [value], {
        "kernel": kernel, "stride": stride, "padding": "same" if padding == "same" else [(0, 0)] * len(kernel)},
        [*shape[:2], *space])
    return c.channels_back(value)


@_layers(*(f"Global{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)))
def _global_pool(c: Layer) -> str:
    shape = c.shape()
    axes = list(range(1, len(shape) - 1)) if c.last else list(range(2, len(shape)))
    keep = bool(c.config.get("keepdims"))
    out = [1 if a in axes else n for a, n in enumerate(shape) if keep or a not in axes]
    return c.add("reduce", c.inputs[:1], {"function": "max" if "Max" in c.kind else "mean", "axes": axes, "keep": keep},
                 out)


@_layers("BatchNormalization")
def _batch_norm(c: Layer) -> str:
    shape = c.shape()
    axis = c.config.get("axis", -1)
    axis = (axis[0] if is_sequence(axis) else axis) % len(shape)
    c.last = axis == len(shape) - 1
    channels, at, arrays = shape[axis], 0, []
    there = (c.config.get("scale", True), c.config.get("center", True), True, True)
    for present, value in zip(there, (1.0, 0.0, 0.0, 1.0)):
        arrays.append(c.weight(at, [channels], value=value) if present else None)
        at += bool(present)
    inputs = [c.channels_first(c.inputs[0]), *("" if a is None else c.keep(f"{i}", a) for i, a in enumerate(arrays))]
    normed = c.add("batch_norm", inputs, {"eps": float(c.config.get("epsilon", 1e-3)), "frozen": True},
                   c.reader.shapes[inputs[0]])
    return c.channels_back(normed)


def _scale_and_shift(c: Layer, shape: Sequence[int]) -> list[str]:
    names, at = [], 0
    for key, value in (("scale", 1.0), ("center", 0.0)):
        present = c.config.get(key, True) and not (key == "center" and (
            c.kind.startswith("RMS") or c.config.get("rms_scaling")))
        names.append(c.keep(key, c.weight(at, shape, value=value)) if present else "")
        at += bool(present)
    return names


@_layers("LayerNormalization", "RMSNormalization")
def _layer_norm(c: Layer) -> str:
    shape, axes = c.shape(), c.config.get("axis", -1)
    axes = [a % len(shape) for a in (axes if is_sequence(axes) else [axes])]
    centred = not (c.kind.startswith("RMS") or c.config.get("rms_scaling"))
    return c.add("layer_norm", [c.inputs[0], *_scale_and_shift(c, [shape[a] for a in axes])],
                 {"axes": axes, "eps": float(c.config.get("epsilon", 1e-3)), "centred": centred}, shape)


@_layers("GroupNormalization")
def _group_norm(c: Layer) -> str:
    value, channels = c.channels_first(c.inputs[0]), c.shape()[-1 if c.last else 1]
    groups = c.config.get("groups", 32)
    inputs = [value, *_scale_and_shift(c, [channels])]
    value = c.add("group_norm", inputs, {"groups": channels if groups == -1 else groups,
                                         "eps": float(c.config.get("epsilon", 1e-3))}, c.reader.shapes[value])
    return c.channels_back(value)


@_layers("Activation")
def _activation(c: Layer) -> str:
    return c.activated(c.inputs[0], c.config["activation"])


#: Layers that may also be the activation of another.
_OWN = ("ReLU", "LeakyReLU", "ELU", "Softmax")


@_layers(*_OWN, "PReLU")
def _own_activation(c: Layer) -> str:
    shape, x = c.shape(), c.inputs[:1]
    if c.kind == "Softmax":
        return c.add("softmax", x, {"axis": int(c.config.get("axis", -1)) % len(shape)}, shape)
    if c.kind == "ELU":
        return c.add("unary", x, {"function": "elu", "alpha": float(c.config.get("alpha", 1.0))}, shape)
    if c.kind == "PReLU":
        shared = [a - 1 for a in c.config.get("shared_axes") or []]
        slopes = c.weight(0, [1 if a in shared else n for a, n in enumerate(shape[1:])])
        return c.add("prelu", [*x, c.keep("slopes", slopes)], {}, shape)
    slope = c.config.get("negative_slope", c.config.get("alpha", 0.3 if c.kind == "LeakyReLU" else 0.0)) or 0.0
    high = c.config.get("max_value")
    if slope and high is None:
        return c.add("unary", x, {"function": "leaky_relu", "slope": float(slope)}, shape)
    if slope or c.config.get("threshold"):
        at = float(c.config.get("threshold") or 0.0)
        above = c.add("unary", x, {"function": "clip", "high": None if high is None else float(high)}, shape)
        less = c.add("binary", [c.add("binary", [x[0], at], {"function": "subtract"}, shape), float(slope)],
                     {"function": "multiply"}, shape)
        below = c.add("binary", [x[0], at], {"function": "less"}, shape)
        return c.add("where", [below, less, above], {}, shape)
    return c.add("unary", x, {"function": "relu"} if high is None else {"function": "clip", "low": 0.0,
                                                                        "high": float(high)}, shape)


_MERGES = {"Add": "add", "Subtract": "subtract", "Multiply": "multiply", "Maximum": "maximum", "Minimum": "minimum",
           "Average": "add", "Divide": "divide", "TrueDivide": "divide", "Power": "power"}


@_layers(*_MERGES)
def _merge(c: Layer) -> str:
    inputs: list[Any] = list(c.inputs)
    if len(inputs) == 1 and c.node is not None:  # of a tensor and a number, as operators record them
        inputs = [inputs[0] if isinstance(v, Mapping) else v for v in c.node["args"]]
    value = inputs[0]
    shape: tuple[int, ...] = c.shape()
    for i, other in enumerate(inputs[1:]):
        if isinstance(other, str):
            shape = np.broadcast_shapes(shape, c.reader.shapes[other])
        value = c.add("binary", [value, other], {"function": _MERGES[c.kind]}, shape)
    if c.kind == "Average":
        value = c.add("binary", [value, 1 / len(inputs)], {"function": "multiply"}, shape)
    return value


@_layers("CustomScaleLayer")
def _scaled_sum(c: Layer) -> str:
    """Of Keras' Inception-ResNet: the first input plus a multiple of the second."""
    part = c.add("binary", [c.inputs[1], float(c.config["scale"])], {"function": "multiply"}, c.shape(1))
    return c.add("binary", [c.inputs[0], part], {"function": "add"}, c.shape())


@_layers("LayerScale")
def _layer_scale(c: Layer) -> str:
    """Of Keras' ConvNeXt."""
    gamma = c.weight(0, [c.shape()[-1]], value=float(c.config["init_values"]))
    return c.add("binary", [c.inputs[0], c.keep("gamma", gamma)], {"function": "multiply"}, c.shape())


@_layers("Concatenate")
def _concatenate(c: Layer) -> str:
    shape = list(c.shape())
    axis = int(c.config.get("axis", -1)) % len(shape)
    shape[axis] = sum(c.shape(i)[axis] for i in range(len(c.inputs)))
    return c.add("concat", c.inputs, {"axis": axis}, shape)


@_layers("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "Cropping1D", "Cropping2D", "Cropping3D")
def _pad(c: Layer) -> str:
    shape, sign = c.shape(), -1 if c.kind.startswith("Crop") else 1
    given = c.config["cropping" if sign < 0 else "padding"]
    given = [given] * (len(shape) - 2) if not is_sequence(given) else given
    pairs = [given] if len(shape) == 3 and not is_sequence(given[0]) and len(given) == 2 else given
    pairs = [tuple(p) if is_sequence(p) else (p, p) for p in pairs]
    pads = [(sign * low, sign * high) for low, high in pairs]
    pads = [(0, 0), *pads, (0, 0)] if c.last else [(0, 0), (0, 0), *pads]
    return c.add("pad", c.inputs[:1], {"pads": pads, "mode": "zeros", "value": 0},
                 [n + low + high for n, (low, high) in zip(shape, pads)])


@_layers("UpSampling1D", "UpSampling2D", "UpSampling3D")
def _upsample(c: Layer) -> str:
    value = c.channels_first(c.inputs[0])
    shape = c.reader.shapes[value]
    value = c.add("resize", [value], {"mode": c.config.get("interpolation", "nearest"), "align_corners": False},
                  [*shape[:2], *(n * m for n, m in zip(shape[2:], c.spatial("size", 2)))])
    return c.channels_back(value)


@_layers("Flatten", "Reshape", "Permute")
def _views(c: Layer) -> str:
    shape = c.shape()
    if c.kind == "Permute":
        order = [0, *(int(d) for d in c.config["dims"])]
        return c.add("permute", c.inputs[:1], {"order": order}, [shape[a] for a in order])
    if c.kind == "Flatten" and not c.last and len(shape) > 2:  # channels go last first
        order = [0, *range(2, len(shape)), 1]
        moved = c.add("permute", c.inputs[:1], {"order": order}, [shape[a] for a in order])
        return c.add("reshape", [moved], {}, [shape[0], math.prod(shape[1:])])
    target = [-1] if c.kind == "Flatten" else list(
        c.config["target_shape"] if "target_shape" in c.config else c.config["newshape"][1:])
    rest = math.prod(n for n in target if n != -1)
    target = [math.prod(shape[1:]) // rest if n == -1 else n for n in target]
    return c.add("reshape", c.inputs[:1], {}, [shape[0], *target])


@_layers("Rescaling", "Normalization")
def _rescaled(c: Layer) -> str:
    shape = c.shape()
    if c.kind == "Rescaling":
        steps = [("multiply", c.config["scale"]), ("add", c.config.get("offset", 0.0))]
    else:
        mean, variance = c.config.get("mean"), c.config.get("variance")
        if mean is None:
            mean, variance = c.weight(0, shape[-1:]), c.weight(1, shape[-1:], value=1.0)
        spread = np.sqrt(np.maximum(np.asarray(variance, dtype=float), 1e-14))
        steps = [("subtract", mean), ("divide", spread)]
        if c.config.get("invert"):
            steps = [("multiply", spread), ("add", mean)]
    value = c.inputs[0]
    for function, number in steps:
        array = np.asarray(number, dtype=float)
        other: Any = float(array.reshape(())) if array.size == 1 else c.keep(function, array.reshape(-1))
        value = c.add("binary", [value, other], {"function": function}, shape)
    return value


@_layers(*_IDENTITIES)
def _identity(c: Layer) -> str:
    return c.inputs[0]


@_layers("Resizing")
def _resizing(c: Layer) -> str:
    word = c.config.get("interpolation", "bilinear")
    if c.config.get("crop_to_aspect_ratio") or c.config.get("pad_to_aspect_ratio") or word not in (
            "bilinear", "nearest", "bicubic"):
        return c.add("Resizing to an aspect ratio", c.inputs, {}, c.shape())
    value = c.channels_first(c.inputs[0])
    shape = c.reader.shapes[value]
    value = c.add("resize", [value], {"mode": word, "align_corners": False},
                  [*shape[:2], c.config["height"], c.config["width"]])
    return c.channels_back(value)


# ---------------------------------------------------------------------------------------------
# operations between layers, as keras.ops and operators record them
# ---------------------------------------------------------------------------------------------

_FUNCTIONS = {"Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Tanh": "tanh", "Exp": "exp", "Log": "log",
              "Sqrt": "sqrt", "Rsqrt": "rsqrt", "Square": "square", "Absolute": "abs", "Abs": "abs",
              "Negative": "negative", "Silu": "silu", "Elu": "elu", "Selu": "selu", "Softplus": "softplus",
              "Softsign": "softsign", "HardSigmoid": "hardsigmoid", "HardSilu": "hardswish", "Reciprocal": "reciprocal",
              "Sin": "sin", "Cos": "cos", "Erf": "erf"}


@_layers(*_FUNCTIONS)
def _function(c: Layer) -> str:
    return c.add("unary", c.inputs[:1], {"function": _FUNCTIONS[c.kind]}, c.shape())


@_layers("Mean", "Sum", "Max", "Min")
def _reduction(c: Layer) -> str:
    shape, axis = c.shape(), c.config.get("axis")
    axes = [a % len(shape) for a in (range(len(shape)) if axis is None else axis if is_sequence(axis) else [axis])]
    keep = bool(c.config.get("keepdims"))
    return c.add("reduce", c.inputs[:1], {"function": c.kind.lower(), "axes": axes, "keep": keep},
                 [1 if a in axes else n for a, n in enumerate(shape) if keep or a not in axes])


@_layers("Transpose")
def _transpose(c: Layer) -> str:
    shape = c.shape()
    order = [int(a) for a in c.config.get("axes") or range(len(shape))[::-1]]
    return c.add("permute", c.inputs[:1], {"order": order}, [shape[a] for a in order])


@_layers("GetItem")
def _item(c: Layer) -> str:
    """Slices along some axes; positions and new axes are refused."""
    shape, value = list(c.shape()), c.inputs[0]
    items = c.node["args"][1]
    items = items if isinstance(items, (list, tuple)) else [items]
    kinds = [item.get("class_name") if isinstance(item, Mapping) else "" for item in items]
    if set(kinds) - {"__slice__", "__ellipsis__"} or kinds.count("__ellipsis__") > 1:
        c.reader.lost = True
        return c.add("positions of a tensor", c.inputs, {}, shape)
    at = kinds.index("__ellipsis__") if "__ellipsis__" in kinds else len(kinds)
    rest = len(items) - at - 1
    axes = [*range(at), *range(len(shape) - max(rest, 0), len(shape))]
    for axis, item in zip(axes, [item for item, kind in zip(items, kinds) if kind == "__slice__"]):
        given = item["config"]
        start, stop, step = slice(given["start"], given["stop"], given["step"]).indices(shape[axis])
        shape[axis] = len(range(start, stop, step))
        value = c.add("slice", [value], {"axis": axis, "start": start, "stop": stop, "step": step}, shape)
    return value


@_layers("Split")
def _split(c: Layer) -> list[str]:
    shape, given = c.shape(), c.config["indices_or_sections"]
    axis = int(c.config.get("axis", 0)) % len(shape)
    ends = [*given, shape[axis]] if is_sequence(given) else [shape[axis] // given * (i + 1) for i in range(given)]
    return [c.add("slice", c.inputs[:1], {"axis": axis, "start": a, "stop": b, "step": 1},
                  [b - a if i == axis else n for i, n in enumerate(shape)]) for a, b in zip([0, *ends], ends)]
