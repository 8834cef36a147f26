"""Small networks of the kinds that people build, each with what makes its kind, for `erfmath bench accuracy`.

Most are a stem and a few blocks on small images; width and draws are such that sampling takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..layers import (Activation, AdaptiveAvgPool, AvgPool, BatchNorm, BlurPool, Conv, ConvTranspose, Dropout,
                      GlobalAvgPool, GroupNorm, Identity, InstanceNorm, LayerNorm, MaxPool, PixelShuffle,
                      PixelUnshuffle, RMSNorm, Scale, Shuffle, Slice, Softmax, Upsample)
from ..networks.builder import NetworkBuilder
from ..networks.building import Part, add, concat, multiply, repeat, residual, serial, split
from ..networks.network import Network
from .cases import Case

__all__ = ["CASES"]

#: Kernels for one axis, where a network has one.
ONE = (3,)


def _act(function: str = "relu") -> Activation:
    return Activation(function)


def _conv(channels: int, kernel: Any = 3, function: str | None = "relu", norm: Any = BatchNorm, **options: Any
          ) -> Network:
    """Convolution, norm, activation, where they are not None."""
    parts: list[Part] = [Conv(kernel, channels, **options)]
    if norm is not None:
        parts.append(norm())
    return serial(*parts, *([_act(function)] if function else []))


def _depthwise(channels: int, kernel: int = 3, function: str | None = "relu", **options: Any) -> Network:
    return _conv(channels, kernel, function, groups=channels, **options)


def _separable(channels: int, **options: Any) -> Network:
    return serial(Conv(3, channels, groups="depthwise"), _conv(channels, 1, **options))


def _gate(channels: int, function: str = "sigmoid") -> Network:
    """Squeeze and excite."""
    return multiply(Identity(), serial(GlobalAvgPool(), Conv(1, channels), _act(), Conv(1, channels), _act(function)))


# -- residual networks --------------------------------------------------------------------------

def _stem(width: int, *blocks: Part) -> Network:
    return serial(_conv(width), *blocks)


def _basic(width: int, norm: Any = BatchNorm, end: Part | None = None) -> Network:
    """The block of ResNet-18, its branch through `end`."""
    branch = serial(_conv(width, norm=norm), _conv(width, function=None, norm=norm), *([end] if end else []))
    return serial(residual(branch), _act())


def _bottleneck(width: int, groups: int = 1) -> Network:
    return serial(residual(serial(_conv(width, 1), _conv(width, groups=groups), _conv(width, 1, None))), _act())


def _rep_vgg(width: int) -> Network:
    return serial(add(_conv(width, 3, None), _conv(width, 1, None), BatchNorm()), _act())


def _fixup(width: int) -> Network:
    return serial(residual(serial(_conv(width, norm=None), Conv(3, width), Scale(0.5))), _act())


def _inverted(width: int, function: str = "relu6", gate: bool = False) -> Network:
    inside = [_conv(4 * width, 1, function), _depthwise(4 * width, 3, function)]
    return residual(serial(*inside, *([_gate(4 * width, "hardsigmoid")] if gate else []), _conv(width, 1, None)))


def _convnext(width: int) -> Network:
    return residual(serial(Conv(7, groups="depthwise"), LayerNorm(), Conv(1, 4 * width), _act("gelu"),
                           Conv(1, width), Scale(0.5)))


def _pool_former(width: int) -> Network:
    mixed = add(AvgPool(3, 1, 1, count_include_pad=False), Scale(-1.0))
    mlp = serial(GroupNorm(1), Conv(1, 2 * width), _act("gelu"), Conv(1, width))
    return serial(residual(serial(GroupNorm(1), mixed)), residual(mlp))


def _mixer(width: int) -> Network:
    """FastViT's token mixer at initialisation, and its channel mixer."""
    mixed = add(serial(Conv(3, groups="depthwise"), BatchNorm()), Scale(-1.0))
    return serial(residual(serial(BatchNorm(), mixed)), residual(serial(_conv(2 * width, 1), Conv(1, width))))


def _shuffle_unit(width: int) -> Network:
    half = width // 2
    branch = serial(_conv(half, 1), _depthwise(half, function=None), _conv(half, 1))
    return serial(split([half, half], Identity(), branch), Shuffle(2))


