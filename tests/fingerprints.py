"""Fingerprints of what the package computes, for changes that must leave every number as it is.

    python tests/fingerprints.py > before.txt     # in the old checkout
    python tests/fingerprints.py > after.txt      # in the new one; diff says what moved

One line a computation: its name, and a hash of the exact bits of its arrays.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from helpers import NETWORKS

import erfmath as em

RELU = em.Activation("relu")


def fingerprint(value: Any) -> str:
    """A hash of arrays, numbers, strings, and of sequences and mappings of them."""
    digest = hashlib.sha256()

    def feed(part: Any) -> None:
        if isinstance(part, dict):
            for key in part:
                feed(str(key))
                feed(part[key])
        elif isinstance(part, (tuple, list)):
            digest.update(b"(%d" % len(part))
            for item in part:
                feed(item)
        elif isinstance(part, np.ndarray):
            digest.update(repr((part.shape, str(part.dtype))).encode() + np.ascontiguousarray(part).tobytes())
        elif isinstance(part, (float, np.floating)):
            digest.update(float(part).hex().encode())
        else:
            digest.update(repr(part).encode())
    feed(value)
    return digest.hexdigest()[:16]


def field(erf: Any) -> tuple[Any, ...]:
    """What defines a predicted or measured field."""
    return erf.map, erf.origin, erf.unit, erf.statistic, erf.std, float(erf.total), erf.centroid


def trf(rf: Any) -> tuple[Any, ...]:
    """What defines a theoretical receptive field."""
    return (str(rf.size), str(rf.stride), str(rf.padding), rf.shift_invariant,
            None if rf.infinite else [rf.window(u) for u in (0, 1, 5)])


def rounded(value: Any) -> Any:
    """To nine digits, where the order of sums is free."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [rounded(part) for part in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def costs(found: Any) -> Any:
    """What a network costs, by node."""
    return dict(found.multiply_adds), dict(found.parameters)


def shares(found: Any) -> Any:
    """What each layer adds."""
    return rounded([[found.variance], *([row.node, row.variance, row.share, row.trf, row.multiply_adds, row.parameters]
                                        for row in found.layers)])


def remedies(found: Any) -> Any:
    """What each change does, sorted."""
    rows = [(row.kind, row.size, row.multiply_adds, row.parameters, row.trf, row.holes) for row in found.changes]
    return rounded(sorted(rows))


def mixed() -> em.Network:
    """A network with most kinds of layers."""
    branch = em.serial(em.Conv(3, 8, dilation=2), em.BatchNorm(), em.Activation("gelu"), em.Dropout(.1))
    return em.serial(
        em.Conv(5, 8, stride=2), em.Activation("leaky_relu", slope=.1), em.residual(branch, em.Scale(.5)),
        em.LayerNorm(), em.MaxPool(3, 2, 1), em.concat(em.Conv(1, 8), em.Conv(3, 16, groups=2, padding=1), em.Pad(0)),
        em.Activation("silu"), em.Upsample(2, "bilinear"), em.ConvTranspose(4, 8, stride=2, padding=1),
        em.BlurPool(3, 2), em.Conv(3, 8, padding="same"), em.Activation("tanh"), em.Conv(3, 8))


def trained() -> tuple[em.Network, dict[str, Any]]:
    """A network and arrays for it."""
    rng = np.random.default_rng(5)
    net = em.serial(em.Conv(3, 8, name="a"), em.BatchNorm(name="n"), RELU, em.Conv(3, 8, name="b"), RELU, em.Conv(3, 4))
    norm = np.stack([rng.random(8) + .5, rng.normal(size=8), rng.normal(size=8), rng.random(8) + .5])
    return net, {"a": rng.normal(size=(8, 3, 3, 3)), "b": rng.normal(size=(8, 8, 3, 3)), "b.bias": rng.normal(size=8),
                 "n": norm}


