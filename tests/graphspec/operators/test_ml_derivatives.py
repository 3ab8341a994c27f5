"""Derivatives of ai.onnx.ml: its outputs are float32, so that differences are taken of the equations in float64."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

import graphspec as gs
from graphspec.operators import ml_svm
from graphspec.operators._coupling import coupled
from graphspec.operators._scores import probit, second_class, transformed
from ml_models import DOUBLE, model, tensor
from samples import ml


def _l2(x: Any) -> Any:
    return x / np.sqrt((x * x).sum(-1, keepdims=True))


W = np.array(ml.LINEAR["coefficients"])
V = np.array(ml.REGRESSION["support_vectors"]).reshape(4, 2)
A = np.array(ml.REGRESSION["coefficients"])
RBF = ml.REGRESSION | {"kernel_type": "RBF", "kernel_params": [0.4, 0.0, 0.0]}
POLY = ml.REGRESSION | {"kernel_type": "POLY", "kernel_params": [0.4, 0.5, 3.0]}
SIGMOID = ml.REGRESSION | {"kernel_type": "SIGMOID", "kernel_params": [0.4, 0.5, 3.0]}
TWO_LABELS = {"classlabels_ints": [0, 1]}
PROBABLE = {"prob_a": [-1.0, 0.5, 0.7], "prob_b": [0.1, 0.2, -0.3]}
ONE_SCORE = {"coefficients": list(W), "intercepts": [0.2]} | TWO_LABELS


def _sigmoid(s: Any) -> Any:
    return 1 / (1 + np.exp(-s))


def _softmax(s: Any) -> Any:
    return np.exp(s) / np.exp(s).sum(-1, keepdims=True)


def _both(x: Any) -> Any:
    return x @ W.reshape(2, 3).T + np.array([0.2, -0.1])


def _machine(attributes: dict[str, Any]) -> Callable[[Any], Any]:
    """The kernel's equation, before it is rounded to float32."""
    names = ("support_vectors", "vectors_per_class", "kernel_type", "kernel_params")
    given = {"post_transform": "NONE"} | attributes
    classes = len(attributes["classlabels_ints"])

    def scores(x: Any) -> Any:
        s = ml_svm._pair_scores(
            x, classes, attributes["coefficients"], attributes["rho"], *(attributes[n] for n in names)
        )
        if "prob_a" in attributes:
            won, share = (
                _sigmoid(-(s * attributes["prob_a"] + attributes["prob_b"])),
                np.zeros((len(x), classes, classes)),
            )
            for k, (i, j) in enumerate(itertools.combinations(range(classes), 2)):
                share[:, i, j], share[:, j, i] = won[:, k], 1 - won[:, k]
            s = coupled(share)
        elif classes == 2:
            return second_class(s[:, 0], given["post_transform"], given["post_transform"] != "NONE")
        return transformed(s, given["post_transform"])

    return scores


THREE = {"kernel_type": "RBF"} | ml.MACHINE
PAIR = {"kernel_type": "POLY"} | ml.PAIR
NARROW = {"coefficients": list(W / 12), "intercepts": [0.5, 0.55]}  # scores in (0, 1), where Probit has values


def _narrow(x: Any) -> Any:
    return x @ W.reshape(2, 3).T / 12 + np.array([0.5, 0.55])


