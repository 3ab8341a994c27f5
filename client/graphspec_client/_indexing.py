"""``x[...]`` with NumPy's meaning: integers, slices, Ellipsis, None, integer arrays and boolean masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphspec_client import _dtypes
from graphspec_client._emit import cast, emit, emit_all, is_value, lift
from graphspec_client._shaping import INT_MAX, INT_MIN, expand_dims, shape_of, sizes, transpose
from graphspec_client._values import Value, ints


def getitem(x: Any, key: Any) -> Value:
    """``x[key]``.

    Raises:
        IndexError: Too many indices, or one beyond the end of an axis of known size.
        TypeError: Something that is no index.
    """
    value = lift(x)
    items = list(key) if isinstance(key, tuple) else [key]
    if len(items) == 1 and _is_mask(items[0]):
        return _masked(value, items[0])
    items = _spelled_out(value, [_normal(item) for item in items])
    arrays = [item for item in items if isinstance(item, Value)]
    if arrays and not all(array.rank == 0 for array in arrays):
        # Beside an index array a number is an index array too, as in NumPy.
        items = [
            lift(np.int64(_within(value, items, i))) if isinstance(item, int) else item for i, item in enumerate(items)
        ]
    return _advanced(*_basic(value, items))


def _is_mask(item: Any) -> bool:
    if is_value(item):
        return lift(item).dtype == "bool"
    return isinstance(item, np.ndarray | list) and np.asarray(item).dtype == np.bool_


def _normal(item: Any) -> Any:
    """An index as one of: int, slice, None, Ellipsis, or the value of an integer array."""
    if item is None or item is Ellipsis or isinstance(item, slice):
        return item
    if isinstance(item, bool | np.bool_):
        raise TypeError("True and False are no indices here; use None for a new axis.")
    if isinstance(item, int | np.integer):
        return int(item)
    if _is_mask(item):
        raise TypeError("A boolean mask is supported as the only index: x[mask].")
    if isinstance(item, np.ndarray | list) or is_value(item):
        value = lift(np.asarray(item, np.int64) if isinstance(item, list) and not item else item)
        if _dtypes.kind(value.dtype) in "iu":
            return value if value.dtype in {"int32", "int64"} else cast(value, "int64")
        raise TypeError(f"An index array holds integers or bools, found {value.dtype}.")
    raise TypeError(f"An index is an int, slice, Ellipsis, None or an integer array, found {type(item).__name__}.")


def _spelled_out(value: Value, items: list[Any]) -> list[Any]:
    """The items with one for each axis: Ellipsis, and what is missing at the end, as full slices."""
    used = sum(item is not None and item is not Ellipsis for item in items)
    rests = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(rests) > 1:
        raise IndexError("An index can have only a single Ellipsis.")
    missing = value.rank - used
    if missing < 0:
        raise IndexError(f"Too many indices: {used} for a tensor of {value.rank} axes.")
    at = rests[0] if rests else len(items)
    return [*items[:at], *[slice(None)] * missing, *items[at + 1 :]]


def _within(value: Value, items: list[Any], position: int) -> int:
    """The index at a position, checked against its axis where the size of that is known."""
    axis = sum(item is not None for item in items[:position])
    index, size = int(items[position]), value.shape[axis] if value.shape is not None else None
    if isinstance(size, int) and not -size <= index < size:
        raise IndexError(f"Index {index} is out of bounds for axis {axis} of size {size}.")
    return index


def _basic(value: Value, items: list[Any]) -> tuple[Value, list[Value | None]]:
    """Apply slices, numbers and new axes; what is left is one entry for each axis, an index array or ``None``."""
    starts, ends, axes, steps = [], [], [], []
    numbers: list[tuple[int, int]] = []
    axis = 0
    for position, item in enumerate(items):
        if item is None:
            continue
        if isinstance(item, slice) and not (item.start is item.stop is item.step is None):
            start, end, step = _bounds(item)
            starts.append(start)
            ends.append(end)
            steps.append(step)
            axes.append(axis)
        elif isinstance(item, int):
            numbers.append((axis, _within(value, items, position)))
        axis += 1
    if axes:
        value = emit("Slice", value, sizes(starts), sizes(ends), ints(axes), ints(steps))
    for axis, index in reversed(numbers):
        value = emit("Gather", value, ints(index), axis=axis)
    kept = [item for item in items if not isinstance(item, int)]
    new = [i for i, item in enumerate(kept) if item is None]
    if new:
        value = expand_dims(value, new)
    if not axes and not numbers and not new:
        value = emit("Identity", value)
    return value, [item if isinstance(item, Value) else None for item in kept]


def _bounds(item: slice) -> tuple[Any, Any, int]:
    step = 1 if item.step is None else int(item.step)
    if step == 0:
        raise ValueError("A slice's step cannot be zero.")
    start = item.start if item.start is not None else (0 if step > 0 else INT_MAX)
    end = item.stop if item.stop is not None else (INT_MAX if step > 0 else INT_MIN)
    return start, end, step


def _advanced(value: Value, arrays: list[Value | None]) -> Value:
    """Apply index arrays: one by ``Gather``, several by ``GatherND`` over their axes brought to the front."""
    axes = [axis for axis, array in enumerate(arrays) if array is not None]
    given = [array for array in arrays if array is not None]
    if not axes:
        return value
    if len(axes) == 1:
        return emit("Gather", value, given[0], axis=axes[0])
    rest = [axis for axis in range(value.rank) if axis not in axes]
    front = transpose(value, [*axes, *rest]) if axes != list(range(len(axes))) else value
    rank = max(array.rank for array in given)
    shape = shape_of(_sum(given))
    columns = [emit("Unsqueeze", emit("Expand", cast(array, "int64"), shape), ints([-1])) for array in given]
    picked = emit("GatherND", front, emit_all("Concat", columns, {"axis": -1})[0])
    adjacent = axes == list(range(axes[0], axes[0] + len(axes)))
    if not adjacent or axes[0] == 0:
        return picked
    before = list(range(rank, rank + axes[0]))
    after = list(range(rank + axes[0], rank + len(rest)))
    return transpose(picked, [*before, *range(rank), *after])


def _sum(arrays: list[Value]) -> Value:
    """Their sum: a value of the shape to which all of them broadcast."""
    total = cast(arrays[0], "int64")
    for array in arrays[1:]:
        total = emit("Add", total, cast(array, "int64"))
    return total


def _masked(value: Value, mask: Any) -> Value:
    """The elements where a mask over the leading axes is true."""
    if not is_value(mask):
        where = np.nonzero(np.asarray(mask))
        if value.shape is not None and len(where) <= len(value.shape):
            found, wanted = np.shape(mask), value.shape[: len(where)]
            if all(isinstance(size, int) for size in wanted) and found != wanted:
                raise IndexError(f"A mask of shape {found} does not fit the leading axes of shape {value.shape}.")
        return emit("GatherND", value, lift(np.stack(where, axis=-1)))
    return emit("GatherND", value, emit("Transpose", emit("NonZero", lift(mask))))
