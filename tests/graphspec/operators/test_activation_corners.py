"""Activations at kinks and at extremes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphspec as gs
from graphspec.operators import registry

COTANGENT = np.array([0.7, -1.3, 2.1])

EXTREMES = [-1e4, -200.0, -60.0, 60.0, 200.0, 1e4]
_GAMMA = 1.05070102214813232421875  # ONNX's defaults are float32
_LOW = _GAMMA * 1.67326319217681884765625
# Per operator the value and the slope far out on both sides: as functions of x.
LIMITS: dict[str, tuple[Any, Any, Any, Any]] = {
    "Relu": (0, 0, lambda x: x, 1),
    "LeakyRelu": (lambda x: 0.01 * x, 0.01, lambda x: x, 1),
    "Elu": (-1, lambda x: np.exp(x), lambda x: x, 1),
    "Selu": (-_LOW, lambda x: _LOW * np.exp(x), lambda x: _GAMMA * x, _GAMMA),
    "Celu": (-1, lambda x: np.exp(x), lambda x: x, 1),
    "Sigmoid": (lambda x: np.exp(x), lambda x: np.exp(x), 1, 0),
    "HardSigmoid": (0, 0, 1, 0),
    "HardSwish": (0, 0, lambda x: x, 1),
    "Softplus": (lambda x: np.exp(x), lambda x: np.exp(x), lambda x: x, 1),
    "Softsign": (lambda x: x / (1 - x), lambda x: (1 - x) ** -2.0, lambda x: x / (1 + x), lambda x: (1 + x) ** -2.0),
    "Mish": (lambda x: x * np.exp(x), lambda x: (1 + x) * np.exp(x), lambda x: x, 1),
    "Swish": (lambda x: x * np.exp(x), lambda x: (1 + x) * np.exp(x), lambda x: x, 1),
    "Gelu": (0, 0, lambda x: x, 1),
    "Tanh": (-1, 0, 1, 0),
    "Erf": (-1, 0, 1, 0),
}  # fmt: skip


def _at(limit: Any, x: np.ndarray) -> np.ndarray:
    return np.broadcast_to(limit(x.astype(np.float64)) if callable(limit) else np.float64(limit), x.shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ml_dtypes.bfloat16, np.float16])
@pytest.mark.parametrize("op_type", LIMITS)
def test_value_and_slope_far_out(run: Any, pull: Any, op_type: str, dtype: type) -> None:
    opset = 28 if op_type == "Celu" else 24
    tolerance = {
        "rtol": 8 * float(ml_dtypes.finfo(dtype).eps),
        "atol": 2 * float(ml_dtypes.finfo(dtype).smallest_normal),
    }
    low, high = np.array([v for v in EXTREMES if v < 0], dtype), np.array([v for v in EXTREMES if v > 0], dtype)
    for x, value, slope in ((low, *LIMITS[op_type][:2]), (high, *LIMITS[op_type][2:])):
        # exp(-60) and x times it come out of an 8-bit exponent with a relative error of a few units of x.
        exact = {"rtol": 1e-4, "atol": 1e-30} if dtype == np.float32 else tolerance
        np.testing.assert_allclose(run(op_type, x, opset=opset).astype(np.float64), _at(value, x), **exact)
        if op_type in ("Gelu", "Sigmoid", "Tanh") and x is high:
            exact = {**exact, "atol": 1e-6}  # 1 - y is lost where y is 1
        (found,) = pull(op_type, x, dY=np.ones_like(x), opset=opset)
        np.testing.assert_allclose(found.astype(np.float64), _at(slope, x), **exact)


def test_gelu_by_tanh_far_out(pull: Any) -> None:
    """x² and x³ overflow here; the slope must still be 0 and 1."""
    for dtype, values in ((np.float32, [-1e25, 1e25, 3e38]), (np.float16, [-6e4, 300, 6e4])):
        x = np.array(values, dtype)
        (found,) = pull("Gelu", x, dY=np.array([0.5, 2, 3], dtype), approximate="tanh")
        np.testing.assert_array_equal(found, np.array([0, 2, 3], dtype))


@pytest.mark.parametrize(
    ("op_type", "attributes", "x", "slopes"),
    [
        pytest.param("Relu", {}, [0.0, -0.0, 1], [0, 0, 1], id="relu"),
        pytest.param("LeakyRelu", {"alpha": 0.2}, [0.0, -1, 1], [0.2, 0.2, 1], id="leaky"),
        pytest.param("Elu", {"alpha": 0.5}, [0.0, 1, 2], [0.5, 1, 1], id="elu"),
        pytest.param("HardSigmoid", {}, [-2.5, 2.5, 0], [0, 0, 0.2], id="hard-sigmoid"),
        pytest.param("HardSwish", {}, [-3.0, 3, 0], [0, 1, 0.5], id="hard-swish"),
        pytest.param("ThresholdedRelu", {}, [1.0, 1.5, 0], [0, 1, 0], id="thresholded"),
        pytest.param("Shrink", {"lambd": 0.5}, [0.5, -0.5, 0.6], [0, 0, 1], id="shrink"),
        pytest.param("Softsign", {}, [0.0, 1, -1], [1, 0.25, 0.25], id="softsign"),
    ],
)
def test_slopes_at_kinks(pull: Any, op_type: str, attributes: Any, x: Any, slopes: Any) -> None:
    (found,) = pull(op_type, np.array(x), dY=COTANGENT, **attributes)
    np.testing.assert_allclose(found, COTANGENT * np.array(slopes), rtol=1e-6)


@pytest.mark.parametrize("op_type", ["Relu", "ThresholdedRelu", "HardSigmoid"])
def test_an_infinite_cotangent_stops_where_the_slope_is_zero(pull: Any, op_type: str) -> None:
    """As in log(relu(x)) at x < 0: 0 × inf would be NaN."""
    (found,) = pull(op_type, np.array([-5.0, -6.0]), dY=np.array([np.inf, -np.inf]))
    np.testing.assert_array_equal(found, [0, 0])


def test_prelu_by_channel_below_opset_7(rng: np.random.Generator) -> None:
    entry, later = registry.find("PRelu", "", 6), registry.find("PRelu", "", 7)
    assert entry is not None
    assert later is not None
    X, slope = rng.standard_normal((2, 3, 4)), rng.uniform(0.1, 1, 3)
    np.testing.assert_array_equal(entry(X, slope), later(X, slope[:, None]))
    np.testing.assert_array_equal(entry(X, slope[:1]), later(X, slope[0]))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize("op_type", sorted({*LIMITS, "Shrink", "ThresholdedRelu"}))
def test_16_bits_are_the_rounded_values(rng: np.random.Generator, op_type: str, dtype: type) -> None:
    entry = registry.find(op_type, "", 28)
    assert entry is not None
    x = rng.uniform(-4, 4, 50).astype(dtype)
    found = entry(x)
    assert found.dtype == dtype
    exact = entry(x.astype(np.float64))
    np.testing.assert_allclose(found.astype(np.float64), exact, rtol=float(ml_dtypes.finfo(dtype).eps), atol=1e-7)


def test_refusals(run: Any) -> None:
    with pytest.raises(gs.GraphSpecError, match="approximate"):
        run("Gelu", np.ones(2, np.float32), approximate="roughly")
    swiglu = registry.find("SwiGLU", "", 28)
    assert swiglu is not None
    with pytest.raises(ValueError, match="shape"):
        swiglu(np.ones((2, 3)), np.ones(3))
    prelu = registry.find("PRelu", "", 23)
    assert prelu is not None
    with pytest.raises(ValueError, match="does not broadcast to X"):
        prelu(np.ones((1, 1)), np.ones(3))
