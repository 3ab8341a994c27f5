"""Arithmetic of tensors with broadcasting: + - × ÷, powers, remainders, sums and means of several, extrema."""

from __future__ import annotations

import functools

import numpy as np

from graphspec.inference import known_constant
from graphspec.operators._broadcast import limited
from graphspec.operators._precision import widened
from graphspec.operators._table import row
from graphspec.operators._types import Builder, Cotangents, Value
from graphspec.operators.registry import ZERO, Array, operator


def divide(A: Array, B: Array) -> Array:
    """C = A ÷ B; integers are truncated toward zero."""
    if A.dtype.kind not in "iu":
        return np.asarray(np.divide(A, B))
    _no_zero(B)
    C = np.floor_divide(A, B)
    if A.dtype.kind == "i":
        C = C + ((np.remainder(A, B) != 0) & ((A < 0) != (B < 0)))
    return np.asarray(C, dtype=A.dtype)


def _no_zero(B: Array) -> None:
    if not np.all(B):
        raise ValueError("Integers cannot be divided by zero.")


def _divide_rule(op: Builder, dC: Value, C: Value, A: Value, B: Value) -> Cotangents:
    """dA = dC / B, dB = -dC × A / B² = -dA × C."""
    dA = op.Div(dC, B)
    return dA, op.Neg(op.Mul(dA, C))


# fmt: off
#   op_type  kernel        dA and dB as nodes, from the cotangent dC
row("Add",   np.add,       lambda op, dC, C, A, B: (dC, dC),                       since=7)
row("Sub",   np.subtract,  lambda op, dC, C, A, B: (dC, op.Neg(dC)),               since=7)
row("Mul",   np.multiply,  lambda op, dC, C, A, B: (op.Mul(dC, B), op.Mul(dC, A)), since=7)
row("Div",   divide,       _divide_rule,                                           since=7)

#   op_type       kernel          dX as nodes
row("Neg",        np.negative,    lambda op, dY, Y, X: op.Neg(dY))
row("Abs",        np.absolute,    lambda op, dY, Y, X: op.Mul(dY, op.Sign(X)))
row("Sign",       np.sign,        ZERO, since=9)
row("Reciprocal", np.reciprocal,  lambda op, dY, Y, X: op.Neg(op.Mul(dY, op.Mul(Y, Y))), (0.5, 3))
# fmt: on


# --- powers and remainders ------------------------------------------------------------------------------------------


@operator("Pow", since=7, domains=(0.5, 3))
@widened
def power(X: Array, Y: Array) -> Array:
    """Z = X ^ Y, in the dtype of X."""
    if X.dtype.kind in "iu":
        return _integer_power(X, Y)
    if Y.size == 1 and Y.ndim <= X.ndim and Y.item() == 2:  # by far the most frequent one
        return np.multiply(X, X)
    return np.asarray(np.power(X, Y), dtype=X.dtype)


def _integer_power(X: Array, Y: Array) -> Array:
    """Powers of integers, exact where they are integers, else truncated toward zero."""
    if Y.dtype.kind in "iu" and not np.any(Y < 0):
        return np.asarray(np.power(X, Y.astype(X.dtype)))
    Z = np.power(X.astype(np.float64), Y)
    if not np.all(np.isfinite(Z)):
        raise ValueError("An integer power is not finite: zero to a negative, or a negative to a broken exponent.")
    return Z.astype(X.dtype)


@power.vjp
def power_vjp(op: Builder, dZ: Value, Z: Value, X: Value, Y: Value) -> Cotangents:
    """dX = dZ × Y × X^(Y-1), 0 for Y = 0 even at X = 0; dY = dZ × Z × log X, 0 at X = 0 for Y ≥ 0."""
    exponent = known_constant(Y)
    if exponent is not None and exponent.size == 1 and np.isfinite(n := float(exponent.reshape(-1)[0])):
        return _constant_power(op, dZ, X, n), _exponent(op, dZ, Z, X, Y)
    y = op.cast(Y, X)
    zero, one = op.scalar(0, X), op.scalar(1, X)
    # 0 × 0^-1 would be NaN; another base there leaves the 0 alone.
    base = op.Where(op.And(op.Equal(X, zero), op.Equal(y, zero)), one, X)
    dX = op.Mul(dZ, op.Mul(y, op.Pow(base, op.Sub(y, one))))
    return dX, _exponent(op, dZ, Z, X, Y)


def _constant_power(op: Builder, dZ: Value, X: Value, n: float) -> Value:
    if n == 0:
        return op.zeros_like(X)
    if n == 1:
        return dZ
    slope = op.Add(X, X) if n == 2 else op.Mul(op.scalar(n, X), op.Pow(X, op.scalar(n - 1, X)))
    out: Value = op.Mul(dZ, slope)
    return out


