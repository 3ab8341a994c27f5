"""Elementwise operations on values, with NumPy's meaning: a line an operator, a function where it takes more."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from graphspec_client import _dtypes
from graphspec_client._emit import cast, emit, lift, promoted
from graphspec_client._values import Value, constant

Unary = Callable[[Any], Value]
Binary = Callable[[Any, Any], Value]


def unary(op_type: str, at_least: str | None = None) -> Unary:
    """An operator of one input; ``at_least="float"`` for those that ONNX has for floats only."""

    def apply(x: Any) -> Value:
        (value,) = promoted(x, at_least=at_least)
        return emit(op_type, value)

    return apply


def binary(op_type: str, at_least: str | None = None, logical: str | None = None) -> Binary:
    """An operator of two inputs of one type; ``logical`` is the operator that means the same for bools."""

    def apply(x: Any, y: Any) -> Value:
        a, b = promoted(x, y, at_least=at_least)
        if a.dtype == "bool" and logical is None:
            raise TypeError(f"{op_type} is not defined for bools; cast one side with astype().")
        return emit(logical if logical and a.dtype == "bool" else op_type, a, b)

    return apply


def comparison(op_type: str) -> Binary:
    """A comparison; bools are compared as numbers, as in NumPy."""

    def apply(x: Any, y: Any) -> Value:
        a, b = promoted(x, y)
        if a.dtype == "bool" and op_type != "Equal":
            a, b = cast(a, "int32"), cast(b, "int32")
        return emit(op_type, a, b)

    return apply


def logical(op_type: str) -> Callable[..., Value]:
    """An operator on truth values; numbers are true where they are not zero."""
    return lambda *operands: emit(op_type, *map(truth, operands))


def bitwise(op_type: str, on_bools: str) -> Callable[..., Value]:
    """An operator on the bits of integers, with its twin for bools."""

    def apply(*operands: Any) -> Value:
        values = promoted(*operands)
        if _dtypes.kind(values[0].dtype) not in "biu":
            raise TypeError(f"{op_type} works on bools and integers, found {values[0].dtype}.")
        return emit(on_bools if values[0].dtype == "bool" else op_type, *values)

    return apply


def scalar(number: float, like: Value) -> Value:
    """A constant of one element, in the dtype of another value."""
    return constant(number, like.dtype)


def truth(x: Any) -> Value:
    """Where the value is not zero."""
    value = lift(x)
    return value if value.dtype == "bool" else cast(value, "bool")


# --- where ONNX has the operator itself -------------------------------------------------------------------------------

add = binary("Add", logical="Or")
multiply = binary("Mul", logical="And")
subtract = binary("Sub")
divide = binary("Div", "float64")
maximum = binary("Max", logical="Or")
minimum = binary("Min", logical="And")

negative, absolute, sign = unary("Neg"), unary("Abs"), unary("Sign")
exp, log, sqrt = unary("Exp", "float"), unary("Log", "float"), unary("Sqrt", "float")
sin, cos, tan = unary("Sin", "float"), unary("Cos", "float"), unary("Tan", "float")
sinh, cosh, tanh = unary("Sinh", "float"), unary("Cosh", "float"), unary("Tanh", "float")
arcsin, arccos, arctan = unary("Asin", "float"), unary("Acos", "float"), unary("Atan", "float")
arcsinh, arccosh, arctanh = unary("Asinh", "float"), unary("Acosh", "float"), unary("Atanh", "float")
sigmoid = unary("Sigmoid", "float")
isnan, isinf = unary("IsNaN", "float"), unary("IsInf", "float")

equal, greater, less = comparison("Equal"), comparison("Greater"), comparison("Less")
greater_equal, less_equal = comparison("GreaterOrEqual"), comparison("LessOrEqual")

logical_and, logical_or, logical_xor, logical_not = logical("And"), logical("Or"), logical("Xor"), logical("Not")
bitwise_and, bitwise_or = bitwise("BitwiseAnd", "And"), bitwise("BitwiseOr", "Or")
bitwise_xor, invert = bitwise("BitwiseXor", "Xor"), bitwise("BitwiseNot", "Not")


# --- where it takes more than one -------------------------------------------------------------------------------------


def not_equal(x: Any, y: Any) -> Value:
    """``not (x == y)``."""
    return emit("Not", equal(x, y))


def positive(x: Any) -> Value:
    """The value itself."""
    return emit("Identity", lift(x))


def rounding(op_type: str) -> Unary:
    """Floor and its kin: integers are whole already."""

    def apply(x: Any) -> Value:
        value = lift(x)
        return positive(value) if _dtypes.kind(value.dtype) in "biu" else emit(op_type, value)

    return apply


floor, ceil = rounding("Floor"), rounding("Ceil")
rint = unary("Round", "float")


def trunc(x: Any) -> Value:
    """The whole number next to x towards zero: ``sign(x) * floor(|x|)``."""
    value = lift(x)
    if _dtypes.kind(value.dtype) in "biu":
        return positive(value)
    return emit("Mul", emit("Sign", value), emit("Floor", emit("Abs", value)))


def square(x: Any) -> Value:
    """``x * x``."""
    value = lift(x)
    return multiply(value, value)


def reciprocal(x: Any) -> Value:
    """``1 / x``, of floats (NumPy's of integers is rarely meant: it is 0)."""
    value = lift(x)
    if not _dtypes.is_float(value.dtype):
        raise TypeError(f"reciprocal works on floats, found {value.dtype}; use 1 / x.")
    return emit("Reciprocal", value)


def power(x: Any, y: Any) -> Value:
    """``x ** y`` in the common type of both."""
    a, b = promoted(x, y)
    if _dtypes.kind(a.dtype) in "biu" and a.dtype not in {"int32", "int64"}:
        raise TypeError(f"ONNX has no power of {a.dtype}; cast it with astype().")
    if _dtypes.kind(a.dtype) == "i" and b.kind == "constant" and (b.array() < 0).any():
        raise ValueError("Integers to negative integer powers are not allowed; cast the base with astype().")
    return emit("Pow", a, b)


def remainder(x: Any, y: Any) -> Value:
    """``x - y * floor(x / y)``: the sign is that of y, as in Python."""
    a, b = promoted(x, y)
    if not _dtypes.is_float(a.dtype):
        return emit("Mod", a, b)
    rest = emit("Mod", a, b, fmod=1)
    zero = scalar(0, rest)
    wrong = emit("Less", emit("Mul", rest, b), zero)  # the rest has the sign of x where y has the other
    return emit("Where", wrong, emit("Add", rest, b), rest)


def fmod(x: Any, y: Any) -> Value:
    """The rest of a division that rounds towards zero: the sign is that of x."""
    return emit("Mod", *promoted(x, y), fmod=1)


def floor_divide(x: Any, y: Any) -> Value:
    """``floor(x / y)``; of integers without a detour through floats."""
    a, b = promoted(x, y)
    if _dtypes.is_float(a.dtype):
        return emit("Floor", emit("Div", a, b))
    return emit("Div", emit("Sub", a, emit("Mod", a, b)), b)


def divmod_(x: Any, y: Any) -> tuple[Value, Value]:
    """``x // y`` and ``x % y``."""
    return floor_divide(x, y), remainder(x, y)


def _logarithm(base: float) -> Unary:
    def apply(x: Any) -> Value:
        value = log(x)
        return emit("Div", value, scalar(math.log(base), value))

    return apply


log2, log10 = _logarithm(2.0), _logarithm(10.0)


def exp2(x: Any) -> Value:
    """``2 ** x``."""
    (value,) = promoted(x, at_least="float")
    return emit("Pow", scalar(2, value), value)


def expm1(x: Any) -> Value:
    """``exp(x) - 1``, exact near zero: ``tanh(x / 2) * (exp(x) + 1)``."""
    (value,) = promoted(x, at_least="float")
    half = emit("Tanh", emit("Mul", value, scalar(0.5, value)))
    return emit("Mul", half, emit("Add", emit("Exp", value), scalar(1, value)))


def log1p(x: Any) -> Value:
    """``log(1 + x)``, exact near zero: ``2 artanh(x / (2 + x))`` there."""
    (value,) = promoted(x, at_least="float")
    near = emit("Less", emit("Abs", value), scalar(0.5, value))
    ratio = emit("Div", value, emit("Add", value, scalar(2, value)))
    small = emit("Mul", emit("Atanh", emit("Where", near, ratio, scalar(0, value))), scalar(2, value))
    return emit("Where", near, small, emit("Log", emit("Add", value, scalar(1, value))))


def cbrt(x: Any) -> Value:
    """``sign(x) * |x| ** (1 / 3)``."""
    (value,) = promoted(x, at_least="float")
    return emit("Mul", emit("Sign", value), emit("Pow", emit("Abs", value), scalar(1 / 3, value)))


def hypot(x: Any, y: Any) -> Value:
    """``sqrt(x * x + y * y)``."""
    a, b = promoted(x, y, at_least="float")
    return emit("Sqrt", emit("Add", emit("Mul", a, a), emit("Mul", b, b)))


def arctan2(y: Any, x: Any) -> Value:
    """The angle of (x, y), by half angles: ``2 arctan(y / (r + x))``, or ``2 arctan((r - x) / y)`` where x < 0."""
    b, a = promoted(y, x, at_least="float")
    radius = hypot(a, b)
    zero, one = scalar(0, a), scalar(1, a)
    left = emit("Less", a, zero)
    flat = emit("Equal", b, zero)
    safe = emit("Where", flat, one, b)  # keeps the branch that is not taken finite, in value and gradient
    right = emit(
        "Div", b, emit("Where", left, one, emit("Where", emit("Equal", radius, zero), one, emit("Add", radius, a)))
    )
    angle = emit(
        "Mul", emit("Atan", emit("Where", left, emit("Div", emit("Sub", radius, a), safe), right)), scalar(2, a)
    )
    return emit("Where", emit("And", left, flat), scalar(math.pi, a), angle)


def logaddexp(x: Any, y: Any) -> Value:
    """``log(exp(x) + exp(y))`` without overflow: ``y + softplus(x - y)``."""
    a, b = promoted(x, y, at_least="float")
    return emit("Add", b, emit("Softplus", emit("Sub", a, b)))


def _factor(number: float) -> Unary:
    def apply(x: Any) -> Value:
        (value,) = promoted(x, at_least="float")
        return emit("Mul", value, scalar(number, value))

    return apply


degrees, radians = _factor(180 / math.pi), _factor(math.pi / 180)


def isfinite(x: Any) -> Value:
    """Where the value is a number."""
    (value,) = promoted(x, at_least="float")
    return emit("Not", emit("Or", emit("IsNaN", value), emit("IsInf", value)))


def where(condition: Any, x: Any, y: Any) -> Value:
    """``x`` where the condition holds, else ``y``."""
    return emit("Where", truth(condition), *promoted(x, y))


def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Value:
    """``minimum(maximum(a, a_min), a_max)``; either bound may be left out. Scalar bounds make one ``Clip``."""
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    bounds = [bound for bound in (low, high) if bound is not None]
    value, *lifted = promoted(a, *bounds)
    rest = iter(lifted)
    low, high = (next(rest) if bound is not None else None for bound in (low, high))
    if all(bound.shape == () for bound in lifted):
        return emit("Clip", value, low, high) if lifted else positive(value)
    value = emit("Max", value, low) if low is not None else value
    return emit("Min", value, high) if high is not None else value


def round_(a: Any, decimals: int = 0) -> Value:
    """To the nearest number of so many decimals, halves to even."""
    value = lift(a)
    if _dtypes.kind(value.dtype) in "biu":
        return positive(value)
    if decimals == 0:
        return emit("Round", value)
    factor = scalar(10.0**decimals, value)
    return emit("Div", emit("Round", emit("Mul", value, factor)), factor)


def isclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Value:
    """Where ``|a - b| <= atol + rtol * |b|``."""
    x, y = promoted(a, b, at_least="float")
    margin = emit("Add", scalar(atol, x), emit("Mul", scalar(rtol, x), emit("Abs", y)))
    near = emit("LessOrEqual", emit("Abs", emit("Sub", x, y)), margin)
    near = emit("Or", emit("And", near, isfinite(y)), emit("Equal", x, y))
    return emit("Or", near, emit("And", isnan(x), isnan(y))) if equal_nan else near


def nan_to_num(x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Value:
    """Numbers in place of NaN and the infinities (by default 0 and the largest of the dtype)."""
    import numpy as np

    value = lift(x)
    if not _dtypes.is_float(value.dtype):
        return positive(value)
    limits = np.finfo(_dtypes.numpy_dtype(value.dtype))
    result = emit("Where", isnan(value), scalar(nan, value), value)
    for sign_only, replacement in (("detect_negative", posinf), ("detect_positive", neginf)):
        default = float(limits.max if sign_only == "detect_negative" else limits.min)
        found = emit("IsInf", value, **{sign_only: 0})
        result = emit("Where", found, scalar(default if replacement is None else replacement, value), result)
    return result


def astype(a: Any, dtype: Any) -> Value:
    """The value in another element type."""
    value = lift(a)
    return cast(value, _dtypes.wire_name(dtype)) if value.dtype != _dtypes.wire_name(dtype) else positive(value)
