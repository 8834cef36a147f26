"""Networks and recipes of the training experiments: a spec of plain values says all of a run."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import training
from ..lattice import kernels
from ..layers import Activation, AvgPool, BatchNorm, Conv, GlobalAvgPool, Random, Scale, Upsample
from ..networks.building import Part, residual, serial
from ..networks.network import Network
from .sampling import finished

__all__ = ["loss_of", "network", "profile", "residual_net", "run", "spec", "test_data", "train_data"]

#: Steps after which weights are kept, as fractions of all steps.
KEPT = (0, 1 / 400, 1 / 200, 1 / 100, 1 / 50, 1 / 25, 1 / 12, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1)
#: What each task trains with, unless a spec says otherwise.
RECIPES: dict[str, dict[str, Any]] = {
    "cifar": {"norm": True, "steps": 4680, "batch": 128, "rate": 0.1, "decay": 5e-4},
    "cifar-plain": {"norm": False, "steps": 3905, "batch": 64, "rate": 0.05, "decay": 5e-4},
    "camvid": {"norm": True, "steps": 2700, "batch": 8, "rate": 0.05, "decay": 5e-4},
    "camvid-plain": {"norm": False, "steps": 2700, "batch": 8, "rate": 0.05, "decay": 5e-4},
    "init": {"rate": 0.02, "steps": 600, "batch": 64, "profile": "he"},
    "box": {"rate": 2e-3, "steps": 400, "batch": 16, "layers": 12, "size": 33, "radius": 8, "profile": "he",
            "variant": "plain"},
}
CLASSES, VOID, CELL = 10, 11, 8
#: Pixels per axis of the published CamVid pictures that become one.
THIRD = 3
TEST = 12_345  # beside the seed: where test inputs of the box task come from
SUBSET = 25_600  # images of the comparison of initialisations


def spec(task: str, seed: int, **changes: Any) -> dict[str, Any]:
    """The spec of a run: the task's recipe, with `changes`."""
    return {"task": task, "seed": seed, **RECIPES[task], **changes}


def profile(name: str) -> Random:
    """He's initialisation with the variance of a 3x3 kernel spread evenly, to the rim, or to the centre."""
    if name == "he":
        return Random()
    if name == "soft":
        return Random(profile=kernels.soft_rim(3, 0.4).pmf)
    return Random(profile=[[0.64, 1, 0.64], [1, 2.56, 1], [0.64, 1, 0.64]])


def _block(channels: int, stride: int, project: bool, norm: bool, factor: float) -> Network:
    """Pre-activation unit of one 3x3 convolution; projections average 2x2 pixels first.

    A shortcut that takes every second pixel would leave the others to the branch alone, a
    checkerboard in every gradient.
    """
    branch: list[Part] = [Activation("relu"), Conv(3, channels, stride=stride)]
    branch = [BatchNorm(), *branch] if norm else [*branch, Scale(factor)]
    shortcut = serial(AvgPool(2), Conv(1, channels, weights=Random(gain=1.0))) if project else None
    return residual(serial(*branch), shortcut)


def residual_net(units: tuple[int, ...], classes: int, *, norm: bool, stem_stride: int = 1, width: int = 16,
                 pooled: bool = True) -> Network:
    """Pre-activation residual network with one 3x3 convolution a unit.

    Parameters
    ----------
    units : tuple of int
        Residual units per stage; stages halve the map and double the channels.
    classes : int
    norm : bool
        Batch norm before each activation; without, branches are multiplied by the number of units
        to the power -1/2.
    stem_stride, width : int
    pooled : bool
        End in global average pooling: one output an image.
    """
    parts: list[Part] = [Conv(3, width, stride=stem_stride, weights=Random(gain=1.0), name="stem")]
    for stage, count in enumerate(units):
        for unit in range(count):
            first = stage > 0 and unit == 0
            parts.append(_block(width << stage, 2 if first else 1, first, norm, sum(units)**-0.5))
    parts += [BatchNorm()] if norm else []
    parts += [Activation("relu", name="features"), *([GlobalAvgPool()] if pooled else []),
              Conv(1, classes, weights=Random(gain=1.0), name="classifier")]
    return serial(*parts)


def _chain(strides: list[int], widths: list[int], weights: Random, head: list[Part],
           dilations: list[int] | None = None) -> Network:
    parts: list[Part] = []
    for i, (stride, width) in enumerate(zip(strides, widths)):
        dilation = 1 if dilations is None else dilations[i]
        parts += [Conv(3, width, stride=stride, dilation=dilation, weights=weights),
                  Activation("relu", name="features" if i == len(strides) - 1 else None)]
    return serial(*parts, *head)


def network(spec: Mapping[str, Any]) -> Network:
    """The network of a spec; node "features" is what its effective receptive field is taken of."""
    task = spec["task"]
    if task.startswith("cifar"):  # receptive field 73
        return residual_net((6, 6, 5), CLASSES, norm=spec["norm"])
    if task.startswith("camvid"):  # receptive field 163 at stride 8
        return residual_net((3, 4, 8), VOID, norm=spec["norm"], stem_stride=2, pooled=False)
    if task == "init":
        strides, widths = [1, 1, 1, 1, 2, 1, 1, 2, 1, 1], [16] * 4 + [32] * 3 + [64] * 3
        return _chain(strides, widths, profile(spec["profile"]),
                      [GlobalAvgPool(), Conv(1, CLASSES, weights=Random(gain=1.0), name="classifier")])
    return _box(spec)


