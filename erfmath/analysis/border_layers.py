"""Layers that see more than the image: theoretically, and effectively."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..base.progress import Report, shown
from ..base.tables import Printed, text_table
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..networks.trf import receptive_fields
from ..theory.predict import predict

__all__ = ["BorderLayer", "BorderLayers", "border_layers"]


@dataclass(frozen=True)
class BorderLayer:
    """What the units of one node see beside the size of the image.

    Attributes
    ----------
    node : str
    trf : float
        Side of the theoretical receptive field, in pixels (the longest axis).
    erf : float
        Extent of the effective one by the kind asked for.
    beyond_trf, beyond_erf : bool
        Whether each is larger than the image along some axis.
    """

    node: str
    trf: float
    erf: float
    beyond_trf: bool
    beyond_erf: bool


class BorderLayers(Printed, tuple[BorderLayer, ...]):
    """Layers in the order of the network; printed with str()."""

    def __str__(self) -> str:
        rows = [("node", "TRF", "ERF", "larger than the image")]
        rows += [(row.node, f"{row.trf:.4g}", f"{row.erf:.4g}", " and ".join(
            name for name, beyond in (("TRF", row.beyond_trf), ("ERF", row.beyond_erf)) if beyond)) for row in self]
        return text_table(rows, "lrrl")


def border_layers(net: Network, image: Any, *, kind: str = "mass", width: int = 16, channels_in: int = 3,
                  ndim: int = 2, progress: Report = None, **options: Any) -> BorderLayers:
    """Find the layers that see more than the image: theoretically, and effectively.

    Layers after the first whose theoretical receptive field exceeds the image can add no context
    [1]_; those whose effective field exceeds it see little but borders.

    Parameters
    ----------
    net : Network
        The network.
    image : int or tuple of int
        Size of the image, in pixels.
    kind : str
        Of `EffectiveReceptiveField.size`, taken far from all borders: on a canvas of up to three
        times the image.
    width, channels_in, ndim : int
        As in `predict`.
    progress : bool or callable, optional
        True for a bar on stderr, or a function that is called with the number of nodes done and to do.
    **options : optional
        Of `kind`, as ``p=0.9``.

    Returns
    -------
    BorderLayers
        One `BorderLayer` per layer that spreads gradients, in the order of the network.

    Raises
    ------
    ValueError
        For an unknown kind, an image of another dimension than the network or too small for it, and
        whatever `predict` refuses.

    See Also
    --------
    layer_shares : Contribution of each layer.
    erf_size_map : Size and centre of the effective receptive field of every unit of a map.

    References
    ----------
    .. [1] Richter, Byttner, Krumnack, Wiedenroth, Schallner, Shenk, (Input) size matters for CNN
       classifiers, 2021.

    Examples
    --------
    >>> import erfmath as em
    >>> rows = em.border_layers(em.zoo.vgg16(), 64)
    >>> next(row.node for row in rows if row.beyond_trf), [row.node for row in rows if row.beyond_erf]
    ('conv4_2', ['conv5_1', 'conv5_2', 'conv5_3', 'pool5'])
    """
    settings = RunSettings.of(net, image=image, width=width, channels_in=channels_in, ndim=ndim)
    ndim, size = settings.ndim, settings.pixels
    fields = receptive_fields(net, ndim=ndim)
    rows = []
    with shown(progress, "border layers") as show:
        for done, (node, axes) in enumerate(zip(net.nodes, net.geometry(ndim))):
            show(done, len(net))
            if all(g.extent == 1 and g.padding != "whole" for g in axes):
                continue
            trf = fields[node.name]
            if trf.infinite:
                rows.append(BorderLayer(node.name, math.inf, math.inf, True, True))
                continue
            large = any(r > 3 * n for r, n in zip(trf.size, size))
            canvas = tuple(3 * n for n in size) if large else None
            erf = predict(net, **settings.but(node=node.name, image=canvas).keywords)
            extent = erf.size(kind, **options)
            rows.append(BorderLayer(node.name, float(max(trf.size)), extent,
                                    any(r > n for r, n in zip(trf.size, size)), extent > min(size)))
    return BorderLayers(rows)
