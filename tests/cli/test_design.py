"""The commands that answer: design, size-map, tiles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import EXACT, Ask, assert_close

import erfmath as em

PNG = b"\x89PNG"


def test_design_prints_remedies(ask: Ask) -> None:
    net = em.zoo.plain(4)
    net.save("net.json")
    answer = ask("design", "net.json", "--image", "20", "--top", "3", "--plot", "design.png")
    assert answer.status == 0 and answer.out.strip() == em.remedies(net, image=20).table(3)
    assert Path("design.png").read_bytes().startswith(PNG)
    rows = json.loads(ask("design", "net.json", "--image", "20", "--json", "--kind", "mass").out)
    every = em.remedies(net, image=20, kind="mass")
    assert [row["what"] for row in rows["changes"]] == [remedy.what for remedy in every.changes]
    assert rows["now"]["size"] == every.now.size
    assert em.Network.from_dict(rows["changes"][0]["network"]) == every.changes[0].net


def test_design_layers_says_which_exceed_the_image(ask: Ask) -> None:
    lines = ask("design", "vgg11", "--layers", "--image", "64").out.splitlines()
    assert lines[-2:] == ["first layer whose TRF exceeds the image: pool4",
                          "first layer whose square that encloses 95 % of the ERF exceeds the image: conv5_1"]
    found = json.loads(ask("design", "plain", "--layers", "--image", "64", "--json").out)
    assert found["beyond_trf"] is found["beyond_erf"] is None
    assert ask("design", "plain", "--layers", "--image", "64").out.splitlines()[-1].endswith("the image: none")


def test_design_layers(ask: Ask) -> None:
    answer = ask("design", "vgg11", "--layers", "--plot", "layers.png")
    assert answer.status == 0 and answer.out.strip() == str(em.layer_shares(em.zoo.vgg11()))
    assert Path("layers.png").read_bytes().startswith(PNG)
    rows = json.loads(ask("design", "vgg11", "--layers", "--json").out)
    assert rows["exact"] and sum(row["share"] for row in rows["layers"]) == pytest.approx(1)


@pytest.mark.slow
def test_design_for_a_target(ask: Ask) -> None:
    words = ("design", "--target", "6", "--max-depth", "8", "--max-multiply-adds", "1e9", "--image", "64",
             "--width", "8")
    found = em.design(6, budget=em.Budget(multiply_adds=10**9, depth=8), choices=em.Choices(width=8), image=64)
    assert ask(*words, "--top", "99").out == f"{found}\n"
    first = json.loads(ask(*words, "--json").out)["designs"][0]
    assert em.Network.from_dict(first["network"]) == found[0].net and first["std"] == found[0].std


def test_size_map(ask: Ask) -> None:
    answer = ask("size-map", "unet", "--image", "32", "--node", "conv2", "--plot", "sizes.png")
    sizes = em.erf_size_map(em.zoo.unet(), 32, node="conv2")
    assert answer.status == 0 and f"corner unit (0, 0): std {sizes.size[0, 0]:.4g} px" in answer.out
    assert Path("sizes.png").read_bytes().startswith(PNG)
    values = json.loads(ask("size-map", "unet", "--image", "32", "--node", "conv2", "--json").out)
    assert_close(values["size"], sizes.size, EXACT)
    assert_close(values["centroid"], sizes.centroid, EXACT)


def test_tiles(ask: Ask) -> None:
    found = em.tile_halo(em.zoo.context_module(), 0.01)
    assert f"halo       {found.halo} px" in ask("tiles", "context_module").out
    assert json.loads(ask("tiles", "context_module", "--json").out)["exact"] == found.exact


@pytest.mark.parametrize("words, error", [
    (("design",), "not both"), (("design", "vgg11", "--target", "9"), "not both"),
    (("design", "--target", "9", "--plot", "a.png"), "--plot does not go with --target"),
    (("design", "--target", "9", "--unit", "3"), "--unit does not go with --target"),
    (("design", "--target", "-9"), "target=-9"), (("design", "--target", "9", "--max-depth", "0"), "depth=0"),
    (("design", "--target", "9", "--max-multiply-adds", "inf"), "--max-multiply-adds=inf"),
    (("design", "--target", "9", "--max-multiply-adds", "9"), "not even the shortest"),
    (("design", "vgg11", "--max-depth", "3"), "--max-depth does not go with NET"),
    (("design", "vgg11", "--layers", "--top", "3"), "--top does not go with --layers"),
    (("design", "vgg11", "--top", "0"), "top=0"), (("design", "vgg11", "--kind", "width"), "kind='width'"),
    # Python 3.14 reads -1,2 as a value, --unit=(-1, 2); before, the message says to write --unit=-1,2.
    (("predict", "vgg11", "--image", "64", "--unit", "-1,2"), "--unit="),
    (("growth", "--depths", "5:9", "--every", "0"), "every=0"),
    (("growth", "--depths", "5:9", "--depth", "-1"), "depth=-1"),
    (("growth", "--depths", "5:80", "--every", "2"), "pixels along an axis"),
    (("design", "nothing"), "no network of the zoo"), (("design", "vgg11", "--plot", "a.nothing"), "a.nothing"),
    (("growth",), "required"), (("growth", "--depths", "5"), "A:B"), (("growth", "--depths", "5:6"), "at least three"),
    (("growth", "--depths", "5:9", "--kinds", "width"), "width"),
    (("growth", "--stride-places", "1:9", "--depth", "4"), "more layers"),
    (("size-map", "vgg11"), "--image"), (("size-map", "vgg11", "--image", "64", "--unit", "1"), "unrecognized"),
    (("size-map", "vgg11", "--image", "20000"), "smaller image"),
    (("tiles", "vgg11", "--error", "2"), "error=2"), (("tiles", "vgg11", "--unit", "1"), "unrecognized"),
])
def test_design_says_what_is_wrong_in_one_line(ask: Ask, words: tuple[str, ...], error: str) -> None:
    answer = ask(*words)
    assert answer.status == 2 and not answer.out
    assert error in answer.err and answer.err.count("\n") == 1
    assert not list(Path().iterdir())
