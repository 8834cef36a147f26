"""The forward sweep against the exact covariance of all pairs of sites, and that against sampling.

The oracle carries, per channel group, E[v(x) v(x')] for *every* pair of sites of one input and of two
independent inputs: the Gaussian-process limit of a wide network, by dense matrices.  The theory keeps
of it a map, a few lags and one number c; what that costs is stated here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import ROUNDING, Tolerance, assert_close, assert_statistical, draws_for
from wide_limit import Pairs, limit, relu

import erfmath as em
from erfmath.base.errors import SizeError
from erfmath.networks.settings import RunSettings
from erfmath.theory.sweep import forward as moments
from erfmath.theory.sweep.conditioning import entry, handed
from erfmath.theory.sweep.inputs import InputModel
from erfmath.theory.sweep.moments import Moments
from erfmath.theory.sweep.plan import Edge, Graph, Plan

Array = Any
#: c as one number per map instead of one per pair of sites, relative to q, on 12 x 10 sites.
FAR = Tolerance(2e-2, 0.0)
#: What that makes of the variance of a map, and of its corner sites after a batch norm.
VARIANCE, CORNER = Tolerance(1.5e-2, 0.0), Tolerance(1.5e-1, 0.0)
#: Lags that are not carried count as those of distant sites.
NEAR = Tolerance(1e-2, 0.0)
#: How the means of windows fall towards borders.
PATTERN = Tolerance(7e-2, 0.0)
#: What sites share at one place, in the middle of a map, where fixed filters and sums take averages for it.
SHARED = Tolerance(2e-2, 0.0)
#: Pools away from borders, up to the sampled fields' own error; over the whole map of 12 x 12 sites, by c of the input.
POOLED, WHOLE = Tolerance(2e-2, 0.0), {0.0: Tolerance(5e-2, 0.0), 0.6: Tolerance(1.2e-1, 0.0)}
#: Gauss-Hermite quadrature of the oracle.
QUADRATURE = Tolerance(1e-3, 0.0)


def swept(net: em.Network, image: tuple[int, int], monkeypatch: pytest.MonkeyPatch, q: float = 1.0,
          c: float = 0.0) -> tuple[dict[str, Moments], moments.Gates, dict[str, int]]:
    """What the forward sweep knows of every node, and the gates."""
    sweeps: list[Any] = []

    class Kept(moments._Forward):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.all: dict[int, Moments] = {}
            sweeps.append(self)

        def _wanted(self) -> set[int]:  # moments above the last gate, too
            return set(range(len(self.graph.ops)))

        def _node(self, i: int, inputs: list[Moments]) -> Moments:
            self.all[i] = super()._node(i, inputs)
            return self.all[i]

    monkeypatch.setattr(moments, "_Forward", Kept)
    graph = Graph.of(net, RunSettings.of(net, image=image, channels_in=16), apart=frozenset(net.names))
    gates = moments.forward(graph, Plan(graph, False), InputModel(q, c))
    place = {node.name: i for i, node in enumerate(net)}
    assert set(sweeps[0].done) == {len(net) - 1}  # maps that nothing will read are let go
    return {name: sweeps[0].all[i] for name, i in place.items()}, gates, place


def tanh() -> em.Activation:
    return em.Activation("tanh")


NETS: dict[str, Callable[[], em.Network]] = {
    "chain": lambda: em.serial(em.Conv(3), relu(), em.Conv(5), relu(), em.Conv(3, dilation=2), relu(), em.Conv(3)),
    "strided": lambda: em.serial(em.Conv(3, stride=2), relu(), em.Conv(3), relu(), em.Conv((3, 1), stride=(2, 1))),
    "depthwise": lambda: em.serial(em.Conv(3), relu(), em.Conv(3, groups="depthwise"), relu(), em.Conv(1)),
    "dropout": lambda: em.serial(em.Conv(3), relu(), em.Dropout(0.3), em.Conv(3), relu()),
    "layer norm": lambda: em.serial(em.Conv(3), em.LayerNorm(), em.Conv(3), em.LayerNorm(), relu(), em.Conv(3)),
    "nearest": lambda: em.serial(em.Upsample(2), em.Conv(3), relu(), em.AvgPool(2), em.Conv(3), relu()),
    "blurred": lambda: em.serial(em.BlurPool(3, 1, 0), em.Conv(3), relu(), em.Conv(3)),
    "transposed": lambda: em.serial(em.Conv(3, stride=2), relu(), em.ConvTranspose(2, stride=2), relu(),
                                    em.ConvTranspose(4, stride=2, padding=1), relu()),
    "added": lambda: em.serial(em.Conv(3), em.add(em.serial(em.Conv(3), relu(), em.Conv(3)), em.Conv(1)),
                               relu(), em.Conv(3)),
    "concatenated": lambda: em.serial(em.Conv(3), em.concat(
        em.serial(relu(), em.Conv(3)), em.serial(em.Conv(3, weights=em.Random(gain=6.0)), em.Scale(2.0))),
        relu(), em.Conv(3)),
}
NORMED: dict[str, Callable[[], em.Network]] = {
    "batch norm": lambda: em.serial(*[em.serial(em.Conv(3), em.BatchNorm(), relu()) for _ in range(3)]),
    "late batch norm": lambda: em.serial(em.Conv(3), relu(), em.Conv(3), em.BatchNorm(), relu(), em.Conv(3)),
    "strided batch norm": lambda: em.serial(em.Conv(3, stride=2), relu(), em.Conv(3), em.BatchNorm(), relu(),
                                            em.Conv(3), em.BatchNorm()),
    "groups batch norm": lambda: em.serial(em.Conv(3), em.concat(
        em.serial(relu(), em.Conv(3)), em.serial(em.Conv(3, weights=em.Random(gain=6.0)), em.Scale(2.0))),
        em.BatchNorm(), relu(), em.Conv(3)),
}
IMAGE = (12, 10)
INPUTS = [(1.0, 0.0), (2.0, 0.6)]


def test_the_oracle_is_what_wide_networks_do() -> None:
    """conv, ReLU, conv on 64 channels: every site's q, and c between sites of two inputs."""
    net, image, width = em.serial(em.Conv(3), relu(), em.Conv(3)), (5, 4), 64
    rng, taps = np.random.default_rng(5), list(itertools.product(range(3), repeat=2))

    def conv(x: Array, w: Array) -> Array:
        padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])
        return sum(np.einsum("oi,nihw->nohw", w[:, :, a, b], padded[:, :, a:a + image[0], b:b + image[1]])
                   for a, b in taps)

    draws = draws_for(0.02, 0.3)
    second, far = np.empty((draws, *image)), np.empty((draws, *image))
    for draw in range(draws):
        x = rng.standard_normal((2, width, *image))
        for layer in range(2):
            w = rng.standard_normal((width, width, 3, 3)) * math.sqrt(2 / (9 * width))
            x = conv(np.maximum(x, 0) if layer else x, w)
        second[draw] = (x**2).mean(axis=(0, 1))
        far[draw] = (x[0] * x[1, :, ::-1, ::-1]).mean(axis=0)  # opposite sites
    pairs = limit(net, image)["conv2"]
    expected = np.diag(pairs.same[0]).reshape(image), np.diag(pairs.other[0][:, ::-1]).reshape(image)
    for sampled, wanted in zip((second, far), expected):
        assert_statistical(sampled.mean(axis=0), sampled.std(axis=0) / math.sqrt(draws), wanted)


