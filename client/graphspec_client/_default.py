"""The client that evaluates tensors to which none was given."""

from __future__ import annotations

import os

from graphspec_client import _current
from graphspec_client._base import DEFAULT_URL
from graphspec_client._client import Client


def set_default_client(client: Client | None) -> None:
    """Choose the client for tensors and functions that have none of their own.

    Args:
        client: The client; ``None`` goes back to one made on first use for the address in the environment variable
            ``GRAPHSPEC_URL``, or else ``http://127.0.0.1:8000``.
    """
    _current.set_current(client)


def default_client() -> Client:
    """The client for tensors and functions that have none of their own."""
    client: Client = _current.current()
    return client


def _from_environment() -> Client:
    return Client(os.environ.get("GRAPHSPEC_URL", DEFAULT_URL), api_key=os.environ.get("GRAPHSPEC_API_KEY"))


_current.set_maker(_from_environment)
