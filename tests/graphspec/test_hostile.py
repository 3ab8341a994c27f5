"""Graphs that ask for too much, or for what cannot be: each is refused with a typed error, before memory is asked for."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnx
import pytest

import graphspec as gs
from graphspec.operators import control_flow

HEAD = '<ir_version: 10, opset_import: ["" : 21, "f" : 1]>\n'
ONE = np.ones(1, np.float32)
MILLION = 10**6
LARGE = "<int64[2] s = {1000000,1000000}>"

# A graph, its feeds, the error and the node that it names.
TOO_LARGE: list[Any] = [
    pytest.param("g (int64[2] s) => (float[A,B] y) { y = ConstantOfShape(s) }", {"s": np.array([MILLION, MILLION])}, "ConstantOfShape_y", id="constant-of-shape"),
    pytest.param(f"g (float[1] x) => (float[A,B] y) {LARGE} {{ z = ConstantOfShape(s)\n y = Add(z, x) }}", {"x": ONE}, "ConstantOfShape_z", id="constant-of-shape-folded"),
    pytest.param(f"g (float[1] x) => (float[A,B] y) {LARGE} {{ z = Expand(x, s)\n y = Add(z, x) }}", {"x": ONE}, "Add_y", id="expand"),
    pytest.param(f"g (float[1,1] x) => (float[A,B] y) {LARGE} {{ y = Tile(x, s) }}", {"x": np.ones((1, 1), np.float32)}, "Tile_y", id="tile"),
    pytest.param("g (float[1,1] x) => (float[A,B] y) <int64[4] s = {1000000,1000000,0,0}> { y = Pad(x, s) }", {"x": np.ones((1, 1), np.float32)}, "Pad_y", id="pad"),
    pytest.param("g (int64[1000000] x) => (float[A,B] y) <int64 d = {1000000}, float[2] v = {0,1}> { y = OneHot(x, d, v) }", {"x": np.ones(MILLION, np.int64)}, "OneHot_y", id="one-hot"),
    pytest.param('g (float[1,1,1,1] x) => (float[A,B,C,D] y) <int64[4] s = {1,1,1000000,1000000}> { y = Resize<mode="nearest">(x,,,s) }', {"x": np.ones((1, 1, 1, 1), np.float32)}, "Resize_y", id="resize"),
    pytest.param("g (int64 a, int64 b, int64 c) => (int64[N] y) { y = Range(a, b, c) }", {"a": np.int64(0), "b": np.int64(10**15), "c": np.int64(1)}, "Range_y", id="range"),
    pytest.param('g (float[N] x) => (float[A,B,C,D] y) { y = Einsum<equation="a,b,c,d->abcd">(x,x,x,x) }', {"x": np.ones(3000, np.float32)}, "Einsum_y", id="einsum"),
    pytest.param("g (float[N,1] x, float[1,M] z) => (float[A,B] y) { y = Add(x, z) }", {"x": np.ones((MILLION, 1), np.float32), "z": np.ones((1, MILLION), np.float32)}, "Add_y", id="broadcast"),
]  # fmt: skip

REFUSED: list[Any] = [
    pytest.param("g (float a, float b, float c) => (float[N] y) { y = Range(a, b, c) }", {"a": np.float32(0), "b": np.float32(5), "c": np.float32(0)}, "Range_y", id="range-step-0"),
    pytest.param("g (float[2,3] x, int64[1] s) => (float[N] y) { y = Reshape(x, s) }", {"x": np.ones((2, 3), np.float32), "s": np.array([7])}, "Reshape_y", id="reshape-does-not-fit"),
    pytest.param("g (float[2,3] x, int64[2] s) => (float[N,M] y) { y = Reshape(x, s) }", {"x": np.ones((2, 3), np.float32), "s": np.array([-1, -1])}, "Reshape_y", id="reshape-two-unknowns"),
    pytest.param("g (float[3] x, int64[1] i) => (float[1] y) { y = Gather(x, i) }", {"x": np.ones(3, np.float32), "i": np.array([3])}, "Gather_y", id="index-out-of-range"),
    pytest.param("g (float[3] x, int64[1] i) => (float[1] y) { y = GatherElements(x, i) }", {"x": np.ones(3, np.float32), "i": np.array([-4])}, "GatherElements_y", id="index-below-range"),
    pytest.param("g (float[3] x, int64[1] i, float[1] u) => (float[3] y) { y = ScatterElements(x, i, u) }", {"x": np.ones(3, np.float32), "i": np.array([9]), "u": ONE}, "ScatterElements_y", id="scatter-out-of-range"),
    pytest.param("g (int64[1] s) => (float[N] y) { y = ConstantOfShape(s) }", {"s": np.array([-2])}, "ConstantOfShape_y", id="negative-size"),
    pytest.param("g (float[3] x, int64[1] s) => (float[N] y) { y = Tile(x, s) }", {"x": np.ones(3, np.float32), "s": np.array([-1])}, "Tile_y", id="negative-repeats"),
    pytest.param("g (float[4] x, int64[2] s) => (float[N] a, float[M] y) { a, y = Split(x, s) }", {"x": np.ones(4, np.float32), "s": np.array([5, -1])}, "Split_a", id="negative-split"),
    pytest.param("g (float[3] x, int64[1] k) => (float[N] y, int64[N] i) { y, i = TopK(x, k) }", {"x": np.ones(3, np.float32), "k": np.array([5])}, "TopK_y", id="top-of-too-few"),
    pytest.param("g (float[2,3] x, int64[2] t) => (float y) { y = SoftmaxCrossEntropyLoss(x, t) }", {"x": np.ones((2, 3), np.float32), "t": np.array([0, 3])}, "SoftmaxCrossEntropyLoss_y", id="label-out-of-range"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "feeds", "node"), TOO_LARGE)
def test_sizes_out_of_reason_are_refused_before_memory_is_asked_for(
    body: str, feeds: dict[str, Any], node: str
) -> None:
    session = gs.Session(gs.load(HEAD + body))
    with pytest.raises(gs.LimitError) as caught:
        session.run(feeds)
    assert caught.value.problems[0].node == node


@pytest.mark.parametrize(("body", "feeds", "node"), REFUSED)
def test_values_that_do_not_fit_are_refused(body: str, feeds: dict[str, Any], node: str) -> None:
    session = gs.Session(gs.load(HEAD + body))
    with pytest.raises(gs.ExecutionError) as caught:
        session.run(feeds)
    assert caught.value.problems[0].node == node


ENDLESS = """g (float[1] x, bool c) => (float[1] y) { y = Loop (, c, x) <body = b (int64 i, bool d, float[1] s)
    => (bool e, float[1] t) { e = Identity(d)\n t = Add(s, s) }> }"""
ENDLESS_FEEDS = {"x": ONE, "c": np.bool_(True)}


def test_a_loop_that_never_ends_is_stopped_by_the_trip_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_flow, "MAX_TRIPS", 1000)
    with pytest.raises((gs.ExecutionError, gs.LimitError), match="1000") as caught:
        gs.Session(gs.load(HEAD + ENDLESS)).run(ENDLESS_FEEDS)
    assert caught.value.problems[0].node == "Loop_y"


def test_a_loop_that_never_ends_is_stopped_by_the_deadline() -> None:
    with pytest.raises(gs.LimitError) as caught:
        gs.Session(gs.load(HEAD + ENDLESS)).run(ENDLESS_FEEDS, deadline=time.monotonic() + 0.2)
    assert caught.value.problems[0].code == "deadline"


def doubling(levels: int) -> str:
    """Functions that each call the next one twice."""
    calls = [
        f'<domain: "f", opset_import: ["" : 21, "f" : 1]>\nd{i} (x) => (y) {{ a = f.d{i + 1}(x)\n y = f.d{i + 1}(a) }}\n'
        for i in range(levels)
    ]
    return "".join(calls) + f'<domain: "f", opset_import: ["" : 21]>\nd{levels} (x) => (y) {{ y = Sin(x) }}\n'


CALL = "g (float[1] x) => (float[1] y) { y = f.d0(x) }\n"


def test_functions_that_double_each_other() -> None:
    model = gs.load(HEAD + CALL + doubling(24))
    for work in (lambda: gs.Session(model), lambda: gs.grad(model, "y", ["x"])):
        with pytest.raises(gs.LimitError) as caught:
            work()
        assert caught.value.problems[0].code == "inlined-nodes"


def test_functions_that_double_each_other_within_reason_are_run() -> None:
    found = gs.Session(gs.load(HEAD + CALL + doubling(6))).run({"x": ONE})["y"]
    expected = ONE
    for _ in range(64):
        expected = np.sin(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_functions_that_call_themselves() -> None:
    calls = "".join(
        f'<domain: "f", opset_import: ["" : 21, "f" : 1]>\n{a} (x) => (y) {{ y = f.{b}(x) }}\n' for a, b in ("ab", "ba")
    )
    proto = onnx.parser.parse_model(HEAD + "g (float[1] x) => (float[1] y) { y = f.a(x) }\n" + calls)
    with pytest.raises(gs.GraphSpecError, match="itself"):
        gs.Session(gs.load(proto))


def nested(depth: int) -> str:
    """If within If."""
    body = f"a{depth} = Sin(x)"
    for i in reversed(range(depth)):
        body = (
            f"a{i} = If (c) <then_branch = t{i} () => (float[1] b{i}) {{ {body}\n b{i} = Sin(a{i + 1}) }}, "
            f"else_branch = e{i} () => (float[1] q{i}) {{ q{i} = Cos(x) }}>"
        )
    return HEAD + "g (float[1] x, bool c) => (float[1] y) { " + body + "\n y = Sin(a0) }"


def test_subgraphs_nested_within_reason_are_run_and_deeper_ones_refused() -> None:
    gs.Session(gs.load(nested(15))).run(ENDLESS_FEEDS)
    with pytest.raises(gs.LimitError, match="nesting"):
        gs.load(nested(200))


@pytest.mark.parametrize("count", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_long_chain_of_nodes_runs(count: int) -> None:
    nodes = [onnx.helper.make_node("Sin", [f"v{i}"], [f"v{i + 1}"]) for i in range(count)]
    ends = [onnx.helper.make_tensor_value_info(f"v{i}", 1, [1]) for i in (0, count)]
    graph = onnx.helper.make_graph(nodes, "chain", ends[:1], ends[1:])
    model = gs.load(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10))
    found = gs.Session(model).run({"v0": ONE})[f"v{count}"]
    # Iterated, the sine falls like √(3/n).
    np.testing.assert_allclose(found, np.sqrt(3 / count), rtol=1e-3)
