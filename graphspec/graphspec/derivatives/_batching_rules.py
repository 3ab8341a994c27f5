"""How operators take a leading dimension of seeds, one rule a family; `_batch` says what a rule is."""

from __future__ import annotations

import onnx_ir as ir

from graphspec.derivatives._batch import (
    Args,
    Batch,
    Outputs,
    Plain,
    integer,
    integers,
    is_static,
    only_first,
    rule,
    shifted,
    values_of,
)

# --- element by element -----------------------------------------------------------------------------------------------


@rule(
    "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast CastLike Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu "
    "HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink "
    "Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Tan Tanh ThresholdedRelu Trilu"
)
def first_alone(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Operators of one tensor that do not mind leading dimensions."""
    return b.again(node, values_of(args)) if only_first(args) else None


@rule(
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean "
    "Min Mod Mul Or Pow Sub Sum Where Xor"
)
def broadcast(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Seeds lead; where a batched value has fewer axes than another, ones stand between."""
    ranks = [a.rank for a in args if a is not None]
    known = [r for r in ranks if r is not None]
    if len(known) < len(ranks):
        alone = sum(a.batched for a in args if a is not None) == 1
        scalars = all(a.batched or a.rank == 0 for a in args if a is not None)
        return b.again(node, values_of(args)) if alone and scalars else None
    return b.again(node, [None if a is None else b.aligned(a, max(known)) for a in args])


@rule("PRelu")
def prelu(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """As ``broadcast``, but the first input has the full shape."""
    x, slope = args
    if x is None or slope is None or x.rank is None or slope.rank is None:
        return None
    return b.again(node, [b.expanded(x), b.aligned(slope, x.rank)])


# --- reductions -------------------------------------------------------------------------------------------------------


@rule(
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare"
)
def reduce(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """All axes but that of the seeds, or those named, one further back."""
    x, axes = args[0], args[1] if len(args) > 1 else None
    if x is None or not x.batched or (axes is not None and axes.batched):
        return None
    noop = integer(node, "noop_with_empty_axes", 0)
    known = None if axes is None else axes.constant
    if axes is None or (known is not None and known.size == 0):
        if noop:
            return b.again(node, values_of(args))
        if x.rank is None:
            return None
        if x.rank == 0:  # over no axes at all: over one of length one
            return b.again(node, [b.op.Unsqueeze(x.value, b.op.ints([1])), b.op.ints([1])], keepdims=0)
        return b.again(node, [x.value, b.op.ints(range(1, x.rank + 1))])
    if known is None and not noop:  # none at run time would mean all
        return None
    return b.again(node, [x.value, b.axes(axes)])


@rule("ArgMax ArgMin Hardmax LogSoftmax Softmax TopK")
def along_axis(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Operators along one axis, of any rank."""
    default = 0 if node.op_type in ("ArgMax", "ArgMin") else -1
    x = args[0]
    if x is None or not only_first(args) or not x.rank:
        return None
    return b.again(node, values_of(args), axis=shifted(integer(node, "axis", default)))


@rule("CumSum CumProd")
def cumulative(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Along an axis that is an input."""
    x, axis = args
    if x is None or axis is None or not only_first(args):
        return None
    return b.again(node, [x.value, b.axes(axis)])


@rule("DFT")
def dft(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Along an axis: an attribute at first, an input later."""
    x = args[0]
    if x is None or not only_first(args):
        return None
    if b.op.opset < 20:
        return b.again(node, values_of(args), axis=shifted(integer(node, "axis", 1)))
    length, axis = [*args[1:], None, None][:2]
    return b.again(node, [x.value, None if length is None else length.value, None if axis is None else b.axes(axis)])


# --- shapes -----------------------------------------------------------------------------------------------------------


@rule("Shape")
def shape(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """The shape without seeds, which is the same for all."""
    x = args[0]
    if x is None:
        return None
    start, end = integer(node, "start", 0), node.attributes.get("end")
    if x.rank is None and start < 0:
        return None
    if x.rank is not None and start < 0:
        start = max(0, start + x.rank)
    last = None if end is None else end.as_int()
    if last is not None and last < 0:
        if x.rank is None:
            return None
        last = max(0, last + x.rank)
    return [Plain(b.op.Shape(x.value, start=start + 1, end=None if last is None else last + 1))]


@rule("Size")
def size(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """The number of elements for one seed."""
    x = args[0]
    return None if x is None else [Plain(b.op.ReduceProd(b.op.Shape(x.value, start=1), keepdims=0))]


@rule("Transpose")
def transpose(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Seeds stay in front."""
    x, perm = args[0], integers(node, "perm")
    if x is None or (perm is None and x.rank is None):
        return None
    perm = perm if perm is not None else list(range(x.rank or 0))[::-1]
    return b.again(node, [x.value], perm=[0, *(p + 1 for p in perm)])


@rule("Reshape")
def reshape(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """A leading 0 keeps the seeds, as other zeros keep the dimension in their place."""
    op = b.op
    x, target = args
    if x is None or target is None or not only_first(args):
        return None
    known, literal = target.constant, integer(node, "allowzero", 0)
    if known is not None and not (literal and 0 in known):
        return [op.Reshape(x.value, op.ints([0, *known]))]
    lead = op.ints([0]) if not literal else b.vector([b.count])
    return [op.Reshape(x.value, op.Concat(lead, target.value, axis=0), allowzero=literal or None)]


@rule("Flatten")
def flatten(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """A reshape to the products of the axes before and behind."""
    x = args[0]
    if x is None or x.rank is None:
        return None
    axis = integer(node, "axis", 1)
    axis += x.rank if axis < 0 else 0
    dims = b.dims(x)
    return [b.reshape(x.value, [b.count, b.product(dims[:axis]), b.product(dims[axis:])])]


@rule("Squeeze Unsqueeze")
def squeeze(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Axes one further back; those to be squeezed are found from the shape where they are not named."""
    x, axes = args[0], args[1] if len(args) > 1 else None
    if x is None or not only_first(args):
        return None
    if axes is not None and (node.op_type == "Unsqueeze" or (axes.constant is not None and axes.constant.size)):
        return b.again(node, [x.value, b.axes(axes)])
    if axes is not None or not is_static(x) or x.old.shape is None:
        return None
    ones = [i + 1 for i, d in enumerate(x.old.shape.dims) if d == 1]
    return b.again(node, [x.value, b.op.ints(ones)]) if ones else [x.value]


@rule("Expand")
def expand(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Both sides broadcast, so that a shape as long as the value without seeds leaves these alone."""
    x, target = args
    if x is None or target is None or not only_first(args) or x.rank is None or target.value.shape is None:
        return None
    length = target.value.shape[0]
    if not isinstance(length, int):
        y = node.outputs[0]
        if y.shape is None:
            return None
        length = y.shape.rank()
    return b.again(node, [b.aligned(x, max(x.rank, length)), target.value])


@rule("Tile")
def tile(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """The seeds once."""
    x, repeats = args
    if x is None or repeats is None or not only_first(args):
        return None
    return [b.op.Tile(x.value, b.op.Concat(b.op.ints([1]), repeats.value, axis=0))]


# --- parts ------------------------------------------------------------------------------------------------------------


@rule("Slice")
def slice_(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Axes one further back, and named where they were not."""
    x, starts, ends = args[:3]
    axes, steps = [*args[3:], None, None][:2]
    if x is None or starts is None or ends is None or not only_first(args):
        return None
    if axes is not None:
        moved = b.axes(axes)
    else:
        length = starts.value.shape[0] if starts.value.shape is not None else None
        if not isinstance(length, int):
            return None
        moved = b.op.ints(range(1, length + 1))
        moved = moved if starts.value.dtype == moved.dtype else b.op.cast(moved, starts.value)
    return b.again(node, [x.value, starts.value, ends.value, moved, None if steps is None else steps.value])


@rule("Pad")
def pad(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Nothing around the seeds: constant pads are extended, others go to named axes."""
    op = b.op
    x, pads = args[:2]
    value, axes = [*args[2:], None, None][:2]
    if x is None or pads is None or not only_first(args):
        return None
    fill = None if value is None else value.value
    if axes is not None:
        return b.again(node, [x.value, pads.value, fill, b.axes(axes)])
    if x.rank is None:
        return None
    if (known := pads.constant) is not None:
        begins, ends = known[: x.rank], known[x.rank :]
        return b.again(node, [x.value, op.ints([0, *begins, 0, *ends]), fill])
    return b.again(node, [x.value, pads.value, fill, op.ints(range(1, x.rank + 1))])


@rule("Concat")
def concat(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Values without seeds are repeated."""
    parts = [b.expanded(a) for a in args if a is not None]
    return b.again(node, parts, axis=shifted(integer(node, "axis", 0)))


@rule("Split")
def split(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Along the axis one further back."""
    if not only_first(args):
        return None
    return b.again(node, values_of(args), axis=shifted(integer(node, "axis", 0)))


@rule("Compress")
def compress(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Along an axis; without one, of the flattened value."""
    x, condition = args
    if x is None or condition is None or not only_first(args) or x.rank is None:
        return None
    if "axis" in node.attributes:
        return b.again(node, values_of(args), axis=shifted(integer(node, "axis", 0)))
    flat = b.reshape(x.value, [b.count, b.product(b.dims(x))])
    return b.again(node, [flat, condition.value], axis=1)


# --- indices ----------------------------------------------------------------------------------------------------------


@rule("Gather")
def gather(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Seeds on the data stay in front; those on the indices come out where the axis was, and are moved there."""
    x, indices = args
    if x is None or indices is None or x.rank is None or indices.rank is None:
        return None
    axis = integer(node, "axis", 0)
    if only_first(args):
        return b.again(node, values_of(args), axis=shifted(axis))
    if x.batched:
        return None
    axis += x.rank if axis < 0 else 0
    found = b.op.Gather(x.value, indices.value, axis=axis)
    return [b.moved(found, axis, 0, x.rank + indices.rank)]


@rule("GatherElements ScatterElements")
def elements(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Everything with seeds."""
    if any(a is None for a in args):
        return None
    return b.again(node, [b.expanded(a) for a in args if a is not None], axis=shifted(integer(node, "axis", 0)))


@rule("GatherND")
def gather_nd(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Seeds are one more dimension of the batch; on the indices alone they need none."""
    x, indices = args
    if x is None or indices is None:
        return None
    batch = integer(node, "batch_dims", 0)
    if not x.batched and batch == 0:
        return b.again(node, values_of(args))
    return b.again(node, [b.expanded(x), b.expanded(indices)], batch_dims=batch + 1)


@rule("ScatterND")
def scatter_nd(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Seeds last, where the slices that are scattered take any dimensions."""
    x, indices, updates = args
    if x is None or indices is None or updates is None or indices.batched or x.rank is None or updates.rank is None:
        return None
    data, moved = (b.moved(b.expanded(a), 0, a.rank or 0, (a.rank or 0) + 1) for a in (x, updates))
    found = b.again(node, [data, indices.value, moved])[0]
    assert isinstance(found, ir.Value)
    return [b.moved(found, x.rank, 0, x.rank + 1)]


@rule("ReverseSequence")
def reverse_sequence(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Seeds last: time and batch are the first two."""
    x, lengths = args
    if x is None or lengths is None or not only_first(args) or x.rank is None:
        return None
    found = b.again(node, [b.moved(x.value, 0, x.rank, x.rank + 1), lengths.value])[0]
    assert isinstance(found, ir.Value)
    return [b.moved(found, x.rank, 0, x.rank + 1)]
