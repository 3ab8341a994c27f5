"""FlexAttention with and without its subgraphs, and what it and TensorScatter refuse."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from scipy.special import softmax

import graphspec as gs
from graphspec.errors import ExecutionError, NoGradientRule
from graphspec.operators import registry
from graphspec.testing import check_derivatives

RNG = np.random.default_rng(8)


def _draw(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


def _kernel(op_type: str, *inputs: Any, domain: str = "", **attributes: Any) -> Any:
    entry = registry.find(op_type, domain, 24 if not domain else 1)
    assert entry is not None
    return entry.kernel(*inputs, **attributes)


def _flex(*inputs: Any, **attributes: Any) -> Any:
    return _kernel("FlexAttention", *inputs, domain="ai.onnx.preview", **attributes)


MODEL = """<ir_version: 11, opset_import: ["": 23, "ai.onnx.preview": 1]>
g (float[1,2,3,4] q, float[1,1,5,4] k, float[1,1,5,2] v, float factor) => (float[1,2,3,2] y) {
    y = ai.onnx.preview.FlexAttention <
        score_mod = s (float[1,2,3,5] x) => (float[1,2,3,5] z) { z = Identity (x) },
        prob_mod = p (float[1,2,3,5] a) => (float[1,2,3,5] b) { b = Mul (a, factor) }
    > (q, k, v)
}"""


def test_subgraphs_see_scores_and_probabilities() -> None:
    """One of them captures a value of the outer graph."""
    text = MODEL.replace("z = Identity (x)", "zero = Constant <value = float {0}> () z = Max (x, zero)")
    q, k, v, factor = _draw(1, 2, 3, 4), _draw(1, 1, 5, 4), _draw(1, 1, 5, 2), np.float32(0.7)
    found = gs.Session(gs.load(text)).run({"q": q, "k": k, "v": v, "factor": np.array(factor)})["y"]
    scores = np.maximum(q @ np.swapaxes(k, -1, -2) / 2, 0)
    np.testing.assert_allclose(found, softmax(scores, axis=-1) * factor @ v, rtol=1e-5, atol=1e-6)


def test_a_subgraph_that_changes_the_shape_is_refused() -> None:
    text = MODEL.replace("z = Identity (x)", "z = ReduceSum <keepdims = 0> (x)").replace(
        "(float[1,2,3,5] z)", "(float z)"
    )
    feeds = {"q": _draw(1, 2, 3, 4), "k": _draw(1, 1, 5, 4), "v": _draw(1, 1, 5, 2), "factor": np.array(1, np.float32)}
    with pytest.raises(ExecutionError, match="score_mod"):
        gs.Session(gs.load(text)).run(feeds)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
@pytest.mark.parametrize("precision", [None, 1, 10, 11, 16])
def test_precisions(dtype: Any, precision: int | None) -> None:
    Q, K, V = (_draw(1, 4, 3, 4, dtype=dtype), _draw(1, 2, 5, 4, dtype=dtype), _draw(1, 2, 5, 2, dtype=dtype))
    found = _flex(Q, K, V, softmax_precision=precision)
    assert found.dtype == dtype
    q, k, v = (x.astype(np.float64) for x in (Q, np.repeat(K, 2, axis=1), np.repeat(V, 2, axis=1)))
    expected = softmax(q @ np.swapaxes(k, -1, -2) / 2, axis=-1) @ v
    exact = dtype == np.float64 and precision in (None, 11)
    np.testing.assert_allclose(found.astype(np.float64), expected, **({"rtol": 1e-6} if exact else {"atol": 0.05}))


Q, K, V = np.zeros((1, 2, 3, 4)), np.zeros((1, 1, 5, 4)), np.zeros((1, 1, 5, 2))
CACHE, UPDATE = np.zeros((2, 4, 3)), np.ones((2, 2, 3))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: _flex(Q[0], K, V), "dimensions"),
        (lambda: _flex(Q, K[..., :3], V), "fit"),
        (lambda: _flex(Q, K, V[:, :, :4]), "fit"),
        (lambda: _flex(Q[:, :1], np.zeros((1, 2, 5, 4)), np.zeros((1, 2, 5, 2))), "fit"),
        (lambda: _flex(Q, K, V, scale=-1.0), "scale"),
        (lambda: _flex(Q, K, V, softmax_precision=7), "softmax_precision"),
        (lambda: _kernel("TensorScatter", CACHE, UPDATE, np.array([0, 3])), "does not fit"),
        (lambda: _kernel("TensorScatter", CACHE, UPDATE, np.array([0, -1])), "does not fit"),
        (lambda: _kernel("TensorScatter", CACHE, UPDATE, np.array([0])), "write_indices"),
        (lambda: _kernel("TensorScatter", CACHE, UPDATE[:, :, :2]), "does not fit"),
        (lambda: _kernel("TensorScatter", UPDATE, CACHE), "does not fit"),
        (lambda: _kernel("TensorScatter", CACHE, UPDATE, axis=0), "axis"),
        (lambda: _kernel("TensorScatter", CACHE, UPDATE, axis=3), "axis"),
        (lambda: _kernel("TensorScatter", CACHE, UPDATE, mode="round"), "mode"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()


def test_subgraphs_are_differentiated_through_the_body() -> None:
    text = MODEL.replace("z = Identity (x)", "z = Tanh (x)").replace("b = Mul (a, factor)", "b = Mul (a, a)")
    feeds = {"q": _draw(1, 2, 3, 4), "k": _draw(1, 1, 5, 4), "v": _draw(1, 1, 5, 2)}
    double = {name: x.astype(np.float64) for name, x in feeds.items()}
    model = gs.load(text.replace(", float factor", "").replace("float[", "double["))
    assert check_derivatives(model, double, ["y"], ["q", "k", "v"], order=2).checks


def test_subgraphs_that_capture_values_have_no_rule_yet() -> None:
    with pytest.raises(NoGradientRule, match="FlexAttention"):
        gs.vjp(gs.load(MODEL), ["y"], ["q"])
