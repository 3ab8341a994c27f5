"""Who may do what: the scope that each route needs, in one table for all protocols."""

from __future__ import annotations

import dataclasses

from starlette.types import Scope

from graphspec_server.errors import Forbidden, UploadsDisabled
from graphspec_server.keys import ApiKey

# Where the middleware leaves what is known of the request's key.
KEY = "graphspec_server.key"


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """What a route asks for.

    Attributes:
        scope: Of the key, where keys are needed at all; ``None`` for everybody, without a key.
        uploads: Whether it takes or stores a graph from the client, so that it goes when uploads are off.
    """

    scope: str | None
    uploads: bool = False

    def check(self, key: ApiKey | None, allow_uploads: bool) -> None:
        """Let a request pass, or say why not.

        Args:
            key: What is known of its key; ``None`` where no keys are asked for.
            allow_uploads: Whether graphs from clients are taken.

        Raises:
            Forbidden: The key has not the scope.
            UploadsDisabled: The route takes graphs from clients, and the server takes none.
        """
        if self.scope is not None and key is not None and self.scope not in key.scopes:
            raise Forbidden(
                f"The key {key.name!r} lacks the scope {self.scope!r}.",
                found=", ".join(sorted(key.scopes)),
            )
        if self.uploads:
            check_uploads(allow_uploads)


def check_uploads(allowed: bool) -> None:
    """Refuse a graph from a client where the server takes none."""
    if not allowed:
        raise UploadsDisabled(
            "This server takes no graphs from clients.", hint="Use its stored graphs: GET /v1/graphs, GET /v2/models."
        )


def key_in(scope: Scope) -> ApiKey | None:
    """What is known of the key of a request that the middleware let in."""
    found: ApiKey | None = scope.get(KEY)
    return found


_OPEN = Access(None)
_READ = Access("read")
_RUN = Access("run")
_WRITE = Access("write")
_ADMIN = Access("admin")

# Deleting and unloading take away what all keys share, so they are for whoever runs the server.
ACCESS = {
    "GET /docs": _OPEN,
    "GET /openapi.json": _OPEN,
    "GET /v2/health/live": _OPEN,
    "GET /v2/health/ready": _OPEN,
    "POST /v1/run": Access("run", uploads=True),
    "POST /v1/validate": Access("run", uploads=True),
    "POST /v1/graphs": Access("write", uploads=True),
    "GET /v1/graphs": _READ,
    "GET /v1/graphs/{graph_id}": _READ,
    "DELETE /v1/graphs/{graph_id}": _ADMIN,
    **{
        f"POST /v1/graphs/{{graph_id}}/{verb}": _RUN
        for verb in ("run", "grad", "vjp", "jvp", "hvp", "jacobian", "hessian")
    },
    "POST /v1/graphs/{graph_id}/derive": Access("write", uploads=True),
    "GET /v1/operators": _READ,
    "GET /v1/schema": _READ,
    "GET /v2": _READ,
    "GET /v2/models": _READ,
    "GET /v2/models/stats": _READ,
    **{
        f"{method} {path}{rest}": access
        for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
        for method, rest, access in (
            ("GET", "", _READ),
            ("GET", "/ready", _READ),
            ("GET", "/config", _READ),
            ("GET", "/stats", _READ),
            ("POST", "/infer", _RUN),
        )
    },
    "POST /v2/repository/index": _READ,
    "POST /v2/repository/models/{model}/load": _WRITE,  # with files, an upload: the route itself looks
    "POST /v2/repository/models/{model}/unload": _ADMIN,
    "GET /umbridge/{model}/Info": _READ,
    **{f"POST /umbridge/{{model}}/{word}": _READ for word in ("ModelInfo", "InputSizes", "OutputSizes")},
    **{f"POST /umbridge/{{model}}/{word}": _RUN for word in ("Evaluate", "Gradient", "ApplyJacobian", "ApplyHessian")},
    "GET /tesseract/{model}/openapi.json": _READ,
    "GET /tesseract/{model}/health": _READ,
    "POST /tesseract/{model}/abstract_eval": _READ,
    **{
        f"POST /tesseract/{{model}}/{word}": _RUN
        for word in ("apply", "jacobian", "jacobian_vector_product", "vector_jacobian_product")
    },
}
