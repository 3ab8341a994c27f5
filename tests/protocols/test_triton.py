"""NVIDIA's own client, as it is, against the service on a socket."""

from __future__ import annotations

import json
from collections.abc import Iterator

import ml_dtypes
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype, triton_to_np_dtype

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "double"]


@pytest.fixture
def client(running) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(running.address)
    yield client
    client.close()


@pytest.fixture
def own(own_running) -> Iterator[triton.InferenceServerClient]:
    """A client of a server whose models may be changed."""
    client = triton.InferenceServerClient(own_running.address)
    yield client
    client.close()


def tensor(name: str, array: np.ndarray, *, binary: bool = True, datatype: str | None = None) -> triton.InferInput:
    datatype = datatype or np_to_triton_dtype(array.dtype)
    return triton.InferInput(name, list(array.shape), datatype).set_data_from_numpy(array, binary_data=binary)


def tensors(arrays: dict[str, np.ndarray]) -> list[triton.InferInput]:
    return [tensor(name, array) for name, array in arrays.items()]


def test_health_and_metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("loss")
    assert client.is_model_ready("loss.vjp", "1")
    assert not client.is_model_ready("loss", "2")
    assert not client.is_model_ready("nobody")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    found = client.get_model_metadata("loss", "1")
    assert (found["name"], found["versions"]) == ("loss", ["1"])
    assert found["inputs"][0] == {"name": "x", "datatype": "FP32", "shape": [-1]}
    config = client.get_model_config("strings")
    assert config["input"][1] == {"name": "b", "data_type": "TYPE_STRING", "dims": [-1]}


@pytest.mark.parametrize("binary_out", [True, False], ids=["bytes-back", "json-back"])
@pytest.mark.parametrize("binary_in", [(True, True), (True, False), (False, False)], ids=["bytes", "mixed", "json"])
def test_values(client, xy, binary_in, binary_out):
    inputs = [tensor(name, xy[name], binary=binary) for name, binary in zip("xy", binary_in, strict=True)]
    outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("xy", "loss")]
    result = client.infer("loss", inputs, outputs=outputs, request_id="seven")
    answer = result.get_response()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("seven", "loss", "1")
    assert [output["name"] for output in answer["outputs"]] == ["xy", "loss"]
    np.testing.assert_array_equal(result.as_numpy("xy"), xy["x"] * xy["y"])
    np.testing.assert_allclose(result.as_numpy("loss"), np.maximum(xy["x"] * xy["y"] + 2, 0).sum(), rtol=1e-6)


def test_outputs_as_bytes_beside_outputs_as_json(client, xy):
    """Each output in its own way, and the bytes found although JSON stands between them."""
    outputs = [triton.InferRequestedOutput(name, binary_data=name != "x_grad") for name in ("y_grad", "x_grad", "xy")]
    result = client.infer("loss.grad", tensors(xy), outputs=outputs)
    assert ["data" in output for output in result.get_response()["outputs"]] == [False, True, False]
    np.testing.assert_array_equal(result.as_numpy("xy"), xy["x"] * xy["y"])
    for name, other in (("x_grad", "y"), ("y_grad", "x")):
        np.testing.assert_allclose(result.as_numpy(name), xy[other] * (xy["x"] * xy["y"] + 2 > 0), rtol=1e-6)


