"""Every row of the client's tables against NumPy: the same Python code on arrays and on tensors."""

from __future__ import annotations

import itertools
import operator

import numpy as np
import pytest

from graphspec_client import Tensor, _numpy, tensor

A = np.array([[0.3, -1.2, 2.5, -0.4], [1.5, 0.2, -2.2, 0.9], [-0.1, 1.1, 0.7, -1.8]])
B = np.array([[1.4, 0.6, -0.5, 2.1], [-1.3, 0.8, 1.9, -0.7], [0.4, -2.3, 1.2, 0.5]])
C = np.arange(24.0).reshape(2, 3, 4) / 7 - 1.5
M = np.array([[2.0, 0.5, -1.0], [0.3, 1.5, 0.2], [-0.7, 0.4, 1.1]])
V = np.array([0.5, -1.5, 2.0, 0.25])
P = np.abs(A) + 0.1
I = np.array([[3, -7, 2, 5], [0, 4, -1, 6], [8, -2, 1, -3]])  # noqa: E741
J = np.array([[2, 3, -4, 1], [5, -2, 3, 2], [1, 4, 2, -5]])
T = A > 0
EDGES = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-9, -1e-9, 1e30, -1e30])

# function: the arguments of a call each
UNARY = {
    **dict.fromkeys([np.negative, np.positive, np.absolute, np.sign, np.square], [A, I, V.astype("f4"), EDGES]),
    **dict.fromkeys([np.exp, np.exp2, np.expm1, np.sin, np.cos, np.tan, np.sinh, np.cosh, np.tanh, np.arcsinh],
                    [A, I, A.astype("f4"), I.astype("i1"), I.astype("i2"), T]),
    **dict.fromkeys([np.arctan, np.cbrt, np.degrees, np.rad2deg, np.radians, np.deg2rad, np.fabs], [A, A.astype("f4")]),
    **dict.fromkeys([np.log, np.log2, np.log10, np.log1p, np.sqrt], [P, P.astype("f4"), np.abs(J), P * 1e-7, P * 1e7]),
    **dict.fromkeys([np.arcsin, np.arccos, np.arctanh], [A / 3, (A / 3).astype("f4")]),
    np.arccosh: [P + 1],
    np.reciprocal: [A, A.astype("f4")],
    **dict.fromkeys([np.floor, np.ceil, np.trunc, np.rint], [A * 3, I, A.astype("f4") * 3, np.array([0.5, 1.5, -2.5])]),
    **dict.fromkeys([np.isnan, np.isinf, np.isfinite], [EDGES, A, EDGES.astype("f4")]),
    np.logical_not: [A, T, I], np.invert: [T, I, np.abs(J).astype("u1")],
}  # fmt: skip
BINARY = {
    **dict.fromkeys([np.add, np.multiply, np.maximum, np.minimum, np.greater, np.greater_equal, np.less, np.less_equal,
                     np.equal, np.not_equal],
                    [(A, B), (A, V), (I, J), (C, V), (A.astype("f4"), B), (I, A), (T, A), (T, ~T), (A, 2.0), (2, I), (I, I)]),
    **dict.fromkeys([np.subtract, np.divide, np.floor_divide, np.remainder], [(A, B), (I, J), (A, V), (7, J), (A, 0.75)]),
    np.fmod: [(A, B), (I, J)], np.divmod: [(A, B), (I, J)],
    np.power: [(P, B), (A, 2), (P, 0.5), (2.0, A), (I, 2), (A, np.array([0, 1, 2, 3]))],
    np.arctan2: [(A, B), (0.0, A), (A, np.zeros(4))], np.hypot: [(A, B)], np.logaddexp: [(A, B), (A * 400, B * 400)],
    **dict.fromkeys([np.logical_and, np.logical_or, np.logical_xor], [(A, T), (T, ~T), (I, J)]),
    **dict.fromkeys([np.bitwise_and, np.bitwise_or, np.bitwise_xor], [(T, ~T), (I, J), (I, 3)]),
    np.matmul: [(A, B.T), (A, V), (M, A), (C, C[0].T), (I, J.T),
                (V, V), (C, A.T)],
}  # fmt: skip

