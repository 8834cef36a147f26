"""Files that are to be written: names are checked before the work, and pictures are for print."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from erfmath.cli import targets


@pytest.fixture(autouse=True)
def coarse() -> None:
    """Pictures as they are."""


def test_picture_has_300_dots_an_inch(in_tmp: Path) -> None:
    targets.picture("new.png")(Figure(figsize=(2, 1)))
    header = Path("new.png").read_bytes()[16:24]
    assert (int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")) == (600, 300)
    targets.picture("new.pdf")(Figure(figsize=(2, 1)))
    assert Path("new.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("path", [None, ""])
def test_nothing_is_written_without_a_path(path: str | None, in_tmp: Path) -> None:
    targets.picture(path)(Figure())
    targets.archive(path)
    assert not list(in_tmp.iterdir())


@pytest.mark.parametrize("check, path, message", [
    (targets.picture, "new.npz", r"no picture format ends in \.npz; known are .*\.pdf"),
    (targets.picture, "new", "no picture format ends in nothing"),
    (targets.archive, "new.npy", "must end in .npz"),
])
def test_other_names_are_refused(check, path: str, message: str, in_tmp: Path) -> None:
    with pytest.raises(ValueError, match=message):
        check(path)


@pytest.mark.parametrize("check, path", [(targets.picture, "no/new.png"), (targets.archive, "no/new.npz")])
def test_a_folder_that_is_not_there_is_refused(check, path: str, in_tmp: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no"):
        check(path)
