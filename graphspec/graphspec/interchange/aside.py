"""Carry through the IR what it has no place for.

``set_aside`` takes out of a ModelProto what ``onnx_ir`` would refuse or lose, and ``put_back`` restores it:

* sparse tensors, as initializers and in attributes, become ``SparseTensor``, which reads as the dense tensor;
* types that the IR lacks (map, opaque, incomplete ones) travel as text in the value's ``metadata_props``, where they
  survive cloning and renaming.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from graphspec.interchange.normal import drop_repeated_value_info
from graphspec.interchange.representable import SPARSE_KEY, TYPE_KEY, fits_ir

_numbers = itertools.count()


class SparseTensor(ir.LazyTensor):
    """A sparse tensor that reads as the dense one, made when asked for; written back, it is sparse again.

    Args:
        proto: The sparse tensor, whose indices have been checked.
    """

    def __init__(self, proto: onnx.SparseTensorProto) -> None:
        self.key = str(next(_numbers))
        self.proto = proto
        super().__init__(
            self._dense,
            dtype=ir.DataType(proto.values.data_type),
            shape=ir.Shape(proto.dims, frozen=True),
            name=proto.values.name or None,
            metadata_props={SPARSE_KEY: self.key},
        )

    def __repr__(self) -> str:
        return f"SparseTensor<{self.dtype},{self.shape}>(name={self.name!r})"

    def _dense(self) -> ir.TensorProtocol:
        values = ir.serde.deserialize_tensor(self.proto.values).numpy()
        indices = ir.serde.deserialize_tensor(self.proto.indices).numpy()
        shape = tuple(self.proto.dims)
        dense = np.zeros(math.prod(shape), dtype=values.dtype)
        if indices.ndim == 2:
            indices = np.ravel_multi_index(tuple(indices.T), shape)
        dense[indices] = values
        return ir.tensor(dense.reshape(shape), dtype=self.dtype)


def set_aside(model: onnx.ModelProto) -> dict[str, SparseTensor]:
    """Replace what the IR lacks by placeholders, in place; the sparse tensors are returned by their keys."""
    sparse: dict[str, SparseTensor] = {}
    _set_aside_graph(model.graph, sparse)
    for function in model.functions:
        _set_aside_types(function.value_info)
        _set_aside_nodes(function.node, sparse)
    return sparse


def _set_aside_graph(graph: onnx.GraphProto, sparse: dict[str, SparseTensor]) -> None:
    for values in (graph.input, graph.output, graph.value_info):
        _set_aside_types(values)
    for proto in graph.sparse_initializer:
        _placeholder(proto, graph.initializer.add(), sparse)
    graph.ClearField("sparse_initializer")
    _set_aside_nodes(graph.node, sparse)


def _set_aside_types(values: Iterable[onnx.ValueInfoProto]) -> None:
    for value in values:
        if not fits_ir(value.type):
            data = base64.b64encode(value.type.SerializeToString(deterministic=True)).decode("ascii")
            value.metadata_props.add(key=TYPE_KEY, value=data)
            value.ClearField("type")


def _set_aside_nodes(nodes: Iterable[onnx.NodeProto], sparse: dict[str, SparseTensor]) -> None:
    for node in nodes:
        for attribute in node.attribute:
            kind = attribute.type
            if kind == onnx.AttributeProto.GRAPH and not attribute.ref_attr_name:
                _set_aside_graph(attribute.g, sparse)
            elif kind == onnx.AttributeProto.GRAPHS:
                for graph in attribute.graphs:
                    _set_aside_graph(graph, sparse)
            elif kind == onnx.AttributeProto.SPARSE_TENSOR and not attribute.ref_attr_name:
                _placeholder(attribute.sparse_tensor, attribute.t, sparse)
                attribute.ClearField("sparse_tensor")
                attribute.type = onnx.AttributeProto.TENSOR
            elif kind == onnx.AttributeProto.SPARSE_TENSORS and not attribute.ref_attr_name:
                for proto in attribute.sparse_tensors:
                    _placeholder(proto, attribute.tensors.add(), sparse)
                attribute.ClearField("sparse_tensors")
                attribute.type = onnx.AttributeProto.TENSORS


def _placeholder(proto: onnx.SparseTensorProto, into: onnx.TensorProto, sparse: dict[str, SparseTensor]) -> None:
    copy = onnx.SparseTensorProto()
    copy.CopyFrom(proto)
    tensor = SparseTensor(copy)
    sparse[tensor.key] = tensor
    into.name = proto.values.name
    into.dims.extend(proto.dims)
    into.data_type = proto.values.data_type
    into.metadata_props.add(key=SPARSE_KEY, value=tensor.key)


def put_sparse(model: ir.Model, sparse: dict[str, SparseTensor]) -> None:
    """Put the sparse tensors in the places of their placeholders."""

    def replace(tensor: Any) -> Any:
        return sparse.get(tensor.metadata_props.get(SPARSE_KEY, ""), tensor)

    for graph in _all_graphs(model):
        for value in graph.initializers.values():
            value.const_value = replace(value.const_value)
        for node in graph:
            for name, attribute in list(node.attributes.items()):
                if attribute.is_ref():
                    continue
                if attribute.type == ir.AttributeType.TENSOR:
                    tensor = replace(attribute.value)
                    if tensor is not attribute.value:
                        node.attributes[name] = ir.AttrTensor(name, tensor, doc_string=attribute.doc_string)
                elif attribute.type == ir.AttributeType.TENSORS:
                    tensors = [replace(tensor) for tensor in attribute.value]
                    node.attributes[name] = ir.AttrTensors(name, tensors, doc_string=attribute.doc_string)


def _all_graphs(model: ir.Model) -> list[Any]:
    """The main graph, the bodies of functions, and every subgraph within."""
    graphs: list[Any] = [model.graph, *(function.graph for function in model.functions.values())]
    for graph in graphs:
        for node in graph:
            for attribute in node.attributes.values():
                if attribute.is_ref():
                    continue
                if attribute.type == ir.AttributeType.GRAPH:
                    graphs.append(attribute.value)  # the list is the queue of the walk
                elif attribute.type == ir.AttributeType.GRAPHS:
                    graphs.extend(attribute.value)
    return graphs


def all_tensors(model: ir.Model) -> Iterator[Any]:
    """Every constant tensor of a model: initializers and attributes."""
    for graph in _all_graphs(model):
        yield from (value.const_value for value in graph.initializers.values())
        for node in graph:
            for attribute in node.attributes.values():
                if attribute.is_ref():
                    continue
                if attribute.type == ir.AttributeType.TENSOR:
                    yield attribute.value
                elif attribute.type == ir.AttributeType.TENSORS:
                    yield from attribute.value


def put_back(proto: onnx.ModelProto, model: ir.Model) -> None:
    """Undo ``set_aside`` in what ``onnx_ir`` made of the model, in place."""
    table: dict[str, SparseTensor] | None = None

    def lookup(key: str) -> SparseTensor | None:
        nonlocal table
        if table is None:
            table = {tensor.key: tensor for tensor in all_tensors(model) if isinstance(tensor, SparseTensor)}
        return table.get(key)

    _put_back_graph(proto.graph, lookup)
    if proto.ir_version < _FIRST_WITH_FUNCTION_VALUE_INFO and proto.functions:
        _drop_second_names(proto.graph.value_info)
    for function in proto.functions:
        _put_back_types(function.value_info)
        _put_back_nodes(function.node, lookup)


#: Before this IR version onnx_ir writes a function's value_info into the graph, under names that overloads share.
_FIRST_WITH_FUNCTION_VALUE_INFO = 10


def _drop_second_names(values: Any) -> None:
    seen = set()
    for index in range(len(values) - 1, -1, -1):
        if values[index].name in seen:
            del values[index]
        else:
            seen.add(values[index].name)


_Lookup = Callable[[str], SparseTensor | None]


def _put_back_graph(graph: onnx.GraphProto, lookup: _Lookup) -> None:
    for values in (graph.input, graph.output, graph.value_info):
        _put_back_types(values)
    for index in range(len(graph.initializer) - 1, -1, -1):
        tensor = graph.initializer[index]
        sparse = _sparse_of(tensor, lookup)
        if sparse is not None:
            proto = graph.sparse_initializer.add()
            proto.CopyFrom(sparse.proto)
            proto.values.name = tensor.name
            del graph.initializer[index]
    graph.sparse_initializer.reverse()
    drop_repeated_value_info(graph)
    _put_back_nodes(graph.node, lookup)


def _put_back_types(values: Iterable[onnx.ValueInfoProto]) -> None:
    for value in values:
        for index, entry in enumerate(value.metadata_props):
            if entry.key == TYPE_KEY:
                try:
                    value.type.ParseFromString(base64.b64decode(entry.value, validate=True))
                except (binascii.Error, DecodeError):
                    continue
                del value.metadata_props[index]  # the loop ends here
                break


def _put_back_nodes(nodes: Iterable[onnx.NodeProto], lookup: _Lookup) -> None:
    for node in nodes:
        for attribute in node.attribute:
            kind = attribute.type
            if kind == onnx.AttributeProto.GRAPH and not attribute.ref_attr_name:
                _put_back_graph(attribute.g, lookup)
            elif kind == onnx.AttributeProto.GRAPHS:
                for graph in attribute.graphs:
                    _put_back_graph(graph, lookup)
            elif kind == onnx.AttributeProto.TENSOR and attribute.HasField("t"):
                sparse = _sparse_of(attribute.t, lookup)
                if sparse is not None:
                    attribute.sparse_tensor.CopyFrom(sparse.proto)
                    attribute.ClearField("t")
                    attribute.type = onnx.AttributeProto.SPARSE_TENSOR
            elif kind == onnx.AttributeProto.TENSORS and attribute.tensors:
                found = [_sparse_of(tensor, lookup) for tensor in attribute.tensors]
                if all(item is not None for item in found):
                    attribute.sparse_tensors.extend(item.proto for item in found if item is not None)
                    attribute.ClearField("tensors")
                    attribute.type = onnx.AttributeProto.SPARSE_TENSORS


def _sparse_of(tensor: onnx.TensorProto, lookup: _Lookup) -> SparseTensor | None:
    """The sparse tensor that a dense one stands for; also undoes onnx_ir's writing of metadata twice."""
    entries = tensor.metadata_props
    if not entries:
        return None
    pairs = {entry.key: entry.value for entry in entries}
    if len(pairs) != len(entries):
        del entries[:]
        for key, value in pairs.items():
            entries.add(key=key, value=value)
    return lookup(pairs[SPARSE_KEY]) if SPARSE_KEY in pairs else None
