"""Products of matrices, determinants, triangles."""

from __future__ import annotations

import string

import numpy as np
import onnx_ir as ir

from graphspec.operators._precision import wide
from graphspec.operators._rank import known_rank
from graphspec.operators._types import Array, Builder, Cotangents, Value
from graphspec.operators.registry import ZERO, operator


def swap(op: Builder, x: Value) -> Value:
    """``x`` with its last two axes exchanged."""
    rank = op.rank(x) or 2
    return op.Transpose(x, perm=[*range(rank - 2), rank - 1, rank - 2])  # type: ignore[no-any-return]


# --- MatMul ---------------------------------------------------------------------------------------------------------


@operator("MatMul", since=1)
def matmul(A: Array, B: Array) -> Array:
    """Y = A @ B, as NumPy's matmul: a vector is a row on the left, a column on the right; leading axes broadcast."""
    return np.asarray(np.matmul(wide(A), wide(B)), dtype=A.dtype)


@matmul.vjp
def matmul_vjp(op: Builder, dY: Value, Y: Value, A: Value, B: Value) -> Cotangents:
    """dA = dY @ Bᵀ, dB = Aᵀ @ dY; of a vector, the outer or inner product that this is then."""
    a, b = known_rank(op, A, "MatMul"), known_rank(op, B, "MatMul")
    if a == 1 and b == 1:
        return op.Mul(dY, B), op.Mul(dY, A)
    if a == 1:  # dY (..., n), B (..., k, n)
        dA = op.MatMul(B, dY) if b == 2 else _squeezed(op, op.MatMul(B, op.Unsqueeze(dY, op.ints([-1]))), -1)
        return dA, op.Mul(op.Unsqueeze(A, op.ints([-1])), op.Unsqueeze(dY, op.ints([-2])))
    if b == 1:  # dY (..., m), A (..., m, k)
        dA = op.Mul(op.Unsqueeze(dY, op.ints([-1])), B)
        return dA, op.MatMul(op.reshape(dY, [-1]), _rows(op, A))
    if a == 2 and b == 2:  # Gemm transposes for free
        return op.Gemm(dY, B, transB=1), op.Gemm(A, dY, transA=1)
    sums = op.opset >= _BFLOAT16_EINSUM or op.dtype(A) != ir.DataType.BFLOAT16
    if sums and (
        a == 2 or b == 2 or _same_batch(op, A, B)
    ):  # Einsum transposes for free, and sums over the batch in one product
        batch = _LABELS[: max(a, b) - 2]
        left, right = batch[: a - 2] + "xy", batch[: b - 2] + "yz"
        dA = op.Einsum(dY, B, equation=f"{batch}xz,{right}->{left}")
        return dA, op.Einsum(A, dY, equation=f"{left},{batch}xz->{right}")
    return op.MatMul(dY, swap(op, B)), op.MatMul(swap(op, A), dY)


# The opset that gave Einsum this type.
_BFLOAT16_EINSUM = 28
_LABELS = "".join(c for c in string.ascii_lowercase if c not in "xyz")


def _same_batch(op: Builder, A: Value, B: Value) -> bool:
    """Whether A and B are stacks of matrices that are equal in number: nothing is broadcast."""
    a, b = op.dims(A), op.dims(B)
    return a is not None and b is not None and a[:-2] == b[:-2] and None not in a[:-2]


def _squeezed(op: Builder, x: Value, axis: int) -> Value:
    return op.Squeeze(x, op.ints([axis]))  # type: ignore[no-any-return]


def _rows(op: Builder, x: Value) -> Value:
    """``x`` as a matrix: all but the last axis in one."""
    return x if op.rank(x) == 2 else op.Flatten(x, axis=-1)


@operator("MatMulInteger", since=10, rule=ZERO)
def matmul_integer(A: Array, B: Array, a_zero_point: Array | None = None, b_zero_point: Array | None = None) -> Array:
    """Y = (A - a_zero_point) @ (B - b_zero_point) in int32; zero points per tensor, per row of A, per column of B."""
    left, right = A.astype(np.float64), B.astype(np.float64)  # exact in float64, and BLAS is fast
    if a_zero_point is not None:
        left -= a_zero_point[:, None] if a_zero_point.ndim == 1 and a_zero_point.size > 1 else a_zero_point
    if b_zero_point is not None:
        right -= b_zero_point
    return np.asarray(np.matmul(left, right)).astype(np.int64).astype(np.int32)


# --- Gemm -----------------------------------------------------------------------------------------------------------


