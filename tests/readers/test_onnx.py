"""ONNX files to networks: files as exporters write them, and files that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import EXACT, assert_close
from onnx_reading import ints, kernel, ops, read
from onnx_writer import info, model, node, number, tensor

import erfmath as em
from erfmath.readers.reading import from_onnx


def test_a_chain(tmp_path: Path) -> None:
    w, b, v = kernel(8, 3, 3, 3), kernel(8), kernel(8, 1, 5, 5)
    m = read(tmp_path, [
        node("Conv", ["x", "stem.weight", "stem.bias"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2], kernel_shape=[3, 3]),
        node("BatchNormalization", ["a", "g", "s", "m", "v"], ["b"], "norm", epsilon=0.5),
        node("Relu", ["b"], ["c"]), node("MaxPool", ["c"], ["d"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["d", "deep.weight"], ["e"], auto_pad="SAME_UPPER", group=8),
        node("GlobalAveragePool", ["e"], ["f"]), node("Flatten", ["f"], ["h"]),
        node("Gemm", ["h", "fc.weight"], ["out"], transB=1),
    ], {"stem.weight": w, "stem.bias": b, "deep.weight": v, "fc.weight": kernel(10, 8), "g": kernel(8), "s": kernel(8),
        "m": kernel(8), "v": np.ones(8, np.float32)})
    assert m.net.names == ("stem", "norm", "relu", "max_pool", "deep", "global_avg_pool", "fc")
    assert (m.net.output, dict(m.outputs)) == ("deep", {"out": "fc"})
    assert (m.image, m.channels_in, m.init, m.stand_ins, m.notes) == ((16, 16), 3, "weights", (), ())
    assert m.net.shapes(16)["deep"] == (4, 4) and m.net.channels()["fc"] == 10
    assert m.net["deep"].layer == em.Conv((5, 5), 8, stride=(1, 1), padding="same", groups=8, weights=em.Random(
        float(25 * np.mean(np.square(v, dtype=float)))))
    assert_close(m.weights["stem"], w, EXACT)
    assert_close(m.weights["stem.bias"], b, EXACT)
    assert_close(m.weights["norm"][3], np.full(8, 1.5), EXACT)  # epsilon is in the variance
    assert m.receptive_field().size == em.receptive_field(m.net).size == (21, 21)
    assert m.predict().image == (16, 16) and "output 'out': fc" in m.summary() == str(m)


@pytest.mark.slow
def test_the_page(tmp_path: Path) -> None:
    m = read(tmp_path, [node("Conv", ["x", "w"], ["y"]), node("Relu", ["y"], ["out"])], {"w": kernel(4, 3, 3, 3)})
    page = m.report(tmp_path / "page.html", title="two layers")
    assert (tmp_path / "page.html").read_text() == page and "output &#x27;out&#x27;: relu" in page
    assert page.startswith("<!DOCTYPE html>") and "two layers" in page


SPELLED = {
    "silu": [node("Sigmoid", ["y"], ["s"]), node("Mul", ["y", "s"], ["r"])],
    "gelu": [node("Div", ["y", "root"], ["a"]), node("Erf", ["a"], ["b"]), node("Add", ["b", "one"], ["c"]),
             node("Mul", ["y", "c"], ["d"]), node("Mul", ["d", "half"], ["r"])],
    "softplus": [node("Exp", ["y"], ["a"]), node("Add", ["a", "one"], ["b"]), node("Log", ["b"], ["r"])],
    "leaky_relu": [node("Mul", ["y", "half"], ["a"]), node("Max", ["y", "a"], ["r"])],
    "elu": [node("Elu", ["y"], ["r"])], "relu": [node("Relu", ["y"], ["a"]), node("Relu", ["a"], ["r"])],
}


@pytest.mark.parametrize("name", SPELLED)
def test_activations_spelled_out_are_one_layer(tmp_path: Path, name: str) -> None:
    m = read(tmp_path, [node("Conv", ["x", "w"], ["y"]), *SPELLED[name], node("Conv", ["r", "v"], ["out"])],
             {"w": kernel(4, 3, 3, 3), "v": kernel(4, 4, 3, 3), "root": np.float32(2**.5), "one": np.float32(1),
              "half": np.float32(.5)})
    assert ops(m) == ["conv", name, "conv"]
    if name == "leaky_relu":
        assert m.net.nodes[1].layer.slope == 0.5


def test_a_residual_sum_of_an_activation_and_its_input(tmp_path: Path) -> None:
    """tanh(y) + y is no known function, and one of its own."""
    m = read(tmp_path, [node("Conv", ["x", "w"], ["y"]), node("Tanh", ["y"], ["t"]), node("Add", ["t", "y"], ["s"]),
                        node("Conv", ["s", "v"], ["out"])], {"w": kernel(4, 3, 3, 3), "v": kernel(4, 4, 3, 3)})
    assert m.net.nodes[1].layer.function == "tanh(x) + x" and len(m.net) == 3


def test_a_function_of_its_own_is_a_formula(tmp_path: Path) -> None:
    """Of two uses of sin(y) x and a comparison: where(y > 1, y, y sin(y)), with the slope that it has."""
    m = read(tmp_path, [node("Conv", ["x", "w"], ["y"], "stem"), node("Sin", ["y"], ["s"]),
                        node("Mul", ["y", "s"], ["p"]), node("Greater", ["y", "one"], ["c"]),
                        node("Where", ["c", "y", "p"], ["q"], "wave"), node("Conv", ["q", "v"], ["out"], "top")],
             {"w": kernel(4, 3, 3, 3), "v": kernel(4, 4, 3, 3), "one": np.float32(1)})
    assert ops(m) == ["conv", "formula", "conv"] and m.stand_ins == ()
    assert m.net["wave"].layer == em.Activation("where(x > 1, x, x * sin(x))")


def test_local_response_norms_have_a_stand_in(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["y"]), node("LRN", ["y"], ["l"], "norm", size=5, bias=4.0, beta=0.5),
             node("Conv", ["l", "v"], ["out"], "top")]
    arrays = {"w": kernel(4, 3, 3, 3), "v": kernel(4, 4, 3, 3)}
    with pytest.raises(NotImplementedError, match="1 x local response normalisation: norm; scale would stand in"):
        read(tmp_path, nodes, arrays)
    m = read(tmp_path, nodes, arrays, unsupported="stand_in")
    assert m.net["norm"].layer == em.Scale(0.5) and [s.node for s in m.stand_ins] == ["norm"]
    assert m.stand_ins[0].size.endswith("(1 + 2.5e-05 q)^-0.5 of that")  # alpha is 1e-4 where nothing is said


def test_what_follows_an_unknown_operator_on_a_map_is_not_lost_in_silence(tmp_path: Path) -> None:
    """The file gives no shapes: nobody knows whether what comes after is a map."""
    nodes = [node("Conv", ["x", "w"], ["y"]), node("Odd", ["y"], ["l"], "odd"), node("Conv", ["l", "v"], ["out"])]
    arrays = {"w": kernel(4, 3, 3, 3), "v": kernel(4, 4, 3, 3)}
    with pytest.raises(NotImplementedError, match="1 x Odd: odd"):
        read(tmp_path, nodes, arrays)
    assert len(read(tmp_path, nodes, arrays, unsupported="stand_in").net) == 1


def test_one_channel_that_is_last(tmp_path: Path) -> None:
    """tf2onnx moves one channel by a reshape."""
    m = read(tmp_path, [node("Reshape", ["x", "to"], ["a"]), node("Conv", ["a", "w"], ["out"])],
             {"w": kernel(4, 1, 3, 3), "to": ints(1, 1, 16, 12)}, shape=(1, 16, 12, 1))
    assert (m.image, m.channels_in, ops(m)) == ((16, 12), 1, ["conv"])


def test_channels_last(tmp_path: Path) -> None:
    """tf2onnx: the input is moved to channels first; linear layers over the last axis are 1x1 convolutions."""
    w, v = kernel(8, 3, 3, 3), kernel(8, 4)
    m = read(tmp_path, [
        node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]), node("Conv", ["t", "w"], ["y"]),
        node("Transpose", ["y"], ["l"], perm=[0, 2, 3, 1]), node("LayerNormalization", ["l", "g"], ["n"], axis=-1),
        node("MatMul", ["n", "v"], ["p"]), node("Add", ["p", "b"], ["q"]), node("Relu", ["q"], ["r"]),
        node("Transpose", ["r"], ["out"], perm=[0, 3, 1, 2])],
        {"w": w, "v": v, "b": kernel(4), "g": np.ones(8, np.float32)}, shape=("N", 16, 12, 3))
    assert (m.image, m.channels_in) == ((16, 12), 3)
    assert ops(m) == ["conv", "layer_norm", "conv", "relu"]
    assert_close(m.weights["linear"], v.T[:, :, None, None], EXACT)
    assert m.weights["linear.bias"].shape == (4,)


def test_paddle(tmp_path: Path) -> None:
    """Weights in Constant nodes, biases as Add nodes, no shape anywhere."""
    w, b = kernel(4, 3, 3, 3), kernel(1, 4, 1, 1)
    m = read(tmp_path, [node("Constant", [], ["w"], value=tensor("w", w)),
                        node("Constant", [], ["b"], value=tensor("b", b)),
                        node("Conv", ["x", "w"], ["y"], "conv2d_0"), node("Add", ["y", "b"], ["z"]),
                        node("Relu", ["z"], ["out"])], {}, shape=None, image=(20, 24))
    assert ops(m) == ["conv", "relu"] and m.image == (20, 24) and m.channels_in == 3
    assert_close(m.weights["conv2d_0.bias"], b.reshape(-1), EXACT)


def test_a_constant_added_to_what_two_nodes_read_is_no_bias(tmp_path: Path) -> None:
    m = read(tmp_path, [node("Conv", ["x", "w"], ["y"], "stem"), node("Add", ["y", "b"], ["z"], "shift"),
                        node("Add", ["y", "z"], ["s"]), node("Conv", ["s", "v"], ["out"])],
             {"w": kernel(4, 3, 3, 3), "v": kernel(4, 4, 3, 3), "b": kernel(1, 4, 1, 1)})
    assert "stem.bias" not in m.weights
    assert m.net["shift"].layer.op == "conv" and m.weights["shift.bias"].shape == (4,)


def test_outputs_by_name(tmp_path: Path) -> None:
    m = read(tmp_path, [node("Conv", ["x", "w"], ["p3"]), node("Conv", ["p3", "v"], ["p4"], strides=[2, 2])],
             {"w": kernel(4, 3, 3, 3), "v": kernel(4, 4, 3, 3)}, outputs=("p3", "p4"))
    assert dict(m.outputs) == {"p3": "conv", "p4": "conv_2"} and m.net.output == "conv"


def test_attention_is_refused_and_what_is_before_it_is_offered(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["y"], "stem"), node("Reshape", ["y", "flat"], ["t"]),
             node("Transpose", ["t"], ["k"], perm=[0, 2, 1]), node("MatMul", ["t", "k"], ["a"], "attention"),
             node("Softmax", ["a"], ["s"]), node("MatMul", ["s", "t"], ["o"]), node("Reshape", ["o", "map"], ["out"])]
    arrays = {"w": kernel(4, 3, 3, 3), "flat": ints(1, 4, 196), "map": ints(1, 4, 14, 14)}
    with pytest.raises(NotImplementedError, match=r"(?s)attention \(a product.*nothing stands in.*last map is 'stem'"):
        read(tmp_path, nodes, arrays)
    m = read(tmp_path, nodes, arrays, unsupported="stand_in")
    assert m.net.names == ("stem",) and dict(m.outputs) == {"out.0": "stem"}
    assert "what comes after it is not in the network" in m.notes[0]


def test_heads_that_are_flattened_and_joined_are_outputs(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["fine"], "fine"),
             node("MaxPool", ["fine"], ["coarse"], "coarse", kernel_shape=[2, 2], strides=[2, 2]),
             node("Reshape", ["fine", "rows"], ["a"]), node("Reshape", ["coarse", "rows"], ["b"]),
             node("Concat", ["a", "b"], ["out"], "joined", axis=2)]
    m = read(tmp_path, nodes, {"w": kernel(4, 3, 3, 3), "rows": ints(1, 4, -1)}, unsupported="stand_in")
    assert dict(m.outputs) == {"out.0": "fine", "out.1": "coarse"} and m.net.output == "coarse"


def test_what_follows_an_operator_of_which_nobody_knows_the_shape(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["y"], "stem"), node("LSTM", ["y"], ["z"], "memory"),
             node("Transpose", ["z"], ["t"], perm=[0, 2, 1, 3]), node("Einsum", ["t"], ["out"], "sum")]
    m = read(tmp_path, nodes, {"w": kernel(4, 3, 3, 3)}, unsupported="stand_in")
    assert m.net.names == ("stem",) and dict(m.outputs) == {"out.0": "stem"} and "LSTM" in m.notes[0]


def test_an_activation_between_shifts_as_paddle_spells_it(tmp_path: Path) -> None:
    """a hardswish(c x + d) + b is a scale and a shift, one activation, a scale and a shift."""
    nodes = [node("Conv", ["x", "w"], ["y"], "conv"), node("Mul", ["y", "c"], ["s"]), node("Add", ["s", "d"], ["t"]),
             node("Add", ["t", "three"], ["u"]), node("Clip", ["u", "zero", "six"], ["v"]),
             node("Div", ["v", "six"], ["r"]), node("Mul", ["t", "r"], ["h"], "act"), node("Mul", ["h", "a"], ["g"]),
             node("Add", ["g", "b"], ["out"])]
    numbers = {"c": 1.5, "d": 0.3, "three": 3.0, "zero": 0.0, "six": 6.0, "a": 0.7, "b": -0.2}
    arrays = {key: np.array(value, np.float32) for key, value in numbers.items()}
    m = read(tmp_path, nodes, {"w": kernel(4, 3, 3, 3), **arrays})
    assert ops(m) == ["conv", "conv", "hardswish", "scale", "conv"] and not m.stand_ins
    shifts = [float(m.weights[f"{m.net.names[i]}.bias"][0]) for i in (1, 4)]
    assert shifts == [pytest.approx(numbers["d"], 1e-6), pytest.approx(numbers["b"], 1e-6)]


CONV = node("Conv", ["x", "w"], ["out"], "stem")
W = {"w": kernel(4, 3, 3, 3)}


@pytest.mark.parametrize("nodes, arrays, options, words", [
    ([node("QLinearConv", ["x"], ["out"])], {}, {}, "quantised operators .QLinearConv."),
    ([CONV], W, {"opset": 5}, "opset 5: operators of version 7 to"), ([CONV], W, {"opset": 99}, "opset 99"),
    ([node("Relu", ["b"], ["a"]), node("Relu", ["a"], ["b"])], {}, {}, "a cycle"),
    ([CONV], W, {"shape": (1, 3, "h", "w")}, "image=None: the file leaves the size of 'x' open .1x3xhxw"),
    ([CONV], W, {"image": 32}, "image=32: the file is for 16 pixels"),
    ([CONV], W, {"image": (32, 32, 32), "shape": (1, 3, "h", "w")}, "must have 2 values"),
    ([CONV], W, {"shape": (1, 4, 16, 16)}, "node 'stem' .Conv.: weights of shape"),
    ([CONV], W, {"shape": (1, 3, 2, 16)}, "larger than its input"),
    ([node("Conv", ["x"], ["out"])], {}, {}, "malformed"),
    ([node("Reshape", ["x", "to"], ["out"])], {"to": ints(7, 7)}, {}, "of .1, 3, 16, 16. to"),
    ([node("Reshape", ["x", "x"], ["out"])], {}, {}, "depends on the model's input"),
    ([node("ConstantOfShape", ["to"], ["c"]), CONV], {**W, "to": ints(10**6, 10**6)}, {}, "very large constant"),
    ([node("Expand", ["w", "to"], ["c"]), CONV], {**W, "to": ints(10**9, 4, 3, 3, 3)}, {}, "very large constant"),
    ([node("Relu", ["w"], ["out"])], W, {}, "no output depends on the input"),
    ([node("Identity", ["x"], ["out"])], {}, {}, "no layer leads to its output"),
    ([CONV], W, {"init": "zeros"}, "init='zeros'"), ([CONV], W, {"unsupported": "skip"}, "unsupported='skip'"),
])
def test_refused(tmp_path: Path, nodes: list[bytes], arrays: dict[str, Any], options: dict[str, Any],
                 words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(tmp_path, nodes, arrays, **options)


def test_several_inputs(tmp_path: Path) -> None:
    path = tmp_path / "two.onnx"
    path.write_bytes(model([node("Add", ["x", "y"], ["out"])], [info("x", (1, 3, 8, 8)), info("y", (1, 3, 8, 8))],
                           [info("out", None)]))
    with pytest.raises(ValueError, match=r"takes 2 inputs: x \(1x3x8x8\), y \(1x3x8x8\); choose .* given=\{'y': 0.0\}"):
        from_onnx(path)
    for options, words in (({"input": "z"}, "input='z': must be of the inputs x"), ({"input": "x"}, "takes 2 inputs"),
                           ({"given": {"z": 1}}, "given='z': must be of the inputs x"),
                           ({"given": {"x": 1, "y": 1}}, "takes 2 inputs"),
                           ({"given": {"y": np.zeros((3, 8, 8))}}, r"given\['y'\]: must have the shape")):
        with pytest.raises(ValueError, match=words):
            from_onnx(path, **options)


def test_one_of_several_inputs_is_chosen(tmp_path: Path) -> None:
    """x conv gate, the gate of another input: a factor where it is a constant."""
    path = tmp_path / "gated.onnx"
    path.write_bytes(model([node("Conv", ["x", "w"], ["a"], "conv"), node("Mul", ["a", "g"], ["b"], "gate"),
                            node("Conv", ["b", "v"], ["out"], "last")],
                           [info("g", ("n", 1)), info("x", (1, 3, 16, 16))], [info("out", (1, 4, 12, 12))],
                           [tensor("w", W["w"]), tensor("v", kernel(4, 4, 3, 3))]))
    half = from_onnx(path, given={"g": 0.5}).predict()
    for options in ({"input": "x", "given": {"g": np.array([[0.5]])}}, {"given": {"g": [[0.5]]}}):
        np.testing.assert_array_equal(from_onnx(path, **options).predict().map, half.map)
    whole = from_onnx(path, given={"g": 1}).predict()
    np.testing.assert_allclose(half.map, whole.map / 4, rtol=1e-12)


def test_unknown_operators_are_listed_together(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"], "one"), node("Warp", ["a"], ["b"], "two"),
             node("Fancy", ["b"], ["c"], "three", "com.example"), node("Conv", ["c", "v"], ["out"], "four")]
    path = tmp_path / "model.onnx"
    path.write_bytes(model(nodes, [info("x", (1, 3, 16, 16))], [info("out", (1, 4, 12, 12))],
                           [tensor("w", kernel(4, 3, 3, 3)), tensor("v", kernel(4, 4, 3, 3))],
                           [info("b", (1, 4, 14, 14)), info("c", (1, 4, 14, 14))]))
    with pytest.raises(NotImplementedError, match="(?s)1 x Warp: two; nothing stands in"):
        from_onnx(path)


def test_bytes_changed(tmp_path: Path) -> None:
    """Changed bytes in a file of many operators: read, or refused with a documented error."""
    whole = model([CONV, node("Relu", ["out"], ["r"]), node("Reshape", ["r", "to"], ["s"]),
                   node("Transpose", ["s"], ["t"], perm=[0, 2, 1, 3, 4]), node("Reshape", ["t", "back"], ["u"]),
                   node("MaxPool", ["u"], ["p"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
                   node("Slice", ["p", "a", "b"], ["q"]), node("Concat", ["q", "q"], ["z"], axis=1),
                   node("ReduceMean", ["z"], ["m"], axes=[2, 3])],
                  [info("x", (1, 3, 16, 16))], [info("m", None)],
                  [tensor("w", W["w"]), tensor("to", ints(0, 2, 2, 14, 14)), tensor("back", ints(0, -1, 14, 14)),
                   tensor("a", ints(0, 0)), tensor("b", ints(1, 3))])
    about = bytearray(whole)
    at = about.find(W["w"].tobytes())
    places = [i for i in range(len(about)) if not at <= i < at + W["w"].nbytes]
    path, rng = tmp_path / "model.onnx", np.random.default_rng(1)
    for _ in range(300):
        data = bytearray(about)
        for i in rng.choice(places, size=rng.integers(1, 4)):
            data[i] = rng.choice([0, 1, 2, 3, 0x7f, 0x80, 0xff, int(rng.integers(256))])
        path.write_bytes(bytes(data))
        try:
            from_onnx(path, unsupported="stand_in")
        except (ValueError, NotImplementedError):
            pass


def test_it_needs_no_number_field(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(number(1, 8))
    with pytest.raises(ValueError, match="no ONNX model"):
        from_onnx(path)


def test_what_does_not_go_together_is_refused_by_name(tmp_path: Path) -> None:
    """A norm without its variances; a weight that is no number; an operator with letters of patterns in its name."""
    norm = {name: kernel(3) for name in "gsm"}
    for nodes, arrays, words in (
            ([node("BatchNormalization", ["x", "g", "s", "m"], ["out"], "odd")], norm, "model.onnx.*odd: batch_norm"),
            ([node("Conv", ["x", "w"], ["out"], "stem")], {"w": kernel(4, 3, 3, 3) * np.float32(np.nan)},
             "model.onnx.*stem: gain=nan"),
            ([node("Con(v", ["x"], ["out"])], {}, r"model.onnx.*Con\(v has no layer")):
        with pytest.raises(ValueError, match=words):
            read(tmp_path, nodes, arrays)


def test_long_expressions_are_read_at_once(tmp_path: Path) -> None:
    """Each value is read twice: as a tree it would have 2^100 leaves."""
    nodes = [node("Conv", ["x", "w"], ["a0"])] + [node("Add", [f"a{i}", f"a{i}"], [f"a{i + 1}"]) for i in range(100)]
    m = read(tmp_path, [*nodes, node("Identity", ["a100"], ["out"])], {"w": kernel(4, 3, 3, 3)})
    assert np.prod([n.layer.factor for n in m.net if n.layer.op == "scale"]) == 2.0**100


def test_a_mean_of_tensors(tmp_path: Path) -> None:
    m = read(tmp_path, [node("Conv", ["x", "w"], ["a"]), node("Conv", ["x", "v"], ["b"]), node("Relu", ["b"], ["c"]),
                        node("Mean", ["a", "b", "c"], ["out"])], {"w": kernel(4, 3, 3, 3), "v": kernel(4, 3, 3, 3)})
    assert m.net[m.outputs["out"]].layer == em.Scale(1 / 3) and ops(m).count("add") == 2


def head(*after: bytes) -> list[bytes]:
    """Two levels of a detector, flattened and joined, and what comes after."""
    return [node("Conv", ["x", "w"], ["a"], "stem", pads=[1, 1, 1, 1]), node("Relu", ["a"], ["b"], "relu"),
            node("Conv", ["b", "v"], ["c"], "down", pads=[1, 1, 1, 1], strides=[2, 2]),
            node("Conv", ["c", "v"], ["d"], "deep", pads=[1, 1, 1, 1], strides=[2, 2]),
            node("Reshape", ["c", "levels"], ["e"]), node("Reshape", ["d", "levels"], ["f"]),
            node("Concat", ["e", "f"], ["g"], "head.concat", axis=2), *after]


LEVELS = {"w": kernel(4, 3, 3, 3), "v": kernel(4, 4, 3, 3), "levels": ints(1, 4, -1), "k": kernel(4, 4, 3),
          "one": kernel(4, 4, 1), "anchors": kernel(1, 2, 80), "first": ints(0), "second": ints(2), "axis": ints(1)}
DECODED = [node("Sigmoid", ["g"], ["h"]), node("Slice", ["h", "first", "second", "axis"], ["i"]),
           node("Add", ["i", "anchors"], ["j"]), node("Conv", ["h", "one"], ["l"]), node("Concat", ["j", "l"], ["out"],
                                                                                         axis=1)]


def test_heads_that_join_levels_are_no_reason_to_refuse(tmp_path: Path) -> None:
    m = read(tmp_path, head(*DECODED), LEVELS)
    assert dict(m.outputs) == {"out.0": "down", "out.1": "deep"} and m.net.output == "deep" and not m.stand_ins
    assert [note for note in m.notes if "head.concat: joins maps without their axes" in note]
    assert m.receptive_field(node="out.0").size == (5, 5) and m.receptive_field().size == (9, 9)


def test_what_computes_after_a_head_is_refused(tmp_path: Path) -> None:
    for last, words in (([node("Conv", ["g", "k"], ["out"])], "conv of maps that were joined without their axes"),
                        ([node("Fancy", ["g"], ["out"])], "Fancy"),
                        ([node("Transpose", ["g"], ["t"], perm=[0, 2, 1]), node("MatMul", ["t", "g"], ["out"])],
                         "attention")):
        with pytest.raises(NotImplementedError, match=f"1 x {words}"):
            read(tmp_path, head(*last), LEVELS)


def test_sound_without_an_axis_of_channels(tmp_path: Path) -> None:
    """Samples are padded before they get one; values of a file's own arrays may be scattered."""
    nodes = [node("Pad", ["x", "pads"], ["a"], "pad"), node("Unsqueeze", ["a", "axis"], ["b"]),
             node("Conv", ["b", "w"], ["c"], "frames", strides=[8]), node("Relu", ["c"], ["d"], "relu"),
             node("ScatterElements", ["zeros", "where", "ones"], ["m"], axis=1), node("Add", ["d", "m"], ["out"])]
    m = read(tmp_path, nodes, {"pads": ints(0, 4, 0, 4), "axis": ints(1), "w": kernel(6, 1, 16),
                               "zeros": np.zeros((1, 6, 1), np.float32), "where": ints(2).reshape(1, 1, 1),
                               "ones": np.ones((1, 1, 1), np.float32)}, shape=(1, 64))
    assert m.image == (64,) and m.channels_in == 1 and m.net.output.startswith("add")
    assert m.net["pad"].layer == em.Pad(4) and m.receptive_field(node="frames").size == (16,)