RULES: dict[str, tuple[str, dict[str, Any], tuple[int, ...], Callable[[Any], Any]]] = {
    "scaler": ("Scaler", {"offset": [1.0], "scale": [2.0, 0.5, 3.0]}, (4, 3), lambda x: (x - 1) * [2, 0.5, 3]),
    "max": ("Normalizer", {"norm": "MAX"}, (4, 3), lambda x: x / x.max(-1, keepdims=True)),
    "l1": ("Normalizer", {"norm": "L1"}, (4, 3), lambda x: x / np.abs(x).sum(-1, keepdims=True)),
    "l2": ("Normalizer", {"norm": "L2"}, (4, 3), _l2),
    "l2-vector": ("Normalizer", {"norm": "L2"}, (3,), _l2),
    "vectorizer": ("FeatureVectorizer", {"inputdimensions": [5]}, (4, 3), lambda x: np.pad(x, ((0, 0), (0, 2)))),
    "vectorizer-cut": ("FeatureVectorizer", {"inputdimensions": [2]}, (4, 3), lambda x: x[:, :2]),
    "imputer": (
        "Imputer",
        {"imputed_value_floats": [9.0], "replaced_value_float": 7.0},
        (4, 3),
        lambda x: np.where(x == 7, 9, x),
    ),
    "regressor": ("LinearRegressor", ml.LINEAR | {"targets": 2}, (4, 3), _both),
    "regressor-vector": ("LinearRegressor", ml.LINEAR | {"targets": 2}, (3,), lambda x: _both(x[None])),
    "regressor-logistic": (
        "LinearRegressor",
        ml.LINEAR | {"targets": 2, "post_transform": "LOGISTIC"},
        (4, 3),
        lambda x: _sigmoid(_both(x)),
    ),
    "regressor-softmax": (
        "LinearRegressor",
        ml.LINEAR | {"targets": 2, "post_transform": "SOFTMAX"},
        (4, 3),
        lambda x: _softmax(_both(x)),
    ),
    "classifier": (
        "LinearClassifier",
        ml.LINEAR | TWO_LABELS | {"post_transform": "SOFTMAX"},
        (4, 3),
        lambda x: _softmax(_both(x)),
    ),
    "classifier-one": (
        "LinearClassifier",
        ONE_SCORE,
        (4, 6),
        lambda x: np.stack([0.8 - x @ W, x @ W + 0.2], 1),
    ),
    "classifier-one-logistic": (
        "LinearClassifier",
        ONE_SCORE | {"post_transform": "LOGISTIC"},
        (4, 6),
        lambda x: _sigmoid(np.stack([-x @ W - 0.2, x @ W + 0.2], 1)),
    ),
    "svm-linear": (
        "SVMRegressor",
        {"coefficients": [0.5, -0.4], "rho": [0.3]},
        (4, 2),
        lambda x: x @ [[0.5], [-0.4]] + 0.3,
    ),
    "svm-rbf": (
        "SVMRegressor",
        RBF,
        (4, 2),
        lambda x: np.exp(-0.4 * ((x[:, None] - V) ** 2).sum(-1)) @ A[:, None] + 0.3,
    ),
    "svm-poly": ("SVMRegressor", POLY, (4, 2), lambda x: (0.4 * x @ V.T + 0.5) ** 3 @ A[:, None] + 0.3),
    "regressor-softmax-zero": (
        "LinearRegressor",
        ml.LINEAR | {"targets": 2, "post_transform": "SOFTMAX_ZERO"},
        (4, 3),
        lambda x: _softmax(_both(x)),
    ),
    "regressor-probit": (
        "LinearRegressor",
        NARROW | {"targets": 2, "post_transform": "PROBIT"},
        (4, 3),
        lambda x: probit(_narrow(x)),
    ),
    "classifier-probit": (
        "LinearClassifier",
        NARROW | TWO_LABELS | {"post_transform": "PROBIT"},
        (4, 3),
        lambda x: probit(_narrow(x)),
    ),
    "classifier-one-probit": (
        "LinearClassifier",
        {"coefficients": list(W / 20), "intercepts": [0.5], "post_transform": "PROBIT"} | TWO_LABELS,
        (4, 6),
        lambda x: second_class(x @ W / 20 + 0.5, "PROBIT", True),
    ),
    "svm-logistic": (
        "SVMRegressor",
        RBF | {"post_transform": "LOGISTIC"},
        (4, 2),
        lambda x: _sigmoid(np.exp(-0.4 * ((x[:, None] - V) ** 2).sum(-1)) @ A[:, None] + 0.3),
    ),
    **{
        f"machine-{name}": ("SVMClassifier", attributes, (4, 2), _machine(attributes))
        for name, attributes in {
            **{f"three-{k}": THREE | {"kernel_type": k} for k in ml.KERNELS},
            **{f"shares-{k}": THREE | PROBABLE | {"kernel_type": k} for k in ml.KERNELS},
            "shares-softmax": THREE | PROBABLE | {"post_transform": "SOFTMAX"},
            "shares-probit": THREE | PROBABLE | {"post_transform": "PROBIT"},
            "two": PAIR,
            "two-logistic": PAIR | {"post_transform": "LOGISTIC"},
            "two-softmax": PAIR | {"post_transform": "SOFTMAX"},
            "two-shares": PAIR | {"prob_a": [-1.5], "prob_b": [0.1]},
        }.items()
    },
    "machine-linear": (
        "SVMClassifier",
        {"coefficients": [0.5, -0.4, 0.7, -1.0], "rho": [0.1], "post_transform": "SOFTMAX"} | TWO_LABELS,
        (4, 2),
        lambda x: _softmax(x @ np.array([[0.5, 0.7], [-0.4, -1.0]]) + 0.1),
    ),
    "svm-sigmoid": ("SVMRegressor", SIGMOID, (4, 2), lambda x: np.tanh(0.4 * x @ V.T + 0.5) @ A[:, None] + 0.3),
}


