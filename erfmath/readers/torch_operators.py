"""What each operation of PyTorch is as a record."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .coordinates import COORDINATES, ROUNDED

__all__ = ["ALIASES", "Call", "PARTS", "SPELLED", "ints", "plain_of"]

#: What an operation becomes: op, inputs, attributes.
Plain = tuple[str, Sequence[Any], dict[str, Any]]

_IDENTITIES = {"contiguous", "clone", "detach", "alias", "lift_fresh_copy", "to", "_to_copy", "type_as", "float",
               "detach_", "lift", "positive", "_assert_tensor_metadata"}
_DROPOUTS = {"dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"}
_VIEWS = {"view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as",
          "squeeze_", "unsqueeze_"}
#: Views in memory: what is changed in place through one is changed in the other.
ALIASES = _VIEWS | {"slice", "select", "narrow", "split", "split_with_sizes", "chunk", "unbind", "permute", "transpose",
                    "expand", "expand_as", "alias", "detach", "t", "movedim", "swapaxes", "diagonal", "unfold"}
_UNARY = {"relu", "relu6", "silu", "mish", "sigmoid", "tanh", "hardswish", "hardsigmoid", "selu", "exp", "log", "sqrt",
          "rsqrt", "abs", "reciprocal", "erf", "square", "sin", "cos", "sign", "floor", "ceil", "round", "tan", "sinh",
          "cosh", "log1p", "expm1"}
_BINARY = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide", "pow": "power", "maximum": "maximum",
           "minimum": "minimum", "gt": "greater", "ge": "greater", "lt": "less", "le": "less",
           "greater": "greater", "less": "less", "logical_and": "minimum", "__and__": "minimum",
           "logical_or": "maximum", "__or__": "maximum"}
_REDUCE = {"mean": "mean", "sum": "sum", "amax": "max", "amin": "min", "var": "var", "std": "std",
           "linalg_vector_norm": "norm",
           "norm": "norm"}


class Call:
    """Arguments of a node by name, defaults filled in."""

    def __init__(self, node: Any) -> None:
        self.node = node
        self.values = {}
        for i, argument in enumerate(node.target._schema.arguments):
            value = node.args[i] if i < len(node.args) else node.kwargs.get(
                argument.name, argument.default_value if argument.has_default_value() else None)
            self.values[argument.name] = value
        self.first = node.args[0] if node.args else None
        self.shape = ints(getattr(getattr(self.first, "meta", {}).get("val"), "shape", ()))
        self.rank = len(self.shape)
        out = node.meta.get("val")
        self.out = ints(getattr(out[0] if isinstance(out, (tuple, list)) and out else out, "shape", ()))

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def get(self, *names: str) -> Any:
        return next((self.values[name] for name in names if name in self.values), None)

    def space(self, name: str, default: int = 1) -> tuple[int, ...]:
        """One number per axis of space."""
        value = self.get(name)
        value = [value] if isinstance(value, int) else list(value or [])
        count = self.rank - 2
        return tuple(value * count if len(value) == 1 else value) or (default,) * count


def ints(shape: Any) -> tuple[int, ...]:
    try:
        return tuple(int(n) for n in shape)
    except Exception:
        raise ValueError(f"shape {tuple(shape)}: depends on the data; export with fixed shapes") from None


# ---------------------------------------------------------------------------------------------
# operations
# ---------------------------------------------------------------------------------------------

def plain_of(name: str, c: Call) -> Plain:
    if name in _IDENTITIES or name in _DROPOUTS and not c.get("train"):
        return "identity", [c.first], {}
    if name in _VIEWS:
        return "reshape", [c.first], {}
    if name in _UNARY:
        return "unary", [c.first], {"function": name}
    if name in _BINARY:
        return _binary(name, c)
    if name in _REDUCE:
        axes = c.get("dim")
        axes = list(range(c.rank)) if axes in (None, []) else [axes] if isinstance(axes, int) else list(axes)
        function = _REDUCE[name]
        if function == "norm" and c.get("ord", "p") not in (2, 2.0, None):
            function = "norm of another order"
        return "reduce", [c.first], {"function": function, "axes": [a % c.rank for a in axes],
                                     "keep": bool(c.get("keepdim")), "correction": c.get("correction") or 0}
    handler = _HANDLERS.get(name)
    if handler is not None:
        return handler(c)
    return name, [v for v in c.node.all_input_nodes], {}


def _binary(name: str, c: Call) -> Plain:
    x, y = c.get("self", "input"), c.get("other", "exponent")
    mode = c.get("rounding_mode")
    return ("binary" if mode is None else f"{name} rounded"), [x, y], {"function": _BINARY[name]}


def _conv(c: Call) -> Plain:
    taps = c["weight"].meta["val"].dim() - 2
    transposed = bool(c.get("transposed")) or "transpose" in c.node.target._schema.name
    padding = c["padding"]
    dilation = c.space("dilation")
    if isinstance(padding, str):
        size = c["weight"].meta["val"].shape[2:]
        total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, size)]
        pads = [(n // 2, n - n // 2) for n in total]
    else:
        pads = [(p, p) for p in c.space("padding", 0)]
    attributes = {"stride": c.space("stride"), "padding": pads, "dilation": dilation, "groups": c["groups"]}
    if transposed:
        attributes |= {"transposed": True, "output_padding": c.space("output_padding", 0)}
    if c.rank != taps + 2:
        return "convolution without a batch", [c.first], {}
    return "conv", [c.get("input"), c["weight"], c["bias"]], attributes


def _pool(op: str) -> Callable[[Call], Plain]:
    def handler(c: Call) -> Plain:
        kernel = c.space("kernel_size")
        if c.get("divisor_override"):
            return "average pool with a divisor of its own", [c.first], {}
        return op, [c.first], {"kernel": kernel, "stride": c.space("stride") if c.get("stride") else kernel,
                               "padding": [(p, p) for p in c.space("padding", 0)], "dilation": c.space("dilation"),
                               "ceil": bool(c.get("ceil_mode")),
                               "count_include_pad": c.get("count_include_pad") is not False}
    return handler


def _batch_norm(c: Call) -> Plain:
    inputs = [c["input"], c["weight"], c["bias"], c["running_mean"], c["running_var"]]
    return "batch_norm", inputs, {"eps": c["eps"], "frozen": not c.get("training")}


def _instance_norm(c: Call) -> Plain:
    if not c["use_input_stats"]:
        return "batch_norm", [c["input"], c["weight"], c["bias"], c["running_mean"], c["running_var"]], {
            "eps": c["eps"], "frozen": True}
    return "instance_norm", [c["input"], c["weight"], c["bias"]], {"eps": c["eps"]}


def _layer_norm(c: Call) -> Plain:
    count = len(c["normalized_shape"])
    axes = list(range(c.rank - count, c.rank))
    centred = "rms" not in c.node.target._schema.name
    return "layer_norm", [c["input"], c["weight"], c.get("bias")], {"axes": axes, "eps": c["eps"], "centred": centred}


def _permute(order: Callable[[Call], Sequence[int]]) -> Callable[[Call], Plain]:
    return lambda c: ("permute", [c.first], {"order": [a % c.rank for a in order(c)]})


def _swapped(c: Call) -> list[int]:
    order = list(range(c.rank))
    one, two = c.get("dim0", "axis0"), c.get("dim1", "axis1")
    order[one], order[two] = order[two], order[one]
    return order


def _moved(c: Call) -> list[int]:
    source, target = ([v] if isinstance(v, int) else list(v) for v in (c["source"], c["destination"]))
    order = [a for a in range(c.rank) if a not in [s % c.rank for s in source]]
    for to, of in sorted((t % c.rank, s % c.rank) for t, s in zip(target, source)):
        order.insert(to, of)
    return order


def _concat(c: Call) -> Plain:
    axis = c["dim"] or 0
    return "concat", list(c["tensors"]), {"axis": axis % len(c.out)}


def _slice(c: Call) -> Plain:
    axis = (c["dim"] or 0) % c.rank
    size = c.shape[axis]
    start, stop, step = slice(c["start"], c["end"], c["step"]).indices(size)
    return "slice", [c.first], {"axis": axis, "start": start, "stop": stop, "step": step}


def _narrow(c: Call) -> Plain:
    return "slice", [c.first], {"axis": c["dim"] % c.rank, "start": c["start"], "stop": c["start"] + c["length"],
                                "step": 1}


def _pad(mode: str) -> Callable[[Call], Plain]:
    def handler(c: Call) -> Plain:
        flat = c.get("pad", "padding")
        pads = [(0, 0)] * c.rank
        for i in range(len(flat) // 2):
            pads[c.rank - 1 - i] = (flat[2 * i], flat[2 * i + 1])
        word = c.get("mode") or mode
        return "pad", [c.first], {"pads": pads, "mode": {"constant": "zeros"}.get(word, word), "value": c.get("value")}
    return handler


def _resize(mode: str, rule: str = "half_pixel", rounding: str = "") -> Callable[[Call], Plain]:
    """By the sizes, or (unless corners are aligned) by given factors, which may differ from the ratio of sizes."""
    def handler(c: Call) -> Plain:
        corners = bool(c.get("align_corners"))
        scales = c.get("scale_factors", "scales") or [c.get(f"scales_{axis}") for axis in "dhw"[5 - c.rank:]]
        scales = [scales] if isinstance(scales, float) else list(scales)
        attributes: dict[str, Any] = {"mode": mode, "align_corners": corners}
        sizes = list(zip(c.shape[2:], c.out[2:], scales))
        if not corners and (rounding == "round_prefer_ceil" or any(s is not None and s * n != m for n, m, s in sizes)):
            at = [COORDINATES[rule](n, m, m / n if s is None else s) for n, m, s in sizes]
            attributes["coordinates"] = [np.clip(ROUNDED[rounding](v), 0, n - 1) for v, n in zip(at, c.shape[2:])
                                         ] if rounding else at
        return "resize", [c.first], attributes
    return handler


def _smoothed(mode: str) -> Callable[[Call], Plain]:
    """With antialiasing, which does nothing where a map grows."""
    def handler(c: Call) -> Plain:
        if any(m < n for n, m in zip(c.shape[2:], c.out[2:])):
            return "resizing with antialiasing", [c.first], {}
        return _resize(mode)(c)
    return handler


def _unary(function: str, *names: str, **renamed: str) -> Callable[[Call], Plain]:
    return lambda c: ("unary", [c.first], {"function": function, **{
        key: None if c[name] is None else float(c[name]) for key, name in renamed.items()}})


def _prelu(c: Call) -> Plain:
    return "prelu", [c.first, c["weight"]], {}


def _gelu(c: Call) -> Plain:
    return "unary", [c.first], {"function": "gelu_tanh" if c["approximate"] == "tanh" else "gelu"}


def _elu(c: Call) -> Plain:
    if (c["scale"], c["input_scale"]) != (1, 1):
        return "unary", [c.first], {"function": "selu"}
    return "unary", [c.first], {"function": "elu", "alpha": float(c["alpha"])}


def _linear(c: Call) -> Plain:
    return "linear", [c["input"], c["weight"], c["bias"]], {}


def _softmax(c: Call) -> Plain:
    return "softmax", [c.first], {"axis": c["dim"] % c.rank}


def _shuffle(op: str, name: str) -> Callable[[Call], Plain]:
    return lambda c: (op, [c.first], {"factor": c[name]})


def _repeat(c: Call) -> Plain:
    return "tile", [c.first], {"times": list(c["repeats"])}


def _einsum(c: Call) -> Plain:
    left, _, right = c["equation"].replace(" ", "").partition("->")
    return "einsum", list(c["tensors"]), {"inputs": left.split(","), "output": right}


def _flip(c: Call) -> Plain:
    dims = [d % c.rank for d in c["dims"]]
    if len(dims) != 1:
        return "flip of several axes", [c.first], {}
    return "take", [c.first], {"axis": dims[0], "places": list(range(c.shape[dims[0]]))[::-1]}


def _roll(c: Call) -> Plain:
    if len(c["dims"]) != 1:
        return "roll", [c.first], {}
    axis, shift = c["dims"][0] % c.rank, c["shifts"][0]
    return "take", [c.first], {"axis": axis, "places": [(i - shift) % c.shape[axis] for i in range(c.shape[axis])]}


def _interleave(c: Call) -> Plain:
    if not isinstance(c.get("repeats"), int) or c.get("dim") is None:
        return "repeat interleave", [c.first], {}
    axis = c["dim"] % c.rank
    return "take", [c.first], {"axis": axis, "places": [i for i in range(c.shape[axis]) for _ in range(c["repeats"])]}


def _largest(function: str) -> Callable[[Call], Plain]:
    """The values of a maximum along an axis, or over all; of two tensors, site by site."""
    def handler(c: Call) -> Plain:
        if c.get("other") is not None:
            return "binary", [c["self"], c["other"]], {"function": f"{function}imum"}
        axes = range(c.rank) if c.get("dim") is None else [c["dim"] % c.rank]
        return "reduce", [c.first], {"function": function, "axes": list(axes), "keep": bool(c.get("keepdim"))}
    return handler


_HANDLERS: dict[str, Callable[[Call], Plain]] = {
    **{f"conv{end}{n}d": _conv for n in (1, 2, 3) for end in ("", "_transpose")}, "convolution": _conv,
    **{f"max_pool{n}d{end}": _pool("max_pool") for n in (1, 2, 3) for end in ("", "_with_indices")},
    **{f"avg_pool{n}d": _pool("avg_pool") for n in (1, 2, 3)},
    **{f"{kind}_pool{n}d": (lambda op: lambda c: (op, [c.first], {"size": c.space("output_size")}))(f"{kind}_pool")
       for n in (1, 2, 3) for kind in ("adaptive_avg", "adaptive_max")},
    "batch_norm": _batch_norm, "instance_norm": _instance_norm, "layer_norm": _layer_norm, "rms_norm": _layer_norm,
    "group_norm": lambda c: ("group_norm", [c["input"], c["weight"], c["bias"]],
                             {"groups": c["num_groups"], "eps": c["eps"]}),
    "hardtanh": _unary("clip", low="min_val", high="max_val"), "clamp": _unary("clip", low="min", high="max"),
    "clamp_min": _unary("clip", low="min"), "leaky_relu": _unary("leaky_relu", slope="negative_slope"),
    "clamp_max": _unary("clip", high="max"), "atan": _unary("atan"), "arctan": _unary("atan"),
    "asinh": _unary("asinh"), "arcsinh": _unary("asinh"), "logical_not": _unary("not"),
    "hardshrink": _unary("hardshrink", size="lambd"), "softshrink": _unary("softshrink", size="lambd"),
    "copy": lambda c: ("expand", [c["src"]], {}), "fill": lambda c: ("expand", [c["value"]], {}),
    "where": lambda c: ("where", [c["condition"], c["self"], c["other"]], {}),
    "masked_fill": lambda c: ("where", [c["mask"], c["value"], c["self"]], {}),
    "neg": _unary("negative"), "softplus": _unary("softplus", beta="beta"), "celu": _unary("celu", alpha="alpha"),
    "threshold": _unary("threshold", at="threshold", value="value"), "log_sigmoid": _unary("logsigmoid"),
    "rrelu": lambda c: ("unary", [c.first], {"function": "leaky_relu", "slope": (c["lower"] + c["upper"]) / 2}),
    "special_expit": _unary("sigmoid"), "gelu": _gelu, "elu": _elu, "prelu": _prelu,
    "rsub": lambda c: ("binary", [c["other"], c["self"]], {"function": "subtract"}),
    "permute": _permute(lambda c: c["dims"]), "transpose": _permute(_swapped), "swapaxes": _permute(_swapped),
    "t": _permute(lambda c: range(c.rank)[::-1]), "movedim": _permute(_moved),
    "expand": lambda c: ("expand", [c.first], {}), "expand_as": lambda c: ("expand", [c.first], {}), "repeat": _repeat,
    "einsum": _einsum, "flip": _flip, "roll": _roll, "repeat_interleave": _interleave, "max": _largest("max"),
    "min": _largest("min"),
    "cat": _concat, "stack": lambda c: ("stack", list(c["tensors"]), {"axis": c["dim"] % len(c.out)}),
    "slice": _slice, "narrow": _narrow,
    "select": lambda c: ("select", [c.first], {"axis": c["dim"] % c.rank, "index": c["index"] % c.shape[c["dim"]]}),
    "constant_pad_nd": _pad("zeros"), "pad": _pad("zeros"),
    **{f"{word}_pad{n}d": _pad(mode) for n in (1, 2, 3)
       for word, mode in (("reflection", "reflect"), ("replication", "replicate"))},
    **{f"upsample_{word}{n}d": _resize(mode) for n in (1, 2, 3) for word, mode in (
        ("linear", "bilinear"), ("bilinear", "bilinear"), ("trilinear", "bilinear"), ("bicubic", "bicubic"))},
    **{f"upsample_nearest{n}d": _resize("nearest", "asymmetric", "floor") for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": _resize("nearest", "half_pixel", "round_prefer_ceil") for n in (1, 2, 3)},
    "_upsample_bilinear2d_aa": _smoothed("bilinear"),
    "pixel_shuffle": _shuffle("pixel_shuffle", "upscale_factor"),
    "pixel_unshuffle": _shuffle("pixel_unshuffle", "downscale_factor"),
    "channel_shuffle": lambda c: ("channel_shuffle", [c.first], {"groups": c["groups"]}),
    "softmax": _softmax, "_softmax": _softmax, "linear": _linear,
    **dict.fromkeys(_DROPOUTS, lambda c: ("dropout", [c.first], {"p": float(c["p"])})),
    "matmul": lambda c: ("matmul", [c["self"], c["other"]], {}),
}


def _scaled_sum(c: Call) -> Sequence[tuple[Any, ...]]:
    """x + alpha y, x - alpha y, or y - alpha x; as it is where alpha is 1."""
    alpha, name = c.get("alpha"), c.node.target._schema.name.split("::")[-1].strip("_")
    x, y = (c["other"], c["self"]) if name == "rsub" else (c["self"], c["other"])
    return [] if alpha in (None, 1) else [("multiply", y, alpha), ("add" if name == "add" else "subtract", x, "0")]


def _clamped(c: Call) -> Sequence[tuple[Any, ...]]:
    """By tensors; numbers are a function's parameters."""
    low, high = c.get("min"), c.get("max")
    if not hasattr(low, "name") and not hasattr(high, "name"):
        return []
    steps = [] if low is None else [("maximum", c.first, low)]
    return steps if high is None else [*steps, ("minimum", "0" if steps else c.first, high)]


