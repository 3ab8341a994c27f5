"""Tensors and types as such: element types, sizes, and whether the data is as long as they say."""

from __future__ import annotations

import math

import onnx

from graphspec import dtypes
from graphspec.validation.report import Findings

_MAX_NESTING = 16

# Which typed field holds an element type when the data is not raw, and how many entries of it an element takes.
_FIELDS: dict[str, tuple[str, float]] = {
    "float32": ("float_data", 1),
    "complex64": ("float_data", 2),
    "float64": ("double_data", 1),
    "complex128": ("double_data", 2),
    "int64": ("int64_data", 1),
    "uint32": ("uint64_data", 1),
    "uint64": ("uint64_data", 1),
    "string": ("string_data", 1),
    "int4": ("int32_data", 1 / 2),
    "uint4": ("int32_data", 1 / 2),
    "float4e2m1": ("int32_data", 1 / 2),
    "int2": ("int32_data", 1 / 4),
    "uint2": ("int32_data", 1 / 4),
}


def check_tensor(findings: Findings, tensor: onnx.TensorProto, path: str, node: str | None = None) -> bool:
    """Check one tensor.

    Returns:
        Whether it is sound.
    """
    before = findings.errors
    what = f"The tensor {tensor.name!r}" if tensor.name else "The tensor"
    if tensor.data_location == onnx.TensorProto.EXTERNAL or len(tensor.external_data):
        findings.add(
            "external-data",
            path,
            f"{what} keeps its data in another file.",
            node=node,
            expected="the data inside the model",
            found="external data",
            hint="Save the model with its data in one file.",
        )
        return False
    row = dtypes.BY_ONNX.get(tensor.data_type)
    if row is None:
        findings.add(
            "invalid-dtype",
            path,
            f"{what} has no element type that ONNX knows.",
            node=node,
            expected="an element type of ONNX",
            found=str(tensor.data_type),
        )
    negative = [size for size in tensor.dims if size < 0]
    if negative:
        findings.add(
            "negative-dimension",
            path,
            f"{what} has a dimension below zero.",
            node=node,
            expected="dimensions of 0 and more",
            found=str(list(tensor.dims)),
        )
    if row is not None and not negative:
        _check_length(findings, tensor, row, what, path, node)
    return findings.errors == before


def _check_length(
    findings: Findings, tensor: onnx.TensorProto, row: dtypes.DType, what: str, path: str, node: str | None
) -> None:
    count = math.prod(tensor.dims)
    field, each = _FIELDS.get(row.name, ("int32_data", 1))
    raw = tensor.HasField("raw_data")
    filled = [
        name
        for name in ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
        if len(getattr(tensor, name))
    ]
    shape = f"{row.name}{list(tensor.dims)}"
    if raw and row.bits == 0:
        expected, found = "string_data", "raw_data"
    elif raw and not filled:
        # Types below 8 bits are packed.
        expected = f"{-(-count * row.bits // 8)} bytes for {shape}"
        found = f"{len(tensor.raw_data)} bytes"
        if -(-count * row.bits // 8) == len(tensor.raw_data):
            return
    else:
        expected = f"{math.ceil(count * each)} entries of {field} for {shape}"
        found = " and ".join(
            (["raw_data"] if raw else []) + [f"{len(getattr(tensor, name))} entries of {name}" for name in filled]
        )
        if not raw and set(filled) <= {field} and len(getattr(tensor, field)) == math.ceil(count * each):
            return
    findings.add(
        "raw-data-length" if raw and not filled and row.bits else "data-length",
        path,
        f"{what} holds data that does not fit its type and shape.",
        node=node,
        expected=expected,
        found=found or "no data",
    )


def check_sparse(findings: Findings, tensor: onnx.SparseTensorProto, path: str, node: str | None = None) -> None:
    """Check one sparse tensor: its parts, and that each value has a place."""
    sound = check_tensor(findings, tensor.values, path, node)
    sound = check_tensor(findings, tensor.indices, f"{path}/indices", node) and sound
    if any(size < 0 for size in tensor.dims):
        findings.add(
            "negative-dimension",
            path,
            "The sparse tensor has a dimension below zero.",
            node=node,
            expected="dimensions of 0 and more",
            found=str(list(tensor.dims)),
        )
    elif sound and list(tensor.indices.dims[:1]) != list(tensor.values.dims):
        findings.add(
            "data-length",
            path,
            "The sparse tensor has not as many indices as values.",
            node=node,
            expected=f"indices for values of shape {list(tensor.values.dims)}",
            found=f"indices of shape {list(tensor.indices.dims)}",
        )


def check_attribute(findings: Findings, attribute: onnx.AttributeProto, path: str, node: str) -> None:
    """Check the tensors and types that an attribute holds."""
    if attribute.HasField("t"):
        check_tensor(findings, attribute.t, path, node)
    for number, tensor in enumerate(attribute.tensors):
        check_tensor(findings, tensor, f"{path}/{number}", node)
    if attribute.HasField("sparse_tensor"):
        check_sparse(findings, attribute.sparse_tensor, path, node)
    for number, sparse in enumerate(attribute.sparse_tensors):
        check_sparse(findings, sparse, f"{path}/{number}", node)
    if attribute.HasField("tp"):
        check_type(findings, attribute.tp, path, node)
    for number, type_ in enumerate(attribute.type_protos):
        check_type(findings, type_, f"{path}/{number}", node)


def check_type(findings: Findings, proto: onnx.TypeProto, path: str, node: str | None = None, depth: int = 0) -> bool:
    """Check a declared type: element types that exist, dimensions that are not negative.

    Returns:
        Whether it is sound.
    """
    before = findings.errors
    kind = proto.WhichOneof("value")
    if depth > _MAX_NESTING:
        findings.add("too-deep", path, "The type is nested too deeply.", node=node)
    elif kind is None or (kind == "map_type" and proto.map_type.key_type not in dtypes.BY_ONNX):
        findings.add(
            "invalid-dtype",
            path,
            "The declared type does not say what its elements are.",
            node=node,
            expected="a type of ONNX",
            found="nothing" if kind is None else f"keys of element type {proto.map_type.key_type}",
        )
    elif kind in {"tensor_type", "sparse_tensor_type"}:
        tensor = getattr(proto, kind)
        if tensor.elem_type not in dtypes.BY_ONNX:
            findings.add(
                "invalid-dtype",
                path,
                "The declared type has no element type that ONNX knows.",
                node=node,
                expected="an element type of ONNX",
                found=str(tensor.elem_type),
            )
        if any(d.HasField("dim_value") and d.dim_value < 0 for d in tensor.shape.dim):
            findings.add(
                "negative-dimension",
                path,
                "The declared shape has a dimension below zero.",
                node=node,
                expected="sizes of 0 and more, or names of symbolic dimensions",
                found=str([d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in tensor.shape.dim]),
                hint="A size that is not known yet is a name (a symbolic dimension), not -1.",
            )
    elif kind in {"sequence_type", "optional_type"}:
        check_type(findings, getattr(proto, kind).elem_type, path, node, depth + 1)
    elif kind == "map_type":
        check_type(findings, proto.map_type.value_type, path, node, depth + 1)
    return findings.errors == before
