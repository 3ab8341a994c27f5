"""Training information: concatenate, run, rebind."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

import graphspec as gs
from graphspec import Training

HEAD = '<ir_version: 10, opset_import: ["" : 21, "ai.onnx.preview.training" : 1]>\n'
MODEL = (
    "m (float[N,2] x) => (float[N,1] y) <float[2,1] w = {0, 0}, float[1] b = {0}> { h = MatMul(x, w)\n y = Add(h, b) }"
)
LOSS = """
    e = Sub(y, target)
    q = Mul(e, e)
    loss = ReduceMean<keepdims=0>(q)
    dw, db = ai.onnx.preview.training.Gradient<xs=["w", "b"], zs=["x", "target"], y="loss">(w, b, x, target)
"""
ADAM = f"""a (float[N,1] target) => (float loss, float[2,1] w2, float[1] b2, float[2,1] v2, float[1] u2, float[2,1] h2,
    float[1] k2, int64 t2)
    <int64 t = {{1}}, float r = {{0.1}}, float[2,1] v = {{0,0}}, float[1] u = {{0}},
     float[2,1] h1 = {{0,0}}, float[1] k = {{0}}> {{
    {LOSS}
    w2, b2, v2, u2, h2, k2 = ai.onnx.preview.training.Adam<epsilon=1e-8>(r, t, w, b, dw, db, v, u, h1, k)
    one = Constant<value_int=1>()
    t2 = Add(t, one)
}}"""
DESCENT = f"""a (float[N,1] target) => (float loss, float[2,1] w2) <float r = {{0.1}}> {{ {LOSS}
    s = Mul(r, dw)\n w2 = Sub(w, s) }}"""
BINDING = {"w": "w2", "b": "b2", "v": "v2", "u": "u2", "h1": "h2", "k": "k2", "t": "t2"}
START = "s () => (float[2,1] w0) { w0 = Constant<value = float[2,1] {3, 4}>() }"

RNG = np.random.default_rng(0)
X = RNG.standard_normal((20, 2)).astype(np.float32)
TARGET = X @ np.array([[2], [-1]], np.float32) + 0.5


def build(*infos: dict[str, Any]) -> onnx.ModelProto:
    proto = onnx.parser.parse_model(HEAD + MODEL)
    for info in infos:
        into = proto.training_info.add()
        into.algorithm.CopyFrom(onnx.parser.parse_graph(info["algorithm"]))
        if "start" in info:
            into.initialization.CopyFrom(onnx.parser.parse_graph(info["start"]))
        for field, pairs in (("update_binding", info["update"]), ("initialization_binding", info.get("bind", {}))):
            for key, value in pairs.items():
                getattr(into, field).add(key=key, value=value)
    return proto


FEEDS = {"x": X, "target": TARGET}


def test_adam_learns_the_line() -> None:
    training = Training(gs.load(build({"algorithm": ADAM, "update": BINDING})))
    losses = [float(training.step(FEEDS)["loss"]) for _ in range(300)]
    assert losses[0] == pytest.approx(float(np.mean(TARGET**2)), rel=1e-5)
    assert losses[-1] < 1e-4
    np.testing.assert_allclose(training.variables["w"], [[2], [-1]], atol=1e-2)
    np.testing.assert_allclose(training.variables["b"], [0.5], atol=1e-2)
    assert training.variables["t"] == 301
    assert training.steps == 300


def test_one_step_by_hand() -> None:
    training = Training(gs.load(build({"algorithm": DESCENT, "update": {"w": "w2"}})))
    found = training.step(FEEDS)
    assert set(found) == {"y", "loss", "w2"}
    expected = 0.1 * 2 * (X * TARGET).mean(axis=0)
    np.testing.assert_allclose(training.variables["w"].ravel(), expected, rtol=1e-5)
    assert list(training.variables) == ["w"]


def test_several_algorithms_see_each_others_updates() -> None:
    second = f"a (float[N,1] target) => (float loss, float[1] b2) {{ {LOSS} b2 = Sub(b, db) }}"
    training = Training(
        gs.load(build({"algorithm": DESCENT, "update": {"w": "w2"}}, {"algorithm": second, "update": {"b": "b2"}}))
    )
    training.step(FEEDS)
    w = 0.1 * 2 * (X * TARGET).mean(axis=0)
    np.testing.assert_allclose(training.variables["w"].ravel(), w, rtol=1e-5)
    residual = X @ w[:, None] - TARGET
    np.testing.assert_allclose(training.variables["b"], [-2 * residual.mean()], rtol=1e-4)


def test_initialization() -> None:
    info = {"algorithm": DESCENT, "update": {"w": "w2"}, "start": START, "bind": {"w": "w0"}}
    training = Training(gs.load(build(info)))
    assert training.variables["w"].ravel().tolist() == [0, 0]
    training.step(FEEDS)
    training.initialize()
    assert training.variables["w"].ravel().tolist() == [3, 4]
    assert training.steps == 0


def test_the_trained_model_goes_on_where_it_stood() -> None:
    model = gs.load(build({"algorithm": ADAM, "update": BINDING}))
    first = Training(model)
    first.step(FEEDS)
    trained = first.model()
    np.testing.assert_array_equal(Training(trained).variables["h1"], first.variables["h1"])
    assert float(Training(trained).step(FEEDS)["loss"]) == float(first.step(FEEDS)["loss"])
    assert Training(model).variables["w"].ravel().tolist() == [0, 0]
    assert np.any(gs.Session(trained).run({"x": X})["y"])


REFUSED = {
    "none": ([], "no-training-info"),
    "unknown variable": ([{"algorithm": DESCENT, "update": {"nothing": "w2"}}], "unknown-binding"),
    "unknown output": ([{"algorithm": DESCENT, "update": {"w": "nothing"}}], "unknown-binding"),
    "twice": ([{"algorithm": DESCENT, "update": {"w": "w2"}}] * 2, "duplicate-binding"),
}


@pytest.mark.parametrize(("infos", "code"), REFUSED.values(), ids=REFUSED)
def test_refusals(infos: list[dict[str, Any]], code: str) -> None:
    with pytest.raises(gs.ValidationError) as caught:
        Training(gs.load(build(*infos)))
    assert caught.value.problems[0].code == code


def test_an_output_that_does_not_fit_changes_nothing() -> None:
    training = Training(gs.load(build({"algorithm": DESCENT, "update": {"w": "w2", "b": "loss"}})))
    with pytest.raises(gs.ExecutionError, match="'b'"):
        training.step(FEEDS)
    assert training.variables["w"].ravel().tolist() == [0, 0]
