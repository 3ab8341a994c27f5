"""Derivatives through sequences and optionals, their places known from the graph or from the run alone."""

# ruff: noqa: E501 - the lines are graphs

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
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


# What only a run knows: z from x and y, further inputs by their declaration, and the values of these.
AT, TRIPS, CHOICE = (", int64 i", {"i": 1}), (", int64 m", {"m": 3}), (", bool c", {"c": True})
BEHIND = (", int64 i", {"i": -2})
AT_RUN_TIME = {
    "at": ("s = SequenceConstruct(x, y) a = SequenceAt(s, i) z = Mul(a, a)", AT),
    "inserted": ("s = SequenceConstruct(x, y) q = Mul(y, x) t = SequenceInsert(s, q, i) z = ConcatFromSequence<axis = 0>(t)", AT),
    "inserted-behind": ("s = SequenceConstruct(x, y) q = Mul(y, x) t = SequenceInsert(s, q, i) z = ConcatFromSequence<axis = 0>(t)", BEHIND),
    "erased": ("q = Mul(y, x) s = SequenceConstruct(x, q, y) t = SequenceErase(s, i) z = ConcatFromSequence<axis = 0>(t)", AT),
    "erased-behind": ("q = Mul(y, x) s = SequenceConstruct(x, q, y) t = SequenceErase(s, i) z = ConcatFromSequence<axis = 0>(t)", BEHIND),
    "of-many-shapes": (
        "q = Sin(y) s = SequenceConstruct(x, y, q) a = SequenceAt(s, i) b = SequenceAt(s, l) ab = Mul(a, b) "
        "w = Concat<axis = 0>(ab, y) t = SequenceInsert(s, w, o) c = SequenceAt(t, o) z = Mul(c, c)", AT,
    ),
    "lengths": ("q = Mul(y, x) s = SplitToSequence(q, i) a = SequenceAt(s, o) z = Mul(a, a)", (", int64[2] i", {"i": [1, 2]})),
    "columns": (
        "q = Mul(y, x) s = SplitToSequence<axis = 1, keepdims = 0>(q) t = SequenceErase(s, i) "
        "a = ConcatFromSequence<axis = 1, new_axis = 1>(t) z = Mul(a, a)", AT,
    ),
    "branches": (
        "s = SequenceConstruct(x, y) q = Exp(y) t = If(c) <then_branch = a () => (u) { u = SequenceInsert(s, q) }, "
        "else_branch = b () => (v) { v = Identity(s) }> a = SequenceAt(t, l) z = Mul(a, x)", CHOICE,
    ),
    "optional-branches": (
        "p = If(c) <then_branch = a () => (u) { q = Exp(y) u = Optional(q) }, "
        "else_branch = b () => (v) { w = Sin(y) v = Optional(w) }> q2 = OptionalGetElement(p) z = Mul(q2, x)", CHOICE,
    ),
    "gathered-by-a-loop": (
        "e = SequenceEmpty<dtype = 11>() s, h = Loop(m, , e, y) <body = b (int64 j, bool d, seq(double) p, double[3, 4] f) "
        "=> (bool d2, seq(double) p2, double[3, 4] f2) { d2 = Identity(d) g = Sin(f) f2 = Mul(g, x) "
        "p2 = SequenceInsert(p, f2) }> z = ConcatFromSequence<axis = 0>(s)", TRIPS,
    ),
    "read-by-a-loop": (
        "s = SequenceConstruct(x, y, x) z = Loop(m, , y) <body = b (int64 j, bool d, double[3, 4] f) "
        "=> (bool d2, double[3, 4] f2) { d2 = Identity(d) a = SequenceAt(s, j) g = Sin(a) f2 = Mul(g, f) }>", TRIPS,
    ),
    "read-and-grown-by-a-loop": (
        "s = SequenceConstruct(y) r = Loop(m, , s) <body = b (int64 j, bool d, seq(double) p) => (bool d2, seq(double) p2) "
        "{ d2 = Identity(d) a = SequenceAt(p, j) g = Sin(a) w = Mul(g, x) p2 = SequenceInsert(p, w) }> "
        "z = ConcatFromSequence<axis = 1>(r)", TRIPS,
    ),
    "of-growing-shapes-by-a-loop": (
        "s = SequenceConstruct(y) r = Loop(m, , s) <body = b (int64 j, bool d, seq(double[]) p) => (bool d2, seq(double[]) p2) "
        "{ d2 = Identity(d) a = SequenceAt(p, j) g = Sin(a) w = Concat<axis = 0>(g, x) p2 = SequenceInsert(p, w) }> "
        "z = ConcatFromSequence<axis = 0>(r)", (", int64 m", {"m": 2}),
    ),
    "of-many-ranks-by-a-loop": (
        "s = SequenceConstruct(y) r = Loop(m, , s) <body = b (int64 j, bool d, seq(double[]) p) => (bool d2, seq(double[]) p2) "
        "{ d2 = Identity(d) a = SequenceAt(p, j) q = Sin(a) g = ReduceSum<keepdims = 0>(q) p2 = SequenceInsert(p, g) }> "
        "u = SequenceAt(r, n) v = SequenceAt(r, o) w = Mul(u, v) z = Mul(w, x)", (", int64 m", {"m": 2}),
    ),
    **{
        f"maybe-empty-{full}": (
            "p = If(c) <then_branch = a () => (u) { q = Exp(y) u = Optional(q) }, "
            "else_branch = b () => (v) { v = Optional<type = double[3, 4]>() }> h = OptionalHasElement(p) "
            "z = If(h) <then_branch = e () => (u2) { g = OptionalGetElement(p) u2 = Mul(g, x) }, "
            "else_branch = f () => (v2) { v2 = Mul(x, y) }>", (", bool c", {"c": full}),
        )
        for full in (True, False)
    },
    "map": (
        "s = SequenceConstruct(x, y, y) r = SequenceMap(s, y) <body = b (double[3, 4] a, double[3, 4] w) => (double[3, 4] e) "
        "{ f = Sin(a) e = Mul(f, w) }> z = ConcatFromSequence<axis = 0>(r)", ("", {}),
    ),
    "map-of-two": (
        "s = SplitToSequence(y, k) t = SplitToSequence(x, k) r = SequenceMap(s, t) <body = b (double[r, 4] a, double[r, 4] w) "
        "=> (double[r, 4] e) { f = Sin(a) e = Mul(f, w) }> v = SequenceAt(r, i) z = Mul(v, v)", AT,
    ),
}  # fmt: skip


