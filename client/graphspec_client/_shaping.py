"""Operations on values that move elements about: reshape, join, split, repeat, pad, select along an axis."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec_client import _dtypes
from graphspec_client._emit import cast, emit, emit_all, is_value, lift, promoted
from graphspec_client._reductions import Axes, axes_input
from graphspec_client._values import Value, constant, ints

INT_MAX, INT_MIN = 2**63 - 1, -(2**63)


def dim(value: Value, axis: int) -> int | Value:
    """The size of an axis: a number, or while tracing with a symbolic size an int64 scalar of the graph."""
    rank = value.rank
    size = value.shape[axis % rank] if value.shape is not None else None
    if isinstance(size, int):
        return size
    symbol = emit("Gather", emit("Shape", value), ints(axis % rank))
    symbol.weak = True
    return symbol


def sizes(items: int | Value | Sequence[Any]) -> Value:
    """A shape as ONNX wants it, from numbers and sizes of the graph."""
    listed: list[Any] = list(items) if isinstance(items, Sequence | np.ndarray) else [items]
    if not any(is_value(item) for item in listed):
        return ints([int(item) for item in listed])
    parts = [emit("Reshape", cast(lift(item), "int64"), ints([1])) for item in listed]
    return parts[0] if len(parts) == 1 else emit_all("Concat", parts, {"axis": 0})[0]


def shape_of(value: Value) -> Value:
    """The shape as a value of the graph: a constant where all sizes are known."""
    known = [size for size in value.shape or () if isinstance(size, int)]
    return ints(known) if value.shape is not None and len(known) == len(value.shape) else emit("Shape", value)


def reshape(a: Any, /, shape: Any = None, *, newshape: Any = None) -> Value:
    """The same elements, in order, in another shape; one size may be -1."""
    target = sizes(shape if shape is not None else newshape)
    zero = target.kind == "constant" and 0 in target.array().tolist()
    return emit("Reshape", lift(a), target, allowzero=1 if zero else None)


def ravel(a: Any) -> Value:
    """All elements on one axis."""
    return reshape(a, -1)


def flatten(a: Any, start_axis: int = 0) -> Value:
    """The axes from ``start_axis`` on as one."""
    value = lift(a)
    if start_axis == 0:
        return ravel(value)
    return reshape(value, [*(dim(value, axis) for axis in range(start_axis % value.rank)), -1])


def transpose(a: Any, axes: Sequence[int] | None = None) -> Value:
    """The axes in another order, by default reversed."""
    value = lift(a)
    if axes is None:
        return emit("Transpose", value)
    rank = len(axes)
    return emit("Transpose", value, perm=[int(axis) % rank if -rank <= axis < rank else int(axis) for axis in axes])


def swapaxes(a: Any, axis1: int, axis2: int) -> Value:
    """Two axes exchanged."""
    value = lift(a)
    order = list(range(value.rank))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return transpose(value, order)


def moveaxis(a: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Value:
    """Axes moved to other positions, the others in their order."""
    value = lift(a)
    rank = value.rank
    froms = [axis % rank for axis in ([source] if isinstance(source, int) else source)]
    tos = [axis % rank for axis in ([destination] if isinstance(destination, int) else destination)]
    order = [axis for axis in range(rank) if axis not in froms]
    for to, origin in sorted(zip(tos, froms, strict=True)):
        order.insert(to, origin)
    return transpose(value, order)


def expand_dims(a: Any, axis: int | Sequence[int]) -> Value:
    """New axes of size 1."""
    return emit("Unsqueeze", lift(a), axes_input(axis))


def squeeze(a: Any, axis: Axes = None) -> Value:
    """Without axes of size 1: those named, or all."""
    return emit("Squeeze", lift(a), axes_input(axis))


def broadcast_to(array: Any, shape: Any) -> Value:
    """Repeated along axes of size 1 to the shape."""
    value, target = lift(array), sizes(shape)
    result = emit("Expand", value, target)
    wanted = tuple(target.array().tolist()) if target.kind == "constant" else None
    if wanted is not None and result.shape is not None and len(result.shape) != len(wanted):
        raise ValueError(f"Shape {value.shape} does not broadcast to {wanted}.")
    return result


def concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Value:
    """Joined along an existing axis (``None``: all of them flat)."""
    values = promoted(*arrays)
    if axis is None:
        values, axis = [ravel(value) for value in values], 0
    return emit_all("Concat", values, {"axis": axis})[0]


def stack(arrays: Sequence[Any], axis: int = 0) -> Value:
    """Joined along a new axis."""
    return concatenate([expand_dims(value, axis) for value in promoted(*arrays)], axis)


def _at_least(value: Value, rank: int) -> Value:
    missing = rank - value.rank
    return expand_dims(value, list(range(missing))) if missing > 0 else value


def vstack(tup: Sequence[Any]) -> Value:
    """Joined along the first axis, vectors as rows."""
    return concatenate([_at_least(lift(one), 2) for one in tup], 0)


def hstack(tup: Sequence[Any]) -> Value:
    """Joined along the second axis, vectors end to end."""
    values = [_at_least(lift(one), 1) for one in tup]
    return concatenate(values, 0 if values[0].rank == 1 else 1)


def split(ary: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Value]:
    """Cut along an axis, into equal parts or before the indices."""
    value = lift(ary)
    size = dim(value, axis)
    if isinstance(indices_or_sections, int):
        if isinstance(size, int) and size % indices_or_sections:
            raise ValueError(f"{size} elements do not split into {indices_or_sections} equal parts.")
        count = indices_or_sections
        return list(emit_all("Split", [value], {"axis": axis, "num_outputs": count}, outputs=count))
    if not isinstance(size, int):
        raise TypeError("A split before indices needs an axis of known size.")
    cuts = [0, *(min(cut % size if cut < 0 else cut, size) for cut in indices_or_sections), size]
    lengths = [max(after - before, 0) for before, after in itertools.pairwise(cuts)]
    return list(emit_all("Split", [value, ints(lengths)], {"axis": axis}, outputs=len(lengths)))


def cut(value: Value, axis: int, start: int | Value, stop: int | Value) -> Value:
    """``value[start:stop]`` along one axis."""
    return emit("Slice", value, sizes(start), sizes(stop), ints([axis]))


def flip(m: Any, axis: Axes = None) -> Value:
    """In reverse order along the axes, by default along all."""
    value = lift(m)
    axes = list(range(value.rank)) if axis is None else ([axis] if isinstance(axis, int) else list(axis))
    n = len(axes)
    return emit("Slice", value, ints([INT_MAX] * n), ints([INT_MIN] * n), ints(axes), ints([-1] * n))


def roll(a: Any, shift: int, axis: int | None = None) -> Value:
    """Elements moved along an axis; those that fall off the end come back at the start."""
    value = lift(a)
    if axis is None:
        flat = roll(ravel(value), shift, 0)
        return emit("Reshape", flat, shape_of(value))
    size = dim(value, axis)
    start = -shift % max(size, 1) if isinstance(size, int) else emit("Mod", ints(-shift), size)
    return concatenate([cut(value, axis, start, INT_MAX), cut(value, axis, 0, start)], axis)


def tile(A: Any, reps: int | Sequence[int]) -> Value:
    """The whole repeated, so many times along each axis."""
    value, times = lift(A), [reps] if isinstance(reps, int) else list(reps)
    value = _at_least(value, len(times))
    return emit("Tile", value, ints([1] * (value.rank - len(times)) + times))


def repeat(a: Any, repeats: int, axis: int | None = None) -> Value:
    """Each element repeated."""
    if not isinstance(repeats, int):
        raise TypeError("repeat with a count for each element is not supported; give one number.")
    value = lift(a)
    if axis is None:
        value, axis = ravel(value), 0
    axis %= value.rank
    times = [1] * (value.rank + 1)
    times[axis + 1] = repeats
    many = emit("Tile", expand_dims(value, axis + 1), ints(times))
    shape = [dim(value, i) for i in range(value.rank)]
    shape[axis] = -1
    return reshape(many, shape)


def pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: float = 0) -> Value:
    """With a border: constant (default), edge, reflect or wrap."""
    value = lift(array)
    if mode not in {"constant", "edge", "reflect", "wrap"}:
        raise TypeError(f"pad with mode={mode!r} is not supported; constant, edge, reflect and wrap are.")
    widths = np.broadcast_to(np.asarray(pad_width, np.int64), (value.rank, 2))
    fill = constant(constant_values, value.dtype) if mode == "constant" else None
    return emit("Pad", value, ints(widths.T.reshape(-1).tolist()), fill, mode=mode)


def _triangle(upper: int) -> Any:
    def apply(m: Any, k: int = 0) -> Value:
        return emit("Trilu", lift(m), ints(k), upper=upper)

    return apply


tril, triu = _triangle(0), _triangle(1)


def take(a: Any, indices: Any, axis: int | None = None) -> Value:
    """The elements (along an axis: the slices) at the indices; negative ones count from the end."""
    value, index = lift(a), lift(indices)
    if _dtypes.kind(index.dtype) not in "iu":
        raise TypeError(f"Indices are integers, found {index.dtype}.")
    if axis is None:
        value, axis = ravel(value), 0
    return emit("Gather", value, _as_index(index), axis=axis)


def _as_index(index: Value) -> Value:
    return index if index.dtype in {"int32", "int64"} else cast(index, "int64")


def take_along_axis(arr: Any, indices: Any, axis: int = -1) -> Value:
    """For each index the element at that place of its own line along the axis."""
    return emit("GatherElements", lift(arr), _as_index(lift(indices)), axis=axis)


def _top(value: Value, axis: int) -> tuple[Value, ...]:
    return emit_all("TopK", [value, sizes([dim(value, axis)])], {"axis": axis, "largest": 0, "sorted": 1}, outputs=2)


def sort(a: Any, axis: int | None = -1) -> Value:
    """In ascending order along an axis (``None``: all elements)."""
    value = lift(a)
    return _top(ravel(value), 0)[0] if axis is None else _top(value, axis)[0]


def argsort(a: Any, axis: int | None = -1) -> Value:
    """The indices that sort; among equals the lower index first."""
    value = lift(a)
    return _top(ravel(value), 0)[1] if axis is None else _top(value, axis)[1]


def diff(a: Any, n: int = 1, axis: int = -1) -> Value:
    """Each element less the one before it, n times."""
    value = lift(a)
    for _ in range(n):
        value = emit("Sub", cut(value, axis, 1, INT_MAX), cut(value, axis, 0, -1))
    return emit("Identity", value) if n == 0 else value


def _filled(number: float) -> Any:
    def apply(a: Any, dtype: Any = None) -> Value:
        return full_like(a, number, dtype)

    return apply


def full_like(a: Any, fill_value: float, dtype: Any = None) -> Value:
    """One number in the shape (and dtype) of another value."""
    value = lift(a)
    one = constant(fill_value, value.dtype if dtype is None else _dtypes.wire_name(dtype))
    return emit("Expand", one, shape_of(value))


zeros_like, ones_like = _filled(0), _filled(1)
