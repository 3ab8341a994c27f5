"""What both clients have in common: the configuration, and how HTTP's errors become ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from graphspec_client._answers import Description, ValueInfo
from graphspec_client._exceptions import ConnectionFailed, GraphSpecClientError, TimedOut, service_error
from graphspec_client._requests import Call, Reply

DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT = 60.0
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class BaseClient:
    """A client without I/O.

    Attributes:
        base_url: The address of the service.
        awaits: Whether its verbs are coroutines.
    """

    awaits = False

    def __init__(self, base_url: str, api_key: str | None, timeout: float | None) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeout = timeout
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._options: dict[str, Any] = {"base_url": self.base_url, "headers": headers, "timeout": timeout}
        # A proxy of the environment cannot reach this machine's own loopback.
        self._options["trust_env"] = httpx.URL(self.base_url).host not in LOOPBACK

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    def _reply(self, response: httpx.Response) -> Reply:
        if response.status_code >= 400:
            raise service_error(response.status_code, response.headers, response.content)
        return Reply(response.status_code, response.headers, response.content)

    def _failure(self, call: Call, error: httpx.HTTPError) -> GraphSpecClientError:
        what = f"{call.method} {self.base_url}{call.path}"
        if isinstance(error, httpx.TimeoutException):
            return TimedOut(f"{what}: no answer within {self._timeout} seconds.")
        return ConnectionFailed(f"{what}: {error or type(error).__name__}. Is graphspec-server running there?")


class BaseModel:
    """A stored graph, as the service describes it.

    Attributes:
        description: All that the service said.
    """

    def __init__(self, client: Any, description: Description) -> None:
        self._client = client
        self.description = description
        self._drive = client._drive

    @property
    def id(self) -> str:
        """The SHA-256 of the canonical graph: equal graphs have equal ids."""
        return self.description.id

    @property
    def name(self) -> str:
        """The graph's name."""
        return self.description.name

    @property
    def inputs(self) -> Mapping[str, ValueInfo]:
        """The values that a run must be given."""
        return self.description.inputs

    @property
    def parameters(self) -> Mapping[str, ValueInfo]:
        """The values that the graph brings along; a run may override them."""
        return self.description.parameters

    @property
    def outputs(self) -> Mapping[str, ValueInfo]:
        """The values that a run gives."""
        return self.description.outputs

    def __repr__(self) -> str:
        def listed(values: Mapping[str, ValueInfo]) -> str:
            return ", ".join(f"{name}: {info.dtype}{_shape(info)}" for name, info in values.items())

        return f"<{type(self).__name__} {self.name!r} ({listed(self.inputs)}) -> ({listed(self.outputs)})>"


def _shape(info: ValueInfo) -> str:
    return "" if info.shape is None else "[" + ", ".join("?" if d is None else str(d) for d in info.shape) + "]"
