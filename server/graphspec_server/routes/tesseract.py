"""Tesseract, /tesseract/{model}: `Tesseract.from_url` and what stands on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from graphspec import FeedError, ValueInfo
from graphspec_server import tesseract
from graphspec_server import wire_tesseract as wire
from graphspec_server._json import read_json, write_json
from graphspec_server._text import nearest, pointer
from graphspec_server.dataplane import DataPlane
from graphspec_server.errors import RequestError, UnknownModel
from graphspec_server.executor import Work
from graphspec_server.models import Model, is_float
from graphspec_server.records import Record
from graphspec_server.routes._answers import json_answer
from graphspec_server.routes._bodies import read_compressed
from graphspec_server.tesseract import check_types, outputs_of, read_arrays, write_array
from graphspec_server.wire import M, parse


async def openapi(request: Request, model: str) -> Response:
    """The model's own OpenAPI document, from which clients read its endpoints and arrays."""
    found, record = await _found(request, model)
    first, _ = await _plane(request).differentiable(found.graph_id)
    return json_answer(tesseract.openapi(model, version("graphspec-server"), record, first))


async def health(request: Request, model: str) -> Response:
    """Whether the model takes requests."""
    await _found(request, model)
    return json_answer({"status": "ok"})


async def apply(request: Request, model: str) -> Response:
    """The outputs of a model."""
    _, found, record, values = await _asked(request, model, wire.ApplyRequest)
    arrays = await _plane(request).run_work(found.graph_id, record, Work(), values)
    return await _answer(request, arrays.outputs)


async def jacobian(request: Request, model: str) -> Response:
    """Whole Jacobians, of the output's shape followed by the input's."""
    message, found, record, values = await _asked(request, model, wire.TesseractJacobian)
    of, wrt = _chosen(record, message.jac_outputs, "jac_outputs"), _chosen(record, message.jac_inputs, "jac_inputs")
    work = Work("jacobian", of, wrt, (), allow_unused=True)
    arrays = await _plane(request).run_work(found.graph_id, record, work, values)
    return await _answer(request, arrays.derivatives["jacobian"])


async def jacobian_vector_product(request: Request, model: str) -> Response:
    """Jacobians times the tangents given."""
    message, found, record, values = await _asked(request, model, wire.TesseractJvp)
    of, wrt = _chosen(record, message.jvp_outputs, "jvp_outputs"), _chosen(record, message.jvp_inputs, "jvp_inputs")
    known = {name: record.values[name] for name in wrt}
    tangents = await _plane(request).call(lambda: read_arrays(message.tangent_vector, known, "tangent_vector"))
    work = Work("jvp", of, wrt, (), allow_unused=True)
    arrays = await _plane(request).run_work(found.graph_id, record, work, values, tangents)
    return await _answer(request, arrays.derivatives["jvp"])


async def vector_jacobian_product(request: Request, model: str) -> Response:
    """The cotangents given times Jacobians."""
    message, found, record, values = await _asked(request, model, wire.TesseractVjp)
    of, wrt = _chosen(record, message.vjp_outputs, "vjp_outputs"), _chosen(record, message.vjp_inputs, "vjp_inputs")
    known = {name: record.values[name] for name in of}
    cotangents = await _plane(request).call(lambda: read_arrays(message.cotangent_vector, known, "cotangent_vector"))
    work = Work("vjp", of, wrt, (), allow_unused=True)
    arrays = await _plane(request).run_work(found.graph_id, record, work, values, cotangents)
    return await _answer(request, arrays.derivatives["vjp"])


async def abstract_eval(request: Request, model: str) -> Response:
    """Shapes and types of the outputs, from those of the inputs."""
    message, found, record = await _message(request, model, wire.AbstractRequest)
    shapes = {name: tuple(array.shape) for name, array in message.inputs.items()}
    outputs = await _plane(request).abstract(found.graph_id, record, shapes)
    return json_answer({name: {"shape": list(info.shape or ()), "dtype": info.dtype} for name, info in outputs.items()})


def _chosen(record: Record, names: Sequence[str], field: str) -> tuple[str, ...]:
    """Inputs or outputs to differentiate by or of, once each."""
    values: Mapping[str, ValueInfo] = record.inputs if field.endswith("_inputs") else outputs_of(record)
    for place, name in enumerate(names):
        if name not in values or not is_float(values[name]):
            floats = [known for known, info in values.items() if is_float(info)]
            reason = f"{name!r} is none of the arrays that can be differentiated here."
            raise FeedError(reason, code="unknown-name", path=pointer(field, place), hint=nearest(name, floats))
    if len(set(names)) < len(names):
        raise RequestError("A name is given twice.", code="repeated-name", path=pointer(field))
    return tuple(names)


async def _found(request: Request, model: str) -> tuple[Model, Record]:
    found, record = await _plane(request).model(model, None)
    if found.transform != "run":
        raise UnknownModel("Derivatives have their own endpoints here.", hint="Ask the model itself.", found=model)
    check_types(record)
    return found, record


async def _message(request: Request, model: str, kind: type[M]) -> tuple[M, Model, Record]:
    found, record = await _found(request, model)
    body = await read_compressed(request)
    return parse(kind, await _plane(request).call(lambda: read_json(body))), found, record


async def _asked(request: Request, model: str, kind: type[Any]) -> tuple[Any, Model, Record, dict[str, np.ndarray]]:
    message, found, record = await _message(request, model, kind)
    values = await _plane(request).call(lambda: read_arrays(message.inputs, record.inputs, "inputs"))
    return message, found, record, values


async def _answer(request: Request, arrays: Mapping[str, Any]) -> Response:
    """Arrays in the first form that the client takes; base64, which loses nothing, unless it asks for JSON."""
    accepted = [part.split(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    form = next((form for kind in accepted for form in tesseract.FORMATS if kind == f"application/{form}"), None)
    form = form or tesseract.FORMATS[0]

    def encoded(members: Mapping[str, Any]) -> dict[str, Any]:
        return {n: encoded(a) if isinstance(a, Mapping) else write_array(a, form) for n, a in members.items()}

    content = await _plane(request).call(lambda: write_json(encoded(arrays)))
    return Response(content, media_type=f"application/{form}")


def _plane(request: Request) -> DataPlane:
    plane: DataPlane = request.app.state.data_plane
    return plane
