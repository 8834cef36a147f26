"""Odd arguments of public functions: an answer, or one short line that names the argument."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import erfmath as em

#: What somebody may hand over: of another type, not a number, too large, empty, or a number in another guise.
ODD: dict[str, Any] = {
    "None": None, "text": "3", "empty text": "", "long text": "x" * 10**4, "bytes": b"3",
    "nan": math.nan, "inf": math.inf,
    "negative": -1, "zero": 0, "billion": 10**9, "beyond 64 bits": 10**30, "unprintable": 10**5000, "half": 2.5,
    "complex": 1j, "bool": True, "empty": [], "four": [1, 2, 3, 4], "many": [1] * 5000, "nested": [[1]],
    "mixed": (3, "a"),
    "mapping": {3: 1}, "set": {1, 2}, "integer of NumPy": np.int64(3), "array": np.array([3, 3]),
    "array of nan": np.array([math.nan, 1.0]), "array of objects": np.array([None, 1]), "no rows": np.zeros((0, 3)),
    "layer": em.Conv(3), "type": int, "function": lambda *a: None, "object": object(), "fraction": Fraction(1, 3),
}
NET = em.serial(em.Conv(3, 4, name="a"), em.Activation("relu"), em.Conv(3, 4, name="b"))
ERF = em.predict(NET, image=8)
KERNEL = em.kernels.uniform(3)

#: Functions with arguments that are right, and those of them to be replaced one by one.
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "Conv": (em.Conv, {"kernel_size": 3, "channels": 4, "stride": 1, "padding": 1, "dilation": 1, "groups": 1,
                       "weights": em.Random(), "padding_mode": "zeros", "bias": 0.0}),
    "MaxPool": (em.MaxPool, {"kernel_size": 3, "stride": 1, "padding": 1, "dilation": 1, "ceil_mode": False}),
    "Upsample": (em.Upsample, {"scale": 2, "mode": "nearest", "align_corners": False}),
    "Activation": (em.Activation, {"function": "leaky_relu", "slope": 0.1}),
    "Random": (em.Random, {"gain": 1.0, "fan": "in", "profile": None, "law": "normal"}),
    "repeat": (em.repeat, {"part": em.Conv(3), "n": 2}),
    "load": (em.load, {"path": "nothing.json"}),
    "receptive_field": (em.receptive_field, {"net": NET, "image": 8, "node": "b", "source": "a", "gates": True,
                                             "ndim": 2}),
    "predict": (em.predict, {"net": NET, "image": 8, "unit": 3, "node": "b", "statistic": "power", "method": "exact",
                             "width": 4, "channels_in": 3, "ndim": 2, "input_moments": (1.0, 0.0),
                             "input_covariance": np.ones((1, 1)), "weights": {}, "gates": "taps", "draws": 3}),
    "walk": (em.walk, {"steps": [(KERNEL, 1, 2)], "method": "exact", "order": None}),
    "path_counts": (em.path_counts, {"k": 3, "n": 2}),
    "from_weights": (em.kernels.from_weights, {"weights": [1, 2], "of": "value", "offset": 0}),
    "soft_rim": (em.kernels.soft_rim, {"k": 3, "rim": 0.5}),
    "residual": (em.kernels.residual, {"kernel": KERNEL, "a": 1, "b": 1}),
    "field": (em.EffectiveReceptiveField, {
        "map": np.ones((3, 3)), "origin": (0, 0), "unit": (1, 1), "trf": None, "statistic": "power", "method": "exact",
        "assumptions": (), "image": (3, 3), "stderr": np.ones((3, 3)), "center": (1, 1)}),
    "size": (ERF.size, {"kind": "threshold"}), "profile": (ERF.profile, {"axis": 0}),
    "ratio": (ERF.ratio, {"kind": "mass"}),
    "mass": (em.sizes.mass, {"erf": ERF, "p": 0.5}),
    "periodicity": (em.shapes.periodicity, {"erf": ERF, "periods": (2,)}),
    "fit_power_law": (em.fit_power_law, {"x": [1, 2, 3], "y": [1, 2, 4]}),
    "growth": (em.growth, {"make_net": em.zoo.plain, "values": (1, 2, 3), "kinds": ("std",)}),
    "compare": (em.compare, {"theory": ERF, "measured": ERF}),
    "zoo": (em.zoo.unet, {"levels": 2, "width": 4, "batch_norm": False, "head": False}),
    "build": (em.zoo.build, {"name": "plain"}),
    "majority": (em.training.majority, {"labels": np.zeros((1, 4), int), "factor": 2, "classes": 2}),
    "SGD": (em.training.SGD, {"rate": 0.1, "momentum": 0.0, "nesterov": False, "decay": 0.0}),
}


@pytest.mark.parametrize("name", CALLS)
def test_odd_arguments(name: str) -> None:
    function, right = CALLS[name]
    for argument in right:
        for what, odd in ODD.items():
            try:
                function(**{**right, argument: odd})
            except FileNotFoundError:
                continue
            except (ValueError, TypeError, NotImplementedError, IndexError) as error:
                text, last = str(error), traceback.extract_tb(error.__traceback__)[-1]
                assert len(text) < 1000 and "\n" not in text and " at 0x" not in text, (argument, what, text)
                # A refusal of its own, and no failure of what was not checked.
                assert "erfmath" in last.filename and (last.line or "").startswith("raise "), (argument, what, text)
