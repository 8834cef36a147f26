"""Blocks of exported programs, for who has torch: their operations stand in the place of the block."""

from __future__ import annotations

from typing import Any

import pytest

import erfmath as em

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]
nn, functional = torch.nn, torch.nn.functional


class Cast(nn.Module):
    """Blocks of another precision, one inside the other, as attention and losses have them; names repeat."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(c, 4, 3, padding=1) for c in (3, 4, 4))

    def forward(self, x: Any) -> Any:
        x = functional.relu(self.a(x))
        with torch.autocast("cpu", enabled=False):
            y = functional.relu(self.b(x.float()))
        return functional.relu(self.c(y)) + y


def test_unwrapped_blocks_of_another_precision() -> None:
    m = em.from_torch(Cast().eval(), (1, 3, 9, 9), init="weights")
    assert [node.layer.kind for node in m.net] == ["conv", "relu", "conv", "relu", "conv", "relu", "add"]
    assert dict(m.outputs) == {"out": m.net.output} and m.receptive_field().size == (7, 7)
