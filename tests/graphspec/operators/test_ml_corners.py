"""What samples of ai.onnx.ml do not reach: maps, derivatives, float64, hostile values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

import graphspec as gs
from ml_models import mapping, model, tensor
from samples import ml


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