def computations() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Names, and what to compute for them."""
    def zoo(name: str, **options: Any) -> Callable[[], Any]:
        return lambda: field(em.predict(em.zoo.build(name), **options))

    for name in ("alexnet", "vgg16", "googlenet", "resnet18", "resnet50", "resnet_v2_50", "densenet121", "mobilenet_v2",
                 "convnext_tiny", "unet", "context_module", "cifar_resnet20", "preact_resnet20"):
        yield f"predict {name} 96", zoo(name, image=96)
    for name in ("vgg16", "resnet18", "unet"):
        yield f"predict {name} 64 corner", zoo(name, image=64, unit=0)
    yield "predict resnet50 plane layer2", zoo("resnet50", node="layer2")
    yield "predict inception_v3 75", zoo("inception_v3", image=107)
    for name, build in NETWORKS.items():
        yield f"predict {name} plane", lambda build=build: field(em.predict(build()))
        yield f"predict {name} 24", lambda build=build: field(em.predict(build(), image=24))
        yield f"trf {name}", lambda build=build: {key: trf(rf) for key, rf in em.receptive_fields(build()).items()}
        yield f"support {name}", lambda build=build: tuple(em.support(build(), image=20))
    for ndim, image in ((1, 48), (2, 24), (3, 12)):
        yield f"predict mixed {ndim}-D", lambda n=ndim, i=image: field(em.predict(mixed(), image=i, ndim=n))
    yield "predict mixed plane", lambda: field(em.predict(mixed()))
    yield "predict constant", lambda: field(em.predict(em.repeat(em.Conv(3, weights=em.Constant()), 4), image=12))
    yield "predict normal", lambda: em.predict(em.repeat(em.Conv(3), 20), method="normal").share
    yield "predict finite_width", lambda: field(em.predict(
        em.repeat(em.serial(em.Conv(3), em.Activation("gelu")), 8), method="finite_width"))
    yield "predict weights", lambda: field(em.predict(trained()[0], weights=trained()[1], image=16))
    yield "predict covariance", lambda: field(em.predict(
        mixed(), image=24, input_moments=(1., .2), input_covariance=np.outer([.5, 1, .5], [.5, 1, .5])))
    for name in ("resnet50", "unet", "googlenet"):
        yield f"trf {name}", lambda n=name: {key: trf(rf) for key, rf in
                                             em.receptive_fields(em.zoo.build(n), image=224).items()}
        yield f"support {name}", lambda n=name: tuple(em.support(em.zoo.build(n), image=128))
        yield f"size_map {name}", lambda n=name: [getattr(em.erf_size_map(em.zoo.build(n), 64), what)
                                                  for what in ("size", "std", "centroid", "total")]
        yield f"costs {name}", lambda n=name: costs(em.costs(em.zoo.build(n), 64))
    yield "layer_shares vgg16", lambda: shares(em.layer_shares(em.zoo.vgg16(), image=64))
    yield "layer_shares resnet20", lambda: shares(em.layer_shares(em.zoo.cifar_resnet(20), image=32))
    yield "layer_shares plane", lambda: shares(em.layer_shares(em.zoo.build("context_module")))
    yield "remedies", lambda: remedies(em.remedies(em.zoo.build("plain"), image=32))
    yield "remedies resnet20", lambda: remedies(em.remedies(em.zoo.cifar_resnet(20), image=32))
    yield "tile_halo", lambda: rounded(vars(em.tile_halo(em.zoo.build("plain"), .01)))
    yield "tile_halo unet", lambda: rounded(vars(em.tile_halo(em.zoo.build("unet"), .01)))
    yield "coverage", lambda: rounded([getattr(em.coverage(em.zoo.build("plain"), (5, 6.5)), what)
                                       for what in ("share", "whole")])
    yield "measure pooled", lambda: field(em.measure(NETWORKS["pooled"](), image=16, draws=8, rng=1))
    yield "measure mixed", lambda: field(em.measure(mixed(), image=24, draws=4, rng=2))
    yield "measure weights", lambda: field(em.measure(trained()[0], weights=trained()[1], image=16, draws=3, rng=2))
    yield "walk", lambda: em.walk(em.kernels.uniform(3), 50).pmf(np.arange(0, 101))


def main() -> None:
    """Print every fingerprint."""
    for name, compute in computations():
        try:
            line = fingerprint(compute())
        except Exception as error:  # an error is a result too
            line = f"{type(error).__name__}: {error}"
        print(f"{name:32} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
