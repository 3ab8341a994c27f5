"""Whole matrices from batched runs: against products one by one, in both modes, whole and in slices."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import graphspec as gs
from graphspec.optimize import peak_bytes
from whole_models import whole

HEAD = '<ir_version: 10, opset_import: ["" : 21]>\n'
# Body, what to differentiate, with respect to what, feeds; N is 2, a dimension may be called as ours are.
MODELS: dict[str, tuple[str, list[str], list[str], dict[str, tuple[int, ...]]]] = {
    "two-by-two": (
        "g (double[N,3] x, double[3,2] w) => (double[N,2] y, double[N] z) { h = MatMul(x, w)\n y = Tanh(h)\n"
        " z = ReduceLogSumExp<keepdims=0>(y, a) }",
        ["y", "z"], ["x", "w"], {"x": (2, 3), "w": (3, 2)},
    ),
    "named-as-ours": (
        "g (double[seeds,seeds_1] x) => (double[seeds_1] y) { h = Sin(x)\n y = ReduceProd<keepdims=0>(h, a0) }",
        ["y"], ["x"], {"x": (2, 3)},
    ),
    "convolution": (
        "g (double[1,2,4,4] x, double[3,2,3,3] k) => (double[1,3,2,2] y) { c = Conv<kernel_shape=[3,3]>(x, k)\n"
        " y = Softplus(c) }",
        ["y"], ["x", "k"], {"x": (1, 2, 4, 4), "k": (3, 2, 3, 3)},
    ),
    "scalar": (
        "g (double x, double[2] w) => (double[2] y) { y = Pow(w, x) }",
        ["y"], ["x", "w"], {"x": (), "w": (2,)},
    ),
}  # fmt: skip


def case(name: str, rng: np.random.Generator) -> tuple[ir.Model, list[str], list[str], dict[str, np.ndarray]]:
    body, of, wrt, shapes = MODELS[name]
    text = HEAD + body.replace(" {", " <int64[1] a = {1}, int64[1] a0 = {0}> {", 1)
    return ir.from_onnx_text(text), of, wrt, {x: rng.uniform(0.5, 1.5, shape) for x, shape in shapes.items()}


def one_by_one(model: ir.Model, of: list[str], wrt: list[str], feeds: Any) -> dict[tuple[str, str], np.ndarray]:
    """The rows from as many vector-Jacobian products."""
    values = gs.Session(model).run(feeds, fetches=[*of, *wrt])
    session = gs.Session(gs.vjp(model, of, wrt))
    found = {(y, x): np.empty(values[y].shape + values[x].shape) for y in of for x in wrt}
    for y in of:
        for index in np.ndindex(values[y].shape):
            cotangents = {f"{z}_cotangent": np.zeros(values[z].shape) for z in of}
            cotangents[f"{y}_cotangent"][index] = 1
            row = session.run({**feeds, **cotangents})
            for x in wrt:
                found[y, x][index] = row[f"{x}_vjp"]
    return found


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_batched_run_has_the_rows_of_runs_one_by_one(name: str, mode: Any, rng: np.random.Generator) -> None:
    model, of, wrt, feeds = case(name, rng)
    rows = one_by_one(model, of, wrt, feeds)
    jacobian = gs.Jacobian(model, of, wrt, mode=mode)
    for batch_bytes in (1 << 28, 2000, 1):
        _, found = jacobian.run(feeds, batch_bytes=batch_bytes)
        for y in of:
            for x in wrt:
                assert found[y][x].flags.c_contiguous
                np.testing.assert_allclose(found[y][x], rows[y, x], rtol=1e-9, atol=1e-12)


def test_hessians_are_symmetric_and_the_same_in_slices(rng: np.random.Generator) -> None:
    model, feeds, parameters = whole("perceptron", np.float64)
    wrt = parameters[-3:]
    hessian = gs.Hessian(model, "loss", wrt)
    _, found = hessian.run(feeds)
    for batch_bytes in (20_000, 1):
        _, sliced = hessian.run(feeds, batch_bytes=batch_bytes)
        for x in wrt:
            for z in wrt:
                rank = found[x][x].ndim // 2
                turned = np.moveaxis(found[z][x], range(-rank, 0), range(rank))
                np.testing.assert_allclose(found[x][z], turned, atol=1e-12)
                np.testing.assert_allclose(sliced[x][z], found[x][z], atol=1e-12)
    assert any(np.abs(found[x][z]).max() > 1e-3 for x in wrt for z in wrt)


def batches(monkeypatch: pytest.MonkeyPatch, seeded: str) -> list[int]:
    """How many seeds each run from now on has."""
    sizes: list[int] = []
    run = gs.Session.run

    def counted(self: gs.Session, feeds: Any, *args: Any, **rest: Any) -> Any:
        sizes.extend(len(array) for name, array in feeds.items() if name == seeded)
        return run(self, feeds, *args, **rest)

    monkeypatch.setattr(gs.Session, "run", counted)
    return sizes


def test_slices_are_as_large_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed takes its own row, the cotangent times the exponential: two rows of 800 bytes at once; so do x and y."""
    model = ir.from_onnx_text(HEAD + "g (double[100] x) => (double[100] y) { y = Exp(x) }")
    jacobian = gs.Jacobian(model, ["y"], ["x"], mode="reverse")
    sizes = batches(monkeypatch, "y_cotangent")
    feeds = {"x": np.ones(100)}
    expected = np.e * np.eye(100)
    for limit, wanted in ((1 << 28, [100]), (1600 + 40 * 1600, [40, 40, 20]), (1600 + 41 * 1600 - 1, [40, 40, 20])):
        sizes.clear()
        np.testing.assert_allclose(jacobian.run(feeds, batch_bytes=limit)[1]["y"]["x"], expected)
        assert sizes == wanted
    sizes.clear()
    jacobian.run(feeds, batch_bytes=0)
    assert sizes == [1] * 100


