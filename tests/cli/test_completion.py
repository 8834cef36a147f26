"""Completion: the script, in a shell."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from helpers import Ask


@pytest.mark.parametrize("typed, offered", [
    ("erfmath pre", "predict"), ("erfmath predict --me", "--method"), ("erfmath predict x --method fi", "finite_width"),
    ("erfmath figures fig3_b", "fig3_box"), ("erfmath predict vgg1", "vgg11 vgg13 vgg16 vgg19")])
def test_completion(typed: str, offered: str, ask: Ask, in_tmp: Path) -> None:
    Path("script").write_text(ask("completion", "bash").out, encoding="utf-8")
    words = typed.split()
    line = (f'. ./script; COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; _erfmath; '
            'echo "${COMPREPLY[*]}"')
    found = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == offered and not found.stderr
