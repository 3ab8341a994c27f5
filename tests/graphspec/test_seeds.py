"""Many cotangents or tangents in one run: held against one run for each, on ONNX Runtime too."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphspec as gs
from samples import ALL, Sample
from samples.build import arrays_of, build, wrt_names
from whole_models import WHOLE, whole

HEAD = '<ir_version: 10, opset_import: ["" : 21]>\n'
SEEDS = 3
# What the vectors of a product belong to, and what its results do.
SIDES = {"vjp": ("of", "cotangent", "wrt"), "jvp": ("wrt", "tangent", "of"), "hvp": ("wrt", "tangent", "wrt")}


def text(body: str) -> ir.Model:
    return ir.from_onnx_text(HEAD + body)


def vectors(kind: str, of: list[str], wrt: list[str], values: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    role, word, _ = SIDES[kind]
    return {
        f"{n}_{word}": np.asarray(rng.standard_normal((SEEDS, *values[n].shape)), values[n].dtype)
        for n in {"of": of, "wrt": wrt}[role]
    }


def assert_same(
    kind: str, model: ir.Model, feeds: Any, of: list[str], wrt: list[str], rng: np.random.Generator,
    seeds: int | str = SEEDS, provider: Any = "numpy",
) -> ir.Model:  # fmt: skip
    """One run with seeds gives what as many runs without give; the model with seeds."""
    target: Any = of[0] if kind == "hvp" else of
    one: ir.Model = getattr(gs, kind)(model, target, wrt)
    many: ir.Model = getattr(gs, kind)(model, target, wrt, seeds=seeds)
    for side in ("inputs", "outputs"):
        names = [[v.name for v in getattr(m.graph, side)] for m in (one, many)]
        assert names[0] == names[1]
    given = vectors(kind, of, wrt, gs.Session(model).run(feeds, fetches=[*of, *wrt], seed=1), rng)
    single = gs.Session(one, provider=provider)  # the same, so that its own faults are no difference
    rows = [single.run({**feeds, **{n: v[i] for n, v in given.items()}}, seed=1) for i in range(SEEDS)]
    found = gs.Session(many, provider=provider).run({**feeds, **given}, seed=1)
    results = {f"{n}_{kind}" for n in {"of": of, "wrt": wrt}[SIDES[kind][2]]}
    for name, array in found.items():
        expected = np.stack([row[name] for row in rows]) if name in results else rows[0][name]
        assert array.shape == expected.shape
        assert array.dtype == expected.dtype
        exact = array.dtype == np.float64
        scale = max(1.0, float(np.abs(expected[np.isfinite(expected)]).max(initial=0)))
        np.testing.assert_allclose(
            array, expected, rtol=1e-9 if exact else 1e-3, atol=scale * (1e-9 if exact else 1e-3)
        )
    return many


DIFFERENTIABLE = [s for s in ALL if s.of]
# One of each way that seeds go through a rule.
FRUGAL = {
    "Conv-groups", "ConvTranspose-groups", "RNN-lengths", "GatherND-batch", "ScatterND-mul",
    "DFT-longer", "RoiAlign-moving", "DeformConv-plain", "TensorScatter-linear", "Pad-reflect-axes", "STFT-17",
    "MatMul-3-by-2x3x4", "Split-uneven", "Trilu-upper", "CumSum-axis0-00", "DepthToSpace-DCR", "PRelu-by-column",
}  # fmt: skip


WAYS: list[tuple[bool, int | str]] = [(False, SEEDS), (True, SEEDS), (True, "many")]


def check_sample(sample: Sample, kind: str, ways: list[tuple[bool, int | str]] = WAYS) -> None:
    of, wrt = [f"y{i}" for i in sample.of], wrt_names(sample)
    for symbolic, seeds in ways:
        rng = np.random.default_rng(zlib.crc32(sample.label.encode()))
        arrays = arrays_of(sample, np.float32 if sample.narrow else np.float64, rng)
        model, feeds = build(sample, arrays, symbolic=symbolic)
        try:
            getattr(gs, kind)(model, of, wrt)
        except gs.NoGradientRule:  # some need their shapes, which without seeds is said too
            assert symbolic
            continue
        assert_same(kind, model, feeds, of, wrt, rng, seeds)


def test_the_samples_named_are_there() -> None:
    assert {s.label for s in DIFFERENTIABLE} >= FRUGAL


@pytest.mark.parametrize("sample", [s for s in DIFFERENTIABLE if s.label in FRUGAL], ids=lambda s: s.label)
def test_seeds_are_as_many_runs(sample: Sample) -> None:
    check_sample(sample, "vjp", [WAYS[0], WAYS[2]])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vjp", "jvp"])
@pytest.mark.parametrize("sample", DIFFERENTIABLE, ids=lambda s: s.label)
def test_seeds_of_every_operator_are_as_many_runs(sample: Sample, kind: str) -> None:
    if kind == "vjp" or sample.order >= 2:
        check_sample(sample, kind)


@pytest.mark.slow
@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("sample", [s for s in DIFFERENTIABLE if s.forward], ids=lambda s: s.label)
def test_seeds_of_every_operator_are_portable(sample: Sample, symbolic: bool) -> None:
    rng = np.random.default_rng(zlib.crc32(sample.label.encode()))
    model, feeds = build(sample, arrays_of(sample, np.float32, rng), symbolic=symbolic)
    of, wrt = [f"y{i}" for i in sample.of], wrt_names(sample)
    try:
        one = gs.vjp(model, of, wrt)
    except gs.NoGradientRule:
        pytest.skip("it needs its shapes, without seeds too")
    values = gs.Session(model).run(feeds, fetches=of)
    vector = {n: v[0] for n, v in vectors("vjp", of, wrt, values, rng).items()}
    try:
        gs.Session(one, provider="onnxruntime").run({**feeds, **vector})
    except gs.GraphSpecError:
        pytest.skip("ONNX Runtime does not run it without seeds either")
    many = assert_same("vjp", model, feeds, of, wrt, rng, provider="onnxruntime")
    if not symbolic:  # ONNX's inference leaves some values without a shape, which its own checker then asks for
        onnx.checker.check_model(ir.to_proto(many), full_check=True)


@pytest.mark.parametrize("seeds", [SEEDS, "many"])
@pytest.mark.parametrize(
    ("name", "kind"), [(n, k) for n in sorted(WHOLE) for k in SIDES if k != "hvp" or n == "perceptron"]
)
def test_whole_models_with_seeds(name: str, seeds: int | str, kind: str, rng: np.random.Generator) -> None:
    model, feeds, parameters = whole(name, np.float32)
    wrt = ["x", *parameters]
    many = assert_same(kind, model, feeds, [WHOLE[name][1]], wrt, rng, seeds, provider="onnxruntime")
    onnx.checker.check_model(ir.to_proto(many), full_check=True)
    assert "Scan" not in {n.op_type for n in many.graph}
    first = many.graph.inputs[-1].shape
    assert first is not None
    assert first[0] == seeds


BODIES = {
    "If": """g (double[3] x, bool c) => (double[3] y) { w = Sin(x)
        y = If (c) < then_branch = t () => (double[3] a) { b = Mul(w, w)
        a = Mul(b, x) }, else_branch = e () => (double[3] d) { d = Identity(x) }> }""",
    "Loop": """g (double[3] x, bool c) => (double[3] y, double[k,3] s) <int64 n = {3}> { z = Identity(x)
        y, s = Loop (n, c, z) <body = b (int64 i, bool d, double[3] a) => (bool e, double[3] t, double[3] o)
        { e = Identity(d)
        t = Mul(a, x)
        o = Sin(a) }> }""",
    "Scan": """g (double[3,2] x, double[3] h, bool c) => (double[3] y, double[3,2] s) {
        y, s = Scan <num_scan_inputs=1, scan_input_axes=[1], scan_output_axes=[-1], body = b (double[3] a, double[3] f)
        => (double[3] t, double[3] o) { t = Mul(a, f)
        o = Exp(t) }> (h, x) }""",
    "sequence": """g (double[3] x, bool c) => (double[6] y) { a = Sin(x)
        s = SequenceConstruct(a, x)
        y = ConcatFromSequence<axis=0>(s) }""",
}


@pytest.mark.parametrize("kind", ["vjp", "jvp"])
@pytest.mark.parametrize("name", sorted(BODIES))
def test_seeds_go_into_bodies(name: str, kind: str, rng: np.random.Generator) -> None:
    model = text(BODIES[name])
    of = [v.name or "" for v in model.graph.outputs]
    wrt = [v.name or "" for v in model.graph.inputs if v.name != "c"]
    feeds = {v.name: rng.standard_normal(v.shape.numpy()) for v in model.graph.inputs if v.shape and v.name != "c"}
    many = assert_same(kind, model, {**feeds, "c": np.array(True)}, of, wrt, rng, "many", provider="onnxruntime")
    one = getattr(gs, kind)(model, of, wrt)
    scans = [sum(n.op_type == "Scan" for n in m.graph.all_nodes()) for m in (one, many)]
    assert scans[0] == scans[1]  # bodies take seeds; nothing is repeated for each


def test_what_seeds_do_not_reach_is_computed_once() -> None:
    model = text("g (float[2,3] x, float[3,4] w) => (float[2,4] y) { h = MatMul(x, w)\n y = Tanh(h) }")
    shapes = {v.name: v.shape for v in gs.vjp(model, ["y"], ["x"], seeds=5).graph.node(0).outputs}
    assert [list(s.numpy()) for s in shapes.values() if s is not None] == [[2, 4]]


def test_a_result_that_is_the_same_for_all_seeds_is_repeated() -> None:
    model = text("g (float[2] x) => (float[2] y) { y = Floor(x) }")
    derived = gs.vjp(model, ["y"], ["x"], seeds=4)
    found = gs.Session(derived).run({"x": np.ones(2, np.float32), "y_cotangent": np.ones((4, 2), np.float32)})
    np.testing.assert_array_equal(found["x_vjp"], np.zeros((4, 2), np.float32))


def test_gradients_beside_products_have_no_seeds(rng: np.random.Generator) -> None:
    model = text("g (double[3] x) => (double y) { a = Exp(x)\n y = ReduceSum<keepdims=0>(a) }")
    x, t = rng.standard_normal(3), rng.standard_normal((4, 3))
    found = gs.Session(gs.hvp(model, "y", ["x"], seeds=4)).run({"x": x, "x_tangent": t})
    np.testing.assert_allclose(found["x_grad"], np.exp(x))
    np.testing.assert_allclose(found["x_hvp"], np.exp(x) * t)


def test_seeds_upon_seeds(rng: np.random.Generator) -> None:
    """A graph with seeds is a graph: it is differentiated again, with seeds of its own."""
    model = text("g (double[3] x) => (double[3] y) { a = Mul(x, x)\n y = Mul(a, x) }")
    twice = gs.vjp(gs.vjp(model, ["y"], ["x"], seeds=2), ["x_vjp"], ["x"], seeds=4)
    x, c, d = rng.standard_normal(3), rng.standard_normal((2, 3)), rng.standard_normal((4, 2, 3))
    found = gs.Session(twice).run({"x": x, "y_cotangent": c, "x_vjp_cotangent": d})
    np.testing.assert_allclose(found["x_vjp_2"], 6 * x * (c * d).sum(axis=1))


@pytest.mark.parametrize("seeds", [0, -1, True, False, 1.0, "", (2,), np.array([2])], ids=repr)
@pytest.mark.parametrize("kind", sorted(SIDES))
def test_bad_seeds_are_refused(kind: str, seeds: Any) -> None:
    model = text("g (float[2] x) => (float y) { y = ReduceSum<keepdims=0>(x) }")
    with pytest.raises(gs.NotDifferentiable) as caught:
        getattr(gs, kind)(model, "y", ["x"], seeds=seeds)
    problem = caught.value.problems[0]
    assert (problem.code, problem.found) == ("invalid-seeds", repr(seeds))


def test_another_number_of_seeds_is_refused() -> None:
    model = text("g (float[2] x, float[2] w) => (float[2] y) { y = Mul(x, w) }")
    one = np.ones(2, np.float32)
    fixed, named = (gs.Session(gs.jvp(model, "y", ["x", "w"], seeds=n)) for n in (3, "n"))
    for session, sizes in ((fixed, (4, 4)), (named, (3, 4))):
        tangents = [np.ones((n, 2), np.float32) for n in sizes]
        with pytest.raises(gs.FeedError):
            session.run({"x": one, "w": one, "x_tangent": tangents[0], "w_tangent": tangents[1]})
