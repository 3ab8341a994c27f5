"""Tensors out of nothing: refusals before memory is taken, seeds, distributions."""

from __future__ import annotations

import tracemalloc
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest

import graphspec as gs
from graphspec.operators import registry

T = onnx.TensorProto


def kernel(op_type: str, *inputs: Any, **attributes: Any) -> np.ndarray:
    entry = registry.find(op_type, "", 27)
    assert entry is not None
    found = entry(*inputs, **attributes)
    assert isinstance(found, np.ndarray)
    return found


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes"),
    [
        pytest.param("ConstantOfShape", (np.array([1 << 40]),), {}, id="one large"),
        pytest.param("ConstantOfShape", (np.array([1 << 20, 1 << 20]),), {}, id="two"),
        pytest.param("ConstantOfShape", (np.array([1 << 62] * 4),), {}, id="beyond int64"),
        pytest.param("Range", (np.array(0), np.array(1 << 50), np.array(1)), {}, id="range"),
        pytest.param("Range", (np.array(0.0), np.array(1e30), np.array(1e-3)), {}, id="range of floats"),
        pytest.param("RandomNormal", (), {"shape": [1 << 20, 1 << 20]}, id="normal"),
        pytest.param("RandomUniform", (), {"shape": [1 << 40]}, id="uniform"),
        pytest.param("Multinomial", (np.zeros((1, 2)),), {"sample_size": 1 << 40}, id="multinomial"),
    ],
)
def test_gigantic_sizes_are_refused_before_they_are_allocated(op_type: str, inputs: Any, attributes: Any) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(MemoryError, match="too large"):
            kernel(op_type, *inputs, **attributes)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_session_says_which_node_was_too_large() -> None:
    model = gs.load(
        '<ir_version: 10, opset_import: ["" : 23]> g (int64[1] s) => (float[n] y) { y = ConstantOfShape(s) }'
    )
    with pytest.raises(gs.LimitError, match="ConstantOfShape"):
        gs.Session(model).run({"s": np.array([1 << 50])})


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes", "message"),
    [
        pytest.param("ConstantOfShape", (np.array([2, -1]),), {}, "negative", id="negative"),
        pytest.param("ConstantOfShape", (np.array([2]),), {"value": np.zeros(2)}, "2 elements", id="two values"),
        pytest.param("Range", (np.array(0), np.array(5), np.array(0)), {}, "zero", id="step 0"),
        pytest.param("Range", (np.array(0.0), np.array(np.nan), np.array(1.0)), {}, "finite", id="nan"),
        pytest.param("Range", (np.array(0.0), np.array(np.inf), np.array(1.0)), {}, "finite", id="inf"),
        pytest.param("Range", (np.arange(2), np.array(5), np.array(1)), {}, "reshape", id="no scalar"),
        pytest.param("EyeLike", (np.zeros(3),), {}, "matrix", id="eye of a vector"),
        pytest.param("Bernoulli", (np.array([0.5, 1.5]),), {}, "probability", id="probability"),
        pytest.param("Bernoulli", (np.array([np.nan]),), {}, "probability", id="probability nan"),
        pytest.param("Multinomial", (np.zeros(3),), {}, "batch", id="multinomial of a vector"),
        pytest.param("Multinomial", (np.zeros((2, 0)),), {}, "row", id="multinomial of nothing"),
        pytest.param("Multinomial", (np.array([[np.nan, 0]]),), {}, "row", id="multinomial of nan"),
        pytest.param("Constant", (), {}, "no value", id="constant of nothing"),
        pytest.param("Constant", (), {"sparse_value": object()}, "Sparse", id="sparse constant"),
    ],
)
def test_refusals(op_type: str, inputs: Any, attributes: Any, message: str) -> None:
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message):
        kernel(op_type, *inputs, **attributes)


@pytest.mark.parametrize(
    ("dtype", "start", "limit", "delta", "expected"),
    [
        pytest.param(np.int16, 3, 10, 3, [3, 6, 9], id="int16"),
        pytest.param(np.int64, 2**62, 2**62 + 3, 2, [2**62, 2**62 + 2], id="beyond float64"),
        pytest.param(np.int32, 5, 5, 1, [], id="empty"),
        pytest.param(np.int32, 5, 9, -1, [], id="wrong way"),
        pytest.param(np.float16, 0, 2050, 1, None, id="float16"),
        pytest.param(ml_dtypes.bfloat16, 0, 300, 1, None, id="bfloat16"),
    ],
)
def test_ranges(dtype: type, start: Any, limit: Any, delta: Any, expected: Any) -> None:
    found = kernel("Range", np.array(start, dtype), np.array(limit, dtype), np.array(delta, dtype))
    assert found.dtype == dtype
    if expected is None:  # each element is rounded once, none is lost to x + 1 == x
        last = int(np.array(limit, dtype).astype(int))
        np.testing.assert_array_equal(found, np.arange(last).astype(dtype))
    else:
        assert found.tolist() == expected


