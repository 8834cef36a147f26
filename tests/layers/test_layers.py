"""Layer specs: what they accept, what they refuse, and the sites that they connect."""

from __future__ import annotations

import dataclasses
import math
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, ROUNDING, assert_close

import erfmath as em
from erfmath.layers import FUNCTIONS, Layer
from erfmath.layers.geometry import AxisGeometry

INT = "must be an integer"
REAL = "must be a real number"
KERNEL_LAYERS = (em.Conv, em.ConvTranspose, em.MaxPool, em.AvgPool)

GOOD: list[Layer] = [
    em.Conv(3), em.Conv((3, 5), 64, stride=(1, 2), dilation=(2, 1), padding=((1, 0), (2, 2))),
    em.Conv(2, padding="same"), em.Conv(4, padding=(1, 2)), em.Conv(3, groups="depthwise"),
    em.Conv(3, 8, groups=4, weights=em.Constant(), name="c"),
    em.Conv(3, weights=em.Random(1, "out", [1, 2, 1], "uniform")),
    em.Conv((2, 3), padding=0, weights=em.Fixed(np.ones((2, 3)))),
    em.ConvTranspose(4, 8, stride=2, padding=(1, 0)), em.ConvTranspose(3, padding=(1, -1)),
    em.ConvTranspose(2, stride=2, padding="same"), em.MaxPool(2), em.MaxPool(3, 2, 1),
    em.MaxPool((2, 3), (1, 2), "same"), em.AvgPool(3, 1, "half"), em.AvgPool(2, 2, 0, False),
    em.BlurPool(), em.BlurPool(4, 1, (1, 2)),
    em.GlobalAvgPool(), em.Upsample(), em.Upsample((2, 3), "bilinear"), em.LayerNorm(),
    *(em.Activation(function) for function in FUNCTIONS), em.Activation("leaky_relu", slope=0.2),
    em.BatchNorm(), em.BatchNorm("identity"), em.Scale(-0.1), em.Dropout(0), em.Dropout(0.5),
    em.Pad(1), em.Pad((1, -2)), em.Pad([[1, 2], [0, 0], [3, 3]]), em.Identity(), em.Add(),
    em.Concat("both"),
]


@pytest.mark.parametrize("layer", GOOD, ids=repr)
def test_a_spec_is_a_value(layer: Layer) -> None:
    """Frozen, and equal to, and hashed as, every copy with the same fields and no other."""
    values = {f.name: getattr(layer, f.name) for f in dataclasses.fields(layer)}
    unpickled = pickle.loads(pickle.dumps(layer))
    for copy in (type(layer)(**values), dataclasses.replace(layer), unpickled):
        assert copy == layer and hash(copy) == hash(layer) and repr(copy) == repr(layer)
    assert type(layer)(**values | {"name": "other"}) != layer
    assert [other for other in GOOD if other == layer] == [layer]
    for name in values:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(layer, name, None)


