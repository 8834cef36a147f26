"""`erfmath report`: a page."""

from __future__ import annotations

import json
from pathlib import Path

from helpers import Ask

import erfmath as em


def test_report_is_a_page(ask: Ask, in_tmp: Path) -> None:
    em.zoo.plain(2).save("net.json")
    answer = ask("report", "net.json", "--ndim", "1", "--unit=0", "-q", "-o", "page.html", "--title", "two layers")
    assert answer.status == 0 and answer.out == ""
    page = Path("page.html").read_text(encoding="utf-8")
    assert "<h1>two layers</h1>" in page and "<code>erfmath report net.json --unit=0</code>" in page
    assert json.loads(ask("report", "net.json", "--ndim", "1", "--json").out)["html"].startswith("<!DOCTYPE html>")
