"""PyTorch modules and exported programs to records; torch is imported when one is read, and only then."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..base.checks import integer, is_sequence
from ..base.errors import check_bytes, optional, quoted
from .blocks import unwrapped
from .records import Array, Record, Trace, scalar

__all__ = ["trace_module"]

#: What an operation becomes: op, inputs, attributes.
Plain = tuple[str, Sequence[Any], dict[str, Any]]

_IDENTITIES = {"contiguous", "clone", "detach", "alias", "lift_fresh_copy", "to", "_to_copy", "type_as", "float",
               "detach_", "lift", "positive", "_assert_tensor_metadata"}
_DROPOUTS = {"dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"}
_VIEWS = {"view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as",
          "squeeze_", "unsqueeze_"}
_UNARY = {"relu", "relu6", "silu", "mish", "sigmoid", "tanh", "hardswish", "hardsigmoid", "selu", "exp", "log", "sqrt",
          "rsqrt", "abs", "reciprocal", "erf", "square", "sin", "cos", "sign", "floor", "ceil", "round", "tan", "sinh",
          "cosh", "log1p", "expm1"}
_BINARY = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide", "pow": "power", "maximum": "maximum",
           "minimum": "minimum", "gt": "greater", "ge": "greater", "lt": "less", "le": "less",
           "greater": "greater", "less": "less"}
_REDUCE = {"mean": "mean", "sum": "sum", "amax": "max", "var": "var", "std": "std", "linalg_vector_norm": "norm",
           "norm": "norm"}


def trace_module(module: Any, example: Any = None, input: str | None = None) -> Trace:
    """Records of a module, or of a program that torch.export made.

    Parameters
    ----------
    module : torch.nn.Module or torch.export.ExportedProgram
    example : tensor, tuple of tensors, or tuple of int, optional
        What the module is called with, or the shape of that; a program knows its own.
    input : str, optional
        Which argument is the image, where there are several tensors; the others are constants.

    Raises
    ------
    ImportError
        If torch is not installed.
    ValueError
        If the module cannot be exported, or takes several tensors and `input` names none of them.
    """
    torch = optional("torch", "from_torch")
    if isinstance(module, torch.export.ExportedProgram):
        program, mode = module, ""
    elif isinstance(module, torch.nn.Module):
        program, mode = _exported(module, example), " in training mode" if module.training else " in evaluation mode"
    else:
        raise TypeError(f"module={type(module).__name__}: must be a torch.nn.Module or an ExportedProgram")
    return _Reader(program).trace(f"torch module{mode}", input)


def _exported(module: Any, example: Any) -> Any:
    import torch

    if example is None:
        raise ValueError("example=None: must be what the module is called with: a tensor, or its shape, as "
                         "(1, 3, 224, 224)")
    if is_sequence(example) and all(isinstance(n, int) for n in example):
        sizes = [integer(n, "example", 1) for n in example]
        check_bytes(4 * math.prod(sizes), f"example={tuple(sizes)}", "take a smaller one")
        first = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(()))
        example = torch.zeros(tuple(example), dtype=first.dtype, device=first.device)
    inputs = example if isinstance(example, tuple) else (example,)
    try:
        with torch.no_grad():
            return torch.export.export(module, inputs, strict=False)
    except Exception as error:  # whatever the module's own code raises
        reason = str(error).strip().splitlines() or [""]
        # Batch norms in training mode want more than one value a channel, also after a global pool.
        remedy = "; give module.eval(), or an example of two images" if "when training" in reason[0] else ""
        raise ValueError(f"torch.export cannot trace {type(module).__name__}: {type(error).__name__}: {reason[0]}"
                         f"{remedy}") from error


class _Reader:
    def __init__(self, program: Any) -> None:
        self.program = program
        self.records: list[Record] = []
        self.constants: dict[str, Array] = {}
        self.tensors: dict[str, Any] = {}         # constants as tensors, by node
        self.names: dict[str, str | list[str]] = {}  # the value of each node; several of what is split
        self.targets: dict[str, str] = {}         # parameters by node
        self.notes: list[str] = []
        self.inner: dict[str, str] = {}           # nodes that have other names once blocks are unwrapped

    def trace(self, source: str, chosen: str | None) -> Trace:
        import torch

        signature = self.program.graph_signature
        state = {**self.program.state_dict, **self.program.constants}
        for spec in signature.input_specs:
            if spec.target is not None and spec.target in state:
                self.tensors[spec.arg.name] = state[spec.target]
                self.targets[spec.arg.name] = spec.target
        given = [node for node in self.program.graph.nodes if node.op == "placeholder"
                 and node.name in signature.user_inputs and hasattr(node.meta.get("val"), "shape")]
        image = self.choose(source, given, chosen)
        self.names[image.name] = image.name
        with torch.no_grad():
            nodes, self.inner = unwrapped(self.program)
            for node in nodes:
                if node.op == "call_function":
                    self.call(node)
        shape = tuple(int(n) for n in image.meta["val"].shape)
        outputs = self.outputs(signature)
        for name, tensor in self.tensors.items():
            if hasattr(tensor, "detach"):
                self.constants[name] = _array(tensor)
        return Trace(tuple(self.records), image.name, shape, 1 if len(shape) > 2 else None, self.constants, outputs,
                     source, tuple(self.notes))

    def choose(self, source: str, given: Sequence[Any], chosen: str | None) -> Any:
        """The argument that is the image; the others are entered as constants, as in the example."""
        import torch

        listed = ", ".join(f"{node.name} ({'x'.join(map(str, node.meta['val'].shape))})" for node in given)
        found = [node for node in given if chosen in (None, node.name)]
        if len(found) != 1:
            raise ValueError(f"{source}: takes {len(given)} tensors: {listed or 'none'}" + (
                "; choose the image by input=, as input=" + quoted(given[0].name) + "; the others are constants, with "
                "the values that they have in the example" if given else "; must take one"))
        leaves = torch.utils._pytree.tree_leaves(self.program.example_inputs)
        for name, value in zip(self.program.graph_signature.user_inputs, leaves):
            if isinstance(value, torch.Tensor) and name != found[0].name:
                self.tensors[name] = value
        if missing := [node.name for node in given if node is not found[0] and node.name not in self.tensors]:
            raise ValueError(f"{source}: the program does not hold values of {', '.join(missing)}; export it anew")
        return found[0]

    def outputs(self, signature: Any) -> dict[str, str]:
        import torch

        names = [name for name in signature.user_outputs if isinstance(name, str)]
        found = {}
        try:
            spec = self.program.call_spec.out_spec
            tree = torch.utils._pytree.tree_unflatten(list(range(spec.num_leaves)), spec)
            labels = {leaf: label for label, leaf in _labels(tree)}
        except Exception:  # a structure of the user's own
            labels = {}
        for i, name in enumerate(names):
            value = self.names.get(self.inner.get(name, name))
            if isinstance(value, str):
                found[labels.get(i, str(i)) if len(names) > 1 else "out"] = value
        if not found:
            raise ValueError("the module's output does not depend on its input")
        return found

    def call(self, node: Any) -> None:
        arguments = [a for a in node.all_input_nodes]
        if node.target.__name__ == "getitem":
            source = self.names.get(node.args[0].name)
            if isinstance(source, list):
                self.names[node.name] = source[node.args[1]]
            elif source is not None:  # the first of what an operation gives, as of a pool with indices
                self.names[node.name] = source
            elif node.args[0].name in self.tensors:
                self.tensors[node.name] = self.tensors[node.args[0].name][node.args[1]]
            return
        if all(a.name in self.tensors for a in arguments):
            from torch.fx.node import map_arg
            args, kwargs = (map_arg(v, lambda n: self.tensors[n.name]) for v in (node.args, node.kwargs))
            if "bernoulli" in str(node.target):
                self.mean_of_noise(node, args)
                return
            self.tensors[node.name] = node.target(*args, **{k: v for k, v in kwargs.items() if k != "device"})
            return
        if not hasattr(node.target, "_schema"):
            self.add(node, str(node.target), [a for a in arguments if a.name in self.names], {})
            return
        name = node.target._schema.name.split("::")[-1]
        parts = _PARTS.get(name)
        if parts is not None:
            self.names[node.name] = [self.cut(node, i, *where) for i, where in enumerate(parts(_Call(node)))]
        elif name == "glu":
            self.glu(node)
        elif name.endswith("_like") and name[:-5] in ("zeros", "ones", "full"):
            import torch
            value = _Call(node).get("fill_value") if name == "full_like" else float(name == "ones_like")
            self.tensors[node.name] = torch.full((), value)
        else:
            plain = name.removesuffix("_") if not name.startswith("_") else name
            call = _Call(node)
            steps = _SPELLED[plain](call) if plain in _SPELLED else []
            if steps:
                self.spelled(node, steps)
            else:
                self.add(node, *_plain(plain, call))
            if name.endswith("_") and not name.startswith("__"):  # in place: later readers see the new value
                self.names[node.args[0].name] = self.names[node.name]

    def mean_of_noise(self, node: Any, args: Any) -> None:
        """What is dropped at random for a whole branch, as stochastic depth does it, is left out on average."""
        import torch
        chance = _Call(node).get("p")
        value = torch.full_like(args[0], chance) if isinstance(chance, float) else args[0] * 1.0
        self.tensors[node.name] = value
        if node.target._schema.name.endswith("_"):
            self.tensors[node.args[0].name] = value
        self.notes.append(f"{self.path(node, 'noise')}: drops whole branches at random (stochastic depth); the network "
                          "has their mean")

    def cut(self, node: Any, i: int, axis: int, start: int, stop: int, drop: bool) -> str:
        source = node.args[0]
        shape = list(source.meta["val"].shape)
        shape[axis] = stop - start
        name = f"{node.name}.{i}"
        self.records.append(Record(name, "slice", (self.operand(source),),
                                   {"axis": axis, "start": start, "stop": stop, "step": 1}, _ints(shape),
                                   self.path(node, "slice")))
        if drop:
            del shape[axis]
            self.records.append(Record(f"{name}.flat", "reshape", (name,), {}, _ints(shape), self.path(node, "slice")))
            name += ".flat"
        return name

    def glu(self, node: Any) -> None:
        call = _Call(node)
        axis = call["dim"] % call.rank
        half = call.shape[axis] // 2
        first, second = self.cut(node, 0, axis, 0, half, False), self.cut(node, 1, axis, half, 2 * half, False)
        shape, path = _ints(node.meta["val"].shape), self.path(node, "glu")
        self.records.append(Record(f"{node.name}.gate", "unary", (second,), {"function": "sigmoid"}, shape, path))
        self.records.append(Record(node.name, "binary", (first, f"{node.name}.gate"), {"function": "multiply"}, shape,
                                   path))
        self.names[node.name] = node.name

    def spelled(self, node: Any, steps: Sequence[tuple[Any, ...]]) -> None:
        """One operation as several: functions of inputs, of numbers, and of earlier steps, by their number as text."""
        word = node.target._schema.name.split("::")[-1].strip("_")
        shape, path = _ints(node.meta["val"].shape), self.path(node, word)
        for i, (function, *given) in enumerate(steps):
            inputs = tuple(f"{node.name}.{v}" if isinstance(v, str) else self.operand(v) for v in given)
            name = node.name if i == len(steps) - 1 else f"{node.name}.{i}"
            op = "unary" if len(given) == 1 else "binary"
            self.records.append(Record(name, op, inputs, {"function": function}, shape, path))
        self.names[node.name] = node.name

    def add(self, node: Any, op: str, inputs: Sequence[Any], attributes: dict[str, Any]) -> None:
        value = node.meta.get("val")
        value = value[0] if isinstance(value, (tuple, list)) else value
        operands = tuple(self.operand(v) for v in inputs)
        self.records.append(Record(node.name, op, operands, attributes, _ints(getattr(value, "shape", ())),
                                   self.path(node, attributes.get("function", op))))
        self.names[node.name] = node.name

    def operand(self, value: Any) -> Any:
        if value is None:
            return ""
        if not hasattr(value, "name"):
            return float(value)
        found = self.names.get(value.name, value.name)
        if isinstance(found, list):
            found = found[0]
        if found not in self.names and value.name in self.tensors:
            number = scalar(_array(self.tensors[value.name])) if self.tensors[value.name].dim() == 0 else None
            return value.name if number is None else number
        return found

    def path(self, node: Any, word: str) -> str:
        """The path of the module if it does nothing else, with a word for what is done otherwise."""
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        path, kind = stack[-1] if stack else ("", "")
        kind = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
        owned = any(self.targets.get(a.name, "").rpartition(".")[0] == path for a in node.all_input_nodes
                    if a.name in self.targets)
        if path and (owned or kind.startswith("torch.nn.modules.") and "container" not in kind):
            return str(path)
        return f"{path}.{word}" if path else word


class _Call:
    """Arguments of a node by name, defaults filled in."""

    def __init__(self, node: Any) -> None:
        self.node = node
        self.values = {}
        for i, argument in enumerate(node.target._schema.arguments):
            value = node.args[i] if i < len(node.args) else node.kwargs.get(
                argument.name, argument.default_value if argument.has_default_value() else None)
            self.values[argument.name] = value
        self.first = node.args[0] if node.args else None
        self.shape = _ints(getattr(getattr(self.first, "meta", {}).get("val"), "shape", ()))
        self.rank = len(self.shape)
        out = node.meta.get("val")
        self.out = _ints(getattr(out[0] if isinstance(out, (tuple, list)) and out else out, "shape", ()))

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


def _ints(shape: Any) -> tuple[int, ...]:
    try:
        return tuple(int(n) for n in shape)
    except Exception:
        raise ValueError(f"shape {tuple(shape)}: depends on the data; export with fixed shapes") from None


def _array(tensor: Any) -> Array:
    import torch

    tensor = tensor.detach().cpu()
    if tensor.is_quantized or tensor.is_complex() or tensor.is_sparse:
        raise ValueError(f"a parameter of type {tensor.dtype} ({tensor.layout}) is not read")
    if tensor.is_floating_point() and tensor.dtype != torch.float64:
        tensor = tensor.to(torch.float32)
    return np.asarray(tensor.numpy())


def _labels(tree: Any, at: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(tree, int):
        yield at or "out", tree
        return
    items = tree.items() if hasattr(tree, "items") else enumerate(tree) if isinstance(tree, (list, tuple)) else ()
    for key, value in items:
        yield from _labels(value, f"{at}.{key}" if at else str(key))


# ---------------------------------------------------------------------------------------------
# operations
# ---------------------------------------------------------------------------------------------

def _plain(name: str, c: _Call) -> Plain:
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


def _binary(name: str, c: _Call) -> Plain:
    x, y = c.get("self", "input"), c.get("other", "exponent")
    mode = c.get("rounding_mode")
    return ("binary" if mode is None else f"{name} rounded"), [x, y], {"function": _BINARY[name]}


def _conv(c: _Call) -> Plain:
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


def _pool(op: str) -> Callable[[_Call], Plain]:
    def handler(c: _Call) -> Plain:
        kernel = c.space("kernel_size")
        return op, [c.first], {"kernel": kernel, "stride": c.space("stride") if c.get("stride") else kernel,
                               "padding": [(p, p) for p in c.space("padding", 0)], "dilation": c.space("dilation"),
                               "ceil": bool(c.get("ceil_mode")),
                               "count_include_pad": c.get("count_include_pad") is not False}
    return handler


def _batch_norm(c: _Call) -> Plain:
    inputs = [c["input"], c["weight"], c["bias"], c["running_mean"], c["running_var"]]
    return "batch_norm", inputs, {"eps": c["eps"], "frozen": not c.get("training")}


def _instance_norm(c: _Call) -> Plain:
    if not c["use_input_stats"]:
        return "batch_norm", [c["input"], c["weight"], c["bias"], c["running_mean"], c["running_var"]], {
            "eps": c["eps"], "frozen": True}
    return "instance_norm", [c["input"], c["weight"], c["bias"]], {"eps": c["eps"]}


def _layer_norm(c: _Call) -> Plain:
    count = len(c["normalized_shape"])
    axes = list(range(c.rank - count, c.rank))
    centred = "rms" not in c.node.target._schema.name
    return "layer_norm", [c["input"], c["weight"], c.get("bias")], {"axes": axes, "eps": c["eps"], "centred": centred}


def _permute(order: Callable[[_Call], Sequence[int]]) -> Callable[[_Call], Plain]:
    return lambda c: ("permute", [c.first], {"order": [a % c.rank for a in order(c)]})


def _swapped(c: _Call) -> list[int]:
    order = list(range(c.rank))
    one, two = c.get("dim0", "axis0"), c.get("dim1", "axis1")
    order[one], order[two] = order[two], order[one]
    return order


def _moved(c: _Call) -> list[int]:
    source, target = ([v] if isinstance(v, int) else list(v) for v in (c["source"], c["destination"]))
    order = [a for a in range(c.rank) if a not in [s % c.rank for s in source]]
    for to, of in sorted((t % c.rank, s % c.rank) for t, s in zip(target, source)):
        order.insert(to, of)
    return order


def _concat(c: _Call) -> Plain:
    axis = c["dim"] or 0
    return "concat", list(c["tensors"]), {"axis": axis % len(c.out)}


def _slice(c: _Call) -> Plain:
    axis = (c["dim"] or 0) % c.rank
    size = c.shape[axis]
    start, stop, step = slice(c["start"], c["end"], c["step"]).indices(size)
    return "slice", [c.first], {"axis": axis, "start": start, "stop": stop, "step": step}


def _narrow(c: _Call) -> Plain:
    return "slice", [c.first], {"axis": c["dim"] % c.rank, "start": c["start"], "stop": c["start"] + c["length"],
                                "step": 1}


def _pad(mode: str) -> Callable[[_Call], Plain]:
    def handler(c: _Call) -> Plain:
        flat = c.get("pad", "padding")
        pads = [(0, 0)] * c.rank
        for i in range(len(flat) // 2):
            pads[c.rank - 1 - i] = (flat[2 * i], flat[2 * i + 1])
        word = c.get("mode") or mode
        return "pad", [c.first], {"pads": pads, "mode": {"constant": "zeros"}.get(word, word), "value": c.get("value")}
    return handler


def _resize(mode: str) -> Callable[[_Call], Plain]:
    return lambda c: ("resize", [c.first], {"mode": mode, "align_corners": bool(c.get("align_corners"))})


def _unary(function: str, *names: str, **renamed: str) -> Callable[[_Call], Plain]:
    return lambda c: ("unary", [c.first], {"function": function, **{
        key: None if c[name] is None else float(c[name]) for key, name in renamed.items()}})


def _prelu(c: _Call) -> Plain:
    return "prelu", [c.first, c["weight"]], {}


def _gelu(c: _Call) -> Plain:
    return "unary", [c.first], {"function": "gelu_tanh" if c["approximate"] == "tanh" else "gelu"}


def _elu(c: _Call) -> Plain:
    if (c["scale"], c["input_scale"]) != (1, 1):
        return "unary", [c.first], {"function": "selu"}
    return "unary", [c.first], {"function": "elu", "alpha": float(c["alpha"])}


def _linear(c: _Call) -> Plain:
    return "linear", [c["input"], c["weight"], c["bias"]], {}


def _softmax(c: _Call) -> Plain:
    return "softmax", [c.first], {"axis": c["dim"] % c.rank}


def _shuffle(op: str, name: str) -> Callable[[_Call], Plain]:
    return lambda c: (op, [c.first], {"factor": c[name]})


def _repeat(c: _Call) -> Plain:
    ones = all(m == 1 or n == 1 for n, m in zip(c.shape[::-1], list(c["repeats"])[::-1]))
    return ("expand" if ones else "repeat"), [c.first], {}


_HANDLERS: dict[str, Callable[[_Call], Plain]] = {
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
    "cat": _concat, "stack": lambda c: ("stack", list(c["tensors"]), {"axis": c["dim"] % len(c.out)}),
    "slice": _slice, "narrow": _narrow,
    "select": lambda c: ("select", [c.first], {"axis": c["dim"] % c.rank, "index": c["index"] % c.shape[c["dim"]]}),
    "constant_pad_nd": _pad("zeros"), "pad": _pad("zeros"),
    **{f"{word}_pad{n}d": _pad(mode) for n in (1, 2, 3)
       for word, mode in (("reflection", "reflect"), ("replication", "replicate"))},
    **{f"upsample_{word}{n}d": _resize(mode) for n in (1, 2, 3) for word, mode in (
        ("nearest", "nearest"), ("linear", "bilinear"), ("bilinear", "bilinear"), ("trilinear", "bilinear"),
        ("bicubic", "bicubic"))},
    "pixel_shuffle": _shuffle("pixel_shuffle", "upscale_factor"),
    "pixel_unshuffle": _shuffle("pixel_unshuffle", "downscale_factor"),
    "channel_shuffle": lambda c: ("channel_shuffle", [c.first], {"groups": c["groups"]}),
    "softmax": _softmax, "_softmax": _softmax, "linear": _linear,
    **dict.fromkeys(_DROPOUTS, lambda c: ("dropout", [c.first], {"p": float(c["p"])})),
    "matmul": lambda c: ("matmul", [c["self"], c["other"]], {}),
}


def _scaled_sum(c: _Call) -> Sequence[tuple[Any, ...]]:
    """x + alpha y, x - alpha y, or y - alpha x; as it is where alpha is 1."""
    alpha, name = c.get("alpha"), c.node.target._schema.name.split("::")[-1].strip("_")
    x, y = (c["other"], c["self"]) if name == "rsub" else (c["self"], c["other"])
    return [] if alpha in (None, 1) else [("multiply", y, alpha), ("add" if name == "add" else "subtract", x, "0")]


def _clamped(c: _Call) -> Sequence[tuple[Any, ...]]:
    """By tensors; numbers are a function's parameters."""
    low, high = c.get("min"), c.get("max")
    if not hasattr(low, "name") and not hasattr(high, "name"):
        return []
    steps = [] if low is None else [("maximum", c.first, low)]
    return steps if high is None else [*steps, ("minimum", "0" if steps else c.first, high)]


