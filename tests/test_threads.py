"""Threads on shared networks give the bits of one, and so do copies in other processes."""

from __future__ import annotations

import concurrent.futures
import copy
import multiprocessing
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import erfmath as em
from erfmath.theory import memory

NETS = {
    "unet": em.zoo.unet(width=2), "plain": em.zoo.plain(4),
    "residual": em.serial(em.Conv(3, 4), em.Activation("relu"), em.residual(em.serial(em.Conv(3, 4), em.BatchNorm())),
                          em.Activation("tanh"), em.MaxPool(2)),
}


def jobs() -> list[Callable[[], Any]]:
    """Every verb on every network."""
    found: list[Callable[[], Any]] = []
    for net in NETS.values():
        found += [lambda net=net: em.predict(net, image=16, width=4).map,
                  lambda net=net: em.predict(net, image=16, unit=0, width=4).map,
                  lambda net=net: np.array(em.receptive_field(net, image=16).window((1, 1))),
                  lambda net=net: em.erf_size_map(net, 16, width=4).std,
                  lambda net=net: em.measure(net, image=16, width=4, draws=4, rng=0).map,
                  lambda net=net: em.support(net, image=16).mask]
    return found


def answer(net: em.Network) -> bytes:
    return bytes(em.predict(net, image=16, width=4).map.tobytes())


@pytest.mark.parametrize("forgetful", [False, True])
def test_eight_threads_give_the_bits_of_one(forgetful: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once on networks that nobody has looked at yet, and then what one thread says.

    Where forgetful, what is remembered is dropped at every look, as networks of other threads may have it dropped.
    """
    for name, net in NETS.items():
        NETS[name] = pickle.loads(pickle.dumps(net))  # with nothing remembered
    if forgetful:
        monkeypatch.setattr(memory, "OWNERS", 1)
    todo = jobs() * 3
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda job: job(), todo))
    for job, found in zip(todo, together):
        assert np.array_equal(found, job())


def test_copies_give_the_same_bits() -> None:
    for net in NETS.values():
        expected = answer(net)
        for other in (copy.copy(net), copy.deepcopy(net), *(pickle.loads(pickle.dumps(net, p)) for p in range(2, 6))):
            assert other == net and hash(other) == hash(net) and answer(other) == expected


def test_spawned_processes_give_the_same_bits() -> None:
    net = NETS["residual"]
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(em.predict, net, image=16, width=4).result().map.tobytes() == answer(net)
