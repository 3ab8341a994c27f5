"""What /docs says of the routes: their messages, types and examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema
from starlette.types import Receive, Scope, Send

from graphspec_server import wire, wire_tesseract, wire_umbridge, wire_v2
from graphspec_server.access import ACCESS, Access, key_in
from graphspec_server.routes._answers import PROBLEM
from graphspec_server.routes._media import JSON, ONNX, SAFETENSORS, TEXT

_REFERENCE = "#/components/schemas/{model}"

_TAGS = {"v1": "GraphSpec", "v2": "Open Inference Protocol", "umbridge": "UM-Bridge", "tesseract": "Tesseract"}
_ERRORS = {
    "v2": wire_v2.ErrorAnswer,
    "umbridge": wire_umbridge.UmBridgeError,
    "tesseract": wire_tesseract.TesseractError,
}

_DOCUMENT = {
    "graphspec": 1,
    "name": "loss",
    "opset": 21,
    "inputs": {"x": {"dtype": "float32", "shape": [3]}, "y": {"dtype": "float32", "shape": [3]}},
    "nodes": [
        {"op": "Mul", "inputs": ["x", "y"], "outputs": ["xy"]},
        {"op": "ReduceSum", "inputs": ["xy"], "outputs": ["loss"], "attributes": {"keepdims": 0}},
    ],
    "outputs": ["loss"],
}
_FEEDS = {"x": [1, 2, 3], "y": {"dtype": "float32", "shape": [3], "data": [4, 5, 6]}}
_APPLIED = {"inputs": {"x": [1.0, 2.0, 3.0], "y": [4.0, 5.0, 6.0]}}
_EVALUATED = {"name": "loss", "input": [[1, 2, 3], [4, 5, 6]], "config": {}}

EXAMPLES: dict[type[wire.Message], dict[str, Any]] = {
    wire.RunRequest: {"graph": _DOCUMENT, "feeds": _FEEDS, "grad": {"of": "loss", "wrt": ["x", "y"]}},
    wire.StoredRunRequest: {"feeds": _FEEDS, "fetches": ["loss"]},
    wire.GradRequest: {"of": "loss", "wrt": ["x"], "feeds": _FEEDS, "encoding": "base64"},
    wire.VjpRequest: {"of": ["xy"], "wrt": ["x"], "feeds": _FEEDS, "cotangents": {"xy": [1.0, 0.5, -2.0]}},
    wire.JvpRequest: {"of": ["xy"], "wrt": ["x"], "feeds": _FEEDS, "tangents": {"x": [1.0, 0.5, -2.0]}},
    wire.HvpRequest: {"of": "loss", "wrt": ["x"], "feeds": _FEEDS, "tangents": {"x": [1.0, 0.5, -2.0]}},
    wire.JacobianRequest: {"of": ["xy"], "wrt": ["x", "y"], "feeds": _FEEDS},
    wire.HessianRequest: {"of": "loss", "wrt": ["x", "y"], "feeds": _FEEDS},
    wire.DeriveRequest: {"transform": "grad", "of": "loss", "wrt": ["x", "y"]},
    wire_v2.InferRequest: {
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [3], "data": [1, 2, 3]},
            {"name": "y", "datatype": "FP32", "shape": [3], "data": [4, 5, 6]},
        ],
        "outputs": [{"name": "loss"}],
    },
    wire_v2.IndexRequest: {"ready": True},
    wire_tesseract.ApplyRequest: _APPLIED,
    wire_tesseract.TesseractJacobian: _APPLIED | {"jac_inputs": ["x"], "jac_outputs": ["loss"]},
    wire_tesseract.TesseractJvp: _APPLIED
    | {"jvp_inputs": ["x"], "jvp_outputs": ["loss"], "tangent_vector": {"x": [1.0, 0.5, -2.0]}},
    wire_tesseract.TesseractVjp: _APPLIED
    | {"vjp_inputs": ["x"], "vjp_outputs": ["loss"], "cotangent_vector": {"loss": 1.0}},
    wire_tesseract.AbstractRequest: {"inputs": {n: {"shape": [3], "dtype": "float32"} for n in "xy"}},
    wire_umbridge.SizesRequest: {"name": "loss", "config": {"n": 3}},
    wire_umbridge.EvaluateRequest: _EVALUATED,
    wire_umbridge.GradientRequest: _EVALUATED | {"outWrt": 0, "inWrt": 0, "sens": [1]},
    wire_umbridge.ApplyJacobianRequest: _EVALUATED | {"outWrt": 0, "inWrt": 1, "vec": [1, 0.5, -2]},
    wire_umbridge.ApplyHessianRequest: _EVALUATED
    | {"outWrt": 0, "inWrt1": 0, "inWrt2": 1, "sens": [1], "vec": [1, 0.5, -2]},
    wire_v2.LoadRequest: {},
    wire_v2.UnloadRequest: {},
}


@dataclasses.dataclass(frozen=True)
class Route:
    """A route, and what is to be said of it.

    Attributes:
        method: Its HTTP method.
        path: Its path.
        endpoint: What serves it; the first line of the docstring is the summary.
        takes: Its message, ``"graph"`` for a graph in any form, or ``None`` without a body.
        gives: Its answer.
        status: Its usual status.
        further: Content types of the answer beside JSON.
    """

    method: str
    path: str
    endpoint: Callable[..., Any]
    takes: type[wire.Message] | str | None = None
    gives: type[wire.Message] | None = None
    status: int = 200
    further: tuple[str, ...] = ()

    @property
    def bulk(self) -> bool:
        """Whether tensors may come and go as safetensors."""
        return isinstance(self.takes, type) and issubclass(self.takes, wire.RunOptions)


class GuardedRoute(APIRoute):
    """A route that looks at the key's scopes before anything of the request is read.

    It is the route itself that asks, after the router has chosen it, so no second reading of paths can disagree.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["method"] in (self.methods or ()):
            settings = scope["app"].state.settings
            ACCESS[f"{scope['method']} {self.path}"].check(key_in(scope), settings.allow_uploads)
        await super().handle(scope, receive, send)


