"""The command line as a whole: options, refusals in one line, files for output."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import Ask

import erfmath as em
from erfmath.cli import build_parser


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


def test_output_goes_to_a_file(ask: Ask) -> None:
    want = ask("predict", "plain").out
    answer = ask("predict", "plain", "-o", "new.txt")
    assert answer.status == 0 and want and not answer.out and Path("new.txt").read_text() == want


@pytest.mark.parametrize("word", ["--ndim=--", "--width=" + "x" * 5000, "--image=" + "9" * 5000, "--unit=--"])
def test_words_of_any_length_are_refused_in_one_short_line(ask: Ask, word: str) -> None:
    answer = ask("predict", "vgg11", word)
    assert answer.status == 2 and not answer.out
    assert len(answer.err.splitlines()) == 1 and len(answer.err) < 1200
