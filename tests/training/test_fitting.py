"""Training: gradients, what is learnt, and runs that are interrupted and taken up again."""

from __future__ import annotations

import math
import os
import pathlib
import re
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, assert_close
from training_tasks import every_kind, residual_net, shapes_task

import erfmath as em
from erfmath import training
from erfmath.base.files import read_archive, write_archive
from erfmath.base.keeping import Keeper
from erfmath.training.model import Model

pytestmark = pytest.mark.filterwarnings("error")


# -- learning -----------------------------------------------------------------------------------

@pytest.mark.parametrize("norm", [True, False])
def test_fit_overfits_64_images(norm: bool) -> None:
    rng = np.random.default_rng(0)
    data = training.Images(rng.standard_normal((64, 2, 8, 8)), rng.integers(0, 3, 64), 3)
    net = em.serial(em.Conv(3, 16), *([em.BatchNorm()] if norm else []), em.Activation("relu"),
                    em.Conv(3, 32, stride=2), em.Activation("relu"), em.Conv(4, 3, padding="valid"))
    done = em.fit(net, data, steps=120, batch=64, rng=0, optimiser=training.Adam(1e-2))
    weights = training.recalibrate(net, done.weights, data.inputs())
    found = training.evaluate(net, weights, data)
    assert found.accuracy == 1.0
    assert_close(found.confusion, np.diag(np.bincount(data.labels)), EXACT)
    assert found.mean_iou == 1.0


def test_fit_learns_what_holds_for_new_images_and_measures() -> None:
    data, new = shapes_task(300), shapes_task(200, seed=1)
    net = residual_net(True)
    done = em.fit(net, data, steps=60, batch=50, rng=0, optimiser=training.SGD(0.05, 0.9, True, 1e-4), keep=(0, 30, 60))
    assert training.evaluate(net, done.weights, new).accuracy > 0.9
    assert sorted(done.kept) == [0, 30, 60]
    for name, array in done.weights.items():
        assert_close(done.kept[60][name], array, EXACT)
    erf = em.measure(net, weights=done.weights, images=new.inputs(range(8)), node="add2", rng=0)
    assert erf.draws == 8 and erf.shape == (8, 8)
    assert em.predict(net, weights=done.weights, image=8, node="add2", channels_in=2).shape == (8, 8)


def test_fit_goes_through_every_kind_of_layer(tmp_path: pathlib.Path) -> None:
    data, net = shapes_task(24), every_kind()
    done = em.fit(net, data, steps=3, batch=8, rng=0, keep=(0,), optimiser=training.Adam(1e-2))
    assert not done.partial and set(done.weights) == {
        *(f"conv{i}" for i in range(1, 7)), "conv1.bias", "conv3.bias", "conv_transpose1", "conv6.bias", "group_norm1",
        "prelu1", "instance_norm1", "layer_norm1", "batch_norm1", "grn1", "rms_norm1", "batch_norm2"}
    for name, array in done.weights.items():
        moved = (array != done.kept[0][name])[:2]  # scale and shift of norms
        assert moved.any() and np.isfinite(array).all(), name
    again = em.fit(net, data, steps=1, batch=8, rng=0, weights=done.weights, keep=(0,))
    for name, array in done.weights.items():
        assert_close(again.kept[0][name], array, EXACT)
    assert 0 <= training.evaluate(net, done.weights, data).accuracy <= 1
    erf = em.measure(net, weights=done.weights, images=data.inputs(range(8)), batch=2, rng=0)
    assert erf.draws == 4 and np.isfinite(erf.map).all() and erf.total > 0


@pytest.mark.parametrize("weights", [em.Constant(), em.Fixed(np.arange(9.0).reshape(3, 3))])
def test_fit_leaves_given_kernels_as_they_are(weights: Any) -> None:
    data = shapes_task(16)
    net = em.serial(em.Conv(3, 2, weights=weights), em.Conv(8, 3, padding="valid"))
    done = em.fit(net, data, steps=2, batch=8, rng=0, optimiser=training.SGD(0.1, decay=0.1), keep=(0,))
    assert_close(done.weights["conv1"], done.kept[0]["conv1"], EXACT)
    assert not np.array_equal(done.weights["conv2"], done.kept[0]["conv2"])
    again = em.fit(net, data, steps=1, batch=8, rng=0, weights=done.weights)
    assert_close(again.weights["conv1"], done.weights["conv1"], EXACT)


def test_fit_same_seed_same_run() -> None:
    data, net = shapes_task(40), residual_net(False)
    options: dict[str, Any] = dict(steps=4, batch=8, augment=training.CropFlip(1))
    first, second, third = (em.fit(net, data, rng=seed, **options) for seed in (1, 1, 2))
    assert_close(first.loss, second.loss, EXACT)
    assert_close(first.weights["conv3"], second.weights["conv3"], EXACT)
    assert (first.loss != third.loss).all()


