"""Record models of torchvision and timm for the tests of the readers.

    python tests/readers/make_fixtures.py [torchvision:resnet18 timm:ghostnet_100 ...]

Needs torch, torchvision and timm; the files say with which versions they were made.  Beside the records a file holds
windows of a few units as automatic differentiation finds them: through the exported program itself, with all weights
positive, norms and functions left out, averages in the place of maxima and sums in that of products.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

import recorded  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
import torch.fx  # noqa: E402
import torchvision  # noqa: E402

from erfmath.readers.torch import trace_module  # noqa: E402

#: Long in one direction, so that windows end inside.
SHAPE = (1, 3, 320, 64)
TORCHVISION = ("alexnet", "convnext_tiny", "deeplabv3_mobilenet_v3_large", "densenet121", "efficientnet_b0",
               "fcn_resnet50", "googlenet", "inception_v3", "lraspp_mobilenet_v3_large", "mnasnet0_5", "mobilenet_v2",
               "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "resnet50", "shufflenet_v2_x0_5", "squeezenet1_1",
               "vgg11_bn")
TIMM = ("convnextv2_atto", "cspdarknet53", "darknet17", "dla34", "eca_resnet33ts", "edgenext_xx_small", "fasternet_t0",
        "gernet_s", "ghostnet_100", "hardcorenas_a", "hgnetv2_b0", "hrnet_w18_small", "mambaout_femto", "mixnet_s",
        "mobileone_s0", "nf_resnet26", "poolformer_s12", "repvgg_a0", "res2net50_26w_4s", "resnest14d", "resnet26t",
        "resnetblur18", "rexnet_100", "skresnet18", "starnet_s050", "tresnet_m", "vovnet39a", "xception41p")
NOTHING = {"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "relu", "relu6", "silu", "gelu",
           "sigmoid", "hardsigmoid", "hardswish", "hardtanh", "clamp", "tanh", "elu", "leaky_relu", "mish", "softmax",
           "softplus", "prelu", "dropout", "pow", "square", "sqrt", "rsqrt", "exp", "clamp_min", "celu", "selu"}


def build(name: str) -> Any:
    library, name = name.split(":")
    torch.manual_seed(0)
    if library == "timm":
        return timm.create_model(name).eval()
    options: dict[str, Any] = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    if any(word in name for word in ("deeplab", "fcn", "lraspp")):
        options["weights_backbone"] = None
    return torchvision.models.get_model(name, weights=None, **options).eval()


class Positive(torch.fx.Interpreter):
    """A program with equal positive weights, which passes on everything that a unit can see."""

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        leaves = torch.utils._pytree.tree_leaves((args, kwargs))
        name = target._schema.name.split("::")[-1].removesuffix("_") if hasattr(target, "_schema") else ""
        if not name or not any(isinstance(a, torch.Tensor) and a.requires_grad for a in leaves):
            return super().call_function(target, args, kwargs)
        if name in NOTHING:
            return args[0] * 1.0
        if name.startswith("conv") or name == "linear":
            flat = torch.full_like(args[1], 1 / args[1][0].numel(), dtype=torch.float64)
            return super().call_function(target, (args[0], flat, None, *args[3:]), kwargs)
        if name.startswith("max_pool"):
            kernel, stride, padding, _, up = (*args[1:], *(None, 0, 1, False)[len(args) - 2:])
            return torch.nn.functional.avg_pool2d(args[0], kernel, stride or kernel, padding, ceil_mode=bool(up))
        if name in ("mul", "add", "sub", "div"):
            parts = [a for a in args[:2] if isinstance(a, torch.Tensor) and a.requires_grad]
            return sum(parts) + torch.zeros_like(self.fetch(args))
        return super().call_function(target, args, kwargs)

    @staticmethod
    def fetch(args: Any) -> Any:
        return torch.broadcast_tensors(*(torch.as_tensor(a, dtype=torch.float64).detach() for a in args[:2]))[0]


def windows(program: Any, trace: Any) -> list[dict[str, Any]]:
    """Boxes of the pixels that units of some maps see: of the last map, and of one whose windows end inside."""
    x = torch.zeros(*trace.shape, dtype=torch.float64, requires_grad=True)
    state = {**program.state_dict, **program.constants}
    inputs = [x if spec.target is None else state[spec.target] for spec in program.graph_signature.input_specs]
    run = Positive(program.graph_module, garbage_collect_values=False)
    run.run(*inputs)
    values = {node.name: value for node, value in run.env.items() if isinstance(value, torch.Tensor)}
    maps = [r for r in trace.live() if len(r.shape) == 4 and r.shape[2] > 1 and r.shape[3] > 1
            and r.op in ("conv", "max_pool", "avg_pool") and r.name in values]
    found = []
    for record in (maps[-1], maps[len(maps) // 2], maps[len(maps) // 4]):
        for unit in ((record.shape[2] // 2, record.shape[3] // 2), (0, 0)):
            gradient, = torch.autograd.grad(values[record.name][0, :, unit[0], unit[1]].sum(), x, retain_graph=True)
            seen = np.argwhere((gradient[0].abs().sum(0) > 0).numpy())
            found.append({"value": record.name, "unit": list(unit), "lo": seen.min(0).tolist(),
                          "hi": seen.max(0).tolist()})
    return found


def main(chosen: list[str]) -> None:
    versions = {lib.__name__: lib.__version__ for lib in (torch, torchvision, timm)}
    for name in chosen or [f"torchvision:{n}" for n in TORCHVISION] + [f"timm:{n}" for n in TIMM]:
        try:
            with torch.no_grad():
                program = torch.export.export(build(name), (torch.zeros(SHAPE),), strict=False)
            trace = trace_module(program)
            seen = windows(program, trace)
        except Exception as error:  # say which, and go on
            print(name, type(error).__name__, str(error)[:200], flush=True)
            continue
        number = {record.name: str(i) for i, record in enumerate(trace.live(), 1)}
        for window in seen:
            window["value"] = number[window["value"]]
        path = recorded.write(name.replace(":", "_"), trace, windows=seen, versions=versions)
        print(name, len(trace.records), path.stat().st_size, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