# Whose derivative does not depend on the input.
STRAIGHT = {
    "scaler", "vectorizer", "vectorizer-cut", "regressor", "regressor-vector", "classifier-one", "svm-linear",
    "machine-three-LINEAR",
}  # fmt: skip


def _difference(function: Callable[[Any], Any], x: np.ndarray, dY: np.ndarray) -> np.ndarray:
    found = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = 1e-6
        found[i] = ((function(x + step) - function(x - step)) * dY).sum() / 2e-6
    return found


# Two derivatives of the Loop that couples the shares are some thousand nodes.
LONG = {name for name in RULES if "shares" in name}


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        pytest.param(
            name, rows, id=f"{name}-{how}",
            marks=[pytest.mark.slow] if name in LONG and (rows or name != "machine-two-shares") else [],
        )
        for name in RULES
        for rows, how in ((None, "static"), ("N", "symbolic"))
    ],
)  # fmt: skip
def test_rule(name: str, rows: str | None, rng: np.random.Generator) -> None:
    """First order against differences of the equation, second against differences of the first."""
    op_type, attributes, shape, function = RULES[name]
    x = rng.permutation(np.linspace(-1.25, 2.1, int(np.prod(shape)))).reshape(shape)
    outputs = 2 if op_type.endswith("Classifier") else 1
    y = f"y{outputs - 1}"
    info = helper.make_tensor_value_info("x0", DOUBLE, (rows, *shape[1:]) if rows and len(shape) == 2 else shape)
    first = gs.vjp(model(op_type, info, outputs=outputs, **attributes), [y], ["x0"])
    expected = function(x)
    of = first.graph.inputs[-1]
    dY = rng.standard_normal(expected.shape).astype(np.float64 if of.dtype == ir.DataType.DOUBLE else np.float32)
    session = gs.Session(first)

    def pulled(x: np.ndarray) -> Any:
        return session.run({"x0": x, f"{y}_cotangent": dY}, fetches=["x0_vjp"])["x0_vjp"]

    value = session.run({"x0": x, f"{y}_cotangent": dY}, fetches=[y])[y]
    np.testing.assert_allclose(value, expected, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(pulled(x), _difference(function, x, dY), rtol=1e-5, atol=1e-8)
    try:
        second = gs.vjp(first, ["x0_vjp"], ["x0"])
    except gs.NotDifferentiable:  # no path from x to it; through its shape alone there may be one
        assert name in STRAIGHT
        return
    last = second.graph.outputs[-1].name
    u = rng.standard_normal(shape)
    feeds = {"x0": x, f"{y}_cotangent": dY, "x0_vjp_cotangent": u}
    found = gs.Session(second).run(feeds, fetches=[last])[last]
    np.testing.assert_allclose(found, _difference(pulled, x, u), rtol=1e-5, atol=1e-7)


def test_extractor_of_a_vector_sums_what_was_taken_twice() -> None:
    x, index = np.array([1.0, 2.0, 3.0]), helper.make_tensor_value_info("i", 7, [4])
    derived = gs.vjp(model("ArrayFeatureExtractor", tensor(x), index), ["y0"], ["x0"])
    dY = np.array([[0.3, -0.7, 1.1, 0.5]])
    found = gs.Session(derived).run({"x0": x, "i": np.array([2, 0, 2, 2]), "y0_cotangent": dY})["x0_vjp"]
    np.testing.assert_allclose(found, [-0.7, 0, 1.9])
