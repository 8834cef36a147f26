"""Data: images and their checks, readers of good and of bad files, the box task, augmentation."""

from __future__ import annotations

import pathlib
import struct
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

from erfmath import training

PIXELS = 3072


def some_images(n: int = 6) -> Any:
    return np.random.default_rng(0).integers(0, 256, (n, 3, 4, 5), np.uint8)


# -- images -------------------------------------------------------------------------------------

def test_images_inputs_are_normalised() -> None:
    data = training.Images(some_images(), np.arange(6))
    x = data.inputs()
    assert x.dtype == np.float32 and data.classes == 6 and data.space == (4, 5) and data.channels == 3
    assert np.abs(x.mean(axis=(0, 2, 3))).max() < 1e-6 and np.abs(x.std(axis=(0, 2, 3)) - 1).max() < 1e-6
    other = training.Images(some_images() // 2, np.arange(6), 6, data.mean, data.std)
    assert_close(other.inputs(slice(1)), data.inputs(slice(1)) * 0 + other.inputs(slice(0, 1)), EXACT)


def test_images_batch_meets_every_image_once_an_epoch() -> None:
    data = training.Images(np.arange(10.0).reshape(10, 1, 1, 1) * np.ones((1, 1, 2, 2)), np.arange(10))
    orders = []
    for epoch in range(2):
        labels = [data.batch(3 * epoch + part, 3, entropy=1)[1] for part in range(3)]
        orders.append(np.concatenate(labels).tolist())
        assert len(set(orders[-1])) == 9  # the tenth waits
    assert orders[0] != orders[1]
    inputs, labels = data.batch(4, 3, entropy=1)
    assert_close(inputs[:, 0, 0, 0], data.inputs()[labels, 0, 0, 0], EXACT)


@pytest.mark.parametrize("images, labels, options, words", [
    (np.zeros((2, 3)), [0, 1], {}, "must be real numbers of shape"),
    (np.zeros((0, 3, 2, 2)), [], {}, "at least one"),
    (np.array([["a"]] * 2), [0, 1], {}, "must be real numbers"),
    (some_images(2), [0.0, 1.0], {}, "must be integers"),
    (some_images(2), [0, 1, 2], {}, r"must be \(2,\)"),
    (some_images(2), np.zeros((2, 4), int), {}, r"must be \(2,\) or"),
    (some_images(2), [0, -1], {}, "from -1 to 0"),
    (some_images(2), [0, 9], {"classes": 9}, "must be 0 to 8"),
    (np.full((2, 1, 2, 2), np.nan), [0, 1], {}, "images: must be finite"),
    (np.ones((2, 1, 2, 2)), [0, 1], {}, "never varies"),
    (some_images(2), [0, 1], {"mean": [0.0]}, "one finite number for each of the 3"),
])
def test_images_refuse(images: Any, labels: Any, options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        training.Images(images, np.asarray(labels), **options)


def test_majority_of_blocks() -> None:
    labels = np.random.default_rng(0).integers(0, 4, (3, 6, 9))
    found = training.majority(labels, 3, 4)
    for n, i, j in np.ndindex(found.shape):
        block = labels[n, 3 * i:3 * i + 3, 3 * j:3 * j + 3]
        assert found[n, i, j] == np.bincount(block.ravel(), minlength=4).argmax()
    with pytest.raises(ValueError, match="must divide"):
        training.majority(labels, 4, 4)


# -- the box task -------------------------------------------------------------------------------

@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_box_majority_against_the_sum(ndim: int) -> None:
    task = training.BoxMajority(7, 2, ndim)
    inputs, labels = task.batch(3, 2, entropy=0)
    assert inputs.shape == (2, 1) + (7,) * ndim and inputs.dtype == np.float32
    for at in np.ndindex(labels.shape):
        box = inputs[(at[0], 0, *(slice(max(i - 2, 0), i + 3) for i in at[1:]))]
        assert labels[at] == (box.sum(dtype=float) > 0)
    assert_close(task.batch(3, 2, entropy=0)[0], inputs, EXACT)
    assert (task.batch(4, 2, entropy=0)[0] != inputs).all()


# -- augmentation -------------------------------------------------------------------------------

def test_crop_flip_shifts_and_mirrors() -> None:
    images = np.random.default_rng(0).standard_normal((64, 2, 5, 6))
    found, labels = training.CropFlip(1)(images, np.arange(64), np.random.default_rng(1))
    assert_close(labels, np.arange(64), EXACT)
    wide = np.pad(images, [(0, 0), (0, 0), (1, 1), (1, 1)])
    seen = set()
    for image, other in zip(wide, found):
        fits = [(i, j, step) for i in range(3) for j in range(3) for step in (1, -1)
                if np.array_equal(image[:, i:i + 5, j:j + 6][..., ::step], other)]
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) == 18


def test_crop_flip_checks_its_value() -> None:
    with pytest.raises(ValueError, match="shift=-1"):
        training.CropFlip(-1)


def test_crop_flip_mirrors_labels_per_site() -> None:
    images = np.random.default_rng(0).standard_normal((20, 1, 4, 4))
    found, labels = training.CropFlip(0)(images, images[:, 0], np.random.default_rng(0))
    assert_close(found[:, 0], labels, EXACT)
    assert (found != images).any() and (found[0] == images[0]).all() | (found[0] == images[0, :, :, ::-1]).all()
    with pytest.raises(ValueError, match="cannot shift labels per site"):
        training.CropFlip(2)(images, images[:, 0], np.random.default_rng(0))


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