def add_routes(app: FastAPI, routes: Sequence[Route]) -> None:
    """Add the routes to the app, and their description to its OpenAPI document."""
    for route in routes:
        access = ACCESS[f"{route.method} {route.path}"]
        app.router.add_api_route(
            route.path,
            route.endpoint,
            methods=[route.method],
            status_code=route.status,
            response_model=None,
            summary=(route.endpoint.__doc__ or "").splitlines()[0].rstrip("."),
            operation_id=f"{route.path.split('/')[1]}_{route.endpoint.__name__}",
            tags=[_TAGS[route.path.split("/")[1]]],
            responses=_responses(route),
            openapi_extra=_request_body(route) | _security(access),
            route_class_override=GuardedRoute,
        )
    messages = [route.takes for route in routes if isinstance(route.takes, type)] + [wire.ProblemDetails]
    app.openapi = lambda: _document(app, messages)  # type: ignore[method-assign]


def _document(app: FastAPI, messages: list[type[wire.Message]]) -> dict[str, Any]:
    """FastAPI's document, with the messages that our own code reads added."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _, schemas = models_json_schema([(m, "validation") for m in messages], ref_template=_REFERENCE)
        document.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])
        # FastAPI describes its own 422 for path parameters, which cannot happen here: they are plain strings.
        for name in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(name, None)
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        app.openapi_schema = document
    return app.openapi_schema


def _responses(route: Route) -> dict[int | str, dict[str, Any]]:
    problem = {"content": {PROBLEM: {"schema": {"$ref": _REFERENCE.format(model="ProblemDetails")}}}}
    usual: dict[str, Any] = {"description": "Done"}
    if route.gives is not None:
        usual["model"] = route.gives
    further = {media: {"schema": {"type": "string", "format": "binary"}} for media in route.further}
    if route.bulk:
        further[SAFETENSORS] = {"schema": {"type": "string", "format": "binary"}}
    if further:
        usual["content"] = further
    found: dict[int | str, dict[str, Any]] = {route.status: usual}
    if route.path.startswith("/v1"):
        found["4XX"] = {"description": "Refused; every problem found is listed", **problem}
    else:
        found["4XX"] = {"description": "Refused", "model": _ERRORS[route.path.split("/")[1]]}
    return found


def _security(access: Access) -> dict[str, Any]:
    return {} if access.scope is None else {"security": [{"key": []}, {}], "x-graphspec-scope": access.scope}


def _request_body(route: Route) -> dict[str, Any]:
    if route.takes is None:
        return {}
    binary = {"schema": {"type": "string", "format": "binary"}}
    required = not (isinstance(route.takes, type) and issubclass(route.takes, wire_v2.OptionalMessage))
    if isinstance(route.takes, str):
        graph = {"schema": wire.GRAPH_SCHEMA, "example": _DOCUMENT}
        content = {JSON: graph, ONNX: binary, TEXT: {"schema": {"type": "string"}}}
    else:
        schema = {"$ref": _REFERENCE.format(model=route.takes.__name__)}
        content = {JSON: {"schema": schema, "example": EXAMPLES[route.takes]}}
        if route.bulk:
            content[SAFETENSORS] = binary
    return {"requestBody": {"required": required, "content": content}}
