"""Batching rules against one run for each seed: random ranks, broadcasts and attributes, by operator family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphspec as gs
from graphspec import dtypes
from graphspec.derivatives import _prepare as prepare
from graphspec.derivatives import batching

SEEDS = 3
Rng = np.random.Generator
# Operator, inputs (integers are fixed by the graph), attributes.
Case = tuple[str, list[Any], dict[str, Any]]


def floats(rng: Rng, shape: Any) -> np.ndarray:
    return rng.uniform(0.5, 2.0, tuple(shape))


def shape_of(rng: Rng, low: int = 0, high: int = 4) -> list[int]:
    return [int(d) for d in rng.integers(1, 4, rng.integers(low, high + 1))]


def narrowed(rng: Rng, shape: list[int]) -> list[int]:
    """A shape that broadcasts to this one: some axes 1, some left out in front."""
    dims = [1 if rng.random() < 0.3 else d for d in shape]
    return dims[rng.integers(0, len(dims) + 1) :]


def axis_of(rng: Rng, rank: int) -> int:
    return int(rng.integers(-rank, rank))


def some_axes(rng: Rng, rank: int, least: int = 0) -> np.ndarray:
    axes = rng.permutation(rank)[: rng.integers(least, rank + 1)]
    return np.array([a - rank if rng.random() < 0.5 else a for a in axes], np.int64)


def broadcast(rng: Rng) -> Case:
    op = str(rng.choice(["Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum"]))
    full = shape_of(rng)
    inputs = [floats(rng, narrowed(rng, full)), floats(rng, full)]
    if op in ("Max", "Sum"):
        inputs.append(floats(rng, narrowed(rng, full)))
    return op, [inputs[i] for i in rng.permutation(len(inputs))], {}


def where(rng: Rng) -> Case:
    full = shape_of(rng)
    condition = rng.random(narrowed(rng, full)) < 0.5
    return "Where", [condition, floats(rng, narrowed(rng, full)), floats(rng, full)], {}


def prelu(rng: Rng) -> Case:
    full = shape_of(rng, 1)
    return "PRelu", [floats(rng, full) - 1.2, floats(rng, narrowed(rng, full))], {}


def matmul(rng: Rng) -> Case:
    i, k, j = (int(d) for d in rng.integers(1, 4, 3))
    batch = shape_of(rng, 0, 2)
    left = [k] if rng.random() < 0.2 else [*narrowed(rng, batch), i, k]
    right = [k] if rng.random() < 0.2 else [*narrowed(rng, batch), k, j]
    return "MatMul", [floats(rng, left), floats(rng, right)], {}


def gemm(rng: Rng) -> Case:
    i, k, j = (int(d) for d in rng.integers(1, 4, 3))
    a, b = (int(t) for t in rng.integers(0, 2, 2))
    inputs = [floats(rng, (k, i) if a else (i, k)), floats(rng, (j, k) if b else (k, j))]
    if rng.random() < 0.7:
        inputs.append(floats(rng, narrowed(rng, [i, j])))
    return "Gemm", inputs, {"transA": a, "transB": b, "alpha": 0.5, "beta": float(rng.choice([1.0, 2.5]))}


def einsum(rng: Rng) -> Case:
    equation = str(
        rng.choice(["ij,jk->ik", "...ij,...jk->...ik", "ij,ij", "ii->i", "ij,kj->ik", "bi,bi->b", "i,j->ij"])
    )
    size = {c: int(rng.integers(1, 4)) for c in "ijkb"}
    inputs = []
    for term in equation.split("->")[0].split(","):
        inputs.append(floats(rng, [*([2] if "..." in term else []), *(size[c] for c in term.replace(".", ""))]))
    return "Einsum", inputs, {"equation": equation}


def reduce(rng: Rng) -> Case:
    op = str(rng.choice(["ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp", "ReduceProd"]))
    x = floats(rng, shape_of(rng))
    attributes = {"keepdims": int(rng.integers(0, 2))}
    if rng.random() < 0.3:
        return op, [x], attributes
    return op, [x, some_axes(rng, x.ndim)], attributes | {"noop_with_empty_axes": int(rng.integers(0, 2))}


def along_axis(rng: Rng) -> Case:
    op = str(rng.choice(["Softmax", "LogSoftmax", "ArgMax", "Hardmax"]))
    x = floats(rng, shape_of(rng, 1))
    return op, [x], {"axis": axis_of(rng, x.ndim)} if rng.random() < 0.8 else {}


def cumulative(rng: Rng) -> Case:
    x = floats(rng, shape_of(rng, 1))
    return "CumSum", [x, np.int64(axis_of(rng, x.ndim))], {"reverse": 1, "exclusive": int(rng.integers(0, 2))}


def transpose(rng: Rng) -> Case:
    x = floats(rng, shape_of(rng, 1))
    return "Transpose", [x], {"perm": rng.permutation(x.ndim).tolist()} if rng.random() < 0.7 else {}


def reshape(rng: Rng) -> Case:
    a, b, c = (int(d) for d in rng.integers(1, 4, 3))
    shape = [[a * b, c], [-1], [0, -1], [0, b * c], [a, -1, c], [c, b, a], [a, b, c, 1]][rng.integers(0, 7)]
    literal = 0 if 0 in shape else int(rng.integers(0, 2))
    return "Reshape", [floats(rng, (a, b, c)), np.array(shape, np.int64)], {"allowzero": literal}


def nothing(rng: Rng) -> Case:
    return "Reshape", [floats(rng, (0, 3)), np.array([3, 0, 2], np.int64)], {"allowzero": 1}


def flatten(rng: Rng) -> Case:
    x = floats(rng, shape_of(rng, 1))
    return "Flatten", [x], {"axis": int(rng.integers(-x.ndim, x.ndim + 1))}


def squeeze(rng: Rng) -> Case:
    x = floats(rng, [1, 2, 1, 3])
    axes = [None, np.array([0]), np.array([-2]), np.array([2, -4])][rng.integers(0, 4)]
    return "Squeeze", [x] if axes is None else [x, axes], {}


def unsqueeze(rng: Rng) -> Case:
    x = floats(rng, shape_of(rng))
    return "Unsqueeze", [x, np.array([0, -1] if rng.random() < 0.5 else [-1])], {}


def expand(rng: Rng) -> Case:
    full = shape_of(rng)
    x = floats(rng, narrowed(rng, full))
    target = full if rng.random() < 0.5 else narrowed(rng, full)
    return "Expand", [x, np.array(target, np.int64)], {}


def tile(rng: Rng) -> Case:
    x = floats(rng, shape_of(rng, 1))
    return "Tile", [x, rng.integers(1, 3, x.ndim)], {}


def slices(rng: Rng) -> Case:
    x = floats(rng, rng.integers(2, 5, rng.integers(1, 4)))
    axes = some_axes(rng, x.ndim, 1)
    if rng.random() < 0.3:
        return "Slice", [x, np.zeros(1, np.int64), np.ones(1, np.int64)], {}
    steps = rng.choice([1, 2, -1], len(axes))
    starts, ends = np.where(steps < 0, 9, 0), np.where(steps < 0, -9, 9)
    return "Slice", [x, starts, ends, axes, steps], {}


def pad(rng: Rng) -> Case:
    x = floats(rng, rng.integers(2, 5, rng.integers(1, 4)))
    mode = str(rng.choice(["constant", "reflect", "edge", "wrap"]))
    if rng.random() < 0.5:
        return "Pad", [x, rng.integers(0, 2, 2 * x.ndim)], {"mode": mode}
    axes = some_axes(rng, x.ndim, 1)
    return "Pad", [x, rng.integers(0, 2, 2 * len(axes)), np.float64(1.5), axes], {"mode": mode}


def concat(rng: Rng) -> Case:
    shape = shape_of(rng, 1)
    axis = axis_of(rng, len(shape))
    parts = []
    for _ in range(3):
        shape[axis] = int(rng.integers(1, 4))
        parts.append(floats(rng, shape))
    return "Concat", parts, {"axis": axis}


def compress(rng: Rng) -> Case:
    x = floats(rng, [2, 3])
    return "Compress", [x, np.array([True, False, True])], {"axis": -1} if rng.random() < 0.5 else {}


def gather(rng: Rng) -> Case:
    x = floats(rng, shape_of(rng, 1))
    axis = axis_of(rng, x.ndim)
    return "Gather", [x, rng.integers(-x.shape[axis], x.shape[axis], shape_of(rng, 0, 2))], {"axis": axis}


def gather_elements(rng: Rng) -> Case:
    x = floats(rng, shape_of(rng, 1))
    axis = axis_of(rng, x.ndim)
    return "GatherElements", [x, rng.integers(0, x.shape[axis], x.shape)], {"axis": axis}


def scatter_elements(rng: Rng) -> Case:
    x = floats(rng, shape_of(rng, 1))
    axis = axis_of(rng, x.ndim)
    inputs = [x, rng.integers(0, x.shape[axis], x.shape), floats(rng, x.shape)]
    return "ScatterElements", inputs, {"axis": axis, "reduction": str(rng.choice(["add", "max"]))}


def gather_nd(rng: Rng) -> Case:
    batch = int(rng.integers(0, 2))
    return "GatherND", [floats(rng, (2, 3, 2)), rng.integers(0, 2, (2, 4, 2 - batch))], {"batch_dims": batch}


def scatter_nd(rng: Rng) -> Case:
    k = int(rng.integers(1, 3))
    inputs = [floats(rng, (3, 2, 4)), rng.integers(0, 2, (5, k)), floats(rng, (5, *(2, 4)[k - 1 :]))]
    return "ScatterND", inputs, {"reduction": "add"}


def reverse_sequence(rng: Rng) -> Case:
    time = int(rng.integers(0, 2))
    x = floats(rng, [3, 3, *shape_of(rng, 0, 2)])
    return "ReverseSequence", [x, rng.integers(1, 4, 3)], {"time_axis": time, "batch_axis": 1 - time}


def trilu(rng: Rng) -> Case:
    return "Trilu", [floats(rng, [*shape_of(rng, 0, 2), 3, 4]), np.int64(rng.integers(-1, 2))], {"upper": 0}


def convolution(rng: Rng) -> Case:
    group, spatial = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    x = floats(rng, [2, 2 * group, *[5] * spatial])
    forward = rng.random() < 0.5
    w = floats(rng, [3 * group, 2, *[3] * spatial] if forward else [2 * group, 3, *[3] * spatial])
    inputs = [x, w] if rng.random() < 0.5 else [x, w, floats(rng, [3 * group])]
    attributes = {"group": group, "strides": [2] * spatial, "pads": [1] * 2 * spatial}
    return "Conv" if forward else "ConvTranspose", inputs, attributes


def images(rng: Rng) -> Case:
    op = str(rng.choice(["AveragePool", "DepthToSpace", "GlobalAveragePool", "SpaceToDepth"]))
    attributes = {"AveragePool": {"kernel_shape": [2, 2]}, "GlobalAveragePool": {}}.get(op, {"blocksize": 2})
    return op, [floats(rng, [2, 4, 4, 4])], attributes


def grid_sample(rng: Rng) -> Case:
    return "GridSample", [floats(rng, [2, 1, 4, 4]), rng.uniform(-0.9, 0.9, (2, 3, 3, 2))], {}


def repeated(rng: Rng) -> Case:
    """Operators, and cases, without a rule."""
    cases: list[Case] = [
        ("Det", [floats(rng, (3, 3))], {}),
        ("MaxPool", [floats(rng, (1, 2, 4, 4))], {"kernel_shape": [2, 2]}),
        ("Conv", [floats(rng, (1, 2, 4)), floats(rng, (2, 2, 3))], {}),
        ("LpNormalization", [floats(rng, (2, 3))], {"axis": 1}),
        ("Clip", [floats(rng, (2, 3)), np.float64(0.8), np.float64(1.5)], {}),
    ]
    return cases[rng.integers(0, 5)]


FAMILIES: list[Callable[[Rng], Case]] = [
    broadcast, where, prelu, matmul, gemm, einsum, reduce, along_axis, cumulative, transpose, reshape, nothing, flatten,
    squeeze, unsqueeze, expand, tile, slices, pad, concat, compress, gather, gather_elements, scatter_elements,
    gather_nd, scatter_nd, reverse_sequence, trilu, convolution, images, grid_sample, repeated,
]  # fmt: skip


def model_of(case: Case, symbolic: bool, fed: set[int]) -> ir.Model:
    """The operator alone; what is not fed is fixed by the graph."""
    op_type, arrays, attributes = case
    inputs, initializers = [], []
    for i, array in enumerate(arrays):
        if i in fed:
            shape = [f"d{i}_{k}" for k in range(array.ndim)] if symbolic else array.shape
            inputs.append(onnx.helper.make_tensor_value_info(f"x{i}", int(dtypes.of(array.dtype).onnx), shape))
        else:
            initializers.append(onnx.numpy_helper.from_array(array, f"x{i}"))
    node = onnx.helper.make_node(op_type, [f"x{i}" for i in range(len(arrays))], ["y"], name="node", **attributes)
    graph = onnx.helper.make_graph([node], "one", inputs, [onnx.ValueInfoProto(name="y")], initializers)
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)], ir_version=10)
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True))


# Operators whose second input, indices, may have seeds too.
INDEXED = {"Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND"}


def changed(array: np.ndarray, k: int) -> np.ndarray:
    """Other numbers for each seed; indices stay in their range."""
    return np.roll(array, k) if array.dtype.kind == "i" else array + 0.1 * k


def check(family: Callable[[Rng], Case], seed: int) -> None:
    """A batched run has, for each seed, the result of a run of its own."""
    rng = np.random.default_rng([seed, *family.__name__.encode()])
    op_type, arrays, attributes = family(rng)
    arrays = [np.asarray(a) for a in arrays]
    movable = [i for i, a in enumerate(arrays) if a.dtype.kind == "f" and not (op_type == "Pad" and i)]
    movable += [1] if op_type in INDEXED else []
    batched = {i for i in movable if rng.random() < 0.6} or {movable[rng.integers(0, len(movable))]}
    if op_type.startswith("Conv") and {0, 1} <= batched and rng.random() < 0.8:  # both together have no rule
        batched.discard(int(rng.integers(0, 2)))
    symbolic = bool(rng.random() < 0.5)
    fed = {i for i, a in enumerate(arrays) if a.dtype.kind == "f" or (symbolic and rng.random() < 0.5)} | batched
    model = model_of((op_type, arrays, attributes), symbolic, fed)
    many = [np.stack([changed(a, k) for k in range(SEEDS)]) if i in batched else a for i, a in enumerate(arrays)]

    plain = gs.Session(model)
    rows = [
        plain.run({f"x{i}": many[i][k] if i in batched else a for i, a in enumerate(arrays) if i in fed})["y"]
        for k in range(SEEDS)
    ]
    flat = prepare.flatten(model)
    batching.batch(flat, [f"x{i}" for i in sorted(batched)], ["y"], SEEDS if rng.random() < 0.5 else "seeds")
    found = gs.Session(flat).run({f"x{i}": a for i, a in enumerate(many) if i in fed})["y"]
    note = f"{op_type} {[a.shape for a in arrays]} {attributes}, with seeds: {batched}, symbolic: {symbolic}"
    assert found.dtype == rows[0].dtype, note
    np.testing.assert_allclose(found, np.stack(rows), rtol=1e-12, err_msg=note)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
def test_a_batched_run_is_one_run_for_each_seed(family: Callable[[Rng], Case], seed: int) -> None:
    check(family, seed)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
def test_a_batched_run_is_one_run_for_each_of_many_seeds(family: Callable[[Rng], Case]) -> None:
    for seed in range(5, 105):
        check(family, seed)


def test_every_rule_has_a_family() -> None:
    """No rule stands in the table that no test draws."""
    from graphspec.derivatives._batch import RULES

    drawn = {family(np.random.default_rng(seed))[0] for family in FAMILIES for seed in range(60)}
    elementwise = {rule for rule, function in RULES.items() if function.__name__ in ("first_alone", "broadcast")}
    rest = {"CumProd", "DFT", "Shape", "Size", "Split", "TopK", "ArgMin"}  # below, or through derivatives
    reductions = {name for name in RULES if name.startswith("Reduce")}
    pools = {"GlobalLpPool", "GlobalMaxPool", "InstanceNormalization", "LRN", "LpPool"}
    assert set(RULES) - drawn - elementwise - rest - reductions - pools == set()