def _exponent(op: Builder, dZ: Value, Z: Value, X: Value, Y: Value) -> Value | None:
    if Y.dtype is None or not Y.dtype.is_floating_point():
        return None
    zero = op.scalar(0, X)
    flat = op.And(op.Equal(X, zero), op.GreaterOrEqual(Y, op.scalar(0, Y)))
    return op.cast(op.Mul(dZ, op.Mul(Z, op.Log(op.Where(flat, op.scalar(1, X), X)))), Y)


@operator("Mod", since=10, domains=(0.5, 3))
def mod(A: Array, B: Array, *, fmod: int = 0) -> Array:
    """C = A - q × B, with q = A ÷ B rounded down (the sign is B's), or toward zero if ``fmod`` (the sign is A's)."""
    if A.dtype.kind in "iu":
        _no_zero(B)
    return np.asarray(np.fmod(A, B) if fmod else np.remainder(A, B))


@mod.vjp
def mod_vjp(op: Builder, dC: Value, C: Value, A: Value, B: Value, *, fmod: int) -> Cotangents:
    """dA = dC, dB = -dC × q; q is a whole number, constant almost everywhere."""
    return dC, op.Neg(op.Mul(dC, op.Round(op.Div(op.Sub(A, C), B))))


# --- several tensors ------------------------------------------------------------------------------------------------


@operator("Sum", since=1)
@widened
def sum_(*data_0: Array) -> Array:
    """Sum of all inputs, with broadcasting."""
    return functools.reduce(np.add, data_0)


@sum_.vjp
def sum_vjp(op: Builder, dY: Value, Y: Value, *data_0: Value) -> Cotangents:
    """The cotangent goes to every input."""
    return [dY] * len(data_0)


@operator("Mean", since=1)
@widened
def mean(*data_0: Array) -> Array:
    """Mean of all inputs, element by element, with broadcasting."""
    return np.divide(functools.reduce(np.add, data_0), len(data_0))


@mean.vjp
def mean_vjp(op: Builder, dY: Value, Y: Value, *data_0: Value) -> Cotangents:
    """The n-th part of the cotangent goes to every one of n inputs."""
    share = op.Div(dY, op.scalar(len(data_0), Y)) if len(data_0) > 1 else dY
    return [share] * len(data_0)


@operator("Max", since=1)
def maximum(*data_0: Array) -> Array:
    """Largest of all inputs, element by element, with broadcasting; NaN where one is NaN."""
    return np.asarray(functools.reduce(np.maximum, data_0))


@operator("Min", since=1)
def minimum(*data_0: Array) -> Array:
    """Smallest of all inputs, element by element, with broadcasting; NaN where one is NaN."""
    return np.asarray(functools.reduce(np.minimum, data_0))


@maximum.vjp
@minimum.vjp
def extremum_vjp(op: Builder, dY: Value, Y: Value, *data_0: Value) -> Cotangents:
    """The cotangent goes to the inputs that equal the output, in equal parts."""
    if len(data_0) == 1:
        return dY
    wins = [op.Equal(x, Y) for x in data_0]
    share = op.Div(dY, op.Sum(*(op.cast(win, Y) for win in wins)))
    return [op.Where(win, share, op.scalar(0, Y)) for win in wins]


# --- bounds ---------------------------------------------------------------------------------------------------------

_LARGEST = float(np.finfo(np.float32).max)


@operator("Clip", since=1)
def clip_by_attributes(input: Array, *, max: float = _LARGEST, min: float = -_LARGEST) -> Array:
    """Y = min(max, max(min, X)), the form below opset 11."""
    with np.errstate(over="ignore"):  # no bound at all in float16
        low, high = np.array(min).astype(input.dtype), np.array(max).astype(input.dtype)
    return clip(input, low, high)  # type: ignore[no-any-return]


@operator("Clip", since=11)
def clip(input: Array, min: Array | None = None, max: Array | None = None) -> Array:
    """Y = min(max, max(min, X)): the upper bound wins where they cross, and NaN as a bound gives NaN."""
    Y = input if min is None else np.maximum(input, min)
    return np.asarray(Y if max is None else np.minimum(Y, max))


@clip.vjp
def clip_vjp(
    op: Builder, dY: Value, Y: Value, input: Value, min: Value | None = None, max: Value | None = None
) -> Cotangents:
    """The cotangent goes to X between the bounds, themselves included; outside, to the bound that holds."""
    zero = op.scalar(0, Y)
    crossed = op.Less(max, min) if min is not None and max is not None else None
    dX, d_min, d_max = dY, None, None
    if min is not None:
        dX = op.Where(op.GreaterOrEqual(input, min), dX, zero)
        d_min = op.Where(op.Less(input, min), dY, zero)
        if crossed is not None:
            d_min = op.Where(crossed, zero, d_min)
    if max is not None:
        dX = op.Where(op.LessOrEqual(input, max), dX, zero)
        above = op.Greater(input, max)
        d_max = op.Where(above if crossed is None else op.Or(above, crossed), dY, zero)
    return dX, d_min, d_max


for _op_type, _kernel in (
    ("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply), ("Div", divide), ("Pow", power.kernel),
):  # fmt: skip
    limited(_op_type, _kernel)
