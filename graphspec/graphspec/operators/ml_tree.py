"""Ensembles of decision trees, in the form of opset 5 and in the two older ones."""

from __future__ import annotations

import numpy as np

from graphspec.operators import _trees
from graphspec.operators._scores import TRANSFORMS, checked, labels_of, second_class, transformed
from graphspec.operators.registry import ZERO, Array, operator

_ML = "ai.onnx.ml"
_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")  # in the order of TreeEnsemble's numbers


@operator("TreeEnsemble", since=5, domain=_ML, rule=ZERO)
def tree_ensemble(
    X: Array, *, leaf_targetids: list[int], leaf_weights: Array, nodes_falseleafs: list[int],
    nodes_falsenodeids: list[int], nodes_featureids: list[int], nodes_modes: Array, nodes_splits: Array,
    nodes_trueleafs: list[int], nodes_truenodeids: list[int], tree_roots: list[int], aggregate_function: int = 1,
    membership_values: Array | None = None, n_targets: int | None = None, nodes_hitrates: Array | None = None,
    nodes_missing_value_tracks_true: list[int] | None = None, post_transform: int = 0,
) -> Array:  # fmt: skip
    """Y = post_transform(aggregate over trees of the weight of the leaf that each row reaches).

    Shapes: X (N, F), Y (N, n_targets).  Dtype: that of X.  Source: ONNX TreeEnsemble-5.
    """
    del nodes_hitrates  # says how often nodes are visited, not what they give
    if not 0 <= aggregate_function < len(_AGGREGATES):
        raise ValueError(f"aggregate_function is 0 to {len(_AGGREGATES) - 1}, not {aggregate_function}.")
    if not 0 <= post_transform < len(TRANSFORMS):
        raise ValueError(f"post_transform is 0 to {len(TRANSFORMS) - 1}, not {post_transform}.")
    nodes, count = len(nodes_featureids), len(leaf_weights)
    _trees.same_length("nodes_featureids", nodes_featureids, {
        "nodes_modes": nodes_modes, "nodes_splits": nodes_splits, "nodes_trueleafs": nodes_trueleafs,
        "nodes_truenodeids": nodes_truenodeids, "nodes_falseleafs": nodes_falseleafs,
        "nodes_falsenodeids": nodes_falsenodeids,
        "nodes_missing_value_tracks_true": nodes_missing_value_tracks_true or nodes_featureids,
    })  # fmt: skip
    _trees.same_length("leaf_weights", leaf_weights, {"leaf_targetids": leaf_targetids})
    mode = np.asarray(nodes_modes).astype(np.int64)
    if mode.size and mode.max() > _trees.MEMBER:
        raise ValueError(f"nodes_modes are 0 to {_trees.MEMBER}, not {int(mode.max())}.")
    target = np.array(leaf_targetids, dtype=np.int64)
    targets = n_targets if n_targets is not None else int(target.max(initial=-1)) + 1
    sets, members = _member_sets(mode, membership_values, np.asarray(nodes_splits).dtype)
    leaf_mode = np.full(count, _trees.LEAF)
    nothing = np.zeros(count, dtype=np.int64)
    forest = _trees.Forest(
        roots=_trees.in_range("root", np.array(tree_roots, dtype=np.int64), nodes),
        mode=np.concatenate([mode, leaf_mode]),
        feature=np.concatenate([np.array(nodes_featureids, dtype=np.int64), nothing]),
        split=np.concatenate([nodes_splits, np.zeros(count, nodes_splits.dtype)]),
        true=np.concatenate([_targets(nodes_truenodeids, nodes_trueleafs, nodes, count), nothing]),
        false=np.concatenate([_targets(nodes_falsenodeids, nodes_falseleafs, nodes, count), nothing]),
        missing=np.concatenate([np.array(nodes_missing_value_tracks_true or [0] * nodes, np.bool_), nothing != 0]),
        sets=sets, members=members,
        vote_start=np.concatenate([np.zeros(nodes, np.int64), np.arange(count)]),
        vote_count=np.concatenate([np.zeros(nodes, np.int64), np.ones(count, np.int64)]),
        vote_target=_trees.in_range("target", target, targets), vote_weight=leaf_weights,
    )  # fmt: skip
    found, _ = _trees.scores(forest, _rows(X), targets, _AGGREGATES[aggregate_function])
    return transformed(found, TRANSFORMS[post_transform]).astype(X.dtype)


