"""Reverse mode: one loop over the nodes, backwards.

The chain rule is here and nowhere else: cotangents of a value used more than once are summed, what was broadcast
forward is summed backward, and a rule is only asked for nodes that lie between ``wrt`` and ``of``.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphspec.derivatives import _prepare as prepare
from graphspec.derivatives import control_flow, sequences
from graphspec.derivatives._refusals import located, no_rule
from graphspec.errors import NoGradientRule
from graphspec.operators import registry
from graphspec.operators.attributes import attributes_of
from graphspec.operators.builder import Builder
from graphspec.operators.registry import ZERO, Operator, Zero

Cotangents = dict[ir.Value, list[sequences.Part]]


def backward(graph: ir.Graph, seeds: dict[ir.Value, ir.Value], wrt: Sequence[ir.Value], op: Builder) -> list[ir.Value]:
    """Emit the nodes of a vector-Jacobian product.

    Args:
        graph: A flat, sorted, typed graph that the caller owns; nodes may be made to put out more than they did.
        seeds: Cotangent of each output asked for; of the same shape and dtype.
        wrt: Values to differentiate with respect to.
        op: Builder that takes the nodes.

    Returns:
        One cotangent per value of ``wrt``, of exactly its shape and dtype.

    Raises:
        NoGradientRule: A node on the way has no rule for an input on the way.
    """
    moved = prepare.reachable(graph, wrt)
    cotangents: Cotangents = {value: [seed] for value, seed in seeds.items()}
    for node in reversed(graph):
        if not any(v in moved for v in node.outputs) or not any(v in cotangents for v in node.outputs):
            continue
        inputs = [v for v in prepare.all_inputs(node) if v in moved]
        if not inputs:  # the node is where a wrt value comes from: nothing upstream is asked for
            continue
        dYs = [_total(op, cotangents.get(v), v) for v in node.outputs]
        try:
            pulled = _pull(op, graph, node, dYs, moved)
        except NoGradientRule as error:
            raise located(error, graph, node, wrt, list(seeds)) from error
        for value, dX in pulled:
            cotangents.setdefault(value, []).append(dX)
    return [_total(op, cotangents.get(v), v) or sequences.zeros(op, v) for v in wrt]


def _total(op: Builder, parts: list[sequences.Part] | None, value: ir.Value) -> ir.Value | None:
    """The sum of a value's cotangents, kept so that it is emitted once."""
    if not parts:
        return None
    if not prepare.is_float(value):
        parts[:] = [sequences.total(op, parts, value)]
    elif len(parts) > 1:
        total = op.Add(*parts) if len(parts) == 2 else op.Sum(*parts)
        total.shape = value.shape if value.shape is not None else total.shape
        parts[:] = [total]
    (only,) = parts
    assert isinstance(only, ir.Value)
    return only


def _pull(
    op: Builder, graph: ir.Graph, node: ir.Node, dYs: list[ir.Value | None], moved: set[ir.Value]
) -> sequences.Pulled:
    """The cotangents that one node hands to its inputs."""
    entry = registry.find(node.op_type, node.domain, graph.opset_imports.get(node.domain, 0))
    if entry is not None and entry.rule is ZERO:
        return []
    first = next(
        i for i, v in enumerate([*node.inputs, *prepare.implicit_inputs(node)]) if v is not None and v in moved
    )
    if node.domain == "" and node.op_type in control_flow.RULES:

        def refuse(value: ir.Value, why: str) -> NoGradientRule:
            return no_rule(node, graph, [*node.inputs, *prepare.implicit_inputs(node)].index(value), why)

        return list(control_flow.RULES[node.op_type](op, node, dYs, moved, backward, refuse))
    if sequences.is_plumbing(node):
        assert dYs[0] is not None
        return sequences.vjp(op, node, dYs[0], moved)
    if entry is None or entry.rule is None or isinstance(entry.rule, Zero):
        raise no_rule(node, graph, first, "the operator has no derivative rule yet")
    if prepare.implicit_inputs(node):
        raise no_rule(node, graph, first, "values used inside its subgraphs have no derivative rule yet")
    results = _call(op, graph, entry, node, dYs, first)
    pulled: sequences.Pulled = []
    for i, (value, dX) in enumerate(zip(node.inputs, results, strict=True)):
        if value is None or value not in moved or dX is ZERO or prepare.is_discrete(value):
            continue
        if not prepare.is_float(value):
            raise no_rule(node, graph, i, f"values of type {value.type} have no derivative yet")
        if dX is None or isinstance(dX, str):
            raise no_rule(node, graph, i, dX or "its rule does not cover this input yet")
        dX = op.unbroadcast(dX, value)
        if dX.dtype is not None and dX.dtype != value.dtype:
            raise no_rule(node, graph, i, f"its rule gives {dX.dtype} for a value of {value.dtype}")
        pulled.append((value, dX))
    return pulled


def _call(
    op: Builder, graph: ir.Graph, entry: Operator, node: ir.Node, dYs: list[ir.Value | None], first: int
) -> list[ir.Value | Zero | str | None]:
    rule = entry.rule
    assert callable(rule)
    if not entry.all_outputs and any(dY is not None for dY in dYs[1:]):
        which = next(i for i, dY in enumerate(dYs) if i and dY is not None)
        raise no_rule(node, graph, first, f"its rule does not cover output {which} ({node.outputs[which].name!r}) yet")
    attributes = {**entry.attributes, **attributes_of(node)}
    if entry.all_outputs:
        results = rule(op, tuple(dYs), tuple(node.outputs), *node.inputs, **attributes)
    else:
        results = rule(op, dYs[0], node.outputs[0], *node.inputs, **attributes)
    results = list(results) if isinstance(results, tuple | list) else [results]
    # A rule lists the schema's inputs; optional ones that the node leaves out at the end carry nothing.
    return (results + [None] * len(node.inputs))[: len(node.inputs)]
