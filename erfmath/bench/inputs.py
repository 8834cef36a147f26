"""Named networks fed with images in place of noise: what that does to the prediction."""

from __future__ import annotations

import inspect
from typing import Any

from ..base.errors import SizeError
from ..networks import zoo
from ..networks.images import natural_images
from ..networks.trf import receptive_field
from ..theory.predict import predict
from . import Table

__all__ = ["run"]

#: Pixels along each side.
IMAGE = 96
#: Networks whose gates ask for all pairs of pixels: minutes, and gigabytes.
SLOW = ("nafnet", "unet_plus_plus")


def run(quick: bool = False) -> Table:
    """Predicted sizes of the 2-D networks of the zoo for white noise and for `natural_images`."""
    names = [name for name in zoo.__all__ if name in zoo.names() and name not in SLOW]
    rows: list[tuple[Any, ...]] = []
    images = natural_images()
    for name in names[:3] if quick else names:
        built = getattr(zoo, name)
        options: dict[str, Any] = {"image": IMAGE} if "image" in inspect.signature(built).parameters else {}
        net = built(**options)
        if net.ndim not in (None, 2):
            continue
        size = receptive_field(net, image=IMAGE, gates=False).size[0]
        noise = predict(net, image=IMAGE)
        try:
            natural = predict(net, image=IMAGE, input_covariance=images)
        except SizeError:  # all pairs of pixels matter
            rows.append((name, size, f"{noise.std[0]:.2f}", "too large", "-"))
            continue
        rows.append((name, size, f"{noise.std[0]:.2f}", f"{natural.std[0]:.2f}", natural.total / noise.total))
    return Table(f"Standard deviation of the ERF, pixels, at {IMAGE} pixels",
                 ("network", "TRF", "noise", "images", "totals"), tuple(rows),
                 ("images: power-law spectrum, mean 0.45, standard deviation 0.27; totals: images over noise",))
