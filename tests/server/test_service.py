"""What stands before the routes, what is said of them, and what happens when work is too much."""

from __future__ import annotations

import asyncio
import logging
import threading

import jsonschema
import pytest

from graphspec_server.app import ROUTES
from graphspec_server.errors import STATUSES, failure_of
from graphspec_server.middleware import Door
from graphspec_server.settings import Settings


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready"])
def test_health(service, path):
    answer = service.get(path)
    assert (answer.status_code, answer.json()) == (200, {"live": True, "ready": True})


def test_errors_under_v2_have_that_protocol_s_form(service):
    answer = service.get("/v2/nope")
    assert answer.status_code == 404
    assert list(answer.json()) == ["error"]


def test_the_schema_fits_its_own_documents(service, loss):
    answer = service.get("/v1/schema")
    schema = answer.json()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(loss, schema, jsonschema.Draft202012Validator)


def test_operators(service):
    rows = service.get("/v1/operators").json()["operators"]
    named = {row["op_type"]: row for row in rows if row["domain"] in ("", "ai.onnx")}
    assert named["MatMul"]["kernel"] is True
    assert named["MatMul"]["derivative"] == "rule"
    assert named["Floor"]["derivative"] == "zero"
    assert not [row["op_type"] for row in rows if row["derivative"] == "not yet"]


def test_the_openapi_document_describes_bodies_and_answers(service, loss):
    document = service.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    methods = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert ("POST", "/v1/graphs/{graph_id}/derive") in methods
    assert len(methods) == 49
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["summary"]
            assert ("requestBody" in operation) == (method == "post"), path
            assert "422" not in operation["responses"]
    references = [part.split('"')[0] for part in str(document).replace("'", '"').split("#/components/schemas/")[1:]]
    assert set(references) <= set(document["components"]["schemas"])


def test_the_examples_of_the_documentation_work(service):
    document = service.get("/openapi.json").json()
    for path in ("/v1/run", "/v1/validate", "/v1/graphs"):
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        answer = service.post(path, body)
        assert answer.status_code in (200, 201), answer.text
    graph_id = answer.json()["id"]
    for path, item in document["paths"].items():
        if "{graph_id}/" in path:
            body = item["post"]["requestBody"]["content"]["application/json"]["example"]
            answer = service.post(path.format(graph_id=graph_id), body)
            assert answer.status_code in (200, 201), answer.text


def test_answers_fit_their_description(service, loss):
    document = service.get("/openapi.json").json()
    schemas = {"components": document["components"]}

    def fits(body, name):
        jsonschema.validate(body, {"$ref": f"#/components/schemas/{name}"} | schemas, jsonschema.Draft202012Validator)

    graph_id = service.store(loss)
    feeds = {"feeds": {"x": [1], "y": [2]}}
    target = {"of": "loss", "wrt": ["x"]}
    run = f"/v1/graphs/{graph_id}"
    fits(service.get("/v1/graphs").json(), "GraphList")
    fits(service.get(run).json(), "GraphAnswer")
    fits(service.post("/v1/validate", loss).json(), "ValidateAnswer")
    fits(service.post(f"{run}/run", feeds | {"grad": target, "encoding": "base64"}).json(), "RunAnswer")
    fits(service.post(f"{run}/grad", feeds | target).json(), "GradAnswer")
    fits(service.get("/v1/operators").json(), "OperatorList")
    fits(service.post("/v1/run", {}).json(), "ProblemDetails")
    fits(feeds | target, "GradRequest")


def test_random_numbers_start_from_the_seed_of_the_request(service):
    node = {"op": "RandomNormal", "inputs": [], "outputs": ["y"], "attributes": {"shape": [4]}}
    graph = {"graphspec": 1, "name": "noise", "opset": 21, "inputs": {}, "nodes": [node], "outputs": ["y"]}

    def drawn(**options):
        answer = service.post("/v1/run", {"graph": graph, "feeds": {}} | options)
        assert answer.status_code == 200, answer.text
        return answer.json()["outputs"]["y"]["data"]

    assert drawn(seed=5) == drawn(seed=5) != drawn(seed=6)
    assert drawn() != drawn()
    assert service.post("/v1/run", {"graph": graph, "feeds": {}, "seed": -1}).status_code == 400


@pytest.mark.parametrize("path", ["/v1/graphs", "/v2/health/live"])
def test_too_many_requests_are_refused(path):
    """While one is served, another is refused, health excepted; afterwards there is room again."""
    sent = []

    async def serve(scope, receive, send):
        await (scope["wait"].wait() if scope["path"] == "/slow" else asyncio.sleep(0))
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def ask(door, path, wait):
        async def send(message):
            sent.append(message)

        await door({"type": "http", "path": path, "headers": [], "wait": wait, "method": "GET"}, None, send)

    async def both():
        door, wait = Door(serve, [], 1), asyncio.Event()
        slow = asyncio.ensure_future(ask(door, "/slow", wait))
        await asyncio.sleep(0)
        await ask(door, path, wait)
        wait.set()
        await slow
        await ask(door, path, wait)

    asyncio.run(both())
    statuses = [message["status"] for message in sent if "status" in message]
    assert statuses == [503 if path.startswith("/v1") else 200, 200, 200]
    if statuses[0] == 503:
        assert (b"retry-after", b"1") in sent[0]["headers"]


