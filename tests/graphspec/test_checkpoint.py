"""Values computed anew in the backward part: the same gradients from less memory."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphspec as gs
from graphspec.optimize import optimized
from graphspec.optimize.peak import peak_bytes

LAYERS, BATCH, WIDTH = 12, 64, 16


def chain() -> ir.Model:
    """tanh(x @ w + b), twelve times."""
    layers = [f"m{i} = MatMul(a{i}, w{i}) h{i} = Add(m{i}, b{i}) a{i + 1} = Tanh(h{i})" for i in range(LAYERS)]
    weights = [f"float[{WIDTH},{WIDTH}] w{i}, float[{WIDTH}] b{i}" for i in range(LAYERS)]
    return gs.load(
        f'<ir_version: 10, opset_import: ["" : 21]> chain (float[{BATCH},{WIDTH}] a0, {", ".join(weights)}) '
        f"=> (float loss) {{ {' '.join(layers)} loss = ReduceSumSquare<keepdims = 0>(a{LAYERS}) }}"
    )


def feeds() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    values = {"a0": rng.standard_normal((BATCH, WIDTH))}
    for i in range(LAYERS):
        values |= {f"w{i}": rng.standard_normal((WIDTH, WIDTH)) * 0.3, f"b{i}": rng.standard_normal(WIDTH)}
    return {name: array.astype(np.float32) for name, array in values.items()}


# All but every fourth layer's value.
BETWEEN = [f"{kind}{i}" for i in range(1, LAYERS) for kind in "mha" if i % 4 or kind != "a"]


def through_bytes(model: ir.Model) -> ir.Model:
    return gs.load(ir.to_proto(model).SerializeToString())


def test_gradients_are_the_same_from_less_memory() -> None:
    model, wrt = chain(), ["a0", *(f"w{i}" for i in range(LAYERS))]
    plain = gs.grad(model, "loss", wrt)
    again = through_bytes(gs.grad(model, "loss", wrt, checkpoint=BETWEEN))
    onnx.checker.check_model(ir.to_proto(again), full_check=True)
    ours, theirs = gs.Session(plain).run(feeds()), gs.Session(again).run(feeds())
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)
    # What a session runs still has every copy, and so what is kept for the backward part is a third.
    assert optimized(again).graph.num_nodes() == again.graph.num_nodes() > plain.graph.num_nodes() + LAYERS
    values = sum(array.nbytes for array in feeds().values())
    before, after = (
        peak_bytes(optimized(m), {n: a.shape for n, a in feeds().items()}) - values for m in (plain, again)
    )
    assert 0 < after < 0.7 * before


def test_gradients_are_the_same_on_onnx_runtime() -> None:
    model = chain()
    found = [
        gs.Session(gs.grad(model, "loss", ["w0"], checkpoint=names), provider="onnxruntime").run(feeds())
        for names in ((), BETWEEN)
    ]
    np.testing.assert_allclose(found[0]["w0_grad"], found[1]["w0_grad"], rtol=1e-5)


def test_a_copy_serves_all_outputs_of_its_node() -> None:
    model = gs.load(
        '<ir_version: 10, opset_import: ["" : 21]> g (float[4,6] x, float[6] s) => (float loss) '
        "{ e = Exp(x) n = LayerNormalization<axis = -1>(e, s) t = Sin(n) loss = ReduceSum<keepdims = 0>(t) }"
    )
    given = {"x": np.random.default_rng(2).standard_normal((4, 6)).astype(np.float32), "s": np.ones(6, np.float32)}
    plain = gs.grad(model, "loss", ["x", "s"])
    again = gs.grad(model, "loss", ["x", "s"], checkpoint=["e", "n"])
    assert [node.op_type for node in again.graph].count("LayerNormalization") == 2
    ours, theirs = gs.Session(plain).run(given), gs.Session(again).run(given)
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)
    check = gs.Session(gs.hvp(again, "loss", ["x"])).run({**given, "x_tangent": given["x"]})
    np.testing.assert_allclose(
        check["x_hvp"], gs.Session(gs.hvp(model, "loss", ["x"])).run({**given, "x_tangent": given["x"]})["x_hvp"], 1e-4
    )


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("noise", "not-repeatable", "RandomNormalLike"),
        ("x", "unknown-value", "'x'"),
        ("nowhere", "unknown-value", "'nowhere'"),
    ],
)
def test_what_cannot_be_computed_anew_is_refused(name: str, code: str, says: str) -> None:
    model = gs.load(
        '<ir_version: 10, opset_import: ["" : 21]> g (float[3] x) => (float loss) '
        "{ noise = RandomNormalLike(x) y = Mul(x, noise) loss = ReduceSum<keepdims = 0>(y) }"
    )
    with pytest.raises(gs.NotDifferentiable, match=says) as caught:
        gs.grad(model, "loss", ["x"], checkpoint=[name])
    assert (caught.value.problems[0].code, caught.value.problems[0].input) == (code, name)
