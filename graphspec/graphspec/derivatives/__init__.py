"""Derivatives as graphs: reverse mode, and what is composed from it."""

from graphspec.derivatives.compositions import grad, vjp

__all__ = ["grad", "vjp"]
