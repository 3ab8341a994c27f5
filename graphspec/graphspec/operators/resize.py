"""Resampling of images, and of tensors of any rank: one axis after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec.errors import NoGradientRule
from graphspec.inference import known_constant
from graphspec.operators._moves import shape_of
from graphspec.operators._sizes import reasonable
from graphspec.operators._types import Array, Builder, Cotangents, Value
from graphspec.operators.registry import ZERO, operator

_NEAREST: dict[str, Any] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}
_OLD: dict[str, Any] = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


@operator("Upsample", since=7)
def upsample_7(X: Array, *, scales: Sequence[float], mode: str = "nearest") -> Array:
    """Upsample before opset 9: the scales are an attribute."""
    return _resized(X, None, scales, None, mode=mode, **_OLD)


@operator("Upsample", since=9)
def upsample(X: Array, scales: Array, *, mode: str = "nearest") -> Array:
    """Resize under its name before opset 10."""
    return _resized(X, None, scales, None, mode=mode, **_OLD)


@operator("Resize", since=10)
def resize_10(X: Array, scales: Array, *, mode: str = "nearest") -> Array:
    """Resize before opset 11: place i of the result is place i / scale of the input, rounded down in mode nearest."""
    return _resized(X, None, scales, None, mode=mode, **_OLD)


@operator("Resize", since=11)
def resize(
    X: Array,
    roi: Array | None = None,
    scales: Array | None = None,
    sizes: Array | None = None,
    *,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Array:
    """Y = X resampled on each of axes: Y[i] = Σ_k w[i, k] · X[source[i] + k], beyond the border its last element.

    The source of place i is told by coordinate_transformation_mode; the weights are those of the nearest element, of
    linear or of cubic interpolation (Keys 1981 with coefficient a), stretched by 1 / scale under antialias.
    """
    return _resized(
        X, roi, scales, sizes, antialias=antialias, axes=axes, exclude_outside=exclude_outside, mode=mode,
        coordinate_transformation_mode=coordinate_transformation_mode, cubic_coeff_a=cubic_coeff_a,
        extrapolation_value=extrapolation_value, keep_aspect_ratio_policy=keep_aspect_ratio_policy,
        nearest_mode=nearest_mode,
    )  # fmt: skip


def _resized(
    X: Array,
    roi: Any,
    scales: Any,
    sizes: Any,
    *,
    axes: Sequence[int] | None = None,
    keep_aspect_ratio_policy: str = "stretch",
    extrapolation_value: float = 0.0,
    mode: str = "nearest",
    **how: Any,
) -> Array:
    on = list(range(X.ndim)) if axes is None else [axis % X.ndim for axis in axes]
    factors, lengths = _targets([X.shape[a] for a in on], scales, sizes, keep_aspect_ratio_policy)
    cropped = how["coordinate_transformation_mode"] == "tf_crop_and_resize"
    region = [float(r) for r in roi] if cropped else [0.0] * len(on) + [1.0] * len(on)
    if len(region) != 2 * len(on):
        raise ValueError(f"a roi of {len(region)} numbers does not fit {len(on)} axes.")
    shape = list(X.shape)
    for axis, length in zip(on, lengths, strict=True):
        shape[axis] = length
    reasonable(shape, X.itemsize)
    Y = X if mode == "nearest" or X.dtype == np.float64 else X.astype(np.float32)
    outside = np.zeros((1,) * X.ndim, dtype=bool)
    for i, axis in enumerate(on):
        if lengths[i] == X.shape[axis] and factors[i] == 1 and not cropped:
            continue
        if X.shape[axis] == 0:
            raise ValueError("an empty dimension cannot be resized.")
        places = _sources(X.shape[axis], lengths[i], factors[i], (region[i], region[len(on) + i]), how)
        column = (-1,) + (1,) * (X.ndim - axis - 1)
        if cropped:
            outside = outside | np.reshape((places < 0) | (places > X.shape[axis] - 1), column)
        Y = _resampled(Y, axis, places, factors[i], mode, how)
    Y = np.where(outside, np.asarray(extrapolation_value, dtype=Y.dtype), Y) if cropped else Y
    if X.dtype.kind in "iu" and Y.dtype != X.dtype:
        limits = np.iinfo(X.dtype)
        Y = np.clip(np.rint(Y), limits.min, limits.max)
    return Y.astype(X.dtype, copy=False)


def _targets(dims: list[int], scales: Any, sizes: Any, policy: str) -> tuple[list[float], list[int]]:
    """Scale and length of each resized axis."""
    if scales is not None and np.size(scales):
        factors = [float(s) for s in scales]
        if any(not s > 0 for s in factors) or len(factors) != len(dims):
            raise ValueError(f"scales {factors} are not {len(dims)} positive numbers.")
        return factors, [int(s * d) for s, d in zip(factors, dims, strict=True)]
    if sizes is None or not np.size(sizes) or len(sizes) != len(dims) or 0 in dims:
        raise ValueError("neither scales nor sizes that fit the axes are given.")
    lengths = [int(n) for n in sizes]
    factors = [n / d for n, d in zip(lengths, dims, strict=True)]
    if policy == "stretch":
        return factors, lengths
    one = min(factors) if policy == "not_larger" else max(factors)
    return [one] * len(dims), [math.floor(one * d + 0.5) for d in dims]


def _sources(n: int, m: int, scale: float, roi: tuple[float, float], how: dict[str, Any]) -> Array:
    """The place in the input, between elements as a rule, that each of m results comes from."""
    i = np.arange(m, dtype=np.float64)
    resized = scale * n  # not rounded to the number of results
    mode = how["coordinate_transformation_mode"]
    if mode == "asymmetric":
        return i / scale
    if mode == "align_corners":
        return np.zeros(m) if resized == 1 else i * (n - 1) / (resized - 1)
    if mode == "tf_crop_and_resize":
        start, end = roi
        if m == 1:
            return np.full(m, 0.5 * (start + end) * (n - 1))
        return start * (n - 1) + i * (end - start) * (n - 1) / (m - 1)
    if mode == "tf_half_pixel_for_nn":
        return (i + 0.5) / scale
    if mode == "pytorch_half_pixel" and resized == 1:
        return np.zeros(m)
    if mode not in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"):
        raise ValueError(f"coordinate_transformation_mode {mode!r} is not one of ONNX's.")
    offset = n / 2 * (1 - m / resized) if mode == "half_pixel_symmetric" else 0.0
    return np.asarray(offset + (i + 0.5) / scale - 0.5)


def _resampled(X: Array, axis: int, places: Array, scale: float, mode: str, how: dict[str, Any]) -> Array:
    last = X.shape[axis] - 1
    if mode == "nearest":
        nearest = _NEAREST[how["nearest_mode"]](places)
        return np.asarray(np.take(X, np.clip(nearest, 0, last).astype(np.int64), axis=axis))
    left = np.floor(places)
    stretch = min(scale, 1.0) if how.get("antialias") else 1.0
    reach = math.ceil((2 if mode == "cubic" else 1) / stretch)
    taps = np.arange(1 - reach, reach + 1)
    distance = (taps - (places - left)[:, None]) * stretch
    weights = _cubic(distance, how.get("cubic_coeff_a", -0.75)) if mode == "cubic" else np.maximum(1 - abs(distance), 0)
    at = left[:, None] + taps
    if how.get("exclude_outside"):
        weights = np.where((at < 0) | (at > last), 0.0, weights)
    if how.get("exclude_outside") or stretch < 1:
        weights = weights / np.sum(weights, axis=1, keepdims=True)
    index, weights = np.clip(at, 0, last).astype(np.int64), weights.astype(X.dtype)
    column = (-1,) + (1,) * (X.ndim - axis - 1)
    terms = (np.take(X, index[:, k], axis=axis) * np.reshape(weights[:, k], column) for k in range(len(taps)))
    return np.asarray(sum(terms), dtype=X.dtype)


def _cubic(x: Array, a: float) -> Array:
    """The kernel of cubic convolution."""
    x = abs(x)
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, a * (((x - 5) * x + 8) * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


_SCALES = (
    "it says how many elements come out, which moves in steps, and where each is sampled, which no rule follows: its "
    "derivative is refused, not taken for zero"
)
_STEPS = "mode nearest follows it in steps: its derivative is refused, not taken for zero"
_CROP = (
    "the result moves smoothly with the region, but no rule exists for it: compute the places in the graph and sample "
    "with GridSample, whose grid has a derivative"
)


@resize.vjp
def resize_vjp(
    op: Builder,
    dY: Value,
    Y: Value,
    X: Value,
    roi: Value | None = None,
    scales: Value | None = None,
    sizes: Value | None = None,
    *,
    axes: Sequence[int] | None,
    **how: Any,
) -> Cotangents:
    """Resizing an axis is a matrix R, which resizing the identity gives; d(X) has Rᵀ applied on each axis.

    Scales and roi move the places between elements: no rule exists for them.
    """
    rank = op.rank(X)
    if rank is None:
        raise NoGradientRule("Resize has no vjp rule for an input of unknown rank.")
    # Without numbers in them they move nothing.
    crops = how["coordinate_transformation_mode"] == "tf_crop_and_resize"
    region = (_STEPS if how["mode"] == "nearest" else _CROP) if crops else ZERO
    fixed = [ZERO if v is None or op.static(v) == (0,) else reason for v, reason in ((roi, region), (scales, _SCALES))]
    on = list(range(rank)) if axes is None else [axis % rank for axis in axes]
    how = {**how, "axes": [0], "extrapolation_value": 0.0}
    roi, scales, sizes = (None if v is None or op.static(v) == (0,) else v for v in (roi, scales, sizes))
    cropped = how["coordinate_transformation_mode"] == "tf_crop_and_resize"
    if how["keep_aspect_ratio_policy"] != "stretch" and scales is None:
        if cropped:
            raise NoGradientRule("Resize has no vjp rule for a region of interest whose aspect ratio is kept.")
        for axis in on:
            dY = _transposed_product(op, _matrix_of_all(op, X, roi, sizes, on, axis, how), dY, axis, rank)
        return op.reshape_like(dY, X), *fixed, ZERO
    before, after = op.dims(X), op.dims(Y)
    factors = None if scales is None else known_constant(scales)
    for i, axis in enumerate(on):
        if scales is None:
            kept = before is not None and after is not None and before[axis] == after[axis] is not None
        else:
            kept = factors is not None and factors[i] == 1
        if kept and not cropped:
            continue
        parts = (
            _elements(op, roi if cropped else None, [i, i + len(on)]),
            _elements(op, scales, [i]),
            _elements(op, sizes, [i]),
        )
        length = op.dim(X, axis)
        identity = op.EyeLike(op.expand(op.scalar(0, X), shape_of(op, length, length)))
        dY = _transposed_product(op, op.Resize(identity, *parts, **how), dY, axis, rank)
    return op.reshape_like(dY, X), *fixed, ZERO


def _matrix_of_all(
    op: Builder, X: Value, roi: Value | None, sizes: Value | None, on: list[int], axis: int, how: dict[str, Any]
) -> Value:
    """R of one axis where the scale depends on all of them: the identity along the axis, constant along the others.

    The weights along those add up to 1, so that any place on them shows R. An image has its channels in front.
    """
    n, one, count = op.dim(X, axis), op.ints([1]), len(on)
    identity = op.EyeLike(op.expand(op.scalar(0, X), shape_of(op, n, n)))
    along = [n if a == axis else one for a in on]
    image = op.Expand(
        op.Reshape(identity, op.Concat(one, n, *along, axis=0)),
        op.Concat(one, n, *(op.dim(X, a) for a in on), axis=0),
    )
    resized = op.Resize(image, roi, None, sizes, **{**how, "axes": [i + 2 for i in range(count)]})
    others = [0, *(i + 2 for i in range(count) if on[i] != axis)]
    first = op.Slice(resized, op.ints([0] * count), op.ints([1] * count), op.ints(others))
    return op.Transpose(op.Squeeze(first, op.ints(others)), perm=[1, 0])  # type: ignore[no-any-return]


def _elements(op: Builder, x: Value | None, places: list[int]) -> Value | None:
    """Some elements of a vector."""
    if x is None:
        return None
    known = known_constant(x)
    part: Value = op.Gather(x, op.ints(places)) if known is None else op.const(known[places])
    return part


def _transposed_product(op: Builder, R: Value, dY: Value, axis: int, rank: int) -> Value:
    """Σ_m R[m, n] · dY[..., m, ...] with m and n on ``axis``."""
    perm = list(range(rank))
    perm[axis], perm[-1] = perm[-1], perm[axis]
    product: Value
    if axis == rank - 2:
        product = op.MatMul(op.Transpose(R), dY)
    elif axis == rank - 1:
        product = op.MatMul(dY, R)
    else:
        product = op.Transpose(op.MatMul(op.Transpose(dY, perm=perm), R), perm=perm)
    return product
