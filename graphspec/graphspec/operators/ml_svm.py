"""Support vector machines of ai.onnx.ml."""

from __future__ import annotations

import numpy as np

from graphspec.operators._scores import (
    checked,
    first_largest,
    labels_of,
    logistic,
    matrix,
    second_class,
    transformed,
)
from graphspec.operators._types import Builder, Cotangents, Value
from graphspec.operators.registry import ZERO, Array, operator

_ML = "ai.onnx.ml"
_KERNELS = ("LINEAR", "POLY", "RBF", "SIGMOID")
# Shares of pairs of classes are kept this far from 0 and 1.
_LEAST_SHARE = 1e-7


def _parameters(kernel_type: str, kernel_params: list[float] | None) -> tuple[float, float, float]:
    """gamma, coef0 and degree."""
    if kernel_type not in _KERNELS:
        raise ValueError(f"kernel_type is one of {', '.join(_KERNELS)}, not {kernel_type!r}.")
    if not kernel_params and kernel_type == "LINEAR":
        return 0.0, 0.0, 0.0
    if len(kernel_params or ()) != 3:
        raise ValueError(f"kernel_params has {len(kernel_params or ())} numbers; gamma, coef0 and degree are 3.")
    gamma, coef0, degree = kernel_params or (0.0, 0.0, 0.0)
    return gamma, coef0, degree


def _similarity(X: Array, vectors: Array, kernel_type: str, kernel_params: list[float] | None) -> Array:
    """The kernel function of each row of X and each support vector: (rows, vectors)."""
    gamma, coef0, degree = _parameters(kernel_type, kernel_params)
    with np.errstate(all="ignore"):  # infinite features; powers of negative numbers
        product = X @ vectors.T
        match kernel_type:
            case "RBF":
                square = np.square(X).sum(1)[:, None] + np.square(vectors).sum(1) - 2 * product
                return np.asarray(np.exp(-gamma * np.maximum(square, 0)))
            case "POLY":
                return np.asarray((gamma * product + coef0) ** degree)
            case "SIGMOID":
                return np.tanh(gamma * product + coef0)
            case _:
                return product


def _vectors(support_vectors: list[float] | None, count: int, features: int) -> Array:
    flat = np.array(support_vectors or [], dtype=np.float64)
    if flat.size != count * features:
        raise ValueError(f"{flat.size} numbers are not {count} support vectors of {features} features.")
    return flat.reshape(count, features)


def _at_least(name: str, values: list[float] | None, count: int) -> Array:
    if len(values or ()) < count:
        raise ValueError(f"{name} has {len(values or ())} entries; {count} are needed.")
    return np.array(values or [], dtype=np.float64)


@operator("SVMRegressor", since=1, domain=_ML)
def svm_regressor(
    X: Array, *, coefficients: list[float] | None = None, kernel_params: list[float] | None = None,
    kernel_type: str = "LINEAR", n_supports: int = 0, one_class: int = 0, post_transform: str = "NONE",
    rho: list[float] | None = None, support_vectors: list[float] | None = None,
) -> Array:  # fmt: skip
    """Y = Σ coefficient · kernel(X, support vector) + rho; its sign where there is one class.

    Without support vectors the model is linear: Y = X @ coefficients + rho.

    Shapes: X (N, F), Y (N, 1).  Dtype: float32.
    """
    rows = matrix(X)
    shift = _at_least("rho", rho, 1)[0]
    weights = np.array(coefficients or [], dtype=np.float64)
    basis = rows
    if n_supports > 0:
        vectors = _vectors(support_vectors, n_supports, rows.shape[1])
        basis = _similarity(rows, vectors, kernel_type, kernel_params)
    if weights.size != basis.shape[1]:
        raise ValueError(f"There are {weights.size} coefficients for {basis.shape[1]} terms.")
    with np.errstate(all="ignore"):  # infinite features
        Y = transformed((basis @ weights + shift)[:, None], post_transform)
    return (np.where(Y > 0, 1, -1) if one_class else Y).astype(np.float32)


