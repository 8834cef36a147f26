"""The wire format: numbers of all lengths, nesting, counts."""

from __future__ import annotations

import pytest
from onnx_writer import block, number, varint

from erfmath.readers import wire

NUMBERS = {"num": {1: ("one", "int", False), 2: ("many", "int", True), 3: ("inner", "num", False)}}


def test_nesting_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b""
    for _ in range(wire.DEEPEST + 1):
        data = block(3, data)
    with pytest.raises(ValueError, match="64 deep"):
        wire.decode(data, "num", NUMBERS)
    monkeypatch.setattr(wire, "MOST_FIELDS", 5)
    with pytest.raises(ValueError, match="more than 5 fields"):
        wire.decode(number(2, 1) * 6, "num", NUMBERS)


def test_numbers_of_all_lengths() -> None:
    values = [0, 1, 127, 128, 300, 2**32, 2**63 - 1, -1, -2**63]
    single = b"".join(number(2, v) for v in values)
    packed = block(2, b"".join(varint(v) for v in values))
    assert wire.decode(single, "num", NUMBERS)["many"].tolist() == values
    assert wire.decode(packed + number(1, -5), "num", NUMBERS) == {"one": -5, "many": pytest.approx(values, abs=0)}
