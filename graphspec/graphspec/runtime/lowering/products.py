"""Matrix products: BLAS takes transposes as flags, so views cost nothing."""

from __future__ import annotations

import numpy as np

from graphspec.runtime.lowering.elementwise import FLOATS
from graphspec.runtime.steps import Emitter, Lowering, Node, Place


def _matmul(emit: Emitter, node: Node) -> Place | None:
    a, b = node.inputs
    if a is None or b is None or a.dtype is None or a.dtype.char not in FLOATS:
        return None
    return emit.call(np.matmul, a, b, out=emit.buffer(node.shape, node.dtype))


def _gemm(emit: Emitter, node: Node) -> Place | None:
    """Alpha × A' B' + beta × C."""
    a, b = node.inputs[:2]
    c = node.inputs[2] if len(node.inputs) > 2 else None
    if a is None or b is None or a.dtype is None or a.dtype.char not in FLOATS:
        return None
    if node.attributes["transA"]:
        a = emit.view(a, np.transpose)
    if node.attributes["transB"]:
        b = emit.view(b, np.transpose)
    out = emit.call(np.matmul, a, b, out=emit.buffer(node.shape, node.dtype))
    alpha, beta = node.attributes["alpha"], node.attributes["beta"]
    if alpha != 1:
        emit.ufunc(np.multiply, out, emit.constant(np.asarray(alpha, node.dtype)), out=out)
    if c is not None and beta != 0:
        if beta != 1:
            scaled = emit.buffer(c.shape or (), c.dtype)
            c = emit.ufunc(np.multiply, c, emit.constant(np.asarray(beta, node.dtype)), out=scaled)
        emit.ufunc(np.add, out, c, out=out)
    return out


LOWERINGS: dict[str, Lowering] = {"MatMul": _matmul, "Gemm": _gemm}
