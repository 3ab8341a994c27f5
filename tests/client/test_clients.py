"""Both clients, in this process and over a socket: every verb, on the service as it is."""

from __future__ import annotations

import asyncio
import inspect
import json

import httpx
import numpy as np
import onnx
import pytest
from onnx import helper

import graphspec_client
from graphspec_client import (
    AsyncClient,
    AsyncModel,
    Client,
    Matrices,
    Model,
    default_client,
    set_default_client,
    tensor,
)

DOCUMENT = {
    "graphspec": 1,
    "name": "two_layer",
    "opset": 21,
    "inputs": {"x": {"dtype": "float32", "shape": ["n", 3]}},
    "parameters": {"w": {"dtype": "float32", "shape": [3, 2], "data": [[1, -1], [0.5, 2], [-1, 0.25]]}},
    "nodes": [
        {"op": "MatMul", "inputs": ["x", "w"], "outputs": ["h"]},
        {"op": "Tanh", "inputs": ["h"], "outputs": ["y"]},
        {"op": "ReduceSum", "inputs": ["y"], "outputs": ["loss"], "attributes": {"keepdims": 0}},
    ],
    "outputs": ["y", "loss"],
}
W = np.array([[1, -1], [0.5, 2], [-1, 0.25]], "f4")
X = np.array([[1, 2, 3], [-1, 0.5, 0]], "f4")
Y = np.tanh(X @ W)


