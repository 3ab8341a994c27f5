"""Sequences and optional values: kernels against plain lists, and models that carry them through loops."""

from __future__ import annotations

import numpy as np
import pytest

import graphspec as gs
from graphspec.operators import registry

A, B, C = np.zeros((2, 2)), np.ones((2, 3)), np.full((2, 1), 2.0)


def _kernel(op_type: str, *inputs: object, **attributes: object) -> object:
    entry = registry.find(op_type, "", 23)
    assert entry is not None
    return entry.kernel(*inputs, **attributes)


def _at(n: int) -> np.ndarray:
    return np.array(n, dtype=np.int64)


def _is(found: object, expected: list[np.ndarray]) -> None:
    assert isinstance(found, list)
    assert [x.tolist() for x in found] == [x.tolist() for x in expected]
    assert [x.shape for x in found] == [x.shape for x in expected]


@pytest.mark.parametrize(
    ("op_type", "inputs", "expected"),
    [
        ("SequenceConstruct", (A, B), [A, B]),
        ("SequenceInsert", ([A, B], C), [A, B, C]),
        ("SequenceInsert", ([A, B], C, _at(0)), [C, A, B]),
        ("SequenceInsert", ([A, B], C, _at(-1)), [A, C, B]),
        ("SequenceInsert", ([A, B], C, _at(2)), [A, B, C]),
        ("SequenceErase", ([A, B, C],), [A, B]),
        ("SequenceErase", ([A, B, C], _at(-3)), [B, C]),
        ("SequenceErase", ([A, B, C], _at(1)), [A, C]),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_sequences_are_changed_in_copies(op_type: str, inputs: tuple[object, ...], expected: list[np.ndarray]) -> None:
    before = list(inputs[0]) if isinstance(inputs[0], list) else None
    _is(_kernel(op_type, *inputs), expected)
    if before is not None:
        _is(inputs[0], before)


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes"),
    [
        ("SequenceAt", ([A, B], _at(2)), {}),
        ("SequenceAt", ([A, B], _at(-3)), {}),
        ("SequenceAt", ([], _at(0)), {}),
        ("SequenceInsert", ([A, B], C, _at(3)), {}),
        ("SequenceErase", ([],), {}),
        ("SplitToSequence", (B, _at(0)), {"axis": 1}),
        ("SplitToSequence", (B, np.array([1, 1])), {"axis": 1}),
        ("ConcatFromSequence", ([],), {"axis": 0}),
        ("ConcatFromSequence", ([A, B],), {"axis": 0}),
        ("OptionalGetElement", (None,), {}),
        ("SequenceMap", ([A, B], [A]), {"body": lambda *x: [x[0]], "outputs": 1}),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_what_does_not_fit_is_refused(op_type: str, inputs: tuple[object, ...], attributes: dict[str, object]) -> None:
    with pytest.raises((IndexError, ValueError)) as refusal:
        _kernel(op_type, *inputs, **attributes)
    assert str(refusal.value)


def test_what_a_sequence_holds() -> None:
    assert _kernel("SequenceAt", [A, B], _at(-1)) is B
    assert _kernel("SequenceEmpty", dtype=1) == []
    length = _kernel("SequenceLength", [A, B])
    assert isinstance(length, np.ndarray)
    assert (length.dtype, length.shape, int(length)) == (np.int64, (), 2)


@pytest.mark.parametrize(
    ("split", "attributes", "expected"),
    [
        (None, {"axis": 1}, [B[:, :1], B[:, 1:2], B[:, 2:]]),
        (None, {"axis": 0, "keepdims": 0}, [B[0], B[1]]),
        (_at(2), {"axis": -1, "keepdims": 0}, [B[:, :2], B[:, 2:]]),
        (np.array([1, 0, 2]), {"axis": 1}, [B[:, :1], B[:, 1:1], B[:, 1:]]),
    ],
)
def test_split_and_concat_are_inverse(
    split: np.ndarray | None, attributes: dict[str, int], expected: list[np.ndarray]
) -> None:
    parts = _kernel("SplitToSequence", B, split, **attributes)
    _is(parts, expected)
    new = {"new_axis": 1} if attributes.get("keepdims") == 0 and split is None else {}
    joined = _kernel("ConcatFromSequence", parts, axis=attributes["axis"], **new)
    assert isinstance(joined, np.ndarray)
    assert joined.tolist() == B.tolist()


def test_optional_values() -> None:
    for value in (A, [A, B], None):
        held = _kernel("Optional", value)
        assert held is value
        has = _kernel("OptionalHasElement", held)
        assert isinstance(has, np.ndarray)
        assert (has.dtype, bool(has)) == (np.bool_, value is not None)
    assert _kernel("OptionalGetElement", A) is A


COLLECT = """<ir_version: 10, opset_import: ["" : 21]>
agraph (float[2] x, int64 n) => (float[2, m] y, int64 count) {
    none = SequenceEmpty ()
    all, last = Loop (n, , none, x) <body = grow (int64 i, bool go, seq(float[2]) s, float[2] v)
        => (bool again, seq(float[2]) longer, float[2] doubled) {
        again = Identity (go)
        longer = SequenceInsert (s, v)
        doubled = Add (v, v)
    }>
    count = SequenceLength (all)
    y = ConcatFromSequence <axis = 1, new_axis = 1> (all)
}"""


def test_a_loop_carries_a_sequence() -> None:
    found = gs.Session(gs.load(COLLECT)).run({"x": np.array([1, 3], np.float32), "n": 3})
    assert found["y"].tolist() == [[1, 2, 4], [3, 6, 12]]
    assert int(found["count"]) == 3


def test_derivatives_follow_sequences_to_the_tensors_they_hold() -> None:
    model = gs.load(
        """<ir_version: 10, opset_import: ["" : 21]> agraph (float[2] x) => (float[4] y) {
        s = SequenceConstruct (x, x)  y = ConcatFromSequence <axis = 0> (s) }"""
    )
    feeds = {"x": np.ones(2, np.float32), "y_cotangent": np.array([1, 2, 30, 40], np.float32)}
    assert gs.Session(gs.vjp(model, ["y"], ["x"])).run(feeds)["x_vjp"].tolist() == [31, 42]


@pytest.mark.parametrize("optimize", [True, False], ids=["optimized", "plain"])
def test_the_caller_owns_every_tensor_of_the_results(optimize: bool) -> None:
    model = gs.load(
        """<ir_version: 10, opset_import: ["" : 21]>
        agraph (float[2] x, seq(float[2]) r) => (float[2] y, seq(float[2]) s, seq(float[2]) t, seq(float[2]) u) {
        y = Identity (x)  s = SequenceConstruct (x, x)  t = SequenceInsert (s, y)  u = Identity (r) }"""
    )
    feeds = {"x": np.ones(2, np.float32), "r": [np.zeros(2, np.float32)]}
    found = gs.Session(model, optimize=optimize).run(feeds)
    tensors = [found["y"], *found["s"], *found["t"], *found["u"], feeds["x"], *feeds["r"]]
    assert [len(found[name]) for name in "stu"] == [2, 3, 1]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(tensors) for b in tensors[:i])
