"""The readers by name: `from_torch`, `from_onnx`, `from_keras`."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.util
import os
from collections.abc import Mapping
from typing import Any

from ..base.checks import choice, is_sequence
from ..base.errors import optional, quoted
from .convert import INITS, convert
from .model import Model, model_of
from .records import Trace

__all__ = ["from_keras", "from_name", "from_onnx", "from_torch"]


def _read(trace: Trace, init: str, unsupported: str) -> Model:
    try:
        return model_of(convert(trace, init=init, unsupported=unsupported), init, trace.source)
    except ValueError as error:
        if trace.source in str(error):
            raise
        raise type(error)(f"{trace.source}: {error}") from None


def _check(init: str, unsupported: str) -> None:
    choice(init, "init", INITS)
    choice(unsupported, "unsupported", ("raise", "stand_in"))


def from_name(text: str, *, image: Any = None, channels_in: int | None = None, init: str | None = None,
              unsupported: str = "raise") -> Model:
    """The model that a command line names: a file `.onnx` or `.keras`, or `package.module:callable` of PyTorch.

    The callable is called without arguments, with the seed 0, or it is a module already.

    Raises
    ------
    ImportError
        If there is no such package, or torch is not installed.
    ValueError
        If the text names none of these, if no image is given for a callable, or the callable makes no module; else as
        the reader says.
    """
    suffix = os.path.splitext(text)[1].lower()
    if suffix == ".onnx":
        return from_onnx(text, image=image, init=init or "weights", unsupported=unsupported)
    if suffix == ".keras":
        return from_keras(text, image=image, init=init, unsupported=unsupported)
    package, _, name = text.partition(":")
    if not all(part.isidentifier() for part in f"{package}.{name}".split(".")):
        raise ValueError(f"{quoted(text)}: must be a file .onnx or .keras, or package.module:callable")
    if image is None:
        raise ValueError(f"image=None: must be the size of an image in pixels for {text}, as 224")
    top = package.split(".")[0]
    found = optional(package, text, f"run where {top}.py is")
    torch = optional("torch", text)
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError:
        near = difflib.get_close_matches(name, dir(found), 1)
        hint = f"; it has {near[0]!r}" if near else ""
        raise ValueError(f"{quoted(text)}: {package} has no {quoted(name)}{hint}") from None
    if isinstance(found, type) or not isinstance(found, torch.nn.Module):
        torch.manual_seed(0)
        try:
            found = found()
        except Exception as error:  # of the user's own code
            raise ValueError(f"{quoted(text)}: cannot be called without arguments ({type(error).__name__}: {error})"
                             ) from error
    if not isinstance(found, torch.nn.Module):
        raise ValueError(f"{quoted(text)}: makes a {type(found).__name__}; must make a torch.nn.Module")
    space = tuple(image) if is_sequence(image) else (image, image)
    return from_torch(found.eval(), (1, 3 if channels_in is None else channels_in, *space), init=init or "module",
                      unsupported=unsupported)


def from_torch(module: Any, example: Any = None, *, init: str = "module", unsupported: str = "raise",
               input: str | None = None) -> Model:
    """The network of a PyTorch module, read with torch.export; the module is not changed.

    Parameters
    ----------
    module : torch.nn.Module or torch.export.ExportedProgram
        The module.
    example : tensor, tuple of tensors, or tuple of int
        What the module is called with, or the shape of that, as (1, 3, 224, 224); not needed for a program.
    init : {"module", "weights", "he"}
        "module": random weights with the gain of each array, batch norms by the statistics of the data: the module as
        it starts training, if it is fresh. "weights": the arrays themselves, batch norms as they are in evaluation.
        "he": random weights of gain 2.
    unsupported : {"raise", "stand_in"}
        Refuse operations that have no layer, all in one error, or put layers of the same support in their place.
    input : str, optional
        Name of the argument that is the image, where the module takes several tensors; the others are constants, with
        the values that they have in `example`.

    Returns
    -------
    Model
        The network with its arrays, image and outputs.

    Raises
    ------
    ImportError
        If torch is not installed.
    NotImplementedError
        Listing the operations without a layer.
    ValueError
        If the module cannot be exported, or takes several tensors and `input` does not say which is the image.

    See Also
    --------
    from_onnx : The network of an ONNX file, read with NumPy alone.
    from_keras : The network of a Keras model.

    Examples
    --------
    >>> import torchvision, erfmath as em                                             # doctest: +SKIP
    >>> model = em.from_torch(torchvision.models.resnet18(), (1, 3, 224, 224))        # doctest: +SKIP
    >>> model.net.output, model.receptive_field().size                                # doctest: +SKIP
    ('layer4.1.relu_2', (435, 435))
    """
    from .torch import trace_module

    _check(init, unsupported)
    return _read(trace_module(module, example, input), init, unsupported)


def from_onnx(path: str | os.PathLike[str], *, image: Any = None, init: str = "weights",
              unsupported: str = "raise", input: str | None = None, given: Mapping[str, Any] | None = None) -> Model:
    """The network of an ONNX file, read with NumPy alone; nothing in the file is executed.

    Parameters
    ----------
    path : path
        The file; what it keeps in files beside it is read from its directory.
    image : int or tuple of int, optional
        Size of the input in pixels, where the file leaves it open.
    init : {"weights", "module", "he"}
        As for `from_torch`.  Exporters fold batch norms into the convolutions before them, so that a file has the
        weights of a trained network and not the structure of a fresh one.
    unsupported : {"raise", "stand_in"}
        As for `from_torch`.
    input : str, optional
        Name of the input that is the image, where the file has several; what depends on it is the network.
    given : mapping of str to array, optional
        Values of the other inputs by name; a number stands for an array of the file's shape full of it.

    Returns
    -------
    Model
        The network with its arrays, image and outputs.

    Raises
    ------
    NotImplementedError
        Listing the operators without a layer.
    OSError
        If a file cannot be read.
    SizeError
        If a file is too large.
    ValueError
        Naming file and byte, or file and node: no ONNX file, cut short, quantised, of open size, or of several inputs
        whose others are not given.

    See Also
    --------
    from_torch : The network of a PyTorch module, read with torch.export.
    from_keras : The network of a Keras model.

    Examples
    --------
    >>> import pathlib
    >>> import erfmath as em
    >>> em.from_onnx("resnet50.onnx").predict().std                                   # doctest: +SKIP
    >>> _ = pathlib.Path("other.onnx").write_bytes(b"something else")
    >>> em.from_onnx("other.onnx")
    Traceback (most recent call last):
        ...
    ValueError: other.onnx: byte 0: field 14 has the unknown wire type 3
    """
    from .onnx import trace_file

    _check(init, unsupported)
    return _read(trace_file(path, image, input, given), init, unsupported)


def from_keras(model: Any, *, image: Any = None, init: str | None = None, unsupported: str = "raise") -> Model:
    """The network of a Keras model: a `.keras` file, the JSON of `to_json()`, or the model itself.

    Files are read without Keras; their weights need h5py.

    Parameters
    ----------
    model : path or keras.Model
        A model, or the path of a file.
    image : int or tuple of int, optional
        Size of the input in pixels, where the model leaves it open.
    init : {"weights", "module", "he"}, optional
        As for `from_torch`; by default "weights" where they can be read, else "module": random weights of the variances
        that the model's initialisers have.
    unsupported : {"raise", "stand_in"}
        As for `from_torch`.

    Returns
    -------
    Model
        The network with its arrays, image and outputs.

    Raises
    ------
    ImportError
        If init="weights" and h5py is not installed.
    NotImplementedError
        Listing the layers without a layer here.
    OSError
        If the file cannot be read.
    ValueError
        Naming file and layer: no such file, of several inputs, of open size, or init="weights" without weights.

    See Also
    --------
    from_torch : The network of a PyTorch module, read with torch.export.
    from_onnx : The network of an ONNX file, read with NumPy alone.

    Examples
    --------
    >>> import json
    >>> import erfmath as em
    >>> start = {"class_name": "InputLayer", "config": {"name": "image", "batch_shape": [None, 32, 32, 3]}}
    >>> conv = {"class_name": "Conv2D", "config": {"name": "stem", "filters": 8, "kernel_size": 3, "padding": "same"}}
    >>> with open("model.json", "w") as file:
    ...     json.dump({"class_name": "Sequential", "config": {"name": "small", "layers": [start, conv]}}, file)
    >>> model = em.from_keras("model.json")
    >>> model.net.names, model.image, model.channels_in, round(model.net["stem"].layer.weights.gain, 3)
    (('stem',), (32, 32), 3, 0.545)
    """
    from .keras import trace_model

    _check("module" if init is None else init, unsupported)
    trace, weighted = trace_model(model, image, required=init == "weights")
    if init == "weights" and not weighted:
        raise ValueError(f"init='weights': the weights of {trace.source} are not there; use init='module'")
    init = init or ("weights" if weighted else "module")
    found = _read(trace, init, unsupported)
    if weighted:
        return found
    why = "" if importlib.util.find_spec("h5py") else " (h5py is not installed: pip install h5py)"
    return dataclasses.replace(found, weights={}, notes=(*found.notes, f"no weights were read{why}; random ones have "
                                                         "the variances of the model's initialisers"))