def _box(spec: Mapping[str, Any]) -> Network:
    """A chain of 3x3 convolutions, with one of the remedies for a small field."""
    n, last = spec["layers"], Conv(1, 1, weights=Random(gain=1.0), name="classifier")
    weights, middle = profile(spec["profile"]), range(n // 3, 2 * n // 3)
    if spec["variant"] == "skip":
        unit = residual(serial(Activation("relu"), Conv(3, 16), Scale(n**-0.5)))
        return serial(Conv(3, 16), *[unit] * (n - 1), Activation("relu", name="features"), last)
    if spec["variant"] == "strided":  # half of the sites from the middle on, and back for the labels
        strides = [2 if i == n // 2 else 1 for i in range(n)]
        return _chain(strides, [16] * n, weights, [Upsample(2, "bilinear"), last])
    dilations = [2 if spec["variant"] == "dilated" and i in middle else 1 for i in range(n)]
    return _chain([1] * n, [16] * n, weights, [last], dilations)


def train_data(spec: Mapping[str, Any], files: Mapping[str, os.PathLike[str]]) -> Any:
    """What a spec is trained on; `files` holds the paths of "cifar10" and "camvid"."""
    if spec["task"] == "box":
        return training.BoxMajority(spec["size"], spec["radius"])
    data = _read(spec, files, "train", None)
    if spec["task"] != "init":
        return data
    return training.Images(data.images[:SUBSET], data.labels[:SUBSET], data.classes, data.mean, data.std)


def test_data(spec: Mapping[str, Any], files: Mapping[str, os.PathLike[str]], train: Any) -> training.Images:
    """What a spec is tested on: of the box task, inputs that training does not meet."""
    if spec["task"] != "box":
        return _read(spec, files, "test", train)
    inputs, labels = train.batch(0, spec["images"], [spec["seed"], TEST])
    return training.Images(inputs, labels, 2, np.zeros(1), np.ones(1))


def loss_of(spec: Mapping[str, Any]) -> Any:
    """The loss of a task."""
    if spec["task"] == "box":
        return training.BinaryCrossEntropy()
    return training.CrossEntropy(ignore=VOID if spec["task"].startswith("camvid") else None)


def _read(spec: Mapping[str, Any], files: Mapping[str, os.PathLike[str]], split: str, like: Any) -> Any:
    if spec["task"].startswith("camvid"):
        data = _camvid(pathlib.Path(files["camvid"]), split, like)
        cells = training.majority(data.labels, CELL, VOID + 1)
        return training.Images(data.images, cells, VOID + 1, data.mean, data.std)
    read = training.read_cifar10 if pathlib.Path(files["cifar10"]).is_dir() else training.read_npz
    return read(files["cifar10"], split, like=like)


def _camvid(path: pathlib.Path, split: str, like: Any) -> Any:
    """An npz file as it is; of the published folders `train`, `trainannot`, ... a third of the pixels per axis.

    Pictures of 360 x 480 pixels become means of 3 x 3 pixels, and labels those of the middle one of nine.
    """
    if not path.is_dir():
        return training.read_npz(path, split, like=like)
    data = training.read_png_pairs(path / split, path / f"{split}annot")
    n, channels, *space = data.images.shape
    height, width = (size // THIRD for size in space)
    if height < CELL or width < CELL:
        raise ValueError(f"{path / split}: pictures must have at least {THIRD * CELL} pixels per axis")
    cut = data.images[:, :, :height * THIRD, :width * THIRD]
    small = cut.reshape(n, channels, height, THIRD, width, THIRD).mean(axis=(3, 5)).round().astype(np.uint8)
    labels = data.labels[:, THIRD // 2::THIRD, THIRD // 2::THIRD][:, :height, :width]
    if like is None:
        return training.Images(small, labels, VOID + 1)
    return training.Images(small, labels, VOID + 1, like.mean, like.std)


def run(spec: Mapping[str, Any], data: Any, *, checkpoint: Any = None,
        progress: bool | Callable[[int, int], Any] | None = None) -> training.Training:
    """Train what a spec says; an interruption is raised, as by `sampling.measure`."""
    task, steps = spec["task"], spec["steps"]
    options: dict[str, Any] = {}
    if task == "box":
        options = {"optimiser": training.Adam(spec["rate"]), "schedule": training.Cosine(warmup=30, floor=0.05),
                   "clip": 1.0}
    elif task == "init":
        options = {"optimiser": training.SGD(spec["rate"], 0.9, True), "schedule": training.Piecewise(at=())}
    else:
        dense = task.startswith("camvid")
        options = {"optimiser": training.SGD(spec["rate"], 0.9, True, spec["decay"]), "schedule": training.Cosine(),
                   "augment": training.CropFlip(shift=0 if dense else 4)}
    return finished(training.fit(
        network(spec), data, steps=steps, batch=spec["batch"], rng=spec["seed"], loss=loss_of(spec),
        keep=sorted({round(part * steps) for part in KEPT}), checkpoint=checkpoint, progress=progress, **options))