def _res2net(width: int) -> Network:
    """Four quarters, each of which sees the one before through another convolution."""
    quarter, b = width // 4, NetworkBuilder()
    part = [b(Slice(n * quarter, (n + 1) * quarter), b.input) for n in range(4)]
    made = [b(_conv(quarter), part[0])]
    for one in part[1:3]:
        made.append(b(_conv(quarter), b.add(one, made[-1])))
    whole = b(_conv(width, 1, None), b.concat(*made, part[3]))
    return b.build(b(_act(), b.add(b.input, whole)))


def _csp(width: int) -> Network:
    """A cross-stage block of SiLU bottlenecks, and spatial pyramid pooling."""
    deep = serial(_conv(width // 2, 1, "silu"),
                  *[residual(serial(_conv(width // 2, 1, "silu"), _conv(width // 2, 3, "silu"))) for _ in range(2)])
    pool, b = MaxPool(5, 1, 2), NetworkBuilder()
    maps = [b(serial(concat(deep, _conv(width // 2, 1, "silu")), _conv(width // 2, 1, "silu")), b.input)]
    for _ in range(3):
        maps.append(b(pool, maps[-1]))
    return b.build(b(_conv(width, 1, "silu"), b.concat(*maps)))


def _selective(width: int) -> Network:
    """Two branches, weighted channel by channel by a softmax of what is pooled from their sum."""
    b = NetworkBuilder()
    one, two = b(_conv(width), b.input), b(_conv(width, dilation=2, padding=2), b.input)
    gates = b(serial(GlobalAvgPool(), _conv(width // 2, 1), Conv(1, 2 * width), Softmax(2)), b.add(one, two))
    first, second = (b(Slice(n * width, (n + 1) * width), gates) for n in range(2))
    return b.build(b.add(b.multiply(one, first), b.multiply(two, second)))


def _naf(width: int) -> Network:
    def gate() -> Network:
        return multiply(Slice(0, width), Slice(width, 2 * width))
    first = serial(LayerNorm(), Conv(1, 2 * width), Conv(3, groups="depthwise"), gate(),
                   multiply(Identity(), serial(GlobalAvgPool(), Conv(1, width))), Conv(1, width))
    second = serial(LayerNorm(), Conv(1, 2 * width), gate(), Conv(1, width))
    return serial(residual(first), residual(second))


def _star(width: int) -> Network:
    start = serial(Conv(7, groups="depthwise"), BatchNorm())
    return residual(serial(start, multiply(serial(Conv(1, 2 * width), _act("relu6")), Conv(1, 2 * width)),
                           Conv(1, width), Conv(7, groups="depthwise")))


def _diffusion(width: int) -> Network:
    def half() -> Network:
        return serial(GroupNorm(width // 8), _act("silu"), Conv(3, width))
    return residual(serial(half(), Dropout(0.1), half()))


# -- several branches, several scales -----------------------------------------------------------

def _inception(width: int) -> Network:
    part = width // 4
    return concat(_conv(part, 1), serial(_conv(part, 1), _conv(part, 3)), serial(_conv(part, 1), _conv(part, 5)),
                  serial(MaxPool(3, 1, 1), _conv(part, 1)))


def _inception_resnet(width: int) -> Network:
    part = width // 2
    branch = serial(concat(_conv(part, 1), serial(_conv(part, 1), _conv(part, 3), _conv(part, 3))), Conv(1, width))
    return serial(residual(serial(branch, Scale(0.2))), _act())


def _xception(width: int) -> Network:
    branch = serial(_act(), _separable(width), _separable(width, function=None), MaxPool(3, 2, 1))
    return residual(branch, _conv(width, 1, None, stride=2))


def _esp(width: int) -> Network:
    """A pyramid of dilations whose partial sums are concatenated."""
    part, b = width // 4, NetworkBuilder()
    start = b(Conv(1, part), b.input)
    found = [b(Conv(3, part, dilation=2**n, padding=2**n), start) for n in range(4)]
    for n in (1, 2, 3):
        found[n] = b.add(found[n], found[n - 1])
    return b.build(b(serial(BatchNorm(), _act("prelu")), b.add(b.input, b.concat(*found))))


def _fire(width: int) -> Network:
    return serial(_conv(width // 2, 1, norm=None),
                  concat(_conv(width // 2, 1, norm=None), _conv(width // 2, 3, norm=None)))


def _dense(width: int, layers: int = 4) -> Network:
    return serial(*[concat(Identity(), serial(BatchNorm(), _act(), Conv(3, width // 2))) for _ in range(layers)])


def _hrnet(width: int) -> Network:
    """Two scales that exchange twice."""
    b = NetworkBuilder()
    high = b(_conv(width), b.input)
    low = b(_conv(2 * width, stride=2), high)
    for _ in range(2):
        high, low = b(_basic(width), high), b(_basic(2 * width), low)
        up, down = b(serial(_conv(width, 1, None), Upsample(2)), low), b(_conv(2 * width, 3, None, stride=2), high)
        high, low = b(_act(), b.add(high, up)), b(_act(), b.add(low, down))
    return b.build(high)


def _pyramid(width: int) -> Network:
    """A feature pyramid: three levels, the finest of which is read."""
    b = NetworkBuilder()
    levels = [b(_conv(width), b.input)]
    for _ in range(2):
        levels.append(b(serial(_conv(width, stride=2), _basic(width)), levels[-1]))
    top = b(Conv(1, width), levels[-1])
    for level in reversed(levels[:-1]):
        top = b.add(b(Conv(1, width), level), b(Upsample(2), top))
    return b.build(b(Conv(3, width), top))


def _psp(width: int, image: int = 24) -> Network:
    bins = [serial(AdaptiveAvgPool(n), _conv(width // 4, 1), Upsample(size=image, mode="bilinear", align_corners=True))
            for n in (1, 2, 3, 6)]
    return serial(_stem(width, _basic(width)), concat(Identity(), *bins), _conv(width))


def _aspp(width: int, image: int = 24) -> Network:
    rates = [_conv(width // 4, 3, dilation=rate, padding=rate) for rate in (2, 4)]
    pooled = serial(GlobalAvgPool(), _conv(width // 4, 1, norm=None), Upsample(size=image))
    return serial(_stem(width, _basic(width)), concat(_conv(width // 4, 1), *rates, pooled), _conv(width, 1))


def _nested_unet(width: int) -> Network:
    """U-Net++ of three levels."""
    b = NetworkBuilder()
    left = [b(_conv(width), b.input)]
    for n in (1, 2):
        left.append(b(serial(MaxPool(2), _conv(width * 2**n)), left[-1]))
    first = b(_conv(width), b.concat(left[0], b(Upsample(2), left[1])))
    second = b(_conv(2 * width), b.concat(left[1], b(Upsample(2), left[2])))
    return b.build(b(_conv(width), b.concat(left[0], first, b(Upsample(2), second))))


def _hourglass(width: int, depth: int = 2) -> Network:
    def unit() -> Network:
        return residual(serial(BatchNorm(), _act(), Conv(3, width)))
    inside = unit() if depth == 1 else _hourglass(width, depth - 1)
    return add(unit(), serial(MaxPool(2), unit(), inside, unit(), Upsample(2)))


def _unet(width: int, up: Part, norm: Any = BatchNorm) -> Network:
    inner = serial(MaxPool(2), _conv(2 * width, norm=norm), _conv(2 * width, norm=norm), up)
    return serial(_conv(width, norm=norm), concat(Identity(), inner), _conv(width, norm=norm))


# -- one axis, three axes, images to images ------------------------------------------------------

def _wavenet(width: int) -> Network:
    """Gated, dilated, the sum of what all blocks put out."""
    b = NetworkBuilder()
    stream, skips = b(Conv(ONE, width), b.input), []
    for n in range(4):
        def tap(function: str, rate: int = 2**n) -> Network:
            return serial(Conv((2,), width, dilation=rate, padding=(rate, 0)), _act(function))
        made = b(multiply(tap("tanh"), tap("sigmoid")), stream)
        skips.append(b(Conv((1,), width), made))
        stream = b.add(stream, b(Conv((1,), width), made))
    return b.build(b(serial(_act(), Conv((1,), width), _act(), Conv((1,), width)), b.add(*skips)))


def _tcn(width: int) -> Network:
    def layer(rate: int) -> Network:
        return serial(Conv(ONE, width, dilation=rate, padding=(2 * rate, 0)), _act(), Dropout(0.2))
    return serial(*[serial(residual(serial(layer(2**n), layer(2**n)), Conv((1,), width)), _act()) for n in range(3)])


def _generator(width: int) -> Network:
    """CycleGAN: reflected borders, instance norms, two residual blocks."""
    def mirrored(kernel: int, **options: Any) -> Network:
        return _conv(width, kernel, norm=InstanceNorm, padding_mode="reflect", **options)
    block = residual(serial(mirrored(3), mirrored(3, function=None)))
    return serial(mirrored(7), _conv(width, 3, norm=InstanceNorm, stride=2), block, block,
                  ConvTranspose(3, width, stride=2, padding=1, output_padding=1), InstanceNorm(), _act(), mirrored(7))


def _edsr(width: int) -> Network:
    block = residual(serial(Conv(3, width), _act(), Conv(3, width), Scale(0.1)))
    return serial(Conv(3, width), residual(serial(repeat(block, 3), Conv(3, width))), Conv(3, 4 * width),
                  PixelShuffle(2), Conv(3, 3))


def _audio(width: int) -> Network:
    def layer(kernel: int) -> Network:
        return serial(Conv((kernel,), width, stride=2, padding=0), LayerNorm(), _act("gelu"))
    return serial(layer(10), layer(3), layer(3), layer(2))


def _stack(block: Callable[[int], Network], times: int = 2) -> Callable[..., Network]:
    """A stem and blocks."""
    return lambda width: _stem(width, *[block(width) for _ in range(times)])


def _case(name: str, build: Callable[..., Network], draws: int = 200, image: int = 24, width: int = 32,
          **options: Any) -> Case:
    return Case(name, build, image, draws, width=width, channels_in=options.pop("channels_in", width), **options)


_CASES = (
    _case("residual, post-activation", _stack(_basic, 3)),
    _case("residual, corner unit", _stack(_basic, 3), unit=0),
    _case("residual, ReLU before the sum", _stack(lambda c: residual(_conv(c)), 3)),
    _case("residual, ReLU before and after the sum", _stack(lambda c: serial(residual(_conv(c)), _act()), 3)),
    _case("pre-activation", _stack(lambda c: residual(serial(BatchNorm(), _act(), Conv(3, c))), 4)),
    _case("ResNeXt", _stack(lambda c: _bottleneck(c, groups=4))),
    _case("wide, dropout", _stack(lambda c: residual(serial(BatchNorm(), _act(), Conv(3, c), Dropout(0.3), Conv(3, c))),
                                  3)),
    _case("RepVGG", _stack(_rep_vgg, 3)),
    _case("fixup", lambda width: serial(Conv(3, width), _act(), *[_fixup(width) for _ in range(3)])),
    _case("blur pools", lambda width: serial(*[serial(_conv(width), BlurPool(3, 2)) for _ in range(2)], _basic(width))),
    _case("overlapping max pools", lambda width: repeat(serial(_conv(width), MaxPool(3, 1, 1)), 3)),
    _case("max pools, corner unit", lambda width: repeat(serial(_conv(width, norm=None), MaxPool(3, 2, 1)), 2), unit=0),
    _case("average pools", lambda width: repeat(serial(_conv(width), AvgPool(2)), 2)),
    _case("MobileNet-v1", _stack(lambda c: serial(_depthwise(c), _conv(c, 1)), 4)),
    _case("inverted residuals", _stack(_inverted)),
    _case("MobileNet-v3", _stack(lambda c: _inverted(c, "hardswish", gate=True))),
    _case("depthwise, no norm", lambda width: serial(Conv(3, width), *[serial(
        _act(), Conv(3, groups="depthwise"), _act(), Conv(1, width)) for _ in range(3)])),
    _case("ReLU6, no norm", lambda width: serial(Conv(3, width), *[serial(_act("relu6"), residual(
        serial(Conv(3, width), _act("relu6"), Conv(3, width)))) for _ in range(3)])),
    _case("squeeze and excite", _stack(lambda c: _basic(c, end=_gate(c)))),
    _case("ShuffleNet", _stack(_shuffle_unit, 3)),
    _case("Res2Net", _stack(_res2net)),
    _case("ConvNeXt", lambda width: serial(Conv(3, width), LayerNorm(), *[_convnext(width) for _ in range(3)])),
    _case("PoolFormer", _stack(_pool_former)),
    _case("FastViT", _stack(_mixer)),
    _case("StarNet", _stack(_star)),
    _case("NAFNet", lambda width: serial(Conv(3, width), *[_naf(width) for _ in range(2)]), 100, image=12, width=96),
    _case("selective kernels", _stack(_selective, 2)),
    _case("gated linear units", lambda width: serial(Conv(3, width), *[residual(multiply(
        Conv(3, width), serial(Conv(3, width), _act("sigmoid")))) for _ in range(3)])),
    _case("RMS norms", _stack(lambda c: residual(serial(RMSNorm(), Conv(3, c), _act("silu"), Conv(3, c))), 3)),
    _case("group norms", _stack(lambda c: _basic(c, norm=lambda: GroupNorm(c // 8)))),
    _case("diffusion block", _stack(_diffusion)),
    _case("Inception", _stack(_inception)),
    _case("Inception, no norm", lambda width: serial(Conv(3, width), *[concat(
        Conv(5, width // 2), serial(MaxPool(3, 1, 1), Conv(1, width // 2))) for _ in range(2)], AvgPool(3, 1, 1))),
    _case("Inception-ResNet", _stack(_inception_resnet, 3)),
    _case("Xception", _stack(_xception)),
    _case("ESPNet", _stack(_esp)),
    _case("SqueezeNet", lambda width: serial(Conv(3, width), _act(), *[_fire(width) for _ in range(3)])),
    _case("DenseNet", _stack(_dense, 1)),
    _case("cross-stage partial, pyramid pooling", _stack(_csp, 1)),
    _case("HRNet", _hrnet),
    _case("feature pyramid", _pyramid),
    _case("pyramid pooling", _psp),
    _case("atrous pyramid, image pooling", _aspp),
    _case("U-Net++", _nested_unet),
    _case("hourglass", lambda width: _stem(width, _hourglass(width))),
    _case("stacked hourglass", lambda width: _stem(width, _hourglass(width), _hourglass(width)), 100),
    _case("U-Net, sub-pixel", lambda width: _unet(width, serial(Conv(3, 4 * width), PixelShuffle(2)))),
    _case("space-to-depth stem", lambda width: serial(PixelUnshuffle(2), _conv(width), _basic(width), _basic(width))),
    _case("EDSR", _edsr, channels_in=3),
    _case("CycleGAN", _generator, 150),
    _case("CycleGAN, corner unit", _generator, 150, unit=0),
    _case("WaveNet", _wavenet, 750, image=64, ndim=1),
    _case("TCN", _tcn, 1500, image=64, ndim=1),
    _case("audio encoder", _audio, 750, image=128, ndim=1),
    _case("3-D residual", _stack(_basic), 100, image=10, width=16, ndim=3),
    _case("3-D U-Net", lambda width: _unet(width, ConvTranspose(2, width, stride=2)), 100, image=12, width=16, ndim=3),
)
#: Of what people build from the newer layers, once more with as many channels as are usual.
_WIDE = ("squeeze and excite", "ShuffleNet", "cross-stage partial, pyramid pooling", "Res2Net", "WaveNet", "NAFNet",
         "group norms", "diffusion block", "CycleGAN", "CycleGAN, corner unit", "MobileNet-v3", "ReLU6, no norm",
         "EDSR", "space-to-depth stem", "atrous pyramid, image pooling", "pyramid pooling", "selective kernels")

CASES = (*_CASES, *(
    replace(case, name=f"{case.name}, 64 channels", width=64, channels_in=64 if case.channels_in == case.width else 3)
    for case in _CASES if case.name in _WIDE))
