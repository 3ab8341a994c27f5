"""Writing answers: arrays, records and failures as HTTP responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from graphspec import UnsupportedError
from graphspec_server._json import write_json, write_plain_json
from graphspec_server._safetensors import write_safetensors
from graphspec_server.codec import Encoding, encode_tensor
from graphspec_server.dataplane import DataPlane
from graphspec_server.errors import Failure, tesseract_failure, told, umbridge_failure
from graphspec_server.executor import Arrays
from graphspec_server.routes._media import JSON, SAFETENSORS

PROBLEM = "application/problem+json"

# Below this many elements, writing takes less time than handing it to a thread.
SMALL_ANSWER = 4096

# Problems told where an error is but a text.
_MOST_TOLD = 10

Groups = Mapping[str, Mapping[str, Any]]


def json_answer(value: Any, status: int = 200) -> Response:
    """Plain data as JSON."""
    return Response(write_json(value), status, media_type=JSON)


def failure_answer(failure: Failure, path: str) -> Response:
    """An error; protocols that others made have forms of their own."""
    if path == "/v2" or path.startswith("/v2/"):
        return Response(
            write_plain_json({"error": _told(failure.body)}), failure.status, failure.headers, media_type=JSON
        )
    if path.startswith("/umbridge/"):
        status, kind = umbridge_failure(failure)
        told = {"error": {"type": kind, "message": _told(failure.body)}}
        return Response(write_plain_json(told), status, failure.headers, media_type=JSON)
    if path.startswith("/tesseract/"):
        status, body = tesseract_failure(failure)
        return Response(write_plain_json(body), status, failure.headers, media_type=JSON)
    return Response(write_plain_json(failure.body), failure.status, failure.headers, media_type=PROBLEM)


def _told(body: Mapping[str, Any]) -> str:
    """All of an error in one text, for protocols whose errors are nothing else."""
    sentences = [
        (f"{problem['path']}: " if problem.get("path") else "") + told(problem)
        for problem in body["problems"][:_MOST_TOLD]
    ]
    return " ".join(sentences) or str(body["detail"])


async def arrays_answer(request: Request, arrays: Arrays, media: str, encoding: Encoding) -> Response:
    """Arrays by group and name, in the type and encoding that the client asked for."""
    groups: Groups = {"outputs": arrays.outputs, **arrays.derivatives}

    def write() -> Response:
        if media == SAFETENSORS:
            flat = {group: dict(_flat(members)) for group, members in groups.items()}
            return Response(write_safetensors(flat), media_type=SAFETENSORS)
        return json_answer({group: _encoded(members, encoding) for group, members in groups.items()})

    size = sum(getattr(array, "size", 0) for members in groups.values() for _, array in _flat(members))
    plane: DataPlane = request.app.state.data_plane
    return write() if size <= SMALL_ANSWER else await plane.call(write)


def _flat(members: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of a group; those of a matrix of derivatives are called ``y/x``."""
    for name, member in members.items():
        if isinstance(member, Mapping):
            yield from _flat(member, f"{before}{name}/")
        else:
            yield before + name, member


def _encoded(members: Mapping[str, Any], encoding: Encoding) -> dict[str, Any]:
    encoded: dict[str, Any] = {}
    for name, array in members.items():
        if isinstance(array, Mapping):
            encoded[name] = _encoded(array, encoding)
            continue
        if not isinstance(array, np.ndarray):
            reason = f"{name!r} is no tensor but a sequence or an empty optional, which has no form on the wire."
            raise UnsupportedError(reason, code="not-a-tensor", hint="Fetch its elements instead (SequenceAt).")
        encoded[name] = encode_tensor(array, encoding)
    return encoded
