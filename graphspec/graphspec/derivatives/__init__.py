"""Derivatives as graphs: reverse mode, forward mode, and what is composed from them."""

from graphspec.derivatives import gradient_operator  # noqa: F401 - registers the expansion of Gradient
from graphspec.derivatives.compositions import grad, vjp
from graphspec.derivatives.forward import hvp, jvp

__all__ = ["grad", "hvp", "jvp", "vjp"]