# function: calls of it, each on what stands beside it
CALLS = {
    np.where: [lambda f, x: f(x > 0, x, 0), lambda f, x: f(x > 0, 1.5, x * x), lambda f, x: f(T, x, B)],
    np.clip: [lambda f, x: f(x, -1, 1), lambda f, x: f(x, None, 0.5), lambda f, x: f(x, V - 1, V + 1),
              lambda f, x: f(x, min=0), lambda f, x: f(x)],
    np.round: [lambda f, x: f(x), lambda f, x: f(x, 1), lambda f, x: f(x * 10, decimals=-1)],
    np.around: [lambda f, x: f(x, 2)],
    np.isclose: [lambda f, x: f(x, x + 1e-9), lambda f, x: f(x, B), lambda f, x: f(x / 0.0, x / 0.0, equal_nan=True)],
    np.nan_to_num: [lambda f, x: f(x * np.inf), lambda f, x: f(x * np.inf - np.inf, nan=7.0, posinf=1.0, neginf=-1.0)],
    np.fix: [lambda f, x: f(x)],
    np.astype: [lambda f, x: f(x, np.int64), lambda f, x: f(x, np.float32), lambda f, x: f(x, np.bool_)],
    **dict.fromkeys([np.sum, np.prod, np.mean, np.max, np.amax, np.min, np.amin, np.any, np.all, np.var, np.std,
                     np.count_nonzero, np.linalg.norm],
                    [lambda f, x: f(x), lambda f, x: f(x, axis=0), lambda f, x: f(x, axis=-1, keepdims=True),
                     lambda f, x: f(x[None], axis=(0, 2))]),
    **dict.fromkeys([np.argmax, np.argmin],
                    [lambda f, x: f(x), lambda f, x: f(x, axis=0), lambda f, x: f(x, axis=-1, keepdims=True)]),
    np.cumsum: [lambda f, x: f(x), lambda f, x: f(x, axis=1), lambda f, x: f(x, 0)],
    np.allclose: [lambda f, x: f(x, x), lambda f, x: f(x, B)],
    np.reshape: [lambda f, x: f(x, (2, 6)), lambda f, x: f(x, -1), lambda f, x: f(x, (4, -1)), lambda f, x: f(x[:, :0], (0, 5))],
    np.ravel: [lambda f, x: f(x)],
    np.transpose: [lambda f, x: f(x), lambda f, x: f(x[None], (2, 0, 1)), lambda f, x: f(x[None], (-1, 0, 1))],
    np.permute_dims: [lambda f, x: f(x, (1, 0))],
    np.swapaxes: [lambda f, x: f(x, 0, 1), lambda f, x: f(x[None], -1, 0)],
    np.moveaxis: [lambda f, x: f(x[None], 0, -1), lambda f, x: f(x[None], (0, 1), (2, 0))],
    np.expand_dims: [lambda f, x: f(x, 0), lambda f, x: f(x, (-1, 1))],
    np.squeeze: [lambda f, x: f(x[None]), lambda f, x: f(x[None, :, None], axis=0), lambda f, x: f(x[None, :, None], (0, 2))],
    np.broadcast_to: [lambda f, x: f(x, (2, 3, 4)), lambda f, x: f(x[:1], (5, 4))],
    np.concatenate: [lambda f, x: f([x, B]), lambda f, x: f((x, B, x), axis=1), lambda f, x: f([x, I], axis=None)],
    np.concat: [lambda f, x: f([x, x], axis=-1)],
    np.stack: [lambda f, x: f([x, B]), lambda f, x: f([x, B], axis=-1)],
    np.vstack: [lambda f, x: f([x, x[0]]), lambda f, x: f([x[0], V])],
    np.hstack: [lambda f, x: f([x, B]), lambda f, x: f([x[0], V])],
    np.split: [lambda f, x: f(x, 2, axis=1), lambda f, x: f(x, [1, 3], axis=1), lambda f, x: f(x, 3)],
    np.flip: [lambda f, x: f(x), lambda f, x: f(x, 0), lambda f, x: f(x, (0, 1))],
    np.roll: [lambda f, x: f(x, 1), lambda f, x: f(x, -1, axis=1), lambda f, x: f(x, 3, 0), lambda f, x: f(x, 5, axis=1)],
    np.tile: [lambda f, x: f(x, 2), lambda f, x: f(x, (2, 1)), lambda f, x: f(x, (2, 1, 3))],
    np.repeat: [lambda f, x: f(x, 2), lambda f, x: f(x, 3, axis=0), lambda f, x: f(x, 2, axis=-1)],
    np.pad: [lambda f, x: f(x, 1), lambda f, x: f(x, ((1, 0), (2, 1)), constant_values=9),
             lambda f, x: f(x, (1, 2), mode="reflect"), lambda f, x: f(x, 1, mode="edge"), lambda f, x: f(x, 1, "wrap")],
    np.tril: [lambda f, x: f(x), lambda f, x: f(x, -1)],
    np.triu: [lambda f, x: f(x), lambda f, x: f(x, k=1)],
    np.take: [lambda f, x: f(x, np.array([2, 0, -1])), lambda f, x: f(x, [[1, 2], [0, 0]], axis=1)],
    np.take_along_axis: [lambda f, x: f(x, np.array([[0, -1], [1, 1], [2, 3]]), axis=1)],
    np.sort: [lambda f, x: f(x), lambda f, x: f(x, axis=0), lambda f, x: f(x, axis=None)],
    np.argsort: [lambda f, x: f(x), lambda f, x: f(x, axis=0)],
    np.diff: [lambda f, x: f(x), lambda f, x: f(x, 2), lambda f, x: f(x, axis=0)],
    **dict.fromkeys([np.zeros_like, np.ones_like], [lambda f, x: f(x), lambda f, x: f(x, dtype=np.int64)]),
    np.full_like: [lambda f, x: f(x, 2.5), lambda f, x: f(x, 3, dtype=np.int32)],
    np.dot: [lambda f, x: f(x, B.T), lambda f, x: f(x, V), lambda f, x: f(x, 2.0), lambda f, x: f(x, np.ones((2, 4, 3)))],
    np.vdot: [lambda f, x: f(x, B)],
    np.inner: [lambda f, x: f(x, B), lambda f, x: f(x[0], V)],
    np.outer: [lambda f, x: f(x, V), lambda f, x: f(V, x)],
    np.tensordot: [lambda f, x: f(x, B, 2), lambda f, x: f(x, C, ([0, 1], [1, 2])), lambda f, x: f(x, B, axes=(1, 1))],
    np.einsum: [lambda f, x: f("ij,kj->ik", x, B), lambda f, x: f("ij,ij", x, B), lambda f, x: f("ij->ji", x),
                lambda f, x: f("...j,j->...", x, V), lambda f, x: f("ij", x), lambda f, x: f("ba", x)],
    np.trace: [lambda f, x: f(x[:, :3])],
    np.diagonal: [lambda f, x: f(x[:, :3]), lambda f, x: f(C[:, :, :2] + x[0, 0], axis1=0, axis2=2)],
    np.linalg.det: [lambda f, x: f(x[:, :3]), lambda f, x: f(M + x[0, 0])],
}  # fmt: skip


