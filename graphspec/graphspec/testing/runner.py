"""Running models as the checks need it: the same random numbers each time, and complex numbers where asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from graphspec.derivatives import _prepare
from graphspec.operators._random import seeded
from graphspec.operators.expansions import expanded
from graphspec.optimize import constants_to_initializers, copied
from graphspec.optimize.propagate import RANDOM
from graphspec.runtime.session import NumpyProvider

_SEED = 5

# Operators whose kernels are analytic functions of complex numbers, or move numbers about; a test tries each.
ANALYTIC = {
    "Add", "Concat", "Constant", "Cos", "Cosh", "Div", "Einsum", "Exp", "Expand", "Flatten", "Gather",
    "Gemm", "Identity", "Log", "MatMul", "Mul", "Neg", "Reciprocal", "ReduceMean", "ReduceSum",
    "ReduceSumSquare", "Reshape", "Shape", "Sin", "Sinh", "Slice", "Split", "Sqrt", "Squeeze", "Sub", "Sum",
    "Tan", "Tanh", "Transpose", "Unsqueeze",
}  # fmt: skip


class Runner:
    """A model, compiled once, run with feeds that are taken as they are.

    Args:
        model: A model that is valid.
        provider: As in ``Session``.
        complexes: Whether to run with complex numbers in place of all floating-point ones.
    """

    def __init__(
        self, model: ir.Model, provider: Literal["numpy", "onnxruntime"] = "numpy", *, complexes: bool = False
    ) -> None:
        self._constants: dict[str, Any] = {}
        self._complex = complexes
        if complexes:
            model = copied(model)
            constants_to_initializers(model)
            tensors = {name: value.const_value for name, value in model.graph.initializers.items()}
            self._constants = {name: tensor.numpy() for name, tensor in tensors.items() if tensor is not None}
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
        if self._complex:
            known = {name: _complex(array) for name, array in {**self._constants, **known}.items()}
        with seeded(_SEED):
            results: dict[str, Any] = self._provider.run(known, tuple(dict.fromkeys(fetches)), None)
        return results


def _complex(array: Any) -> Any:
    return array.astype(np.complex128) if isinstance(array, np.ndarray) and array.dtype == np.float64 else array


def depends_on(model: ir.Model, of: Sequence[str], wrt: Sequence[str]) -> bool:
    """Whether any value of ``of`` depends on any of ``wrt``."""
    values = ir.convenience.create_value_mapping(model.graph)
    needed = _prepare.leading_to(model.graph, [values[name] for name in of])
    return any(values[x] in needed for x in wrt)


def is_narrow(model: ir.Model, of: Sequence[str], wrt: Sequence[str]) -> bool:
    """Whether anything between ``wrt`` and ``of`` is computed in fewer digits than float64 has."""
    values = ir.convenience.create_value_mapping(model.graph)
    moved = _prepare.reachable(model.graph, [values[name] for name in wrt])
    between = moved & _prepare.leading_to(model.graph, [values[name] for name in of])
    return any(_prepare.is_float(v) and v.dtype != ir.DataType.DOUBLE for v in between)


def is_random(model: ir.Model) -> bool:
    """Whether two runs of a model may give different values."""
    return any(node.op_type in RANDOM and node.domain == "" for node in model.graph.all_nodes())


def not_analytic(model: ir.Model, of: Sequence[str]) -> str | None:
    """The first node behind these values that complex numbers cannot go through, in words."""
    values = ir.convenience.create_value_mapping(model.graph)
    needed = _prepare.leading_to(model.graph, [values[name] for name in of])
    for node in model.graph:
        source = node.inputs[0] if node.inputs else None
        if node.op_type == "Cast" and source is not None and not _prepare.is_float(source):
            continue  # what is made from integers has no slope to lose
        if needed.intersection(node.outputs) and (node.domain != "" or node.op_type not in ANALYTIC):
            return f"{node.op_type} (node {node.name!r})"
    return None
