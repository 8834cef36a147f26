"""Networks run forward and backward: adjoints, difference quotients, windows against whole images."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, assert_close, assert_rate

import erfmath as em
from erfmath.empirics.boxes import Program, compile_network
from erfmath.empirics.rules import RULES
from erfmath.empirics.run import Parameters, Run, forward
from erfmath.empirics.sampling import parameters_of
from erfmath.layers.geometry import Box

Array = Any
#: A network, and the image that it runs on.
Case = tuple[em.Network, tuple[int, ...]]

CHANNELS, WIDTH = 2, 4
#: Short: hardly ever does a gate change on the way.
STEPS = np.array([2e-4, 1e-4])


def check_adjoint(forward: Callable[[Array], Array], adjoint: Callable[[Array], Array], u: Array, v: Array) -> None:
    """<v, J u> = <J^T v, u>, up to the rounding of the sums."""
    left, right = v * forward(u), adjoint(v) * u
    assert_close(left.sum(), right.sum(), ROUNDING, scale=float(np.abs(left).sum()))


def check_quotient(f: Callable[[float], Array], slope: float, steps: Array = STEPS) -> None:
    """Of sum(f), piecewise smooth: the central quotient misses by O(h^2), or by the rounding of f alone."""
    errors = np.array([abs((f(h) - f(-h)).sum() / (2 * h) - slope) for h in steps])
    rounding = ROUNDING.rtol * np.abs(f(0.0)).sum() / steps
    if (errors > rounding).any():
        assert_rate(1 / steps, errors, 2)


def draw_parameters(net: em.Network, ndim: int, rng: np.random.Generator, everything: bool = False) -> Parameters:
    """Random kernels, and with `everything` also the parameters that layers can do without, near their values."""
    found = {}
    for key, parameter in parameters_of(net, ndim, WIDTH, CHANNELS).items():
        if everything and parameter.trained and parameter.optional:
            found[key] = parameter.fixed() + 0.3 * rng.standard_normal((1, *parameter.shape))
        elif not parameter.optional:
            found[key] = rng.standard_normal((1, *parameter.shape))
    return found


def run_window(program: Program, numbers: Parameters, x: Array) -> Run:
    """A run on the part of `x` that a program needs."""
    cut = tuple(slice(a, b + 1) for a, b in zip(*program.forward))
    return forward(program, numbers, x[(..., *cut)], images=x.shape[2] if program.mixes_images else 1)


def on_image(g: Array, box: Box, image: tuple[int, ...]) -> Array:
    """A gradient on a box, on the whole image."""
    whole = np.zeros((*g.shape[:3], *image))
    whole[(..., *(slice(a, b + 1) for a, b in zip(*box)))] = g
    return whole


def units(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Corners, edges and middles."""
    return list(itertools.product(*({0, n // 2, n - 1} for n in shape)))


def check_windows(case: Case) -> None:
    """One unit's value and gradient on its own windows are those of the whole run, for units everywhere."""
    net, image = case
    rng = np.random.default_rng(0)
    numbers = draw_parameters(net, len(image), rng)
    x = rng.standard_normal((1, CHANNELS, 3, *image))
    whole_program = compile_network(net, len(image), image=image)
    for unit in units(net.shapes(image)[net.output]):
        whole = run_window(whole_program, numbers, x)
        program = compile_network(net, len(image), image=image, unit=unit)
        run = run_window(program, numbers, x)
        inside = tuple(u - a for u, a in zip(unit, program.steps[program.top].forward.out.lo))
        values = whole.output[(..., *unit)]
        if not run.output.size:  # it sees padding only
            continue
        assert_close(run.output[(..., *inside)], values, ROUNDING, scale=10.0)
        images = 3 if program.mixes_images else 1
        dy = rng.standard_normal((1, whole.output.shape[1], images, *(1,) * len(image)))
        everywhere = np.zeros((*dy.shape[:3], *whole.output.shape[3:]))
        everywhere[(..., *unit)] = dy.reshape(1, -1, images)
        expected = whole.backward(everywhere)
        assert_close(on_image(run.backward(dy), program.backward, image), expected, ROUNDING,
                     scale=float(np.abs(expected).max()))


def freeze(program: Program, numbers: Parameters, x: Array) -> Parameters:
    """With the statistics of batch norms those met on `x`, so that they stay where they are."""
    met = forward(program, numbers, x, training=True).statistics
    frozen = {key: array for key, array in met.items()}
    for i in {i for i, _ in met}:
        frozen[i, "scale"] = np.ones_like(met[i, "mean"])
        frozen[i, "shift"] = np.zeros_like(met[i, "mean"])
    return {**numbers, **frozen}


def check_input_gradient(case: Case) -> None:
    """Against difference quotients; statistics of batch norms are frozen."""
    net, image = case
    rng = np.random.default_rng(1)
    numbers = draw_parameters(net, len(image), rng)
    x, u = rng.standard_normal((2, 1, CHANNELS, 1, *image))
    program = compile_network(net, len(image), image=image)
    numbers = freeze(program, numbers, x)
    run = forward(program, numbers, x)
    v = rng.standard_normal(run.output.shape)
    slope = float((run.backward(v) * u).sum())
    check_quotient(lambda h: v * forward(program, numbers, x + h * u).output, slope)


def check_parameter_gradients(case: Case, images: int = 5) -> None:
    """Of all parameters, in training, against difference quotients; and of the inputs, through batch statistics."""
    net, image = case
    rng = np.random.default_rng(2)
    numbers = draw_parameters(net, len(image), rng, everything=True)
    x, direction = rng.standard_normal((2, 1, CHANNELS, images, *image))
    program = compile_network(net, len(image), image=image)

    def value(parameters: Parameters, h: float = 0.0) -> Array:
        return v * forward(program, parameters, x + h * direction, training=True).output

    output = forward(program, numbers, x, training=True).output
    v = rng.standard_normal(output.shape)
    gradients = forward(program, numbers, x, training=True).learn(v)
    assert set(gradients) == set(numbers)
    for key, array in numbers.items():
        u = rng.standard_normal(array.shape)
        slope = float((gradients[key] * u).sum())
        check_quotient(lambda h: value({**numbers, key: array + h * u}), slope)
    slope = float((forward(program, numbers, x, training=True).backward(v) * direction).sum())
    check_quotient(lambda h: value(numbers, h), slope)


def plant_error(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One part in a thousand too much in the gradient of one kind of layer."""
    run = RULES[op].run

    def planted(*arguments: Any) -> Any:
        y, pull = run(*arguments)
        return y, lambda dy: [1.001 * dx for dx in pull(dy)]
    monkeypatch.setattr(RULES[op], "run", planted)
