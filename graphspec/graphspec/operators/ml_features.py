"""Features of ai.onnx.ml: chosen, joined, thresholded, filled in, scaled and normalised."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphspec.operators._types import Builder, Cotangents, Value
from graphspec.operators.registry import ZERO, Array, operator

_ML = "ai.onnx.ml"


@operator("ArrayFeatureExtractor", since=1, domain=_ML)
def array_feature_extractor(X: Array, Y: Array) -> Array:
    """Z = X[..., Y].

    Shapes: X (..., C), Y any with n indices; Z (..., n), and (1, n) for a vector X.
    """
    if X.ndim == 0:
        raise ValueError("X has no axis to take features from.")
    index = Y.reshape(-1)
    if index.size and not (index.min() >= 0 and index.max() < X.shape[-1]):
        raise ValueError(f"Indices lie in [{index.min()}, {index.max()}], features in [0, {X.shape[-1]}).")
    Z = np.take(X, index, axis=-1)
    return Z.reshape(1, -1) if X.ndim == 1 else Z


@array_feature_extractor.vjp
def array_feature_extractor_vjp(op: Builder, dZ: Value, Z: Value, X: Value, Y: Value) -> Cotangents:
    """dX = dZ @ onehot(Y): each feature gets the sum over where it went."""
    if op.rank(X) == 1:  # whose output has one row, which inference does not say
        dZ = op.reshape(dZ, [1, -1])
    picks = op.OneHot(op.reshape(Y, [-1]), op.dim(X, -1), op.const([0, 1], op.numpy_dtype(X)))
    return op.reshape_like(op.MatMul(dZ, picks), X), ZERO


@operator("Binarizer", since=1, domain=_ML, rule=ZERO)
def binarizer(X: Array, *, threshold: float = 0.0) -> Array:
    """Y = 1 where X > threshold, else 0, in X's dtype."""
    return (np.float32(threshold) < X).astype(X.dtype)


@operator("FeatureVectorizer", since=1, domain=_ML)
def feature_vectorizer(*X: Array, inputdimensions: list[int] | None = None) -> Array:
    """Y = the inputs side by side, each cut or filled with zeros to its number of columns.

    Shapes: each X (N, C), (N, ...) or (C), which is one row; Y (N, sum of the numbers of columns).  Dtype: float32.
    """
    if inputdimensions is not None and len(inputdimensions) != len(X):
        raise ValueError(f"inputdimensions has {len(inputdimensions)} entries for {len(X)} inputs.")
    parts = [(x.reshape(1, -1) if x.ndim < 2 else x.reshape(x.shape[0], -1)).astype(np.float32) for x in X]
    if len({part.shape[0] for part in parts}) > 1:
        raise ValueError(f"The inputs have {[part.shape[0] for part in parts]} rows.")
    for i, width in enumerate(inputdimensions or []):
        if width < 0:
            raise ValueError(f"inputdimensions has the negative number {width}.")
        have = parts[i].shape[1]
        parts[i] = parts[i][:, :width] if width <= have else np.pad(parts[i], ((0, 0), (0, width - have)))
    return np.concatenate(parts, axis=1)


@feature_vectorizer.vjp
def feature_vectorizer_vjp(
    op: Builder, dY: Value, Y: Value, *X: Value, inputdimensions: list[int] | None
) -> Cotangents:
    """dX = its columns of dY; nothing for those that were cut off.  The widths must be known."""
    pulled: list[Value | str | None] = []
    start = 0
    for i, x in enumerate(X):
        dims = op.dims(x)
        have = dims[-1] if dims and len(dims) <= 2 else None
        width = inputdimensions[i] if inputdimensions else have
        if not isinstance(have, int) or not isinstance(width, int):
            return ["the number of columns of each input must be known, by its shape or 'inputdimensions'"] * len(X)
        part = op.Slice(dY, op.ints([start]), op.ints([start + min(width, have)]), op.ints([1]))
        if have > width:
            part = op.Pad(part, op.ints([0, 0, 0, have - width]))
        pulled.append(op.cast(op.reshape_like(part, x), x))
        start += width
    return pulled


def _per_feature(what: str, values: list[float] | None, X: Array, default: float) -> Array:
    """One number, or one for each index of the last axis.

    Raises:
        ValueError: There are more or fewer.
    """
    found = np.array([default] if values is None else values, dtype=np.float64)
    features = X.shape[-1] if X.ndim else 1
    if found.size not in (1, features):
        raise ValueError(f"{what} has {found.size} entries; X has {features} features.")
    return found


