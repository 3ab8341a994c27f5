"""Operators that take a part out of a tensor, or put a border around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import onnx_ir as ir

from graphspec.inference import known_constant
from graphspec.operators._moves import scatter_back
from graphspec.operators._sizes import reasonable
from graphspec.operators._types import Array, Builder, Cotangent, Cotangents, Value
from graphspec.operators.registry import ZERO, operator


@operator("Slice", since=1)
def slice_1(data: Array, *, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int] | None = None) -> Array:
    """Slice before opset 10: starts, ends and axes are attributes."""
    return _sliced(data, starts, ends, axes, None)


@operator("Slice", since=10)
def slice(data: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None) -> Array:
    """data[..., start:end:step, ...] on each of axes; what counts from the back or points outside is as in NumPy.

    One difference: a negative step from before the first element starts at the first element.
    """
    return _sliced(data, starts, ends, axes, steps)


def _sliced(data: Array, starts: Any, ends: Any, axes: Any, steps: Any) -> Array:
    count = len(starts)
    axes = range(count) if axes is None else [int(a) for a in axes]
    steps = [1] * count if steps is None else [int(s) for s in steps]
    if not len(ends) == len(axes) == len(steps) == count:
        raise ValueError("starts, ends, axes and steps are not of one length.")
    ranges = [np.s_[:]] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if not -data.ndim <= axis < data.ndim or step == 0:
            raise ValueError(f"axis {axis} or step {step} is not valid for data of rank {data.ndim}.")
        ranges[axis] = _range(int(start), int(end), step, data.shape[axis])
    return data[tuple(ranges)]


def _range(start: int, end: int, step: int, length: int) -> Any:
    """Start and end as positions within a dimension of this length."""
    start = start + length if start < 0 else start
    end = end + length if end < 0 else end
    if step > 0:
        return np.s_[min(max(start, 0), length) : min(max(end, 0), length) : step]
    start, end = min(max(start, 0), length - 1), min(max(end, -1), length - 1)
    return np.s_[start : None if end < 0 else end : step] if length else np.s_[0:0]


@slice.vjp
def slice_vjp(
    op: Builder,
    dY: Value,
    Y: Value,
    data: Value,
    starts: Value,
    ends: Value,
    axes: Value | None = None,
    steps: Value | None = None,
) -> Cotangents:
    """dY with zeros around it; with steps other than 1, each dY goes back to where its element was."""
    if steps is not None:
        known = known_constant(steps)
        if known is None or np.any(known != 1):
            d_data = scatter_back(op, dY, data, lambda at: op.Slice(at, starts, ends, axes, steps))
            return d_data, ZERO, ZERO, ZERO, ZERO
    on = _sliced_axes(op, starts, axes)
    before, after = _margins(op, data, Y, starts, on)
    d_data = op.Pad(dY, op.Concat(before, after, axis=0), op.scalar(0, data), on)
    d_data.shape = data.shape if data.shape is not None else d_data.shape
    return d_data, ZERO, ZERO, ZERO, ZERO


def _sliced_axes(op: Builder, starts: Value, axes: Value | None) -> Value:
    """The axes of a Slice as an int64 vector; the first ones, as many as there are starts, when they are left out."""
    if axes is not None:
        on: Value = op.cast(axes, ir.DataType.INT64)
        return on
    count = op.static(starts)
    if count is not None:
        return op.ints(range(count[0]))
    first: Value = op.Range(op.const(np.int64(0)), op.size(starts), op.const(np.int64(1)))
    return first


def _margins(op: Builder, data: Value, Y: Value, starts: Value, axes: Value) -> tuple[Value, Value]:
    """How many elements of each sliced axis lie before and after the part that was taken, as int64 vectors."""
    first, on = known_constant(starts), known_constant(axes)
    sizes, taken = op.dims(data), op.dims(Y)
    if first is not None and on is not None and sizes is not None and taken is not None:
        known = [(int(s), sizes[a], taken[a]) for s, a in zip(first, on, strict=True)]
        margins = [
            (begin := int(_range(s, size, 1, size).start), size - begin - left)
            for s, size, left in known
            if isinstance(size, int) and isinstance(left, int)
        ]
        if len(margins) == len(known):
            return op.ints(m[0] for m in margins), op.ints(m[1] for m in margins)
    zero, starts = op.ints([0]), op.cast(starts, ir.DataType.INT64)
    axes = op.Where(op.Less(axes, zero), op.Add(axes, op.Size(op.Shape(data))), axes)
    lengths, left = op.Gather(op.shape(data), axes), op.Gather(op.shape(Y), axes)
    starts = op.Where(op.Less(starts, zero), op.Add(starts, lengths), starts)
    before = op.Min(op.Max(starts, zero), lengths)
    return before, op.Sub(op.Sub(lengths, before), left)


@operator("Pad", since=2)
def pad_2(data: Array, *, pads: Sequence[int], mode: str = "constant", value: float = 0.0) -> Array:
    """Pad before opset 11: pads and value are attributes."""
    return _padded(data, pads, None, mode, value)


@operator("Pad", since=11)
def pad(
    data: Array, pads: Array, constant_value: Array | None = None, axes: Array | None = None, *, mode: str = "constant"
) -> Array:
    """Data with pads[i] elements put before and pads[i + n] behind axes[i]; negative pads take elements away.

    The new elements are the constant (mode constant), the nearest element (edge), or the data mirrored at its first
    and last element (reflect) or repeated (wrap). What negative pads take away is gone before anything is put in.
    """
    value = 0 if constant_value is None else np.reshape(constant_value, -1)[0]
    return _padded(data, pads, axes, mode, value)


def _padded(data: Array, pads: Any, axes: Any, mode: str, value: Any) -> Array:
    if mode not in ("constant", "edge", "reflect", "wrap"):
        raise ValueError(f"mode {mode!r} is not one of constant, edge, reflect, wrap.")
    on = range(data.ndim) if axes is None else [int(a) for a in axes]
    counts = [int(n) for n in np.reshape(pads, -1)]
    if len(counts) != 2 * len(on):
        raise ValueError(f"{len(counts)} pads are not two for each of {len(on)} axes.")
    keep, widths = [np.s_[:]] * data.ndim, [(0, 0)] * data.ndim
    for axis, before, after in zip(on, counts[: len(on)], counts[len(on) :], strict=True):
        if not -data.ndim <= axis < data.ndim:
            raise ValueError(f"axis {axis} is not valid for data of rank {data.ndim}.")
        length = data.shape[axis]
        if length + before + after < 0:
            raise ValueError(f"pads {before} and {after} take more than the {length} elements there are.")
        # What one side takes beyond the data, it takes from what the other side puts in.
        first, last = max(-before, 0), length - max(-after, 0)
        widths[axis] = (max(before, 0) + min(last, 0), max(after, 0) - max(first - length, 0))
        keep[axis] = np.s_[min(first, length) : max(last, 0)]
    kept = data[tuple(keep)]
    if all(width == (0, 0) for width in widths):
        return kept
    reasonable((n + sum(w) for n, w in zip(kept.shape, widths, strict=True)), data.itemsize)
    if mode == "constant":
        return np.pad(kept, widths, mode="constant", constant_values=value)
    return np.pad(kept, widths, mode=cast("Any", mode))


@pad.vjp
def pad_vjp(
    op: Builder,
    dY: Value,
    Y: Value,
    data: Value,
    pads: Value,
    constant_value: Value | None = None,
    axes: Value | None = None,
    *,
    mode: str,
) -> Cotangents:
    """Constant: what was put in is taken away, what was taken away is zero; the constant gets the sum over the border.

    Other modes: each dY goes back to the element it is a copy of.
    """
    if mode != "constant":
        return scatter_back(op, dY, data, lambda at: op.Pad(at, pads, None, axes, mode=mode)), ZERO, ZERO, ZERO
    back = known_constant(pads)
    undo = op.Neg(pads) if back is None else op.ints(-int(n) for n in back)
    d_data = op.Pad(dY, undo, op.scalar(0, data), axes)
    d_data.shape = data.shape if data.shape is not None else d_data.shape
    d_constant: Cotangent = ZERO
    if constant_value is not None:
        inside = op.expand(op.const(np.array(False)), op.shape(data))
        border = op.Pad(inside, pads, op.const(np.array(True)), axes)
        outside = op.Where(border, dY, op.scalar(0, data))
        d_constant = op.reshape_like(op.reduce_sum(outside, None, keepdims=False), constant_value)
    return d_data, ZERO, d_constant, ZERO
