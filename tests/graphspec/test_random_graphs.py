"""Random graphs: every derivative in several ways that must agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import random_graphs
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, NotImplemented

import graphspec as gs

DIMS = ("static", "symbolic", "shared", "unknown")
# As many runs as make a session compile its plan, and once more.
RUNS = 3


def _close(found: Any, expected: Any, what: str, rtol: float = 1e-9) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, what
    assert found.dtype == expected.dtype, what
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * scale, err_msg=what)


def _run(model: Any, feeds: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The values by plain kernels; those of compiled plans must be the same, however often they ran."""
    plain = gs.Session(model, optimize=False).run(feeds, fetches=names)
    session = gs.Session(model)
    for i in range(RUNS):
        again = session.run(feeds, fetches=names)
        for name in names:
            _close(again[name], plain[name], f"{name} of run {i}")
    return plain


def _slope(model: Any, feeds: dict[str, Any], along: dict[str, Any], weights: dict[str, Any]) -> tuple[float, float]:
    """Five-point central difference of Σ weights · of along a direction, and how far two steps are apart."""
    session = gs.Session(model, optimize=False)

    def at(t: float) -> float:
        values = session.run({**feeds, **{x: feeds[x] + t * d for x, d in along.items()}}, fetches=list(weights))
        return sum(float(np.sum(values[y] * w)) for y, w in weights.items())

    slopes = [(8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h) for h in (1e-3, 5e-4)]
    return slopes[1], abs(slopes[0] - slopes[1])


def _check(seed: int) -> None:
    g = random_graphs.grow(seed)
    rng = np.random.default_rng([seed, 1])
    names = list(g.values)
    dims = DIMS[seed % len(DIMS)]
    proto = random_graphs.model_of(g, dims, names[len(g.leaves) :] or names)
    model = gs.load(proto)
    feeds = {x: g.values[x] for x in g.leaves}
    values = _run(model, feeds, names)
    for name in names:
        _close(values[name], g.values[name], name)
    # Outputs that others are computed from, inputs, and values that are asked for on both sides.
    of = [str(n) for n in rng.permutation(names[len(g.leaves) :])[: rng.integers(1, 4)]]
    leaves = rng.random() < 0.7
    wrt = [str(n) for n in rng.permutation(g.leaves if leaves else names)[: rng.integers(1, 4)]]
    if rng.random() < 0.1:
        of.append(wrt[0])
        of = list(dict.fromkeys(of))
    try:
        derived = gs.vjp(model, of, wrt, allow_unused=True)
        forward = gs.jvp(model, of, wrt, allow_unused=True)
    except gs.NoGradientRule as error:
        if dims == "static" or "rank" not in str(error):
            raise
        return
    weights = {y: rng.standard_normal(values[y].shape) for y in of}
    along = {x: rng.standard_normal(values[x].shape) for x in wrt}
    pulling = {**feeds, **{f"{y}_cotangent": w for y, w in weights.items()}}
    pulled = _run(derived, pulling, [f"{x}_vjp" for x in wrt])
    pushed = _run(forward, {**feeds, **{f"{x}_tangent": d for x, d in along.items()}}, [f"{y}_jvp" for y in of])
    for x in wrt:
        assert pulled[f"{x}_vjp"].shape == values[x].shape
        assert pulled[f"{x}_vjp"].dtype == np.float64
    back = sum(float(np.sum(pulled[f"{x}_vjp"] * d)) for x, d in along.items())
    ahead = sum(float(np.sum(pushed[f"{y}_jvp"] * w)) for y, w in weights.items())
    np.testing.assert_allclose(ahead, back, rtol=1e-8, atol=1e-8, err_msg="forward against reverse")
    if leaves:
        slope, doubt = _slope(model, feeds, along, weights)
        np.testing.assert_allclose(back, slope, rtol=1e-6, atol=1e-6 + 10 * doubt, err_msg="against differences")
    _many(model, of, wrt, feeds, weights, {**pulled}, rng)
    _on_onnxruntime(derived, pulling, pulled)


def _many(model: Any, of: list[str], wrt: list[str], feeds: Any, weights: Any, single: Any, rng: Any) -> None:
    """Two cotangents in one run: the one of before, and another, by linearity."""
    derived = gs.vjp(model, of, wrt, seeds=3, allow_unused=True)
    other = {y: rng.standard_normal(w.shape) for y, w in weights.items()}
    stacked = {f"{y}_cotangent": np.stack([w, other[y], w + 2 * other[y]]) for y, w in weights.items()}
    found = _run(derived, {**feeds, **stacked}, [f"{x}_vjp" for x in wrt])
    for x in wrt:
        rows = found[f"{x}_vjp"]
        _close(rows[0], single[f"{x}_vjp"], f"{x} of the first seed", 1e-8)
        _close(rows[2], rows[0] + 2 * rows[1], f"{x} of the seeds together", 1e-8)


def _on_onnxruntime(derived: ir.Model, feeds: Any, pulled: Any) -> None:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = ort.InferenceSession(
            ir.to_proto(derived).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except (NotImplemented, Fail):  # no kernel in float64
        return
    taken = {i.name for i in session.get_inputs()}
    theirs = session.run(list(pulled), {k: v for k, v in feeds.items() if k in taken})
    for name, other in zip(pulled, theirs, strict=True):
        _close(other, pulled[name], f"{name} on ONNX Runtime", 1e-6)


# The last one: seeds through Gemm of unknown ranks.
FAST = [*range(20), 3127]


@pytest.mark.parametrize("seed", FAST)
def test_derivatives_of_a_random_graph(seed: int) -> None:
    _check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(12))
def test_derivatives_of_many_random_graphs(block: int) -> None:
    for seed in range(1000 + 25 * block, 1025 + 25 * block):
        try:
            _check(seed)
        except Exception as error:
            raise AssertionError(f"The graph of seed {seed}: {error}") from error
