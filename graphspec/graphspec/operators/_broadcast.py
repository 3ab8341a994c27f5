"""The broadcasting of opsets below 7: an attribute switched it on, and the second input might sit at any axis."""

from __future__ import annotations

import functools

import numpy as np

from graphspec.operators.registry import Array, Kernel, Operator, register


def limited(op_type: str, kernel: Kernel) -> Operator:
    """Register the form of opsets 1 to 6 of an elementwise operator of two inputs.

    It has no rule: what is differentiated is converted to a later opset first.
    """
    return register(Operator(op_type, 1, functools.partial(_limited, kernel)))


def _limited(kernel: Kernel, A: Array, B: Array, *, axis: int | None = None, broadcast: int = 0) -> Array:
    if not broadcast:
        if A.shape != B.shape:
            raise ValueError(f"Shapes {A.shape} and {B.shape} differ and `broadcast` is not set.")
        return np.asarray(kernel(A, B))
    first = A.ndim - B.ndim if axis is None else axis + A.ndim * (axis < 0)
    part = A.shape[max(first, 0) : first + B.ndim]
    if len(part) != B.ndim or any(b not in (1, a) for a, b in zip(part, B.shape, strict=True)):
        raise ValueError(f"Shape {B.shape} is no part of {A.shape} at axis {first}.")
    return np.asarray(kernel(A, B.reshape(B.shape + (1,) * (A.ndim - first - B.ndim))))
