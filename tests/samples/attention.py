"""Samples of the cache that attention reads; operators with subgraphs are tested in test_attention_corners.py."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats as F
from samples.sample import Sample


def _ints(values: object) -> np.ndarray:
    return np.array(values, dtype=np.int64)


SAMPLES = [
    Sample("TensorScatter", (F((2, 3, 4, 2)), F((2, 3, 2, 2)), _ints([1, 2])), id="linear", opset=24),
    Sample("TensorScatter", (F((2, 4, 2)), F((2, 3, 2)), _ints([3, 1])), {"mode": "circular"}, id="circular", opset=24),
    Sample("TensorScatter", (F((2, 4)), F((2, 3))), {"axis": 1}, id="from-0", opset=24),
    Sample("FlexAttention", (F((2, 4, 3, 2)), F((2, 2, 5, 2)), F((2, 2, 5, 3))), id="grouped", opset=1, domain="ai.onnx.preview", of=()),
    Sample("FlexAttention", (F((1, 2, 3, 4)), F((1, 2, 3, 4)), F((1, 2, 3, 4))), {"scale": 0.3}, id="scale", opset=1, domain="ai.onnx.preview", of=()),
]  # fmt: skip