@operator("Imputer", since=1, domain=_ML)
def imputer(
    X: Array, *, imputed_value_floats: list[float] | None = None, imputed_value_int64s: list[int] | None = None,
    replaced_value_float: float = 0.0, replaced_value_int64: int = 0,
) -> Array:  # fmt: skip
    """Y = X with the imputed value, one in all or one a feature, wherever it equals the replaced value (or is NaN)."""
    if X.dtype.kind == "f":
        values, replaced = imputed_value_floats, replaced_value_float
        missing = np.isnan(X) if np.isnan(replaced) else np.asarray(np.float32(replaced) == X)
    else:
        values, missing = [float(v) for v in imputed_value_int64s or []], np.asarray(replaced_value_int64 == X)
    if not values:
        raise ValueError(f"There is no imputed value for X of dtype {X.dtype}.")
    _per_feature("The imputed value", values, X, 0)
    filling = np.array(values if X.dtype.kind == "f" else imputed_value_int64s).astype(X.dtype)
    return np.where(missing, filling, X)


@imputer.vjp
def imputer_vjp(op: Builder, dY: Value, Y: Value, X: Value, **attributes: Any) -> Cotangents:
    """dX = dY where X stays."""
    replaced = float(attributes["replaced_value_float"])
    missing = op.IsNaN(X) if np.isnan(replaced) else op.Equal(X, op.scalar(float(np.float32(replaced)), X))
    dX: Value = op.Where(missing, op.scalar(0, X), dY)
    return dX


@operator("Normalizer", since=1, domain=_ML)
def normalizer(X: Array, *, norm: str = "MAX") -> Array:
    """Y = X ÷ its row's largest number (MAX), sum of magnitudes (L1) or length (L2); unchanged where that is 0.

    Shapes: X (C) or (N, C).  Dtype: float32.
    """
    if X.ndim not in (1, 2):
        raise ValueError(f"X has shape (C) or (N, C), not {list(X.shape)}.")
    rows = X.astype(np.float64)
    match norm:
        case "MAX":
            divisor = rows.max(axis=-1, keepdims=True, initial=-np.inf)
        case "L1":
            divisor = np.abs(rows).sum(axis=-1, keepdims=True)
        case "L2":
            largest = np.abs(rows).max(axis=-1, keepdims=True, initial=0)
            divisor = np.sqrt(np.square(rows / np.where(largest == 0, 1, largest)).sum(axis=-1, keepdims=True))
            divisor *= largest
        case _:
            raise ValueError(f"norm is MAX, L1 or L2, not {norm!r}.")
    with np.errstate(all="ignore"):  # infinite features
        return np.asarray(rows / np.where(divisor == 0, 1, divisor)).astype(np.float32)


@normalizer.vjp
def normalizer_vjp(op: Builder, dY: Value, Y: Value, X: Value, *, norm: str) -> Cotangents:
    """dX = (dY - n' · Σ dY·x/n) ÷ n, with n' the derivative of the divisor n; ties of the largest share it."""
    last = op.ints([-1])
    one = op.scalar(1, X)
    if norm == "MAX":
        n = op.ReduceMax(X, last)
        ties = op.cast(op.Equal(X, n), X)
        direction = op.Div(ties, op.ReduceSum(ties, last))
    elif norm == "L1":
        n, direction = op.ReduceL1(X, last), op.Sign(X)
    else:
        n = op.ReduceL2(X, last)
    empty = op.Equal(n, op.scalar(0, X))
    divisor = op.Where(empty, one, n)
    if norm == "L2":
        direction = op.Div(X, divisor)
    dY = op.cast(dY, X)
    shared = op.Mul(direction, op.ReduceSum(op.Mul(dY, op.Div(X, divisor)), last))
    dX: Value = op.Where(empty, dY, op.Div(op.Sub(dY, shared), divisor))
    return dX


@operator("Scaler", since=1, domain=_ML)
def scaler(X: Array, *, offset: list[float] | None = None, scale: list[float] | None = None) -> Array:
    """Y = (X - offset) × scale, with one number each, or one a feature.  Dtype: float32."""
    difference = X.astype(np.float64) - _per_feature("offset", offset, X, 0)
    return np.asarray(difference * _per_feature("scale", scale, X, 1)).reshape(X.shape).astype(np.float32)


@scaler.vjp
def scaler_vjp(
    op: Builder, dY: Value, Y: Value, X: Value, *, offset: list[float] | None, scale: list[float] | None
) -> Cotangents:
    """dX = dY × scale."""
    del offset
    dX = op.cast(dY, X)
    return dX if scale is None else op.Mul(dX, op.const(np.array(scale), op.numpy_dtype(X)))
