"""Feeds and fetches held against a graph: what is taken, what is refused, and with which words."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

from graphspec.errors import FeedError
from graphspec.validation import FeedChecker, ValueInfo, check_feeds


def model(signature: str, nodes: str = "", parameters: str = "") -> ir.Model:
    text = f'<ir_version: 10, opset_import: ["": 21]> g ({signature}) => (float out) {parameters} {{ {nodes} }}'
    return ir.from_proto(onnx.parser.parse_model(text))


F32, F64, I64 = np.float32, np.float64, np.int64
W = "<float[2] w = {1, 2}>"


@dataclasses.dataclass
class Taken:
    """A feed for the one input ``x`` and the array that it becomes."""

    id: str
    type: str
    value: Any
    array: Any


TAKEN = [
    Taken("array", "float[2]", np.array([1, 2], F32), np.array([1, 2], F32)),
    Taken("list", "float[2]", [1.5, 2.5], np.array([1.5, 2.5], F32)),
    Taken("ints-to-float", "float[2]", [1, 2], np.array([1, 2], F32)),
    Taken("bools-to-float", "float[2]", [True, False], np.array([1, 0], F32)),
    Taken("bools-to-int", "int64[2]", [True, False], np.array([1, 0], I64)),
    Taken("scalar", "float", 3, np.array(3, F32)),
    Taken("nested-tuple", "int32[2,2]", ((1, 2), [3, 4]), np.array([[1, 2], [3, 4]], np.int32)),
    Taken("lists-of-arrays", "float[2,2]", [np.ones(2), np.zeros(2)], np.array([[1, 1], [0, 0]], F32)),
    Taken("range", "int64[3]", range(3), np.arange(3, dtype=I64)),
    Taken("empty-list", "int64[0]", [], np.zeros(0, I64)),
    Taken("empty-rows", "float[2,0]", [[], []], np.zeros((2, 0), F32)),
    Taken("floats-to-complex", "complex64[2]", [1.0, 2j], np.array([1, 2j], np.complex64)),
    Taken("nan-and-inf", "float16[3]", [float("nan"), float("inf"), 1], np.array([np.nan, np.inf, 1], np.float16)),
    Taken("uint64-beyond-int64", "uint64[1]", [2**63], np.array([2**63], np.uint64)),
    Taken("int64-extremes", "int64[2]", [-(2**63), 2**63 - 1], np.array([-(2**63), 2**63 - 1], I64)),
    Taken("bfloat16", "bfloat16[2]", [1, 2.5], np.array([1, 2.5], ml_dtypes.bfloat16)),
    Taken("int4", "int4[2]", [-8, 7], np.array([-8, 7], ml_dtypes.int4)),
    Taken("big-endian", "float[2]", np.array([1, 2], ">f4"), np.array([1, 2], F32)),
    Taken("numpy-scalar", "double", np.float64(2), np.array(2.0)),
    Taken("symbolic", "float[batch,2]", np.ones((5, 2), F32), np.ones((5, 2), F32)),
    Taken("unknown-size", "float[?,2]", np.ones((5, 2), F32), np.ones((5, 2), F32)),
    Taken("string-list", "string[2]", ["a", "é"], np.array(["a", "é"], object)),
    Taken("string-scalar", "string", "abc", np.array("abc", object)),
    Taken("string-array", "string[2]", np.array(["a", "bc"]), np.array(["a", "bc"], object)),
    Taken("string-bytes", "string[1]", [b"a"], np.array(["a"], object)),
    Taken("sequence", "seq(float[2])", [[1, 2], np.zeros(2, F32)], [np.array([1, 2], F32), np.zeros(2, F32)]),
    Taken("empty-sequence", "seq(float[2])", [], []),
    Taken("optional-none", "optional(float[2])", None, None),
    Taken("optional", "optional(float[2])", [1, 2], np.array([1, 2], F32)),
    Taken("optional-sequence", "optional(seq(int64[1]))", [[1]], [np.array([1], I64)]),
]


def assert_same(found: Any, wanted: Any) -> None:
    if isinstance(wanted, list):
        assert isinstance(found, list)
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other)
    elif wanted is None:
        assert found is None
    else:
        assert isinstance(found, np.ndarray)
        assert found.dtype == wanted.dtype
        assert found.dtype.isnative
        np.testing.assert_array_equal(found, wanted, strict=True)


@pytest.mark.parametrize("case", [pytest.param(c, id=c.id) for c in TAKEN])
def test_taken(case: Taken) -> None:
    feeds = check_feeds(model(f"{case.type} x"), {"x": case.value})
    assert list(feeds) == ["x"]
    assert_same(feeds["x"], case.array)


def test_what_fits_is_not_copied() -> None:
    x = np.ones((2, 3), F32)
    assert FeedChecker(model("float[2,3] x"))({"x": x})["x"] is x


def test_an_optional_input_may_be_left_out() -> None:
    graph = model("optional(float[2]) x, float[2] y")
    y = np.ones(2, F32)
    fed = check_feeds(graph, {"y": y})
    assert fed["x"] is None
    assert fed["y"] is y
    assert check_feeds(graph, {"x": None, "y": y})["x"] is None
    with pytest.raises(FeedError) as refusal:
        check_feeds(graph, {})
    assert [p.path for p in refusal.value.problems] == ["/feeds/y"]


@dataclasses.dataclass
class Refused:
    """Feeds for a graph, and the one problem that they have."""

    id: str
    signature: str
    feeds: Any
    code: str
    path: str = "/feeds/x"
    says: str = ""
    expected: str = ""
    found: str = ""
    hint: str | None = None
    fetches: Any = None


XY = "float[batch,3] x, int64[batch] y"
GOOD_XY = {"x": np.ones((2, 3), F32), "y": np.ones(2, I64)}
REFUSED = [
    Refused("missing", "float[2,n] x", {}, "missing-feed", says="'x'", expected="float32[2, n]", found="nothing"),
    Refused(
        "unknown",
        "float[2] inputs",
        {"inputs": [1, 2], "input": [1]},
        "unknown-feed",
        "/feeds/input",
        expected="inputs",
        found="input",
        hint="'inputs'",
    ),
    Refused("intermediate", XY, GOOD_XY | {"a": [1]}, "unknown-feed", "/feeds/a", hint="computed"),
    Refused("name-escaped", XY, GOOD_XY | {"p/q~": [1]}, "unknown-feed", "/feeds/p~1q~0"),
    Refused(
        "array-of-other-dtype",
        "float[2] x",
        {"x": np.ones(2)},
        "dtype-mismatch",
        expected="float32",
        found="float64",
        hint=".astype('float32')",
    ),
    Refused("array-narrower", "double[2] x", {"x": np.ones(2, F32)}, "dtype-mismatch", found="float32"),
    Refused("numpy-scalar", "float x", {"x": np.float64(1)}, "dtype-mismatch", found="float64"),
    Refused("floats-to-int", "int64[2] x", {"x": [1.0, 2.0]}, "dtype-mismatch", found="floats", hint="rounded"),
    Refused("ints-to-bool", "bool[2] x", {"x": [1, 0]}, "dtype-mismatch", expected="bool", found="integers"),
    Refused("complex-to-float", "float[1] x", {"x": [1j]}, "dtype-mismatch", found="complex numbers"),
    Refused("strings-to-float", "float[1] x", {"x": ["1"]}, "dtype-mismatch", found="a str"),
    Refused("none", "float[1] x", {"x": None}, "dtype-mismatch", expected="float32", found="None"),
    Refused("dict", "float[1] x", {"x": {"a": 1}}, "dtype-mismatch", found="a dict"),
    Refused("object-array", "float[1] x", {"x": np.array([1.0], object)}, "dtype-mismatch", found="string"),
    Refused("datetime", "float[1] x", {"x": np.array(["2020-01-01"], "M8[D]")}, "dtype-mismatch", found="datetime64"),
    Refused("int-out-of-range", "uint8[2] x", {"x": [0, 256]}, "dtype-mismatch", says="beyond uint8"),
    Refused("int-negative", "uint64[1] x", {"x": [-1]}, "dtype-mismatch", says="beyond uint64"),
    Refused("int4-out-of-range", "int4[1] x", {"x": [8]}, "dtype-mismatch", says="beyond int4"),
    Refused("int-beyond-64-bits", "int64[1] x", {"x": [2**64]}, "dtype-mismatch", says="beyond int64"),
    Refused("float-out-of-range", "float[1] x", {"x": [1e300]}, "dtype-mismatch", says="beyond float32"),
    Refused("ragged", "float[2,2] x", {"x": [[1, 2], [3]]}, "invalid-feed", says="not a regular nested list"),
    Refused("numbers-to-string", "string[1] x", {"x": [1]}, "dtype-mismatch", expected="string", found="a int"),
    Refused("array-to-string", "string[1] x", {"x": np.ones(1)}, "dtype-mismatch", found="float64"),
    Refused("no-utf-8", "string[1] x", {"x": [b"\xff"]}, "invalid-feed", expected="UTF-8"),
    Refused("sequence-of-tensor", "seq(float[2]) x", {"x": np.ones(2, F32)}, "dtype-mismatch", expected="a list"),
    Refused("sequence-element", "seq(int64[1]) x", {"x": [[1], [1.5]]}, "dtype-mismatch", says="element 1"),
    Refused("optional-element", "optional(int64[1]) x", {"x": [1.5]}, "dtype-mismatch", found="floats"),
    Refused(
        "rank",
        "float[2,3] x",
        {"x": np.ones(6, F32)},
        "shape-mismatch",
        expected="2 dimensions: [2, 3]",
        found="[6]",
    ),
    Refused("rank-of-list", "float[2] x", {"x": 1}, "shape-mismatch", expected="1 dimensions", found="[]"),
    Refused(
        "fixed-size",
        "float[n,3] x",
        {"x": np.ones((2, 4), F32)},
        "shape-mismatch",
        says="axis 1",
        expected="[n, 3]",
        found="[2, 4]",
    ),
    Refused(
        "symbol-across-feeds",
        XY,
        {"x": np.ones((2, 3), F32), "y": np.ones(4, I64)},
        "shape-mismatch",
        "/feeds/y",
        says="'batch' is 2 in the feed 'x' (axis 0) and 4 in the feed 'y' (axis 0)",
        expected="batch = 2, as in 'x'",
        found="[4]",
    ),
    Refused(
        "symbol-within-a-feed",
        "float[n,n] x",
        {"x": np.ones((2, 3), F32)},
        "shape-mismatch",
        says="'n' is 2 in the feed 'x' (axis 0) and 3 in the feed 'x' (axis 1)",
    ),
    Refused(
        "fetch", XY, GOOD_XY, "unknown-fetch", "/fetches/1", found="ourput", hint="'output'", fetches=["a", "ourput"]
    ),
    Refused("fetch-string", XY, GOOD_XY, "unknown-fetch", "/fetches", hint="['output']", fetches="output"),
    Refused("fetch-number", XY, GOOD_XY, "unknown-fetch", "/fetches/0", found="7", fetches=[7]),
    Refused("feeds-no-mapping", XY, [1, 2], "invalid-feed", "/feeds", says="not list"),
]


@pytest.mark.parametrize("case", [pytest.param(c, id=c.id) for c in REFUSED])
def test_refused(case: Refused) -> None:
    nodes = "a = Relu(x)  output = Tanh(a)" if case.signature == XY else ""
    with pytest.raises(FeedError) as caught:
        check_feeds(model(case.signature, nodes), case.feeds, case.fetches)
    (problem,) = caught.value.problems
    assert (problem.code, problem.path) == (case.code, case.path)
    assert case.says in problem.message
    assert case.expected in (problem.expected or "")
    assert case.found in (problem.found or "")
    assert case.hint is None or case.hint in (problem.hint or "")


def test_all_problems_at_once() -> None:
    graph = model("float[batch,3] x, int64[batch] y, float[2] z", "a = Relu(x)")
    with pytest.raises(FeedError) as caught:
        check_feeds(graph, {"x": np.ones((2, 4), F32), "y": [1.5], "w": 1}, ["b"])
    assert [(p.code, p.path) for p in caught.value.problems] == [
        ("shape-mismatch", "/feeds/x"),
        ("dtype-mismatch", "/feeds/y"),
        ("unknown-feed", "/feeds/w"),
        ("missing-feed", "/feeds/z"),
        ("unknown-fetch", "/fetches/0"),
    ]
    assert str(caught.value).endswith("(and 4 more)")


def test_parameters_may_be_fed_and_are_checked_alike() -> None:
    graph = model("float[2] x", "a = Add(x, w)", W)
    assert list(check_feeds(graph, {"x": [1, 2]})) == ["x"]
    assert_same(check_feeds(graph, {"x": [1, 2], "w": [3, 4]})["w"], np.array([3, 4], F32))
    for value, code in (([1, 2, 3], "shape-mismatch"), (np.ones(2), "dtype-mismatch")):
        with pytest.raises(FeedError) as caught:
            check_feeds(graph, {"x": [1, 2], "w": value})
        assert [p.code for p in caught.value.problems] == [code]


def test_an_input_with_a_default_need_not_be_fed() -> None:
    checker = FeedChecker(model("float[2] x, float[2] w", "a = Add(x, w)", W))
    assert set(checker.inputs) == {"x"}
    assert set(checker.parameters) == {"w"}
    assert list(checker({"x": np.ones(2, F32)})) == ["x"]


def test_any_value_may_be_fetched() -> None:
    checker = FeedChecker(model("float[2] x", "a = Add(x, w)  b = Relu(a)", W))
    feeds = {"x": np.ones(2, F32)}
    assert list(checker(feeds, ["a", "b", "x", "w"])) == ["x"]
    assert list(checker(feeds, [])) == ["x"]
    assert list(checker(feeds, ("a", "a"))) == ["x"]


def test_what_the_checker_says_of_the_graph() -> None:
    text = """<ir_version: 10, opset_import: ["": 21]> g (float[n,3] x, seq(int64[2]) s) => (float[n,3] y, float[n,3] x)
    <float[2] w = {1, 2}> { y = Relu(x) }"""
    checker = FeedChecker(ir.from_proto(onnx.parser.parse_model(text)))
    x = ValueInfo("float32", ("n", 3), "input")
    assert checker.inputs == {"x": x, "s": ValueInfo("sequence(int64)", None, "input")}
    assert checker.parameters == {"w": ValueInfo("float32", (2,), "parameter")}
    assert checker.outputs == {"y": ValueInfo("float32", ("n", 3), "intermediate"), "x": x}


def test_objects_that_read_as_arrays() -> None:
    class Foreign:
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
            return np.ones(2, F32)

    class Broken:
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
            raise RuntimeError("no")

    graph = model("float[2] x")
    assert_same(check_feeds(graph, {"x": Foreign()})["x"], np.ones(2, F32))
    with pytest.raises(FeedError) as caught:
        check_feeds(graph, {"x": Broken()})
    assert caught.value.problems[0].found == "RuntimeError"


def test_deeply_nested_lists_are_refused() -> None:
    value: Any = 1.0
    for _ in range(5000):
        value = [value]
    with pytest.raises(FeedError):
        check_feeds(model("float[2] x"), {"x": value})


def test_any_source_of_a_model_will_do() -> None:
    text = '<ir_version: 10, opset_import: ["": 21]> g (float[2] x) => (float[2] y) { y = Relu(x) }'
    proto = onnx.parser.parse_model(text)
    for source in (proto, proto.SerializeToString(), text):
        assert list(check_feeds(source, {"x": [1, 2]})) == ["x"]


def test_a_check_costs_microseconds() -> None:
    checker = FeedChecker(model("float[n,3] x, float[n] y, float z", "a = Relu(x)"))
    feeds = {"x": np.ones((2, 3), F32), "y": np.ones(2, F32), "z": np.array(1, F32)}
    best = min(_timed(checker, feeds) for _ in range(5))
    assert best < 50e-6, f"{best * 1e6:.1f} µs"  # about 2 µs on an idle machine


def _timed(checker: FeedChecker, feeds: dict[str, Any]) -> float:
    start = time.perf_counter()
    for _ in range(200):
        checker(feeds, ["a"])
    return (time.perf_counter() - start) / 200
