"""Multiply-adds and parameters counted by hooks on PyTorch modules: of torchvision, of timm, and written after papers.

Only tests marked `torch` import this.
"""

from __future__ import annotations

import math
from typing import Any

import timm
import torch
import torchvision
from torch import nn
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

COUNTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose3d, nn.Linear)


def counted(model: nn.Module, *shape: int) -> tuple[int, int]:
    """Multiply-adds of one input of this shape, products with padding included and biases not; parameters."""
    found: list[int] = []

    def count(layer: Any, inputs: Any, output: Any) -> None:
        sites = inputs[0].shape[2:] if getattr(layer, "transposed", False) else output.shape[2:]
        found.append(layer.weight.numel() * math.prod(sites))

    for layer in model.modules():
        if isinstance(layer, COUNTED):
            layer.register_forward_hook(count)
    with torch.no_grad():
        model.eval()(torch.zeros(1, *shape))
    return sum(found), sum(parameter.numel() for parameter in model.parameters())


class HighResolution(nn.Module):
    """HRNet of timm without what its classifier adds."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = timm.create_model("hrnet_w18")
        for name in ("incre_modules", "downsamp_modules", "final_layer", "classifier"):
            setattr(self.whole, name, None)

    def forward(self, x: Any) -> Any:
        net = self.whole
        return net.stages(net.act2(net.bn2(net.conv2(net.act1(net.bn1(net.conv1(x)))))))


def pyramid() -> nn.Module:
    """Feature pyramid of torchvision with trained batch norms, of whose levels the finest is used."""
    net = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=nn.BatchNorm2d)
    for level in (1, 2, 3):
        net.fpn.layer_blocks[level] = nn.Identity()
    net.fpn.extra_blocks = None
    return net


def normed(c_in: int, c_out: int, kernel: int, bias: bool = False) -> list[nn.Module]:
    return [nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=bias), nn.BatchNorm2d(c_out), nn.ReLU()]


class PyramidPooling(nn.Module):
    """Zhao et al. 2017 on torchvision's ResNet-50 at an eighth, as in the authors' later code (semseg)."""

    def __init__(self) -> None:
        super().__init__()
        resnet = torchvision.models.resnet50(replace_stride_with_dilation=[False, True, True])
        self.body = nn.Sequential(*list(resnet.children())[:-2])
        self.bins = nn.ModuleList([nn.Sequential(nn.AdaptiveAvgPool2d(n), *normed(2048, 512, 1)) for n in (1, 2, 3, 6)])
        self.head = nn.Sequential(*normed(4096, 512, 3), nn.Conv2d(512, 21, 1))

    def forward(self, x: Any) -> Any:
        x = self.body(x)
        wide = [nn.functional.interpolate(part(x), x.shape[2:], mode="bilinear", align_corners=True)
                for part in self.bins]
        return self.head(torch.cat([x, *wide], 1))


class Enhanced(nn.Module):
    """EDSR baseline for a scale of 2, with the 1x1 convolutions that shift the mean of the colours."""

    def __init__(self) -> None:
        super().__init__()

        def conv(c_in: int, c_out: int) -> nn.Module:
            return nn.Conv2d(c_in, c_out, 3, padding=1)
        self.shift, self.shift_back = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        for parameter in (*self.shift.parameters(), *self.shift_back.parameters()):
            parameter.requires_grad = False
        self.head, self.last = conv(3, 64), conv(64, 64)
        self.blocks = nn.ModuleList([nn.Sequential(conv(64, 64), nn.ReLU(), conv(64, 64)) for _ in range(16)])
        self.tail = nn.Sequential(conv(64, 256), nn.PixelShuffle(2), conv(64, 3))

    def forward(self, x: Any) -> Any:
        start = x = self.head(self.shift(x))
        for block in self.blocks:
            x = x + block(x)
        return self.shift_back(self.tail(start + self.last(x)))


class Gated(nn.Module):
    """WaveNet with filters and gates of two taps, 32 channels, 512 of the skips; its last unit hands nothing on."""

    def __init__(self, stacks: int = 3, layers: int = 10) -> None:
        super().__init__()
        self.start = nn.Conv1d(1, 32, 2)
        self.rates = [2**n for n in range(layers)] * stacks
        self.filters, self.gates = (nn.ModuleList([nn.Conv1d(32, 32, 2, dilation=rate) for rate in self.rates])
                                    for _ in range(2))
        self.skips = nn.ModuleList([nn.Conv1d(32, 512, 1) for _ in self.rates])
        self.on = nn.ModuleList([nn.Conv1d(32, 32, 1) for _ in self.rates[1:]])
        self.head = nn.Sequential(nn.ReLU(), nn.Conv1d(512, 512, 1), nn.ReLU(), nn.Conv1d(512, 256, 1))

    def forward(self, x: Any) -> Any:
        x, total = self.start(nn.functional.pad(x, (1, 0))), 0
        for n, rate in enumerate(self.rates):
            past = nn.functional.pad(x, (rate, 0))
            made = torch.tanh(self.filters[n](past)) * torch.sigmoid(self.gates[n](past))
            total = total + self.skips[n](made)
            x = x + self.on[n](made) if n < len(self.on) else x
        return self.head(total)


class Temporal(nn.Module):
    """The network of Bai et al. 2018 for sequential MNIST without its classifier and weight norm."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.ModuleList([nn.ModuleList([nn.Conv1d(25 if n else 1, 25, 7, dilation=2**n),
                                                   nn.Conv1d(25, 25, 7, dilation=2**n)]) for n in range(8)])
        self.shortcut = nn.Conv1d(1, 25, 1)

    def forward(self, x: Any) -> Any:
        for n, (first, second) in enumerate(self.units):
            def causal(conv: nn.Module, y: Any, reach: int = 6 * 2**n) -> Any:
                return torch.relu(conv(nn.functional.pad(y, (reach, 0))))
            x = torch.relu(causal(second, causal(first, x)) + (x if n else self.shortcut(x)))
        return x


