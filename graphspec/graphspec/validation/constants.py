"""Data propagation: the values that shape arithmetic computes, as far as the graph alone fixes them.

An array of a numeric dtype is fully known. An array of objects is partly known: its entries are numbers, names of
symbolic dimensions, or ``None``. So ``Shape`` → ``Gather`` → ``Concat`` → ``Reshape`` gives static and symbolic sizes.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from graphspec import dtypes
from graphspec.validation import types
from graphspec.validation.report import Shape

Array = npt.NDArray[Any]
Attributes = Mapping[str, Any]

LIMIT = 1024  # elements; shapes, axes and the like are far smaller

_SHAPE_TYPES = frozenset({types.INT64, types.INT32, types.BOOL})


class Arguments:
    """What an operator is given: data and types of its inputs, its attributes."""

    __slots__ = ("attributes", "data", "types")

    def __init__(
        self, data: Sequence[Array | None], types_: Sequence[onnx.TypeProto | None], attributes: Attributes
    ) -> None:
        self.data, self.types, self.attributes = data, types_, attributes

    def input(self, place: int) -> Array:
        """Data of an input; without any, unknown entries if it is small and its shape is known."""
        value = self.data[place]
        if value is not None:
            return value
        shape = types.shape_of(self.types[place])
        if types.element_of(self.types[place]) not in _SHAPE_TYPES or shape is None:
            raise LookupError
        return np.full(_small([_number(size) for size in shape]), None, object)

    def whole(self, place: int) -> Array:
        """Data of an input, fully known."""
        value = self.input(place)
        if value.dtype == object:
            raise LookupError
        return value

    def axes(self, place: int = 1) -> list[int] | None:
        """Axes from the attribute (old opsets) or the input (new ones); ``None`` if not given."""
        if "axes" in self.attributes:
            return [int(a) for a in self.attributes["axes"]]
        if place < len(self.types) and self.types[place] is not None:
            return [int(a) for a in self.whole(place).reshape(-1)]
        return None


def compute(op_type: str, arguments: Arguments, output: onnx.TypeProto | None) -> Array | None:
    """The first output's data, or ``None`` if the graph does not fix it (or it is not worth knowing)."""
    rule = _RULES.get(op_type)
    if rule is None:
        return None
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(rule(arguments))
            if result.size > LIMIT:
                return None
            if result.dtype == object:
                flat = result.reshape(-1).tolist()
                if any(not isinstance(entry, int | np.integer) for entry in flat):
                    return result
                result = np.array([int(entry) for entry in flat], np.int64).reshape(result.shape)
            row = dtypes.BY_ONNX.get(types.element_of(output))
            return result if row is None or row.name == "string" else result.astype(row.numpy)
    except Exception:  # a graph may hold anything; what cannot be computed is simply not known
        return None


def of_tensor(tensor: onnx.TensorProto) -> Array | None:
    """The data of a small tensor."""
    if math.prod(tensor.dims) > LIMIT or tensor.data_type == onnx.TensorProto.STRING:
        return None
    try:
        return numpy_helper.to_array(tensor)
    except Exception:  # malformed tensors are reported elsewhere
        return None


def _of_shape(shape: Shape) -> Array:
    result = np.empty(len(shape), object)
    result[:] = shape
    return result


def _constant(args: Arguments) -> Array:
    for name, value in args.attributes.items():
        if name == "value":
            data = of_tensor(value)
            if data is not None:
                return data
        elif name in {"value_int", "value_ints", "value_float", "value_floats"}:
            return np.asarray(value)
    raise LookupError


def _shape(args: Arguments) -> Array:
    shape = types.shape_of(args.types[0])
    if shape is None:
        raise LookupError
    return _of_shape(shape[slice(args.attributes.get("start"), args.attributes.get("end"))])


def _size(args: Arguments) -> Any:
    shape = types.shape_of(args.types[0])
    if shape is None:
        raise LookupError
    return math.prod(_number(size) for size in shape)


def _number(entry: Any) -> int:
    if not isinstance(entry, int | np.integer):
        raise LookupError
    return int(entry)


def _slice(args: Arguments) -> Array:
    data = args.input(0)
    if "starts" in args.attributes:
        starts, ends, steps = args.attributes["starts"], args.attributes["ends"], None
        axes = args.attributes.get("axes")
    else:
        starts, ends = args.whole(1), args.whole(2)
        axes = args.whole(3) if len(args.types) > 3 and args.types[3] is not None else None
        steps = args.whole(4) if len(args.types) > 4 and args.types[4] is not None else None
    index: list[slice] = [slice(None)] * data.ndim
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = place if axes is None else int(axes[place])
        step = 1 if steps is None else int(steps[place])
        stop: int | None = int(end)
        if step < 0 and int(end) < -data.shape[axis]:
            stop = None
        index[axis] = slice(int(start), stop, step)
    return data[tuple(index)]


def _squeeze(args: Arguments) -> Array:
    data, axes = args.input(0), args.axes()
    return np.squeeze(data, None if axes is None else tuple(axes))


def _unsqueeze(args: Arguments) -> Array:
    axes = args.axes()
    if axes is None:
        raise LookupError
    return np.expand_dims(args.input(0), tuple(axes))


def _reshape(args: Arguments) -> Array:
    data = args.input(0)
    target = args.attributes["shape"] if "shape" in args.attributes else args.whole(1)
    allow_zero = args.attributes.get("allowzero", 0)
    return data.reshape([data.shape[i] if t == 0 and not allow_zero else int(t) for i, t in enumerate(target)])


