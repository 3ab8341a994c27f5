"""The service in this process, a real one in another, and both clients by one fixture."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from graphspec_client import AsyncClient, Client, Tensor, set_default_client
from graphspec_server.app import create_app
from graphspec_server.settings import Settings


@pytest.fixture(scope="session")
def make_app(tmp_path_factory) -> Callable[..., Any]:
    """Makes an app with a directory of its own."""
    return lambda **options: create_app(Settings(repository=tmp_path_factory.mktemp("graphs"), **options))


@pytest.fixture
def app(make_app) -> Any:
    """An app for one client, which stops it when it is closed."""
    return make_app()


@pytest.fixture(scope="session")
def shared_client(make_app) -> Iterator[Client]:
    with Client(app=make_app()) as client:
        yield client


@pytest.fixture
def client(shared_client) -> Iterator[Client]:
    """A client of the app in this process, and the default one."""
    set_default_client(shared_client)
    yield shared_client
    set_default_client(None)


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[str]:
    """The address of a real server in a process of its own."""
    folder = tmp_path_factory.mktemp("served")
    command = [sys.executable, "-m", "graphspec_server", "--port", "0", "--repository", str(folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found, f"the server printed no address: {line!r}"
            yield found.group()
        finally:
            process.terminate()
            process.wait(30)


class Both:
    """A client of either kind, driven the same way: ``both(lambda client: client.run(...))``."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = make()

    def __call__(self, do: Callable[[Any], Any]) -> Any:
        return self.wait(do(self.client))

    def wait(self, result: Any) -> Any:
        """The result, awaited if it must be."""
        return self.loop.run_until_complete(result) if inspect.isawaitable(result) else result

    def close(self) -> None:
        self.wait(self.client.aclose() if isinstance(self.client, AsyncClient) else self.client.close())
        self.loop.close()


@pytest.fixture(params=["sync", "async", "sync-http", "async-http"])
def both(request, app) -> Iterator[Both]:
    """Each kind of client, in this process and over a socket."""
    kind = Client if request.param.startswith("sync") else AsyncClient
    if request.param.endswith("http"):
        url = request.getfixturevalue("server")
        made = Both(lambda: kind(url))
    else:
        made = Both(lambda: kind(app=app))
    yield made
    made.close()


@pytest.fixture(scope="session")
def assert_like() -> Callable[[Any, Any], None]:
    """Holds an array against NumPy's: dtype and shape alike, values to rounding."""

    def check(found: Any, expected: Any) -> None:
        found, expected = np.asarray(found), np.asarray(expected)
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        tolerance = {"float16": 2e-3, "float32": 2e-6}.get(expected.dtype.name, 1e-12)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)

    return check


@pytest.fixture(scope="session")
def check(assert_like) -> Callable[[Any, Any], None]:
    """Holds a tensor (or several) against NumPy's result, and with it what the tracer said of shape and dtype."""

    def check(result: Any, expected: Any) -> None:
        results, expecteds = (x if isinstance(x, tuple | list) else [x] for x in (result, expected))
        assert len(results) == len(expecteds)
        for one, wanted in zip(results, expecteds, strict=True):
            assert isinstance(one, Tensor)
            inferred = one._value.shape
            assert inferred is None or len(inferred) == np.ndim(wanted)
            assert inferred is None or all(a in (None, b) for a, b in zip(inferred, np.shape(wanted), strict=True))
            assert one.dtype == np.asarray(wanted).dtype
            assert_like(one.numpy(), wanted)

    return check
