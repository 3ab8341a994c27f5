"""What goes wrong, and the status that says so over HTTP; the one place that knows both.

The library's tree of errors gains a branch of the service's own::

    GraphSpecError
    └── ServiceError             the service refuses, whatever the graph
        ├── RequestError         the request is not one of the service's
        ├── UnknownGraph         no stored graph has this id
        ├── UnknownModel         no model has this name, or none this version
        ├── ModelNotReady        the model is unloaded
        ├── BodyTooLarge         the body is over the limit
        ├── BodyTooSlow          the body did not arrive in time
        ├── UnsupportedMedia     the body's type is none of those taken here
        ├── NotAcceptable        the answer cannot be given in the type asked for
        ├── Unauthorized         an API key is needed
        ├── Forbidden            the key lacks the scope that the route needs
        ├── UploadsDisabled      the server takes no graphs from clients
        ├── Overloaded           more is asked for than can be done now
        └── StorageError         the repository's directory failed
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from graphspec import (
    DifferentiationError,
    ExecutionError,
    FeedError,
    GraphSpecError,
    LimitError,
    LoadError,
    Problem,
    UnsupportedError,
    ValidationError,
)

PROBLEM_TYPE = "https://graphspec.dev/problems/"

LONGEST_TEXT = 500
MOST_PROBLEMS = 100


class ServiceError(GraphSpecError):
    """The service refuses, whatever the graph."""


class RequestError(ServiceError):
    """The request is not one that the service knows: its JSON, its fields or their types."""

    code = "invalid-request"


class UnknownGraph(ServiceError):  # noqa: N818 - reads as the reason
    """No stored graph has this id."""

    code = "unknown-graph"


class UnknownModel(ServiceError):  # noqa: N818 - reads as the reason
    """No model has this name, or it has no such version."""

    code = "unknown-model"


class ModelNotReady(ServiceError):  # noqa: N818 - reads as the reason
    """The model is unloaded."""

    code = "model-not-ready"


class BodyTooLarge(ServiceError):  # noqa: N818 - reads as the reason
    """The body is over the limit."""

    code = "body-too-large"


class BodyTooSlow(ServiceError):  # noqa: N818 - reads as the reason
    """The body did not arrive in time."""

    code = "body-too-slow"


class UnsupportedMedia(ServiceError):  # noqa: N818 - reads as the reason
    """The body's type is none of those taken here."""

    code = "unsupported-media-type"


class NotAcceptable(ServiceError):  # noqa: N818 - reads as the reason
    """The answer cannot be given in the type asked for."""

    code = "not-acceptable"


class Unauthorized(ServiceError):  # noqa: N818 - reads as the reason
    """An API key is needed, and none that is known came with the request."""

    code = "unauthorized"


class Forbidden(ServiceError):  # noqa: N818 - reads as the reason
    """The key is known, and lacks the scope that the route needs."""

    code = "forbidden"


class UploadsDisabled(ServiceError):  # noqa: N818 - reads as the reason
    """The server takes no graphs from clients."""

    code = "uploads-disabled"


class Overloaded(ServiceError):  # noqa: N818 - reads as the reason
    """More is asked for than can be done now; later is better."""

    code = "overloaded"


class StorageError(ServiceError):
    """The repository's directory cannot be read or written."""

    code = "storage"


# The nearest class in an error's line of descent counts, so a new subclass has a status from the start.
STATUSES: dict[type[GraphSpecError], tuple[int, str]] = {
    GraphSpecError: (422, "The request cannot be carried out"),
    LoadError: (400, "The input cannot be read as a graph"),
    ValidationError: (422, "The graph is not valid"),
    FeedError: (422, "The feeds or fetches do not fit the graph"),
    UnsupportedError: (422, "The graph needs something that is not supported"),
    DifferentiationError: (422, "The derivative does not exist"),
    ExecutionError: (422, "The run failed"),
    LimitError: (422, "A limit was reached"),
    RequestError: (400, "The request cannot be read"),
    UnknownGraph: (404, "There is no such graph"),
    UnknownModel: (404, "There is no such model"),
    ModelNotReady: (409, "The model is not ready"),
    BodyTooLarge: (413, "The body is too large"),
    BodyTooSlow: (408, "The body did not arrive in time"),
    UnsupportedMedia: (415, "The body's content type is not supported"),
    NotAcceptable: (406, "The answer cannot be given in the type asked for"),
    Unauthorized: (401, "An API key is needed"),
    Forbidden: (403, "The key may not do this"),
    UploadsDisabled: (403, "The server takes no graphs"),
    Overloaded: (503, "The service is busy"),
    StorageError: (507, "The graph store failed"),
}

