"""Functions of one number, applied to each element."""

from __future__ import annotations

import math

import numpy as np
import scipy.special

from graphspec.operators._precision import widened
from graphspec.operators._table import row, zero
from graphspec.operators._types import Builder, Value
from graphspec.operators.registry import Array

_TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)


@widened
def erf(input: Array) -> Array:
    """2/√π × ∫ exp(-t²) dt from 0 to x."""
    return np.asarray(scipy.special.erf(input))


def _one_minus_square(op: Builder, x: Value) -> Value:
    """1 - x², by factors, so that nothing is lost near ±1."""
    one = op.scalar(1, x)
    out: Value = op.Mul(op.Sub(one, x), op.Add(one, x))
    return out


def _root(op: Builder, x: Value) -> Value:
    """√(1 - x²)."""
    out: Value = op.Sqrt(_one_minus_square(op, x))
    return out


def _one_plus_square(op: Builder, x: Value) -> Value:
    out: Value = op.Add(op.scalar(1, x), op.Mul(x, x))
    return out


def _bell(op: Builder, x: Value) -> Value:
    """2/√π × exp(-x²)."""
    out: Value = op.Mul(op.scalar(_TWO_OVER_SQRT_PI, x), op.Exp(op.Neg(op.Mul(x, x))))
    return out


# fmt: off
#   op_type    kernel       dx as nodes, from the cotangent dy, the output y and the input x      domain
row("Exp",    np.exp,      lambda op, dy, y, x: op.Mul(dy, y))
row("Log",    np.log,      lambda op, dy, y, x: op.Div(dy, x),                                   (0.1, 5))
row("Sqrt",   np.sqrt,     lambda op, dy, y, x: op.Div(dy, op.Add(y, y)),                        (0.1, 5))
row("Sin",    np.sin,      lambda op, dy, y, x: op.Mul(dy, op.Cos(x)),                           (-3, 3), since=7)
row("Cos",    np.cos,      lambda op, dy, y, x: op.Neg(op.Mul(dy, op.Sin(x))),                   (-3, 3), since=7)
row("Tan",    np.tan,      lambda op, dy, y, x: op.Add(dy, op.Mul(dy, op.Mul(y, y))),            (-1.2, 1.2), since=7)
row("Asin",   np.arcsin,   lambda op, dy, y, x: op.Div(dy, _root(op, x)),                        (-0.8, 0.8), since=7)
row("Acos",   np.arccos,   lambda op, dy, y, x: op.Div(op.Neg(dy), _root(op, x)),                (-0.8, 0.8), since=7)
row("Atan",   np.arctan,   lambda op, dy, y, x: op.Div(dy, _one_plus_square(op, x)),             (-3, 3), since=7)
row("Sinh",   np.sinh,     lambda op, dy, y, x: op.Mul(dy, op.Cosh(x)),                          (-2, 2), since=9)
row("Cosh",   np.cosh,     lambda op, dy, y, x: op.Mul(dy, op.Sinh(x)),                          (-2, 2), since=9)
row("Tanh",   np.tanh,     lambda op, dy, y, x: op.Sub(dy, op.Mul(dy, op.Mul(y, y))))
row("Asinh",  np.arcsinh,  lambda op, dy, y, x: op.Div(dy, op.Cosh(y)),                          (-3, 3), since=9)
row("Acosh",  np.arccosh,  lambda op, dy, y, x: op.Div(dy, op.Sinh(y)),                          (1.3, 4), since=9)
row("Atanh",  np.arctanh,  lambda op, dy, y, x: op.Div(dy, _one_minus_square(op, x)),            (-0.8, 0.8), since=9)
row("Erf",    erf,         lambda op, dy, y, x: op.Mul(dy, _bell(op, x)),                        (-2, 2), since=9)
# fmt: on

zero([("Floor", np.floor), ("Ceil", np.ceil)])
zero([("Round", np.rint)], since=11)  # halves go to the even neighbour
