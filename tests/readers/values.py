"""Values of a network that was read, forward: what its records are compared with."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from erfmath.empirics.plan import make_plan
from erfmath.empirics.run import forward
from erfmath.networks.settings import RunSettings
from erfmath.trained.observed import all_units


def forward_values(net: Any, weights: Any, x: Any, node: str | None = None) -> Any:
    """Of all sites of `node` (channels, *space), for an image (1, channels, *space)."""
    x = np.asarray(x, dtype=float)
    settings = RunSettings.of(net, image=x.shape[2:], node=node, channels_in=x.shape[1], weights=weights)
    plan = make_plan(net, settings, statistic="power", entropy=0, normalise=False, images=x, channel=None, batch=None,
                     dtype="float64")
    plan = all_units(net, settings, dataclasses.replace(plan))
    parameters = plan.recipe.sample(0, 1).parameters
    return forward(plan.program, parameters, np.moveaxis(x, 1, 0)[None], images=1).output[0, :, 0]
