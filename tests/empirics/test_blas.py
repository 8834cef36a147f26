"""One thread of BLAS where every bit counts, and as many as before afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import EXACT, assert_close

import erfmath as em
from erfmath.empirics import blas


@pytest.fixture
def two_threads() -> Iterator[blas.OpenBLAS]:
    """OpenBLAS at two threads; what a session of its own would begin with on two cores."""
    library = blas._openblas()
    if library is None:
        pytest.skip("NumPy works with another library than OpenBLAS")
    before = library.threads()
    library.set_threads(2)
    yield library
    library.set_threads(before)


def test_measure_is_the_same_on_any_number_of_threads(two_threads: blas.OpenBLAS) -> None:
    """Products as wide as these are split over the threads there are: in this process, not in workers."""
    net = em.repeat(em.Conv(3), 20)
    on_two = em.measure(net, draws=2, width=16, rng=0)
    two_threads.set_threads(1)
    assert_close(em.measure(net, draws=2, width=16, rng=0).map, on_two.map, EXACT)


def test_one_thread_and_back(two_threads: blas.OpenBLAS) -> None:
    with ThreadPoolExecutor(2) as pool, blas.one_thread():
        for _ in range(20):  # those inside leave in any order; only the outermost sets the threads back
            list(pool.map(_in_and_out, range(4)))
            assert two_threads.threads() == 1
    assert two_threads.threads() == 2
    with pytest.raises(KeyError), blas.one_thread():
        raise KeyError
    assert two_threads.threads() == 2


def _in_and_out(_: int) -> None:
    with blas.one_thread():
        pass


def test_one_thread_leaves_another_library_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "_openblas", lambda: None)
    with blas.one_thread():
        assert np.isfinite(em.measure(em.serial(em.Conv(3)), draws=2, rng=0).map).all()
    assert blas.describe() and "kernel" not in blas.describe()


def test_describe_names_kernel_and_threads(two_threads: blas.OpenBLAS) -> None:
    kernel = two_threads.kernel().decode()
    assert blas.describe().endswith(f"kernel {kernel}, 2 threads")
    with blas.one_thread():
        assert blas.describe().endswith(f"kernel {kernel}, 1 thread")
