"""Samples of quantised arithmetic; test_quantization_corners.py holds the derivative by a scale, which is no float64."""

import numpy as np

from samples.sample import Floats as F
from samples.sample import Sample

S = np.float32


def u8(*values: int) -> np.ndarray:
    return np.array(values, np.uint8)


X = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4)).astype(np.uint8)
W = np.random.default_rng(1).integers(0, 256, (2, 3, 2, 2)).astype(np.uint8)
A, B = X[0, 0], X[1, 1]

SAMPLES = [
    Sample("QuantizeLinear", (F((3, 4)), np.array(0.1), u8(100)[0]), of=(), narrow=True),
    Sample(
        "QuantizeLinear",
        (F((3, 4)), np.array([0.1, 0.2, 0.3]), np.array([1, -2, 3], np.int8)),
        {"axis": 0},
        id="axis",
        of=(),
        narrow=True,
    ),
    Sample("DequantizeLinear", (X, F((), 0.1, 1), u8(3)[0]), of=(), narrow=True),
    Sample("DequantizeLinear", (X, F((1,), 0.1, 1)), id="one", of=(), narrow=True),
    Sample("DequantizeLinear", (X, F((3,), 0.1, 1), u8(3, 0, 255)), {"axis": 1}, id="axis", of=(), narrow=True),
    Sample("DequantizeLinear", (X, F((4,), 0.1, 1)), {"axis": -1}, id="last-axis", opset=19, of=(), narrow=True),
    Sample(
        "DequantizeLinear",
        (X, F((2, 3, 2, 4), 0.1, 1), np.full((2, 3, 2, 4), 9, np.uint8)),
        {"axis": 2, "block_size": 2},
        id="blocks",
        opset=21,
        of=(),
        narrow=True,
    ),
    Sample(
        "DequantizeLinear",
        (X, F((2, 3, 4, 2), 0.1, 1)),
        {"axis": -1, "block_size": 3},
        id="cut-blocks",
        of=(),
        narrow=True,
        forward=False,
    ),
    Sample("ConvInteger", (X, W, u8(7)[0], u8(2)[0]), {"pads": [1, 0, 1, 0]}, opset=10, of=(), narrow=True),
    Sample(
        "QLinearConv",
        (X, np.array(0.02), u8(7)[0], W, np.array(0.03), u8(2)[0], np.array(0.7), u8(9)[0]),
        {"strides": [2, 2]},
        opset=10,
        of=(),
        narrow=True,
    ),
    Sample(
        "QLinearMatMul",
        (A, np.array(0.02), u8(7)[0], B, np.array(0.03), u8(2)[0], np.array(0.7), u8(9)[0]),
        opset=10,
        of=(),
        narrow=True,
    ),
]
