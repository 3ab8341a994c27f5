"""Einsum: sums of products over labelled axes."""

from __future__ import annotations

import math
import string
from typing import NamedTuple

import numpy as np

from graphspec.operators._precision import wide
from graphspec.operators._rank import known_rank
from graphspec.operators._types import Array, Builder, Cotangents, Value
from graphspec.operators.registry import operator

_ELLIPSIS = "..."


class Equation(NamedTuple):
    """A parsed equation: the labels of each input and of the output, one character an axis."""

    inputs: tuple[str, ...]
    output: str


def parse(equation: str, ranks: list[int]) -> Equation:
    """Labels of an equation, with each ellipsis spelled out by labels of its own.

    Raises:
        ValueError: The equation breaks ONNX's rules, or does not fit these ranks.
    """
    text = equation.replace(" ", "")
    left, arrow, output = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ValueError(f"equation {equation!r} has {len(terms)} terms for {len(ranks)} inputs.")
    for term in [*terms, output]:
        letters = term.replace(_ELLIPSIS, "", 1)
        if letters and not (letters.isascii() and letters.isalpha()):
            raise ValueError(f"equation {equation!r}: term {term!r} holds other signs than letters and one ellipsis.")
    dots = [rank - len(term) + 3 for term, rank in zip(terms, ranks, strict=True) if _ELLIPSIS in term]
    if any(d < 0 for d in dots) or any(
        len(term) != rank for term, rank in zip(terms, ranks, strict=True) if _ELLIPSIS not in term
    ):
        raise ValueError(f"equation {equation!r} does not fit inputs of rank {', '.join(map(str, ranks))}.")
    free = [c for c in string.ascii_letters if c not in text]
    broadcast = max(dots, default=0)
    if broadcast > len(free):
        raise ValueError(f"equation {equation!r} needs more than {len(string.ascii_letters)} labels.")
    named = "".join(free[:broadcast])
    if not arrow:
        single = sorted(c for c in set(left) if c.isalpha() and left.count(c) == 1)
        output = (_ELLIPSIS if dots else "") + "".join(single)
    inputs = tuple(
        term.replace(_ELLIPSIS, named[broadcast - (rank - len(term) + 3) :] if _ELLIPSIS in term else "")
        for term, rank in zip(terms, ranks, strict=True)
    )
    output = output.replace(_ELLIPSIS, named)
    if len(set(output)) != len(output) or not set(output) <= set("".join(inputs)):
        raise ValueError(f"equation {equation!r}: output labels must be distinct, and labels of the inputs.")
    return Equation(inputs, output)


@operator("Einsum", since=12)
def einsum(*Inputs: Array, equation: str) -> Array:
    """Output[output labels] = Σ ∏ Inputs[their labels], the sum over every label that is not in the output."""
    parsed = parse(equation, [x.ndim for x in Inputs])
    operands = [wide(x) for x in Inputs]
    if len(operands) == 2 and (product := _product(operands, parsed)) is not None:
        return product.astype(Inputs[0].dtype, copy=False)
    text = ",".join(parsed.inputs) + "->" + parsed.output
    # The order of contraction only matters from two operands on; a single one keeps the plain loop.
    result = np.einsum(text, *operands, optimize="greedy" if len(operands) > 1 else False)
    return np.asarray(result).astype(Inputs[0].dtype)


def _product(operands: list[Array], equation: Equation) -> Array | None:
    """The product of matrices, one per batch, that an Einsum of two tensors is; ``None`` if it is no such product."""
    (a, b), (of_a, of_b), output = operands, equation.inputs, equation.output
    if len(set(of_a)) < len(of_a) or len(set(of_b)) < len(of_b):
        return None
    size = dict(zip(of_a, a.shape, strict=True))
    if any(size.setdefault(c, n) != n for c, n in zip(of_b, b.shape, strict=True)):
        return None  # broadcast, or an error that NumPy names
    both = set(of_a) & set(of_b)
    batch, inner = [c for c in output if c in both], [c for c in of_a if c in both and c not in output]
    left, right = [c for c in output if c not in of_b], [c for c in output if c not in of_a]
    if not inner or len(batch + inner + left) != len(of_a) or len(batch + inner + right) != len(of_b):
        return None  # a label is summed in one of them alone
    rows, columns, summed = (math.prod(size[c] for c in labels) for labels in (left, right, inner))
    stack = [size[c] for c in batch]
    A = a.transpose([of_a.index(c) for c in batch + left + inner]).reshape([*stack, rows, summed])
    B = b.transpose([of_b.index(c) for c in batch + inner + right]).reshape([*stack, summed, columns])
    order = batch + left + right
    return np.asarray(np.matmul(A, B).reshape([size[c] for c in order]).transpose([order.index(c) for c in output]))


