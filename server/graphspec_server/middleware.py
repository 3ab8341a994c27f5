"""What stands before every route: who may come in, how many at once, and what is said when all else fails."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Iterable

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graphspec_server.errors import Overloaded, Unauthorized, failure_of
from graphspec_server.routes._answers import failure_answer

_log = logging.getLogger(__name__)

# Health is asked for by machines without keys, and the documentation tells nothing about the graphs that are stored.
OPEN_PATHS = {"/v2/health/live", "/v2/health/ready", "/docs", "/openapi.json"}


class Door:
    """Refuses requests without a known key, and requests beyond the number that may be in progress.

    Args:
        app: What is behind the door.
        keys: API keys; with none, everybody may come in.
        limit: Requests in progress at once, health excepted.
    """

    def __init__(self, app: ASGIApp, keys: Iterable[str], limit: int) -> None:
        self._app = app
        self._digests = [_digest(key) for key in keys]
        self._limit = limit
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        return await self._guarded(scope, receive, send, self._enter)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in OPEN_PATHS:
            return await self._app(scope, receive, send)
        self._check_key(Request(scope).headers.get("authorization", ""))
        if self._inside >= self._limit:
            raise Overloaded("Too many requests are in progress; try again later.", expected=f"at most {self._limit}")
        self._inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._inside -= 1
        return None

    def _check_key(self, authorization: str) -> None:
        """Compare with every key in constant time, so that the time taken tells nothing about any of them."""
        if not self._digests:
            return
        scheme, _, key = authorization.partition(" ")
        found = _digest(key.strip())
        matches = [hmac.compare_digest(found, known) for known in self._digests]
        if scheme.lower() != "bearer" or not any(matches):
            raise Unauthorized("Send a known key.", expected="Authorization: Bearer <key>")

    @staticmethod
    async def _guarded(
        scope: Scope, receive: Receive, send: Send, app: Callable[[Scope, Receive, Send], Awaitable[None]]
    ) -> None:
        """Turn errors into answers; what nobody expected is logged, and the client learns only that it happened."""
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await app(scope, receive, noting)
        except Exception as error:
            failure = failure_of(error)
            if failure.body["code"] == "internal":
                _log.exception("%s %s failed", scope["method"], scope["path"])
            if not started:
                await failure_answer(failure, scope["path"])(scope, receive, send)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
