"""Names for graphs: what they refer to, and that it stays so; and what derivatives of models take and give."""

from __future__ import annotations

import base64
import functools
import threading

import pytest

import graphspec as gs
from graphspec import NotDifferentiable, ValueInfo
from graphspec_server.errors import ModelNotReady, UnknownModel
from graphspec_server.models import Models, signature
from graphspec_server.records import Record
from graphspec_server.repository import DirectoryRepository, Name


def file_of(document) -> str:
    return base64.b64encode(gs.dumps(gs.load(document), "onnx")).decode()


def load(service, name, **parameters):
    answer = service.post(f"/v2/repository/models/{name}/load", {"parameters": parameters} if parameters else None)
    assert answer.status_code == 200, answer.text
    return answer


def versions(service, name) -> list[str]:
    return service.get(f"/v2/models/{name}").json()["versions"]


def status(service, name) -> int:
    return service.get(f"/v2/models/{name}/ready").status_code


def index(service, **body) -> list[tuple[str, str, str]]:
    rows = service.post("/v2/repository/index", body or None).json()
    return [(row["name"], row["version"], row["state"]) for row in rows]


@pytest.fixture
def other(loss):
    """A graph that is not ``loss``."""
    return loss | {"outputs": ["xy"], "nodes": loss["nodes"][:1], "parameters": {}}


def test_a_stored_graph_is_a_model_by_its_id(service, loss):
    graph_id = service.store(loss)
    assert versions(service, graph_id) == ["1"]
    assert index(service) == [(graph_id, "1", "READY")]
    assert service.get("/v2/models").json() == {"models": [graph_id]}
    answer = service.post(f"/v2/models/{graph_id}.grad/infer", {
        "inputs": [{"name": name, "datatype": "FP32", "shape": [1], "data": [3]} for name in "xy"],
        "outputs": [{"name": "x_grad"}]})  # fmt: skip
    assert answer.json()["outputs"] == [{"name": "x_grad", "datatype": "FP32", "shape": [1], "data": [3]}]


def test_a_name_has_the_versions_that_it_was_last_given(service, loss, other):
    first = service.store(loss)
    load(service, "m", **{"graph:3": first, "file:20/model.onnx": file_of(other)})
    assert versions(service, "m") == ["3", "20"]
    assert [o["name"] for o in service.get("/v2/models/m").json()["outputs"]] == ["xy"]
    assert [o["name"] for o in service.get("/v2/models/m/versions/3").json()["outputs"]] == ["loss"]
    load(service, "m", **{"graph:1": first})
    assert versions(service, "m") == ["1"]
    assert ("m", "1", "READY") in index(service)


def test_names_and_their_state_stay(make_service, loss):
    service = make_service()
    load(service, "m", **{"file:1/model.onnx": file_of(loss)})
    service.post("/v2/repository/models/m/unload")
    again = make_service()
    assert status(again, "m") == 409
    assert index(again) == [("m", "1", "UNAVAILABLE")]
    assert index(again, ready=True) == []
    assert again.get("/v2/models").json() == {"models": []}
    load(again, "m")
    assert status(service, "m") == status(make_service(), "m") == 200


def test_a_graph_that_is_unloaded_under_its_id_keeps_its_names_and_v1(service, loss):
    graph_id = service.store(loss)
    load(service, "m", **{"graph:1": graph_id})
    assert service.post(f"/v2/repository/models/{graph_id}/unload").status_code == 200
    assert status(service, graph_id) == 409
    assert status(service, "m") == 200
    assert service.get(f"/v1/graphs/{graph_id}").status_code == 200
    load(service, graph_id)
    assert status(service, graph_id) == 200


def test_deleting_a_graph_takes_its_versions(service, loss, other):
    graph_id = service.store(loss)
    load(service, "m", **{"graph:1": service.store(other), "graph:2": graph_id})
    service.request("DELETE", f"/v1/graphs/{graph_id}")
    assert versions(service, "m") == ["1"]
    service.request("DELETE", f"/v1/graphs/{service.store(other)}")
    assert status(service, "m") == 404
    assert index(service) == []
    service.store(loss)
    assert versions(service, "m") == ["2"]


def test_a_load_that_fails_changes_nothing(service, loss):
    load(service, "m", **{"file:1/model.onnx": file_of(loss)})
    bad = base64.b64encode(b"\xff\xff").decode()
    for parameters in ({"file:1/model.onnx": bad}, {"file:1/model.onnx": file_of(loss), "graph:2": "0" * 64}):
        answer = service.post("/v2/repository/models/m/load", {"parameters": parameters})
        assert answer.status_code in (400, 404)
        assert versions(service, "m") == ["1"]


@pytest.mark.parametrize("name", ["a", ".hidden", "...", "-x", "A.b_c-9", "x" * 128, "m.json", "new.grad2"])
def test_names_of_every_kind_become_files_and_come_back(service, loss, name):
    load(service, name, **{"file:1/model.onnx": file_of(loss)})
    assert index(service) == [(name, "1", "READY")]
    assert status(service, name) == 200


def test_changes_of_one_name_at_once_all_count(tmp_path):
    """Each reads what is there and adds to it; none may be lost, in whatever process it happens."""
    repositories = [DirectoryRepository(tmp_path) for _ in range(4)]

    def add(number: int) -> None:
        for step in range(5):
            added = {f"{number}{step}": "x"}
            repositories[number].update_name("m", functools.partial(joined, added))

    def joined(added: dict[str, str], name: Name | None) -> Name:
        return Name((name.versions if name else {}) | added, ready=True)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = repositories[0].name("m")
    assert found is not None
    assert len(found.versions) == 20


