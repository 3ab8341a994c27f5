"""Every row of the client's tables against NumPy: the same Python code on arrays and on tensors."""

from __future__ import annotations

import itertools
import operator

import numpy as np
import pytest

from graphspec_client import Function, _numpy, tensor

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


def each(functions, calls):
    return dict.fromkeys(functions, calls)


# function: the arguments of a call each
UNARY = {
    **each([np.negative, np.positive, np.absolute, np.sign, np.square], [A, I, V.astype("f4"), EDGES]),
    **each([np.exp, np.exp2, np.expm1, np.sin, np.cos, np.tan, np.sinh, np.cosh, np.tanh, np.arcsinh],
                    [A, I, A.astype("f4"), I.astype("i1"), I.astype("i2"), T]),
    **each([np.arctan, np.cbrt, np.degrees, np.rad2deg, np.radians, np.deg2rad, np.fabs], [A, A.astype("f4")]),
    **each([np.log, np.log2, np.log10, np.log1p, np.sqrt], [P, P.astype("f4"), np.abs(J), P * 1e-7, P * 1e7]),
    **each([np.arcsin, np.arccos, np.arctanh], [A / 3, (A / 3).astype("f4")]),
    np.arccosh: [P + 1],
    np.reciprocal: [A, A.astype("f4")],
    **each([np.floor, np.ceil, np.trunc, np.rint], [A * 3, I, A.astype("f4") * 3, np.array([0.5, 1.5, -2.5])]),
    **each([np.isnan, np.isinf, np.isfinite], [EDGES, A, EDGES.astype("f4")]),
    np.logical_not: [A, T, I], np.invert: [T, I, np.abs(J).astype("u1")],
}  # fmt: skip
BINARY = {
    **each([np.add, np.multiply, np.maximum, np.minimum, np.greater, np.greater_equal, np.less, np.less_equal,
                     np.equal, np.not_equal],
                    [(A, B), (A, V), (I, J), (C, V), (A.astype("f4"), B), (I, A), (T, A), (T, ~T), (A, 2.0),
                    (2, I), (I, I)]),
    **each([np.subtract, np.divide, np.floor_divide, np.remainder], [(A, B), (I, J), (A, V), (7, J), (A, 0.75)]),
    np.fmod: [(A, B), (I, J)], np.divmod: [(A, B), (I, J)],
    np.power: [(P, B), (A, 2), (P, 0.5), (2.0, A), (I, 2), (A, np.array([0, 1, 2, 3]))],
    np.arctan2: [(A, B), (0.0, A), (A, np.zeros(4))], np.hypot: [(A, B)], np.logaddexp: [(A, B), (A * 400, B * 400)],
    **each([np.logical_and, np.logical_or, np.logical_xor], [(A, T), (T, ~T), (I, J)]),
    **each([np.bitwise_and, np.bitwise_or, np.bitwise_xor], [(T, ~T), (I, J), (I, 3)]),
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
    **each([np.sum, np.prod, np.mean, np.max, np.amax, np.min, np.amin, np.any, np.all, np.var, np.std,
                     np.count_nonzero, np.linalg.norm],
                    [lambda f, x: f(x), lambda f, x: f(x, axis=0), lambda f, x: f(x, axis=-1, keepdims=True),
                     lambda f, x: f(x[None], axis=(0, 2))]),
    **each([np.argmax, np.argmin],
                    [lambda f, x: f(x), lambda f, x: f(x, axis=0), lambda f, x: f(x, axis=-1, keepdims=True)]),
    np.cumsum: [lambda f, x: f(x), lambda f, x: f(x, axis=1), lambda f, x: f(x, 0)],
    np.allclose: [lambda f, x: f(x, x), lambda f, x: f(x, B)],
    np.reshape: [lambda f, x: f(x, (2, 6)), lambda f, x: f(x, -1), lambda f, x: f(x, (4, -1)),
                  lambda f, x: f(x[:, :0], (0, 5))],
    np.ravel: [lambda f, x: f(x)],
    np.transpose: [lambda f, x: f(x), lambda f, x: f(x[None], (2, 0, 1)), lambda f, x: f(x[None], (-1, 0, 1))],
    np.permute_dims: [lambda f, x: f(x, (1, 0))],
    np.swapaxes: [lambda f, x: f(x, 0, 1), lambda f, x: f(x[None], -1, 0)],
    np.moveaxis: [lambda f, x: f(x[None], 0, -1), lambda f, x: f(x[None], (0, 1), (2, 0))],
    np.expand_dims: [lambda f, x: f(x, 0), lambda f, x: f(x, (-1, 1))],
    np.squeeze: [lambda f, x: f(x[None]), lambda f, x: f(x[None, :, None], axis=0),
                  lambda f, x: f(x[None, :, None], (0, 2))],
    np.broadcast_to: [lambda f, x: f(x, (2, 3, 4)), lambda f, x: f(x[:1], (5, 4))],
    np.concatenate: [lambda f, x: f([x, B]), lambda f, x: f((x, B, x), axis=1), lambda f, x: f([x, I], axis=None)],
    np.concat: [lambda f, x: f([x, x], axis=-1)],
    np.stack: [lambda f, x: f([x, B]), lambda f, x: f([x, B], axis=-1)],
    np.vstack: [lambda f, x: f([x, x[0]]), lambda f, x: f([x[0], V])],
    np.hstack: [lambda f, x: f([x, B]), lambda f, x: f([x[0], V])],
    np.split: [lambda f, x: f(x, 2, axis=1), lambda f, x: f(x, [1, 3], axis=1), lambda f, x: f(x, 3)],
    np.flip: [lambda f, x: f(x), lambda f, x: f(x, 0), lambda f, x: f(x, (0, 1))],
    np.roll: [lambda f, x: f(x, 1), lambda f, x: f(x, -1, axis=1), lambda f, x: f(x, 3, 0),
                  lambda f, x: f(x, 5, axis=1)],
    np.tile: [lambda f, x: f(x, 2), lambda f, x: f(x, (2, 1)), lambda f, x: f(x, (2, 1, 3))],
    np.repeat: [lambda f, x: f(x, 2), lambda f, x: f(x, 3, axis=0), lambda f, x: f(x, 2, axis=-1)],
    np.pad: [lambda f, x: f(x, 1), lambda f, x: f(x, ((1, 0), (2, 1)), constant_values=9),
             lambda f, x: f(x, (1, 2), mode="reflect"), lambda f, x: f(x, 1, mode="edge"),
                           lambda f, x: f(x, 1, "wrap")],
    np.tril: [lambda f, x: f(x), lambda f, x: f(x, -1)],
    np.triu: [lambda f, x: f(x), lambda f, x: f(x, k=1)],
    np.take: [lambda f, x: f(x, np.array([2, 0, -1])), lambda f, x: f(x, [[1, 2], [0, 0]], axis=1)],
    np.take_along_axis: [lambda f, x: f(x, np.array([[0, -1], [1, 1], [2, 3]]), axis=1)],
    np.sort: [lambda f, x: f(x), lambda f, x: f(x, axis=0), lambda f, x: f(x, axis=None)],
    np.argsort: [lambda f, x: f(x), lambda f, x: f(x, axis=0)],
    np.diff: [lambda f, x: f(x), lambda f, x: f(x, 2), lambda f, x: f(x, axis=0)],
    **each([np.zeros_like, np.ones_like], [lambda f, x: f(x), lambda f, x: f(x, dtype=np.int64)]),
    np.full_like: [lambda f, x: f(x, 2.5), lambda f, x: f(x, 3, dtype=np.int32)],
    np.dot: [lambda f, x: f(x, B.T), lambda f, x: f(x, V), lambda f, x: f(x, 2.0),
                  lambda f, x: f(x, np.ones((2, 4, 3)))],
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


@pytest.mark.parametrize(("function", "x"), rows(UNARY))
def test_unary(client, function, x, check):
    with np.errstate(all="ignore"):
        check(function(tensor(x)), function(x))


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
def test_binary(client, function, operands, marks, check):
    with np.errstate(all="ignore"):
        expected = function(*operands)
        lifted = (tensor(one) if mark else one for mark, one in zip(marks, operands, strict=True))
        check(function(*lifted), expected)


@pytest.mark.parametrize(("function", "call"), rows(CALLS))
def test_call(client, function, call, check):
    with np.errstate(all="ignore"):
        check(call(function, tensor(A)), call(function, A))


WANT_NUMBERS = {"split-1"}  # cutting before indices


@pytest.mark.parametrize(("function", "call"), [row for row in rows(CALLS) if row.id not in WANT_NUMBERS])
def test_call_with_symbols_for_sizes(client, function, call, assert_like):
    """The same graph, but that it knows no size of its input beforehand."""
    traced = Function(lambda x: call(function, x))
    arguments = traced.arguments((A,), {})
    with np.errstate(all="ignore"):
        expected = call(function, A)
        program = traced._trace(arguments, ["rows", "columns"]).program
    found = client.run(program.document, dict.fromkeys(program.document["inputs"], A))
    for one, wanted in zip(found.values(), expected if isinstance(expected, list) else [expected], strict=True):
        assert_like(one, wanted)


@pytest.mark.parametrize("dtype", ["float32", "int64", "int32", "bool"])
@pytest.mark.parametrize("function", [np.sum, np.prod, np.mean, np.max, np.min, np.any, np.argmax, np.cumsum, np.var])
def test_result_types_of_reductions(client, function, dtype, check):
    x = (A * 3).astype(dtype)
    check(function(tensor(x)), function(x))


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


def test_ufunc_reduce_and_dtype(client, check):
    check(np.add.reduce(tensor(A)), np.add.reduce(A))
    check(np.maximum.reduce(tensor(A), axis=1), np.maximum.reduce(A, axis=1))
    check(np.add(tensor(I), 1, dtype=np.float64), np.add(I, 1, dtype=np.float64))
