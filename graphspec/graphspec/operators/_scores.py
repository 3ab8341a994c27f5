"""What the classifiers and regressors of ai.onnx.ml share: the matrix they read, post transforms, class labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphspec.operators.registry import Array

TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")  # in the order of TreeEnsemble's numbers
# SOFTMAX_ZERO counts what is nearer to zero than this as zero.
NOTHING = 1e-7
# The constant of Winitzki's approximation in PROBIT.
PROBIT_A = 0.147


def matrix(X: Array) -> Array:
    """Rows of features in float64; a vector is one row.

    Raises:
        ValueError: X is neither a vector nor a matrix.
    """
    if X.ndim not in (1, 2):
        raise ValueError(f"X has one row of features, or rows of them, not shape {list(X.shape)}.")
    return np.atleast_2d(X).astype(np.float64)


def checked(post_transform: str) -> str:
    """The transform's name, if it is one.

    Raises:
        ValueError: It is none.
    """
    if post_transform not in TRANSFORMS:
        raise ValueError(f"post_transform is one of {', '.join(TRANSFORMS)}, not {post_transform!r}.")
    return post_transform


def transformed(scores: Array, post_transform: str) -> Array:
    """Each row of scores after the transform."""
    with np.errstate(all="ignore"):  # a probit outside of (0, 1) is NaN, by definition
        match checked(post_transform):
            case "LOGISTIC":
                return logistic(scores)
            case "PROBIT":
                return probit(scores)
            case "SOFTMAX":
                return softmax(scores)
            case "SOFTMAX_ZERO":
                present = np.abs(scores) > NOTHING
                raised = np.where(present, np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf)), 0)
                total = raised.sum(axis=1, keepdims=True)
                return np.asarray(raised / np.where(total == 0, 1, total))
            case _:
                return scores


def logistic(x: Array) -> Array:
    """1 / (1 + e⁻ˣ), without overflow."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, small, 1) / (1 + small))


def softmax(x: Array) -> Array:
    """eˣ over its sum along the rows."""
    raised = np.exp(x - x.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def probit(p: Array) -> Array:
    """√2 · erf⁻¹(2p - 1), by the approximation that ONNX's runtimes use.

    Source: Winitzki, A handy approximation for the error function and its inverse, 2008.
    """
    a = PROBIT_A
    x = 2 * p - 1
    log = np.log1p(-x * x)
    half = 2 / (np.pi * a) + log / 2
    return np.asarray(np.sqrt(2) * np.copysign(np.sqrt(np.sqrt(half * half - log / a) - half), x))


def second_class(score: Array, post_transform: str, complement: bool) -> Array:
    """Two columns from the score of the second of two classes, as ONNX Runtime has them.

    Args:
        score: One number a row.
        post_transform: LOGISTIC and PROBIT are taken of the score and its negative; others change nothing here.
        complement: Otherwise, whether the score is a share of 1, so that the first class has the rest, or else the
            negative.
    """
    if post_transform == "LOGISTIC":
        return np.stack([logistic(-score), logistic(score)], axis=1)
    if post_transform == "PROBIT":
        found = transformed(score[:, None], "PROBIT")
        return np.concatenate([-found, found], axis=1)
    return np.stack([1 - score if complement else -score, score], axis=1)


def labels_of(strings: Sequence[str] | None, integers: Sequence[int] | None) -> Array:
    """The class labels that are given: strings, or else integers.

    Raises:
        ValueError: There are none.
    """
    if strings:
        return np.array(list(strings), dtype=object)
    if not integers:
        raise ValueError("The classes have no labels: neither strings nor integers are given.")
    return np.array(integers, dtype=np.int64)


def first_largest(scores: Array) -> Array:
    """Index of the first largest score of each row."""
    if scores.shape[1] == 0:
        raise ValueError("There is no class to choose.")
    return np.asarray(np.argmax(scores, axis=1))
