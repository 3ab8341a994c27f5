"""Branches, loops, scans, sequences, optionals, and functions of the model."""

from __future__ import annotations

import numpy as np

from counter_examples.example import Graph, Point
from samples import Floats as F

X = F((3,), 0.3, 1.5)
TRUE, FALSE = np.array(True), np.array(False)

IF = """g (T[3] x, T[3] w, bool c) => (T[3] y) { a = Sin(x)
    y = If (c) < then_branch = t () => (T[3] p) { p = Mul(a, a) }, else_branch = e () => (T[3] q) {
        r = Mul(x, w)\n q = Exp(r) }> }"""
COUNTED = """g (T[3] x, T[3] w, int64 n) => (T[3] y, T[K,3] z) {
    y, z = Loop (n, , x) <body = b (int64 i, bool c, T[3] a) => (bool e, T[3] t, T[3] p) { e = Identity(c)
        h = Mul(a, w)\n t = Sin(h)\n p = Mul(a, t) }> }"""
UNTIL = """g (T[3] x, T limit) => (T[3] y, T[K] seen) { yes = Constant<value = bool {1}>()
    y, seen = Loop (, yes, x) <body = b (int64 i, bool c, T[3] a) => (bool e, T[3] t, T s) { t0 = Mul(x, x)
        t = Add(a, t0)\n s = ReduceSum<keepdims=0>(t)\n e = Less(s, limit) }> }"""
SCAN = """g (T[2] s0, T[3,2] x, T[2,3] z) => (T[2] s, T[2,3] y, T[3] u) {
    s, y, u = Scan <num_scan_inputs=2, scan_input_axes=[0, -1], scan_input_directions=[1, 0], scan_output_axes=[-1, 0],
        scan_output_directions=[0, 1],
        body = b (T[2] a, T[2] v, T[2] k) => (T[2] t, T[2] p, T h) { t0 = Mul(a, k)\n t = Sin(t0)
            p = Mul(a, v)\n h = ReduceSum<keepdims=0>(p) }> (s0, x, z) }"""
SEQUENCE = """g (T[3] x, T[3] w) => (T[3] y) { one = Constant<value_int=1>()
    s = SequenceConstruct(x, w)\n p = Mul(x, w)\n s2 = SequenceInsert(s, p, one)\n zero = Constant<value_int=0>()
    s3 = SequenceErase(s2, zero)\n a = SequenceAt(s3, zero)\n c = ConcatFromSequence<axis=0>(s3)
    l = Constant<value_ints=[3, 3]>()\n b, d = Split(c, l)\n e = Sin(a)\n y = Mul(e, d) }"""
SPLIT_TO = """g (T[2,4] x) => (T[2,2] y) { one = Constant<value_int=1>()\n n = Constant<value_int=2>()
    s = SplitToSequence<axis=1>(x, n)\n a = SequenceAt(s, one)\n y = Mul(a, a) }"""
OPTIONAL = """g (T[3] x) => (T[3] y) { s = Sin(x)\n o = Optional(s)\n v = OptionalGetElement(o)\n y = Mul(v, x) }"""
FUNCTIONS = """g (T[3] x, T[3] w) => (T[3] y) { a = local.scaled<k = 3>(x, w)\n y = local.twice(a) }
<domain: "local", opset_import: ["" : 23]>
scaled <k> (a, b) => (c) { f = Constant<value_int: int = @k>()\n g = CastLike(f, a)\n m = Mul(a, b)\n p = Mul(m, g)\n c = Tanh(p) }
<domain: "local", opset_import: ["" : 23, "local" : 1]>
twice (a) => (c) { s = local.square(a)\n c = local.square(s) }
<domain: "local", opset_import: ["" : 23]>
square (a) => (c) { c = Mul(a, a) }"""

POINTS = [
    Point(
        "If",
        examples=(
            Graph("then", IF, ("y",), ("x",), {"x": X, "w": X, "c": TRUE}),
            Graph("else", IF, ("y",), ("x", "w"), {"x": X, "w": X, "c": FALSE}),
        ),
    ),
    Point(
        "Loop: run-time trip counts, conditions, carried state, scan outputs",
        examples=(
            *(Graph(f"trips-{n}", COUNTED, ("y", "z"), ("x", "w"), {"x": X, "w": X, "n": np.array(n)}) for n in (1, 3)),
            Graph("never", COUNTED, ("y", "z"), ("x",), {"x": X, "w": X, "n": np.array(0)}),
            Graph("until", UNTIL, ("y", "seen"), ("x",), {"x": X, "limit": np.array(20.0)}),
        ),
    ),
    Point(
        "Scan: axes and directions",
        examples=(
            Graph("ways", SCAN, ("s", "y", "u"), ("s0", "x", "z"), {"s0": F((2,)), "x": F((3, 2)), "z": F((2, 3))}),
        ),
    ),
    Point(
        "Sequences and optionals as plumbing",
        examples=(
            Graph("sequence", SEQUENCE, ("y",), ("x", "w"), {"x": X, "w": X}),
            Graph("split-to-sequence", SPLIT_TO, ("y",), ("x",), {"x": F((2, 4))}),
            Graph("optional", OPTIONAL, ("y",), ("x",), {"x": X}),
        ),
    ),
    Point(
        "Functions of the model, with attributes and functions in them",
        examples=(Graph("functions", FUNCTIONS, ("y",), ("x", "w"), {"x": X, "w": X}),),
    ),
]
