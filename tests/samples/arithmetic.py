"""Samples of arithmetic: broadcasting of every kind, integers, ties that are apart, exponents of every sign."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats, Sample

ROW = Floats((3,), 0.5, 3)
COLUMN = Floats((2, 1), 0.5, 3)
MATRIX = Floats((2, 3), 0.5, 3)
SIGNED = Floats((2, 3), -3, 3)
SCALAR = Floats((), 0.5, 3)
EMPTY = Floats((0, 3))
INTS = np.array([[-7, 7, -6], [5, 1, 0]])
DIVISORS = np.array([2, -3, 4])
BYTES = np.array([1, 128, 255, 4], np.uint8)


def _apart(low: float, high: float, shape: tuple[int, ...] = (2, 3)) -> Floats:
    return Floats(shape, low, high, apart=True)


SAMPLES = [
    # + - × ÷
    *(
        Sample(op_type, inputs, id=name)
        for op_type in ("Add", "Sub", "Mul", "Div")
        for name, inputs in {
            "equal": (SIGNED, MATRIX),
            "row": (SIGNED, ROW),
            "both": (COLUMN, ROW),
            "rank-up": (ROW, Floats((2, 1, 3), 0.5, 3)),
            "scalar": (SCALAR, MATRIX),
            "scalars": (SCALAR, SCALAR),
            "one": (MATRIX, Floats((1, 1), 0.5, 3)),
            "empty": (EMPTY, ROW),
        }.items()
    ),
    *(Sample(op_type, (MATRIX, ROW), id="opset-7", opset=7) for op_type in ("Add", "Sub", "Mul", "Div", "Pow")),
    *(Sample(op_type, (INTS, DIVISORS), id="int64", of=()) for op_type in ("Add", "Sub", "Mul", "Div", "Mod")),
    *(
        Sample(op_type, (INTS.astype(np.int32), DIVISORS.astype(np.int32)), id="int32", of=())
        for op_type in ("Add", "Sub", "Mul", "Div", "Mod")
    ),
    Sample("Div", (BYTES, np.array(3, np.uint8)), id="uint8", of=()),
    # one input
    *(Sample(op_type, (Floats((2, 3)),), id="signed") for op_type in ("Neg", "Abs")),
    *(Sample(op_type, (INTS,), id="int64", of=()) for op_type in ("Neg", "Abs", "Sign")),
    Sample("Sign", (SIGNED,), id="floats", zero=True),
    Sample("Reciprocal", (MATRIX,), id="positive"),
    Sample("Reciprocal", (Floats((), -3, -0.5),), id="scalar"),
    # powers
    Sample("Pow", (MATRIX, SIGNED), id="equal"),
    Sample("Pow", (COLUMN, ROW), id="both"),
    Sample("Pow", (SCALAR, MATRIX), id="scalar-base"),
    Sample("Pow", (MATRIX, Floats(())), id="scalar-exponent"),
    *(Sample("Pow", (SIGNED, np.array(n)), id=f"to-the-{n:g}") for n in (-2.0, 0.0, 1.0, 2.0, 3.0)),
    Sample("Pow", (MATRIX, np.array(0.5)), id="root"),
    Sample("Pow", (MATRIX, np.array([[2.0]])), id="two-in-a-matrix"),
    Sample("Pow", (ROW, np.array([[2.0]])), id="two-of-higher-rank"),
    Sample("Pow", (SIGNED, np.array([0.0, 1.0, 2.0])), id="small-exponents"),
    Sample("Pow", (SIGNED, np.array([3, 2, 0])), id="int64-exponents"),
    Sample("Pow", (MATRIX, np.array([-1, 2, 0], np.int32)), id="int32-exponents"),
    Sample("Pow", (np.array([2, -3, 10]), np.array([10, 3, 0])), id="int64", of=()),
    Sample("Pow", (np.array([4, 9]), np.array([0.5])), id="int64-to-float", of=()),
    # remainders
    Sample("Mod", (Floats((2, 3), 5.1, 5.9), np.array([2.0, -3.0, 4.0])), {"fmod": 1}, id="fmod"),
    Sample("Mod", (Floats((2, 3), -5.9, -5.1), Floats((3,), 1.4, 1.6)), {"fmod": 1}, id="fmod-both"),
    Sample("Mod", (Floats((2, 3), -5.9, -5.1), Floats((1,), 1.4, 1.6)), id="floor", opset=28),
    Sample("Mod", (Floats((2, 3), 5.1, 5.9), Floats((3,), -1.6, -1.4)), {"fmod": 0}, id="floor-negative", opset=28),
    Sample("Mod", (INTS, DIVISORS), {"fmod": 1}, id="fmod-int64", of=()),
    # several
    *(
        Sample(op_type, inputs, id=name)
        for op_type in ("Sum", "Mean", "Max", "Min")
        for name, inputs in {
            "one": (SIGNED,),
            "two": (_apart(-3, 0), _apart(-1.99, 1.03)),
            "three": (_apart(-1.99, 1.03), _apart(-3, 3, (3,)), _apart(0.13, 0.93, (2, 1))),
            "scalars": (Floats((), -2, -1), Floats((), 0, 1)),
            "empty": (EMPTY, ROW),
        }.items()
    ),
    *(
        Sample(op_type, (_apart(-3, 3, (3,)), _apart(0.13, 0.93, (2, 1))), id="rank-up")
        for op_type in ("Sum", "Max", "Min")
    ),
    *(Sample(op_type, (SIGNED, MATRIX), id="opset-7", opset=7, of=()) for op_type in ("Sum", "Mean", "Max", "Min")),
    *(Sample(op_type, (INTS, DIVISORS), id="int64", of=()) for op_type in ("Max", "Min")),
    # bounds
    Sample("Clip", (_apart(-3, 3, (4, 5)), Floats((), -1.53, -1.52), Floats((), 1.26, 1.27)), id="both"),
    Sample("Clip", (_apart(-3, 3), Floats((), -0.53, -0.52)), id="min"),
    Sample("Clip", (_apart(-3, 3), None, Floats((), 0.52, 0.53)), id="max"),
    Sample("Clip", (_apart(-3, 3),), id="none"),
    Sample("Clip", (_apart(-3, 3), Floats((), 1.1, 1.2), Floats((), -1.2, -1.1)), id="crossed"),
    Sample("Clip", (_apart(-3, 3, (4, 5)), np.array(-1.0), np.array(1.0)), id="constants"),
    Sample("Clip", (EMPTY, np.array(-1.0), np.array(1.0)), id="empty"),
    Sample("Clip", (INTS, np.array(-2), np.array(5)), id="int64", of=()),
    # ONNX's version converter makes float32 bounds of the attributes, whatever the input: no derivative in float64.
    Sample("Clip", (_apart(-3, 3),), {"min": -1.0, "max": 1.5}, id="opset-6", opset=6, of=()),
    Sample("Clip", (_apart(-3, 3),), id="opset-6-default", opset=6, of=()),
]
