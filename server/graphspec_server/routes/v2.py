"""The Open Inference Protocol, /v2, with the binary tensor, model repository and statistics extensions."""

from __future__ import annotations

import base64
import binascii
import re
import time
import zlib
from collections.abc import Awaitable, Callable
from importlib.metadata import version as version_of
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from graphspec import FeedError, dtypes
from graphspec_server import oip, wire_v2
from graphspec_server._json import read_json
from graphspec_server._text import kind_of, nearest
from graphspec_server.access import check_uploads
from graphspec_server.dataplane import DataPlane
from graphspec_server.errors import RequestError
from graphspec_server.models import Model, Signature, check_version, signature
from graphspec_server.records import Record
from graphspec_server.routes._answers import SMALL_ANSWER, json_answer
from graphspec_server.routes._bodies import SMALL_BODY, read_compressed
from graphspec_server.routes._media import JSON, OCTETS
from graphspec_server.wire import M, parse

# Clients differ in which word they read, so both are in both answers.
_HEALTHY = {"live": True, "ready": True}
_EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "parameters", "statistics"]
_HEADER_LENGTH = "inference-header-content-length"
_CODINGS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_FILE = re.compile(r"file:([^/]*)/model\.onnx")

ModelRoute = Callable[[Request, str, str | None], Awaitable[Response]]


async def live(request: Request) -> Response:
    """Whether the process answers at all."""
    return json_answer(_HEALTHY)


async def ready(request: Request) -> Response:
    """Whether the service takes work."""
    return json_answer(_HEALTHY)


async def server(request: Request) -> Response:
    """What the server is."""
    return json_answer({"name": "graphspec", "version": version_of("graphspec-server"), "extensions": _EXTENSIONS})


async def models(request: Request) -> Response:
    """The names of all models that take requests."""
    entries = await _plane(request).call(_plane(request).models.index)
    return json_answer({"models": list(dict.fromkeys(name for name, _, is_ready in entries if is_ready))})


async def metadata(request: Request, model: str, version: str | None) -> Response:
    """What a model takes and gives."""
    found, _, known = await _described(request, model, version)
    return json_answer(
        {
            "name": model,
            "versions": found.versions,
            "platform": "graphspec",
            "inputs": [_tensor(name, info) for name, info in known.inputs.items()],
            "outputs": [_tensor(name, info) for name, info in known.outputs.items()],
        }
    )


async def model_ready(request: Request, model: str, version: str | None) -> Response:
    """Whether a model takes requests; an error where it does not."""
    await _plane(request).model(model, version)
    return json_answer({"name": model, "ready": True})


async def config(request: Request, model: str, version: str | None) -> Response:
    """A model's configuration, as Triton has it."""
    _, _, known = await _described(request, model, version)

    def tensors(values: Any) -> list[dict[str, Any]]:
        described = [_tensor(name, info) for name, info in values.items()]
        return [
            {"name": tensor["name"], "data_type": _config_type(tensor["datatype"]), "dims": tensor["shape"]}
            for tensor in described
        ]

    return json_answer(
        {
            "name": model,
            "platform": "graphspec",
            "backend": "graphspec",
            "max_batch_size": 0,
            "input": tensors(known.inputs),
            "output": tensors(known.outputs),
        }
    )


async def stats(request: Request, model: str, version: str | None) -> Response:
    """What a model has done so far."""
    plane = _plane(request)
    found, _ = await plane.model(model, version)
    versions = found.versions if version is None else (version,)
    return json_answer({"model_stats": [plane.statistics.of(model, v) for v in versions]})


async def all_stats(request: Request) -> Response:
    """What every model has done so far."""
    plane = _plane(request)
    entries = await plane.call(plane.models.index)
    ready_ones = {(name, version) for name, version, is_ready in entries if is_ready}
    listed = sorted(ready_ones | set(plane.statistics.models()))
    return json_answer({"model_stats": [plane.statistics.of(*key) for key in listed]})


