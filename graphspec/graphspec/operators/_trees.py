"""Tree ensembles: all trees walked for all rows at once, one level a step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from graphspec.operators.registry import Array

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER", "LEAF")
MEMBER, LEAF = 6, 7
_COMPARE = (np.less_equal, np.less, np.greater_equal, np.greater, np.equal, np.not_equal)
# Pairs of row and tree walked together: enough to make Python's share small, few enough to stay in memory.
_PAIRS = 1 << 20


@dataclasses.dataclass(frozen=True)
class Forest:
    """Nodes of all trees in one row of arrays.

    Attributes:
        roots: Index of each tree's first node.
        mode: Index into ``MODES`` for each node.
        feature, split: What is compared, and with what.
        true, false: Indices of the next node.
        missing: Whether NaN goes the true way.
        sets: Sorted codes ``node * len(members) + index`` of the values in the set of each member node.
        members: All values of all sets, sorted.
        vote_start, vote_count: Where the votes of each node begin in the following, and how many there are.
        vote_target, vote_weight: The votes of the leaves.
    """

    roots: Array
    mode: Array
    feature: Array
    split: Array
    true: Array
    false: Array
    missing: Array
    sets: Array
    members: Array
    vote_start: Array
    vote_count: Array
    vote_target: Array
    vote_weight: Array


def leaves(forest: Forest, X: Array) -> Iterator[tuple[slice, Array]]:
    """The leaf that each row reaches in each tree, for some rows at a time: the rows, and indices (rows, trees).

    Raises:
        ValueError: A node asks for a feature that X does not have, or the nodes form a circle.
    """
    inner = forest.mode != LEAF
    used = forest.feature[inner]
    if used.size and (used.min() < 0 or used.max() >= X.shape[1]):
        worst = int(used.max() if used.max() >= X.shape[1] else used.min())
        raise ValueError(f"The trees ask for feature {worst}; X has {X.shape[1]}.")
    step = max(1, _PAIRS // max(1, forest.roots.size))
    for start in range(0, X.shape[0], step):
        rows = slice(start, min(start + step, X.shape[0]))
        yield rows, _walked(forest, inner, X[rows])


def _walked(forest: Forest, inner: Array, X: Array) -> Array:
    trees = forest.roots.size
    at = np.tile(forest.roots, X.shape[0])
    active = np.flatnonzero(inner[at])
    modes = np.unique(forest.mode[inner])
    any_missing = bool(forest.missing.any()) and X.dtype.kind == "f"
    for _ in range(forest.mode.size + 1):
        if not active.size:
            return at.reshape(X.shape[0], trees)
        node = at[active]
        x = X[active // trees, forest.feature[node]]
        goes = _compared(forest, modes, node, x)
        if any_missing:
            goes |= forest.missing[node] & np.isnan(x)
        following = np.where(goes, forest.true[node], forest.false[node])
        at[active] = following
        active = active[inner[following]]
    raise ValueError("The nodes of a tree form a circle.")


def _compared(forest: Forest, modes: Array, node: Array, x: Array) -> Array:
    if modes.size == 1 and modes[0] != MEMBER:
        return np.asarray(_COMPARE[int(modes[0])](x, forest.split[node]))
    goes = np.zeros(x.shape, dtype=np.bool_)
    here = forest.mode[node]
    for mode in modes.tolist():
        which = here == mode
        if mode == MEMBER:
            goes[which] = _is_member(forest, node[which], x[which])
        else:
            goes[which] = _COMPARE[mode](x[which], forest.split[node[which]])
    return goes


def _is_member(forest: Forest, node: Array, x: Array) -> Array:
    if not forest.members.size:
        return np.zeros(x.shape, dtype=np.bool_)
    place = np.minimum(np.searchsorted(forest.members, x), forest.members.size - 1)
    code = node * forest.members.size + place
    found = np.minimum(np.searchsorted(forest.sets, code), forest.sets.size - 1)
    return np.asarray((forest.members[place] == x) & (forest.sets[found] == code))


def scores(forest: Forest, X: Array, targets: int, aggregate: str) -> tuple[Array, Array]:
    """What the leaves say of each target, in float64, and whether any leaf said something: both (rows, targets)."""
    total = np.zeros((X.shape[0], targets))
    heard = np.zeros((X.shape[0], targets), dtype=np.bool_)
    for rows, leaf in leaves(forest, X):
        cell, weight = _votes(forest, leaf, targets)
        shape = (leaf.shape[0], targets)
        size = leaf.shape[0] * targets
        heard[rows] = (np.bincount(cell, minlength=size) > 0).reshape(shape)
        if aggregate in ("MIN", "MAX"):
            ufunc, start = (np.minimum, np.inf) if aggregate == "MIN" else (np.maximum, -np.inf)
            best = np.full(size, start)
            ufunc.at(best, cell, weight)
            total[rows] = np.where(heard[rows], best.reshape(shape), 0)
        else:
            total[rows] = np.bincount(cell, weights=weight, minlength=size).reshape(shape)
    if aggregate == "AVERAGE":
        total /= max(1, forest.roots.size)
    return total, heard


def _votes(forest: Forest, leaf: Array, targets: int) -> tuple[Array, Array]:
    """For each vote of each leaf: row * targets + target, and its weight."""
    flat = leaf.reshape(-1)
    count = forest.vote_count[flat]
    first = forest.vote_start[flat]
    row = np.repeat(np.arange(leaf.shape[0]), leaf.shape[1])
    if not (count == 1).all():
        before = np.cumsum(count) - count
        first = np.repeat(first - before, count) + np.arange(int(count.sum()))
        row = np.repeat(row, count)
    return row * targets + forest.vote_target[first], forest.vote_weight[first].astype(np.float64)


def linked(
    trees: Sequence[int] | None, ids: Sequence[int] | None, modes: Sequence[str] | None,
    features: Sequence[int] | None, splits: Array, true: Sequence[int] | None, false: Sequence[int] | None,
    missing: Sequence[int] | None, vote_trees: Sequence[int] | None, vote_nodes: Sequence[int] | None,
    vote_targets: Sequence[int] | None, vote_weights: Array, targets: int,
) -> Forest:  # fmt: skip
    """The forest of nodes that name each other by tree and node id (TreeEnsembleClassifier and -Regressor).

    Raises:
        ValueError: The lists do not fit each other, or name what is not there.
    """
    tree, node = _integers(trees), _integers(ids)
    parts: dict[str, Sequence[object] | Array] = {
        "nodes_nodeids": node, "nodes_modes": modes or (), "nodes_featureids": features or (), "nodes_values": splits,
        "nodes_truenodeids": true or (), "nodes_falsenodeids": false or (),
    }  # fmt: skip
    if missing:
        parts["nodes_missing_value_tracks_true"] = missing
    same_length("nodes_treeids", tree, parts)
    same_length("treeids of the votes", vote_trees or (), {
        "nodeids of the votes": vote_nodes or (), "targets of the votes": vote_targets or (),
        "weights of the votes": vote_weights,
    })  # fmt: skip
    known = {name: i for i, name in enumerate(MODES) if i != MEMBER}
    unknown = next((m for m in modes or () if m not in known), None)
    if unknown is not None:
        raise ValueError(f"nodes_modes holds {unknown!r}; modes are {', '.join(known)}.")
    mode = np.array([known[m] for m in modes or ()], dtype=np.int64)
    find = _Index(tree, node)
    inner = mode != LEAF
    next_true, next_false = np.zeros_like(node), np.zeros_like(node)
    next_true[inner] = find(tree[inner], _integers(true)[inner])
    next_false[inner] = find(tree[inner], _integers(false)[inner])
    voting = find(_integers(vote_trees), _integers(vote_nodes))
    start, count, order = _grouped(voting, node.size)
    return Forest(
        _roots(tree, inner, np.concatenate([next_true[inner], next_false[inner]])), mode, _integers(features), splits,
        next_true, next_false, np.array(missing or [0] * node.size, dtype=np.bool_), node[:0], splits[:0],
        start, count, in_range("target", _integers(vote_targets), targets)[order], vote_weights[order],
    )  # fmt: skip


class _Index:
    """Positions of nodes by tree id and node id."""

    def __init__(self, tree: Array, node: Array) -> None:
        self.trees, self.nodes = np.unique(tree), np.unique(node)
        code = np.searchsorted(self.trees, tree) * self.nodes.size + np.searchsorted(self.nodes, node)
        self.order = np.argsort(code, kind="stable")
        self.codes = code[self.order]
        twice = np.flatnonzero(self.codes[1:] == self.codes[:-1])
        if twice.size:
            i = int(self.order[int(twice[0])])
            raise ValueError(f"Node {int(node[i])} of tree {int(tree[i])} is given twice.")

    def __call__(self, tree: Array, node: Array) -> Array:
        if not self.codes.size or not node.size:
            if node.size:
                raise ValueError("There are votes, but no nodes.")
            return node
        i = np.minimum(np.searchsorted(self.trees, tree), self.trees.size - 1)
        j = np.minimum(np.searchsorted(self.nodes, node), self.nodes.size - 1)
        code = i * self.nodes.size + j
        place = np.minimum(np.searchsorted(self.codes, code), self.codes.size - 1)
        wrong = (self.trees[i] != tree) | (self.nodes[j] != node) | (self.codes[place] != code)
        if wrong.any():
            k = int(np.flatnonzero(wrong)[0])
            raise ValueError(f"Tree {int(tree[k])} has no node {int(node[k])}.")
        return np.asarray(self.order[place])


def _roots(tree: Array, inner: Array, children: Array) -> Array:
    """The first node of each tree that no other leads to; a leaf only where it is the whole tree."""
    _, which, sizes = np.unique(tree, return_inverse=True, return_counts=True)
    free = inner | (sizes[which] == 1)
    free[children] = False
    candidates = np.flatnonzero(free)
    found, first = np.unique(tree[candidates], return_index=True)
    if found.size != np.unique(tree).size:
        raise ValueError("The nodes of a tree form a circle: none of them is the first.")
    return candidates[first]


def _grouped(voting: Array, nodes: int) -> tuple[Array, Array, Array]:
    """Votes by node: where each node's begin and how many they are, in the order that is the third result."""
    count = np.bincount(voting, minlength=nodes).astype(np.int64)
    return np.cumsum(count) - count, count, np.argsort(voting, kind="stable")


def _integers(values: Sequence[int] | None) -> Array:
    return np.array(values if values is not None else [], dtype=np.int64)


def in_range(what: str, index: Array, size: int) -> Array:
    """The indices themselves.

    Raises:
        ValueError: One of them lies outside of ``[0, size)``.
    """
    if index.size and (index.min() < 0 or index.max() >= size):
        worst = int(index.max() if index.max() >= size else index.min())
        raise ValueError(f"The trees name {what} {worst}; there are {size}.")
    return index


def same_length(name: str, first: Sequence[object] | Array, others: dict[str, Sequence[object] | Array]) -> None:
    """Refuse lists that do not have one entry for each entry of the first.

    Raises:
        ValueError: One has another length.
    """
    for other, values in others.items():
        if len(values) != len(first):
            raise ValueError(f"{other} has {len(values)} entries, {name} has {len(first)}.")
