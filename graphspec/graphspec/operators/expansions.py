"""Operators that only a transform of the whole model can replace: they have neither kernel nor function body.

The transforms live where they belong (``Gradient`` with the derivatives) and register here, so that the runtime can
have them applied without knowing of them.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

Expansion = Callable[[ir.Model], ir.Model]

_EXPANSIONS: dict[tuple[str, str], Expansion] = {}


def expansion(op_type: str, *, domain: str) -> Callable[[Expansion], Expansion]:
    """Register the decorated transform as the one that replaces every node of an operator; it copies the model."""

    def wrap(transform: Expansion) -> Expansion:
        _EXPANSIONS[domain, op_type] = transform
        return transform

    return wrap


def has_expansion(domain: str, op_type: str) -> bool:
    """Whether a transform replaces the operator."""
    return (domain, op_type) in _EXPANSIONS


def expanded(model: ir.Model) -> ir.Model:
    """The model without nodes of such operators; itself where there are none."""
    for (domain, op_type), transform in _EXPANSIONS.items():
        graphs = [model.graph, *(f.graph for f in model.functions.values())]
        if not any(domain in g.opset_imports for g in graphs):
            continue
        if any((node.domain, node.op_type) == (domain, op_type) for g in graphs for node in g.all_nodes()):
            model = transform(model)
    return model