@pytest.mark.parametrize(
    ("columns", "rows", "mode"), [(2, 100, "forward"), (100, 2, "reverse"), (10, 12, "reverse"), (10, 16, "forward")]
)
def test_a_seed_of_forward_mode_counts_for_more(
    columns: int, rows: int, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = f"g (float[{columns}] x, float[{columns},{rows}] w) => (float[{rows}] y) {{ y = MatMul(x, w) }}"
    jacobian = gs.Jacobian(ir.from_onnx_text(HEAD + body), ["y"], ["x"])
    sizes = batches(monkeypatch, "x_tangent" if mode == "forward" else "y_cotangent")
    w = np.random.default_rng(0).standard_normal((columns, rows)).astype(np.float32)
    _, found = jacobian.run({"x": np.ones(columns, np.float32), "w": w})
    assert sizes == [columns if mode == "forward" else rows]
    np.testing.assert_allclose(found["y"]["x"], w.T)


def test_a_deadline_holds_for_every_slice() -> None:
    model = ir.from_onnx_text(HEAD + "g (double[5] x) => (double[5] y) { y = Exp(x) }")
    jacobian = gs.Jacobian(model, ["y"], ["x"])
    assert jacobian.run({"x": np.ones(5)}, deadline=time.monotonic() + 60, batch_bytes=1)[1]["y"]["x"].shape == (5, 5)
    with pytest.raises(gs.LimitError):
        jacobian.run({"x": np.ones(5)}, deadline=time.monotonic() - 1)


@pytest.mark.parametrize(
    ("body", "shapes", "expected"),
    [
        pytest.param("g (double[N] x) => (double[N] y) { a = Exp(x)\n b = Exp(a)\n y = Exp(b) }", {"x": (10,)}, 240,
                     id="chain"),  # x, and two of the chain at a time
        pytest.param("g (float[N] x, float[M] w) => (float y) { a = Expand(x, s)\n y = ReduceSum<keepdims=0>(a) }",
                     {"x": (1,), "w": (6,)}, 4 + 24 + 16 + 4, id="float"),
        pytest.param("g (bool[N] x) => (int64[2,M] y) { y = NonZero(x) }", {"x": (10,)}, 20, id="unknown"),
    ],
)  # fmt: skip
def test_predicted_memory(body: str, shapes: dict[str, tuple[int, ...]], expected: int) -> None:
    model = ir.from_onnx_text(HEAD + body.replace(" {", " <int64[1] s = {4}> {", 1))
    assert peak_bytes(model, shapes) == expected
