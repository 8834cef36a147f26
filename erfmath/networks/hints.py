"""What somebody may have meant who writes a name of another library."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..base.checks import meant
from ..layers.activation import Activation

__all__ = ["name_meant", "op_meant"]

#: Names in other libraries, without 1d, 2d and 3d at the end.
ELSEWHERE = {
    "sequential": "serial", "modulelist": "serial", "model": "Network", "skip": "residual", "conv": "Conv",
    "convolution": "Conv", "deconv": "ConvTranspose", "depthwiseconv": 'Conv(..., groups="depthwise")',
    "separableconv": 'serial(Conv(3, groups="depthwise"), Conv(1))', "cat": "concat", "concatenate": "concat",
    "linear": "Conv(1)", "dense": "Conv(1)", "maxpooling": "MaxPool", "averagepooling": "AvgPool",
    "globalaveragepooling": "GlobalAvgPool", "globalmaxpool": "AdaptiveMaxPool(1)",
    "globalmaxpooling": "AdaptiveMaxPool(1)", "upsampling": "Upsample", "interpolate": "Upsample", "resize": "Upsample",
    "zeropad": "Pad", "zeropadding": "Pad", "constantpad": "Pad", "reflectionpad": "Pad(..., 'reflect')",
    "replicationpad": "Pad(..., 'replicate')", "circularpad": "Pad(..., 'circular')",
    "batchnormalization": "BatchNorm", "layernormalization": "LayerNorm", "groupnormalization": "GroupNorm",
    "instancenormalization": "InstanceNorm", "channelshuffle": "Shuffle", "spacetodepth": "PixelUnshuffle",
    "depthtospace": "PixelShuffle", "mul": "multiply", "glu": "multiply", "chunk": "split",
    "squeezeexcitation": "zoo.blocks.squeeze_excite", "squeezeexcite": "zoo.blocks.squeeze_excite",
    "seblock": "zoo.blocks.squeeze_excite", "selayer": "zoo.blocks.squeeze_excite",
    "deformconv": "Conv, which a deformable convolution is at initialisation",
    "deformableconv": "Conv, which a deformable convolution is at initialisation",
    "flatten": "a Conv with a kernel of the whole map, for Flatten and Linear",
    "nn": "the layer without it, as in erfmath.Conv", "layers": "the layer without it, as in erfmath.Conv",
    "erf": "predict", "sample": "measure", "plot": "plotting"}
#: What has no counterpart.
NOWHERE = {
    word: "; attention has no rule in the theory; EffectiveReceptiveField.from_gradients takes gradients of a framework"
    for word in ("attention", "multiheadattention", "selfattention", "transformer", "transformerencoder",
                 "scaleddotproductattention")}


def name_meant(name: str, known: Iterable[str]) -> str:
    """The end of a message, "; did you mean ...?", or nothing.

    Examples
    --------
    >>> name_meant("Conv2d", ["Conv"]), name_meant("ReLU", ["Conv"]), name_meant("predcit", ["predict"])
    ('; did you mean Conv?', "; did you mean Activation('relu')?", '; did you mean predict?')
    """
    plain = name.lower().replace("_", "")
    plain = plain[:-2] if plain[-2:] in ("1d", "2d", "3d") else plain
    if plain in NOWHERE:
        return NOWHERE[plain]
    try:
        found = [ELSEWHERE[plain]] if plain in ELSEWHERE else [f"Activation({Activation(name).function!r})"]
    except ValueError:
        found = meant(plain, known)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def op_meant(op: Any, known: Iterable[str]) -> str:
    """The same for the `op` of a node in JSON.

    Examples
    --------
    >>> op_meant("Conv2d", ["conv"]), op_meant("relu", ["activation"]), op_meant("maxpool", ["max_pool"])
    ("; did you mean 'conv'?", "; did you mean 'activation' with function='relu'?", "; did you mean 'max_pool'?")
    """
    if not isinstance(op, str):
        return ""
    known = [*known]
    plain = op.lower().replace("_", "")
    plain = plain[:-2] if plain[-2:] in ("1d", "2d", "3d") else plain
    near = meant(plain, known)
    if near and near[0].replace("_", "") == plain:
        return f"; did you mean {near[0]!r}?"
    try:
        return f"; did you mean 'activation' with function={Activation(op).function!r}?"
    except ValueError:
        spelled = re.sub("(?<=[a-z])(?=[A-Z])", "_", ELSEWHERE.get(plain, "")).lower()
        near = [spelled] if spelled in known else near
    return f"; did you mean {near[0]!r}?" if near else ""