def _cast(args: Arguments) -> Array:
    data, to = args.input(0), dtypes.BY_ONNX[args.attributes["to"]]
    if data.dtype == object:
        if to.name not in {"int64", "int32"}:
            raise LookupError
        return data
    return data.astype(to.numpy)


def _where(args: Arguments) -> Array:
    condition, one, two = _together(args.input(0), args.input(1), args.input(2))
    result = np.empty(condition.shape, object)
    for place in np.ndindex(condition.shape):
        if condition[place] is None:
            result[place] = one[place] if one[place] == two[place] else None
        else:
            result[place] = one[place] if condition[place] else two[place]
    return _native(result)


def _native(array: Array) -> Array:
    """Entries as Python numbers, so that they can be told from names."""
    flat = np.empty(array.size, object)
    flat[:] = [e.item() if isinstance(e, np.generic) else e for e in array.reshape(-1).tolist()]
    return flat.reshape(array.shape)


def _small(shape: Sequence[int]) -> Sequence[int]:
    if math.prod(shape) > LIMIT:
        raise LookupError
    return shape


def _together(*arrays: Array) -> Sequence[Array]:
    _small(np.broadcast_shapes(*(a.shape for a in arrays)))
    return np.broadcast_arrays(*arrays)


def _constant_of_shape(args: Arguments) -> Array:
    shape = _small([int(size) for size in args.whole(0)])
    value = args.attributes.get("value")
    return np.full(shape, np.float32(0) if value is None else numpy_helper.to_array(value).reshape(-1)[0])


def _expand(args: Arguments) -> Array:
    data = args.input(0)
    return np.broadcast_to(data, _small(np.broadcast_shapes(data.shape, tuple(int(size) for size in args.whole(1)))))


def _range(args: Arguments) -> Array:
    start, limit, delta = (args.whole(i).item() for i in range(3))
    _small([math.ceil((limit - start) / delta)])
    return np.arange(start, limit, delta)


def _reduction(whole: Callable[..., Any]) -> Callable[[Arguments], Any]:
    def rule(args: Arguments) -> Any:
        axes = args.axes()
        keep = bool(args.attributes.get("keepdims", 1))
        return whole(args.whole(0), axis=None if axes is None else tuple(axes), keepdims=keep)

    return rule


def _elementwise(
    whole: Callable[..., Any], partial: Callable[[Any, Any], Any] = lambda a, b: None
) -> Callable[[Arguments], Any]:
    """A binary operator: on full arrays by NumPy, on partly known ones entry by entry."""

    def rule(args: Arguments) -> Any:
        one, two = _together(args.input(0), args.input(1))
        if one.dtype != object and two.dtype != object:
            return whole(one, two)
        one, two = _native(one), _native(two)
        result = np.empty(one.shape, object)
        for place in np.ndindex(one.shape):
            a, b = one[place], two[place]
            numbers = not isinstance(a, str | None) and not isinstance(b, str | None)
            result[place] = np.asarray(whole(a, b)).item() if numbers else partial(a, b)
        return result

    return rule


def _divide(one: Any, two: Any) -> Any:
    """ONNX's division: integers truncate."""
    if np.any(np.asarray(two) == 0):
        raise LookupError
    if np.issubdtype(np.asarray(one).dtype, np.integer):
        return np.sign(one) * np.sign(two) * (np.abs(one) // np.abs(two))
    return one / two


def _modulo(one: Any, two: Any) -> Any:
    if np.any(np.asarray(two) == 0) or np.asarray(one).dtype.kind == "f":
        raise LookupError
    return np.mod(one, two)


def _times(a: Any, b: Any) -> Any:
    return b if a == 1 else a if b == 1 else 0 if 0 in (a, b) else None


def _equals(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return None
    if isinstance(a, str) and isinstance(b, str):
        return True if a == b else None
    number = b if isinstance(a, str) else a
    return False if number < 0 else None  # a dimension is never below zero


_RULES: Mapping[str, Callable[[Arguments], Any]] = {
    "Constant": _constant,
    "Shape": _shape,
    "Size": _size,
    "Identity": lambda args: args.input(0),
    "Cast": _cast,
    "Gather": lambda args: np.take(args.input(0), args.whole(1), axis=args.attributes.get("axis", 0)),
    "Concat": lambda args: np.concatenate(
        [args.input(i) for i in range(len(args.data))], axis=args.attributes.get("axis", 0)
    ),
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Reshape": _reshape,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Range": _range,
    "Where": _where,
    "Add": _elementwise(operator.add, lambda a, b: b if a == 0 else a if b == 0 else None),
    "Sub": _elementwise(operator.sub, lambda a, b: a if b == 0 else None if a is None or a != b else 0),
    "Mul": _elementwise(operator.mul, _times),
    "Div": _elementwise(_divide, lambda a, b: a if b == 1 else None),
    "Max": _elementwise(np.maximum),
    "Min": _elementwise(np.minimum),
    "Equal": _elementwise(operator.eq, _equals),
    "Mod": _elementwise(_modulo),
    "And": _elementwise(np.logical_and, lambda a, b: False if a is False or b is False else None),
    "Or": _elementwise(np.logical_or, lambda a, b: True if a is True or b is True else None),
    "Neg": lambda args: -args.whole(0),
    "Abs": lambda args: np.abs(args.whole(0)),
    "Floor": lambda args: np.floor(args.whole(0)),
    "Ceil": lambda args: np.ceil(args.whole(0)),
    "Not": lambda args: ~args.whole(0),
    "ReduceProd": _reduction(np.prod),
    "ReduceSum": _reduction(np.sum),
    "ReduceMax": _reduction(np.max),
    "ReduceMin": _reduction(np.min),
}

OPERATORS = frozenset(_RULES)
