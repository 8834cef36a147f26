"""The networks of many kinds: names, images and channels that suit one another."""

from __future__ import annotations

import pytest

from erfmath.bench import cases, kinds


def test_names_are_used_once() -> None:
    names = [case.name for case in kinds.CASES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", kinds.CASES, ids=lambda case: case.name)
def test_units_of_kinds_exist_on_their_images(case: cases.Case) -> None:
    net = case.build(width=case.width)
    shape = net.shapes(case.image, case.ndim or 2)[net.output]
    assert min(shape) > (case.unit or 0) and net.channels(case.width, case.channels_in)[net.output] > 0
