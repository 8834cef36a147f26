"""The paper's figures: their machinery, and their numbers against published tables and brute force."""

from __future__ import annotations

import contextlib
import json
import math
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, Ask, assert_close, assert_statistical
from matplotlib.figure import Figure

import erfmath as em
from erfmath import figures
from erfmath.figures import FIGURES, Desk, Entry, Options, Part, Quote, clt, fig1, fig2, initialisation, run, skip
from erfmath.figures.base import mean_error
from erfmath.figures.registry import recipe
from erfmath.figures.run import select
from erfmath.figures.sampling import SIZES, measured
from erfmath.figures.subsampling import PUBLISHED as SUBSAMPLED

QUICK = Options(quick=True)
DESK = Desk(lambda done, total: None, Path("scratch.npz"), {})
every_figure = pytest.mark.parametrize("name", FIGURES)


def data_of(name: str, options: Options = QUICK) -> dict[str, Part]:
    """The parts of a figure, computed here and now."""
    figure = recipe(name)
    return {part: Part(spec, figure.compute(spec, DESK), 0.0) for part, spec in figure.parts(options).items()}


def quoted(quotes: list[Quote]) -> dict[str, Quote]:
    return {quote.what: quote for quote in quotes}


# ---------------------------------------------------------------------------------------------
# the machinery
# ---------------------------------------------------------------------------------------------

@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, in_tmp: Path) -> types.SimpleNamespace:
    """A figure called toy of three parts, which reads a file and can be interrupted."""
    record = types.SimpleNamespace(computed=[], stop=None, scratch=[])

    def compute(spec, desk):
        record.scratch.append(desk.scratch.exists())
        desk.scratch.write_bytes(b"so far")
        if spec["value"] == record.stop:
            raise KeyboardInterrupt
        record.computed.append(spec["value"])
        return {"square": np.array(spec["value"]**2), "text": np.array(desk.files["numbers"].read_text())}

    made = types.ModuleType("erfmath.figures.toy")
    made.parts = lambda options: {f"part {n}": {"value": n, "pair": (n, options.seed)} for n in range(3)}
    made.compute = compute
    made.quotes = lambda data: [Quote(name, float(part["square"]), 0.5) for name, part in data.items()]
    made.draw = lambda data: Figure(figsize=(2, 2))
    made.caption = lambda data: f"{len(data)} parts"
    monkeypatch.setitem(sys.modules, made.__name__, made)
    monkeypatch.setitem(FIGURES, "toy", Entry("a toy", {"numbers": "a file to read"}))
    Path("table.txt").write_text("content")
    record.options = Options(files={"numbers": Path("table.txt")})
    return record


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


