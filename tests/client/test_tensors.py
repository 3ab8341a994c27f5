"""Operators, methods and indexing of tensors against those of arrays, and what is refused where it stands."""

from __future__ import annotations

import operator

import numpy as np
import pytest

from graphspec_client import Tensor, tensor

A = np.array([[0.3, -1.2, 2.5, -0.4], [1.5, 0.2, -2.2, 0.9], [-0.1, 1.1, 0.7, -1.8]])
B = np.array([[1.4, 0.6, -0.5, 2.1], [-1.3, 0.8, 1.9, -0.7], [0.4, -2.3, 1.2, 0.5]])
C = np.arange(24.0).reshape(2, 3, 4) / 7 - 1.5
M = np.array([[2.0, 0.5, -1.0], [0.3, 1.5, 0.2], [-0.7, 0.4, 1.1]])
V = np.array([0.5, -1.5, 2.0, 0.25])
P = np.abs(A) + 0.1
I = np.array([[3, -7, 2, 5], [0, 4, -1, 6], [8, -2, 1, -3]])  # noqa: E741
J = np.array([[2, 3, -4, 1], [5, -2, 3, 2], [1, 4, 2, -5]])
T = A > 0

OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.matmul,
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne,
]  # fmt: skip


@pytest.mark.parametrize("apply", OPERATORS)
def test_operators(client, apply, check):
    x, y = A[:, :3], B[:, :3]
    check(apply(tensor(x), tensor(y)), apply(x, y))
    check(apply(tensor(x), y), apply(x, y))
    check(apply(x, tensor(y)), apply(x, y))


@pytest.mark.parametrize("apply", [operator.neg, operator.pos, operator.abs, operator.invert])
def test_unary_operators(client, apply, check):
    x = I if apply is operator.invert else A
    check(apply(tensor(x)), apply(x))


@pytest.mark.parametrize("apply", [operator.and_, operator.or_, operator.xor])
def test_bit_operators(client, apply, check):
    for x, y in [(T, ~T), (I, J)]:
        check(apply(tensor(x), y), apply(x, y))
        check(apply(x, tensor(y)), apply(x, y))


def test_powers_and_their_reflection(client, check):
    check(tensor(P) ** 2.5, P**2.5)
    check(2.5 ** tensor(A), 2.5**A)


METHODS = [
    pytest.param(lambda x: x.sum(axis=1), id="sum"), pytest.param(lambda x: x.mean(), id="mean"),
    pytest.param(lambda x: x.max(axis=0), id="max"), pytest.param(lambda x: x.min(), id="min"),
    pytest.param(lambda x: x.prod(axis=-1, keepdims=True), id="prod"), pytest.param(lambda x: x.var(ddof=1), id="var"),
    pytest.param(lambda x: x.std(axis=1, ddof=1), id="std"), pytest.param(lambda x: x.any(axis=0), id="any"),
    pytest.param(lambda x: x.all(), id="all"), pytest.param(lambda x: x.argmax(axis=1), id="argmax"),
    pytest.param(lambda x: x.argmin(), id="argmin"), pytest.param(lambda x: x.cumsum(axis=0), id="cumsum"),
    pytest.param(lambda x: x.reshape(2, -1), id="reshape"),
    pytest.param(lambda x: x.reshape((4, 3)), id="reshape-tuple"),
    pytest.param(lambda x: x.transpose(), id="transpose"),
    pytest.param(lambda x: x.transpose(1, 0), id="transpose-axes"),
    pytest.param(lambda x: x.T, id="T"), pytest.param(lambda x: x.mT, id="mT"),
    pytest.param(lambda x: x.swapaxes(0, 1), id="swapaxes"), pytest.param(lambda x: x.ravel(), id="ravel"),
    pytest.param(lambda x: x.flatten(), id="flatten"), pytest.param(lambda x: x[None].squeeze(0), id="squeeze"),
    pytest.param(lambda x: x.clip(-1, 1), id="clip"), pytest.param(lambda x: x.round(1), id="round"),
    pytest.param(lambda x: x.astype("float32"), id="astype"), pytest.param(lambda x: x.astype(int), id="astype-int"),
    pytest.param(lambda x: x.dot(V), id="dot"), pytest.param(lambda x: x.repeat(2, axis=0), id="repeat"),
    pytest.param(lambda x: x.take([0, 2], axis=1), id="take"), pytest.param(lambda x: x[:, :3].trace(), id="trace"),
    pytest.param(lambda x: x[:, :3].diagonal(), id="diagonal"), pytest.param(lambda x: x.argsort(axis=0), id="argsort"),
]  # fmt: skip


@pytest.mark.parametrize("call", METHODS)
def test_methods_that_arrays_have_too(client, call, check):
    check(call(tensor(A)), call(A))


def logsumexp(x, axis):
    return np.log(np.exp(x).sum(axis=axis))


