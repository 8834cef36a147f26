"""The layers once more in PyTorch's own functions, in double precision: `compare` runs a network on both sides.

Only tests marked `torch` import this. A function of `LAYERS` takes the layer, its inputs (images, channels, *space) and
its parameters by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from vocabulary import CHANNELS, WIDTH

import erfmath as em
from erfmath.empirics.boxes import compile_network
from erfmath.empirics.run import forward
from erfmath.empirics.sampling import parameters_of

Tensor = torch.Tensor
EPSILON = 1e-5
#: By the number of axes.
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
ADAPTIVE_AVG = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}
ADAPTIVE_MAX = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def axes_of(x: Tensor) -> int:
    return x.ndim - 2


def space(x: Tensor) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


def per_axis(value: Any, n: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,) * n


def per_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.reshape(1, -1, *(1,) * axes_of(x))


def pairs(layer: Any, x: Tensor) -> list[tuple[int, int]]:
    """Padding before and after, per axis."""
    n = axes_of(x)
    if isinstance(layer.padding, int):
        return [(layer.padding,) * 2] * n
    if isinstance(layer.padding, tuple):
        return list(layer.padding) if isinstance(layer.padding[0], tuple) else [layer.padding] * n
    k, s, d = (per_axis(getattr(layer, field, 1), n) for field in ("kernel_size", "stride", "dilation"))
    if layer.padding == "valid":
        return [(0, 0)] * n
    if layer.padding == "half":
        return [(b * (a - 1) // 2,) * 2 for a, b in zip(k, d)]
    found = []
    for size, a, step, b in zip(x.shape[2:], k, s, d):
        total = max((math.ceil(size / step) - 1) * step + b * (a - 1) + 1 - size, 0)
        found.append((total // 2, total - total // 2))
    return found


def padded(x: Tensor, sides: list[tuple[int, int]], mode: str = "zeros", value: float = 0.0) -> Tensor:
    flat = [n for pair in reversed(sides) for n in pair]
    return F.pad(x, flat, value=value) if mode == "zeros" else F.pad(x, flat, mode=mode)


def biased(y: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    return y + per_channel(p["bias"], y) if "bias" in p else y


def affine(y: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    y = y * per_channel(p["scale"], y) if "scale" in p else y
    return y + per_channel(p["shift"], y) if "shift" in p else y


def conv(layer: em.Conv, x: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    n, w = axes_of(x), p["kernel"]
    y = CONV[n](padded(x, pairs(layer, x), layer.padding_mode), w, stride=per_axis(layer.stride, n),
                dilation=per_axis(layer.dilation, n), groups=x.shape[1] // w.shape[1])
    return biased(y, p)


def conv_transpose(layer: em.ConvTranspose, x: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    n, w = axes_of(x), p["kernel"]
    k, s, d = (per_axis(value, n) for value in (layer.kernel_size, layer.stride, layer.dilation))
    y = TRANSPOSED[n](x, w, stride=s, dilation=d, groups=x.shape[1] if layer.groups == "depthwise" else layer.groups)
    sides = [] if layer.padding == "same" else pairs(layer, x)
    for a, step, b in zip(k, s, d) if layer.padding == "same" else ():
        cut = b * (a - 1) + 1 - step  # as many sites as there are steps remain
        sides.append((max(cut, 0) // 2, cut - max(cut, 0) // 2))
    more = per_axis(layer.output_padding, n)
    return biased(padded(y, [(-a, -b + c) for (a, b), c in zip(sides, more)]), p)


def max_pool(layer: em.MaxPool, x: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    n, sides = axes_of(x), pairs(layer, x)
    k, s, d = (per_axis(value, n) for value in (layer.kernel_size, layer.stride, layer.dilation))
    if layer.ceil_mode:
        return MAX_POOL[n](x, k, s, tuple(a for a, _ in sides), d, ceil_mode=True)
    return MAX_POOL[n](padded(x, sides, value=-math.inf), k, s, 0, d)


def avg_pool(layer: em.AvgPool, x: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    n, sides = axes_of(x), pairs(layer, x)
    k, s = per_axis(layer.kernel_size, n), per_axis(layer.stride, n)
    if layer.ceil_mode:
        return AVG_POOL[n](x, k, s, tuple(a for a, _ in sides), ceil_mode=True,
                           count_include_pad=layer.count_include_pad)
    y = AVG_POOL[n](padded(x, sides), k, s)
    if layer.padding == "same" or not layer.count_include_pad:
        y = y / AVG_POOL[n](padded(torch.ones_like(x), sides), k, s)
    return y


def blur_pool(layer: em.BlurPool, x: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    n = axes_of(x)
    kernel, k = torch.ones((), dtype=x.dtype), per_axis(layer.kernel_size, n)
    for size in k:
        kernel = kernel[..., None] * torch.tensor([math.comb(size - 1, a) / 2.0**(size - 1) for a in range(size)],
                                                  dtype=x.dtype)
    return CONV[n](padded(x, pairs(layer, x)), kernel.expand(x.shape[1], 1, *k), stride=per_axis(layer.stride, n),
                   groups=x.shape[1])


def upsample(layer: em.Upsample, x: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    n = axes_of(x)
    if layer.size is None:
        size = tuple(m * r for m, r in zip(x.shape[2:], per_axis(layer.scale, n)))
    else:
        size = per_axis(layer.size, n)
    if layer.mode == "bilinear":
        return F.interpolate(x, size=size, mode=LINEAR[n], align_corners=layer.align_corners)
    for axis, m in enumerate(size, start=2):
        if layer.mode == "nearest":  # in integers: PyTorch's floor of a float may be one too low
            x = x.index_select(axis, torch.arange(m) * x.shape[axis] // m)
            continue
        line = x.movedim(axis, -1)  # PyTorch has bicubic in two axes only: here of a map one site wide
        flat = line.reshape(1, -1, 1, line.shape[-1])
        flat = F.interpolate(flat, size=(1, m), mode="bicubic", align_corners=layer.align_corners)
        x = flat.reshape(*line.shape[:-1], m).movedim(-1, axis)
    return x


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": F.gelu, "silu": F.silu, "elu": F.elu,
    "softplus": F.softplus, "identity": lambda x: x, "relu6": F.relu6, "hardtanh": F.hardtanh, "mish": F.mish,
    # PyTorch divides by 6 in single precision
    "hardswish": lambda x: x * F.relu6(x + 3) / 6, "hardsigmoid": lambda x: F.relu6(x + 3) / 6, "selu": F.selu,
    "celu": F.celu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "softsign": F.softsign,
    "relu_squared": lambda x: F.relu(x)**2}


def activation(layer: em.Activation, x: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    if layer.function == "prelu" and "slope" in p:
        return F.prelu(x, p["slope"])
    if layer.function in ("leaky_relu", "prelu"):
        return F.leaky_relu(x, layer.slope)
    return FUNCTIONS[layer.function](x)


def batch_norm(layer: em.BatchNorm, x: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    if layer.mode == "identity":
        return affine(x, p)
    return affine(F.batch_norm(x, None, None, training=True, eps=EPSILON), p)


def rms_norm(layer: em.RMSNorm, x: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    return affine(x / torch.sqrt((x * x).mean(1, keepdim=True) + EPSILON), p)


def layer_norm(layer: em.LayerNorm, x: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    return affine(F.layer_norm(x.movedim(1, -1), x.shape[1:2], eps=EPSILON).movedim(-1, 1), p)


def grn(layer: em.GRN, x: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    norm = torch.linalg.vector_norm(x, dim=space(x), keepdim=True)
    gamma = per_channel(p["gamma"], x) if "gamma" in p else layer.gamma
    beta = per_channel(p["beta"], x) if "beta" in p else layer.beta
    return gamma * x * norm / (norm.mean(1, keepdim=True) + 1e-6) + beta + x


def shuffle(layer: em.Shuffle, x: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    return x.unflatten(1, (layer.groups, -1)).transpose(1, 2).flatten(1, 2)


def softmax(layer: em.Softmax, x: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    return torch.softmax(x.unflatten(1, (layer.parts, -1)), 1).flatten(1, 2)


def pixel_shuffle(layer: em.PixelShuffle, x: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    n = axes_of(x)
    r = per_axis(layer.scale, n)
    if n == 2 and r[0] == r[1]:
        return F.pixel_shuffle(x, r[0])
    y = x.unflatten(1, (-1, *r))
    order = [at for axis in range(n) for at in (2 + n + axis, 2 + axis)]
    return y.permute(0, 1, *order).reshape(len(x), -1, *(m * step for m, step in zip(x.shape[2:], r)))


def pixel_unshuffle(layer: em.PixelUnshuffle, x: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    n = axes_of(x)
    r = per_axis(layer.scale, n)
    x = x[(..., *(slice(m // step * step) for m, step in zip(x.shape[2:], r)))]
    if n == 2 and r[0] == r[1]:
        return F.pixel_unshuffle(x, r[0])
    y = x.reshape(*x.shape[:2], *(part for m, step in zip(x.shape[2:], r) for part in (m // step, step)))
    return y.permute(0, 1, *range(3, 3 + 2 * n, 2), *range(2, 2 + 2 * n, 2)).flatten(1, 1 + n)


def pad(layer: em.Pad, x: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    return padded(x, pairs(layer, x), layer.mode)


def concat(layer: em.Concat, xs: list[Tensor], p: Mapping[str, Tensor]) -> Tensor:
    largest = [max(sizes) for sizes in zip(*(x.shape[2:] for x in xs))]
    return torch.cat([x.expand(*x.shape[:2], *largest) for x in xs], 1)


def of_group(layer: em.GroupNorm, x: Tensor, p: Mapping[str, Tensor]) -> Tensor:
    return affine(F.group_norm(x, layer.groups, eps=EPSILON), p)


#: Every kind of layer.
LAYERS: dict[str, Callable[..., Tensor]] = {
    "activation": activation, "slice": lambda layer, x, p: x[:, layer.start:layer.stop], "shuffle": shuffle,
    "softmax": softmax, "pixel_shuffle": pixel_shuffle, "pixel_unshuffle": pixel_unshuffle, "conv": conv,
    "conv_transpose": conv_transpose, "scale": lambda layer, x, p: x * layer.factor, "dropout": lambda layer, x, p: x,
    "pad": pad, "identity": lambda layer, x, p: x, "add": lambda layer, xs, p: sum(xs[1:], xs[0]), "concat": concat,
    "multiply": lambda layer, xs, p: math.prod(xs[1:], start=xs[0]), "batch_norm": batch_norm,
    "layer_norm": layer_norm, "rms_norm": rms_norm, "group_norm": of_group,
    "instance_norm": lambda layer, x, p: affine(F.group_norm(x, x.shape[1], eps=EPSILON), p), "grn": grn,
    "max_pool": max_pool, "avg_pool": avg_pool, "blur_pool": blur_pool,
    "global_avg_pool": lambda layer, x, p: x.mean(space(x), keepdim=True),
    "adaptive_avg_pool": lambda layer, x, p: ADAPTIVE_AVG[axes_of(x)](x, per_axis(layer.size, axes_of(x))),
    "adaptive_max_pool": lambda layer, x, p: ADAPTIVE_MAX[axes_of(x)](x, per_axis(layer.size, axes_of(x))),
    "upsample": upsample}


def compare(net: em.Network, image: tuple[int, ...], rng: np.random.Generator, images: int = 3) -> dict[str, float]:
    """Largest differences of outputs and of gradients to the inputs and the parameters, in units of the largest.

    Parameters are drawn, those of norms and biases near their values; batch norms take the statistics of the images.
    Gradients that vanish but for rounding (before a norm that takes them away) are compared with the outputs.
    """
    ndim = len(image)
    numbers = {}
    for key, parameter in parameters_of(net, ndim, WIDTH, CHANNELS).items():
        if parameter.optional and not (parameter.random or parameter.trained):
            continue
        noise = rng.standard_normal((1, *parameter.shape))
        numbers[key] = (parameter.fixed() + .3 * noise if parameter.optional else
                        noise / math.sqrt(math.prod(parameter.shape[1:])))
    x = rng.standard_normal((1, CHANNELS, images, *image))
    program = compile_network(net, ndim, image=image)
    run = forward(program, numbers, x, training=True)
    v = rng.standard_normal(run.output.shape)
    found = {"outputs": run.output, "inputs": run.backward(v),
             **forward(program, numbers, x, training=True).learn(v)}

    values = {-1: torch.tensor(x[0]).transpose(0, 1).contiguous().requires_grad_()}
    twins = {key: torch.tensor(array[0]).requires_grad_() for key, array in numbers.items()}
    for i, node in enumerate(net.nodes):
        inputs: Any = [values[j] for j in net.sources[i]]
        parameters = {name: twin for (j, name), twin in twins.items() if j == i}
        merges = node.layer.op in ("add", "concat", "multiply")
        values[i] = LAYERS[node.layer.op](node.layer, inputs if merges else inputs[0], parameters)
    y = values[net.index(None)]
    (y * torch.tensor(v[0]).transpose(0, 1)).sum().backward()
    expected = {"outputs": y.transpose(0, 1), "inputs": gradient(values[-1]).transpose(0, 1),
                **{key: gradient(twin) for key, twin in twins.items() if key in found or key[0] in program.steps}}
    assert set(found) == set(expected), set(found) ^ set(expected)
    worst = {"outputs": 0.0, "inputs": 0.0, "parameters": 0.0}
    for key, array in expected.items():
        b = array.detach().numpy()
        assert found[key].shape == (1, *b.shape), f"{key}: shape {found[key].shape[1:]}, PyTorch's {b.shape}"
        error = np.abs(found[key][0] - b).max(initial=0) / max(np.abs(b).max(initial=0), np.abs(v).max(initial=0))
        what = key if isinstance(key, str) else "parameters"
        worst[what] = max(worst[what], float(error))
    return worst


def gradient(x: Tensor) -> Tensor:
    return torch.zeros_like(x) if x.grad is None else x.grad
