"""Products of matrices, and what belongs to them."""

from __future__ import annotations

import numpy as np

from graphspec.operators.registry import Array, operator


@operator("MatMul", since=1)
def matmul(A: Array, B: Array) -> Array:
    """Y = A @ B, as NumPy's matmul: a vector is a row on the left, a column on the right; leading axes broadcast."""
    return np.asarray(np.matmul(A, B))


@matmul.vjp
def matmul_vjp(op, dY, Y, A, B):  # type: ignore[no-untyped-def]
    """dA = dY @ Bᵀ, dB = Aᵀ @ dY."""
    if op.rank(A) == 2 and op.rank(B) == 2:  # Gemm transposes for free
        return op.Gemm(dY, B, transB=1), op.Gemm(A, dY, transA=1)
    return None, None


@operator("Gemm", since=13)
def gemm(
    A: Array, B: Array, C: Array | None = None, *, alpha: float = 1.0, beta: float = 1.0, transA: int = 0, transB: int = 0
) -> Array:
    """Y = alpha · A' @ B' + beta · C, with A' = Aᵀ if transA, and B' likewise."""
    Y = (A.T if transA else A) @ (B.T if transB else B)
    return Y