async def infer(request: Request, model: str, version: str | None) -> Response:
    """Run a model, or a derivative of it."""
    plane = _plane(request)
    start = time.perf_counter_ns()
    found, record = await plane.model(model, version)
    try:
        answer, phases = await _infer(request, found, record)
    except Exception:
        plane.statistics.add(model, found.version, "fail", time.perf_counter_ns() - start)
        raise
    plane.statistics.add(model, found.version, "success", time.perf_counter_ns() - start, phases)
    return answer


async def index(request: Request) -> Response:
    """All versions of all models, and whether they take requests."""
    message = await _message(request, wire_v2.IndexRequest)
    entries = await _plane(request).call(_plane(request).models.index)
    return json_answer(
        [
            {"name": name, "version": version, "state": "READY" if is_ready else "UNAVAILABLE",
             "reason": "" if is_ready else "unloaded"}
            for name, version, is_ready in entries
            if is_ready or not message.ready
        ]
    )  # fmt: skip


async def load(request: Request, model: str) -> Response:
    """Store graphs under a name, name graphs that are stored, or make an unloaded model ready again."""
    message = await _message(request, wire_v2.LoadRequest)
    plane = _plane(request)
    files, graphs = await plane.call(lambda: _graphs_of(message.parameters))
    if files:
        check_uploads(request.app.state.settings.allow_uploads)
    await plane.load_model(model, files, graphs)
    return json_answer({"name": model, "load": True})


async def unload(request: Request, model: str) -> Response:
    """Let a model take no more requests; what it is stays stored."""
    await _message(request, wire_v2.UnloadRequest)
    await _plane(request).call(lambda: _plane(request).models.unload(model))
    return json_answer({"name": model, "unload": True})


def newest(endpoint: ModelRoute) -> Callable[..., Awaitable[Response]]:
    """The route to the newest version of a model."""

    async def route(request: Request, model: str) -> Response:
        return await endpoint(request, model, None)

    route.__doc__, route.__name__ = endpoint.__doc__, endpoint.__name__
    return route


def versioned(endpoint: ModelRoute) -> Callable[..., Awaitable[Response]]:
    """The route to a version of a model."""

    async def route(request: Request, model: str, version: str) -> Response:
        return await endpoint(request, model, version)

    route.__doc__, route.__name__ = endpoint.__doc__, f"{endpoint.__name__}_of_version"
    return route


async def _infer(request: Request, model: Model, record: Record) -> tuple[Response, dict[str, int]]:
    plane = _plane(request)
    body = await read_compressed(request)
    times = [time.perf_counter_ns()]

    def prepare() -> tuple[oip.Request, Signature, dict[str, np.ndarray]]:
        asked = oip.read_request(body, request.headers.get(_HEADER_LENGTH))
        of, wrt = (_names(asked.message.parameters, field) for field in ("of", "wrt"))
        known = signature(record, model.transform, of, wrt)
        return asked, known, oip.decode_inputs(asked, {**known.parameters, **known.inputs})

    asked, known, values = prepare() if len(body) <= SMALL_BODY else await plane.call(prepare)
    outputs = _outputs(asked, known)
    times.append(time.perf_counter_ns())
    arrays = await plane.infer(model, record, known, values, [name for name, _ in outputs], _seed(asked))
    times.append(time.perf_counter_ns())
    head = {"model_name": model.name, "model_version": model.version}
    if asked.message.id is not None:
        head["id"] = asked.message.id
    found = [(name, known.pick(arrays, name), binary) for name, binary in outputs]
    coding = request.headers.get("accept-encoding", "").strip().lower()

    def write() -> Response:
        text, header_length = oip.write_answer(head, found)
        headers = {} if header_length is None else {_HEADER_LENGTH: str(header_length)}
        if coding in _CODINGS:
            packer = zlib.compressobj(1, zlib.DEFLATED, _CODINGS[coding])
            text = packer.compress(text) + packer.flush()
            headers["content-encoding"] = coding
        return Response(text, headers=headers, media_type=JSON if header_length is None else OCTETS)

    size = sum(getattr(array, "size", 0) for _, array, _ in found)  # what is no array is refused below
    answer = write() if size <= SMALL_ANSWER else await plane.call(write)
    times.append(time.perf_counter_ns())
    parts = ("compute_input", "compute_infer", "compute_output")
    return answer, {part: end - begin for part, begin, end in zip(parts, times[:-1], times[1:], strict=True)}


