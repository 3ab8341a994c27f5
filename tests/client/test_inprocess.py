"""An app in this process: its start and stop, its keys and limits, as the client meets them."""

from __future__ import annotations

import asyncio
import gc

import numpy as np
import pytest

import graphspec_client
from graphspec_client import Client
from graphspec_server.keys import new_key

DOCUMENT = {
    "graphspec": 1,
    "opset": 21,
    "inputs": {"x": {"dtype": "float32", "shape": ["n", 3]}},
    "nodes": [{"op": "Tanh", "inputs": ["x"], "outputs": ["y"]}],
    "outputs": ["y"],
}


KEY, KNOWN = new_key("reader", ["read"])


@pytest.mark.parametrize("key", [None, "wrong"])
def test_without_the_key(make_app, key):
    with Client(app=make_app(api_keys=(KNOWN,)), api_key=key) as client:
        assert client.ready()
        with pytest.raises(graphspec_client.Unauthorized) as caught:
            client.graphs()
    assert caught.value.status == 401


def test_with_the_key(make_app):
    with Client(app=make_app(api_keys=(KNOWN,)), api_key=KEY) as client:
        assert client.graphs() == []
        with pytest.raises(graphspec_client.Unauthorized, match="lacks the scope 'run'") as caught:
            client.run(DOCUMENT, {"x": np.zeros((1, 3), "f4")})
    assert (caught.value.status, caught.value.code) == (403, "forbidden")


def test_a_server_that_takes_no_graphs(make_app):
    client = Client(app=make_app(allow_uploads=False))
    with client, pytest.raises(graphspec_client.Unauthorized, match="takes no graphs") as caught:
        client.run(DOCUMENT, {"x": np.zeros((1, 3), "f4")})
    assert (caught.value.status, caught.value.code) == (403, "uploads-disabled")


def test_limits_are_typed(make_app):
    with Client(app=make_app(max_body_bytes=1000)) as client, pytest.raises(graphspec_client.LimitExceeded) as caught:
        client.run(DOCUMENT, {"x": np.zeros((500, 3), "f4")})
    assert caught.value.status == 413


@pytest.mark.parametrize("slow", [{"lifespan", "http"}, {"http"}], ids=["to-start", "to-answer"])
def test_an_app_that_is_too_slow(slow):
    async def app(scope, receive, send):
        await asyncio.sleep(60 if scope["type"] in slow else 0)

    with Client(app=app, timeout=0.05) as client, pytest.raises(graphspec_client.TimedOut):
        client.ready()


def events(log):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{event}"
                log.append(event)
                await send({"type": f"lifespan.{event}.complete"})
            return
        log.append("request")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"ready": true}'})

    return app


def test_an_app_is_started_and_stopped():
    log = []
    with Client(app=events(log)) as client:
        assert client.ready()
        assert client.ready()
    client.close()
    assert log == ["startup", "request", "request", "shutdown"]


async def failing(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no room"})


def test_an_app_that_does_not_start():
    with Client(app=failing) as client, pytest.raises(graphspec_client.ConnectionFailed, match="no room"):
        client.ready()


async def bare(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError("what is that?")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b'{"ready": true}'})


def test_an_app_without_start_and_stop():
    with Client(app=bare) as client:
        assert client.ready()


def test_a_client_that_is_forgotten_stops_its_app():
    log = []
    client = Client(app=events(log))
    assert client.ready()
    del client
    gc.collect()
    assert log == ["startup", "request", "shutdown"]


def test_an_app_that_fails_answers_as_a_server_would():
    async def app(scope, receive, send):
        raise RuntimeError("secret")

    with Client(app=app) as client, pytest.raises(graphspec_client.ServiceFailed) as caught:
        client.ready()
    assert caught.value.status == 500
    assert "secret" not in str(caught.value)