@pytest.mark.parametrize("make, message", [
    # sizes
    *((lambda cls=cls: cls(0), "kernel_size=0: must be at least 1") for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3.0), "kernel_size=3.0: " + INT) for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(True), "kernel_size=True: " + INT) for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls("3"), "kernel_size='3': " + INT) for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, stride=0), "stride=0: must be at least 1") for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, stride=(1, False)), r"stride\[1\]=False: " + INT)
      for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, padding="full"), "padding='full': .*'valid'.*'same'")
      for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, padding=1.5), "padding=1.5: " + INT) for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, padding=None), "padding=None: " + INT) for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, padding=(1, 1, 1)), r"padding=\(1, 1, 1\): .* one pair per axis")
      for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, padding=[(1, 1), (1, 1, 1)]), "one pair .* per axis")
      for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, padding=[1, (1, 1)]), "a flat pair is") for cls in KERNEL_LAYERS),
    *((lambda cls=cls: cls(3, padding=[]), r"padding=\[\]: ") for cls in KERNEL_LAYERS),
    (lambda: em.Conv((3, 3, 3, 3)), r"kernel_size=\(3, 3, 3, 3\): .* 1 to 3 axes"),
    (lambda: em.Conv(()), r"kernel_size=\(\): .* 1 to 3 axes"),
    (lambda: em.Conv((3, 0)), r"kernel_size\[1\]=0: must be at least 1"),
    (lambda: em.Conv(np.array(3.0)), "kernel_size=.*: " + INT),
    (lambda: em.Conv([[3, 3]]), r"kernel_size\[0\]=\[3, 3\]: " + INT),
    (lambda: em.Conv(3, dilation=0), "dilation=0: must be at least 1"),
    (lambda: em.Conv(3, dilation=1.0), "dilation=1.0: " + INT),
    (lambda: em.Conv(3, padding=-1), "padding=-1: must be at least 0"),
    (lambda: em.Conv(3, padding=(0, -1)), "padding=-1: must be at least 0"),
    (lambda: em.AvgPool(3, padding=[(0, 0), (0, True)]), "padding=True: " + INT),
    (lambda: em.ConvTranspose(3, padding="half"), "padding='half': .*'valid', 'same'"),
    # even kernels under "half": the remedy is named
    (lambda: em.Conv(2), "padding='half': .* spans 2 sites; use padding='same' or a pair"),
    (lambda: em.Conv((3, 4)), "padding='half': .* spans 4 sites; use padding='same' or a pair"),
    (lambda: em.Conv(4, dilation=3), "padding='half': .*dilation=3 spans 10 sites"),
    (lambda: em.MaxPool(2, padding="half"), "use padding='same' or a pair"),
    # axes
    (lambda: em.Conv((3, 3), stride=(1, 1, 1)), "Conv: .* different numbers of axes"),
    (lambda: em.Conv((3,), padding=[(1, 1), (1, 1)]), "Conv: .* different numbers of axes"),
    (lambda: em.Conv(3, stride=(2, 2), dilation=(2,)), "Conv: .* different numbers of axes"),
    (lambda: em.MaxPool((2, 2), (2, 2, 2)), "MaxPool: .* different numbers of axes"),
    # channels, groups, weights
    (lambda: em.Conv(3, 0), "channels=0: must be at least 1"),
    (lambda: em.Conv(3, 8.0), "channels=8.0: " + INT),
    (lambda: em.Conv(3, True), "channels=True: " + INT),
    (lambda: em.Conv(3, groups="all"), "groups='all': must be an integer or 'depthwise'"),
    (lambda: em.Conv(3, groups=None), "groups=None: " + INT),
    (lambda: em.Conv(3, 6, groups=4), "groups=4: must divide channels=6"),
    (lambda: em.Conv(3, weights="random"), "weights='random': must be Random"),
    (lambda: em.Conv(3, weights=em.Random), "weights=<class .*: must be Random"),
    (lambda: em.Conv(3, weights=em.Fixed([[1, 2]])), r"weights: .* shape \(1, 2\) .*kernel_size=3"),
    (lambda: em.Conv((3, 1), weights=em.Random(profile=[1, 2, 1])), r"weights: .* shape \(3,\)"),
    (lambda: em.Conv(3, stride=(1, 1), weights=em.Fixed([1, 1, 1])), r"weights: .* shape \(3,\)"),
    (lambda: em.Conv(3, 5, weights=em.Fixed(np.ones((4, 2, 3, 3)))), "channels=5: .* give 4"),
    (lambda: em.Conv(3, groups=3, weights=em.Fixed(np.ones((4, 2, 3, 3)))),
     "groups=3: must divide the 4 outgoing"),
    (lambda: em.Conv(3, groups="depthwise", weights=em.Fixed(np.ones((4, 2, 3, 3)))),
     "must have 1 as their second axis"),
    (lambda: em.Random(gain=0), "gain=0.0: must be positive"),
    (lambda: em.Random(gain="2"), "gain='2': " + REAL),
    (lambda: em.Random(gain=math.nan), "gain=nan: must be finite"),
    (lambda: em.Random(fan="avg"), "fan='avg': must be one of 'in', 'out'"),
    (lambda: em.Random(law="cauchy"), "law='cauchy': must be one of 'normal', 'uniform'"),
    (lambda: em.Random(profile=[1, -1]), "profile: .* not negative"),
    (lambda: em.Random(profile=[0, 0]), "profile: .* not all zero"),
    (lambda: em.Random(profile=2.0), "profile: .* 1 to 3 dimensions"),
    (lambda: em.Fixed([]), "array: must hold finite numbers, at least one"),
    (lambda: em.Fixed([1, math.inf]), "array: must hold finite numbers"),
    (lambda: em.Fixed(["1", "2"]), "array: must be an array of finite real numbers"),
    (lambda: em.Fixed([1j]), "array: must be an array of finite real numbers"),
    (lambda: em.Fixed([True, False]), "array: must be an array of finite real numbers"),
    (lambda: em.Fixed([[1], [1, 2]]), "array: must be an array of finite real numbers"),
    (lambda: em.Fixed([10**400]), "array: must be an array of finite real numbers"),
    (lambda: em.Fixed(1.0), "array: has 0 axes"),
    # pools
    (lambda: em.MaxPool(2, padding=2), "padding=2: must be smaller than kernel_size=2"),
    (lambda: em.AvgPool((3, 2), 1, 2), r"padding=2: must be smaller than kernel_size=\(3, 2\)"),
    (lambda: em.AvgPool(3, 1, (0, 3)), r"padding=\(0, 3\): must be smaller"),
    (lambda: em.BlurPool(4), "padding='half': needs an odd extent"),
    (lambda: em.BlurPool(3, 2, 3), "padding=3: must be smaller than kernel_size=3"),
    (lambda: em.AvgPool(2, count_include_pad=1), "count_include_pad=1: must be True or False"),
    # the rest
    (lambda: em.Upsample(0), "scale=0: must be at least 1"),
    (lambda: em.Upsample(1.5), "scale=1.5: " + INT),
    (lambda: em.Upsample(2, "cubic"), "mode='cubic': must be one of 'nearest', 'bilinear'"),
    (lambda: em.Activation("ReLU"), "function='ReLU': must be one of 'relu', "),
    (lambda: em.Activation("leaky_relu", slope=True), "slope=True: " + REAL),
    (lambda: em.BatchNorm("train"), "mode='train': must be one of 'data', 'identity'"),
    (lambda: em.Scale(1 + 0j), r"factor=\(1\+0j\): " + REAL),
    (lambda: em.Scale([1.0]), r"factor=\[1.0\]: " + REAL),
    (lambda: em.Scale(-math.inf), "factor=-inf: must be finite"),
    (lambda: em.Scale(10**400), "factor=1.*: must be finite"),
    (lambda: em.Dropout(1), "p=1.0: must be at least 0 and below 1"),
    (lambda: em.Dropout(-0.1), "p=-0.1: must be at least 0 and below 1"),
    (lambda: em.Pad("same"), "padding='same': must be an integer, pairs of integers$"),
    (lambda: em.Pad((1, 2, 3)), r"padding=\(1, 2, 3\): "),
    (lambda: em.Conv(3, name="input"), "name='input': must be a non-empty string"),
    (lambda: em.Identity(name=""), "name='': must be a non-empty string"),
    (lambda: em.GlobalAvgPool(name=3), "name=3: must be a non-empty string"),
])
def test_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_numpy_values_become_plain_ones() -> None:
    layer = em.Conv(np.int64(3), np.uint8(8), stride=np.array([1, 2]), dilation=np.array(2),
                    padding=np.array([[1, 1], [2, 2]]), groups=np.int32(2))
    assert layer == em.Conv(3, 8, stride=(1, 2), dilation=2, padding=((1, 1), (2, 2)), groups=2)
    plain = (layer.kernel_size, layer.channels, layer.dilation, layer.groups, *layer.stride)
    assert all(type(value) is int for value in plain)
    assert type(em.Scale(np.float32(0.5)).factor) is float
    assert em.Scale(Fraction(1, 2)) == em.Scale(0.5)
    assert em.AvgPool(2, count_include_pad=np.bool_(False)).count_include_pad is False


