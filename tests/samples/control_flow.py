"""Samples of branches and loops, over integers: their subgraphs have fixed types."""

from __future__ import annotations

import numpy as np
import onnx

from samples.sample import Sample


def _body(text: str) -> onnx.GraphProto:
    return onnx.parser.parse_graph(text)


def _constant(value: int) -> onnx.GraphProto:
    return _body(f"branch () => (int64 y) {{ y = Constant <value = int64 {{{value}}}> () }}")


BRANCHES = {"then_branch": _constant(3), "else_branch": _constant(5)}

DOUBLE = _body(
    """body (int64 i, bool going, int64[2] v) => (bool again, int64[2] w, int64 trip, int64[2] seen) {
        again = Identity (going)  w = Add (v, v)  trip = Identity (i)  seen = Identity (v)
    }"""
)
UNTIL_20 = _body(
    """body (int64 i, bool going, int64 v) => (bool again, int64 w, int64 seen) {
        w = Add (v, v)  limit = Constant <value = int64 {20}> ()  again = Less (w, limit)  seen = Identity (w)
    }"""
)
SUMS = _body(
    """body (int64[2] total, int64[2] x) => (int64[2] next, int64[2] partial) {
        next = Add (total, x)  partial = Identity (next)
    }"""
)
# Inputs and outputs of different directions and axes.
MIXED = _body(
    """body (int64[2] total, int64[2] x, int64[2] z) => (int64[2] next, int64[2] p, int64[2] q) {
        next = Add (total, x)  p = Mul (next, z)  q = Sub (x, z)
    }"""
)
X = np.arange(6).reshape(3, 2)
Z = np.arange(6, 12).reshape(2, 3)
START = np.array([10, 20])

SAMPLES = [
    Sample("If", (np.array(True),), BRANCHES, id="then", of=()),
    Sample("If", (np.array(False),), BRANCHES, id="else", of=()),
    Sample("If", (np.array(False),), BRANCHES, id="opset-11", opset=11, of=()),
    Sample("Loop", (np.array(3), None, START), {"body": DOUBLE}, id="count", outputs=3, of=()),
    Sample("Loop", (np.array(0), None, START), {"body": DOUBLE}, id="never", outputs=3, of=()),
    Sample("Loop", (np.array(3), np.array(False), START), {"body": DOUBLE}, id="false", outputs=3, of=()),
    Sample("Loop", (None, np.array(True), np.array(3)), {"body": UNTIL_20}, id="while", outputs=2, of=()),
    Sample("Loop", (np.array(2), None, np.array(3)), {"body": UNTIL_20}, id="both", outputs=2, of=()),
    Sample("Loop", (np.array(2), None, START), {"body": DOUBLE}, id="opset-11", opset=11, outputs=3, of=()),
    Sample("Scan", (START, X), {"body": SUMS, "num_scan_inputs": 1}, id="sums", outputs=2, of=()),
    # ONNX Runtime refuses to scan nothing.
    Sample("Scan", (START, X[:0]), {"body": SUMS, "num_scan_inputs": 1}, id="empty", outputs=2, of=(), forward=False),
    Sample(
        "Scan",
        (START, X, Z),
        {
            "body": MIXED,
            "num_scan_inputs": 2,
            "scan_input_axes": [0, -1],
            "scan_input_directions": [0, 1],
            "scan_output_axes": [1, 0],
            "scan_output_directions": [1, 0],
        },
        id="axes",
        outputs=3,
        of=(),
    ),
    Sample("Scan", (START, X), {"body": SUMS, "num_scan_inputs": 1}, id="opset-9", opset=9, outputs=2, of=()),
]
