"""Arguments as other libraries have them: the message says what they are here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import erfmath as em

FOLLOWS = "how many channels come in follows from the network"


@pytest.mark.parametrize("make, words", [
    (lambda: em.Conv(3, 16, 3), f"was given 3; {FOLLOWS}; did you mean Conv(3, 16)?"),
    (lambda: em.Conv(3, 64, 7, 2, 3), "did you mean Conv(7, 64, stride=2, padding=3)?"),
    (lambda: em.Conv(3, 64, kernel_size=5), "was given kernel_size twice; "),
    (lambda: em.Conv(3, 64, kernel_size=5), "did you mean Conv(5, 64)?"),
    (lambda: em.ConvTranspose(64, 32, 2, 2), "did you mean ConvTranspose(2, 32, stride=2)?"),
    (lambda: em.Conv(in_channels=3, out_channels=8, kernel_size=3), f"no argument in_channels=; {FOLLOWS}"),
    (lambda: em.LayerNorm(64), f"LayerNorm() takes nothing by position and was given 1; {FOLLOWS}"),
    (lambda: em.GroupNorm(32, 64), f"GroupNorm() takes groups by position and was given 2; {FOLLOWS}"),
    (lambda: em.BatchNorm(num_features=64), f"no argument num_features=; {FOLLOWS}"),
    (lambda: em.Conv(3, activation="relu"), "an activation is a layer of its own"),
    (lambda: em.MaxPool(3, padding_mode="reflect"), "as in serial(Pad(1, 'reflect'), ...)"),
    (lambda: em.Softmax(dim=1), "it acts on the channels of each site; it takes parts, name"),
    (lambda: em.Conv(3, strides=2), "did you mean stride=?"), (lambda: em.PixelShuffle(upscale_factor=2), "scale=?"),
    (lambda: em.BatchNorm(sums=True), "BatchNorm() has no argument sums=; it takes mode, scale_var, shift_var, name"),
])
def test_check_arguments(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(TypeError) as told:
        make()
    assert words in str(told.value)


@pytest.mark.parametrize("make, words", [
    (lambda: em.Conv(3, padding="zeros"),
     "padding='zeros': says how many sites; what they hold is padding_mode='zeros'"),
    (lambda: em.Conv(3, padding="reflection"), "what they hold is padding_mode='reflect'"),
    (lambda: em.Pad("circular"), "what they hold is mode='circular'"),
    (lambda: em.Conv(3, padding_mode="edge"), "did you mean 'replicate'?"),
    (lambda: em.Conv(3, padding_mode="constant"), "did you mean 'zeros'?"),
    (lambda: em.Pad(1, "wrap"), "did you mean 'circular'?"), (lambda: em.Conv(3, padding="SAME"), "mean 'same'?"),
    (lambda: em.Conv(3, bias=True), "did you mean bias='weights'"), (lambda: em.Conv(3, bias=False), "mean bias=0?"),
    (lambda: em.BatchNorm(64), f"mode=64: must be 'data', 'batch' or 'identity'; {FOLLOWS}"),
    (lambda: em.Random("kaiming"), "Random.like(name)"), (lambda: em.Random.like("he"), "did you mean 'he_normal'?"),
    (lambda: em.Random.like("tensorflow"), "did you mean 'keras'?"),
])
def test_words_of_other_libraries(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError) as told:
        make()
    assert words in str(told.value)
