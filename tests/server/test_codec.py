"""Tensors and JSON: what is sent is what arrives, or the request is refused."""

from __future__ import annotations

import json
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from graphspec import FeedError, ValueInfo, dtypes
from graphspec_server._json import read_json, write_json, write_plain_json
from graphspec_server.codec import decode_tensor, decode_tensors, encode_tensor
from graphspec_server.errors import RequestError

CARRIED = [row for row in dtypes.DTYPES if row.bits >= 8 and row.name not in ("complex64", "complex128", "float8e8m0")]
FLOATS = [row for row in CARRIED if row.numpy.kind in "fV" and "uz" not in row.name]

BF16_ONE = np.ones(1, ml_dtypes.bfloat16)


def info(dtype="float32", shape=None):
    return ValueInfo(dtype, shape, "input")


def same(a, b):
    """Equal in type, shape and bits; every NaN is like every other."""
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    a, b = a.astype(np.float64), b.astype(np.float64)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.signbit(a[~np.isnan(a)]), np.signbit(b[~np.isnan(b)]))


def there_and_back(array, encoding):
    return decode_tensor(json.loads(write_json(encode_tensor(array, encoding))))


@pytest.mark.parametrize("encoding", ["list", "base64"])
@pytest.mark.parametrize("row", CARRIED, ids=lambda row: row.name)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,), (2, 0, 3), (1, 1, 1)], ids=str)
def test_every_type_there_and_back(rng, row, shape, encoding):
    array = (rng.standard_normal(shape) * 3).astype(np.float64)
    array = np.abs(array) if row.numpy.kind == "u" else array
    same(there_and_back(array.astype(row.numpy), encoding), array.astype(row.numpy))


@pytest.mark.parametrize("encoding", ["list", "base64"])
@pytest.mark.parametrize("row", FLOATS, ids=lambda row: row.name)
@pytest.mark.parametrize("shape", [(5,), (5, 1), (1, 5)], ids=str)
def test_no_number_is_lost(row, shape, encoding):
    values = [math.nan, math.inf, -math.inf, -0.0, 1.5]
    array = np.array(values).astype(row.numpy).reshape(shape)
    same(there_and_back(array, encoding), array)


@pytest.mark.parametrize("encoding", ["list", "base64"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0])
def test_no_scalar_is_lost(value, encoding):
    same(there_and_back(np.array(value, np.float32), encoding), np.array(value, np.float32))


def test_answers_hold_no_null():
    text = write_json(encode_tensor(np.array([[math.nan, 1.0], [-math.inf, math.inf]], np.float32)))
    assert json.loads(text)["data"] == [["NaN", 1.0], ["-Infinity", "Infinity"]]


@given(hnp.arrays(hnp.floating_dtypes(sizes=(16, 32, 64), endianness="="), hnp.array_shapes(max_dims=3)))
def test_all_floats_there_and_back(array):
    same(there_and_back(array, "list"), array)
    same(there_and_back(array, "base64"), array)


@given(hnp.arrays(hnp.integer_dtypes(endianness="=") | hnp.unsigned_integer_dtypes(endianness="="), 4))
def test_all_integers_there_and_back(array):
    same(there_and_back(array, "list"), array)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_all_text_there_and_back(texts):
    array = np.array(texts, dtype=object)
    np.testing.assert_array_equal(there_and_back(array, "list"), array)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("encoding", ["list", "base64"])
def test_views_are_written_in_row_major_order(rng, order, encoding):
    array = np.asarray(rng.standard_normal((4, 6)), order=order)[::2, ::-1].T
    same(there_and_back(array, encoding), array)


@pytest.mark.parametrize(
    ("tensor", "known", "expected"),
    [
        pytest.param(3, info(), np.float32(3), id="scalar"),
        pytest.param([1, 2.5], info(), np.float32([1, 2.5]), id="mixed-numbers"),
        pytest.param([1, 2], info("int64"), np.int64([1, 2]), id="graph-s-dtype"),
        pytest.param([], info(), np.zeros(0, np.float32), id="empty"),
        pytest.param([[], []], info(), np.zeros((2, 0), np.float32), id="empty-rows"),
        pytest.param([True, False], info("bool"), np.array([True, False]), id="bool"),
        pytest.param(2**64 - 1, info("uint64"), np.uint64(2**64 - 1), id="uint64-max"),
        pytest.param(-(2**63), info("int64"), np.int64(-(2**63)), id="int64-min"),
        pytest.param(["NaN", 1], info("float16"), np.float16([math.nan, 1]), id="nan"),
        pytest.param({"data": [1, 2]}, info(), np.float32([1, 2]), id="data-alone"),
        pytest.param({"data": [1, 2, 3, 4], "shape": [2, 2]}, info(), np.float32([[1, 2], [3, 4]]), id="flat"),
        pytest.param({"data": [[1, 2]], "shape": [1, 2]}, info(), np.float32([[1, 2]]), id="nested-with-shape"),
        pytest.param({"data": 7, "shape": [1, 1]}, info(), np.float32([[7]]), id="one-value"),
        pytest.param({"data": [7], "shape": []}, info(), np.float32(7), id="one-value-flat"),
        pytest.param({"data": [], "shape": [0, 5]}, info(), np.zeros((0, 5), np.float32), id="no-value"),
        pytest.param({"data": [1], "dtype": "float64"}, info(), np.float64([1]), id="own-dtype"),
        pytest.param({"base64": "AACAPw=="}, info(shape=(1,)), np.float32([1]), id="base64-of-known-shape"),
        pytest.param({"base64": "AACAPw==", "shape": []}, info(), np.float32(1), id="base64-scalar"),
        pytest.param({"base64": "gD8=", "shape": [1], "dtype": "bfloat16"}, None, BF16_ONE, id="no-graph"),
    ],
)  # fmt: skip
def test_forms(tensor, known, expected):
    same(decode_tensor(tensor, known), np.asarray(expected))


