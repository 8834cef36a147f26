"""The page of a network: complete, well formed, and of the numbers that the library has."""

from __future__ import annotations

import html
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import erfmath as em
from erfmath.reporting import SECTIONS

NET = em.serial(em.Conv(3, 4), em.Activation("relu"), em.Conv(3, 4, stride=2, name="a<b"))
VOID = {"meta", "link", "br", "img", "hr"}


class Checker(HTMLParser):
    """Open tags, and everything that a page may refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: Counter[str] = Counter()
        self.tags: Counter[str] = Counter()
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag not in VOID:
            self.open.append(tag)
        self._note(attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self._note(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag

    def _note(self, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids[value or ""] += 1
            elif name in ("href", "xlink:href", "src"):
                self.references.append(value or "")


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    assert not checker.open, checker.open
    return checker


@pytest.fixture(scope="module")
def page() -> str:
    return em.report(NET, image=12, channels_in=2, title="net & more", command="erfmath report net.json")


def test_the_page_is_one_document_that_needs_no_other(page: str) -> None:
    found = checked(page)
    assert found.tags["script"] == 0 and found.tags["svg"] == 3 and found.tags["h2"] == len(SECTIONS)
    assert max(found.ids.values()) == 1
    for reference in found.references:  # within the page, or pixels of a map
        assert reference.startswith("data:image/png") or reference.removeprefix("#") in found.ids, reference[:60]
    assert all("url(#" in use for use in re.findall(r"url\([^)]*", page))
    assert "Not available" not in page


def test_the_page_has_the_numbers_of_predict(page: str) -> None:
    erf = em.predict(NET, image=12, channels_in=2)
    assert f"{erf.std[0]:.4g} × {erf.std[1]:.4g} px" in page
    assert f"<td>{erf.size():.4g} px</td>" in page and f"<td>{erf.ratio():.3g}</td>" in page
    assert "net &amp; more" in page and "a&lt;b" in page and "a<b" not in page
    assert html.escape(em.remedies(NET, image=12, channels_in=2).changes[0].what) in page
    assert "erfmath report net.json" in page and f"erfmath {em.__version__}" in page


def test_assumptions_are_listed(page: str) -> None:
    assert "None: for this network the theory is exact" in page
    net = em.serial(em.Conv(3), em.Activation("tanh"), em.Conv(3))
    other = em.report(net, ndim=1)
    for assumption in em.predict(net, ndim=1).assumptions:
        assert assumption.name in other


@pytest.mark.parametrize("net, options, said", [
    (em.zoo.plain(3), {"ndim": 1}, "On the infinite plane there are none"),
    (em.zoo.plain(3), {"ndim": 1, "image": 20, "unit": 0}, "is lost"),
    (em.serial(em.Conv(3), em.GlobalAvgPool()), {"image": 8}, "can see 8 × 8 pixels"),
])
def test_other_networks(net: em.Network, options: dict[str, Any], said: str) -> None:
    page = em.report(net, **options)
    checked(page)
    assert said in page


def test_it_is_written(in_tmp: Path) -> None:
    text = em.report(em.zoo.plain(2), "report.html", ndim=1)
    assert Path("report.html").read_text(encoding="utf-8") == text
    with pytest.raises(OSError):
        em.report(em.zoo.plain(2), "nowhere/report.html")
