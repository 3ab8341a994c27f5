"""Derivatives through If, Loop and Scan, against central differences and on ONNX Runtime."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import graphspec as gs
from graphspec.testing import check_derivatives


@dataclasses.dataclass(frozen=True)
class Case:
    """A model in ONNX text, ``T`` its floating-point type, and what is differentiated.

    Attributes:
        text: The graph.
        of, wrt: Values to differentiate, and with respect to.
        feeds: Arrays of inputs that are no floats; floats are drawn by ``shapes``.
        shapes: Shapes of floating-point inputs.
        ort: Whether ONNX Runtime can run the model.
    """

    text: str
    of: tuple[str, ...]
    wrt: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    feeds: dict[str, Any] = dataclasses.field(default_factory=dict)
    ort: bool = True

    def model(self, dtype: str) -> ir.Model:
        header = '<ir_version: 10, opset_import: ["" : 21]>\n'
        return ir.from_onnx_text(header + self.text.replace("T[", f"{dtype}[").replace("T ", f"{dtype} "))

    def draw(self, dtype: type, rng: np.random.Generator) -> dict[str, Any]:
        given = {n: v.astype(dtype) if v.dtype == np.float64 else v for n, v in self.feeds.items()}
        return {**{n: rng.uniform(0.3, 1.5, s).astype(dtype) for n, s in self.shapes.items()}, **given}


IF = """g (T[3] x, T[3] w, bool c) => (T[3] y) { a = Sin(x)
    y = If (c) < then_branch = t () => (T[3] p) { p = Mul(a, a) }, else_branch = e () => (T[3] q) {
        r = Mul(x, w)\n q = Exp(r) }> }"""
IF_TWO = """g (T[3] x, bool c) => (T[3] y, T[N] z, int64[1] i) {
    y, z, i = If (c) < then_branch = t () => (T[3] p, T[3] p2, int64[1] pi) { p = Mul(x, x)\n p2 = Identity(p)
        pi = Constant<value_ints=[1]>() },
      else_branch = e () => (T[3] q, T[1] q2, int64[1] qi) { q = Exp(x)\n q2 = ReduceSum<keepdims=1>(q)
        qi = Constant<value_ints=[2]>() }> }"""
IF_SAME = """g (T[3] x, bool c) => (T[3] y, T[3] z) {
    y, z = If (c) < then_branch = t () => (T[3] p, T[3] p) { p = Mul(x, x) },
      else_branch = e () => (T[3] q, T[3] r) { q = Exp(x)\n r = Gelu(x) }> }"""
IF_NESTED = """g (T[3] x, T[3] w, bool c, bool d) => (T[3] y) { a = Mul(x, w)
    y = If (c) < then_branch = t () => (T[3] p) { b = Mul(a, x)
        p = If (d) < then_branch = tt () => (T[3] u) { u = Mul(b, b) }, else_branch = te () => (T[3] v) {
            v0 = Sin(b)\n v = Mul(v0, w) }> },
      else_branch = e () => (T[3] q) { q = Identity(a) }> }"""
LOOP = """g (T[3] x, T[3] w, T[3] s0, int64 n) => (T[3] s, T[K,3] y, T[K] u) {
    s, y, u = Loop (n, , s0) <body = b (int64 i, bool c, T[3] a) => (bool e, T[3] t, T[3] p, T z) { e = Identity(c)
        f = Cast<to=1>(i)\n g = CastLike(f, a)\n h = Mul(a, w)\n h2 = Add(h, x)\n h3 = Sin(h2)\n t = Add(h3, g)
        p = Mul(a, t)\n z = ReduceSum<keepdims=0>(h) }> }"""
LOOP_CONDITION = """g (T[3] x, T limit) => (T[3] y) { yes = Constant<value = bool {1}>()
    y = Loop (, yes, x) <body = b (int64 i, bool c, T[3] a) => (bool e, T[3] t) { t0 = Mul(x, x)
        t = Add(a, t0)\n s = ReduceSum<keepdims=0>(t)\n e = Less(s, limit) }> }"""
LOOP_INTEGERS = """g (T[4] x, int64 n) => (T y, int64 k) { one = Constant<value_int=1>()\n z = ReduceMax<keepdims=0>(x)
    y, k = Loop (n, , z, one) <body = b (int64 i, bool c, T a, int64 j) => (bool e, T t, int64 m) { e = Identity(c)
        v = Gather(x, j)\n t = Mul(a, v)\n m0 = Add(j, one)\n four = Constant<value_int=4>()\n m = Mod(m0, four) }> }"""
LOOP_SWAPS = """g (T[3] x, T[3] w, int64 n) => (T[3] y, T[3] z) {
    y, z = Loop (n, , x, w) <body = b (int64 i, bool c, T[3] a, T[3] d) => (bool c, T[3] d, T[3] t) {
        t = Mul(a, d) }> }"""
LOOP_IF = """g (T[3] x, T[3] w, int64 n) => (T[3] y) { two = Constant<value_int=2>()\n zero = Constant<value_int=0>()
    y = Loop (n, , x) <body = b (int64 i, bool c, T[3] a) => (bool e, T[3] t) { e = Identity(c)\n r = Mod(i, two)
        even = Equal(r, zero)
        t = If (even) < then_branch = th () => (T[3] p) { p = Mul(a, w) }, else_branch = el () => (T[3] q) {
            q = Sin(a) }> }> }"""
LOOP_LOOP = """g (T[3] x, T[3] w, int64 n) => (T[3] y) {
    y = Loop (n, , x) <body = b (int64 i, bool c, T[3] a) => (bool e, T[3] t) { e = Identity(c)
        t = Loop (i, , a) <body = bb (int64 j, bool cc, T[3] aa) => (bool ee, T[3] tt) { ee = Identity(cc)
            m = Mul(aa, w)\n s = Sin(a)\n tt = Add(m, s) }> }> }"""
NEWTON = """g (T[2] p) => (T r) { two = Constant<value_int=2>()\n start = ReduceMean<keepdims=0>(p)
    cap = Identity(p)\n i0 = Constant<value_int=0>()\n i1 = Constant<value_int=1>()
    r = Loop (two, , start) <body = b (int64 i, bool c, T x) => (bool e, T next) { e = Identity(c)
        a = Gather(p, i0)\n d = Gather(p, i1)\n xx = Mul(x, x)\n xxx = Mul(xx, x)\n ax = Mul(a, x)\n f0 = Add(xxx, ax)
        f = Sub(f0, d)\n x3 = Add(xx, xx)\n x4 = Add(x3, xx)\n df = Add(x4, a)\n step = Div(f, df)
        next = Sub(x, step) }> }"""
SCAN = """g (T[2] s0, T[N,2] x, T[2] w) => (T[2] s, T[K,2] y) {
    s, y = Scan <num_scan_inputs=1, body = b (T[2] a, T[2] v) => (T[2] t, T[2] p) { m = Mul(a, w)\n t0 = Add(m, v)
        t = Tanh(t0)\n p = Mul(t, v) }> (s0, x) }"""
SCAN_WAYS = """g (T[2] s0, T[2] r0, T[4,2] x, T[2,4] z) => (T[2] s, T[2] r, T[2,4] y, T[4] u) {
    s, r, y, u = Scan <num_scan_inputs=2, scan_input_axes=[0, -1], scan_input_directions=[0, 1],
        scan_output_axes=[1, 0], scan_output_directions=[1, 0],
        body = b (T[2] a, T[2] d, T[2] v, T[2] k) => (T[2] t, T[2] f, T[2] p, T h) { t0 = Mul(a, k)\n t = Sin(t0)
            f = Mul(d, v)\n p = Add(a, f)\n h = ReduceSum<keepdims=0>(d) }> (s0, r0, x, z) }"""
SCAN_PLAIN = """g (T[4,2] x, T[2] w) => (T[4,2] y) {
    y = Scan <num_scan_inputs=1, body = b (T[2] v) => (T[2] p) { p0 = Mul(v, w)\n p = Exp(p0) }> (x) }"""
SCAN_LINEAR = """g (T[2] s0, T[2] w, T[4,2] x) => (T[2] s) {
    s = Scan <num_scan_inputs=1, body = b (T[2] a, T[2] v) => (T[2] t) { t = Add(a, a) }> (s0, x) }"""
X_W = {"x": (3,), "w": (3,)}
N = {f"{n}": np.array(n) for n in (0, 1, 3)}
LOOP_SHAPES = {"x": (3,), "w": (3,), "s0": (3,)}
WAYS = {"s0": (2,), "r0": (2,), "x": (4, 2), "z": (2, 4)}
B = {True: np.array(True), False: np.array(False)}
CASES = {
    **{f"if-{k}": Case(IF, ("y",), ("x", "w"), X_W, {"c": v}) for k, v in B.items()},
    **{f"if-outputs-{k}": Case(IF_TWO, ("y", "z"), ("x",), {"x": (3,)}, {"c": v}) for k, v in B.items()},
    **{f"if-second-output-{k}": Case(IF_TWO, ("z",), ("x",), {"x": (3,)}, {"c": v}) for k, v in B.items()},
    **{f"if-one-value-twice-{k}": Case(IF_SAME, ("y", "z"), ("x",), {"x": (3,)}, {"c": v}) for k, v in B.items()},
    **{f"if-nested-{k}-{j}": Case(IF_NESTED, ("y",), ("x", "w"), X_W, {"c": v, "d": u})
       for k, v in B.items() for j, u in B.items()},
    **{f"loop-{k}": Case(LOOP, ("s", "y", "u"), ("x", "w", "s0"), LOOP_SHAPES, {"n": n}) for k, n in N.items()},
    "loop-last": Case(LOOP, ("s",), ("s0", "w"), LOOP_SHAPES, {"n": N["3"]}),
    "loop-scanned": Case(LOOP, ("u",), ("s0", "w"), LOOP_SHAPES, {"n": N["3"]}),
    "loop-condition": Case(LOOP_CONDITION, ("y",), ("x",), {"x": (3,)}, {"limit": np.array(20.0)}),
    **{f"loop-integers-{k}": Case(LOOP_INTEGERS, ("y",), ("x",), {"x": (4,)}, {"n": n}) for k, n in N.items()},
    **{f"loop-swaps-{k}": Case(LOOP_SWAPS, ("y", "z"), ("x", "w"), X_W, {"n": n}) for k, n in N.items()},
    "loop-if": Case(LOOP_IF, ("y",), ("x", "w"), X_W, {"n": N["3"]}),
    "loop-loop": Case(LOOP_LOOP, ("y",), ("x", "w"), X_W, {"n": N["3"]}),
    "newton": Case(NEWTON, ("r",), ("p",), {"p": (2,)}),
    "scan": Case(SCAN, ("s", "y"), ("s0", "x", "w"), {"s0": (2,), "x": (4, 2), "w": (2,)}),
    "scan-nothing": Case(SCAN, ("s", "y"), ("s0", "x", "w"), {"s0": (2,), "x": (0, 2), "w": (2,)}, ort=False),
    "scan-ways": Case(SCAN_WAYS, ("s", "r", "y", "u"), ("s0", "r0", "x", "z"), WAYS),
    "scan-one-output": Case(SCAN_WAYS, ("y",), ("r0", "x"), WAYS),
    "scan-no-state": Case(SCAN_PLAIN, ("y",), ("x", "w"), {"x": (4, 2), "w": (2,)}),
    "scan-linear": Case(SCAN_LINEAR, ("s",), ("s0",), {"s0": (2,), "w": (2,), "x": (4, 2)}),
}  # fmt: skip


def _depends(model: ir.Model, of: list[str], x: str) -> bool:
    try:
        gs.vjp(model, of, [x])
    except gs.NotDifferentiable as error:
        return error.problems[0].code != "not-connected"
    return True


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_central_differences(case: Case, rng: np.random.Generator) -> None:
    report = check_derivatives(case.model("double"), case.draw(np.float64, rng), case.of, case.wrt)
    assert report.checks > len(case.wrt)


@pytest.mark.parametrize("case", [c for c in CASES.values() if c.ort], ids=[k for k, c in CASES.items() if c.ort])
@pytest.mark.parametrize("order", [1, 2])
def test_derived_graph_is_standard_and_portable(case: Case, order: int, rng: np.random.Generator) -> None:
    model, feeds = case.model("float"), case.draw(np.float32, rng)
    values = gs.Session(model).run(feeds, fetches=list(case.of))
    derived = gs.vjp(model, case.of, case.wrt)
    names = [f"{x}_vjp" for x in case.wrt]
    feeds |= {f"{y}_cotangent": rng.standard_normal(values[y].shape).astype(np.float32) for y in case.of}
    if order == 2:
        values = gs.Session(derived).run(feeds, fetches=names)
        inputs = [x for x in (*case.wrt, *(f"{y}_cotangent" for y in case.of)) if _depends(derived, names, x)]
        feeds |= {f"{y}_cotangent": rng.standard_normal(values[y].shape).astype(np.float32) for y in names}
        derived = gs.vjp(derived, names, inputs)
        names = [f"{x}_vjp_2" if f"{x}_vjp" in names else f"{x}_vjp" for x in inputs]
    proto = ir.to_proto(derived)
    onnx.checker.check_model(proto, full_check=True)
    ours = gs.Session(derived).run(feeds, fetches=names)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    known = {i.name for i in session.get_inputs()}
    theirs = session.run(names, {k: v for k, v in feeds.items() if k in known})
    assert any(np.any(other) for other in theirs)
    for name, other in zip(names, theirs, strict=True):
        np.testing.assert_allclose(ours[name], other, rtol=1e-4, atol=1e-5, err_msg=name)
