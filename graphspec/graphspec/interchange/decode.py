"""From the JSON document to protobuf; every problem of a document is found before it is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import onnx
import onnx.helper

from graphspec.interchange import document as doc
from graphspec.interchange.attributes import AttributeDecoder
from graphspec.interchange.findings import Findings, describe, is_text, pointer
from graphspec.interchange.kinds import FIELDS, Kinds, function_kinds
from graphspec.interchange.limits import DEFAULT_LIMITS, Limits
from graphspec.interchange.strict_json import path_of, walk
from graphspec.interchange.structure import check
from graphspec.interchange.value_types import decode_value_info, put_strings

#: The lowest ONNX IR version given to a document that names none: it has functions with overloads and value_info.
_IR_VERSION = 10
_IR_VERSION_DEVICES = 11


def decode_model(value: Any, *, limits: Limits = DEFAULT_LIMITS) -> onnx.ModelProto:
    """The model of a document.

    Args:
        value: The document as plain JSON data.
        limits: What is accepted.

    Raises:
        LoadError: The value is not a document; the problems say where and why.
        LimitError: Graphs are nested too deeply.
    """
    findings = Findings()
    document = check(doc.Document, value, "", findings)
    findings.raise_if_any()
    assert document is not None
    try:
        model = _ModelDecoder(findings, limits).decode(document)
    except UnicodeEncodeError:  # cheaper than a look at every string of every document
        _find_half_surrogates(value, findings)
        findings.raise_if_any()
        raise
    findings.raise_if_any()
    return model


def _find_half_surrogates(value: Any, findings: Findings) -> None:
    for trail, item in walk(value):
        texts = [item] if isinstance(item, str) else list(item) if isinstance(item, dict) else []
        if any(isinstance(text, str) and not is_text(text) for text in texts):
            message = "A string holds half of a surrogate pair."
            findings.add("bad-encoding", message, path_of(trail), expected="Unicode text", found=describe(item))


class _ModelDecoder:
    """Decodes one document; problems go to ``findings``."""

    def __init__(self, findings: Findings, limits: Limits) -> None:
        self.findings = findings
        self.limits = limits

    def decode(self, document: doc.Document) -> onnx.ModelProto:
        model = onnx.ModelProto()
        opset = self._opset(document.opset, "/opset")
        _put_opset(model.opset_import, opset)
        functions = self._function_kinds(document.functions, "/functions")
        graphs = GraphDecoder(Kinds(opset, functions), self.findings, self.limits)
        graphs.decode(document, model.graph, "")
        for index, function in enumerate(document.functions):
            where = f"/functions/{index}"
            of_function = opset
            if function.opset is not doc.ABSENT:
                of_function = self._opset(function.opset, f"{where}/opset")
            bodies = GraphDecoder(Kinds(of_function, functions), self.findings, self.limits)
            self._function(function, of_function, bodies, model.functions.add(), where)
        for index, training in enumerate(document.training_info):
            where = f"/training_info/{index}"
            into = model.training_info.add()
            for field in ("initialization", "algorithm"):
                graph = getattr(training, field)
                if graph is not doc.ABSENT:
                    graphs.decode(graph, getattr(into, field), f"{where}/{field}")
            put_strings(into.initialization_binding, training.initialization_binding)
            put_strings(into.update_binding, training.update_binding)
        for configuration in document.configuration:
            put_message(model.configuration.add(), configuration)
        self._info(document, opset, model)
        return model

    def _opset(self, value: Any, path: str) -> dict[str, int]:
        """Domains and versions from the short or the long form."""
        if type(value) is int:
            value = {"": value}
            where = {"": path}
        elif isinstance(value, dict):
            where = {key: path + pointer(key) for key in value}
        else:
            self.findings.kind(path, "an integer, or an object from domain to integer", value)
            return {}
        opset: dict[str, int] = {}
        for domain, version in value.items():
            if not is_text(domain):
                self.findings.kind(path, "a domain name", domain)
            elif type(version) is not int:
                self.findings.kind(where[domain], "an integer", version)
            elif not 0 < version < 2**63:
                self.findings.add(
                    "out-of-range",
                    "An opset version is a positive number.",
                    where[domain],
                    expected="a positive 64-bit integer",
                    found=describe(version),
                )
            else:
                opset[domain] = version
        if "" in opset and "ai.onnx" in opset:
            self.findings.add(
                "duplicate-key", '"" and "ai.onnx" are the same domain.', path, expected="one of them", found="both"
            )
        return opset

    def _function_kinds(self, functions: list[doc.Function], path: str) -> Any:
        """The kinds that the functions' defaults tell, for the nodes that call them."""
        table = []
        for function in functions:
            kinds = {
                name: value["kind"]
                for name, value in cast(dict[str, Any], function.attributes).items()
                if isinstance(value, dict) and str(value.get("kind")) in FIELDS
            }
            table.append((function.domain, function.name, function.overload, kinds))
        return function_kinds(table)

    def _function(
        self,
        function: doc.Function,
        opset: Mapping[str, int],
        bodies: GraphDecoder,
        into: onnx.FunctionProto,
        path: str,
    ) -> None:
        into.name = function.name
        put_text(into, function, "domain", "overload", "doc_string")
        into.input.extend(function.inputs)
        into.output.extend(function.outputs)
        _put_opset(into.opset_import, opset)
        for name, value in function.attributes.items():
            where = f"{path}/attributes{pointer(name)}"
            if value is None:
                into.attribute.append(name)
            elif isinstance(value, dict) and "kind" in value:
                bodies.attributes.decode_explicit(name, value, into.attribute_proto.add(), where, None)
            else:
                self.findings.kind(where, 'null, or a default {"kind": ..., "value": ...}', value)
        bodies.nodes(function.nodes, into.node, f"{path}/nodes")
        bodies.values(function.value_info, into.value_info, f"{path}/value_info")
        put_strings(into.metadata_props, function.metadata_props)

    def _info(self, document: doc.Document, opset: Mapping[str, int], model: onnx.ModelProto) -> None:
        info = document.model
        if info.ir_version is not doc.ABSENT:
            model.ir_version = info.ir_version
        else:
            model.ir_version = max(_IR_VERSION, _minimum_ir_version(opset))
            if document.configuration:
                model.ir_version = max(_IR_VERSION_DEVICES, model.ir_version)
        put_text(model, info, "producer_name", "producer_version", "domain", "doc_string")
        if info.model_version:
            model.model_version = info.model_version
        put_strings(model.metadata_props, info.metadata_props)


