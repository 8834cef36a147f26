"""The command line, and the two modules under it: files written whole, progress on stderr."""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import EXACT, Ask, assert_close

import erfmath as em
from erfmath.base.progress import WIDTH, Progress
from erfmath.base.tables import csv_table, latex_table
from erfmath.bench import BENCHMARKS, Table
from erfmath.cli import build_parser, commands, report

# ---------------------------------------------------------------------------------------------
# receptive-field
# ---------------------------------------------------------------------------------------------


def test_receptive_field_prints_every_node_and_the_window(ask: Ask) -> None:
    answer = ask("receptive-field", "vgg16", "--image", "224", "--unit", "0,6")
    assert answer.status == 0 and not answer.err
    lines = answer.out.splitlines()
    assert [line.split()[0] for line in lines[1:-2]] == list(em.zoo.vgg16().names)
    assert lines[-3].split() == ["pool5", "max_pool", "7x7", "212", "32", "90"]
    assert lines[-1] == ("unit (0, 6) of pool5 sees pixels (-90, 102) to (121, 313), "
                         "centre (15.5, 207.5)")


def test_receptive_field_json(ask: Ask) -> None:
    net, unit = em.zoo.unet(), (3, 5)
    answer = json.loads(ask("receptive-field", "unet", "--unit", "3,5", "--json").out)
    fields = em.receptive_fields(net)
    assert [node["node"] for node in answer["nodes"]] == list(net.names)
    for node in answer["nodes"]:
        assert_close(node["size"], fields[node["node"]].size, EXACT)
        assert_close(node["stride"], [float(s) for s in fields[node["node"]].stride], EXACT)
    assert_close(answer["window"], fields[net.output].window(unit), EXACT)
    assert_close(answer["center"], fields[net.output].center(unit), EXACT)


def test_receptive_field_of_a_net_that_sees_the_whole_plane(ask: Ask) -> None:
    em.serial(em.Conv(3), em.GlobalAvgPool()).save("net.json")
    assert "sees the whole plane" in ask("receptive-field", "net.json").out
    answer = json.loads(ask("receptive-field", "net.json", "--json").out)
    assert answer["window"] is None and answer["nodes"][-1]["size"] == [None, None]
    with_image = json.loads(ask("receptive-field", "net.json", "--image", "5,7", "--json").out)
    assert with_image["window"] == [[0, 0], [4, 6]]


@pytest.mark.parametrize("words, ndim", [
    ((), 2), (("--ndim", "1"), 1), (("--ndim", "3"), 3), (("--image", "9,9,9"), 3),
    (("--image", "9", "--unit", "4"), 2), (("--image", "9", "--unit", "1,2,3"), 3),
])
def test_dimension_is_the_one_that_the_options_name(ask: Ask, words: tuple[str, ...], ndim: int) -> None:
    answer = ask("receptive-field", "plain", "--json", *words)
    assert len(json.loads(answer.out)["unit"]) == ndim


# ---------------------------------------------------------------------------------------------
# predict
# ---------------------------------------------------------------------------------------------

PREDICT = ("predict", "plain", "--image", "31,41", "--unit", "3,20")


def test_predict_prints_the_numbers_of_the_library(ask: Ask) -> None:
    erf = em.predict(em.zoo.plain(), image=(31, 41), unit=(3, 20))
    answer = json.loads(ask(*PREDICT, "--json").out)
    for key in ("unit", "image", "center", "centroid", "std"):
        assert_close(answer[key], getattr(erf, key), EXACT)
    assert_close(answer["trf"]["size"], erf.trf.size, EXACT)
    assert_close(answer["window"], erf.trf.window(erf.unit), EXACT)
    assert answer["size"]["threshold"] == erf.size("threshold")
    assert answer["ratio"] == erf.ratio()
    assert answer["mass_radius"]["0.5"] == erf.mass_radius(0.5)
    assert list(answer["assumptions"]) == [assumption.name for assumption in erf.assumptions]


def test_predict_prints_a_table(ask: Ask) -> None:
    erf = em.predict(em.zoo.plain(), image=(31, 41), unit=(3, 20))
    answer = ask(*PREDICT)
    assert answer.status == 0 and not answer.err
    rows = dict(line.split("  ", 1) for line in answer.out.splitlines())
    assert rows["network"].strip() == "plain, unit (3, 20) of conv20"
    assert rows["TRF"].strip() == "41 x 41 px, pixels (-17, 0) to (23, 40)"
    assert f"{erf.std[0]:.4g} x {erf.std[1]:.4g} px" == rows["std"].strip()


