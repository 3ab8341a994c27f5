"""Operators that change a tensor's shape, or ask for it, and leave its elements as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec.operators._moves import shape_of
from graphspec.operators._sizes import reasonable
from graphspec.operators._types import Array, Builder, Cotangents, Value
from graphspec.operators.registry import ZERO, operator


@operator("Identity")
def identity(input: Any) -> Any:
    """Y = input; tensors, sequences and optionals alike."""
    return input


@identity.vjp
def identity_vjp(op: Builder, dY: Value, Y: Value, X: Value) -> Cotangents:
    """dX = dY."""
    return dY


@operator("Reshape", since=1)
def reshape_1(data: Array, *, shape: Sequence[int], consumed_inputs: Sequence[int] | None = None) -> Array:
    """Reshape before opset 5: the shape is an attribute."""
    return _reshaped(data, list(shape), allowzero=0)


@operator("Reshape", since=5)
def reshape(data: Array, shape: Array, *, allowzero: int = 0) -> Array:
    """The elements of data in row-major order under another shape.

    A -1 stands for what is left over; a 0 copies data's dimension of that place, unless allowzero.
    """
    return _reshaped(data, [int(d) for d in np.reshape(shape, -1)], allowzero)


def _reshaped(data: Array, shape: list[int], allowzero: int) -> Array:
    if any(d < -1 for d in shape) or shape.count(-1) > 1:
        raise ValueError(f"shape {shape} is not valid: at most one -1, and no other negative number.")
    copied = set() if allowzero else {i for i, d in enumerate(shape) if d == 0}
    if any(i >= data.ndim for i in copied):
        raise ValueError(f"shape {shape} copies a dimension that the data, of shape {list(data.shape)}, does not have.")
    target = [data.shape[i] if i in copied else d for i, d in enumerate(shape)]
    if -1 in target and data.size == 0:
        # An empty batch: what is left over is told by the dimensions that are not copied.
        rest = int(np.prod([d for i, d in enumerate(data.shape) if i not in copied]))
        known = int(np.prod([d for i, d in enumerate(target) if i not in copied and d != -1]))
        if known == 0 or rest % known:
            raise ValueError(f"the -1 in shape {shape} is not determined by data of shape {list(data.shape)}.")
        target[target.index(-1)] = rest // known
    return np.reshape(data, target)


@reshape.vjp
def reshape_vjp(op: Builder, dY: Value, Y: Value, data: Value, shape: Value, *, allowzero: int) -> Cotangents:
    """d(data) = dY in the shape of data."""
    return op.reshape_like(dY, data), ZERO


@operator("Flatten")
def flatten(input: Array, *, axis: int = 1) -> Array:
    """A matrix: the dimensions before axis as its rows, those from axis on as its columns."""
    if not -input.ndim <= axis <= input.ndim:
        raise ValueError(f"axis {axis} is outside of [{-input.ndim}, {input.ndim}].")
    axis = axis + input.ndim if axis < 0 else axis
    rows, columns = (int(np.prod(dims, dtype=np.int64)) for dims in (input.shape[:axis], input.shape[axis:]))
    return np.reshape(input, (rows, columns))


@flatten.vjp
def flatten_vjp(op: Builder, dY: Value, Y: Value, X: Value, *, axis: int) -> Cotangents:
    """dX = dY in the shape of X."""
    return op.reshape_like(dY, X)


@operator("Squeeze", since=1)
def squeeze_1(data: Array, *, axes: Sequence[int] | None = None) -> Array:
    """Squeeze before opset 13: the axes are an attribute."""
    return _squeezed(data, axes)


@operator("Squeeze", since=13)
def squeeze(data: Array, axes: Array | None = None) -> Array:
    """The data without the dimensions ``axes``, which must be 1; without all that are 1 when axes is left out."""
    return _squeezed(data, axes)


def _squeezed(data: Array, axes: Any) -> Array:
    return np.squeeze(data, None if axes is None else tuple(int(a) for a in np.reshape(axes, -1)))


@squeeze.vjp
def squeeze_vjp(op: Builder, dY: Value, Y: Value, data: Value, axes: Value | None = None) -> Cotangents:
    """d(data) = dY in the shape of data."""
    return op.reshape_like(dY, data), ZERO


@operator("Unsqueeze", since=1)
def unsqueeze_1(data: Array, *, axes: Sequence[int]) -> Array:
    """Unsqueeze before opset 13: the axes are an attribute."""
    return _unsqueezed(data, axes)


@operator("Unsqueeze", since=13)
def unsqueeze(data: Array, axes: Array) -> Array:
    """The data with dimensions of 1 put in, so that they are the result's ``axes``."""
    return _unsqueezed(data, axes)


def _unsqueezed(data: Array, axes: Any) -> Array:
    return np.expand_dims(data, tuple(int(a) for a in np.reshape(axes, -1)))


@unsqueeze.vjp
def unsqueeze_vjp(op: Builder, dY: Value, Y: Value, data: Value, axes: Value) -> Cotangents:
    """d(data) = dY in the shape of data."""
    return op.reshape_like(dY, data), ZERO


