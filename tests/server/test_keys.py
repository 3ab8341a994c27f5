"""Who may do what: keys, their scopes, the table of routes, uploads that are off, and pages of other origins."""

from __future__ import annotations

import base64
import re
from importlib.metadata import version

import pytest
from starlette.routing import Route

from graphspec_server.access import ACCESS
from graphspec_server.keys import SCOPES, ApiKey, KeyRing, digest_of, key_of, main, new_key

PLACES = {"graph_id": "0" * 64, "model": "m", "version": "1"}
ROUTES = {route: re.sub(r"{(\w+)}", lambda found: PLACES[found[1]], route) for route in ACCESS}
ALONE = {scope: new_key(f"only-{scope}", [scope]) for scope in SCOPES}
LACKING = {scope: new_key(f"all-but-{scope}", [other for other in SCOPES if other != scope]) for scope in SCOPES}
KNOWN = tuple(known for _, known in [*ALONE.values(), *LACKING.values()])


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def message(path: str, answer) -> str:
    """What an error says, read as the clients of its protocol do."""
    body = answer.json()
    face = path.split("/")[1]
    if face == "v1":
        assert answer.headers["content-type"] == "application/problem+json"
        assert body["code"] == {401: "unauthorized", 403: "forbidden"}[answer.status_code]
        return body["detail"]
    error = body["detail" if face == "tesseract" else "error"]
    return error["message"] if face == "umbridge" else error


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """One service for all that is only asked and refused."""
    from graphspec_server.app import create_app
    from graphspec_server.settings import Settings

    app = create_app(Settings(repository=tmp_path_factory.mktemp("graphs"), api_keys=KNOWN))
    yield app
    app.state.data_plane.close()


@pytest.fixture
def ask(guarded):
    """Ask the one service."""
    import asyncio

    import httpx

    def once(method, path, headers=None):
        async def send():
            transport = httpx.ASGITransport(guarded, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(send())

    return once


def test_every_route_is_in_the_table(guarded):
    """And the table has no other."""
    routes = [route for route in guarded.routes if isinstance(route, Route)]
    assert routes == guarded.routes
    assert {f"{method} {r.path}" for r in routes for method in (r.methods or ()) - {"HEAD"}} == set(ACCESS)
    assert {access.scope for access in ACCESS.values()} == {None, *SCOPES}


@pytest.mark.parametrize("route", [r for r, access in ACCESS.items() if access.scope is not None])
def test_every_route_asks_for_its_scope(ask, route):
    """Without a key, with a wrong one, with all scopes but its own, and with no other."""
    scope = ACCESS[route].scope
    method, path = ROUTES[route].split()
    for headers in ({}, bearer("gs_wrong")):
        answer = ask(method, path, headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "Authorization: Bearer" in message(path, answer)
        assert "gs_wrong" not in answer.text
    key, known = LACKING[scope]
    answer = ask(method, path, bearer(key))
    assert answer.status_code == 403
    assert f"lacks the scope {scope!r}" in message(path, answer)
    assert key not in answer.text
    assert known.digest.hex() not in answer.text
    assert ask(method, path, bearer(ALONE[scope][0])).status_code not in (401, 403)


@pytest.mark.parametrize("route", [r for r, access in ACCESS.items() if access.scope is None])
def test_open_routes_need_no_key(ask, route):
    assert ask(*ROUTES[route].split()).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/nope"), ("PUT", "/v1/graphs"), ("HEAD", "/v2/models")])
def test_nothing_else_is_told_without_a_key(ask, method, path):
    assert ask(method, path).status_code == 401
    assert ask(method, path, bearer(ALONE["read"][0])).status_code in (404, 405)


KEY = ALONE["read"][0]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"authorization": f"Bearer {KEY}"}, 200, id="bearer"),
        pytest.param({"authorization": f"bearer  {KEY} "}, 200, id="bearer-small"),
        pytest.param({"x-api-key": KEY}, 200, id="header"),
        pytest.param({"authorization": basic("any", KEY)}, 200, id="password"),
        pytest.param({"authorization": basic(KEY, "")}, 401, id="user"),
        pytest.param({"authorization": "Basic \xe4"}, 401, id="not-base64"),
        pytest.param({"authorization": "Basic /w=="}, 401, id="not-text"),
        pytest.param({"authorization": KEY}, 401, id="no-scheme"),
        pytest.param({"authorization": f"Digest {KEY}"}, 401, id="other-scheme"),
        pytest.param({"authorization": "Bearer "}, 401, id="empty"),
        pytest.param({"authorization": f"Bearer {KEY}x"}, 401, id="longer"),
        pytest.param({"authorization": f"Bearer {KEY[:-1]}"}, 401, id="shorter"),
        pytest.param({"authorization": "Bearer " + digest_of(KEY).hex()}, 401, id="digest"),
        pytest.param({"authorization": "Bearer " + ALONE["read"][1].to_setting()}, 401, id="entry"),
        pytest.param({"authorization": "Bearer \xff"}, 401, id="not-ascii"),
        pytest.param({"x-api-key": ""}, 401, id="empty-header"),
        pytest.param({"authorization": "Bearer no", "x-api-key": KEY}, 401, id="both"),
    ],
)
def test_where_a_key_may_be(ask, headers, status):
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    assert ask("GET", "/v1/graphs", raw).status_code == status


