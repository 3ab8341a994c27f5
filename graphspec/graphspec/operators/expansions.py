"""What takes an operator's place beyond the function bodies of ONNX.

Some operators have neither kernel nor body, and only a transform of the whole model can replace them: the transforms
live where they belong (``Gradient`` with the derivatives) and register here, so that the runtime can have them applied
without knowing of them. Others have a kernel, and a body of ours that derivatives go through.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnx_ir as ir

Expansion = Callable[[ir.Model], ir.Model]
Body = Callable[[ir.Node], onnx.FunctionProto | None]

_EXPANSIONS: dict[tuple[str, str], Expansion] = {}
_BODIES: dict[tuple[str, str], Body] = {}


def expansion(op_type: str, *, domain: str) -> Callable[[Expansion], Expansion]:
    """Register the decorated transform as the one that replaces every node of an operator; it copies the model."""

    def wrap(transform: Expansion) -> Expansion:
        _EXPANSIONS[domain, op_type] = transform
        return transform

    return wrap


def has_expansion(domain: str, op_type: str) -> bool:
    """Whether a transform replaces the operator, or a body of ours."""
    return (domain, op_type) in _EXPANSIONS or (domain, op_type) in _BODIES


def body_of(op_type: str, *, domain: str) -> Callable[[Body], Body]:
    """Register the decorated function as what gives a node of the operator its body; ``None`` leaves the node."""

    def wrap(make: Body) -> Body:
        _BODIES[domain, op_type] = make
        return make

    return wrap


def own_body(node: ir.Node) -> onnx.FunctionProto | None:
    """The body of ours for a node, if there is one."""
    make = _BODIES.get((node.domain, node.op_type))
    return None if make is None else make(node)


def expanded(model: ir.Model) -> ir.Model:
    """The model without nodes of such operators; itself where there are none."""
    for (domain, op_type), transform in _EXPANSIONS.items():
        graphs = [model.graph, *(f.graph for f in model.functions.values())]
        if not any(domain in g.opset_imports for g in graphs):
            continue
        if any((node.domain, node.op_type) == (domain, op_type) for g in graphs for node in g.all_nodes()):
            model = transform(model)
    return model
