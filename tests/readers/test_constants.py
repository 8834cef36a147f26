"""Operations on constants: as NumPy has them, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import REWRITE, ROUNDING, assert_close
from traces import step

from erfmath.base.errors import SizeError
from erfmath.readers.constants import evaluated

X = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize("op, attributes, inputs, expected", [
    ("reduce", {"function": "mean", "axes": [0, 2], "keep": True}, (X,), X.mean((0, 2), keepdims=True)),
    ("reduce", {"function": "var", "axes": [1], "keep": False, "correction": 1}, (X,), X.var(1, ddof=1)),
    ("reduce", {"function": "norm", "axes": [2], "keep": False}, (X,), np.linalg.norm(X, axis=2)),
    ("slice", {"axis": 2, "start": 1, "stop": 4, "step": 2}, (X,), X[:, :, 1:4:2]),
    ("permute", {"order": [2, 0, 1]}, (X,), X.transpose(2, 0, 1)),
    ("concat", {"axis": 1}, (X, X[:, :1]), np.concatenate([X, X[:, :1]], 1)),
    ("gather", {"axis": 1}, (X, np.array([2, 0])), X[:, [2, 0]]),
    ("linear", {}, (X, np.ones((5, 4)), np.arange(5.0)), X.sum(2)[..., None] + np.arange(5)),
    ("binary", {"function": "subtract"}, (X, 1.0), X - 1),
    ("unary", {"function": "sqrt"}, (X,), np.sqrt(X)),
])
def test_evaluated_as_numpy(op: str, attributes: dict[str, Any], inputs: tuple[Any, ...], expected: Any) -> None:
    assert_close(evaluated(step("c", op, shape=expected.shape, **attributes), inputs), expected, ROUNDING)


def test_batch_norm_of_an_array_standardises_it() -> None:
    """Each output channel of weights laid out as (1, channels, rest): mean 0 and variance 1."""
    weights = np.random.default_rng(0).standard_normal((1, 3, 50))
    found = evaluated(step("c", "batch_norm", shape=weights.shape, eps=0.0, frozen=False), [weights, *[None] * 4])
    assert_close(found.mean(axis=2), np.zeros((1, 3)), REWRITE, scale=1.0)
    assert_close(found.var(axis=2), np.ones((1, 3)), REWRITE)


def test_constants_that_would_not_fit_are_refused() -> None:
    with pytest.raises(SizeError, match="very large constant"):
        evaluated(step("c", "expand", shape=(10**6, 10**6)), [np.ones(1)])
    with pytest.raises(NotImplementedError, match="softmax of constants is not computed"):
        evaluated(step("c", "softmax", shape=(2, 3, 4)), [X])
