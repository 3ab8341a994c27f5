"""How operators of images take a leading dimension of seeds: with the batch, or with the channels."""

from __future__ import annotations

import onnx_ir as ir

from graphspec.derivatives._batch import Arg, Args, Batch, Dim, Outputs, integer, only_first, rule


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
    elif only_first(args):
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