# Dear, and near to another.
LONG = {"read-and-grown-by-a-loop", "of-growing-shapes-by-a-loop", "inserted-behind", "erased-behind", "read-by-a-loop",
        "maybe-empty-True"}  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "more"),
    [pytest.param(*row, id=name, marks=[pytest.mark.slow] * (name in LONG)) for name, row in AT_RUN_TIME.items()],
)
def test_derivative_through_what_a_run_decides(nodes: str, more: tuple[str, dict[str, object]]) -> None:
    """To second order, forward and reverse mode, in the library and on ONNX Runtime."""
    declared, values = more
    model = gs.load(
        f'<ir_version: 10, opset_import: ["" : 21]> g (double[3, 4] x, double[3, 4] y{declared}) => '
        f"(double[rows, columns] z) {{ {POSITIONS} {nodes} }}"
    )
    rng = np.random.default_rng(0)
    feeds = {"x": rng.standard_normal((3, 4)), "y": rng.standard_normal((3, 4))}
    feeds |= {name: np.array(value) for name, value in values.items()}
    assert check_derivatives(model, feeds, ["z"], ["x", "y"]).checks
    derived, forward = gs.vjp(model, ["z"], ["x", "y"]), gs.jvp(model, ["z"], ["x", "y"])
    for portable in (derived, forward):
        onnx.checker.check_model(ir.to_proto(portable), full_check=True)
    tangents = {f"{n}_tangent": rng.standard_normal((3, 4)) for n in "xy"}
    pushed = gs.Session(forward).run({**feeds, **tangents})["z_jvp"]
    feeds["z_cotangent"] = rng.standard_normal(pushed.shape)
    pulled = gs.Session(derived).run(feeds, fetches=["x_vjp", "y_vjp"])
    across = sum(np.sum(pulled[f"{n}_vjp"] * tangents[f"{n}_tangent"]) for n in "xy")
    np.testing.assert_allclose(np.sum(pushed * feeds["z_cotangent"]), across, rtol=1e-9)
    session = ort.InferenceSession(ir.to_proto(derived).SerializeToString(), providers=["CPUExecutionProvider"])
    taken = {v.name for v in session.get_inputs()}
    theirs = session.run(["x_vjp", "y_vjp"], {name: value for name, value in feeds.items() if name in taken})
    for ours, other in zip(pulled.values(), theirs, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-9, atol=1e-12)


