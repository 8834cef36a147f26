"""Fields, words and orders of arguments as other libraries have them, and what they are here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..base.checks import unknown_argument
from ..base.errors import quoted

__all__ = ["BORDER_WORDS", "FIELDS", "FOLLOWS", "check_arguments"]

#: Fields of layers in other libraries, and what they are called here.
FIELDS = {"kernel": "kernel_size", "k": "kernel_size", "pool_size": "kernel_size", "out_channels": "channels",
          "filters": "channels", "features": "channels", "strides": "stride", "pad": "padding",
          "dilation_rate": "dilation", "scale_factor": "scale", "rate": "p", "negative_slope": "slope",
          "num_groups": "groups", "initializer": "weights", "init": "weights", "kernel_initializer": "weights",
          "use_bias": "bias", "upscale_factor": "scale", "downscale_factor": "scale", "block_size": "scale",
          "size": "kernel_size", "border_mode": "padding_mode", "alpha": "slope", "interpolation": "mode"}
#: Fields that say how many channels come in.
INCOMING = ("in_channels", "channels_in", "num_features", "num_channels", "normalized_shape", "in_features",
            "input_shape")
#: Fields of what is a layer of its own here.
OWN_LAYERS = {"activation": "an activation is a layer of its own, as in serial(Conv(3), Activation('relu'))",
              "padding_mode": "padding of another kind is a layer of its own, as in serial(Pad(1, 'reflect'), ...)",
              "dim": "it acts on the channels of each site"}
#: What pads, in the words of other libraries.
BORDER_WORDS = {"constant": "zeros", "zero": "zeros", "edge": "replicate", "border": "replicate",
                "nearest": "replicate", "replication": "replicate", "wrap": "circular", "periodic": "circular",
                "mirror": "reflect", "reflection": "reflect", "symmetric": "reflect"}
FOLLOWS = "how many channels come in follows from the network"


def check_arguments(kind: str, names: Sequence[str], order: Sequence[str], values: Sequence[Any],
                    fields: Mapping[str, Any]) -> None:
    """Refuse arguments of a layer that other libraries take, with what is meant here.

    Parameters
    ----------
    kind : str
        Name of the layer's class.
    names : sequence of str
        Its fields.
    order : sequence of str
        Those that may be given without their names.
    values : sequence
        What is given without a name.
    fields : mapping
        What is given by name.

    Raises
    ------
    TypeError
        Where something is given twice, too much is given without a name, or there is no such field.
    """
    for word in fields:
        if word in names:
            continue
        if word in INCOMING:
            raise TypeError(f"{kind}() has no argument {word}=; {FOLLOWS}")
        if word in OWN_LAYERS:
            raise TypeError(f"{kind}() has no argument {word}=; {OWN_LAYERS[word]}"
                            + (f"; it takes {', '.join(names)}" if word == "dim" else ""))
        raise unknown_argument(kind, word, names, {slip: name for slip, name in FIELDS.items() if name in names})
    twice = next((name for name in order[:len(values)] if name in fields), None)
    if len(values) <= len(order) and twice is None:
        return
    taken = f"{kind}() takes {' and '.join(order) or 'nothing'} by position"
    given = f"was given {twice} twice" if twice else f"was given {len(values)}"
    hint = ""
    if "kernel_size" in order and "channels" in order and len(values) + (twice is not None) > 2:
        # incoming channels, outgoing channels, kernel, stride, padding
        rest = "".join(f", {name}={quoted(value)}" for name, value in zip(("stride", "padding"), values[3:]))
        kernel = fields["kernel_size"] if twice == "kernel_size" else values[2]
        hint = f"; did you mean {kind}({quoted(kernel)}, {quoted(values[1])}{rest})?"
    raise TypeError(f"{taken} and {given}; {FOLLOWS}{hint}")
