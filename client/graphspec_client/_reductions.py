"""Reductions of values over axes, with NumPy's signatures and result types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphspec_client import _dtypes
from graphspec_client._elementwise import isclose, scalar, truth
from graphspec_client._emit import cast, emit, lift, promoted
from graphspec_client._values import Value, ints

Axes = int | Sequence[int] | None


def axes_input(axis: Axes) -> Value | None:
    """The axes as ONNX wants them: a constant list, or nothing for all of them."""
    if axis is None:
        return None
    return ints([axis] if isinstance(axis, int) else [int(one) for one in axis])


def _reduce(op_type: str, value: Value, axis: Axes, keepdims: bool) -> Value:
    if isinstance(axis, Sequence) and not axis:
        raise ValueError("An empty tuple of axes reduces nothing; leave axis out to reduce all.")
    axes = axes_input(axis)
    return emit(op_type, value, axes, keepdims=int(keepdims))


def _accumulated(value: Value, dtype: Any) -> Value:
    """In the type in which NumPy adds up: integers in 64 bits."""
    if dtype is not None:
        return cast(value, _dtypes.wire_name(dtype))
    family = _dtypes.kind(value.dtype)
    return cast(value, "uint64" if family == "u" else "int64") if family in "biu" else value


def sum_(a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False) -> Value:
    """The sum over the axes."""
    return _reduce("ReduceSum", _accumulated(lift(a), dtype), axis, keepdims)


def prod(a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False) -> Value:
    """The product over the axes."""
    return _reduce("ReduceProd", _accumulated(lift(a), dtype), axis, keepdims)


def mean(a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False) -> Value:
    """The mean over the axes; of integers in float64."""
    return _reduce("ReduceMean", _as_float(a, dtype), axis, keepdims)


def _as_float(a: Any, dtype: Any) -> Value:
    (value,) = promoted(a, at_least="float64")
    return cast(value, _dtypes.wire_name(dtype)) if dtype is not None else value


def _extreme(op_type: str) -> Callable[..., Value]:
    def apply(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Value:
        value = lift(a)
        if value.dtype == "bool":
            return cast(_reduce(op_type, cast(value, "int32"), axis, keepdims), "bool")
        return _reduce(op_type, value, axis, keepdims)

    return apply


max_, min_ = _extreme("ReduceMax"), _extreme("ReduceMin")


def any_(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Value:
    """Whether any element over the axes is true."""
    return max_(truth(a), axis, keepdims=keepdims)


def all_(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Value:
    """Whether all elements over the axes are true."""
    return min_(truth(a), axis, keepdims=keepdims)


def allclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Value:
    """Whether all of ``isclose`` holds."""
    return all_(isclose(a, b, rtol, atol, equal_nan))


def var(a: Any, axis: Axes = None, dtype: Any = None, ddof: float = 0, *, keepdims: bool = False) -> Value:
    """The variance over the axes; ``ddof=1`` for that of a sample."""
    value = _as_float(a, dtype)
    deviation = emit("Sub", value, _reduce("ReduceMean", value, axis, True))
    squares = emit("Mul", deviation, deviation)
    if not ddof:
        return _reduce("ReduceMean", squares, axis, keepdims)
    total = _reduce("ReduceSum", squares, axis, keepdims)
    return emit("Div", total, emit("Sub", cast(count(value, axis), value.dtype), scalar(ddof, value)))


def count(value: Value, axis: Axes) -> Value:
    """How many elements each result of a reduction over ``axis`` sums up, as an int64 scalar."""
    if axis is None:
        return emit("Size", value)
    axes = [axis] if isinstance(axis, int) else list(axis)
    rank = value.rank
    sizes = emit("Gather", emit("Shape", value), ints([one % rank for one in axes]))
    return emit("ReduceProd", sizes, keepdims=0)


def std(a: Any, axis: Axes = None, dtype: Any = None, ddof: float = 0, *, keepdims: bool = False) -> Value:
    """The standard deviation over the axes."""
    return emit("Sqrt", var(a, axis, dtype, ddof, keepdims=keepdims))


def _arg(op_type: str) -> Callable[..., Value]:
    def apply(a: Any, axis: int | None = None, *, keepdims: bool = False) -> Value:
        value = lift(a)
        if value.dtype == "bool":
            value = cast(value, "int32")
        if axis is None:
            if keepdims:
                raise TypeError("keepdims needs an axis.")
            value, axis = emit("Reshape", value, ints([-1])), 0
        return emit(op_type, value, axis=axis, keepdims=int(keepdims))

    return apply


argmax, argmin = _arg("ArgMax"), _arg("ArgMin")


def cumsum(a: Any, axis: int | None = None, dtype: Any = None) -> Value:
    """The running sum along an axis, or over all elements in order."""
    value = _accumulated(lift(a), dtype)
    if axis is None:
        value, axis = emit("Reshape", value, ints([-1])), 0
    return emit("CumSum", value, ints(axis))


def count_nonzero(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Value:
    """How many elements over the axes are not zero."""
    return sum_(truth(a), axis, keepdims=keepdims)


def norm(x: Any, ord: Any = None, axis: Axes = None, keepdims: bool = False) -> Value:
    """The 2-norm (default), 1-norm or maximum norm over the axes; of a matrix without ``ord`` the Frobenius norm."""
    (value,) = promoted(x, at_least="float64")
    if (ord is not None and axis is None and value.rank != 1) or (
        isinstance(axis, Sequence) and ord not in (None, "fro")
    ):
        raise TypeError("Matrix norms by ord are not supported; give one axis for vector norms, or leave ord out.")
    if ord in (None, 2, "fro"):
        return _reduce("ReduceL2", value, axis, keepdims)
    if ord == 1:
        return _reduce("ReduceL1", value, axis, keepdims)
    if ord in (float("inf"), float("-inf")):
        return _reduce("ReduceMax" if ord > 0 else "ReduceMin", emit("Abs", value), axis, keepdims)
    raise TypeError(f"norm with ord={ord!r} is not supported; 1, 2, inf and -inf are.")


def logsumexp(a: Any, axis: Axes = None, keepdims: bool = False) -> Value:
    """``log(sum(exp(a)))`` over the axes, without overflow."""
    (value,) = promoted(a, at_least="float64")
    return _reduce("ReduceLogSumExp", value, axis, keepdims)


def softmax(a: Any, axis: int = -1) -> Value:
    """``exp(a) / sum(exp(a))`` along an axis."""
    (value,) = promoted(a, at_least="float64")
    return emit("Softmax", value, axis=axis)


def log_softmax(a: Any, axis: int = -1) -> Value:
    """``a - logsumexp(a)`` along an axis."""
    (value,) = promoted(a, at_least="float64")
    return emit("LogSoftmax", value, axis=axis)
