"""Every malformed request gets a 4xx with problem details: never a 500, a traceback, a path or a hang."""

# ruff: noqa: E501 - the tables hold one request a line

from __future__ import annotations

import base64
import copy
import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from safetensors.numpy import save as save_safetensors

JSON = {"content-type": "application/json"}
ONNX = {"content-type": "application/x-onnx"}
TEXT = {"content-type": "text/plain"}
BULK = {"content-type": "application/vnd.safetensors"}

FEEDS = {"x": [1.0, 2.0], "y": [3.0, 4.0]}
DEEP = b"[" * 10_000 + b"]" * 10_000

# Every error's `detail` and problems are searched for these: nothing of the machine may show.
LEAKS = re.compile(r"Traceback|File \"|\.py\b|/home|/root|/tmp|/work|site-packages|0x[0-9a-f]{6,}")


class Bad(NamedTuple):
    """A request, and what is wrong with it."""

    path: str
    status: int
    code: str
    body: Any = None
    problem: str | None = None
    place: str | None = None
    method: str = "POST"
    headers: Mapping[str, str] = MappingProxyType({})


def one_value(dtype="float32", shape=(2,), **nodes):
    """A graph with one input and the nodes given."""
    return {
        "graphspec": 1,
        "opset": 21,
        "inputs": {"x": {"dtype": dtype, "shape": list(shape)}},
        "nodes": [{"op": "Identity", "inputs": ["x"], "outputs": ["y"]}],
        "outputs": ["y"],
    } | nodes


def run(**body):
    return {"feeds": FEEDS} | body


def grad(**body):
    return {"of": "loss", "wrt": ["x"], "feeds": FEEDS} | body


def vjp(**body):
    return {"of": ["z"], "wrt": ["x"], "feeds": FEEDS, "cotangents": {"z": [1.0, 1.0]}} | body


def jvp(**body):
    return {"of": ["z"], "wrt": ["x"], "feeds": FEEDS, "tangents": {"x": [1.0, 1.0]}} | body


def hvp(**body):
    return jvp(of="loss") | body


def bulk(tensors, **request):
    return save_safetensors(tensors, metadata={"request": json.dumps(request)})


JVP, HVP, JACOBIAN, HESSIAN = (f"/v1/graphs/{{id}}/{name}" for name in ("jvp", "hvp", "jacobian", "hessian"))
RUN, GRAD, VJP, DERIVE, GRAPH = (
    "/v1/graphs/{id}/run",
    "/v1/graphs/{id}/grad",
    "/v1/graphs/{id}/vjp",
    "/v1/graphs/{id}/derive",
    "/v1/graphs/{id}",
)
X = np.ones(2, np.float32)

