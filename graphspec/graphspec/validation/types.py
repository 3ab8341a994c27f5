"""Reading, comparing and printing ONNX types, which may be incomplete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import onnx
import onnx_ir as ir

from graphspec import dtypes
from graphspec.validation.report import Shape

# Types nest (sequence of optional of ...). Nothing real goes beyond three levels.
_MAX_NESTING = 16


def element_name(number: int) -> str:
    """Name of an element type by its ONNX number."""
    row = dtypes.BY_ONNX.get(number)
    return row.name if row is not None else "unknown" if number == 0 else f"element type {number}"


def shape_of(proto: onnx.TypeProto | None) -> Shape | None:
    """The shape of a tensor type; ``None`` for an unknown rank and for what is not a tensor."""
    if proto is None:
        return None
    kind = proto.WhichOneof("value")
    if kind not in {"tensor_type", "sparse_tensor_type"}:
        return None
    tensor = getattr(proto, kind)
    if not tensor.HasField("shape"):
        return None
    return tuple(
        d.dim_value if d.HasField("dim_value") else d.dim_param or None if d.HasField("dim_param") else None
        for d in tensor.shape.dim
    )


def element_of(proto: onnx.TypeProto | None) -> int:
    """The element type's number of a tensor type; 0 when unknown."""
    return 0 if proto is None else int(proto.tensor_type.elem_type) if proto.HasField("tensor_type") else 0


def tensor_type(element: int, shape: Shape | None) -> onnx.TypeProto:
    """A tensor type from an element type's number and a shape."""
    proto = onnx.TypeProto()
    proto.tensor_type.elem_type = element
    if shape is not None:
        dims = proto.tensor_type.shape.dim
        proto.tensor_type.shape.SetInParent()
        for size in shape:
            dim = dims.add()
            if isinstance(size, int):
                dim.dim_value = size
            elif size is not None:
                dim.dim_param = size
    return proto


def with_shape(proto: onnx.TypeProto, shape: Shape | None) -> onnx.TypeProto:
    """The tensor type with another shape."""
    return tensor_type(proto.tensor_type.elem_type, shape)


def _text(
    proto: onnx.TypeProto, element: Callable[[int], str], tensor: str, sequence: str, sparse: str, depth: int = 0
) -> str:
    def inner(p: onnx.TypeProto) -> str:
        return _text(p, element, tensor, sequence, sparse, depth + 1)

    kind = proto.WhichOneof("value")
    if depth > _MAX_NESTING or kind is None:
        return "unknown"
    if kind == "tensor_type":
        return tensor.format(element(proto.tensor_type.elem_type))
    if kind == "sparse_tensor_type":
        return sparse.format(element(proto.sparse_tensor_type.elem_type))
    if kind == "sequence_type":
        return f"{sequence}({inner(proto.sequence_type.elem_type)})"
    if kind == "optional_type":
        return f"optional({inner(proto.optional_type.elem_type)})"
    if kind == "map_type":
        return f"map({element(proto.map_type.key_type)},{inner(proto.map_type.value_type)})"
    return "opaque"


def dtype_text(proto: onnx.TypeProto | None) -> str:
    """The type without its shape: ``float32``, ``sequence(float32)``."""
    return "unknown" if proto is None else _text(proto, element_name, "{}", "sequence", "sparse({})")


def _schema_element(number: int) -> str:
    row = dtypes.BY_ONNX.get(number)
    return row.onnx.name.lower() if row is not None else "unknown"


def schema_text(proto: onnx.TypeProto | None) -> str | None:
    """The type as ONNX's operator schemas write it, ``tensor(float)``; ``None`` when it is not fully known."""
    if proto is None:
        return None
    text = _text(proto, _schema_element, "tensor({})", "seq", "sparse_tensor({})")
    return None if "unknown" in text else text


_FROM_SCHEMA = {row.onnx.name.lower(): row.name for row in dtypes.DTYPES}


