"""Writing answers: arrays, records and failures as HTTP responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from graphspec import UnsupportedError
from graphspec_server._json import write_json, write_plain_json
from graphspec_server._safetensors import write_safetensors
from graphspec_server.codec import Encoding, encode_tensor
from graphspec_server.dataplane import DataPlane
from graphspec_server.errors import Failure
from graphspec_server.routes._media import JSON, SAFETENSORS

PROBLEM = "application/problem+json"

# Below this many elements, writing takes less time than handing it to a thread.
SMALL_ANSWER = 4096

Groups = Mapping[str, Mapping[str, np.ndarray]]


def json_answer(value: Any, status: int = 200) -> Response:
    """Plain data as JSON."""
    return Response(write_json(value), status, media_type=JSON)


def failure_answer(failure: Failure, path: str) -> Response:
    """An error; under /v2 in that protocol's own form."""
    if path.startswith("/v2/"):
        return Response(
            write_plain_json({"error": failure.body["detail"]}), failure.status, failure.headers, media_type=JSON
        )
    return Response(write_plain_json(failure.body), failure.status, failure.headers, media_type=PROBLEM)


async def arrays_answer(request: Request, groups: Groups, media: str, encoding: Encoding) -> Response:
    """Arrays by group and name, in the type and encoding that the client asked for."""

    def write() -> Response:
        if media == SAFETENSORS:
            return Response(write_safetensors(groups), media_type=SAFETENSORS)
        return json_answer({group: _encoded(arrays, encoding) for group, arrays in groups.items()})

    size = sum(np.size(array) for arrays in groups.values() for array in arrays.values())
    plane: DataPlane = request.app.state.data_plane
    return write() if size <= SMALL_ANSWER else await plane.call(write)


def _encoded(arrays: Mapping[str, np.ndarray], encoding: Encoding) -> dict[str, Any]:
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            reason = f"{name!r} is no tensor but a sequence or an empty optional, which has no form on the wire."
            raise UnsupportedError(reason, code="not-a-tensor", hint="Fetch its elements instead (SequenceAt).")
    return {name: encode_tensor(array, encoding) for name, array in arrays.items()}
