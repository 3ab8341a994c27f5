"""From a sample to a model and its feeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from graphspec import dtypes
from samples.sample import Floats, Sample


def arrays_of(sample: Sample, dtype: Any, rng: np.random.Generator) -> list[np.ndarray | None]:
    """The inputs of a sample: floats drawn, the rest as it is (arrays of NumPy's float64 in ``dtype``)."""
    arrays: list[np.ndarray | None] = []
    for given in sample.inputs:
        if isinstance(given, Floats):
            arrays.append(given.draw(rng, dtype))
        elif given is None:
            arrays.append(None)
        else:
            array = np.asarray(given)
            arrays.append(array.astype(dtype) if array.dtype == np.float64 else array)
    return arrays


def build(sample: Sample, arrays: list[np.ndarray | None], *, symbolic: bool) -> tuple[ir.Model, dict[str, np.ndarray]]:
    """A model of one node.

    ``Floats`` become graph inputs ``x0``, ``x1`` ... Arrays become initializers, or graph inputs too when
    ``symbolic``; then no dimension is a number.
    """
    inputs: list[onnx.ValueInfoProto] = []
    initializers: list[onnx.TensorProto] = []
    feeds: dict[str, np.ndarray] = {}
    names = []
    for i, (given, array) in enumerate(zip(sample.inputs, arrays, strict=True)):
        name = "" if array is None else f"x{i}"
        names.append(name)
        if array is None:
            continue
        if isinstance(given, Floats) or symbolic:
            shape = [f"d{i}_{k}" for k in range(array.ndim)] if symbolic else array.shape
            inputs.append(onnx.helper.make_tensor_value_info(name, int(dtypes.of(array.dtype).onnx), shape))
            feeds[name] = array
        else:
            initializers.append(onnx.numpy_helper.from_array(array, name))
    outputs = [f"y{i}" for i in range(sample.outputs)]
    schema = onnx.defs.get_schema(sample.op_type, sample.opset, sample.domain)
    node = onnx.helper.make_node(sample.op_type, names, outputs, name="node", domain=sample.domain)
    for key, value in sample.attributes.items():
        kind = int(schema.attributes[key].type.value)
        value = onnx.numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        node.attribute.append(onnx.helper.make_attribute(key, value, attr_type=kind))
    imports = [onnx.helper.make_opsetid(sample.domain, sample.opset)]
    if sample.domain:
        imports.append(onnx.helper.make_opsetid("", 23))
    infos = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = onnx.helper.make_graph([node], "sample", inputs, infos, initializers)
    proto = onnx.helper.make_model(graph, opset_imports=imports, ir_version=10)
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    return ir.from_proto(inferred), feeds


def wrt_names(sample: Sample) -> list[str]:
    """Names of the inputs to differentiate with respect to."""
    chosen = sample.wrt
    if chosen is None:
        chosen = tuple(i for i, given in enumerate(sample.inputs) if isinstance(given, Floats))
    return [f"x{i}" for i in chosen]
