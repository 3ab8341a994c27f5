"""Sequences and optionals as plumbing: what is put in at a known place is what comes out there.

A pass before differentiation: tensors have derivatives, sequences of them are only carried. What cannot be followed
(positions known at run time alone, sequences that a loop carries) is left as it is, and so refused by the reverse mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import onnx_ir as ir

from graphspec.inference import known_constant

# Elements of the sequences, and what optionals hold, as far as they are known.
_Held = dict[ir.Value, list[ir.Value]]


def resolve_sequences(model: ir.Model) -> bool:
    """Replace, in place, the reading of sequences and optionals by what they hold, in the main graph.

    Args:
        model: A sorted, typed model that the caller owns; new values have no types yet.

    Returns:
        Whether anything was replaced.
    """
    held: _Held = {}
    changed = False
    for node in model.graph:
        if node.domain != "":
            continue
        if node.op_type in _READERS:
            made = _READERS[node.op_type](node, held)
            if made is not None:
                _replace(model.graph, node, made)
                changed = True
        elif node.op_type in _WRITERS:
            elements = _WRITERS[node.op_type](node, held)
            if elements is not None:
                held[node.outputs[0]] = elements
    return changed


def _replace(graph: ir.Graph, node: ir.Node, made: list[ir.Node]) -> None:
    """The last of ``made`` gives the output of ``node`` from now on, under its name."""
    old, new = node.outputs[0], made[-1].outputs[0]
    graph.insert_before(node, made)
    name, old.name = old.name, None
    new.name, new.type, new.shape = name, old.type, old.shape
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(node, safe=True)


def _constant(values: Iterable[int] | int) -> ir.Node:
    array = np.asarray(values if isinstance(values, int) else list(values), np.int64)
    return ir.Node("", "Constant", [], [ir.AttrTensor("value", ir.tensor(array))])


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _elements(node: ir.Node, held: _Held) -> list[ir.Value] | None:
    source = _input(node, 0)
    return None if source is None else held.get(source)


def _integer(node: ir.Node, name: str, default: int) -> int:
    return node.attributes[name].as_int() if name in node.attributes else default


def _position(node: ir.Node, index: int, length: int, last: int) -> int | None:
    """The position that an input gives, counted from the front; ``None`` if it is not known or not there."""
    value = _input(node, index)
    array = None if value is None else known_constant(value)
    if array is None or array.size != 1:
        return None
    at = int(array.reshape(())) if array.ndim == 0 else int(array.reshape(-1)[0])
    at += length if at < 0 else 0
    return at if 0 <= at <= last else None


# --- what fills sequences and optionals -----------------------------------------------------------------------------


def _construct(node: ir.Node, held: _Held) -> list[ir.Value] | None:
    inputs = [v for v in node.inputs if v is not None]
    return inputs if len(inputs) == len(node.inputs) else None


def _insert(node: ir.Node, held: _Held) -> list[ir.Value] | None:
    elements, tensor = _elements(node, held), node.inputs[1]
    if elements is None or tensor is None:
        return None
    count = len(elements)
    at = count if _input(node, 2) is None else _position(node, 2, count, count)
    return None if at is None else [*elements[:at], tensor, *elements[at:]]


def _erase(node: ir.Node, held: _Held) -> list[ir.Value] | None:
    elements = _elements(node, held)
    if not elements:
        return None
    count = len(elements)
    at = count - 1 if _input(node, 1) is None else _position(node, 1, count, count - 1)
    return None if at is None else [*elements[:at], *elements[at + 1 :]]


def _split(node: ir.Node, held: _Held) -> list[ir.Value] | None:
    x, given, graph = node.inputs[0], _input(node, 1), node.graph
    axis = _integer(node, "axis", 0)
    if x is None or x.shape is None or graph is None or not -x.shape.rank() <= axis < x.shape.rank():
        return None
    total = x.shape[axis]
    array = None if given is None else known_constant(given)
    if given is not None and array is None:
        return None
    if array is not None and array.ndim:
        lengths = [int(n) for n in array.tolist()]
    else:
        each = 1 if array is None else int(array.reshape(()))
        if not isinstance(total, int) or each < 1:
            return None
        lengths = [min(each, total - start) for start in range(0, total, each)]
    if not lengths:
        return None
    sizes = _constant(lengths)
    parts = ir.Node("", "Split", [x, sizes.outputs[0]], [ir.AttrInt64("axis", axis)], num_outputs=len(lengths))
    made = [sizes, parts]
    elements = list(parts.outputs)
    if given is None and not _integer(node, "keepdims", 1):
        axes = _constant([axis])
        squeezed = [ir.Node("", "Squeeze", [part, axes.outputs[0]]) for part in parts.outputs]
        made += [axes, *squeezed]
        elements = [s.outputs[0] for s in squeezed]
    graph.insert_before(node, made)
    return elements


def _same(node: ir.Node, held: _Held) -> list[ir.Value] | None:
    return _elements(node, held)


def _optional(node: ir.Node, held: _Held) -> list[ir.Value] | None:
    source = _input(node, 0)
    if source is None:
        return None
    # An optional sequence is followed as the sequence itself, an optional tensor as a sequence of one.
    return [source] if isinstance(source.type, ir.TensorType) else held.get(source)


def _get_sequence(node: ir.Node, held: _Held) -> list[ir.Value] | None:
    return _elements(node, held) if isinstance(node.outputs[0].type, ir.SequenceType) else None


_WRITERS: dict[str, Callable[[ir.Node, _Held], list[ir.Value] | None]] = {
    "SequenceEmpty": _construct,
    "SequenceConstruct": _construct,
    "SequenceInsert": _insert,
    "SequenceErase": _erase,
    "SplitToSequence": _split,
    "Identity": _same,
    "Optional": _optional,
}


# --- what reads them ------------------------------------------------------------------------------------------------


def _at(node: ir.Node, held: _Held) -> list[ir.Node] | None:
    elements = _elements(node, held)
    if elements is None:
        return None
    at = _position(node, 1, len(elements), len(elements) - 1)
    return None if at is None else [ir.Node("", "Identity", [elements[at]])]


def _concat(node: ir.Node, held: _Held) -> list[ir.Node] | None:
    elements = _elements(node, held)
    if not elements:
        return None
    axis, made = node.attributes["axis"].as_int(), list[ir.Node]()
    if _integer(node, "new_axis", 0):
        made.append(_constant([axis]))
        axes = made[0].outputs[0]
        made += [ir.Node("", "Unsqueeze", [element, axes]) for element in elements]
        elements = [unsqueezed.outputs[0] for unsqueezed in made[1:]]
    return [*made, ir.Node("", "Concat", elements, [ir.AttrInt64("axis", axis)])]


def _length(node: ir.Node, held: _Held) -> list[ir.Node] | None:
    elements = _elements(node, held)
    return None if elements is None else [_constant(len(elements))]


def _get(node: ir.Node, held: _Held) -> list[ir.Node] | None:
    source = node.inputs[0]
    if source is None or not isinstance(node.outputs[0].type, ir.TensorType):
        elements = _get_sequence(node, held)
        if elements is not None:
            held[node.outputs[0]] = elements
        return None
    if isinstance(source.type, ir.TensorType):
        return [ir.Node("", "Identity", [source])]
    elements = _elements(node, held)
    return [ir.Node("", "Identity", elements)] if elements is not None and len(elements) == 1 else None


_READERS: dict[str, Callable[[ir.Node, _Held], list[ir.Node] | None]] = {
    "SequenceAt": _at,
    "ConcatFromSequence": _concat,
    "SequenceLength": _length,
    "OptionalGetElement": _get,
}
