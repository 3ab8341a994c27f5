"""Answers that refuse, and connections that fail, as typed errors."""

from __future__ import annotations

import json

import httpx
import pytest

import graphspec_client
from graphspec_client import Client, GraphSpecClientError, Problem, ServiceError, _exceptions

PROBLEM = {"code": "shape-mismatch", "message": "Shapes differ.", "path": "/nodes/0", "node": "Add_0",
           "expected": "[3]", "found": "[4]", "hint": "Look.", "unknown": "field"}  # fmt: skip

# code and status of an answer, and the error that they are
MAPPED = [
    ("load", 400, "InvalidGraph"), ("invalid-graph", 422, "InvalidGraph"), ("invalid-feed", 422, "InvalidFeed"),
    ("unsupported", 422, "Unsupported"), ("execution", 422, "ExecutionFailed"),
    ("differentiation", 422, "NotDifferentiable"), ("not-differentiable", 422, "NotDifferentiable"),
    ("no-gradient-rule", 422, "NoGradientRule"), ("limit", 413, "LimitExceeded"), ("limit", 422, "LimitExceeded"),
    ("limit", 504, "DeadlineExceeded"), ("unknown-graph", 404, "NotFound"), ("unauthorized", 401, "Unauthorized"),
    ("overloaded", 503, "Overloaded"), ("unsupported-media-type", 415, "Unsupported"),
    ("invalid-request", 400, "InvalidRequest"), (None, 404, "NotFound"), (None, 413, "LimitExceeded"),
    (None, 418, "InvalidRequest"), (None, 429, "Overloaded"), (None, 500, "ServiceFailed"),
    (None, 502, "ServiceFailed"),
    (None, 504, "DeadlineExceeded"), ("internal", 500, "ServiceFailed"),
]  # fmt: skip


def refusing(status, body, headers=None):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Client(
        transport=httpx.MockTransport(lambda request: httpx.Response(status, content=content, headers=headers))
    )


@pytest.mark.parametrize(("code", "status", "name"), MAPPED)
def test_the_code_decides_and_else_the_status(code, status, name):
    body = {"title": "No", "status": status, "detail": "It is so.", "problems": [PROBLEM]} | (
        {"code": code} if code else {}
    )
    with refusing(status, body) as client, pytest.raises(getattr(graphspec_client, name)) as caught:
        client.graphs()
    error = caught.value
    assert type(error) is getattr(graphspec_client, name)
    assert isinstance(error, ServiceError)
    assert error.status == status
    assert error.code == (code or "error")
    assert error.problems == (Problem(**{k: v for k, v in PROBLEM.items() if k != "unknown"}),)
    for part in ("It is so.", "Shapes differ.", "[3]", "[4]", "/nodes/0", "Look."):
        assert part in str(error)


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"[1, 2]", b'{"problems": 3}'])
def test_an_answer_of_someone_else(body):
    with refusing(502, body) as client, pytest.raises(graphspec_client.ServiceFailed, match="502") as caught:
        client.graphs()
    assert caught.value.problems == ()


def test_the_one_problem_is_not_said_twice():
    body = {"detail": "Shapes differ.", "problems": [PROBLEM], "code": "invalid-graph"}
    with refusing(422, body) as client, pytest.raises(graphspec_client.InvalidGraph) as caught:
        client.graphs()
    assert str(caught.value).count("Shapes differ.") == 1


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)])
def test_when_to_come_back(header, seconds):
    with refusing(503, {}, {"retry-after": header}) as client, pytest.raises(graphspec_client.Overloaded) as caught:
        client.graphs()
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize("content", [b"no json", b"[]", b'{"graphs": 1}', b'{"graphs": [{}]}'])
def test_a_success_that_is_none(content):
    with refusing(200, content) as client, pytest.raises(graphspec_client.ProtocolError):
        client.graphs()


@pytest.mark.parametrize("content", [b"{}", b"3", b'{"outputs": {"y": null}}', b'{"outputs": {"y": {"dtype": "x"}}}'])
def test_a_result_that_is_none(content):
    with refusing(200, content) as client, pytest.raises(graphspec_client.ProtocolError):
        client.run({"graphspec": 1}, {})


@pytest.mark.parametrize("content", [b"{}", b'{"valid": true, "problems": 3}'])
def test_a_report_that_is_none(content):
    with refusing(200, content) as client, pytest.raises(graphspec_client.ProtocolError):
        client.validate({"graphspec": 1})


def raising(error):
    def handler(request):
        raise error("It failed.", request=request)

    return Client("http://somewhere:1", timeout=3, transport=httpx.MockTransport(handler))


def test_nobody_there():
    with raising(httpx.ConnectError) as client, pytest.raises(graphspec_client.ConnectionFailed, match="somewhere:1"):
        client.graphs()


def test_nobody_there_for_real():
    with Client("http://127.0.0.1:9", timeout=5) as client:
        with pytest.raises(graphspec_client.ConnectionFailed, match="graphspec-server") as caught:
            client.ready()
        assert caught.value.status is None
        assert isinstance(caught.value.__cause__, httpx.ConnectError)


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.ConnectTimeout, httpx.PoolTimeout])
def test_too_slow(error):
    with raising(error) as client, pytest.raises(graphspec_client.TimedOut, match="3 seconds"):
        client.graphs()


def test_a_proxy_is_no_way_to_loopback(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert Client("http://127.0.0.1:9")._http._mounts == {}
    assert Client("http://example.invalid")._http._mounts != {}


def test_nothing_is_sent_twice():
    calls = []

    def handler(request):
        calls.append(request)
        raise httpx.ReadError("broken", request=request)

    with Client(transport=httpx.MockTransport(handler)) as client, pytest.raises(graphspec_client.ConnectionFailed):
        client.run({"graphspec": 1}, {})
    assert len(calls) == 1


def test_the_tree_in_the_docstring_is_the_tree():
    """Each line names a class, and its indentation names the base."""
    drawn, stack = {}, []
    for line in (_exceptions.__doc__ or "").splitlines():
        name = line.replace("│", " ").replace("├──", "   ").replace("└──", "   ")
        found = name.strip().split(" ")[0]
        if not hasattr(_exceptions, found) or not found:
            continue
        depth = (len(name) - len(name.lstrip())) // 4
        stack = [*stack[: depth - 1], found]
        drawn[found] = stack[-2] if len(stack) > 1 else "Exception"
    classes = {n: c for n, c in vars(_exceptions).items() if isinstance(c, type) and issubclass(c, Exception)}
    assert drawn == {name: kind.__mro__[1].__name__ for name, kind in classes.items()}


def test_problems_read_well():
    text = str(Problem.from_dict(PROBLEM))
    assert text == "/nodes/0: [shape-mismatch] Shapes differ. (expected [3], found [4]) Look."
    assert str(Problem("code", "Text.", found="4")) == "/: [code] Text. (found 4)"
    assert isinstance(graphspec_client.TraceError("x"), GraphSpecClientError)
    assert isinstance(graphspec_client.TraceError("x"), TypeError)
