"""Tesseract's own client, as it is, against the service on a socket."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError
from tesseract_core import Tesseract

A = np.array([[1.5, -2.0, 0.5], [3.0, 0.25, -1.0]])


@pytest.fixture
def open_model(running):
    return lambda name: Tesseract.from_url(f"{running.url}/tesseract/{name}")


def test_what_a_model_is(open_model):
    model = open_model("loss")
    assert model.health() == {"status": "ok"}
    derivatives = {"jacobian", "jacobian_vector_product", "vector_jacobian_product"}
    assert set(model.available_endpoints) == derivatives | {"apply", "abstract_eval", "health"}
    assert set(open_model("same_int8").available_endpoints) == {"apply", "abstract_eval", "health"}
    schemas = model.openapi_schema["components"]["schemas"]
    assert list(schemas["Apply_InputSchema"]["properties"]) == ["x", "y"]
    assert schemas["ApplyInputSchema"]["differentiable_arrays"]["x"] == {"shape": [None], "dtype": "float32"}
    assert schemas["ApplyOutputSchema"]["differentiable_arrays"]["loss"] == {"shape": [], "dtype": "float32"}


def test_values(open_model, xy):
    found = open_model("loss").apply(xy)
    assert list(found) == ["loss", "xy"]
    assert found["xy"].dtype == np.float32
    np.testing.assert_array_equal(found["xy"], xy["x"] * xy["y"])
    np.testing.assert_allclose(found["loss"], np.maximum(xy["x"] * xy["y"] + 2, 0).sum(), rtol=1e-6)


def test_derivatives(open_model, rng):
    model, x, v, c = open_model("affine"), rng.normal(size=3), rng.normal(size=3), rng.normal(size=2)
    np.testing.assert_allclose(model.jacobian({"x": x}, ["x"], ["y"])["y"]["x"], A)
    np.testing.assert_allclose(model.jacobian_vector_product({"x": x}, ["x"], ["y"], {"x": v})["y"], A @ v)
    np.testing.assert_allclose(model.vector_jacobian_product({"x": x}, ["x"], ["y"], {"y": c})["x"], A.T @ c)


def test_derivatives_of_several_by_several(open_model, rng):
    """-(x·x)² / 2 e^s and s x³: every block, empty ones included, against the formulas."""
    x, s = rng.normal(size=3), rng.normal(size=1)
    density = -((x @ x) ** 2) / 2 * np.exp(s)
    blocks = {
        ("density", "x"): (-2 * (x @ x) * x * np.exp(s))[None],
        ("density", "s"): density[None],
        ("cubes", "x"): np.diag(3 * s * x**2),
        ("cubes", "s"): (x**3)[:, None],
    }
    model, inputs = open_model("posterior"), {"x": x, "s": s}
    found = model.jacobian(inputs, ["x", "s"], ["density", "cubes"])
    for (out, by), block in blocks.items():
        np.testing.assert_allclose(found[out][by], block)
    tangents = {"x": rng.normal(size=3), "s": rng.normal(size=1)}
    pushed = model.jacobian_vector_product(inputs, ["x", "s"], ["cubes", "density"], tangents)
    for out in ("cubes", "density"):
        np.testing.assert_allclose(pushed[out], sum(blocks[out, by] @ tangents[by] for by in ("x", "s")))
    cotangents = {"density": rng.normal(size=1), "cubes": rng.normal(size=3)}
    pulled = model.vector_jacobian_product(inputs, ["s", "x"], ["density", "cubes"], cotangents)
    for by in ("x", "s"):
        np.testing.assert_allclose(pulled[by], sum(cotangents[out] @ blocks[out, by] for out in ("density", "cubes")))


def test_shapes_without_a_run(open_model):
    shapes = {name: {"shape": [5], "dtype": "float32"} for name in "xy"}
    assert open_model("loss").abstract_eval(shapes) == {
        "loss": {"shape": [], "dtype": "float32"},
        "xy": {"shape": [5], "dtype": "float32"},
    }


def test_lists_and_other_types(open_model):
    """Plain lists are sent as they are; float64 is what NumPy makes of them."""
    model = open_model("loss")
    for x in ([1.0, 2.0], np.array([1.0, 2.0])):
        np.testing.assert_array_equal(model.apply({"x": x, "y": [3.0, 4.0]})["xy"], [3, 8])
    found = open_model("same_int8").apply({"x": np.array([[1, -128]], np.int64)})["y"]
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, [[1, -128]])


def test_encodings(open_model, plain):
    with open_model("nan").with_encoding(output_format="json") as model:
        np.testing.assert_array_equal(model.apply({"x": [1.0, 2.0]})["z"], [-1, -2])
    found = open_model("nan").apply({"x": [0.0, -1.0, 1.0]})["y"]
    np.testing.assert_array_equal(found, [-np.inf, np.nan, 0])
    answer = plain.post("/tesseract/nan/apply", json={"inputs": {"x": [0.0]}}, headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (422, "non-finite")


def test_refusals_reach_the_user(open_model):
    with pytest.raises(ValidationError, match=r"inputs\.w[\s\S]*no 'w' here"):
        open_model("affine").apply({"x": np.ones(3), "w": 1})
    with pytest.raises(RuntimeError, match=r"404.*no model 'nobody'"):
        open_model("nobody").apply({"x": 1})


F8 = {"shape": [3], "dtype": "float64", "data": {"buffer": "AAAAAAAA8D8AAAAAAAAAQAAAAAAAAAhA", "encoding": "base64"}}
# What is wrong: model, endpoint, body, what the problems are called.
REFUSED = {
    "no-json": ("affine", "apply", b"{", ["invalid-json"]),
    "no-body": ("affine", "apply", b"", ["invalid-json"]),
    "no-inputs": ("affine", "apply", {}, ["missing-field"]),
    "unknown-field": ("affine", "apply", {"inputs": {"x": [1, 2, 3]}, "more": 1}, ["unknown-field"]),
    "missing-and-unknown": ("loss", "apply", {"inputs": {"x": [1], "w": [1]}}, ["missing-feed", "unknown-name"]),
    "text": ("affine", "apply", {"inputs": {"x": ["a", 1, 2]}}, ["data-value"]),
    "null": ("affine", "apply", {"inputs": {"x": None}}, ["data-value"]),
    "ragged": ("affine", "apply", {"inputs": {"x": [[1], [2, 3]]}}, ["ragged"]),
    "no-array": ("affine", "apply", {"inputs": {"x": {"a": 1}}}, ["array-form"]),
    "other-encoding": ("affine", "apply", {"inputs": {"x": F8 | {"data": {"buffer": "/etc/passwd:0", "encoding": "binref"}}}}, ["encoding"]),
    "compressed": ("affine", "apply", {"inputs": {"x": F8 | {"data": F8["data"] | {"compression": "lz4"}}}}, ["array-form"]),
    "no-base64": ("affine", "apply", {"inputs": {"x": F8 | {"data": {"buffer": "&", "encoding": "base64"}}}}, ["base64"]),
    "bytes-against-shape": ("affine", "apply", {"inputs": {"x": F8 | {"shape": [4]}}}, ["data-length"]),
    "negative-shape": ("affine", "apply", {"inputs": {"x": F8 | {"shape": [-3]}}}, ["shape"]),
    "huge-shape": ("affine", "apply", {"inputs": {"x": F8 | {"shape": [2**62, 2**62]}}}, ["data-length"]),
    "unknown-dtype": ("affine", "apply", {"inputs": {"x": F8 | {"dtype": "object"}}}, ["unknown-dtype"]),
    "fractions-for-integers": ("same_int8", "apply", {"inputs": {"x": F8}}, ["dtype"]),
    "no-derivative-output": ("affine", "jacobian", {"inputs": {"x": F8}, "jac_inputs": ["x"], "jac_outputs": ["z"]}, ["unknown-name"]),
    "no-names": ("affine", "jacobian", {"inputs": {"x": F8}, "jac_inputs": [], "jac_outputs": ["y"]}, ["invalid-field"]),
    "names-twice": ("affine", "jacobian", {"inputs": {"x": F8}, "jac_inputs": ["x", "x"], "jac_outputs": ["y"]}, ["repeated-name"]),
    "no-tangent": ("affine", "jacobian_vector_product",
                   {"inputs": {"x": F8}, "jvp_inputs": ["x"], "jvp_outputs": ["y"], "tangent_vector": {}}, ["missing-feed"]),
    "cotangent-too-long": ("affine", "vector_jacobian_product",
                           {"inputs": {"x": F8}, "vjp_inputs": ["x"], "vjp_outputs": ["y"], "cotangent_vector": {"y": F8}}, None),
    "strings": ("strings", "apply", {"inputs": {}}, ["unsupported-dtype"]),
    "abstract-missing": ("loss", "abstract_eval", {"inputs": {}}, ["inputs"]),
    "abstract-rank": ("affine", "abstract_eval", {"inputs": {"x": {"shape": [3, 1], "dtype": "float64"}}}, ["shape"]),
    "abstract-disagree": ("loss", "abstract_eval", {"inputs": {n: {"shape": [s], "dtype": "float32"} for n, s in (("x", 2), ("y", 3))}}, ["shape"]),
    "abstract-open": ("positive", "abstract_eval", {"inputs": {"x": {"shape": [3], "dtype": "float32"}}}, ["open-size"]),
}  # fmt: skip


@pytest.mark.parametrize(("model", "endpoint", "body", "kinds"), REFUSED.values(), ids=REFUSED)
def test_refusals(plain, model, endpoint, body, kinds):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = plain.post(f"/tesseract/{model}/{endpoint}", content=content)
    assert answer.status_code == 422, answer.text
    details = answer.json()["detail"]
    assert all(set(detail) == {"type", "loc", "msg"} and detail["loc"][0] == "body" for detail in details)
    if kinds is not None:
        assert [detail["type"] for detail in details] == kinds, details


def test_what_is_not_there(plain):
    for path in ("/tesseract/nobody/apply", "/tesseract/affine.grad/apply"):
        answer = plain.post(path, json={"inputs": {}})
        assert (answer.status_code, type(answer.json()["detail"])) == (404, str)
    assert plain.post("/tesseract/affine/test", json={}).status_code == 404
