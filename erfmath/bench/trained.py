"""Small networks of many kinds of layers, trained: measured, and predicted under every hypothesis about their gates."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import training
from ..empirics.measure import measure
from ..layers import (Activation, BatchNorm, Conv, ConvTranspose, GlobalAvgPool, GroupNorm, Identity, LayerNorm,
                      MaxPool, PixelShuffle, PixelUnshuffle, RMSNorm, Shuffle, Slice, Upsample)
from ..networks.building import Part, concat, multiply, repeat, residual, serial
from ..networks.images import natural_images
from ..networks.network import Network
from ..theory.predict import predict
from ..trained.predicted import HYPOTHESES
from . import Table

__all__ = ["NETWORKS", "fields", "run"]

#: Channels; pixels per axis and the radius of the task in 2-D and 1-D; steps, and inputs that are looked at.
WIDTH, SIZES, STEPS, INPUTS = 12, {2: (32, 5), 1: (64, 8)}, 250, 128

_relu, _hard, _silu = Activation("relu"), Activation("hardswish"), Activation("silu")


def _unit(gate: Part = _relu, taps: Any = 3, **conv: Any) -> Network:
    return serial(Conv(taps, WIDTH, **conv), BatchNorm(), gate)


def _excited() -> Network:
    gate = serial(GlobalAvgPool(), Conv(1, 4), _relu, Conv(1, WIDTH), Activation("hardsigmoid"))
    return serial(_unit(_hard), Conv(3, WIDTH), BatchNorm(), multiply(Identity(), gate))


def _depthwise(gate: Part) -> Network:
    return serial(Conv(5, groups="depthwise"), BatchNorm(), gate)


def _branches(count: int, *branch: Part) -> Network:
    return serial(Conv(3, WIDTH), repeat(residual(serial(*branch)), count))


_line, _out = Conv((5,), WIDTH), Conv(1, 1)
_six, _prelu = Activation("relu6"), Activation("prelu")
NETWORKS = {
    "plain": serial(repeat(serial(Conv(3, WIDTH), _relu), 8), Conv(3, 1)),
    "SiLU": serial(repeat(_unit(_silu), 7), _out),
    "leaky ReLU, reflecting padding": serial(repeat(serial(Conv(3, WIDTH, padding_mode="reflect"), BatchNorm(),
                                                           Activation("leaky_relu", slope=0.1)), 6), _out),
    "max pools of 3 x 3": serial(_unit(), _unit(), MaxPool(3, 1, 1), _unit(), _unit(), MaxPool(3, 1, 1), _unit(), _out),
    "dilated": serial(_unit(), *[_unit(dilation=d) for d in (1, 2, 1, 2)], _out),
    "squeeze and excite, hard swish": serial(_unit(), repeat(serial(_excited(), _hard), 3), _out),
    "the same, residual": serial(_unit(), repeat(serial(residual(_excited()), _hard), 3), _out),
    "depthwise separable, ReLU6": serial(_unit(), repeat(serial(_depthwise(_six), _unit(_six, 1)), 3), _out),
    "inverted residuals, hard swish": serial(_unit(), repeat(residual(serial(
        Conv(1, 3 * WIDTH), BatchNorm(), _hard, _depthwise(_hard), Conv(1, WIDTH), BatchNorm())), 3), _out),
    "group norm": serial(_branches(6, GroupNorm(4), _relu, Conv(3, WIDTH)), _out),
    "layer norm, GELU": serial(_branches(4, Conv(5, groups="depthwise"), LayerNorm(), Conv(1, 2 * WIDTH),
                                         Activation("gelu"), Conv(1, WIDTH)), _out),
    "RMS norm, product with SiLU": serial(_branches(4, RMSNorm(), multiply(
        Conv(3, WIDTH), serial(Conv(1, WIDTH), _silu)), Conv(1, WIDTH)), _out),
    "product with sigmoid": serial(_unit(), repeat(serial(multiply(Conv(3, WIDTH), serial(
        Conv(3, WIDTH), Activation("sigmoid"))), BatchNorm()), 3), _out),
    "product of halves": serial(_branches(4, BatchNorm(), Conv(3, 2 * WIDTH), multiply(
        Slice(0, WIDTH), Slice(WIDTH, 2 * WIDTH)), Conv(1, WIDTH)), _out),
    "dense": serial(Conv(3, WIDTH), repeat(concat(Identity(), serial(BatchNorm(), _relu, Conv(3, 6))), 5), BatchNorm(),
                    _relu, _out),
    "shuffled groups": serial(_unit(), repeat(serial(Conv(3, WIDTH, groups=3), BatchNorm(), _relu, Shuffle(3)), 5),
                              _out),
    "bilinear upsampling": serial(_unit(), _unit(stride=2), _unit(), _unit(), Upsample(2, "bilinear"), _unit(),
                                  Conv(3, 1)),
    "U-Net": serial(_unit(), concat(Identity(), serial(MaxPool(2), _unit(), _unit(), _unit(), ConvTranspose(
        2, WIDTH, stride=2), _relu)), _unit(), Conv(3, 1)),
    "pixel shuffle": serial(_unit(), PixelUnshuffle(2), _unit(), _unit(), Conv(3, 4 * WIDTH), PixelShuffle(2), _relu,
                            Conv(3, 1)),
    "1-D": serial(repeat(serial(_line, BatchNorm(), _relu), 5), Conv((1,), 1)),
    "1-D, dilated residual": serial(Conv((3,), WIDTH), *[residual(serial(
        _relu, Conv((3,), WIDTH, dilation=d), BatchNorm(), _relu, Conv((1,), WIDTH))) for d in (1, 2, 4)],
        Conv((1,), 1)),
    "1-D, PReLU, strides": serial(Conv((5,), WIDTH, stride=2), _prelu, _line, _prelu, ConvTranspose(
        (4,), WIDTH, stride=2, padding=1), _prelu, Conv((3,), 1)),
}


def fields(name: str, steps: int = STEPS, inputs: int = INPUTS) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of a network that is trained to tell whether a box sums to more than zero, on its inputs and on noise.

    By the names of the hypotheses, and "measured"; on the inputs "taps", too.
    """
    net = NETWORKS[name]
    ndim = 1 if name.startswith("1-D") else 2
    size, radius = SIZES[ndim]
    data = training.BoxMajority(size, radius, ndim)
    weights: Any = training.fit(net, data, steps=steps, batch=8, rng=1, optimiser=training.Adam(3e-3),
                                loss=training.BinaryCrossEntropy()).weights
    images = data.batch(10**6, 2 * inputs, entropy=7)[0]
    if any(node.layer.takes_norm for node in net):
        weights = training.recalibrate(net, weights, images)
    plain: dict[str, Any] = {"image": (size,) * ndim, "channels_in": 1}
    found = []
    for about in ({"images": images}, {"images": natural_images(mean=0, std=1, period=2 * size), **plain}):
        rest: dict[str, Any] = {"weights": weights, "draws": inputs, "rng": 0, **about}
        found.append({"measured": measure(net, batch=1, **rest),
                      **{gates: predict(net, gates=gates, **rest) for gates in HYPOTHESES}})
    return {**found[0], "taps": predict(net, weights=weights, **plain)}, found[1]


def run(quick: bool = False) -> Table:
    """Std over the measured one, of the axis where it is farthest off, and total over the measured one."""
    rows = []
    for name in list(NETWORKS)[-1:] if quick else NETWORKS:
        for inputs, fields_ in zip(("task", "noise"), fields(name, 5, 8) if quick else fields(name)):
            measured = fields_["measured"]
            rows.append((name, inputs, ", ".join(f"{s:.3g} +- {e:.1g}" for s, e in zip(
                measured.std, measured.std_stderr)), *(_ratio(fields_.get(gates), measured) for gates in (
                    "taps", *HYPOTHESES))))
    return Table("trained networks of many kinds: std over measured; total over measured",
                 ("network", "inputs", "measured std", "taps", *HYPOTHESES), tuple(rows))


def _ratio(erf: Any, measured: Any) -> str:
    if erf is None:
        return ""
    ratios = np.divide(erf.std, measured.std)
    return f"{ratios[np.abs(np.log(ratios)).argmax()]:.2f}; {erf.total / measured.total:.2f}"
