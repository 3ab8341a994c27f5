"""ONNX's operator schemas in a form that is cheap to ask often."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple

import onnx

# Kind of an attribute → the field of AttributeProto that holds it.
FIELDS: Mapping[int, str] = {
    onnx.AttributeProto.FLOAT: "f",
    onnx.AttributeProto.INT: "i",
    onnx.AttributeProto.STRING: "s",
    onnx.AttributeProto.TENSOR: "t",
    onnx.AttributeProto.GRAPH: "g",
    onnx.AttributeProto.SPARSE_TENSOR: "sparse_tensor",
    onnx.AttributeProto.TYPE_PROTO: "tp",
    onnx.AttributeProto.FLOATS: "floats",
    onnx.AttributeProto.INTS: "ints",
    onnx.AttributeProto.STRINGS: "strings",
    onnx.AttributeProto.TENSORS: "tensors",
    onnx.AttributeProto.GRAPHS: "graphs",
    onnx.AttributeProto.SPARSE_TENSORS: "sparse_tensors",
    onnx.AttributeProto.TYPE_PROTOS: "type_protos",
}


KINDS_BY_NAME: Mapping[str, int] = dict(onnx.AttributeProto.AttributeType.items())

# The kinds that are lists: the only ones that may be empty.
LISTS = frozenset(kind for kind, field in FIELDS.items() if field.endswith("s") and field != "s")


class Formal(NamedTuple):
    """One formal input or output of an operator."""

    name: str
    required: bool
    variadic: bool
    homogeneous: bool
    types: frozenset[str]
    variable: str


class Attribute(NamedTuple):
    """One attribute of an operator: its kind (a number of AttributeProto) and whether it must be given."""

    kind: int
    required: bool


class Operator(NamedTuple):
    """An operator at one version."""

    schema: onnx.defs.OpSchema
    inputs: tuple[Formal, ...]
    outputs: tuple[Formal, ...]
    input_count: tuple[int, int]
    output_count: tuple[int, int]
    attributes: Mapping[str, Attribute]

    def formal_input(self, index: int) -> Formal:
        """The formal input that the input at a position belongs to."""
        return self.inputs[min(index, len(self.inputs) - 1)]

    def formal_output(self, index: int) -> Formal:
        """The formal output that the output at a position belongs to."""
        return self.outputs[min(index, len(self.outputs) - 1)]


def domain_of(domain: str) -> str:
    """The domain under one name: ``ai.onnx`` is the empty one."""
    return "" if domain == "ai.onnx" else domain


@functools.lru_cache(maxsize=4096)
def operator(domain: str, op_type: str, version: int) -> Operator | None:
    """The operator as an opset version has it; ``None`` if it does not, or no longer."""
    if not onnx.defs.has(op_type, version, domain):
        return None
    schema = onnx.defs.get_schema(op_type, version, domain)
    if schema.deprecated:
        return None
    return Operator(
        schema,
        tuple(_formal(f) for f in schema.inputs),
        tuple(_formal(f) for f in schema.outputs),
        (schema.min_input, schema.max_input),
        (schema.min_output, schema.max_output),
        {name: Attribute(_kind(a), a.required) for name, a in schema.attributes.items()},
    )


def _kind(attribute: onnx.defs.OpSchema.Attribute) -> int:
    return KINDS_BY_NAME[str(attribute.type).rpartition(".")[2]]


def _formal(formal: onnx.defs.OpSchema.FormalParameter) -> Formal:
    option = onnx.defs.OpSchema.FormalParameterOption
    variadic = formal.option == option.Variadic
    required = formal.option == option.Single or (variadic and formal.min_arity > 0)
    return Formal(formal.name, required, variadic, formal.is_homogeneous, frozenset(formal.types), formal.type_str)


@functools.lru_cache(maxsize=1)
def history() -> Mapping[str, Mapping[str, tuple[tuple[int, bool], ...]]]:
    """Domain → operator → its versions in order, each with whether it is the end (deprecated)."""
    found: dict[str, dict[str, list[tuple[int, bool]]]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        versions = found.setdefault(schema.domain, {}).setdefault(schema.name, [])
        versions.append((schema.since_version, schema.deprecated))
    return {
        domain: {name: tuple(sorted(versions)) for name, versions in operators.items()}
        for domain, operators in found.items()
    }


@functools.lru_cache(maxsize=1)
def latest() -> Mapping[str, int]:
    """Domain → the newest opset version that the ONNX library has."""
    newest = {
        domain: max(version for versions in operators.values() for version, _ in versions)
        for domain, operators in history().items()
    }
    newest[""] = onnx.defs.onnx_opset_version()
    return newest


def lifetime(domain: str, op_type: str) -> str:
    """In which opsets an operator exists, for people: ``since opset 7, until opset 9``."""
    versions = history()[domain][op_type]
    text = f"since opset {versions[0][0]}"
    ends = [version for version, is_end in versions if is_end]
    return text + (f", until opset {ends[0] - 1}" if ends else "")