def test_predict_options_reach_the_library(ask: Ask) -> None:
    em.serial(em.Conv(3, weights=em.Constant()), em.Conv(3, weights=em.Constant(), name="top"),
              em.Conv(3, weights=em.Constant())).save("net.json")
    words = ("predict", "net.json", "--json", "--node", "top", "--ndim", "1")
    mean, power = (json.loads(ask(*words, *more).out)
                   for more in ((), ("--statistic", "power", "--width", "2", "--channels-in", "1")))
    assert mean["statistic"] == "mean" and power["statistic"] == "power"
    assert mean["node"] == "top" and mean["trf"]["size"] == [5]


def test_predict_writes_picture_and_result(ask: Ask) -> None:
    answer = ask(*PREDICT, "--plot", "erf.png", "--save", "erf.npz")
    assert answer.status == 0
    assert sorted(path.name for path in Path().iterdir()) == ["erf.npz", "erf.png"]
    assert Path("erf.png").read_bytes().startswith(b"\x89PNG")
    erf = em.predict(em.zoo.plain(), image=(31, 41), unit=(3, 20))
    assert_close(em.EffectiveReceptiveField.load("erf.npz").map, erf.map, EXACT)


@pytest.mark.parametrize("name, start", [("a.pdf", b"%PDF"), ("a.svg", b"<?xml"), ("A.PNG", b"\x89PNG"),])
def test_predict_plot_format(ask: Ask, name: str, start: bytes) -> None:
    assert ask("predict", "plain", "--plot", name).status == 0
    assert Path(name).read_bytes().startswith(start)


# ---------------------------------------------------------------------------------------------
# the other commands
# ---------------------------------------------------------------------------------------------

def test_zoo_lists_every_name(ask: Ask) -> None:
    lines = ask("zoo").out.splitlines()
    assert [line.split()[0] for line in lines[2:-1]] == list(em.zoo.names())


def test_bench_prints_the_tables_asked_for(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "run", lambda name, quick: Table(f"{name} {quick}", ("ms",), ()))
    asked = ask("bench", "walk", "import", "--quick").out.split("\n\n")
    assert asked[:-1] == ["walk True\n  ms", "import True\n  ms"]
    everything = ask("bench").out.split("\n\n")
    assert everything[:-1] == [f"{name} False\n  ms" for name in BENCHMARKS]


@pytest.mark.parametrize("command", ["receptive-field", "predict", "bench", "zoo"])
def test_build_parser_examples_parse(ask: Ask, command: str) -> None:
    answer = ask(command, "--help")
    assert answer.status == 0
    shown = answer.out.split("examples:\n")[1].splitlines()
    assert shown
    for line in shown:
        program, *words = line.split()
        assert program == "erfmath" and words[0] == command
        build_parser().parse_args(words)


