"""From a graph whose shapes are all known to the steps of a compiled plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from graphspec import dtypes
from graphspec.inference import array_of
from graphspec.operators import registry
from graphspec.operators.attributes import attributes_of
from graphspec.optimize import clean, copied
from graphspec.runtime.compiled import CompiledPlan
from graphspec.runtime.lowering import LOWERINGS
from graphspec.runtime.plan import bound_kernel, constant_array, find_kernel, frozen, needed_nodes
from graphspec.runtime.steps import Emitter, Node, Place, UnforeseenShapeError, feed

# NumPy's own numbers; what else there is (strings, the narrow floats of ML) goes through plain kernels.
_PLANNED = frozenset("?bBhHiIlLqQefd")

_NEWEST = onnx.defs.onnx_opset_version()

Shapes = Mapping[str, tuple[int, ...]]


def specialized(model: ir.Model, shapes: Shapes, fetches: Sequence[str]) -> CompiledPlan:
    """A plan for feeds of these shapes.

    Args:
        model: A model whose operators all have kernels, sorted and typed; it is not changed.
        shapes: The shape of each feed, by name: inputs and overridden initializers.
        fetches: Names of what the plan returns.

    Raises:
        ValueError: A feed is not a tensor of one of NumPy's own dtypes, or the shapes do not fit the graph.
        InferenceError: The shapes do not fit the graph.
    """
    graph = model.graph
    values = ir.convenience.create_value_mapping(graph)
    if any(_known(values[name])[0] != shape for name, shape in shapes.items()):
        model = _with_shapes(model, shapes, fetches)
        graph = model.graph
        values = ir.convenience.create_value_mapping(graph)
    return _Compiler(graph, [values[name] for name in shapes], [values[name] for name in fetches]).plan()


def _with_shapes(model: ir.Model, shapes: Shapes, fetches: Sequence[str]) -> ir.Model:
    """A copy with the inputs' shapes known, everything that follows from them inferred, and simplified anew."""
    own = copied(model)
    values = ir.convenience.create_value_mapping(own.graph)
    for name, shape in shapes.items():
        values[name].shape = ir.Shape(shape)
    own.graph.outputs.clear()
    own.graph.outputs.extend(dict.fromkeys(values[name] for name in fetches))
    clean(own)
    return own


def _known(value: ir.Value) -> tuple[tuple[int, ...] | None, np.dtype[Any] | None]:
    """Shape and dtype of a tensor value where both are known."""
    shape = value.shape
    if shape is None or not shape.is_static() or value.dtype is None or not isinstance(value.type, ir.TensorType):
        return None, None
    dtype = np.dtype(dtypes.of(int(value.dtype)).numpy)
    return (shape.numpy(), dtype) if dtype.char in _PLANNED else (None, None)


class _Compiler:
    def __init__(self, graph: ir.Graph, inputs: Sequence[ir.Value], outputs: Sequence[ir.Value]) -> None:
        self.graph = graph
        self.emit = Emitter()
        self.places: dict[ir.Value, Place] = {}
        self.inputs = inputs
        self.outputs = outputs
        for value in inputs:
            shape, dtype = _known(value)
            if shape is None or dtype is None:
                raise ValueError(f"{value.name!r} is no tensor of a known shape and one of NumPy's own dtypes.")
            self.places[value] = feed(shape, dtype)
        self.feeds = [self.places[v] for v in inputs]

    def plan(self) -> CompiledPlan:
        for node in needed_nodes(self.graph, set(self.inputs), self.outputs):
            self.emit.node = node
            if node.op_type == "Constant" and node.domain == "":
                tensor = ir.convenience.get_const_tensor(node.outputs[0])
                if tensor is not None:
                    self.places[node.outputs[0]] = self.emit.constant(frozen(array_of(tensor)))
                    continue
            results = self._lowered(node) or self._plain(node)
            for value, place in zip(node.outputs, results, strict=False):
                self.places[value] = place
        return CompiledPlan(self.feeds, self.emit.steps, [self._place(v) for v in self.outputs])

    def _place(self, value: ir.Value) -> Place:
        if value not in self.places:
            self.places[value] = self.emit.constant(constant_array(value))
        return self.places[value]

    def _lowered(self, node: ir.Node) -> tuple[Place, ...] | None:
        lowering = LOWERINGS.get(node.op_type) if node.domain == "" else None
        entry = find_kernel(node, self.graph.opset_imports)
        if lowering is None or entry is None or entry is not registry.find(node.op_type, "", _NEWEST):
            return None  # what old versions meant is left to their own kernels
        outputs = [_known(v) for v in node.outputs]
        inputs = tuple(None if v is None else self._place(v) for v in node.inputs)
        if any(shape is None for shape, _ in outputs) or any(p is not None and p.shape is None for p in inputs):
            return None
        attributes = {**entry.attributes, **attributes_of(node)}
        opset = self.graph.opset_imports[node.domain]
        taken = len(self.emit.steps)
        result = lowering(self.emit, Node(node, inputs, tuple(outputs), attributes, opset))  # type: ignore[arg-type]
        if result is None:
            del self.emit.steps[taken:]
            return None
        return result if isinstance(result, tuple) else (result,)

    def _plain(self, node: ir.Node) -> list[Place]:
        """The plain kernel; what it returns is taken as sharing memory with what it is given."""
        call, captured = bound_kernel(node, self.graph.opset_imports)
        arguments = tuple(None if v is None else self._place(v) for v in [*node.inputs, *captured])
        known = [_known(v) for v in node.outputs]
        if len(known) == 1:
            places = [self.emit.plain(_picked(0, known[0][0], call), arguments)]
        else:
            all_of_them = self.emit.plain(call, arguments)
            places = [self.emit.plain(_picked(i, shape), (all_of_them,)) for i, (shape, _) in enumerate(known)]
        for (shape, dtype), place in zip(known, places, strict=True):
            if shape is not None and dtype is not None:
                place.describe(shape, dtype)
        return places


def _picked(i: int, shape: tuple[int, ...] | None, call: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """One result of a kernel, held to the shape that the steps behind it count on."""

    def pick(*arguments: Any) -> Any:
        results = call(*arguments) if call is not None else arguments[0]
        result = results[i] if type(results) is tuple else results
        if shape is not None and result.shape != shape:
            raise UnforeseenShapeError
        return result

    return pick
