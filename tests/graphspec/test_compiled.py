"""Compiled plans against plain kernels: the same numbers, memory that is the caller's, threads, deadlines, errors."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

import graphspec as gs
from graphspec.runtime.arena import Lifetime, lay_out, lower_bound

HEAD = '<ir_version: 10, opset_import: ["" : 21]>\n'
CHAIN = HEAD + (
    "g (float[N,4] x, float[4,3] w) => (float[N,3] y, float[3,N] t) <float[3] b = {0.5, -1, 2}> {"
    " h = MatMul(x, w)\n a = Add(h, b)\n y = Tanh(a)\n r = Relu(a)\n t = Transpose<perm=[1,0]>(r) }"
)


def feeds(rows: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"x": rng.standard_normal((rows, 4)).astype("f"), "w": rng.standard_normal((4, 3)).astype("f")}


def expected(given: dict[str, Any]) -> dict[str, Any]:
    a = given["x"] @ given["w"] + np.array([0.5, -1, 2], "f")
    return {"y": np.tanh(a), "t": np.maximum(a, 0).T}


def assert_equal(results: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert results.keys() == wanted.keys()
    for name, value in wanted.items():
        assert results[name].shape == value.shape
        np.testing.assert_allclose(results[name], value, rtol=1e-6, atol=1e-6)


def test_each_set_of_shapes_and_each_order_of_feeds_gives_the_same_numbers() -> None:
    session = gs.Session(gs.load(CHAIN))
    for rows in (2, 5, 2, 5, 2, 0, 0, 0):
        given = feeds(rows, rows)
        assert_equal(session.run(given), expected(given))
        assert_equal(session.run(dict(reversed(given.items()))), expected(given))


def test_two_inputs_of_one_shape_are_not_mistaken_for_each_other() -> None:
    session = gs.Session(gs.load(HEAD + "g (float[2] x, float[2] y) => (float[2] z) { z = Sub(x, y) }"))
    x, y = np.array([1, 2], "f"), np.array([5, 7], "f")
    for given in ({"y": y, "x": x}, {"x": x, "y": y}, {"y": y, "x": x}):
        np.testing.assert_array_equal(session.run(given)["z"], x - y)


def test_results_outlive_the_next_run_and_may_be_written_to() -> None:
    session = gs.Session(gs.load(CHAIN))
    runs = [(feeds(3, seed), session.run(feeds(3, seed))) for seed in range(6)]
    for given, results in runs:
        assert_equal(results, expected(given))
        for array in results.values():
            array[...] = np.nan
    assert_equal(session.run(feeds(3)), expected(feeds(3)))


@pytest.mark.parametrize(
    ("body", "twins"),
    [
        pytest.param("y = Identity(x)\n z = Identity(x)", True, id="a-feed"),
        pytest.param("y = Neg(x)\n z = Identity(y)", True, id="one-value-twice"),
        pytest.param("t = Neg(x)\n y = Reshape(t, s)\n z = Reshape(t, s)", True, id="two-views"),
        pytest.param("y = Neg(x)\n u = Neg(y)\n z = Neg(u)", True, id="the-same-numbers"),
        pytest.param("y = Transpose(w)\n z = Transpose(w)", True, id="a-weight"),
    ],
)
def test_no_two_results_share_memory_with_each_other_or_with_feeds(body: str, *, twins: bool) -> None:
    weights = "<int64[2] s={2,2}, float[2,2] w={1,2,3,4}>"
    graph = f"g (float[2,2] x) => (float[2,2] y, float[2,2] z) {weights} {{{body}}}"
    session = gs.Session(gs.load(HEAD + graph))
    x = np.array([[1, 2], [3, 4]], "f")
    first = session.run({"x": x})
    again = session.run({"x": x})
    assert np.array_equal(first["y"], first["z"]) == twins
    arrays = [x, *first.values(), *again.values()]
    for i, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in arrays[i + 1 :])


def test_feeds_of_any_layout_and_type_are_taken() -> None:
    session = gs.Session(gs.load(CHAIN))
    plain = feeds(4)
    odd: list[dict[str, Any]] = [
        plain,
        {**plain, "x": np.asfortranarray(plain["x"])},
        {**plain, "x": np.repeat(plain["x"], 2, axis=0)[::2]},
        {**plain, "x": plain["x"].tolist()},
        {**plain, "x": plain["x"].astype(">f4").astype("<f4")},
        {**plain, "x": np.ma.masked_array(plain["x"])},
    ]
    for given in odd + odd:
        assert_equal(session.run(given), expected(plain))
    with pytest.raises(gs.FeedError):
        session.run({**plain, "x": plain["x"].astype("d")})


def test_parameters_that_are_fed_win_and_are_forgotten() -> None:
    session = gs.Session(gs.load(CHAIN))
    given = feeds(2)
    for b in (None, np.zeros(3, "f"), None, np.ones(3, "f"), np.zeros(3, "f"), None):
        wanted = given["x"] @ given["w"] + (np.array([0.5, -1, 2], "f") if b is None else b)
        results = session.run(given if b is None else {**given, "b": b})
        np.testing.assert_allclose(results["y"], np.tanh(wanted), rtol=1e-6)


def test_threads_share_a_session() -> None:
    session = gs.Session(gs.load(CHAIN))
    wrong: list[int] = []

    def work(seed: int) -> None:
        for i in range(150):
            given = feeds(3 + i % 2, seed * 1000 + i)
            try:
                assert_equal(session.run(given), expected(given))
            except AssertionError:
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_deadlines_hold_in_compiled_plans() -> None:
    session = gs.Session(gs.load(CHAIN))
    given = feeds(20000)
    for _ in range(3):
        session.run(given)
    with pytest.raises(gs.LimitError) as caught:
        session.run(given, deadline=time.monotonic() - 1)
    assert caught.value.problems[0].code == "deadline"
    assert_equal(session.run(given), expected(given))


def test_a_kernel_that_refuses_is_named_with_what_it_was_given() -> None:
    session = gs.Session(gs.load(HEAD + "g (float[3] x, int64[1] i) => (float[1] y) { z = Neg(x)\n y = Gather(z, i) }"))
    x = np.ones(3, "f")
    for _ in range(2):
        assert session.run({"x": x, "i": np.array([1])})["y"] == -1
        with pytest.raises(gs.ExecutionError) as caught:
            session.run({"x": x, "i": np.array([3])})
        (problem,) = caught.value.problems
        assert problem.node == "Gather_y"
        assert problem.found is not None
        assert "float32[3]" in problem.found


LARGE = {"x": (700, 500), "row": (500,), "column": (700, 1), "one": (1, 1), "same": (700, 500)}


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        pytest.param("a = Mul(x, same)\n b = Sin(a)\n y = Add(b, x)", "y", id="one-shape"),
        pytest.param("a = Add(x, row)\n b = Mul(a, column)\n c = Sub(b, one)\n y = Relu(c)", "y", id="broadcast"),
        pytest.param("a = Greater(x, row)\n b = Exp(x)\n y = Where(a, b, column)", "y", id="where"),
        pytest.param("a = Neg(x)\n y = Tanh(a)\n z = Mul(y, a)\n w = Add(z, z)", "y, w", id="between-is-an-output"),
        pytest.param("a = Neg(x)\n b = Transpose(a)\n c = Tanh(a)\n d = Transpose(c)\n y = Sub(b, d)", "y", id="views"),
        pytest.param(
            "a = Neg(x)\n b = Add(a, one)\n s = ReduceSum(b)\n c = Div(b, s)\n y = Mul(c, a)", "y", id="sum-between"
        ),
        pytest.param("a = Cast<to=11>(x)\n b = Mul(a, a)\n c = Cast<to=1>(b)\n y = Sqrt(c)", "y", id="dtypes"),
        pytest.param("a = Max(x, row, same)\n b = Sum(a, column, x)\n y = Sigmoid(b)", "y", id="variadic"),
    ],
)
def test_elementwise_chains_in_blocks_give_the_numbers_of_whole_arrays(body: str, outputs: str) -> None:
    rng = np.random.default_rng(0)
    given = {name: rng.standard_normal(shape).astype("f") for name, shape in LARGE.items()}
    declared = ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in LARGE.items())
    results = ", ".join(f"float[A,B] {name}" for name in outputs.split(", "))
    model = gs.load(HEAD + f"g ({declared}) => ({results}) {{ {body} }}")
    fast, plain = gs.Session(model).run(given), gs.Session(model, optimize=False).run(given)
    for name, value in plain.items():
        np.testing.assert_allclose(fast[name], value, rtol=1e-5, atol=1e-6)


def test_what_lives_at_once_never_overlaps_and_little_is_wasted() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 40, 300, 2000):
        starts = rng.integers(0, count, count)
        lives = [Lifetime(int(rng.integers(0, 5000)), int(s), int(s + rng.integers(0, 12))) for s in starts]
        offsets, total = lay_out(lives)
        spans = sorted(zip(lives, offsets, strict=True), key=lambda span: span[0].first)
        for i, (a, at) in enumerate(spans):
            for b, bt in spans[i + 1 :]:
                if b.first > a.last:
                    break
                assert at + a.nbytes <= bt or bt + b.nbytes <= at or not a.nbytes or not b.nbytes
            assert at + a.nbytes <= total
        assert total >= lower_bound(lives)
        if 40 <= count <= 300:
            assert total <= 1.25 * lower_bound(lives)


@pytest.mark.parametrize(
    ("body", "more"),
    [
        pytest.param("y = Reshape(x, s)", {"s": np.array([3, 2])}, id="reshape"),
        pytest.param("z = Reshape(x, s)\n y = Neg(z)", {"s": np.array([3, 2])}, id="reshape-then-neg"),
        pytest.param("c = ConstantOfShape(s)\n y = Exp(c)", {"s": np.array([1, 3])}, id="then-exp"),
        pytest.param("z = Expand(r, s)\n y = Neg(z)", {"s": np.array([1, 3])}, id="expand"),
    ],
)
def test_declared_shapes_that_the_run_contradicts_do_not_shape_the_result(body: str, more: dict[str, Any]) -> None:
    graph = "g (float[2,3] x, float[3] r, int64[2] s) => (float[2,3] y) <float[2,3] z, float[2,3] c>"
    model = gs.load(HEAD + f"{graph} {{ {body} }}")
    given = {"x": np.arange(6, dtype="f").reshape(2, 3), "r": np.ones(3, "f"), **more}
    plain = gs.Session(model, optimize=False).run(given)["y"]
    session = gs.Session(model)
    for _ in range(3):
        found = session.run(given)["y"]
        assert found.shape == plain.shape
        np.testing.assert_array_equal(found, plain)
