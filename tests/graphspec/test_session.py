"""The session: fetches, overridden parameters, ownership of results, threads, errors."""

from __future__ import annotations

import concurrent.futures
import time

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphspec as gs

HEAD = '<ir_version: 10, opset_import: ["" : 21]>\n'
MLP = (
    "g (float[N,4] x) => (float[N,3] y, float s) <float[4,3] w = {1,2,3,4,5,6,7,8,9,10,11,12}> "
    "{ h = MatMul(x, w)\n y = Tanh(h)\n s = ReduceSum<keepdims=0>(h) }"
)


def text(body: str) -> ir.Model:
    return ir.from_onnx_text(HEAD + body)


X = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
W = np.arange(1, 13, dtype=np.float32).reshape(4, 3)


@pytest.mark.parametrize("provider", ["numpy", "onnxruntime"])
def test_run(provider: str) -> None:
    session = gs.Session(text(MLP), provider=provider)  # type: ignore[arg-type]
    found = session.run({"x": X})
    assert list(found) == ["y", "s"]
    np.testing.assert_allclose(found["y"], np.tanh(X @ W), rtol=1e-5)
    np.testing.assert_allclose(found["s"], (X @ W).sum(), rtol=1e-4)
    assert list(session.run({"x": X}, fetches=["h"])) == ["h"]
    np.testing.assert_allclose(session.run({"x": X}, ["h"])["h"], X @ W, rtol=1e-5)


@pytest.mark.parametrize("provider", ["numpy", "onnxruntime"])
def test_a_feed_overrides_a_parameter_for_one_run(provider: str) -> None:
    session = gs.Session(text(MLP), provider=provider)  # type: ignore[arg-type]
    np.testing.assert_allclose(session.run({"x": X, "w": -W}, ["h"])["h"], -(X @ W), rtol=1e-5)
    np.testing.assert_allclose(session.run({"x": X}, ["h"])["h"], X @ W, rtol=1e-5)


def test_only_what_the_fetches_need_is_computed() -> None:
    model = text(
        "g (float[N] x, float[2] z) => (float[N] y, float[2,3] bad) { y = Sin(x)\n s = Constant<value_ints=[2,3]>()\n bad = Reshape(z, s) }"
    )
    x = np.ones(3, np.float32)
    z = np.ones(2, np.float32)
    try:
        session = gs.Session(model)
    except gs.ValidationError:
        pytest.fail("the graph itself was refused")
    np.testing.assert_allclose(session.run({"x": x, "z": z}, ["y"])["y"], np.sin(x), rtol=1e-6)


def test_results_belong_to_the_caller() -> None:
    model = text(
        "g (float[2,3] x) => (float[2,3] a, float[3,2] b, float[2,3] c, float[2] d) <float[2] w = {1,2}> { a = Identity(x)\n b = Transpose(x)\n c = Identity(x)\n d = Identity(w) }"
    )
    session = gs.Session(model)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = session.run({"x": x})
    for name, array in found.items():
        array[...] = -1
        assert x.max() == 5, name
    assert session.run({"x": x})["d"].tolist() == [1, 2]


def test_a_value_that_was_optimised_away_can_still_be_fetched() -> None:
    model = text(
        "g (float[3] x) => (float[3] y) { k = Constant<value_float=2.0>()\n k2 = Mul(k, k)\n z = Mul(x, k2)\n u = Neg(z)\n y = Identity(z) }"
    )
    found = gs.Session(model).run({"x": np.ones(3, np.float32)}, ["k2", "u", "y"])
    assert found["k2"] == 4
    assert found["u"].tolist() == [-4, -4, -4]


def test_threads_share_a_session() -> None:
    session = gs.Session(text(MLP))
    rng = np.random.default_rng(1)
    xs = [rng.standard_normal((n % 7 + 1, 4)).astype(np.float32) for n in range(200)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda x: session.run({"x": x}, ["y"] if len(x) % 2 else None)["y"], xs))
    for x, y in zip(xs, results, strict=True):
        np.testing.assert_allclose(y, np.tanh(x @ W), rtol=1e-5)


