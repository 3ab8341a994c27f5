"""Stored graphs: one id however it comes, every form on request, derivatives as graphs of their own."""

from __future__ import annotations

import base64
import json

import numpy as np
import onnx
import onnx.checker
import onnx.parser
import pytest

import graphspec as gs
from graphspec_server.errors import StorageError


@pytest.fixture
def onnx_bytes(loss):
    return gs.dumps(gs.load(loss), "onnx")


def test_description(service, loss, onnx_bytes):
    answer = service.post("/v1/graphs", loss)
    assert answer.status_code == 201
    body = answer.json()
    assert body == {
        "id": gs.digest(gs.load(loss)),
        "name": "loss",
        "inputs": {name: {"dtype": "float32", "shape": ["n"]} for name in ("x", "y")},
        "parameters": {"two": {"dtype": "float32", "shape": []}},
        "outputs": {"loss": {"dtype": "float32", "shape": []}},
        "opset": 21,
        "nodes": 4,
        "bytes": len(onnx_bytes),
    }
    assert answer.headers["location"] == f"/v1/graphs/{body['id']}"
    assert service.get("/v1/graphs").json() == {"graphs": [body]}
    again = service.get(answer.headers["location"]).json()
    graph = again.pop("graph")
    assert again == body
    assert gs.digest(gs.load(graph)) == body["id"]


