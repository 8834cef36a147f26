"""Whether a model of torchvision or timm is read exactly, and its fields are those of the module itself.

For who has torch, torchvision and timm; `erfmath.bench.coverage` goes through a list of models.  The theoretical
receptive field is compared pixel by pixel with that of the program itself, by automatic differentiation: all weights
positive, norms and activations left out, averages in the place of maxima, sums in that of products, gates of one site
held fixed.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.errors import optional
from ..networks.support import support
from ..readers.builder import View
from ..readers.convert import Converted, build, convert
from ..readers.model import model_of
from ..readers.reading import from_onnx
from ..readers.records import Record, Trace
from ..readers.torch import trace_module
from ..results.field import EffectiveReceptiveField

__all__ = ["Reading", "create", "field", "read", "traced", "windows"]

#: Long in one direction, so that windows end inside.
SHAPE = (1, 3, 320, 64)
#: Operations that pass on what they are given, as far as it is asked who sees whom.
PASSED = {"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "relu", "relu6", "silu", "gelu",
          "sigmoid", "hardsigmoid", "hardswish", "hardtanh", "clamp", "tanh", "elu", "leaky_relu", "mish", "softmax",
          "softplus", "prelu", "dropout", "pow", "square", "sqrt", "rsqrt", "exp", "clamp_min", "celu", "selu",
          "to", "_to_copy", "float", "type_as"}


@dataclass(frozen=True)
class Reading:
    """What became of one model.

    Attributes
    ----------
    name : str
        "library:model".
    seconds, cpu : float
        Of exporting the module and reading the program, by the clock and of the processor.
    traced, exact, seen, predicted : bool
        Whether torch exported it; every operation up to its last map has a layer; the pixels that units see are those
        of the program, one by one; and `predict` has rules for all of its layers.
    onnx : float
        Seconds of the processor for reading the ONNX file that torch exports of it; 0 if that was not asked for.
    attention : bool
        Whether an operation without a layer is attention.
    reason : str
        Why not, "; " between several.
    """

    name: str
    seconds: float
    traced: bool = False
    exact: bool = False
    seen: bool = False
    predicted: bool = False
    attention: bool = False
    cpu: float = 0.0
    onnx: float = 0.0
    reason: str = ""


def create(name: str, seed: int = 0) -> Any:
    """A module at its own initialisation, in evaluation mode."""
    library, name = name.split(":")
    torch, models = optional("torch", "bench readers"), optional(library, "bench readers")
    torch.manual_seed(seed)
    if library == "timm":
        return models.create_model(name).eval()
    options: dict[str, Any] = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    if name.startswith(("deeplab", "fcn", "lraspp")):
        options["weights_backbone"] = None
    return models.models.get_model(name, weights=None, **options).eval()


def traced(name: str, image: int | None = None, module: Any = None) -> tuple[Any, Trace]:
    """The program that torch exports, and its records; images are of `SHAPE`, or square."""
    import torch

    module = create(name) if module is None else module

    video = name.startswith(("torchvision:r3d", "torchvision:mc3", "torchvision:r2plus1d"))
    shape = (1, 3, 8, 96, 48) if video else SHAPE if image is None else (1, 3, image, image)
    if name == "torchvision:s3d":  # its head has windows of 7 x 7 sites
        shape = (1, 3, 16, 224, 224)
    if "bat_resnext" in name and image is None:  # cuts its maps into blocks of 8 x 8
        shape = (1, 3, 256, 256)
    if "inception_" in name and image is None and "next" not in name:  # their last maps would have no site
        shape = (1, 3, 320, 96)
    with torch.no_grad():
        program = torch.export.export(module, (torch.zeros(shape),), strict=False)
    return program, trace_module(program)


def windows(program: Any, trace: Trace) -> Iterator[tuple[str, tuple[int, ...], Any]]:
    """(value, unit, mask of the pixels that it sees) of a middle and a corner unit of three maps.

    The maps are outputs of convolutions and pools: the last one, and one in the middle and in the first quarter, whose
    windows end inside the image.
    """
    import torch

    x = torch.zeros(*trace.shape, dtype=torch.float64, requires_grad=True)
    state = {**program.state_dict, **program.constants}
    inputs = [x if spec.target is None else state[spec.target] for spec in program.graph_signature.input_specs]
    values = _positive(program, inputs)
    maps = [r for r in trace.live() if len(r.shape) > 3 and min(r.shape[2:]) > 1 and r.name in values
            and r.op in ("conv", "max_pool", "avg_pool")]
    for record in (maps[-1], maps[len(maps) // 2], maps[len(maps) // 4]):
        for unit in (tuple(n // 2 for n in record.shape[2:]), (0,) * len(record.shape[2:])):
            value = values[record.name][(0, slice(None), *unit)].sum()
            gradient, = torch.autograd.grad(value, x, retain_graph=True)
            yield record.name, unit, (gradient[0].abs().sum(0) > 0).numpy()


def _positive(program: Any, inputs: Sequence[Any]) -> dict[str, Any]:
    """Values of a program with equal positive weights, which passes on everything that a unit can see."""
    import torch
    import torch.fx

    class Positive(torch.fx.Interpreter):
        def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
            name = target._schema.name.split("::")[-1].removesuffix("_") if hasattr(target, "_schema") else ""
            if getattr(target, "__name__", "").startswith("wrap_with_"):  # a block: what is under torch.autocast
                block = next(i for i, a in enumerate(args) if isinstance(a, torch.fx.GraphModule))
                return Positive(args[block]).run(*args[block + 1:])
            if name == "_assert_tensor_metadata":  # everything is of double precision here
                return None
            args, kwargs = torch.utils._pytree.tree_map_only(torch.Tensor, double, (args, kwargs))
            leaves = torch.utils._pytree.tree_leaves((args, kwargs))
            if not name or not any(isinstance(a, torch.Tensor) and a.requires_grad for a in leaves):
                return super().call_function(target, args, kwargs)
            if name in PASSED or name in ("expand", "expand_as"):  # a gate laid out over the map is one site still
                return args[0] * 1.0
            if name.startswith("conv") or name == "linear":
                one = torch.full((1,) * args[1].dim(), 1 / args[1][0].numel(), dtype=torch.float64)
                flat = one.expand(args[1].shape)  # one number in memory: models have up to 10^9
                return super().call_function(target, (args[0], flat, None, *args[3:]), kwargs)
            if name.startswith("max_pool"):
                given = list(args) + [None, None, 0, 1, False][len(args) - 1:]
                _, kernel, stride, padding, _, up = given
                pool, x = getattr(torch.nn.functional, f"avg_pool{args[0].dim() - 2}d"), args[0]
                if padding and not up:  # averages refuse windows that are larger than a map without its padding
                    x, padding = torch.nn.functional.pad(x, [p for p in padding[::-1] for _ in (0, 1)]), 0
                return pool(x, kernel, stride or kernel, padding, ceil_mode=bool(up))
            if name in ("mul", "add", "sub", "div"):
                return summed(name, args)
            return super().call_function(target, args, kwargs)

    def double(value: Any) -> Any:
        return value.double() if value.is_floating_point() else value

    def summed(name: str, args: Any) -> Any:
        whole = torch.broadcast_tensors(*(torch.as_tensor(a, dtype=torch.float64).detach() for a in args[:2]))[0]
        parts = [a for a in args[:2] if isinstance(a, torch.Tensor) and a.requires_grad]
        if name in ("mul", "div") and len(parts) == 2:  # a gate of one site is held fixed
            parts = [a for a in parts if sum(n > m for n, m in zip(whole.shape[::-1], a.shape[::-1])) < 2] or parts
        return sum(parts) + torch.zeros_like(whole)

    run = Positive(program.graph_module, garbage_collect_values=False)
    run.run(*inputs)
    return {node.name: value for node, value in run.env.items() if isinstance(value, torch.Tensor)}


def field(name: str, image: int = 96, draws: int = 20, batch: int = 4) -> tuple[float, float, float]:
    """Std of the middle unit's field in pixels, along the first axis: predicted, sampled, and its standard error.

    Sampled are fresh modules: gradients of the exported program, with batch norms frozen at the statistics of a batch
    of images of white noise, averaged over its images.
    """
    import torch

    with torch.no_grad():
        program, trace = traced(name, image)
    builder, values = build(trace, "module")
    model = model_of(convert(trace, init="module", unsupported="stand_in"), "module", "")
    top = next(r.name for r in trace.live() if len(r.shape) == 4 and isinstance(values[r.name], View)
               and builder.plain(values[r.name]).node == model.net.output)
    expected = model.predict()
    powers = []
    for seed in range(draws):
        module = create(name, seed)
        state = {**dict(module.named_parameters()), **dict(module.named_buffers()), **program.constants}
        x = torch.randn(batch, *trace.shape[1:], requires_grad=True)
        inputs = [x if spec.target is None else state[spec.target] for spec in program.graph_signature.input_specs]
        value = _frozen(program, inputs)[top]
        at = value[(slice(None), slice(None), *(n // 2 for n in value.shape[2:]))]
        gradient, = torch.autograd.grad((at * torch.randn(at.shape)).sum(), x)
        powers.append((gradient**2).mean(0).sqrt().numpy())
    sampled = EffectiveReceptiveField.from_gradients(np.stack(powers), unit_center=expected.center)
    return float(expected.std[0]), float(sampled.std[0]), float(sampled.std_stderr[0])


def _frozen(program: Any, inputs: Sequence[Any]) -> dict[str, Any]:
    """Values of a program whose batch norms have the statistics of what they are given, as constants."""
    import torch
    import torch.fx

    class Frozen(torch.fx.Interpreter):
        def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
            if getattr(target, "_schema", None) is not None and target._schema.name == "aten::batch_norm":
                axes = [axis for axis in range(args[0].dim()) if axis != 1]
                with torch.no_grad():
                    mean, var = args[0].mean(axes), args[0].var(axes, correction=0)
                return torch.nn.functional.batch_norm(args[0], mean, var, args[1], args[2], False, 0.0, args[7])
            return super().call_function(target, args, kwargs)

        def run_node(self, n: Any) -> Any:  # views of a batch of one are views of this batch
            if n.op == "call_function" and n.target.__name__.split(".")[0] in ("view", "reshape", "expand"):
                args, kwargs = self.fetch_args_kwargs_from_env(n)
                if args[0].dim() and args[0].shape[0] == inputs_batch and len(args) > 1 and args[1][0] == 1:
                    return n.target(args[0], [inputs_batch, *args[1][1:]], **kwargs)
            return super().run_node(n)

    inputs_batch = next(v.shape[0] for v in inputs if v.requires_grad and not isinstance(v, torch.nn.Parameter))
    run = Frozen(program.graph_module, garbage_collect_values=False)
    run.run(*inputs)
    return {node.name: value for node, value in run.env.items() if isinstance(value, torch.Tensor)}


def read(name: str, onnx: bool = False) -> Reading:
    """Read one model, and compare; with `onnx` also the file that is exported of it."""
    about: dict[str, Any] = {"name": name}
    reasons: list[str] = []
    start = time.perf_counter()
    try:
        module = create(name)
        start, cpu = time.perf_counter(), time.process_time()
        try:
            program, trace = traced(name, module=module)
        except (AssertionError, RuntimeError, ValueError):  # made for images of one size
            size = getattr(module, "default_cfg", {}).get("input_size", (3, 224, 224))
            program, trace = traced(name, size[-1], module)
        about["traced"] = True
        found = convert(trace, init="module", unsupported="stand_in")
        about |= {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
        without = [note for note in found.notes if "has no layer" in note]
        about["exact"] = not found.stand_ins and not without
        about["attention"] = not about["exact"] and any(_attends(record, trace) for record in trace.records)
        reasons += sorted({f"no layer: {s.what}" for s in found.stand_ins}) + [
            note.partition(";")[0] for note in without[:1]]
        if onnx:
            about["onnx"] = _exported(program)
        if wrong := _wrong(program, trace, found):
            reasons.append(wrong)
        about["seen"] = not wrong
        try:
            model_of(found, "module", "").predict()
            about["predicted"] = True
        except NotImplementedError as error:
            reasons.append(f"predict: {error}")
    except Exception as error:  # of the model's own code, of the exporter: say which, and go on
        reasons.append(f"{type(error).__name__}: " + " ".join(str(error).split())[:200])
    return Reading(**{"seconds": time.perf_counter() - start, **about}, reason="; ".join(reasons))


def _exported(program: Any) -> float:
    """Seconds of the processor in which the ONNX file of a program is read."""
    import torch

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        torch.onnx.export(program, f=path, verbose=False)
        start = time.process_time()
        from_onnx(path, unsupported="stand_in")
        return time.process_time() - start


def _attends(record: Record, trace: Trace) -> bool:
    """Whether an operation is attention: by its name or its module's, or a product of two computed matrices."""
    computed = [i for i in record.inputs if isinstance(i, str) and i and i not in trace.constants]
    return "attention" in record.op or record.op in ("matmul", "einsum") and len(computed) > 1 or any(
        part.startswith("attn") for part in record.path.split("."))


def _wrong(program: Any, trace: Trace, found: Converted) -> str:
    """A unit that sees other pixels in the network than in the program, in words; "" for none."""
    _, values = build(trace, "module")
    for value, unit, mask in windows(program, trace):
        view = values[value]
        node = view.node if isinstance(view, View) else None
        if node in found.net.names:
            seen = support(found.net, image=found.image, node=node, unit=unit, gates=False)
            whole = np.zeros(mask.shape, dtype=bool)
            whole[tuple(slice(o, o + n) for o, n in zip(seen.origin, seen.mask.shape))] = seen.mask
            if not np.array_equal(whole, mask):
                return f"unit {unit} of {node} sees other pixels"
    return ""
