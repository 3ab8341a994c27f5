"""``Gradient`` of ai.onnx.preview.training: replaced by our own reverse mode, in runs and in derivatives."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

import graphspec as gs

HEAD = '<ir_version: 10, opset_import: ["" : {opset}, "ai.onnx.preview.training" : 1]>\n'


def text(body: str, opset: int = 21) -> ir.Model:
    return ir.from_onnx_text(HEAD.format(opset=opset) + body.replace("Gradient", "ai.onnx.preview.training.Gradient"))


X = np.array([0.3, -1.2, 2.0], np.float32)
P = np.array([1.5, 0.7, -0.4], np.float32)
W = np.arange(12, dtype=np.float32).reshape(4, 3) / 5

# Model, and what its outputs behind `y` are.
CASES = {
    "plain": (
        'g (float[3] x) => (float[3] y, float[3] a) { y = Sin(x)\n a = Gradient<xs=["x"], y="y">(x) }',
        [np.cos(X)],
    ),
    "elsewhere": (
        'g (float[3] x, float[3] p) => (float[3] y, float[3] a) { y = Sin(x)\n a = Gradient<xs=["x"], y="y">(p) }',
        [np.cos(P)],
    ),
    "order of nodes": (
        'g (float[3] x) => (float[3] y, float[3] a) { a = Gradient<xs=["x"], y="y">(x)\n y = Sin(x) }',
        [np.cos(X)],
    ),
    "nested": (
        'g (float[3] x) => (float[3] y, float[3] a, float[3] b) { y = Sin(x)\n '
        'b = Gradient<xs=["x"], y="a">(x)\n a = Gradient<xs=["x"], y="y">(x) }',
        [np.cos(X), -np.sin(X)],
    ),
    "nested elsewhere": (
        'g (float[3] x, float[3] p) => (float[3] y, float[3] a, float[3] b) { y = Sin(x)\n '
        'a = Gradient<xs=["x"], y="y">(x)\n b = Gradient<xs=["x"], y="a">(p) }',
        [np.cos(X), -np.sin(P)],
    ),
    "three deep": (
        'g (float[3] x) => (float[3] y, float[3] c) { y = Sin(x)\n a = Gradient<xs=["x"], y="y">(x)\n '
        'b = Gradient<xs=["x"], y="a">(x)\n c = Gradient<xs=["x"], y="b">(x) }',
        [-np.cos(X)],
    ),
    "intermediate": (
        'g (float[3] x, float[3] p) => (float[3] y, float[3] a, float[3] b) { h = Exp(x)\n y = Mul(h, p)\n '
        'a, b = Gradient<xs=["h", "p"], y="y">(h, p) }',
        [P, np.exp(X)],
    ),
    "intermediate elsewhere": (
        'g (float[3] x, float[3] p) => (float[3] y, float[3] a, float[3] b) { h = Exp(x)\n y = Mul(h, p)\n '
        'a, b = Gradient<xs=["h", "p"], y="y">(x, x) }',
        [X, X],
    ),
    "further inputs": (
        'g (float[3] x, float[3] p) => (float[3] y, float[3] a) { y = Mul(x, p)\n '
        'a = Gradient<xs=["x"], zs=["p"], y="y">(x, x) }',
        [X],
    ),
    "output left out": (
        'g (float[3] x, float[3] p) => (float[3] y, float[3] a) { y = Mul(x, p)\n '
        ', a = Gradient<xs=["x", "p"], y="y">(x, p) }',
        [X],
    ),
    "parameter": (
        'g (float[3] x) => (float[4] y, float[4,3] a) <float[4,3] w = {0,0.2,0.4,0.6,0.8,1,1.2,1.4,1.6,1.8,2,2.2}> '
        '{ y = MatMul(w, x)\n a = Gradient<xs=["w"], zs=["x"], y="y">(w, x) }',
        [np.tile(X, (4, 1))],
    ),
    "of itself": (
        'g (float[3] x) => (float[3] y, float[3] a) { y = Sin(x)\n a = Gradient<xs=["y"], y="y">(y) }',
        [np.ones(3)],
    ),
    "with a subgraph": (
        'g (float[3] x, float[3] p, bool c) => (float[3] y, float[3] a) { '
        'k = If(c) <then_branch = t () => (float[3] u) { u = Abs(p) }, '
        'else_branch = e () => (float[3] v) { v = Neg(p) }>\n'
        ' y = Mul(x, k)\n a = Gradient<xs=["x"], y="y">(p) }',
        [np.abs(P)],
    ),
}  # fmt: skip
FEEDS = {"x": X, "p": P, "c": np.array(True)}


def run(model: ir.Model, **options: object) -> dict[str, np.ndarray]:
    session = gs.Session(model, **options)  # type: ignore[arg-type]
    return session.run({name: FEEDS[name] for name in session.inputs})


@pytest.mark.parametrize(
    "options",
    [{}, {"optimize": False}, {"provider": "onnxruntime"}],
    ids=["optimized", "plain", "onnxruntime"],
)
@pytest.mark.parametrize(("body", "expected"), CASES.values(), ids=CASES)
def test_value(body: str, expected: list[np.ndarray], options: dict[str, object]) -> None:
    _, *found = run(text(body), **options).values()
    for one, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, right, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opset", [12, 17])
def test_an_old_opset_is_converted(opset: int) -> None:
    body = (
        'g (float[2,3] x) => (float[2,3] y, float[2,3] a) { y = Softmax<axis=1>(x)\n a = Gradient<xs=["x"], y="y">(x) }'
    )
    found = gs.Session(text(body, opset)).run({"x": np.stack([X, P])})
    np.testing.assert_allclose(found["a"], np.zeros((2, 3)), atol=1e-6)


def test_it_can_be_differentiated_like_any_other_operator() -> None:
    body = (
        'g (float[3] x) => (float s) { y = Sin(x)\n a = Gradient<xs=["x"], y="y">(x)\n s = ReduceSum<keepdims=0>(a) }'
    )
    found = gs.Session(gs.grad(text(body), of="s", wrt=["x"])).run({"x": X})
    np.testing.assert_allclose(found["x_grad"], -np.sin(X), rtol=1e-5)


def test_the_model_given_is_not_changed() -> None:
    model = text(CASES["nested elsewhere"][0])
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    run(model)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


def test_every_value_can_still_be_fetched() -> None:
    model = text(CASES["three deep"][0])
    found = gs.Session(model).run({"x": X}, ["b", "a"])
    np.testing.assert_allclose(found["b"], -np.sin(X), rtol=1e-5)
    np.testing.assert_allclose(found["a"], np.cos(X), rtol=1e-5)


SINE = "y = Sin(x)\n "
CONSTANT = "c = Constant<value_int=1>()\n d = Cast<to=9>(c)\n "
REFUSED = {
    "unknown": ('a = Gradient<xs=["x"], y="nothing">(x)', gs.NotDifferentiable, "unknown-value"),
    "unknown x": ('a = Gradient<xs=["nothing"], y="y">(x)', gs.NotDifferentiable, "unknown-value"),
    "unknown z": ('a = Gradient<xs=["x"], zs=["no"], y="y">(x, x)', gs.NotDifferentiable, "unknown-value"),
    "not connected": ('k = Cos(x)\n a = Gradient<xs=["k"], y="y">(k)', gs.NotDifferentiable, "not-connected"),
    "dependent": (
        'k = Cos(y)\n a, b = Gradient<xs=["x", "y"], y="k">(x, y)', gs.ValidationError, "dependent-variables",
    ),
    "own result": ('a = Gradient<xs=["x"], y="a">(x)', gs.ValidationError, "cycle"),
    "too few inputs": ('a = Gradient<xs=["x"], zs=["y"], y="y">(x)', gs.ValidationError, "arity"),
    "another shape": (
        'k = Constant<value_floats=[1.0]>()\n a = Gradient<xs=["x"], y="y">(k)', gs.ValidationError, "type-mismatch",
    ),
    "in a subgraph": (
        CONSTANT + 'a = If(d) <then_branch = t () => (float[3] u) { u = Gradient<xs=["x"], y="y">(x) }, '
        "else_branch = e () => (float[3] v) { v = Neg(x) }>", gs.UnsupportedError, "unsupported",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("nodes", "error", "code"), REFUSED.values(), ids=REFUSED)
def test_refusals(nodes: str, error: type[gs.GraphSpecError], code: str) -> None:
    with pytest.raises(error) as caught:
        gs.Session(text(f"g (float[3] x) => (float[3] y, float[3] a) {{ {SINE}{nodes} }}"))
    assert caught.value.problems[0].code == code
