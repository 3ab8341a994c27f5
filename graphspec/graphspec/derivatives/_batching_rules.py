"""How operators take a leading dimension of seeds: a table, one rule a family.

A rule is given the node, and for each input what stands for it; it emits nodes and returns what stands for the outputs,
or ``None`` where it does not cover the case: the node is then repeated for each seed by a Scan, which is always right.
"""

from __future__ import annotations

import string
from collections.abc import Callable

import onnx_ir as ir

from graphspec.derivatives._batch import Arg, Args, Batch, Dim, Outputs, Plain, integer, integers, shifted

Rule = Callable[[Batch, ir.Node, Args], Outputs | None]

RULES: dict[str, Rule] = {}


def rule(op_types: str) -> Callable[[Rule], Rule]:
    """Register the decorated function for operators of ai.onnx, given with spaces between them."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(op_types.split(), function))
        return function

    return register


def _only_first(args: Args) -> bool:
    """Whether the first input alone has seeds."""
    return all(a.batched == (i == 0) for i, a in enumerate(args) if a is not None)


def _values(args: Args) -> list[ir.Value | None]:
    return [None if a is None else a.value for a in args]


# --- element by element -----------------------------------------------------------------------------------------------


@rule(
    "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast CastLike Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu "
    "HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink "
    "Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Tan Tanh ThresholdedRelu Trilu"
)
def first_alone(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Operators of one tensor that do not mind leading dimensions."""
    return b.again(node, _values(args)) if _only_first(args) else None


