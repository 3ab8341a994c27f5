"""Reverse mode through sequences and optionals, whose lengths, positions and shapes only a run may know.

The cotangent of a sequence is a sequence of as many tensors, and that of an optional is that of what it holds. An
element may be a scalar zero in place of zeros of the element's shape: so no shapes need to be known where nothing was
read, and cotangents are given their shapes where tensors come out of sequences again.

What reads one place of a sequence is kept aside as a ``Put`` until all uses of the sequence are known: then it is added
to that place alone, and not as a sequence of zeros around it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphspec.derivatives import _bodies as bodies
from graphspec.derivatives import _prepare as prepare
from graphspec.operators.builder import Builder


@dataclasses.dataclass(frozen=True)
class Put:
    """The cotangent of one element of a sequence.

    Attributes:
        position: Where it is, counted from the back when negative.
        cotangent: That of the element.
    """

    position: ir.Value
    cotangent: ir.Value


Part = ir.Value | Put
Pulled = list[tuple[ir.Value, Part]]


# --- sums and zeros -------------------------------------------------------------------------------------------------


def total(op: Builder, parts: list[Part], value: ir.Value) -> ir.Value:
    """The sum of the cotangents of a sequence or an optional."""
    whole = [part for part in parts if not isinstance(part, Put)]
    out = whole[0] if whole else zeros(op, value)
    for other in whole[1:]:
        out = added(op, out, other)
    for part in parts:
        if isinstance(part, Put):
            old = _typed(op.SequenceAt(out, part.position), value)
            rest = _as_sequence(op.SequenceErase(out, part.position), value)
            at = _from_front(op, part.position, op.SequenceLength(out))
            out = _as_sequence(op.SequenceInsert(rest, _typed(op.Add(old, part.cotangent), value), at), value)
    return out


def zeros(op: Builder, value: ir.Value) -> ir.Value:
    """The cotangent of a value that nothing depends on."""
    if prepare.is_float(value):
        return op.zeros_like(value)
    if isinstance(value.type, ir.SequenceType):
        count = op.Reshape(op.SequenceLength(value), op.ints([1]))
        nothing = op.expand(op.const(np.zeros(1), op.numpy_dtype(value)), count)
        scalars = _as_sequence(op.SplitToSequence(nothing, axis=0, keepdims=0), value)
        # An element of another rank comes and goes, so that inference takes no element for a scalar for good.
        other = op.SequenceInsert(scalars, op.const(np.zeros(1), op.numpy_dtype(value)))
        return _as_sequence(op.SequenceErase(_as_sequence(other, value)), value)
    assert isinstance(value.type, ir.OptionalType)
    if isinstance(value.type.elem_type, ir.SequenceType):
        return zeros(op, _as_sequence(op.OptionalGetElement(value), value))
    return _typed(op.Identity(op.scalar(0, value)), value)


def added(op: Builder, a: ir.Value, b: ir.Value) -> ir.Value:
    """The sum of two cotangents of one value."""
    if not isinstance(a.type, ir.SequenceType):
        return _typed(op.Add(a, b), a)
    inner = bodies.builder(op)
    x, y = _element(op, a), _element(op, a)
    return _mapped(op, inner, [x, y], [_typed(inner.Add(x, y), a)], [a, b])[0]


def add_seed(op: Builder, seeds: dict[ir.Value, ir.Value], y: ir.Value, dY: ir.Value) -> None:
    """Add the cotangent of one output; a value may be an output twice."""
    seeds[y] = added(op, seeds[y], dY) if y in seeds else dY


def like(op: Builder, value: ir.Value) -> ir.Value:
    """A new subgraph input for the cotangent of a value."""
    new = bodies.like(op, value)
    if not prepare.is_float(value):
        new.type, new.shape = cotangent_type(value), None
    return new


def cotangent_type(value: ir.Value) -> ir.TypeProtocol | None:
    """The type of a value's cotangent."""
    return value.type.elem_type if isinstance(value.type, ir.OptionalType) else value.type


def _element(op: Builder, sequence: ir.Value) -> ir.Value:
    return ir.Value(name=op.fresh(f"{sequence.name}_element"), type=ir.TensorType(op.dtype(sequence)))


def _typed(x: ir.Value, like: ir.Value) -> ir.Value:
    """A tensor whose shape is not known: what inference says of an element may not hold for all of them."""
    assert like.dtype is not None
    x.type, x.shape = ir.TensorType(like.dtype), None
    return x


def _as_sequence(x: ir.Value, like: ir.Value) -> ir.Value:
    assert like.dtype is not None
    x.type, x.shape = ir.SequenceType(ir.TensorType(like.dtype)), None
    return x


def _from_front(op: Builder, position: ir.Value, length: ir.Value) -> ir.Value:
    at = op.Reshape(op.cast(position, ir.DataType.INT64), op.ints([]))
    out: ir.Value = op.Where(op.Less(at, op.const(0, "int64")), op.Add(at, length), at)
    return out