CASES = {
    # routes
    "unknown-route": Bad("/v1/nope", 404, "not-found"),
    "root": Bad("/", 404, "not-found", method="GET"),
    "trailing-slash": Bad("/v1/graphs/", 404, "not-found", method="GET"),
    "wrong-method": Bad("/v1/run", 405, "method-not-allowed", method="GET"),
    "wrong-method-of-a-graph": Bad(GRAPH, 405, "method-not-allowed", method="PUT"),
    "odd-method": Bad("/v1/run", 405, "method-not-allowed", method="BREW"),
    "id-short": Bad("/v1/graphs/abc", 404, "unknown-graph", method="GET"),
    "id-unknown": Bad("/v1/graphs/" + "0" * 64, 404, "unknown-graph", method="GET"),
    "id-upper": Bad("/v1/graphs/" + "A" * 64, 404, "unknown-graph", method="GET"),
    "id-path": Bad("/v1/graphs/..%2Fx", 404, "not-found", method="GET"),
    "id-dots": Bad("/v1/graphs/..%5Cx", 404, "unknown-graph", method="GET"),
    "id-nul": Bad("/v1/graphs/%00", 404, "unknown-graph", method="GET"),
    "id-not-utf-8": Bad("/v1/graphs/%ff", 404, "unknown-graph", method="GET"),
    "id-long": Bad("/v1/graphs/" + "a" * 5000, 404, "unknown-graph", method="DELETE"),
    "id-of-a-run": Bad("/v1/graphs/abc/run", 404, "unknown-graph", run()),
    "id-of-a-grad": Bad("/v1/graphs/abc/grad", 404, "unknown-graph", grad()),
    "id-of-a-vjp": Bad("/v1/graphs/abc/vjp", 404, "unknown-graph", vjp()),
    "id-of-a-jvp": Bad("/v1/graphs/abc/jvp", 404, "unknown-graph", jvp()),
    "id-of-a-jacobian": Bad("/v1/graphs/abc/jacobian", 404, "unknown-graph", {"of": ["z"], "wrt": ["x"]}),
    "id-of-a-derivative": Bad("/v1/graphs/abc/derive", 404, "unknown-graph", {"transform": "grad", "of": "y", "wrt": ["x"]}),
    # bodies
    "no-body": Bad(RUN, 400, "invalid-request", problem="missing-body"),
    "no-graph": Bad("/v1/graphs", 400, "invalid-request", problem="missing-body"),
    "cut": Bad(RUN, 400, "invalid-request", b'{"feeds": {', "invalid-json", headers=JSON),
    "not-json": Bad(RUN, 400, "invalid-request", b"feeds=1", "invalid-json", headers=JSON),
    "not-utf-8": Bad(RUN, 400, "invalid-request", b'{"feeds": "\xff"}', "invalid-json", headers=JSON),
    "text-not-utf-8": Bad("/v1/graphs", 400, "invalid-request", b"\xff\xfe", "invalid-text", headers=TEXT),
    "nul": Bad(RUN, 400, "invalid-request", b"\0", "invalid-json", headers=JSON),
    "deep": Bad(RUN, 400, "invalid-request", DEEP, "invalid-json", headers=JSON),
    "deep-graph": Bad("/v1/graphs", 400, "invalid-request", DEEP, "invalid-json", headers=JSON),
    "deep-object": Bad("/v1/validate", 400, "invalid-request", b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "invalid-json", headers=JSON),
    "duplicate-key": Bad(RUN, 400, "invalid-request", b'{"feeds": {}, "feeds": {}}', "duplicate-key", headers=JSON),
    "duplicate-feed": Bad(RUN, 400, "invalid-request", b'{"feeds": {"x": 1, "x": 2}}', "duplicate-key", headers=JSON),
    "nan-token": Bad(RUN, 400, "invalid-request", b'{"feeds": {"x": [NaN, 1]}}', "invalid-json", headers=JSON),
    "surrogate": Bad(RUN, 400, "invalid-request", b'{"feeds": {"\\ud800": 1}}', "invalid-json", headers=JSON),
    "list": Bad(RUN, 400, "invalid-request", []),
    "number": Bad("/v1/graphs", 400, "invalid-request", 5),
    "text-as-json": Bad("/v1/graphs", 400, "invalid-request", "graph"),
    "null": Bad("/v1/run", 400, "invalid-request", b"null", headers=JSON),
    # types
    "type-unknown": Bad(RUN, 415, "unsupported-media-type", b"{}", headers={"content-type": "text/csv"}),
    "type-form": Bad(RUN, 415, "unsupported-media-type", b"a=1", headers={"content-type": "application/x-www-form-urlencoded"}),
    "type-onnx-for-a-run": Bad(RUN, 415, "unsupported-media-type", b"x", headers=ONNX),
    "type-bulk-for-a-graph": Bad("/v1/graphs", 415, "unsupported-media-type", b"x", headers=BULK),
    "type-nonsense": Bad(RUN, 415, "unsupported-media-type", b"{}", headers={"content-type": ";;;"}),
    "charset": Bad(RUN, 415, "unsupported-media-type", b"{}", headers={"content-type": "application/json; charset=latin-1"}),
    "compressed": Bad(RUN, 415, "unsupported-media-type", b"{}", headers=JSON | {"content-encoding": "gzip"}),
    "accept": Bad(RUN, 406, "not-acceptable", run(), headers={"accept": "image/png"}),
    "accept-graph": Bad(GRAPH, 406, "not-acceptable", method="GET", headers={"accept": "text/html"}),
    "too-large": Bad(RUN, 413, "body-too-large", b" " * 1_500_000, headers=JSON),
    "too-large-graph": Bad("/v1/graphs", 413, "body-too-large", b" " * 1_500_000, headers=ONNX),
    "too-large-validate": Bad("/v1/validate", 413, "body-too-large", b" " * 5_500_000, headers=TEXT),
    # fields
    "unknown-field": Bad(RUN, 400, "invalid-request", run(feed={}), "unknown-field", "/feed"),
    "unknown-field-of-grad": Bad(RUN, 400, "invalid-request", run(grad={"off": "loss", "of": "loss", "wrt": ["x"]}), "unknown-field", "/grad/off"),
    "graph-in-a-stored-run": Bad(RUN, 400, "invalid-request", run(graph={}), "unknown-field", "/graph"),
    "missing-graph": Bad("/v1/run", 400, "invalid-request", run(), "missing-field", "/graph"),
    "missing-of": Bad(GRAD, 400, "invalid-request", {"wrt": ["x"]}, "missing-field", "/of"),
    "missing-wrt": Bad(GRAD, 400, "invalid-request", {"of": "loss"}, "missing-field", "/wrt"),
    "empty-wrt": Bad(GRAD, 400, "invalid-request", grad(wrt=[]), "invalid-field", "/wrt"),
    "wrt-no-list": Bad(GRAD, 400, "invalid-request", grad(wrt="x"), "invalid-field", "/wrt"),
    "wrt-of-numbers": Bad(GRAD, 400, "invalid-request", grad(wrt=[1]), "invalid-field", "/wrt/0"),
    "wrt-twice": Bad(GRAD, 400, "invalid-request", grad(wrt=["x", "x"]), "repeated-name", "/wrt"),
    "of-a-list-in-grad": Bad(GRAD, 400, "invalid-request", grad(of=["loss"]), "invalid-field", "/of"),
    "of-a-text-in-vjp": Bad(VJP, 400, "invalid-request", vjp(of="z"), "invalid-field", "/of"),
    "of-a-text-in-jvp": Bad(JVP, 400, "invalid-request", jvp(of="z"), "invalid-field", "/of"),
    "of-a-list-in-hvp": Bad(HVP, 400, "invalid-request", hvp(of=["loss"]), "invalid-field", "/of"),
    "of-a-text-in-jacobian": Bad(JACOBIAN, 400, "invalid-request", {"of": "z", "wrt": ["x"]}, "invalid-field", "/of"),
    "of-a-list-in-hessian": Bad(HESSIAN, 400, "invalid-request", grad(of=["loss"]), "invalid-field", "/of"),
    "cotangents-in-jvp": Bad(JVP, 400, "invalid-request", jvp(cotangents={}), "unknown-field", "/cotangents"),
    "tangents-in-jacobian": Bad(JACOBIAN, 400, "invalid-request", jvp(), "unknown-field", "/tangents"),
    "tangents-missing": Bad(HVP, 400, "invalid-request", grad(), "missing-field", "/tangents"),
    "tangents-no-object": Bad(JVP, 400, "invalid-request", jvp(tangents=[1]), "invalid-field", "/tangents"),
    "jacobian-twice": Bad(JACOBIAN, 400, "invalid-request", {"of": ["z", "z"], "wrt": ["x"]}, "repeated-name", "/of"),
    "hessian-twice": Bad(HESSIAN, 400, "invalid-request", grad(wrt=["x", "x"]), "repeated-name", "/wrt"),
    "encoding": Bad(RUN, 400, "invalid-request", run(encoding="hex"), "invalid-field", "/encoding"),
    "fetches-no-list": Bad(RUN, 400, "invalid-request", run(fetches="loss"), "invalid-field", "/fetches"),
    "feeds-no-object": Bad(RUN, 400, "invalid-request", {"feeds": [1]}, "invalid-field", "/feeds"),
    "transform": Bad(DERIVE, 400, "invalid-request", {"transform": "integral", "of": "loss", "wrt": ["x"]}, "invalid-field", "/transform"),
    "derive-hvp-of-two": Bad(DERIVE, 400, "invalid-request", {"transform": "hvp", "of": ["loss", "z"], "wrt": ["x"]}, "invalid-field"),
    "derive-a-jacobian": Bad(DERIVE, 400, "invalid-request", {"transform": "jacobian", "of": ["z"], "wrt": ["x"]}, "invalid-field", "/transform"),
    "derive-grad-of-two": Bad(DERIVE, 400, "invalid-request", {"transform": "grad", "of": ["loss", "z"], "wrt": ["x"]}, "invalid-field"),
    # feeds
    "feed-unknown": Bad(RUN, 422, "invalid-feed", run(feeds=FEEDS | {"xx": 1}), "unknown-name", "/feeds/xx"),
    "feed-missing": Bad(RUN, 422, "invalid-feed", {"feeds": {"x": [1.0]}}),
    "feed-dtype": Bad(RUN, 422, "invalid-feed", run(feeds=FEEDS | {"x": {"dtype": "float64", "data": [1, 2]}})),
    "feed-rank": Bad(RUN, 422, "invalid-feed", run(feeds=FEEDS | {"x": [[1, 2]]})),
    "feed-dimension": Bad(RUN, 422, "invalid-feed", run(feeds=FEEDS | {"x": [1, 2, 3]})),
    "feed-ragged": Bad(RUN, 422, "invalid-feed", run(feeds=FEEDS | {"x": [[1], 2]}), "ragged", "/feeds/x"),
    "feed-null": Bad(RUN, 422, "invalid-feed", run(feeds=FEEDS | {"x": None}), "data-value", "/feeds/x"),
    "feed-overflow": Bad(RUN, 422, "invalid-feed", run(feeds=FEEDS | {"x": [1e39, 0]}), "data-value", "/feeds/x"),
    "feed-base64": Bad(RUN, 422, "invalid-feed", run(feeds=FEEDS | {"x": {"base64": "?", "shape": [2]}}), "base64", "/feeds/x/base64"),
    "feed-twice": Bad(RUN, 422, "invalid-feed", run(feeds=FEEDS | {"two": 1}, parameters={"two": 1}), "duplicate-feed", "/parameters/two"),
    "parameter-unknown": Bad(RUN, 422, "invalid-feed", run(parameters={"x": [1, 2]}), "unknown-name", "/parameters/x"),
    "parameter-shape": Bad(RUN, 422, "invalid-feed", run(parameters={"two": [1, 2]})),
    "fetch-unknown": Bad(RUN, 422, "invalid-feed", run(fetches=["lost"])),
    "fetch-unknown-beside-grad": Bad(RUN, 422, "invalid-feed", run(fetches=["lost"], grad={"of": "loss", "wrt": ["x"]})),
    "cotangent-missing": Bad(VJP, 422, "invalid-feed", vjp(cotangents={}), "missing-cotangent"),
    "cotangent-unknown": Bad(VJP, 422, "invalid-feed", vjp(cotangents={"z": [1, 1], "loss": 1}), "unknown-name", "/cotangents/loss"),
    "cotangent-shape": Bad(VJP, 422, "invalid-feed", vjp(cotangents={"z": [1, 1, 1]})),
    "tangent-missing": Bad(JVP, 422, "invalid-feed", jvp(tangents={}), "missing-tangent", "/tangents"),
    "tangent-missing-hvp": Bad(HVP, 422, "invalid-feed", hvp(tangents={}), "missing-tangent", "/tangents"),
    "tangent-unknown": Bad(JVP, 422, "invalid-feed", jvp(tangents={"x": [1, 1], "z": 1}), "unknown-name", "/tangents/z"),
    "tangent-shape": Bad(JVP, 422, "invalid-feed", jvp(tangents={"x": [1, 1, 1]})),
    "tangent-shape-hvp": Bad(HVP, 422, "invalid-feed", hvp(tangents={"x": [[1, 1]]})),
    "jacobian-feed-missing": Bad(JACOBIAN, 422, "invalid-feed", {"of": ["z"], "wrt": ["x"], "feeds": {"x": [1.0]}}),
    "hessian-feed-missing": Bad(HESSIAN, 422, "invalid-feed", grad(feeds={"x": [1.0]})),
    "jacobian-fetch-unknown": Bad(JACOBIAN, 422, "invalid-feed", {"of": ["z"], "wrt": ["x"], "feeds": FEEDS, "fetches": ["lost"]}),
    # derivatives
    "of-unknown": Bad(GRAD, 422, "*", grad(of="lost")),
    "of-unknown-vjp": Bad(VJP, 422, "*", vjp(of=["lost"], cotangents={"lost": [1.0]})),
    "wrt-unknown-jvp": Bad(JVP, 422, "*", jvp(wrt=["lost"], tangents={"lost": [1.0]})),
    "of-unknown-jacobian": Bad(JACOBIAN, 422, "not-differentiable", {"of": ["lost"], "wrt": ["x"], "feeds": FEEDS}),
    "of-no-scalar-hvp": Bad(HVP, 422, "not-differentiable", hvp(of="z")),
    "of-no-scalar-hessian": Bad(HESSIAN, 422, "not-differentiable", grad(of="z")),
    "dependent-hessian": Bad(HESSIAN, 422, "not-differentiable", grad(wrt=["x", "z"]), "not-independent"),
    "not-connected-jacobian": Bad(JACOBIAN, 422, "not-differentiable", {"of": ["x0"], "wrt": ["y"], "feeds": FEEDS}, "not-connected"),
    "wrt-unknown": Bad(GRAD, 422, "*", grad(wrt=["lost"])),
    "of-no-scalar": Bad(GRAD, 422, "not-differentiable", grad(of="z")),
    "of-no-scalar-run": Bad(RUN, 422, "not-differentiable", run(grad={"of": "z", "wrt": ["x"]})),
    "of-no-scalar-derive": Bad(DERIVE, 422, "not-differentiable", {"transform": "grad", "of": "z", "wrt": ["x"]}),
    "not-connected": Bad(GRAD, 422, "not-differentiable", grad(of="x0", wrt=["y"])),
    # safetensors
    "bulk-empty": Bad(RUN, 400, "invalid-request", b"x", "invalid-safetensors", headers=BULK),
    "bulk-cut": Bad(RUN, 400, "invalid-request", bulk({"feeds/x": X})[:-1], "invalid-safetensors", headers=BULK),
    "bulk-lying-header": Bad(RUN, 400, "invalid-request", b"\xff" * 64, "invalid-safetensors", headers=BULK),
    "bulk-no-group": Bad(RUN, 400, "invalid-request", bulk({"x": X}), headers=BULK),
    "bulk-unknown-group": Bad(RUN, 400, "invalid-request", bulk({"outputs/x": X}), headers=BULK),
    "bulk-twice": Bad(RUN, 400, "invalid-request", bulk({"feeds/x": X}, feeds={"x": [1, 2]}), "duplicate-feed", headers=BULK),
    "bulk-feeds-no-object": Bad(RUN, 400, "invalid-request", bulk({"feeds/x": X}, feeds=[]), headers=BULK),
    "bulk-unknown-name": Bad(RUN, 422, "invalid-feed", bulk({"feeds/xx": X}), "unknown-name", "/feeds/xx", headers=BULK),
    "bulk-dtype": Bad(RUN, 422, "invalid-feed", bulk({"feeds/x": X.astype(np.float64), "feeds/y": X}), headers=BULK),
    "bulk-unknown-field": Bad(RUN, 400, "invalid-request", bulk({"feeds/x": X}, fetch=[]), "unknown-field", headers=BULK),
    "bulk-request-no-json": Bad(RUN, 400, "invalid-request", save_safetensors({}, metadata={"request": "{"}), "invalid-json", headers=BULK),
    "bulk-request-no-object": Bad(RUN, 400, "invalid-request", save_safetensors({}, metadata={"request": "[]"}), headers=BULK),
    # graphs that cannot be read
    "onnx-random": Bad("/v1/graphs", 400, "load", b"\x08\x99" * 50, headers=ONNX),
    "onnx-validate-random": Bad("/v1/validate", 400, "load", b"\xff" * 50, headers=ONNX),
    "onnx-text-as-bytes": Bad("/v1/graphs", 400, "load", b"hello", headers=ONNX),
    "base64-broken": Bad("/v1/graphs", 400, "load", {"onnx": "?"}),
    "base64-no-text": Bad("/v1/graphs", 400, "load", {"onnx": 5}),
    "base64-random": Bad("/v1/run", 400, "load", run(graph={"onnx": base64.b64encode(b"\xff" * 9).decode()})),
    "text-broken": Bad("/v1/graphs", 400, "load", b"<ir_version: 10> nope", headers=TEXT),
    "text-of-a-path": Bad("/v1/graphs", 400, "load", b"/etc/passwd", headers=TEXT),
    "text-of-a-path-in-json": Bad("/v1/graphs", 400, "load", {"text": "/etc/passwd"}),
    "text-of-a-url": Bad("/v1/graphs", 400, "load", {"text": "file:///etc/passwd"}),
    "graph-is-a-list": Bad("/v1/run", 400, "load", run(graph=[]), place="/graph"),
    "graph-is-a-text": Bad("/v1/run", 400, "load", run(graph="/etc/passwd"), place="/graph"),
    "graph-is-null": Bad("/v1/run", 400, "load", run(graph=None), place="/graph"),
    "graph-is-empty": Bad("/v1/run", 400, "load", run(graph={})),
    "graph-in-graph": Bad("/v1/run", 400, "load", run(graph={"graph": {"graph": {}}})),
    "graph-in-two-forms": Bad("/v1/graphs", 400, "load", {"onnx": "", "text": ""}),
    "document-unknown-field": Bad("/v1/graphs", 400, "load", one_value(imputs={})),
    "document-unknown-version": Bad("/v1/graphs", 400, "load", one_value(graphspec=99)),
    "document-no-nodes": Bad("/v1/graphs", 400, "load", one_value(nodes=5)),
}  # fmt: skip