@pytest.mark.parametrize("layer, dims", [
    (em.Conv(3), {1, 2, 3}), (em.Conv((3,)), {1}), (em.Conv((3, 3)), {2}), (em.Conv([3] * 3), {3}),
    (em.Conv(3, stride=(1, 2)), {2}), (em.Conv(3, dilation=(1, 1, 2)), {3}),
    (em.Conv(3, padding=(1, 2)), {1, 2, 3}), (em.Conv(3, padding=[(1, 1)]), {1}),
    (em.Conv(3, padding=[(1, 1), (2, 2)]), {2}), (em.Pad((1, 2)), {1, 2, 3}),
    (em.Pad([(0, 1)] * 3), {3}), (em.MaxPool((2, 2)), {2}), (em.BlurPool((3, 5)), {2}),
    (em.Upsample((2, 2, 1)), {3}),
    (em.Conv(3, weights=em.Random(profile=[1, 2, 1])), {1, 2, 3}),
    (em.Conv(3, weights=em.Random(profile=np.ones((3, 3)))), {2}),
    (em.Conv(3, weights=em.Fixed(np.ones(3))), {1}),
    (em.Conv(3, weights=em.Fixed(np.ones((4, 2, 3)))), {1}),
    (em.Conv(3, weights=em.Fixed(np.ones((4, 2, 3, 3)))), {2}),
    (em.Conv(3, weights=em.Fixed(np.ones((3, 3, 3)))), {1, 3}),  # one filter, or three by three
    (em.Conv((3, 3, 3), weights=em.Fixed(np.ones((3, 3, 3)))), {3}),
    (em.GlobalAvgPool(), {1, 2, 3}), (em.Activation("relu"), {1, 2, 3}),
])
def test_values_per_axis_fix_the_dimension(layer: Layer, dims: set[int]) -> None:
    assert layer.dimensions() == dims
    for ndim in dims:
        assert len(layer.geometry(ndim)) == ndim


