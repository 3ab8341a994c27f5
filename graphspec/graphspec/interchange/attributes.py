"""Attributes of nodes: their kinds from the operator's schema, or written out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import onnx

from graphspec import dtypes
from graphspec.interchange import document as doc
from graphspec.interchange.findings import Findings, describe, did_you_mean, pointer, shorten
from graphspec.interchange.kinds import FIELDS, KINDS, Kinds, operator_names, standard
from graphspec.interchange.limits import Limits
from graphspec.interchange.structure import check
from graphspec.interchange.tensors import byte_length, decode_base64, decode_data, decode_float, decode_string
from graphspec.interchange.value_types import decode_dtype, decode_type, put_strings

DecodeGraph = Callable[[Any, onnx.GraphProto, str], None]


class AttributeDecoder:
    """Decodes attributes, and the tensors and types in them, within one scope of operators.

    Args:
        kinds: Tells the kinds of attributes.
        findings: Takes the problems.
        limits: What is accepted.
        graph: Decodes the subgraph of an attribute.
    """

    def __init__(self, kinds: Kinds, findings: Findings, limits: Limits, graph: DecodeGraph) -> None:
        self.kinds = kinds
        self.findings = findings
        self.limits = limits
        self.graph = graph

    def decode_node(self, node: doc.Node, into: onnx.NodeProto, path: str) -> None:
        """Decode the attributes of a node."""
        known = self.kinds.of(node.domain, node.op, node.overload)
        blamed = False
        for name, value in cast(dict[str, Any], node.attributes).items():
            where = f"{path}/attributes{pointer(name)}"
            kind = known.get(name) if known is not None else None
            if type(value) is dict and ("kind" in value or "ref" in value):
                self.decode_explicit(name, value, into.attribute.add(), where, kind)
            elif kind is not None:
                attribute = into.attribute.add()
                attribute.name = name
                attribute.type = KINDS[kind]
                self._value(kind, value, attribute, where)
            elif not blamed:
                blamed = self._unknown(node, name, value, known, path, where)

    def _unknown(
        self, node: doc.Node, name: str, value: Any, known: Mapping[str, str] | None, path: str, where: str
    ) -> bool:
        """Say why the kind of a plain value cannot be told; true if the operator is to blame."""
        domain = standard(node.domain)
        label = node.name or None
        if known is None and operator_names(domain):
            self.findings.add(
                "unknown-operator",
                f"ONNX has no operator {shorten(node.op)!r} in the domain {domain or 'ai.onnx'!r}.",
                f"{path}/op",
                node=label,
                expected="an operator of ONNX",
                found=shorten(node.op),
                hint=did_you_mean(node.op, operator_names(domain)),
            )
            return True
        if known is not None and (domain, node.op, node.overload) not in self.kinds.functions:
            self.findings.add(
                "unknown-attribute",
                f"{node.op} has no attribute {shorten(name)!r}.",
                where,
                node=label,
                expected=f"one of {', '.join(sorted(known))}" if known else "no attributes",
                found=shorten(name),
                hint=did_you_mean(name, known),
            )
            return False
        self.findings.add(
            "ambiguous",
            "The kind of the attribute cannot be told: no schema says it.",
            where,
            node=label,
            expected='{"kind": ..., "value": ...}',
            found=describe(value),
            hint=f'Write the kind out: {{"kind": "{_guess(value)}", "value": ...}}.',
        )
        return False

    def decode_explicit(
        self, name: str, value: dict[str, Any], into: onnx.AttributeProto, path: str, known: str | None
    ) -> None:
        """Decode ``{"kind", "value"}`` or ``{"ref"}``."""
        into.name = name
        if "ref" in value:
            reference = check(doc.Reference, value, path, self.findings)
            if reference is None:
                return
            kind = reference.kind if reference.kind is not doc.ABSENT else known
            if kind is None:
                self.findings.add(
                    "ambiguous",
                    "The kind of the attribute cannot be told: no schema says it.",
                    path,
                    expected='"kind" beside "ref"',
                    found=describe(value),
                )
                return
            into.type = KINDS[kind]  # type: ignore[assignment]
            into.ref_attr_name = reference.ref
            if reference.doc_string:
                into.doc_string = reference.doc_string
            return
        attribute = check(doc.Attribute, value, path, self.findings)
        if attribute is None:
            return
        into.type = KINDS[attribute.kind]  # type: ignore[assignment]
        if attribute.doc_string:
            into.doc_string = attribute.doc_string
        given = "value" in attribute.model_fields_set
        if given and attribute.kind != doc.UNDEFINED:
            self._value(attribute.kind, attribute.value, into, f"{path}/value")
        elif given or attribute.kind != doc.UNDEFINED:
            expected = '"value"' if not given else 'no "value": the kind is undefined'
            self.findings.add(
                "missing-field" if not given else "unknown-field",
                "A kind and a value belong together.",
                path,
                expected=expected,
                found=describe(value),
            )

    def _value(self, kind: str, value: Any, into: onnx.AttributeProto, path: str) -> None:
        """Decode a value whose kind is known."""
        field = FIELDS[kind]
        if not kind.endswith("s"):
            self._single(kind, value, lambda: getattr(into, field), lambda item: setattr(into, field, item), path)
            return
        if type(value) is not list:
            self.findings.kind(path, f"a list of {kind}", value)
            return
        repeated = getattr(into, field)
        for index, item in enumerate(value):
            self._single(kind[:-1], item, repeated_add(repeated), repeated.append, f"{path}/{index}")

    def _single(
        self, kind: str, value: Any, message: Callable[[], Any], assign: Callable[[Any], None], path: str
    ) -> None:
        """Decode one value: scalars through ``assign``, messages into what ``message`` makes."""
        match kind:
            case "int":
                if type(value) is not int:
                    hint = "Write 1 for true and 0 for false." if type(value) is bool else None
                    self.findings.kind(path, "an integer", value, hint=hint)
                elif not -(2**63) <= value < 2**63:
                    self.findings.add(
                        "out-of-range",
                        "The number is out of range.",
                        path,
                        expected="a 64-bit integer",
                        found=describe(value),
                    )
                else:
                    assign(value)
            case "float":
                number = decode_float(value, path, self.findings)
                if number is not None:
                    assign(number)
            case "string":
                data = decode_string(value, path, self.findings)
                if data is not None:
                    assign(data)
            case "tensor":
                tensor = check(doc.Tensor, value, path, self.findings)
                if tensor is not None:
                    self.tensor(tensor, message(), path)
            case "sparse_tensor":
                sparse = check(doc.SparseTensor, value, path, self.findings)
                if sparse is not None:
                    self.sparse(sparse, message(), path)
            case "graph":
                self.graph(value, message(), path)
            case _:
                type_ = check(doc.Type, value, path, self.findings)
                if type_ is not None:
                    into = message()
                    into.SetInParent()
                    decode_type(type_, into, path, self.findings)

    def sparse(self, sparse: doc.SparseTensor, into: onnx.SparseTensorProto, path: str) -> None:
        """Decode a sparse tensor."""
        into.dims.extend(sparse.shape)
        self.tensor(sparse.values, into.values, f"{path}/values")
        self.tensor(sparse.indices, into.indices, f"{path}/indices")

    def tensor(self, tensor: doc.Tensor, into: onnx.TensorProto, path: str) -> None:
        """Decode a tensor into ``raw_data``, or ``string_data`` for strings."""
        number = decode_dtype(tensor.dtype, f"{path}/dtype", self.findings, undefined=False)
        given = [form for form in ("data", "base64") if form in tensor.model_fields_set]
        if len(given) != 1:
            self.findings.add(
                "ambiguous" if given else "missing-field",
                "A tensor has its elements once.",
                path,
                expected='either "data" or "base64"',
                found="both" if given else "neither",
            )
            return
        if not number:
            return
        row = dtypes.BY_ONNX[number]
        shape = tensor.shape if "shape" in tensor.model_fields_set else None
        found = (
            self._base64(row, shape, tensor.base64, path)
            if given == ["base64"]
            else decode_data(row, shape, tensor.data, f"{path}/data", self.findings)
        )
        into.data_type = number
        if found is None:
            return
        into.dims.extend(found[0])
        if isinstance(found[1], bytes):
            into.raw_data = found[1]
        else:
            into.string_data.extend(found[1])
        if tensor.name:
            into.name = tensor.name
        if tensor.doc_string:
            into.doc_string = tensor.doc_string
        put_strings(into.metadata_props, tensor.metadata_props)

    def _base64(
        self, row: dtypes.DType, shape: list[int] | None, text: str, path: str
    ) -> tuple[list[int], bytes] | None:
        if shape is None:
            self.findings.add(
                "missing-field", "base64 does not show the shape.", path, expected='"shape"', found='no "shape"'
            )
            return None
        if row.name == "string":
            self.findings.kind(f"{path}/base64", 'strings as "data"', text)
            return None
        raw = decode_base64(text, f"{path}/base64", self.findings)
        if raw is None:
            return None
        length = byte_length(row, shape)
        if len(raw) != length:
            self.findings.add(
                "raw-data-length",
                "The base64 holds another number of bytes than dtype and shape need.",
                f"{path}/base64",
                expected=f"{length} bytes for {math.prod(shape)} elements of {row.name}",
                found=f"{len(raw)} bytes",
            )
            return None
        return shape, raw


def repeated_add(repeated: Any) -> Callable[[], Any]:
    """What makes the next message of a repeated field."""
    return lambda: repeated.add()


def _guess(value: Any) -> str:
    """The kind that a plain value most likely is, for hints only."""
    if type(value) is list:
        return (_guess(value[0]) if value else "int") + "s"
    if type(value) is dict:
        return "graph" if "nodes" in value else "tensor" if "data" in value or "base64" in value else "type_proto"
    return {float: "float", str: "string"}.get(type(value), "int")
