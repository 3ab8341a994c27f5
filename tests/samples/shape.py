"""Samples of the operators that change a shape, or ask for it."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats, Sample


def _ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


X = Floats((2, 3, 4))
SCALAR = Floats(())
EMPTY = Floats((0, 3))
IMAGE = Floats((2, 8, 2, 3))

SAMPLES = [
    Sample("Identity", (X,)),
    Sample("Identity", (SCALAR,), id="scalar"),
    Sample("Reshape", (X, _ints(4, 6)), id="plain"),
    Sample("Reshape", (X, _ints(0, -1)), id="copy-infer"),
    Sample("Reshape", (X, _ints(-1)), id="flat"),
    Sample("Reshape", (SCALAR, _ints(1, 1)), id="scalar"),
    Sample("Reshape", (Floats((1, 1)), np.zeros(0, np.int64)), id="to-scalar"),
    Sample("Reshape", (EMPTY, _ints(3, 0)), {"allowzero": 1}, id="allowzero"),
    Sample("Reshape", (X, _ints(2, 12)), id="opset-13", opset=13),
    Sample("Reshape", (X,), {"shape": [0, -1]}, id="attribute", opset=1, of=()),
    Sample("Flatten", (X,), id="default"),
    Sample("Flatten", (X,), {"axis": 0}, id="axis-0"),
    Sample("Flatten", (X,), {"axis": 3}, id="axis-3"),
    Sample("Flatten", (X,), {"axis": -1}, id="negative"),
    Sample("Flatten", (SCALAR,), {"axis": 0}, id="scalar"),
    Sample("Flatten", (EMPTY,), id="empty"),
    Sample("Squeeze", (Floats((1, 3, 1, 2)),), id="all"),
    Sample("Squeeze", (Floats((1, 3, 1, 2)), _ints(0)), id="one"),
    Sample("Squeeze", (Floats((1, 3, 1, 2)), _ints(-2, 0)), id="negative"),
    Sample("Squeeze", (Floats((1, 3, 1)),), {"axes": [0]}, id="attribute", opset=11),
    Sample("Unsqueeze", (Floats((3, 2)), _ints(0, -1)), id="two"),
    Sample("Unsqueeze", (SCALAR, _ints(0)), id="scalar"),
    Sample("Unsqueeze", (Floats((3, 2)),), {"axes": [2, 0]}, id="attribute", opset=11),
    Sample("Transpose", (X,), id="reverse"),
    Sample("Transpose", (X,), {"perm": [1, 2, 0]}, id="perm"),
    Sample("Transpose", (SCALAR,), id="scalar"),
    Sample("Transpose", (EMPTY,), {"perm": [1, 0]}, id="empty"),
    Sample("Expand", (Floats((3, 1)), _ints(2, 1, 4)), id="both-ways"),
    Sample("Expand", (Floats((3, 1)), _ints(3, 4)), id="same-rank"),
    Sample("Expand", (Floats((2, 3)), _ints(1)), id="shorter"),
    Sample("Expand", (SCALAR, _ints(2, 3)), id="scalar"),
    Sample("Expand", (Floats((2, 1)), _ints(2, 0)), id="to-empty"),
    Sample("Shape", (X,), id="all", zero=True, of=()),
    Sample("Shape", (X,), {"start": -2, "end": 2}, id="part", of=()),
    Sample("Shape", (X,), {"start": 1, "end": 10}, id="clamped", of=()),
    Sample("Shape", (X,), id="opset-13", opset=13, of=()),
    Sample("Size", (X,), of=()),
    Sample("Size", (EMPTY,), id="empty", of=()),
    Sample("DepthToSpace", (IMAGE,), {"blocksize": 2}, id="DCR"),
    Sample("DepthToSpace", (IMAGE,), {"blocksize": 2, "mode": "CRD"}, id="CRD"),
    Sample("DepthToSpace", (IMAGE,), {"blocksize": 2}, id="opset-7", opset=7),
    Sample("SpaceToDepth", (Floats((1, 2, 4, 6)),), {"blocksize": 2}),
    Sample("SpaceToDepth", (Floats((1, 1, 4, 2)),), {"blocksize": 2}, id="opset-9", opset=9),
]
