"""What a ModelProto can say that the IR cannot: found and named before the IR meets it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
import onnx_ir as ir

from graphspec.interchange.findings import Findings, did_you_mean, pointer, shorten
from graphspec.interchange.kinds import KIND_NAMES

#: Keys in metadata_props under which a part of ONNX travels through the IR; see ``aside``.
SPARSE_KEY = "graphspec.sparse"
TYPE_KEY = "graphspec.type"


def find_unrepresentable(model: onnx.ModelProto, findings: Findings) -> None:
    """Note every part of a model, which ``scan`` has passed, that has no place in the IR."""
    walk = _Walk(findings)
    walk.graph(model.graph, "")
    for index, function in enumerate(model.functions):
        walk.function(function, f"/functions/{index}")


def fits_ir(type_: onnx.TypeProto) -> bool:
    """Whether the IR can hold a type without loss."""
    match type_.WhichOneof("value"):
        case "tensor_type":
            return bool(type_.tensor_type.HasField("elem_type"))
        case "sparse_tensor_type":
            return bool(type_.sparse_tensor_type.HasField("elem_type"))
        case "sequence_type":
            return (
                fits_ir(type_.sequence_type.elem_type) and type_.sequence_type.elem_type.WhichOneof("value") is not None
            )
        case "optional_type":
            return (
                fits_ir(type_.optional_type.elem_type) and type_.optional_type.elem_type.WhichOneof("value") is not None
            )
        case None:
            return not type_.denotation
        case _:
            return False


class _Walk:
    def __init__(self, findings: Findings) -> None:
        self.findings = findings

    def graph(self, graph: onnx.GraphProto, path: str) -> None:
        defined = {value.name for value in graph.input}
        for value in [*graph.input, *graph.output, *graph.value_info]:
            self.reserved(value.metadata_props, f"{path}/value_info{pointer(value.name)}")
        for tensor in graph.initializer:
            self.reserved(tensor.metadata_props, f"{path}/parameters{pointer(tensor.name)}")
        dense = {tensor.name for tensor in graph.initializer}
        defined |= dense
        for sparse in graph.sparse_initializer:
            where = f"{path}/sparse_parameters{pointer(sparse.values.name)}"
            if sparse.values.name in defined:
                self.twice(sparse.values.name, where, None)
            defined.add(sparse.values.name)
            self.sparse(sparse, where)
        self.nodes(graph.node, f"{path}/nodes", defined)

    def function(self, function: onnx.FunctionProto, path: str) -> None:
        defined: set[str] = set()
        for index, name in enumerate(function.input):
            if name in defined:
                self.twice(name, f"{path}/inputs/{index}", None)
            defined.add(name)
        self.nodes(function.node, f"{path}/nodes", defined)
        for index, name in enumerate(function.output):
            if name not in defined:
                self.findings.add(
                    "undefined-value",
                    f"Nothing in the function {shorten(function.name)!r} produces its output {shorten(name)!r}.",
                    f"{path}/outputs/{index}",
                    expected="an input of the function or an output of one of its nodes",
                    found=shorten(name),
                    hint=did_you_mean(name, defined) if len(defined) < 1000 else None,
                )

    def nodes(self, nodes: Iterable[onnx.NodeProto], path: str, defined: set[str]) -> None:
        for index, node in enumerate(nodes):
            for position, name in enumerate(node.output):
                if name and name in defined:
                    self.twice(name, f"{path}/{index}/outputs/{position}", node.name or None)
                defined.add(name)
            for number, configuration in enumerate(node.device_configurations):
                self.device(configuration, f"{path}/{index}/device_configurations/{number}", node.name or None)
            for attribute in node.attribute:
                self.attribute(attribute, f"{path}/{index}/attributes{pointer(attribute.name)}", node.name or None)

    def device(self, configuration: onnx.NodeDeviceConfigurationProto, path: str, node: str | None) -> None:
        missing = [] if configuration.configuration_id else ["configuration_id"]
        missing += [
            f"sharding_spec/{index}/tensor_name"
            for index, spec in enumerate(configuration.sharding_spec)
            if not spec.tensor_name
        ]
        for field in missing:
            self.findings.add(
                "missing-field",
                "A device configuration names its configuration, and each sharding spec its tensor.",
                f"{path}/{field}",
                node=node,
                expected="a name",
                found="none",
            )

    def twice(self, name: str, path: str, node: str | None) -> None:
        self.findings.add(
            "duplicate-value",
            f"The value {shorten(name)!r} is defined twice.",
            path,
            node=node,
            expected="each value defined once",
            found=f"{shorten(name)!r} again",
        )

    def attribute(self, attribute: onnx.AttributeProto, path: str, node: str | None) -> None:
        if attribute.ref_attr_name:
            return
        match KIND_NAMES[attribute.type]:
            case "graph":
                self.graph(attribute.g, path)
            case "graphs":
                for index, graph in enumerate(attribute.graphs):
                    self.graph(graph, f"{path}/{index}")
            case "tensor":
                self.reserved(attribute.t.metadata_props, path)
            case "tensors":
                for index, tensor in enumerate(attribute.tensors):
                    self.reserved(tensor.metadata_props, f"{path}/{index}")
            case "sparse_tensor":
                self.sparse(attribute.sparse_tensor, path)
            case "sparse_tensors":
                for index, sparse in enumerate(attribute.sparse_tensors):
                    self.sparse(sparse, f"{path}/{index}")
            case "strings":
                for index, data in enumerate(attribute.strings):
                    self.utf8(data, f"{path}/{index}", node)
            case "type_proto":
                self.type(attribute.tp, path, node)
            case "type_protos":
                for index, type_ in enumerate(attribute.type_protos):
                    self.type(type_, f"{path}/{index}", node)
            case "undefined":
                self.findings.add(
                    "attribute-kind",
                    "The attribute has neither a kind nor a value.",
                    path,
                    node=node,
                    expected="a kind and a value",
                    found="neither",
                )

    def utf8(self, data: bytes, path: str, node: str | None) -> None:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            message = "A string in a list of strings is not UTF-8."
            self.findings.add("bad-encoding", message, path, node=node, expected="UTF-8", found=repr(data[:40]))

    def type(self, type_: onnx.TypeProto, path: str, node: str | None) -> None:
        if not fits_ir(type_):
            self.findings.add(
                "unsupported-type",
                "Map, opaque and incomplete types are not supported in attributes.",
                path,
                node=node,
                expected="a type of tensors, sequences or optionals",
                found=type_.WhichOneof("value") or "no type",
            )

    def sparse(self, sparse: onnx.SparseTensorProto, path: str) -> None:
        """Check that each value has its place: the dense form is made without further checks."""
        count = list(sparse.values.dims)
        shape = list(sparse.indices.dims)
        rank = len(sparse.dims)
        if sparse.indices.data_type != onnx.TensorProto.INT64 or len(count) != 1:
            self.findings.add(
                "sparse-tensor",
                "A sparse tensor has a list of values and int64 indices.",
                path,
                expected="values of rank 1 and indices of int64",
                found=f"values of rank {len(count)} and indices of data type {sparse.indices.data_type}",
            )
            return
        if shape not in (count, [count[0], rank]):
            self.findings.add(
                "sparse-tensor",
                "The indices do not go with the values.",
                path,
                expected=f"indices of shape {count} or {[count[0], rank]}",
                found=f"indices of shape {shape}",
            )
            return
        indices = ir.serde.TensorProtoTensor(sparse.indices).numpy()
        bounds = np.array(sparse.dims if len(shape) == 2 else [int(np.prod(sparse.dims, dtype=np.int64))])
        if ((indices < 0) | (indices >= bounds)).any():
            self.findings.add(
                "sparse-tensor",
                "An index lies outside the sparse tensor.",
                f"{path}/indices",
                expected=f"indices below {bounds.tolist()}",
                found=f"indices from {indices.min()} to {indices.max()}",
            )

    def reserved(self, entries: Iterable[onnx.StringStringEntryProto], path: str) -> None:
        for entry in entries:
            if entry.key in {SPARSE_KEY, TYPE_KEY}:
                self.findings.add(
                    "reserved-name",
                    f"The metadata key {entry.key!r} is reserved.",
                    f"{path}/metadata_props{pointer(entry.key)}",
                    expected="another key",
                    found=entry.key,
                )
