"""Gates that meet, along streams and in pools, and networks against sampling."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import pytest
from helpers import ROUNDING, Tolerance, assert_close

import erfmath as em
from erfmath.results.assumptions import Assumption
from erfmath.theory.memory import forget
from erfmath.theory.rules import base
from erfmath.theory.sweep import backward

Array = Any

#: What is asked of std and of the marginals' total variation; the sampling error comes on top.
STD, VARIATION = 0.02, 0.02
#: And of sums of maps, which finite width moves by O(depth / width).
TOTAL = 0.1
#: Laws as tables on the plane and on images of different levels.
INSIDE = Tolerance(1e-5, 0.0)
#: Standard errors that a right answer keeps within (8 networks and 2 axes at level 1e-4).
ERRORS = 4.5


def act(function: str = "relu") -> em.Activation:
    return em.Activation(function)


def unit(*parts: Any) -> em.Network:
    return em.serial(*parts)


def normed(kernel: int, channels: int | None = None, **options: Any) -> em.Network:
    return em.serial(em.Conv(kernel, channels, **options), em.BatchNorm(), act())


# ---------------------------------------------------------------------------------------------
# exact truths
# ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("up", ["transpose", "nearest"])
def test_gates_and_pools_inside_do_not_know_how_large_the_image_is(up: str) -> None:
    """Pools and the gates of pairs depend on what sites share at one place, which no border changes."""
    net = em.zoo.unet(2, width=16, up=up)
    small, large = (em.predict(net, image=n) for n in (64, 128))
    assert small.trf.size[0] < 64
    assert_close(small.std, large.std, ROUNDING)
    assert_close(small.std, em.predict(net).std, INSIDE)


# -- residual streams -------------------------------------------------------------------------

def test_second_of_two_gates_on_one_path() -> None:
    """relu(relu(z) + f): along the identity P(z > 0, z + f > 0), not 1/2 * 1/2 nor 1/2 * 5/8.

    f is a 1x1 branch of the same power as z; all paths end in the same pixel, so that totals tell.
    """
    branch = unit(em.Conv(1, weights=em.Random(gain=1.0)), em.BatchNorm(), act(), em.Conv(1), em.BatchNorm())
    net = unit(em.Conv(1), em.BatchNorm(), act(), em.residual(branch), act())
    z = f = 1.0                                           # q of z and f, both after a batch norm
    angle = math.asin(math.sqrt(z / (z + f)))
    both = 0.25 + angle / (2 * math.pi)                   # P(z > 0, z + f > 0)
    after = 0.25 + both                                  # P(relu(z) + f > 0)
    rest = 1 / (1 - 1 / math.pi)                          # a convolution and batch norm after ReLU
    inner = rest / 0.5 * 0.5 * rest / 0.5                 # the branch: conv, norm, gate, conv, norm
    expected = both + after * inner * 0.5                # z itself: conv and norm have gain 1
    assert_close(em.predict(net).total, expected, Tolerance(2e-3, 0.0))


def test_sum_of_a_value_and_its_own_activation() -> None:
    """E[(1 + phi')^2] = 2.5 is not 1 + 1/2; no random layer parts the branches."""
    erf = em.predict(unit(em.Conv(3, weights=em.Random(gain=1)), em.add(em.Identity(), act())))
    assert_close(erf.total, 2.5, ROUNDING)
    assert Assumption.DEPENDENT_BRANCHES not in erf.assumptions


def test_a_chain_of_rectifiers_assumes_nothing() -> None:
    net = em.repeat(unit(em.Conv(3), em.Activation("leaky_relu", slope=.1), em.Dropout(.1)), 3)
    assert em.predict(net).assumptions == em.predict(net, image=8).assumptions == ()
    assert em.predict(unit(net, em.residual(em.Conv(3, 16)), act())).assumptions != ()


# ---------------------------------------------------------------------------------------------
# effects: each rule moves the answer by what docs/theory.md says
# ---------------------------------------------------------------------------------------------

def test_winners_gates_weigh_the_pooled_path() -> None:
    """A skip beside conv-relu-pool: dropping P(winner active)/P(active) narrows the field."""
    def net(*gate: Any) -> em.Network:
        deep = unit(em.MaxPool(2), em.repeat(unit(em.Conv(3), act()), 2), em.Upsample(2), em.Conv(3))
        return unit(em.Conv(3), *gate, em.add(deep, em.Conv(1)))

    with_gate = em.predict(net(act()), image=24)
    # Without a gate below the pool, winners are as good as any: the factor 1 - 2^-4 over 1/2 is gone.
    without = em.predict(net(), image=24)
    assert with_gate.std[0] / without.std[0] > 1.03


def test_gates_of_a_stream_taken_one_by_one_lose_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """E[phi'^2] of each gate by itself cuts the identity path too often."""
    build, image, _ = SAMPLED["resnet"]
    right = em.predict(build(), image=image)
    monkeypatch.setattr(backward, "conditional", lambda sites: False)
    forget()
    wrong = em.predict(build(), image=image)
    assert wrong.std[0] > 1.015 * right.std[0] and wrong.total < 0.92 * right.total


def test_batch_norm_that_forgets_what_sites_share_is_too_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/theory.md: without c a batch-normed ResNet comes out narrower, its branches too weak."""
    build, image, _ = SAMPLED["resnet"]
    right = em.predict(build(), image=image).std[0]
    monkeypatch.setattr(base, "far_factor", lambda *args: 0.0)
    for largest in ("LARGEST", "EARLY"):  # which would know it site by site
        monkeypatch.setattr(f"erfmath.theory.sweep.forward.{largest}", 0)
    assert em.predict(build(), image=image).std[0] < 0.96 * right


# ---------------------------------------------------------------------------------------------
# networks against sampling
# ---------------------------------------------------------------------------------------------

def basic(channels: int, stride: int = 1) -> em.Network:
    """ResNet v1: the activation after the addition, projections with batch norm."""
    branch = unit(normed(3, channels, stride=stride), em.Conv(3, channels), em.BatchNorm())
    shortcut = unit(em.Conv(1, channels, stride=stride), em.BatchNorm()) if stride > 1 else None
    return unit(em.residual(branch, shortcut), act())


def preactivated(channels: int) -> em.Network:
    return em.residual(unit(em.BatchNorm(), act(), em.Conv(3, channels), em.BatchNorm(), act(), em.Conv(3, channels)))


def dense(growth: int) -> em.Network:
    return em.concat(em.Identity(), unit(em.BatchNorm(), act(), em.Conv(1, 2 * growth), em.BatchNorm(), act(),
                                         em.Conv(3, growth)))


def inverted(channels: int, expansion: int = 3) -> em.Network:
    return em.residual(unit(normed(1, expansion * channels), normed(3, groups="depthwise"),
                            em.Conv(1, channels), em.BatchNorm()))


def unet() -> em.Network:
    inner = em.concat(em.Identity(), unit(em.MaxPool(2), normed(3), normed(3), em.Upsample(2, mode="bilinear"),
                                          normed(3)))
    outer = em.concat(em.Identity(), unit(em.MaxPool(2), normed(3), inner, normed(3),
                                          em.Upsample(2, mode="bilinear"), normed(3)))
    return unit(normed(3), outer, normed(3))


def plain(function: str) -> em.Network:
    return em.repeat(unit(em.Conv(3), act(function)), 5)


#: name: network, image, draws
SAMPLED: dict[str, tuple[Callable[[], em.Network], int, int]] = {
    "vgg": (lambda: unit(*[unit(em.Conv(3), act(), em.Conv(3), act(), em.MaxPool(2)) for _ in range(2)],
                         em.Conv(3), act()), 24, 1200),
    "vgg, batch norm": (lambda: unit(*[unit(normed(3), normed(3), em.MaxPool(2)) for _ in range(2)], normed(3)),
                        24, 300),
    "resnet": (lambda: unit(normed(3, 16), basic(16), basic(16, 2), basic(16)), 16, 600),
    "preactivated resnet": (lambda: unit(em.Conv(3, 16), preactivated(16), preactivated(16), em.BatchNorm(), act()),
                            16, 500),
    "u-net": (unet, 16, 500),
    "densenet": (lambda: unit(em.Conv(3, 16), dense(8), dense(8), em.BatchNorm(), act(), em.Conv(1, 16),
                              em.AvgPool(2), dense(8)), 16, 600),
    "mobilenet": (lambda: unit(normed(3, 16), inverted(16), inverted(16), normed(1, 16)), 12, 400),
    "skip and pool": (lambda: unit(em.Conv(3), act(), em.add(
        unit(em.MaxPool(2), em.Conv(3), act(), em.Upsample(2), em.Conv(3)), em.Conv(1)), act()), 16, 1500),
    "tanh": (lambda: plain("tanh"), 16, 600),
    "sigmoid": (lambda: plain("sigmoid"), 16, 600),
    "gelu": (lambda: plain("gelu"), 16, 800),
}


#: Those that take a second each.
LONG = {"vgg", "preactivated resnet", "u-net", "densenet", "mobilenet"}


@functools.lru_cache(maxsize=None)
def sampled(name: str) -> em.Comparison:
    build, image, draws = SAMPLED[name]
    net = build()
    return em.compare(em.predict(net, image=image), em.measure(net, image=image, draws=draws, rng=11))


def assert_agree(comparison: em.Comparison) -> None:
    """Within `STD` and `VARIATION`, and the sampling error of the draws at hand."""
    for ratio in comparison.std_ratio:
        assert abs(ratio.value - 1) <= STD + ERRORS * ratio.stderr
        assert ratio.stderr < STD, "too few draws to tell"
    variation = comparison.coarse_variation
    assert variation.value <= VARIATION + ERRORS * variation.stderr


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name
                                  for name in SAMPLED])
def test_against_sampling(name: str) -> None:
    assert_agree(sampled(name))


@pytest.mark.parametrize("name", ["resnet", "vgg, batch norm",
                                  pytest.param("preactivated resnet", marks=pytest.mark.slow)])
def test_totals_against_sampling(name: str) -> None:
    """Gains too: the sum of the map within 10 % and the sampling error (finite width is O(depth / width))."""
    ratio = sampled(name).total_ratio
    assert abs(ratio.value - 1) <= TOTAL + ERRORS * ratio.stderr


#: Whole networks: name, image, draws.
WHOLE = [("resnet18", 96, 200), ("preact_resnet", 32, 300), ("unet", 48, 300), ("mobilenet_v2", 64, 200),
         ("vgg16", 96, 300), ("densenet121", 64, 100)]


@pytest.mark.slow
@pytest.mark.parametrize("name, image, draws", WHOLE)
def test_whole_networks_against_sampling(name: str, image: int, draws: int) -> None:
    net = getattr(em.zoo, name)(width=16)
    assert_agree(em.compare(em.predict(net, image=image), em.measure(net, image=image, draws=draws, rng=4)))
