"""Shapes without a service: one rule for each operator that the tracer's tables use.

A rule takes the node's inputs, its attributes and the number of outputs, and gives the outputs' shapes. It answers
``None`` where it cannot tell, and raises ``ValueError`` where the shapes do not fit, so that the error points to the
caller's line. An operator without a rule leaves the rank open.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphspec_client._values import Dim, Shape, Value

Inputs = Sequence[Value | None]
Attributes = Mapping[str, Any]
Rule = Callable[[Inputs, Attributes], Shape]


def infer(op_type: str, inputs: Inputs, attributes: Attributes, outputs: int) -> list[Shape]:
    """The shapes of a node's outputs, as far as they are known.

    Raises:
        ValueError: The inputs' shapes do not fit together.
    """
    rule = RULES.get(op_type)
    first = rule(inputs, attributes) if rule else None
    if outputs == 1:
        return [first]
    if op_type == "Split":
        return _split(inputs, attributes, outputs)
    return [first, *([first] if op_type in {"MaxPool", "Dropout", "TopK"} else [None]) * (outputs - 1)][:outputs]


def broadcast(*shapes: Shape, op_type: str = "broadcasting") -> Shape:
    """The shape to which all of these broadcast.

    Raises:
        ValueError: They do not broadcast to one shape.
    """
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None
    rank = max(map(len, known), default=0)
    padded = [(1,) * (rank - len(shape)) + shape for shape in known]
    try:
        return tuple(_common(dims) for dims in zip(*padded, strict=True))
    except ValueError:
        raise ValueError(f"{op_type}: shapes {' and '.join(map(str, known))} do not broadcast together.") from None


def _common(dims: Sequence[Dim]) -> Dim:
    """One axis of a broadcast; two different symbols, or a symbol and a size, leave it open unless a size decides."""
    sizes = {dim for dim in dims if isinstance(dim, int) and dim != 1}
    symbols = {dim for dim in dims if not isinstance(dim, int)}
    if len(sizes) > 1:
        raise ValueError
    if sizes:
        return sizes.pop()
    if not symbols:
        return 1
    return symbols.pop() if len(symbols) == 1 else None


def static(value: Value | None) -> list[int] | None:
    """The numbers of a constant input, flat; ``None`` if the input is left out or not constant."""
    if value is None or value.kind != "constant":
        return None
    return [int(item) for item in value.array().reshape(-1)]


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} is out of bounds for a tensor of {rank} axes")
    return axis % rank


def _shape(inputs: Inputs, index: int = 0) -> Shape:
    value = inputs[index] if index < len(inputs) else None
    return None if value is None else value.shape


def _input(inputs: Inputs, index: int) -> Value | None:
    return inputs[index] if index < len(inputs) else None


def _same(inputs: Inputs, attributes: Attributes) -> Shape:
    return _shape(inputs)


def _scalar(inputs: Inputs, attributes: Attributes) -> Shape:
    return ()


def _reduce(inputs: Inputs, attributes: Attributes) -> Shape:
    shape, axes = _shape(inputs), _input(inputs, 1)
    if shape is None or (axes is not None and static(axes) is None):
        return None
    listed = static(axes) if axes is not None else attributes.get("axes")
    if not listed:
        listed = [] if attributes.get("noop_with_empty_axes") else list(range(len(shape)))
    return _without(shape, {_axis(axis, len(shape)) for axis in listed}, attributes.get("keepdims", 1))


def _arg(inputs: Inputs, attributes: Attributes) -> Shape:
    shape = _shape(inputs)
    if shape is None:
        return None
    return _without(shape, {_axis(attributes.get("axis", 0), len(shape))}, attributes.get("keepdims", 1))


def _without(shape: tuple[Dim, ...], axes: set[int], keepdims: int) -> Shape:
    if keepdims:
        return tuple(1 if i in axes else dim for i, dim in enumerate(shape))
    return tuple(dim for i, dim in enumerate(shape) if i not in axes)


def _matmul(inputs: Inputs, attributes: Attributes) -> Shape:
    a, b = _shape(inputs), _shape(inputs, 1)
    if a is None or b is None:
        return None
    if not a or not b:
        raise ValueError("MatMul: a scalar is no matrix; use * instead.")
    inner = (a[-1], b[-2] if len(b) > 1 else b[-1])
    if all(isinstance(dim, int) for dim in inner) and inner[0] != inner[1]:
        raise ValueError(f"MatMul: shapes {a} and {b} do not fit: {inner[0]} columns against {inner[1]} rows.")
    batch = broadcast(a[:-2], b[:-2], op_type="MatMul") or ()
    return batch + a[-2:-1] + (b[-1:] if len(b) > 1 else ())


def _gemm(inputs: Inputs, attributes: Attributes) -> Shape:
    a, b = _shape(inputs), _shape(inputs, 1)
    if a is None or b is None:
        return None
    return (a[1] if attributes.get("transA") else a[0], b[0] if attributes.get("transB") else b[1])


def _transpose(inputs: Inputs, attributes: Attributes) -> Shape:
    shape = _shape(inputs)
    if shape is None:
        return None
    perm = attributes.get("perm") or range(len(shape))[::-1]
    if sorted(perm) != list(range(len(shape))):
        raise ValueError(f"Transpose: axes {list(perm)} are no permutation of those of shape {shape}.")
    return tuple(shape[axis] for axis in perm)


def _reshape(inputs: Inputs, attributes: Attributes) -> Shape:
    shape, target = _shape(inputs), static(inputs[1])
    if target is None:
        rank = _shape(inputs, 1)
        return (None,) * rank[0] if rank and isinstance(rank[0], int) else None
    if shape is None:
        return tuple(size if size > 0 else None for size in target)
    if not attributes.get("allowzero"):
        target = [shape[i] if size == 0 and i < len(shape) else size for i, size in enumerate(target)]  # type: ignore[misc]
    dims: list[Dim] = [None if size == -1 else size for size in target]
    sizes = [dim for dim in dims if isinstance(dim, int)]
    if all(isinstance(dim, int) for dim in shape) and all(isinstance(dim, int) or dim is None for dim in dims):
        total, rest = math.prod(shape), math.prod(sizes)  # type: ignore[arg-type]
        fits = total == rest if -1 not in target else rest and total % rest == 0
        if not fits:
            raise ValueError(f"Reshape: {total} elements of shape {shape} do not fill shape {tuple(target)}.")
        dims = [total // rest if dim is None else dim for dim in dims]
    return tuple(dims)


def _unsqueeze(inputs: Inputs, attributes: Attributes) -> Shape:
    shape, axes = _shape(inputs), static(inputs[1])
    if shape is None or axes is None:
        return None
    rank = len(shape) + len(axes)
    new, rest = {_axis(axis, rank) for axis in axes}, iter(shape)
    return tuple(1 if i in new else next(rest) for i in range(rank))


def _squeeze(inputs: Inputs, attributes: Attributes) -> Shape:
    shape, axes = _shape(inputs), static(_input(inputs, 1))
    if shape is None:
        return None
    if axes is None:
        return tuple(dim for dim in shape if dim != 1) if all(isinstance(dim, int) for dim in shape) else None
    gone = {_axis(axis, len(shape)) for axis in axes}
    wrong = next((i for i in gone if isinstance(shape[i], int) and shape[i] != 1), None)
    if wrong is not None:
        raise ValueError(f"Squeeze: axis {wrong} of shape {shape} has not size 1.")
    return tuple(dim for i, dim in enumerate(shape) if i not in gone)


def _expand(inputs: Inputs, attributes: Attributes) -> Shape:
    target = static(inputs[1])
    return broadcast(_shape(inputs), tuple(target), op_type="Expand") if target is not None else _unknown(inputs)


def _unknown(inputs: Inputs) -> Shape:
    """A shape of which only the rank is known, from the length of the shape input."""
    shape, rank = _shape(inputs), _shape(inputs, 1)
    if shape is None or not rank or not isinstance(rank[0], int):
        return None
    return (None,) * max(len(shape), rank[0])


def _concat(inputs: Inputs, attributes: Attributes) -> Shape:
    shapes = [value.shape if value is not None else None for value in inputs]
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None
    ranks = {len(shape) for shape in known}
    if len(ranks) > 1 or 0 in ranks:
        raise ValueError(f"Concat: the ranks of shapes {', '.join(map(str, known))} differ, or are zero.")
    axis = _axis(attributes["axis"], len(known[0]))
    result: list[Dim] = []
    for i, dims in enumerate(zip(*known, strict=True)):
        sizes = {dim for dim in dims if isinstance(dim, int)}
        if i == axis:
            result.append(sum(dims) if all(isinstance(dim, int) for dim in dims) else None)
        elif len(sizes) > 1:
            raise ValueError(f"Concat: shapes {', '.join(map(str, known))} differ beside axis {axis}.")
        else:
            result.append(sizes.pop() if sizes else dims[0])
    return tuple(result)


def _slice(inputs: Inputs, attributes: Attributes) -> Shape:
    shape = _shape(inputs)
    starts, ends, axes, steps = (static(_input(inputs, i)) for i in range(1, 5))
    if shape is None:
        return None
    if starts is None or ends is None:
        return (None,) * len(shape)
    result = list(shape)
    axes = axes if axes is not None else list(range(len(starts)))
    for start, end, axis, step in zip(starts, ends, axes, steps or [1] * len(starts), strict=True):
        size = shape[_axis(axis, len(shape))]
        stop = None if step < 0 and end < -(2**62) else end  # ONNX spells "down to the first" as the least integer
        result[axis] = len(range(*slice(start, stop, step).indices(size))) if isinstance(size, int) else None
    return tuple(result)


def _gather(inputs: Inputs, attributes: Attributes) -> Shape:
    shape, indices = _shape(inputs), _shape(inputs, 1)
    if shape is None or indices is None:
        return None
    axis = _axis(attributes.get("axis", 0), len(shape))
    return shape[:axis] + indices + shape[axis + 1 :]


def _gather_nd(inputs: Inputs, attributes: Attributes) -> Shape:
    shape, indices = _shape(inputs), _shape(inputs, 1)
    if shape is None or not indices or not isinstance(indices[-1], int):
        return None
    return indices[:-1] + shape[attributes.get("batch_dims", 0) + indices[-1] :]


def _indices(inputs: Inputs, attributes: Attributes) -> Shape:
    return _shape(inputs, 1)


def _tile(inputs: Inputs, attributes: Attributes) -> Shape:
    shape, repeats = _shape(inputs), static(inputs[1])
    if shape is None or repeats is None:
        return shape and (None,) * len(shape)
    return tuple(dim * n if isinstance(dim, int) else None for dim, n in zip(shape, repeats, strict=True))


def _pad(inputs: Inputs, attributes: Attributes) -> Shape:
    shape, pads = _shape(inputs), static(inputs[1])
    if shape is None or pads is None or _input(inputs, 3) is not None:
        return shape and (None,) * len(shape)
    both = zip(shape, pads, pads[len(shape) :], strict=False)
    return tuple(dim + before + after if isinstance(dim, int) else None for dim, before, after in both)


def _split(inputs: Inputs, attributes: Attributes, outputs: int) -> list[Shape]:
    shape = _shape(inputs)
    if shape is None:
        return [None] * outputs
    axis = _axis(attributes.get("axis", 0), len(shape))
    sizes: Sequence[Dim] | None = static(_input(inputs, 1))
    size = shape[axis]
    if _input(inputs, 1) is None and isinstance(size, int):
        part = -(-size // outputs)
        sizes = [min(part, size - part * i) for i in range(outputs)]
    return [(*shape[:axis], sizes[i] if sizes else None, *shape[axis + 1 :]) for i in range(outputs)]


def _einsum(inputs: Inputs, attributes: Attributes) -> Shape:
    left, arrow, right = attributes["equation"].replace(" ", "").partition("->")
    if "." in left or not arrow:
        return None
    sizes: dict[str, Dim] = {}
    for i, term in enumerate(left.split(",")):
        shape = _shape(inputs, i)
        if shape is None:
            return None
        if len(term) != len(shape):
            raise ValueError(f"Einsum: {term!r} names {len(term)} axes, its operand of shape {shape} has {len(shape)}.")
        for letter, dim in zip(term, shape, strict=True):
            if isinstance(dim, int) or letter not in sizes:
                sizes[letter] = dim
    return tuple(sizes[letter] for letter in right)


def _topk(inputs: Inputs, attributes: Attributes) -> Shape:
    shape, k = _shape(inputs), static(inputs[1])
    if shape is None:
        return None
    axis = _axis(attributes.get("axis", -1), len(shape))
    return (*shape[:axis], k[0] if k else None, *shape[axis + 1 :])


def _window(inputs: Inputs, attributes: Attributes) -> Shape:
    """Convolutions and pools: ``(size + pads - dilation * (kernel - 1) - 1) // stride + 1`` along each axis."""
    shape, weight = _shape(inputs), _shape(inputs, 1)
    kernel = attributes.get("kernel_shape") or (weight[2:] if weight else None)
    if shape is None or kernel is None or attributes.get("auto_pad", "NOTSET") != "NOTSET":
        return shape and (None,) * len(shape)
    n = len(kernel)
    strides, dilations = attributes.get("strides") or [1] * n, attributes.get("dilations") or [1] * n
    pads = attributes.get("pads") or [0] * 2 * n
    round_up = attributes.get("ceil_mode", 0)
    dims: list[Dim] = []
    for i, (size, length) in enumerate(zip(shape[2:], kernel, strict=True)):
        if not isinstance(size, int) or not isinstance(length, int) or round_up:
            dims.append(None)
            continue
        dims.append((size + pads[i] + pads[i + n] - dilations[i] * (length - 1) - 1) // strides[i] + 1)
    return (shape[0], weight[0] if weight else shape[1], *dims)


def _global_pool(inputs: Inputs, attributes: Attributes) -> Shape:
    shape = _shape(inputs)
    return shape and (*shape[:2], *(1,) * (len(shape) - 2))


def _flatten(inputs: Inputs, attributes: Attributes) -> Shape:
    shape, axis = _shape(inputs), attributes.get("axis", 1)
    if shape is None:
        return None
    parts = (shape[:axis], shape[axis:])
    return tuple(math.prod(p) if all(isinstance(d, int) for d in p) else None for p in parts)  # type: ignore[arg-type]


def _loss(inputs: Inputs, attributes: Attributes) -> Shape:
    return _shape(inputs, 1) if attributes.get("reduction", "mean") == "none" else ()


def _one_hot(inputs: Inputs, attributes: Attributes) -> Shape:
    shape, depth = _shape(inputs), static(inputs[1])
    if shape is None:
        return None
    axis = _axis(attributes.get("axis", -1), len(shape) + 1)
    return (*shape[:axis], depth[0] if depth else None, *shape[axis:])


def _of_shape(inputs: Inputs, attributes: Attributes) -> Shape:
    shape = _shape(inputs)
    return None if shape is None else (len(shape),)


def _det(inputs: Inputs, attributes: Attributes) -> Shape:
    shape = _shape(inputs)
    return None if shape is None else shape[:-2]


def _broadcasting(op_type: str) -> Rule:
    return lambda inputs, attributes: broadcast(*(v.shape for v in inputs if v is not None), op_type=op_type)


_SAME = (
    "Abs Acos Acosh Asin Asinh Atan Atanh Cast Ceil Celu Clip Cos Cosh CumSum Dropout Elu Erf Exp Floor Gelu "
    "HardSigmoid HardSwish Hardmax Identity InstanceNormalization IsInf IsNaN LayerNormalization BatchNormalization "
    "LeakyRelu Log "
    "LogSoftmax LpNormalization LRN MeanVarianceNormalization Mish Neg Not BitwiseNot RMSNormalization Reciprocal Relu "
    "Round Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Tan Tanh ThresholdedRelu Trilu CastLike "
    "GroupNormalization ScatterElements ScatterND RotaryEmbedding Bernoulli RandomNormalLike RandomUniformLike Swish"
)
_BROADCASTING = (
    "Add Sub Mul Div Pow Mod Max Min Mean Sum And Or Xor BitwiseAnd BitwiseOr BitwiseXor Equal Greater Less "
    "GreaterOrEqual LessOrEqual Where PRelu BitShift"
)
_REDUCTIONS = (
    "ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare"
)

RULES: dict[str, Rule] = {
    **dict.fromkeys(_SAME.split(), _same),
    **{op_type: _broadcasting(op_type) for op_type in _BROADCASTING.split()},
    **dict.fromkeys(_REDUCTIONS.split(), _reduce),
    "ArgMax": _arg, "ArgMin": _arg, "MatMul": _matmul, "Gemm": _gemm, "Einsum": _einsum,
    "Transpose": _transpose, "Reshape": _reshape, "Flatten": _flatten, "Unsqueeze": _unsqueeze, "Squeeze": _squeeze,
    "Expand": _expand, "Tile": _tile, "Pad": _pad, "Concat": _concat, "Slice": _slice,
    "Gather": _gather, "GatherElements": _indices, "GatherND": _gather_nd, "TopK": _topk, "OneHot": _one_hot,
    "Shape": _of_shape, "Size": _scalar, "Det": _det,
    "Conv": _window, "MaxPool": _window, "AveragePool": _window, "LpPool": _window,
    "GlobalAveragePool": _global_pool, "GlobalMaxPool": _global_pool,
    "SoftmaxCrossEntropyLoss": _loss, "NegativeLogLikelihoodLoss": _loss,
}  # fmt: skip
