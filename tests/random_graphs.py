"""Small random graphs over some sixty operators, each grown on values so that every operator is inside its domain.

Leaves broadcast both ways, have rank 0 or no elements; values are shared, used twice by one node, and left unused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from graphspec.operators import registry

OPSET = 23
SHAPES = [(), (1,), (3,), (2, 3), (2, 1), (1, 3), (2, 2, 3), (2, 1, 3), (3, 3), (1, 1), (0, 3), (2, 3, 4)]
# How far a value is kept from a kink, a tie or a pole, and how large it may grow.
MARGIN, LARGEST = 0.05, 12.0

Choice = tuple[str, list[str], dict[str, Any], int]
Check = Callable[..., Any]


def _away(*points: float) -> Check:
    return lambda x: all((np.abs(x - p) > MARGIN).all() for p in points)


def _anywhere(*_: Any) -> bool:
    return True


UNARY: dict[str, Check] = {
    **dict.fromkeys(
        ("Tanh", "Sin", "Cos", "Sigmoid", "Softplus", "Erf", "Atan", "Asinh", "Mish", "Gelu", "Neg", "Identity"),
        _anywhere,
    ),
    **dict.fromkeys(("Exp", "Sinh", "Cosh"), lambda x: (x < 2.2).all()),
    **dict.fromkeys(("Relu", "LeakyRelu", "Abs", "Elu", "Selu", "Softsign", "Sign"), _away(0)),
    **dict.fromkeys(("Sqrt", "Log"), lambda x: (x > 0.2).all()),
    **dict.fromkeys(("Asin", "Acos", "Atanh"), lambda x: (np.abs(x) < 0.9).all()),
    "Reciprocal": lambda x: (np.abs(x) > 0.3).all(),
    "Tan": lambda x: (np.abs(x) < 1.2).all(),
    "ThresholdedRelu": _away(1),
    "HardSwish": _away(-3, 3),
    "HardSigmoid": _away(-2.5, 2.5),
    "Floor": lambda x: (np.abs(x - np.round(x)) > MARGIN).all(),
}
BINARY: dict[str, Check] = {
    **dict.fromkeys(("Add", "Sub", "Mul"), _anywhere),
    "Div": lambda a, b: (np.abs(b) > 0.3).all(),
    "Pow": lambda a, b: (a > 0.3).all(),
    **dict.fromkeys(("Max", "Min"), lambda a, b: (np.abs(a - b) > MARGIN).all()),
}
REDUCTIONS: dict[str, Check] = {
    **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceProd", "ReduceSumSquare", "ReduceLogSumExp"), _anywhere),
    **dict.fromkeys(("ReduceMax", "ReduceMin"), lambda x: _apart(x)),
    "ReduceL1": _away(0),
    "ReduceL2": lambda x: (np.abs(x) > MARGIN).any(),
    "ReduceLogSum": lambda x: (x > 0.2).all(),
}


def _apart(x: np.ndarray) -> bool:
    flat = np.sort(x.ravel())
    return bool((np.diff(flat) > MARGIN / 5).all())


@dataclasses.dataclass
class Grown:
    """A graph under construction: nodes, leaves, constants, and the value that each has at one point."""

    rng: np.random.Generator
    nodes: list[onnx.NodeProto] = dataclasses.field(default_factory=list)
    leaves: list[str] = dataclasses.field(default_factory=list)
    constants: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    values: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def floats(self) -> list[str]:
        return list(self.values)

    def const(self, values: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(values)
        return name

    def pick(self, fits: Check = _anywhere) -> Any:
        found = [name for name, value in self.values.items() if fits(value)]
        if not found:
            return None
        # The newer, the likelier, so that graphs grow deep.
        weights = np.arange(1, len(found) + 1, dtype=float)
        return str(self.rng.choice(found, p=weights / weights.sum()))

    def add(self, op_type: str, inputs: Sequence[str], attributes: dict[str, Any], outputs: int = 1) -> bool:
        """Add a node if all that it gives is finite, small, and there."""
        entry = registry.find(op_type, "", OPSET)
        assert entry is not None
        given = [None if not n else self.values[n] if n in self.values else self.constants[n] for n in inputs]
        wanted = {"outputs": outputs} if entry.wants_outputs else {}
        try:
            with np.errstate(all="ignore"):
                found = entry.kernel(*given, **attributes, **wanted)
        except (ValueError, IndexError):
            return False
        found = found if isinstance(found, tuple) else (found,)
        real = [np.asarray(y) for y in found[:outputs]]
        for y in real:
            if y.dtype == np.float64 and not (np.isfinite(y).all() and (np.abs(y) < LARGEST).all() and y.size < 200):
                return False
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op_type, inputs, names, name=f"n{len(self.nodes)}", **attributes))
        self.values.update((n, y) for n, y in zip(names, real, strict=True) if y.dtype == np.float64)
        return True


# --- one function a kind of node: it chooses inputs and attributes, and says whether that gave a node ----------------


def _unary(g: Grown) -> bool:
    op_type = str(g.rng.choice(list(UNARY)))
    x = g.pick(UNARY[op_type])
    return x is not None and g.add(op_type, [x], {})


def _binary(g: Grown) -> bool:
    op_type = str(g.rng.choice(list(BINARY)))
    a, b = g.pick(), g.pick()
    try:
        fits = BINARY[op_type](*np.broadcast_arrays(g.values[a], g.values[b]))
    except ValueError:
        return False
    return bool(fits) and g.add(op_type, [a, b], {})


def _variadic(g: Grown) -> bool:
    names = [g.pick() for _ in range(g.rng.integers(1, 4))]
    return g.add(str(g.rng.choice(["Sum", "Mean"])), names, {})


def _reduction(g: Grown) -> bool:
    op_type = str(g.rng.choice(list(REDUCTIONS)))
    x = g.pick(lambda v: v.size > 0 and REDUCTIONS[op_type](v))
    if x is None:
        return False
    rank = g.values[x].ndim
    keep = {"keepdims": int(g.rng.integers(2))}
    if rank == 0 or g.rng.random() < 0.3:
        return g.add(op_type, [x], keep)
    axes = g.rng.permutation(rank)[: g.rng.integers(1, rank + 1)] - g.rng.choice([0, rank])
    return g.add(op_type, [x, g.const(axes)], keep)


def _along(g: Grown) -> bool:
    op_type = str(g.rng.choice(["Softmax", "LogSoftmax", "CumSum", "LpNormalization", "LayerNormalization"]))
    x = g.pick(lambda v: v.ndim > 0 and v.size > 0)
    if x is None:
        return False
    axis = int(g.rng.integers(-g.values[x].ndim, g.values[x].ndim))
    if op_type == "CumSum":
        return g.add(
            op_type, [x, g.const(axis)], {"reverse": int(g.rng.integers(2)), "exclusive": int(g.rng.integers(2))}
        )
    if op_type == "LayerNormalization":
        size = g.values[x].shape[axis:]
        scale = g.pick(lambda v: v.shape == size)
        spread = g.values[x].std(axis=tuple(range(axis, 0)) if axis < 0 else tuple(range(axis, g.values[x].ndim)))
        if scale is None or (spread < 0.2).any():
            return False
        return g.add(op_type, [x, scale], {"axis": axis})
    if op_type == "LpNormalization":
        if (np.abs(g.values[x]) < MARGIN).any():
            return False
        return g.add(op_type, [x], {"axis": axis, "p": int(g.rng.integers(1, 3))})
    return g.add(op_type, [x], {"axis": axis})


def _moved(g: Grown) -> bool:
    kind = str(g.rng.choice(["Transpose", "Reshape", "Flatten", "Unsqueeze", "Squeeze", "Expand", "Tile"]))
    x = g.pick()
    v = g.values[x]
    match kind:
        case "Transpose":
            return g.add(kind, [x], {"perm": g.rng.permutation(v.ndim).tolist()} if v.ndim else {})
        case "Reshape":
            return g.add(kind, [x, g.const(np.array([-1] if v.size else [0, *v.shape[1:]], np.int64))], {})
        case "Flatten":
            return g.add(kind, [x], {"axis": int(g.rng.integers(v.ndim + 1))})
        case "Unsqueeze":
            return v.ndim < 4 and g.add(
                kind, [x, g.const(np.array([int(g.rng.integers(-v.ndim - 1, v.ndim + 1))]))], {}
            )
        case "Squeeze":
            return g.add(kind, [x], {})
        case "Expand":
            wide = [int(g.rng.choice([1, 2])) if d == 1 else 1 for d in v.shape]
            return g.add(kind, [x, g.const(np.array([int(g.rng.integers(1, 3)), *wide], np.int64))], {})
        case _:
            return g.add(kind, [x, g.const(g.rng.integers(0 if v.ndim > 1 else 1, 3, v.ndim))], {})


def _taken(g: Grown) -> bool:
    kinds = ["Slice", "Gather", "GatherElements", "Split", "TopK", "Trilu", "Concat", "ScatterElements", "Compress"]
    kind = str(g.rng.choice(kinds))
    x = g.pick(lambda v: v.ndim > (kind == "Trilu") and v.size > 0)
    if x is None:
        return False
    v = g.values[x]
    axis = int(g.rng.integers(-v.ndim, v.ndim))
    d = v.shape[axis]
    match kind:
        case "Slice":
            step = int(g.rng.choice([1, 2, -1]))
            ends = (-1, -100) if step < 0 else (int(g.rng.integers(0, d)), 100)
            return g.add(kind, [x, *(g.const(np.array([n])) for n in (*ends, axis, step))], {})
        case "Gather":
            return g.add(
                kind, [x, g.const(g.rng.integers(-d, d, [(), (2,), (2, 2)][g.rng.integers(3)]))], {"axis": axis}
            )
        case "GatherElements":
            return g.add(kind, [x, g.const(g.rng.integers(-d, d, v.shape))], {"axis": axis})
        case "Split":
            return d > 1 and g.add(kind, [x, g.const(np.array([1, d - 1]))], {"axis": axis}, outputs=2)
        case "TopK":
            return _apart(v) and g.add(kind, [x, g.const(np.array([int(g.rng.integers(1, d + 1))]))], {"axis": axis}, 2)
        case "Trilu":
            return g.add(kind, [x, g.const(int(g.rng.integers(-1, 2)))], {"upper": int(g.rng.integers(2))})
        case "Concat":
            y = g.pick(
                lambda w: w.ndim == v.ndim and np.delete(w.shape, axis).tolist() == np.delete(v.shape, axis).tolist()
            )
            return y is not None and g.add(kind, [x, y, x][: g.rng.integers(2, 4)], {"axis": axis})
        case "ScatterElements":
            y = g.pick(lambda w: w.shape == v.shape)
            at = np.argsort(g.rng.random(v.shape), axis=axis)
            how = str(g.rng.choice(["none", "add", "mul"]))
            return g.add(kind, [x, g.const(at), y or x], {"axis": axis, "reduction": how})
        case _:
            return g.add(kind, [x, g.const(g.rng.random(d) < 0.7)], {"axis": axis % v.ndim})


def _product(g: Grown) -> bool:
    kind = str(g.rng.choice(["MatMul", "Gemm", "Einsum", "Det"]))
    a, b = g.pick(lambda v: v.ndim > 0), g.pick(lambda v: v.ndim > 0)
    if a is None or b is None:
        return False
    ranks = g.values[a].ndim, g.values[b].ndim
    match kind:
        case "MatMul":
            return g.add(kind, [a, b], {})
        case "Gemm":
            flags = {"transA": int(g.rng.integers(2)), "transB": int(g.rng.integers(2)), "alpha": 0.5, "beta": 2.0}
            return ranks == (2, 2) and g.add(kind, [a, b, g.pick(lambda v: v.ndim < 3)], flags)
        case "Det":
            square = g.values[a].shape[-1:] * 2 == g.values[a].shape[-2:]
            return ranks[0] > 1 and square and g.values[a].size > 0 and g.add(kind, [a], {})
    equations = {
        (2, 2): ["ij,kj->ik", "ij,ij->j", "ij,kl->jl"],
        (1, 1): ["i,j->ij", "i,i->"],
        (2, 1): ["ij,j->i", "...j,j->..."],
    }
    return ranks in equations and g.add(kind, [a, b], {"equation": str(g.rng.choice(equations[ranks]))})


def _chosen(g: Grown) -> bool:
    kind = str(g.rng.choice(["Where", "Clip", "Pad", "PRelu"]))
    x, y = g.pick(), g.pick()
    v = g.values[x]
    match kind:
        case "Where":
            return g.add(kind, [g.const(g.rng.random(v.shape) < 0.5), x, y], {})
        case "Clip":
            low = g.pick(lambda w: w.ndim == 0)
            return low is not None and _away(float(g.values[low]))(v) and g.add(kind, [x, low], {})
        case "Pad":
            value = g.pick(lambda w: w.ndim == 0)
            pads = g.const(g.rng.integers(-1 if v.size > 4 else 0, 2, 2 * v.ndim))
            return v.ndim > 0 and value is not None and g.add(kind, [x, pads, value], {})
        case _:
            return bool(_away(0)(v)) and g.add(kind, [x, y], {})


KINDS = [_unary, _unary, _binary, _binary, _variadic, _reduction, _along, _moved, _taken, _product, _chosen]


def grow(seed: int) -> Grown:
    """A graph of 3 to 10 nodes over 2 to 4 leaves."""
    g = Grown(np.random.default_rng(seed))
    for i in range(g.rng.integers(2, 5)):
        shape = SHAPES[g.rng.integers(len(SHAPES))]
        low = 0.4 if g.rng.random() < 0.3 else -2.0
        g.leaves.append(f"x{i}")
        g.values[f"x{i}"] = np.asarray(g.rng.uniform(low, 2, shape))
    size = int(g.rng.integers(3, 11))
    for _ in range(400):
        if len(g.nodes) >= size:
            break
        KINDS[g.rng.integers(len(KINDS))](g)
    return g


def model_of(g: Grown, dims: str, outputs: Sequence[str], dtype: Any = np.float64) -> onnx.ModelProto:
    """The graph as a model.

    Args:
        g: The graph.
        dims: "static"; "symbolic": a name of its own for each dimension of each leaf, so that what is 1 and broadcast
            is known at run time alone; "shared": names by size; "unknown": not even ranks.
        outputs: Values to put out.
        dtype: Of the leaves.
    """
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def shape(name: str) -> list[Any] | None:
        sizes = g.values[name].shape
        if dims == "static":
            return list(sizes)
        return (
            None
            if dims == "unknown"
            else [f"{name}_{k}" if dims == "symbolic" else f"d{n}" for k, n in enumerate(sizes)]
        )

    inputs = [helper.make_tensor_value_info(x, kind, shape(x)) for x in g.leaves]
    ends = [helper.make_tensor_value_info(y, kind, None) for y in outputs]
    graph = helper.make_graph(
        g.nodes, "random", inputs, ends, [numpy_helper.from_array(c, n) for n, c in g.constants.items()]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
