"""What must hold of any ModelProto before anything else looks at it.

The graph's own rules (cycles, types, operators) are validation's business. Here is what would make reading it unsafe or
ambiguous: sizes, external data, text that is not UTF-8, tensors that do not hold what they declare, names that occur
twice where ONNX has a table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import onnx

from graphspec import dtypes
from graphspec.errors import Problem
from graphspec.interchange.findings import Findings, pointer, shorten
from graphspec.interchange.kinds import FIELDS, KIND_NAMES
from graphspec.interchange.limits import Limits
from graphspec.interchange.normal import without_repeats
from graphspec.interchange.tensors import byte_length

_LARGEST = 2**62
_EXTERNAL = onnx.TensorProto.EXTERNAL

#: The typed field in which each dtype may be stored instead of raw_data, and how many entries an element takes.
_FIELD_OF = {
    "float32": ("float_data", 1),
    "complex64": ("float_data", 2),
    "float64": ("double_data", 1),
    "complex128": ("double_data", 2),
    "int64": ("int64_data", 1),
    "uint64": ("uint64_data", 1),
    "uint32": ("uint64_data", 1),
    "string": ("string_data", 1),
}
_DATA_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")


def scan(model: onnx.ModelProto, limits: Limits) -> list[Problem]:
    """Walk the whole model once.

    Args:
        model: What was read.
        limits: Sizes that are accepted.

    Returns:
        Every problem found, with JSON pointers into the document form of the model.

    Raises:
        LimitError: A limit was reached; the walk stops there.
    """
    walk = _Scan(limits)
    walk.model(model)
    return walk.findings.problems


class _Scan:
    """One walk over a model."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.findings = Findings()
        self.nodes_seen = 0
        self.bytes_seen = 0

    def model(self, model: onnx.ModelProto) -> None:
        info = "/model"
        self.text(info, model, "producer_name", "producer_version", "domain", "doc_string")
        self.pairs(model.metadata_props, f"{info}/metadata_props")
        self.opset(model.opset_import, "/opset")
        self.graph(model.graph, "", 0)
        for index, training in enumerate(model.training_info):
            path = f"/training_info/{index}"
            self.graph(training.initialization, f"{path}/initialization", 1)
            self.graph(training.algorithm, f"{path}/algorithm", 1)
            self.pairs(training.initialization_binding, f"{path}/initialization_binding")
            self.pairs(training.update_binding, f"{path}/update_binding")
        keys = [(function.domain, function.name, function.overload) for function in model.functions]
        self.unique(keys, lambda index: f"/functions/{index}", "function")
        for index, function in enumerate(model.functions):
            self.function(function, f"/functions/{index}")
        for index, configuration in enumerate(model.configuration):
            self.any_text(configuration, f"/configuration/{index}")

    def function(self, function: onnx.FunctionProto, path: str) -> None:
        self.text(path, function, "name", "domain", "overload", "doc_string")
        self.present(function.name, f"{path}/name", "function")
        self.texts(function.input, f"{path}/inputs")
        self.texts(function.output, f"{path}/outputs")
        self.texts(function.attribute, f"{path}/attributes")
        names = [*function.attribute, *(attribute.name for attribute in function.attribute_proto)]
        self.unique(names, lambda index: f"{path}/attributes{pointer(names[index])}", "attribute")
        for attribute in function.attribute_proto:
            self.attribute(attribute, f"{path}/attributes{pointer(attribute.name)}", 0, None)
        self.opset(function.opset_import, f"{path}/opset")
        self.nodes(function.node, f"{path}/nodes", 0)
        self.values(without_repeats(function.value_info), f"{path}/value_info")
        self.pairs(function.metadata_props, f"{path}/metadata_props")

    def graph(self, graph: onnx.GraphProto, path: str, depth: int) -> None:
        self.limits.check("max_nesting", depth, path)
        self.text(path, graph, "name", "doc_string")
        self.values(graph.input, f"{path}/inputs")
        for index, output in enumerate(graph.output):
            self.value(output, f"{path}/outputs/{index}")
            self.present(output.name, f"{path}/outputs/{index}", "output")
        self.values(without_repeats(graph.value_info), f"{path}/value_info")
        self.named([tensor.name for tensor in graph.initializer], f"{path}/parameters", "parameter")
        for tensor in graph.initializer:
            self.tensor(tensor, f"{path}/parameters{pointer(tensor.name)}")
        self.named(
            [sparse.values.name for sparse in graph.sparse_initializer], f"{path}/sparse_parameters", "parameter"
        )
        for sparse in graph.sparse_initializer:
            self.sparse(sparse, f"{path}/sparse_parameters{pointer(sparse.values.name)}")
        self.nodes(graph.node, f"{path}/nodes", depth)
        for index, annotation in enumerate(graph.quantization_annotation):
            where = f"{path}/quantization_annotation/{index}"
            self.text(where, annotation, "tensor_name")
            self.pairs(annotation.quant_parameter_tensor_names, f"{where}/quant_parameter_tensor_names")
        self.pairs(graph.metadata_props, f"{path}/metadata_props")

    def nodes(self, nodes: Iterable[onnx.NodeProto], path: str, depth: int) -> None:
        for index, node in enumerate(nodes):
            self.nodes_seen += 1
            if self.nodes_seen > self.limits.max_nodes:
                self.limits.check("max_nodes", self.nodes_seen, f"{path}/{index}")
            where = f"{path}/{index}"
            self.present(node.op_type, f"{where}/op", "operator", node.name or None)
            self.text(where, node, "op_type", "domain", "name", "overload", "doc_string")
            self.texts(node.input, f"{where}/inputs")
            self.texts(node.output, f"{where}/outputs")
            attributes = node.attribute
            if attributes:
                names = [attribute.name for attribute in attributes]
                self.named(names, f"{where}/attributes", "attribute", node.name or None)
                for name, attribute in zip(names, attributes, strict=True):
                    self.attribute(attribute, f"{where}/attributes{pointer(name)}", depth, node.name or None)
            if node.metadata_props:
                self.pairs(node.metadata_props, f"{where}/metadata_props")
            for number, configuration in enumerate(node.device_configurations):
                self.any_text(configuration, f"{where}/device_configurations/{number}")

    def attribute(self, attribute: onnx.AttributeProto, path: str, depth: int, node: str | None) -> None:
        self.text(path, attribute, "name", "ref_attr_name", "doc_string")
        kind = KIND_NAMES[attribute.type]
        field = FIELDS.get(kind)
        held = [name for name in FIELDS.values() if _holds(attribute, name)]
        if attribute.ref_attr_name:
            field = None
        if any(name != field for name in held):
            self.findings.add(
                "attribute-kind",
                "The attribute holds a value that is not of its kind.",
                path,
                node=node,
                expected=f"only the field {field}" if field else "no value",
                found=f"values in {', '.join(held)}",
            )
            return
        match kind:
            case "tensor":
                if not attribute.ref_attr_name:
                    self.tensor(attribute.t, path)
            case "tensors":
                for index, tensor in enumerate(attribute.tensors):
                    self.tensor(tensor, f"{path}/{index}")
            case "graph":
                if not attribute.ref_attr_name:
                    self.graph(attribute.g, path, depth + 1)
            case "graphs":
                for index, graph in enumerate(attribute.graphs):
                    self.graph(graph, f"{path}/{index}", depth + 1)
            case "sparse_tensor":
                if not attribute.ref_attr_name:
                    self.sparse(attribute.sparse_tensor, path)
            case "sparse_tensors":
                for index, sparse in enumerate(attribute.sparse_tensors):
                    self.sparse(sparse, f"{path}/{index}")
            case "type_proto":
                self.type(attribute.tp, path)
            case "type_protos":
                for index, type_ in enumerate(attribute.type_protos):
                    self.type(type_, f"{path}/{index}")

    def sparse(self, sparse: onnx.SparseTensorProto, path: str) -> None:
        self.tensor(sparse.values, f"{path}/values")
        self.tensor(sparse.indices, f"{path}/indices")
        if self.dims(sparse.dims, f"{path}/shape"):
            row = dtypes.BY_ONNX.get(sparse.values.data_type)
            self.count_bytes(byte_length(row, sparse.dims) if row else 0, path)

    def tensor(self, tensor: onnx.TensorProto, path: str) -> None:
        self.text(path, tensor, "name", "doc_string")
        self.pairs(tensor.metadata_props, f"{path}/metadata_props")
        if tensor.data_location == _EXTERNAL or tensor.external_data:
            self.findings.add(
                "external-data",
                "The tensor's data is in another file.",
                path,
                expected="data inside the model",
                found="external data",
                hint="Save the model with its data inside; a path that comes from a model is never opened.",
            )
            return
        row = dtypes.BY_ONNX.get(tensor.data_type)
        if row is None:
            self.findings.add(
                "invalid-dtype",
                "The tensor's data_type is not one of ONNX.",
                f"{path}/dtype",
                expected="a data type of ONNX",
                found=str(tensor.data_type),
            )
        elif tensor.HasField("segment"):
            self.findings.add("bad-tensor", "The tensor is a segment of a larger one.", path, expected="a whole tensor")
        elif self.dims(tensor.dims, f"{path}/shape"):
            self.data(tensor, row, path)

    def dims(self, dims: Sequence[int], path: str) -> bool:
        """Check the sizes of a constant tensor: each is a count, and all elements can be counted."""
        if any(size < 0 for size in dims):
            self.findings.add(
                "negative-dimension",
                "A size of a constant tensor is negative.",
                path,
                expected="sizes of at least 0",
                found=str(list(dims)),
            )
            return False
        if math.prod(size or 1 for size in dims) > _LARGEST or len(dims) > 64:
            self.findings.add(
                "bad-tensor", "The shape is larger than any tensor.", path, found=shorten(str(list(dims[:70])))
            )
            return False
        return True

    def data(self, tensor: onnx.TensorProto, row: dtypes.DType, path: str) -> None:
        """Check that the stored data is in one place and is what dtype and shape need."""
        field, per_element = _FIELD_OF.get(row.name, ("int32_data", 1))
        present = [name for name in _DATA_FIELDS if getattr(tensor, name)]
        count = math.prod(tensor.dims)
        if tensor.HasField("raw_data"):
            if present or row.name == "string":
                found = "raw_data" + (f" and {present[0]}" if present else "")
                self.findings.add(
                    "bad-tensor",
                    "The tensor's data is in the wrong field.",
                    path,
                    expected=f"only {field}",
                    found=found,
                )
                return
            expected = byte_length(row, tensor.dims)
            length = len(tensor.raw_data)
            unit = "bytes"
        else:
            if present not in ([], [field]):
                self.findings.add(
                    "bad-tensor",
                    "The tensor's data is in the wrong field.",
                    path,
                    expected=f"{field} or raw_data",
                    found=" and ".join(present),
                )
                return
            packed = row.bits if row.bits in {2, 4} else 8  # 4-bit and 2-bit elements share an entry
            expected = (count * per_element * packed + 7) // 8
            length = len(getattr(tensor, field))
            unit = f"entries in {field}"
        if length != expected:
            self.findings.add(
                "raw-data-length",
                "The tensor holds another number of elements than its shape says.",
                path,
                expected=f"{expected} {unit} for shape {list(tensor.dims)} of {row.name}",
                found=f"{length} {unit}",
            )
            return
        self.entries(tensor, row, field, path)
        self.count_bytes(sum(map(len, tensor.string_data)) if row.bits == 0 else (count * row.bits + 7) // 8, path)

    def entries(self, tensor: onnx.TensorProto, row: dtypes.DType, field: str, path: str) -> None:
        """Check that numbers stored in a wider field fit the type."""
        if row.bits in {0, 64, 128} or row.name in {"float32", "complex64", "int32"} or not getattr(tensor, field):
            return
        values = getattr(tensor, field)
        bits = max(row.bits, 8) if row.bits != 6 else 6
        low, high = min(values), max(values)
        least = -(1 << (bits - 1)) if row.name.startswith("int") else 0
        if low < least or high >= 1 << bits:
            self.findings.add(
                "out-of-range",
                f"{field} holds a number that is none of {row.name}.",
                path,
                expected=f"numbers from {least} to {(1 << bits) - 1}",
                found=str(low if low < least else high),
            )

    def count_bytes(self, count: int, path: str) -> None:
        self.bytes_seen += count
        if self.bytes_seen > self.limits.max_initializer_bytes:
            self.limits.check("max_initializer_bytes", self.bytes_seen, path)

    def values(self, values: Sequence[onnx.ValueInfoProto], path: str) -> None:
        self.named([value.name for value in values], path, "value")
        for value in values:
            self.value(value, f"{path}{pointer(value.name)}")

    def value(self, value: onnx.ValueInfoProto, path: str) -> None:
        self.text(path, value, "name", "doc_string")
        if value.metadata_props:
            self.pairs(value.metadata_props, f"{path}/metadata_props")
        self.type(value.type, path)

    def type(self, type_: onnx.TypeProto, path: str, depth: int = 0) -> None:
        self.limits.check("max_nesting", depth, path)
        if type_.denotation:
            self.text(path, type_, "denotation")
        match type_.WhichOneof("value"):
            case "tensor_type":
                self.tensor_type(type_.tensor_type, path)
            case "sparse_tensor_type":
                self.tensor_type(type_.sparse_tensor_type, f"{path}/sparse_tensor")
            case "sequence_type":
                self.type(type_.sequence_type.elem_type, f"{path}/sequence", depth + 1)
            case "optional_type":
                self.type(type_.optional_type.elem_type, f"{path}/optional", depth + 1)
            case "map_type":
                self.elem_type(type_.map_type.key_type, f"{path}/map/key")
                self.type(type_.map_type.value_type, f"{path}/map/value", depth + 1)
            case "opaque_type":
                self.text(f"{path}/opaque", type_.opaque_type, "domain", "name")

    def tensor_type(self, type_: Any, path: str) -> None:
        self.elem_type(type_.elem_type, f"{path}/dtype")
        for index, dim in enumerate(type_.shape.dim):
            self.text(f"{path}/shape/{index}", dim, "dim_param", "denotation")

    def elem_type(self, number: int, path: str) -> None:
        if number and number not in dtypes.BY_ONNX:
            self.findings.add(
                "invalid-dtype",
                "The element type is not one of ONNX.",
                path,
                expected="a data type of ONNX",
                found=str(number),
            )

    def opset(self, entries: Sequence[onnx.OperatorSetIdProto], path: str) -> None:
        entries = without_repeats(entries)
        domains = [entry.domain for entry in entries]
        self.texts(domains, path)
        self.unique(domains, lambda index: f"{path}{pointer(domains[index])}", "domain")

    def pairs(self, entries: Sequence[onnx.StringStringEntryProto], path: str) -> None:
        if entries:
            entries = without_repeats(entries)
            keys = [entry.key for entry in entries]
            self.texts([*keys, *(entry.value for entry in entries)], path)
            self.unique(keys, lambda index: f"{path}{pointer(keys[index])}", "key")

    def named(self, names: Sequence[str], path: str, what: str, node: str | None = None) -> None:
        """Check names that a table needs: none empty, none twice."""
        if "" in names:
            self.present("", path, what, node)
        self.unique(names, lambda index: f"{path}{pointer(names[index])}", what, node)

    def present(self, name: str, path: str, what: str, node: str | None = None) -> None:
        if not name:
            message = f"The name of the {what} is empty."
            self.findings.add("invalid-name", message, path, node=node, expected="a name", found='""')

    def unique(self, names: Sequence[Any], path: Callable[[int], str], what: str, node: str | None = None) -> None:
        if len(set(names)) == len(names):
            return
        seen = set()
        for index, name in enumerate(names):
            if name in seen:
                label = name if isinstance(name, str) else "::".join(map(str, name))
                self.findings.add(
                    "duplicate-name",
                    f"The {what} {shorten(label)!r} is there twice.",
                    path(index),
                    node=node,
                    expected=f"each {what} once",
                    found=f"{shorten(label)!r} again",
                )
            seen.add(name)

    def text(self, path: str, message: Any, *fields: str) -> None:
        """Check that string fields are UTF-8: protobuf hands out bytes where they are not."""
        for field in fields:
            if type(getattr(message, field)) is not str:
                self.not_text(getattr(message, field), path)

    def texts(self, values: Iterable[Any], path: str) -> None:
        for index, value in enumerate(values):
            if type(value) is not str:
                self.not_text(value, f"{path}/{index}")

    def any_text(self, message: Any, path: str) -> None:
        """The same for every field of a message."""
        for field, value in message.ListFields():
            for item in value if field.is_repeated else [value]:
                if field.message_type is not None:
                    self.any_text(item, path)
                elif field.type == field.TYPE_STRING and type(item) is not str:
                    self.not_text(item, path)

    def not_text(self, value: Any, path: str) -> None:
        found = repr(value[:40])
        self.findings.add("bad-encoding", "The text is not UTF-8.", path, expected="UTF-8", found=found)


def _holds(attribute: onnx.AttributeProto, field: str) -> bool:
    """Whether a field of an attribute has a value."""
    if field.endswith("s") and field != "s":
        return bool(getattr(attribute, field))
    return bool(attribute.HasField(field))
