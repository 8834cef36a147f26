"""Formulas as text: parsed by syntax, never run, and written so that they are read back alike."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.empirics.rules.formula import formula
from erfmath.layers.formula import MOST, parse, written

X = np.linspace(-3, 3, 41) + 0.01
TEXTS = {
    "x*sigmoid(1.7*x)": lambda x: x / (1 + np.exp(-1.7 * x)), "x-(x-1)*2": lambda x: x - (x - 1) * 2,
    "x/(x/2)/3": lambda x: x / (x / 2) / 3, "2**x - -x**2": lambda x: 2**x + x**2, "(-x)**2": lambda x: x**2,
    "x**3**0.5*1e-3": lambda x: np.where(x > 0, np.abs(x)**3**0.5, np.nan) * 1e-3,
    "where(x>0.5, x, .1*x)": lambda x: np.where(x > 0.5, x, 0.1 * x), "(x<1)*x": lambda x: (x < 1) * x,
    "a=x*x; b=a*a; b+a*b-max(a, b)": lambda x: x**4 + x**6 - np.maximum(x**2, x**4),
    "x-1+(1-x)*+2": lambda x: x - 1 + (1 - x) * 2,
}


@pytest.mark.parametrize("text", TEXTS)
def test_what_a_text_means(text: str) -> None:
    x = X[X > 0] if "**0.5" in text else X
    again = written(parse(text))
    assert parse(again) == parse(text) and written(parse(again)) == again
    assert_close(formula(text, x)[0], TEXTS[text](x), ROUNDING)
    assert_close(formula(again, x)[0], TEXTS[text](x), ROUNDING)


def test_what_is_written_twice_is_one_step() -> None:
    assert len(parse("exp(x)/(1+exp(x))")) == 4
    text = "x" + "".join(f"; t{i + 1} = t{i} * t{i}" for i in range(40)).replace("t0", "x")
    assert len(parse(text[3:] + "; t40")) == 41


@pytest.mark.parametrize("text, why", [
    ("x + y", "knows no 'y'"), ("f(x)", "knows no function 'f'"), ("3 + 4", "does not depend on x"),
    ("x +", "SyntaxError"),
    ("__import__('os').system('ls') * x", "arithmetic"), ("x = 2; x", "after names"), ("max(x)", "max takes 2"),
    ("[x for x in x]", "arithmetic"), ("1 / 0 * x", "no number"), ("x" + "+x*2" * 9000, "characters"),
    ("(" * 3000 + "x" + ")" * 3000, "cannot be parsed"), ("x.real + 1", "arithmetic"), ("True * x", "arithmetic"),
    ("+".join(f"x * {i}.5" for i in range(MOST)), "operations"), ("10.0 ** 400 * x", "too large"),
])
def test_what_is_no_formula(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"function=.*{why}"):
        em.Activation(text)


def test_a_formula_is_written_one_way() -> None:
    layer = em.Activation("x*sigmoid( 1.70*x )")
    assert layer == em.Activation("x * sigmoid(1.7 * x)") and layer.kind == "formula" and layer.is_gate
    net = em.serial(em.Conv(3), layer, em.Conv(3))
    assert em.Network.from_dict(net.to_dict()) == net and net.names == ("conv1", "formula1", "conv2")
    with pytest.raises(ValueError, match="must be one of 'relu'"):
        em.Activation("relux")
