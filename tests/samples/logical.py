"""Samples of truth, comparison, bits and choice."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats, Sample

TRUTHS = np.array([[True, False], [False, True]])
MORE = np.array([True, False])
LEFT, RIGHT = np.array([[1.0, 2.0, np.nan], [0.0, -0.0, np.inf]]), np.array([1.0, 3.0, np.inf])
INTS, OTHERS = np.array([[-5, 6, 7], [1, 2, 3]]), np.array([1, 2, 3])
COMPARISONS = ("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual")
ODD = np.array([[np.nan, np.inf, -np.inf], [0.0, -1.0, 1e30]])
BYTES, COUNTS = np.array([1, 128, 255, 4], np.uint8), np.array([1, 0, 3, 7], np.uint8)
SIGNED, WIDE = np.array([-128, -1, 5, 64], np.int8), np.array([1, 9, -1, 7], np.int8)

SAMPLES = [
    *(Sample(op_type, (TRUTHS, MORE), of=()) for op_type in ("And", "Or", "Xor")),
    *(Sample(op_type, (TRUTHS, MORE), id="opset-7", opset=7, of=()) for op_type in ("And", "Or", "Xor")),
    Sample("Not", (TRUTHS,), of=()),
    Sample("Not", (np.array(True),), id="scalar", of=()),
    *(Sample(op_type, (LEFT, RIGHT), id="floats", of=()) for op_type in COMPARISONS),
    *(Sample(op_type, (INTS, OTHERS), id="int64", of=()) for op_type in COMPARISONS),
    *(Sample(op_type, (INTS, np.array(2)), id="scalar", of=()) for op_type in COMPARISONS),
    *(Sample(op_type, (LEFT, RIGHT), id="opset-12", opset=12, of=()) for op_type in COMPARISONS),
    Sample("Equal", (np.array(["a", "bc"], object), np.array(["a", "b"], object)), id="strings", of=()),
    Sample("Equal", (TRUTHS, MORE), id="bool", of=()),
    Sample("IsNaN", (ODD,), of=()),
    Sample("IsInf", (ODD,), of=()),
    Sample("IsInf", (ODD,), {"detect_negative": 0}, id="positive", of=()),
    Sample("IsInf", (ODD,), {"detect_positive": 0}, id="negative", of=()),
    Sample("IsInf", (ODD,), {"detect_positive": 0, "detect_negative": 0}, id="neither", of=()),
    *(Sample(op_type, (INTS, OTHERS), id="int64", of=()) for op_type in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")),
    *(Sample(op_type, (BYTES, COUNTS), id="uint8", of=()) for op_type in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")),
    Sample("BitwiseNot", (INTS,), id="int64", of=()),
    Sample("BitwiseNot", (BYTES,), id="uint8", of=()),
    *(Sample("BitShift", (BYTES, COUNTS), {"direction": d}, id=f"{d.lower()}-uint8", of=()) for d in ("LEFT", "RIGHT")),
    *(
        Sample("BitShift", (SIGNED, WIDE), {"direction": d}, id=f"{d.lower()}-int8", opset=28, of=())
        for d in ("LEFT", "RIGHT")
    ),
    Sample("Where", (TRUTHS, Floats((2, 2)), Floats((2, 2))), id="equal"),
    Sample("Where", (TRUTHS, Floats((2,)), Floats(())), id="broadcast"),
    Sample("Where", (np.array(True), Floats((2, 1)), Floats((3,))), id="one-condition"),
    Sample("Where", (TRUTHS, Floats((2, 2)), Floats((2, 2))), id="opset-9", opset=9),
    Sample("Where", (TRUTHS, np.array([1, 2]), np.array(7)), id="int64", of=()),
    Sample("Where", (MORE, np.array(["a", "b"], object), np.array("c", object)), id="strings", of=()),
]
