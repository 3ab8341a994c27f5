"""Samples of the operators that read and write at indices."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats, Sample


def _ints(values: object) -> np.ndarray:
    return np.array(values, dtype=np.int64)


X = Floats((4, 3))
CUBE = Floats((2, 3, 4))
REPEATED = _ints([[0, 2, 1], [0, -1, 1]])  # along axis 0: row 0 twice in column 0, negative in column 1
PAIRS = _ints([[0, 1], [3, -1], [0, 1]])
ROWS = _ints([[2], [-4], [2]])
UNIQUE_ROWS = _ints([[2], [-4]])


def _scatter(reduction: str, order: int = 2) -> list[Sample]:
    """Both scatters with duplicate indices and one reduction, with respect to data and updates."""
    apart = Floats((2, 3), apart=True)
    both = {"reduction": reduction}
    data = Floats((4, 3), -2, 2, apart=True)
    return [
        Sample("ScatterElements", (data, REPEATED, apart), both, id=reduction, order=order),
        Sample("ScatterND", (data, ROWS, Floats((3, 3), apart=True)), both, id=reduction, order=order),
        Sample("ScatterND", (data, PAIRS, Floats((3,), apart=True)), both, id=f"{reduction}-elements"),
    ]


SAMPLES = [
    Sample("Gather", (X, _ints([2, 0, -1, 2])), id="rows"),
    Sample("Gather", (X, _ints([[2, 0], [2, 1]])), {"axis": 1}, id="axis-1"),
    Sample("Gather", (CUBE, _ints([[2, 0], [2, -3]])), {"axis": -2}, id="negative-axis"),
    Sample("Gather", (CUBE, _ints(1)), {"axis": 1}, id="one"),
    Sample("Gather", (X, _ints(-1)), id="one-row"),
    Sample("Gather", (X, _ints([])), id="nothing"),
    Sample("Gather", (X, np.array([1, 1], np.int32)), {"axis": -2}, id="int32"),
    Sample("Gather", (X, _ints([1, 0])), id="opset-7", opset=7),
    Sample("GatherElements", (X, REPEATED), id="repeated"),
    Sample("GatherElements", (X, _ints([[0, 0], [2, -3]])), {"axis": 1}, id="axis-1"),
    Sample("GatherElements", (CUBE, _ints([[[0, 3, -1]]])), {"axis": -1}, id="negative-axis"),
    Sample("GatherElements", (X, _ints([[0, 0, 1]])), id="opset-11", opset=11),
    Sample("GatherND", (X, PAIRS), id="elements"),
    Sample("GatherND", (X, ROWS), id="rows"),
    Sample("GatherND", (CUBE, _ints([[[1], [0]], [[1], [-2]]])), id="grid"),
    Sample("GatherND", (CUBE, _ints([[[2], [2]], [[0], [-1]]])), {"batch_dims": 1}, id="batch"),
    Sample("GatherND", (CUBE, np.zeros((2, 3, 1), np.int64)), {"batch_dims": 2}, id="batch-2"),
    Sample("GatherND", (CUBE, _ints([[1, 2], [0, -3]])), {"batch_dims": 1}, id="batch-elements"),
    Sample("GatherND", (X, PAIRS), id="opset-11", opset=11),
    Sample("Scatter", (X, _ints([[1, 0, 2]]), Floats((1, 3))), {"axis": 0}, opset=9),
    Sample("ScatterElements", (X, _ints([[1, 0, -1]]), Floats((1, 3))), id="none"),
    Sample("ScatterElements", (X, _ints([[2, 0], [1, -3]]), Floats((2, 2))), {"axis": -1}, id="none-axis"),
    Sample("ScatterElements", (X, _ints([[1, 0, 2]]), Floats((1, 3))), id="opset-11", opset=11),
    Sample("ScatterND", (X, UNIQUE_ROWS, Floats((2, 3))), id="none"),
    Sample("ScatterND", (X, _ints([[0, 1], [3, -1]]), Floats((2,))), id="none-elements"),
    Sample("ScatterND", (X, UNIQUE_ROWS, Floats((2, 3))), id="opset-11", opset=11),
    *_scatter("add"),
    *_scatter("mul"),
    *_scatter("max"),
    *_scatter("min"),
]
