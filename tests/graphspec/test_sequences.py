"""Derivatives through sequences and optionals: what went in at a known place comes out there, all else is refused."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphspec as gs
from graphspec.testing import check_derivatives

POSITIONS = (
    "o = Constant<value_int = 0>() l = Constant<value_int = -1>() "
    "k = Constant<value_ints = [1, 2]>() n = Constant<value_int = 2>() "
)

# Graphs from x and y (double[3, 4]) to z; the comment says where what comes out went in.
RESOLVED = {
    "at": "s = SequenceConstruct(x, y) z = SequenceAt(s, l)",  # y
    "insert": "s = SequenceConstruct(x, x) t = SequenceInsert(s, y, o) z = SequenceAt(t, o)",  # y
    "insert-behind": "s = SequenceConstruct(x) t = SequenceInsert(s, y) z = SequenceAt(t, l)",  # y
    "erase": "s = SequenceConstruct(y, x) t = SequenceErase(s) z = SequenceAt(t, o)",  # y
    "erase-first": "s = SequenceConstruct(x, y) t = SequenceErase(s, o) z = SequenceAt(t, o)",  # y
    "empty": "e = SequenceEmpty<dtype = 11>() s = SequenceInsert(e, y) i = Identity(s) z = SequenceAt(i, o)",  # y
    "concat": "s = SequenceConstruct(x, y, x) z = ConcatFromSequence<axis = 1>(s)",
    "stack": "s = SequenceConstruct(x, y) z = ConcatFromSequence<axis = -1, new_axis = 1>(s)",
    "split-each": "s = SplitToSequence<axis = 1>(y) z = SequenceAt(s, l)",  # the last column
    "split-squeezed": "s = SplitToSequence<axis = 1, keepdims = 0>(y) z = ConcatFromSequence<axis = 0>(s)",
    "split-lengths": "s = SplitToSequence(y, k) z = SequenceAt(s, l)",  # the last two rows
    "split-even": "s = SplitToSequence(y, n) z = SequenceAt(s, l)",  # the last row, shorter than the others
    "optional": "p = Optional(y) z = OptionalGetElement(p)",
    "optional-tensor": "z = OptionalGetElement(y)",
    "optional-sequence": "s = SequenceConstruct(x, y) p = Optional(s) q = OptionalGetElement(p) z = SequenceAt(q, l)",
}


def model_of(nodes: str, feeds: str = "") -> ir.Model:
    return gs.load(
        f'<ir_version: 10, opset_import: ["" : 21]> g (double[3, 4] x, double[3, 4] y{feeds}) => (z) '
        f"{{ {POSITIONS} {nodes} }}"
    )


@pytest.mark.parametrize("nodes", RESOLVED.values(), ids=RESOLVED)
def test_derivative_through_a_sequence(nodes: str) -> None:
    model = model_of(nodes)
    rng = np.random.default_rng(0)
    feeds = {"x": rng.standard_normal((3, 4)), "y": rng.standard_normal((3, 4))}
    check_derivatives(model, feeds, ["z"], ["y"])
    derived = gs.vjp(model, ["z"], ["y"])
    onnx.checker.check_model(ir.to_proto(derived), full_check=True)
    assert not [node for node in derived.graph if "Sequence" in node.op_type or "Optional" in node.op_type]
    plain = gs.Session(model).run(feeds)["z"]
    cotangent = rng.standard_normal(plain.shape)
    np.testing.assert_array_equal(gs.Session(derived).run({**feeds, "z_cotangent": cotangent})["z"], plain)


REFUSED = {
    "position": ("s = SequenceConstruct(x, y) z = SequenceAt(s, i)", ", int64 i"),
    "inserted": ("s = SequenceConstruct(x, y) t = SequenceInsert(s, y, i) z = SequenceAt(t, o)", ", int64 i"),
    "erased": ("s = SequenceConstruct(x, y) t = SequenceErase(s, i) z = SequenceAt(t, o)", ", int64 i"),
    "lengths": ("s = SplitToSequence(y, i) z = SequenceAt(s, o)", ", int64[2] i"),
    "outside": ("s = SequenceConstruct(x, y) z = SequenceAt(s, n)", ""),
    "carried": (
        "s = SequenceConstruct(x, y) c = Constant<value = bool {1}>() z = SequenceAt(t, o) "
        "t = If(c) <then_branch = a () => (u) { u = Identity(s) }, else_branch = b () => (v) { v = Identity(s) }>",
        "",
    ),
}


@pytest.mark.parametrize(("nodes", "feeds"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_known_is_refused(nodes: str, feeds: str) -> None:
    with pytest.raises(gs.NoGradientRule):
        gs.vjp(model_of(nodes, feeds), ["z"], ["y"])
