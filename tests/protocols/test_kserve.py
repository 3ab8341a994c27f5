"""KServe's own client, as it is, against the service on a socket.

It brings half of Kubernetes along, in versions of its own, so it has an environment of its own: make test-clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

kserve = pytest.importorskip("kserve", reason="KServe's client is tested by make test-clients")
inference = pytest.importorskip("kserve.inference_client")
protocol = pytest.importorskip("kserve.protocol.infer_type")

A = np.array([[1.5, -2.0, 0.5], [3.0, 0.25, -1.0]])


@pytest.fixture
def ask(running) -> Callable[..., Any]:
    """Calls a method of the client by its name."""

    async def call(method: str, *arguments: Any, **options: Any) -> Any:
        client = inference.InferenceRESTClient(inference.RESTConfig(protocol="v2", retries=0))
        try:
            answer: Awaitable[Any] = getattr(client, method)(running.url, *arguments, **options)
            return await answer
        finally:
            await client.close()

    return lambda *arguments, **options: asyncio.run(call(*arguments, **options))


def request(model: str, arrays: dict[str, np.ndarray], *, binary: bool, **rest: Any) -> Any:
    inputs = []
    for name, array in arrays.items():
        tensor = protocol.InferInput(
            name, list(array.shape), {"f4": "FP32", "f8": "FP64", "f2": "FP16"}[array.dtype.str[1:]]
        )
        tensor.set_data_from_numpy(array, binary_data=binary)
        inputs.append(tensor)
    return protocol.InferRequest(model, inputs, request_id="seven", **rest)


def arrays_of(response: Any) -> dict[str, np.ndarray]:
    return {output.name: output.as_numpy() for output in response.outputs}


def test_health(ask):
    assert ask("is_server_live") is True
    assert ask("is_server_ready") is True
    assert ask("is_model_ready", "loss") is True
    assert ask("is_model_ready", "loss.grad") is True
    assert ask("is_model_ready", "nobody") is False


@pytest.mark.parametrize("binary_out", [True, False], ids=["bytes-back", "json-back"])
@pytest.mark.parametrize("binary", [True, False], ids=["bytes", "json"])
def test_values_and_gradients(ask, xy, binary, binary_out):
    wanted = [protocol.RequestedOutput(name, {"binary_data": binary_out}) for name in ("xy", "x_grad", "y_grad")]
    asked = request("loss.grad", xy, binary=binary, request_outputs=wanted)
    response = ask("infer", asked, model_name="loss.grad")
    assert (response.id, response.model_name) == ("seven", "loss.grad")
    found = arrays_of(response)
    assert list(found) == ["xy", "x_grad", "y_grad"]
    active = xy["x"] * xy["y"] + 2 > 0
    np.testing.assert_allclose(found["xy"], xy["x"] * xy["y"], rtol=1e-6)
    np.testing.assert_allclose(found["x_grad"], xy["y"] * active, rtol=1e-6)
    np.testing.assert_allclose(found["y_grad"], xy["x"] * active, rtol=1e-6)


@pytest.mark.parametrize("binary", [True, False], ids=["bytes", "json"])
@pytest.mark.parametrize(
    ("model", "vector", "output", "matrix"),
    [("affine.vjp", "y_cotangent", "x_vjp", A.T), ("affine.jvp", "x_tangent", "y_jvp", A)],
    ids=["vjp", "jvp"],
)
def test_products(ask, rng, model, vector, output, matrix, binary):
    x, v = rng.normal(size=3), rng.normal(size=matrix.shape[1])
    asked = request(model, {"x": x, vector: v}, binary=binary, parameters={"binary_data_output": binary})
    found = arrays_of(ask("infer", asked, model_name=model))
    np.testing.assert_allclose(found["y"], A @ x)
    np.testing.assert_allclose(found[output], matrix @ v)


def test_halves_and_nothing_at_all(ask, rng):
    half = rng.normal(size=5).astype(np.float16)
    found = arrays_of(ask("infer", request("half", {"x": half}, binary=True), model_name="half"))
    np.testing.assert_array_equal(found["y"], half + half)
    empty = request("nan", {"x": np.zeros(0, np.float32)}, binary=True, parameters={"binary_data_output": True})
    assert arrays_of(ask("infer", empty, model_name="nan"))["z"].shape == (0,)


def test_plain_dictionaries(ask):
    x = {"name": "x", "datatype": "FP64", "shape": [3], "data": [1.0, 0.0, 2.0]}
    found = arrays_of(ask("infer", {"inputs": [x]}, model_name="affine"))
    np.testing.assert_allclose(found["y"], A @ [1, 0, 2])


def test_refusals_reach_the_user(ask):
    import httpx

    with pytest.raises(httpx.HTTPStatusError, match=r"has another shape.*422"):
        ask("infer", request("affine", {"x": np.ones(4)}, binary=True), model_name="affine")
