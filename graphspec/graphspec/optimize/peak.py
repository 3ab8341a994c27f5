"""How much memory the values of a run take at once, as far as shapes tell before it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping

import onnx.shape_inference
import onnx_ir as ir

from graphspec import dtypes
from graphspec.optimize.copying import copied
from graphspec.optimize.propagate import propagate


def peak_bytes(model: ir.Model, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """The most bytes that inputs and values of the main graph take at one time; weights are not counted.

    A value whose size does not follow from the shapes given counts as the largest of those that do.

    Args:
        model: A model without functions; it is not changed.
        shapes: Shapes of inputs by name.
    """
    own = copied(model)
    graph = own.graph
    sizes: dict[str, int] = {}
    for value in graph.inputs:
        shape = shapes.get(value.name or "")
        if shape is None or not isinstance(value.type, ir.TensorType):
            continue
        if value.shape is not None:
            pairs = zip(value.shape.dims, shape, strict=False)
            sizes.update((d.value, size) for d, size in pairs if not isinstance(d, int) and d.value is not None)
        value.shape = ir.Shape(shape)
    for node in graph:
        for value in node.outputs:
            if value.shape is not None:
                dims = [d if isinstance(d, int) else sizes.get(d.value or "", d.value) for d in value.shape.dims]
                value.shape = ir.Shape(dims)
    with contextlib.suppress(ValueError, onnx.shape_inference.InferenceError):  # the run will say it better
        propagate(own)
    return _peak(graph)


def _peak(graph: ir.Graph) -> int:
    nodes = list(graph)
    needed = {v: _bytes(v) for v in [*graph.inputs, *(v for node in nodes for v in node.outputs)]}
    largest = max((n for n in needed.values() if n is not None), default=0)
    last = {v: i for i, node in enumerate(nodes) for v in [*node.inputs, *_captured(node)] if v is not None}
    kept = {*graph.inputs, *graph.outputs}

    def size(value: ir.Value) -> int:
        found = needed.get(value)
        return largest if found is None else found

    held = peak = sum(size(v) for v in graph.inputs)
    for i, node in enumerate(nodes):
        if node.op_type == "Constant":
            continue
        held += sum(size(v) for v in node.outputs)
        peak = max(peak, held)
        used = {v for v in [*node.inputs, *_captured(node), *node.outputs] if v is not None and v in needed}
        for value in used - kept:
            producer = value.producer()
            if last.get(value, i) == i and producer is not None and producer.op_type != "Constant":
                held -= size(value)
    return peak


def _captured(node: ir.Node) -> list[ir.Value | None]:
    """What a node's subgraphs use, their own values included: those are in no table."""
    graphs = [a.as_graph() for a in node.attributes.values() if a.type is ir.AttributeType.GRAPH]
    return [v for graph in graphs for inner in graph.all_nodes() for v in inner.inputs]


def _bytes(value: ir.Value) -> int | None:
    if value.shape is None or not value.shape.is_static() or value.dtype is None:
        return None
    row = dtypes.BY_ONNX.get(int(value.dtype))
    return None if row is None else math.prod(int(d) for d in value.shape.numpy()) * max(1, row.bits // 8)