@pytest.mark.parametrize("q, c", INPUTS)
@pytest.mark.parametrize("name", sorted({*NETS} - {"nearest"}))
def test_second_moments_of_every_site(name: str, q: float, c: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly, borders and all: a rectified net's q does not depend on c."""
    net = NETS[name]()
    got, _, _ = swept(net, IMAGE, monkeypatch, q, c)
    for node, pairs in limit(net, IMAGE, q, c).items():
        if node != "input":
            wanted = np.stack([np.diag(k).reshape(pairs.shape) for k in pairs.same])
            assert_close(np.broadcast_to(got[node].second, wanted.shape), wanted, ROUNDING)


@pytest.mark.parametrize("q, c", INPUTS)
@pytest.mark.parametrize("name", [name for name in (*NETS, *NORMED) if name != "depthwise"])  # no Gaussians
def test_far_covariances_averaged_over_the_map(name: str, q: float, c: float,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    """One number instead of one per pair of sites: what it misses is less than `FAR` of q."""
    net = {**NETS, **NORMED}[name]()
    got, _, _ = swept(net, IMAGE, monkeypatch, q, c)
    for node, pairs in limit(net, IMAGE, q, c).items():
        if node != "input":
            wanted = np.array([k.mean() for k in pairs.other])
            size = max(float(np.diag(k).mean()) for k in pairs.same)
            assert_close(got[node].cov_far, wanted, FAR, scale=size)


@pytest.mark.parametrize("q, c", INPUTS)
@pytest.mark.parametrize("name", [name for name in NETS if name != "depthwise"])
def test_what_independent_inputs_share_at_one_place(name: str, q: float, c: float,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions and rectifiers hand it on exactly, whatever the borders take away from q."""
    net = NETS[name]()
    got, _, _ = swept(net, IMAGE, monkeypatch, q, c)
    for node, pairs in limit(net, IMAGE, q, c).items():
        if node != "input":
            middle = tuple(n // 2 for n in pairs.shape)
            wanted = [(np.diag(other) / np.diag(same)).reshape(pairs.shape)[middle]
                      for same, other in zip(pairs.same, pairs.other)]
            assert_close(got[node].corr_site, wanted, SHARED if name in ("nearest", "added") else ROUNDING, scale=1.0)


@pytest.mark.parametrize("q, c", INPUTS)
def test_rectified_branches_have_their_means_in_common(q: float, c: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """E[(u + v)(u' + v')] is that of each and twice the product of the means, which is E[u^2] / pi."""
    net = em.serial(em.add(em.serial(em.Conv(3), relu()), em.serial(em.Conv(5), relu())), em.Conv(3), relu())
    got, _, _ = swept(net, IMAGE, monkeypatch, q, c)
    first, second = (got[name].average[0] for name in ("relu1", "relu2"))
    total = first + second + 2 * (got["relu1"].deviation * got["relu2"].deviation).mean() / math.pi
    assert_close(got["add1"].average[0], total, ROUNDING)
    alone = got["relu1"].corr_site[0]
    assert_close(got["add1"].corr_site[0], 1 - (1 - alone) * (first + second) / total, ROUNDING)


@pytest.mark.parametrize("q, c", INPUTS)
@pytest.mark.parametrize("name", NORMED)
def test_batch_norm_of_finite_maps(name: str, q: float, c: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gains are one over the variance of the whole map, and borders keep their lower level."""
    net = NORMED[name]()
    got, gates, place = swept(net, IMAGE, monkeypatch, q, c)
    exact = limit(net, IMAGE, q, c)
    for node in net:
        if isinstance(node.layer, em.BatchNorm):
            before, after = exact[node.inputs[0]], exact[node.name]
            spread = [np.diag(k).mean() - far.mean() for k, far in zip(before.same, before.other)]
            assert_close(gates.power[place[node.name]].ravel(), 1 / np.array(spread), VARIANCE)
            for g, k in enumerate(after.same):
                wanted = np.diag(k).reshape(after.shape)
                assert_close(np.broadcast_to(got[node.name].second[g], wanted.shape), wanted, CORNER)
                assert_close(got[node.name].average[g], 1.0, ROUNDING)


def test_the_finite_map_is_an_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """On 7 x 7 sites the variance is a fifth smaller than on the plane."""
    net = em.serial(em.Conv(3), relu(), em.Conv(3), em.BatchNorm())
    _, gates, place = swept(net, (7, 7), monkeypatch)
    on_plane = 1 / (2.0 - 2.0 / math.pi)
    assert gates.power[place["batch_norm1"]].item() > 1.15 * on_plane


# ---------------------------------------------------------------------------------------------
# neighbours
# ---------------------------------------------------------------------------------------------

def lagged(pairs: Pairs, tau: tuple[int, int]) -> Array:
    """E[v(x) v(x + tau)] as a map, zero where x + tau is outside."""
    h, w = pairs.shape
    cube, out = pairs.same[0].reshape(h, w, h, w), np.zeros((h, w))
    for y, x in np.ndindex(h, w):
        if 0 <= y + tau[0] < h and 0 <= x + tau[1] < w:
            out[y, x] = cube[y, x, y + tau[0], x + tau[1]]
    return out


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_correlated_neighbours(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lags that upsampling makes, after convolution and ReLU, site by site."""
    net = em.serial(em.Upsample(2, mode=mode), em.Conv(3), relu(), em.Upsample(2, mode=mode), em.Conv(3), relu(),
                    em.AvgPool(2), em.Conv(3))
    got, _, _ = swept(net, (5, 4), monkeypatch)
    exact = limit(net, (5, 4))
    seen = 0
    for node in ("upsample1", "conv1", "relu1", "upsample2", "conv2", "relu2"):
        m = got[node]
        for place in np.ndindex(*m.values.shape[1:3]):
            tau = (place[0] - m.lags[0], place[1] - m.lags[1])
            wanted = lagged(exact[node], tau)
            assert_close(m.values[(0, *place)], wanted, NEAR, scale=float(wanted.max()))
            seen += any(tau)
    assert seen >= 16


def test_phases_of_nearest_upsampling(monkeypatch: pytest.MonkeyPatch) -> None:
    """After x2 and a 3x3 convolution neighbours share two of three taps, or one, by phase."""
    net = em.serial(em.Upsample(2), em.Conv(3), relu(), em.AvgPool(2), em.Conv(3))
    got, gates, place = swept(net, (6, 6), monkeypatch)
    m = got["conv1"]
    inner = (m.values / m.second[:, None, None])[0, m.lags[0], m.lags[1] + 1][6, 4:8]
    assert_close(inner, np.array([1, 2, 1, 2]) / 3, ROUNDING)
    gate = gates.power[place["relu1"]]
    both = gate[0, gate.shape[1] // 2, gate.shape[2] // 2 + 1][6, 4:8]
    assert_close(both, 0.25 + np.arcsin(np.array([1, 2, 1, 2]) / 3) / (2 * math.pi), ROUNDING)


# ---------------------------------------------------------------------------------------------
# max pools
# ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kernel, stride, padding", [(2, 2, 0), (3, 2, 1)])
@pytest.mark.parametrize("c", [pytest.param(0.0, marks=pytest.mark.slow), 0.6])
def test_max_pools(kernel: int, stride: int, padding: int, c: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """E[m^2], what is shared near and far, and how much wider than others the gates of winners stand open."""
    net = em.serial(em.Conv(3), relu(), em.Conv(3), relu(), em.MaxPool(kernel, stride, padding))
    image, draws = (12, 12), 8_000
    got, gates, place = swept(net, image, monkeypatch, 1.0, c)
    pairs = limit(em.serial(*[node.layer for node in net][:3]), image, 1.0, c)["conv2"]
    same, other = pairs.same[0], pairs.other[0]
    both = np.block([[same, other], [other.T, same]])
    root = np.linalg.cholesky(both + 1e-9 * np.eye(len(both)))
    z = np.random.default_rng(0).standard_normal((draws, len(both))) @ root.T
    z = np.concatenate([z, -z]).reshape(2 * draws, 2, *image)
    padded = np.pad(z, [(0, 0), (0, 0), (padding,) * 2, (padding,) * 2], constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (2, 3))[:, :, ::stride, ::stride]
    top = windows.max(axis=(-2, -1))
    m = np.maximum(top, 0)
    mean = m.mean(axis=(2, 3))
    pooled = got["max_pool1"]
    inner: Any = (..., slice(2, -2), slice(2, -2))
    assert_close(pooled.second[inner].mean(), (m[inner]**2).mean(), POOLED)
    assert_close(pooled.corr_site[0], (m[:, 0] * m[:, 1])[inner].mean() / (m[inner]**2).mean(), POOLED)
    pool, gate = place["max_pool1"], place["relu2"]
    graph = Graph.of(net, RunSettings.of(net, image=image, channels_in=16))
    (one,), = handed(graph, gates, Edge(pool, 0), gate, [entry(gates.sites[pool])])
    bias = gates.routes[pool].bias * one.power
    assert_close(bias[inner].mean(), 2 * (top[inner] > 0).mean(), POOLED)
    assert_close(bias[0].ravel(), 2 * (top > 0).mean(axis=(0, 1)).ravel(), POOLED)  # at the border too
    assert_close(pooled.average[0], (m**2).mean(), WHOLE[c])
    assert_close(pooled.cov_far[0], (mean[:, 0] * mean[:, 1]).mean(), WHOLE[c])
    apart = (m[:, 0] * mean[:, 1, None, None]).mean(axis=0)
    assert_close(pooled.common_map[0], apart / apart.mean(), PATTERN)


# ---------------------------------------------------------------------------------------------
# other activations
# ---------------------------------------------------------------------------------------------

def test_gates_of_saturating_functions_vary_over_the_map(monkeypatch: pytest.MonkeyPatch) -> None:
    """tanh: E[tanh^2] site by site; sites at the border are the more linear ones."""
    net = em.serial(em.Conv(3), tanh(), em.Conv(3), tanh(), em.Conv(3))
    got, gates, place = swept(net, (6, 5), monkeypatch)
    exact = limit(net, (6, 5))
    t, w = np.polynomial.hermite_e.hermegauss(60)
    for k in (1, 2):
        q = np.diag(exact[f"conv{k}"].same[0]).reshape(6, 5)
        slopes = (1 - np.tanh(np.sqrt(q)[..., None] * t)**2)**2 @ w / w.sum()
        assert_close(gates.power[place[f"tanh{k}"]][0, 0, 0], slopes, QUADRATURE)
        assert_close(got[f"tanh{k}"].second[0], np.diag(exact[f"tanh{k}"].same[0]).reshape(6, 5), QUADRATURE)
        assert slopes[0, 0] > slopes[3, 2]


def test_second_moments_that_would_not_fit_are_refused() -> None:
    """Photographs, upsampling and a global pool: all pairs of sites of all maps."""
    gate = em.multiply(em.Identity(), em.serial(em.GlobalAvgPool(), em.Conv(1, 16)))
    net = em.serial(em.Conv(3, 16), em.Activation("relu"), gate, em.Upsample(2), em.Conv(3, 16), em.Activation("relu"),
                    em.Conv(3, 16))
    with pytest.raises(SizeError, match=r"of conv1 .* GiB\), more than 2 times the limit .* take a smaller image"):
        em.predict(net, image=96, input_covariance=em.natural_images())


def test_one_axis_stands_for_all_where_they_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Square images and layers that treat axes alike: with each axis by itself the maps are the same."""
    net = em.zoo.resnet18()

    def found() -> list[Any]:
        graph = Graph.of(net, RunSettings.of(net, image=64))
        gates = moments.forward(graph, Plan(graph, False), InputModel())
        assert gates.tilts
        return [gate for kind in (gates.power, gates.tilts) for gate in kind.values()]

    once = found()
    monkeypatch.setattr(moments._Forward, "_alike", lambda self: False)
    for one, other in zip(once, found()):
        assert_close(one, other, Tolerance(1e-13, 0.0))


@pytest.mark.parametrize("build, image", [
    (lambda: em.serial(em.Conv(3), em.Conv((3, 1))), 8), (lambda: em.serial(em.Conv(3), em.Conv(3)), (8, 9)),
    (lambda: em.Conv(3, weights=em.Fixed(np.arange(9.0).reshape(3, 3))), 8)])
def test_axes_that_differ(build: Callable[[], Any], image: Any) -> None:
    net = em.serial(build(), em.Activation("relu"), em.Conv(3))
    graph = Graph.of(net, RunSettings.of(net, image=image, channels_in=4))
    assert not moments._Forward(graph, Plan(graph, False), InputModel()).alike


def test_averages_over_phases_of_a_transposed_convolution() -> None:
    """Of a stride of two the average is a 1x1 convolution; sampled: 1.75(4), 1.26 if phases are alike."""
    def total(*layers: em.Layer) -> float:
        block = em.serial(em.Conv(3, 48), em.BatchNorm(), em.Activation("relu"))
        return float(em.predict(em.serial(block, *layers, block, em.Conv(3, 48)), image=12, channels_in=48).total)
    mean = total(em.ConvTranspose(2, 48, stride=2), em.AvgPool(2))
    assert_close(mean, total(em.Conv(1, 48, weights=em.Random(2 / 4))), ROUNDING)
