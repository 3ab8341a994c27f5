"""Passes, model → model: types and constants, common subexpressions, dead nodes, local rewrites, opset upgrades."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import (
    CommonSubexpressionEliminationPass,
    RemoveUnusedNodesPass,
)

from graphspec.optimize.constants import constants_to_initializers, constants_to_nodes
from graphspec.optimize.copying import copied
from graphspec.optimize.peak import peak_bytes
from graphspec.optimize.products import RECOMPUTED, merge_biases, merge_transposes
from graphspec.optimize.propagate import RANDOM, propagate
from graphspec.optimize.sequences import resolve_sequences
from graphspec.optimize.simplify import simplify
from graphspec.optimize.upgrade import upgraded

__all__ = [
    "RECOMPUTED",
    "clean",
    "constants_to_initializers",
    "constants_to_nodes",
    "copied",
    "optimized",
    "peak_bytes",
    "propagate",
    "resolve_sequences",
    "upgraded",
]


def optimized(model: ir.Model) -> ir.Model:
    """A smaller model that computes the same outputs, bit for bit up to the order of equal operations.

    Args:
        model: Any model; it is not changed.
    """
    result = copied(model)
    clean(result)
    return result


def clean(model: ir.Model) -> None:
    """As ``optimized``, in place, for a model that the caller owns."""
    propagate(model)
    simplify(model)
    _merge_equal(model)
    simplify(model)
    RemoveUnusedNodesPass()(model)  # first, so that what is dead uses nothing
    merge_biases(model)
    merge_transposes(model)


def _merge_equal(model: ir.Model) -> None:
    """Compute equal things once, but what is to be computed anew.

    Two draws of random numbers are never equal (the pass knows of some of them only).
    """
    distinct = [
        node
        for node in model.graph.all_nodes()
        if (node.op_type in RANDOM and node.domain == "") or RECOMPUTED in node.metadata_props
    ]
    for i, node in enumerate(distinct):
        node.attributes.add(ir.AttrInt64("distinct", i))
    CommonSubexpressionEliminationPass()(model)
    for node in distinct:
        node.attributes.pop("distinct")
