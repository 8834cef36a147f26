"""Recipes of the training experiments: their networks, data and runs."""

from __future__ import annotations

import pathlib
import zlib

import numpy as np
import pytest
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.figures import base, recipes


@pytest.mark.parametrize("task, size, stride", [
    ("cifar", 73, 4), ("cifar-plain", 73, 4), ("camvid", 163, 8), ("camvid-plain", 163, 8), ("init", 39, 4),
    ("box", 25, 1)])
def test_network_receptive_fields(task: str, size: int, stride: int) -> None:
    trf = em.receptive_field(recipes.network(recipes.spec(task, 0)), node="features")
    assert (trf.size, trf.stride) == ((size, size), (stride, stride))


def test_network_outputs_suit_the_labels() -> None:
    cifar = recipes.network(recipes.spec("cifar", 0))
    assert cifar.shapes(32)[cifar.output] == (1, 1) and cifar.channels()[cifar.output] == 10
    camvid = recipes.network(recipes.spec("camvid", 0))
    assert camvid.shapes((120, 160))[camvid.output] == (15, 20) and camvid.channels()[camvid.output] == 11
    for variant in ("plain", "skip", "dilated", "strided"):
        net = recipes.network(recipes.spec("box", 0, variant=variant))
        assert net.shapes(32)[net.output] == (32, 32) and net.channels(channels_in=1)[net.output] == 1
        assert sum(node.layer.op == "conv" for node in net) == 13


def test_network_shortcuts_leave_no_pixel_out() -> None:
    """A 3x3 of stride 2 reaches odd pixels by two taps and even ones by one: at most 4 in two dimensions."""
    net = recipes.network(recipes.spec("cifar-plain", 0))
    power = em.predict(net, image=32, node="features").map
    phases = np.array([[power[i::2, j::2].sum() for j in range(2)] for i in range(2)])
    assert 1 < phases.max() / phases.min() < 4


@pytest.mark.parametrize("name", ["he", "soft", "centre"])
def test_profile_keeps_the_variance(name: str) -> None:
    conv = em.Conv(3, weights=recipes.profile(name))
    assert_close(em.predict(em.repeat(conv, 2)).total, em.predict(em.repeat(em.Conv(3), 2)).total, ROUNDING)
    std = em.predict(conv_net := em.serial(conv)).std[0]
    assert (std > (2 / 3)**0.5) == (name == "soft") and len(conv_net) == 1


def test_run_raises_an_interruption() -> None:
    """Where `fit` would hand back a network that is trained a little."""
    spec = recipes.spec("box", 0, steps=6, layers=2, size=9, radius=1)

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recipes.run(spec, recipes.train_data(spec, {}), progress=stop)


def write_png(path: pathlib.Path, array: np.ndarray) -> None:
    """A picture (height, width), or with 3 colours, of 8 bits."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    height, width = array.shape[:2]
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2 * (array.ndim == 3), 0, 0, 0])
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in array))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


def test_published_folders_are_read(tmp_path: pathlib.Path) -> None:
    rng = np.random.default_rng(0)
    pictures, labels = rng.integers(0, 256, (2, 27, 48, 3), np.uint8), rng.integers(0, 12, (2, 27, 48), np.uint8)
    for split in ("train", "test"):
        for folder, arrays in ((split, pictures), (f"{split}annot", labels)):
            (tmp_path / folder).mkdir()
            for i, array in enumerate(arrays):
                write_png(tmp_path / folder / f"{i}.png", array)
    train = recipes._camvid(tmp_path, "train", None)
    test = recipes._camvid(tmp_path, "test", train)
    assert train.images.shape == (2, 3, 9, 16) and test.labels.shape == (2, 9, 16)
    assert train.images[1, 2, 4, 5] == round(float(pictures[1, 12:15, 15:18, 2].mean()))
    assert test.labels[0, 3, 7] == labels[0, 10, 22] and bool((test.mean == train.mean).all())
    assert base.digest(tmp_path) == base.digest(tmp_path) != base.digest(tmp_path / "train")