def test_main_version() -> None:
    done = subprocess.run([sys.executable, "-m", "erfmath", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"erfmath {em.__version__}\n"


def test_main_survives_a_reader_who_leaves() -> None:
    command = subprocess.Popen([sys.executable, "-m", "erfmath", "zoo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert command.stdout and command.stderr
    command.stdout.close()
    with command:
        assert command.stderr.read() == b""


# ---------------------------------------------------------------------------------------------
# bad input: one line, status 2, nothing written
# ---------------------------------------------------------------------------------------------

NODE = '{"name": "%s", "op": "conv", "inputs": ["%s"], "kernel_size": 3}'
FILES = {
    "broken.json": b'{"format": "erfmath-network",\n "version": 1,\n "nodes": [}\n',
    "list.json": b"[]",
    "cycle.json": ('{"format": "erfmath-network", "version": 1, "nodes": [%s, %s], "output": "b"}'
                   % (NODE % ("a", "b"), NODE % ("b", "a"))).encode(),
    "field.json": ('{"format": "erfmath-network", "version": 1, "nodes": [%s], "output": "a"}'
                   % (NODE % ("a", "input")).replace("3", '3, "kernal": 3')).encode(),
    "binary.json": b"\xff\xfe\x00\x01",
    "deep.json": b"[" * 100_000,
}
OUT = ("--plot", "new.png", "--save", "new.npz")


@pytest.mark.parametrize("words, told", [
    (("receptive-field", "vgg61"), "'vgg61'.*did you mean.*vgg16"),
    (("predict", "resnet_50", *OUT), "'resnet_50'.*did you mean.*resnet50"),
    (("predict", "missing.json", *OUT), "missing.json: No such file"),
    (("predict", "broken.json", *OUT), "broken.json: line 3"),
    (("predict", "list.json", *OUT), "list.json: .*object"),
    (("predict", "cycle.json", *OUT), "a: inputs: .*cycle"),
    (("predict", "field.json", *OUT), "a: .*kernal"),
    (("predict", "binary.json", *OUT), "binary.json: "),
    (("predict", "deep.json", *OUT), "deep.json: "),
    (("predict", "./", *OUT), "Is a directory"),
    (("predict", "unet", "--image", "3", *OUT), "image=.*too small"),
    (("predict", "vgg16", "--image", "0", *OUT), "image=0"),
    (("predict", "vgg16", "--image", "64", "--unit", "2,0", *OUT), r"unit=\(2, 0\): outside"),
    (("predict", "plain", "--node", "conv99", *OUT), "conv99.*did you mean"),
    (("receptive-field", "plain", "--node", "input"), "node='input'"),
    (("predict", "plain", "--width", "0", *OUT), "width=0"),
    (("predict", "plain", "--image", "9,9", "--unit", "1", "--ndim", "3", *OUT),
     "dimensions differ: --ndim has 3, --image has 2"),
    (("predict", "plain", "--statistic", "median", *OUT), "--statistic: invalid choice"),
    (("predict", "plain", "--statistic", "mean", *OUT), "statistic='mean'"),
    (("predict", "plain", "--image", "9x9", *OUT), "--image: '9x9': must be integers"),
    (("predict", "plain", "--plot", "new.xyz", "--save", "new.npz"), "new.xyz: .*known are .*png"),
    (("predict", "plain", "--plot", "new", "--save", "new.npz"), "new: .*nothing"),
    (("predict", "plain", "--plot", "no/new.png", "--save", "new.npz"), "there is no directory"),
    (("predict", "plain", "--plot", "new.png", "--save", "new.txt"), "must end in .npz"),
    (("predict", "plain", "--plot", "."), "is a directory"),
    (("predict",), "required: NET"),
    (("bench", "nothing"), "no benchmark is called 'nothing'; there are accuracy"),
    (("predict", "plain", "--imag", "32", *OUT), "unrecognized arguments: --imag 32"),
    (("measure", "plain", "--seed", "-1"), "--seed=-1: must be"),
    (("measure", "plain", "--channels-in", "0"), "--channels-in=0"),
    (("predict", "vgg61"), "NET='vgg61'"),
    (("predict", "plain", "-o", "no/out.txt"), "there is no directory"),
    (("zoo", "--table", "html"), "invalid choice: 'html'"),
    (("figures", "clt"), "--out: must be a directory"),
    (("nothing",), "invalid choice: 'nothing'"),
    ((), "required: COMMAND"),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_main_refuses_bad_input(ask: Ask, words: tuple[str, ...], told: str) -> None:
    for name, content in FILES.items():
        Path(name).write_bytes(content)
    status, out, err = ask(*words)
    assert status == 2 and out == ""
    line, = err.splitlines()
    assert line.startswith("erfmath: error: ")
    assert re.search(told, line), line
    assert sorted(path.name for path in Path().iterdir()) == sorted(FILES)


# ---------------------------------------------------------------------------------------------
# progress
# ---------------------------------------------------------------------------------------------

class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def wait_for(stream: io.StringIO, text: str) -> None:
    for _ in range(20_000):
        if text in stream.getvalue():
            return
        time.sleep(0.001)
    pytest.fail(f"{text!r} never appeared")


def test_progress_shows_nothing_of_short_work() -> None:
    for stream in (Terminal(), io.StringIO()):
        with Progress("work", stream=stream, delay=3600) as progress:
            progress(1, 2)
        assert stream.getvalue() == ""


def test_progress_bar_is_wiped_in_the_end() -> None:
    stream = Terminal()
    with Progress("work", stream=stream, delay=0, interval=0.001) as progress:
        wait_for(stream, "work [")
        progress(3, 4)
        wait_for(stream, "3/4")
    text = stream.getvalue()
    assert "\n" not in text and text.endswith(" \r") and not text.rpartition("]")[2].rpartition("\r")[0][-1:].strip()


def test_progress_in_a_log_is_one_line() -> None:
    stream = io.StringIO()
    with Progress("work", stream=stream, delay=0):
        wait_for(stream, "\n")
    assert stream.getvalue() == "work ...\n"


def test_progress_bar_fills() -> None:
    progress = Progress("work")
    assert {len(progress.line(tenths / 10)) for tenths in range(90)} == {len(progress.line(0))}
    for done in (0, 1, 4):
        progress(done, 4)
        assert progress.line(2).count("#") == WIDTH * done // 4
    assert progress.line(2) == f"work [{'#' * WIDTH}] 4/4 2 s"


def test_progress_tells_rate_and_time_left() -> None:
    progress = Progress("work")
    progress(10, 100)                                      # as a run that is taken up again: 10 were there
    progress(30, 100)
    assert progress.line(4).endswith("30/100 5/s, 14 s left, 4 s")
    assert progress.line(400).endswith("30/100 0.05/s, 23:20 min left, 6:40 min")
    progress(100, 100)
    assert progress.line(4).endswith("100/100 4 s")


def test_predict_prints_sizes_that_there_are(ask: Ask, in_tmp: Path) -> None:
    skewed = em.Random(profile=np.array([[1, 2, 3], [4, 5, 1], [2, 2, 99.0]]))
    em.repeat(em.Conv(3, weights=skewed), 3000).save("net.json")
    answer = ask("predict", "net.json")  # its centre is far out in the tail, below the error of the law
    assert answer.status == 0
    assert "  - px with amplitude above" in answer.out
    assert json.loads(ask("predict", "net.json", "--json").out)["size"]["threshold"] is None


# ---------------------------------------------------------------------------------------------
# input from a pipe, output in other forms
# ---------------------------------------------------------------------------------------------

def test_network_from_standard_input(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    em.zoo.plain(3).save("net.json")
    want = json.loads(ask("predict", "net.json", "--json").out)
    monkeypatch.setattr(sys, "stdin", io.StringIO(Path("net.json").read_text()))
    found = json.loads(ask("predict", "-", "--json").out)
    assert found.pop("network") == "-" and want.pop("network") == "net.json" and found == want
    for text, told in (("{", "standard input: "), ("[1]", "standard input: ")):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        answer = ask("predict", "-")
        assert answer.status == 2 and told in answer.err and answer.err.count("\n") == 1


def test_output_goes_to_a_file(ask: Ask) -> None:
    want = ask("zoo").out
    answer = ask("zoo", "-o", "zoo.txt")
    assert answer.status == 0 and not answer.out and Path("zoo.txt").read_text() == want


@pytest.mark.parametrize("words", [
    ("receptive-field", "plain"), ("predict", "plain"), ("measure", "net.json", "--draws", "4", "--seed", "0"),
    ("compare", "net.json", "--draws", "40", "--seed", "0"), ("analyse", "grads.npy"), ("design", "net.json"),
    ("design", "net.json", "--layers"), ("size-map", "net.json", "--image", "8"),
    ("signals", "net.json"), ("tiles", "net.json"),
    ("growth", "--depths", "5:9"), ("figures",), ("bench", "import", "--quick"), ("zoo",)], ids=" ".join)
def test_every_command_has_json_and_tables(ask: Ask, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """With version and command; CSV with a header and rows of one length; LaTeX with the same numbers of them."""
    monkeypatch.setattr(commands, "run", lambda name, quick: Table(name, ("work", "ms"), (("a", 1.0),)))
    em.repeat(em.Conv(3, 2), 2).save("net.json")
    np.save("grads.npy", np.random.default_rng(0).standard_normal((5, 1, 9, 9)))
    answer = ask(*words, "--json", "--quiet")
    assert answer.status in (0, 1) and "error" not in answer.err
    told = json.loads(answer.out)
    assert told["erfmath"] == em.__version__ and told["command"] == words[0]
    rows = list(csv.reader(ask(*words, "--table", "csv").out.strip().splitlines()))
    assert len(rows) > 1 and len({len(row) for row in rows}) == 1
    lines = ask(*words, "--table", "latex").out.strip().splitlines()
    assert lines[0].startswith(r"\begin{tabular}") and lines[-1] == r"\end{tabular}" and len(lines) == len(rows) + 5


def test_quiet_shows_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    shown = report.progress(argparse.Namespace(quiet=True), "work")
    with shown as bar:
        bar(1, 2)
    assert not capsys.readouterr().err and not isinstance(shown, Progress)
    assert isinstance(report.progress(argparse.Namespace(quiet=False), "work"), Progress)


def test_csv_table_and_latex_table() -> None:
    rows = [("a", "b"), ("x_1, 50 %", None)]
    assert csv_table(rows) == 'a,b\n"x_1, 50 %",'
    assert latex_table(rows).splitlines()[4] == r"x\_1, 50 \% &  \\"


def test_report_is_a_page(ask: Ask, in_tmp: Path) -> None:
    em.zoo.plain(2).save("net.json")
    answer = ask("report", "net.json", "--ndim", "1", "--unit=0", "-q", "-o", "page.html", "--title", "two layers")
    assert answer.status == 0 and answer.out == ""
    page = Path("page.html").read_text(encoding="utf-8")
    assert "<h1>two layers</h1>" in page and "<code>erfmath report net.json --unit=0</code>" in page
    assert json.loads(ask("report", "net.json", "--ndim", "1", "--json").out)["html"].startswith("<!DOCTYPE html>")