def proto():
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 2])],
        [onnx.numpy_helper.from_array(W, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def test_run_once(both):
    answer = both(lambda c: c.run(DOCUMENT, {"x": X}))
    assert list(answer) == ["y", "loss"]
    np.testing.assert_allclose(answer["y"], Y, rtol=1e-6)
    assert answer.gradients == {}


def test_run_once_with_gradients(both):
    answer = both(lambda c: c.run(DOCUMENT, {"x": X}, ["loss"], of="loss", wrt=["w", "x"]))
    assert list(answer) == ["loss"]
    np.testing.assert_allclose(answer.gradients["w"], X.T @ (1 - Y**2), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answer.gradients["x"], (1 - Y**2) @ W.T, rtol=1e-5, atol=1e-6)
    with pytest.raises(TypeError, match="go together"):
        both(lambda c: c.run(DOCUMENT, {"x": X}, of="loss"))


def test_a_stored_graph(both):
    model = both(lambda c: c.load(DOCUMENT))
    assert isinstance(model, Model | AsyncModel)
    assert model.name == "two_layer"
    assert model.inputs["x"].shape == ("n", 3)
    assert model.parameters["w"].dtype == "float32"
    assert list(model.outputs) == ["y", "loss"]
    assert "two_layer" in repr(model)
    assert "x: float32[n, 3]" in repr(model)
    np.testing.assert_allclose(both.wait(model.run({"x": X}))["y"], Y, rtol=1e-6)
    assert list(both.wait(model.run({"x": X}, "h"))) == ["h"]
    other = both.wait(model.run({"x": X}, ["y"], parameters={"w": 2 * W}))
    np.testing.assert_allclose(other["y"], np.tanh(X @ W * 2), rtol=1e-6)
    again = both(lambda c: c.load(DOCUMENT))
    assert again.id == model.id
    assert model.id in [one.id for one in both(lambda c: c.graphs())]
    assert both(lambda c: c.graph(model.id)).description == model.description


def test_derivatives_of_a_stored_graph(both, rng):
    model = both(lambda c: c.load(DOCUMENT))
    gradients = both.wait(model.grad({"x": X}, of="loss", wrt=["w"]))
    np.testing.assert_allclose(gradients["w"], X.T @ (1 - Y**2), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradients.outputs["loss"], Y.sum(), rtol=1e-5, atol=1e-6)
    assert gradients.gradients == gradients
    value, gradients = both.wait(model.value_and_grad({"x": X}, of="loss", wrt="x"))
    np.testing.assert_allclose(value, Y.sum(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradients["x"], (1 - Y**2) @ W.T, rtol=1e-5, atol=1e-6)
    cotangent = rng.normal(size=Y.shape).astype("f4")
    products = both.wait(model.vjp({"x": X}, cotangents={"y": cotangent}, wrt=["x", "h"]))
    np.testing.assert_allclose(products["h"], cotangent * (1 - Y**2), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(products["x"], (cotangent * (1 - Y**2)) @ W.T, rtol=1e-5, atol=1e-6)
    overridden = both.wait(model.grad({"x": X}, of="loss", wrt="w", parameters={"w": 0 * W}))
    np.testing.assert_allclose(overridden["w"], X.T @ np.ones_like(Y), rtol=1e-5, atol=1e-6)


def test_forward_mode_of_a_stored_graph(both, rng):
    model = both(lambda c: c.load(DOCUMENT))
    x, w = rng.normal(size=X.shape).astype("f4"), rng.normal(size=W.shape).astype("f4")
    products = both.wait(model.jvp({"x": X}, tangents={"x": x, "w": w}, of=["y", "loss"], fetches="h"))
    expected = (1 - Y**2) * (x @ W + X @ w)
    np.testing.assert_allclose(products["y"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(products["loss"], expected.sum(), rtol=1e-5, atol=1e-5)
    assert list(products) == ["y", "loss"]
    assert list(products.outputs) == ["h"]
    assert products.jvp == products
    products = both.wait(model.hvp({"x": X}, tangents={"w": w}, of="loss"))
    np.testing.assert_allclose(products["w"], X.T @ (-2 * Y * (1 - Y**2) * (X @ w)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(products.gradients["w"], X.T @ (1 - Y**2), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(products.outputs["loss"], Y.sum(), rtol=1e-5, atol=1e-6)
    overridden = both.wait(model.jvp({"x": X}, tangents={"x": x}, of="y", wrt="x", parameters={"w": 0 * W}))
    np.testing.assert_array_equal(overridden["y"], 0 * Y)


def test_whole_matrices_of_a_stored_graph(both):
    model = both(lambda c: c.load(DOCUMENT))
    found = both.wait(model.jacobian({"x": X}, of=["y", "loss"], wrt=["x", "w"]))
    assert isinstance(found, Matrices)
    assert [list(found), list(found["y"])] == [["y", "loss"], ["x", "w"]]
    slope = 1 - Y**2
    np.testing.assert_allclose(found["y"]["x"], np.einsum("nj,kj,nm->njmk", slope, W, np.eye(2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["loss"]["w"], X.T @ slope, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.outputs["y"], Y, rtol=1e-6)
    found = both.wait(model.hessian({"x": X}, of="loss", wrt="w", fetches=[]))
    expected = np.einsum("nj,ni,nk,jl->ijkl", -2 * Y * slope, X, X, np.eye(2))
    np.testing.assert_allclose(found["w"]["w"], expected, rtol=1e-4, atol=1e-5)
    assert found.outputs == {}


def test_a_scalar_is_wanted_for_a_hessian(both):
    model = both(lambda c: c.load(DOCUMENT))
    with pytest.raises(graphspec_client.GraphSpecClientError, match="scalar"):
        both.wait(model.hessian({"x": X}, of="y", wrt="w"))


def test_a_derived_graph_saved_in_each_form(both, tmp_path):
    model = both(lambda c: c.load(DOCUMENT))
    derived = both.wait(model.derive("grad", of="loss", wrt=["w"]))
    assert type(derived) is type(model)
    assert list(derived.outputs) == ["y", "loss", "w_grad"]
    expected = both.wait(derived.run({"x": X}))["w_grad"]
    np.testing.assert_allclose(expected, X.T @ (1 - Y**2), rtol=1e-5, atol=1e-6)
    for suffix in (".onnx", ".json", ".onnxtxt"):
        path = tmp_path / f"derived{suffix}"
        assert both.wait(derived.save(path)) is None
        assert both(lambda c, path=path: c.load(path)).id == derived.id
    onnx.checker.check_model(onnx.load(tmp_path / "derived.onnx"), full_check=True)
    assert json.loads((tmp_path / "derived.json").read_text()) == both.wait(derived.document())
    assert both.wait(derived.dumps("onnx")) == (tmp_path / "derived.onnx").read_bytes()
    with pytest.raises(ValueError, match=r"\.pt.*\.onnx"):
        both.wait(derived.save(tmp_path / "derived.pt"))
    with pytest.raises(ValueError, match="pickle"):
        both.wait(derived.dumps("pickle"))
    products = both.wait(model.derive("vjp", of=["y"], wrt=["x"]))
    assert "y_cotangent" in products.inputs
    products = both.wait(model.derive("jvp", of="y", wrt="x"))
    assert "x_tangent" in products.inputs
    assert list(products.outputs)[-1] == "y_jvp"
    assert list(both.wait(model.derive("hvp", of="loss", wrt="x")).outputs)[-2:] == ["x_grad", "x_hvp"]


def test_a_deleted_graph_is_gone(both):
    model = both(lambda c: c.load(DOCUMENT | {"name": "deleted"}))
    both.wait(model.delete())
    with pytest.raises(graphspec_client.NotFound) as caught:
        both.wait(model.run({"x": X}))
    assert caught.value.status == 404


def test_what_the_service_says_of_itself(both):
    assert both(lambda c: c.ready()) is True
    rows = {row["op_type"]: row for row in both(lambda c: c.operators())}
    assert rows["Tanh"]["kernel"] is True
    assert "properties" in both(lambda c: c.schema())


def test_validate(both):
    report = both(lambda c: c.validate(DOCUMENT))
    assert report.ok
    assert report.values["h"].shape == ("n", 2)
    report.raise_for_errors()
    broken = DOCUMENT | {"nodes": [{"op": "Tanhh", "inputs": ["x"], "outputs": ["y"]}], "outputs": ["y"]}
    report = both(lambda c: c.validate(broken))
    assert not report.ok
    assert any("Tanh" in str(problem) for problem in report.problems)
    with pytest.raises(graphspec_client.InvalidGraph) as caught:
        report.raise_for_errors()
    assert caught.value.problems == report.problems


class Exported:
    """What PyTorch's exporter gives."""

    @property
    def model_proto(self):
        return proto()


class Scripted:
    """What onnxscript gives."""

    def to_model_proto(self):
        return proto()


SOURCES = {
    "proto": lambda path: proto(),
    "bytes": lambda path: proto().SerializeToString(),
    "bytearray": lambda path: bytearray(proto().SerializeToString()),
    "exported": lambda path: Exported(),
    "scripted": lambda path: Scripted(),
    "path": lambda path: path / "m.onnx",
    "str-path": lambda path: str(path / "m.onnx"),
    "text": lambda path: onnx.printer.to_text(proto()),
    "text-bytes": lambda path: onnx.printer.to_text(proto()).encode(),
}


@pytest.mark.parametrize("source", SOURCES)
def test_sources(client, source, tmp_path):
    onnx.save(proto(), tmp_path / "m.onnx")
    given = SOURCES[source](tmp_path)
    model = client.load(given)
    np.testing.assert_allclose(model.run({"x": X})["y"], X @ W, rtol=1e-6)
    assert client.load(proto()).id == model.id
    np.testing.assert_allclose(client.run(given, {"x": X})["y"], X @ W, rtol=1e-6)


@pytest.mark.parametrize(
    "form", [json.dumps, lambda d: json.dumps(d).encode(), lambda d: f"\n{json.dumps(d, indent=1)}"]
)
def test_json_sources(client, form):
    assert client.load(form(DOCUMENT)).id == client.load(DOCUMENT).id
    np.testing.assert_allclose(client.run(form(DOCUMENT), {"x": X})["y"], Y, rtol=1e-6)


def test_json_is_sent_as_it_is(client):
    with pytest.raises(graphspec_client.InvalidRequest, match="twice"):
        client.load('{"graphspec": 1, "graphspec": 1, "opset": 21, "nodes": [], "outputs": []}')


def test_what_is_no_source(client, tmp_path):
    with pytest.raises(TypeError, match="found int"):
        client.load(3)
    with pytest.raises(FileNotFoundError):
        client.load(str(tmp_path / "missing.onnx"))
    with pytest.raises(graphspec_client.InvalidGraph):
        client.load(b"\x08")


REFUSED = [
    pytest.param({"z": X}, {}, "InvalidFeed", "x", id="feed-name"),
    pytest.param({"x": X.astype("f8")}, {}, "InvalidFeed", "float64", id="feed-dtype"),
    pytest.param({"x": X[:, :2]}, {}, "InvalidFeed", "3", id="feed-shape"),
    pytest.param({"x": X}, {"fetches": "yy"}, "InvalidFeed", "yy", id="fetch"),
    pytest.param({"x": X}, {"parameters": {"w": W.T}}, "InvalidFeed", "w", id="parameter"),
]


@pytest.mark.parametrize(("feeds", "options", "error", "word"), REFUSED)
def test_refusals_are_typed_and_say_where(both, feeds, options, error, word):
    model = both(lambda c: c.load(DOCUMENT))
    with pytest.raises(getattr(graphspec_client, error), match=word) as caught:
        both.wait(model.run(feeds, **options))
    assert caught.value.status == 422
    assert caught.value.problems
    assert caught.value.problems[0].path


@pytest.mark.parametrize(
    ("of", "wrt", "word"),
    [("y", "x", "y"), ("loss", "nothing", "nothing"), ("nothing", "x", "nothing")],
    ids=["no-scalar", "wrt", "of"],
)
def test_derivatives_that_do_not_exist(both, of, wrt, word):
    model = both(lambda c: c.load(DOCUMENT))
    with pytest.raises(graphspec_client.ServiceError, match=word) as caught:
        both.wait(model.grad({"x": X}, of=of, wrt=wrt))
    assert caught.value.status == 422


def test_lists_take_the_graphs_dtype(both):
    answer = both(lambda c: c.run(DOCUMENT, {"x": X.tolist()}))
    np.testing.assert_allclose(answer["y"], Y, rtol=1e-6)


def test_non_finite_numbers_go_there_and_back(both):
    document = {
        "graphspec": 1, "opset": 21, "inputs": {"x": {"dtype": "float64", "shape": ["n"]}},
        "nodes": [{"op": "Neg", "inputs": ["x"], "outputs": ["y"]}], "outputs": ["y"],
    }  # fmt: skip
    for copies in (1, 10):
        x = np.array([np.nan, np.inf, -np.inf, 0.0] * copies)
        np.testing.assert_array_equal(both(lambda c, x=x: c.run(document, {"x": x}))["y"], -x)


def test_strings_come_back_although_base64_was_asked_for(both):
    document = {
        "graphspec": 1, "opset": 21, "inputs": {"s": {"dtype": "string", "shape": ["n"]}},
        "nodes": [{"op": "Identity", "inputs": ["s"], "outputs": ["t"]}], "outputs": ["t"],
    }  # fmt: skip
    answer = both(lambda c: c.run(document, {"s": np.array(["a", "ü"])}))
    assert answer["t"].tolist() == ["a", "ü"]


def test_the_default_client(monkeypatch, app):
    set_default_client(None)
    monkeypatch.setenv("GRAPHSPEC_URL", "http://example.invalid:1234/")
    assert default_client().base_url == "http://example.invalid:1234"
    assert default_client() is default_client()
    default_client().close()
    set_default_client(None)
    monkeypatch.delenv("GRAPHSPEC_URL")
    assert default_client().base_url == "http://127.0.0.1:8000"
    default_client().close()
    with Client(app=app) as mine:
        set_default_client(mine)
        assert default_client() is mine
        assert (tensor([1.0]) + 1).tolist() == [2.0]
    set_default_client(None)


def test_a_client_of_its_own_for_a_tensor(app):
    with Client(app=app) as mine, Client() as other:
        x = tensor([1.0], client=mine)
        assert (x + tensor([2.0])).tolist() == [3.0]
        with pytest.raises(ValueError, match="different clients"):
            x + tensor([1.0], client=other)


def test_tensors_of_an_async_client_are_awaited(app):
    async def go():
        async with AsyncClient(app=app) as client:
            x = tensor([1.0, 2.0], requires_grad=True, client=client)
            loss = (x * x).sum()
            with pytest.raises(TypeError, match=r"await client\.evaluate"):
                loss.numpy()
            detached = (x * 3).detach()
            await client.backward(loss)
            values = await client.evaluate(loss, x, detached + 1)
            return loss.item(), x.grad, values

    value, gradient, values = asyncio.run(go())
    assert value == 5
    np.testing.assert_array_equal(gradient, [2, 4])
    np.testing.assert_array_equal(values[2], [4, 7])


def test_several_tensors_in_one_run(app):
    calls = []
    with Client(app=app) as client:
        send, client._send = client._send, lambda call: (calls.append(call), send(call))[1]
        x = tensor([1.0, 2.0], client=client)
        h = np.exp(x)
        first, second = client.evaluate(h * 2, h + 1)
        assert len(calls) == 1
        np.testing.assert_allclose(first, 2 * np.exp([1, 2]))
        np.testing.assert_allclose(second, np.exp([1, 2]) + 1)
        (h * 2).numpy()
        assert len(calls) == 2


def test_backward_is_one_request_and_brings_the_values_along(app):
    calls = []
    with Client(app=app) as client:
        send, client._send = client._send, lambda call: (calls.append(call), send(call))[1]
        x = tensor([1.0, 2.0], requires_grad=True, client=client)
        y = x * x
        y.backward([1.0, 0.5])
        np.testing.assert_array_equal(y.numpy(), [1, 4])
        assert [call.path for call in calls] == ["/v1/run"]


def methods(kind):
    return {
        name: inspect.signature(thing)
        for name, thing in vars(kind).items()
        if not name.startswith("_") and inspect.isfunction(thing)
    }


@pytest.mark.parametrize(("blocking", "awaiting"), [(Client, AsyncClient), (Model, AsyncModel)])
def test_both_clients_offer_the_same(blocking, awaiting):
    one, two = methods(blocking), methods(awaiting)
    assert set(one) - {"close"} == set(two) - {"aclose"}
    for name in set(one) & set(two):
        assert one[name].parameters == two[name].parameters, name
    coroutines = {name for name in two if inspect.iscoroutinefunction(vars(awaiting)[name])}
    assert set(two) - coroutines <= {"function", "value_and_grad", "grad"}


def test_signatures_are_readable():
    assert inspect.signature(Model.run).return_annotation == "Answer"
    assert list(inspect.signature(Client.validate).parameters) == ["self", "source"]


def test_requests_look_as_the_wire_wants(app):
    seen = []

    def handler(request):
        seen.append(request)
        return httpx.Response(200, json={"outputs": {"y": {"dtype": "float32", "shape": [], "data": 1}}})

    with Client("http://host:1/prefix/", api_key="k", transport=httpx.MockTransport(handler)) as client:
        client.run(DOCUMENT, {"x": X}, "y")
    (request,) = seen
    assert str(request.url) == "http://host:1/prefix/v1/run"
    assert request.headers["authorization"] == "Bearer k"
    assert request.headers["content-type"] == "application/json"
    body = json.loads(request.content)
    assert set(body) == {"graph", "feeds", "fetches", "encoding"}
    assert body["graph"] == DOCUMENT
    assert body["encoding"] == "base64"
