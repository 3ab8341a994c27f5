"""Makers of families: a row instead of a function."""

from __future__ import annotations

from collections.abc import Iterable

from graphspec.operators.registry import ZERO, Kernel, Operator, Rule, Zero, register


def row(
    op_type: str,
    kernel: Kernel,
    rule: Rule | Zero | None,
    domains: tuple[float, float] = (-3.0, 3.0),
    *,
    since: int = 1,
) -> Operator:
    """Register an operator whose kernel and rule are one expression each.

    Args:
        op_type: ONNX's name.
        kernel: Of the inputs, and the attributes as keywords.
        rule: ``(op, dY, Y, *inputs, **attributes)`` to the cotangent of each input, or ``ZERO``.
        domains: Interval to sample the inputs from in tests.
        since: First opset version.
    """
    entry = Operator(op_type, since, kernel)
    entry.rule = rule
    entry.domains = domains
    return register(entry)


def zero(rows: Iterable[tuple[str, Kernel]], *, since: int = 1) -> None:
    """Register operators that are constant almost everywhere (comparisons, rounding, shapes ...)."""
    for op_type, kernel in rows:
        row(op_type, kernel, ZERO, since=since)