@operator("Transpose")
def transpose(data: Array, *, perm: Sequence[int] | None = None) -> Array:
    """Axis i of the result is axis perm[i] of data; all axes in reverse by default."""
    return np.transpose(data, None if perm is None else list(perm))


@transpose.vjp
def transpose_vjp(op: Builder, dY: Value, Y: Value, data: Value, *, perm: Sequence[int] | None) -> Cotangents:
    """The inverse permutation."""
    back: Value = op.Transpose(dY, perm=None if perm is None else [int(i) for i in np.argsort(perm)])
    return back


@operator("Expand")
def expand(input: Array, shape: Array) -> Array:
    """Input broadcast with ``shape``, both ways: where shape says 1, input's dimension stays."""
    wanted = reasonable(shape, input.itemsize)
    return np.broadcast_to(input, reasonable(np.broadcast_shapes(input.shape, wanted), input.itemsize))


@expand.vjp
def expand_vjp(op: Builder, dY: Value, Y: Value, X: Value, shape: Value) -> Cotangents:
    """dX = dY, summed over the axes along which X was repeated (as for any broadcasting, by the loop)."""
    return dY, ZERO


@operator("Shape", rule=ZERO)
def shape(data: Array, *, start: int = 0, end: int | None = None) -> Array:
    """The dimensions of data from start up to end, as int64; both count from the back when negative."""
    return np.array(np.shape(data)[start:end], dtype=np.int64)


@operator("Size", rule=ZERO)
def size(data: Array) -> Array:
    """The number of elements, as an int64 scalar."""
    return np.array(np.size(data), dtype=np.int64)


@operator("DepthToSpace")
def depth_to_space(input: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    """Y[n, c, h·b + i, w·b + j] = X[n, channel, h, w].

    The channel is (i·b + j)·C' + c in mode DCR and c·b² + i·b + j in mode CRD, with C' = C / b².
    """
    N, C, H, W = _image(input, mode)
    b = blocksize
    if b < 1 or C % (b * b):
        raise ValueError(f"{C} channels do not make blocks of {b} x {b}.")
    if mode == "DCR":
        blocks = np.reshape(input, (N, b, b, C // (b * b), H, W)).transpose(0, 3, 4, 1, 5, 2)
    else:
        blocks = np.reshape(input, (N, C // (b * b), b, b, H, W)).transpose(0, 1, 4, 2, 5, 3)
    return np.reshape(blocks, (N, C // (b * b), H * b, W * b))


@depth_to_space.vjp
def depth_to_space_vjp(op: Builder, dY: Value, Y: Value, X: Value, *, blocksize: int, mode: str) -> Cotangents:
    """The move back: SpaceToDepth, spelt out for mode CRD, which that operator has only since opset 28."""
    if mode == "DCR":
        back: Value = op.SpaceToDepth(dY, blocksize=blocksize)
        return back
    return _blocks_to_channels(op, dY, X, blocksize, (0, 1, 3, 5, 2, 4))


@operator("SpaceToDepth")
def space_to_depth(input: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    """Y[n, channel, h, w] = X[n, c, h·b + i, w·b + j]: the inverse of DepthToSpace, which gives the channel."""
    N, C, H, W = _image(input, mode)
    b = blocksize
    if b < 1 or H % b or W % b:
        raise ValueError(f"an image of {H} x {W} does not make blocks of {b} x {b}.")
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    blocks = np.reshape(input, (N, C, H // b, b, W // b, b)).transpose(order)
    return np.reshape(blocks, (N, C * b * b, H // b, W // b))


@space_to_depth.vjp
def space_to_depth_vjp(op: Builder, dY: Value, Y: Value, X: Value, *, blocksize: int, mode: str) -> Cotangents:
    """The move back: DepthToSpace in the same mode."""
    back: Value = op.DepthToSpace(dY, blocksize=blocksize, mode=mode)
    return back


def _image(X: Array, mode: str) -> tuple[int, int, int, int]:
    if X.ndim != 4 or mode not in ("DCR", "CRD"):
        raise ValueError(f"input of rank 4 and mode DCR or CRD are expected, not rank {X.ndim} and mode {mode!r}.")
    N, C, H, W = X.shape
    return N, C, H, W


def _blocks_to_channels(op: Builder, dY: Value, X: Value, b: int, order: tuple[int, ...]) -> Value:
    """DepthToSpace undone, for the order of axes that its mode asks for; X gives the shape."""
    sizes = op.static(X)
    if sizes is not None:
        N, C, H, W = sizes
        split = op.ints([N, C // (b * b), H, b, W, b])
    else:
        channels = op.Div(op.dim(X, 1), op.ints([b * b]))
        split = shape_of(op, op.dim(X, 0), channels, op.dim(X, 2), b, op.dim(X, 3), b)
    return op.reshape_like(op.Transpose(op.reshape(dY, split), perm=list(order)), X)