#: Operations that several others spell out.
SPELLED: dict[str, Callable[[Call], Sequence[tuple[Any, ...]]]] = {
    **dict.fromkeys(("add", "sub", "rsub"), _scaled_sum), "clamp": _clamped,
    "addcmul": lambda c: [("multiply", c["tensor1"], c["tensor2"]), ("multiply", "0", c["value"]),
                          ("add", c["self"], "1")],
    "addcdiv": lambda c: [("divide", c["tensor1"], c["tensor2"]), ("multiply", "0", c["value"]),
                          ("add", c["self"], "1")],
    "lerp": lambda c: [("subtract", c["end"], c["self"]), ("multiply", "0", c["weight"]), ("add", c["self"], "1")],
    "exp2": lambda c: [("power", 2.0, c.first)], "erfc": lambda c: [("erf", c.first), ("subtract", 1.0, "0")],
    "log2": lambda c: [("log", c.first), ("multiply", "0", 1 / math.log(2))],
    "log10": lambda c: [("log", c.first), ("multiply", "0", 1 / math.log(10))],
    "special_ndtr": lambda c: [("multiply", c.first, math.sqrt(0.5)), ("erf", "0"), ("add", "1", 1.0),
                               ("multiply", "2", 0.5)],
    "heaviside": lambda c: [("greater", c.first, 0.0)], "nan_to_num": lambda c: [("add", c.first, 0.0)],
    "hypot": lambda c: [("square", c.first), ("square", c["other"]), ("add", "0", "1"), ("sqrt", "2")],
    "logaddexp": lambda c: [("exp", c.first), ("exp", c["other"]), ("add", "0", "1"), ("log", "2")],
}


def _split(c: Call) -> list[tuple[int, int, int, bool]]:
    axis = (c.get("dim") or 0) % c.rank
    sizes = c.get("split_size", "split_sizes", "sizes")
    if isinstance(sizes, int):
        sizes = [min(sizes, c.shape[axis] - at) for at in range(0, c.shape[axis], sizes)]
    ends = np.cumsum([0, *sizes]).tolist()
    return [(axis, a, b, False) for a, b in zip(ends, ends[1:])]


def _chunk(c: Call) -> list[tuple[int, int, int, bool]]:
    axis = c["dim"] % c.rank
    size = math.ceil(c.shape[axis] / c["chunks"])
    return [(axis, a, min(a + size, c.shape[axis]), False) for a in range(0, c.shape[axis], size)]


def _unbind(c: Call) -> list[tuple[int, int, int, bool]]:
    axis = c["dim"] % c.rank
    return [(axis, i, i + 1, True) for i in range(c.shape[axis])]


PARTS: dict[str, Callable[[Call], list[tuple[int, int, int, bool]]]] = {
    "split": _split, "split_with_sizes": _split, "chunk": _chunk, "unbind": _unbind}
