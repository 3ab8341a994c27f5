"""The service in this process, asked over ASGI: no sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from graphspec_server.app import create_app
from graphspec_server.settings import Settings

LOSS = {
    "graphspec": 1,
    "name": "loss",
    "opset": 21,
    "inputs": {"x": {"dtype": "float32", "shape": ["n"]}, "y": {"dtype": "float32", "shape": ["n"]}},
    "parameters": {"two": {"dtype": "float32", "shape": [], "data": 2.0}},
    "nodes": [
        {"op": "Mul", "inputs": ["x", "y"], "outputs": ["xy"]},
        {"op": "Add", "inputs": ["xy", "two"], "outputs": ["z"]},
        {"op": "Relu", "inputs": ["z"], "outputs": ["r"]},
        {"op": "ReduceSum", "inputs": ["r"], "outputs": ["loss"], "attributes": {"keepdims": 0}},
    ],
    "outputs": ["loss"],
}


class Service:
    """A synchronous face of the app."""

    def __init__(self, settings: Settings) -> None:
        self.app = create_app(settings)
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://service")

    def request(self, method: str, path: str, **rest: Any) -> httpx.Response:
        return self._runner.run(self._client.request(method, path, **rest))

    def get(self, path: str, **rest: Any) -> httpx.Response:
        return self.request("GET", path, **rest)

    def post(self, path: str, body: Any = None, **rest: Any) -> httpx.Response:
        if body is not None:
            rest["json"] = body
        return self.request("POST", path, **rest)

    def store(self, document: Any) -> str:
        answer = self.post("/v1/graphs", document)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()["id"]

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()
        self.app.state.data_plane.close()


@pytest.fixture
def make_service(tmp_path) -> Iterator[Callable[..., Service]]:
    """Makes services over one directory, with any settings."""
    made: list[Service] = []

    def make(**settings: Any) -> Service:
        made.append(Service(Settings(repository=tmp_path / "graphs", **settings)))
        return made[-1]

    yield make
    for service in made:
        service.close()


@pytest.fixture
def service(make_service) -> Service:
    return make_service()


@pytest.fixture
def loss() -> dict[str, Any]:
    """sum(relu(x * y + two)), the classic."""
    import copy

    return copy.deepcopy(LOSS)
