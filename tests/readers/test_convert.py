"""Recorded models: every node as torch has it, and windows as automatic differentiation finds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import recorded

import erfmath as em
from erfmath.readers.builder import View
from erfmath.readers.convert import build, convert

#: What these models need that no layer does yet.
MISSING: dict[str, set[str]] = {}
#: Models whose head begins with a pool to a size that does not divide the map of this long image.
HEADLESS = {"torchvision_alexnet", "torchvision_vgg11_bn"}


#: Looked at without being asked, the others with -m slow.
FEW = ("timm_ghostnet_100", "timm_nf_resnet26", "timm_tresnet_m", "torchvision_convnext_tiny", "torchvision_resnet18",
       "torchvision_shufflenet_v2_x0_5")


@pytest.fixture(scope="module", params=[pytest.param(name, marks=() if name in FEW else pytest.mark.slow)
                                        for name in recorded.names()])
def model(request: Any) -> Any:
    trace, about = recorded.read(request.param)
    return request.param, trace, about, convert(trace, init="module", unsupported="stand_in")


@pytest.mark.slow
def test_what_is_missing(model: Any) -> None:
    name, trace, _, found = model
    assert {s.what for s in found.stand_ins} == MISSING.get(name, set())
    if name not in {*MISSING, *HEADLESS}:
        convert(trace, init="module")


def test_shapes_and_channels(model: Any) -> None:
    """Of every map that torch recorded and a node holds, by the network itself."""
    _, trace, _, found = model
    shapes, channels = found.net.shapes(found.image), found.net.channels()
    builder, values = build(trace, "module")
    checked = 0
    for record in trace.live():
        view = values[record.name]
        if isinstance(view, View) and not view.expression.parts and view.node in shapes:
            numbers = int(np.prod(shapes[view.node])) * channels[view.node]
            if record.op in ("conv", "max_pool", "avg_pool") and len(record.shape) == 4:
                assert (channels[view.node], *shapes[view.node]) == record.shape[1:]
            assert numbers == int(np.prod(record.shape[1:])) or record.op in ("expand", "reshape", "binary")
            checked += 1
    assert checked > 0.3 * len(trace.records)


def test_windows(model: Any) -> None:
    name, trace, about, found = model
    _, values = build(trace, "module")
    for window in about["windows"]:
        node = values[window["value"]].node
        lo, hi = window["lo"], window["hi"]
        seen = em.support(found.net, image=found.image, node=node, unit=tuple(window["unit"]),
                          gates=about.get("gates", True))
        filled = np.argwhere(seen.mask) + seen.origin
        assert (filled.min(0).tolist(), filled.max(0).tolist()) == (lo, hi), (node, window)


def test_the_files_are_small() -> None:
    sizes = [path.stat().st_size for path in recorded.FOLDER.glob("*.json.gz")]
    assert sizes and sum(sizes) < 300_000
