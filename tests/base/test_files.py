"""Files: written whole or not at all, and believed only as far as they hold what they claim."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, assert_close

import erfmath as em
from erfmath.base import errors
from erfmath.base.files import (check_archive, check_target, open_regular, read_archive, write_archive,
                                write_atomically)
from erfmath.cli import main


# ---------------------------------------------------------------------------------------------
# writing
# ---------------------------------------------------------------------------------------------

def test_write_atomically_names_the_file_asked_for(in_tmp: Path) -> None:
    long = "n" * 250 + ".npz"  # a name that is allowed, but leaves no room for a temporary one
    with pytest.raises(OSError) as error:
        write_atomically(long, lambda file: file.write(b"new"))
    assert error.value.filename == long and not list(Path().iterdir())


def test_write_atomically_replaces_a_file(in_tmp: Path) -> None:
    Path("a").write_bytes(b"old")
    Path("link").symlink_to("a")
    write_atomically("link", lambda file: file.write(b"new"))
    assert Path("a").read_bytes() == b"new" and Path("link").is_symlink()
    assert sorted(path.name for path in in_tmp.iterdir()) == ["a", "link"]


def test_write_atomically_keeps_the_old_file(in_tmp: Path) -> None:
    Path("a").write_bytes(b"old")

    def fail(file: io.BufferedWriter) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically("a", fail)
    assert [(path.name, path.read_bytes()) for path in in_tmp.iterdir()] == [("a", b"old")]


def test_write_atomically_clears_up_after_writers_that_were_killed(in_tmp: Path) -> None:
    for name in ("a.0123456789ab.part", "a.ba9876543210.part", "b.0123456789ab.part", "a.part", "a.xyz.part"):
        Path(name).write_bytes(b"half")
        if not name.startswith("a.ba"):
            os.utime(name, (0, 0))
    write_atomically("a", lambda file: file.write(b"new"))
    assert sorted(os.listdir()) == ["a", "a.ba9876543210.part", "a.part", "a.xyz.part", "b.0123456789ab.part"]


def test_check_target_refuses(in_tmp: Path) -> None:
    with pytest.raises(IsADirectoryError, match="is a directory"):
        check_target(in_tmp)
    with pytest.raises(FileNotFoundError, match="there is no directory"):
        check_target(in_tmp / "no" / "file")
    check_target(in_tmp / "file")
    assert not list(in_tmp.iterdir())


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_check_target_wants_a_name(name: str) -> None:
    with pytest.raises(FileNotFoundError, match="must be the name of a file"):
        check_target(name)


def test_write_atomically_replaces_no_device_and_no_pipe(in_tmp: Path) -> None:
    os.mkfifo("pipe")
    Path("link").symlink_to("/dev/null")
    for name in ("/dev/null", "pipe", "link"):
        with pytest.raises(FileExistsError, match="is a device, pipe or socket"):
            write_atomically(name, lambda file: file.write(b"new"))
    assert stat.S_ISFIFO(os.stat("pipe").st_mode) and stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_write_atomically_keeps_permissions(in_tmp: Path) -> None:
    Path("private").write_bytes(b"old")
    os.chmod("private", 0o600)
    write_atomically("private", lambda file: file.write(b"new"))
    assert stat.S_IMODE(os.stat("private").st_mode) == 0o600 and Path("private").read_bytes() == b"new"


def test_write_atomically_names_the_file_of_a_full_disk(in_tmp: Path) -> None:
    def fail(file: io.BufferedWriter) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left on device: 'file.npz'"):
        write_atomically("file.npz", fail)


# ---------------------------------------------------------------------------------------------
# reading
# ---------------------------------------------------------------------------------------------

def test_read_archive_is_what_write_archive_wrote(in_tmp: Path) -> None:
    for compressed in (False, True):
        write_archive("a.npz", {"x": np.arange(6.0).reshape(2, 3), "y": np.zeros(0)}, {"n": [1, None]},
                      compressed=compressed)
        arrays, about = read_archive("a.npz")
        assert sorted(arrays) == ["x", "y"] and about == {"n": [1, None]}
        assert_close(arrays["x"], np.arange(6.0).reshape(2, 3), EXACT)


def claims(shape: str, *, descr: str = "<f8", data: bytes = b"", version: int = 1, size: int | None = None) -> bytes:
    """An npz file with one array, whose header says what it likes."""
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("map.npy", b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(2 * version, "little")
                         + header + data)
    return out.getvalue()


@pytest.mark.parametrize("file, message", [
    (claims("(100000, 125000)"), "map.npy: claims 100000000000 bytes, which the file does not hold"),
    (claims("(3,)", data=b"\0" * 16), "map.npy: claims 24 bytes"), (claims("(1,)", data=b"\0" * 16), "claims 8 bytes"),
    (claims("(3,)", descr="|O", data=b"\0" * 24), "map.npy: holds Python objects"),
    (claims("(3,)", version=4), "version"), (b"no zip at all", "it is no npz file"),
])
def test_check_archive_believes_no_header(file: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_archive(io.BytesIO(file))


def test_check_archive_reads_no_bomb(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file of zeros that honestly unpacks to more than fits."""
    np.savez_compressed("bomb.npz", map=np.zeros(10**6))
    monkeypatch.setattr(errors, "MEMORY_LIMIT", 10**6)
    with open("bomb.npz", "rb") as file, pytest.raises(errors.SizeError, match="its arrays would need 8000000 bytes"):
        check_archive(file)
    with pytest.raises(ValueError, match="8000000 bytes"):
        read_archive("bomb.npz")


def test_check_archive_leaves_the_file_at_its_beginning(in_tmp: Path) -> None:
    np.savez("a.npz", map=np.ones(3))
    with open("a.npz", "rb") as file:
        check_archive(file)
        assert file.tell() == 0


@pytest.mark.parametrize("read", [
    em.load, em.EffectiveReceptiveField.load, em.training.read_npz, em.training.Training.load, em.from_onnx,
    em.from_keras,
    lambda path: main(["analyse", path]), lambda path: main(["predict", "vgg11", "--weights", path]),
    lambda path: em.measure(em.serial(em.Conv(3)), draws=2, checkpoint=path)])
@pytest.mark.parametrize("path", ["pipe", "/dev/zero"])
def test_nothing_is_read_from_pipes_and_devices(read: Callable[[str], Any], path: str, in_tmp: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    """They may never end."""
    os.mkfifo("pipe")
    try:
        told = read(path)
    except (ValueError, OSError) as error:
        assert "no regular file" in str(error) or "is a device, pipe or socket" in str(error)
    else:
        assert told == 2 and "no regular file" in capsys.readouterr().err


def test_open_regular_waits_for_no_pipe(in_tmp: Path) -> None:
    os.mkfifo("pipe")
    for name in ("pipe", "/dev/zero"):
        with pytest.raises(ValueError, match="is no regular file"):
            open_regular(name)
        with pytest.raises(ValueError, match="is no regular file"):
            read_archive(name)
    with pytest.raises(FileNotFoundError):
        open_regular("nowhere")
