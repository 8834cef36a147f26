"""Named networks, as thin tables.

Each builder names the reference layout it follows and the receptive field that comes out.  `width`
scales all channels; classification networks end at their last feature map unless ``head=True``.
Biases that begin at zero are left out.

Examples
--------
>>> from erfmath import zoo
>>> zoo.vgg16().output
'pool5'
>>> zoo.build("resnet50", width=16)
<Network of 172 nodes, output 'layer4'>
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from ...base.checks import meant
from ...base.errors import quoted
from ..network import Network
from .classic import alexnet, plain, squeezenet, vgg11, vgg13, vgg16, vgg19
from .dense import context_module, unet
from .efficient import efficientnet_b0, efficientnet_v2_s, mnasnet, mobilenet_v3_large, mobilenet_v3_small
from .hrnet import hrnet_w18, unet_plus_plus
from .inception import googlenet, inception_v3
from .mobile import mobilenet_v1, mobilenet_v2, shufflenet_v2
from .modern import convnext_tiny, convnext_v2_atto, densenet121, replknet31b, repvgg_a0
from .resnets import (cifar_resnet, preact_resnet, regnet_y_400mf, resnet3d_18, resnet18, resnet34, resnet50, resnet101,
                      resnet152, resnet_v1_50, resnet_v2_50, resnext50, wide_resnet50)
from .restoration import edsr, nafnet
from .segmentation import deeplabv3_resnet50, fcn, fpn_resnet50, pspnet
from .sequences import tcn, unet3d, wavenet

__all__ = ["alexnet", "build", "cifar_resnet", "context_module", "convnext_tiny", "convnext_v2_atto",
           "deeplabv3_resnet50", "densenet121", "edsr", "efficientnet_b0", "efficientnet_v2_s", "fcn", "fpn_resnet50",
           "googlenet", "hrnet_w18", "inception_v3", "mnasnet", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large",
           "mobilenet_v3_small", "nafnet", "names", "plain", "preact_resnet", "pspnet", "regnet_y_400mf",
           "replknet31b", "repvgg_a0", "resnet101", "resnet152", "resnet18", "resnet34", "resnet3d_18", "resnet50",
           "resnet_v1_50", "resnet_v2_50", "resnext50", "shufflenet_v2", "squeezenet", "tcn", "unet", "unet3d",
           "unet_plus_plus", "vgg11", "vgg13", "vgg16", "vgg19", "wavenet", "wide_resnet50"]
__dir__ = __all__.copy  # tab completion offers public names only

_BUILDERS: dict[str, Callable[..., Network]] = {builder.__name__: builder for builder in (
    alexnet, vgg11, vgg13, vgg16, vgg19, googlenet, inception_v3, resnet18, resnet34, resnet50,
    resnet101, resnet152, resnet_v1_50, resnet_v2_50, densenet121, mobilenet_v1, mobilenet_v2,
    convnext_tiny, replknet31b, unet, context_module, plain, cifar_resnet, preact_resnet, squeezenet, resnext50,
    wide_resnet50, regnet_y_400mf, shufflenet_v2, mobilenet_v3_small, mobilenet_v3_large, mnasnet, efficientnet_b0,
    efficientnet_v2_s, convnext_v2_atto, repvgg_a0, hrnet_w18, unet_plus_plus, fcn, deeplabv3_resnet50, pspnet,
    fpn_resnet50, edsr, nafnet, wavenet, tcn, unet3d, resnet3d_18)}
# The published depths of the CIFAR networks have names of their own.
_BUILDERS |= {f"{builder.__name__}{depth}": partial(builder, depth)
              for builder in (cifar_resnet, preact_resnet) for depth in (20, 32, 44, 56, 110)}


def __getattr__(name: str) -> Any:
    if name in _BUILDERS:
        return _BUILDERS[name]
    near = meant(name, _BUILDERS)
    raise AttributeError(f"the zoo has no network {name!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))


def names() -> tuple[str, ...]:
    """List the names of all networks that `build` knows.

    Returns
    -------
    tuple of str
        In alphabetical order.

    See Also
    --------
    build : A network by its name.

    Examples
    --------
    >>> import erfmath as em
    >>> em.zoo.names()[:4]
    ('alexnet', 'vgg11', 'vgg13', 'vgg16')
    """
    return tuple(_BUILDERS)


def build(name: str, **options: Any) -> Network:
    """The network called `name`.

    Parameters
    ----------
    name : str
        One of `names()`.
    **options : optional
        Keywords of the function of that name, as `width`, `head` or `batch_norm`.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    ValueError
        If there is no such network, with the names that come near.
    TypeError
        If the network does not take one of the options.

    See Also
    --------
    names : Names of all networks that `build` knows.

    Examples
    --------
    >>> import erfmath as em
    >>> em.zoo.build("preact_resnet32", width=8) == em.zoo.preact_resnet(32, width=8)
    True
    """
    builder = _BUILDERS.get(name) if isinstance(name, str) else None
    if builder is None:
        near = meant(name, _BUILDERS)
        hint = (f"did you mean {' or '.join(map(repr, near))}?" if near else f"known are {', '.join(_BUILDERS)}")
        raise ValueError(f"name={quoted(name)}: no network of the zoo; {hint}")
    known = inspect.signature(builder).parameters
    for option, value in options.items():
        if option not in known:
            raise TypeError(f"{option}={quoted(value)}: not an option of {quoted(name)}, which takes "
                            f"{', '.join(known)}")
    return builder(**options)
