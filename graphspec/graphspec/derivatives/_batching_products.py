"""How products take a leading dimension of seeds."""

from __future__ import annotations

import string

import onnx_ir as ir

from graphspec.derivatives._batch import Arg, Args, Batch, Outputs, integer, is_static, rule, values_of


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
        dims, columns = b.dims(x) if is_static(x) else [], w.old.shape[1] if w.old.shape is not None else None
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


@rule("Gemm")
def gemm(b: Batch, node: ir.Node, args: Args) -> Outputs | None:
    """One product with the rows joined where that is possible, else a transposition, a product and a sum."""
    op = b.op
    x, w = args[0], args[1]
    c = args[2] if len(args) > 2 else None
    alpha, beta = (node.attributes[n].as_float() if n in node.attributes else 1.0 for n in ("alpha", "beta"))
    if x is None or w is None or x.rank is None or w.rank is None:
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
    return b.again(node, values_of(args), equation=f"{','.join(terms)}->{free[0]}{right}")
