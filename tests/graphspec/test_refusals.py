"""Derivatives refused: the message names operator, node, input and the way there; zeros where these are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphspec as gs

HEAD = '<ir_version: 10, opset_import: ["" : 21, "com.example" : 1]> g '
LONG = " ".join(f"h{i + 1} = Tanh(h{i})" for i in range(12))
BEHIND = " ".join(f"k{i + 1} = Sin(k{i})" for i in range(12))

# The graph, `of`, `wrt`; the problem's fields, its route among them.
CASES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "no rule": (
        "(float[3] x) => (float[3] y) { [first] a = Exp(x) [odd] b = com.example.Odd(a) [last] y = Sin(b) }",
        "y",
        "x",
        {"code": "no-gradient-rule", "node": "odd", "input": "a", "found": "com.example::Odd-1",
         "route": "x → first → odd → last → y"},
    ),
    "two ways": (
        "(float[3] x, float[3] z) => (float[3] y) "
        "{ [p] a = Exp(x) [q] c = Exp(z) [odd] b = com.example.Odd(c) [last] y = Add(a, b) }",
        "y",
        "z",
        {"code": "no-gradient-rule", "node": "odd", "input": "c", "route": "z → q → odd → last → y"},
    ),
    "a long way": (
        "(float[3] h0) => (float[3] k12) { " + LONG + " [odd] k0 = com.example.Odd(h12) " + BEHIND + " }",
        "k12",
        "h0",
        {"code": "no-gradient-rule", "node": "odd", "input": "h12",
         "route": "h0 → Tanh_h1 → Tanh_h2 → Tanh_h3 → (6 more) → Tanh_h10 → Tanh_h11 → Tanh_h12 → odd → "
         "Sin_k1 → Sin_k2 → Sin_k3 → (6 more) → Sin_k10 → Sin_k11 → Sin_k12 → k12"},
    ),
    "in a branch": (
        "(float[3] x, bool c) => (float[3] y) { [first] a = Exp(x) [choice] y = If(c) <"
        "then_branch = t () => (float[3] u) { [odd] u = com.example.Odd(a) }, "
        "else_branch = e () => (float[3] v) { v = Sin(a) }> }",
        "y",
        "x",
        {"code": "no-gradient-rule", "found": "com.example::Odd-1"},
    ),
    "an integer": (
        "(int64[3] i, float[3] x) => (float[3] y) { f = Cast<to = 1>(i) y = Mul(f, x) }",
        "y",
        "i",
        {"code": "not-differentiable", "found": "int64"},
    ),
    "a string": (
        "(string[3] s, float[3] x) => (float[3] y, string[3] t) { t = Identity(s) y = Sin(x) }",
        "y",
        "s",
        {"code": "not-differentiable", "found": "string"},
    ),
    "not connected": (
        "(float[3] x, float[3] z) => (float[3] y, float[3] q) { y = Sin(x) q = Sin(z) }",
        "y",
        "z",
        {"code": "not-connected", "input": "z", "found": "no path; 'z' leads to 'q'"},
    ),
    "read by nothing": (
        "(float[3] x, float[3] z) => (float[3] y) { y = Sin(x) }",
        "y",
        "z",
        {"code": "not-connected", "input": "z", "found": "no path; no node reads it"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CASES))
def test_refusals_name_the_place_and_the_way_there(name: str) -> None:
    text, of, wrt, fields = CASES[name]
    with pytest.raises(gs.DifferentiationError) as caught:
        gs.vjp(gs.load(HEAD + text), [of], [wrt])
    problem = caught.value.problems[0].to_dict()
    assert problem | fields == problem
    for field in ("node", "input", "route"):
        assert problem.get(field, "") in caught.value.message
    if "node" in problem:
        assert problem["found"] in caught.value.message
        assert problem["route"].startswith(f"{wrt} → ")
        assert problem["route"].endswith(f" → {of}")


UNUSED = gs.load(
    HEAD + "(float[n] x, float[2] z) => (float y, float[n] s, float q) "
    "{ s = Sin(x) y = ReduceSum<keepdims = 0>(s) q = ReduceSum<keepdims = 0>(z) }"
)
POINT = {"x": np.array([0.5, -1, 2], np.float32), "z": np.array([3, 4], np.float32)}
TANGENTS = {"x_tangent": POINT["x"] * 2, "z_tangent": POINT["z"]}


def test_what_is_not_connected_is_zero_on_request() -> None:
    wrt = ["x", "z"]
    zero, slope = np.zeros(2, np.float32), np.cos(POINT["x"])
    found = gs.Session(gs.grad(UNUSED, "y", wrt, allow_unused=True)).run(POINT)
    np.testing.assert_array_equal(found["z_grad"], zero)
    np.testing.assert_allclose(found["x_grad"], slope, rtol=1e-6)
    cotangent = {"s_cotangent": np.array([1, 2, 3], np.float32)}
    found = gs.Session(gs.vjp(UNUSED, ["s"], wrt, allow_unused=True)).run({**POINT, **cotangent})
    np.testing.assert_array_equal(found["z_vjp"], zero)
    np.testing.assert_allclose(found["x_vjp"], slope * [1, 2, 3], rtol=1e-6)
    found = gs.Session(gs.jvp(UNUSED, ["s", "q"], ["x"], allow_unused=True)).run({**POINT, "x_tangent": POINT["x"]})
    assert found["q_jvp"] == 0
    np.testing.assert_allclose(found["s_jvp"], slope * POINT["x"], rtol=1e-6)
    found = gs.Session(gs.hvp(UNUSED, "y", wrt, allow_unused=True)).run({**POINT, **TANGENTS})
    np.testing.assert_array_equal(found["z_hvp"], zero)
    np.testing.assert_allclose(found["x_hvp"], -np.sin(POINT["x"]) * TANGENTS["x_tangent"], rtol=1e-6)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_whole_matrices_are_zero_where_nothing_is_connected(mode: Any) -> None:
    found = gs.jacobian(UNUSED, POINT, ["s"], ["x", "z"], mode=mode, allow_unused=True)["s"]
    np.testing.assert_array_equal(found["z"], np.zeros((3, 2)))
    np.testing.assert_allclose(found["x"], np.diag(np.cos(POINT["x"])), rtol=1e-6)
    hessian = gs.hessian(UNUSED, POINT, "y", ["x", "z"], allow_unused=True)
    np.testing.assert_array_equal(hessian["z"]["x"], np.zeros((2, 3)))
    np.testing.assert_array_equal(hessian["x"]["z"], np.zeros((3, 2)))


def test_an_integer_is_refused_even_so() -> None:
    text, of, wrt, _ = CASES["an integer"]
    with pytest.raises(gs.NotDifferentiable, match="int64"):
        gs.vjp(gs.load(HEAD + text), [of], [wrt], allow_unused=True)
