"""What is asked of the service, and how its answers are read: no I/O.

Each thing that a client can do is a *flow*: a generator that yields the calls it needs, gets a reply to each, and
returns the result. `Client` and `AsyncClient` differ only in how they wait for the reply.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np

from graphspec_client import _bulk, _sources
from graphspec_client._answers import Answer, Description, Report
from graphspec_client._codec import encode_feeds
from graphspec_client._exceptions import CodecError, InvalidFeed, ProtocolError

T = TypeVar("T")
Names: TypeAlias = str | Sequence[str]
Feeds: TypeAlias = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One request: what is sent where."""

    method: str
    path: str
    content: bytes | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a call that was not refused."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """The body as JSON data.

        Raises:
            ProtocolError: It is no JSON.
        """
        try:
            return json.loads(self.content)
        except ValueError:
            raise ProtocolError("The answer is no JSON; is this a GraphSpec service?", status=self.status) from None


Flow: TypeAlias = Generator[Call, Reply, T]


class Stored(Protocol):
    """Anything with the id of a stored graph."""

    @property
    def id(self) -> str: ...


def post(path: str, body: Mapping[str, Any]) -> Call:
    """A call with a JSON body; entries that are ``None`` are left out."""
    kept = {key: value for key, value in body.items() if value is not None}
    return Call("POST", path, _sources.json_bytes(kept), {"content-type": _sources.JSON})


BULK = 64 * 2**10  # bytes of tensors from which on a request is safetensors, and its answer too


def ask(wanted: str, path: str, body: Mapping[str, Any], **tensors: Feeds | None) -> Flow[Answer]:
    """A call with tensors, and its answer: JSON with base64, or safetensors in bulk.

    Args:
        wanted: The group of tensors that the answer is about.
        path: Where to send it.
        body: The rest of the request; entries that are ``None`` are left out.
        **tensors: The tensors by group (``feeds``, ``parameters``, ``cotangents``, ``tangents``) and name.
    """
    reply = yield from exchange(path, body, tensors)
    return read(
        reply,
        lambda groups: Answer.from_groups(groups, wanted),
        lambda body: Answer.from_json(body, wanted),
    )


def read(reply: Reply, from_groups: Callable[[Any], T], from_json: Callable[[Any], T]) -> T:
    """The answer in a reply: in bulk, or as JSON.

    Raises:
        ProtocolError: It is no answer.
    """
    try:
        if reply.headers.get("content-type", "").startswith(_bulk.SAFETENSORS):
            return from_groups(_bulk.unpack(reply.content))
        return from_json(reply.json())
    except CodecError as error:
        raise ProtocolError(f"The answer cannot be read: {error}", status=reply.status) from None


def exchange(path: str, body: Mapping[str, Any], tensors: Mapping[str, Feeds | None]) -> Flow[Reply]:
    """A call with tensors, in the form that fits them, and the reply."""
    groups = {group: dict(values) for group, values in tensors.items() if values}
    kept = {key: value for key, value in body.items() if value is not None}
    try:
        reply = yield _with_tensors(path, kept, groups)
    except InvalidFeed as error:
        # Strings have neither form: ask for lists.
        if not any(problem.code == "encoding" for problem in error.problems):
            raise
        reply = yield post(path, {**kept, **{group: encode_feeds(values) for group, values in groups.items()}})
    return reply


def _with_tensors(path: str, body: dict[str, Any], groups: dict[str, dict[str, Any]]) -> Call:
    raw = {group: {k: np.asarray(v) for k, v in values.items() if _bulk.holds(v)} for group, values in groups.items()}
    if sum(array.nbytes for arrays in raw.values() for array in arrays.values()) < BULK:
        encoded = {group: encode_feeds(values) for group, values in groups.items()}
        return post(path, {**body, **encoded, "encoding": "base64"})
    for group, values in groups.items():
        rest = {name: value for name, value in values.items() if name not in raw[group]}
        body = {**body, group: encode_feeds(rest)} if rest else body
    content = _bulk.pack(_sources.json_bytes(body), raw)
    return Call("POST", path, content, {"content-type": _bulk.SAFETENSORS, "accept": _bulk.SAFETENSORS})


def names(given: Names) -> list[str]:
    """One name or several, as a list."""
    return [given] if isinstance(given, str) else list(given)


# --- of the client ----------------------------------------------------------------------------------------------------


def run(
    _client: Any,
    graph: Any,
    feeds: Feeds | None = None,
    fetches: Names | None = None,
    *,
    of: str | None = None,
    wrt: Names | None = None,
    parameters: Feeds | None = None,
    seed: int | None = None,
) -> Flow[Answer]:
    """Run a graph once, without storing it; with ``of`` and ``wrt``, gradients in the same answer.

    Args:
        graph: Anything that ``load`` takes.
        feeds: The inputs by name. Lists and Python scalars take the graph's dtype, arrays keep theirs.
        fetches: The values wanted; by default the graph's outputs.
        of: The scalar to differentiate.
        wrt: The inputs, parameters or intermediate values to differentiate with respect to.
        parameters: Values that override the graph's parameters in this run.
        seed: Where the run's random numbers start; by default they differ from run to run.

    Returns:
        The outputs by name; ``.gradients`` by the names of ``wrt``.
    """
    if (of is None) != (wrt is None):
        raise TypeError("of and wrt go together: the scalar, and what to differentiate it with respect to.")
    body: dict[str, Any] = {"graph": _sources.read(graph).field, "fetches": None if fetches is None else names(fetches)}
    body["seed"] = seed
    body["grad"] = None if of is None or wrt is None else {"of": of, "wrt": names(wrt)}
    return (yield from ask("outputs", "/v1/run", body, feeds=feeds, parameters=parameters))


def validate(_client: Any, source: Any) -> Flow[Report]:
    """Every problem of a graph, and the shapes inferred.

    Args:
        source: Anything that ``load`` takes.
    """
    reply = yield _send_graph("/v1/validate", source)
    return Report.from_json(reply.json())


def store(_client: Any, source: Any) -> Flow[Description]:
    """Store a graph; storing it again changes nothing."""
    reply = yield _send_graph("/v1/graphs", source)
    return Description.from_json(reply.json())


def _send_graph(path: str, source: Any) -> Call:
    content_type, content = _sources.read(source).body
    return Call("POST", path, content, {"content-type": content_type})


def describe(_client: Any, id: str) -> Flow[Description]:
    """What the service says of a stored graph."""
    reply = yield Call("GET", f"/v1/graphs/{id}")
    return Description.from_json(reply.json())


def graphs(_client: Any) -> Flow[list[Description]]:
    """All stored graphs."""
    reply = yield Call("GET", "/v1/graphs")
    listed = reply.json()
    if not isinstance(listed, dict) or not isinstance(listed.get("graphs"), list):
        raise ProtocolError("The answer lists no graphs.", status=reply.status)
    return [Description.from_json(one) for one in listed["graphs"]]


def operators(_client: Any) -> Flow[list[dict[str, Any]]]:
    """What the service can run and differentiate: domain, op_type, since, kernel, derivative of each operator."""
    reply = yield Call("GET", "/v1/operators")
    listed = reply.json()
    found: list[dict[str, Any]] = listed.get("operators", []) if isinstance(listed, dict) else listed
    return found


def schema(_client: Any) -> Flow[dict[str, Any]]:
    """The JSON Schema of the document."""
    reply = yield Call("GET", "/v1/schema")
    found: dict[str, Any] = reply.json()
    return found


def ready(_client: Any) -> Flow[bool]:
    """Whether the service takes work."""
    reply = yield Call("GET", "/v2/health/ready")
    body = reply.json()
    return isinstance(body, dict) and body.get("ready") is True


# --- of a stored graph ------------------------------------------------------------------------------------------------


def run_stored(
    _model: Stored,
    feeds: Feeds | None = None,
    fetches: Names | None = None,
    *,
    parameters: Feeds | None = None,
    seed: int | None = None,
) -> Flow[Answer]:
    """Run the graph.

    Args:
        feeds: The inputs by name. Lists and Python scalars take the graph's dtype, arrays keep theirs.
        fetches: The values wanted, intermediate ones included; by default the outputs.
        parameters: Values that override the graph's parameters in this run.
        seed: Where the run's random numbers start; by default they differ from run to run.

    Returns:
        The values by name.
    """
    body = {"fetches": None if fetches is None else names(fetches), "seed": seed}
    return (yield from ask("outputs", f"/v1/graphs/{_model.id}/run", body, feeds=feeds, parameters=parameters))


FORMATS = {".onnx": "onnx", ".json": "json", ".onnxtxt": "text", ".txt": "text"}
_ACCEPT = {"onnx": _sources.ONNX, "json": _sources.JSON, "text": _sources.TEXT}


def dumps(_model: Stored, format: str = "onnx") -> Flow[bytes]:
    """The graph as the bytes of a file.

    Args:
        format: ``"onnx"``, ``"json"`` or ``"text"``.
    """
    if format not in _ACCEPT:
        raise ValueError(f"The format {format!r} is unknown; {', '.join(_ACCEPT)} are known.")
    reply = yield Call("GET", f"/v1/graphs/{_model.id}", headers={"accept": _ACCEPT[format]})
    if format != "json":
        return reply.content
    body = reply.json()
    if not isinstance(body, dict) or "graph" not in body:
        raise ProtocolError("The answer holds no graph.", status=reply.status)
    return json.dumps(body["graph"], indent=1, ensure_ascii=False).encode() + b"\n"


def document(_model: Stored) -> Flow[dict[str, Any]]:
    """The graph as a JSON document."""
    found: dict[str, Any] = json.loads((yield from dumps(_model, "json")))
    return found


def save(_model: Stored, path: str | Path) -> Flow[None]:
    """Save the graph to a file.

    Args:
        path: Its suffix says in which form: ``.onnx``, ``.json``, or ``.onnxtxt`` for ONNX text.
    """
    target = Path(path)
    if target.suffix not in FORMATS:
        raise ValueError(f"The suffix {target.suffix!r} says no format; {', '.join(FORMATS)} do.")
    target.write_bytes((yield from dumps(_model, FORMATS[target.suffix])))


def delete(_model: Stored) -> Flow[None]:
    """Forget the graph; a run of it afterwards is a `NotFound`."""
    yield Call("DELETE", f"/v1/graphs/{_model.id}")
