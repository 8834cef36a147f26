"""PyTorch modules and exported programs to records; torch is imported when one is read, and only then."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..base.checks import integer, is_sequence
from ..base.errors import check_bytes, optional, quoted
from .blocks import unwrapped
from .records import Array, Record, Trace, scalar
from .torch_operators import ALIASES, PARTS, SPELLED, Call, ints, plain_of

__all__ = ["trace_module"]


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
        self.order: dict[Any, int] = {}
        self.views: dict[Any, Any] = {}           # of what a node is a view in memory

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
                self.order[node] = len(self.order)
                if node.op == "call_function":
                    self.checked_call(node)
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

    def checked_call(self, node: Any) -> None:
        try:
            self.call(node)
        except (ValueError, NotImplementedError):
            raise
        except Exception as error:  # of torch, on constants of the program
            reason = (str(error).strip().splitlines() or [""])[0]
            raise ValueError(f"{self.path(node, node.name)}: {node.target} of its arguments "
                             f"({type(error).__name__}: {reason})") from error
        if node.target.__name__ == "getitem" or getattr(node.target, "_schema", None) is not None and (
                node.target._schema.name.split("::")[-1] in ALIASES):
            self.views[node] = node.args[0]

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
        if all(a.name in self.tensors and a.name not in self.names for a in arguments):
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
        parts = PARTS.get(name)
        if parts is not None:
            self.names[node.name] = [self.cut(node, i, *where) for i, where in enumerate(parts(Call(node)))]
        elif name == "glu":
            self.glu(node)
        elif name.endswith("_like") and name[:-5] in ("zeros", "ones", "full"):
            import torch
            value = Call(node).get("fill_value") if name == "full_like" else float(name == "ones_like")
            self.tensors[node.name] = torch.full((), value).expand(Call(node).shape)
        else:
            plain = name.removesuffix("_") if not name.startswith("_") else name
            call = Call(node)
            if plain in ("index", "index_select"):
                self.take(node, plain, call)
                return
            steps = SPELLED[plain](call) if plain in SPELLED else []
            if steps:
                self.spelled(node, steps)
            else:
                self.add(node, *plain_of(plain, call))
            if name.endswith("_") and not name.startswith("__"):
                self.replaced(node.args[0], node)

    def replaced(self, target: Any, node: Any) -> None:
        """In place: later readers of `target` see the value of `node`, and so do those of what it is a view of."""
        self.names[target.name] = self.names[node.name]
        base = target
        while base in self.views:
            base = self.views[base]
        for other in [base, *(view for view in self.views if view is not target)]:
            root = other
            while root in self.views and root is not base:
                root = self.views[root]
            late = any(self.order.get(user, len(self.order)) > self.order[node] for user in other.users)
            if other is not target and root is base and late and self.order[other] <= self.order[node]:
                if other is base and self.filled(base, target, node):
                    continue
                self.add(other, "change of a part in place", [node], {}, f"{node.name}.{other.name}")

    def mean_of_noise(self, node: Any, args: Any) -> None:
        """What is dropped at random for a whole branch, as stochastic depth does it, is left out on average."""
        import torch
        chance = Call(node).get("p")
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
                                   {"axis": axis, "start": start, "stop": stop, "step": 1}, ints(shape),
                                   self.path(node, "slice")))
        if drop:
            del shape[axis]
            self.records.append(Record(f"{name}.flat", "reshape", (name,), {}, ints(shape), self.path(node, "slice")))
            name += ".flat"
        return name

    def take(self, node: Any, word: str, call: Call) -> None:
        """Positions of one axis by a list of the program's own."""
        lists = [None] * call["dim"] + [call["index"]] if word == "index_select" else list(call["indices"])
        axes = [axis for axis, index in enumerate(lists) if index is not None]
        index = self.tensors.get(getattr(lists[axes[0]], "name", "")) if len(axes) == 1 else None
        if index is None or index.dim() != 1 or index.is_floating_point() or index.element_size() == 1:
            self.add(node, word, [call.first], {})
            return
        size = call.shape[axes[0]]
        self.add(node, "take", [call.first], {"axis": axes[0], "places": [int(i) % size for i in index]})

    def glu(self, node: Any) -> None:
        call = Call(node)
        axis = call["dim"] % call.rank
        half = call.shape[axis] // 2
        first, second = self.cut(node, 0, axis, 0, half, False), self.cut(node, 1, axis, half, 2 * half, False)
        shape, path = ints(node.meta["val"].shape), self.path(node, "glu")
        self.records.append(Record(f"{node.name}.gate", "unary", (second,), {"function": "sigmoid"}, shape, path))
        self.records.append(Record(node.name, "binary", (first, f"{node.name}.gate"), {"function": "multiply"}, shape,
                                   path))
        self.names[node.name] = node.name

    def spelled(self, node: Any, steps: Sequence[tuple[Any, ...]]) -> None:
        """One operation as several: functions of inputs, of numbers, and of earlier steps, by their number as text."""
        word = node.target._schema.name.split("::")[-1].strip("_")
        shape, path = ints(node.meta["val"].shape), self.path(node, word)
        for i, (function, *given) in enumerate(steps):
            inputs = tuple(f"{node.name}.{v}" if isinstance(v, str) else self.operand(v) for v in given)
            name = node.name if i == len(steps) - 1 else f"{node.name}.{i}"
            op = "unary" if len(given) == 1 else "binary"
            self.records.append(Record(name, op, inputs, {"function": function}, shape, path))
        self.names[node.name] = node.name

    def filled(self, base: Any, target: Any, node: Any) -> bool:
        """Whether `target` is a slice of `base`, which is now what is before it, the value of `node`, what is after."""
        if self.views[target] is not base or base.name not in self.names or getattr(
                target.target, "_schema", None) is None or target.target._schema.name != "aten::slice":
            return False
        call, path = Call(target), self.path(node, "slice")
        axis = (call["dim"] or 0) % call.rank
        start, stop, step = slice(call["start"], call["end"], call["step"]).indices(call.shape[axis])
        if step != 1:
            return False
        before, parts = self.operand(base), []
        for low, high in ((0, start), (stop, call.shape[axis])):
            parts.append(f"{node.name}.from{low}")
            if low < high:
                shape = [high - low if i == axis else n for i, n in enumerate(call.shape)]
                self.records.append(Record(parts[-1], "slice", (before,), {
                    "axis": axis, "start": low, "stop": high, "step": 1}, tuple(shape), path))
        kept = [parts[0]] * (start > 0) + [self.operand(node)] + [parts[1]] * (stop < call.shape[axis])
        whole = f"{node.name}.whole"
        self.records.append(Record(whole, "concat", tuple(kept), {"axis": axis}, call.shape, self.path(node, "concat")))
        self.names[base.name] = whole
        return True

    def add(self, node: Any, op: str, inputs: Sequence[Any], attributes: dict[str, Any], name: str = "") -> None:
        value = node.meta.get("val")
        value = value[0] if isinstance(value, (tuple, list)) else value
        operands = tuple(self.operand(v) for v in inputs)
        self.records.append(Record(name or node.name, op, operands, attributes, ints(getattr(value, "shape", ())),
                                   self.path(node, attributes.get("function", op))))
        self.names[node.name] = name or node.name

    def operand(self, value: Any) -> Any:
        if value is None:
            return ""
        if not hasattr(value, "name"):
            return float(value)
        found = self.names.get(value.name, value.name)
        if isinstance(found, list):
            found = found[0]
        if found not in self.names and value.name in self.tensors:
            tensor = self.tensors[value.name]
            if tensor.numel() and not any(tensor.stride()):  # one number, laid out
                tensor = tensor.as_strided((), ())
            number = scalar(_array(tensor)) if tensor.dim() == 0 else None
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
