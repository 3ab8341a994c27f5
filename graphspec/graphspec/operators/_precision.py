"""Arithmetic of the 16-bit floats: NumPy lacks most of bfloat16 and is inexact in float16, so both go by float32."""

from __future__ import annotations

import functools
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir

from graphspec.operators._types import Builder, Value
from graphspec.operators.registry import Array, Kernel

NARROW = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


def wide(x: Array) -> Array:
    """``x`` in float32 if its elements have 16 bits, else ``x`` itself."""
    return x.astype(np.float32) if x.dtype in NARROW else x


def wide_type(op: Builder, x: Value) -> ir.DataType:
    """The dtype that a rule computes in where 16 bits would not do: float32 for them, else that of ``x``."""
    dtype = op.dtype(x)
    return ir.DataType.FLOAT if dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16) else dtype


def widened(kernel: Kernel) -> Kernel:
    """A kernel of floats that computes in float32 where its inputs have 16 bits, and rounds once, to the first's."""

    @functools.wraps(kernel)
    def call(*inputs: Array | None, **attributes: Any) -> Array:
        first = inputs[0]
        if first is None or first.dtype not in NARROW:
            return np.asarray(kernel(*inputs, **attributes))
        wider = [None if x is None else wide(x) for x in inputs]
        return np.asarray(kernel(*wider, **attributes)).astype(first.dtype)

    return call
