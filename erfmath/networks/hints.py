"""What somebody may have meant who writes a name of another library."""

from __future__ import annotations

from collections.abc import Iterable

from ..base.checks import meant
from ..layers.activation import Activation

__all__ = ["name_meant"]

#: Names in other libraries, without 1d, 2d and 3d at the end.
ELSEWHERE = {
    "sequential": "serial", "modulelist": "serial", "model": "Network", "skip": "residual", "conv": "Conv",
    "convolution": "Conv", "deconv": "ConvTranspose", "depthwiseconv": 'Conv(..., groups="depthwise")',
    "linear": "Conv(1)", "dense": "Conv(1)", "maxpooling": "MaxPool", "averagepooling": "AvgPool",
    "globalaveragepooling": "GlobalAvgPool", "upsampling": "Upsample", "zeropad": "Pad", "zeropadding": "Pad",
    "batchnormalization": "BatchNorm", "erf": "predict", "sample": "measure", "plot": "plotting"}


def name_meant(name: str, known: Iterable[str]) -> str:
    """The end of a message, "; did you mean ...?", or nothing.

    Examples
    --------
    >>> name_meant("Conv2d", ["Conv"]), name_meant("ReLU", ["Conv"]), name_meant("predcit", ["predict"])
    ('; did you mean Conv?', "; did you mean Activation('relu')?", '; did you mean predict?')
    """
    plain = name.lower().replace("_", "")
    plain = plain[:-2] if plain[-2:] in ("1d", "2d", "3d") else plain
    try:
        found = [ELSEWHERE[plain]] if plain in ELSEWHERE else [f"Activation({Activation(name).function!r})"]
    except ValueError:
        found = meant(plain, known)
    return f"; did you mean {' or '.join(found)}?" if found else ""
