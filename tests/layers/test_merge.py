"""Sums and concatenations: what they say of channels."""

from __future__ import annotations

import pytest
from specs import check_spec, examples

import erfmath as em
from erfmath.layers import Layer


@pytest.mark.parametrize("layer", examples("add", "concat"), ids=repr)
def test_merge_spec(layer: Layer) -> None:
    check_spec(layer)


def test_merged_channels() -> None:
    assert em.Add().merged_channels([4, None, 4]) == 4 and em.Add().merged_channels([None]) is None
    assert em.Concat().merged_channels([4, 1, 4]) == 9 and em.Concat().merged_channels([4, None]) is None
    with pytest.raises(ValueError, match="inputs: cannot add 4 and 5 channels; give the layers channels="):
        em.Add().merged_channels([4, None, 5])


def test_merge_traits() -> None:
    assert em.Add().sums and not em.Add().joins_channels and em.Add().many_inputs
    assert em.Concat().joins_channels and not em.Concat().sums and em.Concat().many_inputs
