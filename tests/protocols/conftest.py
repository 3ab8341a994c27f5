"""The service on a socket of its own, for clients that others wrote."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn

import graphspec as gs
from graphspec_server.app import create_app
from graphspec_server.settings import Settings

# name → inputs, nodes, outputs: text after text, as ONNX writes graphs.
GRAPHS = {
    # sum(relu(x * y + two)) beside x * y
    "loss": """loss (float[n] x, float[n] y) => (float loss, float[n] xy) <float two = {2.0}> {
        xy = Mul(x, y)  z = Add(xy, two)  r = Relu(z)  loss = ReduceSum<keepdims=0>(r) }""",
    "affine": """affine (double[3] x) => (double[2] y)
        <double[2, 3] A = {1.5, -2.0, 0.5, 3.0, 0.25, -1.0}> { y = MatMul(A, x) }""",
    # a scalar and a vector, of second order in both inputs and mixed
    "posterior": """posterior (double[3] x, double[1] s) => (double[1] density, double[3] cubes)
        <double minus = {-0.5}> {
        xx = Mul(x, x)  r = ReduceSum<keepdims=1>(xx)  rr = Mul(r, r)  half = Mul(rr, minus)  e = Exp(s)
        density = Mul(half, e)  xxx = Mul(xx, x)  cubes = Mul(s, xxx) }""",
    "positive": """positive (float[3] x) => (float[k] y) <float zero = {0.0}> {
        which = Greater(x, zero)  y = Compress<axis=0>(x, which) }""",
    # its elements are not equally long
    "pieces": """pieces (float[3] x) => (seq(float[k]) y, float[3] z) {
        lengths = Constant<value_ints = [1, 2]>()  y = SplitToSequence<axis=0>(x, lengths)  z = Neg(x) }""",
    "strings": "strings (string[n] a, string[n] b) => (string[n] c) { c = StringConcat(a, b) }",
    "nan": "nan (float[n] x) => (float[n] y, float[n] z) { y = Log(x)  z = Neg(x) }",
    "half": "half (float16[n] x) => (float16[n] y) { y = Add(x, x) }",
    "brain": "brain (bfloat16[n] x) => (bfloat16[n] y) { y = Add(x, x) }",
    "random": "random (float[n] x) => (float[n] y) { r = RandomUniformLike(x)  y = Add(x, r) }",
    **{
        f"same_{dtype}": f"same ({dtype}[n, 2] x) => ({dtype}[n, 2] y) {{ y = Identity(x) }}"
        for dtype in ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "double")
    },
}


def as_text(name: str) -> str:
    """A graph of the table as a model in ONNX text."""
    return f'<ir_version: 10, opset_import: ["" : 21]> {GRAPHS[name]}'


def onnx_of(name: str) -> bytes:
    """A graph of the table as a file."""
    return gs.dumps(gs.load(as_text(name)), "onnx")


class Running:
    """A server in a thread of this process, on a real socket."""

    def __init__(self, **settings: Any) -> None:
        self.app = create_app(Settings(**settings))
        # asyncio turns off Nagle's algorithm, which costs 40 ms an answer, only where the protocol is named.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(self.app, log_config=None, ws="none"))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._socket.close()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests that leave its models alone: every graph of the table, and bodies up to 1 MiB."""
    server = Running(repository=tmp_path_factory.mktemp("graphs"), max_body_bytes=2**20)
    with httpx.Client(base_url=server.url) as client:
        for name in GRAPHS:
            parameters = {"file:1/model.onnx": base64.b64encode(onnx_of(name)).decode()}
            answer = client.post(f"/v2/repository/models/{name}/load", json={"parameters": parameters})
            assert answer.status_code == 200, answer.text
    yield server
    server.close()


@pytest.fixture(scope="session")
def plain(running: Running) -> Iterator[httpx.Client]:
    """A client that sends what it is told."""
    with httpx.Client(base_url=running.url) as client:
        yield client


@pytest.fixture
def make_running(tmp_path) -> Iterator[Callable[..., Running]]:
    """Starts servers over one directory, with any settings."""
    started: list[Running] = []

    def start(**settings: Any) -> Running:
        started.append(Running(repository=tmp_path / "graphs", **settings))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def own_running(make_running) -> Running:
    """A server without models, for tests that change them."""
    return make_running()


@pytest.fixture
def graph_of() -> Callable[[str], bytes]:
    """Graphs of the table as files."""
    return onnx_of


@pytest.fixture
def text_of() -> Callable[[str], str]:
    """Graphs of the table as ONNX text."""
    return as_text


@pytest.fixture
def xy(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Inputs of ``loss``; one product lies below the kink."""
    x = rng.uniform(0.5, 2, 4) * [1, 1, -2, 1]
    return {"x": x.astype(np.float32), "y": rng.uniform(2, 3, 4).astype(np.float32)}
