"""Checks of derivatives that users can run on their own models."""

from graphspec.testing.check import check_derivatives
from graphspec.testing.report import Comparison, DerivativeMismatchError, DerivativeReport, KinkError
from graphspec.testing.widening import in_dtype

__all__ = [
    "Comparison",
    "DerivativeMismatchError",
    "DerivativeReport",
    "KinkError",
    "check_derivatives",
    "in_dtype",
]
