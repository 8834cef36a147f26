"""Which network a command is about, and what its source says beside it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

import erfmath as em

from ..base.files import BROKEN, check_archive, check_target, open_regular, write_atomically
from . import report
from .report import Answer

if TYPE_CHECKING:
    from ..readers.model import Model

__all__ = ["NAMES", "add_source_options", "convert", "dimension", "network", "said", "store", "stored_images"]

NAMES = ("name of a network (see erfmath zoo), a file .json, .onnx or .keras, package.module:callable of PyTorch, or - "
         "for JSON on standard input")


def add_source_options(parser: argparse.ArgumentParser, *, weights: bool = True) -> None:
    """How files and modules of other frameworks are read."""
    group = parser.add_argument_group("networks of PyTorch, ONNX and Keras")
    group.add_argument("--init", choices=("module", "weights", "he"),
                       help="module: random weights of the gains that the arrays have; weights: the arrays themselves; "
                            "he: random weights of gain 2 (default: weights for .onnx, and for .keras if they can be "
                            "read; else module)")
    group.add_argument("--stand-in", action="store_true",
                       help="replace operations without a rule by layers of the same support")
    if not weights:
        group.add_argument("--channels-in", type=int, metavar="N", help="channels of the input of a PyTorch module "
                                                                        "(default: 3)")
    else:
        group.add_argument("--weights", metavar="FILE", help="arrays by node (.npz), as erfmath convert writes them")


def network(options: argparse.Namespace) -> em.Network:
    """The network that NET names; options that were not given become what its source says.

    These are `image`, `channels_in`, `node` (which may be the label of an output) and `weights`, a mapping then.
    """
    net, model = _read(options)
    path = getattr(options, "weights", None)
    given = {name: value for name in ("image", "channels_in", "node")
             if (value := getattr(options, name, None)) is not None}
    if model is not None:
        given = model.settings(given)
    options.model, options.image, options.node = model, given.get("image"), given.get("node")
    options.channels_in = given.get("channels_in", 3)
    options.weights = given.get("weights") if path is None else _arrays(path)
    return net


def said(erf: Any, options: argparse.Namespace) -> Any:
    """A field with what its network's source adds to its assumptions."""
    return erf if options.model is None else options.model.assuming(erf)


def _read(options: argparse.Namespace) -> tuple[em.Network, Model | None]:
    found = _found(options.network, options)
    if isinstance(found, em.Network):
        if getattr(options, "init", None) or getattr(options, "stand_in", False):
            raise ValueError("--init, --stand-in: are for networks of PyTorch, ONNX and Keras")
        return found, None
    return found.net, found


def _found(text: str, options: argparse.Namespace) -> em.Network | Model:
    how: dict[str, Any] = {"image": options.image, "init": getattr(options, "init", None),
                           "unsupported": "stand_in" if getattr(options, "stand_in", False) else "raise"}
    suffix = os.path.splitext(text)[1].lower()
    if text == "-":
        try:
            return em.Network.from_dict(json.load(sys.stdin))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"standard input: {error}") from None
    if suffix in (".onnx", ".keras") or ":" in text and not os.path.exists(text):
        from ..readers.reading import from_name
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())  # for modules of the user's own
        with warnings.catch_warnings():  # of the framework, about itself
            warnings.simplefilter("ignore")
            return from_name(text, channels_in=getattr(options, "channels_in", None), **how)
    if suffix == ".json" or os.path.sep in text or os.path.isfile(text):
        return em.from_keras(text, **how) if suffix == ".json" and _of_keras(text) else em.load(text)
    return em.zoo.build(text)


def _of_keras(path: str) -> bool:
    """Whether a JSON file is what `to_json` of a Keras model gives."""
    with open_regular(path) as file:
        return b'"class_name"' in file.read(2**16)


def store(file: BinaryIO, arrays: Mapping[str, Any]) -> None:
    """An npz file; names of nodes may be such as `numpy.savez` has for its own arguments."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as part:
                np.lib.format.write_array(part, np.ascontiguousarray(array), allow_pickle=False)


def _arrays(path: str, option: str = "--weights") -> dict[str, Any]:
    with open_regular(path) as file:
        try:
            check_archive(file)
            with np.load(file, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, *BROKEN) as error:
            raise ValueError(f"{option} {path}: must be an npz file of arrays by node ({error})") from None


def stored_images(path: str) -> Any:
    """The images of an npz file: its array "images", or the only one that it has."""
    arrays = _arrays(path, "--images")
    if "images" not in arrays and len(arrays) != 1:
        raise ValueError(f"--images {path}: must have an array called images, of shape (N, channels, *space)")
    return arrays.get("images", next(iter(arrays.values())))


def convert(options: argparse.Namespace) -> Answer:
    """``erfmath convert``: a network as JSON, its arrays beside it."""
    for path in (options.out, options.weights_out):
        if path is not None:
            check_target(path)
    if options.weights_out is not None and not options.weights_out.endswith(".npz"):
        raise ValueError(f"--weights {options.weights_out}: the name of such a file must end in .npz")
    with report.progress(options, f"convert {options.network}"):
        net, model = _read(options)
    if options.weights_out is not None:
        if model is None or not model.weights:
            raise ValueError(f"--weights: {options.network} has no arrays")
        arrays = model.weights
        write_atomically(options.weights_out, lambda file: store(file, arrays))
    net.save(options.out)
    values = {"network": options.network, "out": options.out, "weights": options.weights_out, "nodes": len(net),
              "output": net.output}
    if model is None:
        return Answer(values, f"{options.out}: {len(net)} nodes")
    values |= {"image": model.image, "channels_in": model.channels_in, "outputs": dict(model.outputs),
               "stand_ins": [one._asdict() for one in model.stand_ins], "notes": model.notes}
    return Answer(values, model.summary())


def dimension(net: em.Network, options: argparse.Namespace) -> int:
    """The one dimension that the network and the options agree on."""
    named = {"the network": net.ndim, "--ndim": getattr(options, "ndim", None), "--image": _length(options.image),
             "--unit": _length(getattr(options, "unit", None))}
    fixed = {name: ndim for name, ndim in named.items() if ndim is not None}
    if len(set(fixed.values())) > 1:
        raise ValueError("dimensions differ: " + ", ".join(f"{name} has {ndim}" for name, ndim in fixed.items()))
    return net.dimension(next(iter(fixed.values()), 2))


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, tuple) else None
