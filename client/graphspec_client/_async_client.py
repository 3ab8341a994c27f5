"""The client that awaits."""

from __future__ import annotations

from typing import Any

import httpx

from graphspec_client import _derivatives, _evaluation, _requests
from graphspec_client._base import DEFAULT_TIMEOUT, DEFAULT_URL, BaseClient, BaseModel
from graphspec_client._function import Function, as_function
from graphspec_client._inprocess import InProcess
from graphspec_client._requests import Call, Flow, Names, Reply, T
from graphspec_client._transforms import Transforms
from graphspec_client._verbs import awaiting, drive_async


class AsyncModel(BaseModel):
    """A stored graph: as `Model`, with coroutines for methods."""

    run = awaiting(_requests.run_stored)
    grad = awaiting(_derivatives.grad)
    value_and_grad = awaiting(_derivatives.value_and_grad)
    vjp = awaiting(_derivatives.vjp)
    jvp = awaiting(_derivatives.jvp)
    hvp = awaiting(_derivatives.hvp)
    jacobian = awaiting(_derivatives.jacobian)
    hessian = awaiting(_derivatives.hessian)
    dumps = awaiting(_requests.dumps)
    document = awaiting(_requests.document)
    save = awaiting(_requests.save)
    delete = awaiting(_requests.delete)

    async def derive(
        self, transform: str, *, of: Names, wrt: Names, allow_unused: bool = False, checkpoint: Names = ()
    ) -> AsyncModel:
        """A derivative of the graph as a stored graph of its own; arguments as for `Model.derive`."""
        options: dict[str, Any] = {"allow_unused": allow_unused, "checkpoint": checkpoint}
        flow = _derivatives.derive(self, transform, of=of, wrt=wrt, **options)
        return AsyncModel(self._client, await self._drive(flow))


class AsyncClient(Transforms, BaseClient):
    """A client of a GraphSpec service whose verbs are coroutines; for one event loop.

    Args:
        base_url: The address of the service.
        api_key: The key, for a service that wants one.
        timeout: Seconds to wait for an answer; ``None`` waits forever.
        app: An ASGI application to run in this process instead of calling a server. The client owns it: it starts with
            the first request and stops with the client.
        transport: An ``httpx`` transport of your own.
    """

    awaits = True

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        app: Any = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(base_url, api_key, timeout)
        self._http = httpx.AsyncClient(transport=InProcess(app) if app is not None else transport, **self._options)

    run = awaiting(_requests.run)
    validate = awaiting(_requests.validate)
    operators = awaiting(_requests.operators)
    schema = awaiting(_requests.schema)
    ready = awaiting(_requests.ready)
    evaluate = awaiting(_evaluation.evaluate_flow)
    backward = awaiting(_evaluation.backward_flow)

    async def load(self, source: Any) -> AsyncModel:
        """Store a graph, to run it often; for what a source can be see `Client.load`."""
        return AsyncModel(self, await self._drive(_requests.store(self, source)))

    async def graph(self, id: str) -> AsyncModel:
        """A graph that is stored already."""
        return AsyncModel(self, await self._drive(_requests.describe(self, id)))

    async def graphs(self) -> list[AsyncModel]:
        """All stored graphs."""
        return [AsyncModel(self, one) for one in await self._drive(_requests.graphs(self))]

    def function(self, f: Any) -> Function:
        """The function as one that is awaited: ``await client.function(f)(x, w)``."""
        return Function(as_function(f).f, client=self)

    async def aclose(self) -> None:
        """Close the connections, and stop the application if there is one."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    async def _drive(self, flow: Flow[T]) -> T:
        return await drive_async(flow, self._send)

    async def _send(self, call: Call) -> Reply:
        try:
            response = await self._http.request(call.method, call.path, content=call.content, headers=call.headers)
        except httpx.HTTPError as error:
            raise self._failure(call, error) from error
        return self._reply(response)
