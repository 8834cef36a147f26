"""ONNX files to plain values: what a writer by the specification wrote comes back, and damage is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, assert_close
from onnx_writer import attribute, block, info, model, node, number, tensor, varint

from erfmath.base.errors import SizeError
from erfmath.readers.onnx_file import read_model


def small() -> bytes:
    weights = np.arange(2 * 3 * 3 * 3, dtype=np.float32).reshape(2, 3, 3, 3)
    return model([node("Conv", ["x", "w"], ["y"], "conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1], alpha=0.5, word="a"),
                  node("Relu", ["y"], ["z"])],
                 [info("x", (1, 3, "height", 8)), info("w", weights.shape)], [info("z", None)],
                 [tensor("w", weights)], [info("y", (1, 2, 8, 8))])


def written(folder: Path, data: bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(data)
    return path


def test_a_small_file(tmp_path: Path) -> None:
    found = read_model(written(tmp_path, small()))
    assert [(n.op, n.inputs, n.outputs, n.name) for n in found.nodes] == [
        ("Conv", ("x", "w"), ("y",), "conv"), ("Relu", ("y",), ("z",), "")]
    assert found.nodes[0].attributes == {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "alpha": 0.5, "word": "a"}
    assert (found.inputs, found.outputs, found.shapes) == ({"x": (1, 3, "height", 8)}, {"z": None},
                                                           {"y": (1, 2, 8, 8)})
    assert (found.opset, found.producer) == (17, "test")
    assert_close(found.tensors["w"], np.arange(54.0).reshape(2, 3, 3, 3), EXACT)


@pytest.mark.parametrize("how", ["raw", "packed", "single"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "uint8", "int16", "uint16", "int32",
                                   "int64", "uint32", "uint64", "bool"])
def test_types_of_numbers(tmp_path: Path, dtype: str, how: str) -> None:
    low = 0 if dtype[0] in "ub" else -3
    array = np.arange(low, low + 6).reshape(2, 3).astype(dtype)
    found = read_model(written(tmp_path, model([], [], [], [tensor("a", array, how=how)]))).tensors["a"]
    assert found.dtype == dtype
    assert_close(found, array, EXACT)


@pytest.mark.parametrize("kind, bits, values", [
    (16, np.array([0x3f80, 0xc000, 0x3e20], np.uint16), [1, -2, 0.15625]),
    (17, np.array([0x38, 0xb8, 0x01, 0x7e], np.uint8), [1, -1, 2**-9, 448]),
    (18, np.array([0x40, 0x01, 0xff], np.uint8), [1, 2**-10, -240]),
    (19, np.array([0x3c, 0x01, 0x7b, 0xfc], np.uint8), [1, 2**-16, 57344, -np.inf]),
    (20, np.array([0x40, 0xff], np.uint8), [1, -57344]),
])
def test_floats_that_numpy_lacks(tmp_path: Path, kind: int, bits: Any, values: list[float]) -> None:
    found = read_model(written(tmp_path, model([], [], [], [tensor("a", bits, kind=kind)])))
    assert_close(found.tensors["a"], np.array(values, np.float32), EXACT)


def test_four_bits(tmp_path: Path) -> None:
    three = number(1, 3) + block(8, "a") + block(9, bytes([0xf1, 0x07]))
    for kind, values in ((21, [1, 15, 7]), (22, [1, -1, 7])):
        found = read_model(written(tmp_path, model([], [], [], [three + number(2, kind)])))
        assert found.tensors["a"].tolist() == values


def external(location: str, **about: str) -> bytes:
    notes = {"location": location, **about}
    return (number(1, 4) + number(2, 1) + block(8, "a") + number(14, 1)
            + b"".join(block(13, block(1, k) + block(2, v)) for k, v in notes.items()))


def test_external_data(tmp_path: Path) -> None:
    array = np.arange(4, dtype=np.float32)
    (tmp_path / "data").write_bytes(b"12345678" + array.tobytes())
    found = read_model(written(tmp_path, model([], [], [], [external("data", offset="8", length="16")])))
    assert_close(found.tensors["a"], array, EXACT)


@pytest.mark.parametrize("location, about, words", [
    ("../data", {}, "in the directory of the model"), ("/etc/hostname", {}, "in the directory of the model"),
    ("", {}, "in the directory of the model"), ("missing", {}, "no such file"), ("link", {}, "in the directory"),
    ("data", {"offset": "4"}, "the file has 16"), ("data", {"offset": "-1"}, "the file has 16"),
    ("data", {"length": "99999999999999"}, "it needs 16"), ("data", {"offset": "x"}, "no place in a file"),
])
def test_external_data_elsewhere(tmp_path: Path, location: str, about: dict[str, str], words: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for place in (tmp_path / "data", folder / "data"):
        place.write_bytes(bytes(16))
    (folder / "link").symlink_to(tmp_path / "data")
    with pytest.raises(ValueError, match=words):
        read_model(written(folder, model([], [], [], [external(location, **about)])))


@pytest.mark.parametrize("data, words", [
    (b"", "no ONNX model"),
    (b"PK\x03\x04 a zip file", "byte 2: no field"),
    (block(7, b"") + b"\x00", "byte 2: no field has the number 0"),
    (number(1, 8) + varint(7 * 8 + 2) + varint(2**40) + b"x", "1099511627776 bytes, 1 are left"),
    (number(1, 8) + varint(7 * 8 + 2) + b"\xff" * 11, "a number without an end"),
    (number(1, 8) + number(7, 3), "wire type 0 is none of a field of kind Graph"),
    (number(1, 8) + varint(7 * 8 + 3), "unknown wire type 3"),
    (model([], [], [], [number(1, 10**12) + number(2, 1) + block(9, b"1234")]), "has 4 bytes"),
    (model([], [], [], [number(1, 2**40) + number(1, 2**40) + number(2, 1) + block(9, b"")]), "has 0 bytes"),
    (model([], [], [], [number(1, -1) + number(2, 1) + block(9, b"")]), "has the shape"),
    (model([], [], [], [number(1, 1) + number(2, 8)]), "type string"),
    (model([], [], [], [number(1, 3) + number(2, 1) + block(4, b"12345")]), "no whole number of floats"),
    (model([], [], [], [number(1, 2) + number(2, 7) + block(7, b"\x01\xff")]), "number without an end"),
    (model([], [], [], [number(1, 1) + number(2, 7) + block(7, b"\xff" * 11 + b"\x01")]), "more than ten bytes"),
])
def test_damaged(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_model(written(tmp_path, data))


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erfmath.base.errors.MEMORY_LIMIT", 100)
    with pytest.raises(SizeError, match="more than the limit"):
        read_model(written(tmp_path, small()))


def test_cut_short_everywhere(tmp_path: Path) -> None:
    whole = small()
    for stop in range(len(whole)):
        try:
            read_model(written(tmp_path, whole[:stop]))
        except ValueError as error:
            assert str(tmp_path) in str(error)


def test_bytes_changed(tmp_path: Path) -> None:
    """Whatever one to four changed bytes do to a file: it is read, or refused with a documented error."""
    whole = bytearray(small() + model([], [], [], [external("data"), tensor("b", np.arange(5), how="packed")]))
    rng = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole)
        for at in rng.integers(len(data), size=rng.integers(1, 5)):
            data[at] = rng.choice([0, 1, 0x7f, 0x80, 0xff, int(rng.integers(256))])
        try:
            read_model(written(tmp_path, bytes(data)))
        except (ValueError, OSError):
            pass


def test_attribute_kinds(tmp_path: Path) -> None:
    one = node("Op", [], []) + block(5, attribute("t", tensor("", np.float32([1, 2])))) + block(
        5, attribute("f", [0.5, 1.5])) + block(5, attribute("empty", []))
    found = read_model(written(tmp_path, model([one], [], []))).nodes[0].attributes
    assert found["t"].tolist() == [1, 2] and found["f"] == [0.5, 1.5] and found["empty"] == []
