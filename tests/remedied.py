"""Small networks with their remedies, and networks edited by hand."""

from __future__ import annotations

import functools
from typing import Any

import erfmath as em
from erfmath.analysis.remedies import Remedies

Conv, Relu, Norm = em.Conv, em.Activation("relu"), em.BatchNorm()


def small() -> em.Network:
    """Two stages of VGG, small."""
    return em.serial(Conv(3, 4, name="a"), Relu, Conv(3, 4, name="b"), Relu, em.MaxPool(2, name="pool"),
                     Conv(3, 8, name="c"), Relu, Conv(3, 8, name="d", padding=1), Relu)


def branch() -> em.Network:
    return em.serial(Conv(3, 8), Norm, Relu, Conv(3, 8), Norm)


def residual() -> em.Network:
    return em.serial(Conv(3, 8), Relu, em.repeat(em.serial(em.residual(branch()), Relu), 3))


@functools.cache
def found(name: str, **options: Any) -> Remedies:
    return em.remedies({"small": small, "residual": residual}[name](), image=24, **options)


def change(name: str, what: str) -> Any:
    return next(remedy for remedy in found(name).changes if remedy.what == what)


def edited(net: em.Network, **fields: dict[str, Any]) -> em.Network:
    """Fields of nodes changed, by way of JSON."""
    d = net.to_dict()
    for node in d["nodes"]:
        node.update(fields.get(node["name"], {}))
    return em.Network.from_dict(d)


def field(net: em.Network) -> Any:
    return em.predict(net, image=24).map
