"""The derivative of a product over axes: products of all elements but one, without a division."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from graphspec.operators._rank import known_rank
from graphspec.operators._types import Builder, Value

# Products of all but one of n are taken as n rows of n; longer axes are folded in two first.
_LONG = 32


def product_vjp(op: Builder, g: Value, x: Value, axes: list[int] | None, like: Value) -> Value:
    """g · ∏ of the others, one axis after the other: the product over two axes is a product of products.

    Args:
        op: The builder.
        g: Cotangent of the product, dimensions kept (or a scalar).
        x: What was multiplied.
        axes: The axes, none negative; ``None`` when they come at run time.
        like: Any value with the shape that ``x`` has once reduced; read only when ``axes`` is ``None``.
    """
    rank = known_rank(op, x, "ReduceProd")
    if axes is None:
        return _at_run_time(op, g, x, rank, like)
    factors = []
    for axis in axes:
        factors.append(all_but_one(op, x, axis, rank))
        x = op.ReduceProd(x, op.ints([axis]))
    for factor in reversed(factors):
        g = op.Mul(g, factor)
    return g


def _at_run_time(op: Builder, g: Value, x: Value, rank: int, like: Value) -> Value:
    """As above over every axis, where an axis that is not reduced multiplies by one."""
    reduced = op.Not(op.Equal(op.shape(x), op.shape(like)))  # an axis of length 1 counts as kept: all the same
    factors = []
    for axis in range(rank):
        this = op.Slice(reduced, op.ints([axis]), op.ints([axis + 1]))
        one = op.Where(this, all_but_one(op, x, axis, rank), op.scalar(1, x))
        factors.append(one)
        x = op.ReduceProd(x, op.Compress(op.ints([axis]), this, axis=0), noop_with_empty_axes=1)
        x.shape = ir.Shape([None] * rank)
    for factor in reversed(factors):
        g = op.Mul(g, factor)
    return g


def all_but_one(op: Builder, x: Value, axis: int, rank: int) -> Value:
    """For each element of ``x`` the product of the others along ``axis``, in the shape of ``x``.

    Memory: n times that of ``x`` for a short or symbolic axis of length n; for a long one about n ** (1/2) times.
    """
    dims = op.dims(x)
    n = None if dims is None else dims[axis]
    if isinstance(n, int) and n > _LONG:
        return _folded(op, x, axis, rank, n)
    if isinstance(n, int):
        diagonal = op.const(np.eye(n, dtype=np.bool_).reshape(n, n, *[1] * (rank - axis - 1)))
    else:
        length = op.reshape(op.dim(x, axis), [])
        numbers = op.Range(op.const(np.int64(0)), length, op.const(np.int64(1)))
        square = op.Equal(op.Unsqueeze(numbers, op.ints([1])), numbers)
        diagonal = op.Unsqueeze(square, op.ints(range(2, rank - axis + 1))) if rank - axis > 1 else square
    rows = op.Where(diagonal, op.scalar(1, x), op.Unsqueeze(x, op.ints([axis])))
    out: Value = op.ReduceProd(rows, op.ints([axis + 1]), keepdims=0)
    out.shape = x.shape if x.shape is not None else out.shape
    return out


def _folded(op: Builder, x: Value, axis: int, rank: int, n: int) -> Value:
    """Along an axis folded into rows: (others in the row) · (other rows); ones fill the last row up."""
    columns = math.isqrt(n - 1) + 1
    rows = -(-n // columns)
    head = [op.dim(x, a) for a in range(axis)]
    tail = [op.dim(x, a) for a in range(axis + 1, rank)]
    if rows * columns > n:
        filling = op.expand(op.scalar(1, x), _joined(op, [*head, op.ints([rows * columns - n]), *tail]))
        x = op.Concat(x, filling, axis=axis)
    folded = op.reshape(x, _joined(op, [*head, op.ints([rows, columns]), *tail]))
    within = all_but_one(op, folded, axis + 1, rank + 1)
    between = all_but_one(op, op.ReduceProd(folded, op.ints([axis + 1])), axis, rank + 1)
    out = op.reshape(op.Mul(within, between), _joined(op, [*head, op.ints([rows * columns]), *tail]))
    return op.Slice(out, op.ints([0]), op.ints([n]), op.ints([axis])) if rows * columns > n else out


def _joined(op: Builder, parts: list[Value]) -> Value:
    joined: Value = parts[0] if len(parts) == 1 else op.Concat(*parts, axis=0)
    return joined
