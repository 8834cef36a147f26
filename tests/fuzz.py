"""A fuzzer of network documents and of result files that knows their structure: valid ones, changed in a few places.

    python tests/fuzz.py --documents 20000 --seed 1

Whatever is changed, reading ends in an answer or in one of the documented errors, within five seconds
and within memory; what is accepted comes back from its own JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import math
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import erfmath as em
from erfmath.base.files import read_archive, write_archive

#: What may be raised, and the most seconds that one document may take.
DOCUMENTED = (ValueError, NotImplementedError, OverflowError)  # SizeError is a ValueError
SECONDS = 5.0
#: Values that somebody could have put anywhere.
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 7, 64, 10**9, -10**9, 2**63, 2**70, 10**400, 0.0, -0.0, 0.5, 1.5, -2.5, 1e-300,
    1e300, math.inf, math.nan, "", "same", "half", "valid", "input", "conv1", "depthwise", "a\ud800", "$x_{$",
    "x" * 300, [], [[]], {}, [1, 2], [3, 3, 3], [1, 2, 3, 4], [[1, 1], [2, 2]], [[1, 2, 3]], [None], ["a"],
    {"law": "random"},
    {"kind": "fixed"})
#: Fields that many layers have, with values that many of them take.
MILD: tuple[dict[str, Any], ...] = (
    {"stride": 2}, {"stride": 3}, {"padding": "same"}, {"padding": 0}, {"padding": [0, 1]}, {"dilation": 2},
    {"padding": [[1, 0], [0, 2]]}, {"kernel_size": 5}, {"kernel_size": [3, 1]}, {"kernel_size": 2, "padding": "valid"},
    {"channels": 8}, {"groups": 2}, {"groups": "depthwise"}, {"weights": {"kind": "constant"}}, {"weights": "constant"},
    {"bias": 0.5}, {"padding_mode": "reflect"}, {"ceil_mode": True}, {"mode": "bilinear"}, {"scale": 3},
    {"factor": 0.0}, {"slope": 0.5}, {"function": "tanh"}, {"parts": 2}, {"p": 0.5}, {"count_include_pad": False},
    {"name": "other"})


class Hang(BaseException):
    """More than `SECONDS` went by; no handler of the package may swallow it."""


@contextmanager
def bounded() -> Iterator[None]:
    """Raise `Hang` after `SECONDS` of the processor's time: machines may be busy with others."""
    def stop(*_: Any) -> None:
        raise Hang(f"more than {SECONDS} s")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


# -- documents --------------------------------------------------------------------------------------

def seeds() -> list[dict[str, Any]]:
    """Documents of every kind of layer, and of a few whole networks."""
    from specs import EXAMPLES
    alone = []
    for layer in EXAMPLES:
        try:
            alone.append(em.serial(em.Conv(3, 4), layer).to_dict())
        except ValueError:  # needs company
            continue
    return alone + [net.to_dict() for net in (
        em.zoo.unet(width=2), em.zoo.plain(3),
        em.serial(em.Conv(3, 4), em.residual(em.serial(em.Conv(3, 4), em.BatchNorm()))),
        em.serial(em.concat(em.Conv(1, 2), em.Conv(3, 2)), em.MaxPool(2)))]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to everything inside a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield (*path, key)
        yield from places(part, (*path, key))


def changed(document: Any, draw: random.Random) -> Any:
    """The document with one to three changes: another value, a field less or more, a node twice, a wire moved."""
    document = copy.deepcopy(document)
    mild = draw.random() < 0.6
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        here = list(places(document))
        if not here:
            return document
        if mild:  # where a layer may have other values, and often a right one
            here = [path for path in here if path[0] == "nodes" and len(path) > 1] or here
            here = [path for path in here if len(path) == 2] * 3 + here
        path = draw.choice(here)
        parent: Any = document
        for key in path[:-1]:
            parent = parent[key]
        key, deed = path[-1], draw.random()
        if mild and isinstance(parent[key], dict) and "op" in parent[key]:
            parent[key].update(draw.choice(MILD))
        elif mild and isinstance(parent[key], (int, float)) and not isinstance(parent[key], bool):
            parent[key] = draw.choice((1, 2, 3, 4, 5, 8, 0.5))
        elif deed < 0.55:
            parent[key] = copy.deepcopy(draw.choice(ODD))
        elif deed < 0.65:
            del parent[key]
        elif deed < 0.75 and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        elif deed < 0.85 and isinstance(parent, dict):
            field = draw.choice(("name", "stride", "padding", "zzz", "groups", "inputs", "weights", "mode"))
            parent[field] = copy.deepcopy(draw.choice(ODD))
        else:  # a value of another place, of the same document: types fit more often
            other: Any = document
            for step in draw.choice(here):
                if not isinstance(other, (dict, list)):
                    break
                try:
                    other = other[step]
                except (KeyError, IndexError, TypeError):
                    break
            parent[key] = copy.deepcopy(other) if len(str(other)) < 2000 else 1
    return document


