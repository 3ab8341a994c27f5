"""Arithmetic where the textbook stops: ties, zeros, infinities, bounds, integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphspec as gs
from graphspec.operators import registry

INF, NAN = np.inf, np.nan
COTANGENT = np.array([0.7, -1.3, 2.1, 0.4])


def kernel(op_type: str, opset: int = 23) -> Callable[..., Any]:
    entry = registry.find(op_type, "", opset)
    assert entry is not None
    return entry.kernel


@pytest.mark.parametrize(
    ("op_type", "arrays", "expected"),
    [
        pytest.param("Max", ([1.0, 2, 3, 4], [1.0, 1, 4, 4]), ([0.35, -1.3, 0, 0.2], [0.35, 0, 2.1, 0.2]), id="max"),
        pytest.param("Min", ([1.0, 2, 3, 4], [1.0, 1, 4, 4]), ([0.35, 0, 2.1, 0.2], [0.35, -1.3, 0, 0.2]), id="min"),
        pytest.param("Max", ([3.0, 0, 0, 1],) * 3, ([0.7 / 3, -1.3 / 3, 0.7, 0.4 / 3],) * 3, id="max-of-three"),
        pytest.param("Max", ([NAN, 0, 0, 1], [0.0, 1, 0, 0]), ([0, 0, 1.05, 0.4], [0, -1.3, 1.05, 0]), id="max-nan"),
        pytest.param("Abs", ([0.0, -0.0, -2, 3],), ([0, 0, -2.1, 0.4],), id="abs"),
    ],
)
def test_ties_share_in_equal_parts(pull: Any, op_type: str, arrays: Any, expected: Any) -> None:
    arrays = [np.array(a) for a in arrays]
    found = pull(op_type, *arrays, dY=COTANGENT, wrt=range(len(arrays)))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_one_value_twice_takes_the_whole_cotangent() -> None:
    model = gs.load('<ir_version: 10, opset_import: ["" : 23]> g (double[2] x) => (double[2] y) { y = Max(x, x) }')
    found = gs.Session(gs.vjp(model, ["y"], ["x"])).run({"x": np.ones(2), "y_cotangent": np.array([0.3, -2.0])})
    np.testing.assert_allclose(found["x_vjp"], [0.3, -2.0])


POWERS = [
    pytest.param(0.0, 0.0, 0.0, 0.0, id="0^0"),
    pytest.param(0.0, 1.0, 0.7, 0.0, id="0^1"),
    pytest.param(0.0, 2.0, 0.0, 0.0, id="0^2"),
    pytest.param(0.0, 0.5, INF, 0.0, id="0^half"),
    pytest.param(0.0, -1.0, -INF, -INF, id="0^-1"),
    pytest.param(-2.0, 3.0, 0.7 * 12, NAN, id="negative base"),
    pytest.param(-2.0, 0.0, 0.0, NAN, id="negative base, 0"),
    pytest.param(2.0, 0.0, 0.0, 0.7 * np.log(2), id="2^0"),
    pytest.param(1e300, 0.0, 0.0, 0.7 * np.log(1e300), id="large^0"),
]


@pytest.mark.parametrize(("base", "exponent", "d_base", "d_exponent"), POWERS)
def test_gradient_of_powers_at_the_edges(
    pull: Any, base: float, exponent: float, d_base: float, d_exponent: float
) -> None:
    found = pull("Pow", np.array(base), np.array(exponent), dY=0.7, wrt=(0, 1))
    np.testing.assert_allclose(found, [d_base, d_exponent], rtol=1e-12)


@pytest.mark.parametrize(("base", "exponent", "d_base", "d_exponent"), POWERS)
def test_constant_exponents_have_the_same_gradient(
    base: float, exponent: float, d_base: float, d_exponent: float
) -> None:
    model = gs.load(
        '<ir_version: 10, opset_import: ["" : 23]> g (double x) => (double y) '
        f"{{ e = Constant<value = double {{{exponent}}}>() y = Pow(x, e) }}"
    )
    found = gs.Session(gs.vjp(model, ["y"], ["x"])).run({"x": np.array(base), "y_cotangent": np.array(0.7)})
    np.testing.assert_allclose(found["x_vjp"], d_base, rtol=1e-12)


def test_mixed_second_derivative_of_power_at_exponent_zero() -> None:
    """∂²/∂x∂n of x^n at n = 0 is 1/x: the guard of 0^0 must not cut it off."""
    model = gs.load('<ir_version: 10, opset_import: ["" : 23]> g (double x, double n) => (double y) { y = Pow(x, n) }')
    first = gs.vjp(model, ["y"], ["x"])
    second = gs.vjp(first, ["x_vjp"], ["n"])
    point = {"x": np.array(2.0), "n": np.array(0.0), "y_cotangent": np.array(1.0), "x_vjp_cotangent": np.array(3.0)}
    np.testing.assert_allclose(gs.Session(second).run(point)["n_vjp"], 1.5)


@pytest.mark.parametrize(
    ("X", "Y", "expected"),
    [
        pytest.param([2, -1, -1, 7], [-1, -3, -2, 0], [0, -1, 1, 1], id="negative exponents"),
        pytest.param([3, -3, 0, 2], [39, 39, 0, 62], [3**39, -(3**39), 1, 2**62], id="exact beyond float64"),
    ],
)
def test_integer_powers(run: Any, X: Any, Y: Any, expected: Any) -> None:
    found = run("Pow", np.array(X), np.array(Y))
    assert found.dtype == np.int64
    assert found.tolist() == expected


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64])
def test_integer_division_truncates_toward_zero(dtype: type) -> None:
    A, B = np.array([7, -7, 7, -7, 6, -6, 0], dtype), np.array([2, 2, -2, -2, 3, 3, -5], dtype)
    found = kernel("Div")(A, B)
    assert found.dtype == dtype
    assert found.tolist() == [3, -3, -3, 3, 2, -2, 0]


@pytest.mark.parametrize(
    ("op_type", "arrays", "attributes"),
    [
        pytest.param("Div", (np.array([1, 2]), np.array([1, 0])), {}, id="Div"),
        pytest.param("Mod", (np.array([1, 2]), np.array([1, 0])), {}, id="Mod"),
        pytest.param("Mod", (np.array([1, 2]), np.array([1, 0])), {"fmod": 1}, id="fmod"),
        pytest.param("Pow", (np.array([0]), np.array([-1])), {}, id="Pow"),
    ],
)
def test_integers_that_have_no_result_are_refused(run: Any, op_type: str, arrays: Any, attributes: Any) -> None:
    with pytest.raises(gs.ExecutionError, match="node"):
        run(op_type, *arrays, **attributes)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize(
    ("fmod", "A", "B", "expected"),
    [
        pytest.param(0, [0.0, -0.0, 3, -3, 3, -3, INF, 3, NAN], [-2.0, 2, INF, INF, -INF, -INF, 2, 0, 2],
                     [-0.0, 0.0, 3, INF, -INF, -3, NAN, NAN, NAN], id="floor"),
        pytest.param(1, [7.0, -7, 7, -7, 3, -3, INF, 3], [4.0, 4, -4, -4, INF, INF, 2, 0],
                     [3.0, -3, 3, -3, 3, -3, NAN, NAN], id="trunc"),
    ],
)  # fmt: skip
def test_remainders_at_the_edges(dtype: type, fmod: int, A: Any, B: Any, expected: Any) -> None:
    with np.errstate(invalid="ignore"):
        found = kernel("Mod", 28)(np.array(A, dtype), np.array(B, dtype), fmod=fmod)
    assert found.dtype == dtype
    found = found.astype(np.float64)
    np.testing.assert_array_equal(found, expected)
    zeros = found == 0
    np.testing.assert_array_equal(np.signbit(found[zeros]), np.signbit(np.array(expected)[zeros]))


BOUNDS = [
    # X on, inside and outside of the bounds; cotangents of X, min and max
    pytest.param([-1.0, 2, 0, 5], -1.0, 2.0, [0.7, -1.3, 2.1, 0], 0, 0.4, id="inclusive"),
    pytest.param([-4.0, 1, 9, 9], -1.0, 2.0, [0, -1.3, 0, 0], 0.7, 2.5, id="outside"),
    pytest.param([0.0, 1, 2, 3], 2.0, 1.0, [0, 0, 0, 0], 0, 1.9, id="crossed"),
    pytest.param([0.0, NAN, 2, 3], 0.5, 2.5, [0, 0, 2.1, 0], 0.7, 0.4, id="nan"),
    pytest.param([-INF, INF, 0, 1], -INF, INF, [0.7, -1.3, 2.1, 0.4], 0, 0, id="infinite"),
]


@pytest.mark.parametrize(("X", "low", "high", "dX", "d_low", "d_high"), BOUNDS)
def test_clip_hands_the_cotangent_to_what_decided(
    pull: Any, X: Any, low: float, high: float, dX: Any, d_low: float, d_high: float
) -> None:
    found = pull("Clip", np.array(X), np.array(low), np.array(high), dY=COTANGENT, wrt=(0, 1, 2))
    for value, expected in zip(found, (dX, d_low, d_high), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_clip_with_nan_as_a_bound_gives_nan(run: Any) -> None:
    X = np.array([1.0, 2.0])
    assert np.isnan(run("Clip", X, np.array(NAN), np.array(1.5))).all()
    assert np.isnan(run("Clip", X, np.array(0.0), np.array(NAN))).all()


def test_clip_without_a_bound_lets_infinity_pass(run: Any) -> None:
    X = np.array([-INF, INF], np.float32)
    np.testing.assert_array_equal(run("Clip", X), X)
    np.testing.assert_array_equal(run("Clip", X, np.float32(0)), [0, INF])


def test_derivative_of_the_clip_of_attributes() -> None:
    """Below opset 11 the bounds are attributes; the model is converted upward."""
    model = gs.load(
        '<ir_version: 4, opset_import: ["" : 7]> g (float[4] x) => (float[4] y) { y = Clip<min = -1.0, max = 2.0>(x) }'
    )
    feeds = {"x": np.array([-2, -1, 1, 3], np.float32), "y_cotangent": COTANGENT.astype(np.float32)}
    found = gs.Session(gs.vjp(model, ["y"], ["x"])).run(feeds)
    np.testing.assert_allclose(found["x_vjp"], [0, -1.3, 2.1, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("op_type", "A", "B", "attributes", "expected"),
    [
        pytest.param("Add", (2, 3), (2, 3), {}, (2, 3), id="equal"),
        pytest.param("Sub", (2, 3), (3,), {"broadcast": 1}, (3,), id="suffix"),
        pytest.param("Mul", (2, 3, 4), (3,), {"broadcast": 1, "axis": 1}, (3, 1), id="axis"),
        pytest.param("Div", (2, 3, 4), (2, 3), {"broadcast": 1, "axis": 0}, (2, 3, 1), id="two-axes"),
        pytest.param("Mul", (2, 3, 4), (3,), {"broadcast": 1, "axis": -2}, (3, 1), id="negative-axis"),
        pytest.param("Pow", (2, 3), (1,), {"broadcast": 1}, (1,), id="one"),
        pytest.param("Add", (2, 3), (), {"broadcast": 1}, (), id="scalar"),
        pytest.param("Add", (2, 3), (2, 1), {"broadcast": 1}, (2, 1), id="ones-inside"),
    ],
)
def test_broadcasting_by_attribute(
    rng: np.random.Generator, op_type: str, A: Any, B: Any, attributes: Any, expected: Any
) -> None:
    a, b = rng.uniform(0.5, 2, A), rng.uniform(0.5, 2, B)
    np.testing.assert_array_equal(
        kernel(op_type, 6)(a, b, **attributes), kernel(op_type)(a, b.reshape(expected)), strict=True
    )


@pytest.mark.parametrize(
    ("A", "B", "attributes", "message"),
    [
        pytest.param((2, 3), (3,), {}, "not set", id="off"),
        pytest.param((2, 3), (2,), {"broadcast": 1}, "no part", id="wrong"),
        pytest.param((2, 3), (3, 2), {"broadcast": 1, "axis": 1}, "no part", id="too far"),
        pytest.param((3,), (2, 3), {"broadcast": 1}, "no part", id="too many"),
    ],
)
def test_broadcasting_by_attribute_refuses(A: Any, B: Any, attributes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernel("Add", 6)(np.ones(A), np.ones(B), **attributes)


def test_sums_and_means_of_16_bits_round_once() -> None:
    parts = [np.array([v], np.float16) for v in (60000, 60000, -60000)]
    assert kernel("Sum")(*parts).tolist() == [60000]
    assert kernel("Mean")(*parts).tolist() == [20000]
    many = [np.array([v], ml_dtypes.bfloat16) for v in (256, 1, 1)]  # 256 + 1 is 256 in bfloat16
    assert kernel("Sum")(*many).astype(float).tolist() == [258]


@pytest.mark.parametrize("exponent", [np.int64(2), np.float64(2), np.float32(3), np.int32(-1)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, ml_dtypes.bfloat16])
def test_powers_keep_the_dtype_of_the_base(dtype: type, exponent: Any) -> None:
    X = np.array([0.5, 2], dtype)
    found = kernel("Pow")(X, np.array(exponent))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.astype(float), np.array([0.5, 2]) ** float(exponent))