def test_a_run_past_its_deadline_is_stopped() -> None:
    session = gs.Session(text(MLP))
    with pytest.raises(gs.LimitError) as caught:
        session.run({"x": X}, deadline=time.monotonic() - 1)
    assert caught.value.problems[0].code == "deadline"


def test_a_kernel_that_refuses_its_values_names_the_node() -> None:
    model = text("g (float[2,3] x, int64[1] i) => (float[N,3] y) { a = Sin(x)\n y = Gather(a, i) }")
    model.graph.node(1).name = "look-up"
    with pytest.raises(gs.ExecutionError, match="look-up") as caught:
        gs.Session(model).run({"x": np.ones((2, 3), np.float32), "i": np.array([7])})
    assert caught.value.problems[0].node == "look-up"
    assert "float32[2, 3]" in str(caught.value.problems[0].found)


def test_more_memory_than_there_is() -> None:
    model = text("g (int64[2] s) => (float[A,B] y) { y = ConstantOfShape(s) }")
    with pytest.raises((gs.LimitError, gs.ExecutionError), match="ConstantOfShape_y"):
        gs.Session(model).run({"s": np.array([10**7, 10**8])})


def test_an_operator_without_a_kernel_is_named() -> None:
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["" : 21, "nowhere" : 1]> g (float[2] x) => (float[2] y) { y = nowhere.Thing(x) }'
    )
    model.graph.node(0).name = "thing"
    with pytest.raises(gs.UnsupportedError, match="nowhere::Thing") as caught:
        gs.Session(model)
    assert caught.value.problems[0].node == "thing"


def test_nodes_may_come_in_any_order() -> None:
    model = text("g (float[3] x) => (float[3] y) { a = Sin(x)\n y = Neg(a) }")
    first = model.graph.node(0)
    model.graph.remove(first)
    model.graph.append(first)
    found = gs.Session(model).run({"x": np.ones(3, np.float32)})
    np.testing.assert_allclose(found["y"], -np.sin(np.ones(3)), rtol=1e-6)


def test_integer_initializers_are_part_of_the_graph() -> None:
    """Shapes and constants are worked out from them, in derivatives too: an override would be half seen."""
    model = text("g (float[4] x) => (float[N] y) <int64[2] i = {0, 1}> { y = Gather(x, i) }")
    session = gs.Session(model)
    with pytest.raises(gs.FeedError, match="constant of the graph"):
        session.run({"x": np.ones(4, np.float32), "i": np.array([2, 3])})
    assert session.run({"x": np.ones(4, np.float32)}, ["i"])["i"].tolist() == [0, 1]


NOISE = "g (float[64] x) => (float[64] y, float[64] z) { a = RandomNormalLike(x)\n y = Add(x, a)\n z = RandomUniformLike<seed=3.0>(x) }"


def test_random_numbers_start_from_the_seed_of_the_run_or_of_the_node() -> None:
    session = gs.Session(text(NOISE))
    x = np.zeros(64, np.float32)
    first, again, other, free = (session.run({"x": x}, seed=s) for s in (7, 7, 8, None))
    np.testing.assert_array_equal(first["y"], again["y"])
    assert (first["y"] != other["y"]).any()
    assert (first["y"] != free["y"]).any()
    for run in (again, other, free):
        np.testing.assert_array_equal(run["z"], first["z"])


def test_sparse_constants_compute_as_dense_ones() -> None:
    values = onnx.helper.make_tensor("v", 1, [2], [1.5, 2.5])
    indices = onnx.helper.make_tensor("i", 7, [2], [1, 5])
    sparse = onnx.helper.make_sparse_tensor(values, indices, [2, 3])
    nodes = [
        onnx.helper.make_node("Constant", [], ["c"], sparse_value=sparse),
        onnx.helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    ends = [onnx.helper.make_tensor_value_info(name, 1, [2, 3]) for name in "xy"]
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:])
    model = gs.load(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10))
    x = np.ones((2, 3), np.float32)
    assert gs.Session(model).run({"x": x})["y"].tolist() == [[1, 2.5, 1], [1, 1, 3.5]]
    derived = gs.vjp(model, ["y"], ["x"])
    assert gs.Session(derived).run({"x": x, "y_cotangent": 2 * x})["x_vjp"].tolist() == [[2, 2, 2], [2, 2, 2]]
