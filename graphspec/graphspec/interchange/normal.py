"""The normal form of a model: what two models must share to be the same.

Only what ONNX leaves free is made uniform: in which field a tensor's numbers are stored, whether a default is written,
and the order of what is looked up by name (attributes, opset imports, metadata, initializers, value_info, functions).
Two things are dropped because they repeat the rest: value_info of an initializer that says what the tensor says, and
unnamed outputs at the end of a node. Everything else counts, doc strings and the order of nodes included.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from typing import Any

import onnx
from google.protobuf.message import Message

from graphspec.interchange.tensors import raw_bytes

_Key = Callable[[Any], Any]

#: Lists whose order means nothing, and what they are looked up by.
_TABLES: dict[tuple[str, str], _Key] = {
    ("ModelProto", "opset_import"): lambda item: item.domain,
    ("ModelProto", "functions"): lambda item: (item.domain, item.name, item.overload),
    ("FunctionProto", "opset_import"): lambda item: item.domain,
    ("FunctionProto", "attribute_proto"): lambda item: item.name,
    ("FunctionProto", "value_info"): lambda item: item.name,
    ("NodeProto", "attribute"): lambda item: item.name,
    ("GraphProto", "initializer"): lambda item: item.name,
    ("GraphProto", "sparse_initializer"): lambda item: item.values.name,
    ("GraphProto", "value_info"): lambda item: item.name,
    ("GraphProto", "quantization_annotation"): lambda item: item.tensor_name,
}
#: Fields whose presence says something even when the value is the default.
_PRESENCE_COUNTS = {
    ("Dimension", "dim_value"),
    ("Dimension", "dim_param"),
    ("SimpleShardedDimProto", "dim_value"),
    ("SimpleShardedDimProto", "dim_param"),
    ("Tensor", "shape"),
    ("SparseTensor", "shape"),
    ("Opaque", "domain"),
    ("NodeDeviceConfigurationProto", "pipeline_stage"),
    ("TrainingInfoProto", "initialization"),
    ("TrainingInfoProto", "algorithm"),
}
_DATA_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")


def normalize(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model in normal form."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.DiscardUnknownFields()
    _normalize(copy)
    return copy


def digest_of(model: onnx.ModelProto) -> str:
    """SHA-256, in hex, of the normal form."""
    return hashlib.sha256(normalize(model).SerializeToString(deterministic=True)).hexdigest()


def same(one: onnx.ModelProto, other: onnx.ModelProto) -> bool:
    """Whether two models have the same normal form."""
    return digest_of(one) == digest_of(other)


def differences(one: onnx.ModelProto, other: onnx.ModelProto, most: int = 10) -> list[str]:
    """Where two models differ in normal form, as ``path: this | that``."""
    found: list[str] = []
    _compare(normalize(one), normalize(other), "", found, most)
    return found


def _normalize(message: Message) -> None:
    name = message.DESCRIPTOR.name
    if isinstance(message, onnx.TensorProto):
        _store_raw(message)
    for field, value in message.ListFields():
        if field.is_repeated:
            if field.message_type is not None:
                for item in value:
                    _normalize(item)
                key = _TABLES.get((name, field.name))
                if field.message_type.name == "StringStringEntryProto":
                    key = lambda item: item.key  # noqa: E731 - one table entry for many fields
                if key is not None:
                    _sort(value, key)
        elif field.message_type is not None:
            _normalize(value)
            if not value.ListFields() and field.containing_oneof is None and (name, field.name) not in _PRESENCE_COUNTS:
                message.ClearField(field.name)
        elif value == field.default_value and (name, field.name) not in _PRESENCE_COUNTS and not _negative_zero(value):
            message.ClearField(field.name)
    if isinstance(message, onnx.NodeProto):
        while message.output and not message.output[-1]:
            message.output.pop()
    elif isinstance(message, onnx.GraphProto):
        drop_repeated_value_info(message)
    elif isinstance(message, onnx.TensorProto) and not message.raw_data:
        message.ClearField("raw_data")


def _negative_zero(value: Any) -> bool:
    return isinstance(value, float) and str(value) == "-0.0"


def _store_raw(tensor: onnx.TensorProto) -> None:
    """Move the numbers of a typed field to ``raw_data``."""
    if tensor.data_type != onnx.TensorProto.STRING and not tensor.HasField("raw_data"):
        raw = raw_bytes(tensor)
        for field in _DATA_FIELDS:
            tensor.ClearField(field)
        tensor.raw_data = raw


def without_repeats(entries: Sequence[Any]) -> Sequence[Any]:
    """The entries of a table without those that are there a second time, word for word."""
    if len(entries) < 2:
        return entries
    distinct = {entry.SerializeToString(deterministic=True): entry for entry in entries}
    return entries if len(distinct) == len(entries) else list(distinct.values())


def _sort(repeated: Any, key: _Key) -> None:
    distinct = without_repeats(repeated)
    if distinct is not repeated:
        copies = [type(item).FromString(item.SerializeToString()) for item in distinct]
        del repeated[:]
        repeated.extend(copies)
    keys = [key(item) for item in repeated]
    if any(keys[i] > keys[i + 1] for i in range(len(keys) - 1)):
        repeated.sort(key=key)


def drop_repeated_value_info(graph: onnx.GraphProto) -> None:
    """Drop value_info of initializers that only repeats the tensor's own type and shape."""
    if not graph.value_info or not (graph.initializer or graph.sparse_initializer):
        return
    tensors = {tensor.name: (tensor.data_type, list(tensor.dims)) for tensor in graph.initializer}
    tensors |= {s.values.name: (s.values.data_type, list(s.dims)) for s in graph.sparse_initializer}
    kept = [info for info in graph.value_info if not _repeats(info, tensors.get(info.name))]
    if len(kept) != len(graph.value_info):
        copies = [onnx.ValueInfoProto.FromString(info.SerializeToString()) for info in kept]
        del graph.value_info[:]
        graph.value_info.extend(copies)


