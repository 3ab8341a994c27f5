"""Truth, comparison and bits: functions whose values jump, and the choice that they make."""

from __future__ import annotations

from typing import Literal

import numpy as np

from graphspec.operators._broadcast import limited
from graphspec.operators._table import zero
from graphspec.operators._types import Builder, Cotangents, Value
from graphspec.operators.registry import ZERO, Array, operator

_LIMITED = (
    ("And", np.logical_and), ("Or", np.logical_or), ("Xor", np.logical_xor),
    ("Equal", np.equal), ("Less", np.less), ("Greater", np.greater),
)  # fmt: skip

for _op_type, _kernel in _LIMITED:
    limited(_op_type, _kernel).rule = ZERO

zero(_LIMITED, since=7)
zero([("Not", np.logical_not)])
zero([("IsNaN", np.isnan)], since=9)
zero([("LessOrEqual", np.less_equal), ("GreaterOrEqual", np.greater_equal)], since=12)
zero(
    [
        ("BitwiseAnd", np.bitwise_and),
        ("BitwiseOr", np.bitwise_or),
        ("BitwiseXor", np.bitwise_xor),
        ("BitwiseNot", np.bitwise_not),
    ],
    since=18,
)


@operator("IsInf", since=10, rule=ZERO)
def is_inf(X: Array, *, detect_negative: int = 1, detect_positive: int = 1) -> Array:
    """Whether each element is infinite, of the signs asked for."""
    infinite = np.isinf(X)
    if not detect_negative:
        infinite = infinite & ~np.signbit(X)
    if not detect_positive:
        infinite = infinite & np.signbit(X)
    return np.asarray(infinite)


@operator("BitShift", since=11, rule=ZERO)
def bit_shift(X: Array, Y: Array, *, direction: Literal["LEFT", "RIGHT"]) -> Array:
    """X × 2^Y or X ÷ 2^Y; counts that are negative or past the width leave what the sign bit fills in."""
    if direction not in ("LEFT", "RIGHT"):
        raise ValueError(f"`direction` is 'LEFT' or 'RIGHT', not {direction!r}.")
    # NumPy takes counts outside of the width (as unsigned) just so.
    return np.asarray(np.left_shift(X, Y) if direction == "LEFT" else np.right_shift(X, Y))


@operator("Where", since=9)
def where(condition: Array, X: Array, Y: Array) -> Array:
    """X where the condition holds, else Y, with broadcasting."""
    return np.where(condition, X, Y)


@where.vjp
def where_vjp(op: Builder, dY: Value, output: Value, condition: Value, X: Value, Y: Value) -> Cotangents:
    """The cotangent goes where the value came from; zero, and never NaN, to the other."""
    nothing = op.scalar(0, output)
    return None, op.Where(condition, dY, nothing), op.Where(condition, nothing, dY)
