"""Values computed anew in the backward part instead of being kept for it: memory for work."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphspec.derivatives import _bodies as bodies
from graphspec.derivatives import _prepare as prepare
from graphspec.errors import NotDifferentiable
from graphspec.operators.builder import Builder
from graphspec.optimize import RECOMPUTED


def check(graph: ir.Graph, names: Sequence[str]) -> None:
    """Refuse what cannot be computed anew.

    Raises:
        NotDifferentiable: A name is no value that a node computes, or that node draws random numbers.
    """
    known = ir.convenience.create_value_mapping(graph)
    for name in names:
        node = known[name].producer() if name in known else None
        if node is None or node.graph is not graph:
            raise NotDifferentiable(
                f"`checkpoint` names {name!r}, which no node of the graph computes.",
                code="unknown-value",
                input=str(name),
                expected="an intermediate value of the main graph",
                found="an input or a parameter" if name in known else repr(name),
                hint="Inputs and parameters are kept in any case.",
            )
        if _is_random(node):
            raise NotDifferentiable(
                f"`checkpoint` names {name!r}, but node {node.name!r} ({node.op_type}) draws random numbers: "
                "computed anew, it would be another draw.",
                code="not-repeatable",
                node=node.name,
                input=name,
                expected="a value that comes out the same each time",
                found=node.op_type,
                hint=f"Leave {name!r} out of `checkpoint`.",
            )


def _is_random(node: ir.Node) -> bool:
    inner = [n for graph in prepare.subgraphs(node) for n in graph.all_nodes()]
    return any(bodies.is_random(n) for n in (node, *inner))


def recompute(graph: ir.Graph, op: Builder, names: Sequence[str]) -> list[ir.Node]:
    """The builder's nodes, with those in between that compute the named values anew, each just before its first use.

    A value computed anew is computed from those computed anew, as far as they are named, and else from those kept.
    """
    if not names:
        return op.nodes
    values = ir.convenience.create_value_mapping(graph)
    again = {values[name].producer() for name in names if name in values} - {None}
    copies: dict[ir.Value, ir.Value] = {}
    nodes: list[ir.Node] = []

    def copy_of(value: ir.Value) -> ir.Value:
        node = value.producer()
        if node is None or node not in again:
            return value
        if value not in copies:
            inputs = [None if v is None else copy_of(v) for v in node.inputs]
            copy = _copied(op, node, inputs)
            for output in node.outputs:  # where the backward part reads one output twice, both read one copy
                copies[output] = copy.outputs[output.index() or 0]
            nodes.append(copy)
        return copies[value]

    for node in op.nodes:
        for user in (node, *(n for body in prepare.subgraphs(node) for n in body.all_nodes())):
            for i, value in enumerate(user.inputs):
                if value is not None and (copy := copy_of(value)) is not value:
                    user.replace_input_with(i, copy)
        nodes.append(node)
    return nodes


def _copied(op: Builder, node: ir.Node, inputs: list[ir.Value | None]) -> ir.Node:
    attributes = [
        ir.AttrGraph(a.name, bodies.copied(op, a.as_graph())) if a.type is ir.AttributeType.GRAPH else a
        for a in node.attributes.values()
    ]
    copy = ir.Node(
        node.domain,
        node.op_type,
        inputs,
        attributes,
        num_outputs=len(node.outputs),
        name=op.fresh(f"{node.name}_again"),
    )
    for output, original in zip(copy.outputs, node.outputs, strict=True):
        output.name = op.fresh(f"{original.name}_again") if original.name else None
        output.type, output.shape = original.type, original.shape
    copy.metadata_props[RECOMPUTED] = "true"
    return copy
