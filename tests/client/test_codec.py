"""Tensors on the wire: the round trip is the identity, bit for bit, or there is an error with a reason."""

from __future__ import annotations

import json

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from graphspec_client import CodecError, _codec, _dtypes
from graphspec_client._sources import json_bytes

NATIVE = [
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
    "complex64",
    "complex128",
]
EXTENDED = [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.float8_e8m0fnu]


def bits(array):
    return array.dtype, array.shape, array.tobytes()


def round_trip(array):
    return _codec.decode(json.loads(json_bytes(_codec.encode(array))))


@pytest.mark.parametrize("dtype", [*NATIVE, *EXTENDED], ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 0, 3), (2, 3), (4, 5, 3)], ids=str)
def test_round_trip(rng, dtype, shape):
    array = rng.integers(0, 2, shape).astype(dtype) if dtype == "bool" else rng.uniform(1, 100, shape).astype(dtype)
    found = round_trip(array)
    assert bits(found) == bits(array)
    assert found.flags.writeable


@settings(max_examples=200, deadline=None)
@given(npst.arrays(st.sampled_from(NATIVE[:12]), npst.array_shapes(min_dims=0, max_side=6)))
def test_round_trip_of_anything(array):
    found = round_trip(array)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


SPECIALS = [np.nan, np.inf, -np.inf, -0.0, np.finfo("f4").max, 5e-324]


