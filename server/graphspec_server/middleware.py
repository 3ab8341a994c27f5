"""What stands before every route: who may come in, how many at once, and what is said when all else fails."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graphspec_server.access import ACCESS, KEY
from graphspec_server.errors import Overloaded, Unauthorized, failure_of
from graphspec_server.keys import ApiKey, KeyRing, key_of
from graphspec_server.routes._answers import failure_answer

_log = logging.getLogger(__name__)

# Health is asked for by machines without keys, and the documentation tells nothing about the graphs that are stored.
OPEN_PATHS = {route.partition(" ")[2] for route, access in ACCESS.items() if access.scope is None}


class Door:
    """Refuses requests without a known key, and requests beyond the number that may be in progress.

    What a known key may do is up to the route (see `graphspec_server.access`).

    Args:
        app: What is behind the door.
        keys: What is known of the API keys; with none, everybody may come in.
        limit: Requests in progress at once, health excepted.
    """

    def __init__(self, app: ASGIApp, keys: Iterable[ApiKey], limit: int) -> None:
        self._app = app
        self._keys = KeyRing(keys)
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
        scope[KEY] = self._check_key(Headers(scope=scope)) if self._keys else None
        if self._inside >= self._limit:
            raise Overloaded("Too many requests are in progress; try again later.", expected=f"at most {self._limit}")
        self._inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._inside -= 1
        return None

    def _check_key(self, headers: Headers) -> ApiKey:
        key = key_of(headers.get("authorization", ""), headers.get("x-api-key", ""))
        found = None if key is None else self._keys.find(key)
        if found is None:
            raise Unauthorized("Send a known key: Authorization: Bearer <key>, or X-API-Key: <key>.")
        return found

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
