"""From protobuf to the JSON document. The model has passed ``scan``: whatever ONNX can hold has its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import Message

from graphspec import dtypes
from graphspec.interchange.document import UNDEFINED, VERSION
from graphspec.interchange.kinds import FIELDS, KIND_NAMES, Kinds, function_kinds
from graphspec.interchange.tensors import encode_data, encode_float, encode_string


def encode_model(model: onnx.ModelProto) -> dict[str, Any]:
    """The document of a model, as plain JSON data."""
    opset = {entry.domain: entry.version for entry in model.opset_import}
    functions = function_kinds(
        (f.domain, f.name, f.overload, {a.name: KIND_NAMES[a.type] for a in f.attribute_proto if a.type})
        for f in model.functions
    )
    graph = _encode_graph(model.graph, Kinds(opset, functions))
    document: dict[str, Any] = {"graphspec": VERSION, "name": graph.pop("name"), "opset": _encode_opset(opset), **graph}
    _put(document, "functions", [_encode_function(function, functions) for function in model.functions])
    info: dict[str, Any] = {"ir_version": model.ir_version}
    _put(info, "producer_name", model.producer_name)
    _put(info, "producer_version", model.producer_version)
    _put(info, "domain", model.domain)
    _put(info, "model_version", model.model_version)
    _put(info, "doc_string", model.doc_string)
    _put(info, "metadata_props", _pairs(model.metadata_props))
    document["model"] = info
    training = []
    for item in model.training_info:
        entry: dict[str, Any] = {}
        for field in ("initialization", "algorithm"):
            if item.HasField(field):
                entry[field] = _encode_graph(getattr(item, field), Kinds(opset, functions))
        _put(entry, "initialization_binding", _pairs(item.initialization_binding))
        _put(entry, "update_binding", _pairs(item.update_binding))
        training.append(entry)
    _put(document, "training_info", training)
    _put(document, "configuration", [_encode_message(item) for item in model.configuration])
    return document


def _put(target: dict[str, Any], key: str, value: Any) -> None:
    """Set a field unless it has ONNX's default, which is the same as its absence."""
    if value:
        target[key] = value


def _pairs(entries: Iterable[onnx.StringStringEntryProto]) -> dict[str, str]:
    return {entry.key: entry.value for entry in entries}


def _encode_opset(opset: dict[str, int]) -> int | dict[str, int]:
    return opset[""] if list(opset) == [""] else opset


def _encode_function(function: onnx.FunctionProto, functions: Mapping[tuple[str, str, str], Any]) -> dict[str, Any]:
    opset = {entry.domain: entry.version for entry in function.opset_import}
    kinds = Kinds(opset, functions)
    result: dict[str, Any] = {"name": function.name}
    _put(result, "domain", function.domain)
    _put(result, "overload", function.overload)
    result["inputs"] = list(function.input)
    result["outputs"] = list(function.output)
    attributes: dict[str, Any] = dict.fromkeys(function.attribute)
    for attribute in function.attribute_proto:
        attributes[attribute.name] = _encode_attribute(attribute, kinds, None)
    _put(result, "attributes", attributes)
    result["opset"] = _encode_opset(opset)
    result["nodes"] = [_encode_node(node, kinds) for node in function.node]
    _put(result, "value_info", _encode_values(function.value_info))
    _put(result, "doc_string", function.doc_string)
    _put(result, "metadata_props", _pairs(function.metadata_props))
    return result


def _encode_graph(graph: onnx.GraphProto, kinds: Kinds) -> dict[str, Any]:
    result: dict[str, Any] = {"name": graph.name, "inputs": _encode_values(graph.input)}
    _put(result, "parameters", {tensor.name: _encode_tensor(tensor, named=False) for tensor in graph.initializer})
    _put(
        result,
        "sparse_parameters",
        {sparse.values.name: _encode_sparse(sparse, named=False) for sparse in graph.sparse_initializer},
    )
    result["nodes"] = [_encode_node(node, kinds) for node in graph.node]
    result["outputs"] = [_encode_output(output) for output in graph.output]
    _put(result, "value_info", _encode_values(graph.value_info))
    annotations = []
    for item in graph.quantization_annotation:
        annotation: dict[str, Any] = {"tensor_name": item.tensor_name}
        _put(annotation, "quant_parameter_tensor_names", _pairs(item.quant_parameter_tensor_names))
        annotations.append(annotation)
    _put(result, "quantization_annotation", annotations)
    _put(result, "doc_string", graph.doc_string)
    _put(result, "metadata_props", _pairs(graph.metadata_props))
    return result


def _encode_output(output: onnx.ValueInfoProto) -> str | dict[str, Any]:
    info = _encode_value(output)
    return {"name": output.name, **info} if info else output.name


