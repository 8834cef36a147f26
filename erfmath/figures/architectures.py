"""What the networks people use see at initialisation, all on one scale: theory alone, nothing is sampled."""

from __future__ import annotations

import numpy as np

from ..networks import zoo
from ..plotting import LINES, show_map
from ..theory.predict import predict
from .base import Arrays, Axes, Data, Desk, Figure, Options, Quote, Spec, scalars
from .panels import annotate, letters, page

__all__ = ["caption", "compute", "draw", "parts", "quotes"]

IMAGE = 224
NETWORKS = {"VGG-16": "vgg16", "ResNet-50": "resnet50", "DenseNet-121": "densenet121", "MobileNet v2": "mobilenet_v2",
            "U-Net": "unet", "ConvNeXt-T": "convnext_tiny", "RepLKNet-31B": "replknet31b"}
#: Numbers of each network, in words.
SIZES = {"side": "side of the TRF", "std": "std of power", "width": "width at 4.55 %",
         "half": "radius with 50 % of the power", "mass": "square with 95 % of the power"}


def parts(options: Options) -> dict[str, Spec]:
    return {title: {"network": name, "image": IMAGE} for title, name in NETWORKS.items()}


def compute(spec: Spec, desk: Desk) -> Arrays:
    erf = predict(zoo.build(spec["network"]), image=spec["image"])
    return {"share": erf.share.astype(np.float32), "center": np.array(erf.center), "unit": np.array(erf.unit),
            **scalars(side=float(erf.trf.size[0]), std=erf.size("std"), width=erf.size("threshold"),
                      half=erf.mass_radius(0.5), mass=erf.size("mass", p=0.95))}


def quotes(data: Data) -> list[Quote]:
    return [quote for name, part in data.items() for quote in (
        *(Quote(f"{name}: {words}", part.number(size)) for size, words in SIZES.items()),
        Quote(f"{name}: width / side of the TRF", part.number("width") / part.number("side")))]


def draw(data: Data) -> Figure:
    figure = page(6.0)
    grid = figure.add_gridspec(3, 4, height_ratios=[1, 1, 0.95])
    panels = []
    for i, (name, part) in enumerate(data.items()):
        ax = figure.add_subplot(grid[i // 4, i % 4])
        image = show_map(ax, part["share"], display="power-law")
        y, x = part["center"]
        ax.plot([x], [y], "+", color="white", markersize=7)
        annotate(ax, f"TRF {part.number('side'):.0f} px")
        ax.set(title=name, xticks=[0, 100, 200], yticks=[0, 100, 200])
        ax.tick_params(length=2, labelleft=i % 4 == 0)
        if i > 2:
            ax.set_xlabel("x, input pixels")
        if i % 4 == 0:
            ax.set_ylabel("y, input pixels")
        panels.append(ax)
    free = figure.add_subplot(grid[1, 3])
    free.set_axis_off()
    bar = figure.colorbar(image, cax=free.inset_axes((0.05, 0.5, 0.9, 0.08)), orientation="horizontal",
                          ticks=[0.0, 0.01, 0.1, 1.0])
    bar.set_label("power $E[g^2]$ / maximum,\ncolours by power 0.25")
    free.text(0.5, 0.75, "+ TRF centre of the unit", ha="center")
    panels.append(figure.add_subplot(grid[2, :]))
    _draw_sizes(panels[-1], data)
    letters(panels)
    return figure


def caption(data: Data) -> str:
    return (f"Theory at initialisation: image of {IMAGE} × {IMAGE} pixels, unit in the middle of the last map. Below: "
            "sizes that the border of the image cuts less than the width at 4.55 % of the amplitude.")


def _draw_sizes(ax: Axes, data: Data) -> None:
    x = np.arange(len(data))
    for shift, key, words, style in ((-0.2, "std", "σ of $E[g^2]$", LINES[0]),
                                     (0.2, "half", "radius that holds half of $E[g^2]$", LINES[3])):
        sizes = [part.number(key) for part in data.values()]
        ax.bar(x + shift, sizes, 0.38, color=style["color"], label=words)
        for at, size in zip(x + shift, sizes):
            ax.text(at, size, f"{size:.3g}", ha="center", va="bottom", fontsize=7)
    ax.set_xticks(x, list(data))
    ax.set_ylabel("input pixels")
    ax.margins(y=0.12)
    ax.legend(loc="upper center", ncols=2)
