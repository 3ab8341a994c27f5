"""Arithmetic of tensors with broadcasting: + - × ÷, powers, sums and means of several, extrema."""

from __future__ import annotations

import numpy as np

from graphspec.operators.registry import Array, operator

# Before opset 7 these had an attribute for a limited broadcast; that form is not written here.


@operator("Add", since=7)
def add(A: Array, B: Array) -> Array:
    """C = A + B."""
    return np.add(A, B)


@add.vjp
def add_vjp(op, dC, C, A, B):  # type: ignore[no-untyped-def]
    """dA = dC, dB = dC."""
    return dC, dC


@operator("Sub", since=7)
def sub(A: Array, B: Array) -> Array:
    """C = A - B."""
    return np.subtract(A, B)


@sub.vjp
def sub_vjp(op, dC, C, A, B):  # type: ignore[no-untyped-def]
    """dA = dC, dB = -dC."""
    return dC, op.Neg(dC)


@operator("Mul", since=7)
def mul(A: Array, B: Array) -> Array:
    """C = A × B."""
    return np.multiply(A, B)


@mul.vjp
def mul_vjp(op, dC, C, A, B):  # type: ignore[no-untyped-def]
    """dA = dC × B, dB = dC × A."""
    return op.Mul(dC, B), op.Mul(dC, A)
