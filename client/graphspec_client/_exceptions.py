"""Every error of the client, in one tree.

::

    GraphSpecClientError           anything that goes wrong through the client; carries ``problems`` and ``status``
    ├── ConnectionFailed           no service answers at that address
    ├── TimedOut                   the service took longer than ``timeout``
    ├── ProtocolError              an answer that is not GraphSpec's
    ├── CodecError                 a value that no tensor can hold, or a tensor that cannot be read (also a TypeError)
    ├── TraceError                 Python asked a symbolic tensor for its value (also a TypeError)
    └── ServiceError               the service refused or failed; ``code`` says why
        ├── InvalidGraph           the source is not a graph, or the graph breaks a rule of ONNX
        ├── InvalidFeed            feeds or fetches do not fit the graph
        ├── InvalidRequest         the request itself is malformed
        ├── Unsupported            an operator, a version of it, a type or a content type without support
        ├── ExecutionFailed        a kernel refused its values at run time
        ├── NotDifferentiable      the derivative does not exist: integers, values not connected, no scalar
        │   └── NoGradientRule     the derivative exists, but the service has no rule for it yet
        ├── NotFound               no graph with that id
        ├── Unauthorized           the key is missing, wrong, or not allowed to do this
        ├── LimitExceeded          a limit on size, nesting or work was reached
        │   └── DeadlineExceeded   the run took longer than the service allows
        ├── Overloaded             the service sheds load; ``retry_after`` seconds, if it said so
        └── ServiceFailed          a fault of the service itself
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One finding of the service: what is wrong, where, and what to do about it.

    Attributes:
        code: The rule that was broken, in kebab case (``"shape-mismatch"``); stable, for programs.
        message: One sentence for people.
        severity: ``"error"`` or ``"warning"``.
        path: JSON pointer into the document or the request.
        node: Name of the node concerned, or ``None``.
        expected: What the rule asks for, or ``None``.
        found: What is there instead, or ``None``.
        hint: What to do, or ``None``.
    """

    code: str
    message: str
    severity: str = "error"
    path: str = ""
    node: str | None = None
    expected: str | None = None
    found: str | None = None
    hint: str | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Problem:
        """The problem in an answer; fields that this client does not know are left out."""
        known = {field.name for field in dataclasses.fields(cls)}
        texts = {key: str(value) for key, value in data.items() if key in known and value is not None}
        return cls(**{"code": "error", "message": "", **texts})

    def __str__(self) -> str:
        parts = {"expected": self.expected, "found": self.found}
        known = ", ".join(f"{word} {part}" for word, part in parts.items() if part is not None)
        text = self.message + (f" ({known})" if known else "") + (f" {self.hint}" if self.hint else "")
        return f"{self.path or '/'}: [{self.code}] {text}"


class GraphSpecClientError(Exception):
    """Base of all errors of the client.

    Attributes:
        message: One sentence.
        problems: Every finding of the service; empty where the service had no say.
        status: The HTTP status of the answer, or ``None`` without one.
    """

    def __init__(self, message: str, *, problems: Iterable[Problem] = (), status: int | None = None) -> None:
        self.message = message
        self.problems: tuple[Problem, ...] = tuple(problems)
        self.status = status
        super().__init__(message)


class ConnectionFailed(GraphSpecClientError):  # noqa: N818 - reads as the reason
    """No service answers at that address."""


class TimedOut(GraphSpecClientError):  # noqa: N818 - reads as the reason
    """The service took longer than ``timeout``."""


class ProtocolError(GraphSpecClientError):
    """The answer is not one that a GraphSpec service gives."""


class CodecError(GraphSpecClientError, TypeError):
    """A value that no tensor can hold, or a tensor in an answer that cannot be read."""


class TraceError(GraphSpecClientError, TypeError):
    """Python asked a symbolic tensor for its value while a function was traced."""


class ServiceError(GraphSpecClientError):
    """The service refused the request or failed.

    Attributes:
        code: The class of the error, in kebab case (``"invalid-feed"``).
    """

    def __init__(
        self, message: str, *, problems: Iterable[Problem] = (), status: int | None = None, code: str = "error"
    ) -> None:
        super().__init__(message, problems=problems, status=status)
        self.code = code


