"""Branches and loops in whole models: what they capture, how they end, and that no derivative is zero in silence."""

from __future__ import annotations

import threading
import time

import numpy as np
import onnx_ir as ir
import pytest

import graphspec as gs
from graphspec.operators import control_flow
from graphspec.testing import check_derivatives


def _load(text: str, opset: int = 21) -> ir.Model:
    return gs.load(f'<ir_version: 10, opset_import: ["" : {opset}]>\n{text}')


# y = x · wⁿ where c holds, else w; w is used two graphs deeper, by name.
NESTED = """agraph (float[3] x, float[3] w, bool c, int64 n) => (float[3] y) {
    y = If (c) <
        then_branch = yes () => (float[3] t) {
            t = Loop (n, , x) <body = power (int64 i, bool go, float[3] s) => (bool again, float[3] next) {
                again = Identity (go)
                next = If (go) <
                    then_branch = inner () => (float[3] z) { z = Mul (s, w) },
                    else_branch = other () => (float[3] z2) { z2 = Identity (w) }
                >
            }>
        },
        else_branch = no () => (float[3] e) { e = Identity (w) }
    >
}"""
# The outer value k is computed, and only the body reads it.
CAPTURED = """agraph (float[3] x, int64 n) => (float[3] y) {
    k = Sin (x)
    zero = Sub (x, x)
    y = Loop (n, , zero) <body = add (int64 i, bool go, float[3] s) => (bool again, float[3] next) {
        again = Identity (go)
        next = Add (s, k)
    }>
}"""
# x reaches y by two ways; the rule of Add must not hide that the other way has none.
BESIDE = CAPTURED.replace("y = Loop", "part = Loop").replace("}>\n}", "}>\n    y = Add (x, part)\n}")
SCANNED = """agraph (float[3] x, float[4, 3] rows) => (float[3] y, float[4, 3] all) {
    zero = Sub (x, x)
    y, all = Scan <num_scan_inputs = 1, body = add (float[3] s, float[3] row) => (float[3] next, float[3] out) {
        moved = Mul (row, x)
        next = Add (s, moved)
        out = Identity (next)
    }> (zero, rows)
}"""
OWN_WEIGHTS = """agraph (float[3] x, int64 n) => (float[3] y) {
    y = Loop (n, , x) <body = add (int64 i, bool go, float[3] s) => (bool again, float[3] next)
        <float[3] w = {1.0, 2.0, 3.0}> {
        again = Identity (go)
        next = Add (s, w)
    }>
}"""
FOREVER = """agraph (float[3] x, bool go) => (float[3] y) {
    y = Loop (, go, x) <body = same (int64 i, bool go_on, float[3] s) => (bool again, float[3] next) {
        again = Identity (go_on)
        next = Identity (s)
    }>
}"""

X = np.array([1.0, 2.0, 3.0], np.float32)
W = np.array([2.0, 0.5, -1.0], np.float32)
ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.mark.parametrize("optimize", [True, False], ids=["optimized", "plain"])
@pytest.mark.parametrize(
    ("text", "feeds", "expected"),
    [
        (NESTED, {"x": X, "w": W, "c": True, "n": 3}, X * W**3),
        (NESTED, {"x": X, "w": W, "c": True, "n": 0}, X),
        (NESTED, {"x": X, "w": W, "c": False, "n": 3}, W),
        (CAPTURED, {"x": X, "n": 2}, 2 * np.sin(X)),
        (BESIDE, {"x": X, "n": 2}, X + 2 * np.sin(X)),
        (SCANNED, {"x": X, "rows": ROWS}, (ROWS * X).sum(0)),
        (OWN_WEIGHTS, {"x": X, "n": 2}, X + np.array([2, 4, 6])),
    ],
    ids=["nested", "nested-0", "nested-else", "captured", "beside", "scanned", "own-weights"],
)
def test_values(text: str, feeds: dict[str, object], expected: np.ndarray, optimize: bool) -> None:
    found = gs.Session(_load(text), optimize=optimize).run(feeds)
    np.testing.assert_allclose(found["y"], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "feeds", "wrt"),
    [
        (NESTED, {"x": X, "w": W, "c": True, "n": 3}, "x"),
        (NESTED, {"x": X, "w": W, "c": True, "n": 3}, "w"),
        (CAPTURED, {"x": X, "n": 2}, "x"),
        (BESIDE, {"x": X, "n": 2}, "x"),
        (SCANNED, {"x": X, "rows": ROWS}, "x"),
        (SCANNED, {"x": X, "rows": ROWS}, "rows"),
        (OWN_WEIGHTS, {"x": X, "n": 2}, "x"),
    ],
    ids=["nested", "nested-captured", "captured", "beside", "scanned-captured", "scanned", "carried"],
)
def test_no_derivative_is_zero_in_silence(text: str, feeds: dict[str, object], wrt: str) -> None:
    model = _load(text.replace("float[", "double["))
    wide = {k: v.astype(np.float64) if isinstance(v, np.ndarray) else np.asarray(v) for k, v in feeds.items()}
    report = check_derivatives(model, wide, ["y"], [wrt], order=1)
    assert report.checks