# Graphs that break a rule: refused when stored or run, reported in full when validated.
INVALID = {
    "cycle": one_value(nodes=[
        {"op": "Add", "inputs": ["x", "b"], "outputs": ["a"]},
        {"op": "Neg", "inputs": ["a"], "outputs": ["b"]},
        {"op": "Neg", "inputs": ["b"], "outputs": ["y"]},
    ]),
    "undefined-value": one_value(nodes=[{"op": "Neg", "inputs": ["xx"], "outputs": ["y"]}]),
    "defined-twice": one_value(nodes=[{"op": "Neg", "inputs": ["x"], "outputs": ["y"]}] * 2),
    "unknown-operator": one_value(nodes=[{"op": "Negg", "inputs": ["x"], "outputs": ["y"]}]),
    "not-in-this-opset": one_value(opset=7, nodes=[{"op": "Gelu", "inputs": ["x"], "outputs": ["y"]}]),
    "too-many-inputs": one_value(nodes=[{"op": "Neg", "inputs": ["x", "x"], "outputs": ["y"]}]),
    "missing-attribute": one_value(nodes=[{"op": "Concat", "inputs": ["x", "x"], "outputs": ["y"]}]),
    "dtype-mismatch": one_value("int64", nodes=[{"op": "Exp", "inputs": ["x"], "outputs": ["y"]}]),
    "shape-mismatch": one_value(
        parameters={"w": {"dtype": "float32", "shape": [3], "data": [1, 2, 3]}},
        nodes=[{"op": "Add", "inputs": ["x", "w"], "outputs": ["y"]}],
    ),
    "undefined-output": one_value(outputs=["nope"]),
    "wrong-attribute": one_value(nodes=[{"op": "Identity", "inputs": ["x"], "outputs": ["y"], "attributes": {"axes": 1}}]),
    "negative-dimension": one_value(shape=(-2,)),
    "output-shape-contradicted": one_value(outputs={"y": {"dtype": "float32", "shape": [3]}}),
    "output-dtype-contradicted": one_value(outputs={"y": {"dtype": "int64", "shape": [2]}}),
    "parameter-of-wrong-length": one_value(parameters={"w": {"dtype": "float32", "shape": [3], "data": [1, 2]}}),
}  # fmt: skip