class Volume(nn.Module):
    """Cicek et al. 2016 with padding that keeps the size; convolutions with biases, norms left out."""

    def __init__(self) -> None:
        super().__init__()

        def two(*channels: int) -> nn.Module:
            return nn.Sequential(*[nn.Conv3d(a, b, 3, padding=1) for a, b in zip(channels, channels[1:])])
        self.down = nn.ModuleList([two(3, 32, 64), two(64, 64, 128), two(128, 128, 256)])
        self.bottom = two(256, 256, 512)
        self.up = nn.ModuleList([two(128 + 64, 64, 64), two(256 + 128, 128, 128), two(512 + 256, 256, 256)])
        self.wider = nn.ModuleList([nn.ConvTranspose3d(c, c, 2, stride=2, bias=False) for c in (128, 256, 512)])
        self.last = nn.Conv3d(64, 3, 1)

    def forward(self, x: Any) -> Any:
        met = []
        for part in self.down:
            met.append(part(x))
            x = nn.functional.max_pool3d(met[-1], 2)
        x = self.bottom(x)
        for n in (2, 1, 0):
            x = self.up[n](torch.cat([met[n], self.wider[n](x)], 1))
        return self.last(x)


class Nested(nn.Module):
    """U-Net++ of Zhou et al. 2018 with 32, 64, ..., 512 channels, without its last layer."""

    def __init__(self) -> None:
        super().__init__()
        c = [32 << n for n in range(5)]
        self.blocks = nn.ModuleDict({f"{i}{j}": nn.Sequential(
            *normed((c[i - 1] if i else 3) if j == 0 else c[i] * j + c[i + 1], c[i], 3, bias=True),
            *normed(c[i], c[i], 3, bias=True)) for j in range(5) for i in range(5 - j)})

    def forward(self, x: Any) -> Any:
        maps: dict[Any, Any] = {}
        for j in range(5):
            for i in range(5 - j):
                if j:
                    wide = nn.functional.interpolate(maps[i + 1, j - 1], scale_factor=2, mode="bilinear")
                    inputs = torch.cat([*(maps[i, k] for k in range(j)), wide], 1)
                else:
                    inputs = nn.functional.max_pool2d(maps[i - 1, 0], 2) if i else x
                maps[i, j] = self.blocks[f"{i}{j}"](inputs)
        return maps[0, 4]


class PreActivation(nn.Module):
    """He et al. 2016b on CIFAR images, n blocks a stage, shortcuts by 1x1 convolutions after the first activation."""

    def __init__(self, n: int) -> None:
        super().__init__()
        widths = [16, *[16] * n, *[32] * n, *[64] * n]
        self.start = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.parts = nn.ModuleList()
        for a, b in zip(widths, widths[1:]):
            step = 1 if a == b else 2
            self.parts.append(nn.ModuleList([
                nn.BatchNorm2d(a), nn.Conv2d(a, b, 3, step, 1, bias=False), nn.BatchNorm2d(b),
                nn.Conv2d(b, b, 3, padding=1, bias=False),
                nn.Identity() if a == b else nn.Conv2d(a, b, 1, step, bias=False)]))
        self.norm, self.last = nn.BatchNorm2d(64), nn.Linear(64, 10)

    def forward(self, x: Any) -> Any:
        x = self.start(x)
        for norm, first, again, second, shortcut in self.parts:
            y = torch.relu(norm(x))
            x = (x if isinstance(shortcut, nn.Identity) else shortcut(y)) + second(torch.relu(again(first(y))))
        return self.last(torch.relu(self.norm(x)).mean((2, 3)))


#: Module and the shape of its input, by the name in the zoo.
MODULES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "repvgg_a0": (lambda: timm.create_model("repvgg_a0"), (3, 224, 224)), "hrnet_w18": (HighResolution, (3, 224, 224)),
    "fpn_resnet50": (pyramid, (3, 224, 224)), "pspnet": (PyramidPooling, (3, 224, 224)),
    "edsr": (Enhanced, (3, 360, 640)), "wavenet": (Gated, (1, 4000)), "tcn": (Temporal, (1, 784)),
    "unet3d": (Volume, (3, 40, 40, 40)), "unet_plus_plus": (Nested, (3, 96, 96)),
    "preact_resnet20": (lambda: PreActivation(3), (3, 32, 32)),
    "preact_resnet56": (lambda: PreActivation(9), (3, 32, 32))}
