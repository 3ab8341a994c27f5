"""Samples of the transforms of signals; their derivative rules are not written yet."""

import numpy as np

from samples.sample import Floats as F
from samples.sample import Sample

I = np.int64  # noqa: E741

SAMPLES = [
    Sample("DFT", (F((2, 8, 1)),), of=(), opset=20),
    Sample("DFT", (F((2, 7, 2)), I(10), I(1)), id="longer", of=(), opset=20),
    Sample("DFT", (F((2, 8, 3, 1)), I(6), I(1)), {"onesided": 1}, id="onesided-shorter", of=(), opset=20),
    Sample("DFT", (F((2, 3, 8, 2)), None, I(2)), {"inverse": 1}, id="inverse", of=(), opset=20),
    Sample("DFT", (F((2, 8, 1)),), {"axis": 1}, id="attribute", of=(), opset=17),
    Sample("STFT", (F((2, 32, 1)), I(4), F((8,), 0.1, 1)), of=(), opset=17),
    Sample("STFT", (F((2, 32, 1)), I(5), None, I(8)), {"onesided": 0}, id="length", of=(), opset=17),
    Sample("MelWeightMatrix", (I(8), I(16), I(8192), np.float32(0), np.float32(4096)), of=(), opset=17, narrow=True),
]