@svm_regressor.vjp
def svm_regressor_vjp(
    op: Builder, dY: Value, Y: Value, X: Value, *, coefficients: list[float] | None,
    kernel_params: list[float] | None, kernel_type: str, n_supports: int, one_class: int, post_transform: str,
    rho: list[float] | None, support_vectors: list[float] | None,
) -> Cotangents:  # fmt: skip
    """dX = Σ dY · coefficient · ∂kernel/∂X: for the product kernels along the support vectors, for RBF to them."""
    del rho
    if one_class:
        return ZERO
    if post_transform != "NONE":
        return None
    dtype = op.numpy_dtype(X)
    weights = np.array(coefficients or [], dtype=np.float64).reshape(1, -1)
    dY = op.cast(dY if op.rank(dY) == 2 else op.reshape(dY, [-1, 1]), X)  # inference does not say its rank
    if n_supports <= 0:
        return op.reshape_like(op.MatMul(dY, op.const(weights, dtype)), X)
    gamma, coef0, degree = _parameters(kernel_type, kernel_params)
    vectors = np.array(support_vectors or [], dtype=np.float64).reshape(n_supports, -1)
    rows = X if op.rank(X) == 2 else op.reshape(X, [-1, vectors.shape[1]])
    pulled = op.Mul(dY, op.const(weights, dtype))
    product = op.MatMul(rows, op.const(vectors.T, dtype))
    inner = op.Add(op.Mul(product, op.scalar(gamma, X)), op.scalar(coef0, X))
    if kernel_type == "RBF":
        square = op.Add(op.ReduceSumSquare(rows, op.ints([1])), op.const(np.square(vectors).sum(1)[None], dtype))
        distance = op.Sub(square, op.Mul(product, op.scalar(2, X)))
        pulled = op.Mul(pulled, op.Mul(op.Exp(op.Mul(distance, op.scalar(-gamma, X))), op.scalar(2 * gamma, X)))
    elif kernel_type == "POLY":
        slope = op.Pow(inner, op.scalar(degree - 1, X))
        pulled = op.Mul(pulled, op.Mul(slope, op.scalar(degree * gamma, X)))
    elif kernel_type == "SIGMOID":
        y = op.Tanh(inner)
        slope = op.Sub(op.scalar(1, X), op.Mul(y, y))
        pulled = op.Mul(pulled, op.Mul(slope, op.scalar(gamma, X)))
    dX = op.MatMul(pulled, op.const(vectors, dtype))
    if kernel_type == "RBF":
        dX = op.Sub(dX, op.Mul(rows, op.ReduceSum(pulled, op.ints([1]))))
    return op.reshape_like(dX, X)


