"""Independent gates where no border acts: exactly, by one gradient for each channel of each gate.

Away from borders the mean-gate Jacobian from site y of gate l to node k is that from another site, moved: by as many
sites as the strides between them say.  The sum over sites in P_k (`independent`) is then a convolution of V_l with K^2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ..empirics.arrays import Array
from ..empirics.boxes import compile_network
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..networks.trf import receptive_fields
from .circuit import Circuit, add_to
from .independent import Totals, mean_pulls, squared, started
from .slopes import Gate

__all__ = ["moved", "strides"]

#: Gradients in all, and numbers in the largest array.
MOST_COLUMNS, MOST_NUMBERS = 1024, 2**24

#: Per node (-1: the source), input sites per site along each axis.
Strides = dict[int, tuple[int, ...]]


def strides(net: Network, settings: RunSettings, circuit: Circuit, gates: Mapping[int, Gate]) -> Strides | None:
    """Strides of gates and source, if all can be moved and there are not too many; else None."""
    program = circuit.program
    if settings.source is not None or not all(gate.independent and len(circuit.step(i).inputs) == 1
                                              for i, gate in gates.items()):
        return None
    columns = circuit.channels[program.top]
    for i, gate in gates.items():
        shape = gate.numbers(np.zeros((1, circuit.channels[i], 1, *(1,) * settings.ndim)))[0]
        columns += math.prod(shape)
    widest = max(circuit.channels[i] * math.prod(2 * n for n in step.backward.out.shape)
                 for i, step in program.steps.items() if i in program.path)
    if columns > MOST_COLUMNS or widest * max(circuit.channels.values()) > MOST_NUMBERS:
        return None
    if settings.image is not None:
        try:
            plane = compile_network(net, settings.ndim, node=settings.node, unit=settings.unit_of(net))
        except ValueError:  # a layer that needs the size of the map
            return None
        if any(plane.steps[i].backward.out != program.steps[i].backward.out for i in program.path if i >= 0) or (
                plane.backward != program.backward):
            return None
    fields = receptive_fields(net, ndim=settings.ndim)
    found: Strides = {-1: (1,) * settings.ndim}
    for i in gates:
        stride = fields[net.names[i]].stride
        if any(s != int(s) or s < 1 for s in stride):
            return None
        found[i] = tuple(map(int, stride))
    ordered = [found[i] for i in sorted(found)]
    divide = all(b % a == 0 for low, high in zip(ordered, ordered[1:]) for a, b in zip(low, high))
    return found if divide else None


def moved(circuit: Circuit, gates: Mapping[int, Gate], stride: Strides) -> tuple[Array, Array, Totals]:
    """Power and coherent power on the input's sites, and what comes of each gate."""
    program, source = circuit.program, circuit.program.source
    units = _descend(circuit, gates, started(circuit, circuit.units(None, 1, "power")))
    power = {i: np.einsum("dc...,dc...->c...", g[:, :, 0], g[:, :, 0]) for i, g in units.items()}
    mean, totals = squared(units[source]).sum(axis=0), {}
    for i in sorted(gates, reverse=True):
        if i not in power:
            continue
        above = power.pop(i)
        ones = np.ones((1, *above.shape[:1], 1, *above.shape[1:]))
        shape, = gates[i].numbers(ones)
        space = above.shape[1:]
        middle = tuple(n // 2 for n in space)
        count = math.prod(shape) // math.prod(space)       # taps, channels
        numbers = np.zeros((count, count, *space))
        numbers[(range(count), range(count), *middle)] = 1
        added = gates[i].varied(ones, [numbers.reshape(count, *shape)])
        below: dict[int, Array] = {}
        add_to(program, below, i, added)
        weight = np.concatenate([above] * (count // len(above)))
        for k, g in _descend(circuit, gates, below).items():
            step = tuple(a // b for a, b in zip(stride[i], stride[k]))
            part = _spread(weight, g[:, :, 0]**2, middle, step)
            if k == source:
                totals[i] = float(part.sum())
            power[k] = power[k] + part if k in power else part
    return power[source].sum(axis=0), mean, totals


def _descend(circuit: Circuit, gates: Mapping[int, Gate], waiting: dict[int, Array]) -> dict[int, Array]:
    """Gradients at all gates below those that wait, and at the source, gates with their mean."""
    program, waiting, found, pulls = circuit.program, dict(waiting), {}, mean_pulls(circuit, gates)
    for i in sorted(pulls, reverse=True):
        if i in waiting:
            g = waiting.pop(i)
            if i in gates:
                found[i] = g
            add_to(program, waiting, i, pulls[i](g))
    return {**found, **{i: g for i, g in waiting.items() if i == program.source}}


def _spread(weight: Array, square: Array, middle: tuple[int, ...], step: tuple[int, ...]) -> Array:
    """sum over n and y of weight[n, y] square[n, c, x - step (y - middle)], (c, *x)."""
    from scipy.fft import irfftn, next_fast_len, rfftn
    axes = range(len(middle))
    wide = np.zeros((len(weight), *(s * (n - 1) + 1 for s, n in zip(step, weight.shape[1:]))))
    wide[(slice(None), *(slice(None, None, s) for s in step))] = weight
    full = [next_fast_len(a + b - 1, True) for a, b in zip(wide.shape[1:], square.shape[2:])]
    last = [a - len(middle) for a in axes]
    spectrum = np.einsum("n...,nc...->c...", rfftn(wide, full, axes=last), rfftn(square, full, axes=last))
    inside = tuple(slice(s * m, s * m + n) for s, m, n in zip(step, middle, square.shape[2:]))
    return np.maximum(irfftn(spectrum, full, axes=last)[(slice(None), *inside)], 0)