@pytest.mark.parametrize(
    ("tensor", "dtype", "code"),
    [
        pytest.param(None, "float32", "data-value", id="null"),
        pytest.param([1, None], "float32", "data-value", id="null-inside"),
        pytest.param([[1], [2, 3]], "float32", "ragged", id="ragged"),
        pytest.param([1, [2]], "float32", "ragged", id="deeper-later"),
        pytest.param([[1], 2], "float32", "ragged", id="shallower-later"),
        pytest.param(json.loads("[" * 65 + "]" * 65), "float32", "ragged", id="too-many-dimensions"),
        pytest.param("1", "float32", "data-value", id="number-in-text"),
        pytest.param("nan", "float32", "data-value", id="nan-misspelt"),
        pytest.param("inf", "float32", "data-value", id="inf-misspelt"),
        pytest.param("NaN", "int64", "data-value", id="nan-integer"),
        pytest.param([True, 2], "float32", "data-value", id="bool-for-float"),
        pytest.param([True, 2], "int32", "data-value", id="bool-for-int"),
        pytest.param([1, 0], "bool", "data-value", id="int-for-bool"),
        pytest.param(1.5, "int64", "data-value", id="fraction"),
        pytest.param(300, "int8", "data-value", id="too-large"),
        pytest.param(-1, "uint8", "data-value", id="negative"),
        pytest.param(1e39, "float32", "data-value", id="overflow-float32"),
        pytest.param(70000, "float16", "data-value", id="overflow-float16"),
        pytest.param("Infinity", "float8e4m3fn", "data-value", id="no-infinity"),
        pytest.param(1, "string", "data-value", id="number-for-string"),
        pytest.param([1], "complex64", "encoding", id="complex"),
        pytest.param([1], "int4", "unsupported-dtype", id="int4"),
        pytest.param([1], None, "dtype-unknown", id="no-dtype"),
        pytest.param([1], "sequence(float32)", "not-a-tensor", id="sequence"),
        pytest.param({}, "float32", "tensor-form", id="empty-object"),
        pytest.param({"data": 1, "base64": ""}, "float32", "tensor-form", id="both-forms"),
        pytest.param({"data": 1, "dtpye": "x"}, "float32", "unknown-field", id="unknown-field"),
        pytest.param({"data": 1, "dtype": "float31"}, "float32", "unknown-dtype", id="unknown-dtype"),
        pytest.param({"data": 1, "dtype": None}, "float32", "unknown-dtype", id="null-dtype"),
        pytest.param({"data": 1, "dtype": ["x"]}, "float32", "unknown-dtype", id="list-dtype"),
        pytest.param({"data": {"a": 1}}, "float32", "data-value", id="object-as-data"),
        pytest.param({"data": [1], "shape": [2]}, "float32", "data-length", id="too-short"),
        pytest.param({"data": [1, 2], "shape": []}, "float32", "data-length", id="too-long"),
        pytest.param({"data": [[1], [2]], "shape": [1, 2]}, "float32", "shape", id="nesting-contradicts"),
        pytest.param({"data": [1], "shape": [-1]}, "float32", "shape", id="negative-dimension"),
        pytest.param({"data": [1], "shape": [1.0]}, "float32", "shape", id="fractional-dimension"),
        pytest.param({"data": [1], "shape": [True]}, "float32", "shape", id="boolean-dimension"),
        pytest.param({"data": [1], "shape": 1}, "float32", "shape", id="shape-no-list"),
        pytest.param({"data": [1], "shape": [1] * 65}, "float32", "shape", id="too-many-in-shape"),
        pytest.param({"data": [], "shape": [0, 2**62, 2**62]}, "float32", "shape", id="huge-and-empty"),
        pytest.param({"data": [], "shape": [10**12]}, "float32", "data-length", id="huge"),
        pytest.param({"base64": "AACAPw=="}, "float32", "shape-unknown", id="base64-without-shape"),
        pytest.param({"base64": "AAC=", "shape": [1]}, "float32", "data-length", id="base64-too-short"),
        pytest.param({"base64": "AACAPw", "shape": [1]}, "float32", "base64", id="base64-unpadded"),
        pytest.param({"base64": "AACA\nPw==", "shape": [1]}, "float32", "base64", id="base64-with-newline"),
        pytest.param({"base64": "é", "shape": [1]}, "float32", "base64", id="base64-not-ascii"),
        pytest.param({"base64": 1, "shape": [1]}, "float32", "base64", id="base64-number"),
        pytest.param({"base64": "Ag==", "shape": [1]}, "bool", "data-value", id="base64-bool-2"),
        pytest.param({"base64": "", "shape": [0]}, "string", "encoding", id="base64-string"),
        pytest.param({"base64": "AA==", "shape": [2]}, "int4", "unsupported-dtype", id="base64-int4"),
        pytest.param({"base64": "", "shape": [10**12]}, "float64", "data-length", id="base64-huge"),
    ],
)
def test_refusals(tensor, dtype, code):
    with pytest.raises(FeedError) as caught:
        decode_tensor(tensor, info(dtype))
    (problem,) = caught.value.problems
    assert problem.code == code
    assert problem.message