class Interruption:
    """A progress bar on which somebody presses Ctrl-C after some calls."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def __call__(self, done: int, total: int) -> None:
        self.calls -= 1
        if self.calls == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_measured_raises_an_interruption(calls: int) -> None:
    """Where `measure` would hand back what is done: a part has all its draws or is not kept."""
    with pytest.raises(KeyboardInterrupt):
        measured(em.zoo.plain(4), {"draws": 300, "seed": 0, "width": 4}, DESK._replace(progress=Interruption(calls)))


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


def test_measure_is_called_in_one_place_and_fit_where_interruptions_are_raised() -> None:
    """Everything else goes through what raises interruptions."""
    for path in Path(figures.__file__).parent.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert path.name == "sampling.py" or not re.search(r"empirics(\.measure)? import (measure|_)", source), path
        assert not re.search(r"(?<!finished\()training\.fit\(", source), path


@pytest.mark.slow
def test_make_writes_several_formats_with_fonts_as_fonts(in_tmp: Path) -> None:
    result = figures.make("clt", "out", form=("pdf", "svg", "png"))
    pdf, svg, png = (path.read_bytes() for path in result.paths[:3])
    assert b"/Type3" not in pdf and b"/CIDFontType2" in pdf or b"/TrueType" in pdf
    assert b"probability" in svg and png.startswith(b"\x89PNG")
    figures.make("clt", "again", form=("pdf", "svg"))
    for path in result.paths[:2]:
        assert (Path("again") / path.name).read_bytes() == path.read_bytes(), "the same numbers are the same file"


def test_options_quick_draws_are_enough_for_an_error() -> None:
    for name, entry in FIGURES.items():
        if not entry.files:
            full, quick = (recipe(name).parts(o) for o in (Options(), QUICK))
            for part, spec in quick.items():
                assert spec.get("draws", 30) == min(30, full[part]["draws"] if "draws" in spec else 30)


def test_mean_error_needs_three_values() -> None:
    assert mean_error([1.0, 3.0]) == (2.0, None)
    assert mean_error([1.0, 2.0, 3.0]) == (2.0, 1 / math.sqrt(3))
    assert mean_error([1.0, 2.0, math.inf])[1] is None


def test_captions_come_from_the_specification() -> None:
    for name in ("fig3_box", "remedies_trained"):
        for options, layers in ((QUICK, 4), (Options(), 12)):
            spec = next(iter(recipe(name).parts(options).values()))
            part = Part(spec, {"test_accuracy": np.array(0.5)}, 0.0)
            groups = recipe(name).groups
            assert f"{layers} convolutions" in recipe(name).caption({f"{group}, seed 0": part for group in groups})


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


@every_figure
def test_parts_are_plain_and_follow_the_options(name: str) -> None:
    if FIGURES[name].files:
        pytest.skip("needs its data files")
    figure = recipe(name)
    quick, full, other = (figure.parts(o) for o in (QUICK, Options(), Options(seed=1, draws_asked=7)))
    for specs in (quick, full, other):
        assert specs and json.loads(json.dumps(specs)).keys() == specs.keys()
    drawn = [spec for spec in other.values() if "draws" in spec]
    assert all(spec["draws"] == 7 for spec in drawn)
    assert all(spec["draws"] <= full[part]["draws"] for part, spec in quick.items() if "draws" in spec)
    seeds = [json.dumps(spec["seed"]) for spec in drawn]
    assert len(set(seeds)) == len(seeds), "every part draws numbers of its own"


# ---------------------------------------------------------------------------------------------
# the command
# ---------------------------------------------------------------------------------------------

def test_figures_command_writes_and_prints(toy, ask: Ask) -> None:
    words = ("figures", "toy", "--numbers", "table.txt", "--out", "out", "--format", "svg")
    answer = ask(*words)
    assert answer.status == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0] == "toy: a toy" and lines[2].split() == ["part", "0", "0", "0.5"]
    assert "CPU time for 3 parts" in answer.out
    assert {path.name for path in Path("out").iterdir()} == {"toy.svg", "toy.npz", "toy.json", "parts"}
    assert "3 of them taken from out/parts" in ask(*words).out


@pytest.mark.parametrize("words, message", [
    (("fig99", "--out", "out"), "no figure is called 'fig99'"),
    (("clt",), "--out"),
    (("clt", "--out", "out", "--draws", "1"), "draws=1"),
    (("clt", "--out", "out", "--workers", "0"), "workers=0"),
    (("clt", "--out", "out", "--format", "gif"), "gif"),
    (("clt", "--out", "no/out"), "no"),
])
def test_figures_command_refuses(ask: Ask, in_tmp: Path, words: tuple[str, ...], message: str) -> None:
    answer = ask("figures", *words)
    assert answer.status == 2 and message in answer.err and len(answer.err.splitlines()) == 1
    assert not list(in_tmp.iterdir())


def test_figures_command_says_how_to_go_on(toy, ask: Ask) -> None:
    toy.stop = 1
    answer = ask("figures", "toy", "--numbers", "table.txt", "--out", "out")
    assert answer.status == 130 and "finished parts are in out/parts" in answer.err


def test_make_with_workers_changes_nothing(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skip, "draw", lambda data: Figure(figsize=(2, 2)))  # the parent draws, not the workers
    for workers in (1, 2):
        figures.make("skip", f"out{workers}", Options(quick=True, draws_asked=3), workers=workers)
    with np.load("out1/skip.npz") as one, np.load("out2/skip.npz") as two:
        assert one.files == two.files
        for name in one.files:
            assert_close(two[name], one[name], EXACT)


# ---------------------------------------------------------------------------------------------
# standard errors
# ---------------------------------------------------------------------------------------------

def test_jackknife_is_the_scatter() -> None:
    """Over many seeds, the variance of each size is the mean of the squared errors given with it."""
    net, seeds = em.zoo.plain(6), 30
    found = [measured(net, {"draws": 50, "seed": seed, "width": 4}, DESK) for seed in range(seeds)]
    for name in SIZES:
        spread = np.var([float(f[name]) for f in found], ddof=1)
        told = np.mean([float(f[f"{name}_error"])**2 for f in found])
        # relative variances of both: 2 / degrees of freedom, 24 in each jackknife
        assert_statistical(np.log(told / spread), np.sqrt(2 / (seeds - 1) + 2 / (24 * seeds)), 0.0)


def test_measured_without_randomness_has_no_error() -> None:
    net = em.zoo.plain(4, weights=em.Constant())
    found = measured(net, {"draws": 5, "seed": 0, "width": 16}, DESK)
    assert found["std_error"] == found["width_error"] == 0
    assert_close(found["std"], np.sqrt(4 * 2 / 3), ROUNDING)


# ---------------------------------------------------------------------------------------------
# numbers: published tables, closed forms, brute force
# ---------------------------------------------------------------------------------------------

def test_fig1_widths() -> None:
    """Known to three digits; the published "uniform" panels are those of random weights."""
    quotes = quoted(fig1.quotes(data_of("fig1", Options(quick=True, draws_asked=3))))
    known = {"all ones": {10: 0.557, 20: 0.394, 40: 0.281}, "random": {10: 0.739, 20: 0.555, 40: 0.394}}
    exact = {case: {n: quotes[f"{n} layers, {case}: width / side of the TRF"].theory for n in widths}
             for case, widths in known.items()}
    assert {case: {n: round(width, 3) for n, width in row.items()} for case, row in exact.items()} == known
    for n, published in fig1.PUBLISHED["all ones"].items():
        assert abs(published - exact["random"][n]) < abs(published - exact["all ones"][n])


def test_fig2_exact_slopes() -> None:
    specs = fig2.parts(QUICK)
    data = {name: Part(specs[name], fig2.compute(specs[name], DESK), 0.0) for name in fig2.THEORIES}
    known = {"all ones": (0.496, -0.490), "random amplitude": (0.508, -0.478)}
    known_sizes = {"all ones": [8.31, 16.16, 50.92], "random amplitude": [10.44, 22.74, 71.95]}
    for name, slopes in known.items():
        part = data[name]
        fits = fig2.slopes(part["layers"], part["size"], None)
        assert tuple(round(fit.slope, 3) for fit in fits) == slopes
        sizes = dict(zip(part["layers"].tolist(), part["size"].round(2).tolist()))
        assert [sizes[n] for n in (5, 20, 200)] == known_sizes[name]


def test_fig2_protocols_against_brute_force() -> None:
    """The three ways to measure, pixel by pixel on the same maps."""
    spec = {"layers": 4, "draws": 9, "run": 3, "seed": 5}
    found = fig2.compute(spec, DESK)
    rng = np.random.default_rng(5)
    net = em.zoo.plain(4, weights=em.Random(gain=1.0))
    maps = [np.sqrt(em.measure(net, draws=1, width=1, channels_in=1, rng=rng).map) for _ in range(9)]
    level = 1 - 0.9545

    def size(values, reference):
        return math.sqrt(sum(value > level * reference for row in values.tolist() for value in row))

    runs = [sum(m / m.max() for m in maps[start:start + 3]) for start in (0, 3, 6)]
    assert_close(found["center"], [size(m, m[4, 4]) for m in maps], ROUNDING)
    assert_close(found["max"], [size(m, m.max()) for m in maps], ROUNDING)
    assert_close(found["run"], [size(m, m[4, 4]) for m in runs], ROUNDING)


@pytest.mark.slow
def test_subsampling_numbers() -> None:
    data = data_of("subsampling", Options(draws_asked=40))
    known = {"dense": (3.162, 31), "stride 2 at 4, 8, 12": (13.565, 105), "dilation 2, 4, 8 at 4, 8, 12": (8.0, 53)}
    quotes = quoted(recipe("subsampling").quotes(data))
    for name, (std, side) in known.items():
        quote = quotes[f"{name}: std of power"]
        assert round(quote.theory, 3) == std and data[name].number("side") == side
        assert_statistical(quote.value, quote.stderr, quote.theory)
    ratios = {name: quotes[f"{name}: width / that of dense"] for name in SUBSAMPLED}
    assert [(round(q.theory, 1), q.paper) for q in ratios.values()] == [(4.2, 3.88), (2.2, 2.08)]


def test_clt_errors() -> None:
    """Of three layers: counts 1, 3, 6, 7, 6, 3, 1 against the Gaussian of variance 2."""
    part = Part({}, clt.compute({"layers": 3, "kernel": 3}, DESK), 0.0)
    assert_close(27 * part["exact"], [1.0, 3, 6, 7, 6, 3, 1], ROUNDING)
    gauss = np.exp(-np.arange(-3, 4)**2 / 4) / math.sqrt(4 * math.pi)
    quotes = quoted(clt.quotes({"3 layers": part}))
    assert_close(quotes["3 layers: Gaussian, largest error / peak"].value,
                 abs(gauss - part["exact"]).max() * 27 / 7, ROUNDING)
    where = quotes["3 layers: Gaussian, std beyond which the error stays above 10%"].value
    assert_close(where, 3 / math.sqrt(2), ROUNDING)  # 0.11 at 0, then below a tenth as far as 2


def test_skip_is_a_binomial_mixture() -> None:
    """The distribution of (1 - p) atom + p (three taps), 20 times, by repeated convolution."""
    for scale, p in ((1.0, 1 / 2), (0.3, 0.09 / 1.09)):
        spec = {"scale": scale, "layers": 20, "width": 8, "draws": 60, "seed": 0}
        found = skip.compute(spec, DESK)
        pmf = np.ones((1, 1))
        for _ in range(20):
            grown = np.pad((1 - p) * pmf, 1)
            for a in range(3):
                for b in range(3):
                    grown[a:a + len(pmf), b:b + len(pmf)] += p / 9 * pmf
            pmf = grown
        assert np.abs(found["theory"] - pmf).max() < np.finfo(np.float32).eps
        assert float(found["theory_centre"]) > (1 - p)**20
        assert_statistical(found["std"], found["std_error"], found["theory_std"])
        assert_statistical(found["centre"], found["centre_error"], pmf[20, 20])


@pytest.mark.slow
def test_initialisation_reaches_its_bound_at_the_corners() -> None:
    data = data_of("initialisation", Options(quick=True, draws_asked=60))
    quotes = quoted(initialisation.quotes(data))
    for k, bound in ((3, 1.5**0.5), (5, 2**0.5), (7, 2.25**0.5)):
        quote = quotes[f"k = {k}, corners: std over that of equal variances"]
        assert_close([quote.theory, quotes[f"k = {k}: bound of that ratio"].value], [bound, bound], ROUNDING)
        assert_statistical(quote.value, quote.stderr, bound)
        assert 1 < quotes[f"k = {k}, soft rim, half: std over that of equal variances"].theory < bound
    share = data["corners, k = 3"]["theory"]
    assert np.count_nonzero(share[1::2]) == np.count_nonzero(share[:, 1::2]) == 0, "one parity of pixels only"


def test_dropout_and_nonlinearity_have_one_theory() -> None:
    for name in ("dropout", "nonlinearity"):
        stds = [part.number("theory_std") for part in data_of(name, Options(draws_asked=3)).values()]
        assert_close(stds, [math.sqrt(20 * 2 / 3)] * 3, ROUNDING)


@pytest.mark.slow
@every_figure
def test_make_every_figure(name: str, in_tmp: Path) -> None:
    if not FIGURES[name].files:
        result = figures.make(name, "out", QUICK)
        assert all(math.isfinite(quote.value) for quote in result.quotes)