def name_of(function):
    return getattr(function, "__name__", str(function))


def rows(table):
    return [
        pytest.param(function, call, id=f"{name_of(function)}-{i}")
        for function, calls in table.items()
        for i, call in enumerate(calls)
    ]


def numpy_of(result):
    if isinstance(result, tuple | list):
        return [numpy_of(one) for one in result]
    return result.numpy() if isinstance(result, Tensor) else result


def check(result, expected, assert_like):
    """The tracer's own shape and dtype hold too, not only those that the service found."""
    results, expecteds = (x if isinstance(x, tuple | list) else [x] for x in (result, expected))
    assert len(results) == len(expecteds)
    for one, wanted in zip(results, expecteds, strict=True):
        assert isinstance(one, Tensor)
        inferred = one._value.shape
        assert inferred is None or len(inferred) == np.ndim(wanted)
        assert inferred is None or all(size in (None, n) for size, n in zip(inferred, np.shape(wanted), strict=True))
        assert one.dtype == np.asarray(wanted).dtype
        assert_like(one.numpy(), wanted)


@pytest.mark.parametrize(("function", "x"), rows(UNARY))
def test_unary(client, function, x, assert_like):
    with np.errstate(all="ignore"):
        check(function(tensor(x)), function(x), assert_like)


def sides(table):
    """Each call with a tensor on the left, on the right and on both sides; Python numbers stay what they are."""
    found = []
    for row in rows(table):
        function, operands = row.values
        for side, marks in {"left": (1, 0), "right": (0, 1), "both": (1, 1)}.items():
            if all(isinstance(one, np.ndarray) for one, mark in zip(operands, marks, strict=True) if mark):
                found.append(pytest.param(function, operands, marks, id=f"{row.id}-{side}"))
    return found