def _targets(ids: list[int], leafs: list[int], nodes: int, leaves: int) -> Array:
    """Positions of the next nodes, leaves counted behind the inner nodes."""
    index, leaf = np.array(ids, dtype=np.int64), np.array(leafs, dtype=np.bool_)
    _trees.in_range("leaf", index[leaf], leaves)
    _trees.in_range("node", index[~leaf], nodes)
    return index + leaf * nodes


def _member_sets(mode: Array, values: Array | None, dtype: np.dtype[np.generic]) -> tuple[Array, Array]:
    """The sets of the member nodes: codes and sorted values, as a forest holds them; NaN ends each set."""
    nodes = np.flatnonzero(mode == _trees.MEMBER)
    given = np.asarray(values if values is not None else [], dtype=dtype).reshape(-1)
    ends = np.isnan(given)
    # The NaN behind the last set may be left out.
    sets = int(ends.sum()) + (given.size > 0 and not ends[-1])
    if sets != nodes.size:
        raise ValueError(f"membership_values holds {sets} sets; {nodes.size} nodes ask for one.")
    members = np.unique(given[~ends])
    owner = nodes[(np.cumsum(ends) - ends)[~ends]]
    return np.unique(owner * members.size + np.searchsorted(members, given[~ends])), members


def _rows(X: Array) -> Array:
    if X.ndim not in (1, 2):
        raise ValueError(f"X has one row of features, or rows of them, not shape {list(X.shape)}.")
    return np.atleast_2d(X)


def _either(values: list[float] | None, tensor: Array | None) -> Array:
    """An attribute in float32, or its form as a tensor."""
    if tensor is not None and tensor.size:
        return tensor.reshape(-1)
    return np.array(values if values is not None else [], dtype=np.float32)


def _based(base: Array, allowed: tuple[int, ...]) -> Array:
    if base.size not in (0, *allowed):
        raise ValueError(f"base_values has {base.size} entries for {allowed[-1]} targets.")
    return base.astype(np.float64)


@operator("TreeEnsembleRegressor", since=1, domain=_ML, rule=ZERO)
def tree_ensemble_regressor(
    X: Array, *, aggregate_function: str = "SUM", base_values: list[float] | None = None,
    base_values_as_tensor: Array | None = None, n_targets: int | None = None,
    nodes_falsenodeids: list[int] | None = None, nodes_featureids: list[int] | None = None,
    nodes_hitrates: list[float] | None = None, nodes_hitrates_as_tensor: Array | None = None,
    nodes_missing_value_tracks_true: list[int] | None = None, nodes_modes: list[str] | None = None,
    nodes_nodeids: list[int] | None = None, nodes_treeids: list[int] | None = None,
    nodes_truenodeids: list[int] | None = None, nodes_values: list[float] | None = None,
    nodes_values_as_tensor: Array | None = None, post_transform: str = "NONE", target_ids: list[int] | None = None,
    target_nodeids: list[int] | None = None, target_treeids: list[int] | None = None,
    target_weights: list[float] | None = None, target_weights_as_tensor: Array | None = None,
) -> Array:  # fmt: skip
    """Y = post_transform(aggregate over trees of the weights at the leaf that each row reaches + base_values).

    Shapes: X (N, F), Y (N, n_targets).  Dtype: float32.  Source: ONNX TreeEnsembleRegressor-3.
    """
    del nodes_hitrates, nodes_hitrates_as_tensor  # say how often nodes are visited, not what they give
    if aggregate_function not in _AGGREGATES:
        raise ValueError(f"aggregate_function is one of {', '.join(_AGGREGATES)}, not {aggregate_function!r}.")
    targets = n_targets if n_targets is not None else max(target_ids or [0]) + 1
    forest = _trees.linked(
        nodes_treeids, nodes_nodeids, nodes_modes, nodes_featureids, _either(nodes_values, nodes_values_as_tensor),
        nodes_truenodeids, nodes_falsenodeids, nodes_missing_value_tracks_true, target_treeids, target_nodeids,
        target_ids, _either(target_weights, target_weights_as_tensor), targets,
    )  # fmt: skip
    found, _ = _trees.scores(forest, _rows(X), targets, aggregate_function)
    base = _based(_either(base_values, base_values_as_tensor), (targets,))
    return transformed(found + base if base.size else found, post_transform).astype(np.float32)