def from_schema_text(text: str) -> str:
    """A type of an operator schema in our words: ``tensor(float)`` → ``float32``."""
    head, _, rest = text.partition("(")
    rest = rest.removesuffix(")")
    if head == "tensor":
        return _FROM_SCHEMA.get(rest, rest)
    if head == "seq":
        return f"sequence({from_schema_text(rest)})"
    if head == "optional":
        return f"optional({from_schema_text(rest)})"
    if head == "map":
        key, _, value = rest.partition(",")
        return f"map({_FROM_SCHEMA.get(key, key)},{from_schema_text(value.strip())})"
    return _FROM_SCHEMA.get(text, text)


def shape_text(shape: Shape | None) -> str:
    """A shape for people: ``[batch, 3, ?]``."""
    return "of unknown rank" if shape is None else "[" + ", ".join("?" if d is None else str(d) for d in shape) + "]"


def describe(proto: onnx.TypeProto | None) -> str:
    """Type and shape for people: ``float32[batch, 3]``."""
    if proto is None:
        return "unknown"
    shape = shape_of(proto)
    return dtype_text(proto) + ("" if shape is None else shape_text(shape))


def contradiction(
    declared: onnx.TypeProto, inferred: onnx.TypeProto, depth: int = 0
) -> Literal["dtype", "shape"] | None:
    """``"dtype"`` or ``"shape"`` when no value can have both types, else ``None``."""
    one, two = declared.WhichOneof("value"), inferred.WhichOneof("value")
    if one is None or two is None or depth > _MAX_NESTING:
        return None
    if one != two:
        return "dtype"
    if one in {"sequence_type", "optional_type"}:
        return contradiction(getattr(declared, one).elem_type, getattr(inferred, one).elem_type, depth + 1)
    if one == "map_type":
        if declared.map_type.key_type != inferred.map_type.key_type:
            return "dtype"
        return contradiction(declared.map_type.value_type, inferred.map_type.value_type, depth + 1)
    if one in {"tensor_type", "sparse_tensor_type"}:
        elements = {getattr(declared, one).elem_type, getattr(inferred, one).elem_type}
        if len(elements - {0}) > 1:
            return "dtype"
        first, second = shape_of(declared), shape_of(inferred)
        if first is None or second is None:
            return None
        if len(first) != len(second):
            return "shape"
        for a, b in zip(first, second, strict=True):
            if isinstance(a, int) and isinstance(b, int) and a != b:
                return "shape"
    return None


def merge(declared: onnx.TypeProto | None, inferred: onnx.TypeProto | None) -> onnx.TypeProto | None:
    """What both together say, of two types that do not contradict each other; sizes win over symbols over nothing."""
    if declared is None or declared.WhichOneof("value") is None:
        return inferred
    if inferred is None or inferred.WhichOneof("value") is None:
        return declared
    if not declared.HasField("tensor_type") or not inferred.HasField("tensor_type"):
        return inferred
    element = inferred.tensor_type.elem_type or declared.tensor_type.elem_type
    first, second = shape_of(inferred), shape_of(declared)
    if first is None or second is None:
        return tensor_type(element, second if first is None else first)
    return tensor_type(element, tuple(_merge_size(a, b) for a, b in zip(first, second, strict=True)))


def _merge_size(inferred: int | str | None, declared: int | str | None) -> int | str | None:
    if isinstance(inferred, int) or declared is None:
        return inferred
    return declared if isinstance(declared, int) or inferred is None else inferred


def known(proto: onnx.TypeProto | None) -> bool:
    """Whether at least the kind and the element type are known."""
    return schema_text(proto) is not None


def ranked(proto: onnx.TypeProto) -> bool:
    """Whether the number of dimensions is known, where there is one."""
    kind = proto.WhichOneof("value")
    return kind is not None and (kind not in {"tensor_type", "sparse_tensor_type"} or shape_of(proto) is not None)


def element_type(name: str) -> int:
    """The ONNX number of one of our dtype names."""
    return int(dtypes.BY_NAME[name].onnx)


FLOAT = int(ir.DataType.FLOAT)
INT32 = int(ir.DataType.INT32)
INT64 = int(ir.DataType.INT64)
BOOL = int(ir.DataType.BOOL)
