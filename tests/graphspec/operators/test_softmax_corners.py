"""Softmax at large scores, masked rows, 16 bits, and in its old form."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphspec as gs
from graphspec.testing import check_derivatives

INF = np.inf


@pytest.mark.parametrize("shift", [0.0, 1e4, -1e4])
def test_value_and_slope_do_not_depend_on_a_shift(run: Any, pull: Any, rng: np.random.Generator, shift: float) -> None:
    x = rng.integers(-8, 8, (3, 5)).astype(np.float32)
    dY = rng.standard_normal((3, 5)).astype(np.float32)
    for op_type in ("Softmax", "LogSoftmax"):
        np.testing.assert_array_equal(run(op_type, x + np.float32(shift)), run(op_type, x))
        np.testing.assert_array_equal(
            pull(op_type, x + np.float32(shift), dY=dY)[0], pull(op_type, x, dY=dY)[0], err_msg=op_type
        )


def test_masked_entries_get_nothing(run: Any, pull: Any, rng: np.random.Generator) -> None:
    x, dY = np.array([[1.0, -INF, 2.0]], np.float32), rng.standard_normal((1, 3)).astype(np.float32)
    y, (dX,) = run("Softmax", x), pull("Softmax", x, dY=dY)
    assert y[0, 1] == 0
    assert dX[0, 1] == 0
    part = run("Softmax", x[:, ::2])
    np.testing.assert_allclose(dX[:, ::2], part * (dY[:, ::2] - np.sum(part * dY[:, ::2])), rtol=1e-5)


@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax"])
def test_rows_masked_throughout_and_replaced_have_no_cotangent(op_type: str, rng: np.random.Generator) -> None:
    """As exporters write masked attention: NaN of a row that is all -inf is replaced behind the softmax."""
    model = gs.load(
        f"""<ir_version: 10, opset_import: ["" : 18]>
        g (double[3,4] x, double[3,4] mask) => (double[3,4] y) {{
            masked = Add(x, mask)
            s = {op_type}(masked)
            t = Identity(s)
            nan = IsNaN(t)
            zero = Constant<value = double {{0.0}}>()
            y = Where(nan, zero, t)
        }}"""
    )
    mask = np.where(np.arange(12).reshape(3, 4) // 4 == 1, -INF, 0.0)
    feeds = {"x": rng.standard_normal((3, 4)), "mask": mask}
    assert check_derivatives(model, feeds, ["y"], ["x"], order=2).checks
    derived = gs.vjp(model, ["y"], ["x"])
    dX = gs.Session(derived).run({**feeds, "y_cotangent": rng.standard_normal((3, 4))})["x_vjp"]
    assert not dX[1].any()
    assert dX[0].all()


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize(("length", "ulps"), [(8, 4.0), (2000, 0.6)])
def test_16_bits_stay_near_the_exact_value(
    run: Any, rng: np.random.Generator, dtype: type, length: int, ulps: float
) -> None:
    x = rng.uniform(-2, 2, (4, length)).astype(dtype)
    exact = run("Softmax", x.astype(np.float64))
    eps = float(ml_dtypes.finfo(dtype).eps)
    np.testing.assert_allclose(run("Softmax", x).astype(np.float64), exact, rtol=ulps * eps, atol=1e-7)


@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("opset", [9, 11])
def test_before_opset_13_trailing_axes_are_one(
    run: Any, rng: np.random.Generator, op_type: str, axis: int, opset: int
) -> None:
    x = rng.standard_normal((2, 3, 4))
    matrix = x.reshape(int(np.prod(x.shape[:axis])), -1)
    np.testing.assert_allclose(run(op_type, x, opset=opset, axis=axis), run(op_type, matrix).reshape(x.shape))


def test_hardmax_picks_the_first_of_equals(run: Any) -> None:
    np.testing.assert_array_equal(run("Hardmax", np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])), [[0, 1, 0], [1, 0, 0]])
