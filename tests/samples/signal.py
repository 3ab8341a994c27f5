"""Samples of the transforms of signals."""

import numpy as np

from samples.sample import Floats as F
from samples.sample import Sample

I = np.int64  # noqa: E741

SAMPLES = [
    Sample("DFT", (F((2, 8, 1)),), opset=20),
    Sample("DFT", (F((2, 7, 2)), I(10), I(1)), id="longer", opset=20),
    Sample("DFT", (F((2, 9, 2)), I(5), I(-2)), id="shorter", opset=20),
    Sample("DFT", (F((2, 8, 3, 1)), I(6), I(1)), {"onesided": 1}, id="onesided-shorter", opset=20),
    Sample("DFT", (F((2, 5, 1)), I(7), I(-2)), {"onesided": 1}, id="onesided-longer", opset=20),
    Sample("DFT", (F((2, 3, 8, 2)), None, I(2)), {"inverse": 1}, id="inverse", opset=20),
    Sample("DFT", (F((2, 3, 1)), I(5), I(-2)), {"inverse": 1}, id="inverse-real", opset=20),
    Sample("DFT", (F((2, 5, 2)),), {"inverse": 1, "onesided": 1}, id="inverse-onesided", opset=20, forward=False),
    Sample("DFT", (F((2, 3, 2)), I(7), I(1)), {"inverse": 1, "onesided": 1}, id="inverse-onesided-odd", opset=20, forward=False),
    Sample("DFT", (F((6, 2, 2)), I(6), I(0)), {"inverse": 1, "onesided": 1}, id="inverse-onesided-cut", opset=20, forward=False),
    Sample("DFT", (F((2, 8, 1)),), {"axis": 1}, id="attribute", opset=17),
    Sample("DFT", (F((2, 3, 6, 1)), I(5)), {"axis": 2, "onesided": 1}, id="attribute-onesided", opset=17),
    Sample("STFT", (F((2, 32, 1)), I(4), F((8,), 0.1, 1)), opset=17),
    Sample("STFT", (F((2, 32, 1)), I(5), None, I(8)), {"onesided": 0}, id="length", opset=17),
    Sample("STFT", (F((1, 20, 2)), I(3), F((7,), 0.1, 1), I(7)), {"onesided": 0}, id="complex", opset=17),
    Sample("STFT", (F((2, 16, 1)), I(6), F((5,), 0.1, 1)), {"onesided": 1}, id="gaps", opset=20),
    Sample("MelWeightMatrix", (I(8), I(16), I(8192), np.float32(0), np.float32(4096)), of=(), opset=17, narrow=True),
]  # fmt: skip
