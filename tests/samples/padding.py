"""Samples of Slice and Pad."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats, Sample

INT_MAX, INT_MIN = 2**63 - 1, -(2**63)


def _ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


X = Floats((4, 5))


def _pad(pads: tuple[int, ...], mode: str, label: str, **more: object) -> Sample:
    return Sample("Pad", (X, _ints(*pads)), {"mode": mode}, id=f"{mode}-{label}", **more)  # type: ignore[arg-type]


SAMPLES = [
    Sample("Slice", (X, _ints(1, 0), _ints(3, 4)), id="no-axes"),
    Sample("Slice", (X, _ints(1), _ints(INT_MAX)), id="first-axis-open"),
    Sample("Slice", (X, _ints(-3), _ints(-1), _ints(1)), id="negative"),
    Sample("Slice", (X, _ints(1), _ints(4), _ints(-1)), id="negative-axis"),
    Sample("Slice", (X, _ints(-100), _ints(100), _ints(0)), id="outside"),
    Sample("Slice", (X, _ints(3), _ints(1), _ints(0)), id="empty"),
    Sample("Slice", (X, _ints(0), _ints(INT_MAX), _ints(1), _ints(2)), id="every-other"),
    Sample("Slice", (X, _ints(1, 1), _ints(4, 5), _ints(0, 1), _ints(2, 3)), id="two-steps"),
    Sample("Slice", (X, _ints(-1), _ints(INT_MIN), _ints(1), _ints(-1)), id="flip"),
    Sample("Slice", (X, _ints(-1, 3), _ints(INT_MIN, 0), _ints(0, 1), _ints(-1, -2)), id="back"),
    Sample("Slice", (X, _ints(1, 2), _ints(3, 5), _ints(1, 0), _ints(1, 1)), id="axes-swapped"),
    Sample(
        "Slice",
        (X, np.array([1], np.int32), np.array([3], np.int32), np.array([1], np.int32), np.array([1], np.int32)),
        id="int32",
    ),
    Sample("Slice", (X, _ints(0), _ints(3), _ints(1)), id="opset-10", opset=10),
    Sample("Slice", (X,), {"starts": [1, -2], "ends": [INT_MAX, -1], "axes": [0, 1]}, id="attributes", opset=9),
    Sample("Slice", (X,), {"starts": [1], "ends": [3]}, id="attributes-no-axes", opset=7),
    _pad((1, 2, 0, 3), "constant", "plain"),
    _pad((1, -2, 0, 3), "constant", "mixed"),
    _pad((-1, -1, -2, 0), "constant", "crop"),
    _pad((0, 0, 0, 0), "constant", "none"),
    _pad((1, 2, 3, 4), "reflect", "most"),
    _pad((2, 0, -1, 3), "reflect", "crop", forward=False),  # ONNX Runtime reflects what was cropped
    _pad((1, 6, 3, 0), "edge", "far"),
    _pad((1, 2, 3, 4), "wrap", "plain"),
    _pad((1, 7, 3, 0), "wrap", "far"),
    Sample("Pad", (X, _ints(1, 0, 2, 1), Floats(())), id="value"),
    Sample("Pad", (X, _ints(1, 2), Floats(()), _ints(-1)), id="value-axes"),
    Sample("Pad", (X, _ints(1, 0, 2, 1), None, _ints(1, 0)), id="axes"),
    Sample("Pad", (X, _ints(2, 1), None, _ints(-1)), {"mode": "reflect"}, id="reflect-axes"),
    Sample("Pad", (Floats((0, 2)), _ints(1, 0, 1, 0), Floats(())), id="empty"),
    Sample("Pad", (X, _ints(1, 0, 2, 1), Floats(())), id="opset-13", opset=13),
    # ONNX converts the value to float32 even where the data are float64, so only the value is checked here.
    Sample("Pad", (X,), {"pads": [1, 0, 2, 1], "value": 1.5}, id="attributes", opset=7, of=()),
    Sample("Pad", (X,), {"pads": [1, 0, 2, 1], "mode": "reflect"}, id="attributes-reflect", opset=9),
]
