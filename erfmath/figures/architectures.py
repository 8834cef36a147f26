"""What the networks people use see at initialisation, all on one scale: theory alone, nothing is sampled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..networks import zoo
from ..plotting import show_map
from ..theory.predict import predict
from .base import Arrays, Data, Desk, Options, Quote, Spec, scalars
from .panels import AMPLITUDE, dark_edge, page
from .sampling import mean_std

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["compute", "draw", "parts", "quotes"]

IMAGE = 224
NETWORKS = {"VGG-16": "vgg16", "ResNet-50": "resnet50", "DenseNet-121": "densenet121",
            "MobileNet v2": "mobilenet_v2", "U-Net": "unet", "ConvNeXt-T": "convnext_tiny",
            "RepLKNet-31B": "replknet31b"}
MASS = 0.95


def parts(options: Options) -> dict[str, Spec]:
    return {title: {"network": name, "image": IMAGE} for title, name in NETWORKS.items()}


def compute(spec: Spec, desk: Desk) -> Arrays:
    erf = predict(zoo.build(spec["network"]), image=spec["image"])
    return {"share": erf.share.astype(np.float32), "center": np.array(erf.center), "unit": np.array(erf.unit),
            **scalars(side=float(erf.trf.size[0]), std=mean_std(erf), width=erf.size("threshold"),
                      mass=erf.size("mass", p=MASS))}


def quotes(data: Data) -> list[Quote]:
    found = []
    for name, part in data.items():
        found += [Quote(f"{name}: side of the TRF", part.number("side")),
                  Quote(f"{name}: std of power", part.number("std")),
                  Quote(f"{name}: width at 4.55 %", part.number("width")),
                  Quote(f"{name}: width / side of the TRF", part.number("width") / part.number("side")),
                  Quote(f"{name}: square with {MASS:.0%} of the power", part.number("mass"))]
    return found


def draw(data: Data) -> Figure:
    figure = page(10.4, 8.4)
    grid = figure.add_gridspec(3, 4, height_ratios=[1, 1, 0.95])
    for i, (name, part) in enumerate(data.items()):
        ax = figure.add_subplot(grid[i // 4, i % 4])
        image = show_map(ax, part["share"])
        y, x = part["center"]
        ax.plot([x], [y], "+", color="white", markersize=9, path_effects=dark_edge())
        ax.set_title(f"{name}, TRF {part.number('side'):.0f} px\nstd {part.number('std'):.1f} px", fontsize="medium")
        ax.set_xticks([0, 100, 200])
        ax.set_yticks([0, 100, 200])
        ax.tick_params(labelsize="x-small", length=2, labelleft=i % 4 == 0)
    free = figure.add_subplot(grid[1, 3])
    free.set_axis_off()
    bar = figure.colorbar(image, cax=free.inset_axes((0.05, 0.5, 0.9, 0.1)), orientation="horizontal")
    bar.set_label(AMPLITUDE)
    free.text(0.5, 0.75, "+ true centre of the unit", ha="center", fontsize="small")
    _draw_sizes(figure.add_subplot(grid[2, :]), data)
    figure.suptitle(f"Theory at initialisation: image of {IMAGE} × {IMAGE} pixels, unit in the middle of the last map",
                    fontsize="medium")
    return figure


def _draw_sizes(ax: Axes, data: Data) -> None:
    """Sizes as bars beside the image's side."""
    names = list(data)
    x = np.arange(len(names))
    bars = {"width": (-0.2, "#12355b", "width at 4.55 % of the amplitude"),
            "mass": (0.2, "#e3a018", f"side of the square about the true centre with {MASS:.0%} of the power")}
    for key, (shift, colour, label) in bars.items():
        ax.bar(x + shift, [data[name].number(key) for name in names], 0.38, color=colour, label=label)
    ax.axhline(IMAGE, color="#606060", linewidth=1, linestyle=":", label="side of the image")
    for i, part in enumerate(data.values()):
        width = part.number("width")
        inside = width > IMAGE / 3  # above the bar is the line of the image
        ax.text(i - 0.2, width - 6 if inside else width + 6, f"{width / part.number('side'):.0%}\nof TRF",
                fontsize="x-small", ha="center", va="top" if inside else "bottom", color="white" if inside else "black")
    ax.set_xticks(x, names)
    ax.set_ylim(0, 1.35 * IMAGE)
    ax.set_ylabel("input pixels")
    ax.legend(fontsize="small", frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3)