def test_defaults() -> None:
    assert em.MaxPool(3).stride == em.AvgPool(3).stride == 3 and em.MaxPool((2, 4)).stride == (2, 4)
    assert (em.BlurPool().kernel_size, em.BlurPool().stride, em.BlurPool().padding) == (3, 2, "half")
    assert em.MaxPool(3, 1).stride == 1 and em.Upsample().scale == 2
    assert em.AvgPool(3, 1, "same").counts_inside_only
    assert em.AvgPool(3, count_include_pad=False).counts_inside_only
    assert not em.AvgPool(3, 1, 1).counts_inside_only
    assert em.Activation("gelu").kind == "gelu" and em.Conv(3).kind == "conv"
    assert em.Conv(3).weights == em.Random(gain=2.0, fan="in")


# ---------------------------------------------------------------------------------------------
# weights
# ---------------------------------------------------------------------------------------------

def test_weights_are_compared_by_value_and_cannot_be_changed() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    fixed, random = em.Fixed(values), em.Random(profile=values)
    assert fixed == em.Fixed([[1, 2], [3, 4]]) and hash(fixed) == hash(em.Fixed([[1, 2], [3, 4]]))
    assert fixed != em.Fixed([1, 2, 3, 4]) and fixed != em.Fixed([[1, 2], [3, 5]])
    assert random == em.Random(profile=values) and hash(random) == hash(em.Random(profile=values))
    assert random != em.Random() and random != em.Random(profile=2 * values) and random != fixed
    assert em.Constant() == em.Constant() and em.Constant() != em.Random()
    values[0, 0] = 9
    assert fixed.array[0, 0] == random.profile[0, 0] == 1
    for array in (fixed.array, random.profile):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 9
    same = em.Fixed(fixed.array.tolist())
    assert em.Conv(2, padding=0, weights=fixed) == em.Conv(2, padding=0, weights=same)


def test_variances_have_sum_one() -> None:
    two, four = em.Random().variances((2, 4))
    assert_close(two, [1 / 2] * 2, EXACT)
    assert_close(four, [1 / 4] * 4, EXACT)
    rows = em.Random(profile=[1, 2, 5]).variances((3, 3))
    assert len(rows) == 2
    for row in rows:
        assert_close(row, [1 / 8, 2 / 8, 5 / 8], ROUNDING)
    whole, = em.Random(profile=[[1, 2], [3, 4]]).variances((2, 2))
    assert_close(whole, [[0.1, 0.2], [0.3, 0.4]], ROUNDING)


def channels(layer: Any, c_in: int | None, width: int | None = 16, ndim: int | None = 2) -> Any:
    return layer.out_channels(c_in, width, ndim)


FULL = em.Fixed(np.ones((6, 2, 3, 3)))