@pytest.mark.parametrize("copies", [1, 20], ids=["list", "base64"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_non_finite_numbers_survive(dtype, copies):
    with np.errstate(over="ignore"):
        array = np.array(SPECIALS * copies).astype(dtype)
    encoded = _codec.encode(array)
    assert ("data" in encoded) == (copies == 1)
    found = round_trip(array)
    np.testing.assert_array_equal(found, array)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(array))


def test_integer_extremes_survive():
    array = np.array([-(2**63), 2**63 - 1, 2**53 + 1])
    np.testing.assert_array_equal(round_trip(array), array)
    array = np.array([2**64 - 1], "u8")
    np.testing.assert_array_equal(round_trip(array), array)


@pytest.mark.parametrize("array", [np.arange(20.0)[::-1], np.arange(24.0).reshape(4, 6).T, np.arange(20, dtype=">f8")])
def test_layout_and_byte_order_do_not_matter(array):
    np.testing.assert_array_equal(round_trip(array), array)


def test_strings():
    array = np.array([["a", ""], ["ü", "NaN"]], dtype=object)
    np.testing.assert_array_equal(round_trip(array), array)
    np.testing.assert_array_equal(round_trip(np.array(["x", b"y"], dtype=object)), np.array(["x", "y"], dtype=object))
    np.testing.assert_array_equal(round_trip(np.array(["abc"] * 30)), np.array(["abc"] * 30, dtype=object))


REFUSED = [
    pytest.param(None, "object", id="None"),
    pytest.param([1.0, None], "NoneType", id="None-inside"),
    pytest.param([[1.0], [1.0, 2.0]], "inhomogeneous|ragged", id="ragged"),
    pytest.param({"a": 1}, "dict", id="dict"),
    pytest.param(object(), "object", id="object"),
    pytest.param(np.array(["2024-01-01"], dtype="datetime64[D]"), "datetime64", id="datetime"),
    pytest.param(np.ones(2, np.longdouble), "longdouble|float128", id="longdouble"),
    pytest.param(np.array([b"\xff"], dtype=object), "UTF-8", id="bytes"),
    pytest.param(np.ones(2, ml_dtypes.int4), "int4", id="int4"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED)
def test_what_no_tensor_holds_is_refused(value, message):
    with pytest.raises(CodecError, match=message):
        _codec.encode(value)


BROKEN = [
    pytest.param({"dtype": "float32", "shape": [2], "data": [1.0, None]}, "None", id="null"),
    pytest.param({"dtype": "float32", "shape": [2], "data": [1.0]}, "reshape", id="short"),
    pytest.param({"dtype": "float32", "shape": [2], "base64": "AAAA"}, "buffer", id="base64-length"),
    pytest.param(
        {"dtype": "float32", "shape": [1], "base64": "AA*A"}, "base64|padding|Non-base64", id="base64-letters"
    ),
    pytest.param({"dtype": "float32", "shape": [1]}, "KeyError", id="no-data"),
    pytest.param({"dtype": "float3", "shape": [1], "data": [1]}, "float3", id="dtype"),
    pytest.param({"dtype": "int64", "shape": [1], "data": [1.5]}, "1.5", id="float-as-int"),
    pytest.param({"dtype": "int64", "shape": [1], "data": [True]}, "True", id="bool-as-int"),
    pytest.param({"dtype": "float32", "shape": [1], "data": ["nan"]}, "nan", id="wrong-word"),
    pytest.param({"dtype": "int8", "shape": [1], "data": [300]}, "300", id="overflow"),
    pytest.param([1.0], "TypeError", id="list"),
]


@pytest.mark.parametrize(("tensor", "message"), BROKEN)
def test_broken_tensors_are_refused(tensor, message):
    with pytest.raises(CodecError, match=message):
        _codec.decode(tensor)


FEEDS = [
    pytest.param([1, 2.5, float("nan")], [1, 2.5, "NaN"], id="list"),
    pytest.param(3, 3, id="int"),
    pytest.param(True, True, id="bool"),
    pytest.param("text", "text", id="str"),
    pytest.param([[np.float32(0.5)], (np.int8(2),)], [[0.5], [2]], id="list-of-numpy"),
    pytest.param(np.float32(0.5), {"dtype": "float32", "shape": [], "data": 0.5}, id="numpy-scalar"),
    pytest.param(np.float64(0.5), {"dtype": "float64", "shape": [], "data": 0.5}, id="numpy-float64"),
    pytest.param({"dtype": "int8", "shape": [1], "data": [1]}, {"dtype": "int8", "shape": [1], "data": [1]}, id="wire"),
]


@pytest.mark.parametrize(("feed", "expected"), FEEDS)
def test_feeds(feed, expected):
    assert _codec.encode_feeds({"x": feed}) == {"x": expected}


def test_a_bad_feed_is_named():
    with pytest.raises(CodecError, match=r"Feed 'x'.*NoneType"):
        _codec.encode_feeds({"x": [None]})


def test_json_is_strict():
    with pytest.raises(CodecError, match="NaN"):
        json_bytes({"data": float("nan")})
    with pytest.raises(CodecError, match="object"):
        json_bytes({"data": object()})


@pytest.mark.parametrize("name", _dtypes.ONNX_NUMBERS)
def test_every_dtype_has_one_name(name):
    dtype = _dtypes.numpy_dtype(name)
    assert _dtypes.wire_name(dtype) == name
    assert _dtypes.wire_name(name) == name
    assert _dtypes.is_float(name) == (name in {"float16", "float32", "float64", "bfloat16"})


def test_dtypes_are_those_of_onnx():
    import onnx

    names = {"float32": "FLOAT", "float64": "DOUBLE"}
    for name, number in _dtypes.ONNX_NUMBERS.items():
        assert getattr(onnx.TensorProto, names.get(name, name.upper())) == number


@pytest.mark.parametrize(
    ("strong", "weak", "result"),
    [
        (["bfloat16"], ["float64"], "bfloat16"),
        (["bfloat16", "float32"], [], "float32"),
        (["bfloat16", "bool"], [], "bfloat16"),
        (["float32"], ["int64"], "float32"),
        ([], ["int64", "float64"], "float64"),
        (["string"], [], "string"),
    ],
)
def test_promotion_beyond_numpy(strong, weak, result):
    assert _dtypes.promote(strong, weak) == result


@pytest.mark.parametrize(
    ("strong", "weak"), [(["bfloat16", "float16"], []), (["string", "int64"], []), (["bfloat16", "int64"], [])]
)
def test_types_that_do_not_mix(strong, weak):
    with pytest.raises(CodecError, match="mix"):
        _dtypes.promote(strong, weak)


def test_without_ml_dtypes_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ml_dtypes", None)
    with pytest.raises(CodecError, match="ml_dtypes"):
        _codec.decode({"dtype": "bfloat16", "shape": [], "data": 1.0})
