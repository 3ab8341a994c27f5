"""Values and derivatives over HTTP: every form in, every form out, the same numbers."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

SAFETENSORS = "application/vnd.safetensors"


def formula(x, y, two=2.0):
    """The outputs and gradients of the classic graph."""
    z = x * y + two
    alive = (z > 0).astype(x.dtype)
    return {"loss": np.maximum(z, 0).sum(), "x": alive * y, "y": alive * x, "two": alive.sum()}


def array_of(tensor):
    if "base64" in tensor:
        flat = np.frombuffer(base64.b64decode(tensor["base64"]), tensor["dtype"])
        return flat.reshape(tensor["shape"])
    array = np.array(tensor["data"], dtype=tensor["dtype"])
    assert list(array.shape) == tensor["shape"]
    return array


def as_base64(array):
    return {
        "dtype": str(array.dtype),
        "shape": list(array.shape),
        "base64": base64.b64encode(array.tobytes()).decode(),
    }


@pytest.fixture
def feeds(rng):
    return {name: rng.standard_normal(7).astype(np.float32) for name in ("x", "y")}


@pytest.fixture
def graph_id(service, loss):
    return service.store(loss)


def lists(feeds):
    return {name: array.tolist() for name, array in feeds.items()}


def check(answer, feeds, group, names, two=2.0):
    """The answer's outputs and derivatives are the formula's."""
    assert answer.status_code == 200, answer.text
    expected = formula(**feeds, two=two)
    found = answer.json()
    np.testing.assert_allclose(array_of(found["outputs"]["loss"]), expected["loss"], rtol=1e-6)
    assert list(found[group]) == names
    for name in names:
        gradient = array_of(found[group][name])
        assert gradient.dtype == np.float32
        assert gradient.shape == (feeds[name].shape if name in feeds else ())
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-6)


def test_the_example_of_the_design(service, loss):
    answer = service.post(
        "/v1/run",
        {
            "graph": loss,
            "feeds": {"x": [1, 2, 3], "y": {"dtype": "float32", "shape": [3], "data": [4, 5, 6]}},
            "fetches": ["loss"],
            "grad": {"of": "loss", "wrt": ["x", "y"]},
        },
    )
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "outputs": {"loss": {"dtype": "float32", "shape": [], "data": 38.0}},
        "gradients": {
            "x": {"dtype": "float32", "shape": [3], "data": [4.0, 5.0, 6.0]},
            "y": {"dtype": "float32", "shape": [3], "data": [1.0, 2.0, 3.0]},
        },
    }


@pytest.mark.parametrize("write", [lambda a: a.tolist(), as_base64], ids=["lists", "base64"])
@pytest.mark.parametrize("encoding", ["list", "base64"])
@pytest.mark.parametrize("stored", [False, True], ids=["one-shot", "stored"])
def test_run_with_gradients(service, loss, feeds, write, encoding, stored):
    wrt = ["y", "two", "x"]
    body = {
        "feeds": {name: write(array) for name, array in feeds.items()},
        "grad": {"of": "loss", "wrt": wrt},
        "encoding": encoding,
    }
    if stored:
        answer = service.post(f"/v1/graphs/{service.store(loss)}/run", body)
    else:
        answer = service.post("/v1/run", body | {"graph": loss})
    check(answer, feeds, "gradients", wrt)
    assert all(("base64" in tensor) == (encoding == "base64") for tensor in answer.json()["gradients"].values())


def test_run_without_gradients_has_none(service, loss, feeds):
    answer = service.post("/v1/run", {"graph": loss, "feeds": lists(feeds)})
    assert list(answer.json()) == ["outputs"]


def test_grad_of_a_stored_graph(service, graph_id, feeds):
    body = {"of": "loss", "wrt": ["x", "two"], "feeds": lists(feeds)}
    check(service.post(f"/v1/graphs/{graph_id}/grad", body), feeds, "gradients", ["x", "two"])


def test_vjp_pulls_back_any_cotangent(service, graph_id, feeds, rng):
    cotangent = rng.standard_normal(7).astype(np.float32)
    body = {"of": ["z"], "wrt": ["x", "two"], "feeds": lists(feeds), "cotangents": {"z": cotangent.tolist()}}
    answer = service.post(f"/v1/graphs/{graph_id}/vjp", body)
    assert answer.status_code == 200, answer.text
    found = answer.json()["vjp"]
    np.testing.assert_allclose(array_of(found["x"]), cotangent * feeds["y"], rtol=1e-6)
    np.testing.assert_allclose(array_of(found["two"]), cotangent.sum(), rtol=1e-5)
    np.testing.assert_allclose(array_of(answer.json()["outputs"]["loss"]), formula(**feeds)["loss"], rtol=1e-6)


def test_vjp_of_several_values(service, graph_id, feeds, rng):
    z, total = rng.standard_normal(7).astype(np.float32), np.float32(rng.standard_normal())
    body = {
        "of": ["loss", "z"],
        "wrt": ["y"],
        "feeds": lists(feeds),
        "cotangents": {"z": z.tolist(), "loss": float(total)},
    }
    answer = service.post(f"/v1/graphs/{graph_id}/vjp", body)
    expected = z * feeds["x"] + total * formula(**feeds)["y"]
    np.testing.assert_allclose(array_of(answer.json()["vjp"]["y"]), expected, rtol=1e-5)


def test_jvp_pushes_any_tangent(service, graph_id, feeds, rng):
    x, two = rng.standard_normal(7).astype(np.float32), np.float32(rng.standard_normal())
    body = {"of": ["z", "loss"], "wrt": ["x", "two"], "feeds": lists(feeds)}
    answer = service.post(f"/v1/graphs/{graph_id}/jvp", body | {"tangents": {"two": float(two), "x": x.tolist()}})
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["outputs", "jvp"]
    found = answer.json()["jvp"]
    assert list(found) == ["z", "loss"]
    z = x * feeds["y"] + two
    np.testing.assert_allclose(array_of(found["z"]), z, rtol=1e-5, atol=1e-6)
    alive = feeds["x"] * feeds["y"] + 2 > 0
    np.testing.assert_allclose(array_of(found["loss"]), z[alive].sum(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(array_of(answer.json()["outputs"]["loss"]), formula(**feeds)["loss"], rtol=1e-6)


def test_hvp_is_the_gradient_and_the_product(service, graph_id, feeds, rng):
    x, y = rng.standard_normal((2, 7)).astype(np.float32)
    body = {"of": "loss", "wrt": ["y", "x"], "feeds": lists(feeds), "tangents": lists({"x": x, "y": y})}
    answer = service.post(f"/v1/graphs/{graph_id}/hvp", body)
    check(answer, feeds, "gradients", ["y", "x"])
    assert list(answer.json()) == ["outputs", "gradients", "hvp"]
    alive = feeds["x"] * feeds["y"] + 2 > 0
    for name, expected in {"x": alive * y, "y": alive * x}.items():
        np.testing.assert_allclose(array_of(answer.json()["hvp"][name]), expected, rtol=1e-6)


@pytest.mark.parametrize("encoding", ["list", "base64"])
def test_whole_matrices(service, graph_id, feeds, encoding):
    path, body = f"/v1/graphs/{graph_id}", {"feeds": lists(feeds), "encoding": encoding}
    answer = service.post(f"{path}/jacobian", body | {"of": ["z", "loss"], "wrt": ["x", "two"], "fetches": ["z"]})
    assert answer.status_code == 200, answer.text
    found, expected = answer.json()["jacobian"], formula(**feeds)
    assert list(answer.json()["outputs"]) == ["z"]
    np.testing.assert_allclose(array_of(found["z"]["x"]), np.diag(feeds["y"]), rtol=1e-6)
    np.testing.assert_allclose(array_of(found["z"]["two"]), np.ones(7))
    np.testing.assert_allclose(array_of(found["loss"]["x"]), expected["x"], rtol=1e-6)
    np.testing.assert_allclose(array_of(found["loss"]["two"]), expected["two"], rtol=1e-6)
    answer = service.post(f"{path}/hessian", body | {"of": "loss", "wrt": ["x", "y"]})
    assert answer.status_code == 200, answer.text
    found = answer.json()["hessian"]
    np.testing.assert_allclose(array_of(answer.json()["outputs"]["loss"]), expected["loss"], rtol=1e-6)
    alive = np.diag(feeds["x"] * feeds["y"] + 2 > 0).astype(np.float32)
    for x, y, part in [("x", "x", 0 * alive), ("x", "y", alive), ("y", "x", alive), ("y", "y", 0 * alive)]:
        np.testing.assert_array_equal(array_of(found[x][y]), part)


def test_matrices_in_bulk(service, graph_id, feeds):
    request = json.dumps({"of": ["z"], "wrt": ["x", "two"], "fetches": []})
    body = save_safetensors({f"feeds/{name}": a for name, a in feeds.items()}, metadata={"request": request})
    headers = {"content-type": SAFETENSORS, "accept": SAFETENSORS}
    answer = service.post(f"/v1/graphs/{graph_id}/jacobian", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    found = load_safetensors(answer.content)
    assert set(found) == {"jacobian/z/x", "jacobian/z/two"}
    np.testing.assert_allclose(found["jacobian/z/x"], np.diag(feeds["y"]), rtol=1e-6)


def test_tangents_in_bulk(service, graph_id, feeds, rng):
    tangent = rng.standard_normal(7).astype(np.float32)
    tensors = {f"feeds/{name}": a for name, a in feeds.items()} | {"tangents/x": tangent}
    body = save_safetensors(tensors, metadata={"request": '{"of": ["z"], "wrt": ["x"], "fetches": []}'})
    headers = {"content-type": SAFETENSORS, "accept": SAFETENSORS}
    found = load_safetensors(service.post(f"/v1/graphs/{graph_id}/jvp", content=body, headers=headers).content)
    np.testing.assert_allclose(found["jvp/z"], tangent * feeds["y"], rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "of", "needed"), [("jacobian", ["z"], 7 * 7 * 4), ("hessian", "loss", 7 * 7 * 4)], ids=str
)
def test_a_matrix_over_the_limit_is_refused(make_service, loss, feeds, kind, of, needed):
    body = {"of": of, "wrt": ["x"], "feeds": lists(feeds)}
    for limit, status in ((needed, 200), (needed - 1, 422)):
        service = make_service(max_run_bytes=limit)
        answer = service.post(f"/v1/graphs/{service.store(loss)}/{kind}", body)
        assert answer.status_code == status, answer.text
    problem = answer.json()["problems"][0]
    assert (answer.json()["code"], problem["code"]) == ("limit", "memory")
    assert problem["found"] == f"{needed} bytes"


@pytest.mark.parametrize("path", ["run", "grad"])
@pytest.mark.parametrize("field", ["parameters", "feeds"])
def test_parameters_can_be_overridden_for_a_run(service, graph_id, feeds, path, field):
    body = {"feeds": lists(feeds), "parameters": {}}
    body[field]["two"] = -0.5
    body |= {"of": "loss", "wrt": ["x"]} if path == "grad" else {"grad": {"of": "loss", "wrt": ["x"]}}
    check(service.post(f"/v1/graphs/{graph_id}/{path}", body), feeds, "gradients", ["x"], two=-0.5)
    del body[field]["two"]
    check(service.post(f"/v1/graphs/{graph_id}/{path}", body), feeds, "gradients", ["x"])


@pytest.mark.parametrize("fetches", [["z"], ["loss", "xy"], ["x"], ["r", "two"], []], ids=str)
@pytest.mark.parametrize("more", [{}, {"grad": {"of": "loss", "wrt": ["x"]}}], ids=["run", "grad"])
def test_only_what_is_fetched_is_answered(service, graph_id, feeds, fetches, more):
    body = {"feeds": lists(feeds), "fetches": fetches} | more
    answer = service.post(f"/v1/graphs/{graph_id}/run", body)
    assert answer.status_code == 200, answer.text
    xy = feeds["x"] * feeds["y"]
    expected = formula(**feeds) | {"xy": xy, "z": xy + 2, "r": np.maximum(xy + 2, 0), "two": 2.0, "x": feeds["x"]}
    found = answer.json()["outputs"]
    assert list(found) == fetches
    for name in fetches:
        np.testing.assert_allclose(array_of(found[name]), expected[name], rtol=1e-6)


def test_a_gradient_of_an_intermediate_scalar(service, loss, feeds):
    loss["nodes"].append({"op": "Exp", "inputs": ["loss"], "outputs": ["e"]})
    loss["outputs"] = ["e"]
    small = {name: array / 8 for name, array in feeds.items()}
    answer = service.post(f"/v1/graphs/{service.store(loss)}/grad", {"of": "loss", "wrt": ["x"], "feeds": lists(small)})
    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(array_of(answer.json()["gradients"]["x"]), formula(**small)["x"], rtol=1e-6)


@pytest.mark.parametrize("values", [["NaN", "Infinity", "-Infinity", -0.0]], ids=["non-finite"])
@pytest.mark.parametrize("form", ["list", "base64", "safetensors"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_non_finite_numbers_go_through(service, values, form, dtype):
    graph = {
        "graphspec": 1,
        "opset": 21,
        "inputs": {"x": {"dtype": dtype, "shape": [4]}},
        "nodes": [{"op": "Identity", "inputs": ["x"], "outputs": ["y"]}],
        "outputs": ["y"],
    }
    array = np.array([np.nan, np.inf, -np.inf, -0.0], dtype)
    if form == "safetensors":
        request = json.dumps({"graph": graph})
        body = save_safetensors({"feeds/x": array}, metadata={"request": request})
        headers = {"content-type": SAFETENSORS, "accept": SAFETENSORS}
        answer = service.post("/v1/run", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        found = load_safetensors(answer.content)["outputs/y"]
    else:
        feed = values if form == "list" else as_base64(array)
        answer = service.post("/v1/run", {"graph": graph, "feeds": {"x": feed}, "encoding": form})
        assert answer.status_code == 200, answer.text
        tensor = answer.json()["outputs"]["y"]
        if form == "list":
            assert tensor["data"] == values
        found = array_of(tensor)
    np.testing.assert_array_equal(found, array)
    assert np.signbit(found[3])
    assert found.dtype == dtype


@pytest.mark.parametrize("accept", [SAFETENSORS, "application/json"])
def test_safetensors(service, graph_id, feeds, rng, accept):
    cotangent = rng.standard_normal(7).astype(np.float32)
    tensors = {f"feeds/{name}": array for name, array in feeds.items()} | {"cotangents/z": cotangent}
    tensors["parameters/two"] = np.array(1.0, np.float32)
    body = save_safetensors(tensors, metadata={"request": '{"of": ["z"], "wrt": ["x"], "fetches": ["loss"]}'})
    headers = {"content-type": SAFETENSORS, "accept": accept}
    answer = service.post(f"/v1/graphs/{graph_id}/vjp", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == accept
    if accept == SAFETENSORS:
        found = load_safetensors(answer.content)
        assert set(found) == {"outputs/loss", "vjp/x"}
    else:
        found = {f"{group}/{n}": array_of(t) for group, ts in answer.json().items() for n, t in ts.items()}
    np.testing.assert_allclose(found["vjp/x"], cotangent * feeds["y"], rtol=1e-6)
    np.testing.assert_allclose(found["outputs/loss"], formula(**feeds, two=1.0)["loss"], rtol=1e-6)


@pytest.mark.parametrize("size", [5000, 300_000])
def test_large_tensors(service, graph_id, rng, size):
    """Larger than what is read and written on the event loop."""
    feeds = {name: rng.standard_normal(size).astype(np.float32) for name in ("x", "y")}
    body = {"feeds": lists(feeds), "fetches": ["z"]}
    answer = service.post(f"/v1/graphs/{graph_id}/run", body)
    np.testing.assert_array_equal(array_of(answer.json()["outputs"]["z"]), feeds["x"] * feeds["y"] + np.float32(2))


def test_strings_and_booleans(service):
    graph = {
        "graphspec": 1,
        "opset": 21,
        "inputs": {"s": {"dtype": "string", "shape": [2]}, "b": {"dtype": "bool", "shape": [1, 2]}},
        "nodes": [
            {"op": "Identity", "inputs": ["s"], "outputs": ["t"]},
            {"op": "Not", "inputs": ["b"], "outputs": ["c"]},
        ],
        "outputs": ["t", "c"],
    }
    answer = service.post("/v1/run", {"graph": graph, "feeds": {"s": ["NaN", "é\n\0"], "b": [[True, False]]}})
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"] == {
        "t": {"dtype": "string", "shape": [2], "data": ["NaN", "é\n\0"]},
        "c": {"dtype": "bool", "shape": [1, 2], "data": [[False, True]]},
    }


def answer_of(service, op, inputs, outputs=("y",), accept="application/json", **more):
    graph = {
        "graphspec": 1,
        "opset": 21,
        "inputs": inputs,
        "nodes": [{"op": op, "inputs": list(inputs), "outputs": list(outputs)}],
        "outputs": list(outputs),
    }
    return service.post("/v1/run", {"graph": graph} | more, headers={"accept": accept})


def test_a_sequence_has_no_form_on_the_wire(service):
    for accept, code in (("application/json", "unsupported"), (SAFETENSORS, "invalid-feed")):
        answer = answer_of(
            service, "SequenceConstruct", {"x": {"dtype": "float32", "shape": [1]}}, feeds={"x": [1]}, accept=accept
        )
        assert answer.status_code == 422, answer.text
        assert answer.json()["code"] == code


def test_strings_do_not_fit_safetensors(service):
    answer = answer_of(
        service, "Identity", {"x": {"dtype": "string", "shape": [1]}}, feeds={"x": ["a"]}, accept=SAFETENSORS
    )
    assert (answer.status_code, answer.json()["problems"][0]["code"]) == (422, "encoding")


def test_values_of_unknown_rank_run(service):
    answer = answer_of(service, "Identity", {"x": {"dtype": "float32"}}, feeds={"x": [[1.5]]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"]["y"]["data"] == [[1.5]]


@pytest.mark.parametrize(
    ("dtype", "shape", "size"), [("F8_E8M0", [2], 2), ("F32", [0, 2**40], 0), ("F32", [2**40, 2**40, 0], 0)]
)
def test_safetensors_that_no_array_holds(service, graph_id, dtype, shape, size):
    header = json.dumps({"feeds/x": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}).encode()
    body = len(header).to_bytes(8, "little") + header + b"\1" * size
    answer = service.post(f"/v1/graphs/{graph_id}/run", content=body, headers={"content-type": SAFETENSORS})
    assert answer.status_code in (400, 422), answer.text