OWN_METHODS = [
    pytest.param(lambda x: x.relu(), np.maximum(A, 0), id="relu"),
    pytest.param(lambda x: x.exp(), np.exp(A), id="exp"),
    pytest.param(lambda x: x.abs().log(), np.log(np.abs(A)), id="abs-log"),
    pytest.param(lambda x: x.square().sqrt(), np.abs(A), id="square-sqrt"),
    pytest.param(lambda x: x.sin() + x.cos() * x.tan(), 2 * np.sin(A), id="sin-cos-tan"),
    pytest.param(lambda x: x.sinh() / x.cosh() - 2 * x.tanh(), -np.tanh(A), id="sinh-cosh-tanh"),
    pytest.param(lambda x: x.sign() * x.reciprocal(), 1 / np.abs(A), id="sign-reciprocal"),
    pytest.param(lambda x: x.sigmoid(), 1 / (1 + np.exp(-A)), id="sigmoid"),
    pytest.param(lambda x: x.softmax(), np.exp(A) / np.exp(A).sum(-1, keepdims=True), id="softmax"),
    pytest.param(lambda x: x.log_softmax(axis=0), A - logsumexp(A, 0), id="log_softmax"),
    pytest.param(lambda x: x.logsumexp(axis=1), logsumexp(A, 1), id="logsumexp"),
    pytest.param(lambda x: x.norm(axis=1), np.linalg.norm(A, axis=1), id="norm"),
    pytest.param(lambda x: x.norm(1, axis=0), np.linalg.norm(A, 1, axis=0), id="norm-1"),
    pytest.param(lambda x: x.norm(np.inf, axis=0), np.linalg.norm(A, np.inf, axis=0), id="norm-inf"),
    pytest.param(lambda x: x.pow(3), A**3, id="pow"),
    pytest.param(lambda x: x.floor() + x.ceil(), np.floor(A) + np.ceil(A), id="floor-ceil"),
    pytest.param(lambda x: x.maximum(B).minimum(1), np.minimum(np.maximum(A, B), 1), id="maximum-minimum"),
    pytest.param(lambda x: x.sort(axis=0), np.sort(A, axis=0), id="sort"),
    pytest.param(lambda x: x.expand_dims(1).broadcast_to((3, 2, 4)), np.broadcast_to(A[:, None],
    (3, 2, 4)), id="expand"),
    pytest.param(lambda x: x.matmul(B.T), A @ B.T, id="matmul"),
    pytest.param(lambda x: x.flatten(1).flatten(-1), A, id="flatten-from"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "expected"), OWN_METHODS)
def test_methods_of_tensors_alone(client, call, expected, check):
    check(call(tensor(A)), expected)


def test_every_method_is_tested():
    tested = {part for row in [*METHODS, *OWN_METHODS] for part in (str(row.id), *str(row.id).split("-"))}
    untested = {
        "numpy", "item", "tolist", "data", "grad", "zero_grad", "backward", "retain_grad", "detach", "requires_grad",
        "is_leaf", "name", "dtype", "shape", "ndim", "size", "expand_dims", "broadcast_to",
    }  # fmt: skip
    public = {name for name in vars(Tensor) if not name.startswith("_")} - untested
    assert public - tested == set()


