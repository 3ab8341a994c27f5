"""Refusals with a reason: which operator, which node, which input, and the way that led there."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import onnx_ir as ir

from graphspec.derivatives import _prepare as prepare
from graphspec.errors import NoGradientRule, NotDifferentiable
from graphspec.operators import registry

# Nodes named at either end of a long way; what lies between is counted.
_ENDS = 3


def no_rule(node: ir.Node, graph: ir.Graph, i: int, why: str) -> NoGradientRule:
    """The refusal to differentiate a node with respect to its i-th input, those of its subgraphs counted behind."""
    values = [*node.inputs, *prepare.implicit_inputs(node)]
    value = values[i] if i < len(values) else None
    name = (value.name if value is not None else "") or ""
    operator = f"{node.domain or 'ai.onnx'}::{node.op_type}-{graph.opset_imports.get(node.domain)}"
    return NoGradientRule(
        f"{operator} cannot be differentiated with respect to input {i} ({name!r}) of node {node.name!r}: {why}.",
        node=node.name,
        input=name,
        expected="an operator with a derivative rule",
        found=operator,
        hint="Leave out the values of `wrt` that reach it, or rewrite that part with other operators.",
    )


def located(
    error: NoGradientRule, graph: ir.Graph, node: ir.Node, wrt: Sequence[ir.Value], of: Sequence[ir.Value]
) -> NoGradientRule:
    """The refusal with the way from ``wrt`` through the node to ``of``; one from a rule itself gets its node, too."""
    first = error.problems[0]
    moved = prepare.reachable(graph, wrt)
    inputs = [*node.inputs, *prepare.implicit_inputs(node)]
    if first.node is None:
        i = next(k for k, v in enumerate(inputs) if v is not None and v in moved)
        error = no_rule(node, graph, i, first.message.rstrip("."))
        first = error.problems[0]
    entered = [v for v in inputs if v is not None and v in moved]
    named = [v for v in entered if v.name == first.input]
    source = _untyped_since(named[0], moved) if named and named[0].type is None else None
    if source is not None and source.graph is graph and not _is_known(source, graph):
        # The type is unknown because an operator before is: that one is the reason.
        i = next(k for k, v in enumerate(source.inputs) if v is not None and v in moved)
        return located(no_rule(source, graph, i, "the operator has no derivative rule yet"), graph, source, wrt, of)
    start, before = _way(graph, wrt, (named or entered)[:1])
    _, after = _way(graph, node.outputs, of)
    end = next((v.name for v in of if not after or v in after[-1].outputs), "")
    here = node.name or node.op_type
    if first.route:  # found inside of a subgraph: the inner way stands behind the node that runs it
        here += f" ({first.route})"
    route = " → ".join([start, *_shortened(before), here, *_shortened(after), end or ""])
    message = first.message.split(_MARK)[0] + _MARK + route + "."
    return NoGradientRule(problems=[dataclasses.replace(first, message=message, route=route)], message=message)


def _untyped_since(value: ir.Value, moved: set[ir.Value]) -> ir.Node | None:
    """The first node on the way to a value without type whose own inputs have types."""
    node = value.producer()
    while node is not None:
        before = next((v for v in node.inputs if v is not None and v.type is None and v in moved), None)
        if before is None or before.producer() is None:
            return node
        node = before.producer()
    return None


def _is_known(node: ir.Node, graph: ir.Graph) -> bool:
    return registry.find(node.op_type, node.domain, graph.opset_imports.get(node.domain, 0)) is not None


_MARK = " The way there: "


def _way(graph: ir.Graph, start: Sequence[ir.Value], end: Sequence[ir.Value]) -> tuple[str, list[ir.Node]]:
    """The shortest way between any two of the values: the name where it starts, and the nodes on it."""
    users: dict[ir.Value, list[ir.Node]] = {}
    for node in graph:
        for value in prepare.all_inputs(node):
            users.setdefault(value, []).append(node)
    came: dict[ir.Value, tuple[ir.Node, ir.Value]] = {}
    reached = dict.fromkeys(start)
    queue = collections.deque(start)
    while queue:
        value = queue.popleft()
        if value in end:
            nodes = list[ir.Node]()
            while value in came:
                node, value = came[value]
                nodes.append(node)
            return value.name or "", nodes[::-1]
        for node in users.get(value, ()):
            for output in node.outputs:
                if output not in reached:
                    reached[output] = None
                    came[output] = (node, value)
                    queue.append(output)
    return "", []


def _shortened(nodes: list[ir.Node]) -> list[str]:
    """Their names, those in the middle of a long way as a number."""
    names = [node.name or node.op_type for node in nodes]
    left_out = len(names) - 2 * _ENDS
    return names if left_out < 2 else [*names[:_ENDS], f"({left_out} more)", *names[-_ENDS:]]


def connected(graph: ir.Graph, of: Sequence[ir.Value], wrt: Sequence[ir.Value]) -> None:
    """Refuse any ``wrt`` that no ``of`` depends on, and any ``of`` that depends on no ``wrt``.

    Raises:
        NotDifferentiable: There is no path between two of the values named.
    """
    needed = prepare.leading_to(graph, of)
    for value in wrt:
        if value not in needed:
            raise NotDifferentiable(
                f"{_names(of)} does not depend on {value.name!r}.",
                code="not-connected",
                input=value.name,
                expected="a path of nodes from `wrt` to `of`",
                found=f"no path; {_where_to(graph, value)}",
                hint=f"Leave {value.name!r} out of `wrt`, choose an output that depends on it, or allow_unused=True.",
            )
    moved = prepare.reachable(graph, wrt)
    for value in of:
        if value not in moved:
            raise NotDifferentiable(
                f"{value.name!r} does not depend on {_names(wrt)}.",
                code="not-connected",
                expected="a path of nodes from `wrt` to `of`",
                found="no path",
                hint=f"Leave {value.name!r} out of `of`, or allow_unused=True.",
            )


def _where_to(graph: ir.Graph, value: ir.Value) -> str:
    """Which outputs a value leads to, in words."""
    moved = prepare.reachable(graph, [value])
    outputs = [v for v in graph.outputs if v in moved]
    if outputs:
        return f"{value.name!r} leads to {_names(outputs[:_ENDS])}" + (" and others" if outputs[_ENDS:] else "")
    nodes = [node for node in graph if any(v in moved for v in prepare.all_inputs(node))]
    return f"the last node it leads to is {nodes[-1].name!r}" if nodes else "no node reads it"


def _names(values: Sequence[ir.Value]) -> str:
    return ", ".join(repr(v.name) for v in values)
