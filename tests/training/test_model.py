"""Networks with parameters: gradients against differences, norms, running statistics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from training_tasks import double, residual_net, shapes_task

import erfmath as em
from erfmath import training
from erfmath.training.model import Model

#: Of slopes from differences of fourth order in float64: h^4 against rounding over h.
DIFFERENCES = 1e-8
#: Of sums in float32 against the same in float64.
SINGLE = 1e-5
pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("dense", [True, False])
def test_model_gradients_against_finite_differences(norm: bool, dense: bool) -> None:
    rng = np.random.default_rng(1)
    net = residual_net(norm)
    if dense:  # one label a site, and the void label does not count
        net = em.serial(em.Conv(3, 5), *([em.BatchNorm()] if norm else []), em.Activation("silu"),
                        em.Conv(3, 4, dilation=2), em.MaxPool(2), em.Conv((3, 1), 3))
    model = Model.of(net, 2, (6, 8), 16)
    parameters, running = double(model.initial(rng)), double(model.running())
    for name in parameters:
        if not name.startswith("conv") or name.endswith(".bias"):  # nothing at its initial 0 or 1
            parameters[name] = parameters[name] + 0.3 * rng.standard_normal(parameters[name].shape)
    inputs = rng.standard_normal((4, 2, 6, 8))
    labels = rng.integers(0, 4, (4, 3, 4)) if dense else rng.integers(0, 3, 4)
    loss = training.CrossEntropy(ignore=3 if dense else None)
    _, gradients, _ = model.gradients(parameters, running, inputs, labels, loss)
    assert set(gradients) == set(parameters)
    h = 1e-5
    for name, array in parameters.items():
        direction = rng.standard_normal(array.shape)
        values = [model.gradients({**parameters, name: array + step * direction}, running, inputs, labels, loss)[0].loss
                  for step in (-2 * h, -h, h, 2 * h)]
        slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
        found = float((gradients[name] * direction).sum())
        assert math.isclose(found, slope, rel_tol=DIFFERENCES, abs_tol=DIFFERENCES), name


def test_model_decays_spare_biases_and_norms() -> None:
    net = residual_net(True)
    model = Model.of(net, 2, (8, 8), 16)
    assert model.decays == {"conv1", "conv2", "conv3", "conv4", "conv5"}


def test_recalibrate_and_running_statistics() -> None:
    data = shapes_task(64)
    net = em.serial(em.Conv(1, 2), em.BatchNorm(), em.Conv(8, 3, padding="valid"))
    done = em.fit(net, data, steps=1, batch=64, rng=3, keep=(0,))
    kernel = done.kept[0]["conv1"][:, :, 0, 0]
    values = np.einsum("oc,nchw->onhw", kernel, data.inputs()).reshape(2, -1).astype(float)
    expected = [0.1 * values.mean(axis=1), 0.9 + 0.1 * values.var(axis=1)]
    assert np.allclose(done.weights["batch_norm1"][2:], expected, rtol=SINGLE, atol=SINGLE)
    again = training.recalibrate(net, done.kept[0], data.inputs(), batch=16)["batch_norm1"]
    parts = values.reshape(2, 4, -1)
    assert np.allclose(again[2:], [parts.mean(axis=(1, 2)), parts.var(axis=2).mean(axis=1)], rtol=SINGLE, atol=SINGLE)