def test_a_computed_value_that_a_loop_captures() -> None:
    """y adds k up, n times."""
    found = gs.Session(gs.vjp(_load(CAPTURED), ["y"], ["k"])).run({"x": X, "n": 2, "y_cotangent": W})
    np.testing.assert_allclose(found["k_vjp"], 2 * W)


def test_a_loop_beside_the_way_does_no_harm() -> None:
    """y depends on x without the loop: the loop's own output is another."""
    model = _load(
        CAPTURED.replace("=> (float[3] y)", "=> (float[3] y, float[3] q)").replace("}>\n}", "}>\n    q = Mul (x, x)\n}")
    )
    found = gs.Session(gs.vjp(model, ["q"], ["x"])).run({"x": X, "n": 1, "q_cotangent": W})
    np.testing.assert_allclose(found["x_vjp"], 2 * X * W)
    np.testing.assert_allclose(found["y"], np.sin(X), rtol=1e-6)


def test_an_outer_value_handed_on_by_a_subgraph_is_refused() -> None:
    """ONNX allows it nowhere; the IR would make a stranger of it, with a zero derivative."""
    text = BESIDE.replace("next = Add (s, k)", "same = Identity (s)").replace("float[3] next)", "float[3] k)")
    for transform in (gs.Session, lambda m: gs.vjp(m, ["y"], ["x"])):
        with pytest.raises(gs.ValidationError, match="'k'"):
            transform(_load(text))


def test_a_loop_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_flow, "MAX_TRIPS", 100)
    with pytest.raises(gs.ExecutionError, match=r"100 trips .*MAX_TRIPS"):
        gs.Session(_load(FOREVER)).run({"x": X, "go": True})


def test_a_loop_may_have_as_many_trips_as_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_flow, "MAX_TRIPS", 3)
    assert gs.Session(_load(OWN_WEIGHTS)).run({"x": X, "n": 3})["y"].tolist() == [4, 8, 12]


@pytest.mark.parametrize(
    "text", [FOREVER, FOREVER.replace("again = Identity (go_on)", "").replace("bool again", "bool go_on")]
)
def test_the_deadline_holds_inside_a_loop(text: str) -> None:
    session = gs.Session(_load(text))
    start = time.monotonic()
    with pytest.raises(gs.LimitError, match="deadline"):
        session.run({"x": X, "go": True}, deadline=start + 0.2)
    assert time.monotonic() - start < 5


def test_a_deadline_is_over_with_its_run() -> None:
    """Neither the next run nor a run in another thread has it."""
    session = gs.Session(_load(OWN_WEIGHTS))
    with pytest.raises(gs.LimitError):
        session.run({"x": X, "n": 10}, deadline=time.monotonic() - 1)
    assert session.run({"x": X, "n": 1})["y"].tolist() == [2, 4, 6]
    results: list[object] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append((n, session.run({"x": X, "n": n})["y"].tolist())))
        for n in range(1, 9)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [(n, [1 + n, 2 + 2 * n, 3 + 3 * n]) for n in range(1, 9)]  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("text", "feeds", "match"),
    [
        (SCANNED.replace("float[4, 3] rows", "float[m, 3] rows, float[k, 3] more")
         .replace("num_scan_inputs = 1", "num_scan_inputs = 2")
         .replace("float[3] row)", "float[3] row, float[3] other)")
         .replace("(zero, rows)", "(zero, rows, more)").replace("float[4, 3] all", "float[m, 3] all"),
         {"x": X, "rows": ROWS, "more": ROWS[:2]}, "different lengths"),
        (NESTED.replace("bool c", "bool[k] c"), {"x": X, "w": W, "c": [True, False], "n": 1}, "one element"),
    ],
    ids=["lengths", "condition"],
)  # fmt: skip
def test_values_that_do_not_fit_are_refused(text: str, feeds: dict[str, object], match: str) -> None:
    with pytest.raises(gs.ExecutionError, match=match):
        gs.Session(_load(text)).run(feeds)


def test_range_runs_through_its_body_of_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function body with a loop is expanded and run; here, where the kernel is hidden."""
    from graphspec.operators import registry

    monkeypatch.delitem(registry._REGISTRY, ("", "Range"))
    model = _load("agraph (float a, float b, float d) => (float[n] y) { y = Range (a, b, d) }")
    assert gs.Session(model).run({"a": 1.0, "b": 3.0, "d": 0.5})["y"].tolist() == [1.0, 1.5, 2.0, 2.5]
    assert gs.Session(model).run({"a": 1.0, "b": 0.0, "d": 0.5})["y"].shape == (0,)