# What a document cannot even say, so that there is no graph to report on.
NO_DOCUMENTS = {"wrong-attribute", "parameter-of-wrong-length"}


def send(service, case, graph_id):
    path = case.path.replace("{id}", graph_id)
    if case.body is None or isinstance(case.body, bytes):
        return service.request(case.method, path, content=case.body, headers=case.headers)
    return service.request(case.method, path, json=case.body, headers=case.headers)


def check_problem(answer, status, code):
    """A well-formed problem without a trace of the machine; gives its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert list(body) == ["type", "title", "status", "detail", "code", "problems"]
    assert body["status"] == status
    assert body["type"].endswith("/" + body["code"])
    assert code in ("*", body["code"]), body
    assert not LEAKS.search(re.sub(r"/etc/passwd", "", answer.text)), answer.text
    return body


@pytest.fixture
def graph(loss):
    """The classic graph, and a scalar that has nothing to do with it."""
    loss["nodes"].append({"op": "ReduceMax", "inputs": ["x"], "outputs": ["x0"], "attributes": {"keepdims": 0}})
    loss["outputs"].append("x0")
    return loss


@pytest.fixture
def strict(make_service):
    return make_service(max_body_bytes=1_000_000)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_bad_requests(strict, graph, case):
    answer = send(strict, case, strict.store(graph))
    body = check_problem(answer, case.status, case.code)
    if case.problem is not None:
        assert case.problem in {problem["code"] for problem in body["problems"]}, body
    if case.place is not None:
        assert case.place in {problem["path"] for problem in body["problems"]}, body
    if case.status not in (404, 405):
        assert body["problems"]


@pytest.mark.parametrize("name", INVALID)
def test_invalid_graphs(service, name):
    """Refused when stored or run; and what can be read as a graph at all is reported in full when validated."""
    graph = INVALID[name]
    stored, ran = service.post("/v1/graphs", graph), service.post("/v1/run", {"graph": graph, "feeds": {"x": [1, 2]}})
    report = service.post("/v1/validate", graph)
    assert (report.status_code == 400) == (name in NO_DOCUMENTS)
    status, code = (400, "load") if name in NO_DOCUMENTS else (422, "invalid-graph")
    stored, ran = check_problem(stored, status, code), check_problem(ran, status, code)
    if report.status_code == 200:
        assert report.json()["valid"] is False
        assert stored["problems"] == [p for p in report.json()["problems"] if p["severity"] == "error"]
    assert stored["problems"]
    assert [p["path"] for p in ran["problems"]] == ["/graph" + p["path"] for p in stored["problems"]]


def onnx_with(**weight):
    """x + w as ONNX, with a tensor w that is not what it should be."""
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2]) for name in ("x", "y")]
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[2], **weight)
    return onnx.helper.make_model(onnx.helper.make_graph([node], "g", value[:1], value[1:], [tensor]))


EXTERNAL = [onnx.StringStringEntryProto(key="location", value="../../../etc/passwd")]


@pytest.mark.parametrize(
    "weight",
    [
        pytest.param({"raw_data": b"\0" * 7}, id="raw-data-too-short"),
        pytest.param({"raw_data": b"\0" * 12}, id="raw-data-too-long"),
        pytest.param({"float_data": [1.0]}, id="float-data-too-short"),
        pytest.param({"float_data": [1.0, 2.0], "raw_data": b"\0" * 8}, id="data-twice"),
        pytest.param({}, id="no-data"),
        pytest.param({"data_location": 1, "external_data": EXTERNAL}, id="external"),
        pytest.param({"external_data": EXTERNAL, "raw_data": b"\0" * 8}, id="external-in-disguise"),
    ],
)
def test_tensors_that_are_not_what_they_should_be(service, weight):
    body = onnx_with(**weight).SerializeToString()
    stored = service.post("/v1/graphs", content=body, headers=ONNX)
    assert stored.status_code in (400, 422), stored.text
    check_problem(stored, stored.status_code, "*")
    report = service.post("/v1/validate", content=body, headers=ONNX)
    assert report.status_code == 400 or report.json()["valid"] is False


def test_a_valid_graph_is_reported_with_its_values(service, loss):
    loss["nodes"].append({"op": "Neg", "inputs": ["x"], "outputs": ["unused"]})
    report = service.post("/v1/validate", {"graph": loss})
    assert report.status_code == 200
    body = report.json()
    assert body["valid"] is True
    assert body["values"]["z"] == {"dtype": "float32", "shape": ["n"], "kind": "intermediate"}
    assert body["values"]["two"] == {"dtype": "float32", "shape": [], "kind": "parameter"}


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.99])
def test_truncated_onnx(service, loss, keep):
    import graphspec as gs

    data = gs.dumps(gs.load(loss), "onnx")
    answer = service.post("/v1/graphs", content=data[: int(len(data) * keep)], headers=ONNX)
    assert answer.status_code in (400, 422), answer.text
    check_problem(answer, answer.status_code, "*")


def test_every_unknown_field_is_named_with_the_nearest(service, loss):
    answer = service.post(f"/v1/graphs/{service.store(loss)}/run", {"feds": {}, "fetchs": [], "parametres": {}})
    hints = {problem["path"]: problem["hint"] for problem in answer.json()["problems"]}
    assert hints == {
        "/feds": "Did you mean 'feeds'?",
        "/fetchs": "Did you mean 'fetches'?",
        "/parametres": "Did you mean 'parameters'?",
    }


def test_every_problem_of_the_feeds_is_reported(service, loss):
    body = {"feeds": {"x": [[1], 2], "q": 1}, "parameters": {"two": "two"}}
    answer = service.post(f"/v1/graphs/{service.store(loss)}/run", body)
    assert [problem["path"] for problem in answer.json()["problems"]] == ["/feeds/x", "/feeds/q", "/parameters/two"]


def test_an_integer_has_no_gradient(service):
    graph = one_value("int64", nodes=[{"op": "Cast", "inputs": ["x"], "outputs": ["f"], "attributes": {"to": 1}},
                                      {"op": "ReduceSum", "inputs": ["f"], "outputs": ["y"], "attributes": {"keepdims": 0}}])  # fmt: skip
    body = {"of": "y", "wrt": ["x"], "feeds": {"x": [1, 2]}}
    answer = service.post(f"/v1/graphs/{service.store(graph)}/grad", body)
    check_problem(answer, 422, "not-differentiable")


def test_an_input_without_a_rule_is_named(service):
    graph = one_value(shape=(4,), nodes=[
        {"op": "Resize", "inputs": ["x", "", "x"], "outputs": ["d"], "name": "resized", "attributes": {"mode": "linear"}},
        {"op": "ReduceSum", "inputs": ["d"], "outputs": ["y"], "attributes": {"keepdims": 0}}])  # fmt: skip
    graph["inputs"]["x"]["shape"] = [1]
    body = {"graph": graph, "feeds": {"x": [2]}, "grad": {"of": "y", "wrt": ["x"]}}
    problem = check_problem(service.post("/v1/run", body), 422, "no-gradient-rule")
    assert "Resize" in problem["detail"]
    assert "resized" in problem["detail"]


def test_long_names_do_not_come_back_whole(service, loss):
    body = {"feeds": {"x" * 100_000: 1}}
    answer = service.post(f"/v1/graphs/{service.store(loss)}/run", body)
    assert answer.status_code == 422
    assert len(answer.content) < 10_000


def test_the_client_s_request_is_not_changed_by_a_refusal(service, loss):
    """A refused run leaves the stored graph as it was."""
    graph_id = service.store(copy.deepcopy(loss))
    assert service.post(f"/v1/graphs/{graph_id}/run", {"feeds": {"x": [1]}}).status_code == 422
    answer = service.post(f"/v1/graphs/{graph_id}/run", {"feeds": {"x": [1], "y": [1]}})
    assert answer.json()["outputs"]["loss"]["data"] == 3.0
