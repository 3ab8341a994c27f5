"""Checks of tensors, names and text within a ModelProto: the part of ``scan`` that does not walk."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import onnx

from graphspec import dtypes
from graphspec.interchange.findings import Findings, pointer, shorten
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


class TensorScan:
    """Checks that note what they find.

    Args:
        limits: Sizes that are accepted.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.findings = Findings()
        self.nodes_seen = 0
        self.bytes_seen = 0

    def sparse(self, sparse: onnx.SparseTensorProto, path: str) -> None:
        """Check the parts of a sparse tensor; where its values lie is for ``representable`` to check."""
        self.tensor(sparse.values, f"{path}/values")
        self.tensor(sparse.indices, f"{path}/indices")
        if self.dims(sparse.dims, f"{path}/shape"):
            row = dtypes.BY_ONNX.get(sparse.values.data_type)
            self.count_bytes(byte_length(row, sparse.dims) if row else 0, path)

    def tensor(self, tensor: onnx.TensorProto, path: str) -> None:
        """Check one tensor: its data is inside the model, and is what dtype and shape need."""
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
            message = "The tensor is a segment of a larger one."
            self.findings.add("bad-tensor", message, path, expected="a whole tensor", found="a segment")
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
            found = shorten(str(list(dims[:70])))
            message = "The shape is larger than any tensor."
            self.findings.add("bad-tensor", message, path, expected=f"at most {_LARGEST} elements", found=found)
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
        """Count the bytes of tensors, up to the limit."""
        self.bytes_seen += count
        if self.bytes_seen > self.limits.max_initializer_bytes:
            self.limits.check("max_initializer_bytes", self.bytes_seen, path)

    def pairs(self, entries: Sequence[onnx.StringStringEntryProto], path: str) -> None:
        """Check a table of strings."""
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
        """Check that a name is not empty."""
        if not name:
            message = f"The name of the {what} is empty."
            self.findings.add("invalid-name", message, path, node=node, expected="a name", found='""')

    def unique(self, names: Sequence[Any], path: Callable[[int], str], what: str, node: str | None = None) -> None:
        """Check that no name is there twice; ``path`` gives the pointer to the entry at an index."""
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
        """The same for a list of strings."""
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
        """Note that a text is not UTF-8."""
        found = repr(value[:40])
        self.findings.add("bad-encoding", "The text is not UTF-8.", path, expected="UTF-8", found=found)
