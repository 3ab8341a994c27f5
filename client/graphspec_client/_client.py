"""The client that blocks."""

from __future__ import annotations

from typing import Any

import httpx

from graphspec_client import _derivatives, _evaluation, _requests
from graphspec_client._base import DEFAULT_TIMEOUT, DEFAULT_URL, BaseClient, BaseModel
from graphspec_client._function import Function
from graphspec_client._inprocess import InProcessBlocking
from graphspec_client._requests import Call, Flow, Names, Reply, T
from graphspec_client._transforms import Transforms
from graphspec_client._verbs import blocking, drive


class Model(BaseModel):
    """A stored graph: run it, differentiate it, save it."""

    run = blocking(_requests.run_stored)
    grad = blocking(_derivatives.grad)
    value_and_grad = blocking(_derivatives.value_and_grad)
    vjp = blocking(_derivatives.vjp)
    jvp = blocking(_derivatives.jvp)
    hvp = blocking(_derivatives.hvp)
    jacobian = blocking(_derivatives.jacobian)
    hessian = blocking(_derivatives.hessian)
    dumps = blocking(_requests.dumps)
    document = blocking(_requests.document)
    save = blocking(_requests.save)
    delete = blocking(_requests.delete)

    def derive(
        self, transform: str, *, of: Names, wrt: Names, allow_unused: bool = False, checkpoint: Names = ()
    ) -> Model:
        """A derivative of the graph as a stored graph of its own.

        Args:
            transform: ``"grad"`` of one scalar (outputs ``x_grad``), ``"vjp"`` (inputs ``y_cotangent``, outputs
                ``x_vjp``), ``"jvp"`` (inputs ``x_tangent``, outputs ``y_jvp``), or ``"hvp"`` of one scalar (inputs
                ``x_tangent``, outputs ``x_grad`` and ``x_hvp``).
            of: What to differentiate.
            wrt: What to differentiate with respect to.
            allow_unused: Whether the derivative of what does not depend on ``wrt`` is zeros, and not refused.
            checkpoint: Intermediate values that the backward part of ``"grad"`` and ``"vjp"`` computes anew instead of
                keeping them.
        """
        options: dict[str, Any] = {"allow_unused": allow_unused, "checkpoint": checkpoint}
        return Model(self._client, self._drive(_derivatives.derive(self, transform, of=of, wrt=wrt, **options)))


class Client(Transforms, BaseClient):
    """A client of a GraphSpec service; usable from several threads.

    Args:
        base_url: The address of the service.
        api_key: The key, for a service that wants one.
        timeout: Seconds to wait for an answer; ``None`` waits forever.
        app: An ASGI application to run in this process instead of calling a server. The client owns it: it starts with
            the first request and stops with the client.
        transport: An ``httpx`` transport of your own.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        app: Any = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(base_url, api_key, timeout)
        self._http = httpx.Client(transport=InProcessBlocking(app) if app is not None else transport, **self._options)

    run = blocking(_requests.run)
    validate = blocking(_requests.validate)
    operators = blocking(_requests.operators)
    schema = blocking(_requests.schema)
    ready = blocking(_requests.ready)
    evaluate = blocking(_evaluation.evaluate_flow)
    backward = blocking(_evaluation.backward_flow)

    def load(self, source: Any) -> Model:
        """Store a graph, to run it often.

        Args:
            source: A path to a file; the bytes of one; a document (dict); JSON or ONNX text; an ``onnx.ModelProto`` or
                anything else with ``SerializeToString``; an exporter's object with ``model_proto``.
        """
        return Model(self, self._drive(_requests.store(self, source)))

    def graph(self, id: str) -> Model:
        """A graph that is stored already."""
        return Model(self, self._drive(_requests.describe(self, id)))

    def graphs(self) -> list[Model]:
        """All stored graphs."""
        return [Model(self, one) for one in self._drive(_requests.graphs(self))]

    def function(self, f: Any) -> Function:
        """Make a function run on the service by way of this client; also a decorator."""
        return Function(f, client=self)

    def close(self) -> None:
        """Close the connections, and stop the application if there is one."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _drive(self, flow: Flow[T]) -> T:
        return drive(flow, self._send)

    def _send(self, call: Call) -> Reply:
        try:
            response = self._http.request(call.method, call.path, content=call.content, headers=call.headers)
        except httpx.HTTPError as error:
            raise self._failure(call, error) from error
        return self._reply(response)