class GraphDecoder:
    """Decodes graphs within one scope of operators."""

    def __init__(self, kinds: Kinds, findings: Findings, limits: Limits) -> None:
        self.findings = findings
        self.limits = limits
        self.depth = 0
        self.attributes = AttributeDecoder(kinds, findings, limits, self.decode_value)

    def decode_value(self, value: Any, into: onnx.GraphProto, path: str) -> None:
        """Decode a graph that is still JSON: the value of an attribute."""
        self.depth += 1
        self.limits.check("max_nesting", self.depth, path)
        graph = check(doc.Graph, value, path, self.findings)
        if graph is not None:
            self.decode(graph, into, path)
        self.depth -= 1

    def decode(self, graph: doc.Graph, into: onnx.GraphProto, path: str) -> None:
        """Decode a graph whose structure is checked."""
        into.name = graph.name
        put_text(into, graph, "doc_string")
        self.values(graph.inputs, into.input, f"{path}/inputs")
        for name, tensor in graph.parameters.items():
            proto = into.initializer.add()
            self.attributes.tensor(tensor, proto, path + pointer("parameters", name))
            self._name_once(tensor, name, path + pointer("parameters", name))
            proto.name = name
        for name, sparse in graph.sparse_parameters.items():
            where = path + pointer("sparse_parameters", name)
            proto_sparse = into.sparse_initializer.add()
            self.attributes.sparse(sparse, proto_sparse, where)
            self._name_once(sparse.values, name, f"{where}/values")
            proto_sparse.values.name = name
        self.nodes(graph.nodes, into.node, f"{path}/nodes")
        self._outputs(graph.outputs, into, f"{path}/outputs")
        self.values(graph.value_info, into.value_info, f"{path}/value_info")
        for annotation in graph.quantization_annotation:
            into_annotation = into.quantization_annotation.add()
            into_annotation.tensor_name = annotation.tensor_name
            put_strings(into_annotation.quant_parameter_tensor_names, annotation.quant_parameter_tensor_names)
        put_strings(into.metadata_props, graph.metadata_props)

    def _name_once(self, tensor: doc.Tensor, name: str, path: str) -> None:
        if tensor.name not in {"", name}:
            self.findings.add(
                "name-mismatch",
                "The tensor's name differs from its key.",
                f"{path}/name",
                expected=describe(name),
                found=describe(tensor.name),
                hint='Leave "name" out: the key is the name.',
            )

    def nodes(self, nodes: list[doc.Node], into: Any, path: str) -> None:
        """Decode a list of nodes into a repeated field."""
        for index, node in enumerate(nodes):
            proto = into.add()
            proto.op_type = node.op
            put_text(proto, node, "domain", "name", "overload", "doc_string")
            proto.input.extend(node.inputs)
            proto.output.extend(node.outputs)
            if node.attributes:
                self.attributes.decode_node(node, proto, f"{path}/{index}")
            if node.metadata_props:
                put_strings(proto.metadata_props, node.metadata_props)
            for configuration in node.device_configurations:
                put_message(proto.device_configurations.add(), configuration)

    def values(self, values: Mapping[str, doc.ValueInfo], into: Any, path: str) -> None:
        """Decode named types into a repeated field of ValueInfoProto."""
        for name, info in values.items():
            proto = into.add()
            proto.name = name
            decode_value_info(info, proto, path + pointer(name), self.findings)

    def _outputs(self, outputs: Any, into: onnx.GraphProto, path: str) -> None:
        entries: Iterable[tuple[str, Any]]
        if isinstance(outputs, list):
            entries = ((f"{path}/{index}", entry) for index, entry in enumerate(outputs))
        elif isinstance(outputs, dict):
            wrong = [key for key, info in outputs.items() if not isinstance(info, dict) or "name" in info]
            for key in wrong:
                self.findings.kind(path + pointer(key), "the type of the output", outputs[key])
            entries = (
                (path + pointer(key), {**info, "name": key}) for key, info in outputs.items() if key not in wrong
            )
        else:
            self.findings.kind(path, "a list of names, or an object from name to type", outputs)
            return
        for where, entry in entries:
            if not isinstance(entry, str | dict):
                self.findings.kind(where, 'a name, or an object with "name" and a type', entry)
                continue
            found = check(doc.Output, {"name": entry} if isinstance(entry, str) else entry, where, self.findings)
            if found is None:
                continue
            if not found.name:
                self.findings.add("invalid-name", "The name is empty.", where, expected="a name", found='""')
            proto = into.output.add()
            proto.name = found.name
            decode_value_info(found, proto, where, self.findings)


def put_text(into: Any, source: Any, *fields: str) -> None:
    """Copy the text fields that are not empty: in ONNX an empty one is the same as none."""
    for field in fields:
        value = getattr(source, field)
        if value:
            setattr(into, field, value)


def put_message(into: Any, source: doc.Message) -> None:
    """Copy the fields that were given into the protobuf message of the same fields."""
    for field in source.model_fields_set:
        value = getattr(source, field)
        if not isinstance(value, list):
            setattr(into, field, value)
        elif value and isinstance(value[0], doc.Message):
            for item in value:
                put_message(getattr(into, field).add(), item)
        else:
            getattr(into, field).extend(value)


def _put_opset(into: Any, opset: Mapping[str, int]) -> None:
    for domain, version in opset.items():
        into.add(domain=domain, version=version)


def _minimum_ir_version(opset: Mapping[str, int]) -> int:
    try:
        return onnx.helper.find_min_ir_version_for(
            [onnx.helper.make_opsetid(domain, version) for domain, version in opset.items()], ignore_unknown=True
        )
    except ValueError:
        return _IR_VERSION
