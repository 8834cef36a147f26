"""How many models of torchvision and timm are read, and whether their fields are those of the modules themselves.

Each model is read in a process of its own, with limits of time and memory, so that one that is too large does not stop
the others.  What was found is written to a file, one line a model; a later run goes on from there.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import math
import multiprocessing
import re
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from ..base.errors import optional
from . import Table
from .kept import Kept
from .readers import SHAPE, Reading, read

__all__ = ["apart", "names", "run", "table"]

QUICK = ("torchvision:resnet18", "torchvision:shufflenet_v2_x0_5", "timm:mobilenetv3_small_050")
#: What begins so has no map to speak of, takes several inputs, or is for other arithmetic.
ELSE = ("vit", "swin", "maxvit", "mvit", "quantized", "raft", "fasterrcnn", "maskrcnn", "keypointrcnn", "retinanet",
        "fcos", "ssd")
#: Modules of timm that are convolutional, if not all of each.
CONVOLUTIONAL = (
    "byobnet", "convmixer", "convnext", "cspnet", "cspnext", "densenet", "dla", "dpn", "efficientnet", "fasternet",
    "focalnet", "ghostnet", "hardcorenas", "hgnet", "hrnet", "inception_next", "inception_resnet_v2", "inception_v3",
    "inception_v4", "lcnetv2", "mambaout", "mobilenetv3", "nasnet", "nfnet", "pnasnet", "rdnet", "regnet", "repghost",
    "repvit", "res2net", "resnest", "resnet", "resnetv2", "rexnet", "selecsls", "senet", "sknet", "starnet", "tresnet",
    "vgg", "vovnet", "xception", "xception_aligned")
#: Modules of timm most of whose models have convolutions and attention.
HYBRID = ("byoanet", "coat", "csatv2", "edgenext", "efficientformer", "efficientformer_v2", "efficientvit_mit",
          "efficientvit_msra", "fastvit", "levit", "lowformer", "metaformer", "mobilenetv5", "mobilevit", "nextvit",
          "pvt_v2", "shvit", "swiftformer", "visformer")
#: Models of modules that are neither, by name.
NAMED = ("poolformer_s*", "poolformerv2_s*", "convformer_s*", "test_*net*")


def names(each: int = 4) -> list[str]:
    """All convolutional models of torchvision; of each module of timm with convolutions the first `each`."""
    timm, torchvision = (optional(library, "bench readers") for library in ("timm", "torchvision"))
    found = [f"torchvision:{name}" for name in torchvision.models.list_models() if not name.startswith(ELSE)]
    for module in (*CONVOLUTIONAL, *HYBRID):
        found += [f"timm:{name}" for name in timm.list_models(module=module)[:each]]
    for pattern in NAMED:
        found += [f"timm:{name}" for name in timm.list_models(pattern)]
    return list(dict.fromkeys(found))


def apart(name: str, seconds: float, memory: float, onnx: bool = False) -> Reading:
    """`read` in a process of its own, of at most `seconds` and `memory` GiB."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch", "torchvision", "timm"])  # imported once, not for every model
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(there, name, memory, onnx))
    process.start()
    there.close()
    try:
        if not here.poll(seconds):
            return Reading(name, seconds, reason=f"took more than {seconds:g} s")
        found: Reading = here.recv()
        return found
    except EOFError:
        return Reading(name, seconds, reason=f"ended without an answer, within {memory:g} GiB of memory")
    finally:
        process.join(1.0)  # ends by itself after its answer
        process.kill()
        process.join()


def _send(there: Any, name: str, memory: float, onnx: bool) -> None:
    """The work of a process: limits first, then the model."""
    import resource  # of Unix only

    optional("torch", "bench readers").set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory * 2**30),) * 2)
    there.send(read(name, onnx))


def table(found: Sequence[Reading], listed: int) -> Table:
    """Counts by library, and why the others are not among them, grouped."""
    header = ("library", "models", "traced", "exact", "TRF right", "predicted", "attention", "exact, others",
              "median s", "median CPU s", "of ONNX")
    rows = []
    for library in ("torchvision", "timm"):
        some = [r for r in found if r.name.startswith(f"{library}:")]
        others = [r for r in some if not r.attention]
        if some:
            rows.append((library, len(some), *(sum(getattr(r, key) for r in some) for key in (
                "traced", "exact", "seen", "predicted", "attention")),
                f"{sum(r.exact for r in others)} of {len(others)}",
                statistics.median(r.seconds for r in some), statistics.median(r.cpu for r in some),
                statistics.median([r.onnx for r in some if r.onnx] or [math.nan])))
    groups: dict[str, list[str]] = {}
    for reading in found:
        for reason in filter(None, reading.reason.split("; ")):
            groups.setdefault(_kind(reason), []).append(reading.name)
    notes = (f"{len(who)} x {reason}: {', '.join(who[:6])}{', ...' if len(who) > 6 else ''}"
             for reason, who in sorted(groups.items(), key=lambda item: -len(item[1])))
    return Table(f"Models read, of {listed} in the list, at {SHAPE[2]} x {SHAPE[3]} pixels", header, tuple(rows),
                 tuple(notes))


def _kind(reason: str) -> str:
    """A reason without the names of nodes and numbers, which differ from model to model."""
    return re.sub(r"\b[\w]+(\.\w+)+\b|\b\w*_\d+\b|\(\d[\d, ]*\)", "...", reason)[:160]


def run(quick: bool = False, *, models: Sequence[str] = (), results: str | None = None, seconds: float = 600.0,
        memory: float = 8.0, each: int = 4, onnx: bool = False,
        progress: Callable[[int, int], Any] | None = None) -> Table:
    """The table of the models of `names`, read one after the other.

    Parameters
    ----------
    models : sequence of str
        Patterns of which a model's "library:name" must match one, as "timm:resnet*"; all without.
    results : str, optional
        File of lines of JSON, one a model: models in it are not read again, others are added.
    seconds, memory : float
        Limits of each model, in seconds and GiB.
    each : int
        How many models of each module of timm.
    onnx : bool
        Also export each model, and read the ONNX file.
    progress : callable, optional
        Called with the number of models done and in the list.
    """
    missing = [lib for lib in ("torch", "torchvision", "timm") if importlib.util.find_spec(lib) is None]
    if missing:
        return Table("Models read", ("library", "models"), (("none", 0),), (f"not installed: {', '.join(missing)}",))
    kept = Kept(results, Reading)
    known = {one.name: one for one in kept.found}
    listed = list(QUICK) if quick else names(each)
    chosen = [name for name in listed if not models or any(fnmatch.fnmatchcase(name, one) for one in models)]
    if not chosen:
        raise ValueError(f"models={list(models)}: no model of the list of {len(listed)} matches, as timm:resnet*")
    for done, name in enumerate(chosen):
        if progress is not None:
            progress(done, len(chosen))
        if name not in known:
            known[name] = apart(name, seconds, memory, onnx)
            kept.add(known[name])
    return table([known[name] for name in chosen], len(listed))
