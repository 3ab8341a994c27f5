"""Several cotangents or tangents in one request."""

from __future__ import annotations

import numpy as np
import pytest

# What a request without seeds holds, and the name and shape of its vectors, for two feeds of size 3.
VERBS = {
    "vjp": ({"of": ["z"], "wrt": ["x"]}, "cotangents", "z"),
    "jvp": ({"of": ["z"], "wrt": ["x"]}, "tangents", "x"),
    "hvp": ({"of": "s", "wrt": ["x"]}, "tangents", "x"),
}
CURVED = {
    "graphspec": 1,
    "name": "curved",
    "opset": 21,
    "inputs": {"x": {"dtype": "float32", "shape": ["n"]}},
    "nodes": [
        {"op": "Exp", "inputs": ["x"], "outputs": ["z"]},
        {"op": "ReduceSum", "inputs": ["z"], "outputs": ["s"], "attributes": {"keepdims": 0}},
    ],
    "outputs": ["s"],
}
X = [0.5, -1.0, 2.0]


@pytest.fixture
def graph_id(service):
    return service.store(CURVED)


def body(verb, vectors, seeds):
    rest, field, name = VERBS[verb]
    return rest | {"feeds": {"x": X}, field: {name: vectors}, "seeds": seeds}


@pytest.mark.parametrize("verb", VERBS)
def test_each_seed_has_its_product(service, graph_id, rng, verb):
    for seeds in (4, 2):
        vectors = rng.standard_normal((seeds, 3)).astype(np.float32)
        answer = service.post(f"/v1/graphs/{graph_id}/{verb}", body(verb, vectors.tolist(), seeds))
        assert answer.status_code == 200, answer.text
        (found,) = answer.json()[verb].values()
        assert found["shape"] == [seeds, 3]
        np.testing.assert_allclose(found["data"], vectors * np.exp(X), rtol=1e-5)
    if verb == "hvp":
        assert answer.json()["gradients"]["x"]["shape"] == [3]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("vectors", "seeds", "status", "code"),
    [
        pytest.param([[1.0] * 3] * 3, 2, 422, "shape-mismatch", id="more"),
        pytest.param([1.0] * 3, 3, 422, None, id="one"),
        pytest.param(1.0, 1, 422, "shape-mismatch", id="scalar"),
        pytest.param([[1.0] * 3], None, 422, None, id="not-said"),
        pytest.param([[1.0] * 3], 0, 400, "invalid-field", id="zero"),
        pytest.param([[1.0] * 3], -1, 400, "invalid-field", id="negative"),
        pytest.param([[1.0] * 3], True, 400, "invalid-field", id="boolean"),
        pytest.param([[1.0] * 3], "n", 400, "invalid-field", id="text"),
    ],
)
def test_seeds_that_do_not_fit_are_refused(service, graph_id, verb, vectors, seeds, status, code):
    answer = service.post(f"/v1/graphs/{graph_id}/{verb}", body(verb, vectors, seeds))
    assert answer.status_code == status, answer.text
    problem = answer.json()["problems"][0]
    assert code in (None, problem["code"])
    if code == "shape-mismatch":
        assert problem["path"] == f"/{VERBS[verb][1]}/{VERBS[verb][2]}"
        assert problem["expected"].startswith(f"a leading dimension of {seeds}")


def test_grad_takes_no_seeds(service, graph_id):
    answer = service.post(f"/v1/graphs/{graph_id}/grad", {"of": "s", "wrt": ["x"], "feeds": {"x": X}, "seeds": 2})
    assert answer.status_code == 400
    assert answer.json()["problems"][0]["code"] == "unknown-field"


def test_many_seeds_are_held_against_the_memory_of_a_run(make_service):
    service = make_service(max_run_bytes=1000)
    graph_id = service.store(CURVED)
    vectors = np.ones((100, 3)).tolist()
    answer = service.post(f"/v1/graphs/{graph_id}/vjp", body("vjp", vectors, 100))
    assert answer.status_code == 422
    problem = answer.json()["problems"][0]
    assert (problem["code"], problem["found"]) == ("memory", "1200 bytes")
    assert service.post(f"/v1/graphs/{graph_id}/vjp", body("vjp", vectors[:80], 80)).status_code == 200


@pytest.mark.parametrize("seeds", [3, "many"])
def test_a_derivative_with_seeds_is_stored(service, graph_id, seeds):
    asked = {"transform": "vjp", "of": ["z"], "wrt": ["x"], "seeds": seeds}
    answer = service.post(f"/v1/graphs/{graph_id}/derive", asked)
    assert answer.status_code == 201, answer.text
    assert answer.json()["inputs"]["z_cotangent"]["shape"] == [seeds, "n"]
    assert answer.json()["outputs"]["x_vjp"]["shape"] == [seeds, "n"]


@pytest.mark.parametrize(("transform", "seeds"), [("grad", 3), ("vjp", 0), ("vjp", "")])
def test_derivatives_with_bad_seeds_are_refused(service, graph_id, transform, seeds):
    asked = {"transform": transform, "of": "s", "wrt": ["x"], "seeds": seeds}
    answer = service.post(f"/v1/graphs/{graph_id}/derive", asked)
    assert answer.status_code == 400
    assert answer.json()["problems"][0]["code"] == "invalid-field"


def test_matrices_go_in_slices_within_the_memory_of_a_run(make_service):
    service = make_service(max_run_bytes=2000)
    graph_id = service.store(CURVED)
    x = np.linspace(-1, 1, 20)
    answer = service.post(f"/v1/graphs/{graph_id}/jacobian", {"feeds": {"x": x.tolist()}, "of": ["z"], "wrt": ["x"]})
    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(answer.json()["jacobian"]["z"]["x"]["data"], np.diag(np.exp(x)), rtol=1e-5)