def test_too_many_runs_are_refused(make_service, loss):
    """One runs, one waits, and the third is told so at once."""
    service = make_service(workers=1, max_queue=1)
    pool = service.app.state.data_plane._executor._pool
    graph_id = service.store(loss)
    body = {"feeds": {"x": [1], "y": [1]}}
    release = threading.Event()

    async def three():
        waiting = [asyncio.ensure_future(pool.call(lambda deadline: release.wait(20))) for _ in range(2)]
        await asyncio.sleep(0.05)
        answer = await service._client.post(f"/v1/graphs/{graph_id}/run", json=body)
        release.set()
        await asyncio.gather(*waiting)
        return answer, await service._client.post(f"/v1/graphs/{graph_id}/run", json=body)

    refused, later = service._runner.run(three())
    assert refused.status_code == 503
    assert refused.json()["code"] == "overloaded"
    assert refused.headers["retry-after"] == "1"
    assert later.status_code == 200
    assert pool.pending == 0


def test_a_run_past_its_time_is_given_up(make_service, loss, monkeypatch):
    service = make_service()
    graph_id = service.store(loss)
    service.app.state.data_plane._executor._pool._seconds = 0.2
    release = threading.Event()
    monkeypatch.setattr("graphspec_server.executor.sessions.CompiledProduct.run", lambda *args: release.wait(20))
    answer = service.post(f"/v1/graphs/{graph_id}/run", {"feeds": {"x": [1], "y": [1]}})
    release.set()
    assert answer.status_code == 504
    assert answer.json()["problems"][0]["code"] == "deadline"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(MemoryError(), 422, "limit"), (RecursionError(), 422, "limit"), (RuntimeError("secret /path"), 500, "internal")],
    ids=lambda value: type(value).__name__,
)
def test_what_nobody_expected(service, loss, monkeypatch, caplog, error, status, code):
    def fail(*args):
        raise error

    graph_id = service.store(loss)
    monkeypatch.setattr("graphspec_server.executor.sessions.CompiledProduct.run", fail)
    with caplog.at_level(logging.ERROR):
        answer = service.post(f"/v1/graphs/{graph_id}/run", {"feeds": {"x": [1], "y": [1]}})
    assert answer.status_code == status
    assert answer.json()["code"] == code
    assert "secret" not in answer.text
    assert ("secret" in caplog.text) == (status == 500)


def test_memory_is_refused_before_the_run(make_service):
    graph = {
        "graphspec": 1,
        "opset": 21,
        "inputs": {"x": {"dtype": "float32", "shape": ["n", 1]}},
        "nodes": [
            {"op": "Transpose", "inputs": ["x"], "outputs": ["t"]},
            {"op": "MatMul", "inputs": ["x", "t"], "outputs": ["big"]},
            {"op": "ReduceSum", "inputs": ["big"], "outputs": ["y"], "attributes": {"keepdims": 0}},
        ],
        "outputs": ["y"],
    }
    service = make_service(max_run_bytes=4 * 100 * 100)
    answers = [service.post("/v1/run", {"graph": graph, "feeds": {"x": [[1]] * n}}) for n in (100, 101)]
    assert [answer.status_code for answer in answers] == [200, 422]
    (problem,) = answers[1].json()["problems"]
    assert problem["code"] == "memory"
    assert "'big'" in problem["message"]


@pytest.mark.parametrize(("error", "problem"), [(MemoryError(), "memory"), (RecursionError(), "nesting")])
def test_exhaustion_anywhere_is_a_limit(error, problem):
    failure = failure_of(error)
    assert failure.status == 422
    assert [p["code"] for p in failure.body["problems"]] == [problem]


def test_every_error_has_a_status():
    import graphspec as gs
    from graphspec_server import errors

    kinds = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, gs.GraphSpecError)]
    for kind in [*kinds, gs.NotDifferentiable, gs.NoGradientRule]:
        failure = failure_of(kind("It is so."))
        assert 400 <= failure.status < 600
        assert failure.status != 500
        assert failure.body["code"] == kind.code
    assert all(title[0].isupper() for _, title in STATUSES.values())


def test_compiled_graphs_are_kept(make_service, loss):
    service = make_service(max_sessions=2)
    sessions = service.app.state.data_plane._executor._sessions
    graph_id = service.store(loss)
    body = {"feeds": {"x": [1], "y": [1]}}
    for wrt in (["x"], ["y"], ["x"], ["two"]):
        service.post(f"/v1/graphs/{graph_id}/run", body | {"grad": {"of": "loss", "wrt": wrt}})
    assert len(sessions) == 2
    assert [key[3] for key in sessions._kept] == [("x",), ("two",)]


def test_what_failed_to_compile_is_not_kept(service, loss):
    graph_id = service.store(loss)
    body = {"feeds": {"x": [1], "y": [1]}, "of": "z", "wrt": ["x"]}
    for _ in range(2):
        assert service.post(f"/v1/graphs/{graph_id}/grad", body).status_code == 422
    assert len(service.app.state.data_plane._executor._sessions) == 0


def test_an_app_can_be_started_again(service, loss):
    """As in a notebook: one app, one client after the other."""

    async def visit():
        async with service.app.router.lifespan_context(service.app):
            return await service._client.post("/v1/graphs", json=loss)

    answers = [service._runner.run(visit()) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]


def test_the_documentation_names_every_setting_and_route(root):
    text = (root / "docs" / "service.md").read_text(encoding="utf-8")
    settings = {f"`GRAPHSPEC_{name.upper()}`" for name in Settings.model_fields}
    routes = {f"`{route.method} {route.path.replace('graph_id', 'id')}`" for route in ROUTES}
    codes = {f"`{kind.code}`" for kind in STATUSES if kind.code != "error"}
    assert {word for word in settings | routes | codes if word not in text} == set()
