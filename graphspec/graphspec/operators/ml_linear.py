"""Linear models of ai.onnx.ml: a product with the coefficients, and what is made of the scores."""

from __future__ import annotations

import numpy as np

from graphspec.operators._scores import checked, first_largest, labels_of, matrix, second_class, transformed
from graphspec.operators._types import Builder, Cotangents, Value
from graphspec.operators.registry import Array, operator

_ML = "ai.onnx.ml"


def _linear(X: Array, coefficients: list[float] | None, intercepts: list[float] | None, targets: int | None) -> Array:
    """X @ coefficients' + intercepts in float64, the coefficients (targets, features)."""
    rows = matrix(X)
    flat = np.array(coefficients or [], dtype=np.float64)
    count = targets if targets is not None else flat.size // max(1, rows.shape[1])
    if count < 1 or flat.size != count * rows.shape[1]:
        raise ValueError(f"{flat.size} coefficients do not fit {count} targets and {rows.shape[1]} features.")
    if intercepts and len(intercepts) != count:
        raise ValueError(f"There are {len(intercepts)} intercepts for {count} targets.")
    with np.errstate(all="ignore"):  # infinite features
        product = rows @ flat.reshape(count, -1).T
        return product + np.array(intercepts, dtype=np.float64) if intercepts else product


@operator("LinearRegressor", since=1, domain=_ML)
def linear_regressor(
    X: Array, *, coefficients: list[float] | None = None, intercepts: list[float] | None = None,
    post_transform: str = "NONE", targets: int = 1,
) -> Array:  # fmt: skip
    """Y = post_transform(X @ coefficients' + intercepts).

    Shapes: X (N, F), coefficients (targets × F), Y (N, targets).  Dtype: float32.
    """
    return transformed(_linear(X, coefficients, intercepts, targets), post_transform).astype(np.float32)


@linear_regressor.vjp
def linear_regressor_vjp(
    op: Builder, dY: Value, Y: Value, X: Value, *, coefficients: list[float] | None, intercepts: list[float] | None,
    post_transform: str, targets: int,
) -> Cotangents:  # fmt: skip
    """dX = ds @ coefficients, with ds the cotangent of the scores."""
    del intercepts
    ds = _before_transform(op, dY, Y, post_transform)
    return None if ds is None else _through_product(op, ds, X, coefficients, targets)


def _before_transform(op: Builder, dY: Value, Y: Value, post_transform: str) -> Value | None:
    """The cotangent of scores from that of what was made of them; none for the two transforms with no rule yet."""
    out: Value | None = None
    if post_transform == "NONE":
        out = dY
    elif post_transform == "LOGISTIC":
        out = op.Mul(dY, op.Mul(Y, op.Sub(op.scalar(1, Y), Y)))
    elif post_transform == "SOFTMAX":
        weighted = op.Mul(dY, Y)
        out = op.Sub(weighted, op.Mul(Y, op.ReduceSum(weighted, op.ints([1]))))
    return out


def _through_product(op: Builder, ds: Value, X: Value, coefficients: list[float] | None, targets: int) -> Value:
    matrix_ = np.array(coefficients or [], dtype=np.float64).reshape(targets, -1)
    if op.rank(ds) is None:  # inference does not always say
        ds = op.reshape(ds, [-1, targets])
    return op.reshape_like(op.MatMul(op.cast(ds, X), op.const(matrix_, op.numpy_dtype(X))), X)


@operator("LinearClassifier", since=1, domain=_ML)
def linear_classifier(
    X: Array, *, coefficients: list[float], classlabels_ints: list[int] | None = None,
    classlabels_strings: list[str] | None = None, intercepts: list[float] | None = None, multi_class: int = 0,
    post_transform: str = "NONE",
) -> tuple[Array, Array]:  # fmt: skip
    """s = X @ coefficients' + intercepts; Y = the label of the largest, Z = post_transform(s).

    One score for two labels is that of the second: Y is the second where s > 0, and Z has two columns, as in ONNX
    Runtime: 1 - s and s, or the logistic of -s and s.

    Shapes: X (N, F), Y (N), Z (N, classes).  Dtype: Z float32.
    """
    del multi_class  # how the model was trained
    checked(post_transform)
    scores = _linear(X, coefficients, intercepts, len(intercepts) if intercepts else None)
    labels = labels_of(classlabels_strings, classlabels_ints)
    if scores.shape[1] == 1 and labels.size == 2:
        Y = labels[(scores[:, 0] > 0).astype(np.int64)]
        return Y, second_class(scores[:, 0], post_transform, True).astype(np.float32)
    if labels.size != scores.shape[1]:
        raise ValueError(f"There are {labels.size} class labels for {scores.shape[1]} scores.")
    return labels[first_largest(scores)], transformed(scores, post_transform).astype(np.float32)


@linear_classifier.vjp_all
def linear_classifier_vjp(
    op: Builder, dY: tuple[Value | None, ...], Y: tuple[Value, ...], X: Value, *, coefficients: list[float],
    classlabels_ints: list[int] | None, classlabels_strings: list[str] | None, intercepts: list[float] | None,
    multi_class: int, post_transform: str,
) -> Cotangents:  # fmt: skip
    """dX = ds @ coefficients; of the two columns made from one score the first goes down as the second goes up."""
    del multi_class
    dZ, Z = dY[1], Y[1]
    features = op.dims(X)
    count = len(intercepts) if intercepts else 0
    if not count and features is not None and isinstance(features[-1], int):
        count = len(coefficients) // max(1, features[-1])
    if dZ is None or not count:
        return None
    if count == 1 and len(classlabels_strings or classlabels_ints or ()) == 2:
        first, second = op.Split(dZ, op.ints([1, 1]), axis=1, outputs=2)
        ds: Value | None = op.Sub(second, first)
        if post_transform == "LOGISTIC":
            low, high = op.Split(Z, op.ints([1, 1]), axis=1, outputs=2)
            ds = op.Mul(ds, op.Mul(low, high))
        elif post_transform == "PROBIT":
            ds = None
    else:
        ds = _before_transform(op, dZ, Z, post_transform)
    return None if ds is None else _through_product(op, ds, X, coefficients, count)
