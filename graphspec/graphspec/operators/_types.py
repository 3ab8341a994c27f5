"""Names that annotations of kernels and rules share."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphspec.operators.builder import Builder
from graphspec.operators.registry import Array, Zero

Value = ir.Value
# A text is the reason why there is no derivative in the input.
Cotangent = Value | Zero | str | None
Cotangents = Sequence[Cotangent] | Cotangent

__all__ = ["Array", "Builder", "Cotangent", "Cotangents", "Value"]