class InvalidGraph(ServiceError):  # noqa: N818 - reads as the reason
    """The source cannot be read as a graph, or the graph breaks a rule of ONNX."""


class InvalidFeed(ServiceError):  # noqa: N818 - reads as the reason
    """Feeds or fetches do not fit the graph's inputs and values."""


class InvalidRequest(ServiceError):  # noqa: N818 - reads as the reason
    """The request itself is malformed."""


class Unsupported(ServiceError):  # noqa: N818 - reads as the reason
    """An operator, a version of it, a type or a content type without support."""


class ExecutionFailed(ServiceError):  # noqa: N818 - reads as the reason
    """A kernel refused its values at run time; the problem names the node."""


class NotDifferentiable(ServiceError):  # noqa: N818 - reads as the reason
    """The derivative does not exist: integers, values that are not connected, no scalar."""


class NoGradientRule(NotDifferentiable):
    """The derivative exists, but the service has no rule for it yet."""


class NotFound(ServiceError):  # noqa: N818 - reads as the reason
    """There is no graph with that id."""


class Unauthorized(ServiceError):  # noqa: N818 - reads as the reason
    """The API key is missing, wrong, or not allowed to do this."""


class LimitExceeded(ServiceError):  # noqa: N818 - reads as the reason
    """A limit on size, nesting or work was reached."""


class DeadlineExceeded(LimitExceeded):
    """The run took longer than the service allows."""


class Overloaded(ServiceError):  # noqa: N818 - reads as the reason
    """The service sheds load.

    Attributes:
        retry_after: Seconds after which the service wants to be asked again, or ``None`` if it did not say.
    """

    retry_after: float | None = None


class ServiceFailed(ServiceError):  # noqa: N818 - reads as the reason
    """A fault of the service itself."""


_BY_CODE: dict[str, type[ServiceError]] = {
    "load": InvalidGraph,
    "invalid-graph": InvalidGraph,
    "invalid-feed": InvalidFeed,
    "unsupported": Unsupported,
    "execution": ExecutionFailed,
    "differentiation": NotDifferentiable,
    "not-differentiable": NotDifferentiable,
    "no-gradient-rule": NoGradientRule,
    "limit": LimitExceeded,
    "not-found": NotFound,
    "unknown-graph": NotFound,
    "invalid-request": InvalidRequest,
    "body-too-large": LimitExceeded,
    "unsupported-media-type": Unsupported,
    "not-acceptable": Unsupported,
    "unauthorized": Unauthorized,
    "overloaded": Overloaded,
}
_BY_STATUS: dict[int, type[ServiceError]] = {
    400: InvalidRequest,
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    413: LimitExceeded,
    415: Unsupported,
    429: Overloaded,
    503: Overloaded,
    504: DeadlineExceeded,
}


def service_error(status: int, headers: Mapping[str, str], content: bytes) -> ServiceError:
    """The typed error of an answer whose status is 400 or above.

    The code of the problem details decides; where there is none (a proxy answered, say), the status does.
    """
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    body = body if isinstance(body, dict) else {}
    code = str(body.get("code") or "error")
    listed = body.get("problems")
    problems = [Problem.from_dict(p) for p in listed if isinstance(p, dict)] if isinstance(listed, list) else []
    fallback = InvalidRequest if status < 500 else ServiceFailed
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status, fallback)
    if kind is LimitExceeded and status == 504:
        kind = DeadlineExceeded
    error = kind(_message(status, body, problems), problems=problems, status=status, code=code)
    if isinstance(error, Overloaded):
        seconds = headers.get("retry-after", "")
        error.retry_after = float(seconds) if seconds.isdigit() else None
    return error


def _message(status: int, body: Mapping[str, Any], problems: list[Problem]) -> str:
    detail = body.get("detail") or body.get("title") or body.get("error")
    text = detail if isinstance(detail, str) else f"The service answered with status {status}."
    lines = [str(problem) for problem in problems]
    if len(lines) == 1 and (lines[0] == text or problems[0].message == text):
        return lines[0]
    return "\n  ".join([text, *(line for line in lines if line != text)])
