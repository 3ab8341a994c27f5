"""What samples of ai.onnx.ml do not reach: maps, derivatives, float64, hostile values."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper

import graphspec as gs
from graphspec.operators import ml_svm
from graphspec.operators._coupling import coupled
from graphspec.operators._scores import probit, second_class, transformed
from samples import ml

ML = "ai.onnx.ml"
DOUBLE = onnx.TensorProto.DOUBLE


def _node(op_type: str, opset: int, inputs: list[str], outputs: list[str], attributes: dict[str, Any]) -> Any:
    schema = onnx.defs.get_schema(op_type, opset, ML)
    node = helper.make_node(op_type, inputs, outputs, name="node", domain=ML)
    for key, value in attributes.items():
        value = onnx.numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        node.attribute.append(
            helper.make_attribute(key, value, attr_type=int(schema.attributes[key].type.value))  # type: ignore[arg-type]
        )
    return node


def model(op_type: str, *infos: Any, opset: int = 3, outputs: int = 1, **attributes: Any) -> ir.Model:
    names = [info.name for info in infos]
    node = _node(op_type, opset, names, [f"y{i}" for i in range(outputs)], attributes)
    ends = [onnx.ValueInfoProto(name=f"y{i}") for i in range(outputs)]
    graph = helper.make_graph([node], "corner", list(infos), ends)
    imports = [helper.make_opsetid(ML, opset), helper.make_opsetid("", 23)]
    proto = helper.make_model(graph, opset_imports=imports, ir_version=10)
    return gs.load(onnx.shape_inference.infer_shapes(proto))


def tensor(array: np.ndarray, name: str = "x0") -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def mapping(key: int, value: int) -> onnx.ValueInfoProto:
    return helper.make_value_info("x0", helper.make_map_type_proto(key, helper.make_tensor_type_proto(value, [])))


def run(op_type: str, *arrays: Any, **options: Any) -> Any:
    """The only output, or the tuple of them."""
    arrays = tuple(np.array(a, dtype=object) if np.asarray(a).dtype.kind == "U" else np.asarray(a) for a in arrays)
    infos = [
        helper.make_tensor_value_info(
            f"x{i}", 8 if a.dtype == object else tensor(a).type.tensor_type.elem_type, a.shape
        )
        for i, a in enumerate(arrays)
    ]
    found = gs.Session(model(op_type, *infos, **options)).run({f"x{i}": a for i, a in enumerate(arrays)})
    return next(iter(found.values())) if len(found) == 1 else tuple(found.values())


# --- maps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("types", "attributes", "given", "expected"),
    [
        ((8, 1), {"string_vocabulary": ["a", "c", "b"]}, {"c": 8.0, "a": 4.0}, np.array([[4, 8, 0]], np.float32)),
        ((7, 11), {"int64_vocabulary": [5, 3]}, {3: np.float64(1.5)}, np.array([[0, 1.5]])),
        ((8, 1), {"string_vocabulary": ["a", "b"]}, {"a": 2, "b": 0.5}, np.array([[2, 0.5]], np.float32)),
        ((8, 7), {"string_vocabulary": ["a", "b"]}, {"a": 2, "z": 9}, np.array([[2, 0]])),
        ((7, 8), {"int64_vocabulary": [1, 2]}, {2: "two"}, np.array([["", "two"]], dtype=object)),
    ],
    ids=["floats", "doubles", "mixed", "unknown-key", "strings"],
)
def test_dict_vectorizer(types: Any, attributes: Any, given: Any, expected: np.ndarray) -> None:
    found = gs.Session(model("DictVectorizer", mapping(*types), **attributes)).run({"x0": given})["y0"]
    assert found.dtype == expected.dtype
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("attributes", "given", "expected"),
    [
        ({}, {5: 1.5, 2: -0.5}, np.array([[-0.5, 1.5]], np.float32)),
        ({"cast_to": "TO_INT64"}, {5: 1.5, 2: -7.25}, np.array([[-7, 1]])),
        ({"cast_to": "TO_STRING"}, {1: 1.5}, np.array([["1.5"]], dtype=object)),
        ({"map_form": "SPARSE", "max_map": 4}, {3: 2.0, 1: 5.0}, np.array([[0, 5, 0, 2]], np.float32)),
        ({"cast_to": "TO_FLOAT"}, {1: "2.5"}, np.array([[2.5]], np.float32)),
    ],
    ids=["dense", "integers", "strings", "sparse", "from-strings"],
)
def test_cast_map(attributes: Any, given: Any, expected: np.ndarray) -> None:
    value = 8 if isinstance(next(iter(given.values())), str) else 1
    found = gs.Session(model("CastMap", mapping(7, value), **attributes)).run({"x0": given})["y0"]
    assert found.dtype == expected.dtype
    assert found.tolist() == expected.tolist()


def test_zip_map() -> None:
    shares = np.array([[0.25, 0.75], [1, 0]], np.float32)
    assert run("ZipMap", shares, classlabels_strings=["n", "y"]) == [{"n": 0.25, "y": 0.75}, {"n": 1.0, "y": 0.0}]
    assert run("ZipMap", shares[0], classlabels_int64s=[4, 7]) == [{4: 0.25, 7: 0.75}]


# --- derivatives: the outputs are float32, so that differences are taken of the equation in float64 -----------------


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


# --- trees -----------------------------------------------------------------------------------------------------------


def test_trees_in_float64_keep_what_float32_cannot_tell() -> None:
    split = 1 + 1e-12
    attributes: dict[str, Any] = {
        "tree_roots": [0], "nodes_featureids": [0], "nodes_modes": np.array([1], np.uint8), "nodes_trueleafs": [1],
        "nodes_truenodeids": [0], "nodes_falseleafs": [1], "nodes_falsenodeids": [1], "leaf_targetids": [0, 0],
        "nodes_splits": np.array([split]), "leaf_weights": np.array([1e-13 + 1, 2.0]), "n_targets": 1,
    }  # fmt: skip
    found = run("TreeEnsemble", np.array([[1.0], [split]]), opset=5, **attributes)
    assert found.tolist() == [[1e-13 + 1], [2.0]]
    old = ml.ONE | {"nodes_values_as_tensor": np.array(ml.NODES["nodes_values"]) + 1e-12}
    nodes = {key: value for key, value in ml.NODES.items() if key != "nodes_values"}
    on_edge = run("TreeEnsembleRegressor", np.array([[0.1 + 5e-13, 0.0, 0.0]]), **nodes, **old)
    as_float = run("TreeEnsembleRegressor", np.array([[0.1 + 5e-13, 0.0, 0.0]], np.float32), **nodes, **old)
    assert on_edge.dtype == as_float.dtype == np.float32
    assert on_edge.tolist() != as_float.tolist()


def test_many_rows_are_the_same_as_each() -> None:
    """More pairs of rows and trees than are walked at once."""
    rows = np.random.default_rng(0).standard_normal((500_000, 3)).astype(np.float32)
    attributes = ml.NODES | ml.TARGETS | {"n_targets": 3}
    found = run("TreeEnsembleRegressor", rows, **attributes)
    for start in (0, 349_000, 499_900):
        part = slice(start, start + 100)
        np.testing.assert_array_equal(found[part], run("TreeEnsembleRegressor", rows[part], **attributes))


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(rows: int) -> None:
    label, scores = run(
        "TreeEnsembleClassifier", np.ones((rows, 3), np.float32), outputs=2, **ml.NODES, **ml.VOTES,
        classlabels_strings=["a", "b", "c"], post_transform="SOFTMAX",
    )  # fmt: skip
    assert (label.shape, scores.shape) == ((rows,), (rows, 3))
    machine = run("SVMClassifier", np.ones((rows, 2), np.float32), outputs=2, **ml.MACHINE)
    assert [part.shape[0] for part in machine] == [rows, rows]


# --- values that the schema allows and the operator cannot take -----------------------------------------------------

F = np.ones((2, 3), np.float32)
REFUSED: dict[str, tuple[str, Any, dict[str, Any], str]] = {
    "index": ("ArrayFeatureExtractor", (F, np.array([3])), {}, "Indices lie in"),
    "negative-index": ("ArrayFeatureExtractor", (F, np.array([-1])), {}, "Indices lie in"),
    "dimensions": ("FeatureVectorizer", (F,), {"inputdimensions": [1, 2]}, "2 entries for 1 inputs"),
    "rows": ("FeatureVectorizer", (F, F[:1]), {"inputdimensions": [3, 3]}, "rows"),
    "no-imputed": ("Imputer", (F,), {"imputed_value_int64s": [1]}, "no imputed value"),
    "imputed-size": ("Imputer", (F,), {"imputed_value_floats": [1.0, 2.0]}, "2 entries"),
    "norm": ("Normalizer", (F,), {"norm": "L3"}, "norm is"),
    "rank": ("Normalizer", (F[None],), {}, "shape"),
    "scale": ("Scaler", (F,), {"scale": [1.0, 2.0]}, "2 entries"),
    "keys": ("LabelEncoder", (F,), {"opset": 2, "values_floats": [1.0]}, "keys"),
    "two-keys": (
        "LabelEncoder",
        (F,),
        {"opset": 2, "keys_floats": [1.0], "keys_int64s": [1], "values_floats": [1.0]},
        "keys",
    ),
    "uneven": (
        "LabelEncoder",
        (F,),
        {"opset": 2, "keys_floats": [1.0], "values_floats": [1.0, 2.0]},
        "1 keys and 2 values",
    ),
    "key-type": ("LabelEncoder", (F,), {"opset": 2, "keys_strings": ["a"], "values_floats": [1.0]}, "key"),
    "mapper": ("CategoryMapper", (["a"],), {"cats_strings": ["a", "b"], "cats_int64s": [1]}, "cats_strings"),
    "category": ("OneHotEncoder", (np.array([4]),), {"cats_int64s": [1], "zeros": 0}, "no category"),
    "no-categories": ("OneHotEncoder", (np.array([4]),), {"cats_strings": ["a"]}, "no categories"),
    "coefficients": ("LinearRegressor", (F,), {"coefficients": [1.0]}, "do not fit"),
    "intercepts": ("LinearRegressor", (F,), {"coefficients": [1.0] * 3, "intercepts": [1.0] * 2}, "2 intercepts"),
    "transform": ("LinearRegressor", (F,), {"coefficients": [1.0] * 3, "post_transform": "SQUARE"}, "post_transform"),
    "labels": ("LinearClassifier", (F,), {"coefficients": [1.0] * 3, "outputs": 2}, "no labels"),
    "three-labels": (
        "LinearClassifier",
        (F,),
        {"coefficients": [1.0] * 3, "classlabels_ints": [1, 2, 3], "outputs": 2},
        "3 class labels",
    ),
    "kernel": ("SVMClassifier", (F[:, :2],), ml.MACHINE | {"kernel_type": "CUBE", "outputs": 2}, "kernel_type"),
    "kernel-params": (
        "SVMClassifier",
        (F[:, :2],),
        ml.MACHINE | {"kernel_type": "RBF", "kernel_params": [1.0], "outputs": 2},
        "kernel_params",
    ),
    "vectors": ("SVMClassifier", (F,), ml.MACHINE | {"outputs": 2}, "support vectors"),
    "rho": ("SVMClassifier", (F[:, :2],), ml.MACHINE | {"rho": [0.1], "outputs": 2}, "rho has 1"),
    "prob": ("SVMClassifier", (F[:, :2],), ml.MACHINE | {"prob_a": [0.1] * 3, "outputs": 2}, "prob_b has 0"),
    "per-class": (
        "SVMClassifier",
        (F[:, :2],),
        ml.MACHINE | {"vectors_per_class": [4, -1, 1], "outputs": 2},
        "vectors_per_class",
    ),
    "svr": ("SVMRegressor", (F[:, :2],), ml.REGRESSION | {"coefficients": [1.0]}, "1 coefficients"),
    "zip": ("ZipMap", (F,), {"classlabels_int64s": [1]}, "3 columns for 1"),
    "feature": ("TreeEnsembleRegressor", (F[:, :1],), ml.NODES | ml.ONE, "feature 2"),
    "mode": ("TreeEnsembleRegressor", (F,), ml.NODES | ml.ONE | {"nodes_modes": ["SPLIT"] * 11}, "SPLIT"),
    "lengths": ("TreeEnsembleRegressor", (F,), ml.NODES | ml.ONE | {"nodes_values": [1.0]}, "nodes_values has 1"),
    "child": ("TreeEnsembleRegressor", (F,), ml.NODES | ml.ONE | {"nodes_truenodeids": [9] * 11}, "no node 9"),
    "circle": ("TreeEnsembleRegressor", (F,), ml.NODES | ml.ONE | {"nodes_truenodeids": [0] * 11}, "circle"),
    "twice": ("TreeEnsembleRegressor", (F,), ml.NODES | ml.ONE | {"nodes_nodeids": [0] * 11}, "given twice"),
    "target": ("TreeEnsembleRegressor", (F,), ml.NODES | ml.TARGETS | {"n_targets": 2}, "target 2"),
    "voter": ("TreeEnsembleRegressor", (F,), ml.NODES | ml.ONE | {"target_nodeids": [7] * 7}, "no node 7"),
    "aggregate": ("TreeEnsembleRegressor", (F,), ml.NODES | ml.ONE | {"aggregate_function": "MEDIAN"}, "MEDIAN"),
    "base": ("TreeEnsembleRegressor", (F,), ml.NODES | ml.ONE | {"base_values": [1.0, 2.0]}, "2 entries for 1"),
    "leaf": ("TreeEnsemble", (F,), ml.ENSEMBLE | {"nodes_truenodeids": [1, 9, 3, 4], "opset": 5}, "leaf 9"),
    "root": ("TreeEnsemble", (F,), ml.ENSEMBLE | {"tree_roots": [-1], "opset": 5}, "root -1"),
    "loop": (
        "TreeEnsemble",
        (F,),
        ml.ENSEMBLE
        | {
            "nodes_trueleafs": [0] * 4,
            "nodes_truenodeids": [0] * 4,
            "nodes_falseleafs": [0] * 4,
            "nodes_falsenodeids": [0] * 4,
            "opset": 5,
        },
        "circle",
    ),
    "sets": (
        "TreeEnsemble",
        (F,),
        ml.ENSEMBLE | {"membership_values": np.array([1, np.nan, 2, np.nan], np.float32), "opset": 5},
        "2 sets",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    op_type, arrays, options, words = REFUSED[name]
    with pytest.raises(gs.GraphSpecError, match=words):
        run(op_type, *arrays, **options)


@pytest.mark.parametrize("key", [-1, 4, 10**9])
def test_key_beyond_the_places(key: int) -> None:
    session = gs.Session(model("CastMap", mapping(7, 1), map_form="SPARSE", max_map=4))
    with pytest.raises(gs.GraphSpecError, match=f"Key {key}"):
        session.run({"x0": {key: 1.0}})