@pytest.mark.parametrize("binary", [True, False], ids=["bytes", "json"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_comes_back_as_it_went(client, rng, dtype, binary):
    numpy = np.dtype("float64" if dtype == "double" else dtype)
    if numpy.kind == "f":
        sent = rng.normal(size=(3, 2))
    elif numpy.kind == "b":
        sent = rng.random((3, 2)) < 0.5
    else:
        limits = np.iinfo(numpy)
        sent = rng.integers(limits.min, limits.max, (3, 2), dtype=numpy, endpoint=True)
        sent[0] = limits.min, limits.max
    outputs = [triton.InferRequestedOutput("y", binary_data=binary)]
    got = client.infer(f"same_{dtype}", [tensor("x", sent, binary=binary)], outputs=outputs).as_numpy("y")
    assert got.dtype == numpy
    np.testing.assert_array_equal(got, sent)


@pytest.mark.parametrize("binary", [True, False], ids=["bytes", "json"])
@pytest.mark.parametrize(("model", "datatype"), [("half", "FP16"), ("brain", "BF16")], ids=["FP16", "BF16"])
def test_halves(client, rng, model, datatype, binary):
    # What stands for BF16 in NumPy differs between the client's versions; its numbers are the same.
    numbers = rng.normal(size=5).astype({"FP16": np.float16, "BF16": ml_dtypes.bfloat16}[datatype])
    sent = numbers.astype(triton_to_np_dtype(datatype))
    outputs = [triton.InferRequestedOutput("y", binary_data=binary)]
    result = client.infer(model, [tensor("x", sent, datatype=datatype)], outputs=outputs)
    np.testing.assert_array_equal(result.as_numpy("y").astype(np.float64), (sent + sent).astype(np.float64))


@pytest.mark.parametrize("binary", [True, False], ids=["bytes", "json"])
def test_strings(client, binary):
    a, b = np.array(["", "é", "x" * 300], object), np.array(["1", "日本", ""], object)
    outputs = [triton.InferRequestedOutput("c", binary_data=binary)]
    got = client.infer("strings", [tensor("a", a), tensor("b", b, binary=binary)], outputs=outputs).as_numpy("c")
    assert [t.decode() if isinstance(t, bytes) else t for t in got] == ["1", "é日本", "x" * 300]


@pytest.mark.parametrize("shape", [(0,), (1,)], ids=["empty", "one"])
def test_empty_and_single(client, shape):
    sent = np.full(shape, 0.5, np.float32)
    result = client.infer("nan", tensors({"x": sent}))
    np.testing.assert_array_equal(result.as_numpy("z"), -sent)


def test_non_finite_numbers_travel_as_bytes_alone(client):
    sent = np.array([np.nan, np.inf, 0, 1], np.float32)
    result = client.infer("nan", tensors({"x": sent}))
    np.testing.assert_array_equal(result.as_numpy("y"), [np.nan, np.inf, -np.inf, 0])
    with pytest.raises(InferenceServerException, match=r"'y' holds a NaN or an infinity.*binary"):
        client.infer("nan", tensors({"x": sent}), outputs=[triton.InferRequestedOutput("y", binary_data=False)])
    with pytest.raises(InferenceServerException, match=r"may hold a NaN or an infinity.*binary") as refused:
        client.infer("nan", [tensor("x", sent, binary=False)])
    assert refused.value.status() == "400"


@pytest.mark.parametrize("answer", [None, "gzip", "deflate"])
@pytest.mark.parametrize("request_", [None, "gzip", "deflate"])
def test_compression(client, xy, request_, answer):
    result = client.infer(
        "loss", tensors(xy), request_compression_algorithm=request_, response_compression_algorithm=answer
    )
    np.testing.assert_array_equal(result.as_numpy("xy"), xy["x"] * xy["y"])


def test_many_at_once(running, xy):
    client = triton.InferenceServerClient(running.address, concurrency=4)
    asked = [client.async_infer("loss", tensors({"x": xy["x"] + i, "y": xy["y"]})) for i in range(12)]
    for i, one in enumerate(asked):
        np.testing.assert_allclose(one.get_result().as_numpy("xy"), (xy["x"] + i) * xy["y"], rtol=1e-6)
    client.close()


A = np.array([[1.5, -2.0, 0.5], [3.0, 0.25, -1.0]])


@pytest.mark.parametrize(
    ("model", "vector", "expected"),
    [
        pytest.param("affine.vjp", ("y_cotangent", 2), lambda v: {"x_vjp": A.T @ v}, id="vjp"),
        pytest.param("affine.jvp", ("x_tangent", 3), lambda v: {"y_jvp": A @ v}, id="jvp"),
    ],
)
def test_products(client, rng, model, vector, expected):
    name, size = vector
    x, v = rng.normal(size=3), rng.normal(size=size)
    assert client.get_model_metadata(model)["inputs"][1] == {"name": name, "datatype": "FP64", "shape": [size]}
    result = client.infer(model, tensors({"x": x, name: v}))
    assert [output["name"] for output in result.get_response()["outputs"]] == ["y", *expected(v)]
    np.testing.assert_allclose(result.as_numpy("y"), A @ x)
    for output, wanted in expected(v).items():
        np.testing.assert_allclose(result.as_numpy(output), wanted)


def test_hessian_product(client, xy, rng):
    """Σ relu(x·y + 2): the derivative of the x-gradient y·[…] in the direction (u, v) is v·[…]."""
    u, v = (rng.normal(size=4).astype(np.float32) for _ in range(2))
    result = client.infer("loss.hvp", tensors(xy | {"x_tangent": u, "y_tangent": v}))
    active = xy["x"] * xy["y"] + 2 > 0
    assert not active.all()
    np.testing.assert_allclose(result.as_numpy("x_hvp"), v * active, rtol=1e-6)
    np.testing.assert_allclose(result.as_numpy("y_hvp"), u * active, rtol=1e-6)
    np.testing.assert_allclose(result.as_numpy("x_grad"), xy["y"] * active, rtol=1e-6)


def test_other_names_to_differentiate(client, xy, rng):
    """A parameter with respect to, an intermediate value of; a list where JSON may, text with commas where not."""
    c = rng.normal(size=4).astype(np.float32)
    for of, wrt in (("z", "two,y"), (["z"], ["two", "y"])):
        result = client.infer("loss.vjp", tensors(xy | {"z_cotangent": c}), parameters={"of": of, "wrt": wrt})
        np.testing.assert_allclose(result.as_numpy("two_vjp"), c.sum(), rtol=1e-5)
        np.testing.assert_allclose(result.as_numpy("y_vjp"), c * xy["x"], rtol=1e-6)
        assert result.as_numpy("x_vjp") is None
    described = client.get_model_metadata("loss.vjp", query_params={"of": "z", "wrt": "two"})
    assert [t["name"] for t in described["inputs"] + described["outputs"]] == [
        *("x", "y", "z_cotangent"),
        *("loss", "xy", "two_vjp"),
    ]


def test_parameters_may_be_given_and_seeds_fixed(client, xy):
    two = np.array(-100, np.float32)
    assert client.infer("loss", tensors(xy | {"two": two})).as_numpy("loss") == 0
    draws = [client.infer("random", tensors({"x": xy["x"]}), parameters={"seed": s}).as_numpy("y") for s in (1, 1, 2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).all()


def test_a_gradient_needs_one_scalar(client):
    with pytest.raises(InferenceServerException, match=r"0 scalar float outputs.*'of'"):
        client.infer("affine.grad", tensors({"x": np.ones(3)}))


def test_loading_and_unloading(own, graph_of, xy):
    own.load_model("mine", files={"file:2/model.onnx": graph_of("loss"), "file:10/model.onnx": graph_of("affine")},
                   config=json.dumps({"backend": "onnxruntime"}))  # fmt: skip
    rows = own.get_model_repository_index()
    assert [(r["name"], r["version"], r["state"]) for r in rows] == [("mine", "2", "READY"), ("mine", "10", "READY")]
    assert own.get_model_metadata("mine")["versions"] == ["2", "10"]
    assert own.get_model_metadata("mine")["inputs"][0]["datatype"] == "FP64"
    assert own.infer("mine.grad", tensors(xy), model_version="2").as_numpy("x_grad").shape == (4,)
    own.unload_model("mine")
    assert not own.is_model_ready("mine")
    assert not own.is_model_ready("mine.grad", "2")
    assert {row["state"] for row in own.get_model_repository_index()} == {"UNAVAILABLE"}
    with pytest.raises(InferenceServerException, match="'mine' is unloaded"):
        own.infer("mine", tensors(xy), model_version="2")
    own.load_model("mine")
    assert own.is_model_ready("mine")
    own.load_model("mine", files={"file:1/model.onnx": graph_of("loss")}, config="{}")
    assert own.get_model_metadata("mine")["versions"] == ["1"]
    assert len(own.get_model_repository_index()) == 2  # the graph that lost its name goes by its id


def test_statistics(own, graph_of, xy):
    own.load_model("mine", files={"file:1/model.onnx": graph_of("loss")}, config="{}")
    for _ in range(3):
        own.infer("mine", tensors(xy))
    own.infer("mine.grad", tensors(xy))
    with pytest.raises(InferenceServerException):
        own.infer("mine", tensors({"x": xy["x"]}))
    (found,) = own.get_inference_statistics("mine")["model_stats"]
    assert (found["inference_count"], found["execution_count"]) == (3, 3)
    counts = {kind: duration["count"] for kind, duration in found["inference_stats"].items()}
    assert counts == {
        **{"success": 3, "fail": 1, "queue": 0, "cache_hit": 0, "cache_miss": 0},
        **{"compute_input": 3, "compute_infer": 3, "compute_output": 3},
    }
    parts = [found["inference_stats"][f"compute_{part}"]["ns"] for part in ("input", "infer", "output")]
    assert 0 < sum(parts) <= found["inference_stats"]["success"]["ns"]
    listed = own.get_inference_statistics()["model_stats"]
    assert [(row["name"], row["inference_count"]) for row in listed] == [("mine", 3), ("mine.grad", 1)]
