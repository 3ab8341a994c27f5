"""Reading requests: bodies within the limit, in any of the forms, as the message that the route takes."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from graphspec_server import wire
from graphspec_server._json import read_json
from graphspec_server._safetensors import read_safetensors
from graphspec_server._text import kind_of
from graphspec_server.dataplane import DataPlane, Source
from graphspec_server.errors import BodyTooLarge, BodyTooSlow, RequestError, UnsupportedMedia
from graphspec_server.routes._media import JSON, ONNX_TYPES, SAFETENSORS, TEXT, body_type

M = TypeVar("M", bound=wire.Message)

# Below this, parsing takes less time than handing it to a thread.
SMALL_BODY = 16 * 2**10

# What zlib is told of each content coding.
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


async def read_message(request: Request, kind: type[M], *, bulk: bool = False) -> M:
    """The request's body as a message, from JSON or (``bulk``) safetensors."""
    media = body_type(request, (JSON, SAFETENSORS) if bulk else (JSON,))
    body = await read_body(request)

    def parse() -> M:
        return wire.parse(kind, read_safetensors(body) if media == SAFETENSORS else _object(body))

    return parse() if len(body) <= SMALL_BODY else await _data_plane(request).call(parse)


async def read_graph(request: Request) -> Source:
    """The request's body as the source of a graph: JSON, ONNX text, or ONNX bytes."""
    media = body_type(request, (JSON, TEXT, *ONNX_TYPES))
    body = await read_body(request)
    if media == JSON:
        source: Source = await _data_plane(request).call(lambda: _object(body))
        return source
    return _text(body) if media == TEXT else body


async def read_compressed(request: Request) -> bytes:
    """The body, whatever its content type, decompressed if need be; empty if there is none.

    Raises:
        BodyTooLarge: It is over the limit, as it came or decompressed.
        UnsupportedMedia: It is compressed in another way than gzip or deflate.
        RequestError: It is not what it says.
    """
    body = await read_body(request, required=False)
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in _WINDOWS:
        raise UnsupportedMedia("This compression is not taken.", expected="gzip or deflate", found=coding)
    limit = int(request.app.state.settings.max_body_bytes)
    return await _data_plane(request).call(lambda: _decompressed(body, coding, limit))


async def read_body(request: Request, *, required: bool = True) -> bytes:
    """The body, counted while it arrives.

    Raises:
        BodyTooLarge: It is over the limit.
        BodyTooSlow: It did not arrive in time.
        RequestError: There is none, or the client went away.
    """
    settings = request.app.state.settings
    limit = int(settings.max_body_bytes)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit and "expect" in request.headers:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(settings.body_seconds):
            body = await _collect(request, limit)
    except TimeoutError:
        raise BodyTooSlow("The body did not arrive in time.", expected=f"{settings.body_seconds:g} s") from None
    except ClientDisconnect:
        raise RequestError("The client went away.", code="disconnected") from None
    if required and not body:
        raise RequestError("The request has no body.", code="missing-body")
    return body


async def _collect(request: Request, limit: int) -> bytes:
    """All of the body; of one that is too large, as much again is read and dropped, so that the answer arrives."""
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size <= limit:
            pieces.append(piece)
        else:
            pieces.clear()
            if size > 2 * limit:
                break
    if size > limit:
        raise _too_large(limit)
    return b"".join(pieces)


def _decompressed(body: bytes, coding: str, limit: int) -> bytes:
    """What a compressed body holds; nothing beyond the limit is ever made."""
    stream = zlib.decompressobj(_WINDOWS[coding])
    try:
        content = stream.decompress(body, limit + 1)
    except zlib.error:
        raise RequestError(f"The body is not {coding}.", code="invalid-compression") from None
    if len(content) > limit:
        raise BodyTooLarge("The decompressed body is over the limit.", expected=f"at most {limit} bytes")
    if not stream.eof:
        raise RequestError(f"The body is {coding} that is cut short.", code="invalid-compression")
    if stream.unused_data:
        raise RequestError("Something follows the compressed body.", code="invalid-compression")
    return content


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge("The body is over the limit.", expected=f"at most {limit} bytes")


def _object(body: bytes) -> dict[str, Any]:
    value = read_json(body)
    if not isinstance(value, dict):
        raise RequestError("The body is no object.", expected="object", found=kind_of(value))
    return value


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise RequestError("The text is not UTF-8.", code="invalid-text") from None


def _data_plane(request: Request) -> DataPlane:
    plane: DataPlane = request.app.state.data_plane
    return plane
