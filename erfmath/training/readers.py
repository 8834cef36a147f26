"""Reading labelled images from files, none of which is executed."""

from __future__ import annotations

import math
import os
import pathlib
import pickletools
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ..base.errors import quoted
from ..base.files import BROKEN, check_archive, check_name, open_regular
from .data import Images

__all__ = ["read_cifar10", "read_npz", "read_png_pairs"]

Array = npt.NDArray[Any]

#: Names under which arrays of images and labels are looked for, by split.
KEYS = {"train": (("x_train", "y_train"), ("images", "labels")), "val": (("x_val", "y_val"),),
        "test": (("x_test", "y_test"),)}
BATCHES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}
CIFAR = (3, 32, 32)


def read_npz(path: str | os.PathLike[str], split: str = "train", *, channels_last: bool = True,
             like: Images | None = None) -> Images:
    """Labelled images from an npz file.

    Parameters
    ----------
    path : path
        Holds `x_train` and `y_train`, and likewise `_val` and `_test`; or `images` and `labels`,
        which are the split "train".
    split : {"train", "val", "test"}
        Which arrays to take.
    channels_last : bool
        Whether images are ``(N, *space, channels)``, as files mostly have them.  Images without a
        channel axis, (N, height, width), get one.
    like : Images, optional
        Takes `classes`, `mean` and `std` from there: give the training images for the others.

    Returns
    -------
    Images
        The images of the split.

    Raises
    ------
    ValueError
        If the file is no npz, lacks the arrays, or they do not fit each other.

    See Also
    --------
    read_cifar10 : CIFAR-10 from the folder of its "python" or "binary" version.
    read_png_pairs : Pictures from one folder, label maps of the same file names from another.

    Examples
    --------
    >>> import erfmath as em
    >>> import numpy as np
    >>> np.savez("two.npz", images=np.arange(24).reshape(2, 2, 2, 3), labels=[0, 1])
    >>> data = em.training.read_npz("two.npz")
    >>> data.channels, data.space, len(data)
    (3, (2, 2), 2)
    """
    if not isinstance(split, str) or split not in KEYS:
        raise ValueError(f"split={quoted(split)}: must be one of {', '.join(map(repr, KEYS))}")
    images, labels = _pair(path, KEYS[split])
    if images.ndim == 3:
        images = images[:, None]
    elif channels_last and images.ndim > 3:
        images = np.ascontiguousarray(np.moveaxis(images, -1, 1))
    return _images(path, images, labels, like)


def _pair(path: str | os.PathLike[str], pairs: tuple[tuple[str, str], ...]) -> tuple[Array, Array]:
    """The first of `pairs` of arrays that the file has."""
    check_name(path)
    with open_regular(path) as file:
        try:
            check_archive(file)
            with np.load(file, allow_pickle=False) as data:
                present = list(data.files)
                pair = next((pair for pair in pairs if set(pair) <= set(present)), None)
                if pair is not None:
                    return data[pair[0]], data[pair[1]]
        except (OSError, *BROKEN) as error:
            raise ValueError(f"{os.fspath(path)}: not an npz file of arrays ({error})") from None
    wanted = " or ".join(" and ".join(map(repr, pair)) for pair in pairs)
    raise ValueError(f"{os.fspath(path)}: lacks {wanted}; it has {', '.join(map(repr, present)) or 'nothing'}")


def _images(path: str | os.PathLike[str], images: Array, labels: Array, like: Images | None,
            classes: int = 0) -> Images:
    try:
        if like is None:
            return Images(images, labels, classes)
        return Images(images, labels, like.classes, like.mean, like.std)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None


# -- CIFAR-10 -----------------------------------------------------------------------------------

def _batch(path: pathlib.Path) -> tuple[Array, Array]:
    """Images and labels of one file, in either of the published versions."""
    with open_regular(path) as file:
        images, labels = _binary(file) if path.suffix == ".bin" else _pickled(file)
    if images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] != np.prod(CIFAR):
        raise ValueError(f"images of shape {images.shape} and {images.dtype}; must be (N, 3072) of uint8")
    return images.reshape(-1, *CIFAR), np.asarray(labels)


def _binary(file: BinaryIO) -> tuple[Array, Array]:
    raw = np.frombuffer(file.read(), np.uint8)
    if not raw.size or raw.size % 3073:
        raise ValueError(f"{raw.size} bytes; must be a multiple of 3073, a label and an image")
    rows = raw.reshape(-1, 3073)
    return rows[:, 1:], rows[:, 0]


def _pickled(file: BinaryIO) -> tuple[Array, Array]:
    """Images and labels out of the list of a pickle's instructions, none of which is carried out.

    A batch is a dict: after the key "labels" come integers, after "data" an array, whose last parts
    are whether its order is Fortran's, and its bytes.
    """
    key, labels, code, raw, fortran = "", [], "", b"", False
    try:
        for instruction, value, _ in pickletools.genops(file):
            name = instruction.name
            text = value.decode("latin-1") if isinstance(value, (bytes, bytearray)) else value
            if name in ("NEWTRUE", "NEWFALSE"):
                fortran = name == "NEWTRUE"
            elif isinstance(text, str) and text in ("batch_label", "labels", "data", "filenames"):
                key = text
            elif key == "labels" and name in ("BININT1", "BININT2", "BININT", "INT", "LONG", "LONG1"):
                labels.append(value)
            elif key == "data" and isinstance(text, str) and name not in ("GLOBAL", "STACK_GLOBAL"):
                code = text if text in ("u1", "|u1") else code
                if len(text) > len(raw):
                    raw = text.encode("latin-1")
    except Exception as error:  # whatever a broken file makes the list of instructions do
        raise ValueError(f"not a pickled batch ({error})") from None
    if not labels or code not in ("u1", "|u1"):
        raise ValueError("not a pickled batch: lacks 'labels', or 'data' of uint8")
    if len(raw) != len(labels) * math.prod(CIFAR):
        raise ValueError(f"'data' has {len(raw)} bytes, must have 3072 for each of the {len(labels)} labels")
    images = np.frombuffer(raw, np.uint8).reshape(len(labels), -1, order="F" if fortran else "C")
    return images, np.array(labels)