def test_a_damaged_name_is_the_store_s_fault(service, loss, tmp_path):
    load(service, "m", **{"file:1/model.onnx": file_of(loss)})
    (tmp_path / "graphs" / "names" / "m.json").write_text('{"versions"')
    answer = service.get("/v2/models/m")
    assert (answer.status_code, list(answer.json())) == (507, ["error"])
    assert [state for _, _, state in index(service)] == ["READY"]  # the graph, by its id


@pytest.fixture
def models(tmp_path) -> Models:
    repository = DirectoryRepository(tmp_path)
    repository.put("a" * 64, b"", {})
    repository.update_name("m", lambda _: Name({"1": "a" * 64, "2": "b" * 64}, ready=True))
    repository.update_name("off", lambda _: Name({"1": "a" * 64}, ready=False))
    return Models(repository)


def test_finding(models):
    found = models.find("m.vjp")
    assert (found.name, found.version, found.graph_id, found.transform) == ("m.vjp", "1", "a" * 64, "vjp")
    assert models.find("a" * 64 + ".grad", "1").transform == "grad"


@pytest.mark.parametrize(
    ("name", "version", "error"),
    [
        pytest.param("m", "2", UnknownModel, id="graph-gone"),
        pytest.param("m.nope", None, UnknownModel, id="no-such-derivative"),
        pytest.param("b" * 64, None, UnknownModel, id="no-such-graph"),
        pytest.param("../m", None, UnknownModel, id="path"),
        pytest.param("off.jvp", None, ModelNotReady, id="derivative-of-an-unloaded-model"),
    ],
)
def test_not_finding(models, name, version, error):
    with pytest.raises(error):
        models.find(name, version)


def record(**values: tuple[str, tuple | None]) -> Record:
    """Inputs are in capitals; every other value is an output."""
    infos = {n: ValueInfo(d, s, "input" if n.isupper() else "intermediate") for n, (d, s) in values.items()}
    return Record("", "", 21, 1, 0, tuple(name for name in values if not name.isupper()), infos)


F = "float32"


@pytest.mark.parametrize(
    ("values", "transform", "inputs", "outputs"),
    [
        pytest.param({"X": (F, (2,)), "y": (F, ())}, "grad", "X", "y X_grad", id="grad"),
        pytest.param({"X": (F, (2,)), "y": (F, (1, 1)), "z": (F, (2,))}, "grad", "X", "y z X_grad", id="one-element"),
        pytest.param({"X": (F, (2,)), "y": (F, None), "z": (F, ("n",))}, "grad", "X", "y z X_grad", id="open-rank"),
        pytest.param({"X": (F, (2,)), "I": ("int64", ()), "y": (F, (2,)), "i": ("int64", ())}, "vjp",
                     "X I y_cotangent", "y i X_vjp", id="floats-alone"),
        pytest.param({"X": (F, ()), "W": ("bfloat16", ()), "y": (F, ())}, "jvp",
                     "X W X_tangent W_tangent", "y y_jvp", id="all-floats"),
        pytest.param({"X": (F, ()), "X_tangent": (F, ()), "y": (F, ()), "y_jvp": (F, ())}, "jvp",
                     "X X_tangent", "X_tangent y y_jvp X_tangent_jvp y_jvp_1 y_jvp_jvp", id="taken-names"),
        pytest.param({"X": (F, (2,)), "y": (F, ())}, "hvp", "X X_tangent", "y X_grad X_hvp", id="hvp"),
    ],
)  # fmt: skip
def test_what_derivatives_take_and_give(values, transform, inputs, outputs):
    known = signature(record(**values), transform)
    assert list(known.inputs) == inputs.split()
    assert list(known.outputs) == outputs.split()
    for name, value in known.vectors.items():
        assert known.inputs[name] == record(**values).values[value]
    for name, (_, value) in known.derivatives.items():
        assert known.outputs[name] == record(**values).values[value]


@pytest.mark.parametrize(
    ("values", "transform", "said"),
    [
        pytest.param({"X": (F, ()), "y": (F, ()), "z": (F, ())}, "grad", "2 scalar", id="two-scalars"),
        pytest.param({"X": (F, ()), "y": (F, (2,))}, "grad", "0 scalar", id="no-scalar"),
        pytest.param({"X": (F, ()), "y": (F, ("n",))}, "hvp", "0 scalar", id="perhaps-a-scalar"),
        pytest.param({"X": ("int64", ()), "y": (F, ())}, "grad", "no floating-point input", id="no-float-input"),
        pytest.param({"X": (F, ()), "y": ("int64", ())}, "vjp", "no floating-point output", id="no-float-output"),
    ],
)
def test_derivatives_that_do_not_exist(values, transform, said):
    with pytest.raises(NotDifferentiable, match=said):
        signature(record(**values), transform)


def test_taken_names_are_told_apart_when_it_runs(service, loss):
    """The derivative of a model that has an output of that name already."""
    document = loss | {"nodes": [*loss["nodes"], {"op": "Neg", "inputs": ["x"], "outputs": ["x_grad"]}]}
    document["outputs"] = ["loss", "x_grad"]
    graph_id = service.store(document)
    inputs = [{"name": name, "datatype": "FP32", "shape": [1], "data": [data]} for name, data in (("x", 2), ("y", 5))]
    answer = service.post(f"/v2/models/{graph_id}.grad/infer", {"inputs": inputs}).json()
    assert {output["name"]: output["data"] for output in answer["outputs"]} == {
        **{"loss": [12], "x_grad": [-2]},
        **{"x_grad_1": [5], "y_grad": [2]},
    }
