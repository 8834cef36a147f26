"""The benchmark of trained networks of many kinds of layers."""

from __future__ import annotations

from erfmath.bench import trained


def test_the_table() -> None:
    task, noise = trained.run(quick=True).rows
    assert task[1] == "task" and noise[1] == "noise" and not noise[3]
    ratios = [float(cell.split(";")[0]) for cell in (*task[3:], *noise[4:])]
    assert len(ratios) == 9 and all(0.5 < ratio < 2 for ratio in ratios)


def test_all_outputs_are_maps_of_the_input() -> None:
    for name, net in trained.NETWORKS.items():
        axes = 1 if name.startswith("1-D") else 2
        size = trained.SIZES[axes][0]
        assert net.shapes((size,) * axes)[net.output] == (size,) * axes
