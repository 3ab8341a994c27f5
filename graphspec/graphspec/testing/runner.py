"""Running models as the checks need it: the same random numbers each time, and complex numbers where asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import onnx_ir as ir

from graphspec.derivatives import _prepare
from graphspec.operators._random import seeded
from graphspec.operators.expansions import expanded
from graphspec.optimize.propagate import RANDOM
from graphspec.runtime.session import NumpyProvider

_SEED = 5

# Operators whose kernels are analytic functions of complex numbers, or move numbers about; a test tries each.
ANALYTIC = {
    "Add", "Cast", "Concat", "Constant", "Cos", "Cosh", "Div", "Einsum", "Exp", "Expand", "Flatten", "Gather",
    "Gemm", "Identity", "Log", "MatMul", "Mul", "Neg", "Pow", "Reciprocal", "ReduceMean", "ReduceSum",
    "ReduceSumSquare", "Reshape", "Shape", "Sin", "Sinh", "Slice", "Split", "Sqrt", "Squeeze", "Sub", "Sum",
    "Tan", "Tanh", "Transpose", "Unsqueeze",
}  # fmt: skip


class Runner:
    """A model, compiled once, run with feeds that are taken as they are.

    Args:
        model: A model that is valid.
        provider: As in ``Session``.
    """

    def __init__(self, model: ir.Model, provider: Literal["numpy", "onnxruntime"] = "numpy") -> None:
        self._inputs = {v.name for v in model.graph.inputs} | set(model.graph.initializers)
        self._provider: Any
        if provider == "numpy":
            self._provider = NumpyProvider(expanded(model), optimize=False)
        else:
            from graphspec.runtime.ort import OnnxRuntimeProvider  # optional dependency: only where it is asked for

            self._inputs -= set(model.graph.initializers)
            self._provider = OnnxRuntimeProvider(expanded(model))

    def run(self, feeds: Mapping[str, Any], fetches: Sequence[str]) -> dict[str, Any]:
        """The values of these names; feeds that the model does not have are of no effect."""
        known = {name: feed for name, feed in feeds.items() if name in self._inputs}
        with seeded(_SEED):
            results: dict[str, Any] = self._provider.run(known, tuple(dict.fromkeys(fetches)), None)
        return results


def depends_on(model: ir.Model, of: Sequence[str], x: str) -> bool:
    """Whether any of these values depends on ``x``."""
    values = ir.convenience.create_value_mapping(model.graph)
    return x in values and values[x] in _prepare.leading_to(model.graph, [values[name] for name in of])


def is_random(model: ir.Model) -> bool:
    """Whether two runs of a model may give different values."""
    return any(node.op_type in RANDOM and node.domain == "" for node in model.graph.all_nodes())


def not_analytic(model: ir.Model, of: Sequence[str]) -> str | None:
    """The first node behind these values that complex numbers cannot go through, in words."""
    values = ir.convenience.create_value_mapping(model.graph)
    needed = _prepare.leading_to(model.graph, [values[name] for name in of])
    for node in model.graph:
        if needed.intersection(node.outputs) and (node.domain != "" or node.op_type not in ANALYTIC):
            return f"{node.op_type} (node {node.name!r})"
    return None
