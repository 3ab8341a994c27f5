"""Names that annotations of kernels and rules share."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphspec.operators.builder import Builder
from graphspec.operators.registry import Array, Zero

Value = ir.Value
Cotangent = Value | Zero | None
Cotangents = Sequence[Cotangent] | Cotangent

__all__ = ["Array", "Builder", "Cotangent", "Cotangents", "Value"]
