"""What is known of a graph without loading it again: what its description says, and the type of each value."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import onnx_ir as ir

from graphspec import Report, ValueInfo

_FORMAT = 2
_UNKNOWN = ValueInfo(None, None, "intermediate")


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """What is known of a valid graph.

    Attributes:
        id: Its digest.
        name: Its name.
        opset: Version of the standard operators that it uses; 0 if none.
        nodes: How many nodes its main graph has.
        bytes: Its size as ONNX.
        outputs: Names of its outputs, in order.
        values: What is known of every value of the main graph, by name.
        upgraded_from: For a derivative the opset of its source, where that had to be converted upward.
    """

    id: str
    name: str
    opset: int
    nodes: int
    bytes: int
    outputs: tuple[str, ...]
    values: Mapping[str, ValueInfo]
    upgraded_from: int | None = None

    @property
    def inputs(self) -> dict[str, ValueInfo]:
        """The values that a run must be given."""
        return self._of_kind("input")

    @property
    def parameters(self) -> dict[str, ValueInfo]:
        """The values that the graph brings along."""
        return self._of_kind("parameter")

    def description(self) -> dict[str, Any]:
        """The graph's description for clients."""
        upgraded = {} if self.upgraded_from is None else {"upgraded_from": self.upgraded_from}
        return {
            "id": self.id,
            "name": self.name,
            "inputs": {name: _described(info) for name, info in self.inputs.items()},
            "parameters": {name: _described(info) for name, info in self.parameters.items()},
            "outputs": {name: _described(self.values.get(name, _UNKNOWN)) for name in self.outputs},
            "opset": self.opset,
            "nodes": self.nodes,
            "bytes": self.bytes,
            **upgraded,
        }

    def to_json(self) -> dict[str, Any]:
        """The record as plain data, for the repository."""
        values = {name: [info.dtype, info.shape, info.kind] for name, info in self.values.items()}
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return fields | {"format": _FORMAT, "values": values}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record | None:
        """The record again; ``None`` if it was written in another format."""
        if data.get("format") != _FORMAT:
            return None
        fields = {field.name: data[field.name] for field in dataclasses.fields(cls)}
        values = {
            name: ValueInfo(dtype, None if shape is None else tuple(shape), kind)
            for name, (dtype, shape, kind) in data["values"].items()
        }
        return cls(**fields | {"outputs": tuple(data["outputs"]), "values": values})

    def _of_kind(self, kind: str) -> dict[str, ValueInfo]:
        return {name: info for name, info in self.values.items() if info.kind == kind}


def record_of(model: ir.Model, report: Report, graph_id: str, size: int) -> Record:
    """Note what there is to know of a model that was found valid."""
    before = model.metadata_props.get("graphspec.upgraded_from", "")
    return Record(
        id=graph_id,
        name=model.graph.name or "",
        opset=model.graph.opset_imports.get("", 0),
        nodes=len(model.graph),
        bytes=size,
        outputs=tuple(value.name or "" for value in model.graph.outputs),
        values=report.values,
        upgraded_from=int(before) if before.isdecimal() and len(before) < 10 else None,
    )


def _described(info: ValueInfo) -> dict[str, Any]:
    return {"dtype": info.dtype, "shape": None if info.shape is None else list(info.shape)}
