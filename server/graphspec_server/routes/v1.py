"""The native protocol, /v1."""

from __future__ import annotations

import functools
from typing import Literal

import orjson
from starlette.requests import Request
from starlette.responses import Response

import graphspec as gs
from graphspec_server import wire
from graphspec_server.dataplane import DataPlane
from graphspec_server.executor import Transform
from graphspec_server.records import Record
from graphspec_server.routes._answers import arrays_answer, json_answer
from graphspec_server.routes._bodies import read_graph, read_message
from graphspec_server.routes._media import JSON, OCTETS, ONNX, SAFETENSORS, TEXT, answer_type

_FORMS: dict[str, Literal["onnx", "json", "text"]] = {JSON: "json", ONNX: "onnx", OCTETS: "onnx", TEXT: "text"}
_RUNS = (JSON, SAFETENSORS)


async def run(request: Request) -> Response:
    """Run a graph that comes with the request; with `grad`, gradients in the same answer."""
    media = answer_type(request, _RUNS)
    message = await read_message(request, wire.RunRequest, bulk=True)
    arrays = await _plane(request).run(message)
    return await arrays_answer(request, arrays, media, message.encoding)


async def run_stored(request: Request, graph_id: str) -> Response:
    """Run a stored graph; with `grad`, gradients in the same answer."""
    media = answer_type(request, _RUNS)
    message = await read_message(request, wire.StoredRunRequest, bulk=True)
    arrays = await _plane(request).run_stored(graph_id, message)
    return await arrays_answer(request, arrays, media, message.encoding)


async def grad(request: Request, graph_id: str) -> Response:
    """Outputs of a stored graph, and the gradients of one scalar."""
    return await _derivative(request, graph_id, "grad", wire.GradRequest)


async def vjp(request: Request, graph_id: str) -> Response:
    """Outputs of a stored graph, and vector-Jacobian products with the cotangents given."""
    return await _derivative(request, graph_id, "vjp", wire.VjpRequest)


async def jvp(request: Request, graph_id: str) -> Response:
    """Outputs of a stored graph, and Jacobian-vector products with the tangents given."""
    return await _derivative(request, graph_id, "jvp", wire.JvpRequest)


async def hvp(request: Request, graph_id: str) -> Response:
    """Outputs of a stored graph, the gradients of one scalar, and its Hessian's product with the tangents given."""
    return await _derivative(request, graph_id, "hvp", wire.HvpRequest)


async def jacobian(request: Request, graph_id: str) -> Response:
    """Outputs of a stored graph, and whole Jacobians; one batched run, in the cheaper mode."""
    return await _derivative(request, graph_id, "jacobian", wire.JacobianRequest)


async def hessian(request: Request, graph_id: str) -> Response:
    """Outputs of a stored graph, and the whole Hessian of one scalar; one batched run."""
    return await _derivative(request, graph_id, "hessian", wire.HessianRequest)


async def validate(request: Request) -> Response:
    """Every problem of a graph, and what is known of its values; no problem of a readable graph is an HTTP error."""
    report = await _plane(request).validate(await read_graph(request))
    return json_answer(report.to_dict())


async def store(request: Request) -> Response:
    """Store a valid graph; storing it again changes nothing and gives the same id."""
    return _stored(*await _plane(request).store(await read_graph(request)))


async def derive(request: Request, graph_id: str) -> Response:
    """Store a derivative of a stored graph as a graph of its own."""
    message = await read_message(request, wire.DeriveRequest)
    return _stored(*await _plane(request).derive(graph_id, message))


async def list_graphs(request: Request) -> Response:
    """Describe all stored graphs."""
    records = await _plane(request).records()
    return json_answer({"graphs": [record.description() for record in records]})


async def read(request: Request, graph_id: str) -> Response:
    """A stored graph: by `Accept` its description and document, ONNX bytes, or ONNX text."""
    media = answer_type(request, tuple(_FORMS))
    record, data = await _plane(request).read(graph_id, _FORMS[media])
    if media == JSON:
        return json_answer(record.description() | {"graph": orjson.Fragment(data)})
    suffix = "onnxtxt" if media == TEXT else "onnx"
    headers = {"content-disposition": f'attachment; filename="{graph_id[:12]}.{suffix}"'} if media != TEXT else {}
    return Response(data, headers=headers, media_type=media)


async def delete(request: Request, graph_id: str) -> Response:
    """Forget a stored graph."""
    await _plane(request).delete(graph_id)
    return Response(status_code=204)


async def operators(request: Request) -> Response:
    """Every operator: whether there is a kernel for it, and a derivative."""
    return Response(await _plane(request).call(_operators), media_type=JSON)


async def schema(request: Request) -> Response:
    """The JSON Schema (2020-12) of GraphSpec documents."""
    return Response(await _plane(request).call(_schema), media_type="application/schema+json")


@functools.cache
def _operators() -> bytes:
    return orjson.dumps({"operators": gs.operators()})


@functools.cache
def _schema() -> bytes:
    return orjson.dumps(gs.json_schema())


async def _derivative(
    request: Request, graph_id: str, transform: Transform, kind: type[wire.ScalarRequest] | type[wire.JacobianRequest]
) -> Response:
    media = answer_type(request, _RUNS)
    message = await read_message(request, kind, bulk=True)
    arrays = await _plane(request).differentiate(graph_id, transform, message)
    return await arrays_answer(request, arrays, media, message.encoding)


def _stored(record: Record, new: bool) -> Response:
    answer = json_answer(record.description(), 201 if new else 200)
    answer.headers["location"] = f"/v1/graphs/{record.id}"
    return answer


def _plane(request: Request) -> DataPlane:
    plane: DataPlane = request.app.state.data_plane
    return plane
