"""Derivatives of operators that only move elements: they apply the same move to the elements' positions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphspec.operators._types import Builder, Value


def positions(op: Builder, X: Value) -> Value:
    """The row-major position of each element of ``X``, as an int64 tensor of its shape."""
    zero, one = op.const(np.int64(0)), op.const(np.int64(1))
    return op.reshape_like(op.Range(zero, op.size(X), one), X)


def scatter_back(op: Builder, dY: Value, X: Value, move: Callable[[Value], Value]) -> Value:
    """The cotangent of ``X`` for ``Y = move(X)``: each dY is added to the place its element came from.

    Args:
        op: The builder.
        dY: Cotangent of the output.
        X: The input; any rank, known or not.
        move: Emits the operator on an int64 tensor of the shape of ``X``.
    """
    sources = op.reshape(move(positions(op, X)), [-1])
    count = op.reshape(op.size(X), [1])
    zeros = op.expand(op.scalar(0, X), count)
    flat: Value = op.ScatterElements(zeros, sources, op.reshape(dY, [-1]), axis=0, reduction="add")
    return op.reshape_like(flat, X)


def shape_of(op: Builder, *parts: int | Value) -> Value:
    """An int64 vector put together from numbers and vectors of length 1: a constant when all are numbers."""
    if all(isinstance(part, int) for part in parts):
        return op.ints(part for part in parts if isinstance(part, int))
    pieces = [op.ints([part]) if isinstance(part, int) else part for part in parts]
    joined: Value = op.Concat(*pieces, axis=0)
    return joined