def test_fit_drops_out_in_training_only() -> None:
    data = shapes_task(16)
    last = em.Conv(8, 3, padding="valid")
    done = em.fit(em.serial(em.Dropout(0.5), last), data, steps=2, batch=16, rng=0, optimiser=training.SGD(0.0))
    assert done.loss[0] != done.loss[1]  # nothing else differs between the two steps but the order of images
    found = [training.evaluate(net, done.weights, data) for net in (em.serial(em.Dropout(0.5), last), em.serial(last))]
    assert found[0].loss == found[1].loss


# -- interruption -------------------------------------------------------------------------------

class Stop:
    """Raises as Ctrl-C does, after so many steps."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, done: int, total: int) -> None:
        if done == self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("optimiser", [training.SGD(0.05, 0.9), training.Adam(1e-3)])
def test_fit_resumes_bit_for_bit(tmp_path: pathlib.Path, optimiser: Any) -> None:
    data, net = shapes_task(40), residual_net(True)
    options: dict[str, Any] = dict(steps=9, batch=8, rng=5, optimiser=optimiser, augment=training.CropFlip(1),
                                   keep=(0, 2, 9))
    whole = em.fit(net, data, **options)
    file = tmp_path / "run.npz"
    part = em.fit(net, data, checkpoint=file, progress=Stop(4), **options)
    assert part.partial and len(part.loss) == 4 and sorted(part.kept) == [0, 2]
    assert_close(part.loss, whole.loss[:4], EXACT)
    options["rng"] = None  # the file knows
    rest = em.fit(net, data, checkpoint=file, **options)
    assert not rest.partial and rest.seed == 5
    assert_close(rest.loss, whole.loss, EXACT)
    assert_close(rest.accuracy, whole.accuracy, EXACT)
    for step in (0, 2, 9):
        for name, array in whole.kept[step].items():
            assert_close(rest.kept[step][name], array, EXACT)
    again = em.fit(net, data, checkpoint=file, progress=Stop(1), **options)  # nothing is left to do
    assert_close(again.weights["conv1"], whole.weights["conv1"], EXACT)


def test_fit_interrupted_step_has_not_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    data, net = shapes_task(40), residual_net(True)
    whole = em.fit(net, data, steps=3, batch=8, rng=0)
    step = Model.moved
    calls = []

    def interrupted(self: Model, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return step(self, *arguments)
    monkeypatch.setattr(Model, "moved", interrupted)
    part = em.fit(net, data, steps=3, batch=8, rng=0, keep=(2,))
    assert part.partial and len(part.loss) == 2
    assert_close(part.loss, whole.loss[:2], EXACT)
    for name, array in part.kept[2].items():
        assert_close(part.weights[name], array, EXACT)


def test_fit_refuses_a_checkpoint_of_another_run(tmp_path: pathlib.Path) -> None:
    data, net, file = shapes_task(20), residual_net(False), tmp_path / "run.npz"
    em.fit(net, data, steps=2, batch=8, rng=0, checkpoint=file)
    for change in (dict(steps=3), dict(optimiser=training.SGD(0.2)), dict(augment=training.CropFlip(1))):
        with pytest.raises(ValueError, match="belongs to a run with another"):
            em.fit(net, data, **{**dict(steps=2, batch=8, rng=0), **change}, checkpoint=file)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="belongs to a run with another"):
        em.fit(net, shapes_task(20, seed=1), steps=2, batch=8, rng=0, checkpoint=file)
    with pytest.raises(ValueError, match="was begun with rng=0"):
        em.fit(net, data, steps=2, batch=8, rng=1, checkpoint=file)
    for content in (b"nothing", b"PK\x03\x04", file.read_bytes()[:1000]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="not a checkpoint"):
            em.fit(net, data, steps=2, batch=8, rng=0, checkpoint=file)


def test_fit_stops_where_it_diverges() -> None:
    data, net = shapes_task(40), residual_net(False)
    done = em.fit(em.serial(em.Conv(3, 4), em.Conv(3, 4), em.GlobalAvgPool(), em.Conv(1, 3)), data, steps=200, batch=8,
                  rng=0, optimiser=training.SGD(1e6))
    assert done.diverged and done.partial and len(done.loss) < 200
    assert not em.fit(net, data, steps=1, batch=8, rng=0).diverged


# -- starting from given weights, and refusals ---------------------------------------------------

def test_fit_goes_on_from_given_weights() -> None:
    data, net = shapes_task(40), residual_net(True)
    first = em.fit(net, data, steps=1, batch=8, rng=0)
    second = em.fit(net, data, steps=1, batch=8, rng=0, weights=first.weights, keep=(0,))
    for name, array in first.weights.items():
        assert_close(second.kept[0][name], array, EXACT)
    with pytest.raises(ValueError, match="nothing for 'conv2'"):
        em.fit(net, data, steps=1, batch=8, weights={"conv1": first.weights["conv1"]})
    with pytest.raises(ValueError, match="'conv9' is no convolution"):
        em.fit(net, data, steps=1, batch=8, weights={**first.weights, "conv9": np.ones(1)})
    with pytest.raises(ValueError, match=r"weights\['conv1'\]: shape"):
        em.fit(net, data, steps=1, batch=8, weights={**first.weights, "conv1": np.ones(1)})


@pytest.mark.parametrize("change, words", [
    (dict(batch=41), "batch=41: there are 40 images"), (dict(steps=0), "steps=0"), (dict(rng=-1), "rng=-1"),
    (dict(loss=training.BinaryCrossEntropy()), "takes an output of 1 channel"), (dict(keep=(-1,)), "keep=-1"),
    (dict(keep=3), "keep=3"), (dict(keep=(2,)), "keep=2: there are 1 steps"), (dict(clip=-1), "clip=-1"),
    (dict(clip=math.nan), "clip=nan"), (dict(progress=3), "progress=3"), (dict(optimiser="adam"), "optimiser='adam'"),
    (dict(optimiser=training.SGD), "optimiser="), (dict(loss="ce"), "loss='ce'"), (dict(augment=3), "augment=3"),
    (dict(schedule="cosine"), "schedule='cosine'"), (dict(steps=10**12), "steps=1000000000000: losses"),
])
def test_fit_refuses(change: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        em.fit(residual_net(True), shapes_task(40), **{**dict(steps=1, batch=8), **change})


def test_fit_looks_at_its_path_before_the_work(tmp_path: pathlib.Path) -> None:
    seen: list[int] = []
    for path in (tmp_path / "absent" / "run.npz", tmp_path, os.devnull):
        with pytest.raises(OSError, match=re.escape(str(path))):
            em.fit(residual_net(True), shapes_task(20), steps=2, batch=8, checkpoint=path,
                   progress=lambda done, total: seen.append(done))
    with Keeper(tmp_path / "run.npz", 0), pytest.raises(BlockingIOError, match="another run is working"):
        em.fit(residual_net(True), shapes_task(20), steps=2, batch=8, checkpoint=tmp_path / "run.npz")
    assert not seen and not os.listdir(tmp_path)


def test_fit_whose_checkpoint_cannot_be_written_returns_what_it_learnt(
        tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = em.fit(residual_net(True), shapes_task(20), steps=2, batch=8, rng=0)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(UserWarning, match="cannot be written"):
        done = em.fit(residual_net(True), shapes_task(20), steps=2, batch=8, rng=0, checkpoint=tmp_path / "run.npz")
    assert not done.partial
    assert_close(done.loss, whole.loss, EXACT)


def test_fit_believes_nothing_in_a_checkpoint(tmp_path: pathlib.Path) -> None:
    data, net, file = shapes_task(20), residual_net(True), tmp_path / "run.npz"
    call: dict[str, Any] = dict(steps=2, batch=8, rng=0, keep=(1,), checkpoint=file)
    em.fit(net, data, **call)
    arrays, about = read_archive(file)
    for name, array in arrays.items():
        for wrong in (array[:-1], array.astype(complex), None):
            rest = {key: value for key, value in {**arrays, name: wrong}.items() if value is not None}
            write_archive(file, rest, about)
            with pytest.raises(ValueError, match="not a checkpoint of a training run"):
                em.fit(net, data, **call)
    for key, wrong in (("step", 7), ("step", "1"), ("step", -1), ("step", None), ("step", 0)):
        write_archive(file, arrays, {**about, key: wrong})
        with pytest.raises(ValueError, match="not a checkpoint of a training run"):
            em.fit(net, data, **call)


def test_fit_needs_more_than_an_array() -> None:
    with pytest.raises(TypeError, match="weights=3: must be a mapping"):
        em.fit(residual_net(True), shapes_task(20), steps=1, batch=2, weights=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="data: is a ndarray; must be training.Images"):
        em.fit(residual_net(True), np.zeros((4, 3, 8, 8)), steps=1, batch=2)  # type: ignore[arg-type]


def test_fit_labels_must_suit_the_output() -> None:
    with pytest.raises(ValueError, match="tells 2 classes apart, the labels have 3"):
        em.fit(residual_net(True, classes=2), shapes_task(40), steps=1, batch=8)
    with pytest.raises(ValueError, match="one label a site; end in GlobalAvgPool"):
        em.fit(em.serial(em.Conv(3, 3)), shapes_task(40), steps=1, batch=8)


def test_a_callback_sees_the_weights_and_ends_the_run() -> None:
    data, seen = em.training.BoxMajority(5, 1), []

    def callback(step: int, weights: Any) -> bool:
        seen.append((step, weights))
        return step == 4

    net = em.serial(em.Conv(3, 2))
    done = em.fit(net, data, steps=10, batch=2, rng=0, evaluate_every=2, callback=callback)
    whole = em.fit(net, data, steps=10, batch=2, rng=0, keep=(2, 4))
    assert [step for step, _ in seen] == [2, 4] and len(done.loss) == 4 and done.partial and not done.diverged
    for step, weights in seen:
        for name, array in whole.kept[step].items():
            assert (array == weights[name]).all()
    assert (done.loss == whole.loss[:4]).all()