def _encode_node(node: onnx.NodeProto, kinds: Kinds) -> dict[str, Any]:
    result: dict[str, Any] = {"op": node.op_type}
    _put(result, "domain", node.domain)
    _put(result, "overload", node.overload)
    _put(result, "name", node.name)
    result["inputs"] = list(node.input)
    result["outputs"] = list(node.output)
    if node.attribute:
        known = kinds.of(node.domain, node.op_type, node.overload) or {}
        result["attributes"] = {a.name: _encode_attribute(a, kinds, known.get(a.name)) for a in node.attribute}
    _put(result, "doc_string", node.doc_string)
    _put(result, "metadata_props", _pairs(node.metadata_props))
    _put(result, "device_configurations", [_encode_message(item) for item in node.device_configurations])
    return result


def _encode_attribute(attribute: onnx.AttributeProto, kinds: Kinds, known: str | None) -> Any:
    """The plain value where the schema tells its kind, the explicit form elsewhere."""
    kind = KIND_NAMES[attribute.type]
    if attribute.ref_attr_name:
        reference: dict[str, Any] = {"ref": attribute.ref_attr_name}
        if kind != known:
            reference["kind"] = kind
        _put(reference, "doc_string", attribute.doc_string)
        return reference
    explicit: dict[str, Any] = {"kind": kind}
    if kind != UNDEFINED:
        value = getattr(attribute, FIELDS[kind])
        if kind.endswith("s"):
            explicit["value"] = [_encode_value_of_kind(kind[:-1], item, kinds) for item in value]
        else:
            explicit["value"] = _encode_value_of_kind(kind, value, kinds)
        if kind == known and not attribute.doc_string:
            return explicit["value"]
    _put(explicit, "doc_string", attribute.doc_string)
    return explicit


def _encode_value_of_kind(kind: str, value: Any, kinds: Kinds) -> Any:
    match kind:
        case "int":
            return value
        case "float":
            return encode_float(np.float32(value))
        case "string":
            return encode_string(value)
        case "tensor":
            return _encode_tensor(value)
        case "graph":
            return _encode_graph(value, kinds)
        case "sparse_tensor":
            return _encode_sparse(value)
        case _:
            return _encode_type(value)


def _encode_tensor(tensor: onnx.TensorProto, *, named: bool = True) -> dict[str, Any]:
    result = encode_data(tensor)
    if named:
        _put(result, "name", tensor.name)
    _put(result, "doc_string", tensor.doc_string)
    _put(result, "metadata_props", _pairs(tensor.metadata_props))
    return result


def _encode_sparse(sparse: onnx.SparseTensorProto, *, named: bool = True) -> dict[str, Any]:
    return {
        "shape": list(sparse.dims),
        "values": _encode_tensor(sparse.values, named=named),
        "indices": _encode_tensor(sparse.indices),
    }


def _encode_values(values: Iterable[onnx.ValueInfoProto]) -> dict[str, Any]:
    return {value.name: _encode_value(value) for value in values}


def _encode_value(value: onnx.ValueInfoProto) -> dict[str, Any]:
    result = _encode_type(value.type) if value.HasField("type") else {}
    _put(result, "doc_string", value.doc_string)
    _put(result, "metadata_props", _pairs(value.metadata_props))
    return result


def _encode_type(type_: onnx.TypeProto) -> dict[str, Any]:
    result: dict[str, Any] = {}
    match type_.WhichOneof("value"):
        case "tensor_type":
            result = _encode_tensor_type(type_.tensor_type)
        case "sparse_tensor_type":
            result = {"sparse_tensor": _encode_tensor_type(type_.sparse_tensor_type)}
        case "sequence_type":
            result = {"sequence": _encode_type(type_.sequence_type.elem_type)}
        case "optional_type":
            result = {"optional": _encode_type(type_.optional_type.elem_type)}
        case "map_type":
            key = _encode_dtype(type_.map_type.key_type)
            result = {"map": {"key": key, "value": _encode_type(type_.map_type.value_type)}}
        case "opaque_type":
            opaque: dict[str, Any] = {}
            _put(opaque, "domain", type_.opaque_type.domain)
            _put(opaque, "name", type_.opaque_type.name)
            result = {"opaque": opaque}
    _put(result, "denotation", type_.denotation)
    return result


def _encode_dtype(number: int) -> str:
    return dtypes.BY_ONNX[number].name if number else UNDEFINED


def _encode_tensor_type(type_: onnx.TypeProto.Tensor | onnx.TypeProto.SparseTensor) -> dict[str, Any]:
    result: dict[str, Any] = {"dtype": _encode_dtype(type_.elem_type)}
    if type_.HasField("shape"):
        result["shape"] = [_encode_dimension(dim) for dim in type_.shape.dim]
    return result


def _encode_dimension(dim: onnx.TensorShapeProto.Dimension) -> Any:
    field = dim.WhichOneof("value")
    size = getattr(dim, field) if field else None
    return {"size": size, "denotation": dim.denotation} if dim.denotation else size


def _encode_message(message: Message) -> dict[str, Any]:
    """A message whose JSON has the same fields; those that are not set are left out."""
    result: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.message_type is None:
            result[field.name] = list(value) if field.is_repeated else value
        else:
            result[field.name] = [_encode_message(item) for item in value]
    return result
