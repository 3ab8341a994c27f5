"""Values that the backward part computes anew."""

from __future__ import annotations

import pytest

import graphspec as gs
from graphspec_server.executor import Graph, Work
from graphspec_server.executor.sessions import SessionCache

DEEP = {
    "text": '<ir_version: 10, opset_import: ["" : 21]> g (float[3] x) => (float s) '
    "{ a = Sin(x) b = Exp(a) c = Mul(b, b) s = ReduceSum<keepdims = 0>(c) }"
}
FEEDS = {"x": [0.5, -1.0, 2.0]}
REQUESTS = {
    "grad": {"of": "s", "wrt": ["x"], "feeds": FEEDS},
    "vjp": {"of": ["c"], "wrt": ["x"], "feeds": FEEDS, "cotangents": {"c": [0.3, -0.7, 1.1]}},
    "jvp": {"of": ["c"], "wrt": ["x"], "feeds": FEEDS, "tangents": {"x": [1, 2, 3]}},
    "hvp": {"of": "s", "wrt": ["x"], "feeds": FEEDS, "tangents": {"x": [1, 2, 3]}},
    "jacobian": {"of": ["c"], "wrt": ["x"], "feeds": FEEDS},
    "hessian": {"of": "s", "wrt": ["x"], "feeds": FEEDS},
}
NAMED = ["a", "b"]


@pytest.fixture
def stored(service):
    return "/v1/graphs/" + service.store(DEEP)


@pytest.mark.parametrize("verb", ["grad", "vjp"])
def test_numbers_are_the_same_with_checkpoints(service, stored, verb):
    kept = service.post(f"{stored}/{verb}", REQUESTS[verb])
    anew = service.post(f"{stored}/{verb}", REQUESTS[verb] | {"checkpoint": NAMED})
    assert (kept.status_code, anew.status_code) == (200, 200), anew.text
    assert anew.json() == kept.json()


@pytest.mark.parametrize("verb", ["grad", "vjp"])
@pytest.mark.parametrize("name", ["nothing", "x"])
def test_what_cannot_be_computed_anew_is_refused_though_the_work_is_known_without(service, stored, verb, name):
    assert service.post(f"{stored}/{verb}", REQUESTS[verb]).status_code == 200
    answer = service.post(f"{stored}/{verb}", REQUESTS[verb] | {"checkpoint": [name]})
    assert answer.status_code == 422, answer.text
    assert (answer.json()["problems"][0]["code"], answer.json()["problems"][0]["input"]) == ("unknown-value", name)


@pytest.mark.parametrize("verb", ["jvp", "hvp", "jacobian", "hessian"])
def test_other_verbs_take_no_checkpoint(service, stored, verb):
    answer = service.post(f"{stored}/{verb}", REQUESTS[verb] | {"checkpoint": NAMED})
    assert answer.status_code == 400
    assert answer.json()["problems"][0]["code"] == "unknown-field"


@pytest.mark.parametrize(("transform", "of"), [("grad", "s"), ("vjp", ["c"])])
def test_a_stored_derivative_computes_anew(service, stored, transform, of):
    asked = {"transform": transform, "of": of, "wrt": ["x"]}
    kept, anew = (service.post(f"{stored}/derive", asked | more) for more in ({}, {"checkpoint": NAMED}))
    assert (kept.status_code, anew.status_code) == (201, 201), anew.text
    assert anew.json()["id"] != kept.json()["id"]
    assert anew.json()["nodes"] > kept.json()["nodes"]


@pytest.mark.parametrize(("transform", "of"), [("jvp", ["c"]), ("hvp", "s")])
def test_other_stored_derivatives_take_no_checkpoint(service, stored, transform, of):
    answer = service.post(f"{stored}/derive", {"transform": transform, "of": of, "wrt": ["x"], "checkpoint": NAMED})
    assert answer.status_code == 400
    assert answer.json()["problems"][0]["code"] == "invalid-field"


def test_compiled_work_with_and_without_is_kept_apart():
    cache, graph = SessionCache(4), Graph("g", lambda: gs.load(DEEP["text"]))
    kept, anew = (cache.get(graph, Work("grad", ("s",), ("x",), checkpoint=names)) for names in ((), ("a", "b")))
    assert kept is not anew
    assert len(cache) == 2
