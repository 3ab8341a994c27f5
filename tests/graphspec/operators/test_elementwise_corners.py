"""Functions of one number at extremes, in 16 bits, and where their derivative is not finite."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphspec as gs
from graphspec import dtypes
from graphspec.operators import registry
from samples.elementwise import SMOOTH

INF = np.inf


@pytest.mark.parametrize(
    ("op_type", "x", "expected"),
    [
        pytest.param("Sqrt", 0.0, INF, id="sqrt"),
        pytest.param("Log", 0.0, INF, id="log"),
        pytest.param("Asin", 1.0, INF, id="asin"),
        pytest.param("Acos", -1.0, -INF, id="acos"),
        pytest.param("Acosh", 1.0, INF, id="acosh"),
        pytest.param("Atanh", 1.0, INF, id="atanh"),
        pytest.param("Tanh", 400.0, 0.0, id="tanh"),
        pytest.param("Atan", 1e30, 0.0, id="atan"),
        pytest.param("Erf", 1e30, 0.0, id="erf"),
        pytest.param("Asinh", 1e30, 1e-30, id="asinh"),
        pytest.param("Asinh", -1e30, 1e-30, id="asinh-negative"),
        pytest.param("Acosh", 1e30, 1e-30, id="acosh-large"),
    ],
)
def test_slopes_at_extremes_in_float32(pull: Any, op_type: str, x: float, expected: float) -> None:
    (found,) = pull(op_type, np.float32(x), dY=np.float32(1.0))
    np.testing.assert_allclose(found, np.float32(expected), rtol=1e-4)


@pytest.mark.parametrize("op_type", ["Asin", "Acos", "Atanh"])
@pytest.mark.parametrize("x", [1 - 1e-6, -1 + 1e-6])
def test_slopes_near_one_keep_their_figures(pull: Any, op_type: str, x: float) -> None:
    x32 = np.float32(x)
    slope = {"Asin": 1.0, "Acos": -1.0}.get(op_type)
    rest = (1 - float(x32)) * (1 + float(x32))
    expected = 1 / rest if slope is None else slope / np.sqrt(rest)
    (found,) = pull(op_type, x32, dY=np.float32(1.0))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize("op_type", SMOOTH)
def test_16_bits_are_the_rounded_values(rng: np.random.Generator, op_type: str, dtype: type) -> None:
    entry = registry.find(op_type, "", 23)
    assert entry is not None
    x = rng.uniform(*entry.domains, 50).astype(dtype)
    found = entry.kernel(x)
    exact = entry.kernel(x.astype(np.float64))
    assert found.dtype == dtype
    # One unit in the last place: NumPy's float16 goes by float32 as well, and may round a half otherwise.
    np.testing.assert_allclose(found.astype(np.float64), exact, rtol=2 * float(ml_dtypes.finfo(dtype).eps), atol=1e-7)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    "op_type", ["Exp", "Tanh", "Erf", "Sigmoid", "Gelu", "Softplus", "Elu", "Mish", "HardSwish", "Relu", "Sqrt"]
)
def test_graphs_of_16_bits_run_and_differentiate(rng: np.random.Generator, op_type: str, name: str) -> None:
    """Value and gradient through a session, against the same in float64."""
    x = rng.uniform(0.2, 1.5, (3, 4))
    cotangent = rng.standard_normal((3, 4))
    dtype = dtypes.of(name)

    def results(kind: dtypes.DType) -> list[Any]:
        info = [onnx.helper.make_tensor_value_info(n, int(kind.onnx), (3, 4)) for n in ("x", "y")]
        node = onnx.helper.make_node(op_type, ["x"], ["y"])
        graph = onnx.helper.make_graph([node], "g", info[:1], info[1:])
        proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)], ir_version=10)
        derived = gs.vjp(ir.from_proto(proto), ["y"], ["x"])
        feeds = {"x": x.astype(dtype.numpy).astype(kind.numpy), "y_cotangent": cotangent.astype(kind.numpy)}
        return list(gs.Session(derived).run(feeds, fetches=["y", "x_vjp"]).values())

    found, exact = results(dtype), results(dtypes.of("float64"))
    for value, expected in zip(found, exact, strict=True):
        assert value.dtype == dtype.numpy
        tolerance = 8 * float(ml_dtypes.finfo(dtype.numpy).eps)
        np.testing.assert_allclose(value.astype(np.float64), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("op_type", "x", "expected"),
    [
        ("Round", [0.5, 1.5, 2.5, -0.5, -1.5, 2.4999], [0, 2, 2, 0, -2, 2]),
        ("Floor", [-0.5, 0.5, -2.0], [-1, 0, -2]),
        ("Ceil", [-0.5, 0.5, -2.0], [0, 1, -2]),
    ],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_rounding(run: Any, op_type: str, x: Any, expected: Any, dtype: type) -> None:
    found = run(op_type, np.array(x, dtype))
    assert found.dtype == dtype
    assert found.astype(np.float64).tolist() == expected
