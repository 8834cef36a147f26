"""Making a figure: files, parts kept and taken again, interruptions, refusals."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from figure_data import Interruption
from helpers import EXACT, assert_close
from matplotlib.figure import Figure

from erfmath import figures
from erfmath.figures import FIGURES, Options, run, skip
from erfmath.figures.run import select


def test_make_writes_picture_data_and_provenance(toy) -> None:
    result = figures.make("toy", "out", toy.options, form="svg")
    assert [path.name for path in result.paths] == ["toy.svg", "toy.npz", "toy.json"]
    assert all(path.stat().st_size for path in result.paths)
    with np.load("out/toy.npz", allow_pickle=False) as arrays:
        assert_close([arrays[f"part {n}/square"] for n in range(3)], [0, 1, 4], EXACT)
    about = json.loads(Path("out/toy.json").read_text())
    assert about["command"] == "erfmath figures toy --seed 0 --numbers FILE --out DIR"
    assert about["numbers"][2] == {"what": "part 2", "value": 4.0, "stderr": 0.5, "theory": None, "paper": None}
    assert about["parts"]["part 1"] == {"value": 1, "pair": [1, 0]}
    assert set(about["versions"]) == {"python", "numpy", "scipy", "matplotlib", "erfmath"}
    assert "table.txt" not in Path("out/toy.json").read_text()


def test_make_goes_on_after_an_interruption(toy) -> None:
    toy.stop = 2
    with pytest.raises(KeyboardInterrupt):
        figures.make("toy", "out", toy.options)
    assert toy.computed == [0, 1] and not Path("out/toy.png").exists()
    toy.stop = None
    result = figures.make("toy", "out", toy.options)
    assert toy.computed == [0, 1, 2] and (result.parts, result.reused) == (3, 2)
    assert toy.scratch == [False, False, False, True], "an interrupted part finds its own checkpoint again"
    assert not list(Path("out/parts").glob("*scratch*"))


def test_make_keeps_parts_by_specification(toy) -> None:
    figures.make("toy", "out", toy.options)
    assert figures.make("toy", "out", toy.options, form="pdf").reused == 3
    other = Options(seed=1, files=toy.options.files)
    assert figures.make("toy", "out", other).reused == 0
    assert figures.make("toy", "out", toy.options).reused == 3


def test_make_computes_anew_after_a_change_of_the_code(toy, monkeypatch: pytest.MonkeyPatch) -> None:
    figures.make("toy", "out", toy.options)
    assert figures.make("toy", "out", toy.options).reused == 3
    monkeypatch.setattr(run, "_code", lambda module: "another")
    assert figures.make("toy", "out", toy.options).reused == 0


def test_computing_is_the_code_without_words_and_drawing() -> None:
    one = 'X = 1\ndef compute():\n    "doc"\n    return X\ndef draw():\n    return 0\n'
    same = '"a module"\nX = 1  # one\ndef compute():\n    return X\ndef _draw_more():\n    pass\n'
    assert run._computing(one) == run._computing(same)
    assert run._computing(one) != run._computing(one.replace("1", "2"))


@pytest.mark.slow
def test_make_interrupted_at_any_moment_ends_in_the_same_bits(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = Options(draws_asked=12)
    monkeypatch.setattr(skip, "draw", lambda data: Figure(figsize=(2, 2)))
    figures.make("skip", "straight", options)
    for calls in (1, 3, 4, 6, 9):
        with monkeypatch.context() as patch:
            patch.setattr(run, "Progress", lambda label, **_: contextlib.nullcontext(Interruption(calls)))
            with contextlib.suppress(KeyboardInterrupt):
                figures.make("skip", "broken", options)
    figures.make("skip", "broken", options)
    with np.load("straight/skip.npz") as one, np.load("broken/skip.npz") as two:
        assert one.files == two.files
        for array in one.files:
            assert_close(two[array], one[array], EXACT)


@pytest.mark.slow
def test_make_writes_several_formats_with_fonts_as_fonts(in_tmp: Path) -> None:
    result = figures.make("clt", "out", form=("pdf", "svg", "png"))
    pdf, svg, png = (path.read_bytes() for path in result.paths[:3])
    assert b"/Type3" not in pdf and b"/CIDFontType2" in pdf or b"/TrueType" in pdf
    assert b"probability" in svg and png.startswith(b"\x89PNG")
    figures.make("clt", "again", form=("pdf", "svg"))
    for path in result.paths[:2]:
        assert (Path("again") / path.name).read_bytes() == path.read_bytes(), "the same numbers are the same file"


@pytest.mark.parametrize("content", [b"", b"not a file of arrays", b"PK\x03\x04 broken"])
def test_make_computes_a_damaged_part_anew(toy, content: bytes) -> None:
    figures.make("toy", "out", toy.options)
    next(Path("out/parts").glob("toy-*.npz")).write_bytes(content)
    assert figures.make("toy", "out", toy.options).reused == 2 and len(toy.computed) == 4


def test_select_leaves_out_figures_without_their_files(toy) -> None:
    made, left = select([], Options())
    assert left == [name for name, entry in FIGURES.items() if entry.files] and left[-1] == "toy"
    assert made == [name for name in FIGURES if name not in left]
    with pytest.raises(ValueError, match="toy: needs --numbers FILE"):
        select(["toy"], Options())
    with pytest.raises(FileNotFoundError):
        select(["clt"], Options(files={"numbers": Path("nowhere.txt")}))
    assert select(["toy", "clt", "toy"], toy.options) == (["toy", "clt"], [])


def test_make_leaves_nothing_where_it_fails(in_tmp: Path) -> None:
    np.savez("other.npz", a=np.zeros(3))
    for make in (lambda: None, lambda: Path("out").mkdir()):
        make()
        before = sorted(Path().rglob("*"))
        with pytest.raises(ValueError, match="other.npz"):
            figures.make("fig3_cifar", "out", Options(quick=True, files={"cifar10": Path("other.npz")}))
        assert sorted(Path().rglob("*")) == before


def test_select_brings_the_kind_along(in_tmp: Path) -> None:
    Path("x.npz").write_bytes(b"")
    cifar = Options(files={"cifar10": Path("x.npz")})
    assert select(["fig3"], Options()) == (["fig3_box"], [])
    assert select(["fig3"], cifar) == (["fig3_box", "fig3_cifar"], [])
    assert select(["fig3_cifar", "fig3"], cifar) == (["fig3_cifar", "fig3_box"], [])
    both = Options(files={"cifar10": Path("x.npz"), "camvid": Path("x.npz")})
    assert select(["fig3", "clt"], both) == (["fig3_box", "fig3_cifar", "fig3_camvid", "clt"], [])


def test_make_refuses(in_tmp: Path) -> None:
    with pytest.raises(ValueError, match="no figure is called 'fig99'; there are fig1"):
        figures.make("fig99", "out")
    with pytest.raises(ValueError, match="form='gif': must be one of png, pdf, svg"):
        figures.make("clt", "out", form="gif")
    with pytest.raises(ValueError, match="draws=1: must be at least 3"):
        Options(draws_asked=1)
    with pytest.raises(ValueError, match="seed=-1"):
        Options(seed=-1)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        figures.make("clt", "nowhere/out")
    Path("file").write_text("")
    with pytest.raises(NotADirectoryError, match="file: is a file"):
        figures.make("clt", "file")
    assert sorted(path.name for path in in_tmp.iterdir()) == ["file"]


@pytest.mark.slow
def test_make_with_workers_changes_nothing(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skip, "draw", lambda data: Figure(figsize=(2, 2)))  # the parent draws, not the workers
    for workers in (1, 2):
        figures.make("skip", f"out{workers}", Options(quick=True, draws_asked=3), workers=workers)
    with np.load("out1/skip.npz") as one, np.load("out2/skip.npz") as two:
        assert one.files == two.files
        for name in one.files:
            assert_close(two[name], one[name], EXACT)
