"""Operations of PyTorch, one by one, by the values of the network: `python -m pytest -m torch`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import FFT, assert_close
from values import forward_values

import erfmath as em

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]
functional = torch.nn.functional


class Between(torch.nn.Module):
    """A function of the output of one convolution, and another convolution of it."""

    def __init__(self, function: Any, channels: int = 8, kernel: int = 3) -> None:
        super().__init__()
        self.function = function
        self.first, self.last = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(channels, 4, kernel)

    def forward(self, x: Any) -> Any:
        return self.last(self.function(self.first(x)))


def part_changed(x: Any) -> Any:
    x = x.clone()
    x[:, 2:5] = x[:, 2:5].relu()
    return x


def view_changed(x: Any) -> Any:
    x = x.clone()
    x[:, :3].relu_()
    return x


def one_changed(x: Any) -> Any:
    x = x.clone()
    x[:, 0] = 0
    return x


SAME: dict[str, tuple[Any, int]] = {
    "a list of channels": (lambda x: x[:, [3, 1, 2, 0]], 4), "channels in reverse": (lambda x: x.flip(1), 8),
    "channels moved round": (lambda x: x.roll(3, 1), 8), "every other channel": (lambda x: x[:, 1::2], 4),
    "channels anew": (lambda x: x.repeat(1, 2, 1, 1), 16),
    "each channel twice": (lambda x: x.repeat_interleave(2, 1), 16),
    "each site twice": (lambda x: x.repeat_interleave(2, 2), 8),
    "the larger of halves": (lambda x: torch.max(x[:, :4], x[:, 4:]), 4),
    "the largest channel": (lambda x: x * torch.sigmoid(x.max(1, keepdim=True)[0]), 8),
    "between two bounds": (lambda x: torch.where((x > 0) & (x < 1), x, 0.1 * x), 8),
    "a part changed in place": (part_changed, 8), "a view changed in place": (view_changed, 8),
    "nearest, exact": (lambda x: functional.interpolate(x, scale_factor=1 / 3, mode="nearest-exact"), 8),
    "half of an odd size": (lambda x: functional.interpolate(x[:, :, 1:, 1:], scale_factor=0.5, mode="bilinear"), 8),
}


@pytest.mark.parametrize("name", SAME)
def test_values(name: str) -> None:
    function, channels = SAME[name]
    torch.manual_seed(1)
    module, x = Between(function, channels).double().eval(), torch.randn(1, 3, 12, 12, dtype=torch.float64)
    model = em.from_torch(module, x, init="weights")
    with torch.no_grad():
        assert_close(forward_values(model.net, model.weights, x.numpy(), model.outputs["out"]),
                     np.asarray(module(x)[0]), FFT)
    assert not model.stand_ins and not model.notes


@pytest.mark.parametrize("function, words", [
    (one_changed, "change of a part in place"), (lambda x: x.flip(2), "sites in another order"),
    (lambda x: functional.avg_pool2d(x, 2, divisor_override=3), "a divisor of its own"),
    (lambda x: functional.interpolate(x, scale_factor=1.3, mode="bilinear"), "that reads sites 0, 0.654, 1.42"),
])
def test_refused(function: Any, words: str) -> None:
    with pytest.raises(NotImplementedError, match=words):
        em.from_torch(Between(function).eval(), (1, 3, 12, 12))
