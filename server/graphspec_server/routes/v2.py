"""The Open Inference Protocol, /v2; today its health alone."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from graphspec_server.routes._answers import json_answer

# Clients differ in which word they read, so both are in both answers.
_HEALTHY = {"live": True, "ready": True}


async def live(request: Request) -> Response:
    """Whether the process answers at all."""
    return json_answer(_HEALTHY)


async def ready(request: Request) -> Response:
    """Whether the service takes work."""
    return json_answer(_HEALTHY)
