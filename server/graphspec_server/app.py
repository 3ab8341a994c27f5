"""The web application: its routes, in one table, and what stands before them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from graphspec import GraphSpecError
from graphspec_server import wire, wire_tesseract, wire_umbridge, wire_v2
from graphspec_server.dataplane import DataPlane, create_data_plane
from graphspec_server.errors import failure_of, routing_failure
from graphspec_server.middleware import Door
from graphspec_server.routes import tesseract, umbridge, v1, v2
from graphspec_server.routes._answers import failure_answer
from graphspec_server.routes._media import ONNX, TEXT
from graphspec_server.routes._openapi import Route, add_routes
from graphspec_server.settings import Settings

_FORMS = (ONNX, TEXT)

# No cookies: a key is sent by the page that has it, and never by the browser of its own accord.
_CORS: dict[str, Any] = {
    "allow_methods": ("GET", "POST", "DELETE"),
    "allow_headers": ("Accept", "Authorization", "Content-Type", "Inference-Header-Content-Length", "X-API-Key"),
    "expose_headers": ("Inference-Header-Content-Length", "Location", "Retry-After"),
}

ROUTES = (
    Route("POST", "/v1/run", v1.run, wire.RunRequest, wire.RunAnswer),
    Route("POST", "/v1/validate", v1.validate, "graph", wire.ValidateAnswer),
    Route("POST", "/v1/graphs", v1.store, "graph", wire.Description, status=201),
    Route("GET", "/v1/graphs", v1.list_graphs, None, wire.GraphList),
    Route("GET", "/v1/graphs/{graph_id}", v1.read, None, wire.GraphAnswer, further=_FORMS),
    Route("DELETE", "/v1/graphs/{graph_id}", v1.delete, status=204),
    Route("POST", "/v1/graphs/{graph_id}/run", v1.run_stored, wire.StoredRunRequest, wire.RunAnswer),
    Route("POST", "/v1/graphs/{graph_id}/grad", v1.grad, wire.GradRequest, wire.GradAnswer),
    Route("POST", "/v1/graphs/{graph_id}/vjp", v1.vjp, wire.VjpRequest, wire.VjpAnswer),
    Route("POST", "/v1/graphs/{graph_id}/jvp", v1.jvp, wire.JvpRequest, wire.JvpAnswer),
    Route("POST", "/v1/graphs/{graph_id}/hvp", v1.hvp, wire.HvpRequest, wire.HvpAnswer),
    Route("POST", "/v1/graphs/{graph_id}/jacobian", v1.jacobian, wire.JacobianRequest, wire.JacobianAnswer),
    Route("POST", "/v1/graphs/{graph_id}/hessian", v1.hessian, wire.HessianRequest, wire.HessianAnswer),
    Route("POST", "/v1/graphs/{graph_id}/derive", v1.derive, wire.DeriveRequest, wire.Description, status=201),
    Route("GET", "/v1/operators", v1.operators, None, wire.OperatorList),
    Route("GET", "/v1/schema", v1.schema),
    Route("GET", "/v2/health/live", v2.live, None, wire.Health),
    Route("GET", "/v2/health/ready", v2.ready, None, wire.Health),
    Route("GET", "/v2", v2.server, None, wire_v2.ServerMetadata),
    Route("GET", "/v2/models", v2.models, None, wire_v2.ModelNames),
    Route("GET", "/v2/models/stats", v2.all_stats),  # before the model of that name
    *(
        Route(method, f"{path}{rest}", form(endpoint), takes, gives)
        for path, form in (("/v2/models/{model}", v2.newest), ("/v2/models/{model}/versions/{version}", v2.versioned))
        for method, rest, endpoint, takes, gives in (
            ("GET", "", v2.metadata, None, wire_v2.ModelMetadata),
            ("GET", "/ready", v2.model_ready, None, wire_v2.ModelReady),
            ("GET", "/config", v2.config, None, None),
            ("GET", "/stats", v2.stats, None, None),
            ("POST", "/infer", v2.infer, wire_v2.InferRequest, wire_v2.InferAnswer),
        )
    ),
    Route("POST", "/v2/repository/index", v2.index, wire_v2.IndexRequest),
    Route("POST", "/v2/repository/models/{model}/load", v2.load, wire_v2.LoadRequest),
    Route("POST", "/v2/repository/models/{model}/unload", v2.unload, wire_v2.UnloadRequest),
    Route("GET", "/umbridge/{model}/Info", umbridge.info, None, wire_umbridge.Info),
    *(
        Route("POST", f"/umbridge/{{model}}/{word}", endpoint, takes, gives)
        for word, endpoint, takes, gives in (
            ("ModelInfo", umbridge.model_info, wire_umbridge.SizesRequest, wire_umbridge.ModelInfo),
            ("InputSizes", umbridge.input_sizes, wire_umbridge.SizesRequest, wire_umbridge.InputSizes),
            ("OutputSizes", umbridge.output_sizes, wire_umbridge.SizesRequest, wire_umbridge.OutputSizes),
            ("Evaluate", umbridge.evaluate, wire_umbridge.EvaluateRequest, wire_umbridge.Output),
            ("Gradient", umbridge.gradient, wire_umbridge.GradientRequest, wire_umbridge.Output),
            ("ApplyJacobian", umbridge.apply_jacobian, wire_umbridge.ApplyJacobianRequest, wire_umbridge.Output),
            ("ApplyHessian", umbridge.apply_hessian, wire_umbridge.ApplyHessianRequest, wire_umbridge.Output),
        )
    ),
    Route("GET", "/tesseract/{model}/openapi.json", tesseract.openapi),
    Route("GET", "/tesseract/{model}/health", tesseract.health, None, wire_tesseract.Status),
    *(
        Route("POST", f"/tesseract/{{model}}/{endpoint.__name__}", endpoint, takes)
        for endpoint, takes in (
            (tesseract.apply, wire_tesseract.ApplyRequest),
            (tesseract.jacobian, wire_tesseract.TesseractJacobian),
            (tesseract.jacobian_vector_product, wire_tesseract.TesseractJvp),
            (tesseract.vector_jacobian_product, wire_tesseract.TesseractVjp),
            (tesseract.abstract_eval, wire_tesseract.AbstractRequest),
        )
    ),
)


def create_app(settings: Settings | None = None, data_plane: DataPlane | None = None) -> FastAPI:
    """The service as an ASGI application.

    Args:
        settings: From the environment by default.
        data_plane: What does the work; the one that the settings describe by default.
    """
    settings = settings or Settings()
    plane = data_plane or create_data_plane(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        plane.close()

    app = FastAPI(
        title="GraphSpec",
        description="Any ONNX graph, its values and its exact derivatives, at one URL.",
        version=version("graphspec-server"),
        lifespan=lifespan,
        redirect_slashes=False,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    app.state.settings = settings
    app.state.data_plane = plane
    app.add_middleware(Door, keys=settings.api_keys, limit=settings.max_requests)
    if settings.cors_origins:  # added last, so it stands first: browsers ask beforehand, without a key
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors_origins, **_CORS)
    app.add_exception_handler(GraphSpecError, _refused)
    app.add_exception_handler(HTTPException, _not_routed)
    add_routes(app, ROUTES)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    return failure_answer(failure_of(error), request.url.path)


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return failure_answer(routing_failure(error.status_code, request.method, error.headers), request.url.path)