@pytest.mark.parametrize("k", [-9, -1, 0, 2, 9])
def test_diagonals_outside_of_the_matrix_are_empty(k: int) -> None:
    found = kernel("EyeLike", np.zeros((2, 3), np.int32), k=k, dtype=T.BOOL)
    assert found.dtype == np.bool_
    expected = [(i, i + k) for i in range(2) if 0 <= i + k < 3]
    assert list(zip(*np.nonzero(found), strict=True)) == expected


DRAWS = [
    pytest.param("RandomNormal", (), {"shape": [500, 40], "mean": 2.0, "scale": 3.0}, 2.0, 3.0, id="normal"),
    pytest.param("RandomNormalLike", (np.zeros((500, 40)),), {"mean": -1.0}, -1.0, 1.0, id="normal-like"),
    pytest.param("RandomUniform", (), {"shape": [500, 40], "low": 2.0, "high": 8.0}, 5.0, 12**0.5 / 2, id="uniform"),
    pytest.param("RandomUniformLike", (np.zeros((500, 40)),), {}, 0.5, 12**-0.5, id="uniform-like"),
    pytest.param("Bernoulli", (np.full((500, 40), 0.3),), {}, 0.3, 0.21**0.5, id="bernoulli"),
    pytest.param("Multinomial", (np.log([[1.0, 3]] * 500),), {"sample_size": 40}, 0.75, 0.1875**0.5, id="multinomial"),
]  # fmt: skip


@pytest.mark.parametrize(("op_type", "inputs", "attributes", "mean", "deviation"), DRAWS)
def test_draws(op_type: str, inputs: Any, attributes: Any, mean: float, deviation: float) -> None:
    draws = [kernel(op_type, *inputs, **attributes, seed=seed) for seed in (1.0, 1.0, 2.0, -3.5)]
    assert draws[0].shape == (500, 40)
    np.testing.assert_allclose(draws[0].mean(), mean, atol=0.05 * deviation + 0.01)
    np.testing.assert_allclose(draws[0].std(), deviation, rtol=0.05)
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()
    assert (draws[2] != draws[3]).any()
    assert (kernel(op_type, *inputs, **attributes) != kernel(op_type, *inputs, **attributes)).any()


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes", "dtype"),
    [
        ("RandomNormal", (), {"shape": [2]}, np.float32),
        ("RandomUniform", (), {"shape": [2], "dtype": T.DOUBLE}, np.float64),
        ("RandomNormalLike", (np.zeros(2, np.float16),), {}, np.float16),
        ("RandomNormalLike", (np.zeros(2, np.int32),), {"dtype": T.FLOAT}, np.float32),
        ("RandomUniformLike", (np.zeros(2, ml_dtypes.bfloat16),), {}, ml_dtypes.bfloat16),
        ("Bernoulli", (np.full(2, 0.5, np.float32),), {}, np.float32),
        ("Bernoulli", (np.full(2, 0.5, ml_dtypes.bfloat16),), {"dtype": T.BOOL}, np.bool_),
        ("Multinomial", (np.zeros((1, 2), np.float16),), {}, np.int32),
        ("Multinomial", (np.zeros((1, 2), np.float32),), {"dtype": T.INT64}, np.int64),
    ],
)
def test_dtypes_of_draws(op_type: str, inputs: Any, attributes: Any, dtype: type) -> None:
    assert kernel(op_type, *inputs, **attributes).dtype == dtype


def test_multinomial_takes_unlikely_classes_never(rng: np.random.Generator) -> None:
    logits = np.array([[-np.inf, 0, -1e4, 1, -np.inf]])
    drawn = kernel("Multinomial", logits, sample_size=2000, seed=1.0)
    assert set(drawn.ravel().tolist()) == {1, 3}


def test_a_draw_is_not_differentiable_by_its_probability() -> None:
    """Through ONNX's function body it would seem constant."""
    model = gs.load('<ir_version: 10, opset_import: ["" : 23]> g (float[3] p) => (float[3] y) { y = Bernoulli(p) }')
    with pytest.raises(gs.NoGradientRule, match="Bernoulli"):
        gs.vjp(model, ["y"], ["p"])