#: Operations that several others spell out.
_SPELLED: dict[str, Callable[[_Call], Sequence[tuple[Any, ...]]]] = {
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


def _split(c: _Call) -> list[tuple[int, int, int, bool]]:
    axis = (c.get("dim") or 0) % c.rank
    sizes = c.get("split_size", "split_sizes", "sizes")
    if isinstance(sizes, int):
        sizes = [min(sizes, c.shape[axis] - at) for at in range(0, c.shape[axis], sizes)]
    ends = np.cumsum([0, *sizes]).tolist()
    return [(axis, a, b, False) for a, b in zip(ends, ends[1:])]


def _chunk(c: _Call) -> list[tuple[int, int, int, bool]]:
    axis = c["dim"] % c.rank
    size = math.ceil(c.shape[axis] / c["chunks"])
    return [(axis, a, min(a + size, c.shape[axis]), False) for a in range(0, c.shape[axis], size)]


def _unbind(c: _Call) -> list[tuple[int, int, int, bool]]:
    axis = c["dim"] % c.rank
    return [(axis, i, i + 1, True) for i in range(c.shape[axis])]


_PARTS: dict[str, Callable[[_Call], list[tuple[int, int, int, bool]]]] = {
    "split": _split, "split_with_sizes": _split, "chunk": _chunk, "unbind": _unbind}
