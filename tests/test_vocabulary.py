"""Every registered kind of layer with rare options, in one to three axes: what holds for all of them."""

from __future__ import annotations

import dataclasses
import json
import math
import zlib

import numpy as np
import pytest
from differences import check_input_gradient, check_parameter_gradients, check_windows
from generators import Draw
from vocabulary import CHANNELS, LAYERS, MERGES, WIDTH, Drawn, draw_network, draw_one

import erfmath as em
from erfmath.layers.base import KINDS

OPS = sorted({*LAYERS, *MERGES})
NDIMS = (1, 2, 3)
each = pytest.mark.parametrize("ndim", NDIMS)
every_kind = pytest.mark.parametrize("op", OPS)
#: Draws until every site that can win a pool, or open a gate, has done so: of few sites, and of any.
FEW, MANY = 40, 400


def cases(op: str, ndim: int, number: int, side: int = 5) -> list[Drawn]:
    """Networks with a layer of this kind."""
    seed = zlib.crc32(op.encode())
    return [draw_one(Draw(np.random.default_rng([seed, ndim, i])), op, ndim, side) for i in range(number)]


def missing() -> set[str]:
    return {*KINDS} - {*OPS}


def test_every_kind_is_drawn() -> None:
    assert not missing(), f"tests/vocabulary.py draws no layer of kind {', '.join(sorted(missing()))}"
    drawn = [draw_network(np.random.default_rng(seed)).net for seed in range(60)]
    assert {node.layer.op for net in drawn for node in net.nodes} == {*KINDS}


def test_a_kind_that_is_not_drawn_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "novel", em.Identity)
    assert missing() == {"novel"}


@every_kind
def test_json(op: str) -> None:
    for ndim in NDIMS:
        for net, image in cases(op, ndim, 3):
            again = em.Network.from_dict(json.loads(json.dumps(net.to_dict())))
            assert again == net and hash(again) == hash(net) and again.shapes(image) == net.shapes(image)


@every_kind
def test_fields_refused(op: str) -> None:
    """Whatever is wrong with a field, the message has the names of the node and of the field."""
    net = cases(op, 2, 1)[0].net
    for field in dataclasses.fields(KINDS[op]):
        for wrong in ("nonsense", {}, math.nan, [[]], True) if field.name != "name" else ():
            described = net.to_dict()
            node = next(node for node in described["nodes"] if node["op"] == op)
            if isinstance(node.get(field.name, field.default), bool) and wrong is True:
                continue
            node[field.name] = wrong
            with pytest.raises(ValueError) as told:
                em.Network.from_dict(described)
            assert node["name"] in str(told.value) and field.name in str(told.value), told.value


def check_run(op: str, ndim: int, number: int) -> None:
    for case in cases(op, ndim, number):
        check_windows(case)
        check_input_gradient(case)
        check_parameter_gradients(case, images=2)


@every_kind
def test_windows_and_gradients(op: str) -> None:
    check_run(op, 1, 1)


@pytest.mark.slow
@each
@every_kind
def test_windows_and_gradients_on_more_axes(op: str, ndim: int) -> None:
    check_run(op, ndim, 4)


def check_support(case: Drawn, draws: int) -> None:
    """Pixels whose gradients are not zero in some draw, for a corner and a middle.

    What statistics over the whole map add does not count as seen, and the softmax of one part is a constant.
    """
    net, image = case
    over_map = any("space" in node.layer.statistics and node.layer.through_statistics for node in net.nodes)
    shape = net.shapes(image)[net.output]
    for unit in ((0,) * len(shape), tuple(n // 2 for n in shape)):
        options = {"image": image, "unit": unit, "ndim": len(image)}
        measured = em.measure(net, **options, draws=draws, rng=0, width=WIDTH, channels_in=CHANNELS, batch=2)
        mask, start = em.support(net, **options)
        seen = np.zeros(image, bool)
        seen[tuple(slice(a, a + n) for a, n in zip(start, mask.shape))] = mask
        reached = measured.map != 0
        assert reached[seen].all() or em.Softmax(1) in [node.layer for node in net.nodes]
        assert over_map or not reached[~seen].any()


@every_kind
def test_support_is_what_gradients_reach(op: str) -> None:
    for ndim in (1, 2):
        check_support(cases(op, ndim, 1)[0], FEW)


@pytest.mark.slow
@each
@every_kind
def test_support_of_more_cases(op: str, ndim: int) -> None:
    for case in cases(op, ndim, 6):
        check_support(case, MANY)