def _repeats(info: onnx.ValueInfoProto, tensor: tuple[int, list[int]] | None) -> bool:
    if tensor is None or info.doc_string or info.metadata_props or info.type.denotation:
        return False
    if info.type.WhichOneof("value") != "tensor_type" or not info.type.tensor_type.HasField("shape"):
        return False
    dims = info.type.tensor_type.shape.dim
    shape = [dim.dim_value if dim.WhichOneof("value") == "dim_value" and not dim.denotation else None for dim in dims]
    return (info.type.tensor_type.elem_type, shape) == tensor


def _compare(one: Any, other: Any, path: str, found: list[str], most: int) -> None:
    """Note where two messages in normal form differ."""
    if len(found) >= most or one == other:
        return
    if not isinstance(one, Message) or not isinstance(other, Message):
        if isinstance(one, float) and struct.pack("<d", one) == struct.pack("<d", other):
            return  # the same NaN
        found.append(f"{path}: {str(one)[:60]!r} | {str(other)[:60]!r}")
        return
    here = {field.name: (field, value) for field, value in one.ListFields()}
    there = {field.name: (field, value) for field, value in other.ListFields()}
    for name in sorted(here.keys() | there.keys()):
        if name not in here or name not in there:
            found.append(f"{path}/{name}: " + ("only in the first" if name in here else "only in the second"))
            continue
        field, value = here[name]
        _, counterpart = there[name]
        if not field.is_repeated:
            _compare(value, counterpart, f"{path}/{name}", found, most)
        elif len(value) != len(counterpart):
            found.append(f"{path}/{name}: {len(value)} | {len(counterpart)} entries")
        else:
            for index, (item, match) in enumerate(zip(value, counterpart, strict=True)):
                _compare(item, match, f"{path}/{name}/{index}", found, most)
