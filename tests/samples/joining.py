"""Samples of the operators that join, split and repeat."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats, Sample


def _ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


SAMPLES = [
    Sample("Concat", (Floats((2, 3)), Floats((2, 1)), Floats((2, 2))), {"axis": 1}, id="three"),
    Sample("Concat", (Floats((2, 3)), Floats((1, 3))), {"axis": -2}, id="negative"),
    Sample("Concat", (Floats((2, 3)),), {"axis": 0}, id="one"),
    Sample("Concat", (Floats((0, 3)), Floats((2, 3))), {"axis": 0}, id="empty-part"),
    Sample("Concat", (Floats((2, 3)), np.ones((2, 1))), {"axis": 1}, id="constant-part"),
    Sample("Concat", (Floats((2,)), Floats((3,))), {"axis": 0}, id="opset-7", opset=7),
    Sample("Split", (Floats((5, 2)), _ints(2, 0, 3)), id="lengths", outputs=3, of=(0, 1, 2)),
    Sample("Split", (Floats((2, 6)),), {"axis": -1, "num_outputs": 3}, id="even", outputs=3, of=(0, 1, 2)),
    Sample("Split", (Floats((7, 2)),), {"num_outputs": 3}, id="uneven", outputs=3, of=(0, 2)),
    Sample("Split", (Floats((4,)), _ints(1, 3)), id="one-unused", outputs=2, of=(1,)),
    Sample("Split", (Floats((4,)),), {"num_outputs": 1}, id="one", outputs=1),
    Sample("Split", (Floats((4, 2)),), {"axis": 0}, id="opset-13", opset=13, outputs=2, of=(0, 1)),
    Sample("Split", (Floats((4, 2)), _ints(1, 3)), id="opset-13-lengths", opset=13, outputs=2, of=(0, 1)),
    Sample("Split", (Floats((4, 2)),), {"split": [3, 1]}, id="opset-11", opset=11, outputs=2, of=(0, 1)),
    Sample("Split", (Floats((2, 4)),), {"axis": 1}, id="opset-7", opset=7, outputs=2, of=(0, 1)),
    Sample("Tile", (Floats((2, 3)), _ints(2, 3)), id="both"),
    Sample("Tile", (Floats((2, 1, 2)), _ints(1, 4, 1)), id="middle"),
    Sample("Tile", (Floats((2, 3)), _ints(0, 2)), id="to-empty"),
    Sample("Tile", (Floats(()), np.zeros(0, np.int64)), id="scalar"),
    Sample("Tile", (Floats((2, 3)), _ints(2, 1)), id="opset-7", opset=7),
]
