"""Quantised numbers: to and from integers and small floats by scale and zero point, and products of them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from graphspec import dtypes
from graphspec.errors import NoGradientRule
from graphspec.operators._types import Builder, Cotangents, Value
from graphspec.operators.casting import converted
from graphspec.operators.convolution import conv
from graphspec.operators.registry import ZERO, Array, operator

_STANDARD = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64)
# Least and largest number of each integer type that quantisation may end in.
_INTEGERS: dict[np.dtype[Any], tuple[int, int]] = {
    **{np.dtype(t): (int(np.iinfo(t).min), int(np.iinfo(t).max)) for t in _STANDARD},
    np.dtype(ml_dtypes.int4): (-8, 7),
    np.dtype(ml_dtypes.uint4): (0, 15),
    np.dtype(ml_dtypes.int2): (-2, 1),
    np.dtype(ml_dtypes.uint2): (0, 3),
}


def _spread(values: Array, x: Array, axis: int, block_size: int) -> Array:
    """Scales or zero points in a shape that broadcasts against ``x``: one in all, one an index, or one a block.

    Raises:
        ValueError: Their shape fits none of the three.
    """
    if values.size == 1 and values.ndim <= 1:
        return values.reshape(())
    axis = axis + x.ndim if axis < 0 else axis
    if not 0 <= axis < x.ndim:
        raise ValueError(f"axis {axis} lies outside of a tensor of rank {x.ndim}")
    if values.ndim == 1 and block_size == 0:
        if values.shape[0] != x.shape[axis]:
            raise ValueError(f"{values.shape[0]} scales do not fit the {x.shape[axis]} indices of axis {axis}")
        return values.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    if values.ndim != x.ndim or block_size < 0:
        raise ValueError(f"scales of shape {list(values.shape)} do not fit a tensor of shape {list(x.shape)}")
    size = block_size or -(-x.shape[axis] // max(values.shape[axis], 1))
    repeated = np.repeat(values, size, axis=axis)
    if repeated.shape[axis] < x.shape[axis]:
        raise ValueError(
            f"{values.shape[axis]} blocks of {size} do not cover the {x.shape[axis]} indices of axis {axis}"
        )
    return repeated.take(range(x.shape[axis]), axis=axis)


def _wide(x: Array) -> Array:
    return x if (x.dtype.kind in "iu" and x.dtype.itemsize >= 4) or x.dtype == np.float64 else x.astype(np.float32)


@operator("QuantizeLinear", since=10, rule=ZERO)
def quantize_linear(
    x: Array, y_scale: Array, y_zero_point: Array | None = None, *, axis: int = 1, block_size: int = 0,
    output_dtype: int = 0, precision: int = 0, saturate: int = 1,
) -> Array:  # fmt: skip
    """y = saturate(round(x ÷ scale) + zero point), ties to even; float targets are not rounded to whole numbers.

    Shapes: scale and zero point scalar, (x.shape[axis]), or x's with axis divided by block_size.
    Source: ONNX QuantizeLinear.
    """
    if y_zero_point is not None:
        target = y_zero_point.dtype
    else:
        target = dtypes.of(output_dtype).numpy if output_dtype else np.dtype(np.uint8)
    scale = _spread(y_scale, x, axis, block_size)
    if precision:
        between = dtypes.of(precision).numpy
        quotient = np.asarray(x.astype(between) / scale.astype(between)).astype(np.float32)
    else:
        quotient = np.asarray(_wide(x) / _wide(scale))
        if y_scale.dtype.itemsize < 4 and x.dtype == y_scale.dtype:  # the division itself is in the scale's type
            quotient = quotient.astype(y_scale.dtype).astype(np.float32)
    if target not in _INTEGERS:
        return converted(np.asarray(quotient, dtype=np.float32), target, bool(saturate))
    zero = 0 if y_zero_point is None else _spread(y_zero_point, x, axis, block_size).astype(np.int64)
    low, high = _INTEGERS[target]
    rounded = np.nan_to_num(np.rint(quotient.astype(np.float64)), posinf=2.0**62, neginf=-(2.0**62))
    return np.asarray(np.clip(rounded + zero, low, high)).astype(np.int64).astype(target)


@operator("DequantizeLinear", since=10)
def dequantize_linear(
    x: Array, x_scale: Array, x_zero_point: Array | None = None, *, axis: int = 1, block_size: int = 0,
    output_dtype: int = 0,
) -> Array:  # fmt: skip
    """y = (x - zero point) × scale, in the scale's dtype (or ``output_dtype``).

    Source: ONNX DequantizeLinear.
    """
    target = dtypes.of(output_dtype).numpy if output_dtype else x_scale.dtype
    scale = _spread(x_scale, x, axis, block_size)
    difference = x.astype(np.int64) if x.dtype in _INTEGERS else x.astype(np.float32)
    if x_zero_point is not None and x.dtype in _INTEGERS:
        difference = difference - _spread(x_zero_point, x, axis, block_size).astype(np.int64)
    return np.asarray(difference.astype(np.float32) * _wide(scale)).astype(target)


@dequantize_linear.vjp
def dequantize_linear_vjp(
    op: Builder, dY: Value, Y: Value, x: Value, x_scale: Value, x_zero_point: Value | None = None, *, axis: int,
    block_size: int, output_dtype: int,
) -> Cotangents:  # fmt: skip
    """dscale = Σ dY · (x - zero point), over all that a scale serves; x and the zero point have none."""
    target = None if op.opset < 23 else int(op.dtype(x_scale))
    unit = op.ones_like(x_scale)
    blocks = {"block_size": block_size} if block_size else {}
    difference = op.DequantizeLinear(x, unit, x_zero_point, axis=axis, output_dtype=target, **blocks)
    each = op.Mul(op.cast(dY, x_scale), difference)
    rank, scales = op.rank(x), op.rank(x_scale)
    if scales is None or (rank is None and scales):
        raise NoGradientRule("DequantizeLinear has no vjp rule for a scale, or an x, of unknown rank.")
    if scales == 0:
        return None, op.reduce_sum(each, None, keepdims=False), None
    assert rank is not None
    axis = axis + rank if axis < 0 else axis
    if not block_size:  # one scale an index; the loop sums these if there is only one scale
        return None, op.reduce_sum(each, [i for i in range(rank) if i != axis], keepdims=False), None
    count = op.dim(x_scale, axis)
    missing = op.Sub(op.Mul(count, op.ints([block_size])), op.dim(x, axis))
    filled = op.Pad(each, op.Concat(op.ints([0]), missing, axis=0), None, op.ints([axis]))
    parts = [op.dim(x, i) for i in range(rank)]
    parts[axis : axis + 1] = [count, op.ints([block_size])]
    split = op.Reshape(filled, op.Concat(*parts, axis=0), allowzero=1)
    return None, op.reshape_like(op.reduce_sum(split, [axis + 1], keepdims=False), x_scale), None


@operator("QLinearMatMul", since=10, rule=ZERO)
def qlinear_matmul(
    a: Array, a_scale: Array, a_zero_point: Array, b: Array, b_scale: Array, b_zero_point: Array, y_scale: Array,
    y_zero_point: Array,
) -> Array:  # fmt: skip
    """y = quantize((a - a_zero) @ (b - b_zero) · a_scale · b_scale): the product itself in whole numbers."""
    row = -2 if a.ndim > 1 else -1
    left = _shifted(a, a_zero_point, row)
    right = _shifted(b, b_zero_point, -1)
    scale = _along(a_scale, a.ndim, row).astype(np.float64) * _along(b_scale, b.ndim, -1).astype(np.float64)
    real = np.matmul(left, right) * scale / _along(y_scale, a.ndim, row).astype(np.float64)
    low, high = _INTEGERS.get(y_zero_point.dtype, (0, 0))
    if y_zero_point.dtype not in _INTEGERS:
        return converted(real.astype(np.float32), y_zero_point.dtype)
    zero = _along(y_zero_point, a.ndim, row).astype(np.float64)
    return np.asarray(np.clip(np.rint(real) + zero, low, high)).astype(np.int64).astype(y_zero_point.dtype)


def _along(values: Array, rank: int, axis: int) -> Array:
    """A scalar, one value an index of ``axis``, or values that broadcast already."""
    if values.size == 1:
        return values.reshape(())
    return values.reshape([-1 if i == axis % rank else 1 for i in range(rank)]) if values.ndim == 1 else values


def _shifted(x: Array, zero_point: Array | None, axis: int) -> Array:
    if x.dtype not in _INTEGERS:
        return x.astype(np.float64)
    # Products of 8-bit numbers are exact in float64, which BLAS multiplies fast.
    return x.astype(np.float64) - (0 if zero_point is None else _along(zero_point, x.ndim, axis).astype(np.float64))


@operator("ConvInteger", since=10, rule=ZERO)
def conv_integer(
    x: Array, w: Array, x_zero_point: Array | None = None, w_zero_point: Array | None = None, *,
    auto_pad: str = "NOTSET", dilations: list[int] | None = None, group: int = 1,
    kernel_shape: list[int] | None = None, pads: list[int] | None = None, strides: list[int] | None = None,
) -> Array:  # fmt: skip
    """Y = conv(x - x_zero, w - w_zero) in int32; padding counts as the zero point."""
    product: Array = conv.kernel(
        _shifted(x, x_zero_point, 1), _shifted(w, w_zero_point, 0), auto_pad=auto_pad, dilations=dilations, group=group,
        kernel_shape=kernel_shape, pads=pads, strides=strides,
    )  # fmt: skip
    return np.rint(product).astype(np.int64).astype(np.int32)


@operator("QLinearConv", since=10, rule=ZERO)
def qlinear_conv(
    x: Array, x_scale: Array, x_zero_point: Array, w: Array, w_scale: Array, w_zero_point: Array, y_scale: Array,
    y_zero_point: Array, B: Array | None = None, *, auto_pad: str = "NOTSET", dilations: list[int] | None = None,
    group: int = 1, kernel_shape: list[int] | None = None, pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Array:  # fmt: skip
    """y = quantize(conv(x - x_zero, w - w_zero) · x_scale · w_scale + B · x_scale · w_scale)."""
    product: Array = conv.kernel(
        _shifted(x, x_zero_point, 1), _shifted(w, w_zero_point, 0), auto_pad=auto_pad, dilations=dilations, group=group,
        kernel_shape=kernel_shape, pads=pads, strides=strides,
    )  # fmt: skip
    channel = [-1] + [1] * (x.ndim - 2)
    if B is not None:
        product = product + B.astype(np.float64).reshape(channel)
    scales = w_scale.astype(np.float64).reshape(channel) if w_scale.size > 1 else w_scale.astype(np.float64).reshape(())
    real = product * (x_scale.astype(np.float64).reshape(()) * scales)
    return quantize_linear.kernel(real, y_scale, y_zero_point)  # type: ignore[no-any-return]