def test_without_keys_everything_is_open(make_service, loss):
    service = make_service()
    graph_id = service.store(loss)
    assert service.get("/v1/graphs", headers=bearer("whatever")).status_code == 200
    assert service.request("DELETE", f"/v1/graphs/{graph_id}").status_code == 204


def test_keys_are_needed_although_anybody_might_come(make_service):
    service = make_service(api_keys=KNOWN, allow_anonymous=True)
    assert service.get("/v1/graphs").status_code == 401


@pytest.mark.parametrize("keys", [(), KNOWN], ids=["open", "keys"])
def test_a_server_of_fixed_models_takes_no_graph(make_service, loss, keys):
    """Neither to store nor to run; what is stored goes on, whoever asks."""
    graph_id = make_service().store(loss)
    service = make_service(allow_uploads=False, api_keys=keys)

    def post(scope, path, body):
        return service.post(path, body, headers=bearer(ALONE[scope][0]) if keys else {})

    feeds = {"feeds": {"x": [1], "y": [2]}}
    derive = {"transform": "grad", "of": "loss", "wrt": ["x"]}
    load = {"parameters": {"file:1/model.onnx": base64.b64encode(b"onnx").decode()}}
    for scope, path, body in (
        ("run", "/v1/run", {"graph": loss, **feeds}),
        ("run", "/v1/validate", loss),
        ("write", "/v1/graphs", loss),
        ("write", f"/v1/graphs/{graph_id}/derive", derive),
    ):
        answer = post(scope, path, body)
        assert (answer.status_code, answer.json()["code"]) == (403, "uploads-disabled"), path
    answer = post("write", "/v2/repository/models/m/load", load)
    assert (answer.status_code, list(answer.json())) == (403, ["error"])
    assert "takes no graphs" in answer.json()["error"]
    for scope, path, body in (
        ("write", "/v2/repository/models/m/load", {"parameters": {"graph:1": graph_id}}),
        ("run", f"/v1/graphs/{graph_id}/grad", {"of": "loss", "wrt": ["x"], **feeds}),
        ("run", "/umbridge/m/Evaluate", {"name": "m", "input": [[1], [2]], "config": {}}),
    ):
        answer = post(scope, path, body)
        assert answer.status_code == 200, answer.text


def test_a_scope_is_asked_before_the_body_is_read(make_service):
    """So what a key may not do costs nothing, and says nothing of the request."""
    service = make_service(api_keys=KNOWN, max_body_bytes=10)
    answer = service.post("/v1/graphs", "x" * 1000, headers=bearer(ALONE["read"][0]))
    assert answer.status_code == 403


PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        pytest.param("", "https://a.example", None, id="off"),
        pytest.param("https://a.example:80", "https://a.example:80", "https://a.example:80", id="port"),
        pytest.param("https://a.example http://b.example", "http://b.example", "http://b.example", id="second"),
        pytest.param("https://a.example", "https://a.example.org", None, id="another"),
        pytest.param("*", "https://c.example", "*", id="all"),
    ],
)  # fmt: skip
def test_pages_of_other_origins(make_service, origins, origin, allowed):
    """Browsers ask beforehand without a key, and errors can be read too."""
    service = make_service(cors_origins=origins, api_keys=KNOWN)
    asked = service.request("OPTIONS", "/v1/run", headers={"origin": origin, **PREFLIGHT})
    assert (asked.status_code == 200) is (allowed is not None)
    for answer in (
        asked,
        service.get("/v1/graphs", headers={"origin": origin}),
        service.get("/v1/graphs", headers={"origin": origin, **bearer(KEY)}),
    ):
        assert answer.headers.get("access-control-allow-origin") == allowed
        assert "access-control-allow-credentials" not in answer.headers


def test_the_document_tells_the_scopes(ask):
    document = ask("GET", "/openapi.json").json()
    assert document["info"]["version"] == version("graphspec-server")
    for route, access in ACCESS.items():
        method, path = route.split()
        if path in document["paths"]:
            operation = document["paths"][path][method.lower()]
            assert operation.get("x-graphspec-scope") == access.scope
            assert ("security" in operation) is (access.scope is not None)


@pytest.mark.parametrize("scopes", ["run,read", "read run", "read+run"])
def test_the_command_makes_a_key_and_its_entry(capsys, scopes):
    assert main(["ci", "--scopes", scopes]) == 0
    said = capsys.readouterr().out
    key, entry = re.search(r"\bgs_\S+", said)[0], re.search(r"GRAPHSPEC_API_KEYS=(\S+)", said)[1]
    known = ApiKey.from_setting(entry)
    assert (known.name, known.scopes, known.to_setting()) == ("ci", {"read", "run"}, entry)
    assert key not in entry
    assert len(key) > 43
    ring = KeyRing([*KNOWN, known])
    assert ring.find(key) is known
    assert ring.find(key + "x") is None
    assert known.digest.hex() not in repr(known)


@pytest.mark.parametrize("arguments", [[], ["a b"], ["ci", "--scopes", "root"], ["ci", "--scopes", ""], ["a:b"]])
def test_the_command_refuses(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "gs_" not in capsys.readouterr().out


def test_two_keys_differ():
    assert new_key("a", ["run"])[0] != new_key("a", ["run"])[0]


def test_a_password_may_hold_a_colon():
    assert key_of(basic("user", "a:b"), "") == "a:b"
