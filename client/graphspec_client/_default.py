"""The client that evaluates tensors to which none was given."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphspec_client._client import Client

_current: Any = None


def set_default_client(client: Client | None) -> None:
    """Choose the client for tensors and functions that have none of their own.

    Args:
        client: The client; ``None`` goes back to one made on first use for the address in the environment variable
            ``GRAPHSPEC_URL``, or else ``http://127.0.0.1:8000``.
    """
    global _current
    _current = client


def default_client() -> Client:
    """The client for tensors and functions that have none of their own."""
    global _current
    if _current is None:
        from graphspec_client._base import DEFAULT_URL
        from graphspec_client._client import Client

        _current = Client(os.environ.get("GRAPHSPEC_URL", DEFAULT_URL), api_key=os.environ.get("GRAPHSPEC_API_KEY"))
    client: Client = _current
    return client