@operator("SVMClassifier", since=1, domain=_ML)
def svm_classifier(
    X: Array, *, classlabels_ints: list[int] | None = None, classlabels_strings: list[str] | None = None,
    coefficients: list[float] | None = None, kernel_params: list[float] | None = None, kernel_type: str = "LINEAR",
    post_transform: str = "NONE", prob_a: list[float] | None = None, prob_b: list[float] | None = None,
    rho: list[float] | None = None, support_vectors: list[float] | None = None,
    vectors_per_class: list[int] | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """Each pair of classes votes; Y = the label with most votes, Z = the pairs' scores, or shares of the classes.

    With ``prob_a`` and ``prob_b`` Z has the classes' probabilities; without, one column for each pair, and two for
    two classes.  Without support vectors the model is linear and each class has a score.  The rules for two classes
    are ONNX Runtime's.

    Shapes: X (N, F), Y (N), Z (N, classes or pairs).  Dtype: Z float32.
    Source: ONNX SVMClassifier-1; Chang and Lin, LIBSVM, 2011.
    """
    checked(post_transform)
    labels = labels_of(classlabels_strings, classlabels_ints)
    rows = matrix(X)
    if not sum(vectors_per_class or ()):
        return _linear_machine(rows, labels, coefficients, rho, post_transform)
    scores = _pair_scores(
        rows, labels.size, coefficients, rho, support_vectors, vectors_per_class or [], kernel_type, kernel_params
    )
    pairs = [(i, j) for i in range(labels.size) for j in range(i + 1, labels.size)]
    votes = np.zeros((rows.shape[0], labels.size), dtype=np.int64)
    for k, (i, j) in enumerate(pairs):
        votes[:, i] += scores[:, k] > 0
        votes[:, j] += scores[:, k] <= 0
    Y = labels[first_largest(votes)]
    if prob_a or prob_b:
        a, b = _at_least("prob_a", prob_a, len(pairs)), _at_least("prob_b", prob_b, len(pairs))
        share = np.zeros((rows.shape[0], labels.size, labels.size))
        for k, (i, j) in enumerate(pairs):
            won = np.clip(logistic(-(scores[:, k] * a[k] + b[k])), _LEAST_SHARE, 1 - _LEAST_SHARE)
            share[:, i, j], share[:, j, i] = won, 1 - won
        return Y, transformed(_coupled(share), post_transform).astype(np.float32)
    if labels.size == 2:
        return Y, second_class(scores[:, 0], post_transform, post_transform != "NONE").astype(np.float32)
    return Y, transformed(scores, post_transform).astype(np.float32)


def _pair_scores(
    rows: Array, classes: int, coefficients: list[float] | None, rho: list[float] | None,
    support_vectors: list[float] | None, vectors_per_class: list[int], kernel_type: str,
    kernel_params: list[float] | None,
) -> Array:  # fmt: skip
    """The decision between each two classes, by the support vectors of both: (rows, pairs)."""
    if len(vectors_per_class) != classes or min(vectors_per_class) < 0:
        raise ValueError(f"vectors_per_class is {vectors_per_class} for {classes} classes.")
    total = sum(vectors_per_class)
    weights = _at_least("coefficients", coefficients, (classes - 1) * total)
    shift = _at_least("rho", rho, classes * (classes - 1) // 2)
    weights = weights[: (classes - 1) * total].reshape(classes - 1, total)
    vectors = _vectors(support_vectors, total, rows.shape[1])
    similar = _similarity(rows, vectors, kernel_type, kernel_params)
    ends = np.cumsum(vectors_per_class).tolist()
    owned = [slice(end - count, end) for end, count in zip(ends, vectors_per_class, strict=True)]
    found = [
        similar[:, owned[i]] @ weights[j - 1, owned[i]] + similar[:, owned[j]] @ weights[i, owned[j]]
        for i in range(classes)
        for j in range(i + 1, classes)
    ]
    return np.stack(found, axis=1) + shift[: len(found)] if found else np.zeros((rows.shape[0], 0))


def _linear_machine(
    rows: Array, labels: Array, coefficients: list[float] | None, rho: list[float] | None, post_transform: str
) -> tuple[Array, Array]:
    weights = np.array(coefficients or [], dtype=np.float64)
    if weights.size != labels.size * rows.shape[1]:
        raise ValueError(f"{weights.size} coefficients do not fit {labels.size} classes of {rows.shape[1]} features.")
    with np.errstate(all="ignore"):  # infinite features
        scores = rows @ weights.reshape(labels.size, -1).T + _at_least("rho", rho, 1)[0]
    choice = first_largest(scores)
    if labels.size == 2:
        best = scores.max(axis=1)
        choice = np.where(best >= 0.5 if (weights >= 0).all() else best > 0, 1, choice)
    return labels[choice], transformed(scores, post_transform).astype(np.float32)


def _coupled(share: Array) -> Array:
    """Probabilities of k classes from those of each two: p minimises Σᵢⱼ (shareⱼᵢ pᵢ - shareᵢⱼ pⱼ)², all rows at once.

    Source: Wu, Lin and Weng, Probability estimates for multi-class classification by pairwise coupling, 2004,
    algorithm 2; a row is done when it is nearer than 0.005 / k, as in LIBSVM.
    """
    count, k = share.shape[0], share.shape[1]
    Q = -share.transpose(0, 2, 1) * share
    diagonal = np.square(share).sum(axis=1)
    Q[:, range(k), range(k)] = diagonal
    p = np.full((count, k), 1 / max(1, k))
    active = np.arange(count)
    for _ in range(100):
        Qp = np.einsum("nij,nj->ni", Q[active], p[active])
        pQp = (p[active] * Qp).sum(axis=1)
        far = np.abs(Qp - pQp[:, None]).max(axis=1, initial=0) >= 0.005 / max(1, k)
        active, Qp, pQp = active[far], Qp[far], pQp[far]
        if not active.size:
            break
        q, d, now = Q[active], diagonal[active], p[active]
        for t in range(k):
            change = (pQp - Qp[:, t]) / d[:, t]
            now[:, t] += change
            grown = 1 + change
            pQp = (pQp + change * (change * d[:, t] + 2 * Qp[:, t])) / grown**2
            Qp = (Qp + change[:, None] * q[:, t]) / grown[:, None]
            now /= grown[:, None]
        p[active] = now
    return p
