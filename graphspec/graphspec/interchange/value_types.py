"""Types and shapes of values: from the document's models to protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx

from graphspec import dtypes
from graphspec.interchange import document as doc
from graphspec.interchange.findings import Findings, did_you_mean, is_text
from graphspec.interchange.structure import check

_FORMS = ("dtype", "sequence", "optional", "map", "sparse_tensor", "opaque")


def put_strings(into: Any, pairs: Mapping[str, str]) -> None:
    """Fill a repeated field of key and value."""
    for key, value in pairs.items():
        into.add(key=key, value=value)


def decode_value_info(info: doc.ValueInfo, into: onnx.ValueInfoProto, path: str, findings: Findings) -> None:
    """Fill in the type of a named value and what is written about it."""
    if info.model_fields_set & {*_FORMS, "shape", "denotation"}:
        decode_type(info, into.type, path, findings)
    if info.doc_string:
        into.doc_string = info.doc_string
    put_strings(into.metadata_props, info.metadata_props)


def decode_type(type_: doc.Type, into: onnx.TypeProto, path: str, findings: Findings) -> None:
    """Fill in a type; exactly one of its forms may be given."""
    given = [form for form in _FORMS if form in type_.model_fields_set]
    if len(given) > 1:
        findings.add(
            "ambiguous",
            "A value has one type.",
            path,
            expected=f"one of {', '.join(_FORMS)}",
            found=" and ".join(given),
        )
        return
    if type_.denotation:
        into.denotation = type_.denotation
    if "shape" in type_.model_fields_set and given != ["dtype"]:
        findings.add(
            "missing-field",
            "A shape needs the dtype of its elements.",
            path,
            expected='"dtype" beside "shape"',
            found=f'"{given[0]}"' if given else 'no "dtype"',
        )
        return
    match given:
        case ["dtype"]:
            decode_tensor_type(type_.dtype, type_, into.tensor_type, path, findings)
        case ["sparse_tensor"]:
            sparse = type_.sparse_tensor
            decode_tensor_type(sparse.dtype, sparse, into.sparse_tensor_type, f"{path}/sparse_tensor", findings)
        case ["sequence"]:
            into.sequence_type.elem_type.SetInParent()
            decode_type(type_.sequence, into.sequence_type.elem_type, f"{path}/sequence", findings)
        case ["optional"]:
            into.optional_type.elem_type.SetInParent()
            decode_type(type_.optional, into.optional_type.elem_type, f"{path}/optional", findings)
        case ["map"]:
            into.map_type.key_type = decode_dtype(type_.map.key, f"{path}/map/key", findings)
            into.map_type.value_type.SetInParent()
            decode_type(type_.map.value, into.map_type.value_type, f"{path}/map/value", findings)
        case ["opaque"]:
            into.opaque_type.SetInParent()
            if type_.opaque.domain:
                into.opaque_type.domain = type_.opaque.domain
            if type_.opaque.name:
                into.opaque_type.name = type_.opaque.name


def decode_dtype(name: str, path: str, findings: Findings, *, undefined: bool = True) -> int:
    """The number of a dtype in ONNX, or 0 and a problem."""
    row = dtypes.BY_NAME.get(name)
    if row is not None:
        return int(row.onnx)
    if not (undefined and name == doc.UNDEFINED):
        findings.add(
            "invalid-dtype",
            f"There is no dtype {name[:60]!r}.",
            path,
            expected=", ".join(doc.DTYPE_NAMES),
            found=repr(name[:60]),
            hint=_dtype_hint(name),
        )
    return 0


def _dtype_hint(name: str) -> str | None:
    """ONNX's and C's names for the common types, and the nearest of ours."""
    aliases = {"float": "float32", "double": "float64", "half": "float16", "int": "int64", "str": "string"}
    meant = aliases.get(name.lower())
    return f'Did you mean "{meant}"?' if meant else did_you_mean(name, doc.DTYPE_NAMES)


def decode_tensor_type(name: str, source: doc.Type | doc.TensorType, into: Any, path: str, findings: Findings) -> None:
    """Fill in element type and shape of a (sparse) tensor type."""
    into.elem_type = decode_dtype(name, f"{path}/dtype", findings)
    if "shape" not in source.model_fields_set:
        return
    if type(source.shape) is not list:
        findings.kind(f"{path}/shape", "a list of dimensions", source.shape)
        return
    into.shape.SetInParent()
    for index, dimension in enumerate(source.shape):
        _decode_dimension(dimension, into.shape.dim.add(), f"{path}/shape/{index}", findings)


def _decode_dimension(
    value: Any, into: onnx.TensorShapeProto.Dimension, path: str, findings: Findings, *, sized: bool = True
) -> None:
    if type(value) is dict and sized:
        found = check(doc.SizedDimension, value, path, findings)
        if found is not None:
            if found.denotation:
                into.denotation = found.denotation
            _decode_dimension(found.size, into, f"{path}/size", findings, sized=False)
    elif type(value) is int and -(2**63) <= value < 2**63:
        into.dim_value = value
    elif is_text(value):
        into.dim_param = value
    elif value is not None:
        findings.kind(path, "an integer, a symbol or null", value)
