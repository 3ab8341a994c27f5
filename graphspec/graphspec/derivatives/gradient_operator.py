"""``Gradient`` of ai.onnx.preview.training: each node is replaced by the reverse mode that it stands for.

``Gradient(x.., z..) <xs, zs, y>`` names values of its own graph: y as a function of xs and zs. Its inputs are where the
derivative is taken. Where they are the named values themselves, the nodes that compute y are differentiated as they
stand; elsewhere a copy of them is put in first, with the inputs in place of the named values. As y may be the output
of another Gradient, the inner ones go first.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir
from onnx_ir.passes.common import NameFixPass

from graphspec.derivatives import _prepare as prepare
from graphspec.derivatives import reverse
from graphspec.derivatives._refusals import connected
from graphspec.errors import UnsupportedError, ValidationError
from graphspec.operators.builder import Builder
from graphspec.operators.expansions import expansion
from graphspec.optimize import propagate

_DOMAIN = "ai.onnx.preview.training"


@expansion("Gradient", domain=_DOMAIN)
def expand_gradients(model: ir.Model) -> ir.Model:
    """A copy of the model, its ``Gradient`` nodes replaced; the derivative of a tensor is that of its sum.

    Raises:
        NotDifferentiable: A value is unknown, not floating point, or not connected.
        NoGradientRule: An operator on the way has no rule.
        UnsupportedError: A ``Gradient`` stands in a function or a subgraph.
        ValidationError: Its values depend on each other in a way that has no meaning.
    """
    _refuse_nested(model)
    flat = prepare.flat_copy(model, fold=False)
    while pending := _gradients(flat.graph):
        node = next((node for node in pending if not _waits(flat.graph, node, pending)), None)
        if node is None:
            raise ValidationError(
                f"The Gradient node {pending[0].name!r} differentiates a value that depends on its own result.",
                code="cycle",
                node=pending[0].name,
            )
        _expand(flat, node)
        flat.graph.sort()
        propagate(flat, fold=False)
    if not any(node.domain == _DOMAIN for node in flat.graph.all_nodes()):  # no optimiser either
        del flat.graph.opset_imports[_DOMAIN]
    return flat


def _is_gradient(node: ir.Node) -> bool:
    return node.op_type == "Gradient" and node.domain == _DOMAIN


def _gradients(graph: ir.Graph) -> list[ir.Node]:
    return [node for node in graph if _is_gradient(node)]


def _refuse_nested(model: ir.Model) -> None:
    """Its attributes are names of the graph around it; in a function or a loop those are not one value."""
    top = set(model.graph)
    inner = [n for n in model.graph.all_nodes() if n not in top]
    inner += [n for function in model.functions.values() for n in function.all_nodes()]
    for node in inner:
        if _is_gradient(node):
            raise UnsupportedError(
                f"The Gradient node {node.name!r} stands in a function or a subgraph.",
                node=node.name,
                expected="a node of the main graph",
                hint="Move it, and what it differentiates, into the main graph.",
            )


def _names(node: ir.Node, attribute: str) -> list[str]:
    return list(node.attributes[attribute].as_strings()) if attribute in node.attributes else []


def _waits(graph: ir.Graph, node: ir.Node, pending: Sequence[ir.Node]) -> bool:
    """Whether the value that the node differentiates depends on a Gradient still there."""
    values = ir.convenience.create_value_mapping(graph)
    y = values.get(node.attributes["y"].as_string())
    needed = set() if y is None else prepare.leading_to(graph, [y])
    return any(v in needed for other in pending for v in other.outputs)


def _expand(flat: ir.Model, node: ir.Node) -> None:
    graph = flat.graph
    wanted = [i for i, output in enumerate(node.outputs) if output.name]
    xs, zs, y = _names(node, "xs"), _names(node, "zs"), node.attributes["y"].as_string()
    given = [v for v in node.inputs if v is not None]
    if not len(given) == len(node.inputs) == len(xs) + len(zs) or len(node.outputs) > len(xs):
        raise ValidationError(
            f"The Gradient node {node.name!r} has {len(given)} inputs and {len(node.outputs)} outputs.",
            code="arity",
            node=node.name,
            expected=f"{len(xs)} for xs and {len(zs)} for zs, and at most {len(xs)} outputs",
        )
    prepare.named_values(graph, [y], "y")
    prepare.named_values(graph, xs, "xs")
    _check_independent(graph, node, [*xs, *zs])
    prepare.expand_ruleless(flat, [y], [xs[i] for i in wanted])

    values = ir.convenience.create_value_mapping(graph)
    named = [values[name] for name in (*xs, *zs)]
    target = values[y]
    connected(graph, [target], [named[i] for i in wanted])
    op = prepare.builder_of(flat)
    if any(a is not b for a, b in zip(named, node.inputs, strict=True)):
        named, target = _copy(flat, node, named, target, op)
    results = reverse.backward(graph, {target: op.ones_like(target)}, [named[i] for i in wanted], op)
    for i, dX in zip(wanted, results, strict=True):
        old, new = node.outputs[i], op.Identity(dX)
        old.replace_all_uses_with(new, replace_graph_outputs=True)
        name, old.name = old.name, None
        new.name, new.type, new.shape = name, named[i].type, named[i].shape
    graph.extend(op.nodes)
    graph.remove(node, safe=True)


def _check_independent(graph: ir.Graph, node: ir.Node, names: Sequence[str]) -> None:
    values = ir.convenience.create_value_mapping(graph)
    unknown = [name for name in names if name not in values]
    if unknown:
        prepare.named_values(graph, unknown[:1], "zs")
    for name in names:
        moved = prepare.reachable(graph, [values[name]])
        also = next((other for other in names if other != name and values[other] in moved), None)
        if also is not None:
            raise ValidationError(
                f"The Gradient node {node.name!r} names {name!r} and {also!r}, which depends on it.",
                code="dependent-variables",
                node=node.name,
                expected="xs and zs that do not depend on each other",
                hint=f"Leave out {name!r} or {also!r}.",
            )


def _copy(
    flat: ir.Model, node: ir.Node, named: Sequence[ir.Value], target: ir.Value, op: Builder
) -> tuple[list[ir.Value], ir.Value]:
    """Copy, into the graph, what leads from ``named`` to ``target``, fed with the node's inputs instead.

    Returns:
        What stands for ``named`` and for ``target`` in the copy.
    """
    graph = flat.graph
    moved, needed = prepare.reachable(graph, named), prepare.leading_to(graph, [target])
    nodes = [
        n
        for n in graph
        if any(v in moved for v in prepare.all_inputs(n)) and any(v in needed for v in n.outputs) and n is not node
    ]
    own = {*named, *(v for n in nodes for v in n.outputs)}
    outer = list(dict.fromkeys(v for n in nodes for v in prepare.all_inputs(n) if v not in own))
    copy = ir.GraphView([*named, *outer], [target], nodes=nodes, opset_imports=graph.opset_imports).clone()
    starts, end, copies = list(copy.inputs), copy.outputs[0], list(copy)
    copy.inputs.clear()
    copy.outputs.clear()
    copy.remove(copies)
    # A value of its own for each name, even where one value is given for two.
    fed = [op.Identity(given) for given in node.inputs]
    for start, value in zip(starts, [*fed, *outer], strict=True):
        if (value.type, value.shape) != (start.type, start.shape):
            raise ValidationError(
                f"An input of the Gradient node {node.name!r} cannot stand in for {start.name!r}.",
                code="type-mismatch",
                node=node.name,
                expected=f"{start.type}{start.shape}",
                found=f"{value.type}{value.shape}",
            )
        start.replace_all_uses_with(value)
    for one in copies:
        one.name = op.fresh(one.name or one.op_type)
        for output in one.outputs:
            if output.name:
                output.name = op.fresh(output.name)
    graph.extend([*op.nodes, *copies])
    op.nodes.clear()
    graph.sort()
    NameFixPass()(flat)  # subgraphs of the copies
    return fed, end