# Limits differ in what the client can do about them: send less, or ask for less work.
LIMIT_STATUSES = {"deadline": 504, "size": 413, "bytes": 413}

UNEXPECTED = (500, "Something went wrong on our side")
ROUTING = {404: ("not-found", "There is no such route"), 405: ("method-not-allowed", "The route has no such method")}

HEADERS: dict[type[GraphSpecError], dict[str, str]] = {
    Overloaded: {"retry-after": "1"},
    Unauthorized: {"www-authenticate": "Bearer"},
}


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """An error as HTTP tells it: the status, the body (RFC 9457 problem details) and further headers."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]


def failure_of(error: Exception) -> Failure:
    """What the client is told of an error; of one that nobody expected, nothing but that it happened."""
    if isinstance(error, MemoryError):
        error = LimitError("The request needs more memory than there is.", code="memory")
    elif isinstance(error, RecursionError):
        error = LimitError("The request is nested too deep.", code="nesting")
    if not isinstance(error, GraphSpecError):
        return _failure(*UNEXPECTED, "internal", "The error was logged.", ())
    status, title = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    if isinstance(error, LimitError):
        status = LIMIT_STATUSES.get(error.problems[0].code, status)
    headers = next((HEADERS[kind] for kind in type(error).__mro__ if kind in HEADERS), {})
    return _failure(status, title, error.code, error.message, error.problems, headers)


# UM-Bridge's words for what is the client's to mend, all of the one status; anything else keeps its own.
_UMBRIDGE_STATUS = 400
_UMBRIDGE_TYPES = {
    "unknown-model": "ModelNotFound",
    "model-not-ready": "ModelNotFound",
    "invalid-request": "InvalidInput",
    "invalid-feed": "InvalidInput",
    "unsupported": "UnsupportedFeature",
    "differentiation": "UnsupportedFeature",
    "not-differentiable": "UnsupportedFeature",
    "no-gradient-rule": "UnsupportedFeature",
}


def umbridge_failure(failure: Failure) -> tuple[int, str]:
    """The status and the type of an error as UM-Bridge has them."""
    code = failure.body["code"]
    return (_UMBRIDGE_STATUS, _UMBRIDGE_TYPES[code]) if code in _UMBRIDGE_TYPES else (failure.status, code)


# Tesseract's clients read the list of problems under this status alone.
_TESSERACT_STATUS = 422
_CLIENT_FAULTS = {400, 422}


def tesseract_failure(failure: Failure) -> tuple[int, dict[str, Any]]:
    """The status and the body of an error as Tesseract has them."""
    if failure.status not in _CLIENT_FAULTS:
        return failure.status, {"detail": failure.body["detail"]}
    details = [
        {
            "type": problem["code"],
            "loc": ["body", *problem.get("path", "").split("/")[1:]],
            "msg": told(problem),
        }
        for problem in failure.body["problems"]
    ]
    return _TESSERACT_STATUS, {"detail": details}


def told(problem: Mapping[str, str]) -> str:
    """A problem in one text, its place aside."""
    sides = [f"{word} {problem[word]}" for word in ("expected", "found") if problem.get(word)]
    parts = [problem["message"], f"({', '.join(sides)})" if sides else "", problem.get("hint", "")]
    return " ".join(part for part in parts if part)


def routing_failure(status: int, method: str, headers: Mapping[str, str] | None) -> Failure:
    """What the client is told when no route takes its request."""
    code, title = ROUTING.get(status, ("http", "The request cannot be served"))
    detail = f"{title} {method}." if status == 405 else f"{title}; /docs lists those there are."
    return _failure(status, title, code, detail, (), headers or {})


def _failure(
    status: int,
    title: str,
    code: str,
    detail: str,
    problems: tuple[Problem, ...],
    headers: Mapping[str, str] | None = None,
) -> Failure:
    body = {
        "type": PROBLEM_TYPE + code,
        "title": title,
        "status": status,
        "detail": _shortened(detail),
        "code": code,
        "problems": [{k: _shortened(v) for k, v in p.to_dict().items()} for p in problems[:MOST_PROBLEMS]],
    }
    return Failure(status, body, headers or {})


def _shortened(text: object) -> str:
    """Names in messages are the client's: as long as its request, and from protobuf not even always text."""
    text = text if isinstance(text, str) else str(text)
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