def test_every_problem_is_reported_with_its_place():
    tensors = {"x": {"data": 1, "shape": [2]}, "a/b": {"data": 1, "dtype": "int9"}, "z": 1, "ok": 1}
    known = {name: info() for name in ("x", "a/b", "zz", "ok")}
    arrays, problems = decode_tensors(tensors, known, "feeds")
    assert list(arrays) == ["ok"]
    assert [(p.path, p.code) for p in problems] == [
        ("/feeds/x", "data-length"),
        ("/feeds/a~1b/dtype", "unknown-dtype"),
        ("/feeds/z", "unknown-name"),
    ]
    assert problems[2].hint == "Did you mean 'zz'?"


@pytest.mark.parametrize(
    ("array", "encoding"),
    [
        pytest.param(np.array(["a"], dtype=object), "base64", id="string-base64"),
        pytest.param(np.complex64([1j]), "list", id="complex-list"),
        pytest.param(np.ones(2, ml_dtypes.int4), "list", id="int4"),
        pytest.param(np.ones(2, ml_dtypes.int4), "base64", id="int4-base64"),
    ],
)
def test_what_cannot_be_written_is_refused(array, encoding):
    with pytest.raises(FeedError):
        encode_tensor(array, encoding)


def test_complex_numbers_go_as_base64(rng):
    array = (rng.standard_normal(3) + 1j * rng.standard_normal(3)).astype(np.complex64)
    np.testing.assert_array_equal(there_and_back(array, "base64"), array)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"{", "invalid-json", id="cut"),
        pytest.param(b"", "invalid-json", id="empty"),
        pytest.param(b"[NaN]", "invalid-json", id="nan-token"),
        pytest.param(b"[1e999]", "invalid-json", id="beyond-float64"),
        pytest.param(b"[" * 10_000 + b"]" * 10_000, "invalid-json", id="deep-lists"),
        pytest.param(b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "invalid-json", id="deep-objects"),
        pytest.param(b"\xff\xfe", "invalid-json", id="not-utf-8"),
        pytest.param(b'"\\ud800"', "invalid-json", id="lone-surrogate"),
        pytest.param(b'{"a": 1, "a": 1}', "duplicate-key", id="twice"),
        pytest.param(b'{"x": [0, {"a": 1, "\\u0061": 2}]}', "duplicate-key", id="twice-after-a-number"),
        pytest.param(b'[[{"b": {"a": 1, "b": 2, "a": 3}}]]', "duplicate-key", id="twice-inside"),
    ],
)
def test_json_that_is_refused(body, code):
    with pytest.raises(RequestError) as caught:
        read_json(body)
    assert caught.value.problems[0].code == code


@pytest.mark.parametrize(
    "text",
    ['{"a": "x: y", "b": {"a": ":"}}', '[1, {"a": 1}, {"a": 2}]', '{"\\"a\\":": [":", "\\\\"], "c": ":"}', "1", '""'],
)
def test_json_that_is_not(text):
    assert read_json(text) == json.loads(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text('a"\\:{,'),
        lambda inner: st.lists(inner) | st.dictionaries(st.text('a"\\:{,'), inner),
    )
)
def test_json_without_duplicates_is_never_refused(value):
    assert read_json(json.dumps(value)) == value


def test_problems_of_odd_text_can_be_written():
    assert json.loads(write_plain_json({"detail": "\ud800"})) == {"detail": "\ud800"}