@pytest.mark.parametrize(("function", "operands", "marks"), sides(BINARY))
def test_binary(client, function, operands, marks, assert_like):
    with np.errstate(all="ignore"):
        expected = function(*operands)
        lifted = (tensor(one) if mark else one for mark, one in zip(marks, operands, strict=True))
        check(function(*lifted), expected, assert_like)


@pytest.mark.parametrize(("function", "call"), rows(CALLS))
def test_call(client, function, call, assert_like):
    with np.errstate(all="ignore"):
        check(call(function, tensor(A)), call(function, A), assert_like)


@pytest.mark.parametrize("dtype", ["float32", "int64", "int32", "bool"])
@pytest.mark.parametrize("function", [np.sum, np.prod, np.mean, np.max, np.min, np.any, np.argmax, np.cumsum, np.var])
def test_result_types_of_reductions(client, function, dtype, assert_like):
    x = (A * 3).astype(dtype)
    check(function(tensor(x)), function(x), assert_like)


def test_the_tables_are_tested_whole():
    assert {*UNARY, *BINARY} == set(_numpy.UFUNCS)
    assert set(CALLS) == set(_numpy.FUNCTIONS)


PAIRS = list(itertools.product(["bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64"], repeat=2))


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_promotion_between_tensors(left, right):
    x, y = np.ones(2, left), np.ones(2, right)
    assert (tensor(x) * tensor(y)).dtype == (x * y).dtype
    assert (tensor(x) / tensor(y)).dtype == (np.float64 if np.result_type(x, y).kind in "biu" else (x / y).dtype)


