"""Subgraphs and functions seen from the node that holds them: what goes in, what comes out, attributes by reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import onnx

from graphspec.validation import types
from graphspec.validation.structure import Block

Types = Sequence[onnx.TypeProto | None]


class Body(NamedTuple):
    """A subgraph with the types of its inputs and outputs."""

    block: Block
    inputs: Types
    outputs: Types

    @property
    def complete(self) -> bool:
        """Whether all the types are known."""
        return all(types.known(proto) for proto in (*self.inputs, *self.outputs))


def input_types(node: onnx.NodeProto, given: Types, version: int) -> list[onnx.TypeProto | None] | None:
    """What an operator of ONNX gives to the inputs of its subgraph; ``None`` for other operators."""
    if node.domain not in {"", "ai.onnx"}:
        return None
    if node.op_type == "If":
        return []
    if node.op_type == "Loop":
        head: list[onnx.TypeProto | None] = [types.tensor_type(types.INT64, ()), types.tensor_type(types.BOOL, ())]
        # A carried value may change its shape from one trip to the next: only its element type is sure.
        return head + [_shapeless(proto) for proto in given[2:]]
    if node.op_type == "SequenceMap":
        return [_element(proto) for proto in given]
    if node.op_type == "Scan":
        if version < 9:
            return [_shapeless(proto) for proto in given[1:]]
        scanned = min([*_ints(node, "num_scan_inputs", [0]), len(given)])
        axes = _ints(node, "scan_input_axes", [])
        states = len(given) - max(0, scanned)
        result = list(given[:states])
        for place, proto in enumerate(given[states:]):
            result.append(_without_axis(proto, axes[place] if place < len(axes) else 0))
        return result
    return None


def carried(outputs: Types, given: Types, body: Body) -> list[onnx.TypeProto | None]:
    """The outputs of ``Loop``, where a carried value has the shape that it has before and after every trip."""
    result = list(outputs)
    for place in range(min(len(given) - 2, len(body.outputs) - 1, len(result))):
        before, after, known = given[place + 2], body.outputs[place + 1], result[place]
        one, two = types.shape_of(before), types.shape_of(after)
        if known is None or one is None or two is None or len(one) != len(two):
            continue
        shape = tuple(a if a == b else None for a, b in zip(one, two, strict=True))
        if types.contradiction(known, types.with_shape(known, shape)) is None:
            result[place] = types.merge(known, types.with_shape(known, shape))
    return result


def _ints(node: onnx.NodeProto, name: str, default: list[int]) -> list[int]:
    for attribute in node.attribute:
        if attribute.name == name:
            return [attribute.i] if attribute.type == onnx.AttributeProto.INT else list(attribute.ints)
    return default


def _shapeless(proto: onnx.TypeProto | None) -> onnx.TypeProto | None:
    if proto is None or not proto.HasField("tensor_type"):
        return proto
    return types.with_shape(proto, None)


def _without_axis(proto: onnx.TypeProto | None, axis: int) -> onnx.TypeProto | None:
    shape = types.shape_of(proto)
    if proto is None or not proto.HasField("tensor_type") or shape is None or not -len(shape) <= axis < len(shape):
        return _shapeless(proto)
    axis %= len(shape)
    return types.with_shape(proto, shape[:axis] + shape[axis + 1 :])


def _element(proto: onnx.TypeProto | None) -> onnx.TypeProto | None:
    if proto is not None and proto.HasField("sequence_type"):
        return proto.sequence_type.elem_type
    return proto


def with_stubs(node: onnx.NodeProto, children: Mapping[tuple[str, int], Body]) -> onnx.NodeProto:
    """The node with every subgraph replaced by one without nodes whose inputs and outputs are of the types found.

    ONNX's inference would walk each subgraph again at every level of nesting, and does not know the model's functions.
    """
    result = onnx.NodeProto(op_type=node.op_type, domain=node.domain, name=node.name)
    result.input.extend(node.input)
    result.output.extend(node.output)
    for attribute in node.attribute:
        copy = result.attribute.add()
        copy.name, copy.type = attribute.name, attribute.type
        if attribute.type == onnx.AttributeProto.GRAPH:
            _stub(copy.g, children[attribute.name, 0])
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            for place in range(len(attribute.graphs)):
                _stub(copy.graphs.add(), children[attribute.name, place])
        else:
            copy.CopyFrom(attribute)
    return result


def _stub(graph: onnx.GraphProto, body: Body) -> None:
    graph.name = "stub"
    for infos, places, protos, letter in (
        (graph.input, body.block.inputs, body.inputs, "i"),
        (graph.output, body.block.outputs, body.outputs, "o"),
    ):
        for number, (_, proto) in enumerate(zip(places, protos, strict=True)):
            info = infos.add()
            info.name = f"{letter}{number}"
            if proto is not None:
                info.type.CopyFrom(proto)


def bind(node: onnx.NodeProto, bindings: Mapping[str, onnx.AttributeProto | None]) -> onnx.NodeProto:
    """The node with its references to a function's attributes replaced; references to what is not given vanish."""
    if not any(attribute.ref_attr_name for attribute in node.attribute):
        return node
    result = onnx.NodeProto(op_type=node.op_type, domain=node.domain, name=node.name, overload=node.overload)
    result.input.extend(node.input)
    result.output.extend(node.output)
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            result.attribute.add().CopyFrom(attribute)
        elif (value := bindings.get(attribute.ref_attr_name)) is not None:
            copy = result.attribute.add()
            copy.CopyFrom(value)
            copy.name = attribute.name
    return result