def _outputs(request: oip.Request, known: Signature) -> list[tuple[str, bool]]:
    """The outputs wanted and whether as bytes, in the order asked."""
    wanted = request.message.outputs
    if not wanted:
        return [(name, request.binary(None)) for name in known.outputs]
    names = [output.name for output in wanted]
    for place, output in enumerate(wanted):
        path = f"/outputs/{place}"
        if output.name not in known.outputs:
            reason = f"The model has no output {output.name!r}."
            raise FeedError(reason, code="unknown-name", path=path, hint=nearest(output.name, known.outputs))
        if names.index(output.name) < place:
            raise FeedError(f"The output {output.name!r} is asked for twice.", code="repeated-name", path=path)
        for parameter in ("classification", "shared_memory_region"):
            if output.parameters.get(parameter):
                raise RequestError(f"The parameter {parameter!r} is not served here.", code="unsupported", path=path)
    return [(output.name, request.binary(output)) for output in wanted]


def _names(parameters: dict[str, Any], field: str) -> list[str] | None:
    """Names given by a request parameter: a list, or text with commas, since some clients send no lists."""
    value = parameters.get(field)
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",")]
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        reason = f"The parameter {field!r} is a list of names, or names separated by commas."
        raise RequestError(reason, code="invalid-field", path=f"/parameters/{field}", found=kind_of(value))
    return value


def _seed(request: oip.Request) -> int | None:
    seed = request.message.parameters.get("seed")
    if seed is not None and (type(seed) is not int or not 0 <= seed < 2**63):
        reason = "The parameter 'seed' is a whole number from 0 on."
        raise RequestError(reason, code="invalid-field", path="/parameters/seed", found=kind_of(seed))
    return seed


def _graphs_of(parameters: dict[str, Any]) -> tuple[dict[str, bytes], dict[str, str]]:
    """The graphs of a load request by version: those that it holds, and the ids of those that it names."""
    files: dict[str, bytes] = {}
    graphs: dict[str, str] = {}
    for key, value in parameters.items():
        path = f"/parameters/{key}"
        if not key.startswith(("file:", "graph:", "config")):
            continue
        if not isinstance(value, str):
            raise RequestError("The parameter is text.", code="invalid-field", path=path, found=kind_of(value))
        if key.startswith("graph:"):
            graphs[check_version(key.removeprefix("graph:"))] = value
        elif key.startswith("file:"):
            match = _FILE.fullmatch(key)
            if match is None:
                raise RequestError("Only models are taken.", path=path, expected="file:<version>/model.onnx", found=key)
            files[check_version(match[1])] = _base64(value, path)
        elif not isinstance(read_json(value), dict):
            raise RequestError("The configuration is no object.", code="invalid-field", path=path)
    if both := files.keys() & graphs.keys():
        raise RequestError("A version is given twice.", code="repeated-name", found=", ".join(sorted(both)))
    return files, graphs


def _base64(text: str, path: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError("The file is not base64.", code="invalid-base64", path=path) from None


async def _described(request: Request, model: str, version: str | None) -> tuple[Model, Record, Signature]:
    """A model and its signature, for the ``of`` and ``wrt`` of the query."""
    found, record = await _plane(request).model(model, version)
    query = dict(request.query_params)
    return found, record, signature(record, found.transform, _names(query, "of"), _names(query, "wrt"))


async def _message(request: Request, kind: type[M]) -> M:
    body = await read_compressed(request)
    return parse(kind, await _plane(request).call(lambda: read_json(body)) if body else {})


def _tensor(name: str, info: Any) -> dict[str, Any]:
    return {"name": name, "datatype": oip.datatype_of(info), "shape": oip.shape_of(info)}


def _config_type(datatype: str) -> str:
    known = {row.datatype for row in dtypes.DTYPES}
    return {"BYTES": "TYPE_STRING"}.get(datatype, f"TYPE_{datatype}" if datatype in known else "TYPE_INVALID")


def _plane(request: Request) -> DataPlane:
    plane: DataPlane = request.app.state.data_plane
    return plane