@pytest.mark.parametrize("layer, c_in, out", [
    (em.Conv(3), 5, 16), (em.Conv(3, 7), 5, 7), (em.Conv(3, 8, groups=4), 12, 8),
    (em.Conv(3, groups="depthwise"), 5, 5), (em.Conv(3, 5, groups="depthwise"), 5, 5),
    (em.Conv(3, weights=em.Fixed(np.ones((3, 3)))), 5, 5), (em.Conv(3, weights=FULL), 2, 6),
    (em.Conv(3, 6, groups=3, weights=FULL), 6, 6), (em.ConvTranspose(3, weights=FULL), 6, 2),
    (em.ConvTranspose(3, groups=3, weights=FULL), 6, 6),
    (em.Conv(3, groups="depthwise", weights=em.Fixed(np.ones((4, 1, 3, 3)))), 4, 4),
    (em.ConvTranspose(3, groups="depthwise", weights=em.Fixed(np.ones((4, 1, 3, 3)))), 4, 4),
    (em.MaxPool(2), 5, 5), (em.Activation("relu"), 5, 5), (em.GlobalAvgPool(), 5, 5),
])
def test_channels(layer: Layer, c_in: int, out: int) -> None:
    assert channels(layer, c_in) == out


def test_channels_not_known_yet() -> None:
    assert channels(em.Conv(3), None, None) is None
    assert channels(em.Conv(3, groups="depthwise"), None) is None
    assert channels(em.Conv(3, 7), None, None) == 7
    cube = em.Conv(3, weights=em.Fixed(np.ones((3, 3, 3))))
    assert channels(cube, 5, ndim=3) == 5 and channels(cube, 3, ndim=1) == 3
    assert channels(cube, 5, ndim=None) is None


