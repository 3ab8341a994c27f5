"""Samples of the operators that select by value, mask or order."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats, Sample


def _ints(values: object) -> np.ndarray:
    return np.array(values, dtype=np.int64)


X = Floats((3, 4), apart=True)
HOT = _ints([[1, -1, 4], [-4, 7, 0]])  # 4 and 7 are nowhere for depth 4
ODD = np.array([[3.0, 0.0, 1.0], [0.0, 2.0, 0.0]])

SAMPLES = [
    Sample("OneHot", (HOT, _ints(4), Floats((2,))), id="last"),
    Sample("OneHot", (HOT, _ints(4), Floats((2,))), {"axis": 0}, id="first"),
    Sample("OneHot", (HOT, _ints(4), Floats((2,))), {"axis": -2}, id="negative-axis"),
    Sample("OneHot", (_ints([[1, 0], [3, 2]]), _ints(4), Floats((2,))), id="opset-9", opset=9),
    Sample("TopK", (X, _ints([2])), id="largest", outputs=2),
    Sample("TopK", (X, _ints([2])), {"axis": 0, "largest": 0}, id="smallest", outputs=2),
    Sample("TopK", (X, _ints([4])), {"axis": 1}, id="all", outputs=2),
    Sample("TopK", (X, _ints([0])), id="none", outputs=2),
    Sample("TopK", (X, _ints([2])), id="opset-10", opset=10, outputs=2),
    Sample("TopK", (X,), {"k": 2}, id="opset-7", opset=7, outputs=2, of=()),
    Sample("NonZero", (ODD,), of=()),
    Sample("NonZero", (np.array(2.0),), id="scalar", of=(), forward=False),  # the text says (0, N), others give (1, N)
    Sample("Compress", (X, np.array([True, False, True])), {"axis": 0}, id="rows"),
    Sample("Compress", (X, np.array([False, True, True])), {"axis": -1}, id="shorter"),
    Sample("Compress", (X, np.array([False, True, False, False, False, True])), id="flat"),
    Sample("Compress", (X, np.array([False, False])), {"axis": 0}, id="nothing"),
    Sample("Unique", (X,), id="sorted"),
    Sample("Unique", (X,), {"sorted": 0}, id="unsorted", outputs=4),
    Sample("Unique", (X,), {"axis": 1}, id="axis", outputs=4),
    Sample("Unique", (_ints([[3, 1], [2, 2], [3, 1]]),), {"axis": 0, "sorted": 0}, id="rows", outputs=4, of=()),
    Sample("Unique", (_ints([3, 1, 3, 2, 1]),), {"sorted": 0}, id="numbers", outputs=4, of=()),
    Sample("ReverseSequence", (Floats((4, 3, 2)), _ints([4, 1, 3])), id="default"),
    Sample("ReverseSequence", (Floats((3, 4)), _ints([2, 4, 3])), {"batch_axis": 0, "time_axis": 1}, id="batch-first"),
]
