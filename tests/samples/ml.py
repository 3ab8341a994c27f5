"""Samples of ai.onnx.ml, of what takes tensors; operators on maps are tested in test_ml_corners.py."""

from typing import Any

import numpy as np

from samples.sample import Floats
from samples.sample import Sample as Any_


def Sample(op_type: str, inputs: tuple[Any, ...], attributes: dict[str, Any] | None = None, **options: Any) -> Any_:
    """A sample in the domain; most give float32 whatever they take, so that float64 has nothing to compare."""
    return Any_(
        op_type, inputs, attributes or {}, **{"domain": "ai.onnx.ml", "opset": 3, "of": (), "narrow": True, **options}
    )


def words(*values: Any) -> np.ndarray:
    return np.array(values, dtype=object)


HOLES = np.array([[np.nan, 1.0, 2.0], [0.5, np.nan, 0.0]], dtype=np.float32)
NUMBERS = np.array([[1, 2], [3, 9]])
TWO = {"keys_strings": ["a", "b"], "values_int64s": [5, 6]}
# Two stumps and a tree of depth 2, whose leaves vote for targets 0, 1 and 2.
NODES = {
    "nodes_treeids": [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2], "nodes_nodeids": [0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 4],
    "nodes_featureids": [0, 0, 0, 1, 0, 0, 2, 0, 1, 0, 0], "nodes_values": [0.1, 0, 0, -0.3, 0, 0, 0.2, 0, 0.4, 0, 0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_GT", "LEAF", "LEAF", "BRANCH_LT", "LEAF", "BRANCH_GTE", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 0, 1, 0, 0, 1, 0, 3, 0, 0], "nodes_falsenodeids": [2, 0, 0, 2, 0, 0, 2, 0, 4, 0, 0],
    "nodes_missing_value_tracks_true": [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
}  # fmt: skip
PLACES = (
    [0, 0, 1, 1, 2, 2, 2, 2],
    [1, 2, 1, 2, 1, 3, 4, 4],
    [0, 1, 0, 2, 1, 2, 0, 1],
    [0.3, -0.7, 0.2, 0.9, 0.4, 1.1, -0.6, 0.8],
)
VOTES = dict(zip(("class_treeids", "class_nodeids", "class_ids", "class_weights"), PLACES, strict=True))
TARGETS = dict(zip(("target_treeids", "target_nodeids", "target_ids", "target_weights"), PLACES, strict=True))
ONE = {key: values[:-1] for key, values in TARGETS.items()} | {"target_ids": [0] * 7, "n_targets": 1}
BINARY = {**VOTES, "class_ids": [0] * 8, "classlabels_int64s": [0, 1]}
SHARES = {**BINARY, "class_weights": [0.31, 0.12, 0.2, 0.0, 0.1, 0.05, 0.3, 0.1]}
ENSEMBLE = {
    "tree_roots": [0, 2], "nodes_featureids": [0, 2, 1, 0], "nodes_modes": np.array([0, 4, 6, 1], np.uint8),
    "nodes_trueleafs": [0, 1, 1, 1], "nodes_truenodeids": [1, 1, 3, 4], "nodes_falseleafs": [1, 1, 0, 1],
    "nodes_falsenodeids": [0, 2, 3, 0], "leaf_targetids": [0, 1, 0, 1, 1], "n_targets": 2,
    "nodes_splits": np.array([0.5, 1, 0, -0.5], np.float32), "leaf_weights": np.array([1.5, -2, 0.25, 3, -0.75], np.float32),
    "membership_values": np.array([1, 2, np.nan], np.float32),
}  # fmt: skip
MACHINE = {
    "vectors_per_class": [2, 1, 1], "support_vectors": [0.3, -0.2, 1.0, 0.5, -0.4, 0.1, 0.9, 0.7], "rho": [0.1, -0.2, 0.3],
    "coefficients": [0.5, -0.4, 0.7, -1.0, 0.2, 0.6, -0.3, 0.8], "kernel_params": [0.4, 0.5, 3.0], "classlabels_ints": [4, 5, 6],
}  # fmt: skip
PAIR = MACHINE | {
    "vectors_per_class": [2, 2],
    "coefficients": [0.5, -0.4, 0.7, -1.0],
    "rho": [0.1],
    "classlabels_ints": [4, 5],
}
REGRESSION = {
    "support_vectors": MACHINE["support_vectors"],
    "coefficients": [0.5, -0.4, 0.7, -1.0],
    "rho": [0.3],
    "n_supports": 4,
}
KERNELS = ("LINEAR", "POLY", "RBF", "SIGMOID")
TRANSFORMS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO")
LINEAR = {"coefficients": [0.3, -0.2, 0.5, 0.1, 0.4, -0.6], "intercepts": [0.2, -0.1]}

SAMPLES = [
    Sample("ArrayFeatureExtractor", (Floats((3, 4)), np.array([[2, 0, 2]])), of=(0,), narrow=False),
    Sample("ArrayFeatureExtractor", (Floats((4,)), np.array([1, 3])), id="vector", narrow=False),
    Sample("ArrayFeatureExtractor", (words("a", "b"), np.array([1])), id="strings"),
    Sample("Binarizer", (Floats((3, 4)),), {"threshold": 0.5}, of=(0,), zero=True, narrow=False),
    Sample("CategoryMapper", (words("b", "z"),), {"cats_strings": ["a", "b"], "cats_int64s": [3, 7]}, id="strings"),
    Sample("CategoryMapper", (np.array([7, 1]),), {"cats_strings": ["a", "b"], "cats_int64s": [3, 7], "default_string": "?"}, id="integers"),
    Sample("FeatureVectorizer", (Floats((3, 2)), Floats((3, 3))), {"inputdimensions": [2, 3]}),
    Sample("FeatureVectorizer", (Floats((3, 2)), Floats((3, 3))), {"inputdimensions": [4, 1]}, id="cut"),
    Sample("Imputer", (HOLES,), {"imputed_value_floats": [5.0, 6.0, 7.0], "replaced_value_float": float("nan")}, id="nan"),
    Sample("Imputer", (Floats((2, 3)),), {"imputed_value_floats": [5.0], "replaced_value_float": 0.5}),
    Sample("Imputer", (NUMBERS,), {"imputed_value_int64s": [8], "replaced_value_int64": 3}, id="integers"),
    Sample("LabelEncoder", (words("b", "z"),), {"classes_strings": ["a", "b"]}, id="strings-1", opset=1),
    Sample("LabelEncoder", (np.array([1, 5]),), {"classes_strings": ["a", "b"]}, id="integers-1", opset=1),
    Sample("LabelEncoder", (words("b", "z"),), TWO, id="strings", opset=2),
    Sample("LabelEncoder", (NUMBERS,), {"keys_int64s": [1, 9], "values_floats": [0.5, 1.5], "default_float": 2.5}, id="integers", opset=2),
    Sample("LabelEncoder", (HOLES,), {"keys_floats": [float("nan"), 0.5], "values_strings": ["none", "half"]}, id="nan", opset=4),
    Sample("LabelEncoder", (words("b", "z"),), {"keys_tensor": words("a", "b"), "values_tensor": np.array([5, 6], np.int16), "default_tensor": np.array([9], np.int16)}, id="tensor", opset=4),
    *(Sample("LinearClassifier", (Floats((5, 3)),), LINEAR | {"classlabels_ints": [3, 8], "post_transform": t}, id=f"two-{t}", outputs=2) for t in TRANSFORMS),
    *(Sample("LinearClassifier", (Floats((5, 6)),), LINEAR | {"intercepts": [0.2], "classlabels_strings": ["n", "y"], "post_transform": t}, id=f"one-{t}", outputs=2) for t in TRANSFORMS),
    *(Sample("LinearRegressor", (Floats((5, 3)),), LINEAR | {"targets": 2, "post_transform": t}, id=t) for t in TRANSFORMS),
    Sample("LinearRegressor", (Floats((5, 6)),), {"coefficients": LINEAR["coefficients"]}, id="one"),
    *(Sample("Normalizer", (Floats((4, 3)),), {"norm": n}, id=n) for n in ("MAX", "L1", "L2")),
    Sample("Normalizer", (np.zeros((2, 3)),), {"norm": "L2"}, id="zeros"),
    Sample("OneHotEncoder", (NUMBERS,), {"cats_int64s": [2, 9, 1]}, id="integers"),
    Sample("OneHotEncoder", (words("x", "z"),), {"cats_strings": ["z", "y", "x"], "zeros": 0}, id="strings"),
    *(Sample("SVMClassifier", (Floats((5, 2)),), MACHINE | {"kernel_type": k}, id=f"three-{k}", outputs=2) for k in KERNELS),
    *(Sample("SVMClassifier", (Floats((5, 2)),), MACHINE | {"kernel_type": k, "prob_a": [-1.0, 0.5, 0.7], "prob_b": [0.1, 0.2, -0.3]}, id=f"shares-{k}", outputs=2) for k in KERNELS),
    *(Sample("SVMClassifier", (Floats((5, 2)),), PAIR | {"post_transform": t}, id=f"two-{t}", outputs=2) for t in TRANSFORMS),
    Sample("SVMClassifier", (Floats((5, 2)),), PAIR | {"prob_a": [-1.5], "prob_b": [0.1]}, id="two-shares", outputs=2),
    Sample("SVMClassifier", (Floats((5, 2)),), {"coefficients": [0.5, -0.4, 0.7, -1.0], "rho": [0.1], "kernel_params": [0.0, 0.0, 0.0], "classlabels_strings": ["n", "y"]}, id="linear", outputs=2),
    *(Sample("SVMRegressor", (Floats((5, 2)),), REGRESSION | {"kernel_type": k, "kernel_params": [0.4, 0.5, 3.0]}, id=k) for k in KERNELS),
    Sample("SVMRegressor", (Floats((5, 2)),), {"coefficients": [0.5, -0.4], "rho": [0.3], "kernel_params": [0.0, 0.0, 0.0]}, id="linear"),
    Sample("SVMRegressor", (Floats((5, 2)),), REGRESSION | {"one_class": 1, "kernel_params": [0.0, 0.0, 0.0]}, id="sign"),
    Sample("Scaler", (Floats((4, 3)),), {"offset": [0.5, 1.0, -2.0], "scale": [2.0, 0.5, 1.5]}),
    Sample("Scaler", (NUMBERS,), {"offset": [0.5], "scale": [2.0]}, id="integers"),
    *(Sample("TreeEnsemble", (Floats((7, 3)),), ENSEMBLE | {"aggregate_function": a}, id=str(a), opset=5) for a in range(4)),
    *(Sample("TreeEnsembleClassifier", (Floats((7, 3)),), NODES | VOTES | {"classlabels_strings": ["a", "b", "c"], "post_transform": t}, id=f"three-{t}", outputs=2) for t in TRANSFORMS),
    Sample("TreeEnsembleClassifier", (HOLES,), NODES | VOTES | {"classlabels_int64s": [4, 5, 6], "base_values": [0.1, 0.2, 0.3]}, id="missing", outputs=2, opset=1),
    *(Sample("TreeEnsembleClassifier", (Floats((7, 3)),), NODES | BINARY | {"post_transform": t}, id=f"two-{t}", outputs=2) for t in TRANSFORMS),
    *(Sample("TreeEnsembleClassifier", (Floats((7, 3)),), NODES | SHARES | {"post_transform": t}, id=f"shares-{t}", outputs=2) for t in TRANSFORMS),
    Sample("TreeEnsembleClassifier", (Floats((7, 3)),), NODES | BINARY | {"base_values": [0.4]}, id="base", outputs=2),
    *(Sample("TreeEnsembleRegressor", (Floats((7, 3)),), NODES | ONE | {"aggregate_function": a, "base_values": [0.7]}, id=f"one-{a}") for a in ("SUM", "AVERAGE", "MIN", "MAX")),
    *(Sample("TreeEnsembleRegressor", (Floats((7, 3)),), NODES | TARGETS | {"n_targets": 3, "aggregate_function": a}, id=f"three-{a}") for a in ("SUM", "AVERAGE", "MIN", "MAX")),
    *(Sample("TreeEnsembleRegressor", (Floats((7, 3)),), NODES | TARGETS | {"n_targets": 3, "post_transform": t}, id=t, opset=1) for t in TRANSFORMS),
]  # fmt: skip