@einsum.vjp
def einsum_vjp(op: Builder, dY: Value, Y: Value, *Inputs: Value, equation: str) -> Cotangents:
    """dX_i = Σ dY · ∏ of the other inputs, over every label that is not in X_i.

    A label that X_i alone has was summed: dX_i is constant along it. A label that X_i repeats is a diagonal: dX_i is
    zero beside it.
    """
    parsed = parse(equation, [known_rank(op, x, "Einsum") for x in Inputs])
    results = []
    for i, (x, labels) in enumerate(zip(Inputs, parsed.inputs, strict=True)):
        others = [(v, t) for k, (v, t) in enumerate(zip(Inputs, parsed.inputs, strict=True)) if k != i]
        results.append(_pull(op, [(dY, parsed.output), *others], x, labels))
    return results


def _pull(op: Builder, terms: list[tuple[Value, str]], x: Value, labels: str) -> Value:
    distinct = "".join(dict.fromkeys(labels))
    kept = "".join(c for c in distinct if any(c in term for _, term in terms))
    result = _contract(op, terms, kept)
    alone = [i for i, c in enumerate(distinct) if c not in kept]
    if alone:
        result = op.Unsqueeze(result, op.ints(alone))
    if len(distinct) < len(labels):
        return _onto_diagonals(op, result, x, labels)
    if alone or any(_may_be_shorter(op, terms, x, labels, c) for c in kept):
        full: Value = op.Expand(result, op.shape(x))
        return full
    return result


def _may_be_shorter(op: Builder, terms: list[tuple[Value, str]], x: Value, labels: str, label: str) -> bool:
    """Whether all terms may have length 1 along a label of ``x``; the first term, dY, has full length."""
    if label in terms[0][1]:
        return False
    own = (op.dims(x) or ())[labels.index(label)]
    lengths = [(op.dims(v) or ())[t.index(label)] for v, t in terms if label in t]
    return own != 1 and not any(n not in (1, None) and (n == own or isinstance(n, int)) for n in lengths)


def _contract(op: Builder, terms: list[tuple[Value, str]], output: str) -> Value:
    """Einsum of terms, those without labels multiplied in afterwards, nothing emitted where nothing is to do."""
    scalars = [v for v, labels in terms if not labels]
    tensors = [(v, labels) for v, labels in terms if labels]
    if not tensors:
        result = scalars.pop()
    elif len(tensors) == 1 and tensors[0][1] == output:
        result = tensors[0][0]
    else:
        text = ",".join(labels for _, labels in tensors) + "->" + output
        result = op.Einsum(*(v for v, _ in tensors), equation=text)
    for scalar in scalars:
        result = op.Mul(result, scalar)
    return result


def _onto_diagonals(op: Builder, g: Value, x: Value, labels: str) -> Value:
    """``g`` by distinct labels as the diagonal of a tensor by ``labels`` in the shape of ``x``, zero elsewhere."""
    rank = len(labels)
    # g along the first axis of each label, 1 along its repetitions; the mask says where the indices are equal.
    repeats = [i for i, c in enumerate(labels) if c in labels[:i]]
    spread = op.Unsqueeze(g, op.ints(repeats))
    mask = None
    for i in repeats:
        first = labels.index(labels[i])
        same = op.Equal(_numbers(op, x, first, rank), _numbers(op, x, i, rank))
        mask = same if mask is None else op.And(mask, same)
    # Longer than x where x was broadcast, so that this is no expansion to x's shape alone.
    placed: Value = op.Expand(op.Where(mask, spread, op.scalar(0, x)), op.shape(x))
    return placed


def _numbers(op: Builder, x: Value, axis: int, rank: int) -> Value:
    """0, 1, 2 ... along one axis of ``x``, of length 1 along all others."""
    dims = op.dims(x)
    n = None if dims is None else dims[axis]
    shape = [-1 if a == axis else 1 for a in range(rank)]
    if isinstance(n, int):
        return op.const(np.arange(n, dtype=np.int64).reshape([n if d == -1 else 1 for d in shape]))
    counted = op.Range(op.const(np.int64(0)), op.reshape(op.dim(x, axis), []), op.const(np.int64(1)))
    return op.reshape(counted, shape)
