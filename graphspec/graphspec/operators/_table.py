"""Makers of families: a row instead of a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from graphspec.operators.registry import ZERO, Kernel, Operator, Zero, register


def unary(
    op_type: str,
    kernel: Kernel,
    slope: Callable[..., Any] | Zero | None,
    domains: tuple[float, float] = (-3.0, 3.0),
    *,
    since: int = 1,
) -> Operator:
    """Register an elementwise operator of one input.

    Args:
        op_type: ONNX's name.
        kernel: ``f(x)``.
        slope: ``(op, y, x)`` to dy/dx as a value; the cotangent is multiplied in here. Or ``ZERO``.
        domains: Interval to sample x from in tests.
        since: First opset version.
    """
    entry = Operator(op_type, since, kernel)
    entry.domains = domains
    if slope is None or isinstance(slope, Zero):
        entry.rule = slope
    else:
        entry.rule = lambda op, dY, Y, X: op.Mul(dY, slope(op, Y, X))
    return register(entry)


def zero(rows: Iterable[tuple[str, Kernel]], *, since: int = 1) -> None:
    """Register operators that are constant almost everywhere (comparisons, rounding, shapes ...)."""
    for op_type, kernel in rows:
        entry = Operator(op_type, since, kernel)
        entry.rule = ZERO
        register(entry)
