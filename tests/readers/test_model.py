"""Models: what verbs are given, labels of outputs, and stand-ins among the assumptions."""

from __future__ import annotations

from typing import Any

import numpy as np
from helpers import EXACT, assert_close
from traces import converted, step

import erfmath as em
from erfmath.readers.model import Model, model_of

SHAPE = (1, 4, 8, 8)
WEIGHTS = np.random.default_rng(0).standard_normal((4, 4, 3, 3))


def model(init: str = "weights") -> Model:
    """A convolution, and a pattern over sites that no layer holds."""
    found = converted(step("c", "conv", "x", "w", shape=SHAPE, stride=(1, 1), padding=((1, 1), (1, 1))),
                      step("m", "binary", "c", "p", shape=SHAPE, function="multiply"), init=init,
                      unsupported="stand_in", w=WEIGHTS, p=np.arange(1.0, 65).reshape(8, 8))
    return model_of(found, init, "a trace")


def test_verbs_get_image_channels_and_arrays() -> None:
    m = model()
    given: dict[str, Any] = m.settings({"unit": 2})
    assert (given["image"], given["channels_in"], given["unit"]) == ((8, 8), 4, 2) and "c" in given["weights"]
    assert m.settings({"image": 16})["image"] == 16 and "weights" not in model("module").settings({})
    expected = em.predict(m.net, image=8, node="c", channels_in=4, weights=m.weights)
    assert_close(m.predict(node="c").map, expected.map, EXACT)
    assert m.receptive_field(node="out").node == m.net.output == m.outputs["out"]


def test_stand_ins_are_assumed_where_they_lead_to_the_node() -> None:
    m = model("module")
    stand_in, = m.stand_ins
    assert "pattern over sites" in stand_in.what
    told = [a.value for a in m.predict().assumptions if a.name.startswith("STAND_IN")]
    assert len(told) == 1 and stand_in.node in told[0]
    assert not any(a.name.startswith("STAND_IN") for a in m.predict(node="c").assumptions)


def test_summary_says_what_was_read() -> None:
    text = str(model())
    assert "a trace, input of 4 channels, 8x8 pixels" in text and "stand-in at" in text
    assert "weights: the arrays that were read" in text and "gain 2" in str(model("he"))