def test_every_form_gives_the_same_id(service, loss, onnx_bytes):
    text = gs.dumps(gs.load(loss), "text").decode()
    encoded = base64.b64encode(onnx_bytes).decode()
    raw = [("application/x-onnx", onnx_bytes), ("application/octet-stream", onnx_bytes)]
    raw += [("application/protobuf", onnx_bytes), ("application/x-protobuf", onnx_bytes)]
    raw += [("text/plain", text.encode()), ("text/plain; charset=UTF-8", text.encode())]
    raw += [("application/json", json.dumps(loss).encode())]
    answers = [service.post("/v1/graphs", content=body, headers={"content-type": kind}) for kind, body in raw]
    forms = [loss, {"onnx": encoded}, {"text": text}]
    answers += [service.post("/v1/graphs", body) for body in [*forms, *({"graph": form} for form in forms)]]
    assert [answer.status_code for answer in answers] == [201] + [200] * (len(answers) - 1)
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(service.get("/v1/graphs").json()["graphs"]) == 1


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/html, */*;q=0.1", "application/json"),
        ("application/x-onnx", "application/x-onnx"),
        ("application/octet-stream", "application/octet-stream"),
        ("application/*;q=0.2, text/plain", "text/plain"),
        ("text/*", "text/plain"),
        ("application/json;q=0, application/*", "application/x-onnx"),
    ],
)
def test_every_form_by_accept(service, loss, accept, kind):
    graph_id = service.store(loss)
    headers = {} if accept is None else {"accept": accept}
    answer = service.get(f"/v1/graphs/{graph_id}", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == kind
    source = {"application/json": lambda: answer.json()["graph"], "text/plain": lambda: answer.text}
    assert gs.digest(gs.load(source.get(kind, lambda: answer.content)())) == graph_id


@pytest.mark.parametrize("accept", ["text/html", "image/*", "application/json;q=0", "nonsense", "application/json;q=x"])
def test_other_forms_are_refused(service, loss, accept):
    answer = service.get(f"/v1/graphs/{service.store(loss)}", headers={"accept": accept})
    assert answer.status_code == 406
    assert answer.json()["code"] == "not-acceptable"


def test_deleted_graphs_are_gone(service, loss):
    graph_id = service.store(loss)
    feeds = {"feeds": {"x": [1], "y": [1]}}
    assert service.post(f"/v1/graphs/{graph_id}/run", feeds).status_code == 200
    answer = service.request("DELETE", f"/v1/graphs/{graph_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert service.get("/v1/graphs").json() == {"graphs": []}
    assert service.get(f"/v1/graphs/{graph_id}").status_code == 404
    assert service.request("DELETE", f"/v1/graphs/{graph_id}").status_code == 404
    assert service.post(f"/v1/graphs/{graph_id}/run", feeds).status_code == 404
    assert service.post("/v1/graphs", loss).status_code == 201


def test_graphs_outlive_the_service(make_service, loss):
    graph_id = make_service().store(loss)
    answer = make_service().post(f"/v1/graphs/{graph_id}/run", {"feeds": {"x": [3], "y": [2]}})
    assert answer.json()["outputs"]["loss"]["data"] == 8.0


@pytest.mark.parametrize("stale", [False, True])
def test_a_lost_record_is_made_anew(make_service, loss, tmp_path, stale):
    first = make_service()
    graph_id = first.store(loss)
    described = first.get(f"/v1/graphs/{graph_id}").json()
    record = tmp_path / "graphs" / f"{graph_id}.json"
    record.write_text("{}") if stale else record.unlink()
    assert make_service().get(f"/v1/graphs/{graph_id}").json() == described


@pytest.mark.parametrize(
    ("request_body", "new_inputs", "new_outputs"),
    [
        pytest.param({"transform": "grad", "of": "loss", "wrt": ["x", "two"]}, [], ["x_grad", "two_grad"], id="grad"),
        pytest.param({"transform": "vjp", "of": ["z"], "wrt": ["x"]}, ["z_cotangent"], ["x_vjp"], id="vjp"),
        pytest.param({"transform": "vjp", "of": "loss", "wrt": ["x"]}, ["loss_cotangent"], ["x_vjp"], id="vjp-one"),
        pytest.param({"transform": "jvp", "of": ["z"], "wrt": ["x"]}, ["x_tangent"], ["z", "z_jvp"], id="jvp"),
        pytest.param({"transform": "hvp", "of": "loss", "wrt": ["y"]}, ["y_tangent"], ["y_grad", "y_hvp"], id="hvp"),
    ],
)
def test_a_derivative_is_a_graph(service, loss, request_body, new_inputs, new_outputs):
    answer = service.post(f"/v1/graphs/{service.store(loss)}/derive", request_body)
    assert answer.status_code == 201, answer.text
    derived = answer.json()
    assert set(derived["inputs"]) == {"x", "y", *new_inputs}
    assert list(derived["outputs"])[-len(new_outputs) :] == new_outputs
    data = service.get(f"/v1/graphs/{derived['id']}", headers={"accept": "application/x-onnx"}).content
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    again = service.post(f"/v1/graphs/{service.store(loss)}/derive", request_body)
    assert (again.status_code, again.json()) == (200, derived)


def test_a_derived_graph_runs_and_is_derived_again(service, loss):
    """d²/dx² of sum(relu(xy + 2)) is zero; of (sum(xy + 2))², which the second graph adds, it is 2y²."""
    loss["nodes"][-1] = {"op": "ReduceSumSquare", "inputs": ["r"], "outputs": ["loss"], "attributes": {"keepdims": 0}}
    path = f"/v1/graphs/{service.store(loss)}"
    body = {"transform": "grad", "of": "loss", "wrt": ["x"]}
    first = service.post(f"{path}/derive", body).json()["id"]
    x, y = [1.0, -0.25, 3.0], [2.0, 0.5, -0.5]
    feeds = {"x": x, "y": y}
    values = service.post(f"/v1/graphs/{first}/run", {"feeds": feeds}).json()["outputs"]
    z = np.array(x) * y + 2
    np.testing.assert_allclose(values["x_grad"]["data"], 2 * np.maximum(z, 0) * y, rtol=1e-6)
    cotangent = [0.5, -2.0, 1.5]
    second = service.post(
        f"/v1/graphs/{first}/vjp",
        {"of": ["x_grad"], "wrt": ["x"], "feeds": feeds, "cotangents": {"x_grad": cotangent}},
    )
    expected = np.array(cotangent) * 2 * np.array(y) ** 2 * (z > 0)
    np.testing.assert_allclose(second.json()["vjp"]["x"]["data"], expected, rtol=1e-6)


def test_a_broken_store_is_told_without_details(service, loss, monkeypatch, tmp_path):
    def full(*args):
        raise StorageError("The graph store failed to write: No space left on device.")

    monkeypatch.setattr(service.app.state.data_plane._repository, "put", full)
    answer = service.post("/v1/graphs", loss)
    assert answer.status_code == 507
    assert str(tmp_path) not in answer.text


@pytest.mark.parametrize("with_record", [False, True])
def test_a_damaged_graph_is_the_store_s_fault(make_service, loss, tmp_path, with_record):
    graph_id = make_service().store(loss)
    (tmp_path / "graphs" / f"{graph_id}.onnx").write_bytes(b"\x08\x99damaged")
    if not with_record:
        (tmp_path / "graphs" / f"{graph_id}.json").unlink()
    service = make_service()
    listed = service.get("/v1/graphs").json()["graphs"]
    assert [row["id"] for row in listed] == ([graph_id] if with_record else [])
    read = service.get(f"/v1/graphs/{graph_id}")
    ran = service.post(f"/v1/graphs/{graph_id}/run", {"feeds": {"x": [1], "y": [1]}})
    for answer in (read, ran):
        assert (answer.status_code, answer.json()["code"]) == (507, "storage")
