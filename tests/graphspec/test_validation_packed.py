"""Tensors of types below 8 bits are packed: their raw data has as many bytes as their bits need."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import graphspec as gs
from graphspec import dtypes

PACKED = [row for row in dtypes.DTYPES if 0 < row.bits < 8]


@pytest.mark.parametrize("row", PACKED, ids=lambda row: row.name)
@pytest.mark.parametrize("missing", [0, 1])
def test_the_length_of_packed_raw_data(row: dtypes.DType, missing: int) -> None:
    tensor = onnx.numpy_helper.from_array(np.ones(5, row.numpy), "w")
    assert len(tensor.raw_data) == -(-5 * row.bits // 8)
    tensor.raw_data = tensor.raw_data[missing:]
    output = onnx.helper.make_tensor_value_info("y", 7, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Shape", ["w"], ["y"])], "g", [], [output], [tensor])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 25)], ir_version=14)
    codes = [problem.code for problem in gs.validate(model).problems]
    assert ("raw-data-length" in codes) == bool(missing)