def _mapped(
    op: Builder, inner: Builder, inputs: list[ir.Value], outputs: list[ir.Value], given: Sequence[ir.Value | None]
) -> list[ir.Value]:
    """A SequenceMap whose body has the nodes of ``inner``."""
    results = []
    for y in outputs:
        result = inner.Identity(y)  # a result may be an input
        result.type, result.shape = y.type, y.shape
        results.append(result)
    graph = ir.Graph(inputs, results, nodes=inner.nodes, name=op.fresh("each"), opset_imports=dict(op.opset_imports))
    return emit_map(op, graph, given)


def emit_map(op: Builder, graph: ir.Graph, given: Sequence[ir.Value | None]) -> list[ir.Value]:
    """A SequenceMap over a body; inference of one node cannot see what bodies capture, so that types are given."""
    body = {"body": ir.AttrGraph("body", graph)}
    node = ir.Node("", "SequenceMap", given, body, num_outputs=len(graph.outputs), name=op.fresh("SequenceMap"))
    for output, y in zip(node.outputs, graph.outputs, strict=True):
        output.name = op.fresh("SequenceMap_out")
        _as_sequence(output, y)
    op.nodes.append(node)
    return list(node.outputs)


# --- what fills sequences -------------------------------------------------------------------------------------------


def _construct(op: Builder, node: ir.Node, dY: ir.Value) -> list[Part | None]:
    out: list[Part | None] = []
    for i, x in enumerate(node.inputs):
        assert x is not None
        out.append(_shaped(op, _typed(op.SequenceAt(dY, op.const(i, "int64")), x), x))
    return out


def _insert(op: Builder, node: ir.Node, dY: ir.Value) -> list[Part | None]:
    sequence, tensor = node.inputs[:2]
    assert sequence is not None
    assert tensor is not None
    if len(node.inputs) < 3 or node.inputs[2] is None:
        at = None
        dX = op.SequenceAt(dY, op.const(-1, "int64"))
    else:
        at = _from_front(op, node.inputs[2], op.Sub(op.SequenceLength(dY), op.const(1, "int64")))
        dX = op.SequenceAt(dY, at)
    return [_as_sequence(op.SequenceErase(dY, at), sequence), _shaped(op, _typed(dX, tensor), tensor)]


def _erase(op: Builder, node: ir.Node, dY: ir.Value) -> list[Part | None]:
    at = None
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        at = _from_front(op, node.inputs[1], op.Add(op.SequenceLength(dY), op.const(1, "int64")))
    return [_as_sequence(op.SequenceInsert(dY, op.scalar(0, dY), at), dY)]


def _split(op: Builder, node: ir.Node, dY: ir.Value) -> list[Part | None]:
    """The cotangents of all stretches side by side, behind a stretch of length 0 that is there where no other is."""
    x, (pieces,) = node.inputs[0], node.outputs
    assert x is not None
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
    squeezed = (len(node.inputs) < 2 or node.inputs[1] is None) and (
        "keepdims" in node.attributes and not node.attributes["keepdims"].as_int()
    )
    inner = bodies.builder(op)
    piece, given = _element(op, pieces), _element(op, pieces)
    full = _typed(inner.Expand(given, inner.Shape(piece)), pieces)
    if squeezed:
        full = _typed(inner.Unsqueeze(full, inner.ints([axis])), pieces)
    (stretches,) = _mapped(op, inner, [piece, given], [full], [pieces, dY])
    none = op.Slice(x, op.ints([0]), op.ints([0]), op.ints([axis]))
    behind = _as_sequence(op.SequenceInsert(stretches, none, op.const(0, "int64")), x)
    return [_reshaped(op, op.ConcatFromSequence(behind, axis=axis), x)]


def _optional(op: Builder, node: ir.Node, dY: ir.Value) -> list[Part | None]:
    x = node.inputs[0] if node.inputs else None
    if x is None:
        return [None] * len(node.inputs)
    return [_shaped(op, dY, x) if prepare.is_float(x) else dY]


def _same(op: Builder, node: ir.Node, dY: ir.Value) -> list[Part | None]:
    return [dY]


def _shaped(op: Builder, g: ir.Value, x: ir.Value) -> ir.Value:
    """The cotangent of a tensor in its own shape."""
    out: ir.Value = op.Expand(g, op.shape(x))
    out.type, out.shape = x.type, x.shape
    return out


def _reshaped(op: Builder, g: ir.Value, x: ir.Value) -> ir.Value:
    g = _typed(g, x)
    return op.reshape_like(g, x)


# --- what reads them ------------------------------------------------------------------------------------------------


def _at(op: Builder, node: ir.Node, dY: ir.Value) -> list[Part | None]:
    assert node.inputs[1] is not None
    return [Put(node.inputs[1], dY)]


