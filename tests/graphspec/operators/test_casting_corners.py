"""Conversions: every pair of types, ONNX's tables of float 8, text, bits, and the derivative."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import pytest

import graphspec as gs
from graphspec import dtypes
from graphspec.operators.casting import converted

NUMERIC = [row for row in dtypes.DTYPES if row.name != "string" and not row.name.startswith("complex")]
INF, NAN = np.inf, np.nan


def to(name: str, values: Any, **options: Any) -> list[float]:
    found = converted(np.array(values, np.float32), dtypes.of(name).numpy, **options)
    assert found.dtype == dtypes.of(name).numpy
    return found.astype(np.float64).tolist()


@pytest.mark.parametrize(("source", "target"), list(itertools.product(NUMERIC, NUMERIC)), ids=lambda row: row.name)
def test_one_and_zero_survive_every_pair_of_types(source: dtypes.DType, target: dtypes.DType) -> None:
    x = converted(np.array([1.0]), source.numpy)
    found = converted(x, target.numpy)
    assert found.dtype == target.numpy
    assert found.shape == (1,)
    assert found.astype(np.float64).tolist() == [1.0]


@pytest.mark.parametrize(
    ("name", "saturate", "expected"),
    [
        # of 1e6, -1e6, inf, -inf, nan, as ONNX's tables have it
        ("float8e4m3fn", True, [448, -448, 448, -448, NAN]),
        ("float8e4m3fnuz", True, [240, -240, 240, -240, NAN]),
        ("float8e5m2", True, [57344, -57344, 57344, -57344, NAN]),
        ("float8e5m2fnuz", True, [57344, -57344, 57344, -57344, NAN]),
        ("float8e4m3fn", False, [NAN] * 5),
        ("float8e4m3fnuz", False, [NAN] * 5),
        ("float8e5m2", False, [INF, -INF, INF, -INF, NAN]),
        ("float8e5m2fnuz", False, [NAN] * 5),
        ("float16", True, [INF, -INF, INF, -INF, NAN]),
        ("bfloat16", True, [999424, -999424, INF, -INF, NAN]),
    ],
)
def test_beyond_the_range(name: str, saturate: bool, expected: Any) -> None:
    np.testing.assert_array_equal(to(name, [1e6, -1e6, INF, -INF, NAN], saturate=saturate), expected)


E8M0_MAX, E8M0_MIN = 2.0**127, 2.0**-127


@pytest.mark.parametrize(
    ("round_mode", "saturate", "expected"),
    [
        # of 1, 1.1, 1.5, 1.9, 0, inf, nan, 2^-140
        ("up", True, [1, 2, 2, 2, E8M0_MIN, E8M0_MAX, NAN, E8M0_MIN]),
        ("down", True, [1, 1, 1, 1, E8M0_MIN, E8M0_MAX, NAN, E8M0_MIN]),
        ("nearest", True, [1, 1, 2, 2, E8M0_MIN, E8M0_MAX, NAN, E8M0_MIN]),
        ("nearest", False, [1, 1, 2, 2, NAN, NAN, NAN, NAN]),
    ],
)
def test_powers_of_two(round_mode: str, saturate: bool, expected: Any) -> None:
    found = to("float8e8m0", [1, 1.1, 1.5, 1.9, 0, INF, NAN, 2.0**-140], saturate=saturate, round_mode=round_mode)
    np.testing.assert_array_equal(found, expected)


def test_unknown_round_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="round_mode"):
        to("float8e8m0", [1], round_mode="sideways")


@pytest.mark.parametrize(
    ("source", "target", "values", "expected"),
    [
        ("int16", "int8", [200, -129], [-56, 127]),
        ("int64", "uint8", [-1, 256], [255, 0]),
        ("int16", "int4", [200, 7], [-8, 7]),
        ("int8", "uint4", [-1, 17], [15, 1]),
        ("float32", "bool", [0.0, -0.0, NAN, 0.1], [False, False, True, True]),
        ("bool", "int4", [True, False], [1, 0]),
        ("uint4", "int4", [9, 7], [-7, 7]),
    ],
)
def test_between_integers_the_low_bits_stay(source: str, target: str, values: Any, expected: Any) -> None:
    x = np.array(values).astype(dtypes.of(source).numpy)
    found = converted(x, dtypes.of(target).numpy)
    assert found.astype(np.int64).tolist() == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("float32", ["3.14", "+INF", "-inf", "1E8", "NaN", " 7 "], [3.14, INF, -INF, 1e8, NAN, 7]),
        ("bfloat16", ["0.5", "INF"], [0.5, INF]),
        ("float8e5m2", ["0.5", "1e9"], [0.5, 57344]),
        ("int64", ["9007199254740993", "-1", "1e3", "2.9"], [9007199254740993, -1, 1000, 2]),
        ("bool", ["true", "FALSE", "1", "0", "2.5"], [True, False, True, False, True]),
    ],
)
def test_reading_text(name: str, text: Any, expected: Any) -> None:
    found = converted(np.array(text, object), dtypes.of(name).numpy)
    assert found.dtype == dtypes.of(name).numpy
    if name == "int64":
        assert found.tolist() == expected
    else:
        np.testing.assert_array_equal(found.astype(np.float32), np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0.1, -2.5, 1e20, NAN, INF, -INF], np.float32), ["0.1", "-2.5", "1e+20", "NaN", "INF", "-INF"]),
        (np.array([0.1, 1 / 3]), ["0.1", "0.3333333333333333"]),
        (np.array([7, -(2**63)]), ["7", "-9223372036854775808"]),
        (np.array([True, False]), ["1", "0"]),
        (np.array(1.5, np.float32), "1.5"),
    ],
)
def test_writing_text(values: Any, expected: Any) -> None:
    found = converted(values, np.dtype(object))
    assert isinstance(found, np.ndarray)
    assert found.tolist() == expected


@pytest.mark.parametrize("name", [row.name for row in NUMERIC if row.bits >= 16 and row.name != "bool"])
def test_text_reads_back_as_the_same_number(rng: np.random.Generator, name: str) -> None:
    dtype = dtypes.of(name).numpy
    x = converted(np.abs(rng.standard_normal(20)) * 1e3, dtype)
    np.testing.assert_array_equal(converted(converted(x, np.dtype(object)), dtype), x)


@pytest.mark.parametrize("target", ["FLOAT", "INT32", "BOOL"])
def test_text_that_is_no_number_is_refused(run: Any, target: str) -> None:
    with pytest.raises(gs.ExecutionError, match="hello"):
        run("Cast", np.array(["hello"], object), to=getattr(onnx.TensorProto, target))


@pytest.mark.parametrize("target", [onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16])
def test_the_cotangent_is_cast_back(pull: Any, target: int) -> None:
    X = np.array([1.25, -2.5])
    cotangent = np.array([0.5, -3.0]).astype(dtypes.of(target).numpy)
    (found,) = pull("Cast", X, dY=cotangent, to=target)
    assert found.dtype == np.float64
    assert found.tolist() == [0.5, -3.0]


def test_no_derivative_comes_through_integers() -> None:
    """A float that passes through an integer is constant almost everywhere: exactly zero, not an error."""
    model = gs.load(
        '<ir_version: 10, opset_import: ["" : 23]> g (float[3] x) => (float[3] y) '
        "{ i = Cast<to = 7>(x) f = Cast<to = 1>(i) s = Mul(x, f) y = Add(s, f) }"
    )
    feeds = {"x": np.array([1.7, -2.2, 3.0], np.float32), "y_cotangent": np.array([1.5, 2, -1], np.float32)}
    found = gs.Session(gs.vjp(model, ["y"], ["x"])).run(feeds)
    np.testing.assert_array_equal(found["x_vjp"], np.array([1.5, -4, -3], np.float32))


@pytest.mark.parametrize(
    ("source", "target", "values", "expected"),
    [
        ("float32", "int32", [1.0, -0.0], [0x3F800000, -(2**31)]),
        ("uint8", "int8", [255, 1], [-1, 1]),
        ("int4", "uint4", [-1, 7], [15, 7]),
        ("uint4", "int4", [15, 7], [-1, 7]),
        ("int2", "uint2", [-1, 1], [3, 1]),
        ("uint16", "bfloat16", [0x3F80, 0xC000], [1.0, -2.0]),
    ],
)
def test_bits_read_as_another_type(source: str, target: str, values: Any, expected: Any) -> None:
    from graphspec.operators.casting import bit_cast

    x = np.array(values).astype(dtypes.of(source).numpy)
    found = bit_cast(x, to=int(dtypes.of(target).onnx))
    assert found.dtype == dtypes.of(target).numpy
    assert found.astype(np.float64).tolist() == expected
    assert bit_cast(x[0], to=int(dtypes.of(target).onnx)).shape == ()


def test_bits_of_unequal_widths_are_refused() -> None:
    from graphspec.operators.casting import bit_cast

    with pytest.raises(ValueError, match="bits"):
        bit_cast(np.zeros(2, np.float32), to=onnx.TensorProto.INT64)
