"""Reductions at ties, at zero, at infinity, over nothing, and in narrow types."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphspec as gs
from graphspec.testing import check_derivatives
from samples import Floats, Sample
from samples.build import build

INF, NAN = np.inf, np.nan
AXIS1 = np.array([1])


@pytest.mark.parametrize("op_type", ["ReduceMax", "ReduceMin"])
def test_equal_extrema_share_the_cotangent(pull: Any, rng: np.random.Generator, op_type: str) -> None:
    sign = 1.0 if op_type == "ReduceMax" else -1.0
    x = sign * np.array([[1.0, 3.0, 3.0], [2.0, 0.0, 1.0], [5.0, 5.0, 5.0]])
    dY = rng.standard_normal((3, 1))
    (dX,) = pull(op_type, x, AXIS1, dY=dY)
    np.testing.assert_allclose(dX, dY * np.array([[0, 0.5, 0.5], [1, 0, 0], [1 / 3, 1 / 3, 1 / 3]]))


@pytest.mark.parametrize(
    ("op_type", "x", "value", "slopes"),
    [
        pytest.param("ReduceL2", [0.0, 0.0], 0.0, [0.0, 0.0], id="l2-at-0"),
        pytest.param("ReduceL2", [3e30, 4e30], 5e30, [0.6, 0.8], id="l2-large"),
        pytest.param("ReduceL2", [3e-30, -4e-30], 5e-30, [0.6, -0.8], id="l2-small"),
        pytest.param("ReduceL2", [INF, 1.0], INF, None, id="l2-inf"),
        pytest.param("ReduceL1", [0.0, -2.0], 2.0, [0.0, -1.0], id="l1-at-0"),
        pytest.param("ReduceLogSumExp", [1e4, 1e4 - 1], 1e4 + np.log1p(np.exp(-1)), None, id="lse-large"),
        pytest.param("ReduceLogSumExp", [-1e4, 1e4], 1e4, [0.0, 1.0], id="lse-far"),
        pytest.param("ReduceLogSumExp", [-INF, 2.0], 2.0, [0.0, 1.0], id="lse-one-masked"),
        pytest.param("ReduceLogSumExp", [-INF, -INF], -INF, [0.0, 0.0], id="lse-all-masked"),
        pytest.param("ReduceLogSumExp", [INF, 2.0], INF, None, id="lse-inf"),
        pytest.param("ReduceMax", [NAN, 2.0], NAN, None, id="max-nan"),
        pytest.param("ReduceMax", [-INF, -INF], -INF, [0.5, 0.5], id="max-inf"),
        pytest.param("ReduceProd", [0.0, 3.0], 0.0, [3.0, 0.0], id="one-zero"),
        pytest.param("ReduceProd", [0.0, 3.0, 0.0], 0.0, [0.0, 0.0, 0.0], id="two-zeros"),
    ],
)
def test_value_and_slope_in_float32(
    run: Any,
    pull: Any,
    rng: np.random.Generator,
    op_type: str,
    x: list[float],
    value: float,
    slopes: list[float] | None,
) -> None:
    data = np.array(x, np.float32)
    np.testing.assert_allclose(run(op_type, data, keepdims=0), np.float32(value), rtol=1e-6)
    if slopes is not None:
        dY = np.float32(rng.uniform(0.5, 2))
        (dX,) = pull(op_type, data, dY=dY, keepdims=0)
        np.testing.assert_allclose(dX, dY * np.array(slopes, np.float32), rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize(
    ("op_type", "dtype", "expected"),
    [
        ("ReduceSum", np.float32, 0),
        ("ReduceSumSquare", np.float64, 0),
        ("ReduceL1", np.float32, 0),
        ("ReduceL2", np.float32, 0),
        ("ReduceProd", np.float32, 1),
        ("ReduceProd", np.int64, 1),
        ("ReduceMax", np.float32, -INF),
        ("ReduceMax", np.int8, -128),
        ("ReduceMax", np.bool_, False),
        ("ReduceMin", np.float32, INF),
        ("ReduceMin", np.uint8, 255),
        ("ReduceMin", np.bool_, True),
        ("ReduceLogSum", np.float32, -INF),
        ("ReduceLogSumExp", np.float32, -INF),
        ("ReduceMean", np.float32, NAN),
    ],
)
def test_reduction_of_nothing(run: Any, op_type: str, dtype: type, expected: float) -> None:
    found = run(op_type, np.zeros((2, 0, 3), dtype), AXIS1, keepdims=0)
    np.testing.assert_array_equal(found, np.full((2, 3), expected, dtype))


@pytest.mark.parametrize(
    "op_type", ["ReduceSum", "ReduceMean", "ReduceProd", "ReduceMax", "ReduceL2", "ReduceLogSumExp"]
)
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16], ids=["float16", "bfloat16"])
def test_16_bits_are_summed_in_32(run: Any, rng: np.random.Generator, op_type: str, dtype: type) -> None:
    x = rng.uniform(0.9, 1.1, (2, 600)).astype(dtype)
    x = x[:, :30] if op_type == "ReduceProd" else x
    found = run(op_type, x, AXIS1)
    assert found.dtype == dtype
    expected = run(op_type, x.astype(np.float64), AXIS1)
    np.testing.assert_array_equal(found.astype(np.float64), expected.astype(dtype).astype(np.float64))


@pytest.mark.parametrize(
    ("op_type", "expected"),
    [
        ("ReduceSum", [[1.0, -2.0]]), ("ReduceMax", [[1.0, -2.0]]), ("ReduceProd", [[1.0, -2.0]]),
        ("ReduceL1", [[1.0, 2.0]]), ("ReduceL2", [[1.0, 2.0]]), ("ReduceSumSquare", [[1.0, 4.0]]),
        ("ReduceLogSumExp", [[1.0, -2.0]]), ("ReduceMean", [[1.0, -2.0]]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("keepdims", [0, 1])
def test_no_axes_and_noop_still_transform(run: Any, op_type: str, expected: list[list[float]], keepdims: int) -> None:
    x = np.array([[1.0, -2.0]])
    for axes in ((), (np.array([], np.int64),)):
        found = run(op_type, x, *axes, noop_with_empty_axes=1, keepdims=keepdims)
        np.testing.assert_allclose(found, expected)


def test_integers_wrap_and_divide_towards_zero(run: Any) -> None:
    x = np.array([[100, 100, 100], [-1, -1, 0]], np.int32)
    np.testing.assert_array_equal(run("ReduceMean", x, AXIS1, keepdims=0), np.array([100, 0], np.int32))
    assert run("ReduceSum", np.array([2**31 - 1, 1], np.int32), keepdims=0) == np.int32(-(2**31))


@pytest.mark.parametrize("axes", [[2], [-3], [0, 0]], ids=["too-large", "too-small", "twice"])
def test_axes_that_do_not_fit_are_refused(axes: list[int]) -> None:
    sample = Sample("ReduceSum", (Floats((2, 3)), np.array(axes)))
    model, feeds = build(sample, [np.ones((2, 3)), np.array(axes)], symbolic=True)
    with pytest.raises(gs.ExecutionError, match="axis"):
        gs.Session(model).run(feeds)


@pytest.mark.parametrize("axes", [[0], [1], [0, 1], [-1, 0]], ids=str)
@pytest.mark.parametrize("keepdims", [0, 1])
def test_product_with_zeros_over_axes_known_at_run_time(axes: list[int], keepdims: int) -> None:
    x = np.array([[0.0, 2.0, 0.0], [1.5, 0.0, -1.0]])
    sample = Sample("ReduceProd", (Floats((2, 3)), np.array(axes)), {"keepdims": keepdims})
    model, feeds = build(sample, [x, np.array(axes)], symbolic=True)
    assert check_derivatives(model, feeds, ["y0"], ["x0"], order=2).checks


def test_mean_of_more_elements_than_float16_can_count(pull: Any) -> None:
    x = np.zeros(70_000, np.float16)
    (dX,) = pull("ReduceMean", x, dY=np.float16(1000), keepdims=0)
    np.testing.assert_allclose(dX.astype(np.float64), 1000 / 70_000, rtol=1e-3)


def test_running_product_with_infinities_of_no_concern(pull: Any) -> None:
    """Elements that a product leaves out may be anything."""
    (dx,) = pull(
        "CumProd", np.array([2.0, 3.0, INF]), np.array(0), dY=np.array([1.0, 10.0, 0.0]), opset=26, exclusive=1
    )
    np.testing.assert_allclose(dx, [10.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("x", "axis"), [(np.ones(3), np.array([0, 1])), (np.ones(3), np.array(1))], ids=["two-axes", "outside"]
)
def test_running_sum_refuses_axes(x: np.ndarray, axis: np.ndarray) -> None:
    model, feeds = build(Sample("CumSum", (Floats((3,)), axis)), [x, axis], symbolic=True)
    with pytest.raises(gs.ExecutionError, match="axis"):
        gs.Session(model).run(feeds)


@pytest.mark.parametrize(
    ("op_type", "attributes"),
    [
        ("ReduceL2", {"keepdims": 0}),
        ("ReduceL1", {"keepdims": 0}),
        ("LpNormalization", {"p": 2}),
        ("LpNormalization", {"p": 1}),
    ],
    ids=["l2", "l1", "unit-l2", "unit-l1"],
)
def test_second_derivatives_at_zero_are_finite(
    rng: np.random.Generator, op_type: str, attributes: dict[str, int]
) -> None:
    model, feeds = build(Sample(op_type, (Floats((3,)),), attributes), [np.zeros(3)], symbolic=False)
    once = gs.vjp(model, ["y0"], ["x0"])
    twice = gs.vjp(once, ["x0_vjp"], ["x0", "y0_cotangent"])
    cotangent = rng.standard_normal(gs.Session(model).run(feeds)["y0"].shape)
    given = {**feeds, "y0_cotangent": cotangent, "x0_vjp_cotangent": rng.standard_normal(3)}
    for name, found in gs.Session(twice).run(given).items():
        assert np.isfinite(found).all(), name