@rule(
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean "
    "Min Mod Mul Or Pow Sub Sum Where Xor"
)
def broadcast(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Seeds lead; where a batched value has fewer axes than another, ones stand between."""
    ranks = [a.rank for a in args if a is not None]
    known = [r for r in ranks if r is not None]
    if len(known) < len(ranks):
        return b.again(node, _values(args)) if len(args) == 1 else None
    return b.again(node, [None if a is None else b.aligned(a, max(known)) for a in args])


@rule("PRelu")
def prelu(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """As ``broadcast``, but the first input has the full shape."""
    x, slope = args
    if x is None or slope is None or x.rank is None or slope.rank is None:
        return None
    return b.again(node, [b.expanded(x), b.aligned(slope, x.rank)])


# --- products ---------------------------------------------------------------------------------------------------------


@rule("MatMul")
def matmul(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Matrices of a batch; where the right one is the same for all seeds, their rows are joined to one matrix."""
    x, w = args
    if x is None or w is None or not x.rank or not w.rank:
        return None
    return [_product(b, x, w)]


def _product(b: Batch, x: Arg, w: Arg) -> ir.Value:
    op = b.op
    assert x.rank is not None
    assert w.rank is not None
    if x.batched and not w.batched and w.rank == 2:
        dims, columns = b.dims(x) if _static(x) else [], w.old.shape[1] if w.old.shape is not None else None
        if x.rank == 1 or not dims or 0 in dims or not isinstance(columns, int) or columns == 0:
            found: ir.Value = op.MatMul(x.value, w.value)
            return found
        rows = b.reshape(x.value, [b.product([b.count, *dims[:-1]]), dims[-1]])
        return b.reshape(op.MatMul(rows, w.value), [b.count, *dims[:-1], columns])
    if w.batched and not x.batched and w.rank == 1 and x.rank == 2:
        turned: ir.Value = op.MatMul(w.value, op.Transpose(x.value, perm=[1, 0]))
        return turned
    rank = max(x.rank, w.rank, 2)
    left, right = x.value, w.value
    if x.rank == 1:
        left = op.Unsqueeze(left, op.ints([-2]))
    if w.rank == 1:
        right = op.Unsqueeze(right, op.ints([-1]))
    product = op.MatMul(_behind_seeds(b, x, left, rank), _behind_seeds(b, w, right, rank))
    dropped = [axis for axis, arg in ((-2, x), (-1, w)) if arg.rank == 1]
    squeezed: ir.Value = op.Squeeze(product, op.ints(dropped)) if dropped else product
    return squeezed


def _behind_seeds(b: Batch, arg: Arg, value: ir.Value, rank: int) -> ir.Value:
    missing = rank - max(arg.rank or 0, 2)
    if not arg.batched or not missing:
        return value
    found: ir.Value = b.op.Unsqueeze(value, b.op.ints(range(1, missing + 1)))
    return found


def _static(arg: Arg) -> bool:
    return arg.old.shape is not None and arg.old.shape.is_static()


@rule("Gemm")
def gemm(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """One product with the rows joined where that is possible, else a transposition, a product and a sum."""
    op = b.op
    x, w = args[0], args[1]
    c = args[2] if len(args) > 2 else None
    alpha, beta = (node.attributes[n].as_float() if n in node.attributes else 1.0 for n in ("alpha", "beta"))
    if x is None or w is None:
        return None

    def matrix(arg: Arg, transposed: int) -> Arg:
        if not transposed:
            return arg
        perm = [0, 2, 1] if arg.batched else [1, 0]
        turned = ir.Value(type=arg.old.type, shape=None if arg.old.shape is None else _turned(arg.old.shape))
        return Arg(turned, op.Transpose(arg.value, perm=perm), arg.batched)

    x, w = matrix(x, integer(node, "transA", 0)), matrix(w, integer(node, "transB", 0))
    if x.batched or w.batched:
        y = _product(b, x, w)
    else:  # the addend alone has seeds
        y = op.MatMul(x.value, w.value)
    if alpha != 1.0:
        y = op.Mul(y, op.scalar(alpha, y))
    if c is None:
        return [y]
    if c.rank is None:
        return None
    addend = b.aligned(c, 2)
    if beta != 1.0:
        addend = op.Mul(addend, op.scalar(beta, addend))
    return [op.Add(y, addend)]


def _turned(shape: ir.Shape) -> ir.Shape:
    return ir.Shape(list(reversed(shape.dims)))


@rule("Einsum")
def einsum(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """A label of its own for the seeds, in front of the others."""
    equation = node.attributes["equation"].as_string().replace(" ", "")
    free = [letter for letter in string.ascii_lowercase + string.ascii_uppercase if letter not in equation]
    if not free:
        return None
    left, arrow, right = equation.partition("->")
    if not arrow:
        labels = left.replace(",", "").replace("...", "")
        right = ("..." if "..." in left else "") + "".join(sorted(c for c in set(labels) if labels.count(c) == 1))
    terms = [
        (free[0] if arg is not None and arg.batched else "") + term
        for term, arg in zip(left.split(","), args, strict=True)
    ]
    return b.again(node, _values(args), equation=f"{','.join(terms)}->{free[0]}{right}")


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
            return b.again(node, _values(args))
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
    if x is None or not _only_first(args) or not x.rank:
        return None
    return b.again(node, _values(args), axis=shifted(integer(node, "axis", default)))


@rule("CumSum CumProd")
def cumulative(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Along an axis that is an input."""
    x, axis = args
    if x is None or axis is None or not _only_first(args):
        return None
    return b.again(node, [x.value, b.axes(axis)])


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
    if x is None or target is None or not _only_first(args):
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
    if x is None or not _only_first(args):
        return None
    if axes is not None and (node.op_type == "Unsqueeze" or (axes.constant is not None and axes.constant.size)):
        return b.again(node, [x.value, b.axes(axes)])
    if axes is not None or not _static(x) or x.old.shape is None:
        return None
    ones = [i + 1 for i, d in enumerate(x.old.shape.dims) if d == 1]
    return b.again(node, [x.value, b.op.ints(ones)]) if ones else [x.value]


@rule("Expand")
def expand(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Both sides broadcast, so that a shape as long as the value without seeds leaves these alone."""
    x, target = args
    if x is None or target is None or not _only_first(args) or x.rank is None or target.value.shape is None:
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
    if x is None or repeats is None or not _only_first(args):
        return None
    return [b.op.Tile(x.value, b.op.Concat(b.op.ints([1]), repeats.value, axis=0))]


# --- parts ------------------------------------------------------------------------------------------------------------


@rule("Slice")
def slice_(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Axes one further back, and named where they were not."""
    x, starts, ends = args[:3]
    axes, steps = [*args[3:], None, None][:2]
    if x is None or starts is None or ends is None or not _only_first(args):
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
    if x is None or pads is None or not _only_first(args):
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
    if not _only_first(args):
        return None
    return b.again(node, _values(args), axis=shifted(integer(node, "axis", 0)))


@rule("Compress")
def compress(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Along an axis; without one, of the flattened value."""
    x, condition = args
    if x is None or condition is None or not _only_first(args) or x.rank is None:
        return None
    if "axis" in node.attributes:
        return b.again(node, _values(args), axis=shifted(integer(node, "axis", 0)))
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
    if _only_first(args):
        return b.again(node, _values(args), axis=shifted(axis))
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
        return b.again(node, _values(args))
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
    if x is None or lengths is None or not _only_first(args) or x.rank is None:
        return None
    found = b.again(node, [b.moved(x.value, 0, x.rank, x.rank + 1), lengths.value])[0]
    assert isinstance(found, ir.Value)
    return [b.moved(found, x.rank, 0, x.rank + 1)]


# --- images -----------------------------------------------------------------------------------------------------------


@rule(
    "AveragePool DepthToSpace GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample InstanceNormalization LRN LpPool "
    "SpaceToDepth"
)
def joined(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Operators of a batch of images: seeds and batch are one dimension."""
    x = args[0]
    if x is None or not x.rank:
        return None
    if node.op_type == "GridSample":  # a grid for each image
        if any(a is None or not a.rank for a in args):
            return None
        inputs = [_join(b, Arg(a.old, b.expanded(a), True)) for a in args if a is not None]
    elif _only_first(args):
        inputs = [_join(b, x), *(a.value for a in args[1:] if a is not None)]
    else:
        return None
    return [_part(b, y, x) for y in b.again(node, inputs) if isinstance(y, ir.Value)]


def _join(b: Batch, x: Arg) -> ir.Value:
    """Seeds and first dimension as one."""
    dims = b.dims(x)
    return b.reshape(x.value, [b.product([b.count, dims[0]]), *dims[1:]])


def _part(b: Batch, y: ir.Value, x: Arg) -> ir.Value:
    """The first dimension as seeds and the first of ``x``."""
    return b.reshape(y, [b.count, b.dim(x, 0), *_tail(b, y, 1, x.rank or 0)])


def _tail(b: Batch, y: ir.Value, start: int, rank: int) -> list[Dim]:
    if y.shape is None:
        y.shape = ir.Shape([None] * rank)
    dims = list(enumerate(y.shape.dims))[start:]
    return [d if isinstance(d, int) else b.op.Shape(y, start=i, end=i + 1) for i, d in dims]


@rule("Conv ConvTranspose")
def convolution(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Seeds of the images join the batch, seeds of the kernel its output channels; a bias is added behind."""
    op = b.op
    x, w = args[:2]
    bias = args[2] if len(args) > 2 else None
    if x is None or w is None or not x.rank or not w.rank or (x.batched and w.batched):
        return None
    if x.batched:
        inner = None if bias is None or bias.batched else bias.value
        y = b.again(node, [_join(b, x), w.value, inner])[0]
        assert isinstance(y, ir.Value)
        found = _part(b, y, x)
    elif w.batched:
        inner = None
        found = _by_kernel(b, node, x, w)
    else:
        inner = None
        found = b.op.emit(node.op_type, [x.value, w.value], node.attributes)
    if bias is not None and inner is None:
        spatial = op.ints(range(-(x.rank - 2), 0))
        column = op.Unsqueeze(bias.value, spatial)  # (seeds, C, 1 ...) or (C, 1 ...)
        if bias.batched:
            column = op.Unsqueeze(column, op.ints([1]))
        found = op.Add(found, column)
    return [found]


def _by_kernel(b: Batch, node: ir.Node, x: Arg, w: Arg) -> ir.Value:
    """Within each group the kernels of all seeds stand side by side."""
    groups, rank = integer(node, "group", 1), w.rank or 0
    dims = b.dims(w)
    if node.op_type == "Conv":  # (seeds, groups · M, C, ...) to (groups · seeds · M, C, ...)
        channels = b.quotient(dims[0], groups)
        parted = b.reshape(w.value, [b.count, groups, channels, *dims[1:]])
        parted = b.moved(parted, 0, 1, rank + 2)
        kernel = b.reshape(parted, [b.product([groups, b.count, channels]), *dims[1:]])
    else:  # (seeds, C, M, ...) to (C, seeds · M, ...)
        channels = dims[1]
        kernel = b.reshape(b.moved(w.value, 0, 1, rank + 1), [dims[0], b.product([b.count, channels]), *dims[2:]])
    y = b.again(node, [x.value, kernel])[0]
    assert isinstance(y, ir.Value)
    batch, spatial = b.dim(x, 0), _tail(b, y, 2, rank)
    parted = b.reshape(y, [batch, groups, b.count, channels, *spatial])
    parted = b.transposed(parted, [2, 0, 1, 3, *range(4, 4 + len(spatial))])
    return b.reshape(parted, [b.count, batch, b.product([groups, channels]), *spatial])


@rule("DFT")
def dft(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """Along an axis: an attribute at first, an input later."""
    x = args[0]
    if x is None or not _only_first(args):
        return None
    if b.op.opset < 20:
        return b.again(node, _values(args), axis=shifted(integer(node, "axis", 1)))
    length, axis = [*args[1:], None, None][:2]
    return b.again(node, [x.value, None if length is None else length.value, None if axis is None else b.axes(axis)])