@operator("Gemm", since=7)
def gemm(
    A: Array,
    B: Array,
    C: Array | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Array:
    """Y = alpha · A' @ B' + beta · C, with A' = Aᵀ if transA, and B' likewise; C broadcasts to Y."""
    if A.ndim != 2 or B.ndim != 2:
        raise ValueError(f"A and B must be matrices, not of rank {A.ndim} and {B.ndim}.")
    left, right = wide(A), wide(B)
    Y = (left.T if transA else left) @ (right.T if transB else right)
    if alpha != 1.0:
        Y = alpha * Y
    if C is not None:
        if np.broadcast_shapes(Y.shape, C.shape) != Y.shape:
            raise ValueError(f"C of shape {C.shape} cannot be broadcast to {Y.shape}.")
        Y = Y + (wide(C) if beta == 1.0 else beta * wide(C))
    return np.asarray(Y).astype(A.dtype, copy=False)


@gemm.vjp
def gemm_vjp(
    op: Builder, dY: Value, Y: Value, A: Value, B: Value, C: Value | None = None,
    *, alpha: float, beta: float, transA: int, transB: int,
) -> Cotangents:  # fmt: skip
    """dA' = alpha · dY @ B'ᵀ, dB' = alpha · A'ᵀ @ dY, dC = beta · dY; each transposed back."""

    def product(a: Value, b: Value, swap_a: int, swap_b: int) -> Value:
        scale = None if alpha == 1.0 else alpha
        return op.Gemm(a, b, alpha=scale, transA=swap_a or None, transB=swap_b or None)  # type: ignore[no-any-return]

    dA = product(B, dY, transB, 1) if transA else product(dY, B, 0, 1 - transB)
    dB = product(dY, A, 1, transA) if transB else product(A, dY, 1 - transA, 0)
    return dA, dB, dY if beta == 1.0 else op.Mul(dY, op.scalar(beta, like=dY))


@operator("Gemm", since=1)
def gemm_1(
    A: Array, B: Array, C: Array, *, alpha: float = 1.0, beta: float = 1.0, broadcast: int = 0, transA: int = 0,
    transB: int = 0,
) -> Array:  # fmt: skip
    """As ever since, but C only broadcasts where ``broadcast`` says so."""
    return gemm.kernel(A, B, C, alpha=alpha, beta=beta, transA=transA, transB=transB)  # type: ignore[no-any-return]


# --- Det ------------------------------------------------------------------------------------------------------------


@operator("Det", since=11)
def det(X: Array) -> Array:
    """Y = |X| for each matrix of the last two axes."""
    if X.ndim < 2 or X.shape[-1] != X.shape[-2]:
        raise ValueError(f"X must hold square matrices, not shape {X.shape}.")
    with np.errstate(all="ignore"):
        return np.asarray(np.linalg.det(wide(X)), dtype=X.dtype)


@det.vjp
def det_vjp(op: Builder, dY: Value, Y: Value, X: Value) -> Cotangents:
    """dX = dY · cofactors of X, where cofactor (i, j) is the determinant of X with row i replaced by the unit vector j.

    No inverse, so this is exact for singular matrices too, at the price of n⁴ numbers for a matrix of n².
    """
    dims = op.dims(X)
    n = dims[-1] if dims is not None and isinstance(dims[-1], int) else dims[-2] if dims is not None else None
    if isinstance(n, int):
        unit = op.const(np.eye(n, dtype=np.bool_))
    else:
        numbers = op.Range(op.const(np.int64(0)), op.reshape(op.dim(X, -1), []), op.const(np.int64(1)))
        unit = op.Equal(op.Unsqueeze(numbers, op.ints([1])), numbers)
    row_i = op.Unsqueeze(unit, op.ints([1, 3]))  # axes (i, j, row, column): row == i
    unit_j = op.cast(op.Unsqueeze(unit, op.ints([1])), X)  # (j, 1, column): column == j
    replaced = op.Where(row_i, unit_j, op.Unsqueeze(X, op.ints([-3, -4])))
    return op.Mul(op.Unsqueeze(dY, op.ints([-1, -2])), op.Det(replaced))  # type: ignore[no-any-return]


# --- Trilu ----------------------------------------------------------------------------------------------------------


@operator("Trilu", since=14)
def trilu(input: Array, k: Array | None = None, *, upper: int = 1) -> Array:
    """The part on and above (below, unless ``upper``) the k-th diagonal of the last two axes; 0 elsewhere."""
    if input.ndim < 2:
        raise ValueError(f"input must hold matrices, not shape {input.shape}.")
    reach = input.shape[-1] + input.shape[-2]
    diagonal = 0 if k is None else min(max(int(k.reshape(())), -reach), reach)
    return np.asarray(np.triu(input, diagonal) if upper else np.tril(input, diagonal))


@trilu.vjp
def trilu_vjp(op: Builder, dY: Value, Y: Value, input: Value, k: Value | None = None, *, upper: int) -> Cotangents:
    """The same part of dY."""
    return op.Trilu(dY, k, upper=upper), None