INDICES = [
    1, -1, slice(1, 3), slice(None, None, -1), slice(-1, None, -2), slice(2, -1), slice(5, 2), slice(None, None, 2),
    (slice(None), 1), (1, 2), (-1, -1), (Ellipsis, 0), (0, Ellipsis), (slice(None), None), (None, Ellipsis, None, 1),
    (slice(None, None, 2), slice(-1, 0, -1)), Ellipsis, None, (), (slice(None), slice(None, -1), slice(1, None)),
    [0, 1, 1], np.array([1, 0, -1]), np.array([[0, 1], [1, 0]]), (slice(None), [2, 0]), (Ellipsis, np.array([3, 0])),
    (np.array([0, 1]), np.array([2, 0])), (np.array([0, 1]), slice(None), np.array([3, -1])), (1, [0, 2, 1]),
    (slice(None), np.array([0, 2]), np.array([1, 3])), (slice(None), 1, np.array([0, 3])),
    (np.array([[0], [1]]), [0, 2]),
    (0, slice(None), np.array([1, 2])), (np.array([0, 1]), 2, np.array([1, 1])), (None, [0, 1], Ellipsis),
    np.array([True, False]), np.int64(1), np.array(1), [],
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing(client, index, check):
    check(tensor(C)[index], C[index])


def test_masks(client, check):
    x = tensor(A)
    check(x[A > 0], A[A > 0])
    check(x[x > 0], A[A > 0])
    assert (x[x > 0]).shape == A[A > 0].shape
    check(x[np.array([True, False, True])], A[[0, 2]])


def test_index_by_a_tensor(client, check):
    check(tensor(A)[:, tensor([3, 0])], A[:, [3, 0]])
    check(tensor(A)[tensor(np.array(2, "int32"))], A[2])


BAD_INDICES = [
    (2, IndexError), ((0, 0, 0, 0), IndexError), ((Ellipsis, Ellipsis), IndexError), (1.5, TypeError), ("a", TypeError),
    ((0, 3), IndexError), (slice(None, None, 0), ValueError), ((slice(None), A > 0), TypeError), (True, TypeError),
    (np.array([0.5]), TypeError), (np.ones(5, bool), IndexError),
]  # fmt: skip


@pytest.mark.parametrize(("index", "error"), BAD_INDICES, ids=str)
def test_bad_indices_are_refused_where_they_stand(index, error):
    with pytest.raises(error):
        tensor(C)[index]


BAD_SHAPES = [
    pytest.param(lambda: tensor(A) + tensor(M), "Add.*\\(3, 4\\) and \\(3, 3\\)", id="broadcast"),
    pytest.param(lambda: tensor(A) @ tensor(A), "MatMul.*4 columns against 3 rows", id="matmul"),
    pytest.param(lambda: tensor(A) @ 2.0, "scalar", id="matmul-scalar"),
    pytest.param(lambda: tensor(A).reshape(5, -1), "12 elements", id="reshape"),
    pytest.param(lambda: np.concatenate([tensor(A), M]), "Concat", id="concatenate"),
    pytest.param(lambda: np.concatenate([tensor(A), V]), "ranks", id="concatenate-rank"),
    pytest.param(lambda: tensor(A).sum(axis=2), "axis 2 is out of bounds", id="sum"),
    pytest.param(lambda: tensor(A).transpose(0, 0), "permutation", id="transpose"),
    pytest.param(lambda: tensor(A).squeeze(0), "size 1", id="squeeze"),
    pytest.param(lambda: np.broadcast_to(tensor(A), (4,)), "broadcast", id="broadcast_to"),
    pytest.param(lambda: np.split(tensor(A), 3, axis=1), "equal parts", id="split"),
    pytest.param(lambda: np.einsum("ijk,k", tensor(A), V), "3 axes", id="einsum"),
]


@pytest.mark.parametrize(("call", "message"), BAD_SHAPES)
def test_shapes_that_do_not_fit_are_refused_where_they_stand(call, message):
    with pytest.raises(ValueError, match=message):
        call()


REFUSED = [
    pytest.param(lambda x: np.fft.fft(x), "np.fft", id="function"),
    pytest.param(lambda x: np.nansum(x), "np.sum", id="nearest"),
    pytest.param(lambda x: np.gcd(x, x), "np.gcd", id="ufunc"),
    pytest.param(lambda x: np.add.outer(x, x), "np.add.outer", id="ufunc-method"),
    pytest.param(lambda x: np.add(x, x, out=A), "out", id="out"),
    pytest.param(lambda x: np.add(x, x, where=T), "where", id="where"),
    pytest.param(lambda x: np.sum(x, where=T), "where", id="sum-where"),
    pytest.param(lambda x: x + "a", "Strings", id="operator-str"),
    pytest.param(lambda x: x + None, "NoneType", id="operator-None"),
    pytest.param(lambda x: (x > 0) - (x > 0), "bool", id="bool-minus-bool"),
    pytest.param(lambda x: ~x, "integers", id="invert-float"),
    pytest.param(lambda x: np.asarray(x), "x.numpy", id="asarray"),
    pytest.param(lambda x: np.repeat(x, [1, 2, 3], axis=0), "one number", id="repeat"),
    pytest.param(lambda x: np.pad(x, 1, mode="symmetric"), "symmetric", id="pad"),
    pytest.param(lambda x: np.linalg.norm(x, 1), "ord", id="norm"),
    pytest.param(lambda x: np.linalg.inv(x), "np.inv", id="inv"),
    pytest.param(lambda x: np.where(x > 0), "np.where", id="where-alone"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_what_is_not_supported_is_refused_by_name(call, message):
    x = tensor(A, requires_grad=True)
    with pytest.raises(TypeError, match=message):
        call(x)


def test_negative_powers_of_integers_are_refused_as_in_numpy():
    with pytest.raises(ValueError, match="negative integer powers"):
        tensor(I) ** -1


def test_in_place_addition_into_an_array_is_refused():
    total = np.zeros(4)
    with pytest.raises(TypeError, match="never change"):
        total += tensor(V)


def test_questions_that_need_no_service():
    x = tensor(A) @ tensor(B.T) + 1
    assert (np.shape(x), np.ndim(x), np.size(x), len(x), x.shape, x.ndim, x.size) == ((3, 3), 2, 9, 3, (3, 3), 2, 9)
    assert x.dtype == np.float64
    assert not x.is_leaf