# As above, with declarations that say scalars where matrices are: `double` in ONNX text has rank 0.
SCALARS_DECLARED = {
    "ranks-in-a-loop": (
        "s = SequenceConstruct(y) r = Loop(m, , s) <body = b (int64 j, bool d, seq(double) p) => (bool d2, seq(double) p2) "
        "{ d2 = Identity(d) a = SequenceAt(p, j) q = Sin(a) g = ReduceSum<keepdims = 0>(q) p2 = SequenceInsert(p, g) }> "
        "u = SequenceAt(r, n) v = SequenceAt(r, o) w = Mul(u, v) z = Mul(w, x)", (", int64 m", {"m": 2}),
    ),
    "shapes-in-a-loop": (
        "s = SequenceConstruct(y) r = Loop(m, , s) <body = b (int64 j, bool d, seq(double) p) => (bool d2, seq(double) p2) "
        "{ d2 = Identity(d) a = SequenceAt(p, j) g = Sin(a) w = Concat<axis = 0>(g, x) p2 = SequenceInsert(p, w) }> "
        "z = ConcatFromSequence<axis = 0>(r)", (", int64 m", {"m": 2}),
    ),
    "a-tensor-in-a-loop": (
        "r = Loop(m, , y) <body = b (int64 j, bool d, double p) => (bool d2, double p2) "
        "{ d2 = Identity(d) g = Sin(p) p2 = Mul(g, x) }> z = Mul(r, r)", (", int64 m", {"m": 2}),
    ),
    "in-branches": (
        "t = If(c) <then_branch = a () => (seq(double) u) { e = SequenceEmpty<dtype = 11>() u = SequenceInsert(e, y) }, "
        "else_branch = b () => (seq(double) v) { v = SequenceEmpty<dtype = 11>() }> a = SequenceAt(t, l) q = Mul(a, x) "
        "z = Mul(a, q)", CHOICE,
    ),
    "in-a-map": (
        "s = SequenceConstruct(x, y, y) r = SequenceMap(s, y) <body = b (double a, double w) => (double e) "
        "{ f = Sin(a) e = Mul(f, w) }> z = ConcatFromSequence<axis = 0>(r)", ("", {}),
    ),
    "values": (
        "e = SequenceEmpty<dtype = 11>() held = SequenceInsert(e, y) read = SequenceAt(held, i) q = Mul(read, x) z = Mul(q, read)",
        (", int64 i", {"i": 0}),
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "more"),
    [
        pytest.param(
            *row, id=name, marks=[pytest.mark.slow] * (name in ("shapes-in-a-loop", "in-a-map", "in-branches"))
        )
        for name, row in SCALARS_DECLARED.items()
    ],
)
def test_scalars_declared_where_matrices_are_mislead_no_derivative(
    nodes: str, more: tuple[str, dict[str, object]]
) -> None:
    declared, values = more
    model = gs.load(
        f'<ir_version: 10, opset_import: ["" : 21]> g (double[3, 4] x, double[3, 4] y{declared}) => '
        f"(double[rows, columns] z) <seq(double) held, double read> {{ {POSITIONS} {nodes} }}"
    )
    rng = np.random.default_rng(0)
    feeds = {"x": rng.standard_normal((3, 4)), "y": rng.standard_normal((3, 4))}
    feeds |= {name: np.array(value) for name, value in values.items()}
    assert check_derivatives(model, feeds, ["z"], ["x", "y"]).checks


def test_a_position_outside_is_refused_by_the_run() -> None:
    model = model_of("s = SequenceConstruct(x, y) z = SequenceAt(s, n)")
    feeds = {name: np.ones((3, 4)) for name in ("x", "y", "z_cotangent")}
    with pytest.raises(gs.ExecutionError, match="outside of a sequence of 2"):
        gs.Session(gs.vjp(model, ["z"], ["y"])).run(feeds)


def test_derivative_of_a_state_that_grows_from_step_to_step() -> None:
    model = model_of(
        "z = Loop(m, , y) <body = b (int64 j, bool d, double[p, 4] f) => (bool d2, double[q, 4] f2) "
        "{ d2 = Identity(d) g = Sin(f) f2 = Concat<axis = 0>(g, x) }>",
        ", int64 m",
    )
    rng = np.random.default_rng(0)
    feeds = {"x": rng.standard_normal((3, 4)), "y": rng.standard_normal((3, 4)), "m": np.array(3)}
    model.graph.outputs[0].shape = ir.Shape([None, 4])
    assert check_derivatives(model, feeds, ["z"], ["x", "y"]).checks


def test_derivative_of_a_state_that_grows_from_a_length_known_to_the_run_alone() -> None:
    """The names of the dimensions say that they differ."""
    model = gs.load(
        '<ir_version: 10, opset_import: ["" : 21]> g (double[3, 4] x, double[n, 4] y, int64 m) => (double[a, 4] z) '
        "{ z = Loop(m, , y) <body = b (int64 j, bool d, double[p, 4] f) => (bool d2, double[q, 4] f2) "
        "{ d2 = Identity(d) g = Sin(f) f2 = Concat<axis = 0>(g, x) }> }"
    )
    rng = np.random.default_rng(0)
    feeds = {"x": rng.standard_normal((3, 4)), "y": rng.standard_normal((2, 4)), "m": np.array(2)}
    assert check_derivatives(model, feeds, ["z"], ["x", "y"]).checks


def test_a_map_that_captures_a_sequence_is_refused() -> None:
    model = model_of(
        "s = SequenceConstruct(x, y) t = SequenceConstruct(y, x) r = SequenceMap(s) <body = b (double[3, 4] a) "
        "=> (double[3, 4] e) { c = SequenceAt(t, o) e = Mul(a, c) }> z = ConcatFromSequence<axis = 0>(r)"
    )
    with pytest.raises(gs.NoGradientRule, match="uses a sequence or an optional from outside") as caught:
        gs.vjp(model, ["z"], ["y"])
    assert caught.value.problems[0].input == "t"
