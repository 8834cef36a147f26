"""Workers of all kinds, and no bit changed."""

from __future__ import annotations

import concurrent.futures
import os
from typing import Any

from ensembles import same

import erfmath as em

C, A = em.Conv, em.Activation


def test_measure_workers_change_no_bit(small_chunks: None) -> None:
    net = em.serial(C(3), A("relu"), em.BatchNorm(), C(3))
    options: dict[str, Any] = dict(image=9, draws=22, rng=3, width=4)
    alone = em.measure(net, **options)
    same(em.measure(net, workers=2, **options), alone)
    same(em.measure(net, workers=map, **options), alone)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        same(em.measure(net, workers=pool.map, **options), alone)
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        same(em.measure(net, workers=pool.map, **options), alone)


def test_in_order_gives_worker_processes_one_blas_thread_each() -> None:
    from erfmath.empirics.parallel import in_order
    before = dict(os.environ)
    with in_order(os.getenv, ["OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"], 2) as found:
        assert list(found) == ["1", "1"]
    assert dict(os.environ) == before
