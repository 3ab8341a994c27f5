"""Elementwise operators as NumPy ufuncs that write where they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphspec.runtime.steps import Emitter, Lowering, Node, Place

# What NumPy's own loops compute in the dtype itself; narrower floats are left to the plain kernels, which widen.
FLOATS = frozenset("fd")
NUMBERS = FLOATS | frozenset("iIlLqQ")
WHOLE = NUMBERS | frozenset("?bBhH")


def _plain(function: Callable[..., Any], dtypes: frozenset[str]) -> Lowering:
    """A ufunc whose inputs all have one dtype."""

    def lower(emit: Emitter, node: Node) -> Place | None:
        inputs = node.inputs
        if any(x is None or x.dtype is None or x.dtype.char not in dtypes for x in inputs):
            return None
        return emit.ufunc(function, *inputs, out=emit.buffer(node.shape, node.dtype))

    return lower


def _chain(function: Callable[..., Any], dtypes: frozenset[str]) -> Lowering:
    """A ufunc of two arguments over any number of inputs."""

    def lower(emit: Emitter, node: Node) -> Place | None:
        inputs = node.inputs
        if len(inputs) < 2 or any(x is None or x.dtype is None or x.dtype.char not in dtypes for x in inputs):
            return None
        total = inputs[0]
        out = emit.buffer(node.shape, node.dtype)
        # The first two must have the full shape between them: a sum that is still narrow would not fill the output.
        if np.broadcast_shapes(total.shape, inputs[1].shape) != node.shape:  # type: ignore[union-attr,arg-type]
            return None
        for x in inputs[1:]:
            total = emit.ufunc(function, total, x, out=out)
        return total

    return lower


def _relu(emit: Emitter, node: Node) -> Place | None:
    (x,) = node.inputs
    if x is None or x.dtype is None or x.dtype.char not in FLOATS:
        return None
    zero = emit.constant(np.zeros((), x.dtype))
    return emit.ufunc(np.maximum, x, zero, out=emit.buffer(node.shape, node.dtype))


def _sigmoid(emit: Emitter, node: Node) -> Place | None:
    """1 / (1 + exp(-x)): small values keep all their digits, and where exp overflows the result is 0."""
    (x,) = node.inputs
    if x is None or x.dtype is None or x.dtype.char not in FLOATS:
        return None
    out = emit.buffer(node.shape, node.dtype)
    emit.ufunc(np.negative, x, out=out)
    emit.ufunc(np.exp, out, out=out)
    emit.ufunc(np.add, out, emit.constant(np.ones((), x.dtype)), out=out)
    return emit.ufunc(np.reciprocal, out, out=out)


def _where(emit: Emitter, node: Node) -> Place | None:
    condition, x, y = node.inputs
    if condition is None or x is None or y is None or condition.dtype != np.bool_ or x.dtype is None:
        return None
    if x.dtype.char not in WHOLE or x.dtype != y.dtype:
        return None
    out = emit.buffer(node.shape, node.dtype)
    emit.copy(y, out)
    return emit.copy(x, out, where=condition)


def _cast(emit: Emitter, node: Node) -> Place | None:
    """Between floats, from integers or bool to floats, and to a wider integer: where C and ONNX agree."""
    x = node.inputs[0]
    if x is None or x.dtype is None or x.dtype.char not in WHOLE or node.dtype.char not in WHOLE:
        return None
    if x.dtype == node.dtype or not (node.dtype.kind == "f" or np.can_cast(x.dtype, node.dtype)):
        return None
    return emit.copy(x, emit.buffer(node.shape, node.dtype), casting="unsafe")


# fmt: off
_UFUNCS: list[tuple[str, Callable[..., Any], frozenset[str]]] = [
    ("Add", np.add, NUMBERS), ("Sub", np.subtract, NUMBERS), ("Mul", np.multiply, NUMBERS), ("Div", np.divide, FLOATS),
    ("Neg", np.negative, FLOATS), ("Abs", np.absolute, FLOATS), ("Reciprocal", np.reciprocal, FLOATS),
    ("Sqrt", np.sqrt, FLOATS), ("Exp", np.exp, FLOATS), ("Log", np.log, FLOATS),
    ("Sin", np.sin, FLOATS), ("Cos", np.cos, FLOATS), ("Tan", np.tan, FLOATS),
    ("Asin", np.arcsin, FLOATS), ("Acos", np.arccos, FLOATS), ("Atan", np.arctan, FLOATS),
    ("Sinh", np.sinh, FLOATS), ("Cosh", np.cosh, FLOATS), ("Tanh", np.tanh, FLOATS),
    ("Asinh", np.arcsinh, FLOATS), ("Acosh", np.arccosh, FLOATS), ("Atanh", np.arctanh, FLOATS),
    ("Floor", np.floor, FLOATS), ("Ceil", np.ceil, FLOATS), ("Round", np.rint, FLOATS), ("Sign", np.sign, FLOATS),
    ("Less", np.less, NUMBERS), ("LessOrEqual", np.less_equal, NUMBERS), ("Greater", np.greater, NUMBERS),
    ("GreaterOrEqual", np.greater_equal, NUMBERS), ("Equal", np.equal, WHOLE),
    ("And", np.logical_and, frozenset("?")), ("Or", np.logical_or, frozenset("?")),
    ("Xor", np.logical_xor, frozenset("?")), ("Not", np.logical_not, frozenset("?")), ("IsNaN", np.isnan, FLOATS),
]
# fmt: on

LOWERINGS: dict[str, Lowering] = {
    **{name: _plain(function, dtypes) for name, function, dtypes in _UFUNCS},
    "Sum": _chain(np.add, FLOATS),
    "Max": _chain(np.maximum, FLOATS),
    "Min": _chain(np.minimum, FLOATS),
    "Relu": _relu,
    "Sigmoid": _sigmoid,
    "Where": _where,
    "Cast": _cast,
}
