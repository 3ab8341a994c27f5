"""Forward mode and what is composed with it: held against reverse mode, central differences and ONNX Runtime."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import graphspec as gs
from graphspec.derivatives import forward
from samples import ALL, Sample
from samples.build import arrays_of, build, wrt_names
from whole_models import WHOLE, whole

HEAD = '<ir_version: 10, opset_import: ["" : 21]>\n'

# Name: body (T is the float type), what to differentiate, with respect to what, opset 21.
MODELS: dict[str, tuple[str, list[str], list[str]]] = {
    "tanh": ("g (T[batch,4] x, T[4,3] w) => (T[batch,3] y) { h = MatMul(x, w)\n y = Tanh(h) }", ["y"], ["x", "w"]),
    "fan-out": (
        "g (T[3] x) => (T y) { a = Mul(x, x)\n b = Sin(x)\n c = Mul(a, b)\n d = Add(c, a)\n e = Mul(d, x)\n"
        " y = ReduceSum<keepdims=0>(e) }",
        ["y"],
        ["x"],
    ),
    "broadcast": (
        "g (T[N,1,3] x, T[4,1] w, T s) => (T[N,4,3] y) { a = Mul(x, w)\n b = Add(a, s)\n y = Tanh(b) }",
        ["y"],
        ["x", "w", "s"],
    ),
    "unknown-broadcast": (
        "g (T[A,B] x, T[C,D] w) => (T[E,F] y) { a = Mul(x, w)\n y = Add(a, x) }",
        ["y"],
        ["x", "w"],
    ),
    "two-outputs": (
        "g (T[N,2] x) => (T[N,2] y, T z) { y = Exp(x)\n z = ReduceMean<keepdims=0>(y) }",
        ["y", "z"],
        ["x"],
    ),
    "intermediate": (
        "g (T[3] x) => (T y) { a = Tanh(x)\n b = Mul(a, x)\n y = ReduceSum<keepdims=0>(b) }",
        ["b", "y"],
        ["a", "x"],
    ),
    "perceptron": (
        "g (T[N,4] x, T[4,5] w1, T[5] b1, T[5,3] w2) => (T[N,3] y) { h = MatMul(x, w1)\n p = Add(h, b1)\n"
        " a = Sigmoid(p)\n y = Gemm(a, w2) }",
        ["y"],
        ["x", "w1", "b1", "w2"],
    ),
    "convolution": (
        "g (T[1,2,6,6] x, T[3,2,3,3] k, T[3] b) => (T[1,3,3,3] y) "
        "{ c = Conv<pads=[1,1,1,1], strides=[2,2]>(x, k, b)\n y = Softplus(c) }",
        ["y"],
        ["x", "k", "b"],
    ),
    "max-pool": (
        "g (T[1,2,6,6] x, T[3,2,3,3] k) => (T[1,3,2,2] y) "
        "{ c = Conv<pads=[1,1,1,1]>(x, k)\n y = MaxPool<kernel_shape=[3,3], strides=[3,3]>(c) }",
        ["y"],
        ["x", "k"],
    ),
    "cross-entropy": (
        "g (T[4,5] x) => (T loss) <int64[4] t = {0,3,1,3}> { a = Mul(x, x)\n loss = SoftmaxCrossEntropyLoss(a, t) }",
        ["loss"],
        ["x"],
    ),
    "gather-scatter": (
        "g (T[5,2] x, T[3,2] u) => (T[5,2] y) <int64[3] i = {4,0,-1}, int64[3,2] j = {1,2,1,0,3,2}> "
        '{ e = Gather(x, i)\n f = Mul(e, u)\n s = ScatterElements<axis=0, reduction="add">(x, j, f)\n y = Mul(s, s) }',
        ["y"],
        ["x", "u"],
    ),
    "layer-normalization": (
        "g (T[2,3,4] x, T[4] g1, T[4] c1) => (T[2,3,4] y) { y = LayerNormalization<axis=-1>(x, g1, c1) }",
        ["y"],
        ["x", "g1", "c1"],
    ),
    # One head: attention with residual and layer norm.
    "attention": (
        "g (T[seq,4] x, T[4,4] wq, T[4,4] wk, T[4,4] wv, T[4] s, T[4] c) => (T[seq,4] y) "
        "{ n = LayerNormalization<axis=-1>(x, s, c)\n q = MatMul(n, wq)\n k = MatMul(n, wk)\n v = MatMul(n, wv)\n"
        " kt = Transpose<perm=[1,0]>(k)\n a = MatMul(q, kt)\n p = Softmax<axis=-1>(a)\n o = MatMul(p, v)\n"
        " g2 = Gelu(o)\n y = Add(x, g2) }",
        ["y"],
        ["x", "wq", "wk", "wv", "s", "c"],
    ),
}
SIZES = {"A": 1, "B": 3, "C": 4, "D": 1, "N": 2, "batch": 3, "seq": 3}


def text(body: str, dtype: type = np.float64) -> ir.Model:
    return ir.from_onnx_text(HEAD + body.replace("T[", f"{_word(dtype)}[").replace("T ", f"{_word(dtype)} "))


def _word(dtype: type) -> str:
    return "float" if dtype is np.float32 else "double"


def draw(model: ir.Model, rng: np.random.Generator) -> dict[str, np.ndarray]:
    feeds = {}
    for value in model.graph.inputs:
        assert value.shape is not None
        shape = [d if isinstance(d, int) else SIZES[str(d.value)] for d in value.shape.dims]
        feeds[value.name or ""] = rng.uniform(-1.5, 1.5, shape).astype(value.dtype.numpy())  # type: ignore[union-attr]
    return feeds


def case(name: str, rng: np.random.Generator, dtype: type = np.float64) -> tuple[ir.Model, Any, list[str], list[str]]:
    body, of, wrt = MODELS[name]
    model = text(body, dtype)
    return model, draw(model, rng), of, wrt


def seeds_of(names: Sequence[str], suffix: str, like: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    return {f"{n}_{suffix}": np.asarray(rng.standard_normal(like[n].shape), like[n].dtype) for n in names}


def differences(f: Callable[[float], np.ndarray], step: float = 1e-3) -> np.ndarray:
    """The derivative of f at 0, to the fourth power of the step."""
    found: np.ndarray = (8 * (f(step) - f(-step)) - (f(2 * step) - f(-2 * step))) / (12 * step)
    return found


def assert_adjoint(model: ir.Model, feeds: Any, of: list[str], wrt: list[str], rng: np.random.Generator) -> float:
    """<J v, w> = <v, J'w> for random v and w; the common value."""
    values = gs.Session(model).run(feeds, fetches=list(dict.fromkeys([*of, *wrt])))
    tangents, cotangents = seeds_of(wrt, "tangent", values, rng), seeds_of(of, "cotangent", values, rng)
    pushed = gs.Session(gs.jvp(model, of, wrt)).run({**feeds, **tangents})
    pulled = gs.Session(gs.vjp(model, of, wrt)).run({**feeds, **cotangents})
    for y in of:
        assert pushed[f"{y}_jvp"].shape == values[y].shape
        assert pushed[f"{y}_jvp"].dtype == values[y].dtype
    forwards = [float(np.sum(pushed[f"{y}_jvp"] * cotangents[f"{y}_cotangent"])) for y in of]
    backwards = [float(np.sum(pulled[f"{x}_vjp"] * tangents[f"{x}_tangent"])) for x in wrt]
    terms = [np.abs(pulled[f"{x}_vjp"] * tangents[f"{x}_tangent"]).sum() for x in wrt]
    np.testing.assert_allclose(sum(forwards), sum(backwards), rtol=1e-9, atol=1e-9 * max(1.0, float(sum(terms))))
    return sum(forwards)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_forward_and_reverse_are_adjoint(name: str, rng: np.random.Generator) -> None:
    model, feeds, of, wrt = case(name, rng)
    assert abs(assert_adjoint(model, feeds, of, wrt, rng)) > 1e-6  # not a comparison of zeros


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_forward_and_reverse_of_whole_models_are_adjoint(name: str, rng: np.random.Generator) -> None:
    model, feeds, parameters = whole(name, np.float64)
    assert abs(assert_adjoint(model, feeds, [WHOLE[name][1]], ["x", *parameters], rng)) > 1e-6


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"intermediate"}))
def test_jvp_agrees_with_central_differences(name: str, rng: np.random.Generator) -> None:
    model, feeds, of, wrt = case(name, rng)
    tangents = seeds_of(wrt, "tangent", feeds, rng)
    found = gs.Session(gs.jvp(model, of, wrt)).run({**feeds, **tangents})
    plain = gs.Session(model)
    for y in of:

        def moved(step: float, y: str = y) -> np.ndarray:
            near = {x: feeds[x] + step * tangents[f"{x}_tangent"] for x in wrt}
            value: np.ndarray = plain.run({**feeds, **near}, fetches=[y])[y]
            return value

        np.testing.assert_allclose(found[f"{y}_jvp"], differences(moved), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_cotangent_never_reaches_the_result(
    name: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever number stands for the cotangent, the result is the same to the last bit."""
    model, feeds, of, wrt = case(name, rng)
    values = gs.Session(model).run(feeds, fetches=wrt)
    feeds = {**feeds, **seeds_of(wrt, "tangent", values, rng)}
    found = []
    for number in (0.0, 1.75, -3.0):
        monkeypatch.setattr(forward, "_STAND_IN", number)
        derived = gs.jvp(model, of, wrt)
        assert not [v.name for v in derived.graph.inputs if "cotangent" in (v.name or "")]
        found.append(gs.Session(derived).run(feeds))
    for other in found[1:]:
        for key, value in found[0].items():
            np.testing.assert_array_equal(other[key], value, err_msg=key)


# That forward and reverse mode of every operator are adjoint is held beside its rule, in operators/test_gradients.py.
DIFFERENTIABLE = [s for s in ALL if s.of and s.order >= 2]


@pytest.mark.parametrize("sample", DIFFERENTIABLE, ids=lambda s: s.label)
def test_of_the_cotangent_of_an_operator_only_the_shape_counts(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(zlib.crc32(sample.label.encode()))
    model, feeds = build(sample, arrays_of(sample, np.float64, rng), symbolic=False)
    of, wrt = [f"y{i}" for i in sample.of], wrt_names(sample)
    derived = []
    for number in (0.0, 1.75):
        monkeypatch.setattr(forward, "_STAND_IN", number)
        derived.append(gs.jvp(model, of, wrt))
    first, second = (ir.to_proto(one).SerializeToString(deterministic=True) for one in derived)
    if first == second:
        return  # the number is gone
    feeds = {**feeds, **seeds_of(wrt, "tangent", gs.Session(model).run(feeds, fetches=wrt), rng)}
    results = [gs.Session(one).run(feeds, fetches=[f"{y}_jvp" for y in of], seed=1) for one in derived]
    for key, value in results[0].items():
        np.testing.assert_array_equal(results[1][key], value)


def scalar(model: ir.Model, of: Sequence[str]) -> ir.Model:
    """The model with one more output, ``loss``: a sum of squares of the values of ``of``, weighted."""
    model = ir.from_proto(ir.to_proto(model))
    graph = model.graph
    values = ir.convenience.create_value_mapping(graph)
    total = None
    for name in of:
        square = ir.node("Mul", [values[name], values[name]])
        sine = ir.node("Sin", [square.outputs[0]])
        part = ir.node("ReduceSum", [sine.outputs[0]], {"keepdims": 0})
        graph.extend([square, sine, part])
        if total is not None:
            both = ir.node("Add", [total, part.outputs[0]])
            graph.append(both)
            total = both.outputs[0]
        else:
            total = part.outputs[0]
    assert total is not None
    total.name, total.type = "objective", values[of[0]].type
    total.shape = ir.Shape([])
    graph.outputs.append(total)
    return model


HESSIANS = sorted(set(MODELS) - {"intermediate", "unknown-broadcast"})


@pytest.mark.parametrize("name", HESSIANS)
def test_hvp_agrees_with_central_differences_of_grad(name: str, rng: np.random.Generator) -> None:
    model, feeds, of, wrt = case(name, rng)
    model = scalar(model, of)
    tangents = seeds_of(wrt, "tangent", feeds, rng)
    derived = gs.hvp(model, "objective", wrt)
    found = gs.Session(derived).run({**feeds, **tangents})
    assert list(found) == [v.name for v in model.graph.outputs] + [f"{x}_{k}" for k in ("grad", "hvp") for x in wrt]
    gradient = gs.Session(gs.grad(model, "objective", wrt))
    here = gradient.run(feeds)
    for x in wrt:
        np.testing.assert_allclose(found[f"{x}_grad"], here[f"{x}_grad"], rtol=1e-10, atol=1e-10)

        def moved(step: float, x: str = x) -> np.ndarray:
            near = {z: feeds[z] + step * tangents[f"{z}_tangent"] for z in wrt}
            value: np.ndarray = gradient.run({**feeds, **near}, fetches=[f"{x}_grad"])[f"{x}_grad"]
            return value

        expected = differences(moved, 2e-4)
        np.testing.assert_allclose(found[f"{x}_hvp"], expected, rtol=1e-5, atol=1e-6 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_derived_models_are_standard_and_portable(name: str, rng: np.random.Generator) -> None:
    model, feeds, of, wrt = case(name, rng, np.float32)
    values = gs.Session(model).run(feeds, fetches=wrt)
    feeds = {**feeds, **seeds_of(wrt, "tangent", values, rng)}
    derived = [gs.jvp(model, of, wrt)]
    if name in HESSIANS:
        derived.append(gs.hvp(scalar(model, of), "objective", wrt))
    for one in derived:
        onnx.checker.check_model(ir.to_proto(one), full_check=True)
        ours = gs.Session(one).run(feeds)
        theirs = gs.Session(one, provider="onnxruntime").run(feeds)
        for key, value in ours.items():
            scale = max(1, float(np.abs(value).max()))
            np.testing.assert_allclose(theirs[key], value, rtol=2e-4, atol=2e-5 * scale, err_msg=key)


def elementwise(model: ir.Model, feeds: Any, y: str, x: str) -> np.ndarray:
    """The Jacobian of y by central differences, element by element of x."""
    session, base = gs.Session(model), feeds[x]
    columns = []
    for i in range(base.size):
        unit = np.zeros(base.size)
        unit[i] = 1

        def moved(step: float, unit: np.ndarray = unit) -> np.ndarray:
            value: np.ndarray = session.run({**feeds, x: base + step * unit.reshape(base.shape)}, fetches=[y])[y]
            return value

        columns.append(differences(moved))
    stacked = np.stack(columns, axis=-1)
    return stacked.reshape(stacked.shape[:-1] + base.shape)


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("name", ["tanh", "broadcast", "two-outputs", "gather-scatter", "cross-entropy"])
def test_jacobian_agrees_with_central_differences(name: str, mode: Any, rng: np.random.Generator) -> None:
    model, feeds, of, wrt = case(name, rng)
    found = gs.jacobian(model, feeds, of, wrt, mode=mode)
    assert list(found) == of
    for y in of:
        assert list(found[y]) == wrt
        for x in wrt:
            expected = elementwise(model, feeds, y, x)
            assert found[y][x].shape == expected.shape
            np.testing.assert_allclose(found[y][x], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["tanh", "broadcast", "fan-out", "cross-entropy"])
def test_hessian_agrees_with_central_differences(name: str, rng: np.random.Generator) -> None:
    model, feeds, of, wrt = case(name, rng)
    model = scalar(model, of)
    found = gs.hessian(model, feeds, "objective", wrt)
    gradient = gs.grad(model, "objective", wrt)
    for x in wrt:
        for z in wrt:
            expected = elementwise(gradient, feeds, f"{x}_grad", z)
            assert found[x][z].shape == feeds[x].shape + feeds[z].shape
            np.testing.assert_allclose(found[x][z], expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("body", "seeds"),
    [
        pytest.param("g (T[2] x) => (T[2,50] y) { r = Unsqueeze(x, i)\n y = Expand(r, s) }", 2, id="tall"),
        pytest.param("g (T[100] x) => (T[2] y) { r = Reshape(x, s)\n y = ReduceSum<keepdims=0>(r, i) }", 2, id="wide"),
    ],
)
def test_jacobian_takes_the_cheaper_mode(body: str, seeds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    body = body.replace("{", "<int64[1] i = {1}, int64[2] s = {2,50}> {", 1)
    model = text(body)
    jacobian = gs.Jacobian(model, ["y"], ["x"])
    batches = []
    run = gs.Session.run

    def counted(self: gs.Session, feeds: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        batches.extend(len(array) for name, array in feeds.items() if name != "x")
        return run(self, feeds, *args, **kwargs)

    monkeypatch.setattr(gs.Session, "run", counted)
    x = np.random.default_rng(0).standard_normal(2 if "T[2] x" in body else 100)
    _, found = jacobian.run({"x": x})
    assert batches == [seeds]  # all in one run
    y = gs.Session(model).run({"x": x})["y"]
    np.testing.assert_allclose(found["y"]["x"].reshape(-1, x.size) @ x, y.ravel(), rtol=1e-12)


def test_parameters_and_intermediates_are_variables_too() -> None:
    model = text("g (T[2] x) => (T[2] y) <T[2] w = {3, 4}> { a = Mul(x, w)\n y = Mul(a, a) }")
    x = np.array([0.5, -2.0])
    found = gs.jacobian(model, {"x": x}, ["y", "a"], ["w", "a", "x"])
    np.testing.assert_allclose(found["y"]["w"], np.diag(2 * x * x * [3, 4]))
    np.testing.assert_allclose(found["y"]["a"], np.diag(2 * x * [3, 4]))
    np.testing.assert_allclose(found["y"]["x"], np.diag(2 * x * [9, 16]))
    np.testing.assert_array_equal(found["a"]["a"], np.eye(2))
    overridden = gs.jacobian(model, {"x": x, "w": np.array([1.0, 1.0])}, ["y"], ["x"])
    np.testing.assert_allclose(overridden["y"]["x"], np.diag(2 * x))


def test_empty_values_have_empty_matrices() -> None:
    model = text("g (T[N] x, T[2] w) => (T[N] y) { s = ReduceSum<keepdims=0>(w)\n y = Mul(x, s) }")
    found = gs.jacobian(model, {"x": np.zeros(0), "w": np.ones(2)}, ["y"], ["x", "w"])
    assert found["y"]["x"].shape == (0, 0)
    assert found["y"]["w"].shape == (0, 2)


def test_a_matrix_over_the_limit_is_refused_before_it_is_computed() -> None:
    jacobian = gs.Jacobian(text("g (T[N] x) => (T[N] y) { y = Exp(x) }"), ["y"], ["x"])
    feeds = {"x": np.zeros(10)}
    assert jacobian.run(feeds, max_bytes=800)[1]["y"]["x"].shape == (10, 10)
    with pytest.raises(gs.LimitError) as caught:
        jacobian.run(feeds, max_bytes=799)
    problem = caught.value.problems[0]
    assert (problem.code, problem.found) == ("memory", "800 bytes")


def test_random_numbers_are_the_same_for_the_whole_matrix() -> None:
    model = text("g (T[30] x) => (T[30] y) { r = RandomUniformLike(x)\n y = Mul(x, r) }")
    jacobian = gs.Jacobian(model, ["y"], ["x"])
    outputs, found = jacobian.run({"x": np.ones(30)})
    np.testing.assert_array_equal(np.diag(found["y"]["x"]), outputs["y"])
    assert (jacobian.run({"x": np.ones(30)})[0]["y"] != outputs["y"]).any()


def test_a_linear_model_has_a_hessian_of_zeros() -> None:
    model = text("g (T[2] x, T[2] w) => (T y) { a = Sub(x, w)\n y = ReduceSum<keepdims=0>(a) }")
    found = gs.hessian(model, {"x": np.ones(2), "w": np.ones(2)}, "y", ["x", "w"])
    for x in "xw":
        for z in "xw":
            np.testing.assert_array_equal(found[x][z], np.zeros((2, 2)))


def test_jvp_is_small_and_names_what_it_adds() -> None:
    derived = gs.jvp(text(MODELS["tanh"][0]), ["y"], ["x", "w"])
    assert [v.name for v in derived.graph.inputs] == ["x", "w", "x_tangent", "w_tangent"]
    assert [v.name for v in derived.graph.outputs] == ["y", "y_jvp"]
    assert derived.graph.num_nodes() <= 10
    assert not {n.op_type for n in derived.graph} & {"Shape", "Expand", "ReduceSum", "Reshape", "Transpose", "Identity"}


def test_names_taken_get_a_number() -> None:
    model = text("g (T[2] x, T[2] x_tangent) => (T[2] y, T[2] y_jvp) { y = Exp(x)\n y_jvp = Exp(x_tangent) }")
    derived = gs.jvp(model, ["y"], ["x"])
    assert [v.name for v in derived.graph.inputs] == ["x", "x_tangent", "x_tangent_2"]
    assert [v.name for v in derived.graph.outputs] == ["y", "y_jvp", "y_jvp_2"]


def test_forward_of_forward_of_reverse() -> None:
    model = text("g (T[3] x) => (T y) { a = Exp(x)\n b = Mul(a, x)\n y = ReduceSum<keepdims=0>(b) }")
    third = gs.jvp(gs.jvp(gs.grad(model, "y", ["x"]), ["x_grad"], ["x"]), ["x_grad_jvp"], ["x"])
    x, u, v = np.random.default_rng(0).standard_normal((3, 3))
    found = gs.Session(third).run({"x": x, "x_tangent": u, "x_tangent_2": v})
    np.testing.assert_allclose(found["x_grad_jvp"], u * np.exp(x) * (x + 2))
    np.testing.assert_allclose(found["x_grad_jvp_jvp"], u * v * np.exp(x) * (x + 3))


@pytest.mark.parametrize("transform", [gs.jvp, gs.hvp], ids=["jvp", "hvp"])
def test_the_model_given_is_not_changed(transform: Any) -> None:
    model = text(MODELS["fan-out"][0])
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    transform(model, "y", ["x"])
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


LOOKUP = (
    "g (T[5,2] table, int64[N] ids, T[2] v) => (T[N,2] y, T s, int64[N] k) "
    "{ e = Gather(table, ids)\n y = Mul(e, v)\n s = ReduceSum<keepdims=0>(y)\n k = Add(ids, ids) }"
)
REFUSED: list[Any] = [
    pytest.param("hvp", "y", ["table"], "not-scalar", id="of-non-scalar"),
    pytest.param("hvp", ["y", "s"], ["table"], "not-scalar", id="of-several"),
    pytest.param("hvp", "s", ["ids"], "not-differentiable", id="hvp-wrt-integer"),
    pytest.param("hvp", "s", ["tabel"], "unknown-value", id="hvp-wrt-unknown"),
    pytest.param("hvp", "s", ["table", "e"], "not-independent", id="dependent"),
    pytest.param("hvp", "s", ["e", "table"], "not-independent", id="dependent-reversed"),
    pytest.param("jvp", ["k"], ["table"], "not-differentiable", id="of-integer"),
    pytest.param("jvp", ["y"], ["ids"], "not-differentiable", id="wrt-integer"),
    pytest.param("jvp", ["z"], ["table"], "unknown-value", id="of-unknown"),
    pytest.param("jvp", ["y"], ["s"], "not-connected", id="not-connected"),
    pytest.param("jvp", ["y"], [], "empty-request", id="empty"),
    pytest.param("jvp", ["y"], ["v", "v"], "duplicate-request", id="twice"),
    pytest.param("Jacobian", ["y"], ["s"], "not-connected", id="jacobian"),
    pytest.param("Hessian", "y", ["table"], "not-scalar", id="hessian"),
]


@pytest.mark.parametrize(("kind", "of", "wrt", "code"), REFUSED)
def test_refusals_say_why(kind: str, of: Any, wrt: list[str], code: str) -> None:
    with pytest.raises(gs.NotDifferentiable) as caught:
        getattr(gs, kind)(text(LOOKUP), of, wrt)
    assert caught.value.problems[0].code == code


@pytest.mark.parametrize("kind", ["jvp", "Jacobian"])
def test_a_missing_rule_names_operator_and_node(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphspec.operators import registry

    entry = registry.find("Sin", "", 21)
    assert entry is not None
    monkeypatch.setattr(entry, "rule", None)
    model = text("g (T[4] x) => (T[4] y) { y = Sin(x) }")
    model.graph.node(0).name = "wave"
    with pytest.raises(gs.NoGradientRule, match=r"ai\.onnx::Sin-21.*'wave'"):
        getattr(gs, kind)(model, ["y"], ["x"])


def test_a_mode_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="backward"):
        gs.jacobian(text(LOOKUP), {}, ["y"], ["v"], mode="backward")  # type: ignore[arg-type]


BODIES = {
    "If": """g (T[3] x, bool c) => (T[3] y) { y = If (c) <
        then_branch = t () => (T[3] a) { b = Mul(x, x)
        a = Mul(b, x) }, else_branch = e () => (T[3] d) { d = Identity(x) }> }""",
    "Loop": """g (T[3] x, bool c) => (T[3] y) <int64 n = {2}> { z = Identity(x)
        y = Loop (n, c, z) <body = b (int64 i, bool d, T[3] s) => (bool e, T[3] t)
        { e = Identity(d)
        t = Mul(s, x) }> }""",
}


@pytest.mark.parametrize("kind", sorted(BODIES))
def test_forward_mode_goes_through_control_flow(kind: str, rng: np.random.Generator) -> None:
    """Both compute the cube."""
    x, v = rng.standard_normal((2, 3))
    derived = gs.jvp(text(BODIES[kind]), ["y"], ["x"])
    found = gs.Session(derived).run({"x": x, "c": np.array(True), "x_tangent": v})
    np.testing.assert_allclose(found["y_jvp"], 3 * x**2 * v, rtol=1e-12)
