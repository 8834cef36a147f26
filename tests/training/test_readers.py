"""Data sets of others: read, checked, and never executed."""

from __future__ import annotations

import pathlib
import struct
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close
from training_tasks import some_images

from erfmath import training

PIXELS = 3072


# -- npz ----------------------------------------------------------------------------------------

def test_read_npz(tmp_path: pathlib.Path) -> None:
    file, images, labels = tmp_path / "data.npz", some_images(), np.arange(6) % 3
    last = np.moveaxis(images, 1, -1)
    np.savez(file, x_train=last, y_train=labels, x_test=last[:2], y_test=labels[:2])
    train = training.read_npz(file)
    assert_close(train.images, images, EXACT)
    test = training.read_npz(file, "test", like=train)
    assert test.classes == 3 and len(test) == 2
    assert_close(test.mean, train.mean, EXACT)
    np.savez(file, images=images[:, 0], labels=labels)
    assert training.read_npz(file).images.shape == (6, 1, 4, 5)
    np.savez(file, images=images, labels=labels)
    assert_close(training.read_npz(file, channels_last=False).images, images, EXACT)


def test_read_npz_refuses(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "data.npz"
    with pytest.raises(FileNotFoundError):
        training.read_npz(file)
    for content in (b"", b"PK\x03\x04", b"text"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="data.npz: not an npz file"):
            training.read_npz(file)
    np.savez(file, pictures=some_images())
    with pytest.raises(ValueError, match="lacks 'x_train' and 'y_train' or 'images' and 'labels'; it has 'pictures'"):
        training.read_npz(file)
    np.savez(file, images=np.array([{}], dtype=object), labels=np.zeros(1, int))
    with pytest.raises(ValueError, match="data.npz"):
        training.read_npz(file)
    np.savez(file, images=some_images(), labels=np.arange(5))
    with pytest.raises(ValueError, match="data.npz: labels: shape"):
        training.read_npz(file)
    with pytest.raises(ValueError, match="split='valid'"):
        training.read_npz(file, "valid")
    with open(tmp_path / "one.npy", "wb") as one:
        np.save(one, np.zeros(3))
    with pytest.raises(ValueError, match="one.npy: not an npz file of arrays .it is no npz file"):
        training.read_npz(tmp_path / "one.npy")


# -- CIFAR-10 -----------------------------------------------------------------------------------

def rows(n: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, PIXELS), np.uint8), rng.integers(0, 10, n)


def pickled(images: Any, labels: Any, *, old: bool = True) -> bytes:
    """A batch as the published files have it, instruction by instruction: protocol 2, no memo."""
    def text(value: bytes) -> bytes:
        if not old:
            return b"X" + struct.pack("<I", len(value)) + value
        return b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + struct.pack("<i", len(value)) + value

    def number(value: int) -> bytes:
        return b"K" + bytes([value]) if value < 256 else b"J" + struct.pack("<i", value)
    n = len(labels)
    raw = images.tobytes(order="A")
    body = b"T" + struct.pack("<i", len(raw)) + raw if old else b"B" + struct.pack("<I", len(raw)) + raw
    array = (b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n" + number(0) + b"\x85" + text(b"b")
             + b"\x87R(" + number(1) + number(n) + number(PIXELS) + b"\x86"
             + b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + b"\x87R"
             + (b"\x88" if images.flags.f_contiguous else b"\x89") + body + b"tb")
    listed = b"](" + b"".join(map(number, labels.tolist())) + b"e"
    return (b"\x80\x02}(" + text(b"batch_label") + text(b"training batch 1 of 5") + text(b"labels") + listed
            + text(b"data") + array + text(b"filenames") + b"]("
            + b"".join(text(b"data_batch_%d.png" % i) for i in range(n)) + b"eu.")


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("order", ["C", "F"])
def test_read_cifar10_pickled(tmp_path: pathlib.Path, old: bool, order: Any) -> None:
    whole = [rows(3, i) for i in range(6)]
    for i, (images, labels) in enumerate(whole):
        name = "test_batch" if i == 5 else f"data_batch_{i + 1}"
        (tmp_path / name).write_bytes(pickled(np.asarray(images, order=order), labels, old=old))
    train = training.read_cifar10(tmp_path)
    assert train.classes == 10 and train.images.shape == (15, 3, 32, 32)
    assert_close(train.images[3:6].reshape(3, PIXELS), whole[1][0], EXACT)
    assert_close(train.labels[3:6], whole[1][1], EXACT)
    test = training.read_cifar10(tmp_path, "test", like=train)
    assert_close(test.images.reshape(3, PIXELS), whole[5][0], EXACT)
    assert_close(test.std, train.std, EXACT)


def test_read_cifar10_binary(tmp_path: pathlib.Path) -> None:
    images, labels = rows(4)
    (tmp_path / "test_batch.bin").write_bytes(np.column_stack([labels.astype(np.uint8), images]).tobytes())
    found = training.read_cifar10(tmp_path, "test")
    assert_close(found.images.reshape(4, PIXELS), images, EXACT)
    assert_close(found.labels, labels, EXACT)


