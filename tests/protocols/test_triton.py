"""NVIDIA's own client, as it is, against the service on a socket."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype


@pytest.fixture
def client(running) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(running.address)
    yield client
    client.close()


def tensor(name: str, array: np.ndarray, *, binary: bool = True) -> triton.InferInput:
    given = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    return given.set_data_from_numpy(array, binary_data=binary)


def test_health_and_metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("loss")
    assert client.is_model_ready("loss.vjp", "1")
    assert not client.is_model_ready("nobody")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    found = client.get_model_metadata("loss", "1")
    assert found["inputs"][0] == {"name": "x", "datatype": "FP32", "shape": [-1]}


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
