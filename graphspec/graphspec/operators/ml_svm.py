"""Support vector machines of ai.onnx.ml."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from graphspec.operators._coupling import coupled, coupled_body
from graphspec.operators._ml_bodies import Body, gives_scores
from graphspec.operators._scores import (
    checked,
    first_largest,
    labels_of,
    logistic,
    matrix,
    second_class,
    transformed,
)
from graphspec.operators.attributes import attributes_of
from graphspec.operators.expansions import body_of
from graphspec.operators.registry import Array, operator

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


@body_of("SVMRegressor", domain=_ML)
def svm_regressor_body(node: ir.Node) -> onnx.FunctionProto:
    """The kernel function of the rows and the support vectors, their weighted sum, and the transform."""
    given = {**svm_regressor.attributes, **attributes_of(node)}
    body = Body(node)
    weights = given["coefficients"] or []
    if given["n_supports"] > 0:
        _similar(body, given, given["n_supports"])
        weights = body.array("coefficients", weights, (given["n_supports"], 1))
    else:
        body.rows(len(weights))
        body.add("basis = Identity(x)")
    body.const("weights", np.reshape(np.array(weights, dtype=np.float64), (-1, 1)))
    body.const("rho", _enough(body, "rho", given["rho"], 1)[0])
    body.add("sum = MatMul(basis, weights)  s = Add(sum, rho)")
    body.transform(given["post_transform"])
    if given["one_class"]:
        body.const("nought", 0.0)
        body.const("plus", 1.0)
        body.const("minus_one", -1.0)
        body.add("positive = Greater(z, nought)  sign = Where(positive, plus, minus_one)")
        return body.function("sign")
    return body.function()


def _enough(body: Body, name: str, values: list[float] | None, count: int) -> Array:
    if len(values or ()) < count:
        raise body.refuse(name, f"has {len(values or ())} numbers; {count} are needed")
    return np.array(values, dtype=np.float64)


def _similar(body: Body, given: dict[str, Any], count: int) -> None:
    """``basis``: the kernel function of each row and each support vector."""
    flat = given["support_vectors"] or []
    vectors = body.array("support_vectors", flat, (count, len(flat) // count))
    body.rows(vectors.shape[1])
    try:
        gamma, coef0, degree = _parameters(given["kernel_type"], given["kernel_params"])
    except ValueError as error:
        name = "kernel_type" if given["kernel_type"] not in _KERNELS else "kernel_params"
        raise body.refuse(name, f"is not one: {error}") from error
    for name, values in (("vectors", vectors.T), ("gamma", gamma), ("coef0", coef0), ("degree", degree)):
        body.const(name, values)
    body.add("inner = MatMul(x, vectors)")
    if given["kernel_type"] == "RBF":
        body.const("last", [1])
        body.const("lengths", np.square(vectors).sum(1))
        body.const("twice", 2.0)
        body.const("less", -gamma)
        body.add(
            """own = ReduceSumSquare(x, last)  apart = Add(own, lengths)  shared = Mul(twice, inner)
            square = Sub(apart, shared)  exponent = Mul(less, square)  basis = Exp(exponent)"""
        )
    elif given["kernel_type"] == "LINEAR":
        body.add("basis = Identity(inner)")
    else:
        body.add("scaled = Mul(gamma, inner)  shifted = Add(scaled, coef0)")
        body.add("basis = Pow(shifted, degree)" if given["kernel_type"] == "POLY" else "basis = Tanh(shifted)")


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
        return Y, transformed(coupled(share), post_transform).astype(np.float32)
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


@body_of("SVMClassifier", domain=_ML)
def svm_classifier_body(node: ir.Node) -> onnx.FunctionProto | None:
    """The pairs' scores as one product; with probabilities, their coupling as a Loop."""
    if not gives_scores(node):
        return None
    given = {**svm_classifier.attributes, **attributes_of(node)}
    body = Body(node)
    classes = len(given["classlabels_strings"] or given["classlabels_ints"] or ())
    owned: list[int] = given["vectors_per_class"] or []
    if not sum(owned):
        flat = given["coefficients"] or []
        features = len(flat) // max(1, classes)
        body.rows(features)
        body.const("weights", body.array("coefficients", flat, (classes, features)).T)
        body.const("rho", _enough(body, "rho", given["rho"], 1)[0])
        body.add("sum = MatMul(x, weights)  s = Add(sum, rho)")
        body.transform(given["post_transform"])
        return body.function()
    if len(owned) != classes or min(owned) < 0:
        raise body.refuse("vectors_per_class", f"is {owned} for {classes} classes")
    total, pairs = sum(owned), classes * (classes - 1) // 2
    flat = _enough(body, "coefficients", given["coefficients"], (classes - 1) * total)
    _similar(body, given, total)
    body.const("weights", _pair_weights(flat[: (classes - 1) * total].reshape(classes - 1, total), owned))
    body.const("rho", _enough(body, "rho", given["rho"], pairs)[:pairs])
    body.add("sum = MatMul(basis, weights)  decision = Add(sum, rho)")
    if given["prob_a"] or given["prob_b"]:
        for name in ("prob_a", "prob_b"):
            body.const(name, _enough(body, name, given[name], pairs)[:pairs])
        body.const("least", _LEAST_SHARE)
        body.const("most", 1 - _LEAST_SHARE)
        body.add(
            """steep = Mul(decision, prob_a)  moved = Add(steep, prob_b)  against = Neg(moved)
            likely = Sigmoid(against)  won = Clip(likely, least, most)"""
        )
        coupled_body(body, classes)
        body.transform(given["post_transform"])
    else:
        body.add("s = Identity(decision)")
        if classes == 2:
            body.second_class(given["post_transform"], given["post_transform"] != "NONE")
        else:
            body.transform(given["post_transform"])
    return body.function()


def _pair_weights(weights: Array, owned: list[int]) -> Array:
    """What each support vector counts in the decision of each pair of classes: (vectors, pairs)."""
    ends = np.cumsum(owned).tolist()
    of = [slice(end - count, end) for end, count in zip(ends, owned, strict=True)]
    pairs = [(i, j) for i in range(len(owned)) for j in range(i + 1, len(owned))]
    found = np.zeros((weights.shape[1], len(pairs)))
    for k, (i, j) in enumerate(pairs):
        found[of[i], k], found[of[j], k] = weights[j - 1, of[i]], weights[i, of[j]]
    return found


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