def _concat(op: Builder, node: ir.Node, dY: ir.Value) -> list[Part | None]:
    """The cotangent cut again, where the tensors side by side had their ends."""
    (sequence,), axis = node.inputs, node.attributes["axis"].as_int()
    assert sequence is not None
    if "new_axis" in node.attributes and node.attributes["new_axis"].as_int():
        return [_as_sequence(op.SplitToSequence(dY, axis=axis, keepdims=0), dY)]
    inner = bodies.builder(op)
    x = _element(op, sequence)
    length = inner.Shape(x, start=axis, end=axis + 1 or None)
    length.shape = ir.Shape([1])
    (lengths,) = _mapped(op, inner, [x], [length], [sequence])
    sizes = op.ConcatFromSequence(lengths, axis=0)
    sizes.type, sizes.shape = ir.TensorType(ir.DataType.INT64), ir.Shape([None])
    return [_as_sequence(op.SplitToSequence(dY, sizes, axis=axis), dY)]


RULES: dict[str, Callable[[Builder, ir.Node, ir.Value], list[Part | None]]] = {
    "SequenceConstruct": _construct,
    "SequenceInsert": _insert,
    "SequenceErase": _erase,
    "SplitToSequence": _split,
    "Optional": _optional,
    "Identity": _same,
    "SequenceAt": _at,
    "ConcatFromSequence": _concat,
    "OptionalGetElement": _same,
}
"""Rules of operators of ai.onnx on sequences and optionals: a part for each input, ``None`` for what has none."""


def is_plumbing(node: ir.Node) -> bool:
    """Whether the node moves tensors into, out of or within sequences and optionals."""
    if node.domain != "" or node.op_type not in RULES:
        return False
    return node.op_type != "Identity" or not isinstance(node.outputs[0].type, ir.TensorType)


def vjp(op: Builder, node: ir.Node, dY: ir.Value, moved: set[ir.Value]) -> Pulled:
    """The cotangents of those inputs that are on the way."""
    results = RULES[node.op_type](op, node, dY)
    return [
        (x, part)
        for x, part in zip(node.inputs, results, strict=False)
        if x is not None and part is not None and x in moved and prepare.flows(x)
    ]


# --- SequenceMap ----------------------------------------------------------------------------------------------------


def map_vjp(
    op: Builder, node: ir.Node, dYs: list[ir.Value | None], moved: set[ir.Value], backward: Callable[..., Any],
    refuse: Callable[[ir.Value, str], Exception],
) -> Pulled:  # fmt: skip
    """A map of the body's vector-Jacobian product; what all steps share gets the sum over them.

    Captured values become inputs of the new map: some runtimes know no others.
    """
    captured = [v for v in prepare.implicit_inputs(node) if v in moved and prepare.flows(v)]
    for v in captured:
        if not prepare.is_float(v):
            raise refuse(v, "its subgraph uses a sequence or an optional from outside")
    copy = bodies.copied(op, node.attributes["body"].as_graph())
    first = next(v for v in prepare.all_inputs(node) if v in moved)
    for each in copy.all_nodes():
        if bodies.is_random(each):
            raise refuse(first, f"{each.op_type} in its subgraph draws random numbers, which cannot be drawn again")
    inner = bodies.builder(op)
    inputs, outer = list(copy.inputs), list(node.inputs)
    on_way = [x for x, o in zip(inputs, outer, strict=True) if o in moved and o is not None and prepare.flows(o)]
    seeds: dict[ir.Value, ir.Value] = {}
    extra: list[ir.Value] = []
    given: list[ir.Value | None] = []
    for y, dY in zip(copy.outputs, dYs, strict=False):
        if dY is not None and prepare.is_float(y):
            dy = _element(op, y)
            bodies.add_seed(inner, seeds, y, _shaped(inner, dy, y))
            extra.append(dy)
            given.append(dY)
    wrt = [*on_way, *captured]
    found = backward(copy, seeds, wrt, inner)
    bodies.finish(copy, [*inputs, *extra], inner, found, wrt)
    for value in prepare.free_values(copy):
        new = bodies.like(op, value)
        _replace_inside(copy, value, new)
        copy.inputs.append(new)
        given.append(value)
    results = emit_map(op, copy, [*outer, *given])
    pulled: Pulled = []
    for x, result in zip(wrt, results, strict=True):
        source = x if x in captured else outer[inputs.index(x)]
        assert source is not None
        if not isinstance(source.type, ir.SequenceType):
            start = op.SequenceInsert(result, op.zeros_like(source), op.const(0, "int64"))
            rows = op.ConcatFromSequence(_as_sequence(start, source), axis=0, new_axis=1)
            summed = op.ReduceSum(_typed(rows, source), op.ints([0]), keepdims=0)
            summed.shape = source.shape
            result = summed
        pulled.append((source, result))
    return pulled


def _replace_inside(graph: ir.Graph, old: ir.Value, new: ir.Value) -> None:
    for node in graph.all_nodes():
        for i, value in enumerate(node.inputs):
            if value is old:
                node.replace_input_with(i, new)
    for g in (graph, *graph.subgraphs()):
        for i, value in enumerate(g.outputs):
            if value is old:
                g.outputs[i] = new
