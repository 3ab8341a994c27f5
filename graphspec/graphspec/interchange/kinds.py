"""Which kind an attribute is: told by the operator's schema, so that documents need not say it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import onnx
import onnx.defs

#: Attribute kinds by name, as in ONNX but in lower case.
KINDS: dict[str, int] = {name.lower(): number for name, number in onnx.AttributeProto.AttributeType.items()}
KIND_NAMES: dict[int, str] = {number: name for name, number in KINDS.items()}

#: The field of AttributeProto that holds the value of each kind.
FIELDS: dict[str, str] = {
    "float": "f",
    "int": "i",
    "string": "s",
    "tensor": "t",
    "graph": "g",
    "sparse_tensor": "sparse_tensor",
    "type_proto": "tp",
    "floats": "floats",
    "ints": "ints",
    "strings": "strings",
    "tensors": "tensors",
    "graphs": "graphs",
    "sparse_tensors": "sparse_tensors",
    "type_protos": "type_protos",
}

#: Functions of the model itself: (domain, name, overload) to the kinds of those attributes that have a default.
FunctionKinds: TypeAlias = Mapping[tuple[str, str, str], Mapping[str, str]]


def standard(domain: str) -> str:
    """The domain with the two names of ONNX's own made one."""
    return "" if domain == "ai.onnx" else domain


@functools.lru_cache(maxsize=4096)
def schema_kinds(domain: str, op_type: str, version: int | None) -> Mapping[str, str] | None:
    """Attribute names and kinds of an operator that ONNX knows.

    Args:
        domain: The operator's domain; ``""`` is ONNX's own.
        op_type: The operator.
        version: The opset in force. Where the operator is not in that opset the newest schema answers: that the
            operator is too new is for validation to say.

    Returns:
        Kind by attribute name, or ``None`` if ONNX has no such operator.
    """
    newest = _lookup(domain, op_type, None)
    if newest is None:
        return None
    return {**newest, **(_lookup(domain, op_type, version) or {})}


def _lookup(domain: str, op_type: str, version: int | None) -> dict[str, str] | None:
    try:
        if version is None:
            schema = onnx.defs.get_schema(op_type, domain=domain)
        else:
            schema = onnx.defs.get_schema(op_type, max(0, min(version, 2**31 - 1)), domain)
    except onnx.defs.SchemaError:
        return None
    return {name: str(attribute.type).rsplit(".", 1)[-1].lower() for name, attribute in schema.attributes.items()}


@functools.cache
def operator_names(domain: str) -> tuple[str, ...]:
    """All operators that ONNX knows in a domain, of any version."""
    return tuple(sorted({schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == domain}))


class Kinds:
    """Attribute kinds in one scope: the opset imports in force and the functions of the model."""

    def __init__(self, opset: Mapping[str, int], functions: FunctionKinds) -> None:
        self._opset = {standard(domain): version for domain, version in opset.items()}
        self.functions = functions

    def of(self, domain: str, op_type: str, overload: str) -> Mapping[str, str] | None:
        """Kind by attribute name, or ``None`` where nothing is known of the operator."""
        domain = standard(domain)
        function = self.functions.get((domain, op_type, overload))
        if function is not None:
            return function
        return schema_kinds(domain, op_type, self._opset.get(domain))


def function_kinds(functions: Iterable[tuple[str, str, str, Mapping[str, str]]]) -> FunctionKinds:
    """The table of a model's functions from (domain, name, overload, kinds of the attributes with defaults)."""
    return {(standard(domain), name, overload): kinds for domain, name, overload, kinds in functions}
