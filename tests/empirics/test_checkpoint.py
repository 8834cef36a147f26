"""Runs that are kept, resumed and refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ensembles import Stop, chain, same

import erfmath as em
from erfmath.empirics.checkpoint import Checkpoint

C, A = em.Conv, em.Activation
UNIT_GAIN = em.Random(gain=1)


def test_measure_until_looks_first_at_what_the_checkpoint_holds(in_tmp: Path) -> None:
    call = dict(until=0.03, rng=0, checkpoint="run.npz", width=4)
    first = em.measure(chain(), **call)
    for _ in range(2):
        same(em.measure(chain(), **call), first)
    closer = em.measure(chain(), **{**call, "until": 0.02})  # goes on
    assert closer.draws > first.draws
    same(closer, em.measure(chain(), until=0.02, rng=0, width=4))


def test_measure_goes_on_with_more_draws_to_the_bits_of_one_run(in_tmp: Path) -> None:
    """Wherever earlier runs ended: the draws are merged as if there had been one."""
    for draws in (7, 31, 95, 600):
        erf = em.measure(chain(2), draws=draws, rng=0, width=2, checkpoint="run.npz")
        same(erf, em.measure(chain(2), draws=draws, rng=0, width=2))
    same(em.measure(chain(2), draws=600, rng=0, width=2, checkpoint="run.npz"), erf)


def test_measure_says_who_works_on_a_checkpoint(in_tmp: Path) -> None:
    call: dict[str, Any] = dict(draws=40, rng=0, width=2, checkpoint="run.npz")
    with Checkpoint("run.npz", "of another process"), pytest.raises(BlockingIOError, match="run.npz: another run"):
        em.measure(chain(2), **call)
    same(em.measure(chain(2), **call), em.measure(chain(2), **{**call, "checkpoint": None}))
    assert os.listdir() == ["run.npz"]


def test_measure_whose_checkpoint_cannot_be_written_goes_on(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(UserWarning, match=r"checkpoint='run.npz': cannot be written \(No space left"):
        erf = em.measure(chain(2), draws=40, rng=0, width=2, checkpoint="run.npz")
    same(erf, em.measure(chain(2), draws=40, rng=0, width=2))
    assert os.listdir() == []


def test_measure_checkpoints_resume_bit_for_bit(small_chunks: None, in_tmp: Path) -> None:
    options: dict[str, Any] = dict(draws=18, rng=0, checkpoint="run.npz")
    assert em.measure(chain(), progress=Stop(2), **options).partial
    rest = Stop(-1)
    resumed = em.measure(chain(), progress=rest, **options)
    assert rest.seen[0] == (12, 18) and not resumed.partial
    same(resumed, em.measure(chain(), draws=18, rng=0))
    same(em.measure(chain(), draws=18, checkpoint="run.npz"), resumed)  # the seed is in the file
    assert os.listdir() == ["run.npz"]
    for wrong in (dict(rng=1), dict(width=3), dict(statistic="magnitude"), dict(unit=2)):
        with pytest.raises(ValueError, match="checkpoint='run.npz'"):
            em.measure(chain(), **{**options, **wrong})
    for content in (b"nothing", b"PK\x03\x04", Path("run.npz").read_bytes()[:1000]):
        Path("other.npz").write_bytes(content)
        with pytest.raises(ValueError, match="not a checkpoint"):
            em.measure(chain(), checkpoint="other.npz")
