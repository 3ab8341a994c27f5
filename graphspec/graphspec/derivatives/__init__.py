"""Derivatives as graphs: reverse mode, and what is composed from it."""

from graphspec.derivatives import gradient_operator  # noqa: F401 - registers the expansion of Gradient
from graphspec.derivatives.compositions import grad, vjp

__all__ = ["grad", "vjp"]