def try_document(document: Any, deep: bool = True) -> str:
    """Read it, and ask every quick question of what is accepted; "accepted" or "refused"."""
    with bounded():
        try:
            net = em.Network.from_dict(document)
        except DOCUMENTED:
            return "refused"
        assert em.Network.from_dict(json.loads(json.dumps(net.to_dict()))) == net
        if deep:
            for ask in (lambda: em.receptive_field(net), lambda: em.receptive_field(net, image=12),
                        lambda: net.shapes(12), lambda: net.channels(4, 3),
                        lambda: em.predict(net, image=12, width=4).std, lambda: em.predict(net, width=4).std):
                with contextlib.suppress(*DOCUMENTED):
                    ask()
        return "accepted"


def fuzz_documents(count: int, seed: int, deep: bool = True) -> dict[str, int]:
    """How many documents were accepted and refused; raises what nobody has documented, with the document."""
    known, told = seeds(), {"accepted": 0, "refused": 0}
    for i in range(count):
        draw = random.Random(f"{seed} {i}")
        document = changed(draw.choice(known), draw)
        try:
            told[try_document(document, deep)] += 1
        except BaseException as error:
            raise AssertionError(f"document {i} of seed {seed}: {type(error).__name__}: {error}\n{document!r}"
                                 ) from error
    return told


# -- results ----------------------------------------------------------------------------------------

def results(folder: Path) -> list[Path]:
    """Files of every kind of result."""
    net = em.serial(em.Conv(3, 4), em.Activation("relu"))
    kept = {"dense": em.predict(net, image=6), "chain": em.predict(em.repeat(em.Conv(3), 3)),
            "measured": em.measure(net, image=6, draws=4, rng=0, width=4),
            "scaled": em.predict(em.repeat(em.Conv(3, weights=em.Random(gain=1e-60)), 8), image=6),
            "mean": em.predict(em.repeat(em.AvgPool(3, 1, 1), 2), image=6)}
    for name, erf in kept.items():
        erf.save(folder / f"{name}.npz")
    return [folder / f"{name}.npz" for name in kept]


def changed_arrays(arrays: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """One array replaced, reshaped, of another type, negated, dropped, or with a value that does not belong there."""
    arrays = dict(arrays)
    name = draw.choice(sorted(arrays))
    array = arrays[name].copy()
    deed = draw.randrange(9)
    if deed == 0:
        del arrays[name]
        return arrays
    if deed == 1:
        array = array[..., :-1] if array.ndim and array.shape[-1] else array[None]
    elif deed == 2:
        array = array.astype(draw.choice(("complex128", "U8", "float16", "int8", "bool")))
    elif deed == 3:
        array = -array
    elif deed == 4:
        array = array[None]
    elif deed == 5:
        array = array.T
    elif array.size:
        flat = array.reshape(-1)
        flat[draw.randrange(array.size)] = draw.choice((math.nan, math.inf, -1.0, 1e308, 0.0, 1e-320))
    arrays[name] = array
    return arrays


def fuzz_results(count: int, seed: int, folder: Path) -> dict[str, int]:
    """The same for files of results."""
    files, told, target = results(folder), {"accepted": 0, "refused": 0}, folder / "changed.npz"
    stored = [read_archive(path) for path in files]
    for i in range(count):
        draw = random.Random(f"results {seed} {i}")
        arrays, about = draw.choice(stored)
        try:
            if draw.random() < 0.5:
                with np.errstate(all="ignore"):
                    write_archive(target, changed_arrays(arrays, draw), about)
            else:
                write_archive(target, arrays, changed(about, draw))
        except (ValueError, TypeError, OverflowError):  # what JSON cannot hold
            continue
        try:
            with bounded():
                try:
                    erf = em.EffectiveReceptiveField.load(target)
                except DOCUMENTED as error:
                    assert str(target) in str(error)
                    told["refused"] += 1
                    continue
                try:
                    repr(erf), str(erf), erf.size("mass")
                except DOCUMENTED:
                    pass
                told["accepted"] += 1
        except BaseException as error:
            raise AssertionError(f"result {i} of seed {seed}: {type(error).__name__}: {error}\n{about!r}") from error
    return told


if __name__ == "__main__":
    import tempfile
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--results", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("documents", fuzz_documents(options.documents, options.seed))
    with tempfile.TemporaryDirectory() as name:
        print("results", fuzz_results(options.results, options.seed, Path(name)))
