"""Layers that see more than the image, against the fields of their units."""

from __future__ import annotations

from helpers import FFT, assert_close

import erfmath as em


def test_border_layers_are_those_larger_than_the_image() -> None:
    net = em.zoo.vgg16()
    fields = em.receptive_fields(net)
    rows = em.border_layers(net, 64)
    assert len(str(rows).splitlines()) == len(rows) + 1 and "TRF and ERF" in str(rows)
    assert [row.node for row in rows] == [name for name in net.names if "relu" not in name]
    for row in rows:
        assert row.trf == fields[row.node].size[0] and row.beyond_trf == (row.trf > 64)
        erf = em.predict(net, node=row.node, image=192 if row.trf > 192 else None).size("mass")
        assert (row.erf, row.beyond_erf) == (erf, erf > 64)


def test_border_layers_on_a_canvas_and_behind_pooling() -> None:
    net = em.serial(em.repeat(em.Conv(3, dilation=2), 12), em.GlobalAvgPool())
    rows = em.border_layers(net, 8, kind="std")
    assert rows[-1].trf == float("inf") and rows[-1].beyond_erf
    assert rows[2].trf == 13 and rows[2].beyond_trf and not rows[2].beyond_erf
    assert_close(rows[2].erf, em.predict(net, node="conv3").size("std"), FFT)
