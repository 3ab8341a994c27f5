"""Linear models of ai.onnx.ml: a product with the coefficients, and what is made of the scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from graphspec.operators._ml_bodies import Body, gives_scores
from graphspec.operators._scores import checked, first_largest, labels_of, matrix, second_class, transformed
from graphspec.operators.attributes import attributes_of
from graphspec.operators.expansions import body_of
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


@body_of("LinearRegressor", domain=_ML)
def linear_regressor_body(node: ir.Node) -> onnx.FunctionProto:
    """The product, and the transform of the scores."""
    given = {**linear_regressor.attributes, **attributes_of(node)}
    body = Body(node)
    _product(body, given, given["targets"])
    body.transform(given["post_transform"])
    return body.function()


def _product(body: Body, given: dict[str, Any], count: int) -> None:
    """``s``, so many scores a row."""
    flat = given["coefficients"] or []
    features = len(flat) // max(1, count)
    body.rows(features)
    body.const("coefficients", body.array("coefficients", flat, (count, features)).T)
    shift = given["intercepts"] or [0.0] * count
    body.const("intercepts", body.array("intercepts", shift, (count,)))
    body.add("product = MatMul(x, coefficients)  s = Add(product, intercepts)")


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


@body_of("LinearClassifier", domain=_ML)
def linear_classifier_body(node: ir.Node) -> onnx.FunctionProto | None:
    """The product, and the transform of the scores; one score for two labels gives both columns."""
    if not gives_scores(node):
        return None
    given = {**linear_classifier.attributes, **attributes_of(node)}
    body = Body(node)
    labels = len(given["classlabels_strings"] or given["classlabels_ints"] or ())
    count = len(given["intercepts"] or ()) or labels
    X = node.inputs[0]
    features = X.shape[-1] if X is not None and X.shape is not None else None
    if not given["intercepts"] and labels == 2:
        if not isinstance(features, int):
            raise body.refuse("intercepts", "is left out, and the number of features is unknown: one score, or two")
        count = len(given["coefficients"]) // max(1, features)
    _product(body, given, count)
    if count == 1 and labels == 2:
        body.second_class(given["post_transform"], True)
    else:
        body.transform(given["post_transform"])
    return body.function()
