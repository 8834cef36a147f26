"""Networks run forward and backward: against finite differences, and the cone against the whole map."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close, assert_rate

import erfmath as em
from erfmath.empirics import run as run_module
from erfmath.empirics.boxes import Box, Program, compile_network
from erfmath.empirics.run import Parameters, Run, forward
from erfmath.empirics.sampling import kernels_of
from erfmath.networks import json as spec_json

Array = Any
C, A = em.Conv, em.Activation

#: Networks with the images they run on.
NETWORKS: dict[str, tuple[em.Network, tuple[int, ...]]] = {
    "plain": (em.serial(C(3), A("relu"), C(3), A("tanh")), (7, 8)),
    "strides and dilation": (em.serial(C(3, stride=2), C(3, dilation=2, padding=1), C((3, 5), stride=(1, 2))),
                             (15, 17)),
    "same and pairs": (em.serial(C(4, padding="same", stride=2), A("gelu"), C(2, padding=[[1, 0], [0, 2]]),
                                 em.MaxPool(3, 2, 1), C(3)), (13, 12)),
    "groups": (em.serial(C(3, 8), C(3, 8, groups=4), A("silu"), C(3, groups="depthwise", stride=2)), (8, 9)),
    "transposed": (em.serial(C(3, 4), em.ConvTranspose(2, 6, stride=2),
                             em.ConvTranspose(3, 4, stride=2, padding=(1, 0)),
                             em.ConvTranspose(4, 4, padding=-1, groups=2),
                             em.ConvTranspose(3, groups="depthwise", stride=2, padding="same")), (3, 4)),
    "transposed with gaps": (em.serial(em.ConvTranspose(1, stride=3), C(1), em.ConvTranspose(2, stride=3)), (3, 2)),
    "pools": (em.serial(C(3), em.MaxPool(2), C(3), em.AvgPool(3, 2, 1), em.AvgPool(3, 2, "same"),
                        em.AvgPool(2, 1, 1, count_include_pad=False)), (21, 18)),
    "blurs": (em.serial(C(3), em.BlurPool(), A("relu"), C(3), em.BlurPool((4, 2), 1, (1, 1)),
                        em.BlurPool((2, 3), 2, "same")), (13, 12)),
    "upsampling": (em.serial(C(3), em.Upsample(2), C(3), em.Upsample(3, mode="bilinear"), C(3),
                             em.Upsample((2, 1), mode="bilinear"), em.AvgPool(3)), (4, 3)),
    "batch norm": (em.serial(C(3), em.BatchNorm(), A("relu"),
                             em.residual(em.serial(C(3), em.BatchNorm(), A("leaky_relu"), em.Scale(0.3), C(3))),
                             em.BatchNorm(mode="identity"), A("elu")), (8, 7)),
    "layer norm and the whole": (em.serial(C(3), em.LayerNorm(), A("softplus"), em.GlobalAvgPool(), C(1),
                                           A("sigmoid"), A("identity")), (5, 4)),
    "branches": (em.serial(em.Pad(2), C(3), em.concat(C(1), em.serial(C(3), em.Pad((-1, 1)))), em.Pad(-1),
                           em.add(C(3, 4), C(1, 4)), C(3)), (6, 7)),
    "1d": (em.serial(C(3, stride=2), em.residual(C(5)), em.MaxPool(2)), (21,)),
    "3d": (em.serial(C(3, stride=2), A("relu"), em.MaxPool(2), em.Upsample(2, mode="bilinear"),
                     C(3, dilation=2), em.ConvTranspose(2, stride=2)), (5, 6, 7)),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def parameters(net: em.Network, ndim: int, rng: np.random.Generator) -> Parameters:
    kernels = kernels_of(net, ndim, width=4, channels_in=2)
    return Parameters({i: rng.standard_normal((1, *k.shape)) for i, k in kernels.items()},
                      {i: k.groups for i, k in kernels.items()})


def run_window(program: Program, numbers: Parameters, x: Array) -> Run:
    cut = tuple(slice(a, b + 1) for a, b in zip(*program.need))
    return forward(program, numbers, x[(..., *cut)], images=1)


def placed(g: Array, box: Box, image: tuple[int, ...]) -> Array:
    whole = np.zeros((*g.shape[:3], *image))
    whole[(..., *(slice(a, b + 1) for a, b in zip(*box)))] = g
    return whole


def units(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Corners, edges and middles."""
    return list(itertools.product(*({0, n // 2, n - 1} for n in shape)))


@every_network
def test_the_cone_gives_what_the_whole_map_gives(name: str) -> None:
    """One unit's gradient on its own windows and that of the whole run, for units everywhere."""
    net, image = NETWORKS[name]
    rng = np.random.default_rng(0)
    numbers = parameters(net, len(image), rng)
    x = rng.standard_normal((1, 2, 3, *image))
    whole = forward(compile_network(net, len(image), image=image), numbers, x, images=1)
    for unit in units(net.shapes(image)[net.output]):
        program = compile_network(net, len(image), image=image, unit=unit)
        run = run_window(program, numbers, x)
        inside = tuple(u - a for u, a in zip(unit, program.box(program.top).lo))
        values = whole.output[(slice(None), slice(None), slice(None), *unit)]
        assert_close(run.output[(slice(None), slice(None), slice(None), *inside)], values, ROUNDING, scale=10.0)
        dy = rng.standard_normal((1, whole.output.shape[1], 1, *(1,) * len(image)))
        everywhere = np.zeros((*dy.shape[:3], *whole.output.shape[3:]))
        everywhere[(slice(None), slice(None), slice(None), *unit)] = dy[..., 0].reshape(1, -1, 1)
        expected = whole.backward(everywhere, keep=True)
        assert_close(placed(run.backward(dy), program.cone, image), expected, ROUNDING,
                     scale=float(np.abs(expected).max()))


@every_network
def test_gradients_of_the_input(name: str) -> None:
    """Against difference quotients: frozen batch statistics, so with those of the first input given."""
    net, image = NETWORKS[name]
    rng = np.random.default_rng(1)
    numbers = parameters(net, len(image), rng)
    x, u = rng.standard_normal((2, 1, 2, 1, *image))
    program = compile_network(net, len(image), image=image)
    if name == "batch norm":
        frozen = forward(program, numbers, x, training=True).statistics
        numbers = dataclasses.replace(numbers, norms={
            i: np.stack([np.ones_like(mean[0]), np.zeros_like(mean[0]), mean[0], variance[0]])
            for i, (mean, variance) in frozen.items()})
    run = forward(program, numbers, x)
    v = rng.standard_normal(run.output.shape)
    slope = float((run.backward(v) * u).sum())
    check_quotient(lambda h: v * forward(program, numbers, x + h * u).output, slope)


def check_quotient(f: Callable[[float], Array], slope: float) -> None:
    """Of sum(f), piecewise smooth: the central quotient misses by O(h^2), or by the rounding of f alone."""
    steps = np.array([2e-4, 1e-4])  # short: hardly ever does a gate change on the way
    errors = np.array([abs((f(h) - f(-h)).sum() / (2 * h) - slope) for h in steps])
    rounding = ROUNDING.rtol * np.abs(f(0.0)).sum() / steps
    if (errors > rounding).any():
        assert_rate(1 / steps, errors, 2)


def test_gradients_of_the_parameters_in_training() -> None:
    net = em.serial(C(3, stride=2), em.BatchNorm(), A("tanh"), em.ConvTranspose(3, stride=2),
                    em.residual(em.serial(C(3, groups=2), em.BatchNorm(), A("gelu"))), em.AvgPool(2))
    image, rng = (7, 6), np.random.default_rng(2)
    numbers = parameters(net, 2, rng)
    norms = {i: np.stack([1 + 0.1 * rng.standard_normal(4), rng.standard_normal(4), np.zeros(4), np.ones(4)])
             for i, node in enumerate(net.nodes) if isinstance(node.layer, em.BatchNorm)}
    numbers = dataclasses.replace(numbers, norms=norms,
                                  biases={i: rng.standard_normal((1, k.shape[1] if i else 4))
                                          for i, k in numbers.kernels.items() if i in (0, 3)})
    x = rng.standard_normal((1, 2, 5, *image))
    program = compile_network(net, 2, image=image)
    run = forward(program, numbers, x, training=True)
    v = rng.standard_normal(run.output.shape)
    run.backward(v)

    def value(changed: Parameters) -> Array:
        return v * forward(program, changed, x, training=True).output

    def along(field: str, i: int, u: Array) -> Callable[[float], Array]:
        def f(h: float) -> Array:
            table = dict(getattr(numbers, field))
            table[i] = table[i] + h * u
            return value(dataclasses.replace(numbers, **{field: table}))
        return f

    for i, kernel in numbers.kernels.items():
        u = rng.standard_normal(kernel.shape)
        check_quotient(along("kernels", i, u), float((run.gradients[i, "kernel"] * u).sum()))
    for i, bias in numbers.biases.items():
        u = rng.standard_normal(bias.shape)
        check_quotient(along("biases", i, u), float((run.gradients[i, "bias"] * u).sum()))
    for i in norms:
        u = rng.standard_normal((4, 4)) * [[1], [1], [0], [0]]
        slope = (run.gradients[i, "scale"] * u[0]).sum() + (run.gradients[i, "shift"] * u[1]).sum()
        check_quotient(along("norms", i, u), float(slope))


def test_every_layer_has_a_rule() -> None:
    assert set(run_module._RULES) == set(spec_json._OPS)


@pytest.mark.parametrize("op", ["conv", "activation", "max_pool", "upsample"])
def test_a_planted_error_is_caught(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One part in a thousand too much in one backward rule."""
    rule = run_module._RULES[op]

    def planted(*arguments: Any) -> Any:
        y, pull = rule(*arguments)
        return y, lambda dy: [1.001 * dx for dx in pull(dy)]
    monkeypatch.setitem(run_module._RULES, op, planted)
    with pytest.raises(AssertionError):
        test_gradients_of_the_input("3d")


def test_on_the_plane_nothing_is_padded() -> None:
    """The gradient on the plane is that far from the borders of an image."""
    net = em.serial(C(3, stride=2), A("relu"), em.AvgPool(2, 2, 1), em.Upsample(2, mode="bilinear"),
                    C(3, padding="same"), em.MaxPool(3, 1, 1), em.ConvTranspose(3, stride=2, padding=1))
    rng = np.random.default_rng(3)
    numbers = parameters(net, 2, rng)
    x = rng.standard_normal((1, 2, 1, 48, 48))
    unit = (24, 25)
    dy = rng.standard_normal((1, 4, 1, 1, 1))
    on_image = compile_network(net, 2, image=(48, 48), unit=unit)
    on_plane = compile_network(net, 2, unit=unit)
    assert on_plane.cone == on_image.cone
    expected = run_window(on_image, numbers, x).backward(dy)
    assert_close(run_window(on_plane, numbers, x).backward(dy), expected, EXACT)


def test_batch_statistics_are_those_of_the_whole_map_and_batch() -> None:
    net = em.serial(C(3), em.BatchNorm(), C(3))
    program = compile_network(net, 2, image=(12, 9), unit=(0, 0))
    assert program.need == Box((0, 0), (11, 8)) and program.cone == Box((0, 0), (2, 2))
    assert program.steps[2].need == program.steps[2].cone == Box((0, 0), (0, 0))
    frozen = compile_network(net, 2, image=(12, 9), unit=(0, 0), frozen={1})
    assert frozen.need == frozen.cone == Box((0, 0), (2, 2))
    on_plane = compile_network(net, 2, unit=(0, 0))
    assert on_plane.steps[1].need.shape == (8, 8) and on_plane.cone.shape == (5, 5)


def test_dropout_is_inverted_and_drawn_once() -> None:
    net = em.serial(em.Dropout(0.75))
    program = compile_network(net, 1, image=(1000,))
    run = forward(program, Parameters({}, {}), np.ones((2, 1, 1, 1000)),
                  generators=[np.random.default_rng(seed) for seed in (0, 1)])
    assert set(np.unique(run.output)) == {0.0, 4.0}
    assert not np.array_equal(run.output[0], run.output[1])
    assert_close(run.backward(np.ones_like(run.output)), run.output, EXACT)


def test_boxes() -> None:
    box, empty = Box((0, 2), (3, 4)), Box((5, 5), (4, 4))
    assert box.join(empty) == empty.join(box) == box and empty.empty and not box.empty
    assert box.join(Box((-1, 3), (0, 9))) == Box((-1, 2), (3, 9))
    assert box.within((3, 3)) == Box((0, 2), (2, 2))
    assert Box((-5, 0), (-3, 1)).within((4, 4)).empty and Box((7, 0), (9, 1)).within((4, 4)).empty
    assert box.pads(Box((-1, 3), (3, 6))) == [(1, 0), (-1, 2)]
    assert box.grown(5) == Box((-1, 1), (3, 5)) and box.grown(2) == box