def test_read_cifar10_executes_nothing(tmp_path: pathlib.Path) -> None:
    trap = tmp_path / "trap"
    images, labels = rows(2)
    good = pickled(images, labels)
    evil = b"cos\nsystem\n(U" + bytes([len(f"touch {trap}")]) + f"touch {trap}".encode() + b"tR0"
    (tmp_path / "test_batch").write_bytes(good[:2] + evil + good[2:])
    assert_close(training.read_cifar10(tmp_path, "test").labels, labels, EXACT)
    assert not trap.exists()


@pytest.mark.parametrize("spoil, words", [
    (lambda good: b"", "not a pickled batch"), (lambda good: good[:5000], "not a pickled batch"),
    (lambda good: b"\x80\x02}.", "lacks 'labels'"), (lambda good: b"not a pickle at all", "not a pickled batch"),
    (lambda good: good.replace(b"U\x02u1", b"U\x02f4"), "of uint8"),
])
def test_read_cifar10_refuses_pickles(tmp_path: pathlib.Path, spoil: Any, words: str) -> None:
    (tmp_path / "test_batch").write_bytes(spoil(pickled(*rows(2))))
    with pytest.raises(ValueError, match=f"test_batch: .*{words}"):
        training.read_cifar10(tmp_path, "test")


def test_read_cifar10_refuses_folders(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="no file data_batch_1 or data_batch_1.bin"):
        training.read_cifar10(tmp_path)
    with pytest.raises(ValueError, match="split='val'"):
        training.read_cifar10(tmp_path, "val")
    (tmp_path / "test_batch.bin").write_bytes(bytes(3072))
    with pytest.raises(ValueError, match="multiple of 3073"):
        training.read_cifar10(tmp_path, "test")
    (tmp_path / "test_batch.bin").write_bytes(bytes([10]) + bytes(range(256)) * 12)
    with pytest.raises(ValueError, match="must be 0 to 9"):
        training.read_cifar10(tmp_path, "test")


# -- pictures -----------------------------------------------------------------------------------

@pytest.fixture
def folders(tmp_path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    return tmp_path / "images", tmp_path / "labels"


def write(path: pathlib.Path, array: Any) -> None:
    """A PNG file of 8 bits, grey or RGB."""
    import zlib
    height, width = array.shape[:2]
    lines = b"".join(b"\0" + line.tobytes() for line in array.astype(np.uint8))

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if array.ndim == 2 else 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines))
                     + chunk(b"IEND", b""))


def test_read_png_pairs(folders: tuple[pathlib.Path, pathlib.Path]) -> None:
    images, labels = folders
    rng = np.random.default_rng(0)
    pictures, maps = rng.integers(0, 256, (3, 4, 5, 3)), rng.integers(0, 12, (3, 4, 5))
    for i in range(3):
        write(images / f"{i}.png", pictures[i])
        write(labels / f"{i}.png", maps[i])
    data = training.read_png_pairs(images, labels)
    assert_close(data.images, np.moveaxis(pictures, -1, 1), EXACT)
    assert_close(data.labels, maps, EXACT)


def test_read_png_pairs_refuses(folders: tuple[pathlib.Path, pathlib.Path]) -> None:
    images, labels = folders
    with pytest.raises(ValueError, match="has no PNG files"):
        training.read_png_pairs(images, labels)
    write(images / "a.png", np.arange(60).reshape(4, 5, 3))
    with pytest.raises(ValueError, match="a.png: is missing; every picture"):
        training.read_png_pairs(images, labels)
    write(labels / "a.png", np.zeros((4, 5, 3)))
    with pytest.raises(ValueError, match="must be a grey picture"):
        training.read_png_pairs(images, labels)
    write(labels / "a.png", np.zeros((4, 4)))
    with pytest.raises(ValueError, match=r"shape \(4, 4\), its picture has \(4, 5\)"):
        training.read_png_pairs(images, labels)
    write(labels / "a.png", np.zeros((4, 5)))
    write(images / "b.png", np.zeros((5, 5, 3)))
    write(labels / "b.png", np.zeros((5, 5)))
    with pytest.raises(ValueError, match="the first has"):
        training.read_png_pairs(images, labels)
    (images / "b.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="b.png: not a PNG file"):
        training.read_png_pairs(images, labels)


def test_readers_agree(tmp_path: pathlib.Path) -> None:
    images, labels = rows(3)
    (tmp_path / "test_batch").write_bytes(pickled(images, labels))
    np.savez(tmp_path / "d.npz", x_test=np.moveaxis(images.reshape(3, 3, 32, 32), 1, -1), y_test=labels)
    one, two = training.read_cifar10(tmp_path, "test"), training.read_npz(tmp_path / "d.npz", "test")
    assert_close(one.inputs(), two.inputs(), ROUNDING)
    assert one.description() == two.description()
