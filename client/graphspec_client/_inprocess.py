"""An ASGI application in this very process, in place of a server: for tests and notebooks."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import httpx

from graphspec_client._exceptions import ConnectionFailed

T = TypeVar("T")


class InProcess(httpx.AsyncBaseTransport):
    """Sends requests to an application, which starts with the first of them and stops with the transport."""

    def __init__(self, app: Any) -> None:
        self._app = app
        # The application's own answer to a fault is what a server would send.
        self._inner = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self._lifespan: contextlib.AbstractAsyncContextManager[None] | None = None
        self._starting = asyncio.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("read")):
                await self._start()
                return await self._inner.handle_async_request(request)
        except TimeoutError:
            raise httpx.ReadTimeout("The application took too long.", request=request) from None

    async def _start(self) -> None:
        async with self._starting:
            if self._lifespan is None:
                lifespan = _lifespan(self._app)
                await lifespan.__aenter__()
                self._lifespan = lifespan

    async def aclose(self) -> None:
        """Stop the application."""
        lifespan, self._lifespan = self._lifespan, None
        if lifespan is not None:
            await lifespan.__aexit__(None, None, None)


@contextlib.asynccontextmanager
async def _lifespan(app: Any) -> AsyncIterator[None]:
    """ASGI's start and stop around the application's work; one that has neither does without."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    task = asyncio.create_task(app(scope, to_app.get, from_app.put))

    async def tell(event: str) -> dict[str, Any] | None:
        await to_app.put({"type": f"lifespan.{event}"})
        answer = asyncio.create_task(from_app.get())
        try:
            await asyncio.wait({answer, task}, return_when=asyncio.FIRST_COMPLETED)
            return answer.result() if answer.done() else None
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)

    try:
        started = await tell("startup")
        if started is not None and started["type"] != "lifespan.startup.complete":
            raise ConnectionFailed(f"The application did not start: {started.get('message', '')}")
        yield
        if started is not None:
            await tell("shutdown")
    finally:
        await asyncio.wait({task}, timeout=0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class InProcessBlocking(httpx.BaseTransport):
    """The same for a client that blocks: the application runs in a thread of its own.

    The thread is a daemon, so that a notebook that never closes its client can still end.
    """

    def __init__(self, app: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="graphspec-in-process", daemon=True)
        self._thread.start()
        self._inner = self._wait(self._make(app))
        self._stop = weakref.finalize(self, _stop, self._loop, self._thread, self._inner)

    @staticmethod
    async def _make(app: Any) -> InProcess:
        return InProcess(app)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        return self._wait(self._answer(request))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        return httpx.Response(response.status_code, headers=response.headers, content=await response.aread())

    def close(self) -> None:
        """Stop the application and its thread; this happens at the latest when the program ends."""
        self._stop()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread, inner: InProcess) -> None:
    if thread is threading.current_thread():  # collected as garbage right there: it cannot wait for itself
        loop.stop()
        return
    asyncio.run_coroutine_threadsafe(inner.aclose(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
