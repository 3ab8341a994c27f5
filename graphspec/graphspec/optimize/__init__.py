"""Passes, model → model: types and constants, common subexpressions, dead nodes, local rewrites, opset upgrades."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import (
    CommonSubexpressionEliminationPass,
    RemoveUnusedNodesPass,
)

from graphspec.optimize.copying import copied
from graphspec.optimize.propagate import propagate
from graphspec.optimize.simplify import simplify
from graphspec.optimize.upgrade import upgraded

__all__ = ["clean", "copied", "optimized", "propagate", "upgraded"]


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
    CommonSubexpressionEliminationPass()(model)
    simplify(model)
    RemoveUnusedNodesPass()(model)