def read_cifar10(folder: str | os.PathLike[str], split: str = "train", *, like: Images | None = None) -> Images:
    """CIFAR-10 from the folder of its "python" or "binary" version, as unpacked from the archive.

    Of pickled batches the list of instructions is read, and none of them is carried out.

    Parameters
    ----------
    folder : path
        Holds `data_batch_1` ... `data_batch_5` and `test_batch`, or the same with `.bin`.
    split : {"train", "test"}
        50000 images, or the other 10000.
    like : Images, optional
        As in `read_npz`.

    Returns
    -------
    Images
        Of 3 channels, 32 by 32 pixels and 10 classes.

    Raises
    ------
    ValueError
        Naming the file that is missing or wrong.

    See Also
    --------
    read_npz : Labelled images from an npz file.
    read_png_pairs : Pictures from one folder, label maps of the same file names from another.

    References
    ----------
    Krizhevsky, Learning multiple layers of features from tiny images, 2009.

    Examples
    --------
    A file of one image, in the binary version: its label, then its pixels.

    >>> import erfmath as em
    >>> from pathlib import Path
    >>> _ = Path("test_batch.bin").write_bytes(bytes([7, *range(256)]) + bytes(range(256)) * 11)
    >>> data = em.training.read_cifar10(".", "test")
    >>> data.labels, data.images.shape, data.classes
    (array([7], dtype=uint8), (1, 3, 32, 32), 10)
    """
    if not isinstance(split, str) or split not in BATCHES:
        raise ValueError(f"split={quoted(split)}: must be 'train' or 'test'")
    check_name(folder, "folder")
    parts = []
    for name in BATCHES[split]:
        path = pathlib.Path(folder, name)
        path = path if path.exists() else path.with_suffix(".bin")
        if not path.exists():
            raise ValueError(f"{os.fspath(folder)}: has no file {name} or {name}.bin")
        try:
            parts.append(_batch(path))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts))
    return _images(folder, images, labels, like, classes=10)


# -- folders of pictures -------------------------------------------------------------------------

def read_png_pairs(images: str | os.PathLike[str], labels: str | os.PathLike[str], *,
                   like: Images | None = None) -> Images:
    """Read pictures from one folder, label maps of the same file names from another.

    Parameters
    ----------
    images, labels : path
        Folders of PNG files of 8 bits.  A label map is a grey picture whose levels are the classes.
    like : Images, optional
        As in `read_npz`.

    Returns
    -------
    Images
        With one label a pixel.

    Raises
    ------
    ValueError
        Naming the file that is missing, broken, or of another size than the first.

    See Also
    --------
    read_cifar10 : CIFAR-10 from the folder of its "python" or "binary" version.
    read_npz : Labelled images from an npz file.

    Examples
    --------
    ``read_png_pairs("train", "trainannot")`` reads the folders of CamVid.  Folders without pictures are refused:

    >>> import erfmath as em
    >>> em.training.read_png_pairs(".", ".")
    Traceback (most recent call last):
    ValueError: .: has no PNG files
    """
    check_name(images, "images")
    check_name(labels, "labels")
    names = sorted(path.name for path in pathlib.Path(images).glob("*.png"))
    if not names:
        raise ValueError(f"{os.fspath(images)}: has no PNG files")
    pictures: list[Array] = []
    maps: list[Array] = []
    for name in names:
        picture, label = _picture(pathlib.Path(images, name), False), _picture(pathlib.Path(labels, name), True)
        if pictures and picture.shape != pictures[0].shape:
            raise ValueError(f"{pathlib.Path(images, name)}: shape {picture.shape}, the first has {pictures[0].shape}")
        if label.shape != picture.shape[1:]:
            raise ValueError(f"{pathlib.Path(labels, name)}: shape {label.shape}, its picture has {picture.shape[1:]}")
        pictures.append(picture)
        maps.append(label)
    return _images(images, np.stack(pictures), np.stack(maps), like)


def _picture(path: pathlib.Path, label: bool) -> Array:
    """A picture as (channels, height, width) of uint8, a label map as (height, width)."""
    from matplotlib.image import imread
    try:
        array = imread(path)
    except FileNotFoundError:
        raise ValueError(f"{path}: is missing; every picture has a label map of the same name") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{path}: not a PNG file ({error})") from None
    levels = np.rint(array * 255)
    if np.abs(levels - array * 255).max(initial=0) > 1e-3:
        raise ValueError(f"{path}: must have 8 bits a channel")
    array = levels.astype(np.uint8)
    if label:
        if array.ndim != 2:
            raise ValueError(f"{path}: a label map must be a grey picture, with classes as its levels")
        return array
    return array[None] if array.ndim == 2 else np.moveaxis(array[..., :3], -1, 0)
