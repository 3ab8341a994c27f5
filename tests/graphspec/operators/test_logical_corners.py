"""Choice, comparison and bits at their edges."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphspec as gs
from graphspec.operators import registry


def test_where_keeps_nan_out_of_the_branch_not_taken() -> None:
    """d/dx where(x > 0, sqrt(x), x): at x ≤ 0 the slope of sqrt is not finite, and must not be seen."""
    model = gs.load(
        '<ir_version: 10, opset_import: ["" : 23]> g (double[3] x) => (double[3] y) '
        "{ z = Constant<value = double {0}>() c = Greater(x, z) r = Sqrt(x) y = Where(c, r, x) }"
    )
    feeds = {"x": np.array([4.0, 0.0, -1.0]), "y_cotangent": np.array([0.8, -1.3, 2.0])}
    # 0 × inf arises in Sqrt's own rule; what Where hands it is zero, and zero over zero is the rule's affair.
    found = gs.Session(gs.vjp(model, ["y"], ["r", "x"])).run(feeds)
    np.testing.assert_allclose(found["r_vjp"], [0.8, 0, 0])


def test_where_with_infinite_cotangents(pull: Any) -> None:
    condition, X = np.array([True, False]), np.array([1.0, 2.0])
    dX, d_other = pull("Where", condition, X, X, dY=np.array([np.inf, np.nan]), wrt=(1, 2))
    np.testing.assert_array_equal(dX, [np.inf, 0])
    np.testing.assert_array_equal(d_other, [0, np.nan])


@pytest.mark.parametrize(
    ("dtype", "direction", "X", "Y", "expected"),
    [
        pytest.param(np.uint8, "LEFT", [1, 1, 255], [7, 8, 1], [128, 0, 254], id="left"),
        pytest.param(np.uint8, "RIGHT", [128, 128, 255], [7, 8, 200], [1, 0, 0], id="right"),
        pytest.param(np.int8, "RIGHT", [-8, -8, 8, -1], [1, 8, 8, -1], [-4, -1, 0, -1], id="right-signed"),
        pytest.param(np.int8, "LEFT", [64, -3, 1, 1], [1, 9, -1, 7], [-128, 0, 0, -128], id="left-signed"),
        pytest.param(np.int64, "RIGHT", [-5, 5], [64, 64], [-1, 0], id="int64"),
    ],
)
def test_shifts_past_the_width(run: Any, dtype: type, direction: str, X: Any, Y: Any, expected: Any) -> None:
    found = run("BitShift", np.array(X, dtype), np.array(Y, dtype), direction=direction, opset=28)
    assert found.dtype == dtype
    assert found.tolist() == expected


def test_shift_wants_a_direction_that_there_is(run: Any) -> None:
    one = np.array([1], np.uint8)
    with pytest.raises(gs.GraphSpecError, match="direction"):
        run("BitShift", one, one, direction="UP")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2])
def test_tests_for_infinity_and_nan(dtype: type) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 0], dtype)
    is_nan, is_inf = registry.find("IsNaN", "", 23), registry.find("IsInf", "", 23)
    assert is_nan is not None
    assert is_inf is not None
    assert is_nan(x).tolist() == [True, False, False, False]
    assert is_inf(x).tolist() == [False, True, True, False]
    assert is_inf(x, detect_negative=0).tolist() == [False, True, False, False]
    assert is_inf(x, detect_positive=0).tolist() == [False, False, True, False]


def test_broadcast_form_of_comparisons() -> None:
    entry = registry.find("Less", "", 6)
    assert entry is not None
    found = entry(np.array([[1.0, 2], [3, 4]]), np.array([2.0, 4]), axis=0, broadcast=1)
    assert found.tolist() == [[True, False], [True, False]]
