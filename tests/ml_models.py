"""Models of one node of ai.onnx.ml, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper

import graphspec as gs

ML = "ai.onnx.ml"
DOUBLE = onnx.TensorProto.DOUBLE


def ml_node(op_type: str, opset: int, inputs: list[str], outputs: list[str], attributes: dict[str, Any]) -> Any:
    schema = onnx.defs.get_schema(op_type, opset, ML)
    node = helper.make_node(op_type, inputs, outputs, name="node", domain=ML)
    for key, value in attributes.items():
        value = onnx.numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        node.attribute.append(
            helper.make_attribute(key, value, attr_type=int(schema.attributes[key].type.value))  # type: ignore[arg-type]
        )
    return node


def model(op_type: str, *infos: Any, opset: int = 3, outputs: int = 1, **attributes: Any) -> ir.Model:
    names = [info.name for info in infos]
    node = ml_node(op_type, opset, names, [f"y{i}" for i in range(outputs)], attributes)
    ends = [onnx.ValueInfoProto(name=f"y{i}") for i in range(outputs)]
    graph = helper.make_graph([node], "corner", list(infos), ends)
    imports = [helper.make_opsetid(ML, opset), helper.make_opsetid("", 23)]
    proto = helper.make_model(graph, opset_imports=imports, ir_version=10)
    return gs.load(onnx.shape_inference.infer_shapes(proto))


def tensor(array: np.ndarray, name: str = "x0") -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def mapping(key: int, value: int) -> onnx.ValueInfoProto:
    return helper.make_value_info("x0", helper.make_map_type_proto(key, helper.make_tensor_type_proto(value, [])))
