"""The transforms: the chain rule, names and shapes of results, smallness, and refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphspec as gs
from graphspec.testing import DerivativeMismatchError, check_derivatives

HEAD = '<ir_version: 10, opset_import: ["" : 21]>\n'


def text(body: str) -> ir.Model:
    return ir.from_onnx_text(HEAD + body)


def draw(model: ir.Model, sizes: dict[str, int] | None = None, seed: int = 0) -> dict[str, np.ndarray]:
    """Random feeds; symbolic dimensions get ``sizes``, 5 by default."""
    rng = np.random.default_rng(seed)
    feeds = {}
    for value in model.graph.inputs:
        assert value.shape is not None
        shape = [d if isinstance(d, int) else (sizes or {}).get(str(d.value), 5) for d in value.shape.dims]
        feeds[value.name or ""] = rng.uniform(0.3, 2, shape).astype(value.dtype.numpy())  # type: ignore[union-attr]
    return feeds


def names(values: Sequence[ir.Value]) -> list[str | None]:
    return [v.name for v in values]


TANH = "tanh (float[batch,4] x, float[4,3] w) => (float[batch,3] y) { h = MatMul(x, w)\n y = Tanh(h) }"


def test_vjp_of_tanh_is_small() -> None:
    derived = gs.vjp(text(TANH), ["y"], ["x", "w"])
    assert derived.graph.num_nodes() <= 8
    assert names(derived.graph.inputs) == ["x", "w", "y_cotangent"]
    assert names(derived.graph.outputs) == ["y", "x_vjp", "w_vjp"]
    kinds = {n.op_type for n in derived.graph}
    assert not kinds & {"Shape", "Expand", "ReduceSum", "Reshape", "Transpose", "Identity"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(TANH.replace("float", "double"), id="matmul"),
        pytest.param("g (double[3] x) => (double y) { a = Mul(x, x)\n b = Sin(x)\n c = Mul(a, b)\n d = Add(c, a)\n e = Mul(d, x)\n y = ReduceSum<keepdims=0>(e) }", id="fan-out"),
        pytest.param("g (double[N,1,3] x, double[4,1] w, double s) => (double[N,4,3] y) { a = Mul(x, w)\n b = Add(a, s)\n y = Tanh(b) }", id="broadcast"),
        pytest.param("g (double[A,B] x, double[C,D] w) => (double[E,F] y) { a = Mul(x, w)\n y = Add(a, x) }", id="unknown-broadcast"),
        pytest.param("g (double[N] x) => (double[N] y, double z) { y = Exp(x)\n z = ReduceMean<keepdims=0>(y) }", id="two-outputs"),
    ],
)  # fmt: skip
def test_chain_rule_agrees_with_central_differences(body: str) -> None:
    model = text(body)
    feeds = draw(model, {"A": 1, "B": 3, "C": 4, "D": 1, "N": 2})
    report = check_derivatives(model, feeds, [n or "" for n in names(model.graph.outputs)], list(feeds))
    assert report.checks > len(feeds)
    onnx.checker.check_model(
        ir.to_proto(gs.vjp(model, [model.graph.outputs[0].name or ""], list(feeds)[:1])), full_check=True
    )


def test_check_derivatives_finds_a_wrong_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    from graphspec.operators import registry

    entry = registry.find("Tanh", "", 21)
    assert entry is not None
    # The classic mistake: right only for a cotangent of ones.
    monkeypatch.setattr(entry, "rule", lambda op, dY, Y, X: op.Sub(dY, op.Mul(Y, Y)))
    model = text(TANH.replace("float", "double"))
    with pytest.raises(DerivativeMismatchError, match="expected"):
        check_derivatives(model, draw(model), ["y"], ["x"])


def test_grad_has_outputs_then_gradients_with_the_shape_of_their_values() -> None:
    model = text(
        "g (float[N,4] x) => (float loss) <float[4,3] w = {1,2,3,4,5,6,7,8,9,10,11,12}, float[3] b = {0,0,0}> "
        "{ h = MatMul(x, w)\n a = Add(h, b)\n r = Relu(a)\n loss = ReduceMean<keepdims=0>(r) }"
    )
    derived = gs.grad(model, of="loss", wrt=["w", "b", "a", "x"])
    assert names(derived.graph.outputs) == ["loss", "w_grad", "b_grad", "a_grad", "x_grad"]
    x = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    found = gs.Session(derived).run({"x": x})
    w = np.arange(1, 13, dtype=np.float32).reshape(4, 3)
    mask = (x @ w > 0) / np.float32(18)
    np.testing.assert_allclose(found["a_grad"], mask, rtol=1e-6)
    np.testing.assert_allclose(found["w_grad"], x.T @ mask, rtol=1e-5)
    np.testing.assert_allclose(found["b_grad"], mask.sum(0), rtol=1e-6)
    np.testing.assert_allclose(found["x_grad"], mask @ w.T, rtol=1e-5)
    assert {v.dtype for v in found.values()} == {np.dtype(np.float32)}


def test_an_intermediate_is_differentiated_beside_what_it_comes_from() -> None:
    model = text("g (double[3] x) => (double y) { a = Mul(x, x)\n b = Mul(a, x)\n y = ReduceSum<keepdims=0>(b) }")
    x = np.array([1.0, 2, 3])
    found = gs.Session(gs.grad(model, "y", ["a", "x"])).run({"x": x})
    np.testing.assert_allclose(found["a_grad"], x)
    np.testing.assert_allclose(found["x_grad"], 3 * x**2)


def test_of_may_be_an_intermediate_and_wrt_of_itself_is_the_seed() -> None:
    model = text("g (double[3] x) => (double[3] y) { a = Sin(x)\n s = ReduceSum<keepdims=0>(a)\n y = Mul(x, s) }")
    derived = gs.grad(model, "s", ["x", "s"])
    assert names(derived.graph.outputs) == ["y", "s", "x_grad", "s_grad"]
    found = gs.Session(derived).run({"x": np.array([0.1, 0.2, 0.3])})
    np.testing.assert_allclose(found["x_grad"], np.cos([0.1, 0.2, 0.3]))
    assert found["s_grad"] == 1


def test_gradients_of_gradients() -> None:
    model = text("g (double[3] x) => (double y) { a = Exp(x)\n b = Mul(a, x)\n y = ReduceSum<keepdims=0>(b) }")
    first = gs.grad(model, "y", ["x"])
    second = gs.vjp(first, ["x_grad"], ["x"])
    third = gs.vjp(second, ["x_vjp"], ["x"])
    assert names(third.graph.outputs) == ["y", "x_grad", "x_vjp", "x_vjp_2"]
    x, c, d = np.random.default_rng(0).standard_normal((3, 3))
    found = gs.Session(third).run({"x": x, "x_grad_cotangent": c, "x_vjp_cotangent": d})
    np.testing.assert_allclose(found["x_grad"], np.exp(x) * (x + 1))
    np.testing.assert_allclose(found["x_vjp"], c * np.exp(x) * (x + 2))
    np.testing.assert_allclose(found["x_vjp_2"], d * c * np.exp(x) * (x + 3))


def test_zero_almost_everywhere_is_zero_and_nothing_else_is() -> None:
    model = text("g (float[3] x) => (float[3] y) { y = Floor(x) }")
    found = gs.Session(gs.vjp(model, ["y"], ["x"])).run(
        {"x": np.array([1.5, 2.5, -1], np.float32), "y_cotangent": np.array([1, 2, 3], np.float32)}
    )
    np.testing.assert_array_equal(found["x_vjp"], np.zeros(3, np.float32))


def test_the_model_given_is_not_changed() -> None:
    model = text(TANH)
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    gs.vjp(model, ["y"], ["x"])
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


def test_old_opsets_are_converted_upward() -> None:
    model = ir.from_onnx_text(
        '<ir_version: 4, opset_import: ["" : 9]> g (float[2,3] x) => (float[2] y) '
        "{ s = ReduceSum<axes=[1], keepdims=0>(x)\n y = Mul(s, s) }"
    )
    derived = gs.vjp(model, ["y"], ["x"])
    assert derived.graph.opset_imports[""] == 18
    onnx.checker.check_model(ir.to_proto(derived), full_check=True)


LOOKUP = "g (float[5,2] table, int64[N] ids, float[2] v) => (float[N,2] y, float s, int64[N] k) { e = Gather(table, ids)\n y = Mul(e, v)\n s = ReduceSum<keepdims=0>(y)\n k = Add(ids, ids) }"  # fmt: skip

REFUSED: list[Any] = [
    pytest.param(LOOKUP, "grad", "y", ["table"], "not-scalar", "exactly one element", id="of-non-scalar"),
    pytest.param(LOOKUP, "grad", "s", ["ids"], "not-differentiable", "int64", id="wrt-integer"),
    pytest.param(LOOKUP, "vjp", ["k"], ["table"], "not-differentiable", "int64", id="of-integer"),
    pytest.param(LOOKUP, "grad", "s", ["tabel"], "unknown-value", "table", id="wrt-unknown"),
    pytest.param(LOOKUP, "grad", "z", ["table"], "unknown-value", "no value", id="of-unknown"),
    pytest.param(LOOKUP, "vjp", ["y"], ["s"], "not-connected", "does not depend", id="not-connected"),
    pytest.param(LOOKUP, "vjp", ["y"], [], "empty-request", "empty", id="empty"),
    pytest.param(LOOKUP, "vjp", ["y"], ["v", "v"], "duplicate-request", "twice", id="twice"),
    pytest.param(LOOKUP, "grad", ["y", "s"], ["v"], "not-scalar", "one scalar", id="several-scalars"),
]


@pytest.mark.parametrize(("body", "kind", "of", "wrt", "code", "says"), REFUSED)
def test_refusals_say_why(body: str, kind: str, of: Any, wrt: list[str], code: str, says: str) -> None:
    with pytest.raises(gs.NotDifferentiable) as caught:
        getattr(gs, kind)(text(body), of, wrt)
    problem = caught.value.problems[0]
    assert problem.code == code
    assert says in str(problem)


def test_a_missing_rule_names_operator_node_and_input(monkeypatch: pytest.MonkeyPatch) -> None:
    from graphspec.operators import registry

    entry = registry.find("Sin", "", 21)
    assert entry is not None
    monkeypatch.setattr(entry, "rule", None)
    model = text("g (float[4] x, float[1] w) => (float[4] y) { p = Mul(x, w)\n y = Sin(p) }")
    model.graph.node(1).name = "wave"
    with pytest.raises(gs.NoGradientRule) as caught:
        gs.vjp(model, ["y"], ["x"])
    assert caught.value.problems[0].node == "wave"
    for part in ("ai.onnx::Sin-21", "input 0 ('p')", "'wave'"):
        assert part in str(caught.value)


CAPTURES = {
    "If": ("""g (double[3] x, bool c, int64 n) => (double[3] y) { y = If (c) <
        then_branch = t () => (double[3] a) { a = Mul(x, x) }, else_branch = e () => (double[3] b) { b = Identity(x) }> }""",
           lambda x: 2 * x),
    "Loop": ("""g (double[3] x, int64 n, bool c) => (double[3] y) { z = Sub(x, x)
        y = Loop (n, c, z) <body = b (int64 i, bool d, double[3] s) => (bool e, double[3] t)
        { e = Identity(d)\n t = Add(s, x) }> }""",
             lambda x: np.full_like(x, 4)),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(CAPTURES))
def test_values_captured_by_subgraphs_are_never_silently_zero(kind: str) -> None:
    source, slope = CAPTURES[kind]
    x, dy = np.array([0.5, -1.0, 2.0]), np.array([1.0, 2.0, -3.0])
    derived = gs.vjp(text(source), ["y"], ["x"])
    found = gs.Session(derived).run({"x": x, "n": np.array(4), "c": np.array(True), "y_cotangent": dy})
    np.testing.assert_allclose(found["x_vjp"], slope(x) * dy)


REFUSED = {
    "random numbers": """g (float[3] x, bool c) => (float[3] y) { y = If (c) < then_branch = t () => (float[3] a) {
        r = RandomNormalLike(x)\n a = Mul(x, r) }, else_branch = e () => (float[3] b) { b = Identity(x) }> }""",
}


@pytest.mark.parametrize("why", sorted(REFUSED))
def test_subgraphs_that_cannot_be_differentiated_are_refused(why: str) -> None:
    with pytest.raises(gs.NoGradientRule, match=why):
        gs.vjp(text(REFUSED[why]), ["y"], ["x"])


def test_functions_of_the_model_are_differentiated_through() -> None:
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["" : 21, "mine" : 1]>
        g (double[3] x) => (double[3] y) { a = mine.cube <k = 3.0> (x)
            y = mine.cube <k = 1.0> (a) }
        <domain: "mine", opset_import: ["" : 21]>
        cube <k> (x) => (y) { c = Constant<value_float: float = @k>()
            d = CastLike(c, x)
            s = Mul(x, x)
            t = Mul(s, x)
            y = Mul(t, d) }"""
    )
    x = np.array([0.5, 1.0, 1.5])
    found = gs.Session(gs.vjp(model, ["y"], ["x"])).run({"x": x, "y_cotangent": np.array([1.0, 2, 3])})
    np.testing.assert_allclose(found["y"], 27 * x**9)
    np.testing.assert_allclose(found["x_vjp"], np.array([1.0, 2, 3]) * 243 * x**8)
