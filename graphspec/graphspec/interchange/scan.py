"""What must hold of any ModelProto before anything else looks at it.

The graph's own rules (cycles, types, operators) are validation's business. Here is what would make reading it unsafe or
ambiguous: sizes, external data, text that is not UTF-8, tensors that do not hold what they declare, names that occur
twice where ONNX has a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import onnx

from graphspec import dtypes
from graphspec.errors import Problem
from graphspec.interchange.findings import pointer
from graphspec.interchange.kinds import FIELDS, KIND_NAMES
from graphspec.interchange.limits import Limits
from graphspec.interchange.normal import without_repeats
from graphspec.interchange.scan_tensors import TensorScan


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


class _Scan(TensorScan):
    """One walk over a model."""

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
        for entry in entries:
            if entry.version < 1:
                self.findings.add(
                    "out-of-range",
                    "An opset version is a positive number.",
                    f"{path}{pointer(entry.domain)}",
                    expected="at least 1",
                    found=str(entry.version),
                )


def _holds(attribute: onnx.AttributeProto, field: str) -> bool:
    """Whether a field of an attribute has a value."""
    if field.endswith("s") and field != "s":
        return bool(getattr(attribute, field))
    return bool(attribute.HasField(field))
