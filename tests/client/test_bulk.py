"""Tensors in bulk: safetensors, as the safetensors library reads and writes them."""

from __future__ import annotations

import json

import httpx
import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from graphspec_client import Client, CodecError, Matrices, ProtocolError, _bulk, tensor

NUMBERS = "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64"
DTYPES = [*NUMBERS.split(), "bool", "complex64"]
MODEL = {
    "graphspec": 1, "name": "scaled", "opset": 21,
    "inputs": {"x": {"dtype": "float32", "shape": ["n", "m"]}, "s": {"dtype": "string", "shape": []}},
    "parameters": {"w": {"dtype": "float32", "shape": [], "data": 2}},
    "nodes": [{"op": "Mul", "inputs": ["x", "w"], "outputs": ["y"]},
              {"op": "ReduceSum", "inputs": ["y"], "outputs": ["loss"], "attributes": {"keepdims": 0}},
              {"op": "Identity", "inputs": ["s"], "outputs": ["t"]}],
    "outputs": ["y", "loss", "t"],
}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_as_the_library_reads_it(rng, dtype):
    arrays = {"a": rng.uniform(0, 9, (3, 4)).astype(dtype).T, "b/c": np.zeros((), dtype), "ü": np.zeros((0, 2), dtype)}
    packed = _bulk.pack(b'{"of": "x"}', {"feeds": arrays})
    found = safetensors.numpy.load(packed)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[f"feeds/{name}"], array)
        assert found[f"feeds/{name}"].dtype == array.dtype
    header = json.loads(packed[8 : 8 + int.from_bytes(packed[:8], "little")])
    assert header["__metadata__"] == {"request": '{"of": "x"}'}
    again = _bulk.unpack(packed)["feeds"]
    for name, array in arrays.items():
        assert again[name].flags.writeable
        assert (again[name].dtype, again[name].tobytes()) == (array.dtype, array.tobytes())


def test_as_the_library_writes_it(rng):
    x = rng.normal(size=(2, 3))
    found = _bulk.unpack(safetensors.numpy.save({"outputs/y": x, "vjp/x": x[0]}))
    np.testing.assert_array_equal(found["outputs"]["y"], x)
    np.testing.assert_array_equal(found["vjp"]["x"], x[0])


def test_types_beside_numpys():
    x = np.arange(4).astype(ml_dtypes.bfloat16)
    assert _bulk.holds(x)
    assert _bulk.unpack(_bulk.pack(b"{}", {"feeds": {"x": x}}))["feeds"]["x"].tobytes() == x.tobytes()


@pytest.mark.parametrize(
    "value", [[1.0], "text", np.array(["a"]), np.array(["a"], object), np.ones(2, complex)], ids=repr
)
def test_what_it_has_no_place_for(value):
    assert not _bulk.holds(value)


GOOD = _bulk.pack(b"{}", {"outputs": {"y": np.arange(3.0)}})
BROKEN = [
    pytest.param(b"", id="empty"),
    pytest.param(GOOD[:-1], id="truncated"),
    pytest.param(GOOD[:20], id="header"),
    pytest.param(GOOD.replace(b"F64", b"F65"), id="dtype"),
    pytest.param(GOOD.replace(b"[3]", b"[4]"), id="shape"),
    pytest.param(GOOD.replace(b"[0, 24]", b"[8, 32]"), id="offsets"),
    pytest.param((2).to_bytes(8, "little") + b"[]", id="list"),
]


@pytest.mark.parametrize("content", BROKEN)
def test_broken_answers_are_refused(content):
    with pytest.raises(CodecError):
        _bulk.unpack(content)

    def handler(request):
        return httpx.Response(200, content=content, headers={"content-type": _bulk.SAFETENSORS})

    with Client(transport=httpx.MockTransport(handler)) as client, pytest.raises(ProtocolError):
        client.run({"graphspec": 1}, {})


def test_there_and_back(both, rng):
    """Bulk beside a string and a Python number, which the form has no place for."""
    x = rng.normal(size=(300, 100)).astype("f4")
    x[0, :3] = np.nan, np.inf, -np.inf
    model = both(lambda c: c.load(MODEL))
    answer = both.wait(model.run({"x": x, "s": "text"}, ["y"], parameters={"w": -3}))
    np.testing.assert_array_equal(answer["y"], x * -3)
    cotangent = rng.normal(size=x.shape).astype("f4")
    products = both.wait(model.vjp({"x": x, "s": "text"}, cotangents={"y": cotangent}, wrt=["x", "w"], fetches=["y"]))
    np.testing.assert_array_equal(products["x"], cotangent * 2)
    np.testing.assert_array_equal(products.outputs["y"], x * 2)
    gradients = both(lambda c: c.run(MODEL, {"x": x, "s": "text"}, ["loss"], of="loss", wrt="x")).gradients
    np.testing.assert_array_equal(gradients["x"], np.full(x.shape, 2, "f4"))


def test_forward_mode_there_and_back(both, rng):
    x, tangent = rng.normal(size=(2, 300, 100)).astype("f4")
    model = both(lambda c: c.load(MODEL))
    products = both.wait(model.jvp({"x": x, "s": ""}, tangents={"x": tangent, "w": 3}, of=["y"], fetches=[]))
    np.testing.assert_allclose(products["y"], tangent * 2 + x * 3, rtol=1e-6, atol=1e-6)
    found = both.wait(model.jacobian({"x": x, "s": ""}, of=["y", "loss"], wrt="w", fetches=["loss"]))
    np.testing.assert_array_equal(found["y"]["w"], x)
    np.testing.assert_allclose(found["loss"]["w"], x.sum(), rtol=1e-3, atol=1e-2)
    assert list(found.outputs) == ["loss"]


@pytest.mark.parametrize("body", [b"{}", b'{"outputs": {}, "jacobian": 5}', b'{"outputs": {}, "jacobian": {"y": 1}}'])
def test_an_answer_without_matrices(body):
    description = {"id": "0" * 64, "name": "", "inputs": {}, "parameters": {}, "outputs": {}}

    def handler(request):
        return httpx.Response(200, content=body if "jacobian" in str(request.url) else json.dumps(description).encode())

    with Client(transport=httpx.MockTransport(handler)) as client, pytest.raises(ProtocolError):
        client.graph("0" * 64).jacobian({}, of="y", wrt="x")


def test_a_matrix_missing_in_bulk():
    with pytest.raises(ProtocolError, match="y/x"):
        Matrices.from_groups({"jacobian": {"y/z": np.zeros(1)}}, "jacobian", ["y"], ["x"])


def test_an_answer_that_the_form_has_no_place_for(both, rng):
    x = rng.normal(size=(300, 100)).astype("f4")
    answer = both(lambda c: c.run(MODEL, {"x": x, "s": "text"}))
    assert answer["t"].item() == "text"
    np.testing.assert_array_equal(answer["y"], x * 2)


def test_small_requests_are_json_and_large_ones_are_not():
    seen = []

    def handler(request):
        seen.append(request.headers["content-type"])
        return httpx.Response(200, json={"outputs": {}})

    with Client(transport=httpx.MockTransport(handler)) as client:
        client.run(MODEL, {"x": np.zeros((100, 100), "f4")})
        client.run(MODEL, {"x": np.zeros((200, 100), "f4")})
    assert seen == ["application/json", "application/vnd.safetensors"]


def test_tensors_in_bulk(client, rng):
    x = tensor(rng.normal(size=(200, 200)), requires_grad=True)
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad, 2 * x.numpy())
