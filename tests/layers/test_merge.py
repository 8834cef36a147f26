"""Sums and concatenations: what they say of channels."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import EXACT, assert_close
from specs import check_spec, examples

import erfmath as em
from erfmath.layers import Layer


@pytest.mark.parametrize("layer", examples("add", "concat", "multiply"), ids=repr)
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


def test_multiply_broadcasts() -> None:
    merged = em.Multiply().merged_channels
    assert merged([8, 1, 8]) == 8 and merged([1, 1]) == 1 and merged([1, None]) is None and merged([1, None, 4]) == 4
    with pytest.raises(ValueError, match="inputs: cannot multiply 8 and 4 channels"):
        merged([8, 1, 4])
    assert em.Multiply().multiplies and em.Multiply().is_gate and em.Multiply().many_inputs


def test_merge_channel_reads() -> None:
    a, b = np.arange(3), np.arange(3, 6)
    assert_close(em.Add().channel_reads([a, b], 3, 2), [a, b], EXACT)
    assert_close(em.Multiply().channel_reads([a, b[:1]], 3, 2), [a, [3, 3, 3]], EXACT)
    assert_close(em.Concat().channel_reads([a, b], 6, 2), [[0, 1, 2, 3, 4, 5]], EXACT)