@operator("TreeEnsembleClassifier", since=1, domain=_ML, rule=ZERO)
def tree_ensemble_classifier(
    X: Array, *, base_values: list[float] | None = None, base_values_as_tensor: Array | None = None,
    class_ids: list[int] | None = None, class_nodeids: list[int] | None = None,
    class_treeids: list[int] | None = None, class_weights: list[float] | None = None,
    class_weights_as_tensor: Array | None = None, classlabels_int64s: list[int] | None = None,
    classlabels_strings: list[str] | None = None, nodes_falsenodeids: list[int] | None = None,
    nodes_featureids: list[int] | None = None, nodes_hitrates: list[float] | None = None,
    nodes_hitrates_as_tensor: Array | None = None, nodes_missing_value_tracks_true: list[int] | None = None,
    nodes_modes: list[str] | None = None, nodes_nodeids: list[int] | None = None,
    nodes_treeids: list[int] | None = None, nodes_truenodeids: list[int] | None = None,
    nodes_values: list[float] | None = None, nodes_values_as_tensor: Array | None = None, post_transform: str = "NONE",
) -> tuple[Array, Array]:  # fmt: skip
    """Y = the label of the largest score, Z = post_transform(sum over trees of the leaf's weights + base_values).

    Shapes: X (N, F), Y (N), Z (N, classes).  Dtype: Z float32.  With two classes the rules are ONNX Runtime's.
    Source: ONNX TreeEnsembleClassifier-3.
    """
    del nodes_hitrates, nodes_hitrates_as_tensor  # say how often nodes are visited, not what they give
    checked(post_transform)
    labels = labels_of(classlabels_strings, classlabels_int64s)
    weights = _either(class_weights, class_weights_as_tensor)
    forest = _trees.linked(
        nodes_treeids, nodes_nodeids, nodes_modes, nodes_featureids, _either(nodes_values, nodes_values_as_tensor),
        nodes_truenodeids, nodes_falsenodeids, nodes_missing_value_tracks_true, class_treeids, class_nodeids,
        class_ids, weights, labels.size,
    )  # fmt: skip
    scores, heard = _trees.scores(forest, _rows(X), labels.size, "SUM")
    base = _based(_either(base_values, base_values_as_tensor), (1, 2) if labels.size == 2 else (labels.size,))
    if labels.size == 2:
        single = len(set(class_ids or ())) == 1
        choice, Z = _two_classes(scores, heard, base, single, bool((weights >= 0).all()), post_transform)
        return labels[choice], Z.astype(np.float32)
    if base.size:
        scores, heard = scores + base, np.ones_like(heard)
    # A class that no leaf spoke of is not chosen, even where all others are negative.
    choice = np.argmax(np.where(heard, scores, -np.inf), axis=1)
    return labels[choice], transformed(scores, post_transform).astype(np.float32)


def _two_classes(
    scores: Array, heard: Array, base: Array, single: bool, positive: bool, post_transform: str
) -> tuple[Array, Array]:
    """The choice between two classes, and the scores of both.

    Args:
        scores: Sums of the leaves' weights, (N, 2).
        heard: Whether there were any, (N, 2).
        base: One number, two, or none.
        single: All weights are for one and the same class; its score is that of the second class then.
        positive: No weight is negative: the scores are shares of 1, and the second class needs more than a half.
        post_transform: Its name.
    """
    both = heard[:, 1]
    scores = scores.copy()
    if base.size == 2:  # what the leaves say of the second class is not counted where a base is given for it
        scores[both, 1] = base[1] + scores[both, 0]
        scores[both, 0] = -scores[both, 1]
        scores[~both] += base
    elif base.size == 1:
        scores[:, 0] += base[0]
    deciding = np.where(both, scores[:, 1], np.where(heard[:, 0], scores[:, 0], 0))
    choice = (deciding > (0.5 if single and positive else 0)).astype(np.int64)
    shown = np.where(heard, scores, 0)
    Z = transformed(shown, post_transform)
    alone = ~both if base.size < 2 else np.zeros_like(both)
    if alone.any():
        Z = Z.copy()
        Z[alone] = second_class(shown[alone, 0], post_transform, single and positive)
    return choice, Z
