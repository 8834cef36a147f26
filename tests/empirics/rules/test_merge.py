"""Sums and concatenations as layers of a run."""

from __future__ import annotations

import pytest
from differences import Case, check_input_gradient, check_parameter_gradients, check_windows

import erfmath as em

C, A = em.Conv, em.Activation
#: Squeeze and excite.
GATE = em.serial(em.GlobalAvgPool(), C(1, 4), A("sigmoid"))

CASES: dict[str, Case] = {
    "branches": (em.serial(em.Pad(2), C(3), em.concat(C(1), em.serial(C(3), em.Pad((-1, 1)))), em.Pad(-1),
                           em.add(C(3, 4), C(1, 4)), C(3)), (6, 7)),
    "products": (em.serial(C(3), em.multiply(em.Identity(), C(3), em.serial(C(1), A("sigmoid"))), C(3)), (5, 6)),
    "one site": (em.serial(C(3), em.multiply(em.Identity(), GATE), em.add(C(3), GATE), C(1, 3),
                           em.concat(em.serial(em.GlobalAvgPool(), C(1)), C(3))), (5, 4)),
    "one channel": (em.serial(C(3), em.multiply(em.serial(C(3, 1), A("sigmoid")), em.Identity()), C(3)), (5, 4)),
    "one site of one channel": (em.serial(C(3), em.multiply(em.serial(em.GlobalAvgPool(), C(1, 1)), C(3))), (5, 4)),
    "1d gate": (em.serial(C(3), em.multiply(em.Identity(), GATE, C(5))), (9,)),
    "3d gate": (em.serial(C(3), em.multiply(GATE, em.Identity()), C(1)), (3, 4, 2)),
    "1d": (em.serial(C(3), em.residual(em.serial(A("tanh"), C(5))), em.concat(em.Identity(), C(1))), (9,)),
    "3d": (em.serial(C(3), em.add(em.Identity(), C(1), C(3)), em.concat(C(3), em.Identity()), C(1)), (3, 4, 2)),
}
every_case = pytest.mark.parametrize("name", CASES)


@every_case
def test_run_on_windows(name: str) -> None:
    check_windows(CASES[name])


@every_case
def test_run_and_its_input_gradient(name: str) -> None:
    check_input_gradient(CASES[name])


@every_case
def test_run_and_its_parameter_gradients(name: str) -> None:
    check_parameter_gradients(CASES[name], images=2)