@pytest.mark.parametrize("layer, c_in, message", [
    (em.Conv(3, 8, groups=4), 6, "groups=4: must divide the 6 incoming channels"),
    (em.Conv(3, groups=5), 10, "groups=5: must divide the 16 outgoing channels"),
    (em.Conv(3, 6, groups="depthwise"), 5, "channels=6: this layer keeps its 5 incoming channels"),
    (em.Conv(3, 6, weights=em.Fixed(np.ones((3, 3)))), 5, "channels=6: this layer keeps its 5"),
    (em.Conv(3, weights=FULL), 5, r"weights of shape \(6, 2, 3, 3\) .* take 2 channels, 5 come in"),
    (em.ConvTranspose(3, weights=FULL), 2, "take 6 channels, 2 come in"),
    (em.Conv(3, groups="depthwise", weights=em.Fixed(np.ones((4, 1, 3, 3)))), 8,
     "take 4 channels, 8 come in"),
])
def test_channels_refused(layer: Layer, c_in: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        channels(layer, c_in)


# ---------------------------------------------------------------------------------------------
# geometry
# ---------------------------------------------------------------------------------------------

def axis_of(layer: Layer, ndim: int = 1, axis: int = 0) -> AxisGeometry:
    return layer.geometry(ndim)[axis]


def windows(n: int, k: int, s: int, d: int, before: int, after: int) -> int:
    """Number of windows that fit into the padded row, found by trying."""
    row, count = list(range(-before, n + after)), 0
    while s * count + d * (k - 1) < len(row):
        count += 1
    return count


GRID = [(n, k, s, d) for n in range(1, 12) for k in range(1, 6) for s in range(1, 4)
        for d in range(1, 4)]


def test_output_sizes_of_convolutions_and_pools() -> None:
    for n, k, s, d in GRID:
        for before, after in ((0, 0), (0, 1), (2, 0), (k - 1, k - 1)):
            axis = axis_of(em.Conv(k, stride=s, dilation=d, padding=(before, after)))
            count = windows(n, k, s, d, before, after)
            assert max(axis.out(n), 0) == count
            if d == 1 and max(before, after) < k:
                for pool in (em.MaxPool, em.AvgPool):
                    assert max(axis_of(pool(k, s, (before, after))).out(n), 0) == count


def test_output_sizes_of_transposed_convolutions() -> None:
    for n, k, s, _ in GRID:
        for before, after in ((0, 0), (0, -1), (k - 1, 0), (1, 1)):
            written = {s * z + a for z in range(n) for a in range(k)}
            full = max(written) - min(written) + 1
            axis = axis_of(em.ConvTranspose(k, stride=s, padding=(before, after)))
            assert axis.out(n) == full - before - after


def test_half_keeps_the_size_at_stride_one() -> None:
    for n, k, s, d in GRID:
        if d * (k - 1) % 2 == 0:
            axis = axis_of(em.Conv(k, stride=s, dilation=d))
            assert axis.pads(n) == (d * (k - 1) / 2,) * 2
            assert axis.out(n) == len(range(0, n, s))


def test_same_is_tensorflows_rule() -> None:
    """The least padding that gives ceil(n / s) sites, the odd site behind."""
    for n, k, s, d in GRID:
        for layer in (em.Conv(k, stride=s, dilation=d, padding="same"),
                      *([em.MaxPool(k, s, "same"), em.AvgPool(k, s, "same")] if d == 1 else [])):
            axis = axis_of(layer)
            before, after = axis.pads(n)
            enough = math.ceil(n / s)
            total = next(t for t in range(d * k) if windows(n, k, s, d, 0, t) >= enough)
            assert (before, after) == (total // 2, (total + 1) // 2)
            assert axis.out(n) == enough
            assert axis.needs_size == (len({axis_of(layer).pads(m) for m in range(1, 60)}) > 1)


def test_same_on_the_plane_is_centred() -> None:
    for k in range(1, 7):
        for s in (1, 2, 3):
            before, after = axis_of(em.Conv(k, stride=s, padding="same")).pads(None)
            assert before == (k - 1) // 2 and before + after == k - 1


def test_same_for_transposed_convolutions() -> None:
    """n s sites: the adjoint of the "same" convolution that leads from n s sites to n."""
    for n, k, s, _ in GRID:
        axis = axis_of(em.ConvTranspose(k, stride=s, padding="same"))
        assert axis.out(n) == n * s
        assert axis.pads(n)[0] == axis_of(em.Conv(k, stride=s, padding="same")).pads(n * s)[0]


@pytest.mark.parametrize("padding, pairs", [
    (0, [(0, 0)] * 2), (2, [(2, 2)] * 2), ((1, 2), [(1, 2)] * 2), ([0, 1], [(0, 1)] * 2),
    ([[1, 2], [0, 3]], [(1, 2), (0, 3)]), ("valid", [(0, 0)] * 2), ("half", [(1, 1), (4, 4)]),
])
def test_padding_rules_per_axis(padding: Any, pairs: list[tuple[int, int]]) -> None:
    layer = em.Conv((3, 5), dilation=(1, 2), padding=padding)
    assert [axis.padding for axis in layer.geometry(2)] == pairs
    if padding not in ("half", "valid"):
        assert [axis.padding for axis in em.Pad(padding).geometry(2)] == pairs


def test_pads_crop() -> None:
    assert axis_of(em.Pad((2, -3))).out(10) == 9
    assert axis_of(em.Pad(-1)).out(2) == 0


def test_global_pooling() -> None:
    axis = axis_of(em.GlobalAvgPool())
    assert axis.out(1) == axis.out(100) == 1 and axis.needs_size
    with pytest.raises(ValueError, match="no padding"):
        axis.pads(10)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_upsampling_weights_are_those_of_direct_interpolation(mode: Any) -> None:
    n = 7
    for scale in range(1, 6):
        layer = em.Upsample(scale, mode)
        axis, weights = axis_of(layer), layer.axis_weights(scale)
        assert axis.out(n) == n * scale and len(weights) == axis.kernel and axis.transposed
        scattered = np.zeros((n * scale, n))
        for z in range(n):
            for tap, weight in enumerate(weights):
                x = scale * z + tap - axis.pads(n)[0]
                if 0 <= x < n * scale:
                    scattered[x, z] += weight
        direct = np.zeros((n * scale, n))
        for x in range(n * scale):
            if mode == "nearest":
                direct[x, x // scale] = 1
            else:  # half-pixel centres
                source = Fraction(2 * x + 1, 2 * scale) - Fraction(1, 2)
                low = math.floor(source)
                for z, share in ((low, 1 - (source - low)), (low + 1, source - low)):
                    if 0 <= z < n:
                        direct[x, z] += float(share)
        assert_close(scattered, direct, ROUNDING)
        assert weights.min() > 0


def test_upsampling_per_axis() -> None:
    assert [axis.stride for axis in em.Upsample((1, 2, 5)).geometry(3)] == [1, 2, 5]
    assert axis_of(em.Upsample((1, 4), "bilinear"), 2) == AxisGeometry(transposed=True)
