"""Products of matrices and tensors, as operations on values."""

from __future__ import annotations

from string import ascii_letters
from typing import Any

from graphspec_client._emit import cast, emit, emit_all, lift, promoted
from graphspec_client._reductions import sum_
from graphspec_client._shaping import reshape
from graphspec_client._values import Value

_MATMUL = {"float16", "float32", "float64", "bfloat16", "int32", "int64", "uint32", "uint64"}


def matmul(x1: Any, x2: Any) -> Value:
    """The matrix product over the last two axes; vectors are rows on the left and columns on the right."""
    a, b = promoted(x1, x2)
    if a.dtype in _MATMUL:
        return emit("MatMul", a, b)
    if a.dtype == "bool" or a.dtype not in {"int8", "int16", "uint8", "uint16"}:
        raise TypeError(f"ONNX multiplies no matrices of {a.dtype}; cast them with astype().")
    return cast(emit("MatMul", cast(a, "int32"), cast(b, "int32")), a.dtype)


def dot(a: Any, b: Any) -> Value:
    """NumPy's dot: over the last axis of a and the last but one of b."""
    x, y = lift(a), lift(b)
    if x.rank == 0 or y.rank == 0:
        return emit("Mul", *promoted(x, y))
    if y.rank <= 2:
        return matmul(x, y)
    return tensordot(x, y, ([x.rank - 1], [y.rank - 2]))


def vdot(a: Any, b: Any) -> Value:
    """The product of all elements of a and b, summed up."""
    return matmul(reshape(lift(a), -1), reshape(lift(b), -1))


def inner(a: Any, b: Any) -> Value:
    """Over the last axes of both."""
    x, y = lift(a), lift(b)
    if x.rank == 0 or y.rank == 0:
        return emit("Mul", *promoted(x, y))
    return tensordot(x, y, ([x.rank - 1], [y.rank - 1]))


def outer(a: Any, b: Any) -> Value:
    """Each element of a times each of b."""
    return emit("Mul", *promoted(reshape(lift(a), [-1, 1]), reshape(lift(b), [1, -1])))


def einsum(subscripts: str, /, *operands: Any) -> Value:
    """Einstein's sum over the letters that do not come out."""
    if not isinstance(subscripts, str):
        raise TypeError("einsum takes its subscripts as a string, before the operands.")
    equation = subscripts.replace(" ", "")
    if "->" not in equation:
        letters = equation.replace(",", "").replace(".", "")
        once = sorted(letter for letter in set(letters) if letters.count(letter) == 1)
        equation += "->" + ("..." if "." in equation else "") + "".join(once)
    return emit_all("Einsum", promoted(*operands), {"equation": equation})[0]


def tensordot(a: Any, b: Any, axes: Any = 2) -> Value:
    """Summed over pairs of axes: the last n of a with the first n of b, or those named."""
    x, y = lift(a), lift(b)
    if isinstance(axes, int):
        left, right = list(range(x.rank - axes, x.rank)), list(range(axes))
    else:
        left, right = ([side] if isinstance(side, int) else list(side) for side in axes)
    first, second = list(ascii_letters[: x.rank]), list(ascii_letters[x.rank : x.rank + y.rank])
    summed = set()
    for i, j in zip(left, right, strict=True):
        second[j] = first[i]
        summed.add(first[i])
    kept = [letter for letter in [*first, *second] if letter not in summed]
    return einsum(f"{''.join(first)},{''.join(second)}->{''.join(kept)}", x, y)


def _diagonal_letters(rank: int, axis1: int, axis2: int) -> tuple[str, str]:
    letters = list(ascii_letters[:rank])
    letters[axis2] = letters[axis1]
    shared = letters[axis1]
    return "".join(letters), "".join(letter for letter in letters if letter != shared) + shared


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Value:
    """The elements with equal indices on two axes, on a new last axis."""
    if offset:
        raise TypeError("diagonal with an offset is not supported.")
    value = lift(a)
    source, target = _diagonal_letters(value.rank, axis1, axis2)
    return einsum(f"{source}->{target}", value)


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Value:
    """The sum of the diagonal."""
    return sum_(diagonal(a, offset, axis1, axis2), -1)


def det(a: Any) -> Value:
    """The determinant of the matrices on the last two axes."""
    (value,) = promoted(a, at_least="float64")
    return emit("Det", value)


def linear(x: Any, w: Any, b: Any = None) -> Value:
    """``x @ w + b``."""
    product = matmul(x, w)
    return product if b is None else emit("Add", *promoted(product, b))
