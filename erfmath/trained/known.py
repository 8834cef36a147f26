"""Activities of gates without any input, told by the batch norms before them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ..empirics.plan import Plan
from .circuit import gates_of
from .kinds import Observed, State, kind_of
from .slopes import Slope

__all__ = ["from_norms"]


def from_norms(plan: Plan, channels: Mapping[int, int]) -> dict[int, Observed]:
    """What batch norms of given statistics tell of the gates after them; gates of which nothing is told are left out.

    A norm with scale gamma and shift beta puts out values of mean beta and variance gamma^2, so that a ReLU is open
    with probability Phi(beta / |gamma|).  Sums of such values have the sum of their means and variances.  Between
    such a ReLU and a pool of N sites, gradients come from the winners: these are open with probability 1 - (1 - p)^N.
    """
    program, given = plan.program, plan.recipe.given
    small, fused, gates = gates_of(plan)
    known: dict[int, State] = {}
    found: dict[int, Observed] = {}
    for i, step in program.steps.items():
        above = [known.get(j) for j in step.inputs]
        if i in gates and i not in fused:
            seen = kind_of(step.layer).told(step, above[0], channels[i])
            if seen is not None:
                found[i] = seen
        rows = {name: given[i, name][0].astype(float) for name in ("scale", "shift", "variance") if (i, name) in given}
        if "variance" in rows:
            known[i] = rows["shift"], rows["scale"]**2
        else:
            state = kind_of(step.layer).state(step, above, channels[i])
            known.update({} if state is None else {i: state})
    pools: dict[int, int] = {}  # sites of the pool that alone reads a node
    path = [i for i in small.steps if i in small.path and i > program.source]
    readers = Counter(j for i in path for j in small.steps[i].inputs)
    for i in reversed(path):
        step, asked = small.steps[i], kind_of(small.steps[i].layer)
        if i in pools and i in found and asked.part_open(step.layer) == (0.0, 1.0):
            part = 1 - (1 - found[i][0].mean)**pools[i]
            found[i] = (Slope(part, part),)
        elif asked.rivals(step) > 1 and readers[step.inputs[0]] == 1:
            pools[step.inputs[0]] = asked.rivals(step)
    return found