@pytest.mark.parametrize("dtype", ["int8", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("scalar", [True, 2, 2.5, np.float32(2.5), np.int64(2), np.float64(2.5)])
@pytest.mark.parametrize("apply", [operator.mul, operator.add, operator.gt, operator.sub])
def test_promotion_with_scalars(dtype, scalar, apply):
    x = np.ones(2, dtype)
    assert apply(tensor(x), scalar).dtype == apply(x, scalar).dtype
    assert apply(scalar, tensor(x)).dtype == apply(scalar, x).dtype


def test_a_scalar_that_does_not_fit_is_refused_as_in_numpy():
    with pytest.raises(OverflowError):
        tensor(np.ones(2, "i1")) + 300


OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.matmul,
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne,
]  # fmt: skip


@pytest.mark.parametrize("apply", OPERATORS)
def test_operators(client, apply, assert_like):
    x, y = A[:, :3], B[:, :3]
    check(apply(tensor(x), tensor(y)), apply(x, y), assert_like)
    check(apply(tensor(x), y), apply(x, y), assert_like)
    check(apply(x, tensor(y)), apply(x, y), assert_like)


@pytest.mark.parametrize("apply", [operator.neg, operator.pos, operator.abs, operator.invert])
def test_unary_operators(client, apply, assert_like):
    x = I if apply is operator.invert else A
    check(apply(tensor(x)), apply(x), assert_like)


@pytest.mark.parametrize("apply", [operator.and_, operator.or_, operator.xor])
def test_bit_operators(client, apply, assert_like):
    for x, y in [(T, ~T), (I, J)]:
        check(apply(tensor(x), y), apply(x, y), assert_like)
        check(apply(x, tensor(y)), apply(x, y), assert_like)


def test_powers_and_their_reflection(client, assert_like):
    check(tensor(P) ** 2.5, P**2.5, assert_like)
    check(2.5 ** tensor(A), 2.5**A, assert_like)


METHODS = [
    pytest.param(lambda x: x.sum(axis=1), id="sum"), pytest.param(lambda x: x.mean(), id="mean"),
    pytest.param(lambda x: x.max(axis=0), id="max"), pytest.param(lambda x: x.min(), id="min"),
    pytest.param(lambda x: x.prod(axis=-1, keepdims=True), id="prod"), pytest.param(lambda x: x.var(ddof=1), id="var"),
    pytest.param(lambda x: x.std(axis=1, ddof=1), id="std"), pytest.param(lambda x: x.any(axis=0), id="any"),
    pytest.param(lambda x: x.all(), id="all"), pytest.param(lambda x: x.argmax(axis=1), id="argmax"),
    pytest.param(lambda x: x.argmin(), id="argmin"), pytest.param(lambda x: x.cumsum(axis=0), id="cumsum"),
    pytest.param(lambda x: x.reshape(2, -1), id="reshape"), pytest.param(lambda x: x.reshape((4, 3)), id="reshape-tuple"),
    pytest.param(lambda x: x.transpose(), id="transpose"), pytest.param(lambda x: x.transpose(1, 0), id="transpose-axes"),
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
def test_methods_that_arrays_have_too(client, call, assert_like):
    check(call(tensor(A)), call(A), assert_like)


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
    pytest.param(lambda x: x.expand_dims(1).broadcast_to((3, 2, 4)), np.broadcast_to(A[:, None], (3, 2, 4)), id="expand"),
    pytest.param(lambda x: x.matmul(B.T), A @ B.T, id="matmul"),
    pytest.param(lambda x: x.flatten(1).flatten(-1), A, id="flatten-from"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "expected"), OWN_METHODS)
def test_methods_of_tensors_alone(client, call, expected, assert_like):
    check(call(tensor(A)), expected, assert_like)


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
    (slice(None), np.array([0, 2]), np.array([1, 3])), (slice(None), 1, np.array([0, 3])), (np.array([[0], [1]]), [0, 2]),
    (0, slice(None), np.array([1, 2])), (np.array([0, 1]), 2, np.array([1, 1])), (None, [0, 1], Ellipsis),
    np.array([True, False]), np.int64(1), np.array(1), [],
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing(client, index, assert_like):
    check(tensor(C)[index], C[index], assert_like)


def test_masks(client, assert_like):
    x = tensor(A)
    check(x[A > 0], A[A > 0], assert_like)
    check(x[x > 0], A[A > 0], assert_like)
    assert (x[x > 0]).shape == A[A > 0].shape
    check(x[np.array([True, False, True])], A[[0, 2]], assert_like)


def test_index_by_a_tensor(client, assert_like):
    check(tensor(A)[:, tensor([3, 0])], A[:, [3, 0]], assert_like)
    check(tensor(A)[tensor(np.array(2, "int32"))], A[2], assert_like)


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


def test_in_place_addition_into_an_array_is_refused():
    total = np.zeros(4)
    with pytest.raises(TypeError, match="never change"):
        total += tensor(V)


def test_ufunc_reduce_and_dtype(client, assert_like):
    check(np.add.reduce(tensor(A)), np.add.reduce(A), assert_like)
    check(np.maximum.reduce(tensor(A), axis=1), np.maximum.reduce(A, axis=1), assert_like)
    check(np.add(tensor(I), 1, dtype=np.float64), np.add(I, 1, dtype=np.float64), assert_like)


def test_questions_that_need_no_service():
    x = tensor(A) @ tensor(B.T) + 1
    assert (np.shape(x), np.ndim(x), np.size(x), len(x), x.shape, x.ndim, x.size) == ((3, 3), 2, 9, 3, (3, 3), 2, 9)
    assert x.dtype == np.float64
    assert not x.is_leaf
